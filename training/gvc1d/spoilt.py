"""Networks of base gvc1d with a part taken away, given what belongs to another crop ("shuffled")
or replaced by what it began as: for `parts`, and for the alarms of `codec`."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.codec_network import CodecNetwork
from gvcodec.gvc1d.token_order import FIXED, SIDES
from gvcodec.gvc1d.transform import Transform

Change = Callable[[CodecNetwork], None]

#: Of "no value": activations of values are 64 more than they.
_NO_VALUE = 64
_VALUES = 13
#: Of `FixedFilter`, in steps.
STRENGTHS = (0.02, 0.05, 0.1)


class Contexts(nn.Module):
    """The entropy model that sees nothing of other values ("none"), or another window's."""

    def __init__(self, twin: nn.Module, how: str) -> None:
        super().__init__()
        self.twin, self.how = twin, how

    def forward(self, seen: Tensor) -> Any:
        """As `Twin`; `seen` `[M, n, INPUTS]` or `[n, INPUTS]`."""
        return self.twin(self._spoilt(seen))

    def bits(self, seen: Tensor, value: Tensor, unrounded: Tensor) -> Tensor:
        """As `Twin.bits`."""
        return self.twin.bits(self._spoilt(seen), value, unrounded)  # type: ignore[operator]

    def _spoilt(self, seen: Tensor) -> Tensor:
        own = seen[..., :FIXED]
        if self.how == "shuffled":
            other = seen.roll(1, 0)[..., FIXED:]
        else:
            other = torch.zeros_like(seen[..., FIXED:])
            other[..., 0] = _NO_VALUE
            other[..., SIDES - FIXED : SIDES - FIXED + _VALUES] = _NO_VALUE
        return torch.cat([own, other], -1)


class OthersFilter(nn.Module):
    """The loop filter's correction of another crop of the batch."""

    def __init__(self, own: nn.Module) -> None:
        super().__init__()
        self.own = own

    def forward(self, frame: tuple[Tensor, Tensor], *seen: Any) -> tuple[Tensor, Tensor]:
        """As `LoopFilter`."""
        made = self.own(frame, *seen)
        y, uv = (f + (m - f).roll(1, 0) for f, m in zip(frame, made, strict=True))
        return y, uv


class FixedFilter(nn.Module):
    """The loop filter's hand-made neighbour: each sample moves towards the eight around it, by each
    as far as `strength` steps, as in-loop filters of standard codecs keep edges."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, frame: tuple[Tensor, Tensor], *seen: Any) -> tuple[Tensor, Tensor]:
        """As `LoopFilter`."""
        _, _, step, _ = seen
        most = (self.strength * step).view(-1, 1, 1, 1)
        y, uv = (self._smooth(part, most) for part in frame)
        return y, uv

    @staticmethod
    def _smooth(plane: Tensor, most: Tensor) -> Tensor:
        h, w = plane.shape[2:]
        wide = nn.functional.pad(plane, (1, 1, 1, 1), mode="replicate")
        total = torch.zeros_like(plane)
        for place, weight in enumerate((1, 2, 1, 2, 0, 2, 1, 2, 1)):
            i, j = divmod(place, 3)
            apart = wide[:, :, i : i + h, j : j + w] - plane
            total = total + weight / 16 * torch.minimum(torch.maximum(apart, -most), most)
        return plane + total


def began(net: CodecNetwork) -> None:
    """The transform as it began: a lapped cosine transform."""
    device = net.transform.log_step.device
    beginning = Transform().to(device).state_dict()
    for name in ("analysis_y", "analysis_uv", "synthesis_y", "synthesis_uv"):
        net.transform.state_dict()[name].copy_(beginning[name])


def _dead_zone(net: CodecNetwork) -> None:
    net.searches = False


def without_filter(net: CodecNetwork) -> None:
    net.filters = False


def _shuffle_filter(net: CodecNetwork) -> None:
    net.loop_filter = OthersFilter(net.loop_filter)  # type: ignore[assignment]


def fixed_filter(strength: float) -> Change:
    """`FixedFilter` in the loop filter's place."""

    def changed(net: CodecNetwork) -> None:
        net.loop_filter = FixedFilter(strength)  # type: ignore[assignment]

    return changed


def contexts(how: str) -> Change:
    """The entropy model sees "none" of the other values, or another window's ("shuffled")."""

    def changed(net: CodecNetwork) -> None:
        net.twin = Contexts(net.twin, how)  # type: ignore[assignment]

    return changed


#: Rows of `parts`.
CODEC: dict[str, Change] = {
    "transform: as it began": began,
    "rate-distortion rounding: a dead zone instead": _dead_zone,
    "contexts of the entropy model: zeroed": contexts("none"),
    "contexts of the entropy model: shuffled": contexts("shuffled"),
    "loop filter: zeroed": without_filter,
    "loop filter: shuffled": _shuffle_filter,
    **{f"loop filter: fixed, strength {s:g}": fixed_filter(s) for s in STRENGTHS},
}


def freeze_transform(net: CodecNetwork) -> None:
    """The transform as it began, for good; its steps still learn."""
    began(net)
    for name, weights in net.transform.named_parameters():
        weights.requires_grad_(name == "log_step")


#: What a network is trained without (the key `without` of `codec`).
WITHOUT: dict[str, Change] = {
    "contexts": contexts("none"),
    "transform": freeze_transform,
    "loop filter": without_filter,
}


def change(whole: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """Per cent that a figure is worse than the whole's."""
    found = {}
    for name in ("logJI", "logJP"):
        found["J of " + name[-1]] = 100 * (math.exp(other[name] - whole[name]) - 1)
    return {name: round(value, 2) for name, value in found.items()}


def spoil(net: CodecNetwork, how: Change) -> CodecNetwork:
    """A changed copy."""
    altered = copy.deepcopy(net)
    how(altered)
    return altered
