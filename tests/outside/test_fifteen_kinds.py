"""Eighteen kinds of public reports about video tools, from fields that keep odd files: each test
makes a small input, and says what is right.

The reports are named by repository and number; the kinds, not their files, are tried.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import shutil
import struct
import tarfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import fsspec
import numpy as np
import pytest

import gvcodec
from gvcodec.errors import MediaError
from tests.clips import box, ffmpeg, number_of, numbered, read_film, write_pictures
from tests.conftest import run

FAST: dict[str, Any] = {"preset": 10, "fit": 0}
WIDTH, HEIGHT = 64, 48


def made(path: Path, codec: str = "ffv1", frames: int = 25, rate: int = 25, **options: str) -> Path:
    """A film of numbered pictures."""
    return write_pictures(path, map(numbered, range(frames)), codec, rate, **options)


def encoded(source: Path, **options: Any) -> tuple[gvcodec.Video, gvcodec.EncodeReport]:
    output = source.with_suffix(".gvc")
    done = gvcodec.encode_file(source, output, overwrite=True, **FAST | options)
    return gvcodec.open(output), done


def test_a_drone_recording_with_klv_telemetry(tmp_path) -> None:
    """mediamtx#3811, klv-decoder#6, restreamer#923: telemetry in a data stream of a TS."""
    plain, source = made(tmp_path / "a.ts", "libx264"), tmp_path / "klv.ts"
    with av.open(str(plain)) as given, av.open(str(source), "w", format="mpegts") as container:
        video = container.add_stream_from_template(given.streams.video[0])
        telemetry = container.add_data_stream("klv")
        for packet in given.demux(video=0):
            if packet.dts is None:
                continue
            packet.stream = video
            container.mux(packet)
            note = av.Packet(bytes.fromhex("060e2b34020b01010e01030101000000") + b"\x00")
            note.stream, note.pts, note.dts = telemetry, packet.pts, packet.dts
            note.time_base = packet.time_base
            container.mux(note)
    video, done = encoded(source)
    assert [number_of(frame) for frame in video[:]] == list(range(25))
    assert "1 other track (data) left out" in done.notes and not done.incomplete


@pytest.mark.parametrize("rate", ["25", "30000/1001"])
def test_a_timecode_track_is_named(tmp_path, rate) -> None:
    """gopro/labs#273, MediaInfoLib#1511, buttercut#141: tmcd of cameras, drop-frame too."""
    source = tmp_path / "a.mov"
    code = "10:11:12:13" if rate == "25" else "10:11:12;14"
    ffmpeg(
        *("-r", rate, "-i", made(tmp_path / "a.mkv"), "-c:v", "libx264", "-timecode", code, source)
    )
    video, done = encoded(source)
    assert len(video) == 25 and done.format.frame_rate == Fraction(rate)
    assert any("timecode" in note or "(data) left out" in note for note in done.notes)


def test_interlaced_video_is_named(tmp_path) -> None:
    """vrecord#30, FFMS2#83, jellyfin#5230: frames of two fields; the rate is that of frames."""
    source = tmp_path / "a.mpg"
    ffmpeg(
        *("-i", made(tmp_path / "a.mkv"), "-c:v", "mpeg2video", "-q:v", 2),
        *("-flags", "+ildct+ilme", "-field_order", "bb", "-vf", "setfield=bff", source),
    )
    video, done = encoded(source)
    assert len(video) == 25 and done.format.frame_rate == 25
    assert any("as progressive frames (deinterlace" in note for note in done.notes)


def test_soft_telecine_keeps_its_film_frames(tmp_path) -> None:
    """QSVEnc#262, MediaSDK#1954: 24 frames a second with flags that repeat fields for 30."""
    plain = tmp_path / "a.m2v"
    ffmpeg(
        *("-r", "30000/1001", "-i", made(tmp_path / "a.mkv", frames=48), "-c:v", "mpeg2video"),
        *("-q:v", 2, "-bf", 0, "-g", 12, plain),
    )
    data = bytearray(plain.read_bytes())
    at, picture = data.find(b"\0\0\1\xb5"), 0
    while at >= 0:
        if data[at + 4] >> 4 == 1:
            data[at + 5] &= ~0x08  # no progressive sequence
        if data[at + 4] >> 4 == 8:
            top, repeat = ((1, 1), (0, 0), (0, 1), (1, 0))[picture % 4]
            data[at + 7] = data[at + 7] & ~0x82 | top << 7 | repeat << 1
            data[at + 8] |= 0x80  # progressive frame
            picture += 1
        at = data.find(b"\0\0\1\xb5", at + 4)
    assert picture == 48
    plain.write_bytes(data)
    source = tmp_path / "telecine.mpg"
    ffmpeg("-r", "24000/1001", "-i", plain, "-c", "copy", source)
    video, done = encoded(source)
    assert len(video) == 48 and not done.incomplete
    seconds = read_film(source).seconds
    assert abs(float(seconds[-1]) - 47 * 1.001 / 24) < 0.1
    assert [number_of(frame) for frame in video[:]] == list(range(48))


def sei(kind: int, payload: bytes, hevc: bool = False) -> bytes:
    """A NAL unit of supplemental information, with bytes that prevent start codes."""
    body = bytes([kind, len(payload)]) + payload + b"\x80"
    escaped = bytearray()
    for byte in body:
        if escaped[-2:] == b"\0\0" and byte <= 3:
            escaped.append(3)
        escaped.append(byte)
    return b"\0\0\0\1" + (b"\x4e\x01" if hevc else b"\x06") + bytes(escaped)


def with_sei(data: bytes, unit: bytes, slices: tuple[int, ...], hevc: bool = False) -> bytes:
    """An Annex B stream with `unit` before the first slice of every picture."""
    parts = data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    out = bytearray()
    for part in parts[1:]:
        kind = part[0] >> 1 & 0x3F if hevc else part[0] & 0x1F
        out += unit * (kind in slices) + b"\0\0\0\1" + part
    return bytes(out)


def test_closed_captions_in_the_picture_are_kept(tmp_path) -> None:
    """HandBrake#7055, AetherEngine#131: CEA-608 in user data of H.264."""
    plain, source = tmp_path / "a.h264", tmp_path / "cc.h264"
    ffmpeg(
        *("-i", made(tmp_path / "a.mkv"), "-c:v", "libx264", "-bf", 0),
        *("-x264-params", "slices=1", plain),
    )
    captions = bytes.fromhex("b5003147413934 03 41 ff fc 94 20 ff")
    source.write_bytes(with_sei(plain.read_bytes(), sei(4, captions), (1, 5)))
    video, done = encoded(source)
    assert len(video) == 25
    assert gvcodec.info(source.with_suffix(".gvc")).caption_bytes == 25 * 3
    assert any("closed captions kept" in note for note in done.notes)


def hlg(path: Path, frames: int = 10) -> Path:
    ffmpeg(
        *("-i", made(path.with_suffix(".src.mkv"), frames=frames), "-c:v", "libx265"),
        *("-vf", "scale=128:96,format=yuv420p10le"),
        *(
            "-x265-params",
            "log-level=none:colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc",
        ),
        *("-bf", 0, "-tag:v", "hvc1", path),
    )
    return path


def test_dynamic_hdr_metadata_is_named(tmp_path) -> None:
    """AetherEngine#2, DoVi_Scripts#19: HDR10+ of phones and televisions, frame by frame."""
    plain, source = hlg(tmp_path / "a.hevc"), tmp_path / "plus.hevc"
    # ITU-T T.35: United States, Samsung, application 4 version 1, one window.
    payload = bytes.fromhex(
        "b5003c0001 04 01 40 0000 0000 0000 0000 0000 0000 0000 0000".replace(" ", "")
    )
    unit = sei(4, payload + bytes(40), hevc=True)
    source.write_bytes(with_sei(plain.read_bytes(), unit, (0, 1, 19, 20, 21), hevc=True))
    video, done = encoded(source)
    assert len(video) == 10 and video.metadata.is_hdr
    assert any("HDR10+" in note for note in done.notes)


def test_dolby_vision_of_a_phone_keeps_its_hlg_colours(tmp_path) -> None:
    """dovi_tool#205, librephotos#455, immich#2930: profile 8.4, whose base layer is HLG."""

    def walk(data: bytes) -> bytes:
        out, at = b"", 0
        while at + 8 <= len(data):
            size, kind = struct.unpack(">I4s", data[at : at + 8])
            body = data[at + 8 : at + (size or len(data) - at)]
            if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
                body = walk(body)
            elif kind == b"stsd":
                body = body[:8] + walk(body[8:])
            elif kind == b"hvc1":
                flags = 8 << 9 | 1 << 3 | 0b101
                body += box(b"dvvC", bytes([1, 0]) + struct.pack(">H", flags) + b"\x40" + bytes(19))
            out += box(kind, body)
            at += size or len(data)
        return out

    plain, source = hlg(tmp_path / "a.mp4"), tmp_path / "dv84.mp4"
    source.write_bytes(walk(plain.read_bytes()))
    video, done = encoded(source)
    assert len(video) == 10 and video.metadata.is_hdr
    assert done.format.colour.transfer == 18  # HLG
    assert not any("no base layer" in note for note in done.notes)


def test_slow_motion_keeps_its_uneven_times(tmp_path) -> None:
    """flowblade#274, NextLevel#14, lossless-cut#2556: 240 a second in ticks of 600."""
    source = tmp_path / "slow.mov"
    times = [round(5 * number / 2) for number in range(60)]
    pictures, clock = map(numbered, range(60)), {"tick": Fraction(1, 600), "times": times}
    muxing = {"video_track_timescale": "600"}
    write_pictures(source, pictures, rate=240, muxing=muxing, bf="0", **clock)
    video, _ = encoded(source)
    assert [number_of(frame) for frame in video[:]] == list(range(60))
    gvcodec.decode_file(tmp_path / "slow.gvc", tmp_path / "out.mp4")
    seconds = read_film(tmp_path / "out.mp4").seconds
    wanted = [Fraction(time, 600) for time in times]
    assert all(abs(a - b) < Fraction(1, 1000) for a, b in zip(seconds, wanted, strict=True))


@pytest.mark.usefixtures("inline_batch")
def test_a_live_photo_is_a_still_and_a_film(tmp_path) -> None:
    """librephotos#481, photoprism#1895, docker-icloudpd#71: two files of one name."""
    from PIL import Image

    folder = tmp_path / "photos"
    folder.mkdir()
    made(folder / "IMG_0001.MOV", "libx264", frames=5)
    Image.fromarray(numbered(3)).save(folder / "IMG_0001.JPG")
    run("batch", folder, "-o", tmp_path / "out", "--fit", "off", "--preset", "10", "--jobs", "1")
    assert [path.name for path in (tmp_path / "out").glob("*.gvc")] == ["IMG_0001.gvc"]
    assert len(gvcodec.open(tmp_path / "out" / "IMG_0001.gvc")) == 5


def test_twelve_bits_of_an_endoscope_keep_their_brightness(tmp_path) -> None:
    """LumaViewPro#424, WICExplorer#10, jpegls-wic-codec#43: gray of more bits than a screen has."""
    source = tmp_path / "gray12.mkv"
    levels = np.linspace(0, 4095, 8).astype(np.uint16)
    picture = np.broadcast_to(np.repeat(levels, WIDTH // 8), (HEIGHT, WIDTH)).copy()
    frame = av.VideoFrame.from_ndarray(picture, format="gray12le")
    write_pictures(source, [frame] * 5, "ffv1", pix_fmt="gray12le")
    video, done = encoded(source, q=5)
    shown = np.stack(list(video[:]))[2, HEIGHT // 2, 4 :: WIDTH // 8].astype(float).mean(-1)
    assert np.abs(shown - 255 * (levels / 4095)).max() < 4
    assert any("gray12" in note for note in done.notes)


def dicom(path: Path, frames: int = 6) -> Path:
    """Uncompressed multi-frame gray, as ultrasound and microscopes export it."""

    def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        head = struct.pack("<HH", group, number) + kind
        if kind in (b"OB", b"OW"):
            return head + struct.pack("<HI", 0, len(value)) + value
        return head + struct.pack("<H", len(value)) + value

    def short(value: int) -> bytes:
        return struct.pack("<H", value)

    syntax = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1")
    meta = element(2, 0, b"UL", struct.pack("<I", len(syntax))) + syntax
    body = b"".join(
        (
            element(0x18, 0x1063, b"DS", b"40"),
            element(0x28, 0x02, b"US", short(1)),
            element(0x28, 0x04, b"CS", b"MONOCHROME2"),
            element(0x28, 0x08, b"IS", str(frames).encode()),
            element(0x28, 0x10, b"US", short(HEIGHT)),
            element(0x28, 0x11, b"US", short(WIDTH)),
            element(0x28, 0x100, b"US", short(8)),
            element(0x28, 0x101, b"US", short(8)),
            element(0x28, 0x102, b"US", short(7)),
            element(0x28, 0x103, b"US", short(0)),
            element(
                0x7FE0, 0x10, b"OB", b"".join(numbered(n)[..., 0].tobytes() for n in range(frames))
            ),
        )
    )
    path.write_bytes(bytes(128) + b"DICM" + meta + body)
    return path


def test_a_dicom_file_is_named(tmp_path) -> None:
    """OCT-Converter#21, fo-dicom#1421: multi-frame DICOM, which FFmpeg does not read."""
    with pytest.raises(MediaError, match=r"scan\.dcm: is DICOM, which is not read: export"):
        encoded(dicom(tmp_path / "scan.dcm"))


def test_a_slide_stands_for_as_long_as_the_lecture(tmp_path) -> None:
    """ScreenRecorderLib#53, RecordRTC#484, browser-use#5850: a picture for each change."""
    source = tmp_path / "lecture.mkv"
    begins = [0, 600, 601, 1800]
    times = [1000 * begin for begin in begins]
    write_pictures(source, map(numbered, range(4)), times=times, bf="0")
    video, done = encoded(source)
    assert len(video) == 4 and done.size < 20_000
    shown = [number_of(f) for f in video.get_frames_played_at([1, 599.9, 600.5, 1700]).data]
    assert shown == [0, 0, 1, 2]
    gvcodec.decode_file(tmp_path / "lecture.gvc", tmp_path / "out.mp4")
    assert read_film(tmp_path / "out.mp4").seconds == begins


def test_wall_clock_times_find_the_frame_on_screen(tmp_path) -> None:
    """lerobot#3513, lerobot#4524: a robot's times are no multiples of the frame rate."""
    source = tmp_path / "robot.mkv"
    rng = np.random.default_rng(4)
    times = np.cumsum(rng.integers(20, 60, 60))
    times -= times[0]
    write_pictures(source, map(numbered, range(60)), times=map(int, times), bf="2", g="10")
    video, _ = encoded(source)
    found = video.get_frames_played_at([float(time) / 1000 for time in times]).data
    assert [number_of(frame) for frame in found] == list(range(60))
    between = [float(a + b) / 2000 for a, b in itertools.pairwise(times)]
    assert [number_of(f) for f in video.get_frames_played_at(between).data] == list(range(59))


def test_a_stream_in_a_shard_is_read_where_it_lies(tmp_path) -> None:
    """vision#8029, torchcodec#465, spdl#757: a member of a tar file, not unpacked."""
    encoded(made(tmp_path / "a.mkv", frames=60), keyint=10)
    data = (tmp_path / "a.gvc").read_bytes()
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        shard.add(tmp_path / "a.mkv", "0000.mkv")
        shard.add(tmp_path / "a.gvc", "0000.gvc")
    with tarfile.open(tmp_path / "shard.tar") as shard:
        member = shard.extractfile("0000.gvc")
        assert member is not None
        assert [number_of(gvcodec.open(member)[n]) for n in (55, 3, 27)] == [55, 3, 27]
        member.seek(0)
        assert gvcodec.verify(member).frames == 60
        source = shard.extractfile("0000.mkv")
        assert source is not None
        output = io.BytesIO()
        gvcodec.encode_file(source, output, keyint=10, **FAST)
        assert output.getvalue() == data


def test_a_chained_address_of_a_store(tmp_path) -> None:
    """filesystem_spec#2033, filesystem_spec#1034, datasets#2822: an archive inside of a store."""
    encoded(made(tmp_path / "a.mkv", frames=20), keyint=10)
    with fsspec.open("memory://shards/a.zip", "wb") as remote:
        archive = shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path, "a.gvc")
        remote.write(Path(archive).read_bytes())
    video = gvcodec.open("zip://a.gvc::memory://shards/a.zip")
    assert [number_of(video[n]) for n in (15, 2)] == [15, 2]
    assert gvcodec.info("zip://a.gvc::memory://shards/a.zip").frames == 20


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.usefixtures("inline_batch")
def test_a_bag_stays_as_it_is(tmp_path) -> None:
    """figgy#752, roda-in#335, archivematica/Issues#999: checksums are kept next to the films."""
    bag = tmp_path / "bag"
    (bag / "data").mkdir(parents=True)
    film = made(bag / "data" / "film.mkv", frames=8)
    (bag / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    (bag / "manifest-sha256.txt").write_text(f"{digest(film)}  data/film.mkv\n")
    (bag / "data" / "film.mkv.md5").write_text("0" * 32 + "  film.mkv\n")
    before = {path: digest(path) for path in bag.rglob("*") if path.is_file()}
    words = ("batch", bag, "--fit", "off", "--preset", "10", "--jobs", "1", "--embed-model", "-o")
    assert "skipped" in run(*words, tmp_path / "one").err
    run(*words, tmp_path / "two")
    assert before == {path: digest(path) for path in bag.rglob("*") if path.is_file()}
    one, two = (list((tmp_path / name).rglob("film.gvc")) for name in ("one", "two"))
    assert len(one) == len(two) == 1 and digest(one[0]) == digest(two[0])
    assert gvcodec.verify(one[0], film).frames == 8


def test_parts_of_a_split_recording_join(tmp_path) -> None:
    """gyroflow#84, gpmf-parser#105, dashcamigo#21: files of one flight, whose clock runs on."""
    pieces = []
    for part in range(3):
        whole, source = made(tmp_path / f"{part}.mkv"), tmp_path / f"GX0{part}.ts"
        ffmpeg(
            *("-i", whole, "-c:v", "libx264", "-output_ts_offset", 95_000 + part, "-muxdelay", 0),
            *("-metadata", "creation_time=1904-01-01T00:00:00Z", source),
        )
        encoded(source)
        pieces.append(source.with_suffix(".gvc"))
    joined = tmp_path / "flight.gvc"
    gvcodec.cat(pieces, joined)
    video = gvcodec.open(joined)
    assert [number_of(frame) for frame in video[:]] == 3 * list(range(25))
    gvcodec.decode_file(joined, tmp_path / "out.mkv")
    seconds = read_film(tmp_path / "out.mkv").seconds
    assert all(abs(float(s) - n / 25) < 0.002 for n, s in enumerate(seconds))
