#!/usr/bin/env bash
# ./test.sh [PYTEST OPTIONS]: sets everything up, runs the C++ tests with sanitizers, mypy, import contracts and the Python tests. Where nvcc is, the CUDA code
# is compiled too, for one architecture.

echo "gvcodec: this takes about 12 minutes on two idle cores: 3 to set up, compile and run C++, the rest for Python"
EXTRAS=fit,eval,dev
source "$(dirname "${BASH_SOURCE[0]}")/scripts/setup.sh"

# compile NAME TARGET OPTIONS: in build/NAME, again only what changed.
compile() {
    local build=build/$1 target=$2
    shift 2
    "$venv/bin/cmake" --log-level=WARNING -S . -B "$build" -G Ninja -DCMAKE_MAKE_PROGRAM="$venv/bin/ninja" "$@"
    "$venv/bin/cmake" --build "$build" --target "$target"
}

if command -v nvcc >/dev/null; then
    say "compiling the CUDA code"
    compile cuda gvcuda -DGVCODEC_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=80-real
else
    say "no nvcc: the CUDA code is not compiled"
fi
say "compiling the C++ tests with sanitizers"
compile sanitize all -DCMAKE_BUILD_TYPE=Debug -DGVCODEC_TESTS=ON -DGVCODEC_SANITIZE=ON -DGVCODEC_WERROR=ON
say "C++ tests"
"$venv/bin/ctest" --test-dir build/sanitize --output-on-failure --timeout 300 --parallel "$(getconf _NPROCESSORS_ONLN)"
say "types, and imports between layers"
"$venv/bin/mypy"
"$venv/bin/lint-imports"

# half PYTEST WORDS: a process with half of the cores for torch. Exit code 5 of pytest: the options leave it no test.
half() {
    local code=0 cores
    cores=$(getconf _NPROCESSORS_ONLN)
    OMP_NUM_THREADS=$(((cores + 1) / 2)) "$venv/bin/python" -m pytest -q -m "not slow" -p no:cacheprovider "$@" || code=$?
    return $((code == 5 ? 0 : code))
}

# All that opens a browser is in one half: two browsers at once starve each other.
say "Python tests, in two processes: the first half here, the second below it"
browsing=(tests/container tests/condense tests/eval tests/gvc1d tests/painter tests/player tests/training)
half "${browsing[@]}" "$@" >build/second-half.log 2>&1 &
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
failed=0
half tests "${browsing[@]/#/--ignore=}" "$@" || failed=$?
wait $! || failed=$?
cat build/second-half.log
exit "$failed"
