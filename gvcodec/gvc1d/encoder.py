"""Encoder of base gvc1d (torch): one frame in, one packet out, so it streams.

    source ─► motion search ─► prediction ─► transform ─► rounding by J ─► packet
                 ▲ last frame, or at a scene cut a remembered      │
                 │ picture                                         │
                 └──────── loop filter ◄── integer loop ◄──────────┘

Where a scene begins inside a GOP, the last frame enters the memory, and the frame is predicted from
whichever remembered picture is nearest, or from nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec._core import motion_search
from gvcodec.base import BaseEncoder, BasePacket, EncodeResult
from gvcodec.base.scene_cuts import SceneCutDetector
from gvcodec.entropy.streams import Backend
from gvcodec.errors import INSTALL_TORCH, UsageError
from gvcodec.gvc1d.exact import QUALITIES, STEPS
from gvcodec.gvc1d.frame_payload import (
    LEVELS,
    REMEMBERED,
    Coder,
    Head,
    LoopState,
    Predicted,
    Values,
    Vectors,
    after,
    filtered,
    pack,
    predict,
    recall,
    remember,
    sides_of,
)
from gvcodec.gvc1d.model_file import read_loop
from gvcodec.gvc1d.motion import choose_vectors
from gvcodec.gvc1d.pictures import crop, pad, padded_size
from gvcodec.gvc1d.token_order import COARSE, FIRST, FIRST_FINER, REGIONS, length_of, planes_of
from gvcodec.models import GVC1D
from gvcodec.types import Planes, VideoFormat

#: Absolute differences that a vector's bit is worth, in steps: the root of λ.
_PENALTY = 0.39
#: A remembered picture is the reference where its error is below this multiple of 16×16 block
#: means'.
_WORTH = 0.8


class Gvc1dEncoder(BaseEncoder):
    """Encoder of the plug. `q` 0…63; `keyint` frames between keyframes, 0 = only the first. Raises
    `UsageError`, `MediaError`."""

    def __init__(
        self,
        fmt: VideoFormat,
        q: float,
        keyint: int = 0,
        threads: int = 0,
        model: Path | None = None,
        device: str = "cpu",
        backend: Backend = "cpu",
    ) -> None:
        try:
            from gvcodec.gvc1d.rounding import Rounding
        except ImportError:
            raise UsageError(f"base gvc1d encodes with torch ({INSTALL_TORCH})") from None
        if not 0 <= q < QUALITIES or keyint < 0:
            raise UsageError(f"no base gvc1d with q {q:g} and a keyframe distance of {keyint}")
        self._fmt, self._q, self._keyint = fmt, round(q), keyint
        path = model or GVC1D.find()
        self._loop = read_loop(path)
        self._transform = self._loop.transform
        self._size = padded_size(fmt)
        self._windows = self._size[0] * self._size[1] // 65536
        self._coder = Coder(self._loop, self._windows, backend)
        self._rounding = Rounding(path, threads, device)
        self._threads = max(1, threads)
        self._cuts = SceneCutDetector(fmt.width, fmt.height)
        self._state: LoopState | None = None
        self._since = 0

    def send(self, planes: Planes, force_key: bool = False) -> EncodeResult:
        cut = self._cuts.is_gop_start(planes[0])
        key = force_key or not self._since or self._since == self._keyint
        self._since = 1 if key else self._since + 1
        if key:
            self._state = None
        payload, frame = self._code(pad(planes, self._size), cut)
        return EncodeResult([BasePacket(payload, key)], [crop(frame, self._fmt)])

    def flush(self) -> EncodeResult:
        return EncodeResult()

    def _code(self, source: Planes, cut: bool) -> tuple[bytes, Planes]:
        state = self._state
        keep = state is not None and cut
        q = max(0, self._q - FIRST_FINER) if state is None or cut else self._q
        if state is not None and keep:
            remember(state, self._transform, q)
        reference, known = self._choose_reference(source, cut, q)
        level = 2 + planes_of(q)
        level = LEVELS[next(i for i, one in enumerate(LEVELS) if one >= level)]
        sides = sides_of(self._transform, known, state if reference else None, q, level)
        values = self._rounding.round(source, known.guess, q, level, sides)
        levels = style_offsets_of(values)
        values = values[:, : max(length_of(LEVELS[int(levels.max())]), COARSE)]
        plain = self._transform.add(known.guess, values, q)
        frame = filtered(self._loop, plain, known, q)
        better = squares(source, frame) < squares(source, plain)
        frame = frame if better else plain
        head = Head(q, reference, better, keep)
        payload = pack(
            head, known.vectors, levels, values, sides[:, : values.shape[1]], state, self._coder
        )
        self._state = after(state, frame, values, levels, reference == 0)
        return payload, frame

    def _choose_reference(self, source: Planes, cut: bool, q: int) -> tuple[int, Predicted]:
        """Its number in the payload, and the prediction."""
        state = self._state
        none = predict(None, self._size, None, None)
        if state is None:
            return 0, none
        if not cut:
            vectors, _ = self._search(source, state.frame, q)
            return 1, predict(state, self._size, state.frame, vectors)
        means = source[0].reshape(self._size[0] // 16, 16, -1, 16).mean((1, 3))
        flat = means.repeat(16, 0).repeat(16, 1)
        best, found = _WORTH * float(np.abs(source[0] - flat).sum()), (0, none)
        for k in range(min(len(state.memory), REMEMBERED)):
            picture = recall(state, self._transform, k)
            vectors, left = self._search(source, picture, q)
            if left < best:
                best, found = left, (2 + k, predict(state, self._size, picture, vectors))
        return found

    def _search(self, source: Planes, reference: Planes, q: int) -> tuple[Vectors, float]:
        """Vectors, and the sum of what they leave."""
        step = STEPS[q] / 16
        penalty = round(16 * _PENALTY * step)
        found, _ = motion_search(source[0], reference[0], penalty, self._threads, 1)
        return choose_vectors(source, reference, found, _PENALTY * step)


def squares(source: Planes, made: Planes) -> int:
    """Sum of squared errors of all three planes."""
    return sum(
        int(np.square(a.astype(np.int64) - b).sum()) for a, b in zip(source, made, strict=True)
    )


def style_offsets_of(values: Values) -> NDArray[np.int32]:
    """The shortest prefix of each window that holds all that is not 0, as a place in `LEVELS`."""
    some = values != 0
    planes = some[:, COARSE:].reshape(len(values), -1, REGIONS).any(2)
    count = planes.shape[1]
    last = np.where(planes.any(1), count - np.argmax(planes[:, ::-1], 1), 0)
    needed = np.where(
        last > 0,
        2 + last,
        np.where(some[:, FIRST:COARSE].any(1), 2, some[:, :FIRST].any(1).astype(int)),
    )
    return np.searchsorted(LEVELS, needed).astype(np.int32)
