"""Timestamps that leave the constant rate: both directions of the `timing` packet.

A timestamp is an integer number of ticks of the stream's time base. Prediction and coding are specified in the package
docstring; both classes keep the same state: the last frame that was late and its timestamp.
"""

from __future__ import annotations

from fractions import Fraction

from gvcodec.bitstream.varint import Cursor, encode_svar, encode_var
from gvcodec.errors import DamagedStreamError


class _Clock:
    """Predicted timestamps from an anchor frame on."""

    def __init__(self, start_pts: int, frame_rate: Fraction, time_base: Fraction) -> None:
        self.frame = 0
        self.pts = start_pts
        self._step = 1 / (frame_rate * time_base)

    def predict(self, frame: int) -> int:
        step = self._step
        return self.pts + (2 * (frame - self.frame) * step.numerator + step.denominator) // (2 * step.denominator)

    def anchor(self, frame: int, pts: int) -> None:
        self.frame, self.pts = frame, pts


class PtsEncoder:
    """Takes the timestamp of every frame in display order, gives the payload of a `timing` packet when one is due."""

    def __init__(self, start_pts: int, frame_rate: Fraction, time_base: Fraction) -> None:
        self._clock = _Clock(start_pts, frame_rate, time_base)
        self._next = 0
        self._named = 0
        self._pending = bytearray()

    def predicted(self) -> int:
        """Timestamp of the next frame if it keeps the rate."""
        return self._clock.predict(self._next)

    def send(self, pts: int) -> None:
        """Take the timestamp of the next frame."""
        late = pts - self._clock.predict(self._next)
        if late:
            self._pending += encode_var(self._next - self._named) + encode_svar(late)
            self._clock.anchor(self._next, pts)
            self._named = self._next + 1
        self._next += 1

    def take(self) -> bytes:
        """Entries since the last call; empty when all frames kept the rate."""
        payload = bytes(self._pending)
        self._pending.clear()
        return payload


class PtsDecoder:
    """Takes payloads of `timing` packets, gives the timestamp of every frame in display order."""

    def __init__(self, start_pts: int, frame_rate: Fraction, time_base: Fraction) -> None:
        self._clock = _Clock(start_pts, frame_rate, time_base)
        self._next = 0
        self._named = 0
        self._late: dict[int, int] = {}

    def send(self, payload: bytes) -> None:
        """Raises `DamagedStreamError` for entries that cannot be read or name a frame already shown."""
        cursor = Cursor(payload, "timing")
        while len(cursor):
            frame = self._named + cursor.var(1 << 40)
            if frame < self._next:
                raise DamagedStreamError("timing comes after the frame it names")
            self._late[frame] = cursor.svar()
            self._named = frame + 1

    def receive(self) -> int:
        """Timestamp of the next frame."""
        pts = self._clock.predict(self._next)
        late = self._late.pop(self._next, 0)
        if late:
            pts += late
            self._clock.anchor(self._next, pts)
        self._next += 1
        return pts
