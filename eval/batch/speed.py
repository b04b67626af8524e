"""Two cores against one, the same video, interleaved, as ratios of wall time.

`one`: `encode --jobs 1`, chunk after chunk in one process with one thread. `plain`: `encode` as it
is, one process with all cores. `two`: `encode --jobs 2`."""

from __future__ import annotations

import os
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from eval.tools import EvalError, run_command, say

#: Options of `encode`.
CASES = {"av1": ["--preset", "4", "--fit", "off"], "vvc": ["--base", "vvc", "--fit", "off"]}


def speed(video: Path, keyint: int, rounds: int, cases: list[str], folder: Path) -> dict[str, Any]:
    """Seconds of each round and the ratios of their medians. Raises EvalError where two cores write
    other bytes than one."""
    found: dict[str, Any] = {"video": video.name, "keyint": keyint, "cores": os.cpu_count()}
    for case in cases:
        ways = {"one": ["--jobs", "1"], "two": ["--jobs", "2"], "plain": []}
        seconds: dict[str, list[float]] = defaultdict(list)
        streams = {}
        for _ in range(rounds):
            for way, words in ways.items():
                out = folder / f"{case}-{way}.gvc"
                command = [sys.executable, "-m", "gvcodec", "encode", str(video), str(out), "-y"]
                command += [*CASES[case], *words, "--keyint", str(keyint)]
                seconds[way].append(round(run_command(command)[0], 2))
                streams[way] = out.read_bytes()
                say(f"{case} {way} {seconds[way][-1]} s")
        if streams["one"] != streams["two"]:
            raise EvalError(f"{case}: --jobs 2 and --jobs 1 write different bytes")
        middle = {way: statistics.median(values) for way, values in seconds.items()}
        found[case] = {
            "seconds": dict(seconds),
            "speedup_over_one": round(middle["one"] / middle["two"], 3),
            "speedup_over_plain": round(middle["plain"] / middle["two"], 3),
            "bytes": {way: len(data) for way, data in streams.items()},
        }
    return found | {"load": [round(value, 2) for value in os.getloadavg()]}
