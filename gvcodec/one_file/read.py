"""Reads a one-file (see `gvcodec.bitstream.metadata_obu`) as a stream.

A complete file becomes its original stream. A file that another tool cut, joined or changed, or a
damaged one, becomes a `ChangedStream` of its remaining GOPs, with times by the container's clock
and without a hash."""

import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice
from typing import BinaryIO, cast

from gvcodec.base.standard.payloads import strip_unit
from gvcodec.bitstream import (
    HASH_BYTES,
    ChangedStream,
    Kind,
    Packet,
    PtsDecoder,
    PtsEncoder,
    SequenceHeader,
)
from gvcodec.bitstream.attachments import Attachment, pack
from gvcodec.bitstream.metadata import MAX_PAYLOAD, Metadata
from gvcodec.bitstream.metadata_obu import (
    EntryType,
    FileDigest,
    ParsedTemporalUnit,
    UnitHash,
    hash_of_attachments,
    hash_of_tracks,
    matches_gop,
    read_header,
    read_place,
)
from gvcodec.bitstream.varint import Cursor
from gvcodec.bitstream.writer import Writer
from gvcodec.codec.gops import BASE_WEIGHTS, NO_PAINTING
from gvcodec.errors import DamagedStreamError, NotGvcodecError
from gvcodec.limits import DEFAULT, Limits, check
from gvcodec.one_file.demux import Demuxer, TimedUnit, Tracks
from gvcodec.tracks.packets import CHUNK
from gvcodec.util.file_io import spool_stream
from gvcodec.util.messages import count_noun, format_time, log_line

#: Packets of tracks that one `tracks` packet may hold.
_MOST = 1 << 26
#: Seconds by which a container's clock may be off: Matroska rounds to milliseconds.
_CLOCK_TOLERANCE = Fraction(1, 1000)
#: Largest difference of two such times, in seconds.
_TIME_TOLERANCE = 2 * _CLOCK_TOLERANCE
#: How the line about a changed file begins.
CHANGE_LINE = "another tool changed it, or it is damaged"


def extract_stream(source: BinaryIO, kind: str, name: str) -> BinaryIO:
    """The stream in a one-file (`kind`: FFmpeg's demuxer), in a temporary file; a `ChangedStream`,
    with a line, if the file was changed. Raises `DamagedStreamError`."""
    source = spool_stream(source)
    out = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        change = read_units(Demuxer(source, kind, name), cast(BinaryIO, out), name, DEFAULT)
    except BaseException:
        out.close()
        raise
    out.seek(0)
    if not change:
        return cast(BinaryIO, out)
    stream = ChangedStream(out.detach())
    stream.change = f"{CHANGE_LINE}: {change}"
    log_line(f"{name}: {stream.change}")
    return stream


def read_units(demuxer: Demuxer, out: BinaryIO, name: str, limits: Limits) -> str:
    """Write the stream of a container to `out`. Return the change in words, "" for a complete file.
    Raises `DamagedStreamError`, `LimitError`."""
    try:
        return _copy_whole(demuxer, out)
    except _ChangedFileError as error:
        change = str(error)
    out.seek(0)
    out.truncate()
    try:
        return f"{change}; {_copy_rest(demuxer, out, limits)}"
    except DamagedStreamError as error:
        if str(error).startswith(f"{name}: "):
            raise
        raise type(error)(f"{name}: {error}") from error


class _ChangedFileError(Exception):
    """The frames were changed; the text says how."""


def _copy_whole(demuxer: Demuxer, out: BinaryIO) -> str:
    """Write the original stream of a complete file. Return changes of its sound in words. Raises
    `_ChangedFileError` if frames were changed."""
    copy: _ExactCopy | None = None
    attachments, tracks = demuxer.attachments(), demuxer.tracks()
    try:
        units = demuxer.units()
        opening = list(islice(units, 2))
        for timed_unit in chain(opening, units):
            try:
                copy = copy or _ExactCopy(opening, tracks, attachments, out)
                copy.send(timed_unit)
            except DamagedStreamError as error:
                raise _ChangedFileError(f"frame {copy.frames if copy else 0}: {error}") from error
        if copy is None:
            raise _ChangedFileError("it has no frames")
        return copy.finish()
    finally:
        if tracks is not None:
            tracks.close()


class _ExactCopy:
    """`opening`: the first two units, or the only one."""

    def __init__(
        self,
        opening: Sequence[TimedUnit],
        tracks: Tracks | None,
        attachments: Sequence[Attachment],
        out: BinaryIO,
    ) -> None:
        first = opening[0]
        header_bytes = first.unit.data_of(EntryType.HEADER)
        if header_bytes is None:
            raise _ChangedFileError(next(iter(first.unit.damage), "its first frame has no header"))
        self._packed, header = header_bytes, read_header(header_bytes)
        self._writer = Writer(out, header)
        self._timing, self._tick = _open_timing(header), header.format.time_base
        self._zero = _stream_origin(header, opening)
        self._tracks = tracks
        self._gop_frames = self._crc = 0
        self._gop_open = False
        self._base_hash: bytes | None = None
        self._hash, self._whole = UnitHash(), b""
        self._attachment_hash = hash_of_attachments(attachments)
        self._attachments = _attachment_packets(first.unit, attachments)
        #: The container has tracks that were not in the stream.
        self._has_added_tracks = tracks is not None and not any(
            entry.what is EntryType.TRACKS for entry in first.unit.entries
        )
        if tracks is not None:
            tracks.shift = self._zero
            if self._has_added_tracks:
                self._write_tracks()
            else:
                tracks.adopt(first.unit.data_of(EntryType.SOUND) or b"")

    @property
    def frames(self) -> int:
        return self._writer.frames

    def send(self, timed_unit: TimedUnit) -> None:
        """Take the next unit. Raises `_ChangedFileError`, `DamagedStreamError`."""
        unit = timed_unit.unit
        if unit.damage:
            raise DamagedStreamError(unit.damage[0])
        if self._base_hash is not None:
            raise _ChangedFileError(f"more follows its {count_noun(self.frames, 'frame')}")
        key = unit.data_of(EntryType.HEADER) is not None
        if key:
            self._begin_gop(unit)
        elif not self._gop_open:
            raise _ChangedFileError(f"a keyframe is missing before frame {self.frames}")
        if timed_unit.is_hidden:
            raise _ChangedFileError("its edit list leaves frames out")
        if self._has_added_tracks and self._tracks is not None:
            self._tracks.copy_until(timed_unit.seconds)
            self._write_tracks(CHUNK)
        for payload in _timing_in(unit):
            self._timing.send(payload)
        for entry in unit.entries:
            if entry.what is EntryType.PACKET:
                if self.frames or entry.packet.kind is not Kind.ATTACHMENT:
                    self._writer.write(entry.packet)
            elif entry.what is EntryType.TRACKS and entry.data[:1] == b"\0":
                self._copy_tracks_packet(entry.data)
        for packet in () if self.frames else self._attachments:
            self._writer.write(packet)
        self._check_time(timed_unit.seconds)
        payload = strip_unit("av1", unit.payload)
        self._writer.write(Packet(Kind.KEY if key else Kind.INTER, payload))
        self._hash.send(payload, unit.entries)
        self._gop_frames += 1
        self._crc = zlib.crc32(payload, self._crc)
        self._on_trailing_entries(unit)

    def finish(self) -> str:
        """End the stream. Return changes of the tracks in words."""
        if self._base_hash is None or self._gop_open:
            raise _ChangedFileError("its end is missing")
        digest = FileDigest.read(self._whole) if self._whole else None
        if digest and (digest.frames, digest.units) != (self.frames, self._hash.digest()):
            raise _ChangedFileError("packets between its frames are not those that were written")
        track_hash = without_tracks = hash_of_tracks((), False, True)
        if self._tracks is not None:
            self._tracks.copy_until(None)
            self._write_tracks()
            track_hash = self._tracks.digest()
        self._writer.finish(self._base_hash, has_backup=digest is not None and digest.has_backup)
        # Tracks that another program added to a file without any take nothing away.
        if digest and digest.tracks not in (track_hash, without_tracks):
            return "its sound or subtitles are not those that were written"
        if digest and digest.attachments not in (b"", self._attachment_hash):
            return "its attachments are not those that were written"
        return ""

    def _begin_gop(self, unit: ParsedTemporalUnit) -> None:
        place = unit.data_of(EntryType.PLACE)
        number = None if place is None else read_place(place)
        if unit.data_of(EntryType.HEADER) != self._packed:
            raise _ChangedFileError(
                f"another stream begins after {count_noun(self.frames, 'frame')}"
            )
        if number != self.frames or self._gop_open:
            where = f"before frame {number}" if self.frames else "at its beginning"
            raise _ChangedFileError(f"frames are missing {where}")
        self._gop_frames = self._crc = 0
        self._gop_open = True

    def _check_time(self, seconds: Fraction) -> None:
        late = seconds - self._zero - self._timing.receive() * self._tick
        if late > _TIME_TOLERANCE or late < -_TIME_TOLERANCE and self.frames:
            raise _ChangedFileError(f"the time of frame {self.frames} is not that of the stream")

    def _on_trailing_entries(self, unit: ParsedTemporalUnit) -> None:
        for entry in unit.entries:
            if entry.what is EntryType.GOP:
                if not matches_gop(entry.data, self._gop_frames, self._crc):
                    raise DamagedStreamError("GOP checksum mismatch", code="gop-checksum")
                self._gop_open = False
            elif entry.what is EntryType.TRAILER:
                self._writer.write(entry.packet)
            elif entry.what is EntryType.TRACKS and entry.data[:1] == b"\1":
                self._copy_tracks_packet(entry.data)
            elif entry.what is EntryType.END:
                if len(entry.data) != HASH_BYTES:
                    raise DamagedStreamError("a hash of another length", code="metadata-obu")
                self._base_hash = entry.data
            elif entry.what is EntryType.WHOLE:
                self._whole = entry.data

    def _copy_tracks_packet(self, data: bytes) -> None:
        """Copy the packets of a `tracks` packet of the original stream."""
        if self._tracks is not None and not self._has_added_tracks:
            self._tracks.copy(Cursor(data[1:], "tracks").var(_MOST))
            self._write_tracks()

    def _write_tracks(self, least: int = 0) -> None:
        if self._tracks is not None and (payload := self._tracks.writer.pop(least)):
            self._writer.write(Packet(Kind.TRACKS, payload))


def _open_timing(header: SequenceHeader) -> PtsDecoder:
    return PtsDecoder(header.start_pts, header.format.frame_rate, header.format.time_base)


def _timing_in(unit: ParsedTemporalUnit) -> Iterator[bytes]:
    for entry in unit.entries:
        if entry.what is EntryType.PACKET and entry.packet.kind is Kind.TIMING:
            yield entry.packet.payload


def _attachment_packets(
    unit: ParsedTemporalUnit, attachments: Sequence[Attachment]
) -> list[Packet]:
    """The attachments of the container; of a file by release 1.0 those in its first unit."""
    packets = (entry.packet for entry in unit.entries if entry.what is EntryType.PACKET)
    return [p for p in packets if p.kind is Kind.ATTACHMENT] or list(pack(attachments))


def _stream_origin(header: SequenceHeader, opening: Sequence[TimedUnit]) -> Fraction:
    """Seconds of the container at which tick 0 of the stream is shown, by the first unit. If sound
    begins before the pictures, a fragmented MP4 file, which has no edit list, shows the first one
    earlier: then by the second."""
    timing, zeros = _open_timing(header), []
    for timed_unit in opening:
        for payload in _timing_in(timed_unit.unit):
            timing.send(payload)
        zeros.append(timed_unit.seconds - timing.receive() * header.format.time_base)
    return zeros[-1] if zeros[-1] > zeros[0] + _TIME_TOLERANCE else zeros[0]


@dataclass(slots=True)
class _FileSurvey:
    """`header`: the first that can be read; `is_damaged`: a metadata OBU cannot be read;
    `is_hidden`: frames that an edit list hides."""

    header: SequenceHeader | None = None
    is_damaged: bool = False
    is_hidden: int = 0

    def send(self, timed_unit: TimedUnit) -> None:
        unit = timed_unit.unit
        header_bytes = unit.data_of(EntryType.HEADER)
        if header_bytes is not None:
            self.header = self.header or read_header(header_bytes)
        self.is_damaged = self.is_damaged or bool(unit.damage)
        self.is_hidden += timed_unit.is_hidden


def _is_gop_start(unit: ParsedTemporalUnit) -> bool:
    return unit.data_of(EntryType.HEADER) is not None or unit.begins_sequence


def _copy_rest(demuxer: Demuxer, out: BinaryIO, limits: Limits) -> str:
    """Write the GOPs of an incomplete file, up to the begin of another stream; return the loss in
    words. Raises `DamagedStreamError`, `LimitError`."""
    survey = _FileSurvey()
    for timed_unit in demuxer.units():
        survey.send(timed_unit)
    header = survey.header
    if header is None:
        if survey.is_damaged:
            raise DamagedStreamError(
                "gvcodec's packets in it are damaged, other players show it", code="metadata-obu"
            )
        raise NotGvcodecError("not a gvcodec file (AV1 without our metadata)", code="not-gvcodec")
    check(header, False, limits)
    tracks = demuxer.tracks()
    try:
        rest = _RestWriter(demuxer, tracks, out, header)
        for timed_unit in demuxer.units():
            if not rest.send(timed_unit):
                break
        frames = rest.finish()
    finally:
        if tracks is not None:
            tracks.close()
    description = f"{count_noun(frames, 'frame is', 'frames are')} left"
    description += rest.describe_unpainted()
    if survey.is_hidden:
        description += f", {survey.is_hidden} of which an edit list hides from players"
    return description


class _RestWriter:
    """Writes units of an incomplete file as a stream whose first frame is shown at 0, unless it is
    the first of its stream."""

    def __init__(
        self, demuxer: Demuxer, tracks: Tracks | None, out: BinaryIO, header: SequenceHeader
    ) -> None:
        self._demuxer, self._tracks, self._out, self._header = demuxer, tracks, out, header
        self._writer: Writer | None = None
        #: The previous frame's GOP is open.
        self._gop_open = False
        self._place = self._gop_frames = self._crc = 0
        self._weights = BASE_WEIGHTS
        #: A keyframe of the stream came; a damaged one may have held the weights in force; this
        #: GOP is not painted. Frames that are not for that reason, and the time of the first one.
        self._has_begun = self._is_fit_lost = self._shows_base = False
        self._unpainted = 0
        self._unpainted_since = Fraction(0)
        self._tick = header.format.time_base
        #: The first frame, by the container's clock (seconds) and in the new stream (ticks).
        self._begin, self._first = Fraction(0), 0
        #: Seconds after it at which the next one is expected, ticks of the last one.
        self._expected, self._last = Fraction(0), -1

    def send(self, timed_unit: TimedUnit) -> bool:
        """Take the next unit; return whether more may follow. Raises `DamagedStreamError` for
        frames that the encoder did not write."""
        unit, key = timed_unit.unit, _is_gop_start(timed_unit.unit)
        if not key and not self._gop_open:
            return True
        header_bytes = unit.data_of(EntryType.HEADER)
        if header_bytes is not None and not self._is_same_stream(header_bytes):
            return False
        if self._writer is None:
            self._open(timed_unit)
        assert self._writer is not None
        if key:
            self._begin_gop(unit)
        self._write_time(timed_unit.seconds, key)
        self._write_tracks(self._begin + self._expected, CHUNK)
        for entry in unit.entries:
            if entry.what is EntryType.PACKET and self._is_copied(entry.packet):
                self._writer.write(entry.packet)
        payload = strip_unit("av1", unit.payload)
        self._writer.write(Packet(Kind.KEY if key else Kind.INTER, payload))
        self._gop_frames += 1
        if self._shows_base and self._header.painter_id is not None:
            since = timed_unit.seconds - self._begin
            self._unpainted_since = self._unpainted_since if self._unpainted else since
            self._unpainted += 1
        self._crc = zlib.crc32(payload, self._crc)
        closing, frames = unit.data_of(EntryType.GOP), self._gop_frames
        if closing is not None:
            self._gop_open = False
            if not matches_gop(closing, frames, self._crc):
                first = self._place
                raise DamagedStreamError(
                    f"frames {first} to {first + frames - 1} are not those that were written "
                    f"(checksum of the GOP)",
                    code="gop-checksum",
                )
        return True

    def finish(self) -> int:
        """The number of frames."""
        if self._writer is None:
            raise DamagedStreamError("there is no frame left", code="no-frames")
        self._timing.send(max(self._first + round(self._expected / self._tick), self._last + 1))
        if late := self._timing.pop_payload():
            self._writer.write(Packet(Kind.TIMING, late))
        self._write_tracks(None)
        self._writer.finish(bytes(HASH_BYTES), has_backup=False)
        return self._writer.frames

    def describe_unpainted(self) -> str:
        """What damaged keyframe OBUs cost, in words."""
        if not self._unpainted:
            return ""
        since = format_time(float(self._unpainted_since))
        return f", {self._unpainted} of them without painting, from {since} on"

    def _is_same_stream(self, header_bytes: bytes) -> bool:
        """Whether a header belongs to the same stream, apart from its start."""
        ours = self._header
        other = replace(read_header(header_bytes), start_pts=ours.start_pts, gvc1d_id=ours.gvc1d_id)
        return other == ours

    def _open(self, timed_unit: TimedUnit) -> None:
        unit, fmt = timed_unit.unit, self._header.format
        header_bytes, place = unit.data_of(EntryType.HEADER), unit.data_of(EntryType.PLACE)
        whole = header_bytes is not None and place is not None and read_place(place) == 0
        self._begin = timed_unit.seconds
        self._first = read_header(header_bytes).start_pts if whole and header_bytes else 0
        self._last = self._first - 1
        self._timing = PtsEncoder(self._first, fmt.frame_rate, fmt.time_base)
        self._writer = Writer(self._out, replace(self._header, start_pts=self._first))
        for entry in unit.entries:
            if entry.what is EntryType.PACKET and entry.packet.kind is Kind.MODEL:
                self._writer.write(entry.packet)
        if metadata := self._metadata(unit):
            self._writer.write(Packet(Kind.METADATA, metadata))
        for packet in _attachment_packets(unit, self._demuxer.attachments()):
            self._writer.write(packet)
        if self._tracks is not None:
            self._tracks.shift = self._begin - self._first * self._tick
            self._tracks.begin = None if whole else self._begin

    def _metadata(self, unit: ParsedTemporalUnit) -> bytes:
        """The stream's metadata, with title and chapters of the container, which cuts them."""
        packets = (e.packet for e in unit.entries if e.what in (EntryType.STATE, EntryType.PACKET))
        payload = next((p.payload for p in packets if p.kind is Kind.METADATA), b"")
        container_metadata = self._demuxer.describe().during(
            None, None, self._first * self._tick - self._begin
        )
        merged = replace(
            Metadata.unpack(payload),
            title=container_metadata.title,
            chapters=container_metadata.chapters,
        ).pack()
        return merged if len(merged) <= MAX_PAYLOAD else payload

    def _begin_gop(self, unit: ParsedTemporalUnit) -> None:
        assert self._writer is not None
        place = unit.data_of(EntryType.PLACE)
        self._place = self._writer.frames if place is None else read_place(place)
        self._gop_frames = self._crc = 0
        self._gop_open = True
        if self._header.painter_id is None:
            return
        # Each GOP carries its weights, unless its writer knows no `state`.
        entries = [e for e in unit.entries if e.what in (EntryType.STATE, EntryType.PACKET)]
        fits = [e.packet.payload for e in entries if e.packet.kind is Kind.FIT]
        has_header = unit.data_of(EntryType.HEADER) is not None
        is_stated = bool(fits) or any(e.what is EntryType.STATE for e in entries)
        self._has_begun |= has_header or bool(unit.damage)
        self._shows_base = (
            bool(unit.damage) or not has_header or self._is_fit_lost and not is_stated
        )
        self._is_fit_lost = self._shows_base and self._has_begun
        weights = fits[-1] if fits else BASE_WEIGHTS
        if self._shows_base:
            weights = NO_PAINTING
        if weights != self._weights:
            self._writer.write(Packet(Kind.FIT, weights))
            self._weights = weights

    def _is_copied(self, packet: Packet) -> bool:
        """Whether a packet is valid in the new stream. Weights are written with the GOP, metadata
        and models with the first one; hashes and PSNR belong to the whole file."""
        return packet.kind in (Kind.SUMMARY, Kind.EXTRA)

    def _write_time(self, seconds: Fraction, key: bool) -> None:
        """Write the display time of the next frame, in ticks of the new stream, rounded to the
        frame rate if it is near."""
        assert self._writer is not None
        since = seconds - self._begin
        if abs(since - self._expected) <= _CLOCK_TOLERANCE:
            since = self._expected
        self._expected = since + 1 / self._header.format.frame_rate
        self._last = max(self._first + round(since / self._tick), self._last + 1)
        self._timing.send(self._last)
        if late := self._timing.pop_payload(self._writer.frames if key else None):
            self._writer.write(Packet(Kind.TIMING, late))

    def _write_tracks(self, until: Fraction | None, least: int = 0) -> None:
        """Write sound and subtitles up to a time of the container; None: all."""
        if self._tracks is None or self._writer is None:
            return
        self._tracks.copy_until(until)
        if payload := self._tracks.writer.pop(least):
            self._writer.write(Packet(Kind.TRACKS, payload))
