"""Trains GVC1D from one TOML file: `python -m training gvc1d CONFIG.toml [--out DIR]`.

    [model]      sizes of the network (`gvcodec.gvc1d.model.Config`)
    [train]      seed, learning rate, averages, parts left out (`off`)
    [data]       kind = "world", or "folder" with `path`
    [[stage]]    steps, frames of a clip, clips a step, weight of the rate, losses

Every draw follows from (seed, step, process), so a run that is stopped and started again goes on
exactly as it would have. In DIR: state.pt (all of it), curve.csv, log.jsonl, weights.safetensors.
Several processes: `torchrun --nproc-per-node N -m training gvc1d CONFIG.toml`. FLOP and hours:
`--cost`.

Shapes: clips are y [B, F, H, W], u and v [B, F, H/2, W/2] in 0..1; bits are of a frame.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import signal
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, distributed, nn

from gvcodec.errors import MediaError, UsageError
from gvcodec.gvc1d import ops_torch
from gvcodec.gvc1d.frame_coder import DISTORTION_UNIT, FINEST_LAMBDA
from gvcodec.gvc1d.model import RATES, Config, Grid, from_patches, to_patches
from gvcodec.gvc1d.model import initial_weights as make_weights
from gvcodec.gvc1d.weights import read_network
from gvcodec.util.options import ExactParser
from training.alarms import Alarm
from training.gvc1d import titok
from training.gvc1d.cost import describe_cost
from training.gvc1d.data import Batch, Clips, load, open_data
from training.gvc1d.start import start_from_components
from training.gvc1d.variants import PARTS, make_codec
from training.held_out import add_option
from training.world import SHOT_FRAMES, SIZE

#: Clips whose patches give the components to begin with.
_START_CLIPS = 64
#: Integers beyond this are pulled back weakly.
USUAL_RANGE, RANGE_WEIGHT = 30.0, 1e-3
#: Shares of T that a window may be sent with where a stage trains lengths (InfoTok).
LENGTHS = (1.0, 0.5, 0.25, 0.125, 0.0625, 0.0)
SAVE_SECONDS = 240.0


@dataclass(frozen=True)
class Stage:
    """`rate_from` to `rate_to`: weight of λ · bits in its course; below 1 the entropy model is
    still trained on its own. `lengths`: windows with few tokens. `shot_frames`: fewest and most
    frames of a shot of the world; short ones show many returns. `recall`: weight of the loss
    by which memory predicts the scene before the current one (`losses.RecallProbe`)."""

    steps: int
    frames: int
    clips: int
    rate_from: float = 1.0
    rate_to: float = 1.0
    lengths: bool = False
    shot_frames: tuple[int, int] = SHOT_FRAMES
    recall: float = 0.0
    perceptual: float = 0.0
    adversarial: float = 0.0


@dataclass(frozen=True)
class Settings:
    """Settings of a run, from its file."""

    model: Config
    stages: tuple[Stage, ...]
    data: dict[str, Any]
    seed: int = 1
    learning_rate: float = 8e-4
    warm_up: int = 100
    decay_share: float = 0.3
    average: float = 0.998
    accumulate: int = 1
    check_steps: int = 200
    bfloat16: bool = False
    optimizer: str = "muon"
    #: "random", "components" (see `start`), or a file of weights of the same configuration.
    start: str = "random"
    off: tuple[str, ...] = field(default=())

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> tuple[Stage, float]:
        """The stage of a step, and how much of it is done, 0..1."""
        for stage in self.stages:
            if step < stage.steps:
                return stage, step / stage.steps
            step -= stage.steps
        return self.stages[-1], 1.0

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, then a linear fall over the last `decay_share` of the steps."""
        remaining = (self.steps - step) / max(1, self.decay_share * self.steps)
        return (
            self.learning_rate
            * min(1.0, (step + 1) / self.warm_up)
            * min(1.0, max(0.05, remaining))
        )


def read_settings(path: Path) -> Settings:
    """Raises `MediaError` for a missing file, `UsageError` for a wrong configuration."""
    try:
        table = tomllib.loads(path.read_text())
        stages = tuple(Stage(**stage) for stage in table.pop("stage"))
        train = table.pop("train", {})
        train["off"] = tuple(train.get("off", ()))
        return Settings(Config(**table.pop("model")), stages, table.pop("data"), **train)
    except OSError as error:
        raise MediaError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, TypeError, KeyError, ValueError) as error:
        raise UsageError(f"{path}: {error}") from None


class Outcome(NamedTuple):
    """Results for clips [B, F, …]: decoded planes, bits [B, F], tokens [B, F, W, T, C]; memory
    after each frame [B, F, M, D], None without memory."""

    planes: tuple[Tensor, Tensor, Tensor]
    bits: Tensor
    tokens: Tensor
    memory: Tensor | None


class Network(nn.Module):
    """The codec over whole clips, with gradients through all frames."""

    def __init__(self, config: Config, weights: dict[str, Any], off: tuple[str, ...]) -> None:
        super().__init__()
        self.config, self.off = config, off
        self.names = list(weights)
        # Copies: a network and its average begin with the same arrays.
        self.values = nn.ParameterList(torch.tensor(value) for value in weights.values())

    def weights(self) -> dict[str, Tensor]:
        return dict(zip(self.names, self.values, strict=True))

    def forward(
        self,
        planes: tuple[Tensor, Tensor, Tensor],
        rates: Tensor,
        present: Tensor | None = None,
        off: tuple[str, ...] = (),
        change: Any = None,
    ) -> Outcome:
        """planes y [B, F, H, W] …, rates [B] in 0..7, present [B, F, W, T, 1]. `off`: more parts to
        leave out; `change(tokens, frame)`: other tokens for the decoder."""
        config = self.config
        codec = make_codec(config, self.weights(), ops_torch, self.off + off)
        y, u, v = planes
        grid = Grid(y.shape[2] // config.window, y.shape[3] // config.window)
        mix = ops_torch.rate_mix(rates, RATES)
        state = codec.first_state(len(y), grid)
        everything = y.new_ones(len(y), grid.rows * grid.columns, config.tokens, 1)
        frames, bits, all_tokens, memories = [], [], [], []
        for frame in range(y.shape[1]):
            sent = everything if present is None else present[:, frame]
            patches = to_patches(y[:, frame], u[:, frame], v[:, frame], config, ops_torch)
            values = codec.encode(patches, state, mix, grid)
            tokens = values + (values.round() - values).detach()  # rounding passes gradients
            if change is not None:
                tokens = change(tokens, frame)
            prediction = codec.predict(tokens * sent, state, mix, grid)
            frame_bits = ops_torch.estimate_bits(tokens, prediction) * sent
            decoded, features = codec.decode(tokens, sent, state, mix, grid)
            state = codec.advance(state, tokens, sent, features, grid)
            frames.append(decoded)
            bits.append(frame_bits.flatten(1).sum(1))
            all_tokens.append(tokens)
            memories.append(state.memory)
        stacked = torch.stack(frames, 1).flatten(0, 1)  # [B * F, W, P, S]
        decoded = from_patches(stacked, grid, config, ops_torch)
        back = tuple(x.unflatten(0, (len(y), -1)) for x in decoded)
        memory = torch.stack(memories, 1) if config.memory else None
        return Outcome(back, torch.stack(bits, 1), torch.stack(all_tokens, 1), memory)  # type: ignore[arg-type]


def distortion(decoded: tuple[Tensor, ...], planes: tuple[Tensor, ...]) -> Tensor:
    """[B, F], in units of J. Every sample of the three planes weighs the same."""
    errors = sum((a.float() - b).square().sum((2, 3)) for a, b in zip(decoded, planes, strict=True))
    return errors / DISTORTION_UNIT  # type: ignore[union-attr,return-value]


def psnr_y(shown: tuple[Tensor, ...], planes: tuple[Tensor, ...]) -> Tensor:
    """[B, F], dB."""
    error = (shown[0].float().clamp(0, 1) - planes[0]).square().mean((2, 3))
    return -10 * error.clamp(min=1e-10).log10()


def lambda_of(rates: Tensor) -> Tensor:
    return FINEST_LAMBDA * torch.exp2(rates)


class Muon(torch.optim.Optimizer):
    """Momentum whose update of a matrix is made orthogonal (Jordan et al., 2024), in `precision`;
    AdamW for the rest: tables, gains, biases, the layers at both ends."""

    def __init__(
        self, groups: list[dict[str, Any]], precision: torch.dtype = torch.float32
    ) -> None:
        super().__init__(groups, {"lr": 1e-3, "scale": 1.0, "matrix": False})
        self.precision = precision

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for value in group["params"]:
                if value.grad is None:
                    continue
                update = self._step_matrix if group["matrix"] else self._step_adam
                update(value, value.grad, self.state[value], group["lr"])

    def _step_matrix(
        self, value: Tensor, slope: Tensor, state: dict[str, Any], rate: float
    ) -> None:
        if not state:
            state["momentum"] = torch.zeros_like(value)
        state["momentum"].lerp_(slope, 0.05)
        update = orthogonalize(slope.lerp(state["momentum"], 0.95).to(self.precision))
        value.mul_(1 - 0.01 * rate)
        value.add_(update, alpha=-rate * max(1, value.shape[0] / value.shape[1]) ** 0.5)

    @staticmethod
    def _step_adam(value: Tensor, slope: Tensor, state: dict[str, Any], rate: float) -> None:
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(value), torch.zeros_like(value)
        state["step"] += 1
        state["mean"].lerp_(slope, 0.1)
        state["square"].lerp_(slope.square(), 0.02)
        mean = state["mean"] / (1 - 0.9 ** state["step"])
        root = (state["square"] / (1 - 0.98 ** state["step"])).sqrt() + 1e-8
        value.mul_(1 - 0.01 * rate)
        value.add_(mean / root, alpha=-rate)


def orthogonalize(matrix: Tensor) -> Tensor:
    """Nearly U V of its singular value decomposition U S V, by five Newton-Schulz steps."""
    x = matrix / (matrix.norm() + 1e-7)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.T if tall else x


#: Step of an orthogonal update relative to AdamW's.
MATRIX_SCALE = 12.0


def make_optimizer(network: Network, settings: Settings) -> torch.optim.Optimizer:
    """The optimizer of the configuration: "muon" or "adamw"."""
    weights = network.weights()
    blocks = [n for n in weights if n.endswith(".weight") and n.split(".")[1].isdigit()]
    matrices = [weights[n] for n in blocks]
    rest = [value for name, value in weights.items() if name not in set(blocks)]
    if settings.optimizer == "muon":
        groups: list[dict[str, Any]] = [
            {"params": matrices, "matrix": True, "scale": MATRIX_SCALE},
            {"params": rest},
        ]
        return Muon(groups, torch.bfloat16 if settings.bfloat16 else torch.float32)
    everything: list[dict[str, Any]] = [{"params": list(weights.values()), "scale": 1.0}]
    return torch.optim.AdamW(everything, betas=(0.9, 0.98), weight_decay=0.01)


class Trainer:
    """A run: network, averages, optimizer, step. Raises `UsageError`, `Alarm`."""

    def __init__(self, settings: Settings, out: Path, board: Any = None) -> None:
        """`board`: of TensorBoard (`open_board`)."""
        self.settings, self.out, self._board = settings, out, board
        out.mkdir(parents=True, exist_ok=True)
        self.rank = distributed.get_rank() if distributed.is_initialized() else 0
        self.processes = distributed.get_world_size() if distributed.is_initialized() else 1
        local = int(os.environ.get("LOCAL_RANK", "0"))
        self.device = torch.device(f"cuda:{local}" if torch.cuda.is_available() else "cpu")
        self.data: Clips = open_data(settings.data, settings.model)
        weights = self._start()
        self.network = Network(settings.model, weights, settings.off).to(self.device)
        self.average = Network(settings.model, weights, settings.off).to(self.device)
        self.optimizer = make_optimizer(self.network, settings)
        self.step, self.seconds = 0, 0.0
        self._critic: Any = None
        self._probe: Any = None
        if (out / "state.pt").is_file():
            self._resume()
        self._batches = load(
            self.data,
            self._plan,
            self.step * settings.accumulate,
            settings.steps * settings.accumulate,
            int(settings.data.get("workers", 0)),
        )
        self._parallel: nn.Module = self.network
        if self.processes > 1:
            self._parallel = nn.parallel.DistributedDataParallel(self.network)

    def _start(self) -> dict[str, Any]:
        """Weights to begin with."""
        settings, config = self.settings, self.settings.model
        weights = make_weights(config, settings.seed)
        if settings.start == "components" and not (self.out / "state.pt").is_file():
            rng = np.random.default_rng([settings.seed, 0, 0, 0, 2])
            planes = self.data.batch(rng, Batch((settings.seed,), _START_CLIPS, 1))[:3]
            y, u, v = (plane[:, 0] for plane in planes)
            patches = to_patches(y, u, v, config, ops_torch).reshape(-1, config.samples)
            start_from_components(weights, config, patches.numpy())
        elif settings.start not in ("random", "components"):
            path = Path(settings.start)
            if not path.is_file():
                raise UsageError(
                    f"[train] start is random, components or a file of weights, not {path}"
                )
            file_config, weights = read_network(path)
            if file_config != config:
                raise UsageError(f"{path}: weights of another configuration")
        return weights

    # ------------------------------------------------------------------------------------ one step

    def train_step(self) -> dict[str, float]:
        """One update; returns the values of the curve."""
        settings = self.settings
        stage, share = settings.stage_at(self.step)
        figures: dict[str, float] = {}
        self.optimizer.zero_grad(set_to_none=True)
        for part in range(settings.accumulate):
            last = part + 1 == settings.accumulate
            hold = getattr(self._parallel, "no_sync", nullcontext)
            with nullcontext() if last else hold():
                loss, figures = self._loss(next(self._batches), stage, share, part)
                (loss / settings.accumulate).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = group["scale"] * settings.learning_rate_at(self.step)
        self.optimizer.step()
        if self._probe is not None:
            self._probe.step()
        self.step += 1
        keep = min(settings.average, self.step / (self.step + 20))
        with torch.no_grad():
            for mean, value in zip(self.average.values, self.network.values, strict=True):
                mean.lerp_(value, 1 - keep)
        return figures

    def _plan(self, number: int) -> Batch:
        """The batch of this number, counted over steps and their parts."""
        step, part = divmod(number, self.settings.accumulate)
        stage, _ = self.settings.stage_at(step)
        return Batch(
            (self.settings.seed, step, self.rank, part),
            stage.clips,
            stage.frames,
            (stage.shot_frames[0], stage.shot_frames[1]),
        )

    def _loss(
        self, batch: tuple[Tensor, ...], stage: Stage, share: float, part: int
    ) -> tuple[Tensor, dict[str, float]]:
        rng = np.random.default_rng([self.settings.seed, self.step, self.rank, part, 1])
        y, u, v, scenes = (part.to(self.device) for part in batch)
        planes = y, u, v
        rates = torch.tensor(rng.uniform(0, RATES - 1, stage.clips), device=self.device).float()
        present = self._draw_lengths(rng, stage, planes[0].shape) if stage.lengths else None
        autocast = torch.autocast(self.device.type, torch.bfloat16, self.settings.bfloat16)
        with autocast:
            outcome = self._parallel(planes, rates, present)
        weight = stage.rate_from + (stage.rate_to - stage.rate_from) * share
        lambdas = lambda_of(rates)[:, None]
        error = distortion(outcome.planes, planes)  # [B, F]
        cost = error + weight * lambdas * outcome.bits
        # The logarithm: coarse rates would outweigh fine ones otherwise.
        loss = (cost.mean(1) + 1e-3).log().mean()
        far = (outcome.tokens.abs() - USUAL_RANGE).clamp(min=0).mean()
        loss = loss + RANGE_WEIGHT * far
        if weight < 1:
            # Only enough to train the entropy model.
            loss = loss + 1e-4 * (1 - weight) * outcome.bits.mean()
        if stage.recall and outcome.memory is not None:
            loss = loss + stage.recall * self._recall_loss(outcome, scenes)
        if stage.perceptual or stage.adversarial:
            loss = loss + self._appearance(stage, outcome, planes, rng)
        if self.processes > 1:
            # Each process waits for the gradient of every parameter. Single frames use neither
            # memory nor buffer.
            loss = loss + 0 * sum(value.sum() for value in self.network.values)
        quality = psnr_y(outcome.planes, planes).mean()
        figures = {"loss": loss, "psnr": quality, "bits": outcome.bits.mean(), "J": cost.mean()}
        return loss, {name: float(value.detach()) for name, value in figures.items()}

    def _draw_lengths(self, rng: np.random.Generator, stage: Stage, shape: Any) -> Tensor:
        """present [B, F, W, T, 1]: half of the clips whole, the rest with a length for each window
        and clip."""
        config = self.settings.model
        windows = (shape[2] // config.window) * (shape[3] // config.window)
        shares = rng.choice(LENGTHS, (stage.clips, 1, windows))
        shares[rng.uniform(size=stage.clips) < 0.5] = 1.0
        counts = np.where(shares > 0, np.maximum(1, np.rint(shares * config.tokens)), 0)
        present = np.arange(config.tokens) < counts[..., None]  # [B, 1, W, T]
        whole = np.broadcast_to(present, (stage.clips, stage.frames, windows, config.tokens))
        return torch.tensor(whole[..., None], dtype=torch.float32, device=self.device)

    def _recall_loss(self, outcome: Outcome, scenes: Tensor) -> Tensor:
        from training.gvc1d.losses import RecallProbe

        assert outcome.memory is not None
        if self._probe is None:
            self._probe = RecallProbe(self.settings.model, self.settings.seed).to(self.device)
        return self._probe.loss(outcome.memory.float(), outcome.tokens.detach(), scenes)

    def _appearance(
        self, stage: Stage, outcome: Outcome, planes: tuple[Tensor, ...], rng: np.random.Generator
    ) -> Tensor:
        """Perceptual and adversarial terms of one frame of each clip."""
        from training.gvc1d.losses import Appearance

        if self._critic is None:
            self._critic = Appearance(self.settings.seed, self.device)
        frame = int(rng.integers(planes[0].shape[1]))
        source_frame = tuple(plane[:, frame].float() for plane in outcome.planes)
        source = tuple(plane[:, frame] for plane in planes)
        return self._critic.loss(source_frame, source, stage.perceptual, stage.adversarial)

    # ----------------------------------------------------------------------------- run, save, check

    def run(self, steps: int = 0, minutes: float = 0.0) -> None:
        """Train to the end of the plan, to `steps` or for `minutes`, whichever comes first, or
        until SIGTERM or SIGINT; then save."""
        last = min(self.settings.steps, steps or self.settings.steps)
        begin = saved = time.monotonic()
        sums: dict[str, list[float]] = {}
        with _stop_signals() as stopped:
            try:
                while self.step < last and not self._agree(bool(stopped)):
                    clock = time.process_time() if self.device.type == "cpu" else time.monotonic()
                    for name, value in self.train_step().items():
                        sums.setdefault(name, []).append(value)
                    now = time.process_time() if self.device.type == "cpu" else time.monotonic()
                    self.seconds += now - clock
                    if self.step % 25 == 0:
                        self._write_curve({name: float(np.mean(v)) for name, v in sums.items()})
                        sums = {}
                    if self.step % self.settings.check_steps == 0:
                        self.check()
                    if time.monotonic() - saved > SAVE_SECONDS:
                        self.save()
                        saved = time.monotonic()
                    if minutes and self._agree(time.monotonic() - begin > 60 * minutes):
                        break
            finally:
                self.save()

    def _agree(self, value: bool) -> bool:
        """The first process's answer, for all."""
        if self.processes == 1:
            return value
        shared = torch.tensor(float(value), device=self.device)
        distributed.broadcast(shared, 0)
        return bool(shared)

    def check(self) -> None:
        """Validation and alarms, into log.jsonl. Raises `Alarm`."""
        if self.rank:
            return
        figures = measure(self.average, self.data, self.device)
        self._log(figures)
        for name, value in figures.items():
            if not math.isfinite(value):
                raise Alarm(f"{name} is {value}")
        if self.seconds > 600 and figures["J zeroed"] < 1.05 * figures["J"]:
            raise Alarm("tokens change nothing after ten minutes")
        if self.seconds > 600 and figures["J shuffled"] < 1.05 * figures["J"]:
            raise Alarm("tokens of another clip serve as well after ten minutes")

    def save(self) -> None:
        """state.pt and weights.safetensors, each under a temporary name first."""
        if self.rank:
            return
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "critic": self._critic.state() if self._critic is not None else None,
            "probe": self._probe.state() if self._probe is not None else None,
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, self.out / "state.part")
        os.replace(self.out / "state.part", self.out / "state.pt")
        export(self.average, self.settings, self.step, self.seconds, self.out)

    def _resume(self) -> None:
        saved = torch.load(self.out / "state.pt", map_location=self.device, weights_only=True)
        self.network.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step, self.seconds = saved["step"], saved["seconds"]
        if saved.get("probe") is not None:
            from training.gvc1d.losses import RecallProbe

            self._probe = RecallProbe(self.settings.model, self.settings.seed).to(self.device)
            self._probe.resume(saved["probe"])
        if saved["critic"] is not None:
            from training.gvc1d.losses import Appearance

            self._critic = Appearance(self.settings.seed, self.device)
            self._critic.resume(saved["critic"])

    def _write_curve(self, means: dict[str, float]) -> None:
        if self.rank:
            return
        stage = self.settings.stage_at(self.step - 1)[0]
        row = {"step": self.step, "minutes": round(self.seconds / 60, 2), "frames": stage.frames}
        row |= {name: round(value, 4) for name, value in means.items()}
        path = self.out / "curve.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        print(*row.values(), flush=True)
        self._show_on_board("train", means)

    def _show_on_board(self, group: str, figures: dict[str, float]) -> None:
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(f"{group}/{name}", value, self.step)
            self._board.flush()

    def _log(self, figures: dict[str, float]) -> None:
        entry = {"step": self.step, "minutes": round(self.seconds / 60, 2)}
        entry |= {name: round(value, 3) for name, value in figures.items()}
        with (self.out / "log.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        print(json.dumps(entry), flush=True)
        self._show_on_board("validation", figures)


def open_board(out: Path) -> Any:
    """A writer for TensorBoard. Raises `UsageError` where the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError("--tensorboard needs it: pip install tensorboard") from None
    return SummaryWriter(str(out / "tensorboard"))


@torch.no_grad()
def measure(network: Network, data: Clips, device: torch.device) -> dict[str, float]:
    """Validation clips at the middle rate: PSNR-Y and bits by place, J of the network as it is,
    with zeroed and with another clip's tokens, with parts off; recall of the memory."""
    clips = data.validation()
    planes = tuple(plane.to(device) for plane in clips.planes)
    rates = torch.full((len(planes[0]),), (RATES - 1) / 2, device=device)

    def cost(**changes: Any) -> tuple[Tensor, Tensor, Tensor]:
        outcome = network(planes, rates, **changes)
        price = distortion(outcome.planes, planes) + lambda_of(rates)[:, None] * outcome.bits
        return price, outcome.bits, psnr_y(outcome.planes, planes)

    price, bits, quality = cost()
    figures = {"J": float(price.mean()), "bits": float(bits.mean()), "psnr": float(quality.mean())}
    for name, place in clips.places.items():
        at = place.to(device)
        if at.any():
            figures[f"{name} bits"], figures[f"{name} psnr"] = (
                float(bits[at].mean()),
                float(quality[at].mean()),
            )
            figures[f"{name} J"] = float(price[at].mean())
    figures["J zeroed"] = float(cost(change=lambda tokens, frame: tokens * 0)[0].mean())
    figures["J shuffled"] = float(cost(change=lambda tokens, frame: tokens.roll(1, 0))[0].mean())
    for part in ("memory", "short_term", "global", "autoregression"):
        if part not in network.off:
            figures[f"J without {part}"] = float(cost(off=(part,))[0].mean())
    if clips.recall is not None:
        figures |= measure_recall(network, clips.recall, device)
    return figures


def measure_recall(network: Network, recall: Any, device: torch.device) -> dict[str, float]:
    """J and bits of the frame at which a scene returns, paired with those of the same frame where
    the clip showed another clip's scene before: the difference is the gain of the memory."""
    at = torch.arange(len(recall.frame))
    values = {}
    for name, planes in (("return", recall.returning), ("stranger", recall.stranger)):
        planes = tuple(plane.to(device) for plane in planes)
        rates = torch.full((len(planes[0]),), (RATES - 1) / 2, device=device)
        outcome = network(planes, rates)
        price = distortion(outcome.planes, planes) + lambda_of(rates)[:, None] * outcome.bits
        values[name] = outcome.bits[at, recall.frame], price[at, recall.frame]
    figures = {}
    for place, what in enumerate(("bits", "J")):
        difference = values["return"][place] - values["stranger"][place]
        figures[f"recall {what}"] = float(difference.mean())
        figures[f"recall {what} error"] = float(difference.std() / len(difference) ** 0.5)
    return figures


def export(network: Network, settings: Settings, step: int, seconds: float, out: Path) -> None:
    """weights.safetensors: fp16, with its configuration."""
    from safetensors.torch import save_file

    tensors = {name: value.detach().half().cpu() for name, value in network.weights().items()}
    metadata = {
        "form": "gvc1d-6",
        "config": json.dumps(asdict(settings.model)),
        "steps": str(step),
        "minutes": f"{seconds / 60:.1f}",
        "seed": str(settings.seed),
        "off": ",".join(settings.off),
    }
    save_file(tensors, out / "weights.part", metadata)
    os.replace(out / "weights.part", out / "weights.safetensors")


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that SIGTERM and SIGINT are appended to meanwhile."""
    stopped: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: stopped.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(words: list[str]) -> None:
    parser = ExactParser("python -m training gvc1d", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("config", type=Path, help="for example training/configs/mini.toml")
    parser.add_argument("--out", type=Path, help="folder of the run (default: out/NAME)")
    parser.add_argument(
        "--steps", type=int, default=0, help="stop at this step (the end of the plan)"
    )
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="stop after this time (no limit)"
    )
    parser.add_argument("--seed", type=int, help="another seed than the file's")
    add_option(parser, "that of [data], a tenth")
    parser.add_argument("--without", default="", help="parts to train without, with commas between")
    parser.add_argument("--cost", action="store_true", help="print FLOP and hours, train nothing")
    parser.add_argument(
        "--teraflops", type=float, default=100.0, help="10^12 operations a second, for --cost"
    )
    parser.add_argument("--tensorboard", action="store_true", help="write the curve for it as well")
    parser.add_argument("--from-titok", type=Path, help="begin with weights of TA-TiTok (a file)")
    options = parser.parse_args(words)
    settings = read_settings(options.config)
    if options.cost:
        side = int(settings.data.get("size", SIZE))
        print(describe_cost(settings, side, options.teraflops))
        return
    changes: dict[str, Any] = {}
    if options.seed is not None:
        changes["seed"] = options.seed
    if options.without:
        changes["off"] = tuple(options.without.split(","))
        if unknown := set(changes["off"]) - set(PARTS):
            raise UsageError(f"--without {unknown.pop()}: the parts are {', '.join(PARTS)}")
    if options.held_out:
        if settings.data.get("kind") != "folder":
            raise UsageError('--held-out is for data of the kind "folder"')
        changes["data"] = settings.data | {"held_out": options.held_out}
    if changes:
        settings = Settings(
            **({f: getattr(settings, f) for f in Settings.__annotations__} | changes)
        )
    if "RANK" in os.environ:
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    out = options.out or Path("out") / options.config.stem
    trainer = Trainer(settings, out, open_board(out) if options.tensorboard else None)
    print(f"{sum(v.numel() for v in trainer.network.values)} parameters", file=sys.stderr)
    if options.from_titok and not trainer.step:
        networks = trainer.network, trainer.average
        lines = titok.begin_with(options.from_titok, settings.model, networks)
        print("\n".join(lines), file=sys.stderr)
    trainer.run(options.steps, options.minutes)
