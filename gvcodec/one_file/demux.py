"""Demuxes a one-file (MP4, Matroska or WebM with gvcodec's metadata OBUs): temporal units of its
AV1 track with their entries, and packets of its sound and subtitles.

Files are untrusted: FFmpeg gets the format, opens no other file, and decodes nothing here; tables
of an MP4 file that claim more than its bytes are refused first.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, BinaryIO

import av
from av.container import InputContainer

from gvcodec.bitstream.attachments import NO_ROOM, Attachment, choose_fitting, name_all
from gvcodec.bitstream.metadata import Metadata
from gvcodec.bitstream.metadata_obu import ParsedTemporalUnit, hash_of_tracks, parse_temporal_unit
from gvcodec.errors import DamagedStreamError, NotGvcodecError
from gvcodec.one_file.mp4_limits import check_mp4
from gvcodec.source.source_metadata import chapters_of
from gvcodec.tracks.attached_files import read_attachments
from gvcodec.tracks.copier import TrackCopier
from gvcodec.tracks.packets import TrackReader
from gvcodec.tracks.tags import ANY_TEXT
from gvcodec.util.file_io import BorrowedFile
from gvcodec.util.messages import log_line

_NOTHING_ELSE = {"protocol_whitelist": "none", "codec_whitelist": "none"}


class FileView(BorrowedFile):
    """An independent position in a shared seekable file. Closing the view leaves the file open."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._file, self._at = file, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_CUR:
            offset += self._at
        elif whence == io.SEEK_END:
            offset += self._file.seek(0, io.SEEK_END)
        if offset < 0:
            raise OSError("before the start of the file")
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        self._file.seek(self._at)
        size = super().readinto(buffer)
        self._at += size
        return size


@dataclass(frozen=True, slots=True)
class TimedUnit:
    """A unit, its display time (seconds of the container), and whether an edit list hides it."""

    unit: ParsedTemporalUnit
    seconds: Fraction
    is_hidden: bool = False


class Demuxer:
    """A container that can be read repeatedly. Raises `DamagedStreamError` without AV1."""

    def __init__(self, source: BinaryIO, kind: str, name: str) -> None:
        self._source, self._kind, self._name = source, kind, name
        if kind == "mov":
            with self._name_errors():
                check_mp4(FileView(source))

    def units(self) -> Iterator[TimedUnit]:
        """All units of the AV1 track, in order."""
        with self._open() as container, self._name_errors():
            stream = self._av1(container)
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                if packet.pts is None or not packet.time_base:
                    raise DamagedStreamError("a frame has no timestamp", code="container")
                unit = parse_temporal_unit(bytes(packet))
                yield TimedUnit(unit, packet.pts * packet.time_base, bool(packet.is_discard))

    def tracks(self) -> Tracks | None:
        """Sound and subtitles, None without tracks that can be copied."""
        container = self._open()
        streams = [s for s in container.streams if s.type in ("audio", "subtitle")]
        copier = TrackCopier(streams)
        if not copier.streams:
            container.close()
            return None
        return Tracks(container, copier)

    def attachments(self) -> list[Attachment]:
        """Attachments and covers of the container that a stream has room for."""
        with self._open() as container, self._name_errors():
            kept, lost = choose_fitting(read_attachments(container))
        if lost:
            log_line(f"{self._name}: {name_all(lost)} left out: {NO_ROOM}")
        return kept

    def describe(self) -> Metadata:
        """Title and chapters."""
        with self._open() as container, self._name_errors():
            texts = {key.lower(): text for key, text in container.metadata.items()}
            return Metadata(texts.get("title", ""), chapters_of(container))

    def _open(self) -> InputContainer:
        with self._name_errors():
            return av.open(
                FileView(self._source),
                "r",
                format=self._kind,
                container_options=dict(_NOTHING_ELSE),
                **ANY_TEXT,
            )

    def _av1(self, container: InputContainer) -> av.VideoStream:
        for stream in container.streams.video:
            context = stream.codec_context
            if context and "av1" in (context.codec.canonical_name, context.name):
                return stream
        raise NotGvcodecError("not a gvcodec file (a video without AV1)", code="not-gvcodec")

    @contextlib.contextmanager
    def _name_errors(self) -> Iterator[None]:
        try:
            yield
        except DamagedStreamError as error:
            if str(error).startswith(f"{self._name}: "):
                raise
            raise type(error)(f"{self._name}: {error}") from error
        except MemoryError:
            # FFmpeg refuses to allocate the table's claim.
            raise DamagedStreamError(
                f"{self._name}: the container asks for more memory than there is", code="container"
            ) from None
        except (av.FFmpegError, ValueError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or os.strerror(5)
            raise DamagedStreamError(
                f"{self._name}: the container cannot be read: {reason}", code="container"
            ) from error


class Tracks:
    """Copies sound and subtitles to `writer`, `shift` seconds earlier; packets before `begin`
    (seconds of the container) are dropped."""

    def __init__(self, container: InputContainer, writer: TrackCopier) -> None:
        self._container, self.writer = container, writer
        self._packets = self._read()
        #: Whether the tracks match the stream's description.
        self._is_described = False
        #: Whether all packets so far have times that rise in each track.
        self._is_ordered = True
        self._latest: dict[int, int] = {}
        self._hashes = {stream.index: hashlib.sha256() for stream in writer.streams}
        self._next: av.Packet[Any] | None = None
        self.shift = Fraction(0)
        self.begin: Fraction | None = None

    def adopt(self, description: bytes) -> None:
        """Use a stream's description of the same tracks; call before the first packet."""
        with contextlib.suppress(DamagedStreamError):
            original = TrackReader(description)
            self.writer.adopt(original)
            self._is_described = self.writer.tracks == original.tracks

    def copy(self, count: int) -> None:
        """Copy at most the next `count` packets."""
        for packet in islice(self._packets, count):
            self.writer.copy(packet, self.shift)

    def copy_until(self, seconds: Fraction | None) -> None:
        """Copy all packets up to a time of the container; None = all."""
        while packet := self._next or next(self._packets, None):
            self._next = packet
            if seconds is not None and _seconds(packet) >= seconds:
                return
            self._next = None
            self.writer.copy(packet, self.shift)

    def digest(self) -> bytes:
        """Hash of the packets of all tracks, also of tracks that are not copied."""
        for _ in self._packets:
            pass
        tracks = (track.digest() for track in self._hashes.values())
        return hash_of_tracks(tracks, self._is_described, self._is_ordered)

    def close(self) -> None:
        self._container.close()

    def _note(self, packet: av.Packet[Any]) -> None:
        track, pts = packet.stream.index, packet.pts
        self._hashes[track].update(bytes(packet))
        if pts is None or pts < self._latest.get(track, pts):
            self._is_ordered = False
        else:
            self._latest[track] = pts

    def _read(self) -> Iterator[av.Packet[Any]]:
        try:
            for packet in self._container.demux(self.writer.streams):
                if packet.size:
                    self._note(packet)
                early = self.begin is not None and _seconds(packet) < self.begin
                if packet.size and packet.pts is not None and not early:
                    yield packet
        except (av.FFmpegError, ValueError) as error:
            raise DamagedStreamError(
                "sound or subtitles cannot be read", code="container"
            ) from error


def _seconds(packet: av.Packet[Any]) -> Fraction:
    return Fraction((packet.pts or 0) * (packet.time_base or 0))
