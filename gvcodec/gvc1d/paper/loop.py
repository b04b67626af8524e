"""Base gvc1d in the paper's form: a frame is the tokens of its windows, which are exact; networks
of floats (torch) make them and show them.

    source ─► a quarter of its size ─► encoder ─► tokens ─► adaptive counts, rANS ─► packet
                                          ▲          │
                context: last picture, last tokens ◄─ decoder ─► four times as large ─► base frame

Pictures differ in rounding between machines, so the base hash counts tokens. A keyframe, and a
frame with which a scene begins, has no context.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gvcodec.base import BaseDecoder, BaseEncoder, BasePacket, EncodeResult
from gvcodec.base.resample import Resampler
from gvcodec.base.scene_cuts import SceneCutDetector
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.gvc1d.paper.encoder import quantise
from gvcodec.gvc1d.paper.layers import Context, rate_of
from gvcodec.gvc1d.paper.payload import Frame, TokenCoder
from gvcodec.gvc1d.paper.sizes import LARGEST, REDUCED, grid_of
from gvcodec.gvc1d.paper.token_counts import QUALITIES, Integers
from gvcodec.gvc1d.paper.weights import load_networks, read_tables
from gvcodec.gvc1d.paper.windows import from_patches, to_patches
from gvcodec.gvc1d.pictures import crop, pad, padded_size
from gvcodec.models import report_embedded_damage
from gvcodec.types import Plane, Planes, VideoFormat
from gvcodec.util.torch_settings import default_torch_settings, torch_threads

#: 10-bit levels in one of the networks', and the networks' zero in these.
_LEVEL, _GRAY = 4, 512
#: Windows that go through a network together: 4,096 rows of its widest layer are 13 MB.
_AT_ONCE = 16


class _Loop:
    """What encoder and decoder share: networks, entropy coder, context. Raises `MediaError`."""

    def __init__(self, fmt: VideoFormat, model: Path, threads: int, device: str) -> None:
        with report_embedded_damage(model):
            self.networks = load_networks(model, device)
            tables = read_tables(model)
        self._fmt, self._threads, self.device = fmt, threads, device
        self._size = height, width = padded_size(fmt)
        self._rows, self._columns = grid_of(fmt)
        self.coder = TokenCoder(tables, self._rows * self._columns)
        half = Fraction(1, 2)
        self._larger = Resampler(width // 2, height // 2, half), Resampler(width, height, half)
        self.context: Context | None = None

    def restart(self) -> None:
        """The next frame is a keyframe."""
        self.coder.restart()
        self.context = None

    @torch.no_grad()
    def tokens_of(self, planes: Planes, q: int, context: Context | None) -> Integers:
        """`[W, T, C]` of a frame."""
        with default_torch_settings(), torch_threads(self._threads):
            patches = self._patches(pad(planes, self._size))
            parts = [
                quantise(self.networks.encoder.encode(part, before, _rates(part, q)))
                for part, before in _split(patches, context)
            ]
            found = torch.cat(parts).nan_to_num().clamp(-LARGEST, LARGEST)
        tokens: Integers = found.cpu().numpy().astype(np.int32)
        return tokens

    @torch.no_grad()
    def show(self, frame: Frame) -> Planes:
        """The base frame of tokens; they are the context of the next."""
        with default_torch_settings(), torch_threads(self._threads):
            tokens = torch.from_numpy(frame.tokens).float().to(self.device)
            parts = [
                self.networks.decoder.decode(part, before, _rates(part, frame.q))
                for part, before in _split(tokens, self.context if frame.context else None)
            ]
            patches = torch.cat(parts).nan_to_num().clamp(-128, 127)
            self.context = Context(patches, tokens)
            y, uv = from_patches(patches)
            small = (self._whole(y), self._whole(uv[:, 0]), self._whole(uv[:, 1]))
        for resampler in self._larger:
            small = resampler.upsample(small)
        return crop(small, self._fmt)

    def _patches(self, planes: Planes) -> Tensor:
        y, u, v = (self._windows(plane) for plane in planes)
        return to_patches(y, torch.stack([u, v], 1))

    def _windows(self, plane: Plane) -> Tensor:
        """`[W, h, w]` of a plane in whole windows, in the networks' levels."""
        rows, columns = (n // REDUCED for n in plane.shape)
        means = plane.reshape(rows, REDUCED, columns, REDUCED).mean((1, 3), dtype=np.float32)
        whole = (torch.from_numpy(means).to(self.device) - _GRAY) / _LEVEL
        split = whole.view(self._rows, rows // self._rows, self._columns, -1)
        return split.transpose(1, 2).flatten(0, 1)

    def _whole(self, windows: Tensor) -> Plane:
        """10-bit samples of windows `[W, h, w]`."""
        split = windows.unflatten(0, (self._rows, self._columns)).transpose(1, 2)
        levels = (split.flatten(2).flatten(0, 1) * _LEVEL + _GRAY).round().clamp(0, 1023)
        samples: Plane = levels.cpu().numpy().astype(np.uint16)
        return samples


class PaperEncoder(BaseEncoder):
    """Encoder of the plug. `q` 0…63; `keyint` frames between keyframes, 0 = only the first. Raises
    `UsageError`, `MediaError`."""

    def __init__(
        self,
        fmt: VideoFormat,
        q: float,
        keyint: int,
        threads: int,
        model: Path,
        device: str = "cpu",
    ) -> None:
        if not 0 <= q < QUALITIES or keyint < 0:
            raise UsageError(f"no base gvc1d with q {q:g} and a keyframe distance of {keyint}")
        self._loop = _Loop(fmt, model, threads, device)
        self._q, self._keyint = round(q), keyint
        self._cuts = SceneCutDetector(fmt.width, fmt.height)
        self._since = 0

    def send(self, planes: Planes, force_key: bool = False) -> EncodeResult:
        loop, cut = self._loop, self._cuts.is_gop_start(planes[0])
        key = force_key or not self._since or self._since == self._keyint
        self._since = 1 if key else self._since + 1
        if key:
            loop.restart()
        context = None if key or cut else loop.context
        tokens = loop.tokens_of(planes, self._q, context)
        frame = Frame(self._q, context is not None, tokens)
        packet = BasePacket(loop.coder.encode(frame), key)
        return EncodeResult([packet], [loop.show(frame)], [frame.hash_bytes()])

    def flush(self) -> EncodeResult:
        return EncodeResult()


class PaperDecoder(BaseDecoder):
    """Decoder of the plug. Raises `MediaError`."""

    def __init__(self, fmt: VideoFormat, model: Path, threads: int = 1) -> None:
        self._loop = _Loop(fmt, model, threads, "cpu")
        self._started = False
        self.hash_bytes: deque[bytes] = deque()

    def send(self, payload: bytes, keyframe: bool) -> list[Planes]:
        if keyframe:
            self._loop.restart()
        elif not self._started:
            raise DamagedStreamError("a frame of gvc1d without a keyframe")
        self._started = True
        frame = self._loop.coder.decode(payload)
        shown = self._loop.show(frame)
        self.hash_bytes.append(frame.hash_bytes())
        return [shown]

    def flush(self) -> list[Planes]:
        return []

    def abandon(self) -> None:
        self._started = False
        self.hash_bytes.clear()
        self._loop.restart()


def _rates(like: Tensor, q: int) -> Tensor:
    """`[W]` for tensors `[W, …]`."""
    return torch.full((len(like),), rate_of(q), device=like.device)


def _split(windows: Tensor, context: Context | None) -> list[tuple[Tensor, Context | None]]:
    """Few windows at a time, each part with its own part of the context."""
    parts = windows.split(_AT_ONCE)
    if context is None:
        return [(part, None) for part in parts]
    contexts = zip(*(one.split(_AT_ONCE) for one in context), strict=True)
    return [(part, Context(*before)) for part, before in zip(parts, contexts, strict=True)]
