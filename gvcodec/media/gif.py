"""Writes decoded frames as an animated GIF: 256 colours a frame, hundredths of a second, no sound.

    with GifWriter(PendingFile("out.gif", overwrite), fmt) as writer:
        writer.write(planes, pts)

Raises `MediaError`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
from av.filter import Graph

from gvcodec.media.mux_writer import name_errors
from gvcodec.media.planes import rgb_from_planes
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.file_io import PendingFile

_TICK = Fraction(1, 100)
#: Browsers show frames of less than two hundredths of a second for ten.
_SHORTEST = 2
#: Graphic control extension, of which the third byte on is a delay, before an image.
_DELAY = re.compile(rb"\x21\xf9\x04.(..).\x00\x2c", re.DOTALL)
_LONGEST = (1 << 16) - 1


class GifWriter:
    """`notes`: what could not be kept, one line each (complete after the `with` block)."""

    def __init__(self, pending: PendingFile, fmt: VideoFormat, notes: Sequence[str] = ()) -> None:
        self.notes = ["256 colours a frame", *notes]
        self._pending, self._fmt = pending, fmt
        self._first: int | None = None
        self._last = -_SHORTEST
        #: How long the last frame is shown, in hundredths of a second.
        self._rest = round(1 / fmt.frame_rate / _TICK)
        self._left_out = 0
        with name_errors(pending.path):
            self._container = av.open(str(pending.temporary), "w", format="gif")
            stream = self._container.add_stream("gif", rate=fmt.frame_rate)
            stream.width, stream.height, stream.pix_fmt = fmt.width, fmt.height, "pal8"
            stream.codec_context.time_base = stream.time_base = _TICK
            self._stream, self._graph = stream, _palette_graph(fmt)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        with self._pending, name_errors(self._pending.path):
            try:
                if value is None:
                    self._graph.push(None)
                    self._drain()
                    self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()
            if value is not None:
                raise value
            _set_last_delay(self._pending.temporary, max(_SHORTEST, self._rest))
        if self._left_out:
            self.notes.append(f"{self._left_out} frames left out, a GIF shows 50 a second at most")

    def write(self, planes: Planes, pts: int) -> None:
        self._first = pts if self._first is None else self._first
        shown = round((pts - self._first) * self._fmt.time_base / _TICK)
        if shown - self._last < _SHORTEST:
            self._left_out += 1
            return
        self._last = shown
        rgb = rgb_from_planes(planes, self._fmt.colour)
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame.pts, frame.time_base = shown, _TICK
        with name_errors(self._pending.path):
            self._graph.push(frame)
            self._drain()

    def end(self, pts: int) -> None:
        shown = round((pts - (self._first or 0)) * self._fmt.time_base / _TICK)
        self._rest = shown - self._last

    def _drain(self) -> None:
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):
                return
            assert isinstance(frame, av.VideoFrame)
            # With a type of its own the encoder would begin a new picture each time.
            frame.pict_type = 0
            self._container.mux(self._stream.encode(frame))


def _set_last_delay(path: Path, delay: int) -> None:
    """FFmpeg repeats the delay of the frame before."""
    data = bytearray(path.read_bytes())
    found = None
    for found in _DELAY.finditer(data):
        pass
    if found is not None:
        data[found.start(1) : found.end(1)] = min(delay, _LONGEST).to_bytes(2, "little")
        path.write_bytes(data)


def _palette_graph(fmt: VideoFormat) -> Graph:
    """RGB frames in, frames with a palette of their own out."""
    graph = Graph()
    source = graph.add_buffer(
        width=fmt.width,
        height=fmt.height,
        format=av.VideoFormat("rgb24"),
        time_base=_TICK,
        name="in",
    )
    split = graph.add("split")
    palette = graph.add("palettegen", "stats_mode=single")
    use = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4:diff_mode=rectangle")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph
