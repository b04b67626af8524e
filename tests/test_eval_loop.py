"""The looping picture: peers at the bytes of ours, panels under their names, small enough for a page."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("torch")

from eval import loop
from eval.tools import EvalError
from gvcodec import demo

FRAMES = [image[:96, :128] for image in demo.frames(5)]


@pytest.mark.parametrize("name", loop._PEERS)
def test_a_peer_is_coarser_at_a_higher_crf(name: str) -> None:
    fine, shown = loop.peer(name, FRAMES, Fraction(24), 20)
    coarse, _ = loop.peer(name, FRAMES, Fraction(24), 45)
    assert fine > 1.5 * coarse
    assert len(shown) == len(FRAMES)
    errors = [np.abs(a.astype(int) - b).mean() for a, b in zip(FRAMES, shown, strict=True)]
    assert max(errors) < 8


def test_the_nearest_is_the_largest_that_fits() -> None:
    size, _ = loop.nearest(lambda crf: (int(10_000 - 150 * crf), []), 6000, 51)
    assert 5900 < size <= 6120
    assert loop.nearest(lambda crf: (9000, []), 100, 51)[0] == 9000


def test_the_picture_has_every_panel_and_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop.demo, "frames", lambda: FRAMES)
    monkeypatch.setattr(loop, "_STEPS", 2)
    monkeypatch.setattr(loop, "_SLACK", 9)
    told = loop.make(tmp_path / "a.webp", None, 60, 0)
    assert [line.split(":")[0].split(",")[0] for line in told[:4]] == [
        "source", "gvcodec", "x265", "SVT-AV1",
    ]  # fmt: skip
    with Image.open(tmp_path / "a.webp") as picture:
        assert (picture.n_frames, picture.size) == (5, (2 * 128 + 4, 2 * (96 + 18)))
    assert (tmp_path / "a.webp").stat().st_size < 1_000_000


def test_a_peer_that_has_no_such_bytes_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop.demo, "frames", lambda: FRAMES)
    monkeypatch.setattr(loop, "peer", lambda *_: (10**6, FRAMES))
    with pytest.raises(EvalError, match="at its coarsest"):
        loop.make(tmp_path / "a.webp", None, 60, 0)
    assert not list(tmp_path.iterdir())
