"""Alarms that end a training run of GVC1D: tokens, slots or units that carry no information."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.layers import Stack
from gvcodec.gvc1d.token_network import TokenNetwork
from gvcodec.gvc1d.transformer import Block
from training.alarms import Alarm, check_features, check_same

#: Least spread of features between places and between clips; they are of unit size.
LEAST_SPREAD = 0.02
#: An activation that counts as none.
_SILENT = 1e-3


@dataclass(frozen=True)
class Figures:
    """`places`, `clips`: spread of the decoder's patch features between places and of the
    encoder's slots between clips. `peak`: largest channel over the median. `dead`: share of hidden
    units. `zeroed`, `shuffled`: held-out distortion without tokens, and with tokens of another
    clip, over the intact network's, less 1. `free`: distortion of the row without a network."""

    places: float
    clips: float
    peak: float
    dead: float
    zeroed: float
    shuffled: float
    free: float

    def check(self, late: bool, first_free: float) -> None:
        """Raises `Alarm`. `late`: the run had the time to learn something."""
        check_features(self.places, self.clips, self.peak, self.dead, LEAST_SPREAD)
        check_same("the row without a network is", self.free, first_free)
        if late and not (self.zeroed > 0 and self.shuffled > 0):
            raise Alarm(
                f"tokens are dead: zeroed they cost {100 * self.zeroed:.2g} %, shuffled "
                f"{100 * self.shuffled:.2g} %"
            )


@torch.no_grad()
def spreads(model: TokenNetwork, run: Callable[[], object]) -> tuple[float, float, float, float]:
    """`places`, `clips`, `peak`, `dead` while `run` codes several clips."""
    with _record(model) as (streams, hidden):
        run()
    patches = streams["decoder"][0].float()  # [B, W, P, D]
    slots = streams["encoder"][1].float()  # [B, W, K, D]
    places = float(patches.std(2).mean())
    clips = float(slots.mean((1, 2)).std(0).mean())
    size = patches.square().mean((0, 1, 2)).sqrt()
    peak = float(size.max() / size.median().clamp(min=1e-6))
    dead = torch.cat([(units < _SILENT).float() for units in hidden.values()])
    return places, clips, peak, float(dead.mean())


@contextmanager
def _record(
    model: TokenNetwork,
) -> Iterator[tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Tensor]]]:
    """The streams that leave each stack, and the largest activation of each hidden unit."""
    streams: dict[str, tuple[Tensor, Tensor]] = {}
    hidden: dict[str, Tensor] = {}
    hooks = []

    def keep_stream(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: object, out: tuple[Tensor, Tensor, Tensor]) -> None:
            streams[name] = out[0], out[1]

        return hook

    def keep_units(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: object, out: Tensor) -> None:
            most = torch.nn.functional.gelu(out.float()).abs().flatten(0, -2).amax(0)
            hidden[name] = torch.maximum(hidden[name], most) if name in hidden else most

        return hook

    for name, module in model.named_modules():
        if isinstance(module, Stack):
            hooks.append(module.register_forward_hook(keep_stream(name.split(".")[0])))
        elif isinstance(module, Block):
            hooks.append(module.c_fc.register_forward_hook(keep_units(name)))
    try:
        yield streams, hidden
    finally:
        for hook in hooks:
            hook.remove()
