"""Splits a video into chunks at keyframes of the source, found by decoding it once.

A chunk begins where a decoder can begin, so no frame is decoded for two of them, but for the few
that follow a chunk's last frame in the file. Encoders set keyframes where scenes begin, earlier
than their period asks for: of several the one that comes soonest after another is taken, of equal
ones the last.

Chunks are read by seeking. Where that does not lead to the frames that were found in one go, there
is one chunk; and each chunk is checked again when it is encoded (`Span.check`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gvcodec.media.inputs import InputOptions
from gvcodec.media.reader import InexactSeekError, Mark, Span, VideoReader, add_mark

#: Frames at the beginning of each chunk that are compared before chunks are trusted.
_COMPARED = 4


@dataclass(frozen=True, slots=True)
class Chunk:
    """`frames` from number `first` on; `begin` and `check` as in `Span`."""

    first: int
    frames: int
    begin: int = 0
    check: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds`: how long the video is. One chunk is all of the file."""

    width: int
    height: int
    rate: str
    seconds: float
    chunks: tuple[Chunk, ...]

    @property
    def frames(self) -> int:
        return sum(chunk.frames for chunk in self.chunks)

    def span(self, number: int, seeks: bool = True) -> Span | None:
        """None for the first chunk, which begins as the video does."""
        chunk = self.chunks[number]
        return Span(chunk.begin, chunk.frames, chunk.check, seeks) if number else None

    def pack(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def unpack(data: dict[str, Any]) -> Plan:
        return Plan(**(data | {"chunks": tuple(Chunk(**chunk) for chunk in data["chunks"])}))


def make_plan(
    source: str,
    start: float,
    frames: int | None,
    length: int | None,
    said: InputOptions | None = None,
) -> Plan:
    """`source`: a path or URI; chunks have about `length` frames, None = there
    is one. Raises `MediaError`."""
    with VideoReader(source, start, frames, said=said) as reader:
        fmt, shift, expected = reader.format, reader.shift, reader.expected or 1
        reader.tracks = None
        marks = list(reader.marks()) if length and not reader.has_pictures else []
    size = fmt.width, fmt.height, str(fmt.frame_rate)
    if length is None or not marks:
        return Plan(*size, float(expected / fmt.frame_rate), (Chunk(0, expected),))
    starts = boundaries([mark.key for mark in marks], length)
    ends = [*starts[1:], len(marks)]
    chunks = [_chunk(marks, a, b, shift) for a, b in zip(starts, ends, strict=True)]
    if not _seeks_exactly(source, start, said, chunks, marks, shift):
        chunks = [Chunk(0, len(marks))]
    seconds = (marks[-1].pts - marks[0].pts) * reader.tick + 1 / fmt.frame_rate
    return Plan(*size, float(seconds), tuple(chunks))


def _chunk(marks: Sequence[Mark], first: int, end: int, shift: int) -> Chunk:
    check = 0
    for mark in marks[first:end]:
        check = add_mark(check, mark.pts - shift, mark.samples)
    return Chunk(first, end - first, marks[first].pts, check)


def _seeks_exactly(
    source: str,
    start: float,
    said: InputOptions | None,
    chunks: Sequence[Chunk],
    marks: Sequence[Mark],
    shift: int,
) -> bool:
    """Whether seeking leads to the first frames of all chunks."""
    for chunk in chunks[1:]:
        end = chunk.first + min(_COMPARED, chunk.frames)
        part = _chunk(marks, chunk.first, end, shift)
        span = Span(part.begin, part.frames, part.check)
        try:
            with VideoReader(source, start, span=span, said=said) as reader:
                list(reader.marks())
        except InexactSeekError:
            return False
    return True


def boundaries(keys: Sequence[bool], length: int) -> list[int]:
    """Numbers of the frames that chunks begin with. `keys`: whether a decoder can begin with a
    frame. Chunks have `length / 2` to `length` frames as far as there are keys for that, the last
    one up to a quarter more."""
    places = [number for number, key in enumerate(keys) if key and number]
    gaps = {b: b - a for a, b in zip([0, *places], places, strict=False)}
    starts, last = [0], len(keys) - length // 4
    while len(keys) - starts[-1] > length * 5 // 4:
        least, most = starts[-1] + (length + 1) // 2, starts[-1] + length
        inside = [p for p in places if least <= p <= most and p <= last]
        beyond = next((p for p in places if most < p <= last), None)
        if inside:
            starts.append(min(inside, key=lambda p: (gaps[p], -p)))
        elif beyond is not None:
            starts.append(beyond)
        else:
            break
    return starts
