"""Does everything that the command line does with streams to the files of a folder, one after
another, in one process:

    python -m tests.fuzz.robustness.worker FOLDER LIMIT

Inputs are FOLDER/in-*. A line of JSON for each command: what it was, its exit code or the exception
that escaped, peak of memory over what was in use before, its message, files that it left.
"""

import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gvcodec import cli

COMMANDS = (
    ("decode", "IN", "out.y4m", "--fidelity"),
    ("decode", "IN", "out.mkv", "--fidelity"),
    ("decode", "IN", "out.y4m", "--fidelity", "--ignore-errors"),
    ("verify", "IN", "--fidelity"),
    ("cut", "IN", "out.gvc"),
    ("cat", "IN", "IN", "-o", "out.gvc"),
    ("repair", "IN", "out.gvc"),
    ("extract", "IN", "out.mkv"),
)


def run_command(path: Path, outputs: Path, words: tuple[str, ...], limit: int) -> dict[str, Any]:
    named = [outputs / word for word in words if word.startswith("out.")]
    given = [
        str(path) if w == "IN" else str(outputs / w) if w.startswith("out.") else w for w in words
    ]
    given += ["--max-memory", str(limit)] + ["--threads", "1"] * (words[0] != "extract")
    _forget_peak()
    before = _status("VmRSS")
    silent, spoken = contextlib.redirect_stdout, contextlib.redirect_stderr
    with silent(io.StringIO()), spoken(io.StringIO()) as message:
        try:
            code: int | str = cli.main(given)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException as error:  # noqa: BLE001 (what gets out is the finding)
            code = f"{type(error).__name__}: {error}"
    found = {
        "input": path.name.removeprefix("in-"),
        "command": " ".join(words),
        "code": code,
        "took": _status("VmHWM") - before,
        "message": message.getvalue()[-300:],
        "output": any(one.exists() for one in named),
        "others": sorted(one.name for one in outputs.iterdir() if one not in named),
    }
    for one in outputs.iterdir():
        one.unlink()
    return found


def all_of(folder: Path, limit: int) -> Iterator[dict[str, Any]]:
    outputs = folder / "outputs"
    outputs.mkdir(exist_ok=True)
    for path in sorted(folder.glob("in-*")):
        for words in COMMANDS:
            yield run_command(path, outputs, words, limit)


def _status(key: str) -> int:
    """Bytes that the system counts for this process; 0 where it tells nothing."""
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith(key)).split()[1]) << 10
    return 0


def _forget_peak() -> None:
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


if __name__ == "__main__":
    for row in all_of(Path(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(row), flush=True)
