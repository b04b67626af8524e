"""Networks of GVC1D that tests make: small, of random weights."""

import torch

from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.gvc1d.picture import Picture
from tests.gvc1d.tiny import CONFIG as TINY
from training.gvc1d.run import RunNetwork

__all__ = ["TINY", "make_model", "smooth_picture"]


def make_model(config: GVC1DConfig = TINY, seed: int = 0) -> RunNetwork:
    torch.manual_seed(seed)
    return RunNetwork(config).eval()


def smooth_picture(height: int, width: int, batch: int = 1, seed: int = 0) -> Picture:
    generator = torch.Generator().manual_seed(seed)

    def plane(channels: int, h: int, w: int) -> torch.Tensor:
        coarse = torch.rand(batch, channels, 4, 4, generator=generator)
        return torch.nn.functional.interpolate(coarse, (h, w), mode="bicubic").clamp(0, 1)

    return Picture(plane(1, height, width), plane(2, height // 2, width // 2))
