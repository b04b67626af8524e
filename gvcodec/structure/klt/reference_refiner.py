"""Reference of entropy model v1: the integer network that refines the predictions of the `klt`
layer's decisions.

Part of the reference decoder (tests/oracle/klt.py), for reading rather than for speed; in the core:
`csrc/klt/refiner.*`. Every visited token has 80 features 0…127 (what its neighbours, its parent and
its past hold, how loud its prediction and its memory are, by bands of coefficients); one layer
makes hidden units of them. A decision of the kinds any, last, sig and size (bigger than 1, than 2,
…) adds 16 features of its own and a table row: a second layer corrects the log odds that the mixer
came to. Loudness is 8 log2(1 + 16 · amplitude / step).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gvcodec.entropy.network import MAX_ACTIVATION, Layer, forward
from gvcodec.entropy.reference import clamp
from gvcodec.structure.klt.reference_contexts import (
    GROUP_FIRST,
    LEVELS,
    TOP,
    bucket,
    group_of,
    index72,
)
from gvcodec.structure.klt.reference_loop import Ints, quantiser_step
from gvcodec.structure.klt.reference_tokens import BANDS, Tokens
from gvcodec.structure.klt.refiner_tensors import KINDS

BAND_FIRST = (0, 1, 3, 6, 12, 24, 48, 120, 384)
EARLY = 128  # coefficients of its prediction that every visited token looks at
DELTA_LIMIT, SUM_LIMIT = 1023, 1 << 17

Place = tuple[int, int]


def log8(value: int) -> int:
    """Eight times the binary logarithm of value >= 1, the fraction by linear interpolation, at most
    127."""
    e = value.bit_length() - 1
    return min(MAX_ACTIVATION, 8 * e + ((value << 3 >> e) & 7))


def band_of(i: int) -> int:
    return bucket(i, BAND_FIRST[1:])


def bands_of(values: Ints) -> list[int]:
    """Sums of magnitudes by bands."""
    return [int(np.abs(values[a:b]).sum()) for a, b in pairwise(BAND_FIRST)]


@dataclass(frozen=True)
class Network:
    """Second layer of one kind of decision; `row` (288, hidden), the rest as in `Layer`."""

    token: NDArray[np.int8]  # (hidden, units)
    decision: NDArray[np.int8]  # (hidden, 16)
    row: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    shift: int
    out: NDArray[np.int8]
    out_bias: int
    out_multiplier: int
    out_shift: int

    def corrections(self, units: Ints, features: Ints, row: Ints) -> Ints:
        """Of the log odds of some decisions, in 1/256: units (n, units), features (n, 16), row
        (n,)."""
        x = (
            units @ self.token.T.astype(np.int64)
            + features @ self.decision.T.astype(np.int64)
            + self.row[row]
        )
        x = np.clip(x, -SUM_LIMIT, SUM_LIMIT)
        x = np.clip(
            (x * self.multiplier + (1 << (self.shift - 1))) >> self.shift, 0, MAX_ACTIVATION
        )
        total = x @ self.out.astype(np.int64) + self.out_bias
        total = (total * self.out_multiplier + (1 << (self.out_shift - 1))) >> self.out_shift
        return np.clip(total, -DELTA_LIMIT, DELTA_LIMIT)


@dataclass(frozen=True)
class RefinerModel:
    """`relatives`: of key, inter and coarse tokens, (count, 4) earlier indices of the nearest
    frequencies, -1 = none."""

    relatives: tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int16]]
    token: Layer
    networks: dict[str, Network]

    @classmethod
    def of(cls, tensors: Mapping[str, np.ndarray]) -> RefinerModel | None:
        """From the tensors `refiner.*` of a model; None when it has none."""
        if "refiner.token.weight" not in tensors:
            return None
        at = {
            name.removeprefix("refiner."): tensor
            for name, tensor in tensors.items()
            if name.startswith("refiner.")
        }
        networks = {}
        for kind in KINDS:
            shift, out_bias, out_multiplier, out_shift = at[f"{kind}.scale"].tolist()
            parts = (at[f"{kind}.{part}"] for part in ("token", "decision", "row", "multiplier"))
            networks[kind] = Network(
                *parts, shift, at[f"{kind}.out"], out_bias, out_multiplier, out_shift
            )
        token = Layer(
            at["token.weight"], at["token.bias"], at["token.multiplier"], int(at["token.shift"][0])
        )
        return cls(
            (at["relatives.key"], at["relatives.inter"], at["relatives.coarse"]), token, networks
        )


@dataclass
class Refinement:
    """What a decision adds to a token's features."""

    kind: str
    features: list[int]  # the last one is the mixer's log odds
    row: int


class Refiner:
    """Of one frame. `prediction` (Y, U, V) int64, or None in key frames; `bases`: of the levels."""

    def __init__(
        self,
        model: RefinerModel,
        bases: list[Ints],
        prediction: list[Ints] | None,
        now: Tokens,
        before: Tokens,
        q: int,
    ) -> None:
        self.model, self.bases, self.prediction = model, bases, prediction
        self.now, self.before, self.q = now, before, q
        now.q = q
        now.memory = np.zeros((now.h, now.w, BANDS), np.int64)
        for y in range(now.h):
            for x in range(now.w):
                mx, my = now.motion_of(x, y)[0]
                px, py = (
                    clamp((64 * x + 32 + mx) >> 6, 0, now.w - 1),
                    clamp((64 * y + 32 + my) >> 6, 0, now.h - 1),
                )
                now.memory[y, x] = before.memory[py, px]

    def remember(self) -> None:
        """At the end of the frame: `Tokens.memory` is a leaky mean of what the finest tokens held,
        in quarter samples. It moves by the vectors into the last frame; where only the golden frame
        is used these are zero, and it stays in its place."""
        step = quantiser_step(self.q, 0)
        self.now.memory = (
            3 * self.now.memory + np.minimum(self.now.level[0].band, 1 << 14) * step + 2
        ) >> 2

    def visit(self, n: int, x: int, y: int, past: Place, siblings: int) -> None:
        """A token whose decisions come next."""
        level, old = self.now.level[n], self.before.level[n]
        side = 1 << (TOP - n)
        self.n, self.at, self.past = n, (y, x), past
        self.left = (y, x - 1) if x else None
        self.above = (y - 1, x) if y else None
        right_known = (
            y % side == 0 or (x + 1) % side != 0
        )  # else it lies in the next window of the same row
        self.diagonal = [
            (y - 1, x - 1) if x and y else None,
            (y - 1, x + 1) if y and x + 1 < level.width and right_known else None,
        ]
        self.step = quantiser_step(self.q, n)
        self.old_step = quantiser_step(self.before.q if self.prediction else self.q, n)
        self._predict(x, y)
        nothing = [0] * BANDS

        def bands(place: Place | None) -> list[int]:
            return level.band[place].tolist() if place else nothing

        q_change = 2 * (self.q - self.before.q) if self.prediction else 0
        f = [
            2 * self.q,
            0 if self.prediction else MAX_ACTIVATION,
            *(MAX_ACTIVATION * (k == n) for k in range(LEVELS)),
        ]
        f.append(64 + q_change)
        for place in (self.left, self.above):
            f += [log8(1 + 16 * b) for b in bands(place)]
        f += [self._loud(b * self.old_step) for b in old.band[past].tolist()]
        f += [
            log8(1 + 16 * (a + b)) for a, b in zip(*(bands(p) for p in self.diagonal), strict=True)
        ]
        parent = self.now.level[n + 1].band[y >> 1, x >> 1].tolist() if n < TOP else nothing
        f += [log8(1 + 16 * b) for b in parent]
        f += [self._loud(b) for b in bands_of(self.predicted[: self.known])]
        y0, x0 = y << n, x << n
        area = self.now.memory[y0 : y0 + (1 << n), x0 : x0 + (1 << n)].reshape(-1, BANDS)
        self.memory = [self._loud(int(m) // len(area)) for m in area.sum(0)]
        f += self.memory
        f += [MAX_ACTIVATION * int(level.any[p]) if p else 0 for p in (self.left, self.above)]
        f += [
            MAX_ACTIVATION * int(old.any[past]),
            42 * siblings,
            MAX_ACTIVATION * (x & 1),
            MAX_ACTIVATION * (y & 1),
        ]
        mx, my = mv = self.now.motion_of(x0, y0)[0]
        f += [
            31 * int(self.now.depth[y0, x0]),
            MAX_ACTIVATION * int(self.now.merged[y0, x0]),
            distance(mv, (0, 0)),
        ]
        f += [MAX_ACTIVATION * (mx & 3 != 0), MAX_ACTIVATION * (my & 3 != 0)]
        f.append(distance(mv, self.now.motion_of(x0 - 1, y0)[0]) if x0 else 0)
        f.append(distance(mv, self.now.motion_of(x0, y0 - 1)[0]) if y0 else 0)
        py, px = past
        around = [(py, px - 1), (py, px + 1), (py - 1, px), (py + 1, px)]
        energy = sum(
            int(old.energy[v, u]) for v, u in around if 0 <= v < old.height and 0 <= u < old.width
        )
        f.append(log8(1 + 4 * energy))
        f.append(log8(1 + 4 * (int(level.last[self.left]) + 1)) if self.left else 0)
        f.append(log8(1 + 4 * (int(old.last[past]) + 1)))
        features = np.clip(np.array(f), 0, MAX_ACTIVATION).astype(np.uint8)
        self.hidden = forward([self.model.token], features[None])[0].astype(np.int64)

    def any(self) -> Refinement:
        return self._ready("any", [0] * 15, 0)

    def last(self, group: int) -> Refinement:
        """Is the last index beyond this group?"""
        beyond = int(np.abs(self.predicted[GROUP_FIRST[group + 1] : self.known]).sum())

        def relative(last: int) -> int:
            return 0 if last < 0 else clamp(64 + 4 * (group_of(last) - group), 0, MAX_ACTIVATION)

        level = self.now.level[self.n]
        near = [relative(int(level.last[p])) if p else 0 for p in (self.left, self.above)]
        past = relative(int(self.before.level[self.n].last[self.past]))
        return self._ready("last", [self._loud(beyond), past, *near] + [0] * 11, group)

    def coefficient(self, i: int, last: int, one_back: int, two_back: int) -> None:
        """Coefficient `i` of the token is next; the values before it are known."""
        level, old = self.now.level[self.n], self.before.level[self.n]
        if last >= self.known:
            self.known = level.count
            self.predicted = self._transformed()
        values = level.value[self.at]
        kind = 2 if self.n else 1 if self.prediction else 0
        relatives = [int(j) for j in self.model.relatives[kind][i] if j >= 0]
        total = int(np.abs(values[relatives]).sum())
        self.relatives3 = min(2, total)

        def near(place: Place | None) -> int:
            return abs(int(level.value[(*place, i)])) if place else 0

        self._coefficient = [
            self._loud(abs(int(self.predicted[i]))),
            log8(1 + 16 * near(self.left)),
            log8(1 + 16 * near(self.above)),
            self._loud(abs(int(old.value[(*self.past, i)])) * self.old_step),
            log8(1 + 16 * total),
            log8(1 + 16 * one_back),
            log8(1 + 16 * two_back),
            log8(1 + 4 * (last - i)),
            log8(1 + 4 * i),
            log8(1 + 16 * int(np.abs(values[:i]).sum())),
            self._loud(int(np.abs(self.predicted[relatives]).sum())),
            log8(1 + 4 * last),
            0,
            self.memory[band_of(i)],
            log8(1 + 16 * sum(near(p) for p in self.diagonal)),
        ]
        self._index = i

    def significant(self) -> Refinement:
        return self._ready("sig", self._coefficient, index72(self._index))

    def larger(self, than: int) -> Refinement:
        self._coefficient[12] = log8(1 + 16 * (than - 1))
        return self._ready("size", self._coefficient, index72(self._index))

    def predicted8(self, i: int) -> int:
        """Bucket of the predicted coefficient's size."""
        return bucket(
            min(1 << 20, 8 * abs(int(self.predicted[i])) // self.step), (1, 2, 4, 7, 12, 20, 40)
        )

    def coded(self) -> None:
        """The token visited has its values."""
        level = self.now.level[self.n]
        level.band[self.at] = bands_of(level.value[self.at])

    def refine(self, refinement: Refinement, stretched: int) -> int:
        """Corrected log odds."""
        features = [*refinement.features, (stretched + 2048) >> 5]
        network = self.model.networks[refinement.kind]
        return stretched + int(
            network.corrections(
                self.hidden[None], np.array([features]), np.array([refinement.row])
            )[0]
        )

    def _ready(self, kind: str, features: list[int], row: int) -> Refinement:
        return Refinement(
            kind, list(features), ((2 if self.n else 0) + (1 if self.prediction else 0)) * 72 + row
        )

    def _loud(self, amplitude: int) -> int:
        return log8(1 + (amplitude * ((1 << 20) // self.step) >> 16))

    def _predict(self, x: int, y: int) -> None:
        """Coefficients of the prediction in the region, averaged as a token of its level; samples
        outside repeat the edge."""
        count = self.now.level[self.n].count
        self.predicted = np.zeros(count, np.int64)
        self.known = count if self.prediction is None else min(count, EARLY)
        if self.prediction is None:
            return
        parts, f = [], 1 << self.n
        for plane, size in zip(self.prediction, (16, 8, 8), strict=True):
            h, w = plane.shape
            rows = np.minimum(np.arange(y * size * f, (y + 1) * size * f), h - 1)
            columns = np.minimum(np.arange(x * size * f, (x + 1) * size * f), w - 1)
            sums = plane[np.ix_(rows, columns)].reshape(size, f, size, f).sum((1, 3))
            parts.append((sums >> (2 * self.n)).ravel() - 512)
        self._region = np.concatenate(parts)
        self.predicted[: self.known] = self._transformed()[: self.known]

    def _transformed(self) -> Ints:
        count = self.now.level[self.n].count
        coefficients: Ints = (
            self.bases[self.n][:count].astype(np.int64) @ self._region + 512
        ) >> 10
        return coefficients


def distance(a: tuple[int, int], b: tuple[int, int]) -> int:
    return log8(1 + abs(a[0] - b[0]) + abs(a[1] - b[1]))
