"""Checks the tables of an MP4 file before FFmpeg builds an index from them.

A table of a few bytes can claim 2^32 samples, each of which takes an entry in memory. Here a file
is refused whose samples could not be in it.
"""

import io

from gvcodec.errors import DamagedStreamError
from gvcodec.util.boxes import Seekable, boxes, read_at

_INSIDE = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
#: Deepest place of a table: moov, trak, mdia, minf, stbl.
_DEPTH = 5
#: Boxes that are looked at. A fragmented file has some for every second.
_MAX_BOXES = 1 << 20
#: Fields of a sample in `trun`, by its flags.
_FIELDS = 0xF00


def check_mp4(file: Seekable) -> None:
    """Raises `DamagedStreamError` for tables that claim more samples than the file has room for."""
    _Check(file).boxes(0, file.seek(0, io.SEEK_END), 0)


class _Check:
    def __init__(self, file: Seekable) -> None:
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        self._boxes = self._samples = 0

    def boxes(self, begin: int, end: int, depth: int) -> None:
        for name, inside, after in boxes(self._file, begin, end):
            after = min(after, end)
            self._boxes += 1
            if self._boxes > _MAX_BOXES:
                raise DamagedStreamError(f"more than {_MAX_BOXES} boxes")
            if name in _INSIDE and depth < _DEPTH:
                self.boxes(inside, after, depth + 1)
            elif name in (b"stsz", b"stz2"):
                self._table(read_at(self._file, inside, 12), after - inside)
            elif name == b"trun":
                self._run(read_at(self._file, inside, 8), after - inside)

    def _table(self, head: bytes, payload_size: int) -> None:
        """A table of sizes (half a byte each, or more), or one size for all."""
        each, count = int.from_bytes(head[4:8]), int.from_bytes(head[8:12])
        self._claim(count, count * each <= self._size if each else count <= 2 * payload_size)

    def _run(self, head: bytes, payload_size: int) -> None:
        """The samples of a fragment, with as many fields each as the flags say."""
        flags, count = int.from_bytes(head[1:4]), int.from_bytes(head[4:8])
        self._claim(count, 4 * (flags & _FIELDS).bit_count() * count <= payload_size)

    def _claim(self, count: int, fits: bool) -> None:
        """A sample has a byte at least."""
        self._samples += count
        if not fits or self._samples > self._size:
            raise DamagedStreamError(f"tables claim {count} samples, the file has no room for them")
