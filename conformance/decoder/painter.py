"""Painted frames from base frames, block vectors and a model (The painter)."""

from __future__ import annotations

import numpy as np

from conformance.decoder.bases import Planes
from conformance.decoder.header import Header
from conformance.decoder.models import Tensors
from conformance.decoder.region_tokens import RegionTokens
from conformance.decoder.search import padded, search

Array = np.ndarray
Bands = dict[str, Array]


def halved(a: Array, n: int | Array) -> Array:
    return (a + (np.int64(1) << n >> 1)) >> n


def times(a: Array, b: Array) -> Array:
    return (a * b + (1 << 14)) >> 15


def clip(a: Array, n: int) -> Array:
    return np.clip(a, -n, n)


def shifted(x: Array, dy: int, dx: int) -> Array:
    """Sample (y + dy, x + dx) at (y, x), the edge repeated."""
    h, w = x.shape
    rows, columns = np.arange(h) + dy, np.arange(w) + dx
    return x[rows.clip(0, h - 1)[:, None], columns.clip(0, w - 1)]


def filtered(x: Array, taps: list[int], down: bool, t: int = 1) -> Array:
    """A filter of one direction, centred, its taps `t` samples apart."""
    moves = [(i - len(taps) // 2) * t for i in range(len(taps))]
    return sum(
        tap * (shifted(x, move, 0) if down else shifted(x, 0, move))
        for tap, move in zip(taps, moves, strict=True)
    )


# Bands


def bands(x: Array, t: int, fine: bool = False) -> Bands:
    """H, V, D, N, P, Q in quarter codes, and low."""
    taps, bits = [1, 4, 6, 4, 1], 2 if fine else 4
    down = halved(filtered(x, taps, True, t), bits)
    along = halved(filtered(x, taps, False, t), bits)
    both = halved(filtered(down, taps, False, t), 4)
    q = shifted(x, -t, t) + shifted(x, t, -t) - shifted(x, t, t) - shifted(x, -t, -t)
    x = 4 * x if fine else x
    bands = {"H": down - both, "V": along - both, "D": x - down - along + both}
    bands |= {"N": x - both, "P": down - along, "Q": q if fine else halved(q, 2)}
    return {name: clip(band, 1023) for name, band in bands.items()} | {"low": both}


def decimated(luma: Array) -> Array:
    """[1 3 3 1] on rows and columns 2n − 1 … 2n + 2."""
    down = sum(tap * shifted(luma, i - 1, 0) for i, tap in enumerate((1, 3, 3, 1)))
    down = halved(down[::2], 1)
    along = sum(tap * shifted(down, 0, i - 1) for i, tap in enumerate((1, 3, 3, 1)))
    return halved(along[:, ::2], 3)


def scales(luma: Array) -> list[Bands]:
    """Bands of the fine, second and third scale."""
    second = bands(decimated(luma), 1)
    return [bands(luma, 1, fine=True), second, bands(second["low"], 2)]


def blurred(chroma: Array) -> Array:
    return halved(filtered(filtered(chroma, [1, 2, 1], True), [1, 2, 1], False), 2)


# Inputs of the network


def log8(a: Array) -> Array:
    k = log2(a)
    return 8 * k + (a >> (k - 3) & 7)


def log2(a: Array) -> Array:
    return np.frexp(a.astype(np.float64))[1].astype(np.int64) - 1


def blocks(x: Array, side: int) -> Array:
    h, w = x.shape
    return x.reshape(h // side, side, w // side, side).sum((1, 3))


def signals(luma: list[Bands], colours: list[Array]) -> Array:
    """[12, H / 2, W / 2] without the zero point."""
    fine = luma[0]["N"]
    planes = [scale[name] for scale in luma[1:] for name in "HVD"] + colours
    planes += [fine[::2, ::2], fine[::2, 1::2], fine[1::2, ::2], fine[1::2, 1::2]]
    c = (np.stack(planes) + 2) >> 2
    inner = clip(c, 32)
    return inner + ((clip(c, 156) - inner) >> 2)


def statistics(
    luma: list[Bands],
    colours: list[Array],
    blurs: list[Array],
    mismatch: Array,
    inside_count: Array,
) -> Array:
    """[16, H / 8, W / 8]"""
    sums = [blocks(abs(luma[0][name]), 8) for name in "HVD"]
    sums += [4 * blocks(abs(scale[name]), 4) for scale in luma[1:] for name in "HVD"]
    sums += [4 * blocks(abs(colour), 4) for colour in colours]
    planes = [log8(s + 103) - 52 for s in sums]
    planes += [blocks(low, 4) >> 9 for low in (luma[2]["low"], *blurs)]
    planes += [
        halved((log8(4 * mismatch + 103) - 52) * inside_count, 6),
        halved(127 * inside_count, 6),
    ]
    return np.stack(planes).clip(None, 127)


def direction(second: Array) -> tuple[Array, Array]:
    """c, s of each block from the decimated luma."""
    gy = clip((shifted(second, 1, 0) - shifted(second, -1, 0)) >> 1, 511)
    gx = clip((shifted(second, 0, 1) - shifted(second, 0, -1)) >> 1, 511)
    xx, yy, xy = (
        filtered(filtered(blocks(product, 4), [1, 2, 1], True), [1, 2, 1], False)
        for product in (gx * gx, gy * gy, gx * gy)
    )
    total = xx + yy + 4096
    j = np.maximum(log2(total) - 19, 0)
    w = total >> j
    c, s = ((((n + total) >> j) * 64 + (w >> 1)) // w - 64 for n in (xx - yy, 2 * xy))
    return c, s


# The network


class Network:
    """`levels` of the tokens in force, [D, H / 8, W / 8]; None: there are none."""

    def __init__(self, tensors: Tensors, header: Header, levels: Array | None = None) -> None:
        self.tensors, self.levels = dict(tensors), levels
        if levels is not None:
            weight = tensors["tokens.weight"].astype(np.int64)[..., None, None]
            self.tensors["style.weight"] = np.concatenate([tensors["style.weight"], weight], 1)
        self.depth = len({name.split(".")[1] for name in tensors if name.startswith("blocks.")})
        q = header.q
        bases = [256 * (header.base == name) for name in (None, "av1", "gvc1d", "vvc")]
        sizes = [256 * (str(header.scale) == name) for name in ("1", "3/4", "1/2")]
        self.entries = [(256 * q + 31) // 63, (256 * q * q + 1984) // 3969, *bases, *sizes]

    def outputs(self, signals: Array, statistics: Array, frame: int) -> Array:
        """15 outputs of the head, [15, H / 8, W / 8]; `frame`: the entry of the frame itself."""
        stem = self._activated("stem", signals, stride=2)
        parts = self._scaled("stem2", stem - 8, stride=2), self._scaled("statistics", statistics)
        x = np.concatenate([clip(part, 2047) for part in parts])
        for n in range(self.depth):
            block = f"blocks.{n}"
            growth = halved(self.tensors[f"{block}.condition"] @ [*self.entries, frame], 8)
            y = self._scaled(f"{block}.depthwise", x, growth=growth).clip(-64, 63)
            y = self._activated(f"{block}.expand", y) - 8
            x = clip(x + self._scaled(f"{block}.project", y), 2047)
        view = self._rescaled("view", x).clip(-64, 63)
        if self.levels is not None:
            view = np.concatenate([view, self.levels])
        return self._scaled("head", self._activated("style", view) - 8)

    def _scaled(self, layer: str, x: Array, stride: int = 1, growth: Array | int = 0) -> Array:
        """A layer of values without their zero point."""
        weight, bias = self.tensors[f"{layer}.weight"], self.tensors[f"{layer}.bias"]
        side = weight.shape[2]
        x = np.pad(x, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
        h, w = (x.shape[1] - side) // stride + 1, (x.shape[2] - side) // stride + 1
        total = np.zeros((len(weight), h, w), np.int64)
        for i in range(side):
            for j in range(side):
                part = x[:, i : i + stride * h : stride, j : j + stride * w : stride][:, :h, :w]
                if weight.shape[1] == 1:
                    total += weight[:, 0, i, j, None, None] * part
                else:
                    total += np.tensordot(weight[:, :, i, j], part, 1)
        return self._rescaled(layer, total + (bias + growth)[:, None, None])

    def _rescaled(self, layer: str, total: Array) -> Array:
        multiplier, shift = self.tensors[f"{layer}.multiplier"], self.tensors[f"{layer}.shift"]
        return halved(clip(total, 2**20) * multiplier[:, None, None], shift[:, None, None])

    def _activated(self, layer: str, x: Array, stride: int = 1) -> Array:
        v = clip(self._scaled(layer, x, stride), 1023)
        step = self.tensors[f"{layer}.step"][:, None, None]
        return (halved(v * (v + 128).clip(0, 256), step) + 8).clip(0, 127)


# Maps


def widened(x: Array) -> Array:
    """A map of blocks at half size, rows first."""
    for down in (True, False):
        before, after = (shifted(x, *((i, 0) if down else (0, i))) for i in (-1, 1))
        pairs = ((before, x, 5), (before, x, 7), (x, after, 1), (x, after, 3))
        parts = [a + (((b - a) * weight + 4) >> 3) for a, b, weight in pairs]
        x = np.stack(parts, 1 if down else 2)
        x = x.reshape((-1, x.shape[2]) if down else (x.shape[0], -1))
    return x


def factors(strength: Array, ratio: Array, turn: tuple[Array, Array]) -> Bands:
    """Widened factors of N, P, Q."""
    ratio = clip(ratio, 128)
    factor_of = {"N": strength}
    for name, part in zip("PQ", turn, strict=True):
        factor_of[name] = halved(strength * halved(ratio * part, 6), 8)
    return {name: widened(factor) for name, factor in factor_of.items()}


def keeping(h: Array, mismatch: Array, inside_count: Array) -> Array:
    u = np.maximum(128 - halved(mismatch * 1365, 16), 0)
    trust = halved((u**4 >> 20) * inside_count, 6)
    keep = np.minimum(((h + 128).clip(0, 256) * trust + 1) >> 1, 32767)
    return widened(np.where((mismatch == 0) & (inside_count == 64), 32767, keep))


# Noise


def mix(x: Array) -> Array:
    x = x.astype(np.uint32)
    x = (x ^ x >> 16) * np.uint32(0x21F0AAAD)
    x = (x ^ x >> 16) * np.uint32(0x735A2D97)
    return x ^ x >> 15


def tile(number: int, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Noise of a frame of a GOP, and its bits."""
    m = int(mix(np.array([number]))[0])
    row = (np.arange(shape[0]) + (m & 511)) & 511
    column = (np.arange(shape[1]) + (m >> 16 & 511)) & 511
    place = (512 * row[:, None] + column).astype(np.uint32)
    bits = mix(place * np.uint32(0x9E3779B1)).astype(np.int64)
    return 2 + sum(bits >> n & 255 for n in (0, 8, 16, 24)), bits


# Frames


def twice(x: Array) -> Array:
    return x.repeat(2, 0).repeat(2, 1)


def raised(x: Array) -> Array:
    """9 3 3 1 to full size."""
    wide = np.zeros((2 * x.shape[0], 2 * x.shape[1]), np.int64)
    for i, dy in enumerate((-1, 1)):
        for j, dx in enumerate((-1, 1)):
            sides = 3 * (shifted(x, dy, 0) + shifted(x, 0, dx))
            wide[i::2, j::2] = halved(9 * x + sides + shifted(x, dy, dx), 4)
    return wide


class Motion:
    """Whole samples moved by a vector for each block of `side` samples."""

    def __init__(self, vectors: Array, shape: tuple[int, ...], side: int) -> None:
        self.shape = shape
        dy, dx = (vectors[..., i].repeat(side, 0).repeat(side, 1) for i in (0, 1))
        self.y = np.arange(shape[0])[:, None] + dy[: shape[0], : shape[1]]
        self.x = np.arange(shape[1]) + dx[: shape[0], : shape[1]]

    def of(self, plane: Array) -> Array:
        return plane[self.y.clip(0, self.shape[0] - 1), self.x.clip(0, self.shape[1] - 1)]

    def inside(self, size: tuple[int, ...]) -> Array:
        return (self.y >= 0) & (self.y < size[0]) & (self.x >= 0) & (self.x < size[1])


class Painter:
    """Paints the frames of one GOP."""

    def __init__(
        self, tensors: Tensors, header: Header, tokens: RegionTokens | None = None
    ) -> None:
        size = [-(-side // 16) * 16 for side in (header.height, header.width)]
        levels = tokens.levels(*size) if tokens else None
        self.network, self.header = Network(tensors, header, levels), header
        self.number, self.before = 0, None

    def _frame_entry(self, size: int) -> int:
        if size == 0:
            return 0
        area = self.header.width * self.header.height
        n = 8 + min((size << 16) // area, 2**20)
        k = n.bit_length() - 1
        return 8 * (8 * k + (n >> (k - 3) & 7)) - 432

    def _vectors(self, luma: Array, before: Array) -> Array:
        return search(luma, before)

    def paint(self, base: Planes, size: int) -> Planes:
        """The next frame; `size`: bytes of its payload, 0: unknown."""
        y = padded(base[0]).astype(np.int64)
        h, w = y.shape
        chroma = []
        for plane in base[1:]:
            rows, columns = h // 2 - plane.shape[0], w // 2 - plane.shape[1]
            chroma.append(np.pad(plane, ((0, rows), (0, columns)), "edge").astype(np.int64))
        noise, bits = tile(self.number, y.shape)
        inside_count, mismatch = np.zeros((2, h // 8, w // 8), np.int64)
        motions = []
        if self.before is not None:
            vectors = self._vectors(base[0], self.before["base"])
            motions = [Motion(vectors, y.shape, 16)]
            motions += [Motion((vectors + 1) >> 1, (h // 2, w // 2), 8)] * 2
            inside, moved = motions[0].inside(y.shape), motions[0].of(self.before["luma"])
            inside_count, mismatch = blocks(inside.astype(np.int64), 8), blocks(abs(y - moved), 8)
            fresh = ~inside | ((bits % 32 == 0) & (y != moved))
            noise = np.where(fresh, noise, motions[0].of(self.before["noise"]))
        details, keep = self._details(y, chroma, noise, mismatch, inside_count, size)
        if motions:
            keeps = twice(keep), keep, keep
            for i, (motion, keep) in enumerate(zip(motions, keeps, strict=True)):
                moved = motion.of(self.before["details"][i])
                details[i] = details[i] + times(moved - details[i], keep)
        self.before = {"base": base[0], "luma": y, "noise": noise, "details": details}
        self.number += 1
        return [
            (plane + halved(detail, 3)[: plane.shape[0], : plane.shape[1]]).clip(0, 1023)
            for plane, detail in zip(base, details, strict=True)
        ]

    def _details(
        self,
        y: Array,
        chroma: Planes,
        noise: Array,
        mismatch: Array,
        inside_count: Array,
        size: int,
    ) -> tuple[list[Array], Array]:
        """Details of the planes before they are blended, and how much is kept, at half size."""
        luma, grain = scales(y), scales(noise)
        blurs = [blurred(plane) for plane in chroma]
        colours = [clip(4 * p - blur, 1023) for p, blur in zip(chroma, blurs, strict=True)]
        block_statistics = statistics(luma, colours, blurs, mismatch, inside_count)
        h = self.network.outputs(signals(luma, colours), block_statistics, self._frame_entry(size))
        turn, sums = direction(decimated(y)), []
        for i in range(3):
            gains = factors(clip(h[i], 16383), h[3 + i], turn)
            amplitudes = factors(clip(h[6 + i], 8191), h[9 + i], turn)
            if i == 0:
                gains = {name: twice(gain) for name, gain in gains.items()}
                amplitudes = {name: twice(amplitude) for name, amplitude in amplitudes.items()}
            parts = [times(8 * luma[i][name], gains[name]) for name in "NPQ"]
            parts += [times(4 * grain[i][name], amplitudes[name]) for name in "NPQ"]
            sums.append(sum(parts))
        details = [clip(raised(clip(sums[1] + sums[2], 2047)) + sums[0], 8191)]
        for i, colour in enumerate(colours):
            details.append(clip(times(8 * colour, widened(clip(h[12 + i], 16383))), 8191))
        return details, keeping(h[14], mismatch, inside_count)
