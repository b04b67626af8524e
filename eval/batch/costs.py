"""What a minute of video costs: core-seconds and memory by base and preset, one thread.

Every figure is a chunk of `frames` frames encoded by a worker of its own. Processor time is
counted, not wall time: it stays nearly the same on a busy machine."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from eval.tools import EvalError, say
from gvcodec.batch.task import Task

#: Base, preset (None = there is none) and steps of fitting.
CASES: list[tuple[str, int | None, int]] = [
    ("av1", 2, 0),
    ("av1", 4, 0),
    ("av1", 8, 0),
    ("vvc", 2, 0),
    ("vvc", 4, 0),
    ("av1", 8, 10),
]
_MINUTE = 60
#: Frames a second of the minute.
RATE = 30


def costs(video: Path, frames: int) -> dict[str, Any]:
    """One row for each case: seconds a frame, core-seconds a minute, largest memory."""
    rows = []
    for base, preset, steps in CASES:
        plan = _measured(video, frames, base, preset, steps)
        rows.append({"base": base, "preset": preset, "steps": steps} | plan)
        say(str(rows[-1]))
    return {"video": video.name, "frames": frames, "rows": rows}


def _measured(
    video: Path, frames: int, base: str, preset: int | None, steps: int
) -> dict[str, Any]:
    """In a process of its own, whose memory is asked for at the end."""
    arguments = {
        "video": str(video.absolute()),
        "frames": frames,
        "base": base,
        "preset": preset,
        "steps": steps,
    }
    task = Task("eval.batch.costs:chunk", arguments)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    worker = subprocess.Popen(
        [sys.executable, "-m", "gvcodec.batch.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert worker.stdin and worker.stdout
    worker.stdin.write(task.packed().encode() + b"\n")
    worker.stdin.flush()
    outcome = json.loads(worker.stdout.readline() or "{}")
    worker.stdin.close()
    worker.wait()
    if outcome.get("error", "no answer"):
        raise EvalError(outcome.get("error", "the worker died"))
    return dict(outcome["value"])


def chunk(video: str, frames: int, base: str, preset: int | None, steps: int) -> dict[str, Any]:
    """What the worker does: the first frames, by the functions that a batch uses."""
    import tempfile

    from gvcodec.batch import tasks
    from gvcodec.batch.settings import make_settings
    from gvcodec.batch.worker import cpu_seconds
    from gvcodec.config import EncoderConfig

    config = EncoderConfig(
        base=base, preset=preset, fit=None if steps else 0.0, fit_steps=steps, q=50
    )
    settings = make_settings(config, frames=frames, chunk=frames).packed()
    with tempfile.TemporaryDirectory() as folder:
        spent = [cpu_seconds()]
        record = tasks.plan(video, settings, f"{folder}/plan.json")
        spent.append(cpu_seconds())
        row = tasks.encode(
            video, settings, record["plan"], 0, 1, f"{folder}/0.gvc", f"{folder}/0.json"
        )
        spent.append(cpu_seconds())
        tasks.join(video, settings, record["plan"], [f"{folder}/0.gvc"], 1, f"{folder}/out.gvc")
        spent.append(cpu_seconds())
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    memory = sum(resource.getrusage(kind).ru_maxrss for kind in kinds)
    encode, join = (spent[2] - spent[1]) / frames, (spent[3] - spent[2]) / frames
    return {
        "encode_a_frame": round(encode, 3),
        "join_a_frame": round(join, 4),
        "core_seconds_a_minute": round((encode + join) * RATE * _MINUTE),
        "mib": memory >> 10,
        "bpp": row["bpp"],
        "psnr_y": row["psnr_y"],
    }
