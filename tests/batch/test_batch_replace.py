"""`batch --replace`: which file replaces which source, and which files are no inputs."""

import os
import shutil
from pathlib import Path

import pytest

import gvcodec
from tests.batch.test_batch import table_of, write_video
from tests.clips import ffmpeg
from tests.conftest import Said, run

pytestmark = pytest.mark.usefixtures("inline_batch")
QUICK = ("--fit", "off", "--preset", "10", "--painter", "off", "--jobs", "1", "--floor", "psnr=5")
FRAMES = 20


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_video(tmp_path_factory.mktemp("film") / "a.mp4", frames=FRAMES, sound=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "films"
    path.mkdir()
    return path


def replace(folder: Path, *words: object, code: int = 0) -> Said:
    how = words if "--keep-originals" in words else ("--delete-originals", *words)
    return run("batch", folder, "-o", folder.parent / "out", *QUICK, "--replace", *how, code=code)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if not path.is_dir())


def test_sources_with_equal_stems_get_two_files(film: Path, folder: Path) -> None:
    shutil.copy(film, folder / "film.mp4")
    # The same pictures with other sound.
    ffmpeg("-i", film, "-c:v", "copy", "-af", "volume=0.3", folder / "film.mkv")
    replace(folder)
    assert names_in(folder) == ["film.mkv.gvc", "film.mp4.gvc"]
    outputs = {row["input"]: row["output"] for row in table_of(folder.parent / "out")}
    assert all(output == f"{name}.gvc" for name, output in outputs.items())


def test_links_and_kept_originals_are_no_inputs(film: Path, folder: Path, tmp_path: Path) -> None:
    shutil.copy(film, folder / "z.mp4")
    (folder / "link.mp4").symlink_to(folder / "z.mp4")
    (folder / "loop").symlink_to(folder)
    keep = folder / "old"
    report = replace(folder, "--keep-originals", keep).err
    assert "link" in report and "skipped: link.mp4" in report
    kept = {"old/z.mp4", "z.gvc", "link.mp4"}
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    assert there == kept
    # Each night: nothing is new.
    (tmp_path / "same").symlink_to(keep)
    assert "no videos among" in replace(folder, "--keep-originals", tmp_path / "same", code=2).err
    assert (keep / "z.mp4").read_bytes() == film.read_bytes()
    assert "holds it" in replace(folder, "--keep-originals", folder, code=2).err


def test_a_link_to_another_input_is_coded_once(film: Path, folder: Path) -> None:
    shutil.copy(film, folder / "z.mp4")
    (folder / "a.mp4").symlink_to("z.mp4")
    out = folder.parent / "out"
    report = run("batch", folder, "-o", out, *QUICK[:-2]).err
    assert "1 link to another file is skipped" in report or "skipped: a.mp4" in report
    assert [Path(row["input"]).name for row in table_of(out)] == ["z.mp4"]


def test_refusals_are_counted_by_the_name_of_the_loss(film: Path, folder: Path) -> None:
    shutil.copy(film, folder / "a.mp4")
    ffmpeg("-i", film, "-c", "copy", "-timecode", "01:02:03:04", folder / "b.mov")
    ffmpeg("-i", film, "-map", "0:v", "-map", "0:v", "-c", "copy", folder / "c.mkv")
    ffmpeg("-i", film, "-map", "0:v", "-map", "0:v", "-c", "copy", folder / "d.mkv")
    report = replace(folder, code=10).err
    assert names_in(folder) == ["a.gvc", "b.mov", "c.mkv", "d.mkv"]
    counts = "video in 2 files, timecode in 1 file (--allow-loss video,timecode permits it)"
    assert counts in report and "3 originals were not replaced" in report.splitlines()[-1]
    # What is in OUT is not coded again.
    report = replace(folder, "--allow-loss", "video", code=10).err
    assert names_in(folder) == ["a.gvc", "b.mov", "c.gvc", "d.gvc"]
    assert "timecode in 1 file (--allow-loss timecode permits it)" in report


def test_a_new_file_of_a_replaced_one_s_name_is_another_one(film: Path, folder: Path) -> None:
    shutil.copy(film, folder / "clip1.mp4")
    replace(folder)
    first = (folder / "clip1.gvc").read_bytes()
    # Cameras number their files from 1 on, again and again.
    second = write_video(folder / "clip1.mp4", seed=8, frames=FRAMES)
    whole = second.read_bytes()
    for words in ((), ("--stale", "replace", "-q", "50")):
        assert "clip1.gvc exists" in replace(folder, *words, code=10).err
        assert (folder / "clip1.gvc").read_bytes() == first and second.read_bytes() == whole


@pytest.mark.parametrize("changed", ["coded file", "source"])
def test_a_file_in_out_replaces_only_the_source_that_it_was_coded_from(
    film: Path, folder: Path, tmp_path: Path, changed: str
) -> None:
    source, out = folder / "a.mp4", tmp_path / "out"
    shutil.copy(film, source)
    run("batch", folder, "-o", out, *QUICK[:-2])
    if changed == "source":
        data = bytearray(film.read_bytes())
        data[-1] ^= 1
        times = os.stat(source)
        source.write_bytes(data)
        os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    else:
        data = bytearray((out / "a.gvc").read_bytes())
        data[-1] ^= 1
        (out / "a.gvc").write_bytes(data)
    whole = source.read_bytes()
    reason = "changed after it was coded" if changed == "source" else "is another file now"
    assert reason in replace(folder, code=10).err
    assert source.read_bytes() == whole and names_in(folder) == ["a.mp4"]


def test_two_names_of_one_file_are_two_originals(film: Path, folder: Path) -> None:
    shutil.copy(film, folder / "a.mp4")
    os.link(folder / "a.mp4", folder / "b.mp4")
    replace(folder, "--keep-originals", folder.parent / "old")
    assert names_in(folder) == ["a.gvc", "b.gvc"]
    assert gvcodec.verify(folder / "b.gvc").frames == FRAMES
    assert names_in(folder.parent / "old") == ["a.mp4", "b.mp4"]
