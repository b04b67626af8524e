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
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.gvc1d.blocks import token_regions
from gvcodec.gvc1d.buffer import Context, State, carry
from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.gvc1d.direct import DirectPath
from gvcodec.gvc1d.layers import ContextEmbedding, Stack
from gvcodec.gvc1d.memory import Memory, Remembered
from gvcodec.gvc1d.picture import Picture, from_rgb, join, pack, split, unpack
from gvcodec.gvc1d.scenes import Scenes
from gvcodec.util.tensors import SMALL, to_rgb
from gvcodec.util.torch_settings import half_precision


class Features(NamedTuple):
    """Of the slots, `[B, W, K, D]`: what leaves the last layer, and the keys of the last local
    one."""

    slots: Tensor
    keys: Tensor


class Encoder(nn.Module):
    """Source ⊕ latent slots ⊕ context → tokens `[B, W, K, C]`. A window's slots begin as the mean
    of their regions' patches, each with a position of its own: free queries of one kind become
    alike in a layer. What the transformer finds is added to what the direct path measures."""

    regions: Tensor

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        self.config, width = config, config.encoder.width
        area = config.patch**2
        if config.titok:
            self.patch_embed: nn.Module = nn.Conv2d(3, width, config.patch, config.patch)
        else:
            self.patch_embed = nn.Conv2d(3 * area, width, 1)
        self.context = ContextEmbedding(config, width)
        scale = width**-0.5 if config.titok else 0.5
        self.places = nn.Parameter(scale * torch.randn(config.side**2, width))
        self.slots = nn.Parameter(scale * torch.randn(config.tokens, width))
        self.hidden = nn.Parameter(torch.zeros(width))  # stands for a masked patch
        self.first = nn.Parameter(scale * torch.randn(width)) if config.titok else None
        self.stack = Stack(config, config.encoder)
        self.out = nn.Linear(width, config.channels)
        if not config.titok:
            nn.init.normal_(self.out.weight, std=0.004)
            nn.init.zeros_(self.out.bias)
        regions = token_regions(config).float()
        self.register_buffer("regions", regions / regions.sum(1, keepdim=True), persistent=False)

    def forward(
        self,
        source: Picture,
        context: Context,
        rate: Tensor,
        memory: Tensor | None,
        masked: Tensor | None = None,
    ) -> tuple[Tensor, Features]:
        """Tokens before rounding, in integers' units (`titok`: in latents), and the slots'
        features. `masked` `[B, W, P]`: patches of the source that are not seen."""
        patch, side = self.config.patch, self.config.side
        if self.config.titok:
            seen = self.patch_embed(to_rgb(source.y / 1.003, source.uv / 1.003, SMALL).clamp(0, 1))
        else:
            difference = source - context.picture
            planes = [4 * pack(difference, patch), 2 * (pack(source, patch) - 0.5)]
            seen = self.patch_embed(torch.cat(planes, 1))
        seen = split(seen, side)  # [B, W, P, D]
        if masked is not None:
            seen = torch.where(masked[..., None], self.hidden.to(seen.dtype), seen)
        patches = seen + self.context(context, rate) + self.places
        slots = self.slots.expand(*patches.shape[:2], -1, -1)
        if not self.config.titok:
            slots = slots + self.regions.to(patches.dtype) @ patches
        columns = source.y.shape[3] // self.config.window
        _, found, keys = self.stack(patches, slots, memory, columns, self.first)
        return self.out(found).float(), Features(found.float(), keys.float())


#: What the head adds is scaled so in the beginning, with and without a base: perceptual losses
#: answer to structure of one level, and Adam's own noise must stay below it.
_ADDED = (0.06, 0.25)


class Decoded(NamedTuple):
    """`picture`: what the network adds (`titok`: the picture itself); `features` for the buffer,
    `[B, C, H/s, W/s]`; `slots` `[B, W, K, D]` and `patches` `[B, W, P, D]` for the memory."""

    picture: Picture
    features: Tensor
    slots: Tensor
    patches: Tensor


class Decoder(nn.Module):
    """A mirror of the encoder: mask tokens ⊕ tokens ⊕ context → picture. Mask tokens, one a patch,
    know their place, the context there and what the direct path makes of the tokens; the
    transformer lets them read the window's tokens. A convolutional head at a quarter of the
    resolution turns their features into what is added to the guess."""

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        self.config, width = config, config.decoder.width
        self.decoder_embed = nn.Linear(config.channels, width)
        self.context = ContextEmbedding(config, width)
        scale = width**-0.5 if config.titok else 0.5
        self.mask_token = nn.Parameter(scale * torch.randn(width))
        self.places = nn.Parameter(scale * torch.randn(config.side**2, width))
        self.slots = nn.Parameter(scale * torch.randn(config.tokens, width))
        self.first = nn.Parameter(scale * torch.randn(width)) if config.titok else None
        self.direct = nn.Conv2d(config.patch**2 * 3 // 2, width, 1) if config.direct else None
        self.stack = Stack(config, config.decoder)
        self.head: ConvolutionalHead | PixelHead = (
            PixelHead(config) if config.head == "pixels" else ConvolutionalHead(config)
        )

    def forward(
        self,
        latent: Tensor,
        added: Picture | None,
        context: Context,
        rate: Tensor,
        memory: Tensor | None,
    ) -> Decoded:
        """`latent` `[B, W, K, C]`: integers (`titok`: times their steps). `added`: what the direct
        path makes of them."""
        if not self.config.titok:
            latent = latent.sign() * torch.log1p(latent.abs())
        slots = self.decoder_embed(latent) + self.slots
        masks = self.mask_token + self.places + self.context(context, rate)  # [B, W, P, D]
        if self.direct is not None and added is not None:
            known = self.direct(8 * pack(added, self.config.patch))
            masks = masks + split(known, self.config.side)
        columns = context.picture.y.shape[3] // self.config.window
        patches, slots, _ = self.stack(masks, slots, memory, columns, self.first)
        field = join(patches, self.config.side, columns)  # [B, D, H/16, W/16]
        picture, features = self.head(field, added, context, rate)
        return Decoded(picture, features, slots, patches)


class PixelHead(nn.Module):
    """TA-TiTok's: a linear map from a patch's features to its RGB samples, then 3×3 over them."""

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.ffn = nn.Conv2d(config.decoder.width, 3 * config.patch**2, 1)
        self.conv_out = nn.Conv2d(3, 3, 3, padding=1)

    def forward(
        self, field: Tensor, added: Picture | None, context: Context, rate: Tensor
    ) -> tuple[Picture, Tensor]:
        p = self.patch
        x = self.ffn(field).unflatten(1, (p, p, 3)).permute(0, 3, 4, 1, 5, 2)
        rgb = self.conv_out(x.reshape(len(x), 3, field.shape[2] * p, field.shape[3] * p))
        return from_rgb(rgb.float()), field


class ConvolutionalHead(nn.Module):
    """Patches' features at a quarter of the resolution, joined by what is known there sample by
    sample."""

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        width = config.head_width
        self.up = nn.Linear(config.decoder.width, 16 * width)
        self.up_patch = config.patch // 4
        if self.up_patch != 4:
            self.up = nn.Linear(config.decoder.width, self.up_patch**2 * width)
        self.planes = nn.Conv2d(72, width, 3, padding=1)
        self.before = nn.Conv2d(width, width, 1)
        self.blocks = nn.ModuleList(_Residual(width) for _ in range(config.head_blocks))
        self.known = nn.Parameter(torch.zeros(2, 2, 2 * width * config.head_blocks))
        self.rate = nn.Parameter(torch.zeros(config.rates, 2 * width * config.head_blocks))
        self.last = nn.Conv2d(width, 24, 3, padding=1)
        self.scale = nn.Parameter(torch.tensor(_ADDED).log())
        nn.init.normal_(self.up.weight, std=0.05)
        nn.init.normal_(self.last.weight, std=0.002)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(
        self, field: Tensor, added: Picture | None, context: Context, rate: Tensor
    ) -> tuple[Picture, Tensor]:
        guess = context.picture
        none = Picture(torch.zeros_like(guess.y), torch.zeros_like(guess.uv))
        planes = [2 * (pack(guess, 4) - 0.5), 8 * pack(context.last, 4), 8 * pack(added or none, 4)]
        x = self.planes(torch.cat(planes, 1).contiguous(memory_format=torch.channels_last))
        x = x + _shuffle(self.up(field.permute(0, 2, 3, 1)), self.up_patch)
        if context.features is not None:
            x = x + self.before(context.features.to(x.dtype))
        base, before = context.known
        film = self.known[0, int(base)] + self.known[1, int(before)] + self.rate[rate]
        for block, about in zip(self.blocks, film.chunk(len(self.blocks), 1), strict=True):
            x = block(x, about.to(x.dtype))
        # Features enter the next frame: of unit size, so that they cannot grow from frame to frame.
        size = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32)
        x = x * torch.rsqrt(size.square() / x.shape[1] + 1e-3).to(x.dtype)
        out = self.last(x).float() * torch.exp(self.scale[0 if base else 1])
        return unpack(out, 4), x


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.6)

    def forward(self, x: Tensor, about: Tensor) -> Tensor:
        """`about` `[B, 2·C]`: gain and offset of each channel."""
        gain, offset = about[:, :, None, None].chunk(2, 1)
        hidden = F.leaky_relu(self.first(x), 0.1, inplace=True)
        if len(x) > 1:
            return torch.addcmul(x + offset, self.second(hidden), 1 + gain)
        # Of one picture they are part of the convolution.
        weight = self.second.weight * (1 + gain).view(-1, 1, 1, 1)
        assert self.second.bias is not None
        bias = self.second.bias * (1 + gain).flatten() + offset.flatten()
        return x + F.conv2d(hidden, weight, bias, padding=1)


def _shuffle(x: Tensor, step: int) -> Tensor:
    """`F.pixel_shuffle` of `[B, h, w, step²·C]`, whose result has channels last in memory."""
    b, h, w, c = x.shape
    x = x.view(b, h, w, c // step**2, step, step).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(b, h * step, w * step, -1).permute(0, 3, 1, 2)


#: Octaves by which the step grows from a rate to the next coarser one; λ, which goes with its
#: square, grows by twice as many.
OCTAVES = 1 / 2
#: Magnitude of a token's integer at most.
LARGEST = 1023


def round_latent(y: Tensor, noise: bool = False) -> Tensor:
    """Integers with the gradient of the identity; `noise`: uniform noise instead of rounding, for
    every other step of training."""
    if noise:
        return y + torch.rand_like(y) - 0.5
    clipped = y.clamp(-LARGEST, LARGEST)
    return clipped + (clipped.round() - clipped).detach()


class StepSizes(nn.Module):
    """`steps(rate)` `[B, 1, tokens, channels]`: what an integer 1 stands for."""

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        self.log_step = nn.Parameter(
            torch.full((config.tokens, config.channels), math.log(config.step))
        )
        rates = torch.arange(config.rates) * OCTAVES * math.log(2)
        self.log_rate = nn.Parameter(rates)

    def forward(self, rate: Tensor) -> Tensor:
        """`rate`: index of each sample, `[B]` int64."""
        return torch.exp(self.log_step + self.log_rate[rate][:, None, None])[:, None]


class Prior(nn.Module):
    """A differentiable estimate of bits, `[B, W]`, while tokens still learn: a Laplace distribution
    for each integer whose scale depends on rate, kind of frame and the last frame's integer at the
    same place. Files are coded by the network of `entropy_model`."""

    def __init__(self, config: GVC1DConfig) -> None:
        super().__init__()
        shape = 2, 2, 1, config.tokens, config.channels
        start = torch.linspace(1.0, -2.0, config.tokens)[:, None].expand(-1, config.channels)
        self.log_scale = nn.Parameter(start.expand(shape).clone())
        self.rate = nn.Parameter(torch.linspace(0.7, -1.4, config.rates)[:, None, None].clone())
        self.follow = nn.Parameter(torch.full((config.tokens, config.channels), 0.3))

    def forward(
        self, y: Tensor, before: Tensor | None, rate: Tensor, known: tuple[bool, bool]
    ) -> Tensor:
        """`y` `[B, W, K, C]` rounded or noisy, `before`: that of the last frame, integers."""
        base, later = known
        log_scale = self.log_scale[int(base), int(later), 0] + self.rate[rate][:, None]
        if before is not None:
            log_scale = log_scale + self.follow * (torch.log1p(before.abs()) - 0.3)
        scale = torch.exp(log_scale.clamp(-4, 6))
        far = y.abs()
        # P(|y| - 1/2 … |y| + 1/2) of a Laplace distribution, stable in its tails.
        inside = 1 - torch.exp(-0.5 / scale) * torch.cosh((far / scale).clamp(max=0.5 / scale))
        log_tail = -(far - 0.5) / scale + torch.log1p(-torch.exp(-1 / scale)) - 0.6931
        log_inside = torch.log(inside.clamp(min=1e-6))
        nats = torch.where(far < 0.5, log_inside, log_tail.clamp(min=-20))
        return nats.sum((2, 3)) * -1.4427


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
