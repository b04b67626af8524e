"""`python -m tests.fuzz.robustness`: what becomes of damaged and made-up files.

Each part is kept as JSON in `--out`, and the table is made out of those. Fuzzing runs every night
(`.github/workflows/fuzz.yml`).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eval import arguments as shared
from eval.tools import group_digits, markdown, read_json, say, write_json
from tests.fuzz.robustness import commands, mutations, trials
from tests.fuzz.robustness.streams import streams

#: Mutations of each stream that go through every command.
_MUTATIONS = 60
#: Outcomes of `trials` in the order of the columns, and their headings.
_OUTCOMES = {
    "refused": "refused",
    "concealed": "concealed",
    "whole": "whole",
    "crash": "crashes",
    "hang": "hangs",
    "silent": "silent corruption",
}
_NOTE = (
    "Every input is decoded twice, strictly and with `--ignore-errors`. Refused: a typed error. "
    "Concealed: what is missing or doubtful was reported, all other frames are right. Whole: all "
    "frames are right (the change did not matter to them). Silent corruption: a wrong frame that "
    "nothing was said about; for streams made up with right checksums strict decoding answers for "
    "that with the base hash."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--flips", type=int, default=10000, help="random bit flips (default 10000)")
    shared.add_out(parser, "out/robustness", "what is there is kept")
    shared.add_readme(parser, "robustness")


def run(options: argparse.Namespace) -> int:
    inputs = streams()
    tried = []
    for name, data in inputs.items():
        flips = options.flips // len(inputs)
        path = options.out / f"trials-{name}.json"
        tried.append(_kept(path, lambda n=name, d=data, f=flips: _trial(n, d, f)))
    through = _kept(
        options.out / "commands.json",
        lambda: commands.summary(commands.try_command(commands.inputs(_MUTATIONS))),
    )
    table = f"{_table(tried)}\n\n* {commands.to_words(through)}"
    shared.publish(options, {"robustness": table})
    tallies = [tally for part in tried for tally in part["tallies"].values()]
    findings = [line for tally in tallies for line in tally["findings"]] + through["findings"]
    for line in findings:
        print(f"eval: {line}", file=sys.stderr)
    return 1 if findings else 0


def _kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is in the file; it is made first where it is missing."""
    if not path.exists():
        say(f"{path.stem} …")
        write_json(path, make())
    found: dict[str, Any] = read_json(path)
    return found


def _trial(name: str, data: bytes, flips: int) -> dict[str, Any]:
    tallies, peak = trials.run(name, data, flips)
    found = {
        kind: {"outcomes": dict(tally.outcomes), "findings": tally.findings}
        for kind, tally in tallies.items()
    }
    return {"stream": name, "bytes": len(data), "peak_bytes": peak, "tallies": found}


def _table(parts: list[dict[str, Any]]) -> str:
    rows, total = [], Counter[str]()
    peak = f"{max(part['peak_bytes'] for part in parts) >> 20} MiB"
    for kind in (*mutations.DAMAGE, *mutations.MADE_UP, "**all**"):
        outcomes = Counter(total)
        if kind != "**all**":
            outcomes = Counter[str]()
            for part in parts:
                outcomes.update(part["tallies"][kind]["outcomes"])
            total += outcomes
        columns = [group_digits(outcomes[name]) for name in _OUTCOMES]
        rows.append([kind, group_digits(outcomes.total() // 2), *columns, peak])
    names = ", ".join(f"{part['stream']} ({part['bytes']} bytes)" for part in parts)
    header = ["inputs", "tried", *_OUTCOMES.values(), "peak memory"]
    return f"{markdown(header, rows)}\n\nStreams of 9 or 10 small frames: {names}. {_NOTE}"


if __name__ == "__main__":
    command = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    arguments(command)
    sys.exit(run(command.parse_args()))
