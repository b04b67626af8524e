"""LP-Comp of XComp (arXiv 2604.14149): all tokens of a frame become one token, layer by layer.

    picture 256×256 ─► small perceptual network ─► 16 patch tokens ─┐
                    └► GVC1D's network ──────────► 32 latent tokens ┴► L causal layers ─► 1 token

A frame has K = 48 tokens, patches first; a latent token is the mean and deviation of a run of the
network's (`gvcodec.gvc1d.tokenizer`). Layer i of L is causal self-attention and an MLP; after it
the last `goal(i, K, L)` tokens remain (later ones have seen the earlier ones): 41, 25, 8, 1. The
last token is added to the frame's discriminants (`gvcodec.retrieval.compressor`), with weights that
begin at zero: before training the result equals embedder `small`. The picture is scaled to one
window of the network, so K does not depend on its size.

Trained by `python -m training lp_comp`. Importing this module imports torch."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.errors import WrongModelError
from gvcodec.models import model_id, read_arrays
from gvcodec.retrieval.compressor import DIM

PATCHES, LATENTS = 16, 32
LAYERS, HEADS = 4, 4


def goal(layer: int, tokens: int, layers: int) -> int:
    """Number of the `tokens` that remain after layer 1…`layers`: the paper's schedule."""
    share = 0.5 * (1 + math.cos(math.pi * layer / layers))
    return 1 + int((tokens - 1) * share + 0.5)


class Layer(nn.Module):
    """Causal self-attention and an MLP on (N, T, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        # [3, N, heads, T, width / heads]
        q, k, v = self.mix(self.before(x)).view(n, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, t, width))
        return x + self.down(F.gelu(self.up(self.between(x))))


class LpComp(nn.Module):
    """Tokens (N, K, DIM) → vectors (N, DIM) of length √DIM. `enter` takes the features of latent
    tokens (…, features) to DIM. `ask`, `look`, `sharpness` are the projections of QC-Comp
    (`gvcodec.retrieval.ranking.Attention`), trained along."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.enter = nn.Linear(features, DIM)
        self.place = nn.Parameter(0.1 * torch.randn(PATCHES + LATENTS, DIM))
        self.layers = nn.ModuleList(Layer(DIM) for _ in range(LAYERS))
        self.norm, self.last = nn.LayerNorm(DIM), nn.Linear(DIM, DIM)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.ask, self.look = nn.Parameter(torch.eye(DIM)), nn.Parameter(torch.eye(DIM))
        self.sharpness = nn.Parameter(torch.tensor(14.0))

    def tokens(self, patches: Tensor, latents: Tensor) -> Tensor:
        """(N, K, DIM) of narrow patch tokens (N, 16, DIM) and features (N, 32, features)."""
        latents = F.layer_norm(latents, latents.shape[-1:])
        return torch.cat([patches, self.enter(latents)], 1)

    def forward(self, tokens: Tensor) -> Tensor:
        mean = _lengthen(tokens[:, :PATCHES].mean(1))  # [N, DIM], the discriminants
        x = F.layer_norm(tokens, (DIM,)) + self.place
        for number, layer in enumerate(self.layers, 1):
            x = layer(x)[:, -goal(number, PATCHES + LATENTS, LAYERS) :]
        return _lengthen(mean + self.last(self.norm(x[:, -1])))


def _lengthen(x: Tensor) -> Tensor:
    return F.normalize(x, dim=-1) * math.sqrt(x.shape[-1])


def load(path: Path, network: Path | None = None) -> LpComp:
    """LP-Comp of a checkpoint; `network`: weights of the GVC1D network whose tokens it has to have
    been trained on. Raises `WrongModelError`."""
    try:
        arrays, metadata = read_arrays(path)
        weights = {name: torch.from_numpy(array).float() for name, array in arrays.items()}
        model = LpComp(weights["enter.weight"].shape[1])
        model.load_state_dict(weights)
    except (OSError, ValueError, TypeError, KeyError, IndexError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise WrongModelError(
            f"{path}: not a checkpoint of embedder lp ({reason})", code="not-a-model"
        ) from None
    if network is not None and metadata.get("network") != model_id(network).hex():
        raise WrongModelError(
            f"{path}: made for another network than {network}", code="not-a-model"
        )
    return model.eval()
