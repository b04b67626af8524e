# Sourced by demo.sh and test.sh: goes to the checkout, makes the virtual environment and installs gvcodec with EXTRAS.
#   GVCODEC_VENV   where the environment lies (default: .venv in the checkout)
# Where the script that sources this one has a function compile_more, it runs after the C++ core is compiled.
# Missing system packages (compiler, Python's headers, python3-venv) come through apt-get where that is possible.
# A second run downloads nothing, and compiles only C++ that changed: the build folder stays.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() {
    echo "gvcodec: $1"
}

fail() {
    say "$1" >&2
    exit 1
}

install_packages() {
    command -v apt-get >/dev/null || fail "please install: $*"
    say "installing $* through apt-get (up to 200 MB)"
    local become=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "please install as root: apt-get install $*"
        become=(sudo)
    fi
    "${become[@]}" apt-get update -q || fail "apt-get update failed; please install: $*"
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" ||
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

has_headers() {
    "$python" -c 'import pathlib, sys, sysconfig
sys.exit(not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").is_file())'
}

# requirements build: of the build; requirements EXTRAS: of gvcodec and of these extras; as pyproject.toml names them.
requirements() {
    "$venv/bin/python" - "$1" <<'END'
import sys, tomllib
with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
packages = project["project"]["dependencies"]
if sys.argv[1] == "build":
    packages = project["build-system"]["requires"]
else:
    for name in sys.argv[1].split(","):
        packages += project["project"]["optional-dependencies"][name]
print(*packages, sep="\n")
END
}

# pip_install ARGUMENTS: a bar where somebody looks, else a line for each package that was not there. Python compiles modules
# when it first imports them; pip would compile all of torch and scipy.
pip_install() {
    local pip=("$venv/bin/python" -m pip install --disable-pip-version-check --no-compile)
    if [ -t 1 ] && [ -z "$known" ]; then
        "${pip[@]}" "$@"
    else
        "${pip[@]}" --progress-bar off "$@" | sed -un 's/^ *\(Downloading\|Processing\|Installing\)/    \1/p'
    fi
}

# Puts gvcodec into the environment, C++ compiled; prints the name of each file that it compiles.
install_gvcodec() {
    mkdir -p build
    "$venv/bin/python" -m pip install -v --disable-pip-version-check --no-deps --no-build-isolation -e . 2>&1 |
        tee build/install.log | sed -un 's/^ *\(\[[0-9]*\/[0-9]*\] Building\)/    \1/p' ||
        { tail -60 build/install.log >&2; fail "gvcodec could not be built"; }
}

# Without an NVIDIA GPU, Linux needs no gigabytes of CUDA. An index that cannot be reached would be asked for every package.
torch_index() {
    [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null || return 0
    "$venv/bin/python" -c 'import sys, urllib.request as web; web.urlopen(sys.argv[1] + "/torch/", timeout=10)' "$1" 2>/dev/null || return 0
    echo "--extra-index-url $1"
}

say "setting up"
packages=()
find_python || packages+=(python3)
find_python && "$python" -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
find_python && has_headers || packages+=(python3-dev)
command -v c++ >/dev/null || packages+=(g++)
[ ${#packages[@]} -eq 0 ] || install_packages "${packages[@]}"
find_python || fail "Python 3.11 or newer is needed"

venv=${GVCODEC_VENV:-$PWD/.venv}
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    say "making a virtual environment in $venv"
    "$python" -m venv --clear "$venv"
fi

stamp=$venv/complete-$EXTRAS
wanted=$(cat pyproject.toml scripts/setup.sh)
known=
[ "$wanted" != "$(cat "$stamp" 2>/dev/null)" ] || known=yes
mapfile -t tools < <(requirements build)
mapfile -t required < <(requirements "$EXTRAS")
if [ -z "$known" ]; then
    read -ra index < <(torch_index https://download.pytorch.org/whl/cpu) || true
    size="some 3 GB with torch for CUDA"
    [ ${#index[@]} -eq 0 ] && [ "$(uname -s)" = Linux ] || size="400 MB with torch for processors"
    say "installing packages ($EXTRAS): $size to download"
else
    say "packages are there"
    index=()
fi
pip_install cmake ninja "${tools[@]}"

# The compiler and pip work at the same time: pip uses one core. The build has its own process group, which ends with this script.
compile_all() {
    install_gvcodec
    if declare -F compile_more >/dev/null; then compile_more; fi
}
say "building the C++ core: a minute or two the first time, then only what changed"
set -m
compile_all &
building=$!
set +m
trap 'kill -- "-$building" 2>/dev/null || true' EXIT
pip_install ${index[@]+"${index[@]}"} torch==2.13.0 "${required[@]}"
# Tests compare our forms of LPIPS and DISTS with these packages, whose torchvision they do not need.
[[ ",$EXTRAS," != *,dev,* ]] || pip_install --no-deps lpips==0.1.4 DISTS-pytorch==0.1
wait "$building" || exit 1
trap - EXIT
echo "$wanted" >"$stamp"
