"""Checks a stream as far as it can be checked: checksums, decoding, loop hash, and PSNR against the
source."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gvcodec.bitstream import Reader
from gvcodec.decoder import Decoder
from gvcodec.errors import UsageError
from gvcodec.media.reader import Frame, VideoReader
from gvcodec.types import Planes

_PEAK = 1023


@dataclass(frozen=True, slots=True)
class Verified:
    """`psnr`: dB of Y, U, V, mean over the frames, of loop frames and painted ones (None: nothing
    was painted)."""

    frames: int
    compared: int
    loop_psnr: tuple[float, ...] | None
    painted_psnr: tuple[float, ...] | None


def verify(reader: Reader, decoder: Decoder, source: VideoReader | None = None) -> Verified:
    """Read, decode and compare everything. Raises `DamagedStreamError`, `VerificationError`,
    `UsageError` for a source of another size."""
    fmt = reader.header.format
    if source is not None and (source.format.width, source.format.height) != (
        fmt.width,
        fmt.height,
    ):
        found = f"{source.format.width}×{source.format.height}"
        raise UsageError(f"{source.name} has {found} samples, the stream {fmt.width}×{fmt.height}")
    originals: Iterator[Frame] = iter(source) if source is not None else iter(())
    loops, paintings = _Psnr(), _Psnr()
    for frame in decoder.frames_of(reader.packets()):
        decoder.tracks.clear()
        original = next(originals, None)
        if original is not None:
            loops.send(frame.loop, original.planes)
            if frame.planes is not frame.loop:
                paintings.send(frame.planes, original.planes)
    decoder.verify(reader.loop_hash)
    return Verified(decoder.frames, loops.frames, loops.mean(), paintings.mean())


class _Psnr:
    """Mean over frames of each plane's PSNR; exact planes count only when all are."""

    def __init__(self) -> None:
        self.frames = 0
        self._sums = [0.0, 0.0, 0.0]
        self._inexact = [0, 0, 0]

    def send(self, found: Planes, wanted: Planes) -> None:
        self.frames += 1
        for index, (left, right) in enumerate(zip(found, wanted, strict=True)):
            mse = float(np.mean(np.square(left.astype(np.int32) - right)))
            if mse:
                self._sums[index] += 10 * math.log10(_PEAK**2 / mse)
                self._inexact[index] += 1

    def mean(self) -> tuple[float, ...] | None:
        if not self.frames:
            return None
        return tuple(
            total / count if count else math.inf
            for total, count in zip(self._sums, self._inexact, strict=True)
        )
