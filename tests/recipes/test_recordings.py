"""A recorder's folder: segments as Frigate writes them, archived and joined."""

import shutil
import subprocess
from pathlib import Path

import av
import pytest

import gvcodec
from gvcodec.cli import main
from gvcodec.planes import rgb_from_planes
from gvcodec.types import Colour
from tests.clips import write_pictures
from tests.conftest import moving_texture
from tests.recipes.commands import blocks, server_command

FFMPEG = shutil.which("ffmpeg")
pytestmark = pytest.mark.skipif(FFMPEG is None, reason="needs ffmpeg")
HOUR = Path("2026-11-30/17/garden")


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Two segments of twelve seconds at 2 frames a second, in Frigate's folders."""
    camera = tmp_path / "camera.mp4"
    clip = [rgb_from_planes(p, Colour(matrix=1)) for p in moving_texture(96, 64, 24)]
    write_pictures(camera, clip, rate=2, g="4")
    segments = tmp_path / "cache"
    segments.mkdir()
    words = server_command("frigate", 0, IN=camera.with_suffix(""), OUT=segments / "garden@%M.%S")
    # `-strftime 1` names segments for the second they begin in, here within one: number them.
    words[words.index("-strftime") + 1] = "0"
    words[-1] = str(segments / "05.%d0.mp4")
    call(words)
    folder = tmp_path / "recordings" / HOUR
    folder.mkdir(parents=True)
    for segment in sorted(segments.iterdir()):
        names = {"IN": segment.with_suffix(""), "OUT": folder / segment.stem}
        call(server_command("frigate", 1, **names))
    return tmp_path / "recordings"


def call(words: list[str]) -> None:
    subprocess.run([FFMPEG, *words], capture_output=True, timeout=60, check=True)


def page_command(number: int) -> list[str]:
    """Words after `gvcodec` of a block of the page."""
    program, *words = blocks("frigate", "sh")[number].split()
    assert program == "gvcodec"
    return words


@pytest.mark.usefixtures("inline_batch")
def test_recordings_are_archived_once_and_an_hour_becomes_one_film(
    recordings: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(recordings.parent)
    segments = sorted(recordings.rglob("*.mp4"))
    before = {path: path.read_bytes() for path in segments}
    assert len(segments) == 2
    quick = ["--preset", "10", "--fit", "off", "--jobs", "1"]
    words = page_command(0)
    words[words.index("--jobs") :] = quick
    assert main(words) == 0
    archive = [Path("archive") / path.relative_to(recordings) for path in segments]
    for path, source in zip(archive, segments, strict=True):
        assert abs(path.stat().st_mtime - source.stat().st_mtime) < 2
        with av.open(str(source)) as a, av.open(str(path)) as b:
            assert b.streams.video[0].codec_context.name in ("av1", "libdav1d")
            assert a.streams.video[0].frames == gvcodec.info(path).frames
    assert {path: path.read_bytes() for path in segments} == before

    times = [path.stat().st_mtime_ns for path in archive]
    inodes = [path.stat().st_ino for path in archive]
    assert main(words) == 0  # the next night
    assert [path.stat().st_mtime_ns for path in archive] == times
    assert [path.stat().st_ino for path in archive] == inodes

    hour = page_command(1)
    place = next(n for n, word in enumerate(hour) if "*" in word)
    hour[place : place + 1] = [str(path) for path in sorted(Path().glob(hour[place]))]
    assert main(hour) == 0
    assert gvcodec.info(hour[-1]).frames == 24
