"""The `klt` structure layer: our own integer loop (C++ inside), as a structure plug.

The model (`klt-2.safetensors`) holds integer transform bases and the entropy model's initial state
and network; it is embedded in the package, so a `klt` stream needs nothing else. One packet a
frame, in display order, closed GOPs.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from gvcodec.bitstream import SequenceHeader
from gvcodec.errors import DamagedStreamError, UsageError, WrongModelError
from gvcodec.models import shipped_folders
from gvcodec.structure import Coded, CodedFrame
from gvcodec.structure.klt.lookahead import DEPTH, Lookahead
from gvcodec.types import Planes, VideoFormat

if TYPE_CHECKING:
    from gvcodec import _core

LEVELS = 5
#: What is encoded with; `klt-1.safetensors` (no network) is shipped for streams that name it.
MODEL = "klt-2.safetensors"
#: A key frame is this much finer than the frames that are predicted from it.
KEY_GAIN = 7
#: Every so many frames one is finer by so much: with look-ahead and without.
CASCADE = 8, 5
LOW_DELAY_CASCADE = 4, 2
#: Every so many frames a finer one becomes the golden frame, the second one that later frames may
#: predict from.
GOLDEN_PERIOD = 8
#: Frames after a key frame in which a scene cut makes no new one.
MIN_GOP = 8
#: Beyond 0…63 quality is a matter of lambda alone, as far as its multiplier goes (64 = 27 steps).
Q_FINEST, Q_COARSEST = -18.0, 90.0
#: Nine steps of q double the quantiser step, and lambda goes with its square.
_LAMBDA_OF_A_STEP = 2 ** (2 / 9)


class Pace(Protocol):
    """Chooses the quality of each frame as it comes: rate control. Qualities are real numbers
    `Q_FINEST`…`Q_COARSEST`."""

    def quality(self, key: bool) -> float:
        """Of the next frame; `key`: it has to be a key frame."""
        ...

    def again(self, size: int, key: bool) -> float | None:
        """The frame took `size` bytes: the quality to code it anew with, or None when it may
        stay."""
        ...


LambdaMap = NDArray[np.float32]


def steps_and_lambda(quality: float) -> tuple[int, float]:
    """A real quality as quantiser index 0…63 and multiplier of lambda: between two indices the rate
    goes with lambda."""
    q = min(63, max(0, round(quality)))
    return q, _LAMBDA_OF_A_STEP ** (quality - q)


def model_path() -> Path:
    """Where the embedded model lies: under `checkpoints/` of the checkout or of the installed
    package."""
    for folder in shipped_folders():
        path = folder / MODEL
        if path.is_file():
            return path
    raise WrongModelError(
        f"the model {MODEL} is not part of this installation; install gvcodec again"
    )


@lru_cache(maxsize=4)
def load_model(path: Path | None = None) -> _core.Model:
    """The model as the C++ core takes it. Raises `WrongModelError` when the file is missing or of
    another kind."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = path or model_path()
    try:
        tensors = load_file(path)
        return make_model(tensors)
    except (KeyError, ValueError, TypeError, OSError, SafetensorError) as error:
        raise WrongModelError(f"{path}: not a klt model ({error})") from error


def make_model(tensors: dict[str, np.ndarray]) -> _core.Model:
    """Model from its tensors: `basis.key`, `basis.inter` (384, 384) and `basis.coarse` (64, 384)
    int16 in units of 2^-12, `entropy.*` the entropy model's initial state; `refiner.*`, if there,
    its network (`RefinerModel`)."""
    from gvcodec import _core
    from gvcodec.structure.klt.refiner_tensors import core_refiner

    coarse = [tensors["basis.coarse"]] * (LEVELS - 1)
    return _core.Model(
        [tensors["basis.key"], *coarse],
        [tensors["basis.inter"], *coarse],
        tensors["entropy.probabilities"],
        tensors["entropy.counts"],
        tensors["entropy.weights"],
        core_refiner(tensors),
    )


def default_threads(threads: int) -> int:
    return threads if threads > 0 else os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class KltTools:
    """What the encoder may use. `lookahead`: frames it waits for, 0…16, so many packets come late;
    `cascade`: finer quality for key frames and for every few frames; `aq`: units of q by which a
    block of twice the variance is coarser, in effect; the rest as in `csrc/klt/encoder.hpp`.
    Without `deblock` the loop frames are not those of any decoder."""

    lookahead: int = 0
    cascade: bool = True
    aq: float = 0.5
    coarse_tokens: bool = True
    quadtree: bool = True
    merge: bool = True
    fractions: bool = True
    golden: bool = True
    rdoq: bool = True
    deblock: bool = True


@dataclass(frozen=True, slots=True)
class _Waiting:
    planes: Planes
    force_key: bool
    lambda_map: LambdaMap | None


class KltEncoder:
    """Encoder side. `q` 0…63 (0 = best), `keyint` frames between key frames (0 = only the first and
    scene cuts).

    `q` need not be whole. `pace` takes its place where the quality changes from frame to frame.

    Loop frames are those that a decoder will have, exactly.
    """

    def __init__(
        self,
        width: int,
        height: int,
        q: float,
        keyint: int = 0,
        scene_cut: bool = True,
        threads: int = 0,
        model: Path | None = None,
        tools: KltTools = KltTools(),
        pace: Pace | None = None,
    ) -> None:
        from gvcodec import _core

        if not 0 <= q <= 63:
            raise UsageError(f"q is 0…63, not {q}")
        if not 0 <= tools.lookahead <= DEPTH:
            raise UsageError(f"the look-ahead is 0…{DEPTH} frames, not {tools.lookahead}")
        threads = default_threads(threads)
        self._core = _core.KltEncoder(
            load_model(model),
            width,
            height,
            threads,
            aq=tools.aq,
            coarse_tokens=tools.coarse_tokens,
            quadtree=tools.quadtree,
            merge=tools.merge,
            fractions=tools.fractions,
            golden=tools.golden,
            rdoq=tools.rdoq,
            deblock=tools.deblock,
        )
        self._ahead = Lookahead(width, height, threads) if tools.lookahead else None
        self._map_shape = ((height + 15) // 16, (width + 15) // 16)
        self._q, self._keyint, self._scene_cut, self._tools = q, keyint, scene_cut, tools
        self._pace = pace
        self._since_key = -1
        self._waiting: deque[_Waiting] = deque()

    def send(
        self, planes: Planes, force_key: bool = False, lambda_map: LambdaMap | None = None
    ) -> Coded:
        """Take the next frame (Y, U, V uint16, 10 bit); releases the one sent `lookahead` frames
        ago.

        `lambda_map` (ceil(height / 16), ceil(width / 16)) multiplies the Lagrange multiplier of
        every decision in a 16×16 luma block: above 1 means fewer bits there. Values are finite and
        above 0, and count as at least 1/64 and at most 64; None = 1 everywhere. Raises `UsageError`
        for another shape or value.
        """
        if lambda_map is not None:
            lambda_map = np.ascontiguousarray(lambda_map, dtype=np.float32)
            if (
                lambda_map.shape != self._map_shape
                or not (np.isfinite(lambda_map) & (lambda_map > 0)).all()
            ):
                rows, columns = self._map_shape
                raise UsageError(f"a lambda map holds {rows} × {columns} finite values above 0")
        y, u, v = (np.ascontiguousarray(p, dtype=np.uint16) for p in planes)
        self._waiting.append(_Waiting((y, u, v), force_key, lambda_map))
        if self._ahead is not None:
            self._ahead.push(y)
        return self._release(self._tools.lookahead)

    def flush(self) -> Coded:
        """No more frames: release those held back."""
        return self._release(0)

    def _release(self, held: int) -> Coded:
        coded = Coded()
        while len(self._waiting) > held:
            payload, is_key = self._encode_oldest()
            coded.packets.append(CodedFrame(payload, is_key, payload[0] & 0x3F))
            coded.loops.append(self._core.loop())
        return coded

    def _encode_oldest(self) -> tuple[bytes, bool]:
        frame = self._waiting[0]
        position = self._since_key + 1  # in the GOP, if this is no key frame
        key = frame.force_key or self._since_key < 0 or 0 < self._keyint <= position
        quality = self._q if self._pace is None else self._pace.quality(key)
        inter_q, key_q, lambda_map = quality, quality, frame.lambda_map
        period, gain = LOW_DELAY_CASCADE
        if self._ahead is not None:
            period, gain = CASCADE
            whole, _ = steps_and_lambda(quality)
            choice = self._ahead.choose(whole, key, self._until_key(0 if key else position))
            inter_q, key_q = inter_q + choice.q - whole, key_q + choice.key_q - whole
            lambda_map = choice.lambda_map if lambda_map is None else choice.lambda_map * lambda_map
        if self._tools.cascade:
            inter_q -= gain * (position % period == 0)
            key_q -= KEY_GAIN
        cut = self._scene_cut and position >= MIN_GOP
        if self._pace is not None:
            self._core.save()
        payload, is_key = self._code(frame.planes, inter_q, key_q, key, cut, lambda_map)
        while (
            self._pace is not None
            and (better := self._pace.again(len(payload), is_key)) is not None
        ):
            self._core.restore()
            step = better - quality
            payload, is_key = self._code(
                frame.planes, inter_q + step, key_q + step, key, cut, lambda_map
            )
        self._waiting.popleft()
        self._since_key = 0 if is_key else position
        return payload, is_key

    def _code(
        self,
        planes: Planes,
        inter_q: float,
        key_q: float,
        key: bool,
        cut: bool,
        lambda_map: LambdaMap | None,
    ) -> tuple[bytes, bool]:
        """Payload of one frame and whether it became a key frame."""
        whole, factor = steps_and_lambda(inter_q)
        key_whole, key_factor = steps_and_lambda(key_q)
        factor = key_factor if key else factor
        if factor != 1:
            lambda_map = (np.ones(self._map_shape) if lambda_map is None else lambda_map) * factor
            lambda_map = lambda_map.astype(np.float32)
        golden = (self._since_key + 1) % GOLDEN_PERIOD == 0
        return self._core.encode(*planes, whole, key_whole, key, cut, lambda_map, golden)

    def _until_key(self, position: int) -> int:
        """Frames waiting before the next key frame that is known of, with the oldest, which is at
        `position` in its GOP."""
        count = len(self._waiting)
        if self._keyint:
            count = min(count, self._keyint - position)
        forced = (
            number for number, frame in enumerate(self._waiting) if number and frame.force_key
        )
        return min(count, next(forced, count))


class KltDecoder:
    """Decoder side: one packet in, one loop frame out. Raises `DamagedStreamError` for anything
    that is no frame."""

    def __init__(
        self, width: int, height: int, threads: int = 0, model: Path | None = None
    ) -> None:
        from gvcodec import _core

        self._core = _core.KltDecoder(load_model(model), width, height, default_threads(threads))

    def send(self, payload: bytes, keyframe: bool) -> list[Planes]:
        if not payload or bool(payload[0] & 0x40) != keyframe:
            raise DamagedStreamError("frame type differs from the packet's")
        return [self._core.decode(payload)]

    def flush(self) -> list[Planes]:
        return []

    def window_bits(self) -> NDArray[np.float32]:
        """Code lengths of the 256×256 windows of the last frame, (rows, columns), in bits."""
        return self._core.window_bits()

    def window_tokens(self) -> NDArray[np.int64]:
        """How many tokens each window of the last frame has, (rows, columns)."""
        total: NDArray[np.int64] | None = None
        for level in reversed(range(LEVELS)):
            coded = (self._core.tokens(level)[1] >= 0).astype(np.int64)
            if total is None:
                total = coded
                continue
            side = 1 << (LEVELS - 1 - level)
            rows = np.add.reduceat(coded, np.arange(0, coded.shape[0], side), 0)
            total = total + np.add.reduceat(rows, np.arange(0, coded.shape[1], side), 1)
        assert total is not None
        return total

    def abandon(self) -> list[Planes]:
        return []


def open_encoder(
    fmt: VideoFormat,
    q: float,
    keyint: int = 0,
    low_delay: bool = False,
    threads: int = 0,
    pace: Pace | None = None,
) -> KltEncoder:
    """An encoder that looks ahead unless `low_delay`. `pace` steers the quality of frames."""
    tools = KltTools(lookahead=0 if low_delay else DEPTH)
    size = (fmt.width, fmt.height)
    cut = keyint > 0  # 0 = only the first frame is a keyframe
    return KltEncoder(*size, q, keyint, cut, threads=threads, tools=tools, pace=pace)


def open_decoder(
    header: SequenceHeader, threads: int, low_delay: bool, model: Path | None
) -> KltDecoder:
    """As `gvcodec.bases` wants it."""
    return KltDecoder(header.format.width, header.format.height, threads=threads, model=model)
