"""What the page's modules say of inputs, run by Node in one process."""

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
    """Of each input, in order; None of those that the page has no parser for."""
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
        known = [given for given in inputs if given.parser in PARSERS]
        lines = []
        for number, given in enumerate(known):
            (folder / str(number)).write_bytes(given.data)
            lines.append([given.parser, str(number), Path(given.name).suffix])
        (folder / "inputs.json").write_text(json.dumps(lines))
        command = ["node", str(folder / "page.js"), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True)
        said = dict(zip(known, json.loads(done.stdout), strict=True))
    return [said.get(given) for given in inputs]
