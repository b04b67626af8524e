"""Parts that encoder and decoder share: the embedding of the context, and the stack of layers.

The sequence of a window: [class token] ⊕ patches ⊕ latent slots ⊕ read-out of the memory.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gvcodec.gvc1d.blocks import token_regions
from gvcodec.gvc1d.buffer import Context
from gvcodec.gvc1d.config import GVC1DConfig, Transformer
from gvcodec.gvc1d.picture import pack, split
from gvcodec.gvc1d.transformer import GlobalAttention, LocalAttention


def feature_shape(config: GVC1DConfig) -> tuple[int, int]:
    """Channels of the features that the buffer keeps, and luma samples along one of them."""
    conv = config.head == "conv"
    return (config.head_width, 4) if conv else (config.decoder.width, config.patch)


class ContextEmbedding(nn.Module):
    """The context as one vector a patch, `[B, W, P, D]`."""

    def __init__(self, config: GVC1DConfig, width: int) -> None:
        super().__init__()
        self.patch, self.side = config.patch, config.side
        inputs = 2 * config.patch**2 * 3 // 2
        channels, step = feature_shape(config)
        self.planes = nn.Conv2d(inputs, width, 1)
        self.features = nn.Conv2d(channels, width, config.patch // step, config.patch // step)
        self.known = nn.Parameter(0.1 * torch.randn(2, 2, width))
        self.rate = nn.Parameter(0.1 * torch.randn(config.rates, width))
        self.phase = nn.Parameter(torch.zeros(config.phases, width))
        if config.titok:
            # Published weights know of no context: in the beginning there is none.
            for weight in (self.planes.weight, self.features.weight, self.known, self.rate):
                nn.init.zeros_(weight)
            for module in (self.planes, self.features):
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, context: Context, rate: Tensor) -> Tensor:
        guess, last = context.picture, context.last
        x = torch.cat([2 * (pack(guess, self.patch) - 0.5), 4 * pack(last, self.patch)], 1)
        x = self.planes(x)
        if context.features is not None:
            x = x + self.features(context.features.to(x.dtype))
        base, before = context.known
        about = self.known[0, int(base)] + self.known[1, int(before)] + self.rate[rate]
        about = about + self.phase[context.phase]
        return split(x + about[:, :, None, None].to(x.dtype), self.side)


class Stack(nn.Module):
    """Stages of local layers and a global one. Gives patches `[B, W, P, D]` and slots
    `[B, W, K, D]` after the last layer, and the slots' keys of the last local layer."""

    near: Tensor
    centres: Tensor

    def __init__(self, config: GVC1DConfig, sizes: Transformer) -> None:
        super().__init__()
        self.sizes, self.titok = sizes, config.titok
        self.patches, self.tokens = config.side**2, config.tokens
        count = sizes.stages * sizes.local
        self.local = nn.ModuleList(
            LocalAttention(sizes.width, sizes.heads, config.titok) for _ in range(count)
        )
        self.across = nn.ModuleList(
            GlobalAttention(sizes.width, sizes.heads, 0.0 if config.titok else 0.3)
            for _ in range(sizes.stages * sizes.globals)
        )
        self.ln_pre, self.ln_post = nn.LayerNorm(sizes.width), nn.LayerNorm(sizes.width)
        self.ln_slots = nn.Identity() if config.titok else nn.LayerNorm(sizes.width)
        self.register_buffer("near", self._near(config), persistent=False)
        self.register_buffer("centres", _centres(config), persistent=False)
        #: Ablations leave one kind of layers out.
        self.uses_local = self.uses_global = True
        #: In training: layers run again on the way back, so that none keeps what it computed.
        self.recomputes = False

    def _run(self, layer: nn.Module, *given: Tensor | None) -> Tensor:
        if self.recomputes and torch.is_grad_enabled():
            again: Tensor = checkpoint(layer, *given, use_reentrant=False)
            return again
        found: Tensor = layer(*given)
        return found

    def _near(self, config: GVC1DConfig) -> Tensor:
        """`[S, S]`: 1 between a slot and the patches of its region."""
        p, k = self.patches, self.tokens
        places = p + k + (config.queries if config.memory else 0)
        near = torch.zeros(places, places)
        regions = token_regions(config).float()  # [K, P]
        near[p : p + k, :p] = regions
        near[:p, p : p + k] = regions.T
        return near

    def forward(
        self,
        patches: Tensor,
        slots: Tensor,
        memory: Tensor | None,
        columns: int,
        first: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`columns`: windows in a row; `first`: the class token, `[D]`."""
        b, w, p, d = patches.shape
        number = torch.arange(w, device=patches.device)
        corners = torch.stack([number // columns, number % columns], 1)
        places = corners[:, None] + self.centres  # [W, K, 2]
        k = slots.shape[2]
        parts = [self.ln_pre(patches), (self.ln_pre if self.titok else self.ln_slots)(slots)]
        if memory is not None:
            parts.append(memory.to(parts[0].dtype))
        if first is not None:
            parts.insert(0, self.ln_pre(first).expand(b, w, 1, d).to(parts[0].dtype))
        x = torch.cat(parts, 2)  # [B, W, S, D]
        at = p + (first is not None)
        near = self.near if x.shape[2] == len(self.near) and not self.titok else None
        if near is None and not self.titok:
            near = self.near[: x.shape[2], : x.shape[2]]
        keys = slots
        for i, layer in enumerate(self.local):
            if self.uses_local:
                assert isinstance(layer, LocalAttention)
                if i + 1 == len(self.local):
                    known = layer.ln_1(x[:, :, at : at + k])
                    keys = layer.attn.in_proj(known).chunk(3, -1)[1]
                x = self._run(layer, x, near)
            if (i + 1) % self.sizes.local == 0 and self.uses_global:
                stage = i // self.sizes.local
                for j in range(self.sizes.globals):
                    layer = self.across[stage * self.sizes.globals + j]
                    slots = self._run(layer, x[:, :, at : at + k], places)
                    x = torch.cat([x[:, :, :at], slots, x[:, :, at + k :]], 2)
        x = self.ln_post(x)
        return x[:, :, at - p : at], x[:, :, at : at + k], keys


def _centres(config: GVC1DConfig) -> Tensor:
    """Where the regions of a window's slots lie, `[K, 2]` down and along, 0…1."""
    side, regions = config.side, token_regions(config).float()
    at = (torch.arange(side) + 0.5) / side
    grid = torch.stack(torch.meshgrid(at, at, indexing="ij"), -1).reshape(-1, 2)
    return regions @ grid / regions.sum(1, keepdim=True)
