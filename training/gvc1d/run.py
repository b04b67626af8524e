"""A run of frames of one clip through the network of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gvcodec.entropy.network import Layer
from gvcodec.gvc1d.buffer import State
from gvcodec.gvc1d.entropy_model import EntropyModel, Memory
from gvcodec.gvc1d.payload import Latent, pack, unpack
from gvcodec.gvc1d.picture import Picture
from gvcodec.gvc1d.quantise import round_latent
from gvcodec.gvc1d.token_network import TokenNetwork


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
            Picture(*(plane.roll(1, 0) for plane in self.source)),
            None if self.shown is None else Picture(*(p.roll(1, 0) for p in self.shown)),
            None if self.motion is None else self.motion.roll(1, 0),
            self.cut,
        )


class Coded(NamedTuple):
    """What became of it: `picture`, `tokens` `[B, W, K, C]`, `bits` `[B, W]`."""

    picture: Picture
    tokens: Tensor
    bits: Tensor


class Known(NamedTuple):
    """What a decoder has of a frame beside its payload; see `Frame`."""

    shown: Picture | None = None
    motion: Tensor | None = None
    cut: bool = False


class RunNetwork(TokenNetwork):
    """The network that is trained: its `forward` takes the frames of a run. `compress` and
    `decompress` have the bytes of networks that no file holds (LARGE, coding without a base)."""

    def forward(
        self,
        frames: list[Frame],
        rate: Tensor | int,
        state: State | None = None,
        noise: bool = False,
        masked: Tensor | None = None,
        keep: Tensor | None = None,
        cut_memory: bool = False,
    ) -> tuple[list[Coded], State]:
        """`state`: of frames before. `keep` `[B, W, K]` or alike: 0 drops tokens after
        rounding. `cut_memory`: each frame finds the memory fresh."""
        coded: list[Coded] = []
        before: Tensor | None = None
        for frame in frames:
            b, _, h, w = frame.source.y.shape
            if cut_memory and state is not None:
                state = state._replace(memory=None)
            # Where a scene begins, a frame finds nothing of the last one but its memory.
            known, memory = (
                (state, None) if state is None or not frame.cut else (None, state.memory)
            )
            context = self.context(frame.shown, known, frame.motion, (b, h, w), memory)
            y = self.analyse(frame.source, context, rate, masked)
            tokens = round_latent(y, noise)
            if keep is not None:
                tokens = tokens * keep[..., None]
            rates = self.rates_of(rate, frame.source)
            bits = self.prior(tokens, before, rates, context.known)
            picture, state = self.synthesise(tokens, context, rate)
            coded.append(Coded(picture, tokens, bits))
            before = tokens.detach().round()
        assert state is not None
        return coded, state

    @torch.no_grad()
    def compress(self, frames: list[Frame], rate: int, entropy: Sequence[Layer]) -> list[bytes]:
        """LATENT payloads of a run of one clip (B = 1) that begins a GOP, by the integer network
        `entropy` (`files.read_entropy`). What `Known` holds travels apart."""
        coded, _ = self(frames, rate)
        coder = self._coder(frames[0].source.y.shape[2:], entropy)
        memory, payloads = Memory.empty(coder.windows, coder.tokens), []
        counts = np.full(coder.windows, coder.tokens, np.uint8)
        for one in coded:
            values = one.tokens[0].round().cpu().numpy().astype(np.int16)
            payloads.append(pack(Latent(rate, 0, counts, values), coder, memory))
            memory = memory.after(values, counts)
        return payloads

    @torch.no_grad()
    def decompress(
        self,
        payloads: list[bytes],
        size: tuple[int, int],
        entropy: Sequence[Layer],
        known: Sequence[Known] = (),
    ) -> list[Picture]:
        """The inverse. `size`: whole windows (H, W). Raises `DamagedStreamError`."""
        state: State | None = None
        coder = self._coder(size, entropy)
        memory, pictures = Memory.empty(coder.windows, coder.tokens), []
        device = next(self.parameters()).device
        for i, payload in enumerate(payloads):
            latent = unpack(payload, coder, memory)
            memory = memory.after(latent.values, latent.counts)
            shown, motion, cut = known[i] if known else Known()
            before, kept = (state, None) if state is None or not cut else (None, state.memory)
            context = self.context(shown, before, motion, (1, *size), kept)
            tokens = torch.from_numpy(latent.values.astype(np.float32))[None].to(device)
            picture, state = self.synthesise(tokens, context, latent.rate)
            pictures.append(picture)
        return pictures

    def _coder(self, size: Sequence[int], entropy: Sequence[Layer]) -> EntropyModel:
        rows, columns = (side // self.config.window for side in size)
        return EntropyModel(entropy, rows, columns, self.config.tokens, rates=self.config.rates)
