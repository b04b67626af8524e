"""Trains InfoTok's router (`gvcodec.allocation.router`): from integers of windows to -ELBO.

    python -m training router FOLDER --out DIR --minutes 3

`--alloc elbo` gives a window tokens in proportion to L = -ELBO, the J of the window with all its
tokens (`gvcodec.gvc1d.budgets`), for which it decodes them and predicts their bits. The router
predicts log L from the encoder's integers. GVC1D's network codes frames of each video and photo
below FOLDER, in an order drawn by name, as far as the processor minutes go. The head begins as the
ridge regression of log L; a hidden layer is kept as far as it helps windows of other sources. The
card has the share of the variance of log L that the router explains on windows of held-out sources,
by the ridge alone, with inputs zeroed and shuffled, and the processor time of both ways to L, per
window. Alarm: less than `_ALIVE` explained.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gvcodec.allocation.router import differences
from gvcodec.errors import MediaError, UsageError
from gvcodec.gvc1d import ops_exact
from gvcodec.gvc1d.budgets import cost_of
from gvcodec.gvc1d.frame_coder import RATE_STEPS, Frame, FrameCoder
from gvcodec.gvc1d.weights import read_network
from gvcodec.models import GVC1D, ROUTER, model_id, read_arrays, save_weights
from gvcodec.planes import Scaler
from gvcodec.source.reader import VideoReader
from gvcodec.types import Planes
from gvcodec.util.messages import log_line
from gvcodec.util.options import ExactParser
from training.alarms import Alarm
from training.card import write_card
from training.files import list_clips
from training.held_out import is_held_out
from training.loop import Loop, Schedule, Work

#: Windows of height that pictures are scaled to.
_ROWS = 1
#: Frames that are coded one after the other, so far apart: a keyframe and one that follows it.
FRAMES, STEP = 2, 2
#: Coded rates, in turn: the middle one of the network and two next to it.
RATES = tuple(rate * RATE_STEPS for rate in (3, 4, 5))
#: Share of the sources that are held out, and with those that decide how long the head learns.
_HELD_OUT, _APART = 0.12, 0.3
#: Weights of the ridge, a share of the inputs' variance.
_RIDGES = (0.001, 0.01, 0.1, 0.3, 1.0)
_HIDDEN, _STEPS, _LOOK, _RATE, _DECAY = 32, 200, 10, 1e-3, 0.1
#: Share of the variance of log L between windows that the router has to explain.
_ALIVE = 0.2


class Survey(NamedTuple):
    """Of M windows: the router's inputs (M, C + 1) and log L (M,); processor seconds to L, of a
    window."""

    inputs: NDArray[np.float32]
    costs: NDArray[np.float64]
    seconds: float


class Windows(NamedTuple):
    """Of M windows: the router's inputs (M, C + 1) and log L (M,)."""

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
        """log L (M,)."""
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


def read_frames(path: Path, window: int) -> list[Planes]:
    """`FRAMES` frames of a video, `STEP` apart, or a photo, `_ROWS` windows high and with whole
    windows of width. Raises `MediaError`."""
    with VideoReader(path, frames=FRAMES * STEP) as reader:
        fmt, height = reader.format, _ROWS * window
        columns = max(1, round(fmt.width * height / fmt.height / window))
        scaler = Scaler(fmt, (columns * window, height))
        return [scaler.apply(frame.planes) for frame in itertools.islice(reader, 0, None, STEP)]


def survey(coder: FrameCoder, frames: Sequence[Planes], rate: int) -> Survey:
    """All windows of frames that are coded one after the other at a coded rate."""
    full = np.full(coder.windows, coder.config.tokens, np.int32)
    inputs, costs, seconds = [], [], 0.0
    for planes in frames:
        analysis = coder.analyse(planes, rate)
        frame = Frame(rate, full, np.rint(analysis.values).astype(np.int32))
        began = time.process_time()
        costs.append(np.log(np.maximum(cost_of(coder.estimate(frame, analysis), rate), 1e-3)))
        seconds += time.process_time() - began
        inputs.append(differences(frame.tokens, rate / RATE_STEPS))
        coder.encode(frame)
    windows = len(frames) * coder.windows
    return Survey(np.concatenate(inputs), np.concatenate(costs), seconds / windows)


class Gathered(NamedTuple):
    """Windows of `clips` videos and photos; processor seconds to L, of a window."""

    material: Material
    clips: int
    seconds: float


def gather(clips: Sequence[Path], model: Path, minutes: float) -> Gathered:
    """Windows of the clips, as far as the time goes. Unreadable clips are left out. Raises
    `UsageError` for too few of them."""
    config, weights = read_network(model)
    began = time.process_time()
    surveys: list[Survey] = []
    groups: list[NDArray[np.int64]] = []
    for path in clips:
        if time.process_time() - began > 60 * minutes:
            break
        try:
            frames = read_frames(path, config.window)
        except MediaError as error:
            log_line(str(error))
            continue
        height, width = frames[0][0].shape
        coder = FrameCoder(config, weights, ops_exact, (width, height))
        surveys.append(survey(coder, frames, RATES[len(surveys) % len(RATES)]))
        groups.append(np.full(len(surveys[-1].costs), group_of(path)))
        log_line(f"{path.name}: {len(groups[-1])} windows")
    group = np.concatenate(groups) if groups else np.zeros(0)
    if len(np.unique(group)) < len(Material._fields):
        raise UsageError("too few clips: some are learned from, some decide, some are held out")
    seen = torch.from_numpy(np.concatenate([one.inputs for one in surveys]))
    costs = torch.from_numpy(np.concatenate([one.costs for one in surveys]).astype(np.float32))
    places = [torch.from_numpy(group == place) for place in range(len(Material._fields))]
    material = Material(*(Windows(seen[at], costs[at]) for at in places))
    return Gathered(material, len(surveys), float(np.mean([one.seconds for one in surveys])))


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
    """Share of the variance of log L predicted; `change`: "zeroed" (mean) or "shuffled"."""
    seen, wanted = windows.seen.clone(), windows.wanted
    if change == "zeroed":
        seen[:, :-1] = head.centre[:-1]
    elif change == "shuffled":
        order = torch.randperm(len(seen), generator=torch.Generator().manual_seed(1))
        seen[:, :-1] = seen[order, :-1]
    return float(1 - (head(seen) - wanted).pow(2).mean() / wanted.var(correction=0))


def figures_of(head: Head, material: Material) -> dict[str, float]:
    """Shares explained of held-out windows, and processor seconds of the router, of a window."""
    held_out = material.held_out
    figures = {
        "explained": explained(head, held_out),
        "ridge_alone": explained(fit_ridge(material), held_out),
    } | {change: explained(head, held_out, change) for change in ("zeroed", "shuffled")}
    began = time.process_time()
    with torch.no_grad():
        head(held_out.seen)
    seconds = (time.process_time() - began) / len(held_out.wanted)
    return {name: round(value, 3) for name, value in figures.items()} | {
        "seconds_of_router": round(seconds, 7)
    }


def main(words: list[str]) -> None:
    parser = ExactParser(prog="python -m training router", description=__doc__)
    parser.add_argument("clips", type=Path, metavar="FOLDER", help="folder of videos and photos")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3.0, help="minutes of coding (3)")
    parser.add_argument(
        "--model", type=Path, help="weights of the GVC1D network (the shipped ones)"
    )
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    began = time.process_time()
    model = GVC1D.find(options.model)
    clips = [path for path in list_clips(options.clips, ("devtest",)) if path.is_file()]
    clips.sort(key=lambda path: zlib.crc32(path.name.encode()))
    material, count, seconds = gather(clips, model, options.minutes)
    head = train(material)
    figures = figures_of(head, material)
    log_line(", ".join(f"{name} {value:g}" for name, value in figures.items()))
    if not figures["explained"] >= _ALIVE:
        raise Alarm(f"the router explains {figures['explained']:.2f} of held-out windows' variance")
    options.out.mkdir(parents=True, exist_ok=True)
    identity, facts = model_id(model).hex(), read_arrays(model, ())[1]
    save_weights(head.weights(), options.out / ROUTER.name, {"network": identity})
    card: dict[str, object] = {"network": identity}
    card |= {f"network_{name}": facts[name] for name in ("steps", "seed") if name in facts}
    card |= {"clips": count}
    card["windows"] = {name: len(part.wanted) for name, part in material._asdict().items()}
    card |= figures | {"seconds_to_elbo": round(seconds, 4)}
    minutes = (time.process_time() - began) / 60
    write_card(options.out / ROUTER.name, head, _STEPS, minutes, **card)
