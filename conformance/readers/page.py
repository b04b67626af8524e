"""Answers of the page's modules, run by Node in one process."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from conformance.readers.answers import Answer
from conformance.readers.inputs import MODELS, REPOSITORY, Input, small_painter

#: Parsers that the page has.
PARSERS = ("stream", "header", "timing", "tracks", "fitted", "standard", "varint")


def has_node() -> bool:
    return shutil.which("node") is not None


def answers(inputs: Sequence[Input]) -> list[Answer | None]:
    """The answer for each input, in order; None where the page has no parser."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ignored = shutil.ignore_patterns("core", "models")
        shutil.copytree(REPOSITORY / "web", folder / "web", ignore=ignored)
        (folder / "package.json").write_text('{"type": "module"}')
        shutil.copy(Path(__file__).with_name("page.js"), folder)
        shutil.copytree(MODELS, folder / "models")
        for path in (REPOSITORY / "checkpoints").glob("painter*.safetensors"):
            shutil.copy(path, folder / "models")
        (folder / "small.safetensors").write_bytes(small_painter())
        readable = [source for source in inputs if source.parser in PARSERS]
        lines = []
        for number, source in enumerate(readable):
            (folder / str(number)).write_bytes(source.data)
            lines.append([source.parser, str(number), Path(source.name).suffix])
        (folder / "inputs.json").write_text(json.dumps(lines))
        command = ["node", str(folder / "page.js"), str(folder)]
        process = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True)
        answers = dict(zip(readable, json.loads(process.stdout), strict=True))
    return [answers.get(source) for source in inputs]
