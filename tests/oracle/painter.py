"""The definition of the painter. NumPy, integers only, the same samples on every machine.

    painter = OraclePainter(model, height, width)                  # Model.load(path)
    painter.start(condition(base, scale, q), model.fitted(deltas))
    y, u, v = painter.paint(base_frame, vectors, own)     # frame by frame, vectors None for the first

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
where the picture has no direction all get the same. One file: it is the definition of one network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gvcodec.painter.model import (
    BAND,
    COARSE,
    CONDITION,
    DETAIL,
    KEEP,
    MAP,
    MIDDLE,
    PEAK,
    SMOOTH,
    TENSOR_FLOOR,
    ZERO,
    Ints,
    Layer,
    Model,
)
from gvcodec.types import Planes

SIDE, REFRESH = 512, 32


def halved(a: Ints, bits: int | Ints) -> Ints:
    return (a + (1 << (np.asarray(bits, np.int32) - 1))) >> bits


def times(a: Ints, b: Ints | int) -> Ints:
    return (a * b + 16384) >> 15


def log8(a: Ints) -> Ints:
    """8·log2, roughly: 8·k + the three bits after the first one, k its place; a in 8 … 2^24."""
    k = np.frexp(a.astype(np.float64))[1].astype(np.int32) - 1
    return 8 * k + ((a >> (k - 3)) & 7)


def sums(layer: Layer, a: Ints, stride: int = 1) -> Ints:
    """(inputs, h, w), zero points taken off → (outputs, h/stride, w/stride)."""
    outputs, _, side, _ = layer.weight.shape
    _, h, w = a.shape
    padded = np.pad(a, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
    total = np.zeros((outputs, h // stride, w // stride), np.int32) + layer.bias[:, None, None]
    for dy in range(side):
        for dx in range(side):
            rows = padded[:, dy : dy + h : stride, dx : dx + w : stride]
            total += np.tensordot(layer.weight[:, :, dy, dx].astype(np.int32), rows, 1)
    return total


def scaled(layer: Layer, total: Ints) -> Ints:
    m, s = layer.multiplier[:, None, None], layer.shift[:, None, None]
    return halved(np.clip(total, -(1 << 20), 1 << 20) * m, s)


def silu(layer: Layer, total: Ints) -> Ints:
    """The activation before it is rounded to its channel's step, in 1/2^14."""
    v = np.clip(scaled(layer, total), -1023, 1023)
    return v * np.clip(v + 128, 0, 256)


def levels(layer: Layer, value: Ints) -> Ints:
    """Rounded to 0…127, zero point taken off again."""
    return np.clip(halved(value, layer.step[:, None, None]), -ZERO, 127 - ZERO)


def _row_filter(x: Ints, taps: tuple[int, ...], axis: int, step: int = 1) -> Ints:
    """Sum of taps × samples `step` apart along an axis of (h, w), edges repeated."""
    reach = len(taps) // 2 * step
    pad = [(0, 0), (0, 0)]
    pad[axis] = (reach, reach)
    padded, n = np.pad(x, pad, mode="edge"), x.shape[axis]
    places = [np.arange(i * step, i * step + n) for i in range(len(taps))]
    parts = [t * np.take(padded, at, axis) for t, at in zip(taps, places, strict=True)]
    return np.sum(parts, axis=0, dtype=np.int32)


@dataclass(frozen=True)
class Bands:
    """Bands of a scale in quarter codes, what is left. `three`: horizontal, vertical, diagonal."""

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
    wide, n = np.pad(down, ((0, 0), (1, 2)), mode="edge"), x.shape[1] // 2
    c = [wide[:, i::2][:, :n] for i in range(4)]
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
        share = np.array([5, 7, 1, 3], np.int32)[place % 4]
        share = share.reshape((-1, 1) if axis == 1 else (1, -1))
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


class OraclePainter:
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

    def paint(self, base_frame: Planes, vectors: NDArray[np.int16] | None, own: int = 0) -> Planes:
        """The next frame. `vectors` (2, H/16, W/16): (dy, dx) of blocks into the frame before;
        `own`: from `rate`."""
        luma, chroma = self._padded(base_frame)
        before = self.state if vectors is not None else None
        noise, redraw = self._fresh(*luma.shape)
        fetched = None
        known = np.zeros((luma.shape[0] // 8, luma.shape[1] // 8), np.int32)
        mismatch = known
        if before is not None and vectors is not None:
            fetched, inside = self._fetch(before, vectors.astype(np.int32))
            redraw = redraw & (luma != fetched.luma)
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
        cut = zip((y, *uv), base_frame, strict=True)
        y, u, v = (p[: q.shape[0], : q.shape[1]].astype(np.uint16) for p, q in cut)
        return y, u, v

    def _padded(self, base_frame: Planes) -> tuple[Ints, Ints]:
        height, width = (-(-n // 16) * 16 for n in self.size)
        full, *half = (p.astype(np.int32) for p in base_frame)
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
        a = levels(stem, silu(stem, sums(stem, signal, 2)))
        beside = layer["statistics"]
        parts = scaled(stem2, sums(stem2, a, 2)), scaled(beside, sums(beside, statistics))
        x = np.clip(np.concatenate(parts), -2047, 2047)
        for i, table in enumerate(self.model.conditions):
            names = "depthwise", "expand", "project"
            depthwise, expand, project = (layer[f"blocks.{i}.{name}"] for name in names)
            bias = depthwise.bias + halved((table * self.condition).sum(1, dtype=np.int32), 8)
            around = np.pad(x, ((0, 0), (2, 2), (2, 2)))
            h, w = x.shape[1:]
            total = np.zeros_like(x) + bias[:, None, None]
            for dy in range(5):
                for dx in range(5):
                    tap = depthwise.weight[:, :, dy, dx].astype(np.int32)[:, :, None]
                    total += tap * around[:, dy : dy + h, dx : dx + w]
            seen = np.clip(scaled(depthwise, total), -MIDDLE, 127 - MIDDLE)
            wide = levels(expand, silu(expand, sums(expand, seen)))
            x = np.clip(x + scaled(project, sums(project, wide)), -2047, 2047)
        seen = np.clip(scaled(layer["view"], x), -MIDDLE, 127 - MIDDLE)
        return levels(layer["style"], silu(layer["style"], sums(layer["style"], seen)))

    def _added(
        self, luma: Ints, chroma: Ints, noise: Ints, mismatch: Ints, known: Ints
    ) -> tuple[Ints, Ints, Ints]:
        """Detail of luma (H, W) and chroma (2, H/2, W/2); share to keep of the last (H/2, W/2)."""
        half, grain_half = decimated(luma), decimated(noise)
        scales = [bands(luma, fine=True), bands(half)]
        grains = [bands(noise, fine=True), bands(grain_half)]
        for found in (scales, grains):
            found.append(bands(found[1].low, 2))
        blur = np.stack([softened(plane, 2) for plane in chroma])
        colour = _cut(4 * chroma - blur)
        coarse = [*scales[1].three, *scales[2].three]
        signal = squeezed(np.stack([*coarse, *colour, *phases(scales[0].iso)]))

        sizes = [pooled(np.abs(b), 8) for b in scales[0].three]
        sizes += [4 * pooled(np.abs(b), 4) for b in (*coarse, *colour)]
        energy = log8(np.stack(sizes) + 103) - 52
        level = pooled(np.stack([scales[2].low, *blur]), 4) >> 9
        past = halved((log8(4 * mismatch + 103) - 52) * known, 6), halved(known * 127, 6)
        statistics = np.minimum(np.concatenate([energy, level, np.stack(past)]), 127)
        style = self._trunk(signal, statistics)

        head = self.model.layers["head"]
        found = scaled(head, sums(head, style))
        c, s = directions(half)

        def steered(size: Ints, ratio: Ints, most: int) -> Ints:
            """(3 scales, 3, h, w): factors of N, P, Q."""
            size, ratio = np.clip(size, -most, most), np.clip(ratio, -128, 128)
            return np.stack([size, *(halved(size * halved(ratio * d, 6), 8) for d in (c, s))], 1)

        gain = steered(found[:3], found[3:6], MAP)
        amplitude = steered(found[6:9], found[9:12], DETAIL)
        u = 128 - halved(mismatch * 1365, 16)
        trust = halved((np.maximum(u, 0) ** 4 >> 20) * known, 6)
        keep = np.minimum((np.clip(found[14] + 128, 0, 256) * trust + 1) >> 1, KEEP)
        keep = np.where((mismatch == 0) & (known == 64), KEEP, keep)
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

        below = np.clip(painted_scale(1) + painted_scale(2), -COARSE, COARSE)
        detail = raised(below) + painted_scale(0)
        tinted = times(8 * colour, tint)
        return np.clip(detail, -DETAIL, DETAIL), np.clip(tinted, -DETAIL, DETAIL), share
