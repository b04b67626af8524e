"""Files of one file have its modification time: `encode`, `decode`, `batch`; others have their own.
And a folder of videos is not a film."""

import io
import os
import time
from pathlib import Path

import pytest

import gvcodec
from tests.clips import ffmpeg, make_clip, write_clip
from tests.conftest import run

QUICK = ("--preset", 10, "--fit", "off", "--painter", "off")
#: Of the source, in nanoseconds: 2001.
THEN = 1_000_000_000_123_456_000


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mkv"
    write_clip(path, make_clip(64, 48, 6, seed=5))
    os.utime(path, ns=(THEN, THEN))
    return path


def test_encode_keeps_the_time_of_its_source(film: Path, tmp_path: Path) -> None:
    for name, words in (("o.gvc", []), ("p.gvc", ["--jobs", 1]), ("o.mp4", [])):
        run("encode", film, tmp_path / name, *QUICK, *words)
        assert (tmp_path / name).stat().st_mtime_ns == THEN


def test_decode_keeps_the_time_of_its_stream(film: Path, tmp_path: Path) -> None:
    stream = tmp_path / "o.gvc"
    run("encode", film, stream, *QUICK)
    os.utime(stream, ns=(THEN + 10**9, THEN + 10**9))
    run("decode", stream, tmp_path / "o.mkv")
    assert (tmp_path / "o.mkv").stat().st_mtime_ns == THEN + 10**9


@pytest.mark.usefixtures("inline_batch")
def test_batch_keeps_the_times_of_its_sources(film: Path, tmp_path: Path) -> None:
    run("batch", film, "-o", tmp_path / "out", *QUICK, "--jobs", 1, "--quiet")
    assert (tmp_path / "out" / "film.gvc").stat().st_mtime_ns == THEN


def test_what_is_not_made_of_a_file_has_its_own_time(film: Path, tmp_path: Path) -> None:
    begin = time.time() - 5
    settings = {"preset": 10, "fit": 0, "painter": "off", "threads": 1}
    gvcodec.encode_file(io.BytesIO(film.read_bytes()), tmp_path / "object.gvc", **settings)
    clip = make_clip(64, 48, 3, seed=5)
    gvcodec.encode_file(clip, tmp_path / "frames.gvc", frame_rate=25, **settings)
    for name in ("object.gvc", "frames.gvc"):
        assert (tmp_path / name).stat().st_mtime > begin, name


def test_a_folder_of_videos_is_not_coded_as_its_photo(film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "holidays"
    folder.mkdir()
    film.rename(folder / "DAY1.MKV")
    for photos in range(2):
        if photos:
            ffmpeg("-i", folder / "DAY1.MKV", "-frames:v", 1, folder / "p1.png")
        done = run("encode", folder, tmp_path / "o.gvc", *QUICK, code=1)
        assert f"gvcodec batch {folder} -o OUT" in done.err and done.err.count("\n") == 1
    ffmpeg("-i", folder / "DAY1.MKV", "-frames:v", 1, folder / "p2.png")
    run("encode", folder, tmp_path / "o.gvc", *QUICK)
    assert gvcodec.info(tmp_path / "o.gvc").frames == 2
