"""What the parts of a trained network are worth: each spoilt in turn, on held-out runs.

    python -m training gvc1d CONFIG --card WEIGHTS

Distortions are those of training (pixels, steadiness and the small perceptual network), without and
with a base; a part costs what they rise by, in per cent. What training without a part costs is
measured by the configurations in `training/configs/gvc1d/ablations`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gvcodec.gvc1d.buffer import State
from gvcodec.gvc1d.model import GVC1D, Coded, Frame

#: What can be spoilt: all tokens zero, or those of another clip; the memory fresh in every frame,
#: or that of another clip; the decoder's features of the last frame zero; nothing known of the last
#: frame but the memory; no local, no global layers.
CHANGES = (
    "zeroed",
    "shuffled",
    "memory",
    "shuffled memory",
    "features",
    "buffer",
    "local",
    "global",
)


def code_run(model: GVC1D, frames: list[Frame], rate: int, change: str = "") -> list[Coded]:
    """A run as a decoder shows it, with a part of the network spoilt; "free": without network."""
    with _layers(model, change):
        return list(_code(model, frames, rate, change))


def _code(model: GVC1D, frames: list[Frame], rate: int, change: str) -> Iterator[Coded]:
    state: State | None = None
    before: Tensor | None = None
    for frame in frames:
        b, _, h, w = frame.source.y.shape
        memory = None if state is None else state.memory
        if state is not None and change == "memory":
            state = state._replace(memory=None)
        elif state is not None and memory is not None and change == "shuffled memory":
            state = state._replace(memory=memory.roll(1, 0))
        elif state is not None and change == "features":
            state = state._replace(features=torch.zeros_like(state.features))
        elif change == "buffer":
            state = None
        context = model.context(frame.shown, state, frame.motion, (b, h, w))
        if change == "buffer" and memory is not None:
            context = context._replace(memory=memory)
        if change == "free":
            empty = torch.zeros(b, 1, 1)
            yield Coded(context.picture, empty, empty)
            continue
        tokens = model.analyse(frame.source, context, rate).round()
        rates = torch.full((b,), rate, device=tokens.device)
        bits = model.prior(tokens, before, rates, context.known)
        before = tokens
        if change == "zeroed":
            tokens = torch.zeros_like(tokens)
        elif change == "shuffled":
            tokens = tokens.roll(1, 0)
        picture, state = model.synthesise(tokens, context, rate)
        yield Coded(picture, tokens, bits)


@contextmanager
def _layers(model: GVC1D, change: str) -> Iterator[None]:
    stacks = model.encoder.stack, model.decoder.stack
    before = [(s.uses_local, s.uses_global) for s in stacks]
    for stack in stacks:
        stack.uses_local &= change != "local"
        stack.uses_global &= change != "global"
    try:
        yield
    finally:
        for stack, (local, across) in zip(stacks, before, strict=True):
            stack.uses_local, stack.uses_global = local, across


def make_card(
    measure: Callable[[GVC1D, bool, str], dict[str, float]], model: GVC1D
) -> dict[str, dict[str, float]]:
    """Rows "no base" and "base": `distortion`, `psnr`, `bits` a window whole, distortion without a
    network, and what each spoilt part costs in per cent."""
    card = {}
    for name, base in (("no base", False), ("base", True)):
        whole, free = measure(model, base, ""), measure(model, base, "free")
        row = {key: round(value, 4) for key, value in whole.items()}
        row["no network"] = round(free["loss"], 4)
        for change in CHANGES:
            cost = measure(model, base, change)["loss"] / whole["loss"] - 1
            row[f"{change}, %"] = round(100 * cost, 2)
        card[name] = row
    return card
