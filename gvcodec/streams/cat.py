"""Joins streams of one format, without encoding anything again: pixels stay equal, painted ones
too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import BinaryIO

from gvcodec.bitstream import Reader, SequenceHeader
from gvcodec.decoding_limits import DEFAULT, Limits
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.media.metadata import Metadata
from gvcodec.streams.gops import GopSource, Splicer
from gvcodec.streams.spliced_tracks import SplicedTracks


def cat(
    readers: Sequence[Reader], output: BinaryIO, threads: int = 0, limits: Limits = DEFAULT
) -> tuple[int, list[str]]:
    """Write streams one after another, return the number of frames and what is left out, a line
    each. Raises `UsageError` when they do not fit together."""
    first = readers[0].header
    for reader in readers[1:]:
        check_alike(first, reader)
    splicer = Splicer(output, first, threads, limits)
    end = first.start_pts
    tick = first.format.time_base
    notes: list[str] = []
    for reader in readers:
        source = GopSource(reader.header, reader.packets(), limits)
        shift = end - reader.header.start_pts
        tracks = SplicedTracks(limits)
        try:
            for gop in source:
                if reader is readers[0] and not gop.first:
                    Metadata.unpack(source.metadata)
                    splicer.metadata = source.metadata
                tracks.read(gop)
                tracks.hand_on(splicer, None, None, shift * tick)
                splicer.write(gop, shift)
            if reader is not readers[0] and (lost := Metadata.unpack(source.metadata)):
                # It belongs to the start of the file, which may be on its way already.
                notes.append(
                    f"{reader.name}: {', '.join(lost.parts())} left out, the first stream's hold"
                )
        except DamagedStreamError as error:
            raise reader.named(error) from error
        end = source.end + shift
    splicer.finish(end)
    return splicer.writer.frames, notes


def check_alike(first: SequenceHeader, reader: Reader) -> None:
    other = reader.header
    for part, mine, theirs in (("", first, other), ("format ", first.format, other.format)):
        for entry in fields(mine):
            if entry.name in ("start_pts", "format"):
                continue
            left, right = getattr(mine, entry.name), getattr(theirs, entry.name)
            if left != right:
                shown = tuple(
                    value.hex() if isinstance(value, bytes) else value for value in (left, right)
                )
                raise UsageError(
                    f"{reader.name} does not fit: {part}{entry.name.replace('_', ' ')} "
                    f"{shown[1]}, not {shown[0]}"
                )
