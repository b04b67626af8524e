"""Decoder of base gvc1d (see `encoder`): NumPy and the core, no torch."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec.base import BaseDecoder
from gvcodec.bitstream.varint import Cursor
from gvcodec.entropy.streams import backend_of
from gvcodec.errors import DamagedStreamError
from gvcodec.gvc1d import motion
from gvcodec.gvc1d.frame_payload import (
    LEVELS,
    Coder,
    Head,
    LoopState,
    Predicted,
    Values,
    after,
    filtered,
    predict,
    read_head,
    read_levels,
    recall,
    remember,
    sides_of,
)
from gvcodec.gvc1d.model_file import read_loop
from gvcodec.gvc1d.pictures import crop, padded_size
from gvcodec.models import report_embedded_damage
from gvcodec.types import Planes, VideoFormat


class Decoded(NamedTuple):
    """One frame in whole windows, and what its payload says; `levels` as places in `LEVELS`."""

    frame: Planes
    head: Head
    known: Predicted
    levels: NDArray[np.int32]
    values: Values


class Gvc1dDecoder(BaseDecoder):
    """Decoder of the plug. `latest`: the frame released last. Raises `MediaError` for a broken
    model."""

    def __init__(self, fmt: VideoFormat, model: Path, threads: int = 1) -> None:
        self.fmt = fmt
        with report_embedded_damage(model):
            self._loop = read_loop(model)
        self._size = padded_size(fmt)
        self._coder = Coder(self._loop, self._size[0] * self._size[1] // 65536)
        self._state: LoopState | None = None
        self.latest: Decoded | None = None

    def to_device(self, device: str) -> None:
        """Run the entropy network there: the same values."""
        self._coder.backend = backend_of(device)

    def send(self, payload: bytes, keyframe: bool) -> list[Planes]:
        if keyframe:
            self._state = None
        elif self._state is None:
            raise DamagedStreamError("a frame of gvc1d without a keyframe")
        self.latest = self._decode(payload)
        return [crop(self.latest.frame, self.fmt)]

    def _decode(self, payload: bytes) -> Decoded:
        cursor = Cursor(payload, "a frame of gvc1d")
        transform, state = self._loop.transform, self._state
        head = read_head(cursor, state)
        if head.remember and state is not None:
            remember(state, transform, head.q)
        rows, columns = self._size[0] // 16, self._size[1] // 16
        source = vectors = None
        if head.reference and state is not None:
            vectors = motion.unpack(cursor.take(cursor.var()), rows, columns)
            source = state.frame
            if head.reference > 1:
                source = recall(state, transform, head.reference - 2)
        known = predict(state, self._size, source, vectors)
        levels = read_levels(cursor, state, self._coder.windows)
        most = LEVELS[int(levels.max())]
        sides = sides_of(transform, known, state, head.q, max(most, 2))
        values = self._coder.decode(cursor, levels, sides)
        frame = transform.add(known.guess, values, head.q)
        if head.filtered:
            frame = filtered(self._loop, frame, known, head.q)
        self._state = after(state, frame, values, levels, head.reference == 0)
        return Decoded(frame, head, known, levels, values)

    def flush(self) -> list[Planes]:
        return []

    def abandon(self) -> None:
        self._state = None
