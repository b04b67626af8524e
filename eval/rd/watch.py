"""Time and memory of a program."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

from eval.tools import run_command

#: A program that runs its arguments and prints wall seconds, processor seconds, and the memory
#: (KiB) that the largest process among them and their children held.
_WATCHED = """import resource, subprocess, sys, time
begin = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss)"""


class Run(NamedTuple):
    """Seconds, processor seconds, and bytes of the largest process."""

    wall: float
    processor: float
    memory: int


def watch(command: Sequence[str]) -> Run:
    """Run a command. Raises EvalError."""
    wall, processor, peak = run_command([sys.executable, "-c", _WATCHED, *command])[1].split()
    return Run(float(wall), float(processor), 1024 * int(peak))
