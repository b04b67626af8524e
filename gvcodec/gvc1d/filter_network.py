"""The float twin of base gvc1d's loop filter (`gvcodec.gvc1d.loop_filter`), for training: the same
maps, exactly, convolutions in floats. `training.gvc1d.export` makes integers of it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.gvc1d.context_model import limit, log_activation
from gvcodec.gvc1d.loop_filter import CELL, CHANNELS, MAPS, SAMPLES

#: Steps that an output of one adds.
REACH = 0.25
#: The middle of activations, of 0…1.
MIDDLE = 0.5


class Convolution(nn.Module):
    """3×3, of activations around `MIDDLE`: what is learned is a filter of deviations from it.
    Outside of the picture activations are 0."""

    weight: nn.Parameter
    offset: nn.Parameter

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        spread = (2.0 if inputs == MAPS else 1.0) / (9 * inputs) ** 0.5
        self.weight = nn.Parameter(spread * torch.randn(outputs, inputs, 3, 3))
        self.offset = nn.Parameter(torch.zeros(outputs))

    def bias(self, middle: float) -> Tensor:
        """Of a convolution of the activations themselves; `middle`: of the outputs."""
        return middle + self.offset - MIDDLE * self.weight.sum((1, 2, 3))

    def forward(self, x: Tensor, middle: float) -> Tensor:
        """Outputs around `middle`."""
        return F.conv2d(x, self.weight, self.bias(middle), padding=1)


class LoopFilter(nn.Module):
    """Pictures luma `[B, 1, H, W]`, chroma `[B, 2, H/2, W/2]` in 10-bit levels."""

    def __init__(self) -> None:
        super().__init__()
        layers = [Convolution(*widths) for widths in CHANNELS]
        nn.init.zeros_(layers[-1].weight)
        self.layers = nn.ModuleList(layers)

    def forward(
        self,
        frame: tuple[Tensor, Tensor],
        guess: tuple[Tensor, Tensor],
        irregular: Tensor | None,
        step: Tensor,
        q: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The filtered frame, not clamped. `irregular` `[B, H/16, W/16]` in 1/32 samples, None:
        nothing is predicted; `step` `[B]` in levels. Gradients reach the frame by the sum alone."""
        x = maps_of(frame, guess, irregular, step, q) / 127
        seen = x[:, : 2 * SAMPLES]
        *hidden, last = self.layers
        for layer in hidden:
            x = limit(layer(x, MIDDLE))
        made = last(torch.cat([x, seen], 1), 0.0).float() * (REACH * step.view(-1, 1, 1, 1))
        y = F.pixel_shuffle(made[:, :16], CELL)
        return frame[0] + y, frame[1] + F.pixel_shuffle(made[:, 16:], CELL // 2)


@torch.no_grad()
def maps_of(
    frame: tuple[Tensor, Tensor],
    guess: tuple[Tensor, Tensor],
    irregular: Tensor | None,
    step: Tensor,
    q: Tensor,
) -> Tensor:
    """`loop_filter.maps_of` of rounded pictures, `[B, MAPS, H/4, W/4]`."""
    ours, theirs = _cells(frame), _cells(guess)
    b, _, h, w = ours.shape
    whole = (16 * step).round().view(-1, 1, 1, 1)
    sums = torch.stack([part.sum(1) for part in ours.split([16, 4, 4], 1)], 1)
    wide = F.pad(sums, (1, 1, 1, 1), mode="replicate")
    around = sum(wide[:, :, i : i + h, j : j + w] for i in range(3) for j in range(3))
    many = sums.new_tensor([144.0, 36.0, 36.0]).view(1, 3, 1, 1)
    means = torch.floor((around + many / 2) / many)
    detail = ours - means.repeat_interleave(means.new_tensor([16, 4, 4]).long(), 1)
    found = ours.new_zeros(b, MAPS, h, w)
    found[:, :SAMPLES] = _companded(detail, whole)
    found[:, SAMPLES : 2 * SAMPLES] = _companded(ours - theirs, whole)
    at = 2 * SAMPLES
    found[:, at : at + 3] = torch.floor(means / 8)
    at += 3
    for k in range(CELL):
        found[:, at + k, k::CELL] = 127
        found[:, at + CELL + k, :, k::CELL] = 127
    at += 2 * CELL
    found[:, at] = (2 * q).round().clamp(0, 127).view(-1, 1, 1)
    if irregular is not None:
        found[:, at + 1] = 127
        seen = log_activation(irregular.long()).float()
        found[:, at + 2] = seen.repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)
    return found


def _companded(difference: Tensor, step: Tensor) -> Tensor:
    size = difference.abs()
    return 64 + difference.sign() * torch.floor(1536 * size / (step + 24 * size))


def _cells(picture: tuple[Tensor, Tensor]) -> Tensor:
    y, uv = (part.round() for part in picture)
    return torch.cat([F.pixel_unshuffle(y, CELL), F.pixel_unshuffle(uv, CELL // 2)], 1)
