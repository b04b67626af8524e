"""Twenty further kinds of public reports: captures, playlists, failing disks, and what programs
give. Each test makes a small input, and says what is right.

The reports are named by repository and number; the kinds, not their files, are tried.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

import gvcodec
from gvcodec.errors import IncompleteSourceError, MediaError, NoGainError, UsageError
from tests.clips import box, ffmpeg, number_of, numbered, read_film
from tests.conftest import run
from tests.errors import raises
from tests.outside.test_fifteen_kinds import FAST, encoded, made


def test_a_broadcast_capture_with_parity_is_whole(tmp_path) -> None:
    """tsduck#1542, tsduck#1021: 204 bytes a packet, the last 16 of them Reed-Solomon."""
    plain, source = made(tmp_path / "a.ts", "libx264").read_bytes(), tmp_path / "isdb.ts"
    packets = [plain[at : at + 188] + bytes(16) for at in range(0, len(plain), 188)]
    source.write_bytes(b"".join(packets))
    video, done = encoded(source)
    assert [number_of(frame) for frame in video[:]] == list(range(25)) and not done.incomplete
    source.write_bytes(b"".join(packets)[:-100])
    _, done = encoded(source, allow_damaged=True)
    assert "missing" in done.incomplete


def multipart(path: Path) -> bytes:
    words = ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-f", "mpjpeg"]
    ffmpeg("-i", made(path / "a.mkv"), *words, path / "a.mpjpeg")
    return (path / "a.mpjpeg").read_bytes().replace(b"--ffmpeg", b"--myboundary")


def test_multipart_jpeg_of_a_camera_ends_with_a_boundary(tmp_path) -> None:
    """imutils#269, cpp-mjpeg-streamer#36, esp32cam#67: FFmpeg takes the last boundary for an
    error."""
    source = tmp_path / "camera.mpjpeg"
    source.write_bytes(multipart(tmp_path))
    video, done = encoded(source)
    assert [number_of(frame) for frame in video[:]] == list(range(25)) and not done.incomplete
    gvcodec.encode_file(source, tmp_path / "b.gvc", jobs=1, keyint=10, **FAST)
    assert len(gvcodec.open(tmp_path / "b.gvc")) == 25


@pytest.mark.parametrize("way", [{}, {"jobs": 1, "keyint": 5}])
def test_what_came_before_an_error_of_reading_is_kept(tmp_path, way) -> None:
    """HandBrake#511, HandBrake#977: reading ends with an error in the middle of a recording."""
    data, source = bytearray(multipart(tmp_path)), tmp_path / "hole.mpjpeg"
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    source.write_bytes(data)
    output = tmp_path / "a.gvc"
    with pytest.raises(IncompleteSourceError, match="its end could not be read") as caught:
        gvcodec.encode_file(source, output, **FAST | way)
    done = caught.value.result
    assert isinstance(done, gvcodec.EncodeReport)
    assert any(note.startswith("reading stopped after 0.") for note in done.notes)
    numbers = [number_of(frame) for frame in gvcodec.open(output)[:]]
    assert numbers == list(range(done.frames)) and 8 < done.frames < 14


def test_a_disk_that_cannot_be_read_is_named_with_the_file() -> None:
    """HandBrake#511: an error of the disk, without saying of which file."""
    unreadable = Path("/proc/self/mem")  # nothing is mapped at its beginning
    if not unreadable.exists():
        pytest.skip("needs /proc")
    for words in (("info",), ("verify",), ("decode", "-y"), ("cut", "--start", "1")):
        output = ("o.gvc",) if words[0] in ("decode", "cut") else ()
        said = run(words[0], unreadable, *output, *words[1:], code=1)
        assert said.err == ("gvcodec: /proc/self/mem: cannot be read: Input/output error\n")


@pytest.mark.parametrize("kind", ["qoi", "pfm", "j2k"])
def test_a_folder_of_pictures_of_research(tmp_path, kind) -> None:
    """mpv#10215, Meshroom#965, sam2#589: sequences as renderers and labs write them."""
    folder = tmp_path / "frames"
    folder.mkdir()
    form = "gbrpf32le" if kind == "pfm" else "rgb24"
    source = made(tmp_path / "a.mkv", frames=3)
    ffmpeg("-i", source, "-pix_fmt", form, "-f", "image2", folder / f"f%03d.{kind}")
    output = tmp_path / "a.gvc"
    gvcodec.encode_file(folder, output, **FAST)
    assert [number_of(frame) for frame in gvcodec.open(output)[:]] == [0, 1, 2]


def playlist(folder: Path, fragments: bool = False) -> Path:
    """Five files of five frames each, and what names them."""
    folder.mkdir()
    kind = ("-hls_segment_type", "fmp4") if fragments else ()
    ffmpeg(
        *("-i", made(folder / "src.mkv"), "-c:v", "libx264", "-g", 5, "-bf", 0, "-sc_threshold", 0),
        *("-f", "hls", *kind, "-hls_time", "0.2", "-hls_list_size", 0, folder / "list.m3u8"),
    )
    return folder / "list.m3u8"


@pytest.mark.parametrize("fragments", [False, True])
def test_a_playlist_is_as_large_as_what_it_names(tmp_path, fragments) -> None:
    """mpv#1812: a recording in files of seconds. Its size is theirs."""
    source = playlist(tmp_path / "hls", fragments)
    video, done = encoded(source)
    assert [number_of(frame) for frame in video[:]] == list(range(25))
    pieces = [path for path in source.parent.iterdir() if path.suffix in (".ts", ".m4s", ".mp4")]
    assert done.source_bytes == sum(path.stat().st_size for path in pieces) > 2 * done.size
    way = {"jobs": 1, "keyint": 10, "min_gain": "10%", "overwrite": True}
    chunks = gvcodec.encode_file(source, tmp_path / "a.gvc", **FAST | way)
    assert chunks.source_bytes == done.source_bytes
    with pytest.raises(NoGainError):
        gvcodec.encode_file(source, tmp_path / "a.gvc", min_gain="99%", overwrite=True, **FAST)


def test_a_playlist_without_one_of_its_files_is_incomplete(tmp_path) -> None:
    """mpv#1812, media-kit#1295: FFmpeg goes over a file that is missing."""
    source = playlist(tmp_path / "hls")
    sorted(source.parent.glob("list*.ts"))[2].unlink()
    with pytest.raises(IncompleteSourceError, match="1 of 5 files of the playlist missing"):
        encoded(source)
    video = gvcodec.open(source.with_suffix(".gvc"))
    assert [number_of(frame) for frame in video[:]] == [*range(10), *range(15, 25)]


def test_a_playlist_reaches_no_net_and_no_other_protocol(tmp_path) -> None:
    """youtube-dl#8227, bilibili-mac-client#191: a text that is called .mp4 and names an address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        evil = tmp_path / "evil.mp4"
        for text in (
            f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{address}\n#EXT-X-ENDLIST\n",
            f"ffconcat version 1.0\nfile '{address}'\n",
        ):
            evil.write_text(text)
            with pytest.raises(MediaError):
                gvcodec.encode_file(evil, tmp_path / "a.gvc", **FAST)
            with pytest.raises(TimeoutError):
                server.accept()


@pytest.mark.parametrize(
    "given",
    [
        {"target": ["psnr=30", "lpips=0.1"]},
        {"target": 38},
        {"size": [5]},
        {"bitrate": b"5M"},
        {"max_size": object(), "target": "psnr=30"},
        {"min_gain": {}},
        {"start": "ten"},
        {"start": float("nan")},
        {"end": float("inf")},
        {"end": "0:1x"},
        {"frames": "all"},
        {"jobs": "four"},
        {"q": "fine"},
        {"q": np.ones(3)},
        {"keyint": None},
        {"zones": 5},
        {"config": {"q": 40}},
        {"input_options": {}},
    ],
    ids=str,
)
def test_values_of_another_kind_are_refused_in_words(tmp_path, given: dict[str, Any]) -> None:
    """ytdl-sub#602, frigate#9777, FediFetcher#54: what a program takes from a table."""
    source = made(tmp_path / "a.mkv", frames=2)
    options = given if "config" in given else FAST | given
    name = next(iter(given))
    with pytest.raises(
        UsageError, match=rf"^{name}: [^\n]+$|^(a )?{name} is (a|an|psnr=) ?[^\n]+$"
    ):
        gvcodec.encode_file(source, tmp_path / "a.gvc", **options)
    assert not (tmp_path / "a.gvc").exists()


def test_texts_mean_what_they_mean_on_the_command_line(tmp_path) -> None:
    source, outputs = made(tmp_path / "a.mkv"), [tmp_path / "a.gvc", tmp_path / "b.gvc"]
    texts = {"start": "0:00.4", "frames": "2", "q": "40", "threads": "1"}
    numbers = {"start": 0.4, "frames": 2, "q": 40, "threads": 1}
    for output, options in zip(outputs, (texts, numbers), strict=True):
        gvcodec.encode_file(source, output, **FAST | options)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_numbers_of_any_library_are_numbers(tmp_path) -> None:
    """ytdl-sub#602: fractions, decimals, NumPy's; a whole number that is a float."""
    from decimal import Decimal
    from fractions import Fraction

    source, output = made(tmp_path / "a.mkv"), tmp_path / "a.gvc"
    for start in (Decimal("0.4"), Fraction(2, 5), np.float64(0.4)):
        options = {"start": start, "frames": 2.0, "q": np.float32(40), "threads": 1.0}
        gvcodec.encode_file(source, output, overwrite=True, **FAST | options)
        assert [number_of(frame) for frame in gvcodec.open(output)[:]] == [10, 11]
    for wrong in ({"start": "x"}, {"end": float("nan")}):
        with raises(UsageError, "option-type"):
            gvcodec.cut(output, tmp_path / "b.gvc", **wrong)
    for scale in (-1, "640y480", (64,), ("a", "b")):
        with pytest.raises(UsageError, match=r"^scale: [^\n]+$|^a (scale|side) is [^\n]+$"):
            gvcodec.decode_file(output, tmp_path / "b.mkv", scale=scale)
    with pytest.raises(UsageError, match="look is a whole number or None, not 'bold'"):
        gvcodec.open(output, look="bold")  # type: ignore[arg-type]


def avi(path: Path, head: bytes, chunks: list[bytes]) -> Path:
    """An AVI with these pictures, under the headers of another one."""
    body, index = b"movi", b""
    for chunk in chunks:
        index += b"00dc" + struct.pack("<III", 0x10, len(body), len(chunk))
        body += b"00dc" + struct.pack("<I", len(chunk)) + chunk + bytes(len(chunk) % 2)
    lists = b"LIST" + struct.pack("<I", len(body)) + body
    data = head + lists + b"idx1" + struct.pack("<I", len(index)) + index
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    return path


def jpegs_of(path: Path) -> tuple[bytes, list[bytes]]:
    ffmpeg("-i", made(path / "a.mkv"), "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", path / "j.avi")
    data = (path / "j.avi").read_bytes()
    at = data.find(b"movi") + 4
    pictures = []
    while data[at : at + 4] == b"00dc":
        (size,) = struct.unpack("<I", data[at + 4 : at + 8])
        pictures.append(data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return data[: data.find(b"movi") - 8], pictures


def test_frames_that_a_capture_dropped_leave_their_time(tmp_path) -> None:
    """L-SMASH-Works#69, vrecord#703: a chunk of no bytes stands for the picture before it."""
    head, pictures = jpegs_of(tmp_path)
    kept = [number for number in range(25) if number % 5 != 3]
    dropped = [picture if number in kept else b"" for number, picture in enumerate(pictures)]
    source = avi(tmp_path / "capture.avi", head, dropped)
    for way in ({}, {"jobs": 1, "keyint": 10}):
        video, done = encoded(source, **way)
        assert [number_of(frame) for frame in video[:]] == kept and not done.incomplete
        gvcodec.decode_file(tmp_path / "capture.gvc", tmp_path / "out.mkv", overwrite=True)
        seconds = read_film(tmp_path / "out.mkv").seconds
        assert [round(float(second) * 25) for second in seconds] == kept


def test_two_fields_in_a_packet_are_one_frame(tmp_path) -> None:
    """MediaInfoLib#57: JPEG of capture cards, each field a picture (AVI1)."""

    def field(rows: np.ndarray, polarity: int) -> bytes:
        data = io.BytesIO()
        Image.fromarray(rows).save(data, "JPEG", quality=95, subsampling=2)
        jpeg = data.getvalue()
        mark = b"\xff\xe0\0\x10AVI1" + bytes([polarity]) + bytes(9)
        return jpeg[:2] + mark + jpeg[20:]

    head, _ = jpegs_of(tmp_path)
    pictures = [field(numbered(n)[0::2], 1) + field(numbered(n)[1::2], 2) for n in range(25)]
    video, _ = encoded(avi(tmp_path / "fields.avi", head, pictures))
    assert [number_of(frame) for frame in video[:]] == list(range(25))
    assert (video.metadata.width, video.metadata.height) == (64, 48)


def test_a_stream_without_keyframes_can_be_entered(tmp_path) -> None:
    """ExoPlayer#1654, webcodecs#710, mpp#523: intra refresh of drones and game streams."""
    source = tmp_path / "refresh.ts"
    refresh = "intra-refresh=1:keyint=10:bframes=0"
    ffmpeg("-i", made(tmp_path / "a.mkv"), "-c:v", "libx264", "-x264-params", refresh, source)
    for way, first in (({}, 0), ({"start": 0.48}, 12), ({"jobs": 1, "keyint": 5}, 0)):
        video, _ = encoded(source, **way)
        assert [number_of(frame) for frame in video[:]] == list(range(first, 25))


@pytest.mark.parametrize(("form", "ending"), [("WEBP", "jpg"), ("JPEG", "png"), ("TIFF", "jpg")])
def test_a_picture_is_read_by_what_it_holds(tmp_path, form, ending) -> None:
    """imageio#875, MasaCMS#193: a browser's picture under the name of another kind."""
    source = tmp_path / f"a.{ending}"
    Image.fromarray(numbered(37)).save(source, form)
    video, _ = encoded(source)
    assert [number_of(frame) for frame in video[:]] == [37]
    shutil.copy(made(tmp_path / "a.mkv"), tmp_path / f"film.{ending}")
    assert len(encoded(tmp_path / f"film.{ending}")[0]) == 25


def test_a_recording_of_more_than_four_gigabytes(tmp_path) -> None:
    """pymp4#15, BlackboxToGPMF#6, srs#2800: sizes and places of 64 bits."""
    plain, source, hole = tmp_path / "a.mp4", tmp_path / "large.mp4", 5 << 30
    ffmpeg(
        *("-i", made(tmp_path / "a.mkv"), "-c:v", "libx264", "-bf", 0),
        *("-movflags", "+faststart", plain),
    )
    data, boxes, at = plain.read_bytes(), {}, 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        boxes[kind] = (at, data[at + 8 : at + size])
        at += size

    def moved(body: bytes, by: int) -> bytes:
        out, at = b"", 0
        while at + 8 <= len(body):
            size, kind = struct.unpack(">I4s", body[at : at + 8])
            inside = body[at + 8 : at + size]
            if kind in (b"trak", b"mdia", b"minf", b"stbl"):
                inside = moved(inside, by)
            elif kind == b"stco":
                count = struct.unpack(">I", inside[4:8])[0]
                places = struct.unpack(f">{count}I", inside[8 : 8 + 4 * count])
                kind = b"co64"
                inside = inside[:8] + struct.pack(f">{count}Q", *(p + by for p in places))
            out, at = out + box(kind, inside), at + size
        return out

    place, pictures = boxes[b"mdat"]
    moov = boxes[b"moov"][1]
    before = len(box(b"ftyp", boxes[b"ftyp"][1])) + len(box(b"moov", moved(moov, 0)))
    with open(source, "wb") as file:
        file.write(box(b"ftyp", boxes[b"ftyp"][1]))
        file.write(box(b"moov", moved(moov, before + 16 + hole + 16 - place - 8)))
        file.write(struct.pack(">I4sQ", 1, b"free", 16 + hole))
        file.seek(before + 16 + hole)
        file.write(struct.pack(">I4sQ", 1, b"mdat", 16 + len(pictures)) + pictures)
    if os.stat(source).st_blocks * 512 > 1 << 20:
        pytest.skip("this file system keeps no holes")
    video, done = encoded(source)
    assert [number_of(frame) for frame in video[:]] == list(range(25)) and not done.incomplete


def test_a_parent_that_ignores_its_children(tmp_path) -> None:
    """leerie#58, bspwm#1534, collectd#3526: SIGCHLD is ignored, and no child has an exit code."""
    source = made(tmp_path / "a.mkv")
    words = [sys.executable, "-m", "gvcodec", "encode", source, "--fit", "off", "--preset", "10"]
    ignore = lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    subprocess.run([*words, tmp_path / "a.gvc"], check=True, preexec_fn=ignore)
    assert gvcodec.verify(tmp_path / "a.gvc").frames == 25


def test_a_name_like_an_option_is_a_file(tmp_path, monkeypatch) -> None:
    """moviepy#2160, lux#810, ffmpeg-python#406: titles that begin with a dash."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(made(tmp_path / "a.mkv"), "-Zx_title.mkv")
    run("encode", "-i", "-Zx_title.mkv", "--fit", "off", "--preset", "10")
    assert len(gvcodec.open("./-Zx_title.gvc")) == 25


def test_a_packet_without_data_is_the_picture_before_it(tmp_path) -> None:
    """L-SMASH-Works#69: Theora of screen recorders says so that nothing has changed."""
    source = tmp_path / "screen.ogv"
    stands = "select='lt(n,5)',tpad=stop_mode=clone:stop=45,setpts=N/25/TB"
    try:
        ffmpeg(
            "-i", made(tmp_path / "a.mkv"), "-vf", stands, "-c:v", "libtheora", "-q:v", 9, source
        )
    except subprocess.CalledProcessError:
        pytest.skip("needs an ffmpeg with libtheora")
    for way in ({}, {"jobs": 1, "keyint": 10}):
        video, done = encoded(source, **way)
        assert not done.incomplete and not any("damaged" in note for note in done.notes)
        shown = [number_of(f) for f in video.get_frames_played_at([0.05, 0.5, 1.2, 1.99]).data]
        assert shown == [1, 4, 4, 4]
        assert video.metadata.duration_seconds == 2


def test_a_long_description_costs_no_title(tmp_path) -> None:
    """mobile-ffmpeg#331, mpc-hc#3311: descriptions of any length; a packet has 64 KB for all."""
    source = tmp_path / "song.mkv"
    texts = {"title": "Jóga", "artist": "Björk", "comment": "x" * 70_000, "lyrics": "la\n" * 9000}
    words = [word for tag in texts.items() for word in ("-metadata", "=".join(tag))]
    ffmpeg("-i", made(tmp_path / "a.mkv"), *words, "-c", "copy", source)
    _, done = encoded(source)
    assert "tag comment left out: too long for the metadata of a file" in done.notes
    gvcodec.decode_file(tmp_path / "song.gvc", tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as written:
        kept = {name.lower(): text for name, text in written.metadata.items()}
    assert kept["title"] == texts["title"] and kept["artist"] == texts["artist"]
    assert kept["lyrics"].split() == texts["lyrics"].split() and "comment" not in kept


@pytest.mark.parametrize("name", ["films.txt", "film.nfo", "read.diz", "table.idf"])
def test_a_text_is_no_video(tmp_path, name) -> None:
    """CloudPlayerDemo#10: by its name FFmpeg draws any text, a list of films too, as a film."""
    source = tmp_path / name
    source.write_text("one.mp4\ntwo.mp4\n" * 400)
    with pytest.raises(MediaError, match="is a text, which FFmpeg|not a video that"):
        encoded(source)
    assert not source.with_suffix(".gvc").exists()
