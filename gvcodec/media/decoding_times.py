"""Times of frames in video files: the tick of a file's clock, and decoding timestamps of packets,
which rise and are none later than the time at which a frame is shown.

x265 leaves any number there in a video of fewer frames than its delay, which then has no reordered
frames. A frame is decoded at most `_MOST_DELAY` frames, of the longest so far, before it is shown.
"""

import math
from fractions import Fraction

import av

#: Frames by which an encoder may decode ahead of what is shown; x265's delay is 16 at most.
_MOST_DELAY = 32
#: Kinds of files whose tables count the ticks from frame to frame in 31 bits.
COUNTS = ("mp4", "mov")
#: Ticks a second that leave room for a pause of an hour; what is usual where finer ones have no
#: whole part of that size.
_FINEST, _USUAL = (1 << 31) // 3600, 90_000


class FileClock:
    """Converts timestamps from ticks of `time_base` to ticks of the output container `kind`."""

    def __init__(self, kind: str, time_base: Fraction) -> None:
        self.tick, scale = time_base, time_base.denominator
        if kind in COUNTS and scale > _FINEST:
            # Many times stay exact in whole parts of the finer clock.
            least = -(-scale // _FINEST)
            factor = next((n for n in range(least, 16 * least) if scale % n == 0), None)
            self.tick = Fraction(1, scale // factor if factor else _USUAL)
        self._factor, self._last = time_base / self.tick, -(1 << 63)

    def place(self, pts: int) -> int:
        return round(pts * self._factor)

    def send(self, pts: int) -> int:
        """The time of the next frame, later than that of the one before."""
        self._last = max(self.place(pts), self._last + 1)
        return self._last


class DecodingTimes:
    """`period`: of frames, in ticks."""

    def __init__(self, period: Fraction) -> None:
        #: The longest time from frame to frame, when the newest is shown, the last decoding time.
        self._longest, self._newest, self._last = math.ceil(period), 1 << 62, -(1 << 63)

    def send(self, pts: int) -> None:
        """The encoder gets the frame that is shown next."""
        self._longest, self._newest = max(self._longest, pts - self._newest), pts

    def mend(self, packet: av.Packet) -> None:
        """Give the packet that is decoded next a time at which that is possible."""
        assert packet.dts is not None and packet.pts is not None
        earliest = packet.pts - _MOST_DELAY * self._longest
        dts = packet.dts if earliest <= packet.dts <= packet.pts else packet.pts
        packet.dts = self._last = max(dts, min(self._last + 1, packet.pts))
