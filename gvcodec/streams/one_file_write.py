"""A stream to one file that plays everywhere: an AV1 track of base frames with the painter's
packets in metadata OBUs (`gvcodec.bitstream.metadata_obu`), sound, subtitles, title and chapters by
the container's own means. Nothing is coded again.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av

from gvcodec.bitstream import Kind, Packet, PtsDecoder, Reader, SequenceHeader
from gvcodec.bitstream.metadata_obu import Entry, What, packet_entry, put_in
from gvcodec.bitstream.varint import encode_var
from gvcodec.decoding_limits import DEFAULT, UNLIMITED, Limits, check
from gvcodec.errors import DamagedStreamError, MediaError, UsageError
from gvcodec.file_io import PendingFile, check_one_file
from gvcodec.media.display_size import set_display_size
from gvcodec.media.metadata import Metadata
from gvcodec.media.tracks import TrackReader, TrackWriter
from gvcodec.messages import say
from gvcodec.structure.resample import Resampler
from gvcodec.structure.standard.payloads import packet_of, restore_av1

#: FFmpeg's muxers by the extension.
FORMATS = {".mp4": "mp4", ".mkv": "matroska", ".webm": "webm"}
#: The same stream makes the same file. MP4: the table of contents stands before the frames.
_OPTIONS = {
    "mp4": {"movflags": "+faststart"},
    "matroska": {"write_crc32": "0"},
    "webm": {"write_crc32": "0"},
}
_EXACT = {"fflags": "bitexact"}
_NOTHING_ELSE = {"codec_whitelist": "libdav1d", "protocol_whitelist": "none"}


@dataclass(frozen=True, slots=True)
class Written:
    """`frames` in the file; `notes`: a line for what players show otherwise, or what is left
    out."""

    frames: int
    notes: tuple[str, ...]


def write_one_file(
    reader: Reader, path: str | os.PathLike[str], overwrite: bool, limits: Limits = DEFAULT
) -> Written:
    """Write a stream of base av1 to .mp4, .mkv or .webm. Raises `UsageError`, `DamagedStreamError`,
    `LimitError`, `MediaError`."""
    with PendingFile(path, overwrite) as pending:
        return _write(reader, pending, limits)


@contextlib.contextmanager
def open_sink(path: str, overwrite: bool) -> Iterator[BinaryIO]:
    """A stream to write as to any file; when the block ends well, `path` is the one-file of it.
    Raises `UsageError` with the first bytes where the base is not av1."""
    with PendingFile(path, overwrite) as pending, tempfile.TemporaryFile() as spool:
        sink = _Sink(spool, path)
        with io.BufferedWriter(sink) as stream:
            yield stream
        spool.seek(0)
        reader = Reader(spool, path)
        written = _write(reader, pending, UNLIMITED)
        size = pending.temporary.stat().st_size
        for note in written.notes:
            say(f"{path}: {note}")
        say(f"{path}: AV1 that every player shows, with the packets for painting, {size} bytes")


class _Sink(io.RawIOBase):
    """Writes through to a spool, and looks at the sequence header once it has come."""

    #: Longest sequence header.
    _HEADER = 512

    def __init__(self, spool: BinaryIO, path: str) -> None:
        self._spool, self._path, self._head = spool, path, b""
        self._checked = False

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        if not self._checked:
            self._head += piece
            with contextlib.suppress(DamagedStreamError):
                header, _ = SequenceHeader.read(io.BytesIO(self._head))
                self._checked = True
                check_one_file(self._path, header.base)
            self._checked |= len(self._head) >= self._HEADER
        self._spool.write(piece)
        return len(piece)


def _write(reader: Reader, pending: PendingFile, limits: Limits) -> Written:
    path = pending.path
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"{path}: one file that plays everywhere is .mp4, .mkv or .webm")
    check_one_file(str(path), reader.header.base)
    check(reader.header, False, limits)
    try:
        writer = _Muxer(reader.header, str(pending.temporary), kind)
        try:
            for unit in _units(reader, writer, limits):
                writer.write(unit)
            writer.finish()
        finally:
            writer.close()
        if writer.metadata.mastering or writer.metadata.light:
            writer.notes.append("HDR metadata is kept for gvcodec, other players do not see it")
        notes = [*writer.notes, *_shown(reader.header, pending.temporary, kind)]
    except (av.FFmpegError, OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(f"{path}: cannot be written: {reason}") from error
    return Written(reader.frames, tuple(notes))


def _shown(header: SequenceHeader, path: Path, kind: str) -> list[str]:
    """Say in the container how large pictures are shown; a line where they are coded smaller."""
    fmt = header.format
    # MP4 gets the aspect ratio from FFmpeg.
    if header.scale == 1 and (fmt.sar == 1 or kind == "mp4"):
        return []
    coded = Resampler(fmt.width, fmt.height, header.scale)
    width, height = (round(side / header.scale) for side in (coded.coded_width, coded.coded_height))
    done = set_display_size(path, kind, round(width * fmt.sar), height)
    if header.scale == 1:
        ratio = f"{fmt.sar.numerator}:{fmt.sar.denominator}"
        return [] if done else [f"the sample aspect ratio {ratio} is left out"]
    what = (
        f"the display size is {round(width * fmt.sar)}×{height}, which some players ignore"
        if done
        else "players show them small"
    )
    return [f"pictures are coded at {header.scale} of the size: {what}"]


@dataclass(slots=True)
class _Unit:
    """A frame packet on its way, with entries before and after it. `pts` and `end` in ticks."""

    payload: bytes
    key: bool
    pts: int
    entries: list[Entry] = field(default_factory=list)
    end: int = 0


class _Units:
    """Packets of a stream to units; see `gvcodec.bitstream.metadata_obu` for what is in them."""

    def __init__(self, header: SequenceHeader, limits: Limits) -> None:
        fmt = header.format
        self._header = header
        self._timing = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base, limits)
        self._held: _Unit | None = None
        self._before: list[Entry] = []
        self._state: dict[Kind, bytes] = {}
        self._fresh: set[Kind] = set()
        self._frames = self._gop_frames = self._crc = 0

    def send(self, packet: Packet) -> _Unit | None:
        """Take a packet that is no `tracks`; gives the unit of the frame before."""
        if not packet.is_frame:
            if packet.kind is Kind.UNKNOWN:
                raise UsageError("the stream needs a newer version of gvcodec")
            self._before.append(packet_entry(What.PACKET, packet))
            self._note(packet)
            return None
        key = packet.kind is Kind.KEY
        done = self._release(gop_ends=key)
        unit = _Unit(packet.payload, key, self._timing.receive())
        if done is not None:
            done.end = unit.pts
        if key:
            unit.entries = [
                Entry(What.HEADER, self._header.pack()),
                Entry(What.PLACE, encode_var(self._frames)),
                *(
                    packet_entry(What.STATE, Packet(kind, payload))
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
        self._held = unit
        return done

    def send_tracks(self, packets: int, head: bytes) -> None:
        """Here stands a `tracks` packet that holds so many packets after its `head`."""
        self._before += [Entry(What.SOUND, head)] if head else []
        self._before.append(Entry(What.TRACKS, b"\0" + encode_var(packets)))

    def finish(self, loop_hash: bytes) -> _Unit:
        """The last unit."""
        unit = self._release(gop_ends=True)
        if unit is None:
            raise DamagedStreamError("the stream holds no frames")
        for entry in self._before:
            if entry.what is What.TRACKS:
                unit.entries.append(Entry(What.TRACKS, b"\1" + entry.data[1:]))
            elif entry.what is What.PACKET:
                unit.entries.append(Entry(What.TRAILER, entry.data))
        unit.entries.append(Entry(What.END, loop_hash))
        unit.end = self._timing.receive()
        return unit

    def _release(self, gop_ends: bool) -> _Unit | None:
        unit, self._held = self._held, None
        if unit is not None and gop_ends:
            crc = self._crc.to_bytes(4, "little")
            unit.entries.append(Entry(What.GOP, encode_var(self._gop_frames) + crc))
        return unit

    def _note(self, packet: Packet) -> None:
        """Keep what later keyframes say again."""
        if packet.kind is Kind.TIMING:
            self._timing.send(packet.payload)
        elif packet.kind is Kind.TUNE:
            self._state[Kind.TUNE] = packet.payload
            self._fresh.add(Kind.TUNE)
        elif packet.kind is Kind.METADATA and Kind.METADATA not in self._state:
            # Title and chapters are the container's, which cuts them with the frames.
            light = replace(Metadata.unpack(packet.payload), title="", chapters=()).pack()
            if light:
                self._state[Kind.METADATA] = light
            self._fresh.add(Kind.METADATA)


def _units(reader: Reader, muxer: _Muxer, limits: Limits) -> Iterator[_Unit]:
    """Units of a stream; tracks and metadata go to the muxer, each before it is opened."""
    units = _Units(reader.header, limits)
    metadata = False
    for packet in reader.packets():
        done = None
        if packet.kind is Kind.TRACKS:
            units.send_tracks(*muxer.send_tracks(packet.payload, limits))
        else:
            done = units.send(packet)
        if packet.kind is Kind.METADATA and not metadata:
            metadata = True
            muxer.metadata = Metadata.unpack(packet.payload)
        if done is not None:
            yield done
    assert reader.loop_hash is not None
    yield units.finish(reader.loop_hash)


class _Muxer:
    """The container. It is opened with the first unit, when tracks and metadata are known."""

    def __init__(self, header: SequenceHeader, path: str, kind: str) -> None:
        self._header, self._path, self._kind = header, path, kind
        self._container: av.container.OutputContainer | None = None
        self._video: av.stream.Stream | None = None
        self._outputs: dict[int, av.stream.Stream] = {}
        self._tracks: TrackReader | None = None
        self.metadata = Metadata()
        self.notes: list[str] = []

    def send_tracks(self, payload: bytes, limits: Limits) -> tuple[int, bytes]:
        """Take the payload of a `tracks` packet; how many packets it has, and what stands before
        them."""
        if self._tracks is None:
            self._tracks = TrackReader(payload, limits)
            head = TrackWriter(self._tracks.ticks, self._tracks.head).take()
            return len(self._tracks.waiting), head
        before = len(self._tracks.waiting)
        self._tracks.send(payload)
        return len(self._tracks.waiting) - before, b""

    def write(self, unit: _Unit) -> None:
        data = put_in(restore_av1(unit.payload), unit.entries)
        if self._container is None:
            self._open(restore_av1(unit.payload))
        assert self._container is not None and self._video is not None
        tick = self._header.format.time_base
        self._mux_tracks(unit.pts * tick)
        packet = packet_of(data)
        packet.stream, packet.time_base = self._video, tick
        packet.pts = packet.dts = unit.pts
        packet.duration = max(1, unit.end - unit.pts)
        packet.is_keyframe = unit.key
        self._container.mux(packet)

    def finish(self) -> None:
        self._mux_tracks(None)

    def close(self) -> None:
        if self._container is not None:
            container, self._container = self._container, None
            container.close()

    def _open(self, first: bytes) -> None:
        options = _OPTIONS[self._kind] | _EXACT
        self._container = av.open(self._path, "w", format=self._kind, options=options)
        self.metadata.describe(self._container)
        with av.open(io.BytesIO(first), format="obu", container_options=_NOTHING_ELSE) as source:
            template = source.streams.video[0]
            self._video = self._container.add_stream_from_template(template, opaque=True)
        self._video.time_base = self._header.format.time_base
        if self._header.format.sar != 1:
            self._video.codec_context.sample_aspect_ratio = self._header.format.sar
        for number, stream in enumerate(self._tracks.streams if self._tracks else ()):
            try:
                if self._kind == "webm" and stream.codec_context.name not in _WEBM:
                    raise ValueError
                self._outputs[number] = self._container.add_stream_from_template(stream)
                if self._tracks is not None:
                    self._outputs[number].time_base = self._tracks.ticks[number]
            except (av.FFmpegError, ValueError):
                name = stream.codec_context.name if stream.codec_context else "unknown"
                self.notes.append(
                    f"{stream.type} track ({name}) does not fit {Path(self._path).suffix} and is "
                    f"left out"
                )
        self._container.start_encoding()

    def _mux_tracks(self, until: Fraction | None) -> None:
        """Packets of tracks up to a time in seconds, all of them at the end."""
        tracks = self._tracks
        while tracks is not None and tracks.waiting and self._container is not None:
            first = tracks.waiting[0]
            if until is not None and first.pts * tracks.ticks[first.track] > until:
                return
            tracks.waiting.popleft()
            if first.track in self._outputs:
                packet = tracks.av_packet(first)
                packet.stream = self._outputs[first.track]
                self._container.mux(packet)


#: FFmpeg's muxer takes what it cannot name.
_WEBM = ("opus", "libopus", "vorbis", "libvorbis", "webvtt")
