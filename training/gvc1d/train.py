"""Trains the network of latent tokens (`gvcodec.gvc1d.token_network`), top to bottom.

    python -m training gvc1d training/configs/gvc1d/small-1.toml --minutes 60
    torchrun --nproc-per-node=8 -m training gvc1d training/configs/gvc1d/large-2.toml

One configuration is one stage; `initial` names what the stage before wrote. In `out`: `state.pt`
(resumed from), `log.jsonl` (curve, alarms, validation), TensorBoard's files where it is installed,
and `gvc1d.safetensors` with its card `gvc1d.json`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Sampler

from gvcodec.allocation.router import BASE_RATES, Counts, RunningMean, training_counts
from gvcodec.gvc1d.buffer import State
from gvcodec.gvc1d.checkpoint import save_model
from gvcodec.gvc1d.config import GVC1DConfig
from gvcodec.gvc1d.picture import grey
from training.card import write_card
from training.gvc1d.card import elbo_of, make_card, measure_built_in
from training.gvc1d.data import Runs, collate
from training.gvc1d.gan import Adversary, random_rgb
from training.gvc1d.held_out import HeldOut, frames_of, half, there_and_back
from training.gvc1d.losses import LOOK, Distortion, Weights
from training.gvc1d.network import make_model
from training.gvc1d.run import Coded, Frame, RunNetwork
from training.gvc1d.settings import TrainConfig
from training.loop import SHOW_SECONDS, Loop, Schedule
from training.settings import parse_run

#: Classes of distortion that are normalised apart: rates without a base, qualities with one.
_CLASSES = 32


class Work:
    """What `Loop` trains; see `training.loop.Work`."""

    def __init__(self, config: TrainConfig, device: str = "") -> None:
        self.config = config
        self.rank, self.world = (
            (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        )
        name = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.device = torch.device(name)
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(self._seed)
        self.model: nn.Module = make_model(config).to(self.device)
        self.distributed = (
            DistributedDataParallel(self.model, find_unused_parameters=True)
            if self.world > 1
            else self.model
        )
        self.runs = Runs(config)
        self.distortion = Distortion(
            Weights(config.pixel, config.temporal, config.perceptual, config.looks), self.device
        )
        self.held_out = HeldOut(config, self.distortion, self.device)
        self.adversary = Adversary(self.device, config.learning_rate) if config.gan else None
        self.usual = torch.ones(2, _CLASSES, device=self.device)  # distortion, bits
        self.sums = torch.zeros(3, _CLASSES, device=self.device)  # distortion, bits, count
        self.batches: Iterator[dict[str, Tensor]] | None = None
        self.share = 0.0
        self.mean_elbo = RunningMean()

    def groups(self) -> list[dict[str, Any]]:
        model = cast(RunNetwork, self.model)
        few = [*model.steps.parameters(), *model.prior.parameters()]
        few += [p for n, p in model.named_parameters() if n == "direct.gate"]
        own = {id(p) for p in few}
        chosen = [p for n, p in model.named_parameters() if self._trains(n)]
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for parameter in chosen:
            parameter.requires_grad_(True)
        # Step sizes, gates and the prior are few numbers that many samples agree on.
        fast = [p for p in chosen if id(p) in own]
        slow = [p for p in chosen if id(p) not in own]
        return [{"params": slow}, {"params": fast, "scale": 3.0, "weight_decay": 0.0}]

    def _trains(self, name: str) -> bool:
        part = self.config.trains
        if part == "new":  # what published weights of pictures do not have
            return any(w in name for w in ("context", "across", "memory", "steps", "prior"))
        if part == "decoder":
            return name.startswith("decoder")
        return "across" not in name if part == "no_global" else True

    # ------------------------------------------------------------------ data
    def _number(self, step: int) -> int:
        """Number of this process's micro-batch among the micro-batches of all processes."""
        return step * self.world + self.rank

    def _batch(self, step: int) -> dict[str, Tensor]:
        if self.batches is None:
            size = self.config.batch
            order = _Order(
                self._number(s) * size + i for s in range(step, 1 << 31) for i in range(size)
            )
            loader = DataLoader(
                self.runs,
                batch_size=size,
                sampler=order,
                num_workers=self.config.workers,
                collate_fn=collate,
            )
            self.batches = iter(loader)
        return next(self.batches)

    def together(self, last: bool) -> contextlib.AbstractContextManager[None]:
        if last or not isinstance(self.distributed, DistributedDataParallel):
            return contextlib.nullcontext()
        quiet: contextlib.AbstractContextManager[None] = self.distributed.no_sync()
        return quiet

    def follow_plan(self, share: float) -> None:
        self.share = share

    # ------------------------------------------------------------------ a step
    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Of one micro-batch. What it is made of is drawn from its number alone."""
        config = self.config
        rng = np.random.default_rng((self._seed, 77, self._number(step)))
        noise = int(rng.integers(1 << 31))
        if step % config.accumulate == 0:
            self._settle()
        batch = self._batch(step)
        # After the first batch, for which a loader draws from the same generator.
        torch.manual_seed(noise)
        base = bool(rng.random() >= config.no_base)
        run = frames_of(batch, base, bool(rng.random() < config.moved), self.device)
        frames, state = run[: config.frames], None
        size = len(batch["y"])
        rate = torch.from_numpy(rng.integers(0, self._rates, size)).to(self.device)
        windows = self._windows
        masked = keep = None
        if config.mask and rng.random() < 0.5:
            hidden = rng.random((size, windows, self._side**2)) < rng.random() * config.mask
            masked = torch.from_numpy(hidden).to(self.device)
        prefix = rng.random() < config.prefix
        cut = alone = False
        if config.preroll and rng.random() < 0.5:
            cut = bool(rng.random() < config.no_buffer)
            alone = cut and bool(rng.random() < config.memory_alone)
            before = self._before(run, base, rng)
            if rng.random() < config.shots:
                cut = True
                other = there_and_back([f.rolled() for f in run], int(rng.integers(1, 4)))
                before += [other[0]._replace(cut=True, motion=None), *other[1:]]
            with half(self.device), torch.no_grad():
                state = cast(RunNetwork, self.model)(before, rate)[1].detach()
            frames[0] = frames[0]._replace(motion=None, cut=cut)
            frames[1:] = [f._replace(cut=alone) for f in frames[1:]]
        if prefix:
            count = self._counts(frames[0], rate, state, rng)
            kept = np.arange(self._tokens) < count[..., None]
            keep = torch.from_numpy(kept.astype(np.float32)).to(self.device)
        with half(self.device):
            coded, _ = self.distributed(
                frames,
                rate,
                state,
                noise=bool(rng.random() < 0.5),
                masked=masked,
                keep=keep,
                cut_memory=bool(rng.random() < config.no_memory) and not cut,
            )
        lead = "vgg" if rng.random() < config.vgg and "vgg" in self.distortion.leads else "small"
        costs = self.distortion(frames, coded, rng, lead)
        bits = sum(c.bits.sum(1) for c in coded) / len(coded)
        kind = self._kinds(batch, rate, base)
        self._remember(kind, costs, bits)
        total = costs / self.usual[0, kind].clamp(min=1e-3)
        rise = (self.share - config.price_from) / max(1e-6, config.price_to - config.price_from)
        price = min(1.0, max(0.0, rise)) * (config.price if base else config.price_none)
        own = batch["bits"].to(self.device) if base else torch.zeros(size, device=self.device)
        usual_bits = self.usual[1, kind].clamp(min=1.0)
        total = total + price * (torch.log1p(bits / own) if base else bits / usual_bits)
        loss = total.mean()
        if self.adversary is not None:
            loss = loss + config.gan * self._adversarial(frames, coded, rng)
        name = "base" if base else "none"
        return loss, {
            name: float(costs.detach().mean()),
            f"{name}_bits": float(bits.detach().mean()),
        }

    def _counts(
        self, frame: Frame, rate: Tensor, state: State | None, rng: np.random.Generator
    ) -> Counts:
        """Tokens (B, W) that windows keep. "elbo" [InfoTok]: the base rate of a sample varied by
        the -ELBO of its windows, bits + L1 error of the first frame, decoded from all tokens."""
        shape = len(rate), self._windows
        if self.config.budgets == "random":
            found: Counts = rng.choice(_prefixes(self._tokens), shape)
            return found
        with half(self.device), torch.no_grad():
            coded = cast(RunNetwork, self.model)([frame], rate, state)[0][0]
        elbo = elbo_of(cast(RunNetwork, self.model), frame, coded)
        rates = rng.choice(BASE_RATES, (shape[0], 1))
        return training_counts(elbo, self.mean_elbo.update(elbo), self._tokens, rates)

    def _before(self, run: list[Frame], base: bool, rng: np.random.Generator) -> list[Frame]:
        """Frames that go before a run: there and back through it, or passes over the first."""
        phases = self._sizes.phases
        if not base and phases > 1 and rng.random() < 0.5:
            return [run[0]] * int(rng.integers(1, phases))
        return there_and_back(run, int(rng.integers(1, self.config.preroll + 1)))

    def _adversarial(
        self, frames: list[Frame], coded: list[Coded], rng: np.random.Generator
    ) -> Tensor:
        assert self.adversary is not None
        side = min(LOOK, *frames[-1].source.y.shape[2:])
        top, left = (
            int(rng.integers((n - side) // 16 + 1)) * 16 for n in frames[-1].source.y.shape[2:]
        )
        made = random_rgb(coded[-1].picture, top, left, side)
        luma = frames[-1].source.y
        alone = grey(len(luma), luma.shape[2], luma.shape[3], luma)
        before = coded[-2].picture if len(coded) > 1 else alone
        beside = random_rgb(before, top, left, side)
        self.adversary.learn(random_rgb(frames[-1].source, top, left, side), made, beside)
        return self.adversary.cost(made, beside).mean()

    def _kinds(self, batch: dict[str, Tensor], rate: Tensor, base: bool) -> Tensor:
        if not base:
            return rate
        table = {q: i for i, q in enumerate(sorted(self.config.qs))}
        found = [table[int(q)] for q in batch["q"]]
        return torch.tensor(found, device=self.device) + self._rates

    def _remember(self, kind: Tensor, costs: Tensor, bits: Tensor) -> None:
        with torch.no_grad():
            for row, values in enumerate((costs, bits, torch.ones_like(costs))):
                self.sums[row].index_add_(0, kind, values.detach().float())

    def _settle(self) -> None:
        """Update the usual loss of each kind of sample from the last step on all processes."""
        if self.world > 1:
            dist.all_reduce(self.sums)
        seen = self.sums[2] > 0
        mean = self.sums[:2] / self.sums[2].clamp(min=1)
        first = (self.usual[:, seen] == 1).all(0)
        moved = torch.where(first, mean[:, seen], self.usual[:, seen].lerp(mean[:, seen], 0.1))
        self.usual[:, seen] = moved
        self.sums.zero_()

    @property
    def _seed(self) -> int:
        return self.config.seed + 1000 * self.config.draw

    @property
    def _sizes(self) -> GVC1DConfig:
        return cast(RunNetwork, self.model).config

    @property
    def _rates(self) -> int:
        return self._sizes.rates

    @property
    def _tokens(self) -> int:
        return self._sizes.tokens

    @property
    def _side(self) -> int:
        return self._sizes.side

    @property
    def _windows(self) -> int:
        size, window = self.config.size, self._sizes.window
        return (size // window) * ((self.config.width or size) // window)

    # ------------------------------------------------------------------ held-out runs, files
    def check(self, average: nn.Module, minutes: float) -> dict[str, float]:
        if self.rank:  # the first process looks, and an alarm there ends all
            return {}
        return self.held_out.check(cast(RunNetwork, average), minutes)

    def validate(self, average: nn.Module) -> dict[str, float]:
        if self.rank:
            return {}
        return self.held_out.validate(cast(RunNetwork, average))

    def write(self, average: nn.Module, steps: int, minutes: float) -> None:
        path = Path(self.config.out) / "gvc1d.safetensors"
        save_model(cast(RunNetwork, average), path)
        config = self.config
        frames = config.accumulate * config.batch * config.frames * self._windows * self.world
        write_card(
            path,
            average,
            steps,
            minutes,
            **{"window frames": steps * frames},
            config=config.describe(),
            clips=len(self.runs.clips),
            torch=torch.__version__,
        )

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = {"usual": self.usual}
        if self.adversary is not None:
            found["adversary"] = self.adversary.state()
        return found

    def resume(self, state: dict[str, Any], steps: int) -> None:
        self.usual = state["usual"].to(self.device)
        if self.adversary is not None:
            self.adversary.resume(state["adversary"])


class _Order(Sampler[int]):
    """Endless indices of runs."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self.numbers = numbers

    def __iter__(self) -> Iterator[int]:
        return self.numbers


def _prefixes(tokens: int) -> list[int]:
    return [0, *(1 << i for i in range(tokens.bit_length()))]


def schedule_of(config: TrainConfig) -> Schedule:
    return Schedule(
        rate=config.learning_rate,
        plan_minutes=config.plan_minutes,
        warm_up=config.warm_up,
        average=config.average,
        check_steps=config.check_steps,
        accumulate=config.accumulate,
        validate_minutes=config.validate_minutes or math.inf,
        betas=(0.9, 0.99),
    )


def main(words: Sequence[str] | None = None) -> None:
    """Train for some minutes; goes on where the last call stopped."""
    parser = argparse.ArgumentParser(prog="gvc1d", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=0, help="stop at this step instead")
    parser.add_argument("--device", default="", help="cpu, cuda … (a GPU where there is one)")
    parser.add_argument("--card", metavar="WEIGHTS", help="print what its parts are worth")
    names = ("data", "out", "cache", "initial")
    options, config = parse_run(parser, words, TrainConfig, names)
    if config.initial and not Path(config.initial).is_file():
        parser.error(
            f"{config.initial}: no such weights; the stage before {options.config.name} writes "
            f"them, --initial names others (checkpoints/gvc1d-small.safetensors)"
        )
    with _processes(options.device) as device:
        if options.card:
            work = Work(replace(config, initial=options.card), device)
            model = cast(RunNetwork, work.model.eval())
            card = make_card(work.held_out.measure, model)
            built_in = make_card(measure_built_in, model)
            print(json.dumps({"held out": card, "built-in clip": built_in}, indent=2))
            return
        work = Work(config, device)
        loop = Loop(work, schedule_of(config), Path(config.out) if work.rank == 0 else None)
        loop.log({"config": asdict(config)})
        clips, wait = len(work.runs.clips), SHOW_SECONDS
        print(f"coding runs of {clips} clips; then a line every {wait:g} s", flush=True)
        loop.run(options.minutes, options.steps)


@contextlib.contextmanager
def _processes(device: str) -> Iterator[str]:
    """Joins the processes that torchrun started; the device of this one."""
    if "WORLD_SIZE" not in os.environ:
        yield device
        return
    gpu = device != "cpu" and torch.cuda.is_available()
    dist.init_process_group("nccl" if gpu else "gloo")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if gpu:
        torch.cuda.set_device(local)
    try:
        yield f"cuda:{local}" if gpu else "cpu"
    finally:
        dist.destroy_process_group()
