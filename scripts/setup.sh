# Sourced by demo.sh and test.sh: goes to the checkout, makes the virtual environment and installs gvcodec with EXTRAS.
#   GVCODEC_VENV   where the environment lies (default: .venv in the checkout)
# Missing system packages (compiler, python3-venv) come through apt-get where that is possible.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "gvcodec: $1" >&2
    exit 1
}

install_packages() {
    command -v apt-get >/dev/null || fail "please install: $*"
    local become=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "please install as root: apt-get install $*"
        become=(sudo)
    fi
    "${become[@]}" apt-get update -qq || fail "apt-get update failed; please install: $*"
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" ||
        fail "apt-get could not install: $*"
}

suitable() {
    command -v "$1" >/dev/null && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))'
}

find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11; do
        if suitable "$name"; then
            python=$name
            return 0
        fi
    done
    return 1
}

packages=()
find_python || packages+=(python3)
find_python && "$python" -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
command -v c++ >/dev/null || packages+=(g++)
[ ${#packages[@]} -eq 0 ] || install_packages "${packages[@]}"
find_python || fail "Python 3.11 or newer is needed"

venv=${GVCODEC_VENV:-$PWD/.venv}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"

"$venv/bin/pip" install -qq --disable-pip-version-check torch==2.13.0
"$venv/bin/pip" install -qq --disable-pip-version-check -e ".[$EXTRAS]" -C editable.rebuild=false
