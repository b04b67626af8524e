"""The painter of a stream that is decoded: opens its file and paints base frames.

Frames are uint16 planes of 10 bits. The C++ core (csrc/model, csrc/painter) reads the painter's
file and `fit` payloads; it gives the same samples on every machine and any number of threads.
Raises `WrongModelError`, `MediaError`, `DamagedStreamError`, `UsageError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from gvcodec import _core
from gvcodec.bases import base_of
from gvcodec.bitstream.header import SCALES, SequenceHeader
from gvcodec.errors import (
    DamagedStreamError,
    FormatVersionError,
    MediaError,
    NewerModelError,
    UsageError,
    WrongModelError,
)
from gvcodec.models import find_model, report_embedded_damage
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.kinds import repr_short
from gvcodec.util.process import count_cores

#: Painting strengths of 0…100: base frames, the painter's trained strength, bold.
NO_PAINT, DEFAULT, BOLD = 0, 50, 100
#: Names in error messages for the file that a stream names.
PAINTER_OF_STREAM = "the painter of this stream"


def open_painter(
    header: SequenceHeader,
    threads: int,
    models: Sequence[str | Path] = (),
    paint_strength: int | None = None,
    uses_tokens: bool = True,
) -> VideoPainter:
    """The painter of a stream; `threads` 0 = all cores; `paint_strength`: 0…100 instead of the
    file's; without `uses_tokens` its tokens are ignored. Raises `WrongModelError` when the
    stream has none or its file is not found, `MediaError` for a file that is not a painter."""
    if header.painter_id is None:
        raise WrongModelError("the stream has no painter", code="model-unnamed")
    checkpoint = find_model(header.painter_id, PAINTER_OF_STREAM, models)
    stream = header.format, header.base, header.scale, header.base_q
    with report_embedded_damage(checkpoint):
        return VideoPainter(
            *stream, checkpoint, threads or count_cores(), paint_strength, uses_tokens
        )


def paints_exactly(header: SequenceHeader) -> bool:
    """Whether painted samples are the same on every machine: they are if the base's are."""
    return header.painter_id is not None


def check_paint_strength(paint_strength: int, paints: bool) -> None:
    """Raises `UsageError` for a strength out of range, or if nothing is painted."""
    if not NO_PAINT <= paint_strength <= BOLD:
        raise UsageError(f"look is {NO_PAINT}…{BOLD}, not {paint_strength}", code="option-value")
    if not paints:
        raise UsageError(
            "--look has no effect: no painted frames are shown here", code="option-value"
        )


def check_tokens_option(tokens: str) -> bool:
    """Whether a file is painted by its tokens: "on" or "off". Raises `UsageError` for others."""
    if tokens not in ("on", "off"):
        raise UsageError(f"tokens is on or off, not {repr_short(tokens)}", code="option-value")
    return tokens == "on"


class VideoPainter:
    """Paints the base frames of one stream in display order.

        painter = VideoPainter(fmt, "av1", Fraction(1), 45, checkpoint, threads=1)
        painter.start_gop(fitted)                # payload of the `fit` packet, or None
        picture = painter.paint(frame, size)     # planes of the full size, 10 bit

    `base` and `scale` are those of the frames, `q` is 0…63, `paint_strength` 0…100 instead of the
    payloads'; without `uses_tokens` tokens are ignored. Samples are the same on every
    machine. Raises `UsageError` for a base that is not painted, a q out of range and frames of
    another size, `MediaError` for a file that is no painter, `DamagedStreamError` in
    `start_gop`."""

    def __init__(
        self,
        fmt: VideoFormat,
        base: str,
        scale: Fraction,
        q: int,
        checkpoint: Path,
        threads: int,
        paint_strength: int | None = None,
        uses_tokens: bool = True,
    ) -> None:
        if not 0 <= q <= 63:
            raise UsageError(f"q must be 0…63, not {q}", code="option-value")
        wire, slot = base_of(base).wire, base_of(base).slot
        if slot is None:
            raise UsageError(f"base {base} is not painted")
        self._size = fmt.height, fmt.width
        size = fmt.width, fmt.height
        try:
            model = checkpoint.read_bytes()
            self._core = _core.VideoPainter(model, *size, wire, SCALES.index(scale), q, threads)
        except FormatVersionError as error:
            raise NewerModelError(f"{checkpoint}: {error}") from None
        except (OSError, DamagedStreamError) as error:
            reason = str(error).removeprefix("not a painter: ")
            raise MediaError(
                f"{checkpoint}: not a painter ({reason})", code="not-a-model"
            ) from None
        self._paints = True
        self._paint_strength = -1 if paint_strength is None else paint_strength
        self._uses_tokens = uses_tokens

    def start_gop(self, payload: bytes | None) -> None:
        """Forget the past and load the weights of the GOP. Raises `DamagedStreamError`."""
        self._paints = self._core.start_gop(payload, self._paint_strength, self._uses_tokens)

    def paint(self, base_frame: Planes, size: int = 0) -> Planes:
        """The painted picture of the next base frame; `size`: bytes of its packet, 0 = unknown."""
        height, width = self._size
        if base_frame[0].shape != self._size:
            shape = base_frame[0].shape
            raise UsageError(
                f"a frame of {shape[1]}×{shape[0]} in a video of {width}×{height}",
                code="frame-shape",
            )
        if not self._paints:
            return base_frame
        y, u, v = (np.ascontiguousarray(plane) for plane in base_frame)
        painted: Planes = self._core.paint(y, u, v, size)
        return painted
