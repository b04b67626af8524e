"""Files inside a file: fonts, covers (attachment)."""

from __future__ import annotations

import hashlib
from typing import Any

from conformance.decoder.tracks import read_text
from conformance.decoder.wire import Bytes, Damaged, require

MOST, PIECE = 2**26, 2**20


class Attachments:
    """Complete attachments, from `attachment` packets before the first frame. Nothing here refuses
    a file: what is wrong is left out."""

    def __init__(self) -> None:
        self.complete: list[list[Any]] = []
        self.last, self.room = -1, MOST
        self.open: list[Any] | None = None  # name, media type, whether it is a cover
        self.total, self.data = 0, b""

    def send(self, payload: bytes) -> None:
        try:
            self._read(Bytes(payload))
        except Damaged:
            self.open = None

    def _read(self, read: Bytes) -> None:
        number, offset = read.var(0, 511), read.var(0, MOST)
        if number != self.last:
            self.open = None
            require(number > self.last, "attachments in their order")
            self.last, self.data = number, b""
            require(offset == 0, "the beginning of an attachment")
            self._read_head(Bytes(read.take(read.var())))
        if self.open is None:
            return
        require(offset == len(self.data), "the next piece")
        piece = read.rest()
        require(0 < len(piece) <= min(PIECE, self.total - offset), "size of a piece")
        self.data += piece
        if len(self.data) == self.total:
            digest = hashlib.sha256(self.data).hexdigest()
            self.complete.append([*self.open, self.total, digest])
            self.room -= self.total
            self.open = None

    def _read_head(self, head: Bytes) -> None:
        self.total = head.var(0, self.room)
        role = head.number(1)
        name = read_text(head.take(head.var(0, 1024)))
        media_type = read_text(head.take(head.var(0, 255))) or "application/octet-stream"
        require(name != "", "the name of an attachment")
        self.open = [name, media_type, role == 1]
