"""Pictures of HDR video have a tag of their colours."""

from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gvcodec import api
from gvcodec.types import Colour, VideoFormat
from tests.conftest import run

PQ, HLG, SDR, P3 = Colour(9, 16, 9), Colour(9, 18, 9), Colour(1, 1, 1), Colour(12, 1, 1)


def stream(path: Path, colour: Colour) -> Path:
    fmt = VideoFormat(64, 64, Fraction(25), Fraction(1, 25), 10, colour)
    planes = tuple(np.full(shape, 600, np.uint16) for shape in ((64, 64), (32, 32), (32, 32)))
    path.write_bytes(api.encode([planes] * 2, format=fmt, base="av1", preset=10, fit=0))
    return path


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Names and bodies of the chunks of a PNG file, whose checksums are right."""
    found, at = [], 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert zlib.crc32(name + body) == int.from_bytes(data[at + 8 + size : at + 12 + size])
        found.append((name, body))
        at += 12 + size
    return found


@pytest.mark.parametrize("colour", [PQ, HLG, P3])
def test_png_says_the_colours(tmp_path, colour: Colour) -> None:
    made = stream(tmp_path / "a.gvc", colour)
    run("decode", made, tmp_path / "n%d.png", "--fidelity")
    for name in ("n0.png", "n1.png"):
        names = (
            [kind for kind, _ in parts] if (parts := chunks((tmp_path / name).read_bytes())) else []
        )
        assert names[:2] == [b"IHDR", b"cICP"]
        assert dict(parts)[b"cICP"] == bytes([colour.primaries, colour.transfer, 0, 1])


def test_ordinary_colours_need_none(tmp_path) -> None:
    made = stream(tmp_path / "a.gvc", SDR)
    run("decode", made, tmp_path / "f.png", "--fidelity", "--frames", 1)
    assert b"cICP" not in dict(chunks((tmp_path / "f.png").read_bytes()))
