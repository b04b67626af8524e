"""`python -m conformance.readers [--check]`"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from conformance.readers import independent, library, page, python
from conformance.readers.answers import Answer, differences
from conformance.readers.inputs import Input, inputs

FILE = Path(__file__).parents[1] / "readers.json"
Reader = Callable[[Sequence[Input]], list[Answer | None]]
READERS: dict[str, Reader] = {
    "python": lambda sources: [python.answer(source) for source in sources],
    "independent": lambda sources: [independent.answer(source) for source in sources],
    "page": page.answers,
    "library": lambda sources: [library.answer(source) for source in sources],
}


def answers_of(readers: Sequence[str], sources: Sequence[Input]) -> dict[str, list[Answer | None]]:
    """Answers of each reader, in the order of the inputs."""
    return {name: READERS[name](sources) for name in readers}


def merged(sources: Sequence[Input], answers: dict[str, list[Answer | None]]) -> dict[str, Answer]:
    """Entries of `readers.json` by the names of inputs."""
    entries: dict[str, Answer] = {}
    for number, source in enumerate(sources):
        reference = answers["python"][number]
        assert reference is not None
        entry = dict(reference)
        for name in sorted(set(answers) - {"python"}):
            answer = answers[name][number]
            if answer is None:
                entry.setdefault("silent", []).append(name)
            elif other := differences(answer, reference):
                entry[name] = other
        entries[source.name] = entry
    return entries


def write(entries: dict[str, Answer]) -> None:
    """One line for each input."""
    lines = [f" {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance.readers", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with readers.json")
    options = parser.parse_args(arguments)
    sources = list(inputs())
    entries = merged(sources, answers_of(list(READERS), sources))
    if not options.check:
        write(entries)
        return 0
    recorded = json.loads(FILE.read_text("utf-8"))
    names = sorted(set(recorded) | set(entries))
    changed = [name for name in names if recorded.get(name) != entries.get(name)]
    for name in changed:
        print(f"{name}: recorded {recorded.get(name)}, now {entries.get(name)}")
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
