"""Qualities of the frames of a `klt` stream so that the file comes out at a given size: `SizePace`,
the last of its passes.

An earlier pass at one quality tells what each frame costs. From then on a frame of b bytes is taken
to cost b·e^(-SLOPE·steps) at another quality; before each frame the quality is solved for which the
frames to come fill what is left, with the error so far as a correction. A frame that takes so much
that the rest would have to pay for it is coded anew, and the very last frame until it fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gvcodec.bitstream.varint import encode_var
from gvcodec.structure.klt.codec import Q_COARSEST, Q_FINEST

#: Natural log of the bytes that a step of q saves: about 8 % … 13 %, measured on training clips.
SLOPE = 0.107
#: Bytes a frame has that do not depend on the quality: framing and the frame's head.
_HEAD = 6
#: A quality moves by so much at most from one frame to the next, by more when so few frames are
#: left.
_STRIDE, _LATE_STRIDE, _END = 0.5, 2.0, 6
#: A frame is coded anew, so often at most and coarser by this at least, when it leaves the rest
#: less than this part of their forecast.
_REPEATS, _LEAST_STEP, _LEAST_SHARE = 3, 0.4, 0.8
#: Codings of the last frame at most, and the part of the budget that may stay unused.
LAST_TRIALS, _CLOSE = 10, 0.0005
#: Part of the budget, its own share at most, that is left to the last frame besides, should the one
#: before it turn out large.
_RESERVE = 0.006
#: The last frame may be so many steps finer than the others, to use up what they left.
_LAST_GAIN = 24.0
#: How many frames' worth of the forecast counts against its error at first, and how much of either
#: lasts to the next frame.
_INERTIA, _MEMORY = 10.0, 0.9


def framed(size: int) -> int:
    """Bytes of a frame packet in the file, for a payload of `size` bytes."""
    return len(encode_var(size << 2)) + size + 2


@dataclass(slots=True)
class Constant:
    """The same quality for all frames: a `Pace` for qualities beyond 0…63 as well."""

    value: float

    def quality(self, key: bool) -> float:
        return self.value

    def again(self, size: int, key: bool) -> float | None:
        return None


class SizePace:
    """A `Pace` for frames that took `profile` bytes each (framing included) at quality `base`, to
    take `budget` together.

    `spent` is what they took. It exceeds `budget` only where even the coarsest last frame does not
    fit.
    """

    def __init__(self, profile: list[int], base: float, budget: int, slope: float = SLOPE) -> None:
        self._profile, self._base, self._budget, self._slope = profile, base, budget, slope
        self._left = sum(max(0, b - _HEAD) for b in profile)
        self._number = 0
        self._expected = self._actual = 0.0
        self._value: float | None = None
        self._repeats = 0
        self._last = _LastFrame()
        self.spent = 0

    def quality(self, key: bool) -> float:
        wanted = self._solve(0.0)
        if self._value is not None and self._frames_left > 1:
            stride = _STRIDE if self._frames_left > _END else _LATE_STRIDE
            wanted = min(max(wanted, self._value - stride), self._value + stride)
        if self._value is not None and self._frames_left == 1:
            wanted = max(wanted, self._value - _LAST_GAIN)
            self._last = _LastFrame(max(Q_FINEST, self._value - _LAST_GAIN))
        self._value = _bounded(wanted)
        self._repeats = 0
        return self._value

    def again(self, size: int, key: bool) -> float | None:
        assert self._value is not None
        cost = framed(size)
        better = self._last_again(cost) if self._frames_left == 1 else self._surprised(cost)
        if better is not None:
            self._value = better
            return better
        own = self._own
        self._expected = _MEMORY * self._expected + own * math.exp(
            -self._slope * (self._value - self._base)
        )
        self._actual = _MEMORY * self._actual + max(0, cost - _HEAD)
        self._left -= own
        self._number += 1
        self.spent += cost
        return None

    @property
    def _frames_left(self) -> int:
        return len(self._profile) - self._number

    @property
    def _own(self) -> int:
        """Bytes of the present frame in the profile."""
        return max(0, self._profile[self._number] - _HEAD)

    def _last_again(self, cost: int) -> float | None:
        assert self._value is not None
        room = self._budget - self.spent
        return self._last.after(self._value, cost, room, _CLOSE * self._budget, self._slope)

    def _surprised(self, cost: int) -> float | None:
        """A coarser quality that suits the present frame together with the rest, when it took so
        much that the rest suffers."""
        assert self._value is not None
        forecast = math.exp(-self._slope * (self._value - self._base)) * self._correction()
        rest = (self._left - self._own) * forecast
        rest_room = self._budget - self.spent - cost - (self._frames_left - 1) * _HEAD
        if self._repeats == _REPEATS or rest_room >= rest * _LEAST_SHARE:
            return None
        self._repeats += 1
        # In the profile's terms: how much more there is to code than was thought.
        more = (max(0, cost - _HEAD) - self._own * forecast) / math.exp(
            -self._slope * (self._value - self._base)
        )
        return _bounded(max(self._solve(more), self._value + _LEAST_STEP))

    def _solve(self, more: float) -> float:
        """The quality at which the frames to come, and `more` bytes at the profile's quality, are
        forecast to fill what is left."""
        room = self._budget - self.spent - max(1, self._frames_left) * _HEAD
        if self._frames_left > 1:
            last = (self._profile[-1] - _HEAD) * math.exp(
                -self._slope * ((self._value or self._base) - self._base)
            )
            room -= int(min(_RESERVE * self._budget, last))
        if room <= 0:
            return Q_COARSEST
        forecast = max(1.0, self._left * self._correction() + more)
        return self._base + math.log(forecast / room) / self._slope

    def _correction(self) -> float:
        """Bytes of late over their forecast."""
        inertia = _INERTIA * _MEMORY**self._number * self._left / max(1, self._frames_left)
        return (
            (self._actual + inertia) / (self._expected + inertia)
            if self._expected + inertia
            else 1.0
        )


def _bounded(quality: float) -> float:
    return min(max(quality, Q_FINEST), Q_COARSEST)


class _LastFrame:
    """Search for the finest quality at which the last frame fits, by trials that come from
    outside."""

    def __init__(self, finest: float = Q_FINEST) -> None:
        self._fits: tuple[float, int] | None = None
        self._exceeds: tuple[float, int] | None = None
        self._finest = finest
        self._attempts = 0

    def after(
        self, quality: float, cost: int, room: int, close: float, slope: float
    ) -> float | None:
        """The next quality to try, or None when the coding that was just made is to stay."""
        self._attempts += 1
        if cost <= room:
            if self._fits is None or cost >= self._fits[1]:
                self._fits = quality, cost
            if room - cost <= close or quality <= self._finest or self._attempts > LAST_TRIALS:
                return self._settle(quality)
        else:
            if quality >= Q_COARSEST:
                return None
            self._exceeds = quality, cost
            if self._attempts > LAST_TRIALS:
                return self._settle(quality)
        if self._fits is None:
            step = max(1.0, math.log(cost / max(room, 1)) / slope) * (1 + 0.5 * self._attempts)
            return min(Q_COARSEST, quality + step)
        if self._exceeds is None:
            step = max(0.5, 0.8 * math.log(room / cost) / slope)
            return max(self._finest, quality - step)
        if self._fits[0] - self._exceeds[0] < 0.02:
            return self._settle(quality)
        return (self._fits[0] + self._exceeds[0]) / 2

    def _settle(self, quality: float) -> float | None:
        """The best coding that fits: None when it is the present one."""
        best = self._fits[0] if self._fits is not None else Q_COARSEST
        if quality == best:
            return None
        # Coded once more, then taken whatever comes: the same quality gives the same bytes.
        self._finest = best
        return best
