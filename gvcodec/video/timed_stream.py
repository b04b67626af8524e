"""A stream that is read GOP by GOP, any number of times: presentation times of its frames."""

from __future__ import annotations

import contextlib
import io
import math
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

from gvcodec.bitstream import Kind, PtsDecoder, Reader
from gvcodec.container.opening import Source, unwrap
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import Limits
from gvcodec.types import stands
from gvcodec.util.file_io import Borrowed, as_name, name_of, open_input
from gvcodec.util.uris import absolute_path, is_uri, local_path


class TimedStream:
    """Times in ticks of the stream, and in seconds after frame 0. Raises `DamagedStreamError`."""

    def __init__(self, source: Source, limits: Limits) -> None:
        self.name = as_name(source) or name_of(source)
        self._source = bytes(source) if isinstance(source, bytearray | memoryview) else source
        self._limits = limits
        with self._reader() as reader:
            self.header, self._gops = reader.header, reader.gops()
        if (path := as_name(self._source)) is not None and not is_uri(path):
            # Other processes and later calls may have another working folder.
            self._source = absolute_path(local_path(path))
        self._starts = [gop.first_frame for gop in self._gops]
        self._times: dict[int, list[int]] = {}
        if not self._gops:
            raise DamagedStreamError(f"{self.name}: the stream holds no frames")

    def __len__(self) -> int:
        return self._starts[-1] + self._gops[-1].frames

    def _seconds(self, number: int) -> float:
        """When a frame is shown, after the first one."""
        return float((self.pts_of(number) - self.pts_of(0)) * self.header.format.time_base)

    def pts_of(self, number: int) -> int:
        """Timestamp of a frame in ticks; that of the frame after the last is when the last ends."""
        at = bisect_right(self._starts, min(number, len(self) - 1)) - 1
        if at not in self._times:
            gop, fmt = self._gops[at], self.header.format
            timing = PtsDecoder(self.header.start_pts, fmt.frame_rate, fmt.time_base, self._limits)
            timing.restart(gop.first_frame)
            with self._reader() as reader:
                for packet in reader.packets_of(gop):
                    if packet.kind is Kind.TIMING:
                        timing.send(packet.payload)
            self._times[at] = [timing.receive() for _ in range(gop.frames + 1)]
        if number == len(self):
            return self._times[at][-1]
        return self._times[at][number - self._starts[at]]

    def number_at(self, seconds: float, just_before: bool = False) -> int:
        """Number of the frame on screen `seconds` after the first one, or just before that time.
        Raises `IndexError` before the first frame and after the last."""
        try:
            seconds = float(seconds)
        except (TypeError, ValueError):
            raise UsageError(f"a time is a number, not {type(seconds).__name__}") from None
        if not math.isfinite(seconds):
            raise UsageError(f"{seconds} is not a time")
        tick, begin = self.header.format.time_base, self.pts_of(0)
        pts = begin + Fraction(seconds) / tick
        # A time that was computed in floating point from a frame's timestamp means that frame.
        if abs(pts - round(pts)) < Fraction(1, 1000):
            pts = Fraction(round(pts))
        end = self.pts_of(len(self))
        if not (begin < pts <= end if just_before else begin <= pts < end):
            span = f"from 0 to {self._seconds(len(self)):g} s"
            raise IndexError(f"{self.name}: nothing plays at {seconds:g} s, only {span}")
        search = bisect_left if just_before else bisect_right
        return search(range(len(self)), pts, key=lambda n: Fraction(self.pts_of(n))) - 1

    def cut_at(self, seconds: Fraction) -> tuple[int, int, bool]:
        """Where a part begins or ends: the first frame shown `seconds` after frame 0 or later, the
        tick of the cut, and whether the frame before is on screen until then."""
        fmt = self.header.format
        wanted = self.pts_of(0) + seconds / fmt.time_base
        number = bisect_left(range(len(self)), wanted, key=lambda n: Fraction(self.pts_of(n)))
        begin = self.pts_of(number)
        if number and stands(self.pts_of(number - 1), begin, wanted, fmt.period):
            return number, math.ceil(wanted), True
        return number, begin, False

    def first_at(self, seconds: Fraction) -> int:
        """The first frame shown `seconds` after frame 0 or later. Raises `UsageError` for none."""
        number = self.cut_at(seconds)[0]
        if number == len(self):
            raise UsageError(
                f"{self.name}: no frame is shown {float(seconds):g} s after the first one or later"
            )
        return number

    @contextlib.contextmanager
    def _reader(self) -> Iterator[Reader]:
        """The stream, open for as long as it is needed. Random access needs a file, not a pipe."""
        source = self._source
        with contextlib.ExitStack() as stack:
            stream: BinaryIO
            if isinstance(source, bytes | bytearray | memoryview):
                stream = io.BytesIO(source)
            elif isinstance(source, str | os.PathLike):
                stream = stack.enter_context(open_input(os.fspath(source)))
            else:
                stream = io.BufferedReader(Borrowed(source))
                if callable(tell := getattr(source, "tell", None)) and stream.seekable():
                    # What reads the object later begins where it stood.
                    stack.callback(source.seek, tell())
            if not stream.seekable():
                raise UsageError("random access needs a file that can be read from any place")
            stream.seek(0)
            found = unwrap(stream, self.name)
            if found is not stream:
                # A file that plays everywhere is taken apart once, not for every GOP.
                self._source = found.read()
                found = io.BytesIO(self._source)
            yield Reader(found, self.name)
