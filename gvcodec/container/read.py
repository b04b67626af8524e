"""Reads a one-file (see `gvcodec.bitstream.metadata_obu`) as a stream.

A file that is whole gives the packets that it was made from. One that was cut, joined or damaged is
put together anew from the GOPs that are there, with base frames only where the packets for painting
cannot be trusted."""

import tempfile
import zlib
from collections.abc import Callable
from typing import BinaryIO

from gvcodec.base.standard.payloads import strip
from gvcodec.bitstream import Kind, Packet, Writer
from gvcodec.bitstream.metadata_obu import EntryType, Unit, closes, read_header, read_place
from gvcodec.bitstream.varint import Cursor
from gvcodec.container.demux import Demuxer, TimedUnit, Tracks
from gvcodec.container.mend import mend
from gvcodec.errors import DamagedStreamError
from gvcodec.limits import DEFAULT, Limits
from gvcodec.media.tracks import CHUNK
from gvcodec.util.file_io import spooled
from gvcodec.util.messages import say

_END_BYTES = 8
#: Packets of tracks that one `tracks` packet may hold.
_MOST = 1 << 26


def as_stream(source: BinaryIO, kind: str, name: str) -> BinaryIO:
    """The stream in a one-file (`kind`: FFmpeg's demuxer), in a temporary file; says a line for
    each change. Raises `DamagedStreamError`."""
    source = spooled(source)
    out: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        read_units(Demuxer(source, kind, name), out, name, say, DEFAULT)
    except BaseException:
        out.close()
        raise
    out.seek(0)
    return out


def read_units(
    demuxer: Demuxer, out: BinaryIO, name: str, note: Callable[[str], None], limits: Limits
) -> None:
    """Write the stream of a container to `out`. Raises `DamagedStreamError`, `LimitError`."""
    try:
        _copy(demuxer, out)
    except _ChangedError:
        out.seek(0)
        out.truncate()
        for line in mend(demuxer, out, name, limits):
            note(f"{name}: {line}")


class _ChangedError(Exception):
    """The file is not as it was written."""


def _copy(demuxer: Demuxer, out: BinaryIO) -> None:
    """Write the stream that a whole file was made from. Raises `_ChangedError` for others."""
    copy: _Copy | None = None
    tracks = demuxer.tracks()
    try:
        for timed in demuxer.units():
            if copy is None:
                copy = _Copy(timed, tracks, out)
            try:
                copy.send(timed)
            except DamagedStreamError as error:
                raise _ChangedError from error
        if copy is None:
            raise _ChangedError
        copy.finish()
    finally:
        if tracks is not None:
            tracks.close()


class _Copy:
    def __init__(self, first: TimedUnit, tracks: Tracks | None, out: BinaryIO) -> None:
        packed = first.unit.data_of(EntryType.HEADER)
        if packed is None:
            raise _ChangedError
        self._packed = packed
        header = read_header(packed)
        self._writer = Writer(out, header)
        self._tracks = tracks
        self._gop_frames = self._crc = 0
        self._gop_open = False
        self._hash: bytes | None = None
        #: The container has tracks that were not in the stream.
        self._added = tracks is not None and not any(
            entry.what is EntryType.TRACKS for entry in first.unit.entries
        )
        if tracks is not None:
            tracks.shift = first.seconds - header.start_pts * header.format.time_base
            if self._added:
                self._write_tracks()
            else:
                tracks.adopt(first.unit.data_of(EntryType.SOUND) or b"")

    def send(self, timed: TimedUnit) -> None:
        """Take the next unit. Raises `_ChangedError`, `DamagedStreamError`."""
        unit = timed.unit
        if unit.damage or self._hash is not None:
            raise _ChangedError
        key = unit.data_of(EntryType.HEADER) is not None
        if key:
            self._begin_gop(unit)
        elif timed.key:
            raise _ChangedError
        if self._added and self._tracks is not None:
            self._tracks.copy_until(timed.seconds)
            self._write_tracks(CHUNK)
        for entry in unit.entries:
            if entry.what is EntryType.PACKET:
                self._writer.write(entry.packet)
            elif entry.what is EntryType.TRACKS and entry.data[:1] == b"\0":
                self._mark(entry.data)
        payload = strip("av1", unit.payload)
        self._writer.write(Packet(Kind.KEY if key else Kind.INTER, payload))
        self._gop_frames += 1
        self._crc = zlib.crc32(payload, self._crc)
        self._after(unit)

    def finish(self) -> None:
        if self._hash is None or self._gop_open:
            raise _ChangedError
        if self._tracks is not None:
            self._tracks.copy_until(None)
            self._write_tracks()
        self._writer.finish(self._hash)

    def _begin_gop(self, unit: Unit) -> None:
        place = unit.data_of(EntryType.PLACE)
        same = unit.data_of(EntryType.HEADER) == self._packed
        if self._gop_open or not same or place is None or read_place(place) != self._writer.frames:
            raise _ChangedError
        self._gop_frames = self._crc = 0
        self._gop_open = True

    def _after(self, unit: Unit) -> None:
        for entry in unit.entries:
            if entry.what is EntryType.GOP:
                if not closes(entry.data, self._gop_frames, self._crc):
                    raise _ChangedError
                self._gop_open = False
            elif entry.what is EntryType.TRAILER:
                self._writer.write(entry.packet)
            elif entry.what is EntryType.TRACKS and entry.data[:1] == b"\1":
                self._mark(entry.data)
            elif entry.what is EntryType.END:
                if len(entry.data) != _END_BYTES:
                    raise _ChangedError
                self._hash = entry.data

    def _mark(self, data: bytes) -> None:
        """The place of a `tracks` packet in the original stream."""
        if self._tracks is not None and not self._added:
            self._tracks.copy(Cursor(data[1:], "tracks").var(_MOST))
            self._write_tracks()

    def _write_tracks(self, least: int = 0) -> None:
        if self._tracks is not None and (payload := self._tracks.writer.take(least)):
            self._writer.write(Packet(Kind.TRACKS, payload))
