"""Judges a decoder: `python -m conformance DECODER_COMMAND`, a table of files by columns.

The command gets a file as its last argument and prints the answer of docs/spec/conformance.md. Ends
with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent
COLUMNS = (
    *("container", "times", "metadata", "tracks", "summary", "fit", "base", "painted"),
    *("symbols", "captions", "attachments"),
)
SAME, OTHER, MISSING = "✓", "✗", "–"
_TIMEOUT = 600


def answer(command: list[str], path: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of a decoder; no answer where it prints none."""
    process = subprocess.run(
        [*command, str(path)], capture_output=True, timeout=_TIMEOUT, check=False
    )
    try:
        printed = json.loads(process.stdout)
    except ValueError:
        printed = {}
    return process.returncode, printed if isinstance(printed, dict) else {}


def judge(answer: dict[str, Any], reference: dict[str, Any]) -> list[str]:
    """A mark for each column."""
    marks = []
    for column in COLUMNS:
        if column not in reference or column not in answer:
            marks.append(MISSING)
        else:
            marks.append(SAME if answer[column] == reference[column] else OTHER)
    return marks


def files_to_judge() -> list[Path]:
    """Streams, and files that hold one."""
    return sorted(p for p in ROOT.glob("files/*") if p.suffix != ".json")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    parser.add_argument("command", help="the decoder, in quotes where it has arguments")
    parser.add_argument("names", nargs="*", help="files to judge by (all)")
    options = parser.parse_args(arguments)
    command, wrong = shlex.split(options.command), 0
    files = [p for p in files_to_judge() if not options.names or p.stem in options.names]
    print(f"{'file':24}" + "".join(f"{column:>12}" for column in COLUMNS))
    for path in files:
        code, printed = answer(command, path)
        marks = judge(printed, json.loads(path.with_suffix(".json").read_text("utf-8")))
        wrong += code != 0 or OTHER in marks
        print(f"{path.stem:24}" + "".join(f"{mark:>12}" for mark in marks) + f"  {code or ''}")
    refused = json.loads((ROOT / "refused.json").read_text("utf-8"))
    for name, reason in refused.items() if not options.names else ():
        code, _ = answer(command, ROOT / "refused" / f"{name}.gvc")
        wrong += code != reason["code"]
        mark = SAME if code == reason["code"] else f"{OTHER} {code}"
        print(f"{name:32} must end with {reason['code']}: {mark}  ({reason['why']})")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
