"""The whole command line against hostile files: what ends badly, what is left, what is opened.

`tried` gives the files to a process (`worker`) that runs every command with each of them, under
strace where that is installed; a process that dies or hangs is a finding, and another one goes on
behind it.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from tests.fuzz.robustness import hostile, mutations, trials, worker
from tests.fuzz.robustness.streams import streams

LIMIT = 128 << 20
_ROOT = Path(__file__).parents[3]
_TRACE = ["strace", "-f", "-qq", "-e", "trace=network,open,openat"]
#: Where programs and libraries live, and what the system tells about itself.
_OURS = (
    *{sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), str(_ROOT)},
    "/usr/lib",
    "/lib",
    "/proc",
    "/sys",
)
#: Commands that give what they could save, with an exit code that says so.
_SAVES = ("--ignore-errors", "repair")
#: The first file is a good one: what it makes a process open is no finding.
_FIRST = "0 good"
#: Exit codes that say that something is wrong.
_CODES = (1, 2, 3, 4, 5, 6)


def inputs(count: int, seed: int = 1) -> dict[str, bytes]:
    """Hostile files by name: all that are made to hurt, and `count` mutations of each stream."""
    found = hostile.openers() | hostile.bombs(seed)
    for name, data in streams().items():
        every = list(trials.inputs(data, count, seed))
        chosen = np.random.default_rng(seed).choice(
            len(every), min(count, len(every)), replace=False
        )
        for number in sorted(chosen):
            kind = "damage" if every[number].kind in mutations.DAMAGE else "made up"
            found[f"{name} {kind} {number}"] = every[number].data
    return found


def try_command(
    files: Mapping[str, bytes], limit: int = LIMIT, patience: float = 120.0, trace: bool = True
) -> dict[str, Any]:
    """Rows of `worker` about all files, and what was opened where that is traced: `crashes`,
    `hangs`, `sockets`, `foreign`."""
    trace = trace and shutil.which("strace") is not None
    found: dict[str, Any] = {"rows": [], "crashes": [], "hangs": [], "sockets": [], "foreign": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        written = {_FIRST: streams()["rich"]} | dict(files)
        for number, (what, data) in enumerate(written.items()):
            (folder / f"in-{number:05} {what}").write_bytes(data)
        (folder / hostile.FOREIGN).write_bytes(b"RIFF")
        first, names = 0, list(written)
        while first < len(names):
            rows, end = _run(folder, limit, first, patience, trace)
            found["rows"] += rows
            first += len(rows) // len(worker.COMMANDS)
            if end:
                command = " ".join(worker.COMMANDS[len(rows) % len(worker.COMMANDS)])
                found[end].append(f"{names[first]}, {command}")
                first += 1
        found["traced"] = trace
        found["sockets"], found["foreign"] = _looked_at(folder)
    return found


def summary(found: dict[str, Any], limit: int = LIMIT) -> dict[str, Any]:
    """Counts of what went wrong, and a line for each."""
    rows = [row for row in found["rows"] if _FIRST not in row["input"]]
    wrong: dict[str, list[str]] = {
        name: found[name] for name in ("crashes", "hangs", "sockets", "foreign")
    }
    named = [
        (f"{row['input']}, {row['command']}: {row['code']} {row['said']}", row) for row in rows
    ]
    wrong["tracebacks"] = [
        line for line, row in named if isinstance(row["code"], str) or "Traceback" in row["said"]
    ]
    wrong["silent"] = [line for line, row in named if row["code"] in _CODES and not row["said"]]
    wrong["silent"] += list(_list_changes(found["rows"]))
    wrong["leftovers"] = [line for line, row in named if row["others"] or _half_made(row)]
    return {
        "files": len({row["input"] for row in rows}),
        "tried": len(rows),
        "codes": dict(sorted(Counter(str(row["code"]) for row in rows).items())),
        "peak_bytes": max((row["took"] for row in rows), default=0),
        "longest": max((row["seconds"] for row in rows), default=0.0),
        "limit": limit,
        "traced": found["traced"],
        **{name: len(lines) for name, lines in wrong.items()},
        "findings": [f"{name}: {line}" for name, lines in wrong.items() for line in lines],
    }


def to_words(found: dict[str, Any]) -> str:
    """The summary in words."""
    opened = f"{found['sockets']} sockets, {found['foreign']} foreign files"
    ended = ", ".join(f"{found[name]} {name}" for name in ("crashes", "hangs", "tracebacks"))
    peak, limit = found["peak_bytes"] >> 20, found["limit"] >> 20
    return (
        f"{found['files']} hostile files through {len(worker.COMMANDS)} commands each: "
        f"{found['tried']} tried, {ended}, {found['silent']} silent changes, "
        f"{found['leftovers']} leftovers, {opened if found['traced'] else 'not traced'}; "
        f"longest {found['longest']:.1f} s, peak memory {peak} MiB beside the program "
        f"(limit {limit} MiB)."
    )


def _run(
    folder: Path, limit: int, first: int, patience: float, trace: bool
) -> tuple[list[dict[str, Any]], str]:
    """Rows of one process, and how it ended: "", "crashes" or "hangs"."""
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.robustness.worker",
        str(folder),
        str(limit),
        str(first),
    ]
    if trace:
        command = [*_TRACE, "-o", str(folder / f"trace-{first}"), *command]
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(_ROOT)])
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path, "TMPDIR": str(folder / "outputs")},
        start_new_session=True,
    )
    assert process.stdout is not None
    rows = []
    with process.stdout as told:
        for line in _read_lines(told, patience):
            rows.append(json.loads(line))
        hangs = process.poll() is None and not _ends(process)
        if hangs:
            os.killpg(process.pid, signal.SIGKILL)
    return rows, "hangs" if hangs else "crashes" if process.wait() else ""


def _read_lines(stream: IO[bytes], patience: float) -> Iterator[bytes]:
    """Lines, until there are no more or none comes for so many seconds."""
    waiting = b""
    while select.select([stream], [], [], patience)[0]:
        data = os.read(stream.fileno(), 1 << 16)
        if not data:
            return
        *whole, waiting = (waiting + data).split(b"\n")
        yield from whole


def _ends(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        return False
    return True


def _list_changes(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Damaged streams that pass with other samples, and streams that `verify` passes and `decode`
    refuses."""
    decode, _, _, verify = (" ".join(words) for words in worker.COMMANDS[:4])
    outcomes = {(row["input"], row["command"]): row for row in rows}
    for (name, command), row in outcomes.items():
        if command == decode and row["code"] == 0 and " damage " in name:
            yield f"{name}: damage was not seen"
        refused = outcomes.get((name, decode), {}).get("code") in (3, 4, 5)
        if command == verify and row["code"] == 0 and refused:
            yield f"{name}: verify passes what decode refuses"


def _half_made(row: dict[str, Any]) -> bool:
    return (
        row["output"] is not None
        and row["code"] != 0
        and not any(word in row["command"] for word in _SAVES)
    )


def _looked_at(folder: Path) -> tuple[list[str], list[str]]:
    """Sockets of the network, and files that are neither ours nor opened for a good stream."""
    sockets, opened = [], []
    for path in sorted(folder.glob("trace-*"), key=lambda path: int(path.name[6:])):
        text = path.read_text(errors="replace")
        sockets += re.findall(r"(?:socket\(AF_INET.*|bind\(.*)", text)
        opened += re.findall(r'open(?:at\(\w+, |\()"([^"]*)"', text)
    good: set[str] = set()
    foreign: list[str] = []
    started = False
    for name in opened:
        path = Path(os.path.normpath(folder / name))
        given = path.parent == folder and path.name.startswith("in-")
        started = started or (given and not path.name.startswith("in-00000"))
        if given or str(path).startswith((*_OURS, str(folder / "outputs"))):
            continue
        if started and name not in good:
            foreign.append(name)
        good.add(name)
    return sockets, foreign
