"""Encoder of base motion: a standard intra picture, then motion trees alone, and now and then
a refresh.

A refresh is a standard inter picture, predicted from the keyframe and the refreshes before it: what
has drifted is mended for a fraction of a keyframe's bytes. So the keyframe and the refreshes of a
GOP are a low-delay stream of few frames a second, and motion trees make what lies in
between, from both sides. Packets come as frames are shown; `payload` says which wait for their
refresh.

Samples are made by integers (`csrc/motion_tree`), so base frames are the same on every machine.
`MotionEncoder` has the state of both its coders, of the frames that wait and of its rate.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from gvcodec._core import MotionFrame, tree_errors, tree_search
from gvcodec.base import Coded, CodedFrame
from gvcodec.base.motion.budgets import Budgets
from gvcodec.base.motion.checkpoint import read_network
from gvcodec.base.motion.drift import Drift
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
from gvcodec.base.motion.pictures import (
    MAX_Q,
    PICTURE_CODEC,
    WINDOW,
    Shown,
    Sized,
    threads_of,
    windows,
)
from gvcodec.base.standard.codec import StandardEncoder
from gvcodec.entropy.streams import Backend
from gvcodec.errors import UsageError
from gvcodec.models import MOTION
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.scene_cuts import MIN_GOP, CutFinder

#: Quality of keyframes and refreshes for a quality of the motion frames. Their samples are what
#: later frames show, so they get most of the bytes.
_STILL_Q = -6.4
#: Of SVT-AV1. 2 takes twice as long for half a per cent of bytes, 6 takes 5 % more bytes.
_STILL_PRESET = 4
#: By how much keyframes and refreshes are finer than that, in parts of it: AV1's quantizer indices
#: are about four times the quality.
_KEY_FINER, _REFRESH_FINER = 1.13, 0.2
#: About the bytes of a GOP's first refresh, in parts of its keyframe's.
_FIRST_REFRESH = 0.2
#: What bytes cost where a refresh is weighed, in parts of their price: it does more for looks than
#: differences of samples say.
_REFRESH_PRICE = 0.4
#: Beyond this q a size ends, where the next smaller one begins: quality falls twice as fast, and
#: that price doubles in so many steps.
_END, _DEARER = 58.0, 2.0
#: What a bit costs at q 32, in mean differences of a window; it doubles in `_OCTAVE` steps.
PRICE, _OCTAVE = 5e-6, 12.0
_PEAK = 1020
#: Frames that are known before one is made a refresh, which has to pay until the next scene or the
#: end; and frames coded forward that wait, because a refresh may yet code them from both sides.
AHEAD, _PENDING = 16, 8
#: More frames than any video has.
_NEVER = 1 << 40


def _finer(quality: float) -> tuple[str, ...]:
    """Options of SVT-AV1 that make all refreshes alike, and keyframes as fine as they are."""
    key, refresh = (-min(64, round(part * quality)) for part in (_KEY_FINER, _REFRESH_FINER))
    refreshes = "[" + ",".join([str(refresh)] * 3) + "]"
    return (
        "hierarchical-levels=2",
        "use-fixed-qindex-offsets=1",
        f"key-frame-qindex-offset={key}",
        f"qindex-offsets={refreshes}",
    )


def bit_price(q: int) -> float:
    """Of a bit, in mean differences of a window."""
    return float(PRICE * 2 ** ((q - 32) / _OCTAVE))


@dataclass(frozen=True, slots=True)
class _Waiting:
    planes: Planes
    key: bool  # it is to be a keyframe
    cut: bool  # a scene begins: it is one if the one before is far enough back


@dataclass(frozen=True, slots=True)
class _Made:
    source: MotionFrame
    payload: bytes
    shown: Shown


#: What is coded of a frame, by which coder: values, levels, what is known before it, and times of
#: its reference frames.
Trace = Callable[[Entropy, Values, Levels, MotionStatistics, Times], None]


class MotionEncoder:
    """Encoder of the plug; packets leave `ahead` frames late and more. `q` 0…63; `keyint` frames
    between keyframes at most, fewer where a scene begins, 0 = only the first. Without `refreshes`
    what drifts is left to the next keyframe. `trace` gets every motion frame. `backend`: where
    the entropy network runs. `alloc`: see `budgets`. Raises `UsageError`."""

    def __init__(
        self,
        fmt: VideoFormat,
        q: float,
        keyint: int = 0,
        threads: int = 0,
        model: Path | None = None,
        scale: Fraction = Fraction(1),
        ahead: int = AHEAD,
        refreshes: bool = True,
        trace: Trace | None = None,
        backend: Backend = "cpu",
        alloc: str = "",
    ) -> None:
        if not 0 <= q <= MAX_Q or keyint < 0:
            raise UsageError(f"no motion base with q {q:g} and a keyframe distance of {keyint}")
        self._sized = Sized(fmt, scale)
        self._fmt, self._q, self._keyint = self._sized.fmt, q, keyint
        self._threads = threads_of(threads)
        self._refresh_price = _REFRESH_PRICE * 2 ** max(0.0, (q - _END) / _DEARER)
        self._count, columns = windows(self._fmt)
        network = read_network(MOTION.find(model))
        self._entropy = Entropy(network, self._count, columns, backend)
        self._entropy.q = round(q)
        self._price = bit_price(round(q))
        #: Of a bit, in sums of differences of a window (10 bits).
        self._window_price = self._price * _PEAK * WINDOW**2
        self._budgets = Budgets(alloc, self._window_price)
        self._cuts = CutFinder(fmt.width, fmt.height) if keyint else None
        self._since_key, self._drift = 0, Drift(0.0)
        #: Frames whose kind is not known yet.
        self._ahead, self._look = deque[_Waiting](), ahead if refreshes else 0
        #: Frames coded forward that have not left.
        self._pending, self._most_pending = deque[_Made](), _PENDING if self._look else 0
        self._refreshes = refreshes
        self._stills: StandardEncoder | None = None
        #: What the pending frames go on from.
        self._before: Shown | None = None
        self._trace = trace

    def send(self, planes: Planes, force_key: bool = False) -> Coded:
        """Take the next frame."""
        cut = self._cuts is not None and self._cuts.begins(planes[0])
        self._ahead.append(_Waiting(self._sized.down(planes), force_key, cut))
        return self._code(ended=False) if len(self._ahead) > self._look else Coded()

    def flush(self) -> Coded:
        parts = []
        while self._ahead:
            parts.append(self._code(ended=True))
        return _join([*parts, self._leave(0)])

    def _code(self, ended: bool) -> Coded:
        """The frame that has waited longest; no more come if `ended`."""
        frame = self._ahead.popleft()
        begins = self._since_key >= MIN_GOP and frame.cut
        if frame.key or not self._since_key or begins or self._since_key == self._keyint > 0:
            self._since_key = 1
            return _join([self._leave(0), self._key(frame.planes)])
        self._since_key += 1
        if self._refreshes:
            known = 1 + len(self._ahead)
            if count := self._drift.refresh_in(self._to_come(ended), known):
                coming = [frame, *(self._ahead.popleft() for _ in range(count - 1))]
                self._since_key += count - 1
                left = self._leave(MOST_WAITING - count + 1)
                return _join([left, self._refresh([one.planes for one in coming])])
        self._forward(frame.planes)
        return self._leave(self._most_pending)

    def _to_come(self, ended: bool) -> int:
        """Frames from this one to the next keyframe, or to the end, as far as that is known."""
        room = self._keyint + 1 - self._since_key if self._keyint else _NEVER
        known = len(self._ahead) + 1 if ended else room
        for i, later in enumerate(self._ahead, 1):
            if later.key or later.cut:
                known = i
                break
        return min(known, room)

    def _leave(self, most: int) -> Coded:
        """All pending frames but the last `most` leave."""
        coded = Coded()
        while len(self._pending) > most:
            made = self._pending.popleft()
            self._before = made.shown
            self._append(coded, made.payload, made.shown)
        return coded

    def _append(self, coded: Coded, payload: bytes, shown: Shown, key: bool = False) -> None:
        coded.packets.append(CodedFrame(payload, key, self._entropy.q))
        coded.base_frames.append(self._sized.up(shown.frame.planes()))

    def _key(self, planes: Planes) -> Coded:
        fmt = dataclasses.replace(self._fmt, frame_rate=Fraction(25))
        quality = min(63.0, max(0.0, self._q + _STILL_Q + max(0.0, self._q - _END)))
        finer = _finer(quality)
        self._stills = StandardEncoder(
            fmt,
            PICTURE_CODEC,
            quality,
            threads=self._threads,
            low_delay=True,
            params=finer,
            preset=_STILL_PRESET,
        )
        source = MotionFrame.still(*planes)
        packet, shown = self._still(planes, source, MotionStatistics.empty(self._count))
        area = self._fmt.width * self._fmt.height
        self._drift = Drift(self._refresh_price * self._price * 8 * WINDOW**2 / area)
        self._drift.add(self._distance(shown), round(_FIRST_REFRESH * len(packet)))
        self._before = shown
        coded = Coded()
        self._append(coded, bytes([self._entropy.q]) + packet, shown, key=True)
        return coded

    def _still(
        self, planes: Planes, source: MotionFrame, memory: MotionStatistics
    ) -> tuple[bytes, Shown]:
        """The next picture of the standard stream, coded and decoded."""
        assert self._stills is not None
        coded = self._stills.send(planes)
        if len(coded.packets) != 1 or len(coded.base_frames) != 1:
            raise UsageError("this SVT-AV1 holds pictures back in low delay")
        frame = MotionFrame.still(*coded.base_frames[0])
        return coded.packets[0].payload, Shown(frame, memory, tree_errors(source, frame))

    def _refresh(self, frames: Sequence[Planes]) -> Coded:
        """The last of these frames as a refresh; those before it, and pending ones, come from both
        sides."""
        *between, planes = frames
        sources = [made.source for made in self._pending]
        sources += [MotionFrame.still(*one) for one in between]
        self._pending.clear()
        before, last = self._before, len(sources) + 1
        assert before is not None
        source = MotionFrame.still(*planes)
        packet, refresh = self._still(planes, source, before.memory)
        shown = {0: before, last: refresh.as_picture(1)}
        payloads = {last: REFRESH + packet}
        for turn in schedule(len(sources)):
            far = None if turn.far is None else shown[turn.far]
            times = Times(turn.near - turn.frame, 0 if turn.far is None else turn.far - turn.frame)
            made = self._motion_frame(sources[turn.frame - 1], shown[turn.near], far, times)
            shown[turn.frame], payloads[turn.frame] = made.shown, made.payload
        if last > 1:
            payloads[1] = WAITING + payloads[1]
            refresh = dataclasses.replace(refresh, memory=shown[last - 1].memory)
        self._before = shown[last] = refresh
        self._drift.restart()
        self._drift.add(self._distance(refresh), len(packet))
        coded = Coded()
        for i in range(1, last + 1):
            self._append(coded, payloads[i], shown[i])
        return coded

    def _forward(self, planes: Planes) -> None:
        """Code a frame after the one before it; it is pending."""
        before = self._pending[-1].shown if self._pending else self._before
        assert before is not None
        made = self._motion_frame(MotionFrame.still(*planes), before, None, Times(-1, 0))
        self._pending.append(made)
        if self._refreshes:
            self._drift.add(self._distance(made.shown), len(made.payload))

    def _motion_frame(
        self, source: MotionFrame, near: Shown, far: Shown | None, times: Times
    ) -> _Made:
        threads = self._threads
        price = self._window_price
        other = None if far is None else far.frame
        copied = tree_errors(source, near.frame)
        most = self._budgets.levels(source, near, copied)
        values, levels, bits = tree_search(
            source, near.frame, other, *times, round(price / 4), most, threads
        )
        frame = MotionFrame.follow(near.frame, other, *times, values, levels, threads)
        missed = tree_errors(source, frame)
        copies = copied <= missed + price * bits
        if (copies & (levels > 0)).any():
            levels = np.where(copies, 0, levels).astype(np.uint8)
            values = np.where(copies[:, None], 0, values).astype(np.int16)
            frame = MotionFrame.follow(near.frame, other, *times, values, levels, threads)
            missed = np.where(copies, copied, missed)
        if not levels.any():
            return _Made(source, b"", dataclasses.replace(near, missed=copied))
        if self._trace:
            self._trace(self._entropy, values, levels, near.memory, times)
        payload = self._entropy.encode(values, levels, near.memory, times)
        memory = near.memory.after(values, levels, times)
        return _Made(source, payload, Shown(frame, memory, missed))

    def _distance(self, shown: Shown) -> float:
        """What a frame misses of its source, in mean differences of a picture."""
        assert shown.missed is not None
        return float(shown.missed.sum()) / (self._fmt.width * self._fmt.height * _PEAK)


def _join(parts: list[Coded]) -> Coded:
    return Coded(
        [p for part in parts for p in part.packets],
        [base_frame for part in parts for base_frame in part.base_frames],
    )
