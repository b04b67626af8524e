"""Training of the base renderer, as a starting point for per-video tuning: one process, one code
path for CPU and GPU.

    main(Path("train.toml"), minutes=60)

stops after the given minutes or at SIGTERM/SIGINT with everything saved, and goes on from there
when called again. Written to the configured folder: `state.pt` (everything needed to resume),
`base.safetensors` (averaged weights, fp16, with the renderer's configuration), `log.jsonl` (one
line every few steps, one for each validation) and `sheet-*.png` (source | loop | rendered). A run
begins with a cheap stage without perceptual losses (pixels and band energies), which teaches the
trunk what texture belongs where.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch

from gvcodec.errors import UsageError
from gvcodec.painter import perceptual
from gvcodec.painter.model import load_checkpoint, save_checkpoint
from gvcodec.painter.perceptual.losses import SMALL
from gvcodec.painter.perceptual.objective import Objective, crop_rgb, render_run
from gvcodec.painter.perceptual.vgg import PerceptualLoss
from gvcodec.painter.renderer import BASES, Block, Renderer, RendererConfig, new_renderer, slot
from gvcodec.painter.twin import PainterTwin
from gvcodec.train.average import follow
from gvcodec.train.data import Cache
from gvcodec.train.settings import read_settings


@dataclass(frozen=True)
class TrainConfig:
    """The keys of a configuration file (TOML, flat). Times in minutes of training: of the
    processor's time, since training may get only what others leave, of the clock on a GPU.
    `initial`: checkpoint whose weights a new run begins with, as far as they exist there;
    `begin_as`: base as which those of the cache are taken at first there; `painter`: "float", or
    "integer", which begins with the integer painter `initial` (`integer_start` makes one) and its
    sizes; `leader`: whose features the perceptual losses compare, see
    `perceptual.leading_weights`."""

    cache: str
    out: str
    channels: int = 64
    depth: int = 6
    style: int = 32
    residual: int = 24
    painter: str = "float"
    initial: str = ""
    begin_as: str = ""
    leader: str = ""
    seed: int = 1
    batch: int = 4
    size: int = 192
    start_minutes: float = 6.0
    start_batch: int = 8
    learning_rate: float = 1.5e-3
    plan_minutes: float = 80.0
    average: float = 0.995
    pixel: float = 4.0
    energy: float = 0.03
    temporal: float = 30.0
    guard: float = 0.1
    contrast: float = 0.0
    validate_minutes: float = 10.0
    validate_samples: int = 16
    threads: int = 0


def _take_as(renderer: Renderer, bases: set[str], known: str) -> None:
    """Let the renderer do for `bases` what it does for one that it knows."""
    if known not in BASES:
        raise UsageError(f"begin_as: no base {known}")
    with torch.no_grad():
        for block in renderer.blocks:
            assert isinstance(block, Block)
            for base in bases:
                block.condition.weight[:, slot(base)] = block.condition.weight[:, slot(known)]


def _new(config: TrainConfig) -> Renderer | PainterTwin:
    """What a run begins with. Raises `UsageError`, `MediaError`."""
    if config.painter == "integer":
        return PainterTwin.load(Path(config.initial)).train().requires_grad_(True)
    if config.painter != "float":
        raise UsageError("painter is float or integer")
    sizes = RendererConfig(**{f.name: getattr(config, f.name) for f in fields(RendererConfig)})
    return new_renderer(sizes, config.seed)


class Trainer:
    """State of a run. `step()` does one update; `save()` writes everything, atomically."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.clock = time.process_time if self.device.type == "cpu" else time.monotonic
        if config.threads:
            torch.set_num_threads(config.threads)
        self.out = Path(config.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.data = Cache(Path(config.cache), held_out=False, seed=config.seed, device=self.device)
        self.renderer, self.average = (_new(config).to(self.device) for _ in range(2))
        self.optimizer = torch.optim.AdamW(
            self.renderer.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=1e-4,
        )
        leading = perceptual.leading_weights(config.leader)
        loss = None if leading is None else PerceptualLoss(weights=leading[1]).to(self.device)
        shares = {"temporal": config.temporal, "guard": config.guard, "contrast": config.contrast}
        self.cheap = Objective(None, config.pixel, 10 * config.energy, **shares)
        self.full = Objective(loss, config.pixel, config.energy, **shares)
        self.class_loss = torch.ones(8, device=self.device)
        self.steps, self.minutes, self.validated = 0, 0.0, -1e9
        self._resume()

    def _resume(self) -> None:
        path = self.out / "state.pt"
        if not path.is_file():
            if self.config.initial and self.config.painter == "float":
                known = load_checkpoint(Path(self.config.initial)).state_dict()
                for renderer in (self.renderer, self.average):
                    renderer.load_state_dict(known, strict=False)
                    if self.config.begin_as and isinstance(renderer, Renderer):
                        _take_as(
                            renderer,
                            {entry["base"] for entry in self.data.entries},
                            self.config.begin_as,
                        )
            return
        saved = torch.load(path, map_location=self.device, weights_only=True)
        self.renderer.load_state_dict(saved["renderer"])
        self.average.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.class_loss = saved["class_loss"].to(self.device)
        self.steps, self.minutes, self.validated = (
            saved["steps"],
            saved["minutes"],
            saved["validated"],
        )
        self.data.rng = np.random.default_rng((self.config.seed, self.steps))

    def save(self) -> None:
        """Write `state.pt` and `base.safetensors`."""
        state = {
            "renderer": self.renderer.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "class_loss": self.class_loss,
            "steps": self.steps,
            "minutes": self.minutes,
            "validated": self.validated,
        }
        partial = self.out / "state.part"
        torch.save(state, partial)
        os.replace(partial, self.out / "state.pt")
        target = self.out / "base.safetensors"
        if isinstance(self.average, PainterTwin):
            self.average.save(target)
        else:
            save_checkpoint(self.average, target)
        self.describe()

    def describe(self) -> None:
        """Write `base.json`: how the checkpoint beside it was made, and its numbers on held-out
        clips over time."""
        material = Path(self.config.cache) / "material.json"
        lines = (
            [json.loads(line) for line in (self.out / "log.jsonl").read_text().splitlines()]
            if (self.out / "log.jsonl").is_file()
            else []
        )
        description = {
            "sha256": hashlib.sha256((self.out / "base.safetensors").read_bytes()).hexdigest(),
            "parameters": sum(p.numel() for p in self.average.parameters()),
            "config": {k: v for k, v in asdict(self.config).items() if k not in ("cache", "out")}
            | {"initial": Path(self.config.initial).name}
            | (self.average.sizes if isinstance(self.average, PainterTwin) else {}),
            "data": {
                **(json.loads(material.read_text()) if material.is_file() else {}),
                "cache_sha256": self.data.digest(),
                "coded_clips": len(self.data.entries),
            },
            "steps": self.steps,
            "minutes": round(self.minutes, 1),
            "device": f"{self.device} ({torch.get_num_threads()} threads), torch "
            f"{torch.__version__}",
            "curve": [
                {"step": e["step"], "minutes": e["minutes"], **e["validation"]}
                for e in lines
                if "validation" in e
            ],
        }
        (self.out / "base.json").write_text(json.dumps(description, indent=1) + "\n")

    def log(self, entry: dict[str, object]) -> None:
        """Append to `log.jsonl` and show."""
        entry = {"step": self.steps, "minutes": round(self.minutes, 2), **entry}
        with open(self.out / "log.jsonl", "a") as file:
            file.write(json.dumps(entry) + "\n")
        print(json.dumps(entry), flush=True)

    def step(self) -> dict[str, float]:
        """One update; returns the mean of each part of the loss."""
        config = self.config
        start = self.minutes < config.start_minutes
        batch = self.data.batch(config.start_batch if start else config.batch, config.size)
        rate = config.learning_rate * max(
            0.05, 0.5 + 0.5 * math.cos(math.pi * min(1.0, self.minutes / config.plan_minutes))
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate * min(1.0, (self.steps + 1) / 50)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            parts = (self.cheap if start else self.full)(self.renderer, batch, 3 * self.steps)
        # Rates span a hundredfold: a sample counts relative to what samples of its rate cost on
        # average.
        with torch.no_grad():
            self.class_loss[batch.rate_class] += 0.05 * (
                parts["total"] - self.class_loss[batch.rate_class]
            )
        loss = (parts["total"] / self.class_loss[batch.rate_class].clamp(min=1e-3)).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.renderer.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        follow(self.average, self.renderer, min(config.average, self.steps / (self.steps + 20)))
        return {name: float(value.detach().mean()) for name, value in parts.items()}

    def validate(self) -> None:
        """LPIPS-VGG, DISTS and PSNR (luma) of loop and rendered frames of held-out clips, and a
        sheet of crops."""
        if not perceptual.find_weights():
            return
        held_out = Cache(Path(self.config.cache), held_out=True, device=self.device)
        stride = max(1, len(held_out.entries) // self.config.validate_samples)
        picks = [
            (e, e % len(held_out.records[e][0])) for e in range(0, len(held_out.entries), stride)
        ][: self.config.validate_samples]
        metrics = {
            "lpips_vgg": perceptual.lpips("vgg").to(self.device),
            "dists": perceptual.dists().to(self.device),
        }
        totals: dict[str, list[float]] = {}
        rows = []
        with torch.inference_mode():
            for pick in picks:
                batch = held_out.batch(1, 256, [pick])
                rendered, _ = render_run(self.average, batch, 0)
                source = (batch.source[0][:, -1], batch.source[1][:, -1])
                pictures = {
                    "loop": (batch.loop[0][:, -1], batch.loop[1][:, -1]),
                    "rendered": (rendered[0].clamp(0, 1), rendered[1].clamp(0, 1)),
                }
                wanted = crop_rgb(source, SMALL).clamp(0, 1)
                row = [wanted]
                for name, planes in pictures.items():
                    rgb = crop_rgb(planes, SMALL).clamp(0, 1)
                    row.append(rgb)
                    for metric, module in metrics.items():
                        totals.setdefault(f"{name}_{metric}", []).append(float(module(rgb, wanted)))
                    error = float((planes[0] - source[0]).square().mean())
                    totals.setdefault(f"{name}_psnr", []).append(-10 * math.log10(error + 1e-10))
                rows.append(torch.cat(row, 3)[0])
        self.log(
            {
                "validation": {
                    name: round(float(np.mean(values)), 4) for name, values in totals.items()
                }
            }
        )
        from PIL import Image

        sheet = (torch.cat(rows[:8], 1).permute(1, 2, 0) * 255).round().byte().cpu().numpy()
        Image.fromarray(sheet).save(self.out / f"sheet-{self.steps:06d}.png")


def main(
    config_path: Path, minutes: float, out: str | None = None, cache: str | None = None
) -> Path:
    """Train for `minutes`; `out` and `cache` override the configuration. Returns the path of the
    checkpoint."""
    config = read_settings(config_path, TrainConfig)
    config = TrainConfig(
        **{**asdict(config), **({"out": out} if out else {}), **({"cache": cache} if cache else {})}
    )
    trainer = Trainer(config)
    stopped = []
    before = {
        s: signal.signal(s, lambda number, frame: stopped.append(number))
        for s in (signal.SIGTERM, signal.SIGINT)
    }
    trainer.log(
        {"material": trainer.data.digest(), "device": str(trainer.device), "config": asdict(config)}
    )
    begin, saved, shown = time.monotonic(), time.monotonic(), time.monotonic()
    sums: dict[str, list[float]] = {}
    try:
        while not stopped and time.monotonic() - begin < 60 * minutes:
            tick = trainer.clock()
            for name, value in trainer.step().items():
                sums.setdefault(name, []).append(value)
            trainer.minutes += (trainer.clock() - tick) / 60
            if time.monotonic() - shown > 20:
                left = max(0.0, minutes - (time.monotonic() - begin) / 60)
                means = {name: round(float(np.mean(values)), 4) for name, values in sums.items()}
                trainer.log(
                    {
                        "loss": means,
                        "steps_per_second": round(
                            len(sums["total"]) / (time.monotonic() - shown), 2
                        ),
                        "eta_minutes": round(left, 1),
                    }
                )
                sums, shown = {}, time.monotonic()
            if trainer.minutes - trainer.validated > config.validate_minutes:
                trainer.validated = trainer.minutes
                trainer.validate()
                shown = time.monotonic()
            if time.monotonic() - saved > 120:
                trainer.save()
                saved = time.monotonic()
    finally:
        trainer.save()
        for number, handler in before.items():
            signal.signal(number, handler)
    trainer.validate()
    return trainer.out / "base.safetensors"
