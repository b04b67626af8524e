"""`--deinterlace`: fields of two times become one picture, at the frame rate of the source."""

from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec.errors import MediaError
from gvcodec.input_options import InputOptions
from gvcodec.source.reader import VideoReader
from gvcodec.types import Planes
from tests.clips import ffmpeg, make_clip, read_film, write_clip
from tests.conftest import run

DEINTERLACE = InputOptions(deinterlace=True)
QUICK = ("--preset", 10, "--fit", "off", "--painter", "off", "--jobs", 1)


def _measure_combing(film: list[Planes]) -> float:
    """How much more a line differs from the next one than from the one after that."""
    luma = [planes[0].astype(float) for planes in film]
    near = np.mean([np.abs(y[1:-1] - y[2:]).mean() for y in luma])
    far = np.mean([np.abs(y[:-2] - y[2:]).mean() for y in luma])
    return float(near / far)


def _interlaced(folder: Path, order: str) -> Path:
    """25 frames a second of fields 1/50 s apart, of a bar that moves by 6 samples a field."""
    source = folder / f"{order}.mpg"
    first = {"tff": "interleave_top", "bff": "interleave_bottom"}[order]
    ffmpeg(
        *("-f", "lavfi", "-i", "color=gray:s=160x96:r=50:d=1"),
        *("-f", "lavfi", "-i", "color=white:s=24x96:r=50:d=1"),
        *("-filter_complex", f"[0][1]overlay=x=mod(6*n\\,160),tinterlace={first},setfield={order}"),
        *("-c:v", "mpeg2video", "-q:v", 2, "-flags", "+ildct+ilme", source),
    )
    return source


@pytest.mark.parametrize("order", ["tff", "bff"])
def test_interlaced_frames_lose_their_combs(tmp_path: Path, order: str) -> None:
    source = _interlaced(tmp_path, order)
    combed = read_film(source)
    clean = read_film(source, input_options=DEINTERLACE)
    assert len(clean.planes) == len(combed.planes) == 25 and clean.seconds == combed.seconds
    assert clean.reader.format == combed.reader.format and clean.reader.format.frame_rate == 25
    assert _measure_combing(combed.planes) > 2
    assert _measure_combing(clean.planes) < 1
    assert not any("interlaced" in note for note in clean.reader.notes)


def test_progressive_video_stays_as_it_is(tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    write_clip(source, make_clip(64, 48, 8, seed=2))
    plain, same = read_film(source), read_film(source, input_options=DEINTERLACE)
    for before, after in zip(plain.planes, same.planes, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert any("marked as interlaced" in note for note in same.reader.notes)


def test_a_part_has_its_frames_and_times(tmp_path: Path) -> None:
    source = _interlaced(tmp_path, "tff")
    with VideoReader(source, 0.4, 5, input_options=DEINTERLACE) as reader:
        assert len(list(reader)) == 5


def test_the_commands_take_it(tmp_path: Path) -> None:
    source = _interlaced(tmp_path, "tff")
    named = run("encode", source, tmp_path / "a.gvc", *QUICK).err
    assert "--deinterlace" in named
    done = run("encode", source, tmp_path / "b.gvc", *QUICK, "--deinterlace").err
    assert "interlaced" not in done
    out = tmp_path / "out"
    run("batch", source, "-o", out, *QUICK, "--deinterlace", "--quiet")
    hashes = [gvcodec.info(p).base_hash for p in (tmp_path / "b.gvc", out / "tff.gvc")]
    assert hashes[0] == hashes[1] != gvcodec.info(tmp_path / "a.gvc").base_hash


def test_pictures_too_small_for_the_filter_are_refused_in_a_line(tmp_path: Path) -> None:
    source = tmp_path / "a.mkv"
    write_clip(source, make_clip(2, 2, 3, seed=2))
    with pytest.raises(MediaError, match="cannot be deinterlaced"):
        read_film(source, input_options=DEINTERLACE)
