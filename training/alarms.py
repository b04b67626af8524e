"""Alarms that end a training run whose network is dead, explodes, or changes nothing.

Limits leave a factor of at least three to the shipped painter's values (`python -m training
painter` logs the figures every 200 steps).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from gvcodec.errors import GvcodecError
from gvcodec.painter.torch_twin.filters import Requantiser
from gvcodec.painter.torch_twin.network import PainterNetwork
from gvcodec.painter.torch_twin.objective import Batch, paint_run

#: Least spread of features, in levels, between places of a picture and between clips.
LEAST_SPREAD = 0.1
#: Most that the largest channel of the trunk may be of the median one.
MOST_PEAK = 100.0
#: Largest share of units whose activation is always at its zero point.
MOST_DEAD = 0.5
#: Minutes after which a painter must improve the picture, and least mean change in sample values.
PATIENCE_MINUTES, LEAST_CHANGE = 10.0, 0.1
#: How far the figure of base frames may be from its first value: it depends on no network.
SAME = 1e-3


class Alarm(GvcodecError):
    """The run is not worth going on with."""

    exit_code = 1


def check_features(places: float, clips: float, peak: float, dead: float, least: float) -> None:
    """Spread of features between places and clips, largest channel, dead units. Raises `Alarm`."""
    for name, spread in (("places", places), ("clips", clips)):
        if not spread >= least:
            raise Alarm(f"features hardly differ between {name}: {spread:.3g}")
    if not peak <= MOST_PEAK:
        raise Alarm(f"one channel is {peak:.3g} times the median")
    if not dead <= MOST_DEAD:
        raise Alarm(f"{100 * dead:.0f} % of the units are dead")


def check_same(name: str, value: float, first: float) -> None:
    """Inputs that depend on no network must not change. Raises `Alarm`."""
    if not abs(value - first) <= SAME * abs(first):
        raise Alarm(f"{name} {value:.4f}, not {first:.4f} as before")


@dataclass(frozen=True)
class Figures:
    """`places`, `clips`: spread of the style features between these, in levels. `peak`: RMS of the
    largest channel of the trunk over the median's. `dead`: share of units always at their zero
    point. `change` of luma by painting, mean, in codes. `base`: held-out loss of base frames;
    `zeroing`: less that of painted ones."""

    places: float
    clips: float
    peak: float
    dead: float
    change: float
    zeroing: float
    base: float

    def check(self, minutes: float, first_base: float) -> None:
        """Raises `Alarm` with the figure that is out of bounds."""
        check_features(self.places, self.clips, self.peak, self.dead, LEAST_SPREAD)
        check_same("base frames cost", self.base, first_base)
        if minutes < PATIENCE_MINUTES:
            return
        if not self.change >= LEAST_CHANGE:
            raise Alarm(f"the painter changes luma by {self.change:.3g} codes")
        if not self.zeroing > 0:
            raise Alarm(f"without the painter held-out clips cost {-self.zeroing:.4f} less")


@torch.no_grad()
def features(painter: PainterNetwork, batch: Batch) -> tuple[float, float, float, float, float]:
    """`Figures` without the two losses, of a batch of several clips."""
    with _record_activations(painter) as (levels, trunk):
        painted, _ = paint_run(painter, batch, 0)
    style = levels["style"][-1]  # (B, C, H/8, W/8)
    places = float(style.std((2, 3)).mean())
    clips = float(style.mean((2, 3)).std(0).mean())
    size = trunk[-1].square().mean((0, 2, 3)).sqrt()
    peak = float(size.max() / size.median().clamp(min=1e-6))
    largest = ([x.abs().amax((0, 2, 3)) for x in values] for values in levels.values())
    units = torch.cat([torch.stack(values).amax(0) for values in largest])
    change = float((painted[0] - batch.base[0][:, -1]).abs().mean()) * 1023
    return places, clips, peak, float((units == 0).float().mean()), change


@contextmanager
def _record_activations(
    painter: PainterNetwork,
) -> Iterator[tuple[dict[str, list[Tensor]], list[Tensor]]]:
    """Activations of layers by name, and the output of the last block, of all frames meanwhile."""
    levels: dict[str, list[Tensor]] = {}
    trunk: list[Tensor] = []
    layers = {n: m for n, m in painter.named_modules() if isinstance(m, Requantiser)}

    def recording(name: str, layer: Requantiser):  # type: ignore[no-untyped-def]
        def recorded(value: Tensor) -> Tensor:
            levels_of_value = type(layer).levels(layer, value)
            levels.setdefault(name, []).append(levels_of_value)
            return levels_of_value

        return recorded

    hook = painter.blocks[-1].register_forward_hook(lambda module, inputs, out: trunk.append(out))
    for name, layer in layers.items():
        layer.levels = recording(name, layer)  # type: ignore[method-assign]
    try:
        yield levels, trunk
    finally:
        hook.remove()
        for layer in layers.values():
            del layer.levels
