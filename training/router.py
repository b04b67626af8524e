"""Trains InfoTok's router (`gvcodec.allocation.router`): from tokens to -ELBO.

    python -m training router FOLDER --out DIR --minutes 3

The frozen tokenizer codes a picture of each video and photo below FOLDER, in an order drawn by
name, as far as the processor minutes go, and decodes it from all tokens and from the prefixes that
windows get at one of the lower base rates, varied by their loss; bits and L1 error of a decode are
the window's -ELBO. The head begins as the ridge regression of its logarithm; a hidden layer is kept
as far as it helps windows of other sources. The card is of held-out sources, with zeroed and with
shuffled tokens too. Alarm: less than `_ALIVE` explained.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gvcodec.allocation.router import BASE_RATES, magnitudes, negative_elbo, training_counts
from gvcodec.errors import UsageError
from gvcodec.gvc1d.tokenizer import Tokenizer
from gvcodec.models import ROUTER, TOKENIZER, model_id, save_weights
from gvcodec.planes import planes_from_frame
from gvcodec.types import Planes
from gvcodec.util.messages import log_line
from training.alarms import Alarm
from training.card import write_card
from training.files import list_clips
from training.held_out import is_held_out
from training.loop import Loop, Schedule, Work

#: The picture of a clip is one of its first `_FIRST`, scaled to fit into `_WINDOWS` windows.
_FIRST, _WINDOWS = 48, (3, 2)
#: Share of the sources that the tokenizer never learned from (`TrainConfig.held_out`), and with
#: those that decide how long the head learns.
_HELD_OUT, _APART = 0.12, 0.3
#: Weights of the ridge, a share of the inputs' variance.
_RIDGES = (0.001, 0.01, 0.1, 0.3, 1.0)
_HIDDEN, _STEPS, _LOOK, _RATE, _DECAY = 32, 200, 10, 1e-3, 0.1
#: Share of the variance of log(-ELBO) between windows that the router has to explain.
_ALIVE = 0.2


class Windows(NamedTuple):
    """Of M windows: the router's inputs (M, K + 1) and log(-ELBO) (M,)."""

    seen: Tensor
    wanted: Tensor


class Material(NamedTuple):
    """Windows by source: to learn from, to decide by, held out."""

    learn: Windows
    validate: Windows
    held_out: Windows


class Head(nn.Module):
    """The router as torch trains it; it begins as the ridge regression of `learn`."""

    centre: Tensor
    scale: Tensor

    def __init__(self, learn: Windows, ridge: float) -> None:
        super().__init__()
        width = learn.seen.shape[1]
        self.register_buffer("centre", learn.seen.mean(0))
        self.register_buffer("scale", 1 / learn.seen.std(0).clamp(min=1e-3))
        self.linear, self.hidden = nn.Linear(width, 1), nn.Linear(width, _HIDDEN)
        self.out = nn.Linear(_HIDDEN, 1, bias=False)
        nn.init.zeros_(self.out.weight)
        seen, usual = self._normalise(learn.seen), learn.wanted.mean()
        products = seen.T @ seen / len(seen) + ridge * torch.eye(width)
        solved = torch.linalg.solve(products, seen.T @ (learn.wanted - usual) / len(seen))
        self.linear.weight.data[0], self.linear.bias.data[0] = solved, usual

    def forward(self, seen: Tensor) -> Tensor:
        """log(-ELBO) (M,)."""
        seen = self._normalise(seen)
        logs: Tensor = (self.linear(seen) + self.out(self.hidden(seen).relu()))[:, 0]
        return logs

    def _normalise(self, seen: Tensor) -> Tensor:
        return (seen - self.centre) * self.scale

    def weights(self) -> dict[str, Tensor]:
        hidden = {"hidden": self.hidden.weight, "hidden_bias": self.hidden.bias}
        out = {"out": self.out.weight[0], "out_bias": self.linear.bias}
        line = {"centre": self.centre, "scale": self.scale, "linear": self.linear.weight[0]}
        return line | hidden | out


def picture(path: Path, window: int) -> Planes:
    """Of a clip or photo (10 bits), reduced to about as many windows as `_WINDOWS`."""
    number = zlib.crc32(path.name.encode()) % _FIRST
    with av.open(str(path)) as container:
        *_, frame = itertools.islice(container.decode(video=0), number + 1)
    across, down = (side * window for side in _WINDOWS)
    part = min(1.0, across / frame.width, down / frame.height)
    width, height = (max(16, int(n * part) // 2 * 2) for n in (frame.width, frame.height))
    small = frame.reformat(width, height, format="yuv420p10le", interpolation="AREA")
    return planes_from_frame(small)


@torch.no_grad()
def survey(
    tokenizer: Tokenizer, planes: Planes, rates: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """At each of R rates: magnitudes (R, W, K + 1); bits and sums of L1 in 0…1 (2, R, W)."""
    values = tokenizer.encode([planes]).values
    tokens = values.shape[2]
    everything = _errors(tokenizer, values, planes)
    seen, found = [], []
    for rate in rates:
        counts = training_counts(everything, everything.mean(), tokens, np.array(rate))
        kept = values * (np.arange(tokens) < counts[..., None])[..., None]
        seen.append(magnitudes(values[0], rate))
        bits = tokenizer.bits(kept)[0].numpy().astype(np.float64)
        found.append((bits, _errors(tokenizer, kept, planes)[0]))
    return np.stack(seen), np.stack(found, 1)


def _errors(tokenizer: Tokenizer, values: NDArray[np.int16], planes: Planes) -> NDArray[np.float64]:
    """L1 of luma by window, (1, W)."""
    height, width = planes[0].shape
    shown = tokenizer.decode(values, width, height)[0][0, 0].numpy()[:height, :width]
    missed = np.abs(shown - planes[0].astype(np.float32) / 1020)
    side = tokenizer.model.config.window
    rows = np.add.reduceat(missed, np.arange(0, height, side), 0)
    return np.add.reduceat(rows, np.arange(0, width, side), 1).reshape(1, -1).astype(np.float64)


def gather(clips: Sequence[Path], tokenizer: Tokenizer, minutes: float) -> tuple[Material, float]:
    """Windows of the clips, as far as the time goes, and the price of a bit: with it bits and
    errors weigh the same on average. Unreadable clips are left out."""
    began = time.process_time()
    seen, found, groups = [], [], []
    for number, path in enumerate(clips):
        if time.process_time() - began > 60 * minutes:
            break
        try:
            planes = picture(path, tokenizer.model.config.window)
        except (av.FFmpegError, ValueError, IndexError) as error:
            log_line(f"{path}: {error}")
            continue
        rates = BASE_RATES[0], BASE_RATES[1 + number % (len(BASE_RATES) - 1)]
        inputs, costs = survey(tokenizer, planes, rates)
        seen.append(inputs.reshape(-1, inputs.shape[-1]))
        found.append(costs.reshape(2, -1))
        groups.append(np.full(len(seen[-1]), group_of(path)))
    group = np.concatenate(groups) if groups else np.zeros(0)
    if len(np.unique(group)) < len(Material._fields):
        raise UsageError("too few clips: some are learned from, some decide, some are held out")
    bits, errors = np.concatenate(found, 1)
    price = float(errors.mean() / max(bits.mean(), 1e-9))
    wanted = np.log(np.maximum(negative_elbo(bits, errors, price), 1e-3)).astype(np.float32)
    every = torch.from_numpy(np.concatenate(seen)), torch.from_numpy(wanted)
    parts = [Windows(*(x[torch.from_numpy(group == n)] for x in every)) for n in range(3)]
    return Material(*parts), price


def group_of(path: Path) -> int:
    """Place in `Material`, the same for all clips of a source."""
    return 2 if is_held_out(path.name, _HELD_OUT) else int(is_held_out(path.name, _APART))


def fit_ridge(material: Material) -> Head:
    """The ridge regression that explains most of the windows to decide by."""
    heads = [Head(material.learn, ridge) for ridge in _RIDGES]
    return max(heads, key=lambda head: explained(head, material.validate))


class _Descent(Work):
    """From the ridge on; keeps the weights that explain most of the windows to decide by."""

    def __init__(self, head: Head, material: Material) -> None:
        self.model, self._head, self._material = head, head, material
        self._most = -math.inf
        self.check(head, 0.0)

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        learn = self._material.learn
        return nn.functional.mse_loss(self._head(learn.seen), learn.wanted), {}

    def check(self, average: nn.Module, minutes: float) -> dict[str, float]:
        now = explained(self._head, self._material.validate)
        if now > self._most:
            self._most, self.best = now, copy.deepcopy(self._head.state_dict())
        return {}


def train(material: Material, seed: int = 1) -> Head:
    """The head that explains most of the windows to decide by, the ridge or one that goes on."""
    torch.manual_seed(seed)
    head = fit_ridge(material)
    work = _Descent(head, material)
    how = {"clip": math.inf, "decay": _DECAY, "betas": (0.9, 0.999), "check_steps": _LOOK}
    Loop(work, Schedule(_RATE, 0, _STEPS, 0, 1.0, **how)).run(math.inf, _STEPS)  # type: ignore[arg-type]
    head.load_state_dict(work.best)
    return head


@torch.no_grad()
def explained(head: Head, windows: Windows, change: str = "") -> float:
    """Share of the variance of log(-ELBO) predicted; `change`: "zeroed" (mean) or "shuffled"."""
    seen, wanted = windows.seen.clone(), windows.wanted
    if change == "zeroed":
        seen[:, :-1] = head.centre[:-1]
    elif change == "shuffled":
        order = torch.randperm(len(seen), generator=torch.Generator().manual_seed(1))
        seen[:, :-1] = seen[order, :-1]
    return float(1 - (head(seen) - wanted).pow(2).mean() / wanted.var(correction=0))


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m training router", description=__doc__)
    parser.add_argument("clips", type=Path, metavar="FOLDER", help="folder of videos and photos")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3.0, help="minutes of training (3)")
    parser.add_argument("--model", type=Path, help="weights of the tokenizer (the shipped ones)")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    began = time.process_time()
    model = options.model or TOKENIZER.find()
    clips = list_clips(options.clips, ("devtest",))
    clips = [path for path in clips if path.is_file()]
    clips.sort(key=lambda path: zlib.crc32(path.name.encode()))
    material, price = gather(clips, Tokenizer(model), options.minutes)
    head = train(material)
    held = material.held_out
    figures = {change: explained(head, held, change) for change in ("", "zeroed", "shuffled")}
    log_line(", ".join(f"{change or 'explained'} {value:.3f}" for change, value in figures.items()))
    if not figures[""] >= _ALIVE:
        raise Alarm(f"the router explains {figures['']:.2f} of held-out windows' variance")
    options.out.mkdir(parents=True, exist_ok=True)
    identity = model_id(model).hex()
    save_weights(head.weights(), options.out / ROUTER.name, {"tokenizer": identity})
    figures = {
        "explained": figures.pop(""),
        "ridge_alone": explained(fit_ridge(material), held),
    } | figures
    card: dict[str, object] = {"tokenizer": identity, "bit_price": price}
    card["windows"] = {name: len(part.wanted) for name, part in material._asdict().items()}
    card |= {name: round(value, 3) for name, value in figures.items()}
    minutes = (time.process_time() - began) / 60
    write_card(options.out / ROUTER.name, head, _STEPS, minutes, **card)
