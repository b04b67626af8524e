"""Reads on after damage: returns the intact packets of a stream and the place of each loss.

    for event in Salvage(stream).events(): ...       # `Packet` or `Loss`

A damaged frame packet costs the rest of its GOP, another damaged packet only itself. If the size of
a packet is wrong too, reading continues after the next `gop` packet, which can be searched for and
states the number of frames. The header, and packets that the backup holds, are restored from it. A
pipe is read to its end first; only a damaged header without a backup ends it
(`DamagedStreamError`). `Salvage` has many fields, since a loss is inferred from everything before
it.
"""

from __future__ import annotations

import binascii
import contextlib
import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from gvcodec import _core
from gvcodec.bitstream.attachments import guess_name
from gvcodec.bitstream.backup import Backup, find_backup
from gvcodec.bitstream.embedded_models import load_embedded_models
from gvcodec.bitstream.header import SequenceHeader
from gvcodec.bitstream.packets import (
    CHECKSUM_BYTES,
    END_BYTES,
    HASH_BYTES,
    MAX_PAYLOAD,
    MOST_FRAMES,
    Kind,
    Packet,
    Unbundler,
    frames_in,
    read_packet,
)
from gvcodec.bitstream.reader import ChangedStream
from gvcodec.bitstream.varint import MAX_BYTES, Cursor
from gvcodec.errors import DamagedStreamError, FormatVersionError, NotGvcodecError
from gvcodec.util.file_io import spool_stream
from gvcodec.util.messages import count_noun, format_time

#: Heads of `gop` packets: payloads of 4…13 bytes.
_GOP_HEAD = re.compile(
    b"[" + b"".join(re.escape(bytes([size << 2 | Kind.GOP])) for size in range(4, 14)) + b"]"
)
_GOP_SIZE = 1 + 13 + CHECKSUM_BYTES
_CHUNK = 1 << 16
#: Bytes in which an attachment says its name.
_HEAD_BYTES = 1 << 12
#: Missing frames at one place: at most one for each `_LEAST_FRAME` bytes or bundle there, plus an
#: allowance for frames whose bytes are missing.
_LEAST_FRAME = 3
#: Bound on bytes examined without finding a packet: `_MAX_EXAMINED_RATIO` for each byte of the
#: stream, plus a few packets of the largest size. A forged size costs as many bytes as it claims;
#: without a bound, a stream of forged sizes would take quadratic time.
_MAX_EXAMINED_RATIO = 16
_FREE_EXAMINED = 4 * MAX_PAYLOAD
_MAX_LOST_FRAMES = 1000
#: Bytes that may differ between a damaged packet and the one that replaces it: a few flipped ones;
#: damaged packets for which one is looked for.
_MAX_CHANGED = 4
_MAX_TRIES = 16
#: Kinds that messages name.
_NAMED = frozenset(int(kind) for kind in Kind)


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss at this place. `reason`: its cause, empty if it continues the previous one.

    `frames`: number of frames missing here. `breaks_gop`: frames cannot be decoded until the next
    `key`. `suspect_frames`: number of frames just before that may be wrong; `is_proven_wrong`: a
    checksum proves that they are. `loses_side_data`: a `fit`, `timing` or `tracks` packet may be
    lost, too. `is_between_gops`: the frames returned so far are whole GOPs. `is_structure`: a
    packet that closes a GOP or the file, without which nothing is lost if `is_complete`.
    `is_restored`: nothing is lost. `tracks`: payload of a `tracks` packet as it is, damaged.
    """

    frames: int = 0
    reason: str = ""
    breaks_gop: bool = True
    suspect_frames: int = 0
    loses_side_data: bool = False
    is_proven_wrong: bool = False
    is_between_gops: bool = False
    is_structure: bool = False
    is_restored: bool = False
    tracks: bytes = b""


#: A header for a stream without one, and its bytes in the file. Raises `DamagedStreamError`.
FindHeader = Callable[[BinaryIO], tuple[SequenceHeader, int]]


class Salvage:
    """`header` is read at once, or from the backup, or by `find_header`. `notes`: lines about
    damage that cost nothing. After the end of `events`: `base_hash`, None if it is lost;
    `is_complete`: the index, or `end`, proves that no packet is missing. `offset`, `size`: of the
    last packet."""

    def __init__(
        self, stream: BinaryIO, name: str = "stream", find_header: FindHeader | None = None
    ) -> None:
        self._source = spool_stream(stream)
        self._begin = self._source.tell()
        self._end = self._source.seek(0, io.SEEK_END)
        self._source.seek(self._begin)
        self.notes: list[str] = []
        self._backup: Backup | None = None
        self._has_searched = False
        try:
            self.header = self._read_header(find_header)
            self._seen = Backup(self.header.pack())
            self._header_end = self.offset = self._source.tell()
            with contextlib.suppress(DamagedStreamError):
                load_embedded_models(self._source, self.header)
        except DamagedStreamError as error:
            raise type(error)(f"{name}: {error}") from error
        self.size = self._header_end - self._begin
        self.is_complete = False
        #: A `gop` packet is damaged; where the last one that is not ends; where damage after it
        #: begins; the index, and where it begins.
        self._lacks_gop = False
        self._gops_end = self._frames_end = self._header_end
        self._index: bytes | None = None
        self._index_offset = 0
        self.base_hash: bytes | None = None
        self._unbundler = Unbundler() if self.header.is_bundled else None
        #: Frames returned or reported as missing so far.
        self.frames = 0
        self._number = 0
        self._crc: int | None = 0
        self._first = self._start = 0
        self._in_gop = self._has_index = False
        self._broken = False
        #: Skipped packets of the current GOP that claim to be frames, and whether the last one
        #: skipped did.
        self._unnumbered = 0
        self._skipped_frame = False
        #: The last GOP ended unseen: frames of it may be missing without a trace.
        self._ended_unseen = False
        #: Bytes of packets that were examined and rejected; packets that were to be replaced.
        self._examined = self._tries = 0

    def _read_header(self, find_header: FindHeader | None) -> SequenceHeader:
        try:
            return SequenceHeader.read(self._source)[0]
        except (DamagedStreamError, FormatVersionError) as error:
            self._source.seek(self._begin)
            backup = self.backup
            if backup is not None:
                self.notes.append(f"{error}: restored from its copy")
                self._source.seek(self._begin + len(backup.header))
                return backup.read_header()
            if find_header is None or isinstance(error, FormatVersionError):
                raise
            try:
                header, size = find_header(self._source)
            except DamagedStreamError as other:
                raise (error if isinstance(error, NotGvcodecError) else other) from None
            self._source.seek(self._begin + size)
            return header

    @property
    def backup(self) -> Backup | None:
        """The backup of the file, None without one. The file is searched once."""
        if not self._has_searched:
            self._has_searched = True
            position = self._source.tell()
            self._source.seek(self._begin)
            self._backup = find_backup(self._source)
            self._source.seek(position)
        return self._backup

    def events(self) -> Iterator[Packet | Loss]:
        """Packets as from `Reader.packets`, and losses at their places."""
        while True:
            self.offset = begin = self._source.tell()
            try:
                packet, data = self._read()
            except DamagedStreamError as error:
                self._source.seek(begin)
                if begin == self._end:
                    self.frames += self._unnumbered
                    self.is_complete = self._proves_frames()
                    reason, is_whole = "the end is missing", not self._in_gop
                    yield Loss(self._unnumbered, reason, self._in_gop, is_structure=is_whole)
                    return
                reason = f"packet {self._number}{self._claimed_name()}: {error} at {self._time()}"
                replacement = self._find_replacement()
                if replacement is None:
                    yield from self._resume(reason)
                    continue
                yield Loss(0, f"{reason}: restored", False, is_restored=True)
                packet, data = read_packet(io.BytesIO(replacement))
                self._source.seek(begin + len(replacement))
            self.size = len(data)
            self._number += 1
            kind = packet.kind
            if kind is Kind.END:
                yield from self._close_unseen()
                self.is_complete = self._proves_frames()
                if not isinstance(self._source, ChangedStream):
                    self.base_hash = packet.payload[:HASH_BYTES]
                return
            if kind is Kind.GOP:
                yield from self._close(packet.payload)
                self._gops_end = self._source.tell()
            elif kind is Kind.INDEX:
                self._has_index = True
                self._index, self._index_offset = packet.payload, begin
            else:
                self._seen.take(packet)
                yield from self._on_packet(packet, data)

    def _proves_frames(self) -> bool:
        """Whether the index counts the frames that were found, or `end` shows that the index
        follows the last GOP."""
        header_size, is_bundled = self._header_end - self._begin, self.header.is_bundled
        if self._index is not None:
            place = self._index_offset - self._begin
            try:
                gops = _core.parse_index(self._index, header_size, place, is_bundled)
            except DamagedStreamError:
                return False
            whole = header_size + sum(gop[3] for gop in gops) == place
            return whole and sum(gop[1] for gop in gops) == self.frames
        return not self._lacks_gop and self._is_index_at(self._gops_end)

    def _claimed_name(self) -> str:
        kind, size = self._claim()
        return f" ({Kind(kind).name.lower()})" if size and kind in _NAMED else ""

    def _time(self) -> str:
        return format_time(float(self.frames / self.header.format.frame_rate))

    def _find_replacement(self) -> bytes | None:
        """Bytes of the packet at this offset, from the backup, if it differs in a few; of a damaged
        backup from what it copies. Checksums of the packet and the GOP prove that it is right."""
        self._tries += 1
        candidates: list[bytes] = []
        if self._tries > _MAX_TRIES:
            return None
        if self._in_gop and (own := self._seen.pack(self._frames_end - self._begin)) is not None:
            candidates = [own.pack()]
        elif not self.frames and self.backup is not None:
            candidates = self.backup.packets()
            if self.backup.tracks:
                candidates.append(self._mend_tracks(self.backup.tracks))
        for data in candidates:
            found = self._peek(len(data))
            changed = sum(map(int.__ne__, found, data))
            if len(found) == len(data) and changed <= _MAX_CHANGED and self._is_valid(data):
                return data
        return None

    def _mend_tracks(self, tracks: bytes) -> bytes:
        """The packet at this offset with these descriptions of tracks."""
        head, size = self._peek(MAX_BYTES + 1), self._claim()[1]
        at = 1 + next((n for n, byte in enumerate(head) if byte < 0x80), 0) + 1
        data = bytearray(self._peek(size))
        data[at : at + len(tracks)] = tracks
        return bytes(data) if len(data) == size else b""

    def _is_valid(self, data: bytes) -> bool:
        try:
            read_packet(io.BytesIO(data))
        except DamagedStreamError:
            return False
        return True

    def _on_packet(self, packet: Packet, data: bytes) -> Iterator[Packet | Loss]:
        if packet.kind is Kind.KEY:
            yield from self._close_unseen()
            self._in_gop, self._broken = True, False
        elif packet.kind is Kind.INTER and not self._in_gop:
            reason = f"packet {self._number - 1}: inter frame without a keyframe before it"
            yield Loss(0, reason, loses_side_data=True, is_between_gops=True)
            self._in_gop = self._broken = True
            self._crc = None
        if self._crc is not None:
            self._crc = zlib.crc32(data, self._crc)
        if packet.is_frame:
            self._frames_end = self._source.tell()
        if self._unbundler is not None and packet.is_frame:
            yield from self._unbundle(self._unbundler, packet)
        else:
            self.frames += packet.is_frame
            yield Loss(1) if self._broken and packet.is_frame else packet

    def _unbundle(self, unbundler: Unbundler, packet: Packet) -> Iterator[Packet | Loss]:
        """The frames of a bundle, which depends on the previous ones of its GOP."""
        count = 0
        try:
            count = frames_in(packet.payload)
            frames = [] if self._broken else unbundler.send(packet)
        except DamagedStreamError as error:
            frames, self._broken = [], True
            yield Loss(0, f"packet {self._number - 1}: {error}")
        self.frames += count
        if self._broken:
            yield Loss(count)
        yield from frames

    def _close(self, payload: bytes | None, is_damaged: bool = False) -> Iterator[Loss]:
        """End the GOP; `payload` of its `gop` packet, None if that is missing or `is_damaged`."""
        crc, count = None, None
        if payload is not None and len(payload) >= 4:
            cursor = Cursor(payload, "gop")
            crc = cursor.uint(4)
            count = cursor.var() if len(cursor) else None
        gop_frames = self.frames - self._first
        missing = self._unnumbered if count is None else max(0, count - self.frames)
        position = self._source.tell() - self._begin
        most = 1 if self._unbundler is None else MOST_FRAMES
        byte_bound = most * (position - self._start) // _LEAST_FRAME + _MAX_LOST_FRAMES
        # The bytes bound the total of frames, so that repeated forged counts have no effect.
        possible = most * position // _LEAST_FRAME + _MAX_LOST_FRAMES - self.frames
        missing = missing if missing <= min(byte_bound, possible) else 0
        self.frames += missing
        if payload is None:
            self._lacks_gop = True
            reason = f"frame {self._first}: the end of a GOP is missing at {self._time()}"
            yield Loss(
                missing,
                reason,
                missing > 0,
                suspect_frames=gop_frames,
                is_structure=is_damaged and not missing,
            )
        elif self._crc is not None and not self._broken and crc != self._crc:
            reason = f"frame {self._first}: GOP checksum mismatch at {self._time()}"
            yield Loss(
                missing,
                reason,
                missing > 0,
                suspect_frames=gop_frames,
                loses_side_data=True,
                is_proven_wrong=True,
            )
        elif missing and (self._ended_unseen or not self._broken):
            lost = count_noun(missing, "frame is", "frames are")
            yield Loss(
                missing,
                f"{lost} missing before frame {self._first} at {self._time()}",
                suspect_frames=gop_frames,
            )
        elif missing:
            yield Loss(missing)
        if count is not None and count != self.frames:
            reason = f"frame {self.frames} should be number {count}"
            yield Loss(0, reason, breaks_gop=False, suspect_frames=gop_frames)
        self._ended_unseen = payload is None
        self._crc, self._first, self._start = 0, self.frames, (self._source.tell() - self._begin)
        self._in_gop = self._broken = self._skipped_frame = False
        self._unnumbered = 0

    def _close_unseen(self) -> Iterator[Loss]:
        """End a GOP without a `gop` packet, at the next GOP or the end: it was the packet skipped
        last."""
        if self._in_gop:
            self._unnumbered -= self._skipped_frame
            yield from self._close(None)
            # Packets before the next `key` have been read already.
            self._crc = None

    def _resume(self, reason: str) -> Iterator[Packet | Loss]:
        self._number += 1
        self._crc = None
        kind, size = self._claim()
        begin, skipped = self._source.tell(), self._skip(size)
        if skipped and kind == Kind.ATTACHMENT:
            reason += f" ({self._name_attachment(begin)})"
        is_index = self._has_index or kind in (Kind.INDEX, Kind.END) or self._is_index_at(begin)
        if not self._in_gop and is_index:
            yield Loss(0, reason, breaks_gop=False, loses_side_data=True, is_structure=True)
        elif skipped and kind >= Kind.END:
            self._skipped_frame = False
            tracks = self._payload_at(begin, size) if kind == Kind.TRACKS else b""
            yield Loss(0, reason, breaks_gop=False, loses_side_data=True, tracks=tracks)
        elif skipped and kind == Kind.GOP and self._in_gop:
            yield from self._close(None, is_damaged=True)
        else:
            yield Loss(0, reason, loses_side_data=not skipped, is_between_gops=not self._in_gop)
            self._in_gop = self._broken = True
            self._unnumbered += skipped
            self._skipped_frame = skipped
        if not skipped:
            self._search()

    def _read(self) -> tuple[Packet, bytes]:
        """The packet at this offset. Raises `DamagedStreamError`, also if the bound on examined
        bytes is reached."""
        _, size = self._claim()
        if (
            self._examined + size
            > _MAX_EXAMINED_RATIO * (self._source.tell() - self._begin) + _FREE_EXAMINED
        ):
            raise DamagedStreamError("too many sizes are made up", code="packet-size")
        try:
            return read_packet(self._source)
        except DamagedStreamError:
            self._examined += size
            raise

    def _claim(self) -> tuple[int, int]:
        """Kind number and stated size of the packet at this offset; size 0 if it cannot be read."""
        try:
            return _core.packet_head(self._peek(MAX_BYTES + 1)) or (Kind.INTER, 0)
        except DamagedStreamError:
            return Kind.INTER, 0

    def _payload_at(self, begin: int, size: int) -> bytes:
        """The payload of a damaged packet of an extended kind, before this offset."""
        self._source.seek(begin)
        data = self._source.read(size)
        at = next((n for n, byte in enumerate(data) if byte < 0x80), 0) + 2
        return data[at:-CHECKSUM_BYTES]

    def _peek(self, size: int) -> bytes:
        data = self._source.read(size)
        self._source.seek(-len(data), io.SEEK_CUR)
        return data

    def _skip(self, size: int) -> bool:
        """Skip `size` bytes if a whole packet follows them."""
        begin = self._source.tell()
        if not size or begin + size >= self._end:
            return False
        end = begin + size
        self._source.seek(end)
        try:
            self._read()
        except DamagedStreamError:
            self._source.seek(begin)
            return False
        self._source.seek(end)
        return True

    def _name_attachment(self, begin: int) -> str:
        """What the damaged packet at an offset seems to hold."""
        end = self._source.tell()
        self._source.seek(begin)
        data = self._peek(_HEAD_BYTES)
        self._source.seek(end)
        # After the size and the type.
        return guess_name(data[next(n for n, byte in enumerate(data) if byte < 128) + 2 :])

    def _search(self) -> None:
        """Go to the next `gop` packet, or to the end of the data."""
        self._source.read(1)
        while True:
            begin = self._source.tell()
            data = self._peek(_CHUNK)
            rest = data[:-_GOP_SIZE] if len(data) > _GOP_SIZE else data
            for match in _GOP_HEAD.finditer(rest):
                self._source.seek(begin + match.start())
                if _has_checksum(data, match.start()) and self._is_gop():
                    self._source.seek(begin + match.start())
                    return
            self._source.seek(begin + len(rest))
            if len(data) <= _GOP_SIZE:
                self._go_to_end(begin)
                return

    def _go_to_end(self, least: int) -> None:
        """Go to the `end` packet if it is where it should be, from `least` on."""
        if self._end - END_BYTES >= least and self._read_end() is not None:
            self._source.seek(self._end - END_BYTES)

    def _is_index_at(self, offset: int) -> bool:
        """Whether the `end` packet says that the index begins at this offset."""
        distance = self._read_end()
        return distance is not None and self._end - END_BYTES - distance == offset

    def _read_end(self) -> int | None:
        """Distance of the index in the `end` packet, None if that is not the last one."""
        position = self._source.tell()
        self._source.seek(max(self._begin, self._end - END_BYTES))
        try:
            packet, _ = read_packet(self._source)
        except DamagedStreamError:
            return None
        finally:
            self._source.seek(position)
        is_end = packet.kind is Kind.END and len(packet.payload) == END_BYTES - 4
        return int.from_bytes(packet.payload[HASH_BYTES:], "little") if is_end else None

    def _is_gop(self) -> bool:
        try:
            packet, _ = self._read()
            if packet.kind is not Kind.GOP:
                return False
            cursor = Cursor(packet.payload[4:], "gop")
            if len(cursor) and cursor.var() < self.frames:
                return False
            if self._source.tell() < self._end:
                self._read()
        except DamagedStreamError:
            return False
        return True


def _has_checksum(data: bytes, at: int) -> bool:
    """Whether a small packet at this offset has the right checksum."""
    end = at + 1 + (data[at] >> 2)
    return binascii.crc_hqx(data[at:end], 0xFFFF) == int.from_bytes(
        data[end : end + CHECKSUM_BYTES], "little"
    )
