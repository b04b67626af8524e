"""Decoded integers of frame packets and latent tokens, under their names in docs/spec: `gvcodec
info --trace` prints them beside the fields of the container, conformance files hold them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec import layers
from gvcodec.base.gvc1d.decoder import Decoded
from gvcodec.base.motion.decoder import MotionDecoder, MotionSymbols
from gvcodec.bitstream import Kind, Packet, SequenceHeader
from gvcodec.errors import LimitError, WrongModelError
from gvcodec.gvc1d.codec import LatentReader, open_entropy_model
from gvcodec.gvc1d.files import find_pair
from gvcodec.gvc1d.payload import Latent
from gvcodec.limits import DEFAULT, check

Fields = dict[str, Any]
#: Which bases have integers of their own.
_BASES = ("motion", "gvc1d")


class Symbols:
    """Takes frame and `latent` packets (unbundled) in the order of a stream. Where a model is
    missing, or pictures need more memory than is usual, integers are left out. Raises
    `DamagedStreamError`.

    `base`: for each frame, as far as it is known, what its base's packet holds; None for a picture.
    `tokens`: for each frame its latent tokens or None. Both are in display order."""

    def __init__(self, header: SequenceHeader, models: Sequence[str | Path] = ()) -> None:
        self._decoder: Any = None
        self._reader: LatentReader | None = None
        try:
            check(header, header.enhanced, DEFAULT)
            if header.base in _BASES:
                self._decoder = layers.open_decoder(header, 1, models)
            if header.gvc1d_id is not None:
                pair = find_pair(header.gvc1d_id, models)
                self._reader = LatentReader(open_entropy_model(header.format, True, pair))
        except (WrongModelError, LimitError):
            pass
        self._waiting: bytes | None = None
        self.base: list[MotionSymbols | Decoded | None] = []
        self.tokens: list[Latent | None] = []

    def send(self, packet: Packet) -> None:
        """Take the next packet; others than frames and tokens are passed over."""
        if packet.kind is Kind.LATENT:
            self._waiting = packet.payload
        if not packet.is_frame:
            return
        key = packet.kind is Kind.KEY
        if self._decoder is not None:
            self._decoder.send(packet.payload, key)
            latest = self._decoder.latest
            self.base += latest if isinstance(self._decoder, MotionDecoder) else [latest]
        if self._reader is not None:
            self.tokens.append(self._latent(self._reader, key))

    def _latent(self, reader: LatentReader, key: bool) -> Latent | None:
        payload, self._waiting = self._waiting, None
        if key:
            reader.start_gop()
        return None if payload is None else reader.read(payload)

    @property
    def has_base(self) -> bool:
        """Whether the base has integers that can be read here."""
        return self._decoder is not None

    @property
    def has_tokens(self) -> bool:
        """Whether there may be tokens, and they can be read here."""
        return self._reader is not None


def base_fields(found: MotionSymbols | Decoded | None, digest: bool) -> Fields | None:
    """Of one frame. `digest`: hashes of long lists of numbers instead of them."""
    if found is None:
        return None
    if isinstance(found, MotionSymbols):
        return {
            "levels": found.levels.tolist(),
            "values": hash_of(found.values, "<i2") if digest else _ends(found.values),
        }
    vectors = found.known.vectors
    moved = None if vectors is None else vectors.reshape(-1, 2)
    return {
        "q": found.q,
        "reference": found.reference,
        "remember": int(found.remember),
        "vectors": moved if moved is None else _shown(moved, "<i2", digest),
        "levels": found.levels.tolist(),
        "values": hash_of(found.values, "<i4") if digest else _ends(found.values),
    }


def token_fields(found: Latent | None, digest: bool) -> Fields | None:
    """Of the tokens of one frame."""
    if found is None:
        return None
    values = found.values.reshape(len(found.values), -1)
    return {
        "rate": found.rate,
        "run": found.run,
        "counts": found.counts.tolist(),
        "values": hash_of(values, "<i2") if digest else _ends(values),
    }


def hash_of(values: NDArray[Any], kind: str) -> str:
    """First 8 bytes of the SHA-256 of numbers in file order, hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(values).astype(kind).tobytes()).hexdigest()[:16]


def _shown(values: NDArray[Any], kind: str, digest: bool) -> Any:
    return hash_of(values, kind) if digest else values.tolist()


def _ends(rows: NDArray[Any]) -> list[list[int]]:
    """Rows of numbers up to the last that is not 0."""
    return [row[: 1 + max(np.flatnonzero(row), default=-1)].tolist() for row in rows]
