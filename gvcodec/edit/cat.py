"""Joins streams of one format without re-encoding: base and painted frames stay the same. Time
bases may differ."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from math import gcd, lcm
from pathlib import Path
from typing import BinaryIO

from gvcodec.bitstream import Reader, SequenceHeader
from gvcodec.bitstream.attachments import attachments_of, name_all
from gvcodec.bitstream.header import MAX_RATIO
from gvcodec.bitstream.metadata import Metadata
from gvcodec.codec.gops import GopSource, Splicer, pairs_of_gops
from gvcodec.edit.spliced_tracks import SplicedTracks
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import DEFAULT, Limits, memory_limit
from gvcodec.opening import PathName, Source, names_of, open_sink, open_source
from gvcodec.util.deprecation import renamed_keywords
from gvcodec.util.file_io import as_name, name_of, protect_inputs
from gvcodec.util.kinds import checked_keywords
from gvcodec.util.messages import silence

#: Fields of headers in which streams that are joined may differ.
_MAY_DIFFER = (
    *("start_pts", "format", "time_base", "is_bundled", "embeds_models", "needs"),
    "gvc1d_id",  # it is not written again
)


@dataclass(frozen=True, slots=True)
class CatReport:
    """Number of frames written, and omitted parts, a line each."""

    frames: int
    notes: tuple[str, ...] = ()


@renamed_keywords(hold="enforce_rlimit")
@checked_keywords
def cat(
    sources: Sequence[Source],
    output: PathName | BinaryIO,
    *,
    overwrite: bool = False,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    limits: Limits = DEFAULT,
    enforce_rlimit: bool = False,
) -> CatReport:
    """Join streams of one format without re-encoding. `models` as for `decode_file`. Raises
    `UsageError` if their formats differ, `DamagedStreamError`, `LimitError`, `MissingFileError`,
    `MediaError`, `WrongModelError`."""
    names = names_of(sources)
    if names.count("-") > 1:
        raise UsageError("standard input can be read only once")
    if not sources:
        raise UsageError("there is no stream to join")
    with contextlib.ExitStack() as stack:
        stack.enter_context(protect_inputs(names))
        pieces = [_Piece(source, stack) for source in sources]
        sink = stack.enter_context(open_sink(output, overwrite))
        stack.enter_context(memory_limit(pieces[0].header, False, limits, enforce_rlimit))
        return _join(pieces, sink, threads, models, limits)


class _Piece:
    """A stream to join. Files are opened in turn, since there may be more than a process may have
    open; pipes stay open."""

    def __init__(self, source: Source, stack: contextlib.ExitStack) -> None:
        self._source, self.name = source, name_of(source)
        self._reader: Reader | None = None
        path = as_name(source)
        if path is not None and os.path.isfile(path):
            with silence(), open_source(source) as stream:
                self.header = Reader(stream, self.name).header
        else:
            self._reader = Reader(stack.enter_context(open_source(source)), self.name)
            self.header = self._reader.header

    @contextlib.contextmanager
    def open(self) -> Iterator[Reader]:
        if self._reader is not None:
            self._reader.require_unchanged()
            yield self._reader
            return
        with open_source(self._source) as stream:
            reader = Reader(stream, self.name)
            reader.require_unchanged()
            yield reader


def _join(
    pieces: Sequence[_Piece],
    output: BinaryIO,
    threads: int,
    models: Sequence[str | Path],
    limits: Limits,
) -> CatReport:
    first = pieces[0].header
    for piece in pieces[1:]:
        check_compatible(first, piece.header, piece.name)
    tick = _common_tick([piece.header.format.time_base for piece in pieces])
    start = round(first.start_pts * first.format.time_base / tick)
    header = replace(
        first,
        format=replace(first.format, time_base=tick),
        start_pts=start,
        needs=max(piece.header.needs for piece in pieces),
    )
    splicer = Splicer(output, header, threads, limits, models)
    end = start
    notes: list[str] = []
    tracks = SplicedTracks(limits)
    for number, piece in enumerate(pieces):
        piece_tick = piece.header.format.time_base
        shift = end - round(piece.header.start_pts * piece_tick / tick)
        is_last = number == len(pieces) - 1
        # Sound before the first picture belongs to the first stream, after the last to the last.
        begin = piece.header.start_pts * piece_tick if number else None
        tracks.next_stream()
        with piece.open() as reader:
            source = GopSource(reader.header, reader.packets(), limits)
            try:
                for gop, following in pairs_of_gops(source):
                    if not number and not gop.first:
                        Metadata.unpack(source.metadata)
                        splicer.metadata, splicer.models = source.metadata, source.models
                        splicer.attachments = source.attachments
                    tracks.read(gop)
                    stop = source.end if following is None else following.times[0]
                    until = None if is_last and following is None else stop * piece_tick
                    is_joined = following is None and not is_last
                    tracks.hand_on(splicer, begin, until, shift * tick, is_joined)
                    gop.times = [round(time * piece_tick / tick) for time in gop.times]
                    splicer.write(gop, shift)
                # They belong to the start of the file, which may be on its way already.
                if number and (lost := list(_parts_at_start(source))):
                    notes.append(
                        f"{piece.name}: {', '.join(lost)} left out, the first stream's hold"
                    )
            except DamagedStreamError as error:
                raise reader.name_file(error) from error
        end = round(source.end * piece_tick / tick) + shift
    tracks.finish(splicer)
    splicer.finish(end)
    return CatReport(splicer.writer.frames, tuple(notes))


def _parts_at_start(source: GopSource) -> Iterator[str]:
    """Metadata and attachments of a stream that was read, in words."""
    yield from Metadata.unpack(source.metadata).parts()
    if attachments := attachments_of(source.attachments)[0]:
        yield name_all(attachments)


def _common_tick(ticks: Sequence[Fraction]) -> Fraction:
    """The greatest common divisor of time bases, or the shortest of them."""
    common = Fraction(
        gcd(*(tick.numerator for tick in ticks)), lcm(*(tick.denominator for tick in ticks))
    )
    return common if common.denominator < MAX_RATIO else min(ticks)


def check_compatible(first: SequenceHeader, other: SequenceHeader, name: str) -> None:
    """Raise `UsageError`, with the difference, if a stream cannot be joined."""
    for part, mine, theirs in (("", first, other), ("format ", first.format, other.format)):
        for entry in fields(mine):
            if entry.name in _MAY_DIFFER:
                continue
            expected, actual = getattr(mine, entry.name), getattr(theirs, entry.name)
            if expected != actual:
                values = tuple(
                    value.hex() if isinstance(value, bytes) else value
                    for value in (expected, actual)
                )
                raise UsageError(
                    f"{name} cannot be joined: {part}{entry.name.replace('_', ' ')} "
                    f"{values[1]}, not {values[0]}",
                    code="streams-differ",
                )
