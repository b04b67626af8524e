"""Writes a stream as one file that plays everywhere: an AV1 track of base frames with the painter's
packets in metadata OBUs (`gvcodec.bitstream.metadata_obu`); sound, subtitles, title and chapters by
the container's own means. Nothing is re-encoded."""

import contextlib
import io
import mmap
import os
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import av
from av.stream import Disposition

from gvcodec.base.resample import Resampler
from gvcodec.base.standard.payloads import packet_of, restore_unit
from gvcodec.bitstream import Kind, Packet, PtsDecoder, Reader, SequenceHeader
from gvcodec.bitstream.attachments import Attachment, AttachmentReader, name_all
from gvcodec.bitstream.backup import BACKUP
from gvcodec.bitstream.metadata import Metadata
from gvcodec.bitstream.metadata_obu import (
    Entry,
    EntryType,
    FileDigest,
    UnitHash,
    hash_of_attachments,
    hash_of_tracks,
    insert_entries,
    pack,
    packet_entry,
)
from gvcodec.bitstream.varint import encode_var
from gvcodec.errors import DamagedStreamError, FormatVersionError, MediaError, UsageError
from gvcodec.limits import DEFAULT, NO_LIMITS, Limits, check
from gvcodec.one_file.demux import Demuxer
from gvcodec.sink.feed import display_size, write_display_size
from gvcodec.sink.output import name_errors
from gvcodec.sink.track_muxing import MUXERS, TrackMuxer
from gvcodec.tracks.attached_files import choose_held, read_attachments
from gvcodec.tracks.packets import TrackReader, TrackWriter, kinds_of, with_attachments
from gvcodec.util.boxes import find_box, read_at
from gvcodec.util.file_io import PendingFile, work_folder
from gvcodec.util.messages import log_line

#: FFmpeg's muxers by the extension of a file that plays everywhere.
ONE_FILE = {".mp4": "mp4", ".mkv": "matroska", ".webm": "webm"}
#: The same stream makes the same file.
_EXACT = {"fflags": "+bitexact"}
#: Bytes from the start of a track header of MP4 to width and height (16.16 bits each), by its
#: version.
_TKHD_SIZE = (76, 88)
_NOTHING_ELSE = {"codec_whitelist": "libdav1d", "protocol_whitelist": "none"}


def check_one_file(path: str, base: str) -> None:
    """Raise `UsageError` for a name in `ONE_FILE` with a base other than av1."""
    suffix = Path(path).suffix
    if one_file_suffix(path) and base != "av1":
        raise UsageError(
            f"{path}: a {suffix} file that plays everywhere has base av1, not {base} "
            f"({Path(path).with_suffix('.gvc')} holds any)",
            code="output-name",
        )


def one_file_suffix(path: str | None) -> str:
    """The suffix of a name if it is in `ONE_FILE`, in lower case, otherwise ""."""
    suffix = Path(path or "").suffix.lower()
    return suffix if suffix in ONE_FILE else ""


def container_size(stream: bytes, suffix: str) -> tuple[int, int]:
    """Bytes of the file that plays everywhere, and of sound, subtitles and attachments in it."""
    with work_folder() as folder:
        path = Path(folder) / f"whole{suffix}"
        write_one_file(Reader(io.BytesIO(stream)), path, False, NO_LIMITS)
        copied = tracks_in(str(path))
        return path.stat().st_size, copied[0] if copied else 0


def tracks_in(path: str) -> tuple[int, int, str] | None:
    """Bytes, packets and kinds of sound, subtitles and attachments, None without any. Raises
    `MediaError`."""
    with open(path, "rb") as file, name_errors(path), av.open(file, "r") as container:
        streams = [s for s in container.streams if s.type in ("audio", "subtitle")]
        attachments = [len(attachment.data) for attachment in read_attachments(container)]
        sizes = [packet.size for packet in container.demux(streams)] if streams else []
        sizes += attachments
        if not any(sizes):
            return None
        kinds = with_attachments(kinds_of(streams), bool(attachments))
        return sum(sizes), sum(size > 0 for size in sizes), kinds


def write_one_file(
    reader: Reader, path: str | os.PathLike[str], overwrite: bool, limits: Limits = DEFAULT
) -> tuple[int, list[str]]:
    """Write a stream of base av1; return its number of frames and a line for each loss. Raises
    `UsageError`, `DamagedStreamError`, `LimitError`, `MediaError`."""
    with PendingFile(path, overwrite) as pending:
        return _write(reader, pending, limits)


@contextlib.contextmanager
def open_one_file(path: str, overwrite: bool) -> Iterator[BinaryIO]:
    """Context with a stream to write; without an exception, `path` is its one-file afterwards.
    Raises `UsageError`."""
    with PendingFile(path, overwrite) as pending, tempfile.TemporaryFile() as spool:
        yield spool  # type: ignore[misc]
        spool.seek(0)
        _, notes = _write(Reader(spool, path), pending, NO_LIMITS)  # type: ignore[arg-type]
        for note in notes:
            log_line(f"{path}: {note}")
        log_line(f"{path}: AV1 that every player shows, with the packets for painting")


def _write(reader: Reader, pending: PendingFile, limits: Limits) -> tuple[int, list[str]]:
    path, header = pending.path, reader.header
    kind = ONE_FILE.get(path.suffix.lower())
    if kind is None:
        raise UsageError(
            f"{path}: one file that plays everywhere is .mp4, .mkv or .webm", code="output-name"
        )
    check_one_file(str(path), header.base)
    check(header, False, limits)
    reader.require_unchanged()
    with name_errors(path):
        writer = _Muxer(header, pending, kind, limits)
        try:
            for packet in reader.packets():
                writer.send(packet)
            assert reader.base_hash is not None  # known at the end of an unchanged stream
            whole, entries = writer.finish(reader.base_hash)
            sound = writer.sound
        finally:
            writer.close()
        _seal(pending.temporary, kind, whole, entries, sound)
        notes = [*writer.notes, *_padding(header), *_show_size(header, pending.temporary, kind)]
    if writer.metadata.mastering or writer.metadata.light:
        notes.append("HDR metadata is kept for gvcodec, other players do not see it")
    return reader.frames, notes


def _seal(path: Path, kind: str, whole: FileDigest, entries: list[Entry], sound: bytes) -> None:
    """Put the hashes of tracks and attachments in the file into the `whole` entry after these
    entries. `sound`: data of that entry."""
    with open(path, "r+b") as file:
        demuxer = Demuxer(file, "mov" if kind == "mp4" else "matroska", str(path))
        complete, tracks = whole, demuxer.tracks()
        if whole.attachments:
            complete = replace(whole, attachments=hash_of_attachments(demuxer.attachments()))
        if tracks is not None:
            try:
                tracks.adopt(sound)
                complete = replace(complete, tracks=tracks.digest())
            finally:
                tracks.close()
        before, after = (pack([*entries, digest.entry()]) for digest in (whole, complete))
        with mmap.mmap(file.fileno(), 0) as data:
            at = data.rfind(before)
            if at < 0:
                raise MediaError(
                    f"{path}: its last frame is not as it was written", code="changed-file"
                )
            data[at : at + len(after)] = after


def _padding(header: SequenceHeader) -> list[str]:
    """A line if players show more than the picture: coded sides are even and at least 64, and no
    field of AV1 or of these files crops the rest in all players."""
    fmt = header.format
    coded = Resampler(fmt.width, fmt.height, header.scale)
    size = coded.coded_width, coded.coded_height
    if header.scale != 1 or size == (fmt.width, fmt.height):
        return []
    what = f"other players show {size[0]}×{size[1]} pictures, whose edge is repeated"
    return [f"{what}: AV1 is coded with even sides of 64 or more"]


def _show_size(header: SequenceHeader, path: Path, kind: str) -> list[str]:
    """Write the display size into the container; return a line if pictures are coded smaller."""
    fmt = header.format
    # MP4 gets the aspect ratio from FFmpeg.
    if header.scale == 1 and (fmt.sar == 1 or kind == "mp4"):
        return []
    coded = Resampler(fmt.width, fmt.height, header.scale)
    width, height = (round(side / header.scale) for side in (coded.coded_width, coded.coded_height))
    width, height = display_size(width, height, fmt.sar)
    show = _show_mp4 if kind == "mp4" else write_display_size
    is_stated = show(path, (width, height))
    if header.scale == 1:
        ratio = f"{fmt.sar.numerator}:{fmt.sar.denominator}"
        return [] if is_stated else [f"sample aspect ratio {ratio} left out"]
    what = f"say {width}×{height}, which some players ignore" if is_stated else "are shown small"
    return [f"pictures coded at {header.scale} of the size {what}"]


def _show_mp4(path: Path, size: tuple[int, int]) -> bool:
    """FFmpeg's muxer writes the size of the coded pictures."""
    with open(path, "r+b") as file:
        begin = find_box(file, b"moov", b"trak", b"tkhd")
        if begin is None:
            return False
        file.seek(begin + _TKHD_SIZE[read_at(file, begin, 1)[0]])
        file.write(b"".join((side << 16).to_bytes(4) for side in size))
    return True


@dataclass(slots=True)
class _Unit:
    """A frame packet on its way, with entries before and after it. `pts` in ticks."""

    payload: bytes
    key: bool
    pts: int
    entries: list[Entry] = field(default_factory=list)


class _Muxer:
    """Packets of a stream to units of the AV1 track, sound and subtitles to other tracks."""

    def __init__(
        self, header: SequenceHeader, pending: PendingFile, kind: str, limits: Limits
    ) -> None:
        fmt = header.format
        self._header, self._limits, self._tick = header, limits, fmt.time_base
        self._timing = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base, limits)
        self._kind, self._suffix = kind, pending.path.suffix
        options = MUXERS.get(kind, {}) | _EXACT
        self._container = av.open(str(pending.temporary), "w", format=kind, options=options)
        self._tracks: TrackReader | None = None
        self._muxed: TrackMuxer | None = None
        self.metadata = Metadata()
        #: Of the stream; those that the file holds once it is begun.
        self._attachments, self._held = AttachmentReader(), list[Attachment]()
        self._lost: list[str] = []
        #: Data of the `sound` entry, empty without one.
        self.sound = b""
        #: The unit of the newest frame, whose end is not known yet, and entries after it.
        self._pending_unit: _Unit | None = None
        self._before: list[Entry] = []
        #: Packets that later keyframes repeat, and those among them that precede the next one
        #: anyway.
        self._state: dict[Kind, bytes] = {}
        self._fresh: set[Kind] = set()
        self._frames = self._gop_frames = self._crc = 0
        self._hash = UnitHash()
        self._described = self._has_backup = False

    @property
    def notes(self) -> list[str]:
        return [*self._lost, *(self._muxed.notes if self._muxed else [])]

    def send(self, packet: Packet) -> None:
        """Take the next packet."""
        self._attachments.send(packet)
        if packet.is_frame:
            self._begin_unit(packet)
        elif packet.kind is Kind.UNKNOWN:
            raise FormatVersionError(
                f"a packet of type {packet.type} needs a newer version of gvcodec",
                code="newer-packet",
            )
        elif packet.kind is Kind.TRACKS:
            self._send_tracks(packet.payload)
        elif packet.is_copied and packet.kind is not Kind.ATTACHMENT:
            self._before.append(packet_entry(EntryType.PACKET, packet))
            self._note(packet)
        elif packet.type == BACKUP:
            self._has_backup = True

    def finish(self, base_hash: bytes) -> tuple[FileDigest, list[Entry]]:
        """Write the last unit and the remaining tracks. Return its `whole` entry, without tracks,
        and the entries before it."""
        if (unit := self._pending_unit) is None:
            raise DamagedStreamError("the stream holds no frames", code="no-frames")
        self._close_gop(unit)
        for entry in self._before:
            if entry.what is EntryType.TRACKS:
                unit.entries.append(Entry(EntryType.TRACKS, b"\1" + entry.data[1:]))
            elif entry.what is EntryType.PACKET:
                unit.entries.append(Entry(EntryType.TRAILER, entry.data))
        unit.entries.append(Entry(EntryType.END, base_hash))
        before = list(unit.entries)
        self._hash.send(unit.payload, before)
        hashes = self._hash.digest(), hash_of_tracks((), False, True)
        attachments = hash_of_attachments(self._held) if self._held else b""
        whole = FileDigest(self._hash.frames, *hashes, attachments, self._has_backup)
        unit.entries.append(whole.entry())
        self._write(unit, self._timing.receive()).finish()
        return whole, before

    def close(self) -> None:
        self._container.close()

    def _begin_unit(self, packet: Packet) -> None:
        """Write the previous frame's unit and buffer this one."""
        key = packet.kind is Kind.KEY
        unit = _Unit(packet.payload, key, self._timing.receive())
        if self._pending_unit is not None:
            if key:
                self._close_gop(self._pending_unit)
            self._hash.send(self._pending_unit.payload, self._pending_unit.entries)
            self._write(self._pending_unit, unit.pts)
        elif not self._frames:
            self._choose_attachments()
        if key:
            unit.entries = [
                Entry(EntryType.HEADER, self._header.pack()),
                Entry(EntryType.PLACE, encode_var(self._frames)),
                *(
                    packet_entry(EntryType.STATE, Packet(kind, payload))
                    for kind, payload in self._state.items()
                    if kind not in self._fresh
                ),
            ]
            self._fresh.clear()
            self._gop_frames = self._crc = 0
        unit.entries += self._before
        self._before = []
        self._frames += 1
        self._gop_frames += 1
        self._crc = zlib.crc32(packet.payload, self._crc)
        self._pending_unit = unit

    def _choose_attachments(self) -> None:
        self._held, left_out = choose_held(self._attachments.finish(), self._kind)
        self._lost = self._attachments.losses
        if left_out:
            self._lost.append(f"{name_all(left_out)} left out, {self._suffix} has no place")

    def _close_gop(self, unit: _Unit) -> None:
        crc = self._crc.to_bytes(4, "little")
        unit.entries.append(Entry(EntryType.GOP, encode_var(self._gop_frames) + crc))

    def _send_tracks(self, payload: bytes) -> None:
        """Add to the unit the number of packets of sound at this place, at first also their
        description."""
        before = len(self._tracks.waiting) if self._tracks else 0
        if self._tracks is None:
            self._tracks = TrackReader(payload, self._limits)
            self.sound = TrackWriter(self._tracks.tracks).pop()
            self._before.append(Entry(EntryType.SOUND, self.sound))
        else:
            self._tracks.send(payload)
        count = encode_var(len(self._tracks.waiting) - before)
        self._before.append(Entry(EntryType.TRACKS, b"\0" + count))

    def _note(self, packet: Packet) -> None:
        if packet.kind is Kind.TIMING:
            self._timing.send(packet.payload)
        elif packet.kind is Kind.FIT:
            self._state[Kind.FIT] = packet.payload
            self._fresh.add(Kind.FIT)
        elif packet.kind is Kind.METADATA and packet.payload and not self._described:
            self._described = True
            self.metadata = Metadata.unpack(packet.payload)
            # Title and chapters are the container's, which cuts them with the frames.
            light = replace(self.metadata, title="", chapters=(), source_start=0).pack()
            if light:
                self._state[Kind.METADATA] = light
            self._fresh.add(Kind.METADATA)

    def _write(self, unit: _Unit, end: int) -> TrackMuxer:
        if self._muxed is None:
            # All tracks are named before the first frame. A process `ffmpeg -c copy` fed with them
            # would show 752 samples more at the end of AAC that MP4 hides there, begin late sound
            # 21 ms early and rewrite subtitles of MP4: the stream would not come back.
            self._video = self._add_video(unit)
            kind, zero = (self._kind, self._suffix), self._header.start_pts * self._tick
            self._muxed = TrackMuxer(
                self._container, *kind, self._tracks, self.metadata, zero, self._held
            )
        packet = packet_of(insert_entries(restore_unit("av1", unit.payload), unit.entries))
        packet.stream, packet.time_base = self._video, self._tick
        packet.pts = packet.dts = unit.pts
        packet.duration = max(1, end - unit.pts)
        packet.is_keyframe = unit.key
        self._muxed.send(packet)
        return self._muxed

    def _add_video(self, unit: _Unit) -> av.VideoStream:
        first = io.BytesIO(restore_unit("av1", unit.payload))
        with av.open(first, format="obu", container_options=_NOTHING_ELSE) as source:
            template = source.streams.video[0]
            video = self._container.add_stream_from_template(template, opaque=True)
        video.time_base, video.disposition = self._tick, Disposition.default
        video.metadata.update(self.metadata.names_of(0))
        if self._header.format.sar != 1:
            video.codec_context.sample_aspect_ratio = self._header.format.sar
        return video
