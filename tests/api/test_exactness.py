"""Colour tags, ranges, place of chroma, timestamps, sound and subtitles survive a stream."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.base import BaseEncoder, BasePacket, EncodeResult
from gvcodec.bitstream import Kind
from gvcodec.codec.encoder import Encoder
from gvcodec.planes import CENTRE, LEFT, PLACES, Rotation, planes_from_frame, planes_from_rgb
from gvcodec.source.reader import VideoReader
from gvcodec.types import Colour, Planes, VideoFormat
from tests.clips import add_video, ffmpeg, packets_of, read_film, write_pictures
from tests.conftest import run
from tests.media.test_media import with_audio

WIDTH, HEIGHT = 64, 48


def test_card(depth: int, full: bool) -> np.ndarray:
    """A grey ramp over 75 % colour bars, (3, H, W), in samples of this depth and range."""
    low, high, chroma = (0, 255, 127.5) if full else (16, 235, 112)
    x = np.arange(WIDTH)
    ramp = low + (high - low) * x / (WIDTH - 1)
    luma = np.array([0.75, 0.66, 0.53, 0.44, 0.31, 0.22, 0.09, 0.0])[x * 8 // WIDTH]
    blue = np.array([0.0, -0.34, 0.12, -0.22, 0.22, -0.12, 0.34, 0.0])[x * 8 // WIDTH]
    red = np.array([0.0, 0.06, -0.38, -0.31, 0.31, 0.38, -0.06, 0.0])[x * 8 // WIDTH]
    card = np.full((3, HEIGHT, WIDTH), 128.0)
    card[0, : HEIGHT // 2] = ramp
    card[0, HEIGHT // 2 :] = low + (high - low) * luma
    card[1, HEIGHT // 2 :] += 2 * chroma * blue
    card[2, HEIGHT // 2 :] += 2 * chroma * red
    return np.round(card * (1 << (depth - 8)))


test_card.__test__ = False  # a picture, not a test


def fill(plane: av.video.plane.VideoPlane, samples: np.ndarray, ten: bool) -> None:
    kind = np.uint16 if ten else np.uint8
    rows = np.zeros((plane.height, plane.line_size // (1 + ten)), kind)
    rows[:, : plane.width] = samples
    plane.update(rows.tobytes())


def save(path: Path, pix_fmt: str, colour: Colour, card: np.ndarray) -> None:
    ten = "10" in pix_fmt
    codec, options = "libx264", {"qp": "0"}
    if ten:
        codec, options = "libx265", {"x265-params": "lossless=1:log-level=none"}
    with av.open(str(path), "w") as container:
        stream = add_video(container, WIDTH, HEIGHT, codec, pix_fmt=pix_fmt, options=options)
        context = stream.codec_context
        context.color_range = 2 if colour.full_range else 1
        context.colorspace, context.color_primaries = colour.matrix, colour.primaries
        context.color_trc = colour.transfer
        for number in range(3):
            frame = av.VideoFrame(WIDTH, HEIGHT, pix_fmt)
            for plane, samples in zip(frame.planes, card, strict=True):
                samples = samples[:: HEIGHT // plane.height, :: WIDTH // plane.width]
                fill(plane, samples, ten)
            frame.pts = number
            frame.color_range, frame.colorspace = context.color_range, colour.matrix
            frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("pix_fmt", "colour"),
    [
        ("yuv420p", Colour(1, 1, 1)),
        ("yuv420p", Colour(1, 13, 1, True)),
        ("yuv422p", Colour(6, 6, 6)),
        ("yuv422p10le", Colour(1, 13, 1, True)),
        ("yuv444p10le", Colour(9, 16, 9)),
    ],
)
def test_tags_and_levels_come_through(tmp_path, pix_fmt: str, colour: Colour) -> None:
    depth = 10 if "10" in pix_fmt else 8
    card = test_card(depth, colour.full_range)
    save(tmp_path / "in.mkv", pix_fmt, colour, card)
    quick = ("--base-q", 4, "--fit", "off", "--preset", 8)
    run("encode", tmp_path / "in.mkv", tmp_path / "a.bin", *quick)
    for name in ("out.mkv", "out.mp4"):
        run("decode", tmp_path / "a.bin", tmp_path / name, "--fidelity", "--lossless")
        with VideoReader(tmp_path / "in.mkv") as source, VideoReader(tmp_path / name) as found:
            for fmt in (source.format, found.format):
                tags = replace(fmt.colour, chroma_location=colour.chroma_location)
                assert (tags, fmt.bit_depth) == (colour, depth)
            before, after = next(iter(source)).planes, next(iter(found)).planes
    # Samples of 10 bits: the codec's own error at this q, and nothing that leans to one side.
    for left, right in zip(before, after, strict=True):
        difference = right.astype(int) - left
        assert np.abs(difference).mean() < 3 and abs(difference.mean()) < 1
    grey = after[1][: HEIGHT // 4 - 4].astype(int), after[2][: HEIGHT // 4 - 4].astype(int)
    assert all(np.abs(plane - 512).max() <= 8 for plane in grey)
    levels = after[0][: HEIGHT // 2 - 8].mean(0)
    assert np.all(np.diff(levels) > -2)
    scale = 1 << (10 - depth)
    assert abs(levels[1:-1] - scale * card[0, 0, 1:-1]).max() < 12


def place(plane: np.ndarray, axis: int, period: float) -> float:
    """Position, in luma samples, of a subsampled cosine of this period."""
    signal = plane.astype(float).mean(1 - axis)[8:-8]
    at = 2.0 * np.arange(8, 8 + len(signal))
    wave = ((signal - signal.mean()) * np.exp(-2j * np.pi * at / period)).sum()
    return float(np.angle(wave) * period / 2 / np.pi)


def waves(width: int, height: int, axis: int) -> np.ndarray:
    """A cosine of 16 samples along an axis, −1…1."""
    line = np.cos(2 * np.pi * np.arange(height if axis == 0 else width) / 16)
    return np.broadcast_to(line[:, None] if axis == 0 else line, (height, width))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv444p10le", "yuv422p", "rgb24"])
def test_chroma_stands_where_its_tag_says(tmp_path, pix_fmt: str, axis: int) -> None:
    wave = waves(192, 160, axis)
    if pix_fmt == "rgb24":
        grey = np.full_like(wave, 128)
        picture = np.stack([128 + 60 * wave, grey, grey], -1).round().astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        chroma = planes_from_rgb(picture)[2]
    else:
        scale = 4 if "10" in pix_fmt else 1
        frame = av.VideoFrame(192, 160, pix_fmt)
        for number, plane in enumerate(frame.planes):
            strength = 60 if number == 1 else 0
            samples = (128 + strength * wave[:, :: 192 // plane.width]).round() * scale
            fill(plane, samples, scale == 4)
        chroma = planes_from_frame(frame)[1]
    stored = "bgr0" if pix_fmt == "rgb24" else pix_fmt
    write_pictures(tmp_path / "a.mkv", [frame], "ffv1", pix_fmt=stored)
    with VideoReader(tmp_path / "a.mkv") as reader:
        location = reader.format.colour.chroma_location
    assert abs(place(chroma, axis, 16) - PLACES[location][1 - axis]) < 0.05


@pytest.mark.parametrize("size", [(192, 160), (191, 159), (192, 159), (191, 160)])
@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("location", [LEFT, CENTRE, 2])
def test_turned_frames_keep_their_chroma_in_place(size, degrees, location):
    width, height = size
    right, down = PLACES[location]
    half = (height + 1) // 2, (width + 1) // 2
    x = 2 * np.arange(half[1]) + right
    y = 2 * np.arange(half[0]) + down
    column, row = (512 + 200 * np.cos(2 * np.pi * at / 16) for at in (x, y))
    planes: Planes = (
        np.full((height, width), 512, np.uint16),
        np.broadcast_to(column, half).round().astype(np.uint16),
        np.broadcast_to(row[:, None], half).round().astype(np.uint16),
    )
    rotation = Rotation(degrees, width, height, location)
    turned = rotation.apply(planes)
    # The same waves, counted from the corner that became the first one.
    for number, length in ((1, width), (2, height)):
        axis = (1 if number == 1 else 0) ^ (degrees % 180 != 0)
        backwards = degrees == 180 or (degrees, number) in ((90, 1), (270, 2))
        found = place(turned[number], axis, 16)
        wanted = PLACES[rotation.location][1 - axis] - (length - 1 if backwards else 0)
        assert abs((found - wanted + 8) % 16 - 8) < 0.05


def subtitled(path: Path, clip: list[Planes]) -> list[tuple[int, int, bytes]]:
    """Writes video at odd times, AAC and subtitles; returns `subtitles_of` it."""
    with_audio(path.with_name("plain.mp4"), clip)
    texts = path.with_name("words.srt")
    line = "{0}\n00:00:00,{1:03d} --> 00:00:00,{2:03d}\nLine {0}\n\n"
    texts.write_text("".join(line.format(n, 100 * n, 100 * n + 80) for n in range(7)))
    if path.suffix == ".mp4":
        words, texts = texts, path.with_name("words.mp4")
        ffmpeg("-i", words, "-c:s", "mov_text", texts)
    with (
        av.open(str(path.with_name("plain.mp4"))) as source,
        av.open(str(texts)) as words,
        av.open(str(path), "w") as target,
    ):
        streams = *source.streams, *words.streams
        outputs = {stream: target.add_stream_from_template(stream) for stream in streams}
        for packet in (*source.demux(), *words.demux()):
            if packet.dts is None:
                continue
            if packet.stream.type == "video" and packet.pts * packet.time_base > 0.3:
                packet.pts, packet.dts = packet.pts + 117, packet.dts + 117
            packet.stream = outputs[packet.stream]
            target.mux(packet)
    return subtitles_of(path)


def subtitles_of(path: Path) -> list[tuple[int, int, bytes]]:
    return [
        (round(p.pts * p.time_base * 1000), round(p.duration * p.time_base * 1000), bytes(p))
        for p in packets_of(path, "subtitles")
    ]


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_sound_subtitles_and_odd_times_come_through(tmp_path, clip, suffix):
    source = tmp_path / f"in.{suffix}"
    words = subtitled(source, clip)
    assert len(words) >= 7
    run("encode", source, tmp_path / "a.bin", "--preset", "10", "--fit", "off", "--keyint", 6)
    run("decode", tmp_path / "a.bin", tmp_path / f"out.{suffix}", "--fidelity", "--lossless")
    out = tmp_path / f"out.{suffix}"
    assert [*map(bytes, packets_of(out))] == [*map(bytes, packets_of(source))]
    assert subtitles_of(out) == words
    times = read_film(source).seconds
    assert read_film(out).seconds == times and len({b - a for a, b in pairwise(times)}) > 1
    # From the middle on too.
    video = gvcodec.open(tmp_path / "a.bin", fidelity=True)
    wanted = [float(times[13]), float(times[2])]
    assert video.get_frames_at([13, 2]).pts_seconds == pytest.approx(wanted, abs=1e-9)


class Delayed(BaseEncoder):
    """Gives each frame `lag` frames later, as a busy machine does."""

    def __init__(self, lag: int) -> None:
        self._lag, self._given = lag, 0
        self._frames: list[Planes] = []

    def send(self, planes: Planes, key: bool = False) -> EncodeResult:
        self._frames.append(planes)
        return self._give(self._lag)

    def flush(self) -> EncodeResult:
        return self._give(0)

    def _give(self, left: int) -> EncodeResult:
        count = max(0, len(self._frames) - left)
        given, self._frames = self._frames[:count], self._frames[count:]
        numbers = range(self._given, self._given + count)
        self._given += count
        return EncodeResult([BasePacket(bytes(8), number % 20 == 0) for number in numbers], given)


@pytest.mark.parametrize(("base", "low_delay"), [("av1", False), ("av1", True), ("vvc", False)])
def test_a_file_does_not_depend_on_how_fast_frames_are_coded(base: str, low_delay: bool) -> None:
    """Frames that are late, and sound after every third."""
    config = gvcodec.EncoderConfig(q=40, base=base, fit=0, painter="off", low_delay=low_delay)
    fmt = VideoFormat(32, 32, Fraction(30), Fraction(1, 30_000), 8)
    planes = np.full((32, 32), 99), np.full((16, 16), 512), np.full((16, 16), 512)
    found = []
    for lag in (0, 5, 40):
        encoder = Encoder(fmt, config, base_encoder=Delayed(lag))
        packets = []
        encoder.send_tracks(b"head")
        for number in range(50):
            encoder.send_frame(planes, 1000 * number + (number % 4 == 1))
            if number % 3 == 0:
                encoder.send_tracks(b"sound %d" % number)
            packets += iter(encoder.receive_packet, None)
        encoder.flush()
        packets += iter(encoder.receive_packet, None)
        found.append(packets)
    assert found[0] == found[1] == found[2]
    frames = 0
    for packet in found[0]:
        frames += packet.is_frame
        if packet.kind is Kind.TRACKS and packet.payload != b"head":
            assert packet.payload == b"sound %d" % (frames - 1)
    # Without delay each odd frame has its own; else four batches, and two keyframes among them. Of
    # H.266, whose packets are in another order, a GOP has one.
    times = [number for number, packet in enumerate(found[0]) if packet.kind is Kind.TIMING]
    if low_delay:
        assert len(times) > 20
    elif base == "av1":
        assert len(times) == 6
    else:
        assert [found[0][number + 1].kind for number in times] == [Kind.KEY] * 3
