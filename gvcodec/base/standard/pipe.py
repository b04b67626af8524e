"""Encoders inside a program `ffmpeg`: raw planes go into its pipe, access units come out of it.

Every GOP is coded by a separate process, so keyframes come where they are needed and nothing
reaches across them.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import IO, NoReturn

import av

from gvcodec.planes import samples_of
from gvcodec.types import Colour, Planes
from gvcodec.util.ffmpeg import Process, raw_input
from gvcodec.util.process import leave_realtime

_IVF_HEADER, _IVF_FRAME, _IVF_MARK = 32, 12, b"DKIF"
#: Bytes that a script around ffmpeg may print before the stream begins.
_MOST_PRINTED = 1 << 16


def ivf_units(stream: IO[bytes]) -> Iterator[bytes]:
    """Temporal units of AV1 in an IVF file. Lines that a script around ffmpeg prints first are
    skipped."""
    head = stream.read(len(_IVF_MARK))
    while not head.endswith(_IVF_MARK):
        byte = stream.read(1)
        if not byte or len(head) > _MOST_PRINTED:
            return
        head += byte
    stream.read(_IVF_HEADER - len(_IVF_MARK))
    while len(head := stream.read(_IVF_FRAME)) == _IVF_FRAME:
        yield stream.read(int.from_bytes(head[:4], "little"))


def vvc_units(stream: IO[bytes]) -> Iterator[bytes]:
    """Access units of H.266 in Annex B form; the parser skips bytes before the first."""
    parser = av.CodecContext.create("vvc", "r")
    while data := os.read(stream.fileno(), 1 << 16):
        yield from map(bytes, parser.parse(data))
    yield from map(bytes, parser.parse(b""))


class PipeEncoder:
    """Planes in, access units out, in decode order, each with whether it is the keyframe of a GOP.

        encoder = PipeEncoder(program, (width, height), rate, colour, 8, words, ivf_units, None)
        units = encoder.encode(planes, key=True)
        units += encoder.rest()

    `words`: encoder, its options and the format that `units_of` takes apart. `bit_depth` 8 or 10.
    `lag`: a unit is returned `lag` frames after its own, whatever the speed of the machine; None:
    as soon as it is coded, and a GOP begins before the last one is finished. Raises `MediaError`
    when the program fails."""

    def __init__(
        self,
        program: str,
        size: tuple[int, int],
        rate: Fraction,
        colour: Colour,
        bit_depth: int,
        words: Sequence[str],
        units_of: Callable[[IO[bytes]], Iterator[bytes]],
        lag: int | None,
    ) -> None:
        # Tags of the input: as tags of the output they would make ffmpeg convert.
        tags = {
            "color_range": 2 if colour.full_range else 1,
            "colorspace": colour.matrix,
            "color_primaries": colour.primaries,
            "color_trc": colour.transfer,
        }
        self._program, self._encoder = program, words[words.index("-c:v") + 1]
        self._words = [
            *raw_input(*size, rate, bit_depth),
            *(word for name, code in tags.items() for word in (f"-{name}", str(code))),
            *("-i", "pipe:0", "-fps_mode", "passthrough", "-flush_packets", "1", *words, "pipe:1"),
        ]
        self._bit_depth, self._units_of, self._lag = bit_depth, units_of, lag
        self._gops: deque[_Gop] = deque()

    def encode(self, planes: Planes, key: bool = False) -> list[tuple[bytes, bool]]:
        """Take the next frame (10 bits); `key` begins a GOP."""
        units: list[tuple[bytes, bool]] = []
        if key or not self._gops:
            if self._gops:
                self._gops[-1].close_input()
            units += self._finish(1 if self._lag is None else 0)
            self._gops.append(_Gop(self._program, self._words, self._encoder, self._units_of))
        self._gops[-1].send(samples_of(planes, self._bit_depth))
        while len(self._gops) > 1 and self._gops[0].is_done:
            units += self._finish(len(self._gops) - 1)
        return units + list(self._gops[0].ready_units(self._lag))

    def drain(self) -> Iterator[tuple[bytes, bool]]:
        """The units that are not out yet, each as soon as it is coded."""
        if self._gops:
            self._gops[-1].close_input()
        yield from self._finish(0)

    def _finish(self, unfinished_count: int) -> Iterator[tuple[bytes, bool]]:
        """Wait for the oldest GOPs until `unfinished_count` are unfinished."""
        while len(self._gops) > unfinished_count:
            yield from self._gops[0].finish()
            self._gops.popleft()


class _Gop:
    """The process of a GOP."""

    def __init__(
        self,
        program: str,
        words: Sequence[str],
        encoder: str,
        units_of: Callable[[IO[bytes]], Iterator[bytes]],
    ) -> None:
        self._process = Process(program, words, encoder, reads=True)
        assert self._process.output is not None
        self._output = self._process.output
        self._units: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._collector = threading.Thread(
            target=_queue_units, args=(units_of(self._output), self._units), daemon=True
        )
        self._collector.start()
        self._sent_count = self._received_count = 0

    @property
    def is_done(self) -> bool:
        """Whether all units are coded; after `close_input`."""
        return self._received_count + self._units.qsize() > self._sent_count

    def send(self, samples: bytes) -> None:
        self._process.write(samples)
        self._process.flush()
        self._sent_count += 1

    def ready_units(self, lag: int | None) -> Iterator[tuple[bytes, bool]]:
        """The units that leave now."""
        leave_realtime(self._process.pid)
        while self._received_count < self._sent_count:
            if (
                self._units.empty()
                if lag is None
                else self._sent_count - self._received_count <= lag
            ):
                return
            yield self._next()

    def close_input(self) -> None:
        self._process.close_input()

    def finish(self) -> Iterator[tuple[bytes, bool]]:
        """The rest, once the input is closed."""
        while self._received_count < self._sent_count:
            yield self._next()
        if self._units.get() is not None:
            self._fail()
        self._process.finish()
        self._close()

    def _next(self) -> tuple[bytes, bool]:
        unit = self._units.get()
        if unit is None:
            self._fail()
        self._received_count += 1
        return unit, self._received_count == 1

    def _fail(self) -> NoReturn:
        try:
            self._process.fail()
        finally:
            self._close()

    def _close(self) -> None:
        self._collector.join()
        self._output.close()


def _queue_units(access_units: Iterator[bytes], units: queue.SimpleQueue[bytes | None]) -> None:
    """Access units of a stream, then None."""
    for unit in access_units:
        units.put(unit)
    units.put(None)
