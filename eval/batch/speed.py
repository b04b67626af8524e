"""Two cores against one, the same video, interleaved, as ratios of wall time; and the simulation
against both.

`one`: `encode --jobs 1`, chunk after chunk in one process with one thread. `plain`: `encode` as it
is, one process with all cores. `two`: `encode --jobs 2`."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from eval.batch.clips import make_clips
from eval.batch.simulation import FileTimes, makespan
from eval.tools import EvalError, say
from gvcodec.batch.driver import Driver
from gvcodec.batch.ledger import Job, Ledger
from gvcodec.batch.local import Local, machine_memory
from gvcodec.batch.settings import make_settings
from gvcodec.batch.task import Outcome, Task
from gvcodec.config import EncoderConfig

#: Options of `encode` in chunks, and of the same work in one go: as many steps of tuning in all.
CASES: dict[str, tuple[list[str], list[str]]] = {
    "av1": (["--preset", "4", "--tune", "off"], ["--preset", "4", "--tune", "off"]),
    "vvc": (["--base", "vvc", "--tune", "off"], ["--base", "vvc", "--tune", "off"]),
    "klt": (["--base", "klt", "--tune", "15steps"], ["--base", "klt", "--tune", "60steps"]),
}


def speed(video: Path, keyint: int, rounds: int, cases: list[str], folder: Path) -> dict[str, Any]:
    """Seconds of each round and the ratios of their medians."""
    found: dict[str, Any] = {
        "video": video.name,
        "keyint": keyint,
        "cores": os.cpu_count(),
        "load": [],
    }
    for case in cases:
        chunked, whole = CASES[case]
        ways = {"one": [*chunked, "--jobs", "1"], "two": [*chunked, "--jobs", "2"], "plain": whole}
        seconds: dict[str, list[float]] = defaultdict(list)
        streams = {}
        for _ in range(rounds):
            for way, words in ways.items():
                out = folder / f"{case}-{way}.gvc"
                command = [
                    sys.executable,
                    "-m",
                    "gvcodec",
                    "encode",
                    str(video),
                    str(out),
                    "-y",
                    *words,
                ]
                began = time.monotonic()
                done = subprocess.run(
                    [*command, "--keyint", str(keyint)], capture_output=True, text=True, check=False
                )
                if done.returncode:
                    raise EvalError(done.stderr.strip())
                seconds[way].append(round(time.monotonic() - began, 2))
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
    found["load"] = [round(value, 2) for value in os.getloadavg()]
    return found


def check(folder: Path, rounds: int) -> dict[str, Any]:
    """A batch of small files on one core and on two, interleaved; what the simulation makes of two
    from the tasks of one."""
    clips = make_clips(folder / "clips", 6)
    settings = make_settings(EncoderConfig(preset=3, fit=0.0, q=45), chunk=25)
    walls: dict[int, list[float]] = {1: [], 2: []}
    simulated: list[float] = []
    for number in range(rounds):
        for cores in (1, 2):
            wall, files = _timed(clips, folder / f"check{number}-{cores}", settings, cores)
            walls[cores].append(wall)
            if cores == 1:
                # What a task costs beside its own seconds: a share of starting workers and of the
                # driver.
                tasks = sum(2 + len(file.chunks) for file in files)
                extra = max(0.0, wall - sum(file.work for file in files)) / tasks
                padded = [
                    FileTimes(f.plan + extra, [c + extra for c in f.chunks], f.join + extra)
                    for f in files
                ]
                simulated.append(makespan(padded, 2))
    real, guess = statistics.median(walls[2]), statistics.median(simulated)
    return {
        "walls": walls,
        "simulated": simulated,
        "real_speedup": round(statistics.median(walls[1]) / real, 3),
        "simulated_speedup": round(statistics.median(walls[1]) / guess, 3),
        "simulated_over_real": round(guess / real, 3),
    }


def _timed(
    clips: list[Path], out: Path, settings: Any, cores: int
) -> tuple[float, list[FileTimes]]:
    times: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def heard(task: Task, outcome: Outcome) -> None:
        times[task.arguments["uri"]][task.call.rpartition(":")[2]].append(outcome.seconds)

    began = time.monotonic()
    with Local(cores, machine_memory()) as engine:
        Driver(engine, Ledger(str(out.absolute())), heard).run(
            [Job(str(c.absolute()), settings) for c in clips]
        )
        wall = time.monotonic() - began
    files = [
        FileTimes(found["plan"][0], found["encode"], found["join"][0]) for found in times.values()
    ]
    return round(wall, 2), files
