"""Writes weight changes of `fit` packets, which release 1.0 made by fitting the painter to a video.
Decoders read them for ever, so conformance files and tests have some."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np

from conformance.decoder.fit import GROUPS
from gvcodec._core import cdf_encode
from gvcodec.painter.model import Model

LIMIT = 127
_EMPTY = 255
_DELTA = 16
#: Scale indices of Laplace tables, of mean absolute deviations 0.06, 0.11, 0.2 … 36.
_SCALES = range(3, 63, 5)
#: A tensor is coded so often to compare tables, whose bytes are whole.
_REPEATS = 8


@dataclass(frozen=True)
class Delta:
    """Quantised change of one tensor: flat int64 values of −127…127 and the exponent byte of their
    step."""

    name: str
    values: np.ndarray
    exponent: int


def sizes_of(model: Model) -> dict[str, int]:
    """Weights of the tensors of a painter, by name."""
    return {
        f"{name}.{part}": getattr(layer, part).size
        for name, layer in model.layers.items()
        for part in ("weight", "bias")
    }


def in_groups(mask: int, available: Container[str]) -> list[str]:
    """Tensors of the groups whose bits are set in `mask`, of the `available` ones of a painter."""
    groups = (group for i, group in enumerate(GROUPS) if mask >> i & 1)
    return [name for group in groups for name in group if name in available]


def pack(deltas: list[Delta]) -> bytes:
    """Deltas of whole groups, in the order of `GROUPS`, to bytes."""
    by_name = {d.name: d for d in deltas}
    mask = sum(1 << i for i, group in enumerate(GROUPS) if any(name in by_name for name in group))
    ordered = [by_name[name] for name in in_groups(mask, by_name)]
    head, coded = bytearray([_DELTA + mask]), []
    for delta in ordered:
        if not delta.values.any():
            head.append(_EMPTY)
            continue
        table = _choose_table(delta.values)
        head.append(delta.exponent * len(_SCALES) + table)
        coded.append((delta.values, _SCALES[table]))
    return bytes(head) + _encode(coded)


def _encode(tensors: list[tuple[np.ndarray, int]]) -> bytes:
    """Values and scale indices of tensors as one rANS packet."""
    values = [values for values, _ in tensors]
    return cdf_encode(
        np.concatenate([np.empty(0, np.int32), *values]).astype(np.int32),
        *_tables([len(v) for v in values], [scale for _, scale in tensors]),
    )


def _tables(counts: list[int], scales: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.array(scales, np.uint8), counts), np.zeros(sum(counts), np.int16)


def _choose_table(values: np.ndarray) -> int:
    """The table, by its number among `_SCALES`, that takes the fewest bits."""
    repeated = np.tile(values, _REPEATS)
    return min(range(len(_SCALES)), key=lambda s: len(_encode([(repeated, _SCALES[s])])))
