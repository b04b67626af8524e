"""Decoder of base motion (see `encoder`)."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from gvcodec._core import MotionFrame
from gvcodec.base.motion.checkpoint import read_network
from gvcodec.base.motion.payload import (
    MOST_WAITING,
    REFRESH,
    WAITING,
    Entropy,
    Levels,
    MotionStatistics,
    Times,
    Values,
    schedule,
)
from gvcodec.base.motion.pictures import MAX_Q, PICTURE_CODEC, Shown, Sized, threads_of, windows
from gvcodec.base.standard.codec import StandardDecoder
from gvcodec.entropy.streams import Backend, backend_of
from gvcodec.errors import DamagedStreamError
from gvcodec.models import brought_along
from gvcodec.types import Planes, VideoFormat


class MotionSymbols(NamedTuple):
    """What the packet of a motion frame holds, as docs/spec/motion.md names it."""

    levels: Levels
    values: Values


class MotionDecoder:
    """Decoder of the plug. `backend`: where the entropy network runs. `latest`: symbols of each
    frame that `send` gave last; None of AV1 pictures and of frames whose refresh is lost."""

    def __init__(
        self,
        fmt: VideoFormat,
        threads: int,
        model: Path,
        scale: Fraction = Fraction(1),
        backend: Backend = "cpu",
    ) -> None:
        self._sized = Sized(fmt, scale)
        self._fmt, self._threads = self._sized.fmt, threads_of(threads)
        self._count, columns = windows(self._fmt)
        with brought_along(model):
            network = read_network(model)
        self._entropy = Entropy(network, self._count, columns, backend)
        self._stills: StandardDecoder | None = None
        self._before: Shown | None = None
        #: Motion trees that wait for their refresh, in display order.
        self._waiting: list[bytes] = []
        self.latest: list[MotionSymbols | None] = []

    def to_device(self, device: str) -> None:
        """Run the entropy network there: the same values."""
        self._entropy.backend = backend_of(device)

    def send(self, payload: bytes, keyframe: bool) -> list[Planes]:
        if keyframe:
            if not payload or payload[0] > MAX_Q:
                raise DamagedStreamError("keyframe without a quality")
            frozen = self.flush()
            self._stills = StandardDecoder(
                self._fmt, PICTURE_CODEC, threads=self._threads, low_delay=True
            )
            self._before = None
            self._before = self._still(payload[1:], True, MotionStatistics.empty(self._count))
            self._entropy.q = payload[0]
            self.latest = [None] * (len(frozen) + 1)
            return [*frozen, self._up(self._before)]
        if self._before is None:
            raise DamagedStreamError("motion without a keyframe")
        if payload[:1] == REFRESH:
            return self._refresh(payload[1:])
        if self._waiting or payload[:1] == WAITING:
            if len(self._waiting) == MOST_WAITING:
                raise DamagedStreamError(f"more than {MOST_WAITING} motion frames wait")
            self._waiting.append(payload if self._waiting else payload[1:])
            self.latest = []
            return []
        self._before, symbols = self._motion_frame(payload, self._before, None, Times(-1, 0))
        self.latest = [symbols]
        return [self._up(self._before)]

    def _refresh(self, unit: bytes) -> list[Planes]:
        """The next picture of the standard stream, and the frames that waited for it."""
        waiting, self._waiting = self._waiting, []
        before, last = self._before, len(waiting) + 1
        assert before is not None
        refresh = self._still(unit, False, before.memory)
        shown = {0: before, last: refresh.as_picture(1)}
        self.latest = [None] * last
        for turn in schedule(len(waiting)):
            far = None if turn.far is None else shown[turn.far]
            times = Times(turn.near - turn.frame, 0 if turn.far is None else turn.far - turn.frame)
            payload = waiting[turn.frame - 1]
            made, symbols = self._motion_frame(payload, shown[turn.near], far, times)
            shown[turn.frame], self.latest[turn.frame - 1] = made, symbols
        if waiting:
            refresh = dataclasses.replace(refresh, memory=shown[last - 1].memory)
        self._before = shown[last] = refresh
        return [self._up(shown[i]) for i in range(1, last + 1)]

    def _motion_frame(
        self, payload: bytes, near: Shown, far: Shown | None, times: Times
    ) -> tuple[Shown, MotionSymbols]:
        values, levels = self._entropy.decode(payload, near.memory, times)
        symbols = MotionSymbols(levels, values)
        if not levels.any():
            return near, symbols
        other = None if far is None else far.frame
        frame = MotionFrame.follow(near.frame, other, *times, values, levels, self._threads)
        return Shown(frame, near.memory.after(values, levels, times)), symbols

    def _up(self, shown: Shown) -> Planes:
        return self._sized.up(shown.frame.planes())

    def _still(self, unit: bytes, keyframe: bool, memory: MotionStatistics) -> Shown:
        """The next picture of the standard stream. Raises `DamagedStreamError`."""
        assert self._stills is not None
        base_frames = self._stills.send(unit, keyframe)
        if len(base_frames) != 1:
            raise DamagedStreamError("a keyframe or a refresh holds one picture")
        return Shown(MotionFrame.still(*base_frames[0]), memory)

    def flush(self) -> list[Planes]:
        """Frames whose refresh is not there, as after a loss, repeat the one before."""
        waiting, self._waiting = self._waiting, []
        if self._before is None:
            return []
        return [self._up(self._before) for _ in waiting]

    def abandon(self) -> None:
        self._before, self._waiting = None, []
