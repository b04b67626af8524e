"""Tokens that steer the painter: small integers by region, their bytes, and their style offsets.

Each window of 256×256 luma samples has up to 21 tokens of `D` integers, coarse to fine: its own,
those of its four quadrants and those of its sixteen regions of 64×64. A window has the first 0, 1,
5 or 21 of them. The sum of the integers of a region, its quadrant and its window, times `STEP`,
is the region's style offset, which the painter's table weighs into the sums of its layer `style`
(docs/spec/painter.md, tokens: "levels").

Bytes: two bits for each window, then one rANS packet of all integers, each by a Laplace table that
the integer network of the painter's file predicts from the integers before (docs/spec/fit.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec.entropy.network import Layer
from gvcodec.entropy.streams import decode_predicted, encode_predicted
from gvcodec.errors import DamagedStreamError

Ints = NDArray[np.int32]
#: Sides of a window, a quadrant and a region, in luma samples.
SIDES = WINDOW, QUADRANT, REGION = 256, 128, 64
#: The largest integer, the style offset of an integer 1, and the largest style offset.
LARGEST, STEP, MAX_STYLE_OFFSET = 7, 8, 63
#: The largest weight of a style offset in a sum of `style`.
MAX_TOKEN_WEIGHT = 508
#: Inputs of the entropy network besides one for each place of a token: the kind of a token,
#: quality, integers before.
CONTEXT_INPUTS = 3 + 1 + 5
_ON, _PADDED_TO = 127, 16


class Tokens(NamedTuple):
    """Integers of all windows, quadrants and regions of a picture, (rows, columns, D) each, 0 if
    none is coded; `kinds` (rows, columns) of windows: how many kinds of tokens each has, 0 … 3."""

    window: Ints
    quadrant: Ints
    region: Ints
    kinds: Ints


@dataclass(frozen=True)
class TokenModel:
    """`weight` (outputs of `style`, D) int16, the weight of a style offset in each sum of
    `style`, and the layers of the entropy network."""

    weight: NDArray[np.int16]
    network: tuple[Layer, ...]

    @property
    def dims(self) -> int:
        """Integers of a token."""
        return self.weight.shape[1]


def grid_of(height: int, width: int, side: int = REGION) -> tuple[int, int]:
    """Rows and columns of regions, or of squares of `side`, of a picture."""
    rows, columns = (-(-n // _PADDED_TO) * _PADDED_TO for n in (height, width))
    return -(-rows // side), -(-columns // side)


def no_tokens(height: int, width: int, dims: int) -> Tokens:
    """Tokens of a picture, all 0, to be filled."""
    window, quadrant, region = (
        np.zeros((*grid_of(height, width, side), dims), np.int32) for side in SIDES
    )
    return Tokens(window, quadrant, region, np.zeros(window.shape[:2], np.int32))


def style_offsets_of(tokens: Tokens) -> NDArray[np.int8]:
    """Levels (D, rows, columns) of regions."""
    rows, columns, _ = tokens.region.shape
    total = tokens.region.copy()
    for coarse, side in ((tokens.window, WINDOW), (tokens.quadrant, QUADRANT)):
        times = side // REGION
        total += coarse.repeat(times, 0).repeat(times, 1)[:rows, :columns]
    style_offsets = np.clip(STEP * total, -MAX_STYLE_OFFSET, MAX_STYLE_OFFSET).astype(np.int8)
    return np.ascontiguousarray(style_offsets.transpose(2, 0, 1))


def round_integers(values: NDArray[np.floating]) -> Ints:
    """Integers that can be coded."""
    integers: Ints = np.rint(values).clip(-LARGEST, LARGEST).astype(np.int32)
    return integers


def decompose(regions: NDArray[np.int32], height: int, width: int) -> Tokens:
    """Integers (rows, columns, D) of regions as those of windows, quadrants and regions, coarse
    ones the means of those inside them."""
    tokens = no_tokens(height, width, regions.shape[2])
    rest = regions.copy()
    for coarse, side in ((tokens.window, 4), (tokens.quadrant, 2)):
        for row, column in np.ndindex(coarse.shape[:2]):
            inside = rest[side * row : side * row + side, side * column : side * column + side]
            coarse[row, column] = np.clip(np.rint(inside.mean((0, 1))), -LARGEST, LARGEST)
            inside -= coarse[row, column]
    tokens.region[:] = np.clip(rest, -LARGEST, LARGEST)
    return tokens


def keep_kinds(tokens: Tokens, kinds: int) -> Tokens:
    """The first kinds of tokens of every window."""
    parts = [part if n < kinds else np.zeros_like(part) for n, part in enumerate(tokens[:3])]
    return Tokens(parts[0], parts[1], parts[2], np.full_like(tokens.kinds, kinds))


class Layout(NamedTuple):
    """Coded tokens in the order of the file. `kind`: 0 window, 1 quadrant, 2 region; `row` and
    `column` among those of its kind; the places in the order of the token that it lies in, and of
    its neighbours of the same kind to the left and above, −1 if none is coded."""

    kind: Ints
    row: Ints
    column: Ints
    parent: Ints
    left: Ints
    above: Ints


def layout_of(rows: int, columns: int, kinds: Ints) -> Layout:
    """The order of tokens of a picture of so many regions, whose windows have `kinds`."""
    high, wide = kinds.shape
    return _layout(rows, columns, (high, wide), kinds.astype(np.uint8).tobytes())


@lru_cache(maxsize=16)
def _layout(rows: int, columns: int, windows: tuple[int, int], kinds: bytes) -> Layout:
    order: list[tuple[int, int, int]] = []
    limits = [windows, (-(-rows // 2), -(-columns // 2)), (rows, columns)]
    for number, depth in enumerate(kinds):
        at = divmod(number, windows[1])
        for kind in range(depth):
            side = 1 << kind
            for row in range(side * at[0], min(side * at[0] + side, limits[kind][0])):
                for column in range(side * at[1], min(side * at[1] + side, limits[kind][1])):
                    order.append((kind, row, column))
    places = {token: place for place, token in enumerate(order)}
    neighbours = [
        (
            places.get((kind - 1, row // 2, column // 2), -1),
            places.get((kind, row, column - 1), -1),
            places.get((kind, row - 1, column), -1),
        )
        for kind, row, column in order
    ]
    table = np.array(
        [(*token, *others) for token, others in zip(order, neighbours, strict=True)], np.int32
    ).reshape(-1, 6)
    return Layout(*table.T)


def contexts_of(layout: Layout, dims: int, q: int) -> tuple[NDArray[np.uint8], Ints]:
    """Arguments of `gvcodec.entropy.streams` for the integers of tokens: `side` (1, steps, n) and
    `back` (1, steps, 5)."""
    count = len(layout.kind)
    side = np.zeros((count, dims, dims + 4), np.uint8)
    side[:, np.arange(dims), np.arange(dims)] = _ON
    side[np.arange(count), :, dims + layout.kind] = _ON
    side[:, :, dims + 3] = min(2 * q, 127)
    back = np.zeros((count, dims, 5), np.int32)
    here = np.arange(count)
    for n, other in enumerate((layout.parent, layout.left, layout.above)):
        back[:, :, n] = np.where(other >= 0, (here - other) * dims, 0)[:, None]
    back[:, 1:, 3], back[:, 2:, 4] = 1, 2
    return side.reshape(1, count * dims, -1), back.reshape(1, count * dims, -1)


def values_of(tokens: Tokens) -> tuple[Layout, Ints]:
    """The coded integers (tokens, D) in the order of the file."""
    rows, columns, _ = tokens.region.shape
    layout = layout_of(rows, columns, tokens.kinds)
    values = np.zeros((len(layout.kind), tokens.region.shape[2]), np.int32)
    for kind in range(3):
        mine = layout.kind == kind
        values[mine] = tokens[kind][layout.row[mine], layout.column[mine]]
    return layout, values


def pack(tokens: Tokens, model: TokenModel, q: int) -> bytes:
    """Tokens to bytes; `q`: the stream's quality index, 0…63."""
    kinds = tokens.kinds.ravel()
    fours = np.concatenate([kinds, np.zeros(-len(kinds) % 4, np.int32)]).reshape(-1, 4)
    head = (fours << np.array([0, 2, 4, 6])).sum(1).astype(np.uint8).tobytes()
    layout, values = values_of(tokens)
    if not values.size:
        return head
    side, back = contexts_of(layout, model.dims, q)
    (coded,) = encode_predicted(model.network, side, values.reshape(1, -1), back=back)
    return head + coded


def kinds_in(data: bytes, height: int, width: int) -> tuple[Ints, bytes]:
    """How many kinds of tokens each window has, (rows, columns), and the bytes after that. Raises
    `DamagedStreamError`."""
    rows, columns = grid_of(height, width, WINDOW)
    size = -(-rows * columns // 4)
    if len(data) < size:
        raise DamagedStreamError(
            "tokens of the painter: windows are missing", code="painter-tokens"
        )
    head = np.frombuffer(data[:size], np.uint8).astype(np.int32)
    kinds = (head[:, None] >> np.array([0, 2, 4, 6]) & 3).ravel()
    if kinds[rows * columns :].any():
        raise DamagedStreamError(
            "tokens of the painter: more windows than the picture has", code="painter-tokens"
        )
    return kinds[: rows * columns].reshape(rows, columns).astype(np.int32), data[size:]


def unpack(data: bytes, model: TokenModel, q: int, height: int, width: int) -> Tokens:
    """Bytes to the tokens of a picture. Raises `DamagedStreamError`."""
    tokens = no_tokens(height, width, model.dims)
    kinds, coded = kinds_in(data, height, width)
    tokens.kinds[:] = kinds
    layout = layout_of(*grid_of(height, width), kinds)
    if not len(layout.kind):
        if coded:
            raise DamagedStreamError(
                "tokens of the painter: bytes after the last one", code="painter-tokens"
            )
        return tokens
    side, back = contexts_of(layout, model.dims, q)
    values, whole = decode_predicted(model.network, side, [coded], back=back)
    if not whole[0] or np.abs(values.astype(np.int64)).max() > LARGEST:
        raise DamagedStreamError(
            "tokens of the painter: an integer is out of range or missing", code="painter-tokens"
        )
    values = values.reshape(-1, model.dims)
    for kind in range(3):
        mine = layout.kind == kind
        tokens[kind][layout.row[mine], layout.column[mine]] = values[mine]
    return tokens
