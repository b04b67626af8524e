"""Hostile files through all commands, signals at random moments, many threads that read one video:
what must end, what must be right, and what nobody may touch."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gvcodec
from eval.robustness import commands
from gvcodec import demo
from gvcodec.media.planes import planes_from_rgb
from gvcodec.media.writer import open_writer

_GVCODEC = [sys.executable, "-m", "gvcodec"]
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: What is interrupted; SOURCE, STREAM and OUT are files.
MODES = {
    "encode av1": "encode SOURCE OUT --base av1 --fit off --preset 2",
    "encode vvc": "encode SOURCE OUT --base vvc --fit off",
    "encode av1, fitted": "encode SOURCE OUT --preset 8 --fit 30s",
    "rate control": "encode SOURCE OUT --preset 8 --fit off --size 8k",
    "decode": "decode STREAM OUT.mkv",
}
#: Of each stream, through every command.
_MUTATIONS = 60
#: Seconds after the start: loading takes one or two.
_LATEST = 6.0
_PATIENCE = 60.0
#: Seconds from the signal to the end of the processes that the command had started.
_LATEST_HELPER = 2.0


def signals(mode: str, times: int = 50, seed: int = 1) -> dict[str, Any]:
    """Interrupt a command at so many random moments: longest time to its end, and what was left."""
    rng = random.Random(seed)
    found: dict[str, Any] = {
        "mode": mode, "tried": 0, "ended before": 0, "longest": 0.0, "leftovers": 0, "processes": 0,
        "hangs": 0, "codes": 0, "load": 0.0,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = _inputs(folder)
        outputs = folder / "out"
        outputs.mkdir()
        places["OUT"] = outputs / "o"
        words = [_place(word, places) for word in MODES[mode].split()]
        for _ in range(times):
            _interrupt(words, rng.uniform(0.3, _LATEST), rng.choice(_SIGNALS), outputs, found)
            found["load"] = max(found["load"], round(os.getloadavg()[0], 1))
    return found


def _interrupt(
    words: list[str], moment: float, number: int, outputs: Path, found: dict[str, Any]
) -> None:
    """One command in a session of its own; temporary files are to go to `outputs` as well."""
    process = subprocess.Popen(
        [*_GVCODEC, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(outputs)},
        start_new_session=True,
        # A shell ignores SIGINT for what runs in its background, and children do as well.
        preexec_fn=lambda: [signal.signal(one, signal.SIG_DFL) for one in _SIGNALS],  # noqa: PLW1509
    )
    time.sleep(moment)
    process.send_signal(number)
    began = time.monotonic()
    found["tried"] += 1
    try:
        said = process.communicate(timeout=_PATIENCE)[1]
    except subprocess.TimeoutExpired:
        found["hangs"] += 1
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    else:
        # The last line is said when the output is whole: a signal after it has nothing to undo.
        if process.returncode == 0 or f"gvcodec: {outputs}/".encode() in said:
            found["ended before"] += 1
        else:
            found["longest"] = round(max(found["longest"], time.monotonic() - began), 2)
            right = process.returncode in (128 + number, -number) and b"Traceback" not in said
            found["codes"] += not right
            found["leftovers"] += len(list(outputs.iterdir()))
        while (left := _session(process.pid)) and time.monotonic() - began < _LATEST_HELPER:
            time.sleep(0.05)
        found["processes"] += len(left)
        for helper in left:
            os.kill(helper, signal.SIGKILL)
    for path in outputs.iterdir():
        path.unlink()


def _session(leader: int) -> list[int]:
    """Processes of a session that run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            words = path.read_text().rpartition(")")[2].split()
            if int(words[3]) == leader and words[0] != "Z":
                found.append(int(path.parent.name))
    return found


def reads(base: str, painted: bool, count: int = 10_000, threads: int = 8) -> dict[str, Any]:
    """So many random reads by threads that share a video, each compared with sequential
    decoding."""
    images = [image[:96, :160] for image in demo.frames(12)]
    options: dict[str, Any] = {"base": base, "fit": 0, "keyint": 4, "threads": 1, "q": 55}
    data = gvcodec.encode(images, frame_rate=24, **options)
    wanted = list(gvcodec.decode(data, fidelity=not painted))
    video = gvcodec.open(data, fidelity=not painted)
    wrong: list[int] = []
    errors: list[str] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(count // threads):
            # A few steps on from a random frame: a thread that only jumps would meet no other.
            first = rng.randrange(len(wanted))
            try:
                if not np.array_equal(video[first], wanted[first]):
                    wrong.append(first)
            except Exception as error:  # noqa: BLE001
                errors.append(repr(error))

    began = time.monotonic()
    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {
        "base": base,
        "painted": painted and video.painted,
        "reads": count // threads * threads,
        "threads": threads,
        "wrong": len(wrong),
        "errors": errors[:3],
        "seconds": round(time.monotonic() - began),
    }


def _inputs(folder: Path) -> dict[str, Path]:
    """A video that takes seconds in every mode, and its stream."""
    source, stream = folder / "in.y4m", folder / "in.gvc"
    with open_writer(source, demo.clip_format()) as writer:
        images = list(demo.frames(24))
        for number in range(240):
            writer.write(planes_from_rgb(images[number % 24]), number)
    gvcodec.encode_file(source, stream, fit=0, preset=10, q=55)
    return {"SOURCE": source, "STREAM": stream}


def _place(word: str, places: dict[str, Path]) -> str:
    name, _, suffix = word.partition(".")
    return f"{places[name]}{'.' * bool(suffix)}{suffix}" if name in places else word


def _all_reads() -> dict[str, Any]:
    return {"rows": [reads(base, painted) for base in ("av1", "vvc") for painted in (False, True)]}


def _all_signals() -> dict[str, Any]:
    return {"rows": [signals(mode) for mode in MODES]}


def _all_commands() -> dict[str, Any]:
    return commands.summary(commands.try_command(commands.inputs(_MUTATIONS)))


#: Parts of the evaluation by name.
PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "commands": _all_commands,
    "reads": _all_reads,
    "signals": _all_signals,
}


def lines(found: dict[str, dict[str, Any]]) -> list[str]:
    """What was measured, in words."""
    told = commands.lines(found["commands"]) if "commands" in found else []
    for row in found.get("reads", {}).get("rows", []):
        what = "painted" if row["painted"] else "base frames"
        told.append(
            f"{row['reads']} random reads of {row['base']}, {what}, by {row['threads']} threads: "
            f"{row['wrong']} wrong, {len(row['errors'])} errors."
        )
    for row in found.get("signals", {}).get("rows", []):
        told.append(
            f"{row['mode']}: {row['tried']} signals at random moments, longest "
            f"{row['longest']:.2f} s to its end, "
            f"{row['leftovers']} files and {row['processes']} processes left, {row['hangs']} "
            f"hangs, "
            f"{row['codes']} wrong exit codes ({row['ended before']} had ended before); load "
            f"{row['load']} at most."
        )
    return told
