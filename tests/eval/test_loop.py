"""The looping picture: peers at the same bytes, panels with names, a small file."""

import argparse
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from eval.report import loop
from eval.tools import EvalError
from gvcodec.compare import peers
from scripts.demo_clip import frames

FRAMES = [image[:96, :128] for image in frames(5)]


def options(folder: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    loop.arguments(parser)
    return parser.parse_args([str(folder / "a.webp"), "-q", "60", *words])


def test_the_picture_has_every_panel_and_moves(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "rgb_frames", lambda *_: (FRAMES, Fraction(24)))
    monkeypatch.setattr(peers, "STEPS", 2)
    monkeypatch.setattr(peers, "SLACK", 9)
    lines = loop.make(options(tmp_path, "--crop", "64x48+8+16"))
    names = [line.split(":")[0].split(",")[0] for line in lines[:4]]
    assert names == ["source", "gvcodec", "x265", "SVT-AV1"]
    with Image.open(tmp_path / "a.webp") as picture:
        assert picture.info["loop"] == 0
        assert (picture.n_frames, picture.size) == (5, (2 * 64 + 4, 2 * (48 + 18)))
    assert (tmp_path / "a.webp").stat().st_size <= 600_000


def test_a_peer_that_has_no_such_bytes_is_not_shown(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "rgb_frames", lambda *_: (FRAMES, Fraction(24)))
    monkeypatch.setattr(peers, "SLACK", 0.01)
    monkeypatch.setattr(peers, "STEPS", 2)
    with pytest.raises(EvalError, match="at its coarsest"):
        loop.make(options(tmp_path))
    assert not list(tmp_path.iterdir())
