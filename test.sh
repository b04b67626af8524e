#!/usr/bin/env bash
# ./test.sh [PYTEST OPTIONS]: sets everything up, runs the C++ tests with sanitizers, mypy, import contracts and the Python tests. Where nvcc is, the CUDA code
# is compiled too, for one architecture.

echo "gvcodec: this takes about 9 minutes on two idle cores: 2 to set up, compile and run C++, the rest for Python"

# compile NAME TARGET OPTIONS: in build/NAME, again only what changed.
compile() {
    local build=build/$1 target=$2
    shift 2
    "$venv/bin/cmake" --log-level=WARNING -S . -B "$build" -G Ninja -DCMAKE_MAKE_PROGRAM="$venv/bin/ninja" "$@"
    "$venv/bin/cmake" --build "$build" --target "$target"
}

compile_more() {
    if command -v nvcc >/dev/null; then
        say "compiling the CUDA code"
        compile cuda gvcuda -DGVCODEC_CUDA=ON -DCMAKE_CUDA_ARCHITECTURES=80-real
    else
        say "no nvcc: the CUDA code is not compiled"
    fi
    say "compiling the C++ tests with sanitizers"
    compile sanitize all -DCMAKE_BUILD_TYPE=Debug -DGVCODEC_TESTS=ON -DGVCODEC_SANITIZE=ON -DGVCODEC_WERROR=ON
}

EXTRAS=fit,eval,dev
source "$(dirname "${BASH_SOURCE[0]}")/scripts/setup.sh"

say "C++ tests"
"$venv/bin/ctest" --test-dir build/sanitize --output-on-failure --timeout 300 --parallel "$(getconf _NPROCESSORS_ONLN)"

# run_group NAME COMMAND: shows what the command said once it ends.
run_group() {
    local name=$1 code=0 begin=$SECONDS
    shift
    "$@" >"build/$name.log" 2>&1 || code=$?
    echo "gvcodec: $name, $((SECONDS - begin)) s"
    cat "build/$name.log"
    return "$code"
}

check_types() {
    "$venv/bin/mypy" && "$venv/bin/lint-imports"
}

# run_pytest WORDS: with a share of the cores for torch. Exit code 5 of pytest: the options leave it no test.
run_pytest() {
    local code=0
    OMP_NUM_THREADS=$(((cores + processes - 1) / processes)) \
        "$venv/bin/python" -m pytest -q -m "not slow" -p no:cacheprovider --durations=8 "$@" || code=$?
    return $((code == 5 ? 0 : code))
}

# Folders that run in one process; "." is all that the others do not name. The longest come first. All that opens a browser is in
# one group: two browsers at once starve each other. One process more than cores: tests of signals, pages and workers wait a lot.
groups=("player container" "." "batch serve rate" "eval training" "media outside" "cli" "painter" "api" "gvc1d condense retrieval")
cores=$(getconf _NPROCESSORS_ONLN)
processes=$((cores < 4 ? cores + 1 : 4))
running=0 failed=0
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

# start_group NAME COMMAND: as soon as fewer than `processes` run.
start_group() {
    if ((running == processes)); then
        wait -n || failed=1
        running=$((running - 1))
    fi
    run_group "$@" &
    running=$((running + 1))
}

say "types, imports between layers, and Python tests, in $processes processes"
named=()
for group in "${groups[@]}"; do
    for folder in $group; do
        [ "$folder" = . ] || named+=("--ignore=tests/$folder")
    done
done
for group in "${groups[@]}"; do
    if [ "$group" = . ]; then
        start_group tests-others run_pytest tests "${named[@]}" "$@"
    else
        read -ra folders <<<"$group"
        start_group "tests-${group// /-}" run_pytest "${folders[@]/#/tests/}" "$@"
    fi
done
start_group types check_types
while ((running > 0)); do
    wait -n || failed=1
    running=$((running - 1))
done
exit "$failed"
