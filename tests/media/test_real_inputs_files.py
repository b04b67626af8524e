"""Truncated files, odd names, URIs, pipes; a note for everything that is dropped."""

import io
import tempfile
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec as api
from gvcodec.errors import MediaError, UsageError
from gvcodec.source.reader import VideoReader
from tests.clips import add_video, put_pictures, read_film
from tests.conftest import Pipe, metadata_of, run
from tests.media.test_clocks import QUICK, picture, recording


def made(kind: str, codec: str = "libx264", frames: int = 25, **options: str) -> bytes:
    """A file of noise. The index of an MP4 file goes to its front by a second look at it."""
    rng = np.random.default_rng(1)
    with (
        tempfile.TemporaryDirectory() as folder,
        av.open(f"{folder}/a", "w", format=kind, options=options) as container,
    ):
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.thread_count = 2  # the size of MJPEG depends on it
        noise = (rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(frames))
        put_pictures(container, stream, noise)
        container.close()
        return Path(folder, "a").read_bytes()


KINDS = {
    "mp4": lambda: made("mp4", movflags="+faststart"),
    "mov": lambda: made("mov", "mjpeg", movflags="+faststart"),
    "frag.mp4": lambda: made("mp4", movflags="frag_keyframe+empty_moov"),
    "mkv": lambda: made("matroska"),
    "avi": lambda: made("avi", "mjpeg"),
    "y4m": lambda: made("yuv4mpegpipe", "wrapped_avframe"),
}


@pytest.mark.parametrize("share", [0.55, 0.83])
@pytest.mark.parametrize("kind", KINDS)
def test_the_frames_before_the_end_of_a_cut_off_file_are_kept(tmp_path, kind, share):
    data = KINDS[kind]()
    whole, cut = tmp_path / f"whole.{kind}", tmp_path / f"cut.{kind}"
    whole.write_bytes(data)
    cut.write_bytes(data[: int(len(data) * share)])
    film = read_film(whole)
    every, notes = [y.tobytes() for y, *_ in film.planes], film.reader.notes
    assert len(every) == 25 and film.reader.incomplete == ""
    assert not any("cut off" in note or "damaged" in note for note in notes)
    film = read_film(cut)
    found, notes = [y.tobytes() for y, *_ in film.planes], film.reader.notes
    assert len(found) >= int(25 * share) - 4 and set(found) <= set(every)
    assert any(f"the file is cut off: it has {len(found)} frames" in note for note in notes)


def piped(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Input:
        buffer = io.BufferedReader(Pipe(data))

    monkeypatch.setattr("sys.stdin", Input())


def test_an_index_behind_the_pictures_of_a_pipe_is_named(tmp_path, monkeypatch) -> None:
    # More than FFmpeg keeps of what it has read.
    piped(made("mp4", frames=60), monkeypatch)
    error = run("encode", "-", tmp_path / "a.gvc", "--fit", "off", code=1).err
    assert "moov" in error and "faststart" in error and error.count("\n") == 1
    piped(KINDS["mp4"](), monkeypatch)
    run("encode", "-", tmp_path / "a.gvc", "--fit", "off")


def test_a_missing_index_says_that_the_file_is_cut_off(tmp_path) -> None:
    recording("mp4", path=tmp_path / "a.mp4")
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"moov.* is missing: the file is cut off"):
        VideoReader(tmp_path / "cut.mp4")


def test_a_cut_off_y4m_on_a_pipe_is_named(monkeypatch) -> None:
    piped(KINDS["y4m"]()[:-100], monkeypatch)
    film = read_film("-")
    assert len(film.planes) == 24 and "the file is cut off: it has 24 frames" in film.reader.notes


def test_uris_are_read_by_fsspec(tmp_path) -> None:
    import fsspec

    recording("mp4", path=tmp_path / "a b%.mp4")
    data = (tmp_path / "a b%.mp4").read_bytes()
    with fsspec.open("memory://films/a.mp4", "wb") as remote:
        remote.write(data)
    api.encode_file(tmp_path / "a b%.mp4", tmp_path / "a.gvc", **QUICK)
    wanted = (tmp_path / "a.gvc").read_bytes()
    for number, source in enumerate(("memory://films/a.mp4", (tmp_path / "a b%.mp4").as_uri())):
        api.encode_file(source, tmp_path / f"{number}.gvc", **QUICK)
        assert (tmp_path / f"{number}.gvc").read_bytes() == wanted
    with fsspec.open("memory://films/a.gvc", "wb") as remote:
        remote.write(wanted)
    assert len(list(api.decode("memory://films/a.gvc", fidelity=True))) == 10
    with pytest.raises(MediaError, match="No such file"):
        VideoReader("memory://films/none.mp4")
    with pytest.raises(UsageError, match="unknown"):
        VideoReader("unknown://films/none.mp4")


def test_tags_travel_with_the_video(tmp_path) -> None:
    tags = {"title": "T", "artist": "Me", "comment": "A comment"}
    tags |= {"creation_time": "2024-01-02T03:04:05.000000Z", "location": "+48.1000+011.5000/"}
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        container.metadata.update(tags)
        put_pictures(container, add_video(container, 64, 48), [picture(0)])
    said = run("encode", tmp_path / "a.mp4", tmp_path / "a.gvc", "--fit", "off", "--preset", 10)
    assert "kept as metadata: creation_time" in said.err
    assert "artist: Me" in run("info", tmp_path / "a.gvc").out
    found = metadata_of(tmp_path / "a.gvc")
    assert dict(found.tags) | {"title": found.title} == tags
    for name in ("b.mp4", "b.mkv"):
        run("decode", tmp_path / "a.gvc", tmp_path / name, "--fidelity")
        with av.open(str(tmp_path / name)) as container:
            kept = {key.lower(): text for key, text in container.metadata.items()}
        assert {key: kept.get(key) for key in tags} == tags
    assert "artist" in run("decode", tmp_path / "a.gvc", tmp_path / "b.y4m", "--fidelity").err


def test_what_is_lost_is_named(tmp_path) -> None:
    """Marks of the container."""
    with av.open(str(tmp_path / "marks.mkv"), "w") as container:
        stream = add_video(container, 64, 48)
        stream.metadata.update(stereo_mode="left_right", alpha_mode="1")
        put_pictures(container, stream, [picture(0)])
    lost = {"alpha left out", "the mark of stereo 3D left out"}
    assert lost <= set(read_film(tmp_path / "marks.mkv").reader.notes)
