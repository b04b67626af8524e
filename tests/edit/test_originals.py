"""`verify` and `compare` hold a piece of a video against the same frames of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

import gvcodec
from gvcodec.compare import compare
from gvcodec.types import Colour, VideoFormat
from tests.clips import write_clip
from tests.conftest import moving_texture, run
from tests.media.test_real_inputs_clock import recording

FORMAT = VideoFormat(64, 48, Fraction(25), Fraction(1, 25), 8, Colour(1, 1, 1))
QUICK = ("--fit", "off", "--preset", "10", "--base-q", "10", "--keyint", "5", "--base", "av1", "-y")
PARTS = [
    ("--start", "0.4"),
    ("--frames", "7"),
    ("--start", "0.2", "--frames", "6"),
    ("-r", "12.5"),
    ("--to", "0.6"),
]


@pytest.fixture(scope="module", params=["a.mkv", "a.mp4", "a.y4m", "b.ts"])
def film(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("film") / request.param
    if path.suffix == ".ts":
        # Its clock does not begin at 0.
        path.write_bytes(recording("mpegts", 20, begin=126_000))
    else:
        write_clip(path, FORMAT, moving_texture(64, 48, 20))
    return path


def agreement(stream: Path, film: Path) -> float:
    found = gvcodec.verify(stream, film, fidelity=True)
    assert found.compared == found.frames and found.base_psnr is not None
    return found.base_psnr[0]


@pytest.mark.parametrize("part", PARTS, ids=" ".join)
def test_a_part_is_compared_with_that_part(film: Path, tmp_path, part: tuple[str, ...]) -> None:
    if film.suffix == ".y4m" and part[0] == "-r":
        pytest.skip("a y4m has no times of its own")
    run("encode", film, tmp_path / "a.gvc", *QUICK, *part)
    assert agreement(tmp_path / "a.gvc", film) > 34


def test_a_cut_is_compared_with_what_was_cut(film: Path, tmp_path) -> None:
    run("encode", film, tmp_path / "a.gvc", *QUICK)
    run("cut", tmp_path / "a.gvc", tmp_path / "b.gvc", "--from", "0.45")
    assert gvcodec.info(tmp_path / "b.gvc").frames == 10
    assert agreement(tmp_path / "b.gvc", film) > 34
    made = compare(film, tmp_path / "b.gvc", [])
    assert min(made.rows[0].psnr) > 30


def test_frames_that_the_source_does_not_have_are_said(tmp_path, capsys) -> None:
    for name, count in (("long.mkv", 20), ("short.mkv", 8)):
        write_clip(tmp_path / name, FORMAT, moving_texture(64, 48, count))
    run("encode", tmp_path / "long.mkv", tmp_path / "a.gvc", *QUICK, "--start", "0.2")
    run("verify", tmp_path / "a.gvc", "--source", tmp_path / "short.mkv", "--fidelity")
    assert "3 frames compared" in capsys.readouterr().out
