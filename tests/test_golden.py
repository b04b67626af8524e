"""Streams that must decode to the same loop frames for ever (the hash is in the file), and streams
that must be refused."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import gvcodec
from gvcodec.bitstream import Kind, Reader
from gvcodec.errors import DamagedStreamError, VerificationError
from gvcodec.structure.tokens.payload import BACKWARD, REFRESH

FOLDER = Path(__file__).parent
TOKENS = FOLDER / "golden" / "tokens"
GOLDEN = [*sorted((FOLDER / "golden").glob("*.bin")), *sorted(TOKENS.glob("*.bin"))]
FAULTY = sorted((FOLDER / "faulty").glob("*.bin"))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_streams_decode(path: Path, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = path.read_bytes()
    if path.parent == TOKENS:
        pytest.importorskip("torch")
        monkeypatch.setenv("GVCODEC_MODELS", str(TOKENS))
    loops = list(gvcodec.decode_planes(data, fidelity=True, threads=threads))
    assert [loop[0].shape for loop in loops] == [(53, 75)] * 10
    assert [entry.frames for entry in Reader(io.BytesIO(data)).gops()] == [6, 4]


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize(
    "path", [path for path in GOLDEN if "klt" in path.stem], ids=lambda path: path.stem
)
def test_golden_streams_decode_in_every_form(path: Path) -> None:
    assert len(list(gvcodec.decode_planes(path.read_bytes(), fidelity=True))) == 10


@pytest.mark.parametrize(
    ("name", "copies", "refreshes"),
    [("tokens", 0, 3), ("tokens-0.5", 2, 3), ("tokens-0.4", 0, 0)],
)
def test_golden_tokens_are_many_integers(name: str, copies: int, refreshes: int) -> None:
    """What its hash stands for is not zeros."""
    data = io.BytesIO((TOKENS / f"{name}.bin").read_bytes())
    payloads = [p.payload for p in Reader(data).packets() if p.kind is Kind.INTER]
    assert len(payloads) == 8 and payloads.count(b"") == copies
    assert all(len(payload) > 20 for payload in payloads if payload)
    assert sum(payload.startswith(REFRESH) for payload in payloads) == refreshes
    assert any(payload.startswith(BACKWARD) for payload in payloads) == (name == "tokens")


#: What is wrong with those that another change could come to refuse for another reason.
_REASONS = {
    "frame-and-gop-removed": "packet 15: checksum differs",
    "gop-counts-another-frame": "packet 7: checksum of the GOP differs",
    "gop-taken-for-a-frame": "packet 7: checksum differs",
    "timestamps-out-of-range": "timing: a timestamp is out of range",
}


@pytest.mark.parametrize(("name", "reason"), _REASONS.items())
def test_faulty_streams_are_refused_for_what_is_wrong(name: str, reason: str) -> None:
    data = (FOLDER / "faulty" / f"{name}.bin").read_bytes()
    with pytest.raises(DamagedStreamError, match=reason):
        list(gvcodec.decode_planes(data, fidelity=True))


@pytest.mark.parametrize("path", FAULTY, ids=lambda path: path.stem)
def test_faulty_streams_are_refused(path: Path) -> None:
    with pytest.raises((DamagedStreamError, VerificationError)):
        list(gvcodec.decode_planes(path.read_bytes(), fidelity=True))


def test_there_is_something_to_test() -> None:
    names = {"klt", "klt-1", "klt-0.2", "av1", "hevc", "vvc", "tokens", "tokens-0.5", "tokens-0.4"}
    assert {path.stem for path in GOLDEN} == names
    assert len(FAULTY) >= 5
