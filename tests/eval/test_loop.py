"""The looping picture: peers at the bytes of ours, panels under their names, small enough for a
page."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("torch")

from eval.report import loop, panels
from eval.tools import EvalError
from gvcodec.compare import peers
from gvcodec.media.planes import planes_from_rgb
from gvcodec.media.writer import open_writer
from gvcodec.types import VideoFormat
from scripts.demo_clip import frames

FRAMES = [image[:96, :128] for image in frames(5)]


@pytest.mark.parametrize("name", panels.PEERS)
def test_a_peer_is_coarser_at_a_higher_crf(name: str) -> None:
    fine, shown = panels.peer(name, FRAMES, Fraction(24), 20)
    coarse, _ = panels.peer(name, FRAMES, Fraction(24), 45)
    assert fine > 1.3 * coarse
    assert len(shown) == len(FRAMES)
    errors = [np.abs(a.astype(int) - b).mean() for a, b in zip(FRAMES, shown, strict=True)]
    assert max(errors) < 8


def test_the_nearest_is_the_largest_that_fits() -> None:
    size, _ = peers.nearest(lambda crf: (int(10_000 - 150 * crf), []), 6000, 51)
    assert 5900 < size <= 6120
    assert peers.nearest(lambda crf: (9000, []), 100, 51)[0] == 9000


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
    monkeypatch.setattr(panels, "peer", lambda *_: (10**6, FRAMES))
    with pytest.raises(EvalError, match="at its coarsest"):
        loop.make(tmp_path / "a.webp", tmp_path / "in.y4m", 60, 0)
    assert not list(tmp_path.iterdir())


def test_panels_show_the_busiest_part_of_the_same_frame_enlarged(tmp_path) -> None:
    flat = np.full((96, 128, 3), 90, np.uint8)
    flat[32:64, 64:96] = np.random.default_rng(1).integers(0, 255, (32, 32, 3))
    assert panels.busiest(flat, 32) == (32, 64)
    sheet = np.asarray(panels.sheet([("source", flat), ("ours", 255 - flat)]))
    assert sheet.shape == (96 + 18 + 4, 2 * (128 + 4 + 96) + 8, 3)
    left = sheet[18:114, 132:228].astype(int)
    right = sheet[18:114, 132 + 236 : 228 + 236].astype(int)
    assert left.std() > 40
    assert np.abs(255 - left - right).mean() < 2
    assert (sheet[:18, :100] < 100).any(), "the name is there"


def test_the_demo_picture_says_why_peers_are_missing(tmp_path, monkeypatch) -> None:
    source, stream, out = tmp_path / "a.y4m", tmp_path / "a.gvc", tmp_path / "a.png"
    form = VideoFormat(320, 192, Fraction(24), Fraction(1, 24), 8)
    with open_writer(str(source), form, overwrite=True) as writer:
        for number, image in enumerate(frames(2)):
            writer.write(planes_from_rgb(image), number)
    stream.write_bytes(bytes(60_000))
    lines = panels.make(out, source, stream, source)
    assert [line.split(":")[0] for line in lines[:2]] == ["source", "gvcodec"] and len(lines) == 4
    with Image.open(out) as picture:
        assert picture.size == (2 * (320 + 4 + 192) + 8, 2 * (192 + 18 + 4))
    monkeypatch.setattr(panels, "_MOST_SAMPLES", 1000)
    assert "the video is long" in panels.make(out, source, stream, source)[-1]
