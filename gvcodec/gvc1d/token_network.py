"""The tokenizer of pictures: transformers turn each window of a picture into tokens of integers and
back, each picture by itself. Base gvc1d has another network, `codec_network`.

    source ─► Encoder ─► y ─► round(y / step) = tokens ─► · step ─► Decoder ─► grey + added
                ▲  [B, W, 32, 16]                                     ▲
                └───────────── direct path: cosine patterns ──────────┘

Paper: "Generative Video Compression with One-Dimensional Latent Representation" (GVC1D, CVPR 2026,
arXiv 2603.15302): encoder and decoder are stacks of local and global attention over patches and
latent slots. The weights come from a network that also coded video; of its 1-D memory only the
initial state is used, learned vectors that both sequences read. Here tokens have a direct path too
(`gvcodec.gvc1d.direct`), since a network trained on one processor core has to begin alive.
"""

from __future__ import annotations

import contextlib
import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.gvc1d.blocks import region_grid, token_regions
from gvcodec.gvc1d.config import TokenizerConfig, Transformer
from gvcodec.gvc1d.direct import DirectPath
from gvcodec.gvc1d.picture import Picture, grey, join, pack, split, unpack
from gvcodec.gvc1d.transformer import Block, GlobalAttention, LocalAttention
from gvcodec.util.torch_settings import half_precision

#: Octaves by which the step grows from a rate to the next coarser one.
_OCTAVES = 1 / 2


class Features(NamedTuple):
    """Features of the slots, `[B, W, K, D]`: the output of the last layer, and the keys of the last
    local one."""

    slots: Tensor
    keys: Tensor


class RateEmbedding(nn.Module):
    """Embedding of a grey patch and of the rate, `[B, 1, 1, D]`."""

    grey: Tensor

    def __init__(self, config: TokenizerConfig, width: int) -> None:
        super().__init__()
        self.planes = nn.Conv2d(2 * config.patch**2 * 3 // 2, width, 1)
        self.known = nn.Parameter(0.1 * torch.randn(2, 2, width))
        self.rate = nn.Parameter(0.1 * torch.randn(config.rates, width))
        #: Of the phases of a video's frames, the first.
        self.phase = nn.Parameter(torch.zeros(1, width))
        nothing = Picture(*(torch.zeros_like(plane) for plane in _grey_patch(config)))
        planes = 2 * (pack(_grey_patch(config), config.patch) - 0.5)
        both = torch.cat([planes, pack(nothing, config.patch)], 1)
        self.register_buffer("grey", both, persistent=False)

    def forward(self, rate: Tensor) -> Tensor:
        about = self.known[0, 0] + self.known[1, 0] + self.rate[rate] + self.phase[0]
        vectors = self.planes(self.grey) + about[:, :, None, None].to(self.planes.weight.dtype)
        return cast(Tensor, vectors.flatten(1)[:, None, None])


def _grey_patch(config: TokenizerConfig) -> Picture:
    return grey(1, config.patch, config.patch, torch.zeros(()))


class Stack(nn.Module):
    """Stages of local layers and a global one. Gives patches `[B, W, P, D]` and slots
    `[B, W, K, D]` after the last layer, and the slots' keys of the last local layer.

    The sequence of a window: patches ⊕ latent slots ⊕ vectors of the memory."""

    near: Tensor
    centres: Tensor

    def __init__(self, config: TokenizerConfig, sizes: Transformer) -> None:
        super().__init__()
        self.sizes = sizes
        self.patches, self.tokens = config.side**2, config.tokens
        self.local = nn.ModuleList(
            LocalAttention(sizes.width, sizes.heads) for _ in range(sizes.stages * sizes.local)
        )
        self.across = nn.ModuleList(
            GlobalAttention(sizes.width, sizes.heads) for _ in range(sizes.stages * sizes.globals)
        )
        self.ln_pre, self.ln_post = nn.LayerNorm(sizes.width), nn.LayerNorm(sizes.width)
        self.ln_slots = nn.LayerNorm(sizes.width)
        self.register_buffer("near", self._near(config), persistent=False)
        self.register_buffer("centres", _centres(config), persistent=False)

    def _near(self, config: TokenizerConfig) -> Tensor:
        """`[S, S]`: 1 between a slot and the patches of its region."""
        p, k = self.patches, self.tokens
        places = p + k + config.queries
        near = torch.zeros(places, places)
        regions = token_regions(config).float()  # [K, P]
        near[p : p + k, :p] = regions
        near[:p, p : p + k] = regions.T
        return near

    def forward(
        self, patches: Tensor, slots: Tensor, memory: Tensor, columns: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`memory` `[B, W, Q, D]`; `columns`: windows in a row."""
        w, p, k = patches.shape[1], patches.shape[2], slots.shape[2]
        number = torch.arange(w, device=patches.device)
        corners = torch.stack([number // columns, number % columns], 1)
        places = corners[:, None] + self.centres  # [W, K, 2]
        first = self.ln_pre(patches)
        x = torch.cat([first, self.ln_slots(slots), memory.to(first.dtype)], 2)  # [B, W, S, D]
        keys = slots
        for i, layer in enumerate(self.local):
            assert isinstance(layer, LocalAttention)
            if i + 1 == len(self.local):
                x_norm = layer.ln_1(x[:, :, p : p + k])
                keys = layer.attn.in_proj(x_norm).chunk(3, -1)[1]
            x = layer(x, self.near)
            if (i + 1) % self.sizes.local == 0:
                stage = i // self.sizes.local
                for j in range(self.sizes.globals):
                    across = self.across[stage * self.sizes.globals + j]
                    slots = across(x[:, :, p : p + k], places)
                    x = torch.cat([x[:, :, :p], slots, x[:, :, p + k :]], 2)
        x = self.ln_post(x)
        return x[:, :, :p], x[:, :, p : p + k], keys


def _centres(config: TokenizerConfig) -> Tensor:
    """Where the regions of a window's slots lie, `[K, 2]` down and along, 0…1."""
    side, regions = config.side, token_regions(config).float()
    at = (torch.arange(side) + 0.5) / side
    grid = torch.stack(torch.meshgrid(at, at, indexing="ij"), -1).reshape(-1, 2)
    return regions @ grid / regions.sum(1, keepdim=True)


class Encoder(nn.Module):
    """Source ⊕ latent slots ⊕ memory → tokens `[B, W, K, C]`. A window's slots begin as the mean of
    their regions' patches, each with a distinct position: free queries of one kind become equal
    in a layer. The transformer's output is added to that of the direct path."""

    regions: Tensor

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config, width = config, config.encoder.width
        self.patch_embed = nn.Conv2d(3 * config.patch**2, width, 1)
        self.context = RateEmbedding(config, width)
        self.places = nn.Parameter(0.5 * torch.randn(config.side**2, width))
        self.slots = nn.Parameter(0.5 * torch.randn(config.tokens, width))
        self.stack = Stack(config, config.encoder)
        self.out = nn.Linear(width, config.channels)
        nn.init.normal_(self.out.weight, std=0.004)
        nn.init.zeros_(self.out.bias)
        regions = token_regions(config).float()
        self.register_buffer("regions", regions / regions.sum(1, keepdim=True), persistent=False)

    def forward(
        self, source: Picture, difference: Picture, rate: Tensor, memory: Tensor
    ) -> tuple[Tensor, Features]:
        """Tokens before rounding, in integers' units, and the slots' features. `difference`: the
        source less grey."""
        patch = self.config.patch
        planes = [4 * pack(difference, patch), 2 * (pack(source, patch) - 0.5)]
        vectors = split(self.patch_embed(torch.cat(planes, 1)), self.config.side)  # [B, W, P, D]
        patches = vectors + self.context(rate) + self.places
        slots = self.slots.expand(*patches.shape[:2], -1, -1)
        slots = slots + self.regions.to(patches.dtype) @ patches
        columns = source.y.shape[3] // self.config.window
        _, slots, keys = self.stack(patches, slots, memory, columns)
        return self.out(slots).float(), Features(slots.float(), keys.float())


class Decoder(nn.Module):
    """A mirror of the encoder: mask tokens ⊕ tokens ⊕ memory → picture. Mask tokens, one a patch,
    contain their position and the output of the direct path; the transformer lets them read the
    window's tokens. A convolutional head at a quarter of the resolution turns their features
    into the difference from grey."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config, width = config, config.decoder.width
        self.decoder_embed = nn.Linear(config.channels, width)
        self.context = RateEmbedding(config, width)
        self.mask_token = nn.Parameter(0.5 * torch.randn(width))
        self.places = nn.Parameter(0.5 * torch.randn(config.side**2, width))
        self.slots = nn.Parameter(0.5 * torch.randn(config.tokens, width))
        self.direct = nn.Conv2d(config.patch**2 * 3 // 2, width, 1)
        self.stack = Stack(config, config.decoder)
        self.head = ConvolutionalHead(config)

    def forward(
        self, tokens: Tensor, direct_picture: Picture, rate: Tensor, memory: Tensor
    ) -> Picture:
        """`tokens` `[B, W, K, C]`: integers. `direct_picture`: from the direct path."""
        side = self.config.side
        slots = self.decoder_embed(tokens.sign() * torch.log1p(tokens.abs())) + self.slots
        masks = self.mask_token + self.places + self.context(rate)  # [B, 1, P, D]
        masks = masks + split(self.direct(8 * pack(direct_picture, self.config.patch)), side)
        columns = direct_picture.y.shape[3] // self.config.window
        patches, _, _ = self.stack(masks, slots, memory, columns)
        picture: Picture = self.head(
            join(patches, side, columns), direct_picture, rate
        )  # [B, D, H/16, W/16]
        return picture


class ConvolutionalHead(nn.Module):
    """Features of patches at a quarter of the resolution, with features of single samples."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        width = config.head_width
        self.up_patch = config.patch // 4
        self.up = nn.Linear(config.decoder.width, self.up_patch**2 * width)
        self.planes = nn.Conv2d(72, width, 3, padding=1)
        self.blocks = nn.ModuleList(_Residual(width) for _ in range(config.head_blocks))
        self.known = nn.Parameter(torch.zeros(2, 2, 2 * width * config.head_blocks))
        self.rate = nn.Parameter(torch.zeros(config.rates, 2 * width * config.head_blocks))
        self.last = nn.Conv2d(width, 24, 3, padding=1)
        #: Scale of the head's output, with and without a base.
        self.scale = nn.Parameter(torch.tensor((0.06, 0.25)).log())
        nn.init.normal_(self.up.weight, std=0.05)
        nn.init.normal_(self.last.weight, std=0.002)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, field: Tensor, direct_picture: Picture, rate: Tensor) -> Picture:
        guess = grey(*_size_of(direct_picture), like=direct_picture.y)
        none = Picture(torch.zeros_like(guess.y), torch.zeros_like(guess.uv))
        planes = [2 * (pack(guess, 4) - 0.5), pack(none, 4), 8 * pack(direct_picture, 4)]
        x = self.planes(torch.cat(planes, 1).contiguous(memory_format=torch.channels_last))
        x = x + _shuffle(self.up(field.permute(0, 2, 3, 1)), self.up_patch)
        film = self.known[0, 0] + self.known[1, 0] + self.rate[rate]
        for block, about in zip(self.blocks, film.chunk(len(self.blocks), 1), strict=True):
            x = block(x, about.to(x.dtype))
        size = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32)
        x = x * torch.rsqrt(size.square() / x.shape[1] + 1e-3).to(x.dtype)
        return unpack(self.last(x).float() * torch.exp(self.scale[1]), 4)


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


def _size_of(picture: Picture) -> tuple[int, int, int]:
    """B, H, W."""
    b, _, height, width = picture.y.shape
    return b, height, width


class Memory(nn.Module):
    """The initial 1-D memory of a video: learned vectors and those of two empty scenes, read by
    learned queries."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        width, heads = config.decoder.width, config.decoder.heads
        rows, columns = region_grid(config.tokens)
        self.start = nn.Parameter(0.5 * torch.randn(config.memory, width))
        self.query = nn.Parameter(0.5 * torch.randn(config.queries, width))
        self.reader = Block(width, heads, 0.5)
        self.to_encoder = nn.Linear(width, config.encoder.width)
        #: Of an empty scene only the bias of its map counts.
        self.about = nn.ParameterDict({"bias": nn.Parameter(torch.zeros(width))})
        self.places = nn.Parameter(0.5 * torch.randn(2, rows * columns, width))

    def read(self, batch: int, windows: int) -> tuple[Tensor, Tensor]:
        """The memory as inputs of encoder `[B, W, Q, D_e]` and decoder `[B, W, Q, D]`."""
        scenes = (self.about["bias"] + self.places).flatten(0, 1)
        memory = torch.cat([self.start, scenes])[None]
        answers = self.reader(self.query[None], memory)  # [1, Q, D]
        both = (self.to_encoder(answers), answers)
        first, second = (x[:, None].expand(batch, windows, -1, -1) for x in both)
        return first, second


class StepSizes(nn.Module):
    """`steps(rate)` `[B, 1, tokens, channels]`: the value of an integer 1."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.log_step = nn.Parameter(
            torch.full((config.tokens, config.channels), math.log(config.step))
        )
        self.log_rate = nn.Parameter(torch.arange(config.rates) * _OCTAVES * math.log(2))

    def forward(self, rate: Tensor) -> Tensor:
        """`rate`: index of each sample, `[B]` int64."""
        return torch.exp(self.log_step + self.log_rate[rate][:, None, None])[:, None]


class Prior(nn.Module):
    """A differentiable estimate of bits, `[B, W]`: a Laplace distribution for each integer whose
    scale depends on the rate."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        shape = 2, 2, 1, config.tokens, config.channels
        start = torch.linspace(1.0, -2.0, config.tokens)[:, None].expand(-1, config.channels)
        self.log_scale = nn.Parameter(start.expand(shape).clone())
        self.rate = nn.Parameter(torch.linspace(0.7, -1.4, config.rates)[:, None, None].clone())

    def forward(self, y: Tensor, rate: Tensor) -> Tensor:
        """`y` `[B, W, K, C]` rounded or noisy."""
        # Without a base frame, without a last frame.
        log_scale = self.log_scale[0, 0, 0] + self.rate[rate][:, None]
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

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.memory, self.direct = Memory(config), DirectPath(config)
        self.steps, self.prior = StepSizes(config), Prior(config)
        #: Whether analysis and synthesis multiply in half precision where that is faster.
        self.fast = False

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Weights by name, without those that only frames of a video need. Raises `KeyError` for a
        missing one, `RuntimeError` for one of another shape."""
        chosen = {name: tensors[name] for name in self.state_dict()}
        for side in ("encoder", "decoder"):
            chosen[f"{side}.context.phase"] = chosen[f"{side}.context.phase"][:1]
        self.load_state_dict(chosen)

    def analyse(self, source: Picture, rate: int) -> tuple[Tensor, Features]:
        """Tokens before rounding, `[B, W, K, C]`, and the slots' features. `rate`: 0 = fine …
        `config.rates` - 1."""
        b, height, width = _size_of(source)
        rates = self._rates(rate, source.y)
        difference = source - grey(b, height, width, source.y)
        with self._precision(source.y):
            read, _ = self.memory.read(b, self._windows(height, width))
            tokens, features = self.encoder(source, difference, rates, read)
        y = self.direct.analyse(difference) / self.steps(rates) + tokens
        # Earlier models queried the scene memory with this channel.
        y[:, :, self.config.tokens // 2 :, -1] = 0
        return y, features

    def synthesise(self, tokens: Tensor, height: int, width: int, rate: int) -> Picture:
        """Pictures of `[B, W, K, C]` integers, `height` and `width` of whole windows."""
        rates, window = self._rates(rate, tokens), self.config.window
        with self._precision(tokens):
            _, read = self.memory.read(len(tokens), self._windows(height, width))
            added = self.direct.synthesise(tokens * self.steps(rates), width // window)
            restored = self.decoder(tokens, added, rates, read)
        picture = grey(len(tokens), height, width, added.y) + restored + added
        return Picture(picture.y.clamp(0, 1023 / 1020), picture.uv.clamp(0, 1023 / 1020))

    def _windows(self, height: int, width: int) -> int:
        return (height // self.config.window) * (width // self.config.window)

    def _rates(self, rate: int, like: Tensor) -> Tensor:
        return torch.full((len(like),), rate, device=like.device)

    def _precision(self, like: Tensor) -> contextlib.AbstractContextManager[object]:
        return half_precision(like.device) if self.fast else contextlib.nullcontext()
