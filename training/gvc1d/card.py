"""The worth of each part of a trained network: each is spoilt in turn, on held-out runs.

    python -m training gvc1d CONFIG --card WEIGHTS

Of the training loss (pixels, steadiness, the small perceptual network) a part is worth its rise in
per cent, where the part is active (`ROWS`); of the built-in clip tests compare the shipped card.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.allocation.router import negative_elbo, route_to
from gvcodec.gvc1d.buffer import State
from gvcodec.gvc1d.memory import Remembered
from gvcodec.gvc1d.picture import Picture, from_rgb, pad
from gvcodec.gvc1d.token_network import TokenNetwork
from training.gvc1d.losses import Distortion, Weights
from training.gvc1d.run import Coded, Frame

#: Rate that the built-in clip is coded at.
_RATE = 3

#: Ablations: all tokens zero, or tokens of another clip; memory reset in every frame, or memory of
#: another clip; the decoder's features of the last frame zero; nothing of the last frame but the
#: memory, and not even that; no local, no global layers. "free": no network.
CHANGES: tuple[str, ...] = ("zeroed", "shuffled", "memory", "shuffled memory", "features", "buffer")
CHANGES += ("buffer and memory", "local", "global")
_MEMORY = ("memory", "shuffled memory", "buffer and memory")
#: Truncated instead: 8 tokens in every window, or 8 on average by InfoTok's budgets.
SHORT = 8
BUDGETS = (f"{SHORT} tokens", f"{SHORT} tokens by ELBO")
#: What is measured, and what is spoilt there: runs without and with a base; the first frames of a
#: shot that comes back (no base); runs in which every second window has no tokens (no base).
ROWS: dict[str, tuple[str, ...]] = {"no base": CHANGES, "base": CHANGES}
ROWS |= {"return": _MEMORY, "half the windows": ("global", "local")}


def code_run(
    model: TokenNetwork, frames: list[Frame], rate: int, change: str = "", half: bool = False
) -> list[Coded]:
    """A run as a decoder shows it; `half`: every second window has no tokens."""
    with _layers(model, change):
        return list(_code(model, frames, rate, change, half))


def _code(
    model: TokenNetwork, frames: list[Frame], rate: int, change: str, half: bool
) -> Iterator[Coded]:
    state: State | None = None
    before: Tensor | None = None
    for frame in frames:
        b, _, h, w = frame.source.y.shape
        memory = None if state is None or change == "memory" else state.memory
        if memory is not None and change == "shuffled memory":
            rolled = (None if part is None else part.roll(1, 0) for part in memory)
            memory = Remembered(*rolled)  # type: ignore[arg-type]
        if state is not None:
            state = state._replace(memory=memory)
            if change == "features":
                state = state._replace(features=torch.zeros_like(state.features))
        if change.startswith("buffer") or frame.cut:
            state = None
        kept = None if change == "buffer and memory" else memory
        context = model.context(frame.shown, state, frame.motion, (b, h, w), kept)
        if change == "free":
            empty = torch.zeros(b, 1, 1)
            yield Coded(context.picture, empty, empty)
            continue
        tokens = model.analyse(frame.source, context, rate).round()
        if half:
            tokens[:, 1::2] = 0
        rates = torch.full((b,), rate, device=tokens.device)
        bits = model.prior(tokens, before, rates, context.known)
        before = tokens
        if change == "zeroed":
            tokens = torch.zeros_like(tokens)
        elif change == "shuffled":
            tokens = tokens.roll(1, 0)
        elif change in BUDGETS:
            counts = np.full(tokens.shape[:2], SHORT)
            if change == BUDGETS[1]:
                whole, _ = model.synthesise(tokens, context, rate)
                elbo = elbo_of(model, frame, Coded(whole, tokens, bits))
                counts = route_to(elbo, tokens.shape[2], int(counts.sum()))
            sent = np.arange(tokens.shape[2]) < counts[..., None]
            tokens = tokens * torch.from_numpy(sent).to(tokens)[..., None]
        picture, state = model.synthesise(tokens, context, rate)
        yield Coded(picture, tokens, bits)


def elbo_of(model: TokenNetwork, frame: Frame, coded: Coded) -> NDArray[np.float64]:
    """-ELBO (B, W) of a frame's windows [InfoTok]: bits, and L1 error of luma in units that make
    both alike on average."""
    missed = (coded.picture.y.float() - frame.source.y).abs()
    error = F.avg_pool2d(missed, model.config.window).flatten(1).cpu().numpy()  # [B, W]
    bits = coded.bits.float().cpu().numpy()
    return negative_elbo(bits, error, float(error.mean()) / max(float(bits.mean()), 1e-9))


@contextmanager
def _layers(model: TokenNetwork, change: str) -> Iterator[None]:
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


def return_to(run: list[Frame], phases: int) -> list[Frame]:
    """A run's first frame with a pass a phase, two frames of another run, three of its own."""
    frames = [run[0]._replace(motion=None)] * phases
    for shot in ([frame.rolled() for frame in run[:2]], run[:3]):
        frames += [shot[0]._replace(motion=None, cut=True), *shot[1:]]
    return frames


def judge(
    model: TokenNetwork, run: list[Frame], row: str, change: str, rate: int, distortion: Distortion
) -> dict[str, float]:
    """`loss`, `psnr` of luma and `bits` a window of a run (B > 1), one of `ROWS`."""
    frames = return_to(run, model.config.phases) if row == "return" else run
    coded = code_run(model, frames, rate, change, row == "half the windows")
    if row == "return":
        frames, coded = frames[-3:], coded[-3:]
    with torch.autocast(frames[0].source.y.device.type, enabled=False):
        costs = distortion(frames, coded, np.random.default_rng(0), "small")
    missed = (c.picture.y - f.source.y for c, f in zip(coded, frames, strict=True))
    error = torch.stack([difference.square().mean((1, 2, 3)) for difference in missed])
    bits = torch.stack([c.bits.mean() for c in coded]).mean()
    psnr = -10 * torch.log10(error).mean()
    return {"loss": float(costs.mean()), "psnr": float(psnr), "bits": float(bits)}


@torch.no_grad()
def measure_built_in(model: TokenNetwork, row: str, change: str = "") -> dict[str, float]:
    """`judge` of eight frames of the built-in clip, four by four; its stand-in for a base is the
    source at a quarter of its size."""
    distortion = Distortion(Weights(4.0, 10.0, 1.0), torch.device("cpu"))
    source = _built_in()
    frames = []
    for t in range(len(source.y) // 2):
        at = 0 if row == "return" else t  # a shot that comes back stands still
        picture = Picture(source.y[[at, at + 4]], source.uv[[at, at + 4]])
        shown = Picture(*(_coarse(plane) for plane in picture)) if row == "base" else None
        frames.append(Frame(picture, shown, None))
    return judge(model, frames, row, change, _RATE, distortion)


def _built_in() -> Picture:
    """Two runs of four frames of the demo's clip, whole windows."""
    script = Path(__file__).parents[2] / "scripts/demo_clip.py"
    frames = list(runpy.run_path(str(script))["frames"](28))
    chosen = np.stack([*frames[:4], *frames[24:]])
    rgb = torch.from_numpy(chosen).permute(0, 3, 1, 2).float() / 255
    return pad(from_rgb(rgb), 256)


def _coarse(plane: Tensor) -> Tensor:
    small = F.avg_pool2d(plane, 4)
    return F.interpolate(small, scale_factor=4, mode="bilinear", align_corners=False)


def make_card(
    measure: Callable[[TokenNetwork, str, str], dict[str, float]], model: TokenNetwork
) -> dict[str, dict[str, float]]:
    """`ROWS`: `judge` of the whole network, distortion without one, cost of spoilt parts in %."""
    card = {}
    for name, changes in ROWS.items():
        whole = measure(model, name, "")
        row = {key: round(value, 4) for key, value in whole.items()}
        row["no network"] = round(measure(model, name, "free")["loss"], 4)
        for change in changes:
            found = measure(model, name, change)
            row[f"{change}, %"] = round(100 * (found["loss"] / whole["loss"] - 1), 2)
            if found["bits"] != whole["bits"]:
                row[f"{change}, bits %"] = round(100 * (found["bits"] / whole["bits"] - 1), 2)
        card[name] = row
    return card
