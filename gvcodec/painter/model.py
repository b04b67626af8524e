"""Numbers of the painter: layers, conditions, their file, strength; bounds that the C++
painter (csrc/painter), the page's (web/shader.js) and `network` share.

The use of these numbers: docs/spec/painter.md, in NumPy conformance/decoder/painter.py.

A file is safetensors with the key `painter` in its metadata: a JSON object of the sizes and
`form`, which says how the numbers paint (1: releases before 1.0). Tensors by name: NAME.weight int8
(outputs, inputs, rows, columns), NAME.bias int32, NAME.multiplier, NAME.shift, NAME.step int16,
each (outputs,); blocks.N.condition int32 (channels, `CONDITION`). NAME.grid and NAME.unit are for
training. A painter that tokens can steer has tokens.weight int16 (outputs of style, D) and the
layers tokens.I.* of their entropy network as well (`tokens.TokenModel`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec.bases import base_of
from gvcodec.entropy.network_file import layers_in
from gvcodec.errors import MediaError, NewerModelError, UsageError
from gvcodec.models import read_arrays
from gvcodec.painter.token_coding import CONTEXT_INPUTS, MAX_TOKEN_WEIGHT, TokenModel

Ints = NDArray[np.int32]
FORM = 2
SCALES = (Fraction(1), Fraction(3, 4), Fraction(1, 2))
SLOTS = 4  # of bases
CONDITION = 2 + SLOTS + len(SCALES) + 1
HEADS = 15  # gains, their ratios, amplitudes, their ratios (3 each), tint (2), keep
GAIN_ROWS, NOISE_ROWS, KEEP_ROW = slice(0, 3), slice(6, 9), 14
ZERO, MIDDLE = 8, 64  # zero points: of activations, and of signals, views and depthwise sums
PEAK = 1023
BAND = 1023  # bands are cut here, in quarter codes
DETAIL, COARSE = 8191, 2047  # added detail is cut here, in eighths of a code
MAP = 16383
KEEP = 32767  # the whole of the detail before
MOST_MULTIPLIER = 1023
TENSOR_FLOOR = 4096
SMOOTH = (1, 4, 6, 4, 1)
_TYPES = {
    "weight": np.int8,
    "bias": np.int32,
    "multiplier": np.int16,
    "shift": np.int16,
    "step": np.int16,
}


@dataclass(frozen=True)
class Layer:
    """`weight` (outputs, inputs, rows, columns) int8, the rest (outputs,) int32; see the module."""

    weight: NDArray[np.int8]
    bias: Ints
    multiplier: Ints
    shift: Ints
    step: Ints


#: Eighths of an octave that a factor of `Strength` may have; 1024 · 2^(k / 8), rounded.
OCTAVE_EIGHTHS = range(-40, 17)
_OCTAVE = (1024, 1117, 1218, 1328, 1448, 1579, 1722, 1878)


def is_at_most(eighths: int, part: int, whole: int) -> bool:
    """Whether the factor of so many eighths of an octave, 0 or fewer, is at most part / whole."""
    return whole * _OCTAVE[eighths & 7] <= part * 1024 << -(eighths >> 3)


def _scaled(multiplier: int, shift: int, eighths: int) -> tuple[int, int]:
    """Multiplier and shift of an output that becomes 2^(eighths / 8) times as large: see
    docs/spec/painter.md."""
    product, bits = multiplier * _OCTAVE[eighths & 7], 10 - (eighths >> 3)
    larger = (product + (1 << bits - 1)) >> bits
    while larger > MOST_MULTIPLIER and shift > 1:
        bits, shift = bits + 1, shift - 1
        larger = (product + (1 << bits - 1)) >> bits
    return min(larger, MOST_MULTIPLIER), shift


@dataclass(frozen=True)
class Strength:
    """How strong noise is, in 64ths, and how much more is kept of the detail before, in units of
    the head's output `KEEP_ROW`; how much stronger than the painter has them the gains of its three
    scales are, and its noise, in eighths of an octave."""

    noise: int = 64
    keep: int = 0
    gains: tuple[int, int, int] = (0, 0, 0)
    amplitudes: tuple[int, int, int] = (0, 0, 0)

    @property
    def has_strength_factors(self) -> bool:
        """Whether a factor is not 1, which needs format 1.1."""
        return any((*self.gains, *self.amplitudes))

    def apply(self, head: Layer) -> Layer:
        """The head with multipliers of the amplitudes · noise / 64, rounded half up, and a bias
        that adds `keep`: ⌊keep · 2^shift / multiplier⌋ more, cut to ±2^28; then with the factors of
        gains and amplitudes."""
        multiplier, bias, shift = head.multiplier.copy(), head.bias.copy(), head.shift.copy()
        multiplier[NOISE_ROWS] = (multiplier[NOISE_ROWS] * self.noise + 32) >> 6
        if self.keep and (factor := int(multiplier[KEEP_ROW])):
            more = (self.keep << int(head.shift[KEEP_ROW])) // factor
            bias[KEEP_ROW] = min(int(bias[KEEP_ROW]) + more, 1 << 28)
        for rows, factors in ((GAIN_ROWS, self.gains), (NOISE_ROWS, self.amplitudes)):
            for row, eighths in zip(range(rows.start, rows.stop), factors, strict=True):
                if eighths:
                    multiplier[row], shift[row] = _scaled(
                        int(multiplier[row]), int(shift[row]), eighths
                    )
        return replace(head, multiplier=multiplier, bias=bias, shift=shift)


NEUTRAL = Strength()


def condition(base: str, scale: Fraction, q: int) -> Ints:
    """The condition of a stream, in 1/256: q/63, its square, base, scale; the last entry is the
    frame's. Raises `ValueError` for a base that is not painted."""
    x = np.zeros(CONDITION, np.int32)
    x[0], x[1] = (256 * q + 31) // 63, (256 * q * q + 1984) // 3969
    slot = base_of(base).slot
    if slot is None:
        raise ValueError(f"base {base} is not painted")
    x[2 + slot] = 256
    nearest = min(range(len(SCALES)), key=lambda i: abs(SCALES[i] - scale))
    x[2 + SLOTS + nearest] = 256
    return x


def rate(size: int, width: int, height: int) -> int:
    """A frame's own entry of the condition: `size` bytes of its packet, about -1…1.5 in 1/256.
    0 if packets do not come in display order (`size` 0)."""
    if not size:
        return 0
    value = 8 + min(size * 65536 // (width * height), 1 << 20)
    place = value.bit_length() - 1
    return 8 * (8 * place + (value >> place - 3 & 7)) - 432


def _layers_of(blocks: int) -> list[str]:
    """Names of the layers of a painter with `blocks` blocks."""
    parts = ("depthwise", "expand", "project")
    inside = [f"blocks.{number}.{part}" for number in range(blocks) for part in parts]
    return ["stem", "stem2", "statistics", *inside, "view", "style", "head"]


def _check_types(arrays: dict[str, NDArray[np.generic]]) -> None:
    """Raises `KeyError` for a tensor that a file lacks, `ValueError` for one of another type."""
    conditions = [name for name in arrays if name.endswith(".condition")]
    types = dict.fromkeys(conditions, "condition") | {
        f"{layer}.{part}": part
        for layer in _layers_of(len(conditions))
        for part in (_TYPES if layer != "view" else ("multiplier", "shift"))
    }
    for name, part in types.items():
        if arrays[name].dtype != _TYPES.get(part, np.int32):
            raise ValueError(f"{name} is of another type")


def _tokens_in(arrays: dict[str, NDArray[np.generic]]) -> TokenModel | None:
    """The token tables of a painter, None if its file has none. Raises `KeyError`,
    `ValueError` for tensors that do not fit."""
    if not any(name.startswith("tokens.") for name in arrays):
        return None
    weight = arrays["tokens.weight"]
    if weight.dtype != np.int16 or weight.ndim != 2 or weight.shape[1] not in range(4, 17, 4):
        raise ValueError("tokens.weight is of another type or shape")
    if np.abs(weight.astype(np.int32)).max() > MAX_TOKEN_WEIGHT:
        raise ValueError("tokens.weight: a number is out of range")
    try:
        network = layers_in(arrays, weight.shape[1] + CONTEXT_INPUTS, "tokens.")
    except UsageError as error:
        raise ValueError(str(error)) from None
    return TokenModel(np.ascontiguousarray(weight, np.int16), tuple(network))


class Model:
    """Integers of a painter. `layers` by name: stem, stem2, statistics, blocks.N.depthwise, .expand
    and .project, view (how style sees the trunk: multiplier and shift only), style, head;
    `conditions`: (channels, CONDITION) for each block; `tokens`: None if none can steer it."""

    def __init__(
        self,
        layers: dict[str, Layer],
        conditions: list[Ints],
        tokens: TokenModel | None = None,
    ) -> None:
        self.layers, self.conditions, self.tokens = layers, conditions, tokens
        self.depth = len(conditions)

    @staticmethod
    def load(path: Path) -> Model:
        """Raises `NewerModelError` for a painter of another form, `MediaError` when the file is
        missing or no painter."""
        try:
            arrays, metadata = read_arrays(path)
            form = json.loads(metadata["painter"]).get("form", 1)
            if form != FORM:
                raise NewerModelError(f"{path}: a painter of form {form}, not {FORM}")
            _check_types(arrays)
            return Model.of(arrays)
        except (OSError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise MediaError(f"{path}: not a painter ({error})", code="not-a-model") from None

    @staticmethod
    def of(arrays: dict[str, NDArray[np.generic]]) -> Model:
        """From tensors by name. Raises `KeyError`, `ValueError` for tensors that do not fit."""
        conditions: list[Ints] = []
        while (name := f"blocks.{len(conditions)}.condition") in arrays:
            conditions.append(arrays[name].astype(np.int32))
        layers = {}
        for name in _layers_of(len(conditions)):
            if f"{name}.multiplier" not in arrays:
                continue
            m = arrays[f"{name}.multiplier"].astype(np.int32)
            none = np.zeros((len(m), 1, 1, 1), np.int8)
            parts = [arrays.get(f"{name}.{part}", 0 * m + 10) for part in ("bias", "shift", "step")]
            bias, shift, step = (np.asarray(p).astype(np.int32) for p in parts)
            weight = arrays.get(f"{name}.weight", none).astype(np.int8)
            layers[name] = Layer(weight, bias, m, shift, step)
        model = Model(layers, conditions, _tokens_in(arrays))
        model.check()
        return model

    def check(self) -> None:
        """Raises `ValueError` for a number or a shape outside of the definition."""
        c = self.layers["style"].weight.shape[1]
        for name, layer in self.layers.items():
            n = len(layer.multiplier)
            if not 1 <= n <= 512 or any(
                len(p) != n for p in (layer.weight, layer.bias, layer.shift, layer.step)
            ):
                raise ValueError(f"{name} has another shape")
            sides = layer.weight.shape[2:]
            if layer.weight.shape[1] > 512 or sides not in ((1, 1), (3, 3), (5, 5)):
                raise ValueError(f"{name} has another shape")
            for part, low, high in (
                (layer.weight, -127, 127),
                (layer.bias, -(1 << 28), 1 << 28),
                (layer.multiplier, 0, MOST_MULTIPLIER),
                (layer.shift, 1, 30),
                (layer.step, 7, 14),
            ):
                if part.min() < low or part.max() > high:
                    raise ValueError(f"{name}: a number is out of range")
        s, q = (len(self.layers[n].bias) for n in ("style", "stem"))
        wides = [len(self.layers[f"blocks.{i}.expand"].bias) for i in range(self.depth)]
        if c <= 16 or any(n % 4 for n in (c, s, q, *wides)):
            raise ValueError("channels come in fours")
        expected = {
            "stem": (q, 12, 3, 3),
            "stem2": (c - 16, q, 3, 3),
            "statistics": (16, 16, 1, 1),
            "view": (c, 1, 1, 1),
            "style": (s, c, 1, 1),
            "head": (HEADS, s, 1, 1),
        }
        for i, table in enumerate(self.conditions):
            wide = wides[i]
            expected[f"blocks.{i}.depthwise"] = (c, 1, 5, 5)
            expected[f"blocks.{i}.expand"] = (wide, c, 1, 1)
            expected[f"blocks.{i}.project"] = (c, wide, 1, 1)
            if table.shape != (c, CONDITION) or np.abs(table).max() > 65536:
                raise ValueError(f"condition of block {i} is out of range")
        if self.tokens is not None and len(self.tokens.weight) != s:
            raise ValueError("tokens do not fit style")
        shapes = {name: layer.weight.shape for name, layer in self.layers.items()}
        if shapes != expected or self.depth > 64:
            raise ValueError("layers do not fit together")

    def with_strength(self, strength: Strength) -> Model:
        """The painter at a strength."""
        layers = {**self.layers, "head": strength.apply(self.layers["head"])}
        return Model(layers, self.conditions, self.tokens)

    def paints_like(self, other: Model) -> bool:
        """Whether another model, made from the same one by `with_strength`, has equal integers."""
        return self.conditions is other.conditions and all(
            layer is other.layers[name]
            or all(
                np.array_equal(part, vars(other.layers[name])[key])
                for key, part in vars(layer).items()
            )
            for name, layer in self.layers.items()
        )
