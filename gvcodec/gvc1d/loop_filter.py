"""The learned loop filter of base gvc1d: an integer network that corrects the frame which the
values make, before it is shown and before the next one is predicted from it.

    prediction ─┐
    values ─► frame ─► maps ─► 3×3 convolutions ─► correction, in steps ─┐
                └───────────────────────────────────────────────────► (+) ─► filtered frame

Maps are activations 0…127 of cells of 4×4 luma samples (2×2 of each chroma plane). Sums of products
stay below 2^24, so that single precision is exact in any order. Its float twin, which is trained,
is `gvcodec.gvc1d.filter_network`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.entropy.network import MAX_ACTIVATION, Layer
from gvcodec.entropy.network_file import layer_in
from gvcodec.entropy.streams import forward
from gvcodec.gvc1d.exact import STEPS
from gvcodec.gvc1d.token_order import log_activation
from gvcodec.types import Planes

#: Luma samples of a cell's side; samples of a cell, luma first.
CELL, SAMPLES = 4, 24
#: Maps: detail, what the values added, means, place in the region, quality, whether anything is
#: predicted, irregularity of motion.
MAPS = 2 * SAMPLES + 3 + 2 * CELL + 3
#: Inputs and outputs of each convolution. The last sees the maps of samples too.
CHANNELS = ((MAPS, 48), (48, 48), (48, 48), (48 + 2 * SAMPLES, SAMPLES))
#: Fraction of the correction: an output of 2^this adds one step.
FRACTION = 10
_MIDDLE = 64
#: Rows of cells that are filtered at once.
_ROWS = 64

Maps = NDArray[np.uint8]
_Wide = NDArray[np.int64]


def layers_in(arrays: Mapping[str, NDArray[Any]], prefix: str) -> tuple[Layer, ...]:
    """The convolutions among a file's tensors, weights (outputs, 9 inputs): input by input, places
    by rows. Raises `KeyError`, `ValueError`, `UsageError`."""
    layers = []
    for k, (inputs, outputs) in enumerate(CHANNELS):
        layer = layer_in(arrays, f"{prefix}{k}.")
        made = forward([layer], np.zeros((1, 9 * inputs), np.uint8)).shape[1]
        low, high = (-(1 << 14), 1 << 14) if k == len(CHANNELS) - 1 else (0, MAX_ACTIVATION)
        if made != outputs or (layer.low, layer.high) != (low, high):
            raise ValueError(f"{prefix}{k} is no layer of the loop filter")
        layers.append(layer)
    return tuple(layers)


def companded(difference: _Wide, step: int) -> _Wide:
    """Activations of a difference in levels, `step` in 1/16 levels: small ones finely, 4 steps
    are 55 of 64."""
    size = np.abs(difference)
    return _MIDDLE + np.sign(difference) * ((1536 * size) // (step + 24 * size))


def cells(planes: Planes) -> _Wide:
    """(H / 4, W / 4, 24): luma 4 i + j at (i, j), then u and v, 16 + 2 i + j and 20 + 2 i + j."""
    parts = []
    for plane, side in zip(planes, (CELL, CELL // 2, CELL // 2), strict=True):
        h, w = plane.shape[0] // side, plane.shape[1] // side
        part = plane.astype(np.int64).reshape(h, side, w, side).transpose(0, 2, 1, 3)
        parts.append(part.reshape(h, w, side * side))
    return np.concatenate(parts, 2)


def samples(found: _Wide) -> tuple[_Wide, _Wide, _Wide]:
    """The inverse of `cells`."""
    h, w, _ = found.shape
    planes = []
    for first, side in ((0, CELL), (16, CELL // 2), (20, CELL // 2)):
        part = found[..., first : first + side * side].reshape(h, w, side, side)
        planes.append(part.transpose(0, 2, 1, 3).reshape(h * side, w * side))
    return planes[0], planes[1], planes[2]


def means_of(found: _Wide) -> _Wide:
    """Mean of the 3×3 cells around each, by component, edges repeated, (h, w, 3)."""
    sums = np.stack([found[..., :16].sum(2), found[..., 16:20].sum(2), found[..., 20:].sum(2)], 2)
    wide = np.pad(sums, ((1, 1), (1, 1), (0, 0)), mode="edge")
    h, w, _ = sums.shape
    around = sum(wide[i : i + h, j : j + w] for i in range(3) for j in range(3))
    many = np.array([144, 36, 36])
    means: _Wide = (around + many // 2) // many
    return means


def maps_of(frame: Planes, guess: Planes, irregular: _Wide | None, q: int) -> Maps:
    """(h, w, MAPS). `irregular` (H / 16, W / 16) in 1/32 samples, None: nothing is predicted."""
    ours, theirs, step = cells(frame), cells(guess), STEPS[q]
    h, w, _ = ours.shape
    means = means_of(ours)
    detail = ours - np.repeat(means, (16, 4, 4), axis=2)
    found = np.zeros((h, w, MAPS), np.uint8)
    found[..., :SAMPLES] = companded(detail, step)
    found[..., SAMPLES : 2 * SAMPLES] = companded(ours - theirs, step)
    at = 2 * SAMPLES
    found[..., at : at + 3] = means >> 3
    at += 3
    for k in range(CELL):
        found[k::CELL, :, at + k] = MAX_ACTIVATION
        found[:, k::CELL, at + CELL + k] = MAX_ACTIVATION
    at += 2 * CELL
    found[..., at] = min(2 * q, MAX_ACTIVATION)
    if irregular is not None:
        found[..., at + 1] = MAX_ACTIVATION
        seen = log_activation(irregular)
        found[..., at + 2] = seen.repeat(CELL, 0).repeat(CELL, 1)
    return found


def convolve(layers: Sequence[Layer], maps: Maps) -> _Wide:
    """Outputs (h, w, outputs of the last layer); zeros outside."""
    h = len(maps)
    margin = len(layers)
    wide = np.pad(maps, ((margin, margin), (margin, margin), (0, 0)))
    parts = []
    for first in range(0, h, _ROWS):
        rows = min(_ROWS, h - first)
        part = seen = wide[first : first + rows + 2 * margin].astype(np.float32)
        for k, layer in enumerate(layers, 1):
            if k == margin:
                inner = seen[margin - 1 : 1 - margin, margin - 1 : 1 - margin, : 2 * SAMPLES]
                part = np.concatenate([part, inner], 2)
            part = _convolve(layer, part)
            # What lies outside of the picture is zero in every layer.
            left = margin - k
            top, bottom = max(0, left - first), max(0, first + rows + left - h)
            part[:, :left] = part[:, part.shape[1] - left :] = 0
            part[:top] = part[part.shape[0] - bottom :] = 0
        parts.append(part.astype(np.int64))
    return np.concatenate(parts)


def _convolve(layer: Layer, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, n) → (h - 2, w - 2, outputs), whole numbers."""
    h, w, n = x.shape
    places = [x[i : i + h - 2, j : j + w - 2] for i in range(3) for j in range(3)]
    columns = np.concatenate(places, 2).reshape(-1, 9 * n)  # places by inputs
    weight = layer.weight.reshape(-1, n, 9).transpose(2, 1, 0).reshape(9 * n, -1)
    total = (columns @ weight.astype(np.float32)).astype(np.int64)
    total += layer.bias
    total *= layer.multiplier
    total += 1 << layer.shift - 1
    total >>= layer.shift
    made = np.clip(total, layer.low, layer.high, out=total).astype(np.float32)
    return made.reshape(h - 2, w - 2, -1)


def apply(
    layers: Sequence[Layer],
    frame: Planes,
    guess: Planes,
    irregular: _Wide | None,
    q: int,
) -> Planes:
    """The filtered frame."""
    step = STEPS[q]
    made = convolve(layers, maps_of(frame, guess, irregular, q))
    added = (made * step + (1 << FRACTION + 3)) >> (FRACTION + 4)
    y, u, v = (
        np.clip(plane + more, 0, 1023).astype(np.uint16)
        for plane, more in zip(frame, samples(added), strict=True)
    )
    return y, u, v
