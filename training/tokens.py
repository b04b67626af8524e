"""Trains tokens that steer the painter: `python -m training tokens training/configs/tokens.toml`.

Tokens are side information about texture: for each region of 64×64 samples, `DIMS` small integers.
Their product with a table of integers is added to the sums of the painter's `style` layer, bilinear
between the centres of regions. The painter itself does not change.

An encoder of local and global transformers computes them from the energies of nine bands of the
source, the base frame and the painted frame, and from brightness and quality, in patches of 16×16.
Local layers see the patches of a region, global ones the regions of a window of 256×256. Two simple
rivals learn at the same time: one vector for everything, and a linear map of a region's mean
features. Validation, like files, adds a part of the tokens at which bands of the painted picture
have the source's energies (`match`), which needs no training.

Tokens of a run's first frame, painted afresh, steer the whole run, at one of the strengths that
files have, and the last frame is judged: most frames of a file keep detail of those before them,
which damps noise, so that tokens made for frames by themselves ask for too little of it. Loss:
LPIPS on VGG16 and AlexNet, PSNR-Y and flicker held at those of the painter without tokens; DISTS is
held out. The loss sees pictures before they are rounded to
8 bits, validation sees them after. With `targets` (`training.token_targets`) the table begins with
theirs, and encoder and linear map learn their tokens before anything is painted; else it begins
with the main directions of the loss's gradient.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec import perceptual
from gvcodec.codec.fidelity import db
from gvcodec.errors import MediaError, UsageError
from gvcodec.models import save_weights
from gvcodec.painter.cpu import block_vectors
from gvcodec.painter.energies import PATCH
from gvcodec.painter.strength import STRENGTH_STEPS
from gvcodec.painter.token_coding import LARGEST, REGION
from gvcodec.painter.token_coding import STEP as LEVELS
from gvcodec.painter.tokens.encoder import NUDGE, least_squares
from gvcodec.painter.torch_twin.filters import Bands, decimate, round_through
from gvcodec.painter.torch_twin.network import FrameObservation, PainterNetwork
from gvcodec.painter.torch_twin.objective import (
    Batch,
    crop_rgb,
    observe_run,
    paint_observed,
    to_display_rgb,
)
from gvcodec.perceptual.losses import eight_bits, fidelity_guard, temporal_loss
from gvcodec.perceptual.vgg import PerceptualLoss
from gvcodec.util.colour import SMALL
from gvcodec.util.options import ExactParser
from gvcodec.util.tensors import open_device
from training.alarms import Alarm
from training.card import write_card
from training.crops import Cache
from training.held_out import add_option, list_sha256, parse_held_out
from training.loop import Loop, Schedule, Work
from training.material import WINDOW
from training.settings import parse_run, time_limit
from training.transformer import Block

#: Side of the receptive field of `style`, in luma samples.
PLACE = 8
#: Integers of a region.
DIMS = 8
#: Places of regions along a window.
SIDE = WINDOW // REGION
#: Bands of three pictures in three scales, brightness, quality.
FEATURES = 27 + 1 + 1
#: Gradients that the table begins with, and its first step in deviations of `style`'s sums.
_DIRECTIONS, _STEP = 48, 0.35
_HEADS = 4
#: Part of matched tokens that comes to those of the encoder. Trained with them in place, it learned
#: to take their texture away again.
_MATCHED = 0.4
#: Steps in which searched tokens are learned, windows of each, and their rate.
_LEARNED, _TOGETHER, _LEARNING_RATE = 400, 32, 1e-3
#: Typical loss of a crop, how much PSNR-Y is held a decibel below that without tokens, and weight
#: of changes between frames beyond those without tokens.
_USUAL, _HOLD, _TEMPORAL = 0.15, 0.3, 20.0
#: Minutes after which tokens must improve held-out crops, and the least share of LPIPS.
_PATIENCE, _LEAST_GAIN = 60.0, 0.01


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """The keys of a configuration file. `painter`: weights of the painter that is steered; `cache`:
    folder of material; `out`: folder to write; `width`: channels of the transformer, `local` and
    `over`: its layers within regions and over the window; `crops`: windows a step; `price`: of the
    mean size of a token; `targets`: tokens to begin with, of `training.token_targets` over the same
    cache and `held_out`; the others as in `training.painter`."""

    painter: str
    cache: str
    out: str
    seed: int = 1
    width: int = 64
    local: int = 2
    over: int = 2
    crops: int = 4
    price: float = 0.0
    targets: str = ""
    learning_rate: float = 6e-4
    plan_minutes: float = 90.0
    warm_up: int = 20
    average: float = 0.98
    validate_minutes: float = 20.0
    validate_samples: int = 30
    threads: int = 1
    held_out: str = ""

    def describe(self) -> dict[str, Any]:
        """All except folders and files, for the card."""
        places = ("cache", "out", "targets", "held_out")
        return {key: value for key, value in asdict(self).items() if key not in places}


class TokenEncoder(nn.Module):
    """Features (B, FEATURES, 16, 16) of the patches of a window to tokens (B, DIMS, 4, 4) of its
    regions, not rounded."""

    def __init__(self, width: int, local: int, over: int) -> None:
        super().__init__()
        self.embed = nn.Linear(FEATURES, width)
        self.position = nn.Parameter(torch.randn(1, (WINDOW // PATCH) ** 2, width) * 0.02)
        self.local = nn.ModuleList([Block(width, _HEADS) for _ in range(local)])
        self.over = nn.ModuleList([Block(width, _HEADS) for _ in range(over)])
        self.head = nn.Linear(width, DIMS)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, features: Tensor) -> Tensor:
        b, side, within = len(features), WINDOW // REGION, REGION // PATCH
        x = self.embed(features.flatten(2).transpose(1, 2)) + self.position
        x = x.view(b, side, within, side, within, -1).permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(b * side**2, within**2, -1)
        for layer in self.local:
            x = layer(x)
        x = x.mean(1).view(b, side**2, -1)
        for layer in self.over:
            x = layer(x)
        return cast(Tensor, self.head(x).transpose(1, 2).reshape(b, DIMS, side, side))


class Steering(nn.Module):
    """The encoder, its neighbours `linear` and `vector`, and the `table` (outputs of `style`,
    DIMS): the weight of a token's level in the sums of `style`."""

    centre: Tensor
    deviation: Tensor
    matched: Tensor

    def __init__(self, outputs: int, config: TrainConfig) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(outputs, DIMS))
        self.encoder = TokenEncoder(config.width, config.local, config.over)
        self.linear = nn.Conv2d(FEATURES, DIMS, 1)
        self.vector = nn.Parameter(torch.zeros(1, DIMS, 1, 1))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(cast(Tensor, self.linear.bias))
        self.register_buffer("centre", torch.zeros(1, FEATURES, 1, 1))
        self.register_buffer("deviation", torch.ones(1, FEATURES, 1, 1))
        self.register_buffer("matched", torch.full((1, DIMS, 1, 1), _MATCHED))

    def tokens(self, features: Tensor, by: str, matched: Tensor | None = None) -> Tensor:
        """(B, DIMS, 4, 4) by "encoder", "linear", "vector" or "matched", not rounded; `matched`:
        those at which energies agree, which the encoder adds to."""
        if by == "matched":
            assert matched is not None
            return self.matched * matched
        if by == "encoder" and matched is not None:
            return self.tokens(features, by) + self.matched * matched
        x = ((features - self.centre) / self.deviation).clamp(-4, 4)
        if by == "encoder":
            return cast(Tensor, self.encoder(x))
        if by == "linear":
            return cast(Tensor, self.linear(F.avg_pool2d(x, REGION // PATCH)))
        return self.vector.expand(len(x), DIMS, SIDE, SIDE)

    def shifts(self, tokens: Tensor) -> Tensor:
        """(B, outputs, 32, 32) of whole tokens."""
        levels = spread(LEVELS * tokens, WINDOW // PLACE)
        table = round_through(self.table)
        return F.conv2d(levels, table[:, :, None, None])


def spread(levels: Tensor, side: int) -> Tensor:
    """Levels of regions at `side`² places, bilinear between centres, rounded."""
    return round_through(F.interpolate(levels, (side, side), mode="bilinear", align_corners=False))


def whole_tokens(tokens: Tensor) -> Tensor:
    """The coded integers, -LARGEST … LARGEST; gradients pass."""
    return round_through(tokens.clamp(-LARGEST, LARGEST))


def energies_of(luma: Tensor) -> Tensor:
    """log2 of the energies of N, P, Q in three scales of patches, (B, 9, H/16, W/16), in 1/8."""
    codes = 1023 * luma
    half = Bands(decimate(codes))
    scales = (
        (Bands(codes, fine=True), PATCH),
        (half, PATCH // 2),
        (Bands(half.low, 2), PATCH // 2),
    )
    energies = [F.avg_pool2d(bands.bands.square(), side) for bands, side in scales]
    return torch.cat(energies, 1).add(4).log2() / 8


def _motion(now: Tensor, before: Tensor) -> Tensor:
    """Motion of lumas (1, 1, H, W), along which change is seen: noise follows that of base
    frames."""
    current, reference = (
        (1023 * x[0, 0]).round().cpu().numpy().astype(np.uint16) for x in (now, before)
    )
    return torch.from_numpy(block_vectors(current, reference))[None].to(now.device)


@torch.no_grad()
def match(crop: Crop, model: Steering) -> Tensor:
    """Tokens (1, DIMS, 4, 4), not rounded, at which bands of the frame before the last one have the
    source's energies in each region, by least squares over differences."""
    assert crop.source_before is not None

    def measure(tokens: Tensor) -> Tensor:
        steered = [replace(frame, shifts=model.shifts(tokens)) for frame in crop.observations[:-1]]
        (luma, _), _ = paint_observed(crop.painter, steered)
        return by_region(energies_of(luma))

    nothing = torch.zeros(1, DIMS, SIDE, SIDE, device=crop.features.device)
    plain, target = measure(nothing), by_region(energies_of(crop.source_before))
    slopes = []
    for n in range(DIMS):
        nudged = nothing.clone()
        nudged[:, n] = NUDGE
        slopes.append((measure(nudged) - plain) / NUDGE)
    slope = torch.stack(slopes, -1)  # (regions, 9, DIMS)
    solution = least_squares(slope.cpu().numpy(), (target - plain).cpu().numpy())
    return torch.from_numpy(solution).to(plain).T.reshape(1, DIMS, SIDE, SIDE)


def by_region(energies: Tensor) -> Tensor:
    """Means of regions, (regions, 9)."""
    return F.avg_pool2d(energies, REGION // PATCH)[0].flatten(1).T


@dataclass
class Crop:
    """A window of a run of frames. `observations`: the painter's, of each frame; `source` and
    `painted`: the last frame (luma, chroma), painted without tokens; `source_before`: the
    source's luma of the previous frame (None: there is one frame); `vectors`: motion between them;
    `flicker`: change of the painted frame along it beyond the source's; `features`: of the first
    frame; `maps`: features of the source in VGG16 and AlexNet, on demand."""

    painter: PainterNetwork
    observations: list[FrameObservation]
    source: tuple[Tensor, Tensor]
    source_before: Tensor | None
    vectors: Tensor
    painted: tuple[Tensor, Tensor]
    flicker: Tensor | None
    features: Tensor
    maps: tuple[Any, list[Tensor]] | None = None


@torch.no_grad()
def observe(
    network: PainterNetwork,
    batch: Batch,
    position: int,
    painter: PainterNetwork | None = None,
) -> Crop:
    """Observations of a batch of runs, which `painter` paints (`network` at another strength);
    `position` seeds the noise."""
    painter = painter or network
    observed = observe_run(painter, batch, position)
    fresh_luma, _, _ = network.paint(observed[0], None)
    painted, painted_before = paint_observed(painter, observed)
    first = [fresh_luma, batch.base[0][:, 0], batch.source[0][:, 0]]
    energies = [energies_of(plane) for plane in reversed(first)]
    level = F.avg_pool2d(batch.source[0][:, 0], PATCH)
    quality = (batch.rate_class.view(-1, 1, 1, 1) / 8).expand_as(level)
    features = torch.cat([*energies, level, quality], 1)
    source = batch.source[0][:, -1], batch.source[1][:, -1]
    before = batch.source[0][:, -2] if len(observed) > 1 else None
    vectors, flicker = batch.vectors[:, -1], None
    if before is not None and painted_before is not None:
        vectors = _motion(source[0], before)
        flicker = temporal_loss(painted[0], painted_before, source[0], before, vectors)
    return Crop(painter, observed, source, before, vectors, painted, flicker, features)


class TokenWork(Work):
    """Raises `UsageError` without material, `MediaError` without a painter or weights of LPIPS."""

    def __init__(self, config: TrainConfig, device: str = "") -> None:
        """`device`: torch's name of one; a GPU where there is one, else the processor."""
        self.config = config
        self.device = open_device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        if not perceptual.find_weights():
            raise MediaError("no weights of LPIPS found")
        cache = Path(config.cache)
        rule = parse_held_out(config.held_out) if config.held_out else None
        self.data = Cache(cache, False, config.seed, device=self.device, rule=rule)
        self.held_out = Cache(cache, True, device=self.device, rule=rule)
        painter = Path(config.painter)
        self.network = PainterNetwork.load(painter).to(self.device)
        self.painters = [
            PainterNetwork.load(painter, rung).to(self.device) for rung in STRENGTH_STEPS
        ]
        self.vgg = PerceptualLoss().to(self.device)
        self.alex, self.dists = (
            metric.to(self.device) for metric in (perceptual.lpips("alex"), perceptual.dists())
        )
        model = Steering(self.network.style.weight.shape[0], config).to(self.device)
        self.model: nn.Module = model
        #: Share of LPIPS-Alex that tokens took off at the last validation.
        self.gain = 0.0

    def groups(self) -> list[dict[str, Any]]:
        """The table of searched tokens stays, since files are to have it."""
        model = cast(Steering, self.model)
        groups: list[dict[str, Any]] = [
            {"params": list(model.encoder.parameters())},
            {"params": list(model.linear.parameters()), "scale": 3.0},
            {"params": [model.vector], "scale": 30.0},
        ]
        if not self.config.targets:
            # In whole steps of integers.
            groups.append({"params": [model.table], "scale": 200.0, "weight_decay": 0.0})
        return groups

    def _draw(self, position: int) -> Crop:
        """A window of a run, at one of the strengths."""
        painter = self.painters[int(self.data.rng.integers(len(self.painters)))]
        return observe(self.network, self.data.batch(1, WINDOW), position, painter)

    def begin(self) -> None:
        """Scales of features; the main directions of the gradient by `style`'s sums, or the tokens
        of targets."""
        model = cast(Steering, self.model)
        gradients, features, deviations = [], [], []
        for position in range(_DIRECTIONS):
            crop = self._draw(position)
            outputs = len(model.table)
            shifts = torch.zeros(1, outputs, SIDE, SIDE, device=self.device, requires_grad=True)
            loss, _ = self._judge_loss(crop, spread(shifts, WINDOW // PLACE))
            loss.backward()
            assert shifts.grad is not None
            deviations.append(
                self.network.style.sums(crop.observations[-1].features).std((0, 2, 3))
            )
            gradients.append(shifts.grad[0].flatten(1).T)
            features.append(crop.features)
        stacked = torch.cat(features)
        with torch.no_grad():
            model.centre.copy_(stacked.mean((0, 2, 3), keepdim=True))
            model.deviation.copy_(stacked.std((0, 2, 3), keepdim=True) + 1e-3)
        if self.config.targets:
            self._learn_targets(model)
            return
        size = torch.stack(deviations).mean(0)
        _, _, axes = torch.linalg.svd(torch.cat(gradients) * size, full_matrices=False)
        with torch.no_grad():
            model.table.copy_(_STEP / LEVELS * size[:, None] * axes[:DIMS].T)

    def _learn_targets(self, model: Steering) -> None:
        """Table and tokens of searched windows."""
        targets = torch.load(self.config.targets, map_location=self.device)
        if targets.get("digest", self.data.digest()) != self.data.digest():
            raise UsageError(
                f"{self.config.targets}: of other training clips; make them with this cache and "
                "the same --held-out"
            )
        observed = []
        for position, (entry, record, _) in enumerate(targets["windows"]):
            batch = self.data.batch(1, WINDOW, [(entry, record)])
            observed.append(observe(self.network, batch.part(0, 1), position).features)
        features, targets_of = (
            torch.cat(observed),
            torch.stack([w[2] for w in targets["windows"]]).float(),
        )
        with torch.no_grad():
            model.table.copy_(targets["table"])
        optimizer = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE, weight_decay=1e-2)
        for step in range(_LEARNED):
            picks = torch.randint(len(targets_of), (_TOGETHER,))
            axes = [axis for axis in (2, 3) if float(torch.rand(1)) < 0.5]
            inputs, tokens = features[picks].flip(axes), targets_of[picks].flip(axes)
            loss = sum(
                F.smooth_l1_loss(model.tokens(inputs, by), tokens)
                for by in ("encoder", "linear", "vector")
            )
            optimizer.zero_grad()
            cast(Tensor, loss).backward()
            optimizer.step()
            for group in optimizer.param_groups:
                group["lr"] = _LEARNING_RATE * (1.02 - step / _LEARNED)

    def paint(
        self, crop: Crop, shifts: Tensor | None
    ) -> tuple[tuple[Tensor, Tensor], Tensor | None]:
        """The last frame (luma, chroma) of a run, and the luma before it."""
        steered = [replace(frame, shifts=shifts) for frame in crop.observations]
        return paint_observed(crop.painter, steered)

    def _judge_loss(self, crop: Crop, shifts: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Loss of a picture painted with shifts: its mean over the batch, and its parts."""
        painted, before = self.paint(crop, shifts)
        rgb = crop_rgb(painted, SMALL, WINDOW)
        if crop.maps is None:
            source_rgb = crop_rgb(crop.source, SMALL, WINDOW)
            with torch.no_grad():
                crop.maps = (
                    self.vgg.reference(source_rgb),
                    list(self.alex.maps(source_rgb.clamp(0, 1))),
                )
        reference, maps = crop.maps
        parts = {
            "lpips_vgg": self.vgg(rgb, reference)[0].mean(),
            "lpips_alex": self.alex(rgb.clamp(0, 1), maps).mean(),
            "hold": _HOLD * fidelity_guard(painted[0], crop.painted[0], crop.source[0], 0.0).mean(),
        }
        if before is not None and crop.source_before is not None and crop.flicker is not None:
            moved = temporal_loss(
                painted[0], before, crop.source[0], crop.source_before, crop.vectors
            )
            parts["temporal"] = _TEMPORAL * F.relu(moved - crop.flicker).mean()
        total = torch.stack(list(parts.values())).sum()
        return total / _USUAL, {name: float(value.detach()) for name, value in parts.items()}

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Of four windows three are the encoder's, the fourth its neighbours' in turns."""
        model = cast(Steering, self.model)
        crop = self._draw(step)
        if step % 4 < 3:
            by = "encoder"
        else:
            by = "linear" if step // 4 % 2 else "vector"
        tokens = model.tokens(crop.features, by)
        loss, parts = self._judge_loss(crop, model.shifts(whole_tokens(tokens)))
        size = tokens.abs().mean()
        return loss + self.config.price * size, parts | {"size": float(size.detach())}

    @torch.inference_mode()
    def validate(self, average: nn.Module) -> dict[str, float]:
        """Per cent of LPIPS-Alex, DISTS and flicker, decibels of PSNR-Y in 8 bits against the
        painter without tokens, and bits a region, of held-out windows."""
        model, figures = cast(Steering, average), dict[str, float]()
        crops = [
            observe(
                self.network,
                self.held_out.batch(1, WINDOW, [pick]),
                700 + n,
                self.painters[n % len(self.painters)],
            )
            for n, pick in enumerate(self.picks(self.config.validate_samples))
        ]
        matched = [match(crop, model) for crop in crops]
        tokens_by = {
            by: [
                whole_tokens(model.tokens(crop.features, by, match_of))
                for crop, match_of in zip(crops, matched, strict=True)
            ]
            for by in ("vector", "linear", "matched", "encoder")
        }
        tokens_by["encoder_alone"] = [
            whole_tokens(model.tokens(crop.features, "encoder")) for crop in crops
        ]
        tokens_by["regions_shuffled"] = [shuffled(tokens) for tokens in tokens_by["encoder"]]
        tokens_by["windows_shuffled"] = tokens_by["encoder"][-1:] + tokens_by["encoder"][:-1]
        plain = [self.measure(crop, None) for crop in crops]
        for name, tokens in tokens_by.items():
            rows = [
                self.measure(crop, model.shifts(coded))
                for crop, coded in zip(crops, tokens, strict=True)
            ]
            ratio = np.mean(np.array(rows)[:, :2] / np.array(plain)[:, :2], 0)
            figures[f"{name}_lpips_alex"] = round(100 * float(ratio[0] - 1), 2)
            figures[f"{name}_dists"] = round(100 * float(ratio[1] - 1), 2)
            figures[f"{name}_psnr"] = round(float(np.mean(np.subtract(rows, plain)[:, 2])), 3)
            flicker = np.sum(np.array(rows)[:, 3]) / np.sum(np.array(plain)[:, 3])
            figures[f"{name}_flicker"] = round(100 * float(flicker - 1), 2)
            figures[f"{name}_bits"] = round(entropy(torch.cat(tokens)), 2)
        self.gain = -figures["encoder_lpips_alex"] / 100
        return figures

    def picks(self, count: int) -> list[tuple[int, int]]:
        """Records of held-out clips, evenly over them."""
        entries = len(self.held_out.entries)
        return [
            (n % entries, n // entries % len(self.held_out.records[0][0])) for n in range(count)
        ]

    def measure(self, crop: Crop, shifts: Tensor | None) -> list[float]:
        """LPIPS-Alex, DISTS, PSNR-Y in 8 bits, and change between frames beyond the source's."""
        painted, before = self.paint(crop, shifts)
        assert before is not None and crop.source_before is not None
        rgb = to_display_rgb(painted, SMALL, 8, WINDOW).clamp(0, 1)
        reference = crop_rgb(crop.source, SMALL, WINDOW).clamp(0, 1)
        error = float((eight_bits(painted[0]) - crop.source[0]).square().mean())
        moved = temporal_loss(painted[0], before, crop.source[0], crop.source_before, crop.vectors)
        return [
            float(self.alex(rgb, reference)),
            float(self.dists(rgb, reference)),
            db(error, 1.0),
            float(moved.mean()),
        ]

    def check(self, average: nn.Module, minutes: float) -> dict[str, float]:
        """Tokens have to be worth something, by the last validation, after an hour. Raises
        `Alarm`."""
        if minutes >= _PATIENCE and self.gain < _LEAST_GAIN:
            raise Alarm(f"tokens take {self.gain:.2%} off LPIPS-Alex after {minutes:.0f} minutes")
        return {}

    def write(self, average: nn.Module, steps: int, minutes: float) -> None:
        """Write `tokens.safetensors`, and `tokens.json` next to it."""
        path = Path(self.config.out) / "tokens.safetensors"
        facts = {"form": "tokens", "width": self.config.width, "dims": DIMS}
        save_weights(average.state_dict(), path, {"tokens": json.dumps(facts)}, {})
        data = {"cache_sha256": self.data.digest(), "held_out_sha256": list_sha256()}
        write_card(path, average, steps, minutes, config=self.config.describe(), data=data)

    def state(self) -> dict[str, Any]:
        return {"gain": self.gain}

    def resume(self, state: dict[str, Any], steps: int) -> None:
        self.gain = state["gain"]
        self.data.rng = np.random.default_rng((self.config.seed, steps))


def shuffled(tokens: Tensor) -> Tensor:
    """The same tokens at other regions of their windows."""
    order = torch.randperm(SIDE**2, generator=torch.Generator().manual_seed(3))
    return tokens.flatten(2)[:, :, order.to(tokens.device)].view_as(tokens)


def entropy(tokens: Tensor) -> float:
    """Bits of a region by the histogram of each of its integers."""
    bits = 0.0
    for plane in tokens.transpose(0, 1).flatten(1).cpu().numpy():
        share = np.unique(plane, return_counts=True)[1] / plane.size
        bits -= float((share * np.log2(share)).sum())
    return bits


def make_loop(config: TrainConfig, device: str = "") -> Loop:
    """A new run, or the run whose state is in `out`."""
    plan_fields = ("plan_minutes", "warm_up", "average", "validate_minutes")
    rates = {name: getattr(config, name) for name in plan_fields}
    schedule = Schedule(config.learning_rate, accumulate=config.crops, **rates)
    work = TokenWork(config, device)
    if not (Path(config.out) / "state.pt").is_file():
        work.begin()
    return Loop(work, schedule, Path(config.out))


def main(words: Sequence[str] | None = None) -> None:
    """Train for some minutes or steps; goes on where the last call stopped."""
    parser = ExactParser(prog="tokens", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="", help="cpu, cuda … (a GPU where there is one)")
    add_option(parser, "as the material says")
    keys = ("cache", "out", "targets")
    options, config = parse_run(parser, words, TrainConfig, keys, ("held_out",))
    loop = make_loop(config, options.device)
    loop.log({"config": asdict(config)})
    loop.run(time_limit(options), options.steps)
    print(Path(config.out) / "tokens.safetensors")
