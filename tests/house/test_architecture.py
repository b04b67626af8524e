"""The shape of the package: layers point one way, all is reachable, a base is one record."""

from __future__ import annotations

import ast
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import types
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gvcodec
from gvcodec import _core, bases
from gvcodec.base import Coded, CodedFrame
from gvcodec.bitstream import Reader, SequenceHeader
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.types import VideoFormat
from tests.clips import make_clip
from tests.conftest import planes_equal

ROOT = Path(__file__).resolve().parents[2]


def test_every_module_is_used_by_what_is_shipped(tmp_path) -> None:
    spec = importlib.util.spec_from_file_location(
        "unreachable", ROOT / "scripts" / "unreachable.py"
    )
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.unreachable() == []
    package = tmp_path / "gvcodec"
    package.mkdir()
    for name in script.ROOTS:
        path = tmp_path.joinpath(*name.split("."))
        path.parent.mkdir(exist_ok=True, parents=True)
        (path.parent / "__init__.py").touch()
        (path / "__init__.py" if name == "gvcodec" else path.with_suffix(".py")).write_text("")
    (package / "__main__.py").write_text(
        '"""Not gvcodec.lost."""\nfrom gvcodec import used\nNAMED = "gvcodec.named:thing"\n'
    )
    for name in ("used", "named", "lost"):
        (package / f"{name}.py").write_text("")
    assert script.unreachable(tmp_path) == ["gvcodec.lost"]


class Raw:
    """A toy base: every frame is its own keyframe, its samples as they are."""

    def __init__(self, size: tuple[int, int] = (0, 0)) -> None:
        height, width = size
        self.shapes = [(height, width), *2 * [((height + 1) // 2, (width + 1) // 2)]]

    def send(self, given: Any, key: bool = False) -> Any:
        if not isinstance(given, bytes):
            return Coded(
                [CodedFrame(b"".join(plane.tobytes() for plane in given), True, 0)], [given]
            )
        samples = np.frombuffer(given, np.uint16)
        if len(samples) != sum(height * width for height, width in self.shapes):
            raise DamagedStreamError("raw frame of another size")
        parts = np.split(samples, np.cumsum([height * width for height, width in self.shapes])[:2])
        return [tuple(part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True))]

    def flush(self) -> Any:
        return Coded() if self.shapes[0] == (0, 0) else []


def raw_encoder(fmt: VideoFormat, config: gvcodec.EncoderConfig) -> Raw:
    return Raw()


def raw_decoder(header: SequenceHeader, threads: int, low_delay: bool, model: Path | None) -> Raw:
    return Raw((header.format.height, header.format.width))


def test_a_base_is_its_facts_and_its_functions(monkeypatch) -> None:
    module: Any = types.ModuleType("raw")
    module.base_encoder, module.base_decoder = raw_encoder, raw_decoder
    with monkeypatch.context() as patch:
        patch.setitem(bases._BASES, "raw", bases.Base("raw", 99, "raw", 10))
        patch.setitem(sys.modules, "raw", module)
        planes = make_clip(50, 34, 3)
        fmt = VideoFormat(50, 34, Fraction(25), Fraction(1, 25), 10)
        data = gvcodec.encode(planes, format=fmt, base="raw")
        assert Reader(io.BytesIO(data)).header.base == "raw"
        for ours, theirs in zip(gvcodec.decode_planes(data), planes, strict=True):
            assert planes_equal(ours, theirs)
        with pytest.raises(UsageError, match="no reduced scale"):
            gvcodec.encode(planes, format=fmt, base="raw", scale=Fraction(1, 2))
    with pytest.raises(DamagedStreamError):
        Reader(io.BytesIO(data))
    with pytest.raises(UsageError, match="raw is unknown"):
        gvcodec.encode(planes, format=fmt, base="raw")


def test_a_command_is_one_file(tmp_path) -> None:
    """A file in a copy of `gvcodec/cli` is a command, in the help and when it is called."""
    package = tmp_path / "gvcodec"
    shutil.copytree(ROOT / "gvcodec", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(str(_core.__file__), package)  # an editable install has it elsewhere
    (package / "cli" / "mirror.py").write_text(
        'HELP = "pictures the wrong way round"\n'
        'def arguments(parser): parser.add_argument("input")\n'
        "def run(options): print(options.input[::-1])\n"
    )

    rest = [place for place in sys.path if place and Path(place).resolve() != ROOT]

    def ours(*arguments: str) -> str:
        program = (
            f"import sys; sys.path[:0] = {[str(tmp_path), *rest]!r}; import gvcodec.__main__ as m; "
            f"assert m.__file__.startswith({str(tmp_path)!r}); sys.exit(m.run())"
        )
        # Without site an editable install does not lead back to the checkout.
        given = [sys.executable, "-S", "-c", program, *arguments]
        return subprocess.run(
            given, check=True, cwd=tmp_path, capture_output=True, text=True
        ).stdout

    assert ours("mirror", "abc") == "cba\n"
    listed = ours("--help")
    assert "pictures the wrong way round" in listed and "_arguments" not in listed
    assert listed.index("encode") < listed.index("decode ") < listed.index("cat ")


def test_layers_point_one_way_and_there_are_no_circles(tmp_path) -> None:
    pytest.importorskip("importlinter")
    for name in ("gvcodec", "training"):
        ignored = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    def lint() -> subprocess.CompletedProcess[str]:
        # Without site no .pth file counts: an editable install would show the checkout in place of
        # the copy.
        packages = [path for path in sys.path if path.endswith("site-packages")]
        program = (
            f"import sys; sys.path[:0] = ['.', *{packages!r}]; from importlinter.cli import "
            f"lint_imports; "
            "sys.exit(lint_imports(no_cache=True))"
        )
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run(
            [sys.executable, "-S", "-c", program],
            check=False,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )

    kept = lint()
    assert kept.returncode == 0, kept.stdout
    upward = tmp_path / "gvcodec" / "errors.py"
    upward.write_text(upward.read_text() + "\nfrom gvcodec.codec.encoder import Encoder\n")
    broken = lint()
    assert broken.returncode == 1 and "gvcodec.errors -> gvcodec.codec.encoder" in broken.stdout


def test_types_are_shipped_and_name_what_the_core_has() -> None:
    """`gvcodec/_core.pyi` is written by nanobind: docs/developing.md says how."""
    assert (ROOT / "gvcodec/py.typed").is_file()
    stub = ast.parse((ROOT / "gvcodec/_core.pyi").read_text(encoding="utf-8"))
    kinds = (ast.ClassDef, ast.FunctionDef)
    told = {node.name for node in stub.body if isinstance(node, kinds)}
    told |= {n.target.id for n in stub.body if isinstance(n, ast.AnnAssign)}
    assert told == {name for name in dir(_core) if not name.startswith("_")}
