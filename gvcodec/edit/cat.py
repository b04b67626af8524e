"""Joins streams of one format without re-encoding: base and painted frames stay the same. Time
bases may differ."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from math import gcd, lcm
from typing import BinaryIO

from gvcodec.bitstream import Reader, SequenceHeader
from gvcodec.bitstream.header import MAX_RATIO
from gvcodec.codec.gops import GopSource, Splicer, with_next
from gvcodec.container.opening import PathName, Source, names_of, open_sink, open_source
from gvcodec.edit.spliced_tracks import SplicedTracks
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import DEFAULT, Limits, memory_limit
from gvcodec.media.metadata import Metadata
from gvcodec.util.file_io import name_of, protect_inputs

#: Fields of headers in which streams that are joined may differ.
_MAY_DIFFER = ("start_pts", "format", "time_base", "bundled", "embeds_models")


@dataclass(frozen=True, slots=True)
class Joined:
    """How many frames were written, and what was left out, a line each."""

    frames: int
    notes: tuple[str, ...] = ()


def cat(
    sources: Sequence[Source],
    output: PathName | BinaryIO,
    *,
    overwrite: bool = False,
    threads: int = 0,
    limits: Limits = DEFAULT,
    hold: bool = False,
) -> Joined:
    """Write streams of one format one after another. Nothing is coded again. Raises `UsageError`
    where they do not fit together, `DamagedStreamError`, `LimitError`, `MissingFileError`,
    `MediaError`."""
    names = names_of(sources)
    if names.count("-") > 1:
        raise UsageError("standard input can be read only once")
    if not sources:
        raise UsageError("there is no stream to join")
    with contextlib.ExitStack() as stack:
        stack.enter_context(protect_inputs(names))
        readers = [
            Reader(stack.enter_context(open_source(source)), name_of(source)) for source in sources
        ]
        sink = stack.enter_context(open_sink(output, overwrite))
        stack.enter_context(memory_limit(readers[0].header, False, limits, hold))
        return _cat(readers, sink, threads, limits)


def _cat(readers: Sequence[Reader], output: BinaryIO, threads: int, limits: Limits) -> Joined:
    first = readers[0].header
    known = replace(first, gvc1d_id=tokens_of([reader.header for reader in readers]))
    for reader in readers[1:]:
        check_alike(known, reader)
    tick = _common_tick([reader.header.format.time_base for reader in readers])
    start = round(first.start_pts * first.format.time_base / tick)
    header = replace(
        first,
        format=replace(first.format, time_base=tick),
        start_pts=start,
        gvc1d_id=known.gvc1d_id,
    )
    splicer = Splicer(output, header, threads, limits)
    end = start
    notes: list[str] = []
    tracks = SplicedTracks(limits)
    for reader in readers:
        source = GopSource(reader.header, reader.packets(), limits)
        own = reader.header.format.time_base
        shift = end - round(reader.header.start_pts * own / tick)
        is_last = reader is readers[-1]
        # Sound before the first picture belongs to the first stream, after the last to the last.
        begin = None if reader is readers[0] else reader.header.start_pts * own
        tracks.next_stream()
        try:
            for gop, following in with_next(source):
                if reader is readers[0] and not gop.first:
                    Metadata.unpack(source.metadata)
                    splicer.metadata, splicer.models = source.metadata, source.models
                tracks.read(gop)
                stop = source.end if following is None else following.times[0]
                until = None if is_last and following is None else stop * own
                joined = following is None and not is_last
                tracks.hand_on(splicer, begin, until, shift * tick, joined)
                gop.times = [round(time * own / tick) for time in gop.times]
                splicer.write(gop, shift)
            if reader is not readers[0] and (lost := Metadata.unpack(source.metadata)):
                # It belongs to the start of the file, which may be on its way already.
                notes.append(
                    f"{reader.name}: {', '.join(lost.parts())} left out, the first stream's hold"
                )
        except DamagedStreamError as error:
            raise reader.name_file(error) from error
        end = round(source.end * own / tick) + shift
    tracks.finish(splicer)
    splicer.finish(end)
    return Joined(splicer.writer.frames, tuple(notes))


def _common_tick(ticks: Sequence[Fraction]) -> Fraction:
    """The longest time that all are multiples of, or the shortest of them."""
    common = Fraction(
        gcd(*(tick.numerator for tick in ticks)), lcm(*(tick.denominator for tick in ticks))
    )
    return common if common.denominator < MAX_RATIO else min(ticks)


def tokens_of(headers: Iterable[SequenceHeader]) -> bytes | None:
    """The model of the tokens in any of these streams."""
    return next((header.gvc1d_id for header in headers if header.gvc1d_id is not None), None)


def check_alike(first: SequenceHeader, reader: Reader) -> None:
    """Raises `UsageError` that says in what a stream differs."""
    other = reader.header
    for part, mine, theirs in (("", first, other), ("format ", first.format, other.format)):
        for entry in fields(mine):
            if entry.name in _MAY_DIFFER:
                continue
            left, right = getattr(mine, entry.name), getattr(theirs, entry.name)
            if entry.name == "gvc1d_id" and None in (left, right):
                continue  # a GOP without tokens needs no model
            if left != right:
                shown = tuple(
                    value.hex() if isinstance(value, bytes) else value for value in (left, right)
                )
                raise UsageError(
                    f"{reader.name} does not fit: {part}{entry.name.replace('_', ' ')} "
                    f"{shown[1]}, not {shown[0]}"
                )
