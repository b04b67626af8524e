"""GVC1D as a base: frames in, packets out, by one network and exact arithmetic on every machine.

Planes are 10-bit 4:2:0; base frames, tokens and packets are the same everywhere. Encoding and
decoding take no torch. A scene cut inside a GOP is no keyframe, so that the memory can bridge it.
Raises `UsageError` for settings, `MediaError` for a model, `DamagedStreamError` for a payload.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from gvcodec.base import BaseDecoder, BaseEncoder, BasePacket, EncodeResult
from gvcodec.bases import INDEX_END
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.gvc1d import ops_exact
from gvcodec.gvc1d.budgets import Budget
from gvcodec.gvc1d.frame_coder import Frame, FrameCoder
from gvcodec.gvc1d.weights import read_network
from gvcodec.models import report_embedded_damage
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.process import count_cores

#: Operations that can use several threads.
_THREADED = ("linear", "layer_norm", "block", "attention", "gelu", "sigmoid")


#: The coarsest coded rate that the encoder uses. Beyond it the miniature network's files grow while
#: their quality falls.
COARSEST_RATE = 64


def rate_of(base_q: float) -> int:
    """The coded rate, 0 (finest) to COARSEST_RATE, of an index 0 to INDEX_END."""
    return round(base_q / INDEX_END * COARSEST_RATE)


def open_coder(fmt: VideoFormat, model: Path, threads: int) -> FrameCoder:
    """The network of a file for pictures of this format; `threads` 0 = all cores."""
    with report_embedded_damage(model):
        config, weights = read_network(model)
    names = [name for name in vars(ops_exact) if not name.startswith("_")]
    ops = SimpleNamespace(**{name: getattr(ops_exact, name) for name in names})
    threads = threads or count_cores()
    for name in _THREADED:
        setattr(ops, name, partial(getattr(ops_exact, name), threads=threads))
    return FrameCoder(config, weights, ops, (fmt.width, fmt.height))


class Gvc1dEncoder(BaseEncoder):
    """Encoder of the plug. `keyint`: frames between keyframes, 0 = only the first. `budget`:
    how many tokens a window gets."""

    def __init__(
        self, fmt: VideoFormat, q: float, keyint: int, threads: int, model: Path, budget: Budget
    ) -> None:
        if not 0 <= q <= INDEX_END or keyint < 0:
            raise UsageError(f"no base gvc1d with q {q:g} and a keyframe distance of {keyint}")
        self._coder = open_coder(fmt, model, threads)
        self._budget = budget
        self._rate, self._keyint = rate_of(q), keyint
        self._since_key = 0

    def send(self, planes: Planes, force_key: bool = False) -> EncodeResult:
        keyframe = force_key or not self._since_key or self._since_key == self._keyint
        if keyframe:
            self._since_key = 0
            self._coder.restart()
        self._since_key += 1
        frame = self._budget.choose(self._coder, planes, self._rate, keyframe)
        payload, base_frame = self._coder.encode(frame)
        return EncodeResult([BasePacket(payload, keyframe)], [base_frame], [frame.bytes_to_hash()])

    def flush(self) -> EncodeResult:
        return EncodeResult()


class Gvc1dDecoder(BaseDecoder):
    """Decoder of the plug. `latest`: the fields of the last packet."""

    def __init__(self, fmt: VideoFormat, model: Path, threads: int = 1) -> None:
        self._coder = open_coder(fmt, model, threads)
        self._started = False
        self.hash_bytes: deque[bytes] = deque()
        self.latest: Frame | None = None

    def send(self, payload: bytes, keyframe: bool) -> list[Planes]:
        if keyframe:
            self._coder.restart()
        elif not self._started:
            raise DamagedStreamError("a frame of gvc1d without a keyframe")
        self._started = True
        self.latest, base_frame = self._coder.decode(payload)
        self.hash_bytes.append(self.latest.bytes_to_hash())
        return [base_frame]

    def flush(self) -> list[Planes]:
        return []

    def abandon(self) -> None:
        self._started = False
        self.hash_bytes.clear()
