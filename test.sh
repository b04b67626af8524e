#!/usr/bin/env bash
# ./test.sh [PYTEST OPTIONS]: sets everything up, runs the C++ tests with sanitizers and the Python tests. Where nvcc is, the CUDA code
# is compiled too, for one architecture.

EXTRAS=appearance,eval,dev
source "$(dirname "${BASH_SOURCE[0]}")/scripts/setup.sh"
"$venv/bin/pip" install -qq --disable-pip-version-check cmake ninja

# compile NAME TARGET OPTIONS: in build/NAME; what the tools say is shown when they fail.
compile() {
    local build=build/$1 target=$2
    shift 2
    "$venv/bin/cmake" -S . -B "$build" -G Ninja -DCMAKE_MAKE_PROGRAM="$venv/bin/ninja" "$@" >"$build.log" 2>&1 ||
        { cat "$build.log" >&2; exit 1; }
    "$venv/bin/cmake" --build "$build" --target "$target" >>"$build.log" 2>&1 || { tail -50 "$build.log" >&2; exit 1; }
}

if command -v nvcc >/dev/null; then
    compile cuda gvcuda -DGVCODEC_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=80-real
else
    echo "No nvcc: the CUDA code is not compiled."
fi
compile sanitize all -DCMAKE_BUILD_TYPE=Debug -DGVCODEC_TESTS=ON -DGVCODEC_SANITIZE=ON -DGVCODEC_WERROR=ON
"$venv/bin/ctest" --test-dir build/sanitize --output-on-failure --timeout 300
exec "$venv/bin/python" -m pytest -q -m "not slow" "$@"
