"""The integer loop of base gvc1d: transform and prediction by integers alone, so base frames and
contexts are the same on every machine.

Products of integers are summed as doubles, exactly: every sum stays below 2^53.

    planes     y (H, W), u and v (H/2, W/2), 10 bits; H and W multiples of 256
    values     (W, N) a window's integers (`gvcodec.gvc1d.token_order`)
    vectors    (H/16, W/16, 2) int16, (x, y) in quarter samples

Levels are in 1/16 between the steps of a value and the weights of the synthesis.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec.gvc1d.token_order import (
    CHROMA,
    COARSE,
    FIRST,
    LUMA,
    PLANES,
    REGION,
    REGIONS,
    SIDE,
    ZIGZAG,
)
from gvcodec.types import Planes

#: Fractions of weights, of the factors of steps, and of steps.
WEIGHT_BITS, FACTOR_BITS, STEP_BITS = 14, 12, 4
#: Qualities, 0 fine … 63; the step of each in 1/16 levels: 256 · 2^(q / 10), rounded.
QUALITIES = 64
STEPS = tuple(round(256 * 2 ** (q / 10)) for q in range(QUALITIES))
_GREY = 512
_PLANE_INDEX = np.array([p.row for p in PLANES])

Values = NDArray[np.int32]
_Wide = NDArray[np.float64]


def _means_matrix() -> _Wide:
    """The 4×4 cosine transform in 2^-WEIGHT_BITS, frequencies by `ZIGZAG`, (16, 16)."""
    n = np.arange(4)
    rows = np.cos(np.pi * n[:, None] * (2 * n + 1) / 8) * np.sqrt(0.5)
    rows[0] /= np.sqrt(2)
    full = np.einsum("ui,vj->uvij", rows, rows).reshape(4, 4, 16)
    return np.round(np.stack([full[u, v] for u, v in ZIGZAG]) * (1 << WEIGHT_BITS))


_MEANS = _means_matrix()


def _shift(x: _Wide, bits: int) -> _Wide:
    """x / 2^bits, halves up."""
    return np.floor((x + (1 << bits - 1)) / (1 << bits))


class Weights(NamedTuple):
    """int16 in 2^-WEIGHT_BITS: (256, 1024) and (64, 256), rows of coefficients; `factors` (387,)
    int32 in 2^-FACTOR_BITS: of the first level (Y U V), of blocks (Y U V), of planes."""

    analysis_y: NDArray[np.int16]
    analysis_uv: NDArray[np.int16]
    synthesis_y: NDArray[np.int16]
    synthesis_uv: NDArray[np.int16]
    factors: NDArray[np.int32]

    @staticmethod
    def of(tensors: Mapping[str, Any]) -> Weights:
        """Of a file's tensors. Raises `ValueError`, `KeyError`."""
        found = Weights(*(np.asarray(tensors[f"transform.{name}"]) for name in Weights._fields))
        shapes = (LUMA, 4 * LUMA), (CHROMA, 4 * CHROMA), (LUMA, 4 * LUMA), (CHROMA, 4 * CHROMA)
        arrays: tuple[NDArray[Any], ...] = tuple(found)
        for name, array, shape in zip(
            Weights._fields, arrays, (*shapes, (6 + len(PLANES),)), strict=True
        ):
            kind = np.int32 if name == "factors" else np.int16
            if array.shape != shape or array.dtype != kind:
                raise ValueError(f"transform.{name} has another shape")
        if found.factors.min() < 1 << FACTOR_BITS - 3 or found.factors.max() > 8 << FACTOR_BITS:
            raise ValueError("a step's factor is 1/8 to 8")
        return found


class ExactTransform:
    """Both directions by integers; float64 arrays of whole numbers inside."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    @cached_property
    def _synthesis(self) -> tuple[_Wide, _Wide]:
        return self.weights.synthesis_y.astype(float), self.weights.synthesis_uv.astype(float)

    @cached_property
    def _analysis(self) -> tuple[_Wide, _Wide]:
        return self.weights.analysis_y.T.astype(float), self.weights.analysis_uv.T.astype(float)

    def steps(self, q: int, planes: int) -> NDArray[np.int64]:
        """Of each of a window's integers, in 1/16 levels, (N,)."""
        half = 1 << FACTOR_BITS - 1
        step = (STEPS[q] * self.weights.factors.astype(np.int64) + half) >> FACTOR_BITS
        first, blocks = np.tile(step[:3], 16), np.tile(np.repeat(step[3:6], 16), 15)
        return np.concatenate([first, blocks, np.repeat(step[6 : 6 + planes], REGIONS)])

    def add(self, guess: Planes, values: Values, q: int) -> Planes:
        """The frame: the prediction and what the values stand for."""
        columns = guess[0].shape[1] // 256
        planes = (values.shape[1] - COARSE) // REGIONS
        level = values * self.steps(q, planes).astype(float)
        w = len(values)
        first = level[:, :FIRST].reshape(w, 16, 3).transpose(0, 2, 1) @ _MEANS
        rest = level[:, FIRST:COARSE].reshape(w, 15, 3, 16).transpose(0, 2, 3, 1)
        blocks = np.concatenate([_shift(first, WEIGHT_BITS)[..., None], rest], -1) @ _MEANS
        means = _join(_shift(blocks, WEIGHT_BITS), columns)  # (3, h, w)
        fine = level[:, COARSE:].reshape(w // columns, columns, planes, SIDE, SIDE)
        fine = fine.transpose(2, 0, 3, 1, 4).reshape(planes, *means.shape[1:])
        found = []
        for component, part in enumerate(guess):
            mine, rows = _planes_of(component, planes)
            some = fine[mine].any((1, 2))
            mine, rows = mine[some], np.concatenate([[0], rows[some]])
            coefficients = np.concatenate([means[component][None], fine[mine]])
            basis = self._synthesis[min(component, 1)][rows]
            found.append(_add(part, coefficients, basis))
        return found[0], found[1], found[2]

    def measure(self, picture: Planes, q: int, planes: int) -> Values:
        """A picture's integers, rounded: what `add` makes a picture near to it of."""
        rows, columns = (n // 256 for n in picture[0].shape)
        parts = [self._coefficients(part, c) for c, part in enumerate(picture)]
        split = np.stack([p[..., 0] for p in parts])  # means (3, h, w)
        split = split.reshape(3, rows, 4, 4, columns, 4, 4).transpose(1, 4, 0, 2, 5, 3, 6)
        blocks = _shift(split.reshape(rows * columns, 3, 16, 16) @ _MEANS.T, WEIGHT_BITS)
        first = _shift(blocks[..., 0] @ _MEANS.T, WEIGHT_BITS)
        whole = np.concatenate(parts, 2)[..., _PLANE_INDEX[:planes]]
        whole = whole.reshape(rows, SIDE, columns, SIDE, planes).transpose(0, 2, 4, 1, 3)
        level = np.concatenate(
            [
                first.transpose(0, 2, 1).reshape(rows * columns, -1),
                blocks[..., 1:].transpose(0, 3, 1, 2).reshape(rows * columns, -1),
                whole.reshape(rows * columns, -1),
            ],
            1,
        )
        step = self.steps(q, planes)
        return np.floor((2 * level + step) / (2 * step)).astype(np.int32)

    def _coefficients(self, plane: NDArray[np.uint16], component: int) -> _Wide:
        """All of a plane's, in 1/16 levels, (h, w, n)."""
        kind = min(component, 1)
        sums = _patches(plane, REGION // (1 + kind)) @ self._analysis[kind]
        return _shift(sums, WEIGHT_BITS - STEP_BITS)

    def magnitudes(self, picture: Planes, q: int, planes: int) -> NDArray[np.int64]:
        """How large a picture's coefficients are, in 1/32 steps, (W, N); 0 at the first two
        levels."""
        rows, columns = (n // 256 for n in picture[0].shape)
        found = np.zeros((rows * columns, COARSE + planes * REGIONS), np.int64)
        step = self.steps(q, planes)[COARSE::REGIONS]
        for component, part in enumerate(picture):
            mine, coefficients = _planes_of(component, planes)
            if not len(mine):
                continue
            kind = min(component, 1)
            matrix = self._analysis[kind][:, coefficients]
            sums = np.abs(_patches(part, REGION // (1 + kind)) @ matrix)  # (h, w, n)
            size = np.floor(sums / (32 * step[mine])).astype(np.int64)
            size = size.reshape(rows, SIDE, columns, SIDE, -1).transpose(0, 2, 4, 1, 3)
            at = COARSE + mine[:, None] * REGIONS + np.arange(REGIONS)
            found[:, at.ravel()] = size.reshape(rows * columns, -1)
        return found


def _planes_of(component: int, planes: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the first `planes` are of a component, and their places among its coefficients."""
    first = 0 if component == 0 else LUMA + (component - 1) * CHROMA
    places = _PLANE_INDEX[:planes] - first
    mine = np.flatnonzero((places >= 0) & (places < (CHROMA if component else LUMA)))
    return mine, places[mine]


def _patches(plane: NDArray[np.uint16], n: int) -> _Wide:
    """The 2n × 2n samples around each n × n region, less grey, (h, w, 4 n²); edges are repeated."""
    wide = np.pad(plane.astype(float) - _GREY, n // 2, mode="edge")
    view = np.lib.stride_tricks.sliding_window_view(wide, (2 * n, 2 * n))[::n, ::n]
    return view.reshape(*view.shape[:2], 4 * n * n)


def _join(blocks: _Wide, columns: int) -> _Wide:
    """(W, 3, 16 blocks, 16 regions) → (3, h, w)."""
    w = len(blocks)
    x = blocks.reshape(w // columns, columns, 3, 4, 4, 4, 4).transpose(2, 0, 3, 5, 1, 4, 6)
    return x.reshape(3, w // columns * SIDE, columns * SIDE)


def _add(plane: NDArray[np.uint16], coefficients: _Wide, basis: _Wide) -> NDArray[np.uint16]:
    """`coefficients` (n, h, w), `basis` (n, 4 side²)."""
    n, h, w = coefficients.shape
    side = plane.shape[0] // h
    made = coefficients.reshape(n, -1).T @ basis
    patches = made.reshape(h, w, 2, side, 2, side)
    whole = np.zeros((h + 1, side, w + 1, side))
    for i in range(2):
        for j in range(2):
            whole[i : i + h, :, j : j + w] += patches[:, :, i, :, j].transpose(0, 2, 1, 3)
    flat = whole.reshape((h + 1) * side, (w + 1) * side)
    inner = flat[side // 2 : -side // 2, side // 2 : -side // 2]
    found = plane + _shift(inner, WEIGHT_BITS + STEP_BITS)
    return np.clip(found, 0, 1023).astype(np.uint16)


def change_between(guess: Planes, last: Planes) -> NDArray[np.int64]:
    """Mean difference of luma in each region, in 1/32 levels of 8 bits, (W, 256)."""
    apart = np.abs(guess[0].astype(np.int64) - last[0])
    h, w = apart.shape
    sums = apart.reshape(h // 16, 16, w // 16, 16).sum((1, 3)) >> 5
    return by_window(sums)


def irregularity(vectors: NDArray[np.int16]) -> NDArray[np.int64]:
    """How vectors differ from those to the left and above, in 1/32 samples, (H/16, W/16)."""
    field = vectors.astype(np.int64)
    found = np.zeros(field.shape[:2], np.int64)
    found[:, 1:] += np.abs(field[:, 1:] - field[:, :-1]).sum(-1)
    found[1:] += np.abs(field[1:] - field[:-1]).sum(-1)
    return 8 * found


def by_window(regions: NDArray[Any]) -> NDArray[Any]:
    """(h, w) → (W, 256)."""
    h, w = regions.shape
    x = regions.reshape(h // SIDE, SIDE, w // SIDE, SIDE).transpose(0, 2, 1, 3)
    return x.reshape(-1, REGIONS)
