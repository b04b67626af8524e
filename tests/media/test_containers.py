"""What a container says of its videos: cropping, Dolby Vision, which track is coded, tags and sound
that are kept."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

import gvcodec
from eval.sequences import file_source
from gvcodec.batch.tasks import make_plan
from gvcodec.source.conversion import read_stored
from gvcodec.source.reader import VideoReader
from tests.clips import add_video, box, copy_tracks, packets_of, put_planes, read_film, sound_of
from tests.conftest import moving_texture, planes_equal, run
from tests.media.test_real_sound import QUICK

PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def with_box(data: bytes, entry: bytes, added: bytes) -> bytes:
    out, at = b"", 0
    while at + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + size]
        if name in PARENTS:
            body = with_box(body, entry, added)
        elif name == b"stsd":
            body = body[:8] + with_box(body[8:], entry, added)
        elif name == entry:
            body += added
        out += box(name, body)
        at += size
    return out


def clap(width: int, height: int, right: int = 0, down: int = 0) -> bytes:
    values = (width, 1, height, 1, 2 * right, 2, 2 * down, 2)
    return box(b"clap", struct.pack(">4I", *values[:4]) + struct.pack(">iIiI", *values[4:]))


def dolby(profile: int, compatibility: int) -> bytes:
    level = struct.pack(">H", profile << 9 | 1 << 3 | 0b101)
    return box(b"dvcC", b"\1\0" + level + bytes([compatibility << 4]) + bytes(19))


def written(path: Path, codec: str, entry: bytes, added: bytes, suffix: str) -> Path:
    """64×48 pixels with this box, in MP4 or copied from it to another kind of file."""
    with av.open(str(path / "plain.mp4"), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"qp": "0"} if codec == "libx264" else {"x265-params": "log-level=none"}
        if codec == "libx265":
            stream.codec_context.codec_tag = "hvc1"
        put_planes(container, stream, moving_texture(64, 48, 4))
    made = path / "made.mp4"
    made.write_bytes(with_box((path / "plain.mp4").read_bytes(), entry, added))
    if suffix == ".mp4":
        return made
    return copy_tracks(made, path / f"copy{suffix}")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("size", "moved", "corner"), [((40, 32), (0, 0), (12, 8)), ((50, 30), (-3, 5), (4, 14))]
)
def test_pictures_are_cropped_as_the_container_asks(tmp_path, suffix, size, moved, corner) -> None:
    path = written(tmp_path, "libx264", b"avc1", clap(*size, *moved), suffix)
    with VideoReader(tmp_path / "plain.mp4") as reader:
        whole = [frame.planes for frame in reader]
    with VideoReader(path) as reader:
        assert (reader.format.width, reader.format.height) == size
        assert f"cropped to {size[0]}×{size[1]} as the file asks" in reader.notes
        shown = [frame.planes for frame in reader]
    (width, height), (left, top) = size, corner
    for (y, u, v), cropped in zip(whole, shown, strict=True):
        parts = [y[top : top + height, left : left + width]]
        half = np.s_[top // 2 : (top + height) // 2, left // 2 : (left + width) // 2]
        parts += [plane[half] for plane in (u, v)]
        assert planes_equal(cropped, tuple(map(np.ascontiguousarray, parts)))


def test_a_crop_that_leaves_nothing_is_none(tmp_path) -> None:
    path = written(tmp_path, "libx264", b"avc1", clap(0, 0), ".mp4")
    with VideoReader(path) as reader:
        assert (reader.format.width, reader.format.height) == (64, 48)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("profile", "compatibility"), [(5, 0), (8, 1), (8, 4)])
def test_dolby_vision_without_a_base_layer_is_said(tmp_path, suffix, profile, compatibility):
    path = written(tmp_path, "libx265", b"hvc1", dolby(profile, compatibility), suffix)
    with av.open(str(path)) as container:
        assert read_stored(container.streams.video[0]).dolby_vision == (profile, compatibility)
    with VideoReader(path) as reader:
        said = [note for note in reader.notes if "Dolby Vision profile 5" in note]
    assert bool(said) == (compatibility == 0)


COVER, FILM = (96, 80), (64, 48)
DEFAULT, PICTURE = Disposition.default, Disposition.attached_pic


def add(container, codec: str, size: tuple[int, int], flags: int = 0):
    pix_fmt = {"mjpeg": "yuvj420p", "png": "rgb24"}.get(codec, "yuv420p")
    stream = add_video(container, *size, codec, pix_fmt=pix_fmt)
    stream.disposition = Disposition(flags)
    return stream


def fill(container, stream, count: int, first: int = 0) -> None:
    put_planes(container, stream, moving_texture(stream.width, stream.height, count), 8, first)


CASES = {
    "a thumbnail first": (".mkv", [("mjpeg", COVER, 0, 1), ("mpeg4", FILM, DEFAULT, 8)]),
    "a picture first": (".mkv", [("mjpeg", COVER, PICTURE, 1), ("mpeg4", FILM, 0, 8)]),
    "no flags": (".wmv", [("mjpeg", COVER, 0, 1), ("wmv2", FILM, 0, 8)]),
    "a thumbnail by default": (".mov", [("mjpeg", COVER, DEFAULT, 1), ("h264", FILM, 0, 8)]),
    "the default second": (".mkv", [("mpeg4", COVER, 0, 8), ("mpeg4", FILM, DEFAULT, 8)]),
    "a cover last": (".mp4", [("mpeg4", FILM, 0, 8), ("mjpeg", COVER, PICTURE, 1)]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_film_is_coded_not_what_stands_before_it(tmp_path: Path, case: str) -> None:
    suffix, tracks = CASES[case]
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as container:
        streams = [add(container, *track[:3]) for track in tracks]
        for stream, track in zip(streams, tracks, strict=True):
            fill(container, stream, track[3])
    film = read_film(path)
    assert (film.reader.format.width, film.reader.format.height) == FILM
    assert len(film.planes) == 8 and len(read_film(path, start=0.2).planes) == 3
    assert make_plan(str(path), 0.0, None, 8).frames == 8
    raw = file_source(path, "t").prepare(0, tmp_path / "eval").raw
    assert (raw.width, raw.height, raw.frames) == (*FILM, 8)


def test_sound_is_that_of_the_same_programme() -> None:
    """A transport stream of two programmes of video and sound, and one of the radio."""
    with VideoReader(Path(__file__).with_name("programmes.ts")) as reader:
        list(reader)
        assert (reader.format.width, reader.format.height) == FILM
        assert [stream.id for stream in reader.tracks.streams] == [0x102]
    assert any(note.startswith("3 other tracks (audio, video) left out") for note in reader.notes)


def joined(folder: Path, *parts: dict[str, str], sounds: bool) -> Path:
    """A transport stream of parts of 8 frames, made with these options, the last with sound."""
    whole = b""
    for number, options in enumerate(parts):
        path = folder / f"{number}.ts"
        with av.open(str(path), "w", format="mpegts", options=options) as container:
            video, sound = add(container, "mpeg2video", FILM), None
            if sounds and number == len(parts) - 1:
                sound = container.add_stream("mp2", rate=48000, layout="mono")
            fill(container, video, 8, 8 * number)
            if sound is not None:
                data = np.full((1, 48000 * 8 // 25), 900, np.int16)
                heard = sound_of(data, 48000, 48000 * 8 // 25)
                container.mux([*sound.encode(heard), *sound.encode(None)])
        whole += path.read_bytes()
    (folder / "whole.ts").write_bytes(whole)
    return folder / "whole.ts"


def test_sound_that_a_later_table_adds_is_kept(tmp_path: Path) -> None:
    whole = joined(tmp_path, {"pat_period": "0.1"}, {"pat_period": "0.1"}, sounds=True)
    run("encode", whole, tmp_path / "a.gvc", *QUICK)
    run("decode", tmp_path / "a.gvc", tmp_path / "a.mkv")
    times = [p.pts * p.time_base for p in packets_of(tmp_path / "a.mkv")]
    assert len(times) >= 12 and float(times[0]) == pytest.approx(0.32, abs=0.05)


def test_a_video_that_goes_on_under_another_number_is_said(tmp_path: Path) -> None:
    numbers = ({"mpegts_start_pid": str(first)} for first in (0x100, 0x120))
    with VideoReader(joined(tmp_path, *numbers, sounds=False)) as reader:
        assert len(list(reader)) == 8
        assert any(note.startswith("the video ends after 0.32 s") for note in reader.notes)


FAST = {"base": "av1", "preset": 10, "fit": 0, "q": 55}
PHONE = {
    "com.apple.quicktime.make": "Maker",
    "com.apple.quicktime.creationdate": "2024-05-01T10:00:00+0200",
    "title": "Alps",
    "description": "a walk",
    "keywords": "snow",
    "creation_time": "2024-05-01T08:00:00.000000Z",
}


def recording(path: Path, sound: str = "", metadata: dict[str, str] | None = None) -> Path:
    options = {"movflags": "use_metadata_tags"} if path.suffix == ".mov" else {}
    with av.open(str(path), "w", options=options) as container:
        container.metadata.update(metadata or {})
        video = add_video(container, 64, 64)
        voice = container.add_stream(sound, rate=8000, layout="mono") if sound else None
        put_planes(container, video, moving_texture(64, 64, 12))
        if voice is not None:
            wave = (9000 * np.sin(np.arange(4000) / 3)).astype(np.int16)[None]
            container.mux([*voice.encode(sound_of(wave, 8000)), *voice.encode(None)])
    return path


def written_tags(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return {name.lower(): text for name, text in container.metadata.items()}


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
def test_tags_of_a_phone_stay_in_every_file(tmp_path, suffix: str) -> None:
    recording(tmp_path / "a.mov", metadata=PHONE)
    gvcodec.encode_file(tmp_path / "a.mov", tmp_path / "a.gvc", **FAST)
    done = gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / f"b.{suffix}", fidelity=True)
    assert not [line for line in done.outcome if "left out" in line]
    assert PHONE.items() <= written_tags(tmp_path / f"b.{suffix}").items()
    if suffix != "mov":
        gvcodec.encode_file(tmp_path / "a.mov", tmp_path / f"c.{suffix}", **FAST)
        assert PHONE.items() <= written_tags(tmp_path / f"c.{suffix}").items()


def test_tags_with_places_of_their_own_keep_them(tmp_path) -> None:
    """Players look for a title there."""
    recording(tmp_path / "a.mkv", metadata={"title": "Alps", "artist": "Anna"})
    gvcodec.encode_file(tmp_path / "a.mkv", tmp_path / "a.gvc", **FAST)
    gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / "b.mp4", fidelity=True)
    assert b"\xa9nam" in (tmp_path / "b.mp4").read_bytes()
    assert b"mdta" not in (tmp_path / "b.mp4").read_bytes()


def test_a_tag_that_mp4_wants_as_a_number_is_kept_as_text(tmp_path) -> None:
    """The number of a track, as of an album: such tags go into a list of texts."""
    recording(tmp_path / "a.mkv", metadata={"artist": "Anna", "track": "side A"})
    gvcodec.encode_file(tmp_path / "a.mkv", tmp_path / "a.gvc", **FAST)
    done = gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / "b.mp4", fidelity=True)
    assert not [line for line in done.outcome if "left out" in line]
    tags = written_tags(tmp_path / "b.mp4")
    assert (tags["artist"], tags["track"]) == ("Anna", "side A")


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
@pytest.mark.parametrize("codec", ["pcm_alaw", "pcm_mulaw"])
def test_sound_of_a_camera_is_kept_sample_by_sample(tmp_path, codec: str, suffix: str) -> None:
    def samples(path: Path) -> np.ndarray:
        with av.open(str(path)) as container:
            return np.concatenate([f.to_ndarray().ravel() for f in container.decode(audio=0)])

    recording(tmp_path / "a.mov", codec)
    gvcodec.encode_file(tmp_path / "a.mov", tmp_path / "a.gvc", **FAST)
    done = gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / f"b.{suffix}", fidelity=True)
    assert not [line for line in done.outcome if "left out" in line]
    assert np.array_equal(samples(tmp_path / f"b.{suffix}"), samples(tmp_path / "a.mov"))
