"""Trains the painter, starting from an existing one: `python -m training painter`.

The objective is LPIPS on VGG16 and on AlexNet, and DISTS is held out (`objective = "vgg+alex"`).
`objective = "vgg+dists"` is that of release 1.0: LPIPS-VGG and DISTS. In some steps the small
network that is shipped stands in for VGG16, at a fifth of its cost without int8. Runs have one to
three frames. Written next to the files of `loop`: `painter.safetensors` (averaged weights),
`painter.json` (how it was made, and its curve) and `sheet-*.png` (source | base frame | painted).
Material: `python -m training material`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from gvcodec import perceptual
from gvcodec.codec.fidelity import db
from gvcodec.errors import MediaError, UsageError
from gvcodec.models import PAINTER
from gvcodec.painter.model import NOISE_ROWS
from gvcodec.painter.torch_twin.network import PainterNetwork
from gvcodec.painter.torch_twin.objective import (
    CROP,
    Batch,
    LossWeights,
    Objective,
    crop_rgb,
    paint_run,
    to_display_rgb,
)
from gvcodec.perceptual.vgg import PerceptualLoss
from gvcodec.util.colour import SMALL
from gvcodec.util.options import ExactParser
from gvcodec.util.tensors import open_device
from training.alarms import Figures, features
from training.card import write_card, write_sheet
from training.crops import Cache
from training.dither import Dither, DitheredLoss, DitheredLpips
from training.held_out import add_option, list_sha256, parse_held_out
from training.loop import Loop, Schedule, Work
from training.material import LENGTH
from training.settings import parse_run, time_limit
from training.widen import GROWS, widen

#: Steps of a turn, of which the small network leads the last ones.
_TURN = 3
_CHECKED = 8  # held-out crops of the alarms
#: Parts of the loss that say how much painting improves pictures.
_LOOKS = ("lpips", "dists", "lpips_alex")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The keys of a configuration file. `initial`: the painter that a new run begins with, which
    gives the sizes; `channels`, `wide`, `style`, `stem`: larger ones (0: its own), see `widen`;
    `noise`: whether it paints noise; `dither`: standard deviation, in 8-bit levels, of noise that
    both pictures get before perceptual losses (0: none), see `dither`; `cache`: folder of material;
    `out`: folder to write; `batch`: crops a step, of `size` luma samples, of whose middle
    perceptual losses see `seen`; times in minutes as `loop` counts them (`plan_steps` replaces
    `plan_minutes`), `warm_up` in steps; `average`: share that the averaged weights keep of
    themselves in a step; `pixel`, `energy`, `temporal`, `guard`, `contrast`: weights of those
    losses; `hold`: of each decibel of PSNR-Y below that of the initial painter; `objective`: see
    the module; `small_turns`: of three steps as many are led by the small network, where there is
    VGG16 for the others; `bit_depth`: with 8 perceptual losses see rounded pictures, with 10 the
    painter's samples; `frames`: most of a run; `threads` of torch, 0 = as many as it likes;
    `held_out`: clips that only validate (`training.held_out`; "" = as the material says)."""

    initial: str
    cache: str
    out: str
    channels: int = 0
    wide: int = 0
    style: int = 0
    stem: int = 0
    noise: bool = True
    dither: float = 0.0
    seed: int = 1
    batch: int = 4
    size: int = 160
    seen: int = CROP
    bit_depth: int = 8
    frames: int = LENGTH
    learning_rate: float = 8e-4
    plan_minutes: float = 50.0
    plan_steps: int = 0
    warm_up: int = 300
    average: float = 0.995
    pixel: float = 4.0
    energy: float = 0.03
    temporal: float = 45.0
    guard: float = 0.1
    contrast: float = 0.07
    hold: float = 0.0
    objective: str = "vgg+alex"
    small_turns: int = 1
    validate_minutes: float = 10.0
    validate_samples: int = 16
    threads: int = 0
    held_out: str = ""

    def describe(self) -> dict[str, Any]:
        """All except folders and files, for the card."""
        places = ("cache", "out", "held_out")
        return {key: value for key, value in asdict(self).items() if key not in places}


class PainterWork(Work):
    """Raises `UsageError` without material, `MediaError` without a painter or leading weights."""

    def __init__(self, config: TrainConfig, device: str = "") -> None:
        """`device`: torch's name of one; a GPU where there is one, else the processor."""
        self.config = config
        self.device = open_device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if config.threads:
            torch.set_num_threads(config.threads)
        self.out, cache = Path(config.out), Path(config.cache)
        rule = parse_held_out(config.held_out) if config.held_out else None
        self.data = Cache(cache, False, config.seed, device=self.device, rule=rule)
        self.held_out = Cache(cache, True, device=self.device, rule=rule)
        self.initial = PainterNetwork.load(Path(config.initial)).train().to(self.device)
        sizes = {name: getattr(config, name) for name in GROWS}
        self.model: nn.Module = widen(self.initial, sizes, config.seed).to(self.device)
        if not config.noise:
            self.model.head.multiplier[NOISE_ROWS] = 0
        self.dither = Dither(config.dither, config.seed) if config.dither else None
        self.objectives = self._make_objectives()
        #: Mean loss of the samples of a rate.
        self.class_loss = torch.ones(8, device=self.device)
        self.first_base: float | None = None

    def _make_objectives(self) -> list[Objective]:
        """VGG16's, if there is one, then the small network's."""
        if self.config.objective == "vgg+dists":
            return [self._objective(name, dists=True, alex=None) for name in _loss_networks()]
        if self.config.objective != "vgg+alex":
            raise UsageError(f"objective is vgg+alex or vgg+dists, not {self.config.objective}")
        alex = DitheredLpips(self.dither, "alex") if self.dither else perceptual.lpips("alex")
        alex = alex.eval().to(self.device)
        return [self._objective(name, dists=False, alex=alex) for name in _loss_networks()]

    def _objective(self, name: str, dists: bool, alex: perceptual.Lpips | None) -> Objective:
        network, c = perceptual.loss_network(name), self.config
        if network is None:
            raise MediaError("no weights of the perceptual losses found")
        dithered = self.dither and DitheredLoss(self.dither, network[1])
        loss = (dithered or PerceptualLoss(weights=network[1])).to(self.device)
        weights = LossWeights(c.pixel, c.energy, c.temporal, c.guard, c.contrast, c.hold)
        return Objective(loss, weights, dists=dists, alex=alex, side=c.seen, bit_depth=c.bit_depth)

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Rates span a hundredfold: a sample counts relative to the loss of samples of its rate."""
        batch = self.data.batch(self.config.batch, self.config.size)
        batch = batch.part(0, 1 + int(self.data.rng.integers(self.config.frames)))
        small_leads = step % _TURN >= _TURN - self.config.small_turns
        lead = self.objectives[-1 if small_leads else 0]
        reference = None
        if self.config.hold:
            with torch.no_grad():
                reference = paint_run(self.initial, batch, 3 * step)[0][0]
        parts = lead(cast(PainterNetwork, self.model), batch, 3 * step, reference_luma=reference)
        total, usual = parts["total"], self.class_loss
        with torch.no_grad():
            usual[batch.rate_class] += 0.05 * (total - usual[batch.rate_class])
        loss = (total / usual[batch.rate_class].clamp(min=1e-3)).mean()
        return loss, {name: float(value.detach().mean()) for name, value in parts.items()}

    def _restart_dither(self, seed: int) -> None:
        if self.dither:
            self.dither.restart(seed)

    def _picks(self, count: int) -> list[tuple[int, int]]:
        """Records of held-out clips: evenly over them, several of a clip where there are few."""
        entries = range(0, len(self.held_out.entries), max(1, len(self.held_out.entries) // count))
        most = max(len(self.held_out.records[e][0]) for e in entries)
        picks = [
            (e, (e + r) % len(self.held_out.records[e][0])) for r in range(most) for e in entries
        ]
        return picks[:count]

    @torch.no_grad()
    def check(self, average: nn.Module, minutes: float) -> dict[str, float]:
        assert isinstance(average, PainterNetwork)
        batch = self.held_out.batch(1, 256, self._picks(_CHECKED))
        lead = self.objectives[-1]
        parts = []
        for painter in (None, average):
            self._restart_dither(0)
            parts.append(lead(painter, batch, 0))
        base, painted = parts
        names = [name for name in _LOOKS if name in painted]
        looks = [float(sum(p[name].mean() for name in names)) for p in (base, painted)]
        places, clips, peak, dead, change = features(average, batch)
        figures = Figures(places, clips, peak, dead, change, looks[0] - looks[1], looks[0])
        if self.first_base is None:
            self.first_base = figures.base
        figures.check(minutes, self.first_base)
        return {name: round(value, 4) for name, value in asdict(figures).items()}

    @torch.inference_mode()
    def validate(self, average: nn.Module) -> dict[str, float]:
        """LPIPS of both networks, DISTS, PSNR (luma, dB) of base and painted held-out frames in 8
        bits, as files are decoded, with a sheet of crops; and the change of each since the
        initial painter, on average over crops, in per cent or dB. {} without the metrics'
        weights."""
        if not perceptual.find_weights():
            return {}
        metrics: dict[str, nn.Module] = {f"lpips_{n}": perceptual.lpips(n) for n in ("vgg", "alex")}
        metrics["dists"] = perceptual.dists()
        metrics = {name: metric.to(self.device) for name, metric in metrics.items()}
        names = [*metrics, *(f"dithered_{name}" for name in metrics if self.dither)]
        totals: dict[str, list[float]] = {}
        shown_by = {"painted": average, "initial": self.initial}
        rows = []
        for pick in self._picks(self.config.validate_samples):
            source, pictures = _pictures(shown_by, self.held_out.batch(1, 256, [pick]))
            reference = crop_rgb(source, SMALL, 256).clamp(0, 1)
            row = [reference]
            for name, planes in pictures.items():
                rgb = to_display_rgb(planes, SMALL, 8, 256).clamp(0, 1)
                if name != "initial":
                    row.append(rgb)
                for metric in names:
                    pair, module = (rgb, reference), metrics[metric.removeprefix("dithered_")]
                    if self.dither and metric.startswith("dithered_"):
                        self.dither.restart(0)
                        pair = self.dither(rgb), self.dither(reference)
                    totals.setdefault(f"{name}_{metric}", []).append(float(module(*pair)))
                error = float((planes[0] - source[0]).square().mean())
                totals.setdefault(f"{name}_psnr", []).append(db(error, 1.0))
            rows.append(torch.cat(row, 3)[0])
        sheet = (torch.cat(rows[:8], 1).permute(1, 2, 0) * 255).round().byte()
        write_sheet(self.out, sheet.cpu().numpy())
        figures = {name: round(float(np.mean(values)), 4) for name, values in totals.items()}
        for name in (*names, "psnr"):
            now, first = (np.array(totals[f"{who}_{name}"]) for who in ("painted", "initial"))
            change = now - first if name == "psnr" else 100 * (now / first - 1)
            figures[f"change_{name}"] = round(float(change.mean()), 2)
            del figures[f"initial_{name}"]
        return figures

    def write(self, average: nn.Module, steps: int, minutes: float) -> None:
        """Write `painter.safetensors`, and `painter.json` next to it."""
        assert isinstance(average, PainterNetwork)
        path, material = self.out / PAINTER.name, Path(self.config.cache) / "material.json"
        average.save(path)
        config = self.config.describe() | {"initial": Path(self.config.initial).name}
        data = json.loads(material.read_text()) if material.is_file() else {}
        data |= {"cache_sha256": self.data.digest(), "held_out_sha256": list_sha256()}
        data |= {
            "coded_clips": len(self.data.entries),
            "held_out_clips": len(self.held_out.entries),
        }
        device = f"{self.device} ({torch.get_num_threads()} threads), torch {torch.__version__}"
        facts = {"config": config | average.sizes, "data": data, "device": device}
        write_card(path, average, steps, minutes, **facts)

    def state(self) -> dict[str, Any]:
        return {"class_loss": self.class_loss}

    def resume(self, state: dict[str, Any], steps: int) -> None:
        self.class_loss = state["class_loss"].to(self.device)
        self.data.rng = np.random.default_rng((self.config.seed, steps))
        self._restart_dither(self.config.seed + steps)


def _loss_networks() -> list[str]:
    """VGG16 where its weights are found, then the small network."""
    return ["vgg", "small"] if perceptual.find_weights() else ["small"]


def _pictures(
    painters: dict[str, nn.Module], batch: Batch
) -> tuple[tuple[Tensor, Tensor], dict[str, tuple[Tensor, Tensor]]]:
    """The last frames of a batch, (luma, chroma): source, and base and painted ones by name."""
    base, source = ((p[0][:, -1], p[1][:, -1]) for p in (batch.base, batch.source))
    pictures = {"base": base}
    for name, painter in painters.items():
        painted, _ = paint_run(cast(PainterNetwork, painter), batch, 0)
        pictures[name] = painted[0].clamp(0, 1), painted[1].clamp(0, 1)
    return source, pictures


def make_loop(config: TrainConfig, device: str = "") -> Loop:
    """A new run, or the run whose state is in `out`."""
    plan_fields = ("plan_minutes", "plan_steps", "warm_up", "average", "validate_minutes")
    schedule = Schedule(
        config.learning_rate, **{name: getattr(config, name) for name in plan_fields}
    )
    return Loop(PainterWork(config, device), schedule, Path(config.out))


def main(words: Sequence[str] | None = None) -> None:
    """Train for some minutes or steps; goes on where the last call stopped."""
    parser = ExactParser(prog="painter", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="", help="cpu, cuda … (a GPU where there is one)")
    add_option(parser, "as the material says")
    options, config = parse_run(parser, words, TrainConfig, ("cache", "out"), ("held_out",))
    loop = make_loop(config, options.device)
    loop.log({"material": loop.work.data.digest(), "config": asdict(config)})  # type: ignore[attr-defined]
    loop.run(time_limit(options), options.steps)
    print(Path(config.out) / PAINTER.name)
