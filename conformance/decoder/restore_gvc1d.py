"""Restored pictures of base gvc1d, by a network of floats (GVC1D: Restored pictures)."""

from __future__ import annotations

import numpy as np

from conformance.decoder.bases import Planes
from conformance.decoder.gvc1d import WINDOW, Frame
from conformance.decoder.layers import Layers, across_bias, silu
from conformance.decoder.pictures import Array, Picture, cosines, each, from_maps, maps, to_map
from conformance.decoder.transform import GREY, of_regions, squares, table

STAGES, BODY, REGIONS, HEADS = 3, 6, 256, 6
NET, ANALYSIS = "float.restorer", "float.transform.analysis"


class Gvc1dRestorer:
    """Restores the frames of one GOP."""

    def __init__(self, tensors: dict[str, Array], is_8_bit: bool) -> None:
        self.net = Layers({n: t for n, t in tensors.items() if n.startswith("float.")}, HEADS)
        self.is_8_bit = is_8_bit
        self.before: Picture | None = None
        self.memory: Array | None = None

    def frame(self, frame: Frame) -> Planes:
        """The picture shown, of whole windows."""
        net = self.net
        has_reference = frame.vectors is not None
        s = table("steps")[frame.symbols["q"]] / 16
        about = np.array([np.log(s) / 4, float(has_reference)])
        grid = tuple(side // WINDOW for side in frame.planes[0].shape)
        x = self._network(frame, s, about, grid)
        picture = [plane.astype(float) for plane in frame.planes]
        nothing = each(np.zeros_like, picture)
        ahead = each(np.subtract, frame.prediction, picture) if has_reference else nothing
        past = nothing
        if frame.symbols["reference"] == 1 and self.before is not None:
            past = each(np.subtract, moved(self.before, frame.vectors), picture)
        z = self._head(picture, ahead, past, x, about, grid)
        change = from_maps(24 * net.conv(f"{NET}.tail", z), 4)
        self.before = each(lambda a, b: (a + b).clip(0, 1023), picture, change)
        if self.is_8_bit:
            return [4 * np.floor(p / 4 + 0.5).clip(0, 255).astype(int) for p in self.before]
        return [np.floor(p + 0.5).clip(0, 1023).astype(int) for p in self.before]

    def _network(self, frame: Frame, s: float, about: Array, grid: tuple[int, ...]) -> Array:
        """Vectors of the regions, [N, 256, D]."""
        net = self.net
        own = np.concatenate(
            [
                squares(plane - GREY, 16 if c else 32) @ self._table(c).T
                for c, plane in enumerate(frame.planes)
            ],
            -1,
        )
        seen = [level(own, s), level(self._told(frame.values, s), s)]
        rows = np.broadcast_to(about, (*own.shape[:2], 2))
        x = net.linear(f"{NET}.embed", np.concatenate([*seen, rows], -1))
        x = x + net[f"{NET}.stages.places"]
        start = np.tile(net[f"{NET}.start"], (len(x), 1, 1))
        m = start if self.memory is None else self.memory
        windows = np.stack(np.divmod(np.arange(len(x)), grid[1]), -1).repeat(m.shape[1], 0)
        bias = across_bias(net[f"{NET}.stages.way"], net[f"{NET}.stages.far"], windows)
        for i in range(STAGES):
            both = net.block(f"{NET}.stages.local.{i}", np.concatenate([x, m], 1))
            x, m = both[:, :REGIONS], both[:, REGIONS:]
            every = m.reshape(-1, m.shape[-1])
            m = net.block(f"{NET}.stages.across.{i}", every, bias=bias).reshape(m.shape)
        self.memory = net.norm(f"{NET}.norm_memory", m)
        return net.norm(f"{NET}.norm", x)

    def _table(self, component: int) -> Array:
        weight = self.net[f"{ANALYSIS}_{'uv' if component else 'y'}"]
        return weight.reshape(len(weight), -1)

    def _told(self, values: Array, s: float) -> Array:
        """Coefficients that the values stand for, [N, 256, 384]."""
        step = s * np.exp(self.net["float.transform.log_step"].clip(-1, 1))
        u, v = table("frequencies").T
        basis = (cosines(4)[u][:, :, None] * cosines(4)[v][:, None]).reshape(16, 16)
        n = len(values)
        first = values[:, :48].reshape(n, 16, 3) * step[:3]
        blocks = values[:, 48:768].reshape(n, 15, 3, 16) * step[3:6, None]
        planes = values[:, 768:].reshape(n, -1, REGIONS) * step[6:, None]
        b = np.einsum("nic,ij->ncj", first, basis)
        m = np.einsum("nicj,it->ncjt", blocks, basis[1:]) + b[..., None] * basis[0]
        found = [np.zeros((n, REGIONS, 64 if c else 256)) for c in range(3)]
        for c in range(3):
            found[c][:, :, 0] = of_regions(m[:, c])
        for p, (c, row, column) in enumerate(table("planes").tolist()):
            found[c][:, :, (8 if c else 16) * row + column] = planes[:, p]
        return np.concatenate(found, -1)

    def _head(
        self,
        picture: Picture,
        ahead: Picture,
        past: Picture,
        x: Array,
        about: Array,
        grid: tuple[int, ...],
    ) -> Array:
        net = self.net
        up = to_map(net.linear(f"{NET}.spread", x), grid)
        h, w = up.shape[1:]
        up = up.reshape(16, 4, 4, h, w).transpose(0, 3, 1, 4, 2).reshape(16, 4 * h, 4 * w)
        parts = [maps([p - GREY for p in picture], 4), 4 * maps(ahead, 4), 4 * maps(past, 4)]
        noise = np.tile(net[f"{NET}.noise"][0], (1, h // 16, w // 16))
        flat = np.broadcast_to(about[:, None, None], (2, 4 * h, 4 * w))
        seen = np.concatenate([np.concatenate(parts) / 256, up, noise, flat])
        z = silu(net.conv(f"{NET}.head", seen))
        for i in range(BODY):
            one = silu(net.conv(f"{NET}.body.{i}.one", z))
            z = z + net.conv(f"{NET}.body.{i}.two", one)
        return z


def level(x: Array, s: float) -> Array:
    return np.sign(x) * np.log1p(abs(x / s))


def moved(picture: Picture, vectors: Array) -> Picture:
    """Moved by vectors in quarter samples: luma bicubic, chroma bilinear."""
    found = []
    for plane, side, unit, weights in zip(
        picture, (16, 8, 8), (4, 8, 8), (cubic, linear, linear), strict=True
    ):
        h, w = plane.shape
        v = vectors.repeat(side, 0).repeat(side, 1) / unit
        x, y = np.arange(w) + v[..., 0], np.arange(h)[:, None] + v[..., 1]
        left, top = np.floor(x).astype(int), np.floor(y).astype(int)
        total = np.zeros((h, w))
        for i, by_row in weights(y - top):
            for j, by_column in weights(x - left):
                at = (top + i).clip(0, h - 1), (left + j).clip(0, w - 1)
                total += by_row * by_column * plane[at]
        found.append(total)
    return found


def linear(f: Array) -> list[tuple[int, Array]]:
    return [(0, 1 - f), (1, f)]


def cubic(f: Array) -> list[tuple[int, Array]]:
    """Keys, a = −3/4."""
    a = -0.75

    def near(d: Array) -> Array:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Array) -> Array:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [(-1, far(1 + f)), (0, near(f)), (1, near(1 - f)), (2, far(2 - f))]
