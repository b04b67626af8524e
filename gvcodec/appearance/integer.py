"""The integer painter: its definition. NumPy, integers only, the same samples on every machine.

    painter = IntegerPainter(model, height, width)                  # Model.load(path)
    painter.start(condition(base, scale, q), model.tuned(deltas))
    y, u, v = painter.paint(loop, vectors, own)     # frame by frame, vectors None for the first

Planes are 10-bit 4:2:0, padded to multiples of 16 by repeating their edges; so do all fixed filters
at the edges of what they read. H, W: padded luma. Three grids: full (H, W), half (H/2, W/2), block
(H/8, W/8). Every value fits int32; what is called a band, a map or a detail fits int16. Rules:

* `a >> n` rounds down. `halved(a, n)` = (a + 2^(n-1)) >> n.
* `times(a, b)` = (a·b + 2^14) >> 15 for int16 a, b: pmulhrsw, vqrdmulh, i16x8.q15mulr.
* A layer: sums of s8 weights × (u8 activation in 0…127 - its zero point) + bias in int32, zeros
  around the picture. What a sum becomes: `scaled(sum, m, s)` = halved(clip(sum, ±2^20)·m, s), m in
  0…1023, s in 1…30, for each output. So no product of 32 bits overflows, and pairs of 8-bit
  products fit 16 bits: saturating instructions see nothing to saturate.
* Activations: v = clip(scaled(…), ±1023) in 1/64, then v·clip(v + 128, 0, 256), a hard SiLU, halved
  by `step` bits of its channel, plus 8 (the zero point), clipped to 0…127.

Texture has no direction of its own. Each of three scales gives an isotropic band N of picture and
noise and a pair (P, Q) with the responses cos 2φ and sin 2φ to a wave of direction φ. The network
gives each scale a gain g and a ratio r within ±1/2, and what is painted is
g·(N + r·(c·P + s·Q)), where (c, s), length ≤ 1, comes from the structure tensor of the base frame:
a wave along the picture's own direction gets at most three times what one across it gets, and
where the picture has no direction all get the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec.bases import painted
from gvcodec.errors import MediaError
from gvcodec.types import Planes

Ints = NDArray[np.int32]
PEAK = 1023
BAND = 1023  # bands are cut here, in quarter codes
DETAIL, COARSE = 8191, 2047  # added detail is cut here, in eighths of a code
MAP = 16383
SCALES = (Fraction(1), Fraction(3, 4), Fraction(1, 2))
CONDITION = 2 + len(painted()) + len(SCALES) + 1
TENSOR_FLOOR = 4096
GRAIN = 1232  # brings the fine noise band to 20 levels a standard deviation
SIDE, REFRESH = 512, 32
HEADS = 15  # gains, their ratios, amplitudes, their ratios (3 each), tint (2), keep
SMOOTH = (1, 4, 6, 4, 1)
#: Layers with an activation after them, in which `step` counts.
ACTIVE = ("stem", "expand", "style", "enter", "middle")
ZERO, MIDDLE = 8, 64  # zero points: of activations, and of signals, views and depthwise sums


def halved(a: Ints, bits: int | Ints) -> Ints:
    return (a + (1 << (np.asarray(bits, np.int32) - 1))) >> bits


def times(a: Ints, b: Ints | int) -> Ints:
    return (a * b + 16384) >> 15


def log8(a: Ints) -> Ints:
    """8·log2, cut to the three bits after the first one: 8·k + next three bits, a in 8 … 2^24."""
    k = np.frexp(a.astype(np.float64))[1].astype(np.int32) - 1
    return 8 * k + ((a >> (k - 3)) & 7)


@dataclass(frozen=True)
class Layer:
    """`weight` (outputs, inputs, rows, columns) int8, the rest (outputs,) int32; see the module."""

    weight: NDArray[np.int8]
    bias: Ints
    multiplier: Ints
    shift: Ints
    step: Ints

    def sums(self, a: Ints, stride: int = 1) -> Ints:
        """(inputs, h, w), zero points taken off → (outputs, h/stride, w/stride)."""
        outputs, _, side, _ = self.weight.shape
        _, h, w = a.shape
        padded = np.pad(a, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
        total = np.zeros((outputs, h // stride, w // stride), np.int32) + self.bias[:, None, None]
        for dy in range(side):
            for dx in range(side):
                rows = padded[:, dy : dy + h : stride, dx : dx + w : stride]
                total += np.tensordot(self.weight[:, :, dy, dx].astype(np.int32), rows, 1)
        return total

    def scaled(self, sums: Ints) -> Ints:
        m, s = self.multiplier[:, None, None], self.shift[:, None, None]
        return halved(np.clip(sums, -(1 << 20), 1 << 20) * m, s)

    def silu(self, sums: Ints) -> Ints:
        """The activation before it is rounded to its channel's step, in 1/2^14."""
        v = np.clip(self.scaled(sums), -1023, 1023)
        return v * np.clip(v + 128, 0, 256)

    def levels(self, value: Ints) -> Ints:
        """Rounded to 0…127, zero point taken off again."""
        return np.clip(halved(value, self.step[:, None, None]), -ZERO, 127 - ZERO)


def condition(base: str, scale: Fraction, q: int) -> Ints:
    """What a stream is, in 1/256: q/63, its square, base, scale; the last entry is the frame's."""
    x = np.zeros(CONDITION, np.int32)
    x[0], x[1] = (256 * q + 31) // 63, (256 * q * q + 1984) // 3969
    x[2 + painted().index(base)] = 256
    nearest = min(range(len(SCALES)), key=lambda i: abs(SCALES[i] - scale))
    x[2 + len(painted()) + nearest] = 256
    return x


def rate(size: int, width: int, height: int) -> int:
    """A frame's own entry of the condition: `size` bytes of its packet, about -1…1.5 in 1/256.
    0 where packets do not come in display order (`size` 0)."""
    if not size:
        return 0
    return 8 * int(log8(np.array(8 + min(size * 65536 // (width * height), 1 << 20)))) - 432


class Model:
    """Integers of a painter. `layers` by name: stem, stem2, statistics, blocks.N.depthwise / expand /
    project, view (of the trunk by style: multiplier and shift only), style, head, gate, enter,
    middle, leave; `conditions`: (channels, CONDITION) for each block. `tuned` gives a changed one."""

    def __init__(self, layers: dict[str, Layer], conditions: list[Ints]) -> None:
        self.layers, self.conditions = layers, conditions
        self.depth = len(conditions)

    @staticmethod
    def load(path: Path) -> Model:
        """Raises `MediaError` when the file is missing or is no integer painter."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "np") as file:
                json.loads((file.metadata() or {})["painter"])
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Model.of(found)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, IndexError) as error:
            raise MediaError(f"{path}: not an integer painter ({error})") from None

    @staticmethod
    def of(found: dict[str, NDArray[np.generic]]) -> Model:
        """From tensors by name. Raises `KeyError`, `ValueError` for what does not fit."""
        conditions: list[Ints] = []
        while (name := f"blocks.{len(conditions)}.condition") in found:
            conditions.append(found[name].astype(np.int32))
        layers = {}
        for name in (n.removesuffix(".multiplier") for n in found if n.endswith(".multiplier")):
            m = found[f"{name}.multiplier"].astype(np.int32)
            none = np.zeros((len(m), 1, 1, 1), np.int8)
            parts = [found.get(f"{name}.{part}", 0 * m + 10) for part in ("bias", "shift", "step")]
            bias, shift, step = (np.asarray(p).astype(np.int32) for p in parts)
            weight = found.get(f"{name}.weight", none).astype(np.int8)
            layers[name] = Layer(weight, bias, m, shift, step)
        model = Model(layers, conditions)
        model.check()
        return model

    def check(self) -> None:
        """Raises `ValueError` where a number or a shape is out of what the definition allows."""
        c = self.layers["style"].weight.shape[1]
        for name, layer in self.layers.items():
            n = len(layer.multiplier)
            if not 1 <= n <= 512 or any(
                len(p) != n for p in (layer.weight, layer.bias, layer.shift, layer.step)
            ):
                raise ValueError(f"{name} has another shape")
            if layer.weight.shape[1] > 512 or layer.weight.shape[2:] not in ((1, 1), (3, 3), (5, 5)):
                raise ValueError(f"{name} has another shape")
            for part, low, high in (
                (layer.bias, -(1 << 28), 1 << 28),
                (layer.multiplier, 0, 1023),
                (layer.shift, 1, 30),
                (layer.step, 7, 14),
            ):
                if part.min() < low or part.max() > high:
                    raise ValueError(f"{name}: a number is out of range")
        r, s, q = (len(self.layers[n].bias) for n in ("enter", "style", "stem"))
        wanted = {
            "stem": (q, 12, 3, 3),
            "stem2": (c - 16, q, 3, 3),
            "statistics": (16, 16, 1, 1),
            "view": (c, 1, 1, 1),
            "style": (s, c, 1, 1),
            "head": (HEADS, s, 1, 1),
            "gate": (r, s, 1, 1),
            "enter": (r, 16, 3, 3),
            "middle": (r, r, 3, 3),
            "leave": (6, r, 3, 3),
        }
        for i, table in enumerate(self.conditions):
            wide = len(self.layers[f"blocks.{i}.expand"].bias)
            wanted[f"blocks.{i}.depthwise"] = (c, 1, 5, 5)
            wanted[f"blocks.{i}.expand"] = (wide, c, 1, 1)
            wanted[f"blocks.{i}.project"] = (c, wide, 1, 1)
            if table.shape != (c, CONDITION) or np.abs(table).max() > 65536:
                raise ValueError(f"condition of block {i} is out of range")
        found = {name: layer.weight.shape for name, layer in self.layers.items()}
        if found != wanted or self.depth > 64:
            raise ValueError("layers do not fit together")

    def tuned(self, deltas: dict[str, tuple[NDArray[np.int64], int]]) -> Model:
        """Changed by `deltas`, "layer.weight" or "layer.bias" to (values, shift): values << shift are
        added, weights are cut to ±127, biases to ±2^28."""
        layers = dict(self.layers)
        for name, (values, shift) in deltas.items():
            layer, part = name.rsplit(".", 1)
            before = getattr(layers[layer], part)
            limit = 127 if part == "weight" else 1 << 28
            after = np.clip(before.astype(np.int64) + (values << shift).reshape(before.shape), -limit, limit)
            fields = {**vars(layers[layer]), part: after.astype(before.dtype)}
            layers[layer] = Layer(**fields)
        return Model(layers, self.conditions)


def _row_filter(x: Ints, taps: tuple[int, ...], axis: int, step: int = 1) -> Ints:
    """Sum of taps × samples `step` apart along an axis of (h, w), edges repeated."""
    reach = len(taps) // 2 * step
    pad = [(0, 0), (0, 0)]
    pad[axis] = (reach, reach)
    padded, n = np.pad(x, pad, mode="edge"), x.shape[axis]
    parts = [t * np.take(padded, np.arange(i * step, i * step + n), axis) for i, t in enumerate(taps)]
    return np.sum(parts, axis=0, dtype=np.int32)


@dataclass(frozen=True)
class Bands:
    """Bands of one scale in quarter codes, and what is left. `three`: horizontal, vertical, diagonal."""

    three: tuple[Ints, Ints, Ints]
    iso: Ints
    p: Ints
    q: Ints
    low: Ints


def _cut(x: Ints) -> Ints:
    return np.clip(x, -BAND, BAND)


def bands(x: Ints, step: int = 1, fine: bool = False) -> Bands:
    """Of (h, w) in quarter codes (`fine`: in codes), filters `step` samples apart."""
    bits = 2 if fine else 4
    down, along = (halved(_row_filter(x, SMOOTH, axis, step), bits) for axis in (0, 1))
    both = halved(_row_filter(down, SMOOTH, 1, step), 4)
    quarter = 4 * x if fine else x
    turned = -_row_filter(_row_filter(x, (-1, 0, 1), 0, step), (-1, 0, 1), 1, step)
    three = _cut(down - both), _cut(along - both), _cut(quarter - down - along + both)
    q = turned if fine else halved(turned, 2)
    return Bands(three, _cut(quarter - both), _cut(down - along), _cut(q), both)


def decimated(x: Ints) -> Ints:
    """Codes (H, W) → quarter codes (H/2, W/2): [1 3 3 1] down, then along."""
    r = [np.pad(x, ((1, 2), (0, 0)), mode="edge")[i::2][: len(x) // 2] for i in range(4)]
    down = halved(r[0] + 3 * (r[1] + r[2]) + r[3], 1)
    c = [np.pad(down, ((0, 0), (1, 2)), mode="edge")[:, i::2][:, : x.shape[1] // 2] for i in range(4)]
    return halved(c[0] + 3 * (c[1] + c[2]) + c[3], 3)


def softened(x: Ints, bits: int) -> Ints:
    """[1 2 1] both ways, halved `bits` times."""
    return halved(_row_filter(_row_filter(x, (1, 2, 1), 0), (1, 2, 1), 1), bits)


def squeezed(band: Ints) -> Ints:
    """Quarter codes to signal levels: whole codes up to ±32, fourths of what is beyond, to ±63."""
    codes = (band + 2) >> 2
    inner = np.clip(codes, -32, 32)
    return inner + ((np.clip(codes, -156, 156) - inner) >> 2)


def phases(x: Ints) -> Ints:
    """(H, W) → (4, H/2, W/2): rows even, odd × columns even, odd."""
    return np.stack([x[py::2, px::2] for py in (0, 1) for px in (0, 1)])


def interleaved(x: Ints) -> Ints:
    """The inverse of `phases`."""
    out = np.zeros((2 * x.shape[1], 2 * x.shape[2]), np.int32)
    for i in range(4):
        out[i // 2 :: 2, i % 2 :: 2] = x[i]
    return out


def pooled(x: Ints, side: int) -> Ints:
    """Sums over squares of the last two axes."""
    h, w = x.shape[-2] // side, x.shape[-1] // side
    return x.reshape(*x.shape[:-2], h, side, w, side).sum((-3, -1), dtype=np.int32)


def widened(maps: Ints) -> Ints:
    """(n, h, w) of the block grid → (n, 4h, 4w), linear between centres of blocks, rows first."""
    for axis in (1, 2):
        n = maps.shape[axis]
        place = np.arange(4 * n)
        before = place // 4 - (place % 4 < 2)
        share = np.array([5, 7, 1, 3], np.int32)[place % 4].reshape((-1, 1) if axis == 1 else (1, -1))
        a = np.take(maps, np.clip(before, 0, n - 1), axis)
        b = np.take(maps, np.clip(before + 1, 0, n - 1), axis)
        maps = a + (((b - a) * share + 4) >> 3)
    return maps


def raised(x: Ints) -> Ints:
    """(h, w) → (2h, 2w), linear: 9 3 3 1."""
    e = np.pad(x, 1, mode="edge")
    h, w = x.shape
    out = np.zeros((2 * h, 2 * w), np.int32)
    for py in (0, 1):
        for px in (0, 1):
            y, z = slice(2 * py, 2 * py + h), slice(2 * px, 2 * px + w)
            near, side = 3 * x + e[y, 1:-1], 3 * e[1:-1, z] + e[y, z]
            out[py::2, px::2] = halved(3 * near + side, 4)
    return out


def directions(half: Ints) -> tuple[Ints, Ints]:
    """Structure tensor of the picture at half resolution: (c, s) of each block, 64 = length 1."""
    gy, gx = (np.clip(_row_filter(half, (-1, 0, 1), axis) >> 1, -511, 511) for axis in (0, 1))
    xx, yy, xy = (softened_sum(pooled(g, 4)) for g in (gx * gx, gy * gy, gx * gy))
    total = xx + yy + TENSOR_FLOOR
    k = np.maximum(np.frexp(total.astype(np.float64))[1].astype(np.int32) - 20, 0)
    whole = total >> k
    c, s = (((((n + total) >> k) * 64 + (whole >> 1)) // whole) - 64 for n in (xx - yy, 2 * xy))
    return c, s


def softened_sum(x: Ints) -> Ints:
    return _row_filter(_row_filter(x, (1, 2, 1), 0), (1, 2, 1), 1)


def mixed(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """32 well-mixed bits of each value below 2^32."""
    for factor in (0x21F0AAAD, 0x735A2D97):
        x = ((x ^ (x >> 16)) * factor) & 0xFFFFFFFF
    return x ^ (x >> 15)


def tile() -> tuple[Ints, NDArray[np.bool_]]:
    """White noise (512, 512), 2 … 1022 around 512, and where older noise is redrawn."""
    bits = mixed(np.arange(SIDE * SIDE, dtype=np.int64) * 0x9E3779B1 & 0xFFFFFFFF)
    total = sum((bits >> n) & 255 for n in (0, 8, 16, 24)) + 2
    return total.astype(np.int32).reshape(SIDE, SIDE), (bits % REFRESH == 0).reshape(SIDE, SIDE)


@dataclass
class State:
    """What goes to the next frame: luma, noise, detail added to luma (1/8 code) and to chroma."""

    luma: Ints
    noise: Ints
    detail: Ints
    tint: Ints


class IntegerPainter:
    """Frames of one size, see the module. The state begins anew with `start`."""

    def __init__(self, model: Model, height: int, width: int) -> None:
        self.base = self.model = model
        self.size = height, width
        self.tile = tile()
        self.condition = np.zeros(CONDITION, np.int32)
        self.state: State | None = None
        self.position = 0

    def start(self, stream: Ints, model: Model) -> None:
        """Forget the past. `stream` from `condition`."""
        self.condition, self.model = stream.copy(), model
        self.state, self.position = None, 0

    def paint(self, loop: Planes, vectors: NDArray[np.int16] | None, own: int = 0) -> Planes:
        """The next frame. `vectors` (2, H/16, W/16): (dy, dx) of blocks into the frame before;
        `own`: from `rate`."""
        luma, chroma = self._padded(loop)
        before = self.state if vectors is not None else None
        noise, redraw = self._fresh(*luma.shape)
        fetched = None
        known = np.zeros((luma.shape[0] // 8, luma.shape[1] // 8), np.int32)
        mismatch = known
        if before is not None and vectors is not None:
            fetched, inside = self._fetch(before, vectors.astype(np.int32))
            noise = np.where(inside & ~redraw, fetched.noise, noise)
            known = pooled(inside.astype(np.int32), 8)
            mismatch = pooled(np.abs(luma - fetched.luma), 8)
        self.condition[-1] = own
        detail, tint, keep = self._added(luma, chroma, noise, mismatch, known)
        if fetched is not None:
            wide = keep.repeat(2, 0).repeat(2, 1)
            detail = detail + times(fetched.detail - detail, wide)
            tint = tint + times(fetched.tint - tint, keep)
        self.state, self.position = State(luma, noise, detail, tint), self.position + 1
        y = np.clip(luma + halved(detail, 3), 0, PEAK)
        uv = np.clip(chroma + halved(tint, 3), 0, PEAK)
        cut = zip((y, *uv), loop, strict=True)
        y, u, v = (p[: q.shape[0], : q.shape[1]].astype(np.uint16) for p, q in cut)
        return y, u, v

    def _padded(self, loop: Planes) -> tuple[Ints, Ints]:
        height, width = (-(-n // 16) * 16 for n in self.size)
        full, *half = (p.astype(np.int32) for p in loop)
        y = np.pad(full, ((0, height - full.shape[0]), (0, width - full.shape[1])), mode="edge")
        rest = (0, height // 2 - half[0].shape[0]), (0, width // 2 - half[0].shape[1])
        return y, np.stack([np.pad(p, rest, mode="edge") for p in half])

    def _fresh(self, height: int, width: int) -> tuple[Ints, NDArray[np.bool_]]:
        """The tile, laid out from a corner that the number of the frame in its GOP gives."""
        bits = int(mixed(np.array(self.position & 0xFFFFFFFF, np.int64)))
        rows = (np.arange(height) + bits % SIDE) % SIDE
        cols = (np.arange(width) + (bits >> 16) % SIDE) % SIDE
        noise, redraw = (part[rows][:, cols] for part in self.tile)
        return noise, redraw

    def _fetch(self, before: State, vectors: Ints) -> tuple[State, NDArray[np.bool_]]:
        """Whole samples at the vectors' places, edges repeated; True inside the picture."""
        height, width = before.luma.shape

        def places(field: Ints, side: int, h: int, w: int) -> tuple[Ints, Ints]:
            dy, dx = field.repeat(side, 1).repeat(side, 2)
            return np.arange(h)[:, None] + dy, np.arange(w) + dx

        rows, cols = places(vectors, 16, height, width)
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        at = np.clip(rows, 0, height - 1), np.clip(cols, 0, width - 1)
        rows, cols = places((vectors + 1) >> 1, 8, height // 2, width // 2)
        half = np.clip(rows, 0, height // 2 - 1), np.clip(cols, 0, width // 2 - 1)
        tint = np.stack([plane[half] for plane in before.tint])
        return State(before.luma[at], before.noise[at], before.detail[at], tint), inside

    def _trunk(self, signal: Ints, statistics: Ints) -> Ints:
        """Style (channels, H/8, W/8) from signals (12, H/2, W/2) and statistics (16, H/8, W/8)."""
        layer = self.model.layers
        stem, stem2 = layer["stem"], layer["stem2"]
        a = stem.levels(stem.silu(stem.sums(signal, 2)))
        beside = layer["statistics"]
        parts = stem2.scaled(stem2.sums(a, 2)), beside.scaled(beside.sums(statistics))
        x = np.clip(np.concatenate(parts), -2047, 2047)
        for i, table in enumerate(self.model.conditions):
            depthwise, expand, project = (layer[f"blocks.{i}.{n}"] for n in ("depthwise", "expand", "project"))
            bias = depthwise.bias + halved((table * self.condition).sum(1, dtype=np.int32), 8)
            around = np.pad(x, ((0, 0), (2, 2), (2, 2)))
            h, w = x.shape[1:]
            total = np.zeros_like(x) + bias[:, None, None]
            for dy in range(5):
                for dx in range(5):
                    tap = depthwise.weight[:, :, dy, dx].astype(np.int32)[:, :, None]
                    total += tap * around[:, dy : dy + h, dx : dx + w]
            seen = np.clip(depthwise.scaled(total), -MIDDLE, 127 - MIDDLE)
            wide = expand.levels(expand.silu(expand.sums(seen)))
            x = np.clip(x + project.scaled(project.sums(wide)), -2047, 2047)
        seen = np.clip(layer["view"].scaled(x), -MIDDLE, 127 - MIDDLE)
        return layer["style"].levels(layer["style"].silu(layer["style"].sums(seen)))

    def _residual(self, signal: Ints, grain: Ints, gate: Ints) -> Ints:
        """Six channels at half resolution, eighths of a code: four phases of luma, two of chroma."""
        enter, middle, leave = (self.model.layers[name] for name in ("enter", "middle", "leave"))
        first = halved(enter.silu(enter.sums(np.concatenate([signal, grain]))), 8)
        hidden = enter.levels(first * widened(gate))
        hidden = middle.levels(middle.silu(middle.sums(hidden)))
        return np.clip(leave.scaled(leave.sums(hidden)), -COARSE, COARSE)

    def _added(
        self, luma: Ints, chroma: Ints, noise: Ints, mismatch: Ints, known: Ints
    ) -> tuple[Ints, Ints, Ints]:
        """Detail of luma (H, W), of chroma (2, H/2, W/2), share (H/2, W/2) to keep of the last, /2^15."""
        half, grain_half = decimated(luma), decimated(noise)
        scales = [bands(luma, fine=True), bands(half)]
        grains = [bands(noise, fine=True), bands(grain_half)]
        for found in (scales, grains):
            found.append(bands(found[1].low, 2))
        blur = np.stack([softened(plane, 2) for plane in chroma])
        colour = _cut(4 * chroma - blur)
        coarse = [*scales[1].three, *scales[2].three]
        signal = squeezed(np.stack([*coarse, *colour, *phases(scales[0].iso)]))
        grain = np.clip(times(phases(grains[0].iso), GRAIN), -MIDDLE, 127 - MIDDLE)

        sizes = [pooled(np.abs(b), 8) for b in scales[0].three]
        sizes += [4 * pooled(np.abs(b), 4) for b in (*coarse, *colour)]
        energy = log8(np.stack(sizes) + 103) - 52
        level = pooled(np.stack([scales[2].low, *blur]), 4) >> 9
        past = halved((log8(4 * mismatch + 103) - 52) * known, 6), halved(known * 127, 6)
        statistics = np.minimum(np.concatenate([energy, level, np.stack(past)]), 127)
        style = self._trunk(signal, statistics)

        head, gate = self.model.layers["head"], self.model.layers["gate"]
        found, gates = head.scaled(head.sums(style)), gate.scaled(gate.sums(style))
        c, s = directions(half)

        def steered(size: Ints, ratio: Ints, most: int) -> Ints:
            """(3 scales, 3, h, w): factors of N, P, Q."""
            size, ratio = np.clip(size, -most, most), np.clip(ratio, -128, 128)
            return np.stack([size, *(halved(size * halved(ratio * d, 6), 8) for d in (c, s))], 1)

        gain, amplitude = steered(found[:3], found[3:6], MAP), steered(found[6:9], found[9:12], DETAIL)
        u = 128 - halved(mismatch * 1365, 16)
        trust = halved((np.maximum(u, 0) ** 4 >> 20) * known, 6)
        keep = (halved(205 * np.clip(found[14] + 128, 0, 256), 8) * trust + 1) >> 1
        few = np.concatenate([np.clip(found[12:14], -MAP, MAP), keep[None]])
        tint, (share,) = np.split(widened(few), [2])

        def painted_scale(i: int) -> Ints:
            """Six products of a scale; the fine one's maps serve 2×2 samples."""
            total: Ints = np.zeros_like(scales[i].iso)
            for found, maps, factor in ((scales[i], gain[i], 8), (grains[i], amplitude[i], 4)):
                wide = widened(maps)
                wide = wide.repeat(2, 1).repeat(2, 2) if i == 0 else wide
                for band, m in zip((found.iso, found.p, found.q), wide, strict=True):
                    total = total + times(factor * band, m)
            return total

        residual = self._residual(signal, grain, np.clip(256 + gates, -2047, 2047))
        below = np.clip(painted_scale(1) + painted_scale(2), -COARSE, COARSE)
        detail = raised(below) + softened(interleaved(residual[:4]), 4) + painted_scale(0)
        tinted = times(8 * colour, tint) + residual[4:]
        return np.clip(detail, -DETAIL, DETAIL), np.clip(tinted, -DETAIL, DETAIL), share
