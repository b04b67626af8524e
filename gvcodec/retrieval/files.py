"""Reads only the summaries of a file: header, end, index, and the first packet of each GOP.

    with open_summarised("talk.gvc") as file:
        file.vectors[embedder id].values        # (N, dim) float32, of frames .frames (N,)
        file.seconds(308)

Memory is bounded by the file's size, time by its packets' counts (`gvcodec.retrieval.summary`).
Raises `MediaError`, `DamagedStreamError`.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gvcodec import _core
from gvcodec.bitstream import GopEntry, Kind, PtsDecoder, Reader
from gvcodec.bitstream.packets import MAX_SIDE_PAYLOAD, read_packet
from gvcodec.errors import DamagedStreamError, GvcodecError
from gvcodec.limits import NO_LIMITS
from gvcodec.opening import open_stream
from gvcodec.retrieval.ranking import distinct
from gvcodec.retrieval.summary import Summary
from gvcodec.util.file_io import STREAMS, BorrowedFile

#: Bytes of a packet that hold its kind and size.
_HEAD = 12
#: Lines about refused packets of a file.
_MOST_NOTES = 5
_KINDS = frozenset(int(kind) for kind in Kind)


class _Counted(BorrowedFile):
    """Counts the bytes that are read."""

    count = 0

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        size = super().readinto(buffer)
        self.count += size
        return size


@dataclass(frozen=True, slots=True)
class Vectors:
    """Frame numbers (N,), rising, and their vectors (N, dim)."""

    frames: NDArray[np.int64]
    values: NDArray[np.float32]


class SummarisedFile:
    """`gops`, `frames`, `size` of the file in bytes; `vectors` are read on demand, with `notes` on
    refused packets."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._counted = _Counted(stream)
        self.reader, self.name = Reader(self._counted, name), name  # type: ignore[arg-type]
        self.gops = self.reader.gops()
        self.frames = sum(gop.frames for gop in self.gops)
        self.size = stream.seek(0, io.SEEK_END)
        self.notes: list[str] = []

    @property
    def bytes_read(self) -> int:
        return self._counted.count

    def seconds(self, frame: int) -> float:
        """Display time of a frame after the first one, in seconds. Reads the `timing` packets of
        its GOP."""
        header = self.reader.header
        gop = self.gop_of(frame)
        fmt = header.format
        timing = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base, NO_LIMITS)
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
            where = f"{self.name}: GOP at frame {gop.first_frame}"
            raise DamagedStreamError(f"{where}: {error}") from error

    def gop_of(self, frame: int) -> GopEntry:
        return next(
            gop for gop in self.gops if gop.first_frame <= frame < gop.first_frame + gop.frames
        )

    @cached_property
    def vectors(self) -> dict[bytes, Vectors]:
        """By embedder's id; fills `notes`."""
        notes = self.notes
        summaries: dict[bytes, list[tuple[NDArray[np.int64], NDArray[np.float32]]]] = {}
        for gop in self.gops:
            try:
                payload = self._first_packet(gop)
                if payload is None:
                    continue
                summary = Summary.unpack(payload, gop.frames)
                numbers = summary.stride * np.arange(len(summary.vectors), dtype=np.int64)
                same = summaries.setdefault(summary.embedder, [])
                if same and same[0][1].shape[1] != summary.vectors.shape[1]:
                    raise DamagedStreamError(
                        "summary: another dimension than before", code="summary"
                    )
                same.append((gop.first_frame + numbers, summary.values))
            except DamagedStreamError as error:
                if len(notes) <= _MOST_NOTES:
                    notes.append(f"{self.name}: GOP at frame {gop.first_frame}: {error}; left out")
        if len(notes) > _MOST_NOTES:
            notes[_MOST_NOTES:] = [f"{self.name}: more summaries are left out"]
        return {
            name: Vectors(*map(np.concatenate, zip(*parts, strict=True)))
            for name, parts in summaries.items()
        }

    def _head(self, at: int) -> tuple[Kind, int]:
        """Kind and whole size of the packet at an offset."""
        self._counted.seek(at)
        head = _core.packet_head(self._counted.read(_HEAD))
        if head is None:
            raise DamagedStreamError("head ends early", code="truncated")
        kind, size = head
        return Kind(kind) if kind in _KINDS else Kind.UNKNOWN, size

    def _first_packet(self, gop: GopEntry) -> bytes | None:
        """Payload of the summary at the start of a GOP, None without one."""
        kind, size = self._head(gop.offset)
        if kind is not Kind.SUMMARY:
            return None
        if size > min(gop.size, MAX_SIDE_PAYLOAD):
            raise DamagedStreamError("summary: larger than its GOP", code="summary")
        self._counted.seek(gop.offset)
        packet, _ = read_packet(self._counted)  # type: ignore[arg-type]
        return packet.payload


@contextlib.contextmanager
def open_summarised(path: str) -> Iterator[SummarisedFile]:
    """Open a seekable file."""
    with open_stream(path) as stream:
        raw = stream.raw if isinstance(stream, io.BufferedReader) and path != "-" else stream
        if raw.seekable():
            raw.seek(0)  # the buffer reads ahead
        yield SummarisedFile(raw, path)  # type: ignore[arg-type]


def moments(path: str, count: int = 12) -> list[int]:
    """Frames of the most distinct moments by the summary, in order."""
    try:
        with open_summarised(path) as file:
            summary_vectors = next(iter(file.vectors.values()), None)
    except GvcodecError:
        return []
    return (
        []
        if summary_vectors is None
        else [
            int(summary_vectors.frames[place]) for place in distinct(summary_vectors.values, count)
        ]
    )


def streams_in(path: str) -> list[str]:
    """The path itself, or all streams in a folder."""
    if not os.path.isdir(path):
        return [path]
    paths = (p for p in Path(path).rglob("*") if p.suffix.lower() in STREAMS and p.is_file())
    return sorted(str(p) for p in paths)
