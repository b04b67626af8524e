"""Makes a painter wider without changing what it paints.

An added unit is like an existing one: it has that one's scales, and its weights in another order
of inputs. Layers behind give added units weights of 0, which training changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gvcodec.errors import UsageError
from gvcodec.painter.torch_twin.filters import Layer, Requantiser
from gvcodec.painter.torch_twin.network import PainterNetwork

#: Sizes that can grow. The last 16 channels of the trunk are the statistics and stay last.
GROWS, _STATISTICS = ("channels", "wide", "style", "stem"), 16


@dataclass(frozen=True)
class _Units:
    """Units of a layer after growth: which old unit each of them is or is like, and whether it is
    an added one, both (units,)."""

    like: Tensor
    added: Tensor

    def early(self) -> _Units:
        """The trunk's channels without the statistics."""
        return _Units(self.like[:-_STATISTICS], self.added[:-_STATISTICS])


def _grow(old: int, new: int, last: int, generator: torch.Generator) -> _Units:
    """`old` units become `new`, added ones before the `last`, each like a random earlier one."""
    like = torch.randint(old - last, (new - old,), generator=generator)
    ends = torch.arange(old - last), torch.arange(old - last, old)
    added = torch.zeros(new, dtype=torch.bool)
    added[old - last : new - last] = True
    return _Units(torch.cat([ends[0], like, ends[1]]), added)


def _keep(count: int) -> _Units:
    return _Units(torch.arange(count), torch.zeros(count, dtype=torch.bool))


@torch.no_grad()
def _fill(
    new: Requantiser,
    old: Requantiser,
    outputs: _Units,
    inputs: _Units | None = None,
    *,
    generator: torch.Generator,
    adds_zero: bool = False,
) -> None:
    """Fill `new` from `old`. `inputs`: None where each unit has its own. `adds_zero`: added outputs
    are 0 until trained."""
    for name in ("multiplier", "shift", "step"):
        getattr(new, name).copy_(getattr(old, name)[outputs.like])
    if not isinstance(new, Layer) or not isinstance(old, Layer):
        return
    new.grid.copy_(old.grid[outputs.like])
    new.unit.copy_(old.unit[outputs.like])
    weight, bias = old.weight[outputs.like].clone(), old.bias[outputs.like].clone()
    for row in torch.nonzero(outputs.added).flatten().tolist():
        weight[row] = weight[row, torch.randperm(weight.shape[1], generator=generator)]
    if adds_zero:
        weight[outputs.added], bias[outputs.added] = 0.0, 0.0
    if inputs is not None:
        weight = weight[:, inputs.like]
        weight[:, inputs.added] = 0.0
    new.weight.copy_(weight)
    new.bias.copy_(bias)


def widen(painter: PainterNetwork, sizes: dict[str, int], seed: int = 0) -> PainterNetwork:
    """A painter of other `sizes` (names of `GROWS`; 0: as it is) that paints the same samples.
    Raises `UsageError` for a smaller size, and for one that no painter can have."""
    own = painter.sizes
    target = own | {name: size for name, size in sizes.items() if size}
    for name in GROWS:
        if not own[name] <= target[name] <= 512 or target[name] % 4:
            raise UsageError(f"{name}: a multiple of 4 from {own[name]} to 512")
    generator = torch.Generator().manual_seed(seed)
    tails = {"channels": _STATISTICS}
    trunk, wide, style, stem = (
        _grow(own[name], target[name], tails.get(name, 0), generator) for name in GROWS
    )
    wider = PainterNetwork(target)

    def fill(name: str, outputs: _Units, inputs: _Units | None, adds_zero: bool = False) -> None:
        new, old = wider.get_submodule(name), painter.get_submodule(name)
        assert isinstance(new, Requantiser) and isinstance(old, Requantiser)
        _fill(new, old, outputs, inputs, generator=generator, adds_zero=adds_zero)

    fill("stem", stem, _keep(12))
    fill("stem2", trunk.early(), stem)
    fill("statistics", _keep(_STATISTICS), _keep(_STATISTICS))
    for i in range(own["depth"]):
        fill(f"blocks.{i}.depthwise", trunk, None)
        fill(f"blocks.{i}.expand", wide, trunk)
        fill(f"blocks.{i}.project", trunk, wide, adds_zero=True)
        with torch.no_grad():
            table = painter.get_parameter(f"blocks.{i}.condition")
            wider.get_parameter(f"blocks.{i}.condition").copy_(table[trunk.like])
    fill("view", trunk, None)
    fill("style", style, trunk)
    fill("head", _keep(len(painter.head.bias)), style)
    return wider
