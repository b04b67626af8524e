"""Trains GVC1D's codec (`gvcodec.gvc1d.codec_network`), top to bottom.

    python -m training gvc1d.shards CLIPS SHARDS                       # once
    python -m training gvc1d.codec training/configs/gvc1d/codec.toml   # again: goes on exactly
    python -m training gvc1d.export OUT/state.pt gvc1d.safetensors     # encode --model takes it

A step: `batch` crops of 256×512 from runs of `length` frames, one quality for all, give or take 4.
The first frame has no prediction. The loss is D + λ · bits with λ = c · step² (`PRICE`), so each
quality trades as its step says; what a quality's loss usually is divides it.

In `out`: `state.pt` (all that resuming needs) and `log.jsonl` (`training.loop`); figures are of the
shards of `held_out`. A run in which a part is worth less than `WORTH` after `grace` minutes ends
itself.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gvcodec.gvc1d.codec_network import PRICE, CodecNetwork, Last, Made, squares
from gvcodec.gvc1d.model_file import load_network
from gvcodec.gvc1d.token_order import FIRST_FINER, planes_of
from training.alarms import Alarm
from training.gvc1d import spoilt
from training.gvc1d.shards import Shards
from training.loop import Loop, Schedule, Work
from training.settings import parse_run

#: Qualities that are trained.
FINEST, COARSEST = 24.0, 63.0
#: Qualities at which a network is measured.
MEASURED = (36.0, 46.0, 56.0)
#: Least per cent of J, mean of first and later frames, that a part has to be worth once `grace`
#: minutes are over.
WORTH = {
    "transform: as it began": 2.0,
    "contexts of the entropy model: zeroed": 3.0,
    "loop filter: zeroed": 3.0,
}
_RATE = 3e-3
#: Rates of the parts, as shares of `_RATE`.
_SHARES = {"transform": 1 / 30, "transform.log_step": 1.0, "twin": 1.0, "loop_filter": 2 / 3}


@dataclass(frozen=True)
class TrainConfig:
    """A configuration file's keys. `data`, `held_out`: shards to learn from and to measure by (""
    = those of `data`). `initial`: a `state.pt` or a model to begin with. `steps` of the whole
    plan; `share` of the values whose bits are estimated; `looks`: batches of a measurement, made
    every `validate_minutes`; alarms every `check_steps`. `without`: trained without that part
    (`spoilt.WITHOUT`); `filter_only`: all but the loop filter stays."""

    data: str
    out: str
    held_out: str = ""
    initial: str = ""
    device: str = "cpu"
    steps: int = 3000
    batch: int = 2
    length: int = 3
    share: float = 0.5
    rate: float = 1.0
    warm_up: int = 200
    seed: int = 1
    looks: int = 1
    validate_minutes: float = 10.0
    check_steps: int = 1000
    grace: float = 60.0
    searches: bool = True
    without: str = ""
    filter_only: bool = False


def costs(made: list[Made], frames: list[Any], q: Tensor) -> list[Tensor]:
    """J = D / λ + bits of each frame, `[B]`, λ by the step that it is coded with: the first, from
    which all later ones are predicted and not only those of a run, is finer and stays so."""
    found = []
    for t, (one, (y, uv, _)) in enumerate(zip(made, frames, strict=True)):
        step = 16.0 * 2 ** ((q - (0 if t else FIRST_FINER)) / 10)
        found.append(squares((one.y, one.uv), (y, uv)) / (PRICE * step.square()) + one.bits)
    return found


def load(net: CodecNetwork, path: Path, device: torch.device) -> CodecNetwork:
    """The averaged weights of a `state.pt`, or those of a model, into `net`."""
    if path.suffix == ".safetensors":
        net.load_state_dict(load_network(path, str(device)).state_dict())
    else:
        net.load_state_dict(torch.load(path, map_location=device, weights_only=True)["average"])
    return net


def sequence(net: CodecNetwork, frames: list[Any], q: Tensor, share: float = 1.0) -> list[Made]:
    """The frames of a run, each predicted from the previous; bits on a `share` of the values."""
    last: Last | None = None
    made = []
    for y, uv, vectors in frames:
        finer = FIRST_FINER if last is None else 0
        many = planes_of(float(q.mean()) - finer)
        one = net((y, uv), last, vectors, q - finer, many, share)
        made.append(one)
        last = one.last
    return made


@torch.no_grad()
def measure(
    net: CodecNetwork, shards: Shards, batch: int, looks: int, qs: Sequence[float] = MEASURED
) -> dict[str, float]:
    """On fixed crops: log J, bits and PSNR of first (I) and last (P) frames."""
    rng = np.random.default_rng(1)
    sums: dict[str, list[float]] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for q0 in qs:
            for _ in range(looks):
                frames = shards.batch(batch, rng)
                q = torch.full((batch,), q0, device=shards.device)
                made = sequence(net, frames, q)
                found = costs(made, frames, q)
                for t, name in ((0, "I"), (len(made) - 1, "P")):
                    sums.setdefault("logJ" + name, []).append(float(found[t].mean().log()))
                    sums.setdefault(f"bits{name}{q0:g}", []).append(float(made[t].bits.mean()))
                    mse = float((made[t].y - frames[t][0]).square().mean()) / 16
                    psnr = 10 * math.log10(255**2 / mse)
                    sums.setdefault(f"psnr{name}{q0:g}", []).append(psnr)
    return {name: round(sum(values) / len(values), 4) for name, values in sums.items()}


class Codec(Work):
    """The network and its material."""

    def __init__(self, config: TrainConfig) -> None:
        self.config, self.device = config, torch.device(config.device)
        torch.manual_seed(config.seed)
        self._rng = np.random.default_rng(config.seed)
        torch.backends.cudnn.allow_tf32 = False  # the transform's
        self.network = CodecNetwork().to(self.device)
        self.model: nn.Module = self.network
        if config.initial:
            load(self.network, Path(config.initial), self.device)
        self.network.searches = config.searches
        if config.filter_only:
            self.network.requires_grad_(False)
            self.network.loop_filter.requires_grad_(True)
        spoilt.WITHOUT.get(config.without, lambda net: None)(self.network)
        self.shards = Shards(Path(config.data), self.device, config.length)
        self.kept = self.shards
        if config.held_out:
            self.kept = Shards(Path(config.held_out), self.device, config.length)
        #: What a quality's loss usually is, by quarters of `q`.
        self._usual: dict[int, float] = {}
        torch.manual_seed(config.seed)  # again: reading weights draws some where none were read yet

    def groups(self) -> list[dict[str, Any]]:
        parts: dict[str, list[nn.Parameter]] = {name: [] for name in _SHARES}
        for name, weights in self.network.named_parameters():
            own = name if name in parts else name.partition(".")[0]
            parts[own].append(weights)
        return [{"params": parts[name], "scale": share} for name, share in _SHARES.items()]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        batch = self.config.batch
        centre = float(self._rng.uniform(FINEST + 4, COARSEST - 4))
        jitter = torch.from_numpy(self._rng.uniform(-4, 4, batch)).float()
        q = (centre + jitter).to(self.device)
        frames = self.shards.batch(batch, self._rng)
        made = sequence(self.network, frames, q, self.config.share)
        total = torch.stack(costs(made, frames, q)).sum(0)
        key, size = int(centre / 4), float(total.detach().mean())
        usual = 0.95 * self._usual.get(key, size) + 0.05 * size
        self._usual[key] = usual
        shown = {
            "J": size / usual,
            "bits": float(made[0].bits.detach().mean()),
            "bits of later frames": float(made[-1].bits.detach().mean()),
        }
        return total.mean() / usual, shown

    def validate(self, average: nn.Module) -> dict[str, float]:
        assert isinstance(average, CodecNetwork)
        return measure(average.eval(), self.kept, self.config.batch, self.config.looks)

    def check(self, average: nn.Module, minutes: float) -> dict[str, float]:
        """Per cent that parts (`WORTH`) are worth. Raises `Alarm` for a dead one."""
        assert isinstance(average, CodecNetwork)
        whole, found = self.validate(average), {}
        for name, least in WORTH.items():
            cost = spoilt.change(whole, self.validate(spoilt.spoil(average, spoilt.CODEC[name])))
            found[name] = round((cost["J of I"] + cost["J of P"]) / 2, 2)
            if minutes >= self.config.grace and found[name] < least:
                raise Alarm(f"{name} costs {found[name]} %, {least:g} is the least: a dead part")
        return found

    def state(self) -> dict[str, Any]:
        rng = {"numpy": self._rng.bit_generator.state, "torch": torch.get_rng_state()}
        return {"rng": rng, "usual": self._usual}

    def resume(self, state: dict[str, Any], steps: int) -> None:
        self._rng.bit_generator.state = state["rng"]["numpy"]
        torch.set_rng_state(state["rng"]["torch"].cpu())
        self._usual = state["usual"]


def schedule_of(config: TrainConfig) -> Schedule:
    """Rates fall over the plan of steps."""
    return Schedule(
        rate=_RATE * config.rate,
        plan_minutes=0.0,
        plan_steps=config.steps,
        warm_up=config.warm_up,
        floor=0.02,
        average=0.998,
        decay=0.0,
        validate_minutes=config.validate_minutes,
        check_steps=config.check_steps,
    )


def main(words: Sequence[str] | None = None) -> None:
    """Begin, or go on with what is in `out`."""
    parser = argparse.ArgumentParser(prog="training gvc1d.codec", description=__doc__)
    options, config = parse_run(parser, words, TrainConfig, ("data", "out", "held_out", "device"))
    work = Codec(config)
    loop = Loop(work, schedule_of(config), Path(config.out))
    loop.log({"runs": len(work.shards.runs), "held out": len(work.kept.runs)})
    loop.validated = max(loop.validated, 0.0)  # what it begins with is measured by `gvc1d.parts`
    last = min(options.steps or config.steps, config.steps)
    loop.run(math.inf if options.minutes is None else options.minutes, last)
