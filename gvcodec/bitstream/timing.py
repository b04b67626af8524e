"""Timestamps that deviate from the constant frame rate: writes and reads `timing` packets.

A timestamp is an integer number of ticks of the stream's time base. docs/spec/tracks.md
specifies prediction and coding; both classes keep the same state: the last frame that was late
and its timestamp.
"""

from __future__ import annotations

from fractions import Fraction

from gvcodec.bitstream.header import MAX_PTS
from gvcodec.bitstream.varint import Cursor, encode_svar, encode_var
from gvcodec.errors import DamagedStreamError
from gvcodec.limits import DEFAULT, Limits, check_pace

_MAX_FRAME = 1 << 40
#: Most frames that may be named before they are shown: as many as one packet can hold.
_MAX_WAITING = 1 << 19


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


class PtsDecoder:
    """Payloads of `timing` packets to timestamps of all frames in display order. `limits`: most
    frames a second."""

    def __init__(
        self, start_pts: int, frame_rate: Fraction, time_base: Fraction, limits: Limits = DEFAULT
    ) -> None:
        self._clock = _Clock(start_pts, frame_rate, time_base)
        self._start = start_pts
        self._next = 0
        self._next_named = 0
        self._late: dict[int, int] = {}
        self._exact: dict[int, int] = {}
        self._is_lost = False
        self._tick, self._limits = time_base, limits
        #: As integers: frames beyond one second's × `[0]` may not exceed ticks × `[1]`.
        self._pace = time_base.denominator, limits.max_fps * time_base.numerator
        #: Earliest and latest timestamp so far.
        self._span = start_pts, start_pts

    def mark_lost(self) -> None:
        """A `timing` packet may be lost: later entries count from an unknown frame until the next
        GOP."""
        self._is_lost = True

    def start_gop(self) -> None:
        """A `key` packet follows; `timing` packets of its GOP that precede it have been sent."""
        if self._is_lost:
            # No entry restored the state, so no frame was late up to here.
            self._next_named, self._is_lost = 0, False

    def restart(self, frame: int) -> None:
        """Continue with the first frame of a GOP, independent of earlier ones."""
        self._clock.anchor(0, self._start)
        self._next, self._next_named, self._is_lost = frame, 0, False
        self._late.clear()
        self._exact.clear()

    def send(self, payload: bytes) -> None:
        """Parse a payload. Raises `DamagedStreamError` for entries that cannot be read or name a
        frame already shown."""
        cursor = Cursor(payload, "timing")
        while len(cursor):
            frame = self._next_named + cursor.var(_MAX_FRAME)
            late = cursor.svar()
            if late == 0:
                self._is_lost = False
                frame = cursor.var(_MAX_FRAME)
                pts = self._start + cursor.svar()
                if frame < self._next:
                    self._clock.anchor(frame, pts)
                else:
                    self._exact[frame] = pts
            elif self._is_lost:
                continue
            elif frame < self._next:
                raise DamagedStreamError("timing comes after the frame it names", code="timing")
            else:
                self._late[frame] = late
            if len(self._late) + len(self._exact) > _MAX_WAITING:
                most = f"more than {_MAX_WAITING} frames"
                raise DamagedStreamError(f"timing names {most} that are not there", code="timing")
            self._next_named = frame + 1

    def receive(self) -> int:
        """Timestamp of the next frame. Raises `DamagedStreamError` if it is out of bounds,
        `LimitError` for too many frames in the time so far."""
        frame = self._next
        late = self._late.pop(frame, 0)
        pts = self._exact.pop(frame, self._clock.predict(frame) + late)
        if abs(pts) > MAX_PTS:
            raise DamagedStreamError("timing: a timestamp is out of range", code="timing")
        if late:
            self._clock.anchor(frame, pts)
        first, last = self._span = min(self._span[0], pts), max(self._span[1], pts)
        more, (ticks, most) = frame + 1 - self._limits.max_fps, self._pace
        if more > 0 and more * ticks > (last - first) * most:
            check_pace(frame + 1, (last - first) * self._tick, self._limits)
        self._next += 1
        return pts
