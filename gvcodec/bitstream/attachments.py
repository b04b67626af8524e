"""Attachments of a file (fonts, covers, other files) in `attachment` packets before the first `key`
(docs/spec/tracks.md#attachment). They change no picture: one that cannot be read is left out, with
a line. A name is a label: nothing is opened or written by it.

    packets = pack([Attachment("cover.jpg", "image/jpeg", data, is_cover=True)])
    reader = AttachmentReader()
    for packet in reader.watch(stream.packets()): ...
    reader.finish(), reader.losses
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from gvcodec.bitstream.metadata import printable
from gvcodec.bitstream.packets import Kind, Packet
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.errors import DamagedStreamError
from gvcodec.util.messages import count_noun

#: Bytes of all attachments of a file, and of a piece.
MAX_BYTES, PIECE = 64 << 20, 1 << 20
#: Attachments of a file, fewer than the streams that FFmpeg reads; bytes of a name and of a media
#: type.
MAX_COUNT, MAX_NAME, MAX_TYPE = 512, 1024, 255
NO_ROOM = f"a file holds {MAX_COUNT} of at most {MAX_BYTES >> 20} MiB together"
_COVER = 1
#: The media type of an attachment that does not say its own.
OPAQUE = "application/octet-stream"
#: Attachments that a line names.
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file inside a file. `is_cover`: a picture of the whole video."""

    name: str
    media_type: str
    data: bytes
    is_cover: bool = False

    def __str__(self) -> str:
        return f"{'cover' if self.is_cover else 'attachment'} {self.name}"

    def head(self) -> bytes:
        fields = encode_var(len(self.data)) + bytes([_COVER * self.is_cover])
        texts = (text.encode() for text in (self.name, self.media_type))
        return fields + b"".join(encode_var(len(text)) + text for text in texts)


def pack(attachments: Iterable[Attachment]) -> Iterator[Packet]:
    """The packets of attachments that a file has room for (`choose_fitting`)."""
    for number, attachment in enumerate(attachments):
        head, data = attachment.head(), attachment.data
        for offset in range(0, len(data), PIECE):
            payload = encode_var(number) + encode_var(offset)
            payload += b"" if offset else encode_var(len(head)) + head
            yield Packet(Kind.ATTACHMENT, payload + data[offset : offset + PIECE])


def choose_fitting(
    attachments: Iterable[Attachment],
) -> tuple[list[Attachment], list[Attachment]]:
    """The attachments that a file has room for, and the others."""
    kept: list[Attachment] = []
    lost: list[Attachment] = []
    room = MAX_BYTES
    for attachment in attachments:
        texts_fit = (
            0 < len(attachment.name.encode()) <= MAX_NAME
            and len(attachment.media_type.encode()) <= MAX_TYPE
        )
        fits = texts_fit and 0 < len(attachment.data) <= room and len(kept) < MAX_COUNT
        (kept if fits else lost).append(attachment)
        room -= len(attachment.data) * fits
    return kept, lost


def attachments_of(packets: Iterable[Packet]) -> tuple[list[Attachment], list[str]]:
    """The complete attachments in `attachment` packets, and a line for each other one."""
    reader = AttachmentReader()
    for packet in packets:
        reader.send(packet)
    return reader.finish(), reader.losses


def guess_name(payload: bytes) -> str:
    """What the beginning of a damaged `attachment` payload says of it."""
    cursor = Cursor(payload, "attachment")
    try:
        number, offset = cursor.var(MAX_COUNT - 1), cursor.var(MAX_BYTES)
        if offset:
            return f"attachment {number}"
        return str(_read_head(cursor, number, MAX_BYTES)[0])
    except DamagedStreamError:
        return "an attachment"


def name_all(attachments: Sequence[Attachment]) -> str:
    """Attachments in words, for messages."""
    more = len(attachments) - _MOST_NAMED
    names = [str(attachment) for attachment in attachments[:_MOST_NAMED]]
    return ", ".join([*names, count_noun(more, "other attachment")] if more > 0 else names)


class AttachmentReader:
    """Attachments from the packets of a stream, all of which may be sent; those after the first
    frame do not count. `losses`: a line for each attachment that is left out, complete after
    `finish`. Memory follows the bytes that came, not those that are promised."""

    def __init__(self) -> None:
        self.losses: list[str] = []
        self._complete: list[Attachment] = []
        #: The attachment whose pieces come, how many bytes it should have, and those that came; the
        #: number of the last one, and bytes that others may have.
        self._open: Attachment | None = None
        self._total, self._data = 0, bytearray()
        self._number, self._room = -1, MAX_BYTES
        self._is_closed = False

    def send(self, packet: Packet) -> None:
        if packet.is_frame:
            self._is_closed = True
        elif packet.kind is Kind.ATTACHMENT and not self._is_closed:
            try:
                self._read(Cursor(packet.payload, "attachment"))
            except DamagedStreamError as error:
                self._open = None
                self._note(str(error))

    def watch(self, packets: Iterable[Packet]) -> Iterator[Packet]:
        """The same packets, which are sent on the way."""
        for packet in packets:
            self.send(packet)
            yield packet

    def finish(self) -> list[Attachment]:
        """The attachments that are complete."""
        self._end()
        return self._complete

    def _read(self, cursor: Cursor) -> None:
        number, offset = cursor.var(MAX_COUNT - 1), cursor.var(MAX_BYTES)
        if number != self._number:
            self._end()
            if number < self._number:
                raise DamagedStreamError(f"attachment {number} comes after {self._number}")
            if gap := number - self._number - 1:
                self._note(f"{count_noun(gap, 'attachment')} before number {number} missing")
            self._number, self._data = number, bytearray()
            if offset:
                raise DamagedStreamError(f"attachment {number}: its beginning is missing")
            self._open, self._total = _read_head(cursor, number, self._room)
        if self._open is None:
            return
        piece = cursor.take(len(cursor))
        if offset != len(self._data) or not 0 < len(piece) <= min(PIECE, self._total - offset):
            raise DamagedStreamError(f"{self._open}: a piece is missing or has another size")
        self._data += piece
        if len(self._data) == self._total:
            self._complete.append(replace(self._open, data=bytes(self._data)))
            self._room -= self._total
            self._open = None

    def _end(self) -> None:
        """The last attachment is over."""
        if self._open is not None:
            self._note(f"{self._open}: {len(self._data)} of {self._total} bytes")
            self._open = None

    def _note(self, line: str) -> None:
        if len(self.losses) < MAX_COUNT:
            self.losses.append(f"{line}: left out")


def _read_head(cursor: Cursor, number: int, room: int) -> tuple[Attachment, int]:
    """An attachment without its bytes, and how many of `room` it should have. Raises
    `DamagedStreamError`."""
    head = Cursor(cursor.take(cursor.var()), f"attachment {number}")
    total, role = head.var(room), head.uint(1)
    try:
        name = printable(head.take(head.var(MAX_NAME)).decode())
        media_type = printable(head.take(head.var(MAX_TYPE)).decode())
    except UnicodeDecodeError as error:
        raise DamagedStreamError(f"attachment {number}: a text is no UTF-8") from error
    if not name:
        raise DamagedStreamError(f"attachment {number}: it has no name")
    return Attachment(name, media_type or OPAQUE, b"", role == _COVER), total
