"""The discriminator of the last stage: real or decoded, patch by patch, judged beside the decoded
frame before it.

Hinge losses; the gradient reaches the decoder alone (`trains = "decoder"` in the stage's file).
Material of one core is far from enough for it: the stage is here for those who have GPUs.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.gvc1d.picture import Picture
from gvcodec.util.tensors import SMALL, to_rgb


class Discriminator(nn.Module):
    """RGB `[B, 3, H, W]` in 0…1 and what it is judged beside → logits `[B, 1, H/16, W/16]`."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        sizes = [6, width, 2 * width, 4 * width, 4 * width]
        layers: list[nn.Module] = []
        for a, b in pairwise(sizes):
            conv = nn.Conv2d(a, b, 4, 2, 1)
            layers += [nn.utils.parametrizations.spectral_norm(conv), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, nn.Conv2d(sizes[-1], 1, 3, padding=1))

    def forward(self, rgb: Tensor, beside: Tensor) -> Tensor:
        found: Tensor = self.body(2 * torch.cat([rgb, beside], 1) - 1)
        return found


class Adversary:
    """Both sides of the game, the same in all processes."""

    def __init__(self, device: torch.device, rate: float) -> None:
        self.network = Discriminator().to(device)
        if dist.is_initialized():
            for tensor in self.network.state_dict().values():
                dist.broadcast(tensor, 0)
        self.optimizer = torch.optim.Adam(self.network.parameters(), rate, betas=(0.5, 0.9))

    def learn(self, real: Tensor, made: Tensor, beside: Tensor) -> float:
        """A step of the discriminator; its loss."""
        beside = beside.detach()
        of_real, of_made = (self.network(x.detach(), beside) for x in (real, made))
        loss = (F.relu(1 - of_real) + F.relu(1 + of_made)).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if dist.is_initialized():
            for parameter in self.network.parameters():
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)
                    parameter.grad /= dist.get_world_size()
        self.optimizer.step()
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def resume(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])

    def cost(self, made: Tensor, beside: Tensor) -> Tensor:
        """What the decoder pays, `[B]`."""
        self.network.requires_grad_(False)
        found = -self.network(made, beside.detach()).mean((1, 2, 3))
        self.network.requires_grad_(True)
        return found


def random_rgb(picture: Picture, top: int, left: int, side: int) -> Tensor:
    """A crop of every sample as RGB `[B, 3, side, side]`."""
    y = picture.y[:, :, top : top + side, left : left + side]
    half = picture.uv[:, :, top // 2 : (top + side) // 2, left // 2 : (left + side) // 2]
    return to_rgb(y / 1.003, half / 1.003, SMALL)
