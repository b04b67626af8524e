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
from gvcodec.gvc1d.refiner import Restored
from gvcodec.gvc1d.token_order import FIXED, SIDES
from gvcodec.gvc1d.transform import GREY, Transform

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


class Shuffled(nn.Module):
    """The Analyst's output of another crop of the batch."""

    def __init__(self, analyst: nn.Module) -> None:
        super().__init__()
        self.analyst = analyst

    def forward(self, *seen: Tensor) -> Tensor:
        moved: Tensor = self.analyst(*seen).roll(1, 0)
        return moved


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


class Blind(nn.Module):
    """The Restorer without tokens, or with another crop's ("shuffled"), in all that it is given:
    in place of the frame it sees what the prediction and those tokens make, and what it adds goes
    onto the frame itself. `how` "memory shuffled": another crop's memory."""

    def __init__(self, net: CodecNetwork, how: str) -> None:
        super().__init__()
        self.restorer, self.how = net.restorer, how
        self.stages = net.restorer.stages
        self.analyse, self.synthesise = net.transform.analyse, net.transform.synthesise

    def fresh(self, batch: int, windows: int) -> Tensor:
        """As the Restorer's."""
        found: Tensor = self.restorer.fresh(batch, windows)
        return found

    def forward(
        self,
        frame: tuple[Tensor, Tensor],
        coefficients: tuple[Tensor, Tensor],
        prediction: tuple[Tensor, Tensor] | None,
        last: tuple[Tensor, Tensor] | None,
        memory: Tensor | None,
        step: Tensor,
    ) -> Restored:
        """As the Restorer's."""
        if self.how == "memory shuffled":
            memory = None if memory is None else memory.roll(1, 0)
            found: Restored = self.restorer(frame, coefficients, prediction, last, memory, step)
            return found
        tokens = coefficients[1]
        with torch.no_grad():
            tokens = (
                tokens.roll(1, 0) if self.how == "tokens shuffled" else torch.zeros_like(tokens)
            )
            known = prediction or (torch.full_like(frame[0], GREY), torch.full_like(frame[1], GREY))
            y, uv = (a + b for a, b in zip(known, self.synthesise(tokens), strict=True))
            seen = y.clamp(0, 1023), uv.clamp(0, 1023)
            own = self.analyse(seen[0] - GREY, seen[1] - GREY)
        made = self.restorer(seen, (own, tokens), prediction, last, memory, step)
        shown = (f + m - s for f, m, s in zip(frame, made[:2], seen, strict=True))
        y, uv = (x.clamp(0, 1023) for x in shown)
        return Restored(y, uv, made.memory)


def began(net: CodecNetwork) -> None:
    """The transform as it began: a lapped cosine transform."""
    device = net.transform.log_step.device
    beginning = Transform().to(device).state_dict()
    for name in ("analysis_y", "analysis_uv", "synthesis_y", "synthesis_uv"):
        net.transform.state_dict()[name].copy_(beginning[name])


def without_analyst(net: CodecNetwork) -> None:
    net.uses_analyst = False


def _dead_zone(net: CodecNetwork) -> None:
    net.searches = net.uses_analyst = False


def _analyst(net: CodecNetwork) -> None:
    net.searches, net.uses_analyst = False, True


def _shuffle_analyst(net: CodecNetwork) -> None:
    net.analyst = Shuffled(net.analyst)  # type: ignore[assignment]


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


def blind(how: str) -> Change:
    """The Restorer by `Blind`."""

    def changed(net: CodecNetwork) -> None:
        net.restorer = Blind(net, how)  # type: ignore[assignment]

    return changed


def stages(part: str, name: str) -> Change:
    """`part` "analyst" or "restorer" without the layers of `name` "uses_local" or "uses_global"."""

    def changed(net: CodecNetwork) -> None:
        setattr(getattr(net, part).stages, name, False)

    return changed


#: Rows of `parts`; those of the Analyst where it encodes (`--encoder analyst`).
CODEC: dict[str, Change] = {
    "transform: as it began": began,
    "rate-distortion rounding: a dead zone instead": _dead_zone,
    "rate-distortion rounding: the Analyst instead": _analyst,
    "contexts of the entropy model: zeroed": contexts("none"),
    "contexts of the entropy model: shuffled": contexts("shuffled"),
    "loop filter: zeroed": without_filter,
    "loop filter: shuffled": _shuffle_filter,
    **{f"loop filter: fixed, strength {s:g}": fixed_filter(s) for s in STRENGTHS},
}
ANALYST: dict[str, Change] = {
    "Analyst: zeroed": without_analyst,
    "Analyst: shuffled": _shuffle_analyst,
    "Analyst: no layers across windows": stages("analyst", "uses_global"),
    "Analyst: no layers in windows": stages("analyst", "uses_local"),
}
RESTORER: dict[str, Change] = {
    **{
        f"Restorer: {how}": blind(how)
        for how in ("tokens zeroed", "tokens shuffled", "memory shuffled")
    },
    "Restorer: no layers across windows": stages("restorer", "uses_global"),
    "Restorer: no layers in windows": stages("restorer", "uses_local"),
}


def freeze_transform(net: CodecNetwork) -> None:
    """The transform as it began, for good; its steps still learn."""
    began(net)
    for name, weights in net.transform.named_parameters():
        weights.requires_grad_(name == "log_step")


#: What a network is trained without (`codec --without`); "memory", "last": `codec.Run.cuts`.
WITHOUT: dict[str, Change] = {
    "contexts": contexts("none"),
    "transform": freeze_transform,
    "loop filter": without_filter,
    "tokens": blind("tokens zeroed"),
    "analyst across": stages("analyst", "uses_global"),
    "across": stages("restorer", "uses_global"),
}
CUTS = ("memory", "last")


def change(whole: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """Per cent that a figure is worse than the whole's."""
    found = {}
    for name in ("logJI", "logJP"):
        found["J of " + name[-1]] = 100 * (math.exp(other[name] - whole[name]) - 1)
    for name in ("lpipsI", "distsI", "lpipsP", "distsP"):
        if name in whole:
            found[name] = 100 * (other[name] / whole[name] - 1)
    return {name: round(value, 2) for name, value in found.items()}


def spoil(net: CodecNetwork, how: Change) -> CodecNetwork:
    """A changed copy."""
    altered = copy.deepcopy(net)
    how(altered)
    return altered
