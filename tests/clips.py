"""Small clips for the tests: moving texture, a patch that moves another way, changing light."""

import subprocess
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from gvcodec.planes import frame_from_planes
from gvcodec.sink.writer import open_writer
from gvcodec.source.reader import VideoReader
from gvcodec.types import Colour, Planes, VideoFormat
from gvcodec.util.ffmpeg import find_ffmpeg

#: A frame, RGB (H, W, 3), gray (H, W), or 10-bit planes, of which the upper 8 bits are shown.
Picture = av.VideoFrame | NDArray[np.uint8] | Planes


@lru_cache(32)
def texture(seed: int, height: int, width: int) -> NDArray[np.float64]:
    """Values 0…1, read-only."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width))
    for size in (2, 5, 16, 48):
        coarse = rng.random((height // size + 3, width // size + 3))
        rows = np.arange(height) / size
        columns = np.arange(width) / size
        y, x = rows.astype(int), columns.astype(int)
        fy, fx = (rows - y)[:, None], (columns - x)[None, :]
        top = coarse[np.ix_(y, x)] * (1 - fx) + coarse[np.ix_(y, x + 1)] * fx
        bottom = coarse[np.ix_(y + 1, x)] * (1 - fx) + coarse[np.ix_(y + 1, x + 1)] * fx
        total += (top * (1 - fy) + bottom * fy) * size**0.5
    total = (total - total.min()) / np.ptp(total)
    total.setflags(write=False)
    return total


def make_clip(
    width: int, height: int, frames: int, seed: int = 0, cut: int | None = None
) -> list[Planes]:
    """`frames` frames of 10-bit planes; from frame `cut` on another, brighter scene."""
    clip = []
    for t in range(frames):
        other = cut is not None and t >= cut
        scene = seed * 7 + (1000 if other else 0)
        scroll, slide = 3 * t, 2 * t
        wide = texture(scene, height + 64, width + 96 + 4 * frames)
        luma = wide[16 : 16 + height, scroll : scroll + width].copy()
        patch = texture(scene + 1, max(2, height // 3), max(2, width // 3))
        h, w = patch.shape
        top, left = (height // 4 + slide) % height, (width // 2 - slide) % width
        region = luma[top : top + h, left : left + w]
        region[:] = patch[: region.shape[0], : region.shape[1]]
        luma = (luma * 0.3 if other else luma * (0.9 + 0.02 * t)) * 900 + (700 if other else 60)
        ch, cw = (height + 1) // 2, (width + 1) // 2
        u = 512 + 300 * (wide[16 : 16 + 2 * ch : 2, scroll : scroll + 2 * cw : 2] - 0.5)
        v = 512 - 200 * (wide[20 : 20 + 2 * ch : 2, scroll : scroll + 2 * cw : 2] - 0.5)
        y, u, v = (np.clip(np.round(p), 0, 1023).astype(np.uint16) for p in (luma, u, v))
        clip.append((y, u, v))
    return clip


def blurred_clip(frames: int, side: int, seed: int = 0) -> tuple[list[Planes], list[Planes]]:
    """Sources (a textured picture that pans) and "base frames" (the same, blurred)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0 : side + frames]
    waves = 120 * np.sin(x / 9 + seed) * np.cos(y / 13)
    texture = 500 + waves + rng.normal(0, 60, (side, side + frames))
    blurred = sum(np.roll(texture, (i, j), (0, 1)) for i in range(-2, 3) for j in range(-2, 3)) / 25
    flat = np.full((side // 2, side // 2), 512, np.uint16)

    def planes(picture: np.ndarray, t: int) -> Planes:
        return picture[:, t : t + side].clip(0, 1023).astype(np.uint16), flat, flat

    return [planes(texture, t) for t in range(frames)], [planes(blurred, t) for t in range(frames)]


def format_of(clip: Sequence[Planes], depth: int = 8) -> VideoFormat:
    """Of frames of this size: 25 a second, BT.709."""
    height, width = clip[0][0].shape
    return VideoFormat(width, height, Fraction(25), Fraction(1, 25), depth, Colour(1, 1, 1))


def write_clip(
    path: Path, clip: Sequence[Planes], fmt: VideoFormat | None = None, **options: Any
) -> Path:
    """A video file of frames that are a nominal period apart; `fmt`: `format_of` them."""
    fmt = fmt or format_of(clip)
    with open_writer(path, fmt, **options) as writer:
        for number, planes in enumerate(clip):
            writer.write(planes, round(number * fmt.period))
    return path


class Film(NamedTuple):
    """Frames of a file, their times in seconds, and the reader with its format and notes."""

    planes: list[Planes]
    seconds: list[Fraction]
    reader: VideoReader


def read_film(source: Path | str, *part: Any, **options: Any) -> Film:
    """All that a `VideoReader` with these arguments gives."""
    with VideoReader(source, *part, **options) as reader:
        frames = list(reader)
    tick = reader.format.time_base
    return Film([f.planes for f in frames], [f.pts * tick for f in frames], reader)


def add_video(
    container: av.container.OutputContainer,
    width: int,
    height: int,
    codec: str = "libx264",
    rate: int = 25,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> av.VideoStream:
    stream = container.add_stream(codec, rate=rate, options=options or {})
    stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
    return stream


def put_planes(
    container: av.container.OutputContainer,
    stream: av.VideoStream,
    clip: Iterable[Planes],
    depth: int = 8,
    first: int = 0,
) -> None:
    """All frames of the stream, 25 a second, from number `first` on."""
    for number, planes in enumerate(clip, first):
        frame = frame_from_planes(planes, depth).reformat(format=stream.pix_fmt)
        frame.pts, frame.time_base = number, Fraction(1, 25)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def frame_of(picture: Picture) -> av.VideoFrame:
    if isinstance(picture, av.VideoFrame):
        return picture
    if isinstance(picture, tuple):
        return frame_from_planes(picture, 8)
    return av.VideoFrame.from_ndarray(picture, format="gray" if picture.ndim == 2 else "rgb24")


def put_pictures(
    container: av.container.OutputContainer, stream: av.VideoStream, pictures: Iterable[Picture]
) -> None:
    """All pictures, in the format of the stream."""
    for picture in pictures:
        container.mux(stream.encode(frame_of(picture).reformat(format=stream.pix_fmt)))
    container.mux(stream.encode(None))


def write_pictures(
    path: Path,
    pictures: Iterable[Picture],
    codec: str = "libx264",
    rate: int = 25,
    pix_fmt: str = "yuv420p",
    times: Iterable[int] | None = None,
    tick: Fraction = Fraction(1, 1000),
    muxing: dict[str, str] | None = None,
    **options: str,
) -> Path:
    """A video of pictures, `rate` a second or at `times` in ticks; `options` are the encoder's."""
    frames = [frame_of(picture) for picture in pictures]
    size = frames[0].width, frames[0].height
    with av.open(str(path), "w", options=muxing or {}) as container:
        stream = add_video(container, *size, codec, rate, pix_fmt, options)
        if times is not None:
            stream.codec_context.time_base = tick
            for frame, time in zip(frames, times, strict=True):
                frame.pts, frame.time_base = time, tick
        put_pictures(container, stream, frames)
    return path


def numbered(number: int) -> NDArray[np.uint8]:
    """A gray picture of 64×48 RGB that carries its number in eight bars."""
    bars = [40 + 150 * (number >> bit & 1) for bit in range(8)]
    row = np.repeat(np.array(bars, np.uint8), 8)
    return np.broadcast_to(row[None, :, None], (48, 64, 3)).copy()


def number_of(picture: NDArray[Any], white: int = 255) -> int:
    """The number that a picture (H, W) or (H, W, 3) of these samples carries."""
    levels = (picture[16:32, 8 * bit + 2 : 8 * bit + 6].mean() for bit in range(8))
    return sum(1 << bit for bit, level in enumerate(levels) if level > 0.45 * white)


def sound_of(samples: NDArray[Any], rate: int, pts: int = 0) -> av.AudioFrame:
    """Samples (channels, N), int16 or float32."""
    kind, layout = "fltp" if samples.dtype == np.float32 else "s16p", ("mono", "stereo")
    frame = av.AudioFrame.from_ndarray(samples, kind, layout[len(samples) - 1])
    frame.sample_rate, frame.pts, frame.time_base = rate, pts, Fraction(1, rate)
    return frame


def ffmpeg(*words: object) -> None:
    """Runs FFmpeg's program, which has to succeed."""
    command = [find_ffmpeg("libx264"), "-v", "error", "-nostdin", "-y", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True)


def box(name: bytes, *parts: bytes) -> bytes:
    """A box of MP4, with its size in front."""
    body = b"".join(parts)
    return (8 + len(body)).to_bytes(4) + name + body


def packets_of(path: Path, track: str = "audio") -> list[av.Packet]:
    """Of the first track of this kind."""
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(**{track: 0}) if packet.size]


def copy_tracks(
    source: Path, target: Path, change: Callable[[av.Packet], None] = lambda packet: None
) -> Path:
    """Another file with the packets of all tracks, which `change` may move."""
    with av.open(str(source)) as one, av.open(str(target), "w", options={"strict": "-2"}) as two:
        outputs = {s.index: two.add_stream_from_template(s, opaque=True) for s in one.streams}
        for packet in one.demux():
            if packet.pts is not None and packet.size:
                packet.stream = outputs[packet.stream.index]
                change(packet)
                two.mux(packet)
    return target
