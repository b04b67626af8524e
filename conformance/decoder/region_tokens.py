"""Tokens of a `fit`: integers by region that steer the painter (Fitted weights: Tokens)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from conformance.decoder.entropy import Rans
from conformance.decoder.header import Header
from conformance.decoder.models import Tensors
from conformance.decoder.networks import IntegerNetwork
from conformance.decoder.wire import Bytes, Damaged, require

SIDES = 256, 128, 64  # luma samples of a window, a quadrant, a region
MOST = 7
WEIGHT = 508  # largest weight of a level in a sum
NEAR = 5  # integers before that the network sees
Place = tuple[int, int, int]  # kind, row, column, counted in sides of the kind


@dataclass
class RegionTokens:
    """Integers of the tokens that are coded, of `dimensions` each, window by window."""

    dimensions: int
    windows: list[dict[Place, list[int]]]

    def answer(self) -> list[list[int]]:
        return [[v for token in window.values() for v in token] for window in self.windows]

    def levels(self, height: int, width: int) -> np.ndarray:
        """[dimensions, height / 8, width / 8] of a picture of this padded size."""
        between = _between(self.of_regions(height, width), height // 8, axis=1)
        return (_between(between, width // 8, axis=2) + 128) >> 8

    def of_regions(self, height: int, width: int) -> np.ndarray:
        """[dimensions, rows, columns] of regions."""
        coded = {place: token for window in self.windows for place, token in window.items()}
        rows, columns = (-(-side // SIDES[2]) for side in (height, width))
        regions = np.zeros((self.dimensions, rows, columns), np.int64)
        for y in range(rows):
            for x in range(columns):
                for kind in range(len(SIDES)):
                    place = kind, y >> (2 - kind), x >> (2 - kind)
                    regions[:, y, x] += coded.get(place, [0] * self.dimensions)
        return (8 * regions).clip(-63, 63)


def _between(regions: np.ndarray, blocks: int, axis: int) -> np.ndarray:
    """Levels at blocks along an axis, times 16."""
    n = 2 * np.arange(blocks) - 7
    i, f = n // 16, n % 16
    shape = [1, 1, 1]
    shape[axis] = blocks
    first, second = (regions.take(k.clip(0, regions.shape[axis] - 1), axis) for k in (i, i + 1))
    return first * (16 - f).reshape(shape) + second * f.reshape(shape)


def network_of(model: Tensors) -> IntegerNetwork | None:
    """The network that predicts tokens; None for a painter without them. Raises `Damaged`."""
    if not any(name.startswith("tokens.") for name in model):
        return None
    require("tokens.weight" in model, "no tensor tokens.weight")
    weight = model["tokens.weight"]
    require(weight.dtype == np.int16 and weight.ndim == 2, "tensor tokens.weight")
    styles, dimensions = weight.shape
    require(styles == len(model["style.weight"]), "outputs of tokens.weight")
    require(dimensions in (4, 8, 12, 16), "integers of a token")
    require(bool((abs(weight.astype(int)) <= WEIGHT).all()), "values of tokens.weight")
    return IntegerNetwork.read(model, dimensions + 4 + NEAR, "tokens.")


def read_tokens(data: bytes, model: Tensors, header: Header) -> RegionTokens:
    """Bytes of tokens. Raises `Damaged`."""
    network = network_of(model)
    if network is None:
        raise Damaged("tokens of a painter without any")
    dimensions = model["tokens.weight"].shape[1]
    padded = [-(-side // 16) * 16 for side in (header.height, header.width)]
    size = [[-(-side // unit_side) for side in padded] for unit_side in SIDES]
    rows, columns = size[0]
    read = Bytes(data)
    bits = int.from_bytes(read.take(-(-rows * columns // 4)), "little")
    require(bits >> 2 * rows * columns == 0, "bits after the last window")
    rans, coded, windows = Rans(read.rest()), {}, []
    for n in range(rows * columns):
        window = {}
        for place in _places(*divmod(n, columns), bits >> 2 * n & 3, size):
            token = _token(rans, network, place, coded, dimensions, header.q)
            window[place] = coded[place] = token
        windows.append(window)
    rans.close()
    require(bool(coded) or not rans.data, "bytes without an integer")
    return RegionTokens(dimensions, windows)


def read_unpainted(data: bytes, header: Header) -> np.ndarray:
    """Which regions show base frames, [rows, columns]. Raises `Damaged`."""
    rows, columns = (-(-side // SIDES[2]) for side in (header.height, header.width))
    require(len(data) == -(-rows * columns // 8), "bytes of regions")
    number = int.from_bytes(data, "little")
    require(number >> rows * columns == 0, "bits after the last region")
    bits = [number >> n & 1 for n in range(rows * columns)]
    return np.array(bits, bool).reshape(rows, columns)


def base_shown(painted: list[np.ndarray], base: list[np.ndarray], regions: np.ndarray) -> None:
    """Base samples into the painted planes, there."""
    for n, (to, of) in enumerate(zip(painted, base, strict=True)):
        side = SIDES[2] >> (n > 0)
        for y, x in np.argwhere(regions):
            square = slice(y * side, y * side + side), slice(x * side, x * side + side)
            to[square] = of[square]


def _places(row: int, column: int, kinds: int, size: list[list[int]]) -> list[Place]:
    """Tokens of a window, in order: those of its first `kinds` kinds that begin in the picture."""
    return [
        (kind, y, x)
        for kind in range(kinds)
        for y in range(row << kind, (row + 1) << kind)
        for x in range(column << kind, (column + 1) << kind)
        if y < size[kind][0] and x < size[kind][1]
    ]


def _token(
    rans: Rans,
    network: IntegerNetwork,
    place: Place,
    coded: dict[Place, list[int]],
    dimensions: int,
    q: int,
) -> list[int]:
    kind, y, x = place
    around = (kind - 1, y >> 1, x >> 1), (kind, y, x - 1), (kind, y - 1, x)
    token: list[int] = []
    for d in range(dimensions):
        before = [coded[other][d] if other in coded else 0 for other in around]
        before += [token[d - k] if d >= k else 0 for k in (1, 2)]
        own = [127 * (d == index) for index in range(dimensions)]
        own += [127 * (kind == index) for index in range(len(SIDES))]
        near = [min(max(v, -64), 63) + 64 for v in before]
        inputs = np.array([*own, min(2 * q, 127), *near], float)
        token.append(rans.integer(*network.outputs(inputs)))
        require(abs(token[-1]) <= MOST, "an integer of a token")
    return token
