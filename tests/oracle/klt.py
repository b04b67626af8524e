"""Reference decoder of the `klt` structure layer: Python and NumPy, exactly the loop frames of the C++ decoder.

It is also the layer's specification in executable form. A payload is one byte (bits 0-5: q, bit 6: key frame, bit 7: in key
frames, the GOP has a golden frame; in others, the rANS bytes are trimmed) and the rANS bytes of the frame's binary decisions
(`gvcodec.entropy.reference`). A frame is padded to a multiple of 16 and cut into windows of 256×256, coded row by row: in a
window first the motion quadtree (z-order, not in key frames), then the tokens of the pyramid levels 4 (the window) … 0 (its
16×16 blocks), row by row in each level.

The golden frame is a second one that regions may be predicted from, alone or averaged with the last: the key frame, until a
later frame takes its place. Inter frames of a GOP that has one begin with two flags: this frame becomes the golden frame for
those after it; this frame uses the golden frame, which is not asked when that is the last frame anyway.
Every decision names its contexts and its weight set: entries of the families in `reference_contexts`. A model may have a
refiner (`reference_refiner`), which looks at the prediction: then the motion of all windows comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec.entropy.reference import BitDecoder, MixState, clamp
from gvcodec.errors import DamagedStreamError
from gvcodec.structure.klt import reference_loop as loop
from gvcodec.structure.klt.codec import model_path
from gvcodec.structure.klt.reference_contexts import (
    GROUP_BITS,
    GROUP_FIRST,
    OLDEST,
    SET,
    SLOT,
    TOP,
    Entry,
    bucket,
    coarse_group,
    energy6,
    group_of,
    index8,
    index16,
    index72,
    sign3,
    small,
)
from gvcodec.structure.klt.reference_loop import Ints
from gvcodec.structure.klt.reference_refiner import Refinement, Refiner, RefinerModel
from gvcodec.structure.klt.reference_tokens import GOLDEN, LAST, STILL, Motion, Tokens, Vector
from gvcodec.types import Planes

MV_LIMIT = 4095
MAX_LEVEL = (1 << 15) - 1


class FrameReader:
    """Decodes the decisions of one frame into `now`, with `before` = the tokens of the frame decoded last."""

    def __init__(
        self,
        coder: BitDecoder,
        now: Tokens,
        before: Tokens,
        q: int,
        key: bool,
        refiner: Callable[[], Refiner] | None = None,
    ) -> None:
        self.coder, self.now, self.before, self.q, self.key = coder, now, before, q, key
        self.inter = 0 if key else 1
        self.make_refiner, self.refiner = refiner, None

    def read(self) -> None:
        """`refiner` is called for when the motion of the frame is known."""
        now, top = self.now, self.now.level[TOP]
        if not self.key and now.has_golden:
            age = now.golden_age
            now.becomes_golden = bool(self.bit(("golden", 0), ("becomes golden", age)))
            now.uses_golden = age > 1 and bool(self.bit(("golden", 1), ("uses golden", age)))
        windows = [(wx, wy) for wy in range(top.height) for wx in range(top.width)]
        if self.make_refiner is None:
            for window in windows:
                self.move(*window)
                self.fill(*window)
            return
        for window in windows:
            self.move(*window)
        self.refiner = self.make_refiner()
        for window in windows:
            self.fill(*window)
        self.refiner.remember()

    def move(self, wx: int, wy: int) -> None:
        if not self.key:
            self.motion(TOP, wx, wy)

    def fill(self, wx: int, wy: int) -> None:
        for n in range(TOP, -1, -1):
            level, side = self.now.level[n], 1 << (TOP - n)
            for y in range(wy * side, min((wy + 1) * side, level.height)):
                for x in range(wx * side, min((wx + 1) * side, level.width)):
                    self.node(n, x, y)

    def bit(self, weights: Entry, *contexts: Entry, refinement: Refinement | None = None) -> int:
        refine = partial(self.refiner.refine, refinement) if self.refiner and refinement else None
        return self.coder.bit([SLOT(*c) for c in contexts], SET(*weights), refine)

    def refined(self, *contexts: Entry) -> tuple[Entry, ...]:
        """Contexts that only models with a refiner have."""
        return contexts if self.make_refiner else ()

    # Motion.

    def motion(self, n: int, nx: int, ny: int) -> None:
        now, size, x, y = self.now, 1 << n, nx << n, ny << n
        if x >= now.w or y >= now.h:
            return
        left = int(now.depth[y, x - 1]) if x else TOP
        above = int(now.depth[y - 1, x]) if y else TOP
        if n:

            def finer(depth: int) -> int:
                return 2 if depth < n else 1 if depth == n else 0

            if self.bit(
                ("split", n),
                ("split.near", n, finer(left), finer(above)),
                ("split.past", n, int(self.before.depth[y, x]), min(left, above)),
                ("split.q", n, self.q // 4),
                *self.refined(
                    (
                        "split.finer",
                        n,
                        int(left < n) + int(above < n) + int(self.before.depth[y, x] < n),
                        (ny & 1) * 2 + (nx & 1),
                        self.q // 16,
                    )
                ),
            ):
                for i in range(4):
                    self.motion(n - 1, 2 * nx + i % 2, 2 * ny + i // 2)
                return
        candidates = self.candidates(x, y, size)
        left_merged = int(now.merged[y, x - 1]) if x else 2
        above_merged = int(now.merged[y - 1, x]) if y else 2
        spread = apart4(candidates[0], candidates[min(1, len(candidates) - 1)])
        past_depth = int(self.before.depth[y, x])
        merged = self.bit(
            ("merge", n),
            ("merge.near", n, left_merged, above_merged),
            ("merge.q", n, self.q // 4),
            *self.refined(
                ("merge.spread", n, len(candidates) - 1, spread),
                ("merge.past", n, int(self.before.merged[y, x]), 2 if past_depth < n else int(past_depth == n)),
            ),
        )
        if merged:
            chosen, same = 0, self.past_motion(x, y, size)
            past = candidates.index(same) if same in candidates else len(candidates)
            while chosen < len(candidates) - 1:
                apart = apart4(candidates[chosen], candidates[chosen + 1])
                if not self.bit(
                    ("merge.index", 0),
                    ("merge.index", n, chosen),
                    *self.refined(
                        ("merge.index.left", n, chosen, len(candidates) - 2),
                        ("merge.index.apart", chosen, apart, left_merged, above_merged),
                        ("merge.index.past", chosen, past, self.q // 16),
                    ),
                ):
                    break
                chosen += 1
            motion = candidates[chosen]
        else:
            source = self.source(n, x, y) if now.uses_golden else LAST
            last, golden = (self.vector(n, candidates, source, frame) for frame in (LAST, GOLDEN))
            motion = last, golden, source
        area = slice(y, min(y + size, now.h)), slice(x, min(x + size, now.w))
        now.motion[area], now.depth[area], now.merged[area] = (*motion[0], *motion[1], motion[2]), n, merged

    def candidates(self, x: int, y: int, size: int) -> list[Motion]:
        """Left, above, same place in the frame before, above left, zero; each motion once."""
        now = self.now
        low, right = min(y + size, now.h) - 1, min(x + size, now.w) - 1
        found = []
        if x:
            found.append(now.motion_of(x - 1, low))
        if y:
            found.append(now.motion_of(right, y - 1))
        found.append(self.past_motion(x, y, size))
        if x and y:
            found.append(now.motion_of(x - 1, y - 1))
        return list(dict.fromkeys([*found, STILL]))

    def source(self, n: int, x: int, y: int) -> int:
        """Which frames a region is predicted from."""
        left = int(self.now.motion[y, x - 1, 4]) - 1 if x else 0
        above = int(self.now.motion[y - 1, x, 4]) - 1 if y else 0
        past = int(self.before.motion[y, x, 4]) - 1
        chosen = LAST
        for step, choice in enumerate((GOLDEN, LAST | GOLDEN)):
            if not self.bit(("from", step), ("from.near", step, left, above, past), ("from.level", step, n)):
                break
            chosen = choice
        return chosen

    def vector(self, n: int, candidates: list[Motion], source: int, frame: int) -> Vector:
        """The vector into one of the frames, coded as a difference to the first candidate's that has one."""
        if not source & frame:
            return 0, 0
        near = [c[frame - 1] for c in candidates if c[2] & frame] or [(0, 0)]
        first, second = near[0], near[min(1, len(near) - 1)]
        dx = self.difference(n, 0, 0, second[0] - first[0], first[0])
        dy = self.difference(n, 1, int(dx != 0), second[1] - first[1], first[1])
        return clamp(first[0] + dx, -MV_LIMIT, MV_LIMIT), clamp(first[1] + dy, -MV_LIMIT, MV_LIMIT)

    def past_motion(self, x: int, y: int, size: int) -> Motion:
        low, right = min(y + size, self.now.h) - 1, min(x + size, self.now.w) - 1
        past = self.before.motion_of((x + right) // 2, (y + low) // 2)
        return past if self.now.uses_golden else (past[0], (0, 0), LAST)

    def difference(self, n: int, axis: int, other: int, second: int, first: int) -> int:
        """One component of a vector difference: zero flag, sign, exp-Golomb magnitude. `second`: the second candidate's
        difference to the first, `first`: the first candidate's component."""
        gap = min(7, abs(second).bit_length())

        def decide(weight_set: int, number: int, *contexts: Entry) -> int:
            known = self.refined(("mv.level", number, n), ("mv.gap", number, gap), ("mv.q", number, self.q // 8))
            return self.bit(("mv", weight_set), contexts[0], *known, *contexts[1:])

        if not decide(0, 2 * axis + other, ("mv.zero", axis, other)):
            return 0
        towards = self.refined(("mv.sign.towards", axis, sign3(second), sign3(first)))
        negative = decide(1, 4 + axis, ("mv.sign", axis), *towards)
        bits = 0
        while bits < 13 and decide(2, 6 + 16 * axis + bits, ("mv.prefix", axis, bits)):
            bits += 1
        magnitude = 1 << bits | (self.coder.raw(bits) if bits else 0)
        return -magnitude if negative else magnitude

    # Tokens.

    def past_node(self, n: int, x: int, y: int) -> tuple[int, int]:
        """(row, column) of the token of the frame before that the motion in the middle of the region points at."""
        level, half = self.now.level[n], (1 << n) >> 1
        bx, by = min((x << n) + half, self.now.w - 1), min((y << n) + half, self.now.h - 1)
        mx, my = self.now.motion_of(bx, by)[0]
        px = clamp((bx * 64 + 32 + mx) >> (6 + n), 0, level.width - 1)
        py = clamp((by * 64 + 32 + my) >> (6 + n), 0, level.height - 1)
        return py, px

    def node(self, n: int, x: int, y: int) -> None:
        level = self.now.level[n]
        parent_energy = siblings = 0
        if n < TOP:
            up = self.now.level[n + 1]
            if not up.any[y >> 1, x >> 1]:
                return
            parent_energy = int(up.energy[y >> 1, x >> 1])
            for i in range((y & 1) * 2 + (x & 1)):  # those of the same parent that came before, in z-order
                sy, sx = (y & ~1) + i // 2, (x & ~1) + i % 2
                siblings += int(level.any[sy, sx]) if sx < level.width else 0
        past = self.past_node(n, x, y)
        old = self.before.level[n]
        k = 2 * n + self.inter
        left, above = (y, x - 1) if x else None, (y - 1, x) if y else None
        left_energy = energy6(int(level.energy[left])) if left else 0
        above_energy = energy6(int(level.energy[above])) if above else 0
        past_energy = energy6(int(old.energy[past]))
        near_any = (int(level.any[left]) if left else 0) + (int(level.any[above]) if above else 0)
        block = y << n, x << n
        if self.refiner:
            self.refiner.visit(n, x, y, past, siblings)
        level.any[y, x] = self.bit(
            ("any", k),
            ("any.near", k, near_any, int(old.any[past])),
            ("any.energy", k, left_energy, above_energy),
            ("any.q", k, self.q // 4),
            ("any.motion", k, int(self.now.depth[block]), int(self.now.merged[block]), min(past_energy, 3)),
            ("any.parent", k, energy6(parent_energy), siblings, y & 1, x & 1),
            refinement=self.refiner.any() if self.refiner else None,
        )
        if not level.any[y, x]:
            return
        if n and not self.bit(
            ("self", k),
            ("self.past", k, past_energy),
            ("self.energy", k, left_energy, above_energy),
            ("self.q", k, self.q // 4),
        ):
            return
        self.token(n, (y, x), left, above, past)

    def token(
        self,
        n: int,
        at: tuple[int, int],
        left: tuple[int, int] | None,
        above: tuple[int, int] | None,
        past: tuple[int, int],
    ) -> None:
        level, old = self.now.level[n], self.before.level[n]
        k = 2 * n + self.inter
        last = self.last_index(
            k,
            level.count,
            max(coarse_group(int(level.last[p])) if p else 0 for p in (left, above)),
            coarse_group(int(old.last[past])),
        )
        nothing = np.zeros(level.count, np.int64)
        from_left = level.value[left] if left else nothing
        from_above = level.value[above] if above else nothing
        from_past = old.value[past]
        group = group_of(last)
        one_back = two_back = 0
        refiner = self.refiner
        for i in range(last + 1):
            vl, va, vp = int(from_left[i]), int(from_above[i]), int(from_past[i])
            near = small(vl) + small(va) + 2 * small(vp)
            run = small(one_back) * 3 + small(two_back)
            i8 = index8(i)
            around: tuple[int, ...] = ()
            if refiner:
                refiner.coefficient(i, last, one_back, two_back)
                around = index16(i), refiner.predicted8(i)
            magnitude = 1
            if i < last:
                magnitude = self.bit(
                    ("sig", k, i8),
                    ("sig.index", k, index72(i)),
                    ("sig.near", k, i8, near),
                    ("sig.run", k, run, min(7, last - i), i8),
                    ("sig.q", k, self.q // 4, index16(i)),
                    ("sig.group", k, group, index72(i)),
                    *([("sig.predicted", k, *around, refiner.relatives3)] if refiner else []),
                    refinement=refiner.significant() if refiner else None,
                )
            if magnitude:
                if self.bit(
                    ("big", k, i8),
                    ("big.index", k, index72(i)),
                    ("big.near", k, i8, near),
                    ("big.run", k, run, i8),
                    ("big.q", k, self.q // 4, index16(i)),
                    ("big.group", k, group, i8),
                    *([("big.predicted", k, *around, refiner.relatives3)] if refiner else []),
                    refinement=refiner.larger(1) if refiner else None,
                ):
                    magnitude = self.more(k, i8, near)
                level.value[(*at, i)] = -magnitude if self.negative(k, i, vl, va, vp, around) else magnitude
            one_back, two_back = magnitude, one_back
        level.last[at] = last
        level.energy[at] = min(255, int(np.abs(level.value[at]).sum()))
        if refiner:
            refiner.coded()

    def last_index(self, k: int, count: int, near: int, past: int) -> int:
        group, top = 0, group_of(count - 1)
        while group < top and self.bit(
            ("last", k),
            ("last.group", k, group),
            ("last.near", k, group, near),
            ("last.q", k, group, self.q // 8),
            ("last.past", k, group, past),
            refinement=self.refiner.last(group) if self.refiner else None,
        ):
            group += 1
        rest = 0
        for b in range(GROUP_BITS[group] - 1, -1, -1):
            rest |= self.bit(("last.bits", 0), ("last.bits", group, b)) << b
        if GROUP_FIRST[group] + rest >= count:
            raise DamagedStreamError("last index out of range")
        return GROUP_FIRST[group] + rest

    def more(self, k: int, i8: int, near: int) -> int:
        """Magnitude above 1: unary up to 15, then exp-Golomb."""
        for m in range(2, 16):
            if not self.bit(
                ("more", 0),
                ("more.index", k, m - 2, i8),
                ("more.near", m - 2, near, self.inter),
                ("more.q", m - 2, self.q // 4, self.inter),
                refinement=self.refiner.larger(m) if self.refiner else None,
            ):
                return m
        bits = 0
        while bits < 14 and self.coder.raw(1):
            bits += 1
        return min(MAX_LEVEL, 15 + (1 << bits | (self.coder.raw(bits) if bits else 0)))

    def negative(self, k: int, i: int, vl: int, va: int, vp: int, around: tuple[int, ...]) -> int:
        predicted: list[Entry] = []
        if self.refiner and not self.key:
            predicted = [("sign.predicted", k, *around, sign3(int(self.refiner.predicted[i])))]
        if i >= 16:
            return self.bit(("sign", 1), ("sign.rest", k, 0), *predicted)
        near, past = ("sign.near", k, i, sign3(vl), sign3(va)), ("sign.past", k, i, sign3(vp))
        return self.bit(("sign", 0), near, past, *predicted)


def apart4(a: Motion, b: Motion) -> int:
    """How far two motions lie apart: equal, less than a sample, less than four, more or predicted from different frames."""
    apart = sum(abs(p - q) for u, v in zip(a[:2], b[:2], strict=True) for p, q in zip(u, v, strict=True))
    return bucket(apart, (1, 4, 16)) if a[2] == b[2] else 3


class ReferenceDecoder:
    """The plug's decoder interface: one payload in, one loop frame out. Raises `DamagedStreamError`.

    `tokens` are the decoded integers of the last frame, None before the first and after a damaged one.
    """

    def __init__(self, width: int, height: int, model_path_: Path | None = None) -> None:
        from safetensors.numpy import load_file

        tensors = load_file(model_path_ or model_path())
        self._basis = {name: tensors[f"basis.{name}"] for name in ("key", "inter", "coarse")}
        blank = MixState.blank(SLOT.count, SET.count)  # contexts that the model does not know have learned nothing
        self._initial = MixState(
            *(
                (known := tensors[f"entropy.{name}"].ravel().tolist()) + rest[len(known) :]
                for name, rest in (("probabilities", blank.p), ("counts", blank.n), ("weights", blank.w))
            )
        )
        self._refiner = RefinerModel.of(tensors)
        self._size = width, height
        self.tokens: Tokens | None = None
        self._state = self._initial.copy()
        self._loop: list[Ints] = []
        self._golden: list[Ints] = []
        self._prediction: list[Ints] | None = None

    def send(self, payload: bytes, keyframe: bool) -> list[Planes]:
        if not payload or bool(payload[0] & 0x40) != keyframe:
            raise DamagedStreamError("bad frame header")
        before, self.tokens = self.tokens, None  # nothing to go on from if this frame is damaged
        if keyframe:
            self._state, before = self._initial.copy(), Tokens(*self._size)
        elif before is None:
            raise DamagedStreamError("no key frame before this frame")
        q, now = payload[0] & 0x3F, Tokens(*self._size)
        if keyframe:
            now.has_golden = now.becomes_golden = bool(payload[0] & 0x80)
        elif before.has_golden:
            now.has_golden = True
            now.golden_age = 1 if before.becomes_golden else min(before.golden_age + 1, OLDEST)
        coder = BitDecoder(self._state, payload[1:], not keyframe and bool(payload[0] & 0x80))
        self._prediction = None
        make = partial(self._make_refiner, now, before, q, keyframe) if self._refiner else None
        FrameReader(coder, now, before, q, keyframe, make).read()
        if not coder.finished():
            raise DamagedStreamError("frame does not end where it should")
        prediction = self._prediction or self._predict(now, keyframe)
        self._loop = self._reconstruct(now, prediction, q, keyframe)
        if keyframe or now.becomes_golden:
            self._golden = self._loop
        self.tokens = now
        return [self._cropped()]

    def flush(self) -> list[Planes]:
        return []

    def _predict(self, now: Tokens, key: bool) -> list[Ints]:
        if key:
            return [np.full((now.h * n, now.w * n), 512, np.int64) for n in loop.SIZES]
        frames = zip(self._loop, self._golden, strict=True)
        return [loop.predict(last, golden, now.motion, c > 0) for c, (last, golden) in enumerate(frames)]

    def _make_refiner(self, now: Tokens, before: Tokens, q: int, key: bool) -> Refiner:
        assert self._refiner is not None
        self._prediction = self._predict(now, key)
        bases = [self._basis["key" if key else "inter"], *[self._basis["coarse"]] * TOP]
        return Refiner(self._refiner, bases, None if key else self._prediction, now, before, q)

    def _reconstruct(self, now: Tokens, prediction: list[Ints], q: int, key: bool) -> list[Ints]:
        residual = self._residual(now, q, "key" if key else "inter")
        planes = [np.clip(p + r, 0, loop.MAX_SAMPLE) for p, r in zip(prediction, residual, strict=True)]
        across, down = edges_to_filter(now, key)
        return [loop.deblock(p, across, down, q, n) for p, n in zip(planes, loop.SIZES, strict=True)]

    def _residual(self, now: Tokens, q: int, kind: str) -> list[Ints]:
        """Sum of the tokens of all pyramid levels, coarse ones first."""
        planes = [np.zeros((now.h * n, now.w * n), np.int64) for n in loop.SIZES]
        for n in range(TOP, -1, -1):
            level, step = now.level[n], loop.quantiser_step(q, n)
            basis = self._basis[kind if n == 0 else "coarse"]
            for y, x in np.argwhere(level.last >= 0):
                coefficients = loop.dequantise(level.value[y, x, : level.last[y, x] + 1], step)
                loop.add_token(planes, n, x, y, loop.klt_inverse(basis, coefficients))
        return planes

    def _cropped(self) -> Planes:
        width, height = self._size
        y, u, v = (p.astype(np.uint16) for p in self._loop)
        ch, cw = (height + 1) // 2, (width + 1) // 2
        return y[:height, :width], u[:ch, :cw], v[:ch, :cw]


def edges_to_filter(now: Tokens, key: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Edges with a fine token on either side or of regions that moved apart: across (h, w-1), down (h-1, w)."""
    coded = (now.level[0].last >= 0) | key
    across = coded[:, 1:] | coded[:, :-1] | moved_apart(now.motion[:, 1:], now.motion[:, :-1])
    down = coded[1:] | coded[:-1] | moved_apart(now.motion[1:], now.motion[:-1])
    return across, down


def moved_apart(a: Ints, b: Ints) -> NDArray[np.bool_]:
    """Where two motions (…, 5) are a sample or more apart or predict from different frames."""
    apart: NDArray[np.bool_] = (np.abs(a - b)[..., :4] >= 4).any(-1) | (a[..., 4] != b[..., 4])
    return apart
