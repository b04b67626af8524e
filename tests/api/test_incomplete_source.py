"""A damaged source is not a success: what can be read of it is coded, and an error counts what is
lost."""

import io
import re
from pathlib import Path

import fsspec
import pytest

import gvcodec
from gvcodec.errors import IncompleteSourceError
from tests.clips import read_film
from tests.conftest import run
from tests.media.test_clocks import QUICK
from tests.media.test_real_inputs_files import KINDS, made, piped

#: What is said of a file of which 60 % is left. A transport stream does not know how long it was.
LOST = {
    "mp4": r"\d+ of 25 frames are missing",
    "mov": r"\d+ of 25 frames are missing",
    "frag.mp4": r"about \d+ of about 25 frames are missing|its end is missing",
    "mkv": r"about \d+ of about 25 frames are missing",
    "avi": r"\d+ of 25 frames are missing",
    "y4m": r"about \d+ of about 25 frames are missing|its end is missing",
    "ts": "its end is missing",
}


def cut(folder: Path, kind: str, share: float = 0.6) -> Path:
    data = made("mpegts") if kind == "ts" else KINDS[kind]()
    path = folder / f"cut.{kind}"
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize("kind", LOST)
def test_a_cut_off_source_is_coded_and_raises_what_is_lost(tmp_path, kind) -> None:
    source, output = cut(tmp_path, kind), tmp_path / "a.gvc"
    with pytest.raises(IncompleteSourceError, match=LOST[kind]) as caught:
        gvcodec.encode_file(source, output, **QUICK)
    assert str(source) in str(caught.value)
    done = caught.value.result
    assert isinstance(done, gvcodec.EncodeReport) and 9 <= done.frames < 25
    assert len(gvcodec.open(output)) == done.frames and done.incomplete
    if kind == "mp4":
        allowed = gvcodec.encode_file(source, output, allow_damaged=True, overwrite=True, **QUICK)
        assert allowed.incomplete == done.incomplete


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_lost_frames_are_counted(tmp_path, kind) -> None:
    source = cut(tmp_path, kind)
    film = read_film(source)
    lost, about = 25 - len(film.planes), "" if kind == "mp4" else "about "
    assert film.reader.incomplete.startswith(f"{about}{lost} of {about}25")


def test_the_exit_code_of_the_commands_is_eight(tmp_path) -> None:
    source, output = cut(tmp_path, "mp4"), tmp_path / "a.gvc"
    words = ["encode", source, output, "--fit", "off", "--preset", "10"]
    last = run(*words, code=8).err.splitlines()[-1]
    assert last.startswith(f"gvcodec: {source}: incomplete source:")
    assert last.endswith("of 25 frames are missing (use --allow-damaged to treat this as success)")
    run(*words, "-y", "--allow-damaged")
    shown = run("verify", output, "--source", source, code=8)
    assert "PSNR dB" in shown.out and "incomplete source" in shown.err
    run("verify", output, "--source", source, "--allow-damaged")


@pytest.mark.parametrize("way", [{"jobs": 1, "keyint": 5}, {"size": 20_000}, {"target": "psnr=25"}])
def test_every_way_to_encode_says_so(tmp_path, way) -> None:
    source = cut(tmp_path, "mp4")
    with pytest.raises(IncompleteSourceError, match="of 25 frames are missing"):
        gvcodec.encode_file(source, tmp_path / "a.gvc", **QUICK | way)


def test_a_file_object_a_pipe_and_a_store_are_looked_at_too(tmp_path, monkeypatch) -> None:
    whole = KINDS["mkv"]()
    for data, said in ((whole, ""), (whole[: len(whole) // 2], "about 1. of about 25")):
        with fsspec.open("memory://films/a.mkv", "wb") as remote:
            remote.write(data)
        films = [read_film(io.BytesIO(data)), read_film("memory://films/a.mkv")]
        piped(data, monkeypatch)
        films.append(read_film("-"))
        for film in films:
            assert re.match(said or "$", film.reader.incomplete)


def test_a_part_before_the_damage_is_complete(tmp_path) -> None:
    source = cut(tmp_path, "mp4")
    done = gvcodec.encode_file(source, tmp_path / "a.gvc", frames=5, **QUICK)
    assert (done.frames, done.incomplete) == (5, "")
    assert read_film(source, frames=5).reader.notes == []


#: Makers of 100 frames, and what is said where a tenth in the middle is zeros.
HOLES = {
    "mp4": (("mp4", "libx264"), "10 of 100 frames are missing"),
    "mkv": (("matroska", "libx264"), r"about \d\d of about 100 frames are missing"),
    "webm": (("webm", "libvpx"), r"about \d\d of about 100 frames are missing"),
    "ts": (("mpegts", "libx264"), r"about 10 of about 100 frames are missing"),
    "avi": (("avi", "mjpeg"), r"\d+ of 100 frames are missing"),
    "flv": (("flv", "libx264"), r"about \d+ of about \d+ frames are missing"),
    "mpg": (("mpeg", "mpeg2video"), r"about \d+ of about 100 frames are missing"),
}


@pytest.mark.parametrize("kind", HOLES)
def test_a_hole_in_the_middle_is_noticed(tmp_path, kind) -> None:
    (form, codec), said = HOLES[kind]
    options = {"movflags": "+faststart"} if kind == "mp4" else {}
    data = made(form, codec, frames=100, **options)
    half, tenth = len(data) // 2, len(data) // 10
    path = tmp_path / f"a.{kind}"
    path.write_bytes(data)
    assert read_film(path).reader.incomplete == ""
    path.write_bytes(data[:half] + bytes(tenth) + data[half + tenth :])
    assert re.match(said, read_film(path).reader.incomplete)


def test_a_malformed_box_that_holds_no_picture_is_no_loss(tmp_path) -> None:
    """A free box whose size goes beyond the end of the file, as some recorders write it."""
    path = tmp_path / "free.mp4"
    path.write_bytes(KINDS["mp4"]() + (5000).to_bytes(4) + b"free" + bytes(20))
    film = read_film(path)
    assert (len(film.planes), film.reader.incomplete, film.reader.notes) == (25, "", [])


def test_bytes_after_a_matroska_segment_are_no_loss(tmp_path) -> None:
    path = tmp_path / "a.mkv"
    path.write_bytes(KINDS["mkv"]() + bytes(500))
    film = read_film(path)
    assert (len(film.planes), film.reader.incomplete) == (25, "")


@pytest.mark.parametrize("way", [{}, {"jobs": 1, "keyint": 10}])
def test_a_source_that_grows_while_it_is_coded_is_incomplete(tmp_path, way) -> None:
    """A recording that is still being copied."""
    data, path = made("mpegts"), tmp_path / "in.ts"
    path.write_bytes(data[: len(data) // 2])

    def grow(state: gvcodec.State) -> None:
        path.write_bytes(data)

    with pytest.raises(IncompleteSourceError):
        gvcodec.encode_file(path, tmp_path / "a.gvc", progress=grow, **QUICK | way)
    # As it is now, it is whole.
    done = gvcodec.encode_file(path, tmp_path / "a.gvc", overwrite=True, **QUICK | way)
    assert done.frames == 25 and not done.incomplete
