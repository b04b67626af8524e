"""A condensed data set in one file: manifest, stream, and the place of each clip in it.

    file = 89 47 56 53  u8 version  var size  zlib of a JSON manifest of this size  u32 CRC-32
        of all before  a gvcodec stream (version 1) or codes (version 3)

    manifest = {"classes": [names], "labels": [number of each clip], "frames": T, "info": {…},
        "codes": {…}}

A clip is a GOP of the stream, K of T frames; the stream's index locates them. Version 3 has `codes`
(`gvcodec.condense.codes`) and needs torch and the network that they name.

    data = CondensedSet("small.gvset")            # for torch.utils.data.DataLoader, too
    pictures, label = data[3]                     # (T, side, side, 3) uint8, int

Raises `MediaError`, `DamagedStreamError`, `WrongModelError`; `FormatVersionError` for version 2,
codes of a network that left with release 1.0.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.condense import clip_streams, codes
from gvcodec.condense.codes import Form
from gvcodec.errors import (
    DamagedStreamError,
    FormatVersionError,
    LimitError,
    MediaError,
    WrongModelError,
)

MAGIC, STREAM, OLD_CODES, CODES = b"\x89GVS", 1, 2, 3
_MOST_MANIFEST, _MOST_FRAMES, _MOST_CLIPS = 1 << 24, 1 << 10, 1 << 20


def pack(
    stream: bytes,
    classes: Sequence[str],
    labels: Sequence[int],
    frames: int,
    info: dict[str, Any],
    form: Form | None = None,
) -> bytes:
    """All bytes of the file; with a `form`, `stream` is codes."""
    manifest = {
        "classes": list(classes),
        "labels": [int(n) for n in labels],
        "frames": frames,
        "info": info,
    }
    if form is not None:
        manifest["codes"] = asdict(form)
    packed = zlib.compress(json.dumps(manifest, separators=(",", ":")).encode(), 9)
    head = MAGIC + bytes([STREAM if form is None else CODES]) + encode_var(len(packed)) + packed
    return head + zlib.crc32(head).to_bytes(4, "little") + stream


def unpack(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Manifest, its `codes` a `Form` or None, and stream or codes. Raises `DamagedStreamError`,
    `FormatVersionError`."""
    cursor = Cursor(data, "condensed set")
    if cursor.take(min(4, len(cursor))) != MAGIC:
        raise DamagedStreamError("not a condensed set (wrong first bytes)", code="condensed-set")
    version = cursor.uint(1)
    if version == OLD_CODES:
        raise FormatVersionError(
            "condensed set of version 2 (codes of the separate tokenizer): only release 1.0 "
            "reads it",
            code="header-version",
        )
    if version not in (STREAM, CODES):
        raise DamagedStreamError(
            f"condensed set of version {version}, this program reads {STREAM} and {CODES}",
            code="condensed-set",
        )
    packed = cursor.take(cursor.var(_MOST_MANIFEST))
    checked = len(data) - len(cursor)
    if cursor.uint(4) != zlib.crc32(data[:checked]):
        raise DamagedStreamError(
            "condensed set: checksum of the manifest differs", code="condensed-set"
        )
    try:
        unzip = zlib.decompressobj()
        manifest = json.loads(unzip.decompress(packed, _MOST_MANIFEST))
        classes, labels, frames = manifest["classes"], manifest["labels"], manifest["frames"]
        good = (
            isinstance(classes, list)
            and isinstance(labels, list)
            and isinstance(manifest.get("info", {}), dict)
            and all(isinstance(name, str) for name in classes)
            and all(type(n) is int and 0 <= n < len(classes) for n in labels)
            and type(frames) is int
            and 0 < frames <= _MOST_FRAMES
            and 0 < len(labels) <= _MOST_CLIPS
        )
    except (zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedStreamError(
            f"condensed set: manifest cannot be read ({error})", code="condensed-set"
        ) from None
    if not good:
        raise DamagedStreamError("condensed set: manifest out of range", code="condensed-set")
    manifest["codes"] = Form.of(manifest.get("codes")) if version == CODES else None
    return manifest, cursor.take(len(cursor))


class CondensedSet:
    """A map-style data set, read at once: `classes`, `info`, `len()`, items (pictures, label).
    `transform` is called with the pictures. `max_pixels`: of all pictures together; by default
    2^24, or 2^14 for each byte of the stream if that is more. Raises `LimitError` above it."""

    def __init__(
        self, path: str | Path, transform: Any = None, max_pixels: int | None = None
    ) -> None:
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise MediaError(f"{path}: {error.strerror}") from error
        try:
            manifest, stream = unpack(data)
            clips = _decode(stream, manifest["codes"], len(manifest["labels"]), max_pixels)
        except (DamagedStreamError, FormatVersionError, LimitError, WrongModelError) as error:
            raise type(error)(f"{path}: {error}") from error
        self.classes: tuple[str, ...] = tuple(manifest["classes"])
        self.labels: list[int] = manifest["labels"]
        self.info: dict[str, Any] = manifest.get("info", {})
        self.frames: int = manifest["frames"]
        self.size = len(data)
        self._clips, self._transform = clips, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        pictures = repeat(self._clips[index], self.frames)
        return (self._transform(pictures) if self._transform else pictures), self.labels[index]


def _decode(
    stream: bytes, form: Form | None, labels: int, max_pixels: int | None
) -> Sequence[NDArray[np.uint8]]:
    """The clips, one for each label; a number of codes is checked before they are decoded."""
    clips = [] if form else clip_streams.decode(stream, max_pixels)
    count = form.clips if form else len(clips)
    if count != labels:
        raise DamagedStreamError(f"{count} clips for {labels} labels", code="condensed-set")
    return codes.decode(stream, form) if form else clips


def repeat(clip: NDArray[np.uint8], frames: int) -> NDArray[np.uint8]:
    """K pictures as `frames` frames, repeated in order, so that neighbours stay neighbours."""
    return clip[np.arange(frames) % len(clip)]
