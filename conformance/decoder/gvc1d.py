"""Base gvc1d: a transform of windows of 256×256 samples, with motion and memory (GVC1D)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import isqrt
from typing import Any

import numpy as np

from conformance.decoder.bases import Planes
from conformance.decoder.entropy import Rans
from conformance.decoder.header import Header
from conformance.decoder.loop_filter import LoopFilter
from conformance.decoder.networks import IntegerNetwork, loud, predicted, span
from conformance.decoder.search import Reference
from conformance.decoder.transform import (
    GREY,
    LONGEST,
    Array,
    Transform,
    entries,
    length,
    of_blocks,
    table,
)
from conformance.decoder.wire import Bytes, digest, require

WINDOW, MEMORY, INPUTS = 256, 4, 36


@dataclass
class Frame:
    """A base frame of whole windows, and what the next one needs of it."""

    planes: Planes
    values: Array  # [N, values]
    running: Array  # [N, values]
    places: list[int]  # of the windows, in `levels`
    symbols: dict[str, Any]  # what Conformance asks for
    prediction: Planes
    vectors: Array | None  # [rows, columns, 2] of blocks, x, y; None: no reference


VECTORS = IntegerNetwork(
    [(np.array([[3] * 3, [0] * 3, [0] * 3]), np.array([96, 0, 160]), np.ones(3, int), [4, 0, 63])],
    3,
)


class Gvc1dBase:
    """Base frames of a stream, GOP by GOP."""

    def __init__(self, header: Header, tensors: dict[str, Array]) -> None:
        self.header, self.transform = header, Transform(tensors)
        self.network = IntegerNetwork.read(tensors, INPUTS, "entropy.")
        self.loop_filter = LoopFilter(tensors)
        self.h, self.w = (-(-side // WINDOW) * WINDOW for side in (header.height, header.width))
        self.windows = self.h * self.w // WINDOW**2
        self.symbols: list[dict[str, Any]] = []
        self.shapes = [(self.h, self.w), *[(self.h // 2, self.w // 2)] * 2]

    def gop(self, payloads: list[bytes]) -> Iterator[Planes]:
        for frame in self.frames(payloads):
            self.symbols.append(frame.symbols)
            yield self._cropped(frame.planes)

    def _cropped(self, planes: Planes) -> Planes:
        y, *chroma = planes
        h, w = self.header.height, self.header.width
        return [y[:h, :w], *(p[: (h + 1) // 2, : (w + 1) // 2] for p in chroma)]

    def frames(self, payloads: list[bytes]) -> Iterator[Frame]:
        """Frames of whole windows."""
        empty = np.zeros((2, self.windows, LONGEST), np.int64)
        grey = [np.full(shape, GREY) for shape in self.shapes]
        last, memory = Frame(grey, *empty, [16] * self.windows, {}, grey, None), []
        for i, payload in enumerate(payloads):
            read = Bytes(payload)
            q, head = read.number(1), read.number(1)
            require(q < 64 and (i > 0 or head & 191 == 0), "head of a frame")
            if head & 128:
                f = max(0, q - 10)
                seen = self.transform.measured(last.planes, f)
                memory.append(self.transform.add(seen * self.transform.per_value(f), grey))
                memory = memory[-MEMORY:]
            reference = head & 63
            require(reference < 2 + len(memory), "a picture that the memory does not hold")
            prediction, vectors = grey, None
            if reference:
                vectors = self._vectors(read.take(read.var()))
                origin = memory[reference - 2] if reference > 1 else last.planes
                prediction = self._moved(origin, vectors)
            last = self._frame(read, q, prediction, vectors, last)
            if head & 64:
                moving = None if vectors is None else restless(vectors)
                step = int(table("steps")[q])
                last.planes = self.loop_filter.filtered(last.planes, prediction, moving, step, q)
            moved = None if vectors is None else digest(vectors, "<i2")
            said = {"q": q, "reference": reference, "filtered": head >> 6 & 1}
            said |= {"remember": head >> 7, "vectors": moved}
            last.symbols = said | last.symbols
            yield last

    # Vectors

    def _vectors(self, data: bytes) -> Array:
        rows, columns = self.h // 16, self.w // 16
        field = np.zeros((rows, columns, 2), np.int64)
        if not data:
            return field
        around = []
        for n in range(rows * columns * 2):
            block, most = n // 2, min(n, 8)
            left = span(2, 1) if block % columns else 0
            above = span(2 * columns, 1) if block >= columns else 0
            around.append([left, above, span(most, most) if n else 0])
        known = np.zeros((len(around), 0), np.int64)
        d = predicted(VECTORS, data, known, np.array(around))
        require(max(map(abs, d)) <= 8190, "difference of a vector")
        for n, difference in enumerate(d):
            block, i = divmod(n, 2)
            r, c = divmod(block, columns)
            left = int(field[r, c - 1, i]) if c else 0
            if r:
                a, b = int(field[r - 1, c, i]), int(field[r - 1, min(c + 1, columns - 1), i])
                left = min(max(left, min(a, b)), max(a, b))
            field[r, c, i] = left + difference
        require(int(abs(field).max()) <= 4095, "a vector")
        return field

    def _moved(self, picture: Planes, vectors: Array) -> Planes:
        made, luma = [np.zeros(shape, np.int64) for shape in self.shapes], Reference(picture[0])
        chroma = [np.pad(plane, 48, "edge") for plane in picture[1:]]
        for r, c in np.ndindex(*vectors.shape[:2]):
            x, y = vectors[r, c].tolist()
            made[0][16 * r : 16 * r + 16, 16 * c : 16 * c + 16] = luma.moved(16 * r, 16 * c, (x, y))
            top = min(max(8 * r + (y >> 3), -32), self.h // 2 + 24) + 48
            left = min(max(8 * c + (x >> 3), -32), self.w // 2 + 24) + 48
            fx, fy = x & 7, y & 7
            for plane, into in zip(chroma, made[1:], strict=True):
                p = plane[top : top + 9, left : left + 9]
                along = (8 - fx) * p[:, :-1] + fx * p[:, 1:]
                moved = ((8 - fy) * along[:-1] + fy * along[1:] + 32) >> 6
                into[8 * r : 8 * r + 8, 8 * c : 8 * c + 8] = moved
        return made

    # Values

    def _frame(
        self, read: Bytes, q: int, prediction: Planes, vectors: Array | None, last: Frame
    ) -> Frame:
        levels = Rans(read.take(read.var()))
        places = [levels.integer(30, 8 * place) for place in last.places]
        levels.close()
        require(all(0 <= place <= 98 for place in places), "level of a window")
        lengths = [length(int(table("levels")[place])) for place in places]
        activations = self._activations(q, prediction, vectors, last)
        values = np.zeros((self.windows, LONGEST), np.int64)
        groups = [range(n, min(n + 8, self.windows)) for n in range(0, self.windows, 8)]
        groups = [group for group in groups if any(lengths[n] for n in group)]
        for group in groups:
            data = read.rest() if group is groups[-1] else read.take(read.var())
            active = np.concatenate([activations[n][: lengths[n]] for n in group])
            around = [entries(i) for n in group for i in range(lengths[n])]
            found = np.array(predicted(self.network, data, active, np.array(around)))
            require(int(abs(found).max()) <= 1023, "a value")
            for n in group:
                values[n, : lengths[n]], found = found[: lengths[n]], found[lengths[n] :]
        require(read.left == 0, "bytes after a frame")
        before = last.running if vectors is not None else np.zeros_like(last.running)
        running = before + ((32 * abs(values).clip(None, 31) - before + 2) >> 2)
        planes = self.transform.add(values * self.transform.per_value(q), prediction)
        written = values[:, : max(768, *lengths)]
        said = {"levels": places, "values": digest(written, "<i4")}
        return Frame(planes, values, running, places, said, prediction, vectors)

    def _activations(self, q: int, prediction: Planes, vectors: Array | None, last: Frame) -> Array:
        """[N, values, 15]"""
        x = np.zeros((self.windows, LONGEST, 15), np.int64)
        x[..., :8] = _fixed()
        x[..., 8], x[..., 10] = min(2 * q, 127), 64
        if vectors is None:
            return x
        x[..., 9] = 127
        x[..., 10] = 64 + last.values.clip(-64, 63)
        x[..., 11] = louds(last.running)
        sums, steps = self.transform.sums(prediction), self.transform.steps(q)[6:]
        for p, (k, place) in enumerate(zip(*self.transform.order, strict=True)):
            at = slice(768 + 256 * p, 1024 + 256 * p)
            x[:, at, 12] = louds(abs(sums[k][:, :, place]) // (32 * steps[p]))
        for number, of_region in ((13, restless(vectors)), (14, changed(prediction, last.planes))):
            regions = self._of_windows(of_region)
            of_block = louds(of_blocks(regions).sum(2) >> 4)
            x[:, 48:768, number] = np.tile(of_block, 45)
            x[:, 768:, number] = np.tile(louds(regions), 381)
        return x

    def _of_windows(self, x: Array) -> Array:
        """A map of regions as [N, 256]."""
        h, w = (side // 16 for side in x.shape)
        return x.reshape(h, 16, w, 16).swapaxes(1, 2).reshape(-1, 256)


@cache
def _fixed() -> Array:
    """Activations 0…7 of each value."""
    x = np.zeros((LONGEST, 8), np.int64)
    frequencies = np.array(table("frequencies"))
    uv = np.concatenate([frequencies.repeat(3, 0), frequencies[1:].repeat(48, 0)]) * 10
    x[:768, 5:7], x[768:, 5:7] = uv, (table("planes")[:, 1:] * 8).repeat(256, 0)
    blocks = np.tile(np.arange(3).repeat(16), 15)
    component = [np.tile(np.arange(3), 16), blocks, table("planes")[:, 0].repeat(256)]
    x[np.arange(LONGEST), np.concatenate(component)] = 127
    x[:48, 3], x[48:768, 4] = 127, 127
    x[:, 7] = [min(isqrt(u * u + v * v), 127) for u, v in x[:, 5:7].tolist()]
    return x


@cache
def _louds() -> Array:
    return np.array([loud(n, 2**15 - 2) for n in range(2**15)])


def louds(x: Array) -> Array:
    return _louds()[x.clip(0, 2**15 - 1)]


def restless(vectors: Array) -> Array:
    """I of each region."""
    down, along = abs(np.diff(vectors, axis=0)).sum(2), abs(np.diff(vectors, axis=1)).sum(2)
    found = np.zeros(vectors.shape[:2], np.int64)
    found[1:] += down
    found[:, 1:] += along
    return 8 * found


def changed(prediction: Planes, last: Planes) -> Array:
    """D of each region."""
    h, w = prediction[0].shape
    difference = abs(prediction[0] - last[0]).reshape(h // 16, 16, w // 16, 16)
    return difference.sum((1, 3)) >> 5
