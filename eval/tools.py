"""Small things every part of the evaluation needs: running commands, whole files, hashing, the
ffmpeg binary."""

from __future__ import annotations

import csv
import ctypes
import functools
import hashlib
import importlib.util
import itertools
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval import CALLERS_PATH
from gvcodec.models import read_arrays
from gvcodec.util.ffmpeg import holds
from gvcodec.util.process import leave_realtime


class EvalError(Exception):
    """Something a person can act on, in one line."""


def need_packages(*names: str) -> None:
    """Raises EvalError, in one line, for packages of the extra `eval` that are not installed."""
    lacking = [name for name in names if importlib.util.find_spec(name) is None]
    if lacking:
        verb = "is" if len(lacking) == 1 else "are"
        raise EvalError(f"{', '.join(lacking)} {verb} not installed: pip install 'gvcodec[eval]'")


def log_line(text: str) -> None:
    """A progress line on standard error, at once."""
    print(f"eval: {text}", file=sys.stderr, flush=True)


@functools.cache
def ffmpeg() -> str:
    """Path of the ffmpeg that `imageio-ffmpeg` carries."""
    need_packages("imageio_ffmpeg")
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


@functools.cache
def ffmpeg_version() -> str:
    text = subprocess.run([ffmpeg(), "-version"], capture_output=True, text=True, check=True).stdout
    return text.split("\n", 1)[0].split(" Copyright", 1)[0].removeprefix("ffmpeg version ")


def ffmpeg_has(kind: str, name: str) -> bool:
    """Whether ffmpeg has an "encoder" or a "filter" of this name."""
    return holds(ffmpeg(), kind, name)


_running: set[subprocess.Popen[str]] = set()


def run_command(
    command: Sequence[str], timeout: float = 7200, cwd: Path | None = None
) -> tuple[float, str]:
    """Runs a command with one numeric-library thread, in the folder `cwd`; returns (wall seconds,
    stdout). Raises EvalError with the last line of stderr when it fails."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "SVT_LOG": "1"}
    if CALLERS_PATH in env and not _is_ours(command):
        env["PYTHONPATH"] = env.pop(CALLERS_PATH)
        env.pop("PYTHONSAFEPATH", None)
    pipe: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    quiet = pipe | {"stdin": subprocess.DEVNULL, "text": True, "errors": "replace"}
    start = time.perf_counter()
    try:
        call = subprocess.Popen(command, env=env, cwd=cwd, **quiet)
    except FileNotFoundError:
        raise EvalError(f"{command[0]}: no such program") from None
    _running.add(call)
    threading.Thread(target=_leave_realtime, args=(call,), daemon=True).start()
    try:
        stdout, stderr = call.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise EvalError(f"no end after {timeout:.0f} s: {shlex.join(command)}") from None
    finally:
        call.kill()
        call.communicate()
        _running.discard(call)
    seconds = time.perf_counter() - start
    if call.returncode != 0:
        last = (stderr.strip() or stdout.strip() or "no message").splitlines()[-1]
        raise EvalError(f"exit code {call.returncode}: {last} (command: {shlex.join(command)})")
    return seconds, stdout


def _leave_realtime(call: subprocess.Popen[str]) -> None:
    """For as long as the program runs: threads that it starts later, too."""
    while call.poll() is None:
        leave_realtime(call.pid)
        time.sleep(0.05)


def _is_ours(command: Sequence[str]) -> bool:
    """Whether a command runs a Python module of the project, perhaps under a profiler."""
    modules = (word.split(".")[0] for flag, word in itertools.pairwise(command) if flag == "-m")
    return not {"gvcodec", "eval"}.isdisjoint(modules)


def end_commands() -> None:
    """Kill the running processes that `run` started in this process."""
    for call in list(_running):
        call.kill()


def keep_memory() -> None:
    """Asks the C library (glibc; others ignore it) not to hand freed memory back to the system:
    maps of networks are hundreds of megabytes, and fetching their pages again took half of DISTS'
    time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        m_trim_threshold, m_mmap_max = -1, -4
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes the whole file or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The parsed file, or None if there is none or a broken one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def digest(value: Any) -> str:
    """SHA-256 (first 16 hex digits) of a JSON-able value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def fill_marks(path: Path, texts: Mapping[str, str]) -> None:
    """Replaces the text between `<!-- NAME:begin -->` and `<!-- NAME:end -->` in a text file,
    for each name whose marks are there. Raises EvalError where none are, or where a begin has no
    end."""
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise EvalError(f"{path}: {error.strerror}") from None
    marks = {name: (f"<!-- {name}:begin -->", f"<!-- {name}:end -->") for name in texts}
    present = {name: pair for name, pair in marks.items() if pair[0] in content}
    for begin, end in (present or marks).values():
        if begin not in content or end not in content.split(begin, 1)[1]:
            raise EvalError(f"{path}: the lines {begin} and {end} are not there")
    for name, (begin, end) in present.items():
        head, rest = content.split(begin, 1)
        content = f"{head}{begin}\n{texts[name].strip()}\n{end}{rest.split(end, 1)[1]}"
    write_text(path, content)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text; the others are aligned to the right."""
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def append_rows(path: Path, fields: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Rows at the end of a CSV, whose first line has the names of the columns."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerows(rows if file.tell() else [fields, *rows])


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV, none if it is not there; lines after # are remarks."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def read_facts(model: Path) -> list[str]:
    """Steps and seed of a network's training, from the metadata of its weight file."""
    metadata = read_arrays(model, ())[1]
    return [metadata.get(name, "") for name in ("steps", "seed")]
