"""Runs the parts of the robustness evaluation, keeps each result as JSON, and makes the table out
of those."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eval.robustness import commands, fuzz, mutations, trials
from eval.robustness.streams import streams
from eval.tools import group_digits, markdown, write_json

PARTS = ("trials", "fuzz", "commands")
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


def measure(
    folder: Path, parts: list[str], flips: int, fuzz_seconds: int, say: Callable[[str], None]
) -> list[str]:
    """Measure what is not in `folder` yet; lines about everything that went wrong."""
    if "trials" in parts:
        inputs = streams()
        for name, data in inputs.items():
            _once(
                folder / f"trials-{name}.json",
                say,
                lambda n=name, d=data: _trial(n, d, flips // len(inputs)),
            )
    if "fuzz" in parts:
        for name in fuzz.TARGETS:
            _once(folder / f"fuzz-{name}.json", say, lambda n=name: fuzz.run(n, fuzz_seconds))
    if "commands" in parts:
        _once(folder / "commands.json", say, _commands)
    findings = [
        line
        for part in _find(folder, "trials")
        for tally in part["tallies"].values()
        for line in tally["findings"]
    ]
    return findings + [line for part in _find(folder, "commands") for line in part["findings"]]


def to_markdown(folder: Path) -> str:
    """The tables of all that was measured."""
    found = [_trials_table(_find(folder, "trials"), _find(folder, "fuzz"))]
    found += [f"* {commands.to_words(part)}" for part in _find(folder, "commands")]
    return "\n\n".join(found)


def _once(path: Path, say: Callable[[str], None], make: Callable[[], dict[str, Any]]) -> None:
    if not path.exists():
        say(f"{path.stem} …")
        write_json(path, make())


def _commands() -> dict[str, Any]:
    return commands.summary(commands.try_command(commands.inputs(_MUTATIONS)))


def _trial(name: str, data: bytes, flips: int) -> dict[str, Any]:
    tallies, peak = trials.run(name, data, flips)
    found = {
        kind: {"outcomes": dict(tally.outcomes), "findings": tally.findings}
        for kind, tally in tallies.items()
    }
    return {"stream": name, "bytes": len(data), "peak_bytes": peak, "tallies": found}


def _find(folder: Path, part: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"{part}*.json"))]


def _trials_table(parts: list[dict[str, Any]], fuzzed: list[dict[str, Any]]) -> str:
    header = ["inputs", "tried", *_OUTCOMES.values(), "peak memory"]
    rows, total = [], Counter[str]()
    peak = max((part["peak_bytes"] for part in parts), default=0)
    for kind in (*mutations.DAMAGE, *mutations.MADE_UP):
        outcomes = sum(
            (Counter(part["tallies"][kind]["outcomes"]) for part in parts), Counter[str]()
        )
        total += outcomes
        rows.append(_row(kind, outcomes, peak))
    rows.append(_row("**all**", total, peak))
    for part in fuzzed:
        mebibytes = f"{part['peak_bytes'] >> 20} MiB"
        tried = f"{part['what']}, {part['seconds']} s"
        found = {"crash": str(part["crashes"]), "hang": str(part["hangs"])}
        cells = [found.get(name, "") for name in _OUTCOMES]
        rows.append([tried, group_digits(part["inputs"]), *cells, mebibytes])
    names = ", ".join(f"{part['stream']} ({part['bytes']} bytes)" for part in parts)
    note = (
        f"Streams of 9 or 10 small frames: {names}. Every input is decoded twice, strictly and "
        "with `--ignore-errors`. Refused: a typed error. Concealed: what is missing or doubtful "
        "was reported, all other frames are right. Whole: all frames are right (the change did not "
        "matter to them). Silent corruption: a wrong frame that nothing was said about; for "
        "streams made up with right checksums strict decoding answers for that with the base hash."
    )
    return markdown(header, rows) + "\n\n" + note


def _row(kind: str, outcomes: Counter[str], peak: int) -> list[str]:
    columns = [group_digits(outcomes[name]) for name in _OUTCOMES]
    return [kind, group_digits(outcomes.total() // 2), *columns, f"{peak >> 20} MiB"]
