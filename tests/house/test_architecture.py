"""The shape of the package: all is reachable, a base is one record, types are those of the core."""

import ast
import io
import re
import sys
import types
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import gvcodec
from gvcodec import _core, bases
from gvcodec.base import BaseDecoder, BaseEncoder, BasePacket, EncodeResult
from gvcodec.bitstream import Reader
from gvcodec.errors import DamagedStreamError, FormatVersionError, UsageError
from gvcodec.types import VideoFormat
from tests.clips import make_clip
from tests.conftest import clips_equal
from tests.house.scripts import ROOT, load_script


def test_every_module_is_used_by_what_is_shipped() -> None:
    assert load_script("unreachable").unreachable() == []


def test_each_folder_says_what_it_is_and_lists_its_modules() -> None:
    """The first lines of `__init__.py`: what goes in, what comes out; then every module."""
    for path in sorted((ROOT / "gvcodec").rglob("__init__.py"))[1:]:
        text = path.read_text(encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(text)) or ""
        assert "In:" in docstring and "Out:" in docstring, path
        modules = {module.stem for module in path.parent.glob("*.py")} - {"__init__"}
        unlisted = [name for name in modules if not re.search(rf"\b{name}\b", text)]
        assert not unlisted, f"{path} does not list {', '.join(sorted(unlisted))}"


class Raw(BaseEncoder, BaseDecoder):
    """A toy base: every frame is its own keyframe, its samples as they are."""

    def __init__(self, size: tuple[int, int] = (0, 0)) -> None:
        height, width = size
        self.shapes = [(height, width), *2 * [((height + 1) // 2, (width + 1) // 2)]]

    def send(self, given: Any, key: bool = False) -> Any:
        if not isinstance(given, bytes):
            data = b"".join(plane.tobytes() for plane in given)
            return EncodeResult([BasePacket(data, True)], [given])
        samples = np.frombuffer(given, np.uint16)
        if len(samples) != sum(height * width for height, width in self.shapes):
            raise DamagedStreamError("raw frame of another size")
        parts = np.split(samples, np.cumsum([height * width for height, width in self.shapes])[:2])
        return [tuple(part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True))]

    def flush(self) -> Any:
        return EncodeResult() if self.shapes[0] == (0, 0) else []


def test_a_base_is_its_facts_and_its_functions(monkeypatch) -> None:
    module: Any = types.ModuleType("raw")
    module.base_encoder = lambda fmt, config: Raw()
    module.base_decoder = lambda header, *how: Raw((header.format.height, header.format.width))
    with monkeypatch.context() as patch:
        patch.setitem(bases._BASES, "raw", bases.Base("raw", 99, "raw", "raw", 10))
        patch.setitem(sys.modules, "raw", module)
        planes = make_clip(50, 34, 3)
        fmt = VideoFormat(50, 34, Fraction(25), Fraction(1, 25), 10)
        data = gvcodec.encode(planes, format=fmt, base="raw")
        assert Reader(io.BytesIO(data)).header.base == "raw"
        assert clips_equal(gvcodec.decode_planes(data), planes)
        with pytest.raises(UsageError, match="no reduced base_scale"):
            gvcodec.encode(planes, format=fmt, base="raw", scale=Fraction(1, 2))
    with pytest.raises(FormatVersionError):
        Reader(io.BytesIO(data))
    with pytest.raises(UsageError, match="unknown base codec raw"):
        gvcodec.encode(planes, format=fmt, base="raw")


def test_types_are_shipped_and_name_what_the_core_has() -> None:
    """`gvcodec/_core.pyi` is written by nanobind: docs/developing.md says how."""
    assert (ROOT / "gvcodec/py.typed").is_file()
    stub = ast.parse((ROOT / "gvcodec/_core.pyi").read_text(encoding="utf-8"))
    kinds = (ast.ClassDef, ast.FunctionDef)
    listed = {node.name for node in stub.body if isinstance(node, kinds)}
    listed |= {n.target.id for n in stub.body if isinstance(n, ast.AnnAssign)}
    assert listed == {name for name in dir(_core) if not name.startswith("_")}
