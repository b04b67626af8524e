"""The network of latent tokens: over a base it restores its frames (`--tokens`), without any
context it is the tokenizer of single pictures. Base gvc1d has another network, `codec_network`.

                  ┌────────── context c_t: any part may be missing ──────────┐
                  │ shown frame (base av1, vvc, motion; painted)             │
                  │ short-term buffer: last picture, decoder features, moved │
                  │ 1-D memory: read out by learned queries; of the scene    │
                  │ before, what a frame's tokens ask for                    │
                  └────┬──────────────────────────────────────────────┬──────┘
    source x_t ─► Encoder ─► y ─► round(y / step) = tokens ─► · step ─► Decoder ─► c_t + added = x̂_t
                    ▲  [B, W, 32, 16]      │ entropy_model ─► rANS       │
              direct path: patterns        ▼ packet LATENT               └─► buffer, memory of t + 1

Paper: "Generative Video Compression with One-Dimensional Latent Representation" (GVC1D, CVPR 2026,
arXiv 2603.15302). Its encoder and decoder are
stacks of local and global attention; decoder features of the last frame and a memory are context;
the entropy model is autoregressive within a window, windows in parallel. Here tokens have a direct
path too (`gvcodec.gvc1d.direct`), since what is learned on one processor core has to begin alive.
"""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.buffer import Context, State, carry
from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.gvc1d.decoder import Decoder
from gvcodec.gvc1d.direct import DirectPath
from gvcodec.gvc1d.encoder import Encoder, Features
from gvcodec.gvc1d.memory import Memory, Remembered
from gvcodec.gvc1d.picture import Picture
from gvcodec.gvc1d.quantise import Prior, StepSizes
from gvcodec.gvc1d.scenes import Scenes
from gvcodec.util.torch_settings import half_precision


class TokenNetwork(nn.Module):
    """See the module. Pictures are whole windows (`picture.pad`)."""

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.memory = Memory(config) if config.memory else None
        self.direct = DirectPath(config) if config.direct else None
        self.steps, self.prior = StepSizes(config), Prior(config)
        #: Whether analysis and synthesis multiply in half precision where that is faster.
        self.fast = False
        #: Of the last `analyse`.
        self.features: Features | None = None

    def context(
        self,
        shown: Picture | None,
        state: State | None,
        motion: Tensor | None = None,
        size: tuple[int, int, int] = (1, 256, 256),
        memory: Remembered | None = None,
    ) -> Context:
        """What is known of a frame before its tokens. `size` = (B, H, W) counts where neither
        `shown` nor `state` is given, `memory` where there is no `state`: a scene begins."""
        if state is not None and not self.config.buffer:
            memory = state.memory
            state = None
        known = carry(shown, state, motion, self.steps.log_step, size)
        if self.memory is not None and known.memory is None:
            b, _, h, w = known.picture.y.shape
            windows = (h // self.config.window) * (w // self.config.window)
            known = known._replace(memory=memory or self.memory.fresh(b, windows))
        return known

    def analyse(
        self, source: Picture, context: Context, rate: Tensor | int, masked: Tensor | None = None
    ) -> Tensor:
        """Tokens before rounding, `[B, W, K, C]`; their features stay in `features`. `rate`:
        0 = fine … `config.rates` - 1, one or `[B]`. `masked`: see `Encoder`."""
        rate = self.rates_of(rate, source)
        asked, step, half = None, self.steps(rate), self.config.tokens // 2
        if self._scenes is not None:
            change = self._change(context)
            asked = self._scenes.ask(source - context.picture, change, step[..., half:, 0])
            context = self._recalled(context, asked, change)
        with self._precision(source):
            read = None if self.memory is None else self.memory.read(_given(context.memory))[0]
            found, self.features = self.encoder(source, context, rate, read, masked)
        if self.direct is None:
            return found / step
        guess = context.picture
        measured = self.direct.analyse(source - guess, guess, context.phase, context.known[0])
        y = measured / step + found
        if asked is not None:
            y[:, :, half:, -1] = asked
        return y

    @property
    def _scenes(self) -> Scenes | None:
        return None if self.memory is None else self.memory.scenes

    def _change(self, context: Context) -> Picture:
        """What the memory knows of the other scene, less the guess."""
        scenes = _given(context.memory).scenes
        assert self._scenes is not None and scenes is not None
        columns = context.picture.y.shape[3] // self.config.window
        return self._scenes.recall(scenes, columns) - context.picture

    def _recalled(self, context: Context, asked: Tensor, change: Picture) -> Context:
        """The context with what was asked `[B, W, regions]` of the memory in its guess."""
        assert self._scenes is not None
        taken = self._scenes.blend(asked, change)
        return context._replace(
            picture=context.picture + taken, last=context.last - taken, added=context.added + taken
        )

    def synthesise(
        self, tokens: Tensor, context: Context, rate: Tensor | int
    ) -> tuple[Picture, State]:
        """The restored picture, and what the next frame is given of it."""
        with self._precision(context.picture):
            return self._synthesise(tokens, context, self.rates_of(rate, context.picture))

    def _synthesise(self, tokens: Tensor, context: Context, rate: Tensor) -> tuple[Picture, State]:
        read = None if self.memory is None else self.memory.read(_given(context.memory))[1]
        latent = tokens * self.steps(rate)
        if self._scenes is not None:
            asked = tokens[:, :, self.config.tokens // 2 :, -1]
            if asked.round().any():
                context = self._recalled(context, asked, self._change(context))
        guess, added = context.picture, None
        if self.direct is not None:
            added = self.direct.synthesise(latent, guess, context.phase)
        given = latent if self.config.titok else tokens
        made = self.decoder(given, added, context, rate, read)
        if self.config.titok:
            shown = context.shown
            picture = made.picture if shown is None else guess
            carried = picture - (guess if shown is None else shown)
        else:
            carried = context.added if added is None else context.added + added
            picture = guess + made.picture
            picture = picture if added is None else picture + added
        reference = picture if added is None else guess + added
        picture = Picture(picture.y.clamp(0, 1023 / 1020), picture.uv.clamp(0, 1023 / 1020))
        memory = None
        if self.memory is not None:
            known = _given(context.memory)
            memory = self.memory.update(known, made.slots, made.patches, reference)
        phase = (context.phase + 1) % self.config.phases
        state = State(picture, reference, context.shown, carried, made.features, memory, phase)
        return picture, state

    def _precision(self, like: Picture) -> contextlib.AbstractContextManager[object]:
        return half_precision(like.y.device) if self.fast else contextlib.nullcontext()

    def rates_of(self, rate: Tensor | int, like: Picture) -> Tensor:
        if isinstance(rate, int):
            return torch.full((len(like.y),), rate, device=like.y.device)
        return rate


def _given(memory: Remembered | None) -> Remembered:
    assert memory is not None
    return memory
