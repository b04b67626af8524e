"""Streams that must decode to the same loop frames for ever (the hash is in the file), and streams
that must be refused."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import gvcodec
from gvcodec.bitstream import Reader
from gvcodec.errors import DamagedStreamError, VerificationError

FOLDER = Path(__file__).parent
GOLDEN = sorted((FOLDER / "golden").glob("*.bin"))
FAULTY = sorted((FOLDER / "faulty").glob("*.bin"))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_streams_decode(path: Path, threads: int) -> None:
    data = path.read_bytes()
    loops = list(gvcodec.decode_planes(data, fidelity=True, threads=threads))
    assert [loop[0].shape for loop in loops] == [(53, 75)] * 10
    assert [entry.frames for entry in Reader(io.BytesIO(data)).gops()] == [6, 4]


@pytest.mark.parametrize("path", FAULTY, ids=lambda path: path.stem)
def test_faulty_streams_are_refused(path: Path) -> None:
    with pytest.raises((DamagedStreamError, VerificationError)):
        list(gvcodec.decode_planes(path.read_bytes(), fidelity=True))


def test_there_is_something_to_test() -> None:
    assert {path.stem for path in GOLDEN} == {"av1", "vvc"}
    assert len(FAULTY) >= 5
