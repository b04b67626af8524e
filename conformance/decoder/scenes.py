"""Memory of vectors and scenes (Latent tokens: Memory)."""

from __future__ import annotations

import numpy as np

from conformance.decoder.layers import Layers, logistic, softmax
from conformance.decoder.pictures import Array, Picture, forward, inverse, regions, tiles, untiled


class Memory:
    """Vectors of each window, and two scenes of each region of it."""

    def __init__(self, layers: Layers, grid: tuple[int, int]) -> None:
        self.layers, self.grid = layers, grid
        windows = grid[0] * grid[1]
        self.vectors = np.tile(layers["memory.start"], (windows, 1, 1))
        self.scenes = np.zeros((2, windows, 16, 14 * 14 + 2 * 6 * 6))
        self.used = np.zeros((2, windows, 16))
        self.used[1] = 0.5

    def read(self) -> Array:
        k = self.scenes
        about = self.layers.linear("memory.about", np.sign(k) * np.log1p(abs(k) / 8))
        about = about + self.layers["memory.places"][:, None]
        seen = about.swapaxes(0, 1).reshape(len(self.vectors), 32, -1)
        query = np.tile(self.layers["memory.query"], (len(self.vectors), 1, 1))
        return self.layers.block("memory.reader", query, np.concatenate([self.vectors, seen], 1))

    def write(self, slots: Array, patches: Array, picture: Picture) -> None:
        seen = np.concatenate([self.vectors, slots, patches], 1)
        written = self.layers.block("memory.write", self.vectors, seen)
        self.vectors = self.layers.norm("memory.norm", written)
        self._follow(picture)

    def _follow(self, picture: Picture) -> None:
        parts = []
        for plane, side, count in zip(picture, (64, 32, 32), (14, 6, 6), strict=True):
            found = forward(tiles(255 * plane - 128, side), count)
            rows, columns = self.grid
            found = found.reshape(rows, 4, columns, 4, -1).swapaxes(1, 2)
            parts.append(found.reshape(rows * columns, 16, -1))
        seen = np.concatenate(parts, -1)
        apart, follow, novel = (
            self.layers[f"memory.scenes.{n}"] for n in ("apart", "follow", "novel")
        )
        d = np.sqrt(((self.scenes - seen) ** 2).sum(-1) / 4096 + 1 / 100)
        limit = np.exp(novel)
        n = ((d.min(0) - limit) / limit).clip(0, 1)
        w = n * softmax(-self.used / 0.1, 0) + (1 - n) * softmax(-d / np.exp(apart), 0)
        rate = w * (n + (1 - n) * logistic(follow))
        self.scenes = self.scenes + rate[..., None] * (seen - self.scenes)
        self.used = w

    def recall(self) -> Picture:
        share = softmax(-self.used / 0.1, 0)[..., None]
        k = (share * self.scenes).sum(0)
        found, at = [], 0
        for side, count in ((64, 14), (32, 6), (32, 6)):
            part = k[..., at : at + count * count].reshape(*k.shape[:2], count, count)
            found.append((untiled(regions(inverse(part, side), self.grid)) + 128) / 255)
            at += count * count
        return found
