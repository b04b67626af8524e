"""Closed captions (CEA-608, CEA-708) of a source stay with their frames: FFmpeg reads the same
bytes of the same frames from one-files, which other readers show as before."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

import gvcodec
from gvcodec.base.standard.captions import MOST_OF_FRAME, captions_in, insert_captions
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.codec.frame_captions import CUT_CAPTIONS
from gvcodec.config import EncoderConfig
from gvcodec.edit.copy_check import ReplaceRules, check_copy
from gvcodec.errors import NotReplacedError
from gvcodec.input_options import InputOptions
from gvcodec.source.side_data import CAPTIONS, side_data
from gvcodec.types import VideoFormat
from tests.clips import numbered
from tests.conftest import coded, moving_texture, packets_in, run

FRAMES, WIDTH, HEIGHT = 40, 64, 48
FAST = ("--preset", 10, "--fit", "off", "--tokens", "off")
FORMAT = VideoFormat(64, 48, Fraction(25), Fraction(1, 25))
PICTURES = moving_texture(64, 48, 5)
#: NAL units of slices.
_SLICES = {"libx264": range(1, 6), "libx265": range(32)}


def captions_of(number: int) -> bytes:
    """Of a frame: none of every fifth, 20 triplets as in broadcasts of every seventh."""
    if number % 5 == 4:
        return b""
    count = 20 if number % 7 == 0 else 2
    return b"".join(bytes([0xFC + n % 2, number + 1, 0x80 | n]) for n in range(count))


def message_of(captions: bytes) -> bytes:
    """A NAL unit's payload with an ITU-T T.35 message, with bytes that prevent start codes."""
    count = bytes([0xC0 | len(captions) // 3, 0xFF])
    body = b"\xb5\x00\x31GA94\x03" + count + captions + b"\xff"
    escaped = bytearray()
    for byte in bytes([4, len(body)]) + body + b"\x80":
        if escaped[-2:] == b"\0\0" and byte <= 3:
            escaped.append(3)
        escaped.append(byte)
    return bytes(escaped)


def with_message(unit: bytes, codec: str, captions: bytes) -> bytes:
    """An access unit in Annex B form with captions before its first slice."""
    head = b"\x4e\x01" if codec == "libx265" else b"\x06"
    out, is_done = b"", False
    for nal in unit.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")[1:]:
        kind = nal[0] >> 1 & 63 if codec == "libx265" else nal[0] & 31
        if kind in _SLICES[codec] and not is_done:
            out += b"\0\0\0\1" + head + message_of(captions)
            is_done = True
        out += b"\0\0\0\1" + nal
    return out


def captioned(
    path: Path, codec: str = "libx264", pixels: str = "yuv420p", frames: int = FRAMES
) -> Path:
    """A film with B-frames and captions in its video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        stream.codec_context.options = {"x265-params": "log-level=none"}
        for number in [*range(frames), None]:
            frame = None
            if number is not None:
                frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
            for packet in stream.encode(frame):
                shown = round(Fraction(packet.pts * packet.time_base) * 25)
                data = bytes(packet)
                if captions := captions_of(shown):
                    data = with_message(data, codec, captions)
                changed = av.Packet(data)
                changed.pts, changed.dts, changed.time_base = (
                    packet.pts,
                    packet.dts,
                    packet.time_base,
                )
                changed.stream, changed.is_keyframe = stream, packet.is_keyframe
                container.mux(changed)
    return path


def captions_by_frame(path: Path) -> list[bytes]:
    """As FFmpeg reads them."""
    with av.open(str(path)) as container:
        return [side_data(frame).get(CAPTIONS, b"") for frame in container.decode(video=0)]


EXPECTED = [captions_of(number) for number in range(FRAMES)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return captioned(tmp_path_factory.mktemp("captions") / "a.mp4")


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm"])
def test_one_files_have_the_captions_of_their_source(source: Path, tmp_path, ending: str) -> None:
    assert captions_by_frame(source) == EXPECTED
    output = tmp_path / f"b{ending}"
    said = run("encode", source, "-o", output, *FAST)
    assert captions_by_frame(output) == EXPECTED
    assert "closed captions kept" in said.err
    run("verify", output)
    assert gvcodec.info(output).caption_bytes == sum(map(len, EXPECTED))


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.ts", "libx264", "yuv420p"),
        ("b.mkv", "libx265", "yuv420p10le"),
        ("c.mp4", "libx264", "yuv420p10le"),
    ],
)
def test_other_sources(tmp_path, name: str, codec: str, pixels: str) -> None:
    given, output = captioned(tmp_path / name, codec, pixels), tmp_path / "out.mp4"
    assert captions_by_frame(given) == EXPECTED
    run("encode", given, "-o", output, *FAST)
    assert captions_by_frame(output) == EXPECTED


def test_captions_of_a_stream(source: Path, tmp_path) -> None:
    """`.gvc` keeps them through `cut`, `cat` and `extract`; `decode` names what it leaves out."""
    stream, one = tmp_path / "a.gvc", tmp_path / "a.mp4"
    run("encode", source, stream, *FAST, "--keyint", 20)
    assert "closed captions" in run("info", stream).out or gvcodec.info(stream).caption_bytes
    run("extract", stream, one)
    assert captions_by_frame(one) == EXPECTED
    back = tmp_path / "back.gvc"
    run("extract", one, back)
    assert back.read_bytes() == stream.read_bytes()
    said = run("decode", stream, tmp_path / "b.mp4", "--fidelity").err
    assert "closed captions left out" in said
    assert not any(captions_by_frame(tmp_path / "b.mp4"))
    run("cut", stream, tmp_path / "c.gvc", "--start", 0.2, "--to", 1.4, "--exact")
    run("extract", tmp_path / "c.gvc", tmp_path / "c.mp4")
    assert captions_by_frame(tmp_path / "c.mp4") == EXPECTED[5:35]


def test_a_part_of_the_frames(source: Path, tmp_path) -> None:
    """At a lower rate a frame has the captions of those left out since the previous one."""
    output = tmp_path / "b.mp4"
    run("encode", source, "-o", output, *FAST, "--start", 0.4, "--fps", "25/2")
    pairs = zip(EXPECTED[11::2], EXPECTED[12::2], strict=False)
    assert captions_by_frame(output) == [EXPECTED[10], *(left + right for left, right in pairs)]


def test_captions_are_left_out(source: Path, tmp_path) -> None:
    said = run("encode", source, "-o", tmp_path / "b.mp4", *FAST, "--no-subtitles")
    assert "closed captions" not in said.err
    assert not any(captions_by_frame(tmp_path / "b.mp4"))


def test_a_base_without_captions_names_them(tmp_path) -> None:
    given = captioned(tmp_path / "a.mkv", frames=6)
    report = gvcodec.encode_file(given, tmp_path / "a.gvc", base="vvc", preset=4, fit=0)
    assert any("closed captions left out" in note for note in report.notes)
    assert gvcodec.info(tmp_path / "a.gvc").caption_bytes == 0


def test_frames_are_those_without_captions(source: Path, tmp_path) -> None:
    for name, options in (("a", ()), ("b", ("--no-subtitles",))):
        run("encode", source, tmp_path / f"{name}.gvc", *FAST, *options)
    assert gvcodec.info(tmp_path / "a.gvc").base_hash == gvcodec.info(tmp_path / "b.gvc").base_hash


def test_many_captions_of_a_frame() -> None:
    packets = packets_in(coded(FORMAT, moving_texture(64, 48, 1), preset=10, fit=0))
    payload = next(packet.payload for packet in packets if packet.is_frame)
    many = bytes(range(180)) + bytes(33)
    changed = insert_captions(payload, many)
    assert captions_in(changed) == many and captions_in(payload) == b""


def test_absurdly_many_captions_of_a_frame_are_cut() -> None:
    """Beyond what a temporal unit may hold; a line reports it."""
    stream = io.BytesIO()
    encoder = Encoder(FORMAT, EncoderConfig(base="av1", preset=10, fit=0, threads=1))
    frames = ((p, n, False, b"\xfc\x80\x80" * 130_200 * (n == 2)) for n, p in enumerate(PICTURES))
    encode_stream(encoder, stream, frames)
    sizes = [len(captions_in(p.payload)) for p in packets_in(stream.getvalue()) if p.is_frame]
    assert sum(sizes) == max(sizes) == MOST_OF_FRAME and CUT_CAPTIONS in encoder.notes
    assert len(list(gvcodec.decode_planes(stream.getvalue()))) == len(PICTURES)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg")
def test_painted_frames_of_other_programs_have_them(source: Path, tmp_path) -> None:
    """FFmpeg's frames through our libdav1d have the side data of those through the system's."""
    output = tmp_path / "b.mkv"
    run("encode", source, "-o", output, "--preset", 10, "--fit", "off")
    show = ["ffmpeg", "-i", str(output), "-fps_mode", "passthrough", "-vf", "showinfo"]
    lines: list[list[str]] = []
    for words in ([], [sys.executable, "-m", "gvcodec", "with"]):
        done = subprocess.run(
            [*words, *show, "-f", "null", "-"], capture_output=True, text=True, check=True
        )
        lines.append(re.findall(r" n: *\d+|closed captions \(\d+ bytes\)", done.stderr))
    assert lines[0] == lines[1] and len(lines[0]) > FRAMES


def test_an_original_with_captions_is_replaced(tmp_path) -> None:
    source = tmp_path / "a.mp4"
    source.write_bytes(captioned(tmp_path / "b.mp4", frames=12).read_bytes())
    before = captions_by_frame(source)
    coded_file = tmp_path / "coded.mp4"
    run("encode", source, "-o", coded_file, *FAST, "--no-subtitles")
    rules = ReplaceRules(floor="psnr=20")
    with pytest.raises(NotReplacedError, match="closed captions"):
        check_copy(str(coded_file), str(source), rules)
    check_copy(str(coded_file), str(source), rules, InputOptions(no_subtitles=True))
    run("encode", source, "-o", coded_file, *FAST, "-y")
    check_copy(str(coded_file), str(source), rules)
    assert captions_by_frame(coded_file) == before


def test_teletext_is_named(tmp_path) -> None:
    """PyAV's FFmpeg has no decoder for it."""
    source, given = tmp_path / "teletext.ts", captioned(tmp_path / "a.ts", frames=6)
    with av.open(str(given)) as film, av.open(str(source), "w", format="mpegts") as container:
        video = container.add_stream_from_template(film.streams.video[0])
        teletext = container.add_mux_stream("dvb_teletext")
        for packet in film.demux(video=0):
            if packet.dts is None:
                continue
            page = av.Packet(b"\x10" + b"\xff\x2c" + b"\xff" * 44)
            page.stream, page.pts, page.dts = teletext, packet.dts, packet.dts
            page.time_base = packet.time_base
            packet.stream = video
            container.mux([packet, page])
    said = run("encode", source, "-o", tmp_path / "b.mp4", *FAST)
    assert "such as teletext) left out: cannot be copied" in said.err
    assert captions_by_frame(tmp_path / "b.mp4") == EXPECTED[:6]
