#!/usr/bin/env bash
# ./test.sh [PYTEST OPTIONS]: sets everything up, runs the C++ tests with sanitizers and the Python tests.

EXTRAS=appearance,eval,dev
source "$(dirname "${BASH_SOURCE[0]}")/scripts/setup.sh"

if compgen -G "csrc/tests/*.cpp" >/dev/null; then
    "$venv/bin/pip" install -qq --disable-pip-version-check cmake ninja
    build=build/sanitize
    "$venv/bin/cmake" -S . -B "$build" -G Ninja -DCMAKE_MAKE_PROGRAM="$venv/bin/ninja" -DCMAKE_BUILD_TYPE=Debug \
        -DGVCODEC_TESTS=ON -DGVCODEC_SANITIZE=ON >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }
    "$venv/bin/cmake" --build "$build" >>"$build.log" 2>&1 || { tail -50 "$build.log" >&2; exit 1; }
    "$venv/bin/ctest" --test-dir "$build" --output-on-failure --timeout 300
fi
exec "$venv/bin/python" -m pytest -q -m "not slow" "$@"
