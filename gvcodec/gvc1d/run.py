"""A run of frames of one clip in training: inputs and outputs of each frame, and its tokens as
payloads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gvcodec.entropy.network import Layer
from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.gvc1d.entropy_model import EntropyModel, Memory
from gvcodec.gvc1d.motion import FARTHEST, SIDE, Vectors, spread
from gvcodec.gvc1d.payload import Latent, pack, unpack
from gvcodec.gvc1d.picture import Picture
from gvcodec.types import BLOCK


class Frame(NamedTuple):
    """A frame of a run: `source`, `shown` (None without a base), `motion` `[B, 2, H/16, W/16]` or
    None; `cut`: a scene begins, of frames before only the memory is known."""

    source: Picture
    shown: Picture | None
    motion: Tensor | None
    cut: bool = False

    def rolled(self) -> Frame:
        """Each sample has the frame of another."""
        return Frame(
            self.source.rolled(),
            None if self.shown is None else self.shown.rolled(),
            None if self.motion is None else self.motion.roll(1, 0),
            self.cut,
        )


class Coded(NamedTuple):
    """What became of it: `picture`, `tokens` `[B, W, K, C]`, `bits` `[B, W]`."""

    picture: Picture
    tokens: Tensor
    bits: Tensor


class RunPayloads:
    """Tokens of a run of frames as LATENT payloads and back, in order. `like`: a picture of the
    run; `network`: the integer entropy network."""

    def __init__(
        self, config: GVC1DConfig, like: Picture, has_base: bool, network: Sequence[Layer]
    ) -> None:
        self._size = like.y.shape[2], like.y.shape[3]
        rows, columns = (n // config.window for n in self._size)
        blocks = None if has_base else (self._size[0] // SIDE, self._size[1] // SIDE)
        sizes = rows, columns, config.tokens, has_base
        self._model = EntropyModel(network, *sizes, blocks=blocks, phases=config.phases)
        self._device = like.y.device
        self._memory = Memory.empty(rows * columns, config.tokens)

    def limit(self, motion: Tensor | None) -> tuple[Vectors | None, Tensor | None]:
        """What a payload holds of motion `[1, 2, H/16, W/16]`, and what comes of it."""
        if motion is None or self._model.blocks is None:
            return None, motion
        limited = motion.clamp(-FARTHEST, FARTHEST)
        sent = limited[0, :, :: SIDE // BLOCK, :: SIDE // BLOCK].cpu().numpy().astype(np.int16)
        return sent, self._spread(sent, motion.device)

    def _spread(self, sent: Vectors, device: torch.device) -> Tensor:
        return torch.from_numpy(spread(sent, *self._size))[None].to(device)

    def pack(self, passes: list[Tensor], rate: int, motion: Vectors | None, cut: bool) -> bytes:
        *before, values = (tokens[0].short().cpu().numpy() for tokens in passes)
        counts = np.full(len(values), values.shape[1], np.uint8)
        latent = Latent(rate, 0, counts, values, motion, tuple(before), cut)
        payload = pack(latent, self._model, self._memory)
        self._memory = latent.remember(self._memory)
        return payload

    def unpack(self, payload: bytes) -> tuple[Tensor, int, Tensor | None, bool]:
        """Tokens of each pass `[passes, 1, W, K, C]`, rate, motion, whether a scene begins."""
        latent = unpack(payload, self._model, self._memory)
        self._memory = latent.remember(self._memory)
        motion = None if latent.motion is None else self._spread(latent.motion, self._device)
        values = torch.from_numpy(np.stack(latent.passes).astype(np.float32))
        return values[:, None].to(self._device), latent.rate, motion, latent.cut
