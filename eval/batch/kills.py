"""SIGKILL at random moments: to a worker, to a machine, to the driver, on a Ray cluster of two
nodes with a core each.

Every run of the batch is let finish after its kills (the driver is started again), and its streams
and table are compared with what one process makes. Streams that are there right after a kill have
to be whole: none may differ from the final one."""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eval.batch.clips import hashes, in_one_process, make_clips
from eval.tools import say
from gvcodec.batch.settings import make_settings
from gvcodec.config import EncoderConfig

_CONFIG = EncoderConfig(preset=8, fit=0.0, q=45)
_WORDS = ["--preset", "8", "--fit", "off", "-q", "45", "--chunk", "25"]
#: Kills in one run of the batch of forty tasks: that three meet the same one, which is then given
# up, is unlikely.
_A_RUN = 4
_LONGEST = 300.0


class Checked(Exception):
    """Something that must not be."""


def kills(kind: str, count: int, folder: Path, seed: int = 1) -> dict[str, Any]:
    """`kind`: "worker", "node" or "driver" of a Ray cluster, or "local", a worker of `--jobs 2` on
    this machine."""
    random.seed(seed)
    clips = make_clips(folder / "clips", 10)
    settings = make_settings(_CONFIG, chunk=25)
    wanted = in_one_process(clips, folder / "single", settings)
    done = runs = 0
    began = time.monotonic()
    usual = 8.0
    with _cluster(kind) as cluster:
        while done < count:
            out = folder / f"{kind}{runs}"
            shutil.rmtree(out, ignore_errors=True)
            killed, usual = _one_run(
                kind, cluster, folder / "clips", out, wanted, min(_A_RUN, count - done), usual
            )
            _compare(out, wanted)
            done, runs = done + killed, runs + 1
            say(f"{kind}: {done} of {count} killed, {runs} runs, all as one process makes them")
    return {
        "kind": kind,
        "kills": done,
        "runs": runs,
        "seconds": round(time.monotonic() - began, 1),
    }


def _one_run(
    kind: str, cluster: Any, clips: Path, out: Path, wanted: dict[str, str], most: int, usual: float
) -> tuple[int, float]:
    """A batch, begun again until it ends well. Gives the kills that met something, and seconds that
    it took."""
    killed, began = 0, time.monotonic()
    process = _start(kind, cluster, clips, out)
    times = sorted(random.uniform(0.3, 1.0) * usual for _ in range(most))
    while True:
        elapsed = time.monotonic() - began
        if process.poll() is not None:
            said = process.stderr.read().decode() if process.stderr else ""
            if process.returncode == 0:
                return killed, max(4.0, 0.8 * elapsed)
            # A busy machine loses more than was killed: a file that was given up is taken up again.
            if process.returncode not in (-signal.SIGKILL, 6):
                raise Checked(f"exit code {process.returncode}: {said}")
            process = _start(kind, cluster, clips, out)
        if elapsed > _LONGEST:
            process.kill()
            raise Checked(f"{kind}: no end after {_LONGEST:g} s")
        if times and elapsed > times[0]:
            times.pop(0)
            killed += _kill(kind, cluster, process)
            _whole(out, wanted)
        time.sleep(0.05)


def _start(kind: str, cluster: Any, clips: Path, out: Path) -> subprocess.Popen[bytes]:
    where = ["--jobs", "2"] if kind == "local" else ["--cluster", cluster.address]
    command = [sys.executable, "-m", "gvcodec", "batch", str(clips), "-o", str(out)]
    command += [*_WORDS, *where]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def _kill(kind: str, cluster: Any, process: subprocess.Popen[bytes]) -> bool:
    """Whether there was something to kill."""
    if kind == "driver":
        process.kill()
        process.wait()
        return True
    if kind == "node":
        nodes = [node for node in cluster.worker_nodes if node is not cluster.head_node]
        cluster.remove_node(random.choice(nodes), allow_graceful=False)
        cluster.add_node(num_cpus=1, memory=4 << 30)
        return True
    mark = b"gvcodec.batch.worker" if kind == "local" else b"ray::_perform"
    workers = list(_processes(mark))
    if workers:
        os.kill(random.choice(workers), signal.SIGKILL)
    return bool(workers)


def _processes(mark: bytes) -> Iterator[int]:
    """Of this user's programs those whose command line holds `mark`, among the descendants of this
    process."""
    parents: dict[int, int] = {}
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(place.name)] = int(
                (place / "stat").read_text().rpartition(")")[2].split()[1]
            )
            if mark in (place / "cmdline").read_bytes():
                found.append(int(place.name))
        except OSError:
            continue
    for pid in found:
        ancestor = pid
        while ancestor > 1 and ancestor != os.getpid():
            ancestor = parents.get(ancestor, 0)
        if ancestor == os.getpid():
            yield pid


@contextmanager
def _cluster(kind: str) -> Iterator[Any]:
    """A head without cores and two nodes with one each."""
    if kind == "local":
        yield None
        return
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    for _ in range(2):
        cluster.add_node(num_cpus=1, memory=4 << 30)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def _whole(out: Path, wanted: dict[str, str]) -> None:
    for name, found in hashes(out).items():
        if wanted.get(name) != found:
            raise Checked(f"{name} is there, but not what one process makes")


def _compare(out: Path, wanted: dict[str, str]) -> None:
    if hashes(out) != wanted:
        raise Checked(f"{out}: streams differ from those of one process")
    with open(out / "batch.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if not row["chunk"]]
    if sorted(row["output"] for row in rows) != sorted(wanted) or {
        row["status"] for row in rows
    } != {"done"}:
        raise Checked(f"{out}: the table lacks a file")
