"""PyAV, whose versions differ: what is installed is what pyproject.toml allows, and has every name
that the package uses."""

from __future__ import annotations

import ast
import importlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from packaging.requirements import Requirement

from gvcodec.media.metadata import printable, side_data

ROOT = Path(__file__).resolve().parents[2]


def test_what_is_installed_lies_within_the_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (bounds,) = (
        wanted.specifier
        for wanted in map(Requirement, project["dependencies"])
        if wanted.name == "av"
    )
    assert bounds.contains(av.__version__)
    assert {part.operator for part in bounds} == {">=", "<"}


def _names(tree: ast.AST) -> Iterator[tuple[str, ...]]:
    """Of PyAV, as a module uses them: ("av", "container", "InputContainer")."""
    known: dict[str, tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {name.asname or "av": ("av",) for name in node.names if name.name == "av"}
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "av":
            module = tuple((node.module or "").split("."))
            known |= {name.asname or name.name: (*module, name.name) for name in node.names}
    yield from known.values()
    for node in ast.walk(tree):
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if parts and isinstance(node, ast.Name) and node.id in known:
            yield (*known[node.id], *parts)


def _find(name: tuple[str, ...]) -> Any:
    found = importlib.import_module(name[0])
    for n, part in enumerate(name[1:], 2):
        if not hasattr(found, part):
            importlib.import_module(".".join(name[:n]))
        found = getattr(found, part)
    return found


def test_every_name_that_is_used_exists() -> None:
    files = sorted((ROOT / "gvcodec").glob("**/*.py"))
    used = {name for path in files for name in _names(ast.parse(path.read_text()))}
    assert len(used) > 30
    missing = []
    for name in sorted(used):
        try:
            _find(name)
        except (AttributeError, ImportError):
            missing.append(".".join(name))
    assert not missing


def test_a_missing_name_is_found() -> None:
    name = max(_names(ast.parse("import av\nav.container.NoSuchThing")), key=len)
    with pytest.raises(ImportError):
        _find(name)


def test_side_data_is_read_by_its_kind() -> None:
    """Iterating gives values in PyAV 18, keys in 19."""
    frame = av.VideoFrame(64, 48, "yuv420p")
    assert side_data(frame) == {}
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base, encoder.options = 1, {"udu_sei": "1"}
    decoder = av.CodecContext.create("h264", "r")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    (decoded,) = [f for packet in [*packets, None] for f in decoder.decode(packet)]
    assert [bytes(data)[16:20] for data in side_data(decoded).values()] == [b"x264"]


def test_texts_that_are_no_unicode_are_shown_by_the_sign_for_it() -> None:
    """PyAV 19 gives other bytes as surrogates, 18 as the sign."""
    assert printable("caf\udce9\n") == printable("caf\ufffd") == "caf\ufffd"
