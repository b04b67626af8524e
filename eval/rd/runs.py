"""Rate–distortion runs: every clip with every codec at every target rate, resumable, several at a
time.

Everything lies below the output folder:

    sources/   clips as raw and lossless files
    streams/   every encode, with size and time
    runs/      one JSON a measured stream and output
    curves/    which runs make up the curve of a clip and a row
    tmp/       decoded videos while they are measured

A run's file holds a key, the hash of source, command, codec version and sampling of metrics; what
has the right key is not made again. Tables and report read `curves/` and `runs/` only.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import multiprocessing
import os
import platform
import queue
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from eval.codecs import Codec, ours
from eval.metrics import METRICS, Measurer, judges, sample
from eval.metrics.flicker import own_change
from eval.rd.encoding import Encoded, decode, describe, encode
from eval.rd.rates import CLOSE, Search
from eval.tools import (
    EvalError,
    digest,
    end_commands,
    ffmpeg_version,
    log_line,
    read_json,
    write_json,
)
from eval.video import Clip

#: Goes up when metrics or the layout of a run's JSON change: old runs are then made again.
SCHEMA = 1


@dataclass(frozen=True)
class Plan:
    """Settings shared by all runs of one call."""

    out: Path
    targets: tuple[float, ...]
    every: Mapping[str, int]
    device: str = "cpu"
    threads: int = 1
    #: Name of the paper's conditions that hold (`eval.points.profiles`), "" = the project's own.
    profile: str = ""
    #: A rate this near (in natural logarithm) is taken without looking for a nearer one.
    near: float = CLOSE


def run_all(clips: list[Clip], codecs: list[Codec], plan: Plan, jobs: int) -> list[str]:
    """Makes every missing run with `jobs` processes; returns one line for each clip and codec that
    failed. Raises EvalError when one of the processes is killed, and where another run writes to
    the folder."""
    with _lock_folder(plan.out):
        return _run_all(clips, codecs, plan, jobs)


@contextlib.contextmanager
def _lock_folder(out: Path) -> Iterator[None]:
    """One run at a time: each clears `tmp`. Raises EvalError."""
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EvalError(f"{out}: another run writes here") from None
        yield


def _run_all(clips: list[Clip], codecs: list[Codec], plan: Plan, jobs: int) -> list[str]:
    shutil.rmtree(plan.out / "tmp", ignore_errors=True)
    (plan.out / "tmp").mkdir(parents=True)
    # Who leaves at once leaves the queue's locks to the tracker, which need not say so.
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")
    context = multiprocessing.get_context("spawn")
    progress = context.Queue()
    pool = ProcessPoolExecutor(jobs, context, _start_worker, (progress, plan.threads))
    total = len(clips) * len(codecs) * len(plan.targets)
    bar = _Bar(total)
    try:
        # Ctrl-C ends this process; workers and their processes inherit the mask and end with it.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        waiting = _submit(pool, clips, codecs, plan)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        _say_plan(clips, codecs, plan)
        failures = _collect(waiting, progress, bar)
        with contextlib.suppress(queue.Empty):  # the last words of workers that have just ended
            while bar.done < total:
                bar.show(*progress.get(timeout=0.2 if failures else 5))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        bar.tqdm.close()
        shutil.rmtree(plan.out / "tmp", ignore_errors=True)
    return failures


def _say_plan(clips: list[Clip], codecs: list[Codec], plan: Plan) -> None:
    """The points to measure; the bar shows the time left."""
    sizes = sorted({f"{clip.raw.width}×{clip.raw.height}" for clip in clips})
    frames, rates = sum(clip.raw.frames for clip in clips), len(plan.targets)
    names = ", ".join(clip.name for clip in clips)
    log_line(f"clips: {names} ({frames} frames of {', '.join(sizes)})")
    log_line(f"codecs: {', '.join(dict.fromkeys(codec.name for codec in codecs))}")
    log_line(f"rates: {', '.join(f'{target:g}' for target in plan.targets)} bpp")
    log_line(f"metrics: {', '.join(plan.every)}")
    size = f"{len(clips)} clips × {len(codecs)} codecs × {rates} rates"
    log_line(f"{size} = {len(clips) * len(codecs) * rates} points")


class _Bar:
    """Points done of all: a bar, or lines where nobody looks at one."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self.tqdm = tqdm(total=total, unit="point", disable=None)

    def show(self, text: str, points: int) -> None:
        self.done += points
        self.tqdm.set_postfix_str(text, refresh=False)
        self.tqdm.update(points)
        if self.tqdm.disable:
            log_line(f"{self.done}/{self.total} {text}")


def _submit(
    pool: Executor, clips: list[Clip], codecs: list[Codec], plan: Plan
) -> dict[Future[None], str]:
    """Everything, by its name."""
    waiting: dict[Future[None], str] = {}
    for clip in clips:
        if "flicker" in plan.every:
            waiting[pool.submit(_measure_source, clip, plan)] = f"{clip.name}, source"
    for clip, codec in itertools.product(clips, codecs):
        waiting[pool.submit(make_curve, clip, codec, plan)] = f"{clip.name}, {codec.name}"
    return waiting


def _collect(waiting: dict[Future[None], str], progress: Any, bar: _Bar) -> list[str]:
    """Waits for all; a line for each that failed."""
    failures = []
    while waiting:
        done, _ = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)
        while not progress.empty():
            bar.show(*progress.get())
        for future in done:
            name = waiting.pop(future)
            try:
                future.result()
            except EvalError as error:
                failures.append(f"{name}: {error}")
                bar.tqdm.write(failures[-1], file=sys.stderr)
            except BrokenProcessPool:
                raise EvalError(
                    "a process of the run was killed, perhaps for want of memory: take fewer "
                    "--jobs; the same command resumes its work"
                ) from None
            except Exception as error:  # noqa: BLE001 (one clip does not end a run of days)
                message = str(error).partition("\n")[0]
                failures.append(f"{name}: {type(error).__name__}: {message}")
                bar.tqdm.write(failures[-1], file=sys.stderr)
    return failures


_progress: Any = None
#: Seconds between two looks of a worker at its parent: Ctrl-C ends all within two.
_WATCH = 0.3


def _start_worker(progress: Any, threads: int) -> None:
    global _progress
    _progress = progress
    os.environ["OMP_NUM_THREADS"] = str(threads)
    threading.Thread(target=_leave_with, args=(os.getppid(),), daemon=True).start()


def _leave_with(parent: int) -> None:
    """A worker whose parent was killed would go on, and the encoder that it waits for, next to
    those of the next call."""
    while os.getppid() == parent:
        time.sleep(_WATCH)
    end_commands()
    os._exit(1)


def _report(text: str, points: int = 0) -> None:
    """A worker's task, and its number of finished points."""
    if _progress is not None:
        _progress.put((text, points))


def make_curve(clip: Clip, codec: Codec, plan: Plan) -> None:
    """All points of one clip and codec, and the files that list them. Raises EvalError."""
    streams = plan.out / "streams"
    rate = lambda q: encode(codec, clip, q, streams, searching=True).bpp(clip)
    search = Search(rate, *codec.q_range, codec.q_guess, plan.near)
    quality_of: dict[float, tuple[int, bool]] = {}
    points: dict[str, dict[str, Any]] = {output: {} for output in codec.outputs}
    name = f"{clip.name} {codec.name}"
    for target in sorted(plan.targets, reverse=True):
        if target > codec.below:
            _report(f"{name}: {target} bpp is not looked for", 1)
            continue
        _report(f"{name}: looking for {target} bpp")
        q, reached = search(target)
        quality_of[target] = q, reached
        for output in codec.outputs:
            lowest = min(search.samples.values())
            points[output][str(target)] = {"q": q} if reached else {"q": None, "lowest_bpp": lowest}
        if not reached:
            _report(f"{name}: {target} bpp is not reached", 1)
    targets_of: dict[int, list[float]] = {}
    for target, (q, reached) in quality_of.items():
        if reached:
            targets_of.setdefault(q, []).append(target)
    for q, targets in targets_of.items():
        encoded = encode(codec, clip, q, streams)
        for output in codec.outputs:
            run = make_run(clip, codec, output, q, encoded, plan)
            for target in targets:
                points[output][str(target)]["run"] = run
        _report(f"{name}: q {q} measured, {encoded.bpp(clip):.4f} bpp", len(targets))
    head = {"clip": clip.name, "profile": plan.profile}
    for output in codec.outputs:
        curve = head | {"codec": describe(codec, output), "targets": points[output]}
        write_json(plan.out / "curves" / f"{clip.name}__{codec.row(output)}.json", curve)


def make_run(clip: Clip, codec: Codec, output: str, q: int, encoded: Encoded, plan: Plan) -> str:
    """Decodes and measures one stream unless its JSON is there; returns the JSON's name."""
    identity = [SCHEMA, clip.identity, codec.identity(codec.encode), codec.outputs[output], q]
    identity += [dict(plan.every)]
    name, key = f"{clip.name}__{codec.row(output)}__q{q}.json", digest(identity)
    path = plan.out / "runs" / name
    record = read_json(path)
    if record is not None and record["key"] == key:
        return name
    with tempfile.TemporaryDirectory(dir=plan.out / "tmp") as folder:
        decoded, seconds = decode(codec, output, encoded, clip, Path(folder))
        measured = _measurer(clip, tuple(plan.every.items()), plan.device, plan.threads)(decoded)
    result = {
        "schema": SCHEMA,
        "key": key,
        "clip": clip.describe(),
        "codec": describe(codec, output),
        "q": q,
        "bytes": encoded.size,
        "bpp": encoded.bpp(clip),
        "frame_bytes": encoded.frame_bytes,
        "stream": ours.stream_facts(encoded.stream) if codec.family == "gvcodec" else {},
        "encode_command": encoded.command,
        "seconds": {"encode": encoded.seconds, "decode": round(seconds, 3)},
        "every": dict(plan.every),
        "metrics": measured,
        "judges": {name: judges.describe(name) for name in measured if name in judges.PACKAGES},
        "versions": versions(),
    }
    write_json(path, result)
    return name


@functools.lru_cache(maxsize=1)
def _measurer(
    clip: Clip, every: tuple[tuple[str, int], ...], device: str, threads: int
) -> Measurer:
    if any(name in METRICS and METRICS[name].every > 1 for name, _ in every):
        import torch

        torch.set_num_threads(threads)
    return Measurer(clip, dict(every), device)


def _measure_source(clip: Clip, plan: Plan) -> None:
    """How much the source itself changes from frame to frame, which flicker is compared with."""
    path = plan.out / "curves" / f"{clip.name}__source.json"
    pairs = [i for i in sample(clip.raw.frames, 4 * plan.every.get("flicker", 1)) if i]
    key = digest([SCHEMA, clip.sha256, pairs])
    if (read_json(path) or {}).get("key") != key:
        luma = [(clip.raw.planes(i - 1)[0], clip.raw.planes(i)[0]) for i in pairs]
        change = own_change(luma, clip.raw.depth)
        write_json(path, {"key": key, "clip": clip.describe(), "change": change})


@functools.cache
def versions() -> dict[str, str]:
    """Programs and libraries a figure depends on."""
    from importlib.metadata import PackageNotFoundError, version

    versions_of = {"python": platform.python_version(), "ffmpeg": ffmpeg_version()}
    packages = "gvcodec torch numpy imageio-ffmpeg bjontegaard av ssimulacra2 cvvdp"
    for package in packages.split():
        try:
            versions_of[package] = version(package)
        except PackageNotFoundError:
            versions_of[package] = "none"
    return versions_of
