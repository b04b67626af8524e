"""A run of frames of one clip through the network of tokens."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gvcodec.gvc1d.buffer import State
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


class RunNetwork(TokenNetwork):
    """The network that is trained: its `forward` takes the frames of a run."""

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
