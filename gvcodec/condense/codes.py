"""Clips as latent codes: the K frames of a clip lie side by side in one window of the tokenizer
(`gvcodec.gvc1d.tokenizer`), whose integers are coded by the rANS of `gvcodec.entropy.streams`.

    codes of a set = var bytes of tables  zlib of the tables  rANS packet  u32 CRC-32 of all before

A table is the scale index (`gvcodec.entropy.streams`) of a token, or of each channel of it,
whichever gives fewer bytes; means are 0. The decoder is frozen; its pictures are equal on all
machines up to rounding. Raises `DamagedStreamError`, `WrongModelError`. Functions that decode
import torch."""

from __future__ import annotations

import math
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.entropy import streams
from gvcodec.errors import DamagedStreamError
from gvcodec.models import find_model
from gvcodec.planes import planes_from_rgb

if TYPE_CHECKING:
    from torch import Tensor

    from gvcodec.gvc1d.tokenizer import Tokenizer

WINDOW = 256
_MOST_VALUES, _MOST_FRAMES, _MOST_TOKENS, _MOST_CHANNELS = 1 << 23, 64, 256, 64

Values = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Form:
    """The manifest of codes: `tokenizer` (hexadecimal id of its file) and its `rate`, `clips` of
    `count` pictures of `side` pixels, `tokens` of `channels` integers each."""

    tokenizer: str
    rate: int
    clips: int
    count: int
    side: int
    tokens: int
    channels: int

    @staticmethod
    def of(fields: Any) -> Form:
        """Parse a manifest. Raises `DamagedStreamError` for values out of range."""
        try:
            form = Form(**fields)
            bytes.fromhex(form.tokenizer)
            bounds = {
                "rate": (0, 63), "clips": (1, 1 << 20), "count": (1, _MOST_FRAMES),
                "side": (2, WINDOW), "tokens": (1, _MOST_TOKENS), "channels": (1, _MOST_CHANNELS),
            }  # fmt: skip
            numbers = asdict(form)
            good = all(
                type(numbers[name]) is int and low <= numbers[name] <= high
                for name, (low, high) in bounds.items()
            )
        except (TypeError, ValueError) as error:
            raise DamagedStreamError(
                f"condensed set: codes cannot be read ({error})", code="condensed-set"
            ) from None
        if not good or form.clips * form.tokens * form.channels > _MOST_VALUES:
            raise DamagedStreamError("condensed set: codes out of range", code="condensed-set")
        return form


def pack(values: Values) -> bytes:
    """Bytes of the codes (N, tokens, channels) of all clips."""
    rows = np.asarray(values, np.int32)
    each = np.abs(rows).mean(0)  # [tokens, channels]
    return min((_pack(rows, means) for means in (each.mean(1, keepdims=True), each)), key=len)


def _pack(rows: NDArray[np.int32], means: NDArray[np.float64]) -> bytes:
    table = streams.scale_index(means)
    code_bytes = streams.encode(
        rows.reshape(1, -1), _spread(table, rows.shape), np.zeros((1, rows.size), np.int16)
    )[0]
    tables = zlib.compress(table.tobytes(), 9)
    data = encode_var(len(tables)) + tables + code_bytes
    return data + zlib.crc32(data).to_bytes(4, "little")


def unpack(data: bytes, form: Form) -> Values:
    """Codes (N, tokens, channels). Raises `DamagedStreamError`."""
    if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little") or len(data) < 5:
        raise DamagedStreamError(
            "condensed set: checksum of the codes differs", code="condensed-set"
        )
    cursor = Cursor(data[:-4], "condensed set")
    try:
        compressed = cursor.take(cursor.var(1 << 16))
        table = np.frombuffer(
            zlib.decompressobj().decompress(compressed, 1 << 16), np.uint8
        ).reshape(form.tokens, -1)  # fmt: skip
    except (zlib.error, ValueError) as error:
        raise DamagedStreamError(
            f"condensed set: tables cannot be read ({error})", code="condensed-set"
        ) from None
    shape = form.clips, form.tokens, form.channels
    if table.shape[1] not in (1, form.channels) or table.max() > streams.MOST_SCALE:
        raise DamagedStreamError("condensed set: tables out of range", code="condensed-set")
    zeros = np.zeros((1, math.prod(shape)), np.int16)
    values, whole = streams.decode([cursor.take(len(cursor))], _spread(table, shape), zeros)
    if not whole[0] or np.abs(values.astype(np.int64)).max() > np.iinfo(np.int16).max:
        raise DamagedStreamError(
            "condensed set: codes do not end with their last value", code="condensed-set"
        )
    return values.reshape(shape).astype(np.int16)


def _spread(table: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A table for each integer of all clips."""
    return np.ascontiguousarray(np.broadcast_to(table, shape)).reshape(1, -1)


def tiles(count: int) -> int:
    """Pictures along each side of a window of `count` pictures."""
    return math.ceil(math.sqrt(count))


def tokenize(tokenizer: Tokenizer, clips: NDArray[np.uint8]) -> Values:
    """Codes (N, tokens, channels) of clips (N, K, side, side, 3)."""
    windows = [planes_from_rgb(lay_out(clip)) for clip in clips]
    return tokenizer.encode(windows).values[:, 0]


def lay_out(clip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures (K, side, side, 3) side by side, row by row: (256, 256, 3)."""
    import torch.nn.functional as F
    from torch import from_numpy

    along = tiles(len(clip))
    side = WINDOW // along
    x = F.interpolate(
        from_numpy(clip).permute(0, 3, 1, 2).float(), (side, side), mode="bicubic", antialias=True
    )
    window = np.full((WINDOW, WINDOW, 3), 128, np.uint8)
    for number, picture in enumerate(x.clamp(0, 255).round().permute(0, 2, 3, 1).numpy()):
        top, left = side * (number // along), side * (number % along)
        window[top : top + side, left : left + side] = picture
    return window


def synthesise(tokenizer: Tokenizer, values: Tensor, count: int, side: int) -> Tensor:
    """Pictures (N, K, side, side, 3), 0…255, of codes (N, tokens, channels); differentiable."""
    import torch.nn.functional as F

    from gvcodec.util.colour import SMALL
    from gvcodec.util.tensors import to_rgb

    # Planes of the tokenizer have sample 1020 at 1.
    luma, chroma = (x * (1020 / 1023) for x in tokenizer.decode(values[:, None], WINDOW, WINDOW))
    rgb = 255 * to_rgb(luma, chroma, SMALL)  # [N, 3, 256, 256]
    along = tiles(count)
    tile = WINDOW // along
    rgb = rgb[:, :, : tile * along, : tile * along]
    rgb = rgb.unflatten(3, (along, tile)).unflatten(2, (along, tile))  # [N, 3, rows, h, columns, w]
    cells = rgb.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)[:, :count]  # [N, K, 3, h, w]
    small = F.interpolate(cells.flatten(0, 1), (side, side), mode="bilinear", antialias=True)
    return small.clamp(0, 255).view(len(values), count, 3, side, side).permute(0, 1, 3, 4, 2)


class WindowCodes:
    """Codes of clips by this tokenizer, as `gvcodec.condense.joint.CodeSpace`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def tokenize(self, clips: NDArray[np.uint8]) -> Values:
        return tokenize(self._tokenizer, clips)

    def bits(self, values: Tensor) -> Tensor:
        return self._tokenizer.bits(values[:, None]).sum()

    def synthesise(self, values: Tensor, count: int, side: int) -> Tensor:
        return synthesise(self._tokenizer, values, count, side)

    def pack(self, values: Values) -> bytes:
        return pack(values)


def pictures_of(form: Form, values: Values) -> list[NDArray[np.uint8]]:
    """Decode codes to clips (K, side, side, 3)."""
    import torch

    from gvcodec.gvc1d.tokenizer import Tokenizer

    path = find_model(bytes.fromhex(form.tokenizer), "the tokenizer of a condensed set")
    tokenizer = Tokenizer(path, rate=form.rate, fast=True)
    config = tokenizer.model.config
    if (form.tokens, form.channels) != (config.tokens, config.channels) or (
        form.rate >= config.rates
    ):
        raise DamagedStreamError(
            "condensed set: its codes do not fit its tokenizer", code="condensed-set"
        )
    pictures = []
    with torch.inference_mode():
        for at in range(0, len(values), 8):
            part = torch.from_numpy(values[at : at + 8].astype(np.float32))
            batch = synthesise(tokenizer, part, form.count, form.side)
            pictures += list(batch.round().to(torch.uint8).numpy())
    return pictures
