"""The looping picture: peers at the bytes of ours, panels under their names, small enough for a
page."""

from __future__ import annotations

from fractions import Fraction

import pytest

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("torch")

from eval.report import loop
from eval.tools import EvalError
from gvcodec.compare import peers
from scripts.demo_clip import frames

FRAMES = [image[:96, :128] for image in frames(5)]


def test_the_picture_has_every_panel_and_moves(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "rgb_frames", lambda *_: (FRAMES, Fraction(24)))
    monkeypatch.setattr(peers, "STEPS", 2)
    monkeypatch.setattr(peers, "SLACK", 9)
    lines = loop.make(tmp_path / "a.webp", tmp_path / "in.y4m", 60, 0)
    assert [line.split(":")[0].split(",")[0] for line in lines[:4]] == [
        "source", "gvcodec", "x265", "SVT-AV1",
    ]  # fmt: skip
    with Image.open(tmp_path / "a.webp") as picture:
        assert picture.info["loop"] == 0
        assert (picture.n_frames, picture.size) == (5, (2 * 128 + 4, 2 * (96 + 18)))
    assert (tmp_path / "a.webp").stat().st_size <= 600_000


def test_a_peer_that_has_no_such_bytes_is_not_shown(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "rgb_frames", lambda *_: (FRAMES, Fraction(24)))
    monkeypatch.setattr(peers, "SLACK", 0.01)
    monkeypatch.setattr(peers, "STEPS", 2)
    with pytest.raises(EvalError, match="at its coarsest"):
        loop.make(tmp_path / "a.webp", tmp_path / "in.y4m", 60, 0)
    assert not list(tmp_path.iterdir())
