"""Makes summary packets for a stream: its frames are decoded, not re-encoded.

Vectors describe base frames. Each GOP has its own stride, the finest of `STRIDES` with which all
summary packets so far take at most `SHARE` of the bytes so far; a GOP has at least one vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gvcodec.bitstream import GopEntry, Kind, Packet, Reader
from gvcodec.bitstream.writer import Writer
from gvcodec.codec.decoder import Decoder
from gvcodec.errors import LimitError, UsageError
from gvcodec.limits import DEFAULT, Limits
from gvcodec.retrieval.embedders import Embedder
from gvcodec.retrieval.summary import Summary, quantise
from gvcodec.retrieval.thumbnails import thumbnail
from gvcodec.types import Colour, Planes
from gvcodec.util.progress import ProgressBar

#: Distances of vectors in frames; the last ones are for very small streams.
STRIDES = (1, 4, 8, 16, 32, 64, 128, 256)
#: Largest share of the file for summaries.
SHARE = 0.01
_BATCH = 16
#: Head and checksum of a summary packet.
_FRAMING = 5


class Embedding:
    """Maps frames to quantised vectors (frames, dim), in batches."""

    def __init__(self, embedder: Embedder, colour: Colour) -> None:
        self._embedder, self._colour = embedder, colour
        self._waiting: list[NDArray[np.uint8]] = []

    def send(self, planes: Planes) -> NDArray[np.int8]:
        """Take a frame; return the vectors that are complete."""
        self._waiting.append(thumbnail(planes, self._colour, self._embedder.side))
        return self.flush() if len(self._waiting) == _BATCH else self.none()

    def flush(self) -> NDArray[np.int8]:
        if not self._waiting:
            return self.none()
        pictures, self._waiting = np.stack(self._waiting), []
        vectors = self._embedder.compress(self._embedder.frames(pictures))
        return quantise(vectors, self._embedder.step)

    def none(self) -> NDArray[np.int8]:
        return np.empty((0, self._embedder.dim), np.int8)


class Budget:
    """Chooses the stride of each GOP. `strides`: allowed ones, fine to coarse."""

    def __init__(
        self, embedder: Embedder, strides: Sequence[int] = STRIDES, share: float = SHARE
    ) -> None:
        self._embedder, self._strides, self._share = embedder, strides, share
        self._bytes = self.spent_bytes = 0
        #: Bytes of a vector so far.
        self._each = embedder.dim / 4

    def likely(self, frames: int, size: int) -> int:
        """The finest stride that the budget of a GOP of `frames` frames and `size` bytes probably
        allows."""
        byte_budget = self._share * (self._bytes + size) - self.spent_bytes
        return next(
            (s for s in self._strides if -(-frames // s) * self._each * 0.7 <= byte_budget),
            self._strides[-1],
        )

    def packet(self, vectors: NDArray[np.int8], stride: int, size: int) -> Packet:
        """The packet of a GOP with `size` other bytes, from vectors `stride` frames apart."""
        byte_budget = self._share * (self._bytes + size) - self.spent_bytes
        payload = b""
        for coarser in (s for s in self._strides if s % stride == 0):
            selected = vectors[:: coarser // stride]
            payload = Summary(self._embedder.id, coarser, self._embedder.step, selected).pack()
            if len(selected) == 1 or len(payload) + _FRAMING <= byte_budget:
                break
        self._each = 0.8 * self._each + 0.2 * len(payload) / len(selected)
        self.spent_bytes += len(payload) + _FRAMING
        self._bytes += size + len(payload) + _FRAMING
        return Packet(Kind.SUMMARY, payload)


def stride_of(rate: Fraction | float | None) -> int | None:
    """Frames between vectors for `rate` vectors a frame; None: as `SHARE` allows."""
    if rate is None:
        return None
    if not 0 < rate <= 1:
        raise UsageError(f"summary_rate is above 0 and at most 1, not {rate}", code="option-value")
    return round(1 / rate)


def summarize(
    reader: Reader,
    output: BinaryIO,
    embedder: Embedder,
    stride: int | None = None,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    limits: Limits = DEFAULT,
    bar: ProgressBar | None = None,
) -> tuple[int, int, int]:
    """Write the stream with a new summary of every GOP, instead of existing ones; bytes of frames
    do not change.

    `stride`: frames between vectors, None: as `SHARE` allows. Returns frames, bytes of all summary
    packets, bytes of the file. Raises `UsageError` on a pipe, `DamagedStreamError`,
    `VerificationError`."""
    entries = reader.gops()
    for _ in reader.packets():
        pass  # everything is checked before the work begins, and the base hash is known
    if not entries:
        raise UsageError(f"{reader.name}: the stream holds no frames", code="no-frames")
    decoder = Decoder(reader.header, True, threads, models, limits=limits)
    budget = Budget(embedder, (stride,) if stride else STRIDES)
    writer = Writer(output, reader.header)
    for entry in entries:
        if entry.size > limits.side_memory:
            most = f"{limits.side_memory >> 20} MiB (--max-memory)"
            raise LimitError(f"{reader.name}: a GOP takes more than {most}", code="limit-memory")
        packets = [packet for packet in reader.packets_of(entry) if packet.kind is not Kind.SUMMARY]
        size = sum(len(packet.payload) for packet in packets)
        selected_frames = budget.likely(entry.frames, size)
        embedding = Embedding(embedder, reader.header.format.colour)
        vectors = _vectors(decoder, entry, packets, embedding, selected_frames)
        for packet in (budget.packet(vectors, selected_frames, size), *packets):
            writer.write(packet)
        if bar is not None:
            bar.coded(writer.frames, 0)
    decoder.verify(reader.base_hash)
    writer.finish(decoder.base_hash)
    return writer.frames, budget.spent_bytes, writer.size


def _vectors(
    decoder: Decoder, entry: GopEntry, packets: Sequence[Packet], embedding: Embedding, stride: int
) -> NDArray[np.int8]:
    """Vectors of frames 0, stride, 2 · stride … of a GOP."""
    decoder.restart(entry.first_frame)
    vectors = [embedding.none()]
    coded = (packet for packet in packets if packet.kind is not Kind.TRACKS)
    for number, frame in enumerate(decoder.frames_of(coded)):
        if number % stride == 0:
            vectors.append(embedding.send(frame.planes))
    return np.concatenate([*vectors, embedding.flush()])
