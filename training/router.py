"""Trains InfoTok's router (`gvcodec.gvc1d.allocation.router`): from encoder features to -ELBO.

    python -m training router CLIPS --out DIR --minutes 3

The frozen tokenizer codes `FRAMES` pictures of each clip, clips in an order drawn by name, as
far as the processor minutes go. Each is decoded from the prefixes that
windows get at each base rate, varied by their loss; bits and L1 error of that decode are the
window's -ELBO. One hidden layer learns its logarithm from the pooled features. A fifth of the
clips, by the first word of their names, is held out; the card tells what the router explains of
them, and what is left with zeroed and with shuffled features. Alarm: less than `_ALIVE` explained.
"""

from __future__ import annotations

import argparse
import itertools
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gvcodec.errors import UsageError
from gvcodec.gvc1d.allocation.router import (
    BASE_RATES,
    NAME,
    negative_elbo,
    pool,
    training_counts,
)
from gvcodec.gvc1d.checkpoint import find_shipped
from gvcodec.gvc1d.tokenizer import Tokenizer
from gvcodec.media.planes import planes_from_frame
from gvcodec.types import Planes
from gvcodec.util.messages import say
from gvcodec.util.models import model_id, save_weights
from training.alarms import Alarm
from training.card import write_card

#: Pictures of a clip, taken at these shares of its length, in at most so many windows.
FRAMES, _WINDOWS = (0.2, 0.7), (3, 2)
_HIDDEN, _STEPS, _RATE, _DECAY = 32, 400, 3e-3, 1e-3
#: Share of the variance of log(-ELBO) between windows that the router has to explain.
_ALIVE = 0.2


class Windows(NamedTuple):
    """Of M windows: what the router sees (M, 2 D + 1), log(-ELBO) (M,), whether held out (M,)."""

    seen: Tensor
    wanted: Tensor
    held_out: Tensor


class Head(nn.Module):
    """The router as torch trains it; it begins by saying `usual` of every window."""

    centre: Tensor
    scale: Tensor

    def __init__(self, seen: Tensor, usual: float) -> None:
        super().__init__()
        centre, spread = seen.mean(0), seen.std(0)
        self.register_buffer("centre", centre)
        self.register_buffer("scale", 1 / spread.clamp(min=1e-3))
        self.hidden, self.out = nn.Linear(seen.shape[1], _HIDDEN), nn.Linear(_HIDDEN, 1)
        nn.init.constant_(self.out.bias, usual)

    def forward(self, seen: Tensor) -> Tensor:
        """log(-ELBO) (M,)."""
        logs: Tensor = self.out(self.hidden((seen - self.centre) * self.scale).relu())[:, 0]
        return logs

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """As the router reads them."""
        named = {
            "centre": self.centre,
            "scale": self.scale,
            "hidden": self.hidden.weight,
            "hidden_bias": self.hidden.bias,
            "out": self.out.weight[0],
            "out_bias": self.out.bias,
        }
        return {name: tensor.detach().float().numpy() for name, tensor in named.items()}


def held_out(name: str) -> bool:
    """By the first word, which clips of one source share."""
    return zlib.crc32(name.split("-")[0].encode()) % 5 == 0


def pictures(path: Path, window: int) -> Iterator[Planes]:
    """Of a clip (10 bits), reduced to about as many windows as `_WINDOWS`."""
    with av.open(str(path)) as container:
        frames = [frame for frame in itertools.islice(container.decode(video=0), 64)]
    for share in FRAMES:
        frame = frames[int(share * (len(frames) - 1))]
        across, down = (side * window for side in _WINDOWS)
        part = min(1.0, across / frame.width, down / frame.height)
        width, height = (max(16, int(n * part) // 2 * 2) for n in (frame.width, frame.height))
        small = frame.reformat(width, height, format="yuv420p10le", interpolation="AREA")
        yield planes_from_frame(small)


@torch.no_grad()
def survey(tokenizer: Tokenizer, planes: Planes) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Of one picture at each of R base rates: features pooled (R, W, 2 D + 1), bits and L1 errors
    (2, R, W), errors as sums over a window's samples in 0…1."""
    values, features = tokenizer.encode([planes])
    tokens = values.shape[2]
    everything = _errors(tokenizer, values, planes)
    seen, found = [], []
    for rate in BASE_RATES:
        counts = training_counts(everything, everything.mean(), tokens, np.array(rate))
        kept = values * (np.arange(tokens) < counts[..., None])[..., None]
        seen.append(pool(features[0], rate))
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


def gather(clips: Sequence[Path], tokenizer: Tokenizer, minutes: float) -> tuple[Windows, float]:
    """Windows of the clips, as far as the time goes, and the price of a bit: with it bits and
    errors weigh the same on average."""
    began = time.process_time()
    seen, found, apart = [], [], []
    for path in clips:
        if time.process_time() - began > 60 * minutes:
            break
        for planes in pictures(path, tokenizer.model.config.window):
            features, costs = survey(tokenizer, planes)
            seen.append(features.reshape(-1, features.shape[-1]))
            found.append(costs.reshape(2, -1))
            apart.append(np.full(found[-1].shape[1], held_out(path.name)))
    if not seen or np.concatenate(apart).all() or not np.concatenate(apart).any():
        raise UsageError("too few clips: some are learned from, some held out")
    bits, errors = np.concatenate(found, 1)
    price = float(errors.mean() / max(bits.mean(), 1e-9))
    wanted = np.log(np.maximum(negative_elbo(bits, errors, price), 1e-3)).astype(np.float32)
    kept = np.concatenate(apart)
    return Windows(*map(torch.from_numpy, (np.concatenate(seen), wanted, kept))), price


def train(windows: Windows, seed: int = 1) -> Head:
    torch.manual_seed(seed)
    learn = ~windows.held_out
    seen, wanted = windows.seen[learn], windows.wanted[learn]
    head = Head(seen, float(wanted.mean()))
    optimizer = torch.optim.AdamW(head.parameters(), _RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
    for _ in range(_STEPS):
        loss = nn.functional.smooth_l1_loss(head(seen), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return head


@torch.no_grad()
def explained(head: Head, windows: Windows, change: str = "") -> float:
    """Share of the variance of held-out log(-ELBO) that is predicted; `change`: "zeroed" or
    "shuffled" features."""
    seen, wanted = windows.seen[windows.held_out].clone(), windows.wanted[windows.held_out]
    if change == "zeroed":
        seen[:, :-1] = head.centre[:-1]
    elif change == "shuffled":
        order = torch.randperm(len(seen), generator=torch.Generator().manual_seed(1))
        seen[:, :-1] = seen[order, :-1]
    return float(1 - (head(seen) - wanted).pow(2).mean() / wanted.var(correction=0))


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m training router", description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--model", type=Path, help="weights of the tokenizer (the shipped ones)")
    options = parser.parse_args(words)
    began = time.process_time()
    model = options.model or find_shipped()
    tokenizer = Tokenizer(model)
    clips = sorted(options.clips.glob("*.mp4"), key=lambda path: zlib.crc32(path.name.encode()))
    windows, price = gather(clips, tokenizer, options.minutes)
    head = train(windows)
    figures = {change: explained(head, windows, change) for change in ("", "zeroed", "shuffled")}
    say(", ".join(f"{change or 'explained'} {value:.3f}" for change, value in figures.items()))
    if figures[""] < _ALIVE:
        raise Alarm(f"the router explains {figures['']:.2f} of held-out windows' variance")
    options.out.mkdir(parents=True, exist_ok=True)
    weights = {name: torch.from_numpy(value) for name, value in head.weights().items()}
    identity = model_id(model).hex()
    save_weights(weights, options.out / NAME, {"tokenizer": identity})
    write_card(
        (options.out / NAME).with_suffix(".json"),
        head,
        _STEPS,
        (time.process_time() - began) / 60,
        tokenizer=identity,
        windows=len(windows.seen),
        bit_price=price,
        explained=round(figures[""], 3),
        zeroed=round(figures["zeroed"], 3),
        shuffled=round(figures["shuffled"], 3),
    )
