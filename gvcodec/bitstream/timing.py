"""Timestamps that deviate from the constant frame rate: writes and reads `timing` packets.

A timestamp is an integer number of ticks of the stream's time base. docs/spec/tracks.md
specifies prediction and coding; both directions keep the same state: the last frame that was late
and its timestamp. Reading is C++ (csrc/format/timing.cpp).
"""

from __future__ import annotations

from fractions import Fraction

from gvcodec._core import Timeline
from gvcodec.bitstream.varint import encode_svar, encode_var
from gvcodec.limits import DEFAULT, Limits


class _Clock:
    """Predicted timestamps from an anchor frame on."""

    def __init__(self, start_pts: int, frame_rate: Fraction, time_base: Fraction) -> None:
        self.frame = 0
        self.pts = start_pts
        self._step = 1 / (frame_rate * time_base)

    def predict(self, frame: int) -> int:
        top, bottom = self._step.numerator, self._step.denominator
        return self.pts + (2 * (frame - self.frame) * top + bottom) // (2 * bottom)

    def anchor(self, frame: int, pts: int) -> None:
        self.frame, self.pts = frame, pts


class PtsEncoder:
    """Timestamps of all frames in display order to payloads of `timing` packets."""

    def __init__(self, start_pts: int, frame_rate: Fraction, time_base: Fraction) -> None:
        self._clock = _Clock(start_pts, frame_rate, time_base)
        self._start = start_pts
        self._next = 0
        self._next_named = 0
        #: Late frames: number, timestamp, ticks after the predicted one. From the last one before
        #: the current GOP on.
        self._late: list[tuple[int, int, int]] = []
        self._written = 0

    def predict(self) -> int:
        """Timestamp of the next frame if it keeps the rate."""
        return self._clock.predict(self._next)

    def send(self, pts: int) -> None:
        """Take the timestamp of the next frame."""
        late = pts - self._clock.predict(self._next)
        if late:
            self._late.append((self._next, pts, late))
            self._clock.anchor(self._next, pts)
        self._next += 1

    def pop_payload(self, key: int | None = None, end: int | None = None) -> bytes:
        """Entries since the last call, of frames before number `end`; empty if these frames keep
        the rate.

        `key`: number of the frame whose `key` packet comes next. Then the entries are valid without
        earlier ones, if any frame was late.
        """
        payload = bytearray()
        if key and self._late:
            past = sum(number < key for number, _, _ in self._late)
            del self._late[: max(0, past - 1)]
            anchor, pts = self._late[0][:2] if past else (0, self._start)
            payload += encode_var(0) + encode_svar(0)
            payload += encode_var(anchor) + encode_svar(pts - self._start)
            self._next_named, self._written = anchor + 1, min(past, 1)
        for number, _, late in self._late[self._written :]:
            if end is not None and number >= end:
                break
            payload += encode_var(number - self._next_named) + encode_svar(late)
            self._next_named = number + 1
            self._written += 1
        return bytes(payload)


class PtsDecoder(Timeline):
    """Payloads of `timing` packets to timestamps of all frames in display order. `limits`: most
    frames a second.

    `send` takes a payload, `receive` returns the timestamp of the next frame, `restart` continues
    with the first frame of a GOP, `mark_lost` says that a payload may be lost, `start_gop` that a
    `key` packet follows. Raises `DamagedStreamError` for entries that cannot be read, name a frame
    already shown or are out of bounds, `LimitError` for too many frames in the time so far."""

    def __init__(
        self, start_pts: int, frame_rate: Fraction, time_base: Fraction, limits: Limits = DEFAULT
    ) -> None:
        rate, tick = frame_rate.as_integer_ratio(), time_base.as_integer_ratio()
        super().__init__(start_pts, rate, tick, limits.max_fps)
