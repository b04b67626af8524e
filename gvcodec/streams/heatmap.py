"""`gvcodec inspect`: where the bits of a `klt` stream went, as numbers or as a picture.

A picture shows the loop frame tinted window by window, from blue (few bits) to red (many, on a
logarithmic scale), with two numbers in each 256×256 window: its bits and its tokens. Below stands
what the colours mean. A video has one for every frame; a .png the mean over all frames, over the
first one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gvcodec.bitstream import Kind, PtsDecoder, Reader
from gvcodec.decoding_limits import DEFAULT, Limits, check
from gvcodec.errors import UsageError
from gvcodec.structure.klt.codec import KltDecoder
from gvcodec.types import Plane, Planes, VideoFormat

SIDE = 256
_SCALE = 3
_LINE = 7 * _SCALE
_MARGIN = 4
#: Bits a pixel at both ends of the colour scale.
_LEAST, _MOST = 1e-4, 1.0
_BRIGHT, _GREY, _DARK = 940, 512, 64
#: Height of the legend, with room for one line.
_STRIP = 30
_MARKS = ("0.0001", "0.001", "0.01", "0.1", "1 bits/px")
LEGEND = "numbers: bits over tokens of a window; colours: 0.0001 (blue) to 1 (red) bits a pixel"
#: Digits and letters of 3×5 dots, row by row from the top, the left dot in the highest bit.
_GLYPHS = {
    "0": (7, 5, 5, 5, 7),
    "1": (2, 6, 2, 2, 7),
    "2": (7, 1, 7, 4, 7),
    "3": (7, 1, 7, 1, 7),
    "4": (5, 5, 7, 1, 1),
    "5": (7, 4, 7, 1, 7),
    "6": (7, 4, 7, 5, 7),
    "7": (7, 1, 2, 2, 2),
    "8": (7, 5, 7, 5, 7),
    "9": (7, 5, 7, 1, 7),
    ".": (0, 0, 0, 0, 2),
    "/": (1, 1, 2, 4, 4),
    " ": (0, 0, 0, 0, 0),
    "b": (4, 4, 6, 5, 6),
    "i": (2, 0, 2, 2, 2),
    "t": (2, 7, 2, 2, 3),
    "s": (0, 3, 6, 3, 6),
    "p": (0, 6, 5, 6, 4),
    "x": (0, 5, 2, 2, 5),
}


@dataclass(frozen=True, slots=True)
class WindowFrame:
    """One decoded frame: loop planes, bits and tokens of its windows (rows, columns),
    timestamp-less."""

    planes: Planes
    bits: NDArray[np.float64]
    tokens: NDArray[np.int64]


def windows_of(reader: Reader, threads: int = 0, limits: Limits = DEFAULT) -> Iterator[WindowFrame]:
    """All frames of a `klt` stream. Raises `UsageError` for another base, and what decoding
    raises."""
    from gvcodec.factory import structure_decoder

    header = reader.header
    check(header, False, limits)
    fmt = header.format
    timing = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base, limits)
    decoder = structure_decoder(header, threads)
    if not isinstance(decoder, KltDecoder):
        raise UsageError(f"only klt streams have windows, this one is {header.base}")
    for packet in reader.packets():
        if packet.kind is Kind.TIMING:
            timing.send(packet.payload)
        elif packet.is_frame:
            timing.receive()
            (planes,) = decoder.send(packet.payload, packet.kind is Kind.KEY)
            yield WindowFrame(
                planes, decoder.window_bits().astype(np.float64), decoder.window_tokens()
            )


def mean_frame(frames: Iterator[WindowFrame]) -> tuple[WindowFrame, int]:
    """The first frame's picture with the means over all frames, and their number. Raises
    `UsageError` without any."""
    first, count = next(frames, None), 1
    if first is None:
        raise UsageError("the stream holds no frame")
    bits, tokens = first.bits.copy(), first.tokens.copy()
    for frame in frames:
        bits += frame.bits
        tokens += frame.tokens
        count += 1
    return WindowFrame(first.planes, bits / count, np.rint(tokens / count).astype(np.int64)), count


def table(frame: WindowFrame) -> str:
    """Bits and tokens of the windows as text, a line for each row of windows."""
    return "\n".join(
        "  ".join(f"{bits:8.1f} {tokens:5d}" for bits, tokens in zip(*row, strict=True))
        for row in zip(frame.bits, frame.tokens, strict=True)
    )


def heatmap_format(fmt: VideoFormat) -> VideoFormat:
    """That of the pictures of a video."""
    return replace(fmt, height=fmt.height + _STRIP)


def heatmap(frame: WindowFrame) -> Planes:
    """The picture: that of the frame with its legend below."""
    y, u, v = (plane.copy() for plane in frame.planes)
    height, width = y.shape
    for row, column in np.ndindex(frame.bits.shape):
        top, left = row * SIDE, column * SIDE
        low, right = min(top + SIDE, height), min(left + SIDE, width)
        heat = _heat(float(frame.bits[row, column]) / ((low - top) * (right - left)))
        half = slice(top // 2, (low + 1) // 2), slice(left // 2, (right + 1) // 2)
        # A mix of the picture's colour and that of the heat.
        for plane, colour in zip((u, v), _colour(np.array(heat)), strict=True):
            plane[half] = (plane[half].astype(np.int32) + int(colour)) // 2
        y[top, left:right] = y[top:low, left] = _DARK
    for row, column in np.ndindex(frame.bits.shape):
        lines = f"{frame.bits[row, column]:.0f}", str(frame.tokens[row, column])
        # Where the last row or column has no room for them, its numbers stand across its edge.
        room = 2 * _LINE + _MARGIN, max(map(_width, lines)) + _MARGIN
        top = max(0, min(row * SIDE + _MARGIN, height - room[0]))
        left = max(0, min(column * SIDE + _MARGIN, width - room[1]))
        for number, line in enumerate(lines):
            _write(y, line, top + number * _LINE, left)
    return tuple(
        np.concatenate(pair) for pair in zip((y, u, v), _legend(height, width), strict=True)
    )  # type: ignore[return-value]


def _legend(height: int, width: int) -> Planes:
    """What goes below a picture of this size: the colours as they are on grey, and on their
    logarithmic scale the marks that have room."""
    luma = np.full((_STRIP, width), _GREY, np.uint16)
    half = (height + _STRIP + 1) // 2 - (height + 1) // 2, (width + 1) // 2
    u, v = (
        np.tile((512 + line) / 2, (half[0], 1)).astype(np.uint16)
        for line in _colour(np.linspace(0, 1, half[1]))
    )
    free = 0
    last = width - _width(_MARKS[-1])
    for number, mark in enumerate(_MARKS):
        left = min(
            max(0, round(number * width / (len(_MARKS) - 1)) - _width(mark) // 2),
            width - _width(mark),
        )
        if left >= free and (mark is _MARKS[-1] or left + _width(mark) + _MARGIN <= last):
            _write(luma, mark, _MARGIN, left)
            free = left + _width(mark) + _MARGIN
    return luma, u, v


def _colour(heat: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """U and V from, in BT.709 terms, blue (U high, V low) to red (U low, V high)."""
    return 512 + 400 * (0.5 - heat), 512 + 400 * (heat - 0.5)


def _width(text: str) -> int:
    return (4 * len(text) + 1) * _SCALE


def _heat(bits_a_pixel: float) -> float:
    """0…1 on a logarithmic scale."""
    scale = np.log(max(bits_a_pixel, _LEAST) / _LEAST) / np.log(_MOST / _LEAST)
    return float(min(1.0, scale))


def _write(luma: Plane, text: str, top: int, left: int) -> None:
    """Glyphs, bright on dark, as far as the picture goes."""
    dots = np.zeros((7, 4 * len(text) + 1), bool)
    for number, glyph in enumerate(text):
        for row, bits in enumerate(_GLYPHS[glyph]):
            for column in range(3):
                dots[row + 1, 4 * number + column + 1] = bits >> (2 - column) & 1
    large = dots.repeat(_SCALE, 0).repeat(_SCALE, 1)
    area = luma[top : top + large.shape[0], left : left + large.shape[1]]
    area[:] = np.where(large[: area.shape[0], : area.shape[1]], _BRIGHT, _DARK)
