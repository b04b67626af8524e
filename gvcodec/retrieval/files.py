"""What summaries say about a file, without reading the rest of it: header, end, index, and the
first packet of each GOP.

    with opened("talk.gvc") as file:
        file.vectors[embedder id].values        # (N, dim) float32, of frames .frames (N,)
        file.seconds(308)

Memory is bound by the file's size, time by what its packets claim (`gvcodec.retrieval.summary`).
Raises `MediaError`, `DamagedStreamError`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from gvcodec.bitstream import GopEntry, Kind, PtsDecoder, Reader
from gvcodec.bitstream.packets import (
    CHECKSUM_BYTES,
    EXTENDED,
    EXTENDED_AT,
    MAX_SIDE_PAYLOAD,
    parse_head,
    read_packet,
)
from gvcodec.errors import DamagedStreamError, GvcodecError
from gvcodec.limits import UNLIMITED
from gvcodec.one_file.files import open_stream
from gvcodec.retrieval.ranking import distinct
from gvcodec.retrieval.summary import Summary

#: Bytes of a packet that are read to know what it is: of nearly all, and of any.
_HEADS = 4, 12
#: Lines about refused packets of a file.
_MOST_NOTES = 5
#: Bytes that the folder of cached vectors may have.
_MOST_CACHED = 256 << 20
STREAMS = (".gvc", ".bin")
_KINDS = frozenset(int(kind) for kind in Kind)


class _Counted(io.RawIOBase):
    """A file that knows how many of its bytes were read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.count = stream, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


@dataclass(frozen=True, slots=True)
class Vectors:
    """Frame numbers (N,), rising, and their vectors (N, dim)."""

    frames: NDArray[np.int64]
    values: NDArray[np.float32]


class SummarisedFile:
    """`vectors` by embedder id, `gops`, `frames`, `size` of the file in bytes, `notes` on packets
    that were left out."""

    def __init__(self, stream: BinaryIO, name: str, cached: bool = False) -> None:
        self._counted = _Counted(stream)
        self.reader, self.name = Reader(self._counted, name), name  # type: ignore[arg-type]
        self.gops = self.reader.gops()
        self.frames = sum(gop.frames for gop in self.gops)
        self.size = stream.seek(0, io.SEEK_END)
        self.notes: list[str] = []
        self.vectors: dict[bytes, Vectors] = {}
        first = self._first_packet(self.gops[0]) if self.gops else None
        cache = _cache_of(self._identity(first)) if cached else None
        if cache is None or not self._load(cache):
            self._read()
            if cache is not None and not self.notes:
                self._store(cache)

    @property
    def bytes_read(self) -> int:
        return self._counted.count

    def seconds(self, frame: int) -> float:
        """When a frame is shown, after the first one. Reads what `timing` packets its GOP has, and
        steps over the others."""
        header = self.reader.header
        gop = self.gop_of(frame)
        fmt = header.format
        timing = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base, UNLIMITED)
        timing.restart(gop.first_frame)
        at = gop.offset
        try:
            while at < gop.offset + gop.size:
                kind, size = self._head(at)
                if kind is Kind.TIMING:
                    self._counted.seek(at)
                    packet, _ = read_packet(self._counted)  # type: ignore[arg-type]
                    timing.send(packet.payload if packet else b"")
                at += size
            for _ in range(frame - gop.first_frame):
                timing.receive()
            return float((timing.receive() - header.start_pts) * header.format.time_base)
        except DamagedStreamError as error:
            raise DamagedStreamError(
                f"{self.name}: GOP at frame {gop.first_frame}: {error}"
            ) from error

    def gop_of(self, frame: int) -> GopEntry:
        return next(
            gop for gop in self.gops if gop.first_frame <= frame < gop.first_frame + gop.frames
        )

    def _read(self) -> None:
        found: dict[bytes, list[tuple[NDArray[np.int64], NDArray[np.float32]]]] = {}
        for gop in self.gops:
            try:
                payload = self._first_packet(gop)
                if payload is None:
                    continue
                summary = Summary.unpack(payload, gop.frames)
                numbers = gop.first_frame + summary.stride * np.arange(
                    len(summary.vectors), dtype=np.int64
                )
                same = found.setdefault(summary.embedder, [])
                if same and same[0][1].shape[1] != summary.vectors.shape[1]:
                    raise DamagedStreamError("summary: another dimension than before")
                same.append((numbers, summary.values))
            except DamagedStreamError as error:
                self._note(f"{self.name}: GOP at frame {gop.first_frame}: {error}; left out")
        self.vectors = {
            name: Vectors(
                np.concatenate([n for n, _ in parts]), np.concatenate([v for _, v in parts])
            )
            for name, parts in found.items()
        }

    def _note(self, line: str) -> None:
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(line)
        elif len(self.notes) == _MOST_NOTES:
            self.notes.append(f"{self.name}: more summaries are left out")

    def _head(self, at: int) -> tuple[Kind, int]:
        """Kind and whole size of the packet at an offset."""
        self._counted.seek(at)
        data = self._counted.read(_HEADS[0])
        length = next((n for n, byte in enumerate(data) if byte < 0x80), len(data)) + 1
        if length >= len(data):
            data += self._counted.read(_HEADS[1] - _HEADS[0])
            length = next((n for n, byte in enumerate(data) if byte < 0x80), 0) + 1
        kind, size = parse_head(data[:length])
        if kind == EXTENDED:
            kind, length = EXTENDED_AT + data[length] if len(data) > length else -1, length + 1
        known = Kind(kind) if kind in _KINDS else Kind.UNKNOWN
        return known, length + size + CHECKSUM_BYTES

    def _first_packet(self, gop: GopEntry) -> bytes | None:
        """Payload of the summary that a GOP begins with, None where it begins otherwise."""
        kind, size = self._head(gop.offset)
        if kind is not Kind.SUMMARY:
            return None
        if size > min(gop.size, MAX_SIDE_PAYLOAD):
            raise DamagedStreamError("summary: larger than its GOP")
        self._counted.seek(gop.offset)
        packet, _ = read_packet(self._counted)  # type: ignore[arg-type]
        return packet.payload if packet else None

    def _identity(self, first: bytes | None) -> str:
        """A name for the content: header, index, base hash, and the first summary."""
        self._counted.seek(0)
        begin = self._counted.read(self.gops[0].offset if self.gops else 0)
        self._counted.seek(sum(gop.size for gop in self.gops) + len(begin))
        return hashlib.sha256(begin + self._counted.read() + (first or b"")).hexdigest()

    def _load(self, path: Path) -> bool:
        try:
            with np.load(path, allow_pickle=False) as held:
                names = [name for name in held.files if name.startswith("frames-")]
                self.vectors = {
                    bytes.fromhex(name[7:]): Vectors(held[name], held["values-" + name[7:]])
                    for name in names
                }
            return True
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return False

    def _store(self, path: Path) -> None:
        """Keep the vectors; a folder that cannot be written is none."""
        arrays: dict[str, Any] = {}
        for name, own in self.vectors.items():
            arrays |= {f"frames-{name.hex()}": own.frames, f"values-{name.hex()}": own.values}
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}.part")
            with open(partial, "wb") as file:
                np.savez(file, **arrays)
            partial.replace(path)
            _trim(path.parent)


@contextlib.contextmanager
def opened(path: str, cached: bool = False) -> Iterator[SummarisedFile]:
    """A file that can be read from any place. `cached`: vectors are taken from
    `~/.cache/gvcodec/search`, where the content is known there."""
    with open_stream(path) as stream:
        raw = stream.raw if isinstance(stream, io.BufferedReader) and path != "-" else stream
        if raw.seekable():
            raw.seek(0)  # the buffer has read ahead
        yield SummarisedFile(raw, path, cached)  # type: ignore[arg-type]


def moments(path: str, count: int = 12) -> list[int]:
    """Frames of the most distinct moments by the summary, in order; none where there is no summary
    that can be read."""
    try:
        with opened(path) as file:
            own = next(iter(file.vectors.values()), None)
    except GvcodecError:
        return []
    return [] if own is None else [int(own.frames[place]) for place in distinct(own.values, count)]


def streams_in(path: str) -> list[str]:
    """The path itself, of a folder all streams in it."""
    if not os.path.isdir(path):
        return [path]
    found = (p for p in Path(path).rglob("*") if p.suffix.lower() in STREAMS and p.is_file())
    return sorted(str(p) for p in found)


def _cache_of(identity: str) -> Path | None:
    home = os.environ.get("XDG_CACHE_HOME") or (
        Path.home() / ".cache" if os.environ.get("HOME") else None
    )
    return Path(home) / "gvcodec" / "search" / f"{identity}.npz" if home else None


def _trim(folder: Path) -> None:
    """Remove what was not used for longest until the folder has room again."""
    held = sorted(
        ((p.stat().st_mtime, p.stat().st_size, p) for p in folder.glob("*.npz")), reverse=True
    )
    total = 0
    for _, size, path in held:
        total += size
        if total > _MOST_CACHED:
            path.unlink(missing_ok=True)
