"""Networks of the tokenizer that tests make: small, of random weights."""

import torch

from gvcodec.gvc1d.config import TokenizerConfig, Transformer
from gvcodec.gvc1d.picture import Picture
from gvcodec.gvc1d.token_network import TokenNetwork

_SIZES = {"window": 64, "tokens": 8, "memory": 2, "queries": 2}
_SIZES |= {"head_width": 8, "head_blocks": 1}
TINY = TokenizerConfig(Transformer(32, 2, 1, 1), Transformer(32, 2, 1, 1), **_SIZES)


def make_model(config: TokenizerConfig = TINY, seed: int = 0) -> TokenNetwork:
    torch.manual_seed(seed)
    return TokenNetwork(config).eval()


def smooth_picture(height: int, width: int, batch: int = 1, seed: int = 0) -> Picture:
    generator = torch.Generator().manual_seed(seed)

    def plane(channels: int, h: int, w: int) -> torch.Tensor:
        coarse = torch.rand(batch, channels, 4, 4, generator=generator)
        return torch.nn.functional.interpolate(coarse, (h, w), mode="bicubic").clamp(0, 1)

    return Picture(plane(1, height, width), plane(2, height // 2, width // 2))
