"""Runs the fuzz targets of the repository for a while: parts of the core (libFuzzer, sanitizers),
parts of streams and whole ones (atheris)."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from eval.tools import EvalError

_ROOT = Path(__file__).parents[2]
_NATIVE = {"streams": "stream coder, two back-ends", "painter": "painter"}
_PARTS = ("header", "timing", "metadata", "tracks", "fitted", "summary", "standard", "motion")
_PARTS += ("latent", "painting", "varint", "units")
_PROGRAMS = _ROOT / "tests" / "fuzz"
#: Target → command, what it fuzzes.
_TARGETS = {
    name: ([str(_ROOT / "build" / "fuzz" / f"{name}_fuzz")], f"{what}, libFuzzer, ASan and UBSan")
    for name, what in _NATIVE.items()
}
for _name in _PARTS:
    _program = [sys.executable, str(_PROGRAMS / "parts_fuzz.py"), _name]
    _TARGETS[_name] = (_program, f"{_name}, atheris")
_whole = [sys.executable, str(_PROGRAMS / "stream_fuzz.py")]
_TARGETS["stream"] = (_whole, "whole streams, sealed, atheris")
TARGETS = tuple(_TARGETS)
_BUILD = (
    "cmake -S . -B build/fuzz -DCMAKE_CXX_COMPILER=clang++ "
    "-DCMAKE_BUILD_TYPE=None -DGVCODEC_FUZZ=ON && cmake --build build/fuzz"
)
_CRASHES = (
    r"SUMMARY: \w*Sanitizer|libFuzzer: (?:deadly|fuzz target exited|out-of-memory)"
    r"|Uncaught Python"
)
_TIMEOUT, _MEGABYTES = 20, 2048


def run(name: str, seconds: int) -> dict[str, Any]:
    """Executions, coverage, findings and peak memory of one target. What it finds goes to
    `tests/faulty` by hand, with a name."""
    command, what = _TARGETS[name]
    if name in _NATIVE and not Path(command[0]).exists():
        raise EvalError(f"{command[0]} is not built: {_BUILD}")
    if name not in _NATIVE and importlib.util.find_spec("atheris") is None:
        raise EvalError("atheris is not installed: pip install atheris")
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        shutil.copytree(_ROOT / "tests" / "fuzz" / name, corpus)
        began = time.monotonic()
        limits = f"-max_total_time={seconds} -timeout={_TIMEOUT} -rss_limit_mb={_MEGABYTES}".split()
        limits += f"-max_len=6000 -artifact_prefix={folder}/ -print_final_stats=1".split()
        command = [*command, str(corpus), *limits]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_ROOT)
        return summary(what, done.stderr, time.monotonic() - began)


def summary(what: str, log: str, seconds: float) -> dict[str, Any]:
    """What libFuzzer's log says."""

    def last(pattern: str) -> int:
        found = re.findall(pattern, log)
        return int(found[-1]) if found else 0

    return {
        "what": what,
        "seconds": round(seconds),
        "inputs": last(r"stat::number_of_executed_units:\s*(\d+)") or last(r"#(\d+)"),
        "coverage": last(r"cov: (\d+)"),
        "peak_bytes": (last(r"stat::peak_rss_mb:\s*(\d+)") or last(r"rss: (\d+)Mb")) << 20,
        "hangs": len(re.findall(r"libFuzzer: timeout", log)),
        "crashes": len(re.findall(_CRASHES, log)),
    }
