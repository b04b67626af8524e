"""Golden streams decode to the base frames of their hash; faulty ones are refused."""

import io
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec.bitstream import Kind, Reader
from gvcodec.errors import DamagedStreamError, VerificationError
from tests.conftest import packets_in

FOLDER = Path(__file__).parents[1]
GOLDEN = [FOLDER / "golden" / "av1.bin", FOLDER / "golden" / "vvc.bin"]
FAULTY = sorted((FOLDER / "faulty").glob("*.bin"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_streams_decode(path: Path) -> None:
    data = path.read_bytes()
    base_frames = list(gvcodec.decode_planes(data, fidelity=True, threads=2))
    assert [base_frame[0].shape for base_frame in base_frames] == [(53, 75)] * 10
    assert [entry.frames for entry in Reader(io.BytesIO(data)).gops()] == [6, 4]


@pytest.mark.parametrize("name", ["av1", "vvc"])
def test_golden_streams_are_painted_as_their_hash_says(name: str, form: str) -> None:
    data = (FOLDER / "golden" / f"{name}.bin").read_bytes()
    assert any(packet.kind is Kind.PAINTED for packet in packets_in(data))
    # Raises VerificationError for another hash than the stream's.
    painted, base = (list(gvcodec.decode_planes(data, fidelity=f)) for f in (False, True))
    assert not any(np.array_equal(a[0], b[0]) for a, b in zip(painted, base, strict=True))


@pytest.mark.parametrize("path", FAULTY, ids=lambda path: path.stem)
def test_faulty_streams_are_refused(path: Path) -> None:
    with pytest.raises((DamagedStreamError, VerificationError)):
        list(gvcodec.decode_planes(path.read_bytes(), fidelity=True))
