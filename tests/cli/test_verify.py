"""`gvcodec verify`: folders and several files, and a source that differs."""

import csv
import hashlib
from pathlib import Path

import pytest

import gvcodec
from tests.clips import add_video, ffmpeg, make_clip, put_planes, write_clip
from tests.conftest import run

QUICK = ("--fit", "off", "--painter", "off", "--preset", "10")
FRAMES = 12


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("film") / "a.mkv", make_clip(96, 64, FRAMES))


@pytest.fixture(scope="module")
def stream(film: Path) -> Path:
    run("encode", film, film.with_suffix(".gvc"), *QUICK)
    return film.with_suffix(".gvc")


def test_a_folder_is_verified_with_a_line_for_each_file_and_a_table(stream, film, tmp_path) -> None:
    archive, table = tmp_path / "archive", tmp_path / "table.csv"
    (archive / "sub").mkdir(parents=True)
    data = stream.read_bytes()
    (archive / "good.gvc").write_bytes(data)
    run("extract", stream, archive / "sub" / "one.mp4")
    (archive / "film.mkv").write_bytes(film.read_bytes())
    (archive / "list.txt").write_text("list")
    said = run("verify", archive, "--csv", table)
    assert said.out.count("\n") == 2 and "2 files: 2 right" in said.err and "film.mkv" in said.err
    rows = {Path(row["file"]).name: row for row in csv.DictReader(table.open())}
    assert set(rows) == {"good.gvc", "one.mp4"}
    row = rows["good.gvc"]
    assert (row["result"], row["frames"], row["bytes"]) == ("ok", str(FRAMES), str(len(data)))
    assert row["sha256"] == hashlib.sha256(data).hexdigest()
    assert row["base_hash"] == gvcodec.info(data).base_hash

    (archive / "sub" / "cut.gvc").write_bytes(data[: len(data) // 2])
    (archive / "other.gvc").write_bytes(b"no stream at all")
    said = run("verify", archive, "--csv", table, "-y", "--quiet", code=6)
    assert said.out.count("\n") == 2 and "4 files: 2 right, 2 not" in said.err
    results = {Path(r["file"]).name: r["result"] for r in csv.DictReader(table.open())}
    assert results["other.gvc"] == "not-gvcodec" and results["cut.gvc"] not in ("ok", "")


def test_several_files_and_wrong_calls(stream: Path, tmp_path) -> None:
    assert run("verify", stream, stream).out.count("ok") == 2
    said = run("verify", stream, tmp_path / "none.gvc", code=6)
    assert "none.gvc: No such file" in said.out
    (tmp_path / "empty").mkdir()
    for words in (
        [tmp_path / "empty"],
        [stream, "-"],
        [stream, stream, "--source", "a.mkv"],
        [stream, "--floor", "psnr=30"],
        [stream, "--scale", "x32"],
        [stream, "--source", stream, "--floor", "vmaf=90"],
    ):
        assert run("verify", *words, code=2).err.count("\n") == 1
    table = tmp_path / "there.csv"
    table.write_text("kept")
    run("verify", tmp_path / "none.gvc", "--csv", table, code=1)
    assert table.read_text() == "kept" and len(list(tmp_path.iterdir())) == 2


def test_a_source_of_other_frames_times_or_size_ends_with_code_10(film, stream, tmp_path) -> None:
    assert not run("verify", stream, "--source", film, "--floor", "psnr=10").err
    assert "below 60" in run("verify", stream, "--source", film, "--floor", "psnr=60", code=10).err
    fewer = write_clip(tmp_path / "fewer.mkv", make_clip(96, 64, FRAMES - 1))
    large = write_clip(tmp_path / "large.mkv", make_clip(192, 128, FRAMES))
    tall = write_clip(tmp_path / "tall.mkv", make_clip(96, 96, FRAMES))
    ffmpeg("-itsscale", "1.02", "-i", film, "-c", "copy", tmp_path / "slow.mkv")
    for source, word in (
        (fewer, f"{FRAMES - 1} frames, the stream has {FRAMES}"),
        (large, "192×128 samples, the stream has 96×64"),
        (tall, "96×96"),
        (tmp_path / "slow.mkv", "frame 3 at"),
    ):
        said = run("verify", stream, "--source", source, code=10).err
        assert word in said and said.count("\n") == 1, said
    report = gvcodec.verify(stream, fewer)
    assert report.compared == FRAMES - 1 and len(report.differences) == 1


@pytest.mark.parametrize(
    "change",
    ["--start 0.12 --duration 0.2", "--to 0.3", "--fps 10", "--scale x32", "--start .1 --frames 3"],
)
def test_a_change_that_the_call_names_is_no_difference(film, tmp_path, change: str) -> None:
    changed = tmp_path / "b.gvc"
    run("encode", film, changed, *QUICK, *change.split())
    run("verify", changed, "--source", film, code=10)
    run("verify", changed, "--source", film, *change.split(), "--floor", "psnr=20")
    run("verify", changed, "--source", film, *change.split(), "--frames", "2", code=10)


def test_a_film_of_irregular_times_is_its_own_source(tmp_path) -> None:
    import av

    film = tmp_path / "v.mkv"
    with av.open(str(film), "w") as container:
        video = add_video(container, 96, 64)
        put_planes(container, video, make_clip(96, 64, 6), 25)
    times = "setpts='if(lt(N,3),N,N*1.7)/25/TB'"
    ffmpeg("-i", film, "-vf", times, "-fps_mode", "passthrough", tmp_path / "w.mkv")
    run("encode", tmp_path / "w.mkv", tmp_path / "w.gvc", *QUICK)
    run("verify", tmp_path / "w.gvc", "--source", tmp_path / "w.mkv")
    run("verify", tmp_path / "w.gvc", "--source", film, code=10)
