"""Training of latent tokens: `python -m gvcodec.training latent CONFIG.toml --minutes 120`.

A run that is started again goes on where it stopped. Written to the configured folder, beside what
`loop` writes: `latent.safetensors` (averaged weights), `latent.json` (how they were made, and the
curve) and `sheet-*.png`. The cache is filled first, from `data`, where it lacks something.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gvcodec.errors import UsageError
from gvcodec.painter.model import Model, find_painter
from gvcodec.training.card import write_card, write_sheet
from gvcodec.training.latent.material import Material, add_material
from gvcodec.training.latent.model import LatentNetwork, Sizes
from gvcodec.training.latent.objective import Objective, open_leaders
from gvcodec.training.latent.watch import Validation, watch
from gvcodec.training.loop import Loop, Schedule
from gvcodec.training.settings import RunConfig, parse_run
from gvcodec.util.models import save_weights

#: Held-out crops of the alarms, and pairs of pictures for the slope of AV1's bytes.
_CHECKED, _SLOPES = 8, 96


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig):
    """The keys of a configuration file. `context` 1: the price is of the bits with context, 0: of
    the factorised ones; both are trained. `price`: what a bit costs at the end, in parts of what
    AV1's own are worth; it rises evenly from `price_from` to `price_until`, shares of the planned
    minutes. The rest: see `RunConfig`, `Objective`, `model.Sizes`."""

    plan_minutes: float = 200.0
    warm_up: int = 400
    average: float = 0.997
    validate_samples: int = 96
    threads: int = 1
    context: int = 1
    price: float = 1.0
    price_from: float = 0.25
    price_until: float = 0.45
    pixels: float = 0.3
    channels: int = 64
    blocks: int = 13
    width: int = 96
    integers: int = 4
    layers: int = 2


class LatentWork:
    """The `Work` of `loop`. Raises `UsageError` without material, `MediaError` without weights that
    lead."""

    def __init__(self, config: TrainConfig) -> None:
        self.config, self.out = config, Path(config.out)
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.data = Material(Path(config.cache), held_out=False, seed=config.seed)
        sizes = Sizes(config.channels, config.blocks, config.width, config.integers, config.layers)
        self.model: nn.Module = LatentNetwork(sizes)
        self.objective = Objective(open_leaders(), config.pixels, config.guard, config.contrast)
        self.share = 0.0
        self.first_free: float | None = None
        held = Material(Path(config.cache), held_out=True)
        self.validation = Validation(held, config.validate_samples, config.size)
        self.checked = self.validation.few(_CHECKED)
        self.loop: Loop | None = None

    def groups(self) -> list[dict[str, Any]]:
        """Networks of code lengths are small and learn faster."""
        network = self._network()
        codes = {id(p) for m in (network.factorised, network.context) for p in m.parameters()}
        parameters = list(network.parameters())
        return [
            {"params": [p for p in parameters if id(p) not in codes]},
            {"params": [p for p in parameters if id(p) in codes], "scale": 3.0},
        ]

    def _network(self, module: nn.Module | None = None) -> LatentNetwork:
        network = self.model if module is None else module
        assert isinstance(network, LatentNetwork)
        return network

    def start(self) -> None:
        """What a new run has to know before its first step: what AV1's bytes are worth."""
        if not self.objective.slopes.any():
            self.objective.measure_slopes(self.data.twice(_SLOPES, self.config.size))

    def price_share(self, minutes: float) -> float:
        """Of the full price, 0…`price`."""
        config = self.config
        span = max(1e-9, config.price_until - config.price_from)
        place = (minutes / config.plan_minutes - config.price_from) / span
        return config.price * min(1.0, max(0.0, place))

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        network, crops = self._network(), self.data.batch(self.config.batch, self.config.size)
        self.share = self.price_share(self.loop.minutes if self.loop else 0.0)
        with torch.autocast("cpu", torch.bfloat16):
            z = network.encode(crops)
        z = self.rounded(z, step)
        with torch.autocast("cpu", torch.bfloat16):
            pair = network.restore(crops, z)
        total, parts = self.objective(pair, crops, step)
        # Both learn code lengths; only one says what the tokens cost.
        both = [m(z.detach(), crops.q) for m in (network.factorised, network.context)]
        total = total + 0.05 * (both[0].mean() + both[1].mean())
        if self.share:
            model = network.context if self.config.context else network.factorised
            bits = model(z, crops.q).sum((1, 2, 3))
            total = total + self.share * (self.objective.price(crops) * bits).mean()
        names = ("factorised", "context")
        parts |= {
            n: float(b.detach().sum((1, 2, 3)).mean()) for n, b in zip(names, both, strict=True)
        }
        return total, parts | {"price": self.share}

    @staticmethod
    def rounded(z: Tensor, step: int) -> Tensor:
        """In turn whole numbers, through which gradients pass, and noise of the same size."""
        if step % 2:
            return z + (z.round() - z).detach()
        return z + torch.rand_like(z) - 0.5

    def check(self, average: nn.Module, minutes: float) -> dict[str, float]:
        found = watch(self._network(average), self.checked, self.objective.leaders[-1])
        if self.first_free is None:
            self.first_free = found.free
        if self.loop is not None:
            self.loop.log({"figures": {n: round(v, 4) for n, v in asdict(found).items()}})
        found.check(minutes, self.first_free)
        return {}

    def validate(self, average: nn.Module) -> dict[str, float]:
        if not self.validation.metrics:
            return {}
        network = self._network(average)
        report = self.validation.run(network)
        write_sheet(self.out, self.validation.sheet(network).numpy())
        return report

    def write(self, average: nn.Module, steps: int, minutes: float) -> None:
        """`latent.safetensors`, and `latent.json` beside it."""
        network = self._network(average)
        path = self.out / "latent.safetensors"
        sizes = json.dumps(asdict(network.sizes))
        save_weights(dict(network.state_dict()), path, {"latent": sizes})
        data = {"cache_sha256": self.data.digest(), "pictures": len(self.data.entries)}
        config, slopes = self.config.describe(), self.objective.slopes.tolist()
        write_card(
            path.with_suffix(".json"),
            network, steps, minutes, config=config, data=data, slopes=slopes,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        return {"objective": self.objective.state(), "first_free": self.first_free}

    def resume(self, state: dict[str, Any], steps: int) -> None:
        self.objective.take(state["objective"])
        self.first_free = state["first_free"]
        self.data.rng = np.random.default_rng((self.config.seed, steps))
        torch.manual_seed(self.config.seed + steps)


def make_loop(config: TrainConfig) -> Loop:
    """A new run, or the one whose state is in `out`."""
    work = LatentWork(config)
    loop = Loop(work, Schedule.of(config), Path(config.out))
    work.loop = loop
    work.start()
    return loop


def main(words: Sequence[str] | None = None) -> None:
    """Train for some minutes; goes on where the last call stopped."""
    parser = argparse.ArgumentParser(prog="latent", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, nargs="+", help="folders of clips and photos to fill the cache from"
    )
    parser.add_argument("--rounds", type=int, default=2, help="CRFs of each training picture (2)")
    options, config = parse_run(parser, words, TrainConfig)
    if options.data:
        for folder in options.data:
            if not folder.is_dir():
                raise UsageError(f"{folder}: no such folder")
        painter = Model.load(find_painter())
        add_material(options.data, Path(config.cache), painter, options.rounds, config.seed)
    loop = make_loop(config)
    work = loop.work
    assert isinstance(work, LatentWork)
    loop.log({"material": work.data.digest(), "slopes": work.objective.slopes.tolist()})
    loop.run(options.minutes)
    print(work.out / "latent.safetensors")
