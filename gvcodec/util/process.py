"""Settings of the whole process that libraries read or change: environment variables, glibc's
memory allocation, the scheduling class of threads. Nothing happens on systems without them.

Only a program may change memory allocation, not a library: the command line calls
`manage_process`. In any other process the three functions for it do nothing.

One more is elsewhere: `gvcodec.limits` bounds the memory of a process.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import os
from pathlib import Path

from gvcodec.errors import UsageError

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: Bytes. A plane of 1080p is larger, long-lived blocks are smaller.
_LARGE = 1 << 20
#: Where glibc itself stops.
_LARGEST = 32 << 20
_is_own = False


def manage_process() -> None:
    """This process is the command line's, whose memory is managed here."""
    global _is_own
    _is_own = True


def count_cores() -> int:
    """Processors that this process may use: not those that its affinity (taskset, Slurm) or the
    quota of its container (docker) takes from it."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, min(len(os.sched_getaffinity(0)), _count_quota()))
    return os.cpu_count() or 1


@functools.cache
def _count_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Processors by the quotas of this process's control groups (v2 and v1), rounded up."""
    quotas = [float(os.cpu_count() or 1)]
    with contextlib.suppress(OSError):
        path = next((line[3:] for line in own.read_text().splitlines() if line[:3] == "0::"), "/")
        groups = [root / path.strip("/"), *(root / path.strip("/")).parents]
        for group in (group for group in groups if group.is_relative_to(root)):
            with contextlib.suppress(OSError, ValueError):
                quota, period = (group / "cpu.max").read_text().split()
                quotas.append(int(quota) / int(period))
    with contextlib.suppress(OSError, ValueError):
        quota, period = (
            (root / "cpu" / f"cpu.cfs_{n}_us").read_text() for n in ("quota", "period")
        )
        quotas.append(int(quota) / int(period) if int(quota) > 0 else quotas[0])
    return math.ceil(min(quotas))


def let_threads_sleep() -> None:
    """OpenMP threads of torch spin while they wait. On a machine with anything else to do that
    costs up to fifteen times the time of the work itself (two cores), sleeping costs nothing. Read
    when torch is loaded."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def leave_realtime(process: int | None = None) -> None:
    """SVT-AV1, run by root, moves its caller and its own threads into a real-time class, where they
    starve the machine. `process`: that of another program, None = this one."""
    if hasattr(os, "sched_setscheduler"):
        tasks = ["0"] if process is None else []
        with contextlib.suppress(OSError):
            tasks = os.listdir(f"/proc/{process or 'self'}/task")
        for task in tasks:
            with contextlib.suppress(OSError):
                os.sched_setscheduler(int(task), os.SCHED_OTHER, os.sched_param(0))


def map_large_blocks() -> None:
    """From now on a block of more than a megabyte is the system's again as soon as it is free.
    By itself glibc raises its limit to the largest block freed so far, planes then share its
    heap with the encoders' memory, and the holes stay: 1.68 instead of 1.24 GB at 1080p."""
    _set_malloc_limits(_LARGE, _LARGE)


def keep_large_blocks() -> None:
    """The opposite, for many large blocks that come and go in several threads: giving them back
    takes longer than filling them."""
    _set_malloc_limits(_LARGEST, 2 * _LARGEST)


def _set_malloc_limits(mmap_threshold: int, trim_threshold: int) -> None:
    mallopt = getattr(ctypes.pythonapi, "mallopt", None) if _is_own else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, mmap_threshold)
        mallopt(_M_TRIM_THRESHOLD, trim_threshold)


def return_memory() -> None:
    """Return freed memory to the system, where the C library would keep it."""
    trim = getattr(ctypes.pythonapi, "malloc_trim", None) if _is_own else None
    if trim is not None:
        trim(0)


def stay_in_process(process: int, name: str) -> None:
    """Raises `UsageError` in another process than that of this number: `fork` copies no threads."""
    if process != os.getpid():
        raise UsageError(
            f"this {name} belongs to the process before fork(): make a new one here", code="fork"
        )
