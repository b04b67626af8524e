"""Fitting: adapt a small part of the painter to one video and send the change as integers.

The encoder holds base frames and sources, so it can measure the painter's error.
`fit` takes random crops of short runs, lowers the logarithm of the perceptual losses of `Objective`
on them, so that no crop counts more than another, over the tensors of `payload.GROUPS`, and then
quantises: steps follow the sensitivity of each tensor (Adam's second moments), their common factor
is chosen by validation crops and real bytes, and the other steps are taken with rounded weights
(straight-through). Only the last layers change, so the activations of the others are computed
once for each crop (`pool`). Bytes are weighed at the exchange rate `RATE_SLOPE`: one per cent more
stream would lower the perceptual loss of the base codec by `RATE_SLOPE` per cent.

The result is sent only if it beats the shipped weights, and base frames that are clearly nearer, on
crops of runs that were not used for fitting, in all of the loss and in its perceptual parts, which
pixels and steadiness must not pay for, and if a measure that does not lead stays: the gap of the
sub-bands' energies, which a network that is led to texture it likes moves. Where the first steps
gain too little for the rest to pay, they are the last.
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gvcodec import perceptual
from gvcodec.models import painter_of
from gvcodec.painter.fitting.deltas import DeltaSteps, unpack
from gvcodec.painter.fitting.network import PainterNetwork, condition
from gvcodec.painter.fitting.pool import Pool, Run, prepare
from gvcodec.painter.payload import (
    BASE,
    GROUPS,
    IDENTITY,
    LIMIT,
    RATE_SLOPE,
    Delta,
    in_groups,
    pack,
)
from gvcodec.painter.samples import FIRST_CHECK
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.messages import count_noun
from gvcodec.util.tensors import open_device

if TYPE_CHECKING:
    from gvcodec.painter.fitting.objective import Objective


_EPSILON = 1e-8


class Adam:
    """Adam (Kingma and Ba, 2015): `torch.optim` would load torch's compiler, a second of processor
    time, 70 MB and a folder left in the temporary directory. `squares`: the second moments, one
    tensor for each weight, not corrected for their beginning at zero."""

    def __init__(self, weights: Iterable[Tensor], betas: tuple[float, float]) -> None:
        self.weights, self.betas = list(weights), betas
        self.means = [torch.zeros_like(w) for w in self.weights]
        self.squares = [torch.zeros_like(w) for w in self.weights]
        self.steps = 0

    def clear_gradients(self) -> None:
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step at learning rate `rate`; weights without a gradient stay."""
        self.steps += 1
        first, second = self.betas
        pace = rate / (1 - first**self.steps)
        spread = math.sqrt(1 - second**self.steps)
        for weight, mean, square in zip(self.weights, self.means, self.squares, strict=True):
            if weight.grad is None:
                continue
            mean.lerp_(weight.grad, 1 - first)
            square.mul_(second).addcmul_(weight.grad, weight.grad, value=1 - second)
            weight.addcdiv_(mean, (square.sqrt() / spread).add_(_EPSILON), value=-pace)


#: Bytes that a stream is taken to have when the caller does not say.
DEFAULT_STREAM_BYTES = 60_000
_SMALLEST = 48  # VGG16 halves a picture four times
_RATE = 6e-3  # learning rate; it falls with the steps, whatever their number
_POOL, _VALIDATION, _BATCH = 24, 8, 8
#: One run in four is for validation, where there are at least eight.
_VALIDATED = 4
_FIT_SHARE = 0.6  # of the steps go to fitting before weights are rounded
_FACTORS = (0.1, 0.3)
_ONLY_FACTOR = 0.2  # of a fit that ends before
#: A look at the held-out crops after `FIRST_CHECK` steps is a forecast: a fit that has lowered
#: the loss by less than this part, bytes left out, will not pay.
_LEAST_GAIN = 0.005
#: Base frames are shown instead where their loss is below this part of the painted frames'. The
#: small network underestimates the gain of painting: at 0.91 to 1.08 painted frames are 12 to
#: 27 % nearer by LPIPS-Alex and 5 to 21 % by DISTS, at 0.80 and 0.85 (a blurred keyboard, which
#: paint makes rough) DISTS gains nothing (six training clips, q 39 to 60).
_BASE_NEARER = 0.9
#: By how much the energies of the sub-bands may move away from the source's.
_GAP = 1.05

Progress = Callable[[str], None]
#: Weight of the guard instead of judges with masking.
_CONTRAST = 0.5


def _apply_deltas(painter: PainterNetwork, deltas: dict[str, Tensor]) -> PainterNetwork:
    other = copy.deepcopy(painter)
    with torch.no_grad():
        for name, weight in other.named_parameters():
            if name in deltas:
                weight.add_(deltas[name])
    return other


def make_objective(
    fmt: VideoFormat, weights: dict[str, Tensor] | None = None, device: torch.device | str = "cpu"
) -> Objective:
    """The loss that fitting minimises. `weights` of the perceptual loss's network, None: VGG16."""
    from gvcodec.painter.fitting.objective import LossWeights, Objective
    from gvcodec.perceptual.vgg import PerceptualLoss
    from gvcodec.util.colour import known_colour

    colour = known_colour(fmt.colour, fmt.height)
    return Objective(
        # One by one: maps of a source are cached for a crop, not for a batch.
        PerceptualLoss(weights=weights, is_batched=False).to(device),
        LossWeights(energy=0.0, contrast=_CONTRAST),
        colour=colour,
        bit_depth=fmt.bit_depth,
        reports_energy_gap=True,
    )


class Fitter:
    """The fit itself: a working copy of the painter, the tensors that move, and the crops."""

    def __init__(
        self,
        base: PainterNetwork,
        runs: list[Run],
        conditions: Tensor,
        objective: Objective,
        rate: float,
        seed: int,
    ) -> None:
        """`objective`: see `make_objective`."""
        self.base, self.painter, self.scheme = base, copy.deepcopy(base), DeltaSteps(base)
        parameters = dict(self.painter.named_parameters())
        self.names = in_groups((1 << len(GROUPS)) - 1, parameters)
        self.weights = {name: parameters[name].requires_grad_(True) for name in self.names}
        self.origin = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self.objective = objective
        rng = np.random.default_rng(seed)
        training_runs, heldout_runs = _split(runs)
        self.pool, self.heldout = (
            Pool(training_runs, _POOL, conditions, rng, base, objective),
            Pool(heldout_runs, _VALIDATION, conditions, rng, base, objective),
        )
        self.rng, self.rate = rng, rate
        self.optimizer = Adam(self.weights.values(), betas=(0.9, 0.98))

    @property
    def steps(self) -> int:
        """Steps taken."""
        return self.optimizer.steps

    def update(self, learning_rate: float, exponents: dict[str, int] | None) -> float:
        """One step; with `exponents` (steps of the tensors) the forward pass sees rounded
        deltas."""
        crops = len(self.pool.crops)
        numbers = [int(n) for n in self.rng.permutation(crops)[:_BATCH]]
        batch, observed, references = self.pool.batch(numbers)
        exact = {name: weight.detach().clone() for name, weight in self.weights.items()}
        if exponents:
            self.quantise(exponents)
        loss = self.objective(self.painter, batch, observed, references)["total"]
        self.optimizer.clear_gradients()
        loss.log().mean().backward()
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(exact[name])
        self.optimizer.step(learning_rate)
        return float(loss.detach().mean())

    @torch.no_grad()
    def set_deltas(self, deltas: dict[str, Tensor]) -> None:
        """Put base weights plus deltas into the painter."""
        for name, weight in self.weights.items():
            weight.copy_(self.origin[name] + deltas[name] if name in deltas else self.origin[name])

    def deltas(self) -> dict[str, Tensor]:
        """Differences of the weights from the shipped ones."""
        return {name: weight.detach() - self.origin[name] for name, weight in self.weights.items()}

    def heldout_loss(self, painter: PainterNetwork | None) -> float:
        """Mean loss on the held-out crops, of a painter or (None) of the base frames."""
        return self.parts(painter)["total"]

    @torch.inference_mode()
    def parts(self, painter: PainterNetwork | None) -> dict[str, float]:
        """The parts of `heldout_loss`, as `Objective` names them."""
        sums: dict[str, float] = {}
        for start in range(0, len(self.heldout.crops), _BATCH):
            numbers = list(range(start, min(start + _BATCH, len(self.heldout.crops))))
            batch, observed, references = self.heldout.batch(numbers)
            for name, part in self.objective(painter, batch, observed, references).items():
                sums[name] = sums.get(name, 0.0) + float(part.sum())
        return {name: total / len(self.heldout.crops) for name, total in sums.items()}

    def steps_for(self, factor: float) -> dict[str, int]:
        """Exponents of the steps: `factor` over the root of the mean second moment of each tensor's
        gradient."""
        correction = 1 - 0.98**self.optimizer.steps
        moments = {
            name: square.mean() / correction
            for name, square in zip(self.weights, self.optimizer.squares, strict=True)
        }
        return {
            name: self.scheme.exponent(name, factor * 3e-4 / math.sqrt(float(m) + 1e-12))
            for name, m in moments.items()
        }

    def quantise(self, exponents: dict[str, int]) -> bytes:
        """Round the deltas, leave the rounded ones in the painter, return the payload."""
        coded = []
        for name, delta in self.deltas().items():
            unit = self.scheme.unit(name, exponents[name])
            values = torch.round(delta / unit).clamp(-LIMIT, LIMIT)
            coded.append(Delta(name, values.long().flatten().cpu().numpy(), exponents[name]))
        self.set_deltas({d.name: self.scheme.value(d, self.origin[d.name].shape) for d in coded})
        return pack(coded)

    def choose_steps(
        self, cost: Callable[[float, bytes], float], log_line: Progress
    ) -> tuple[bytes, dict[str, int], dict[str, float]]:
        """Payload, exponents and parts of the step factor that costs least on held-out crops."""
        exact, trials = self.deltas(), []
        for factor in _FACTORS:
            self.set_deltas(exact)
            exponents = self.steps_for(factor)
            payload = self.quantise(exponents)
            parts = self.parts(self.painter)
            trials.append((payload, exponents, parts))
            log_line(f"fitting: step factor {factor}: {parts['total']:.4f}, {len(payload)} bytes")
        self.set_deltas(exact)
        return min(trials, key=lambda trial: cost(trial[2]["total"], trial[0]))


class _PayloadChoice:
    """Payloads that may be sent, each with its loss on held-out crops and its bytes of a stream of
    `stream_bytes`. `shipped`: parts of the loss of the shipped weights."""

    def __init__(self, shipped_parts: dict[str, float], stream_bytes: int) -> None:
        self._shipped, self._stream_bytes = shipped_parts, stream_bytes
        self._candidates: list[tuple[float, bytes | None]] = []

    def cost(self, loss: float, payload: bytes) -> float:
        return loss * (1 + RATE_SLOPE * len(payload) / self._stream_bytes)

    def add(self, cost: float, payload: bytes | None) -> None:
        self._candidates.append((cost, payload))

    def add_fitted(self, payload: bytes, parts: dict[str, float]) -> None:
        """Weights that were fitted, where neither perceptual parts nor energies are worse."""
        perceptual, shipped_parts = (
            sum(p.get(name, 0.0) for name in ("lpips", "dists")) for p in (parts, self._shipped)
        )
        gap = parts["energy_gap"] <= _GAP * self._shipped["energy_gap"]
        if gap and self.cost(perceptual, payload) <= shipped_parts:
            self.add(self.cost(parts["total"], payload), payload)

    @property
    def least(self) -> float:
        return min(cost for cost, _ in self._candidates)

    @property
    def best(self) -> bytes | None:
        """The payload of the lowest cost; of equal ones the first."""
        return min(self._candidates, key=lambda offer: offer[0])[1]


def _reason_against(samples: Sequence[list[tuple[Planes, Planes]]], fmt: VideoFormat) -> str:
    """Why this video is not fitted to, or ""."""
    if not samples:
        return "no frames to fit to"
    if min(fmt.width, fmt.height) < _SMALLEST:
        return f"pictures smaller than {_SMALLEST} samples"
    if _is_still(samples):
        return "nothing moves"
    return ""


def fit(
    samples: Sequence[list[tuple[Planes, Planes]]],
    fmt: VideoFormat,
    base: str,
    scale: Fraction,
    q: int,
    steps: int,
    checkpoint: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    report_share: Callable[[float], None] | None = None,
    stream_bytes: int | None = None,
    before: bytes | None = None,
    leader: str = "",
    frame_condition: Sequence[Sequence[int]] | None = None,
    device: str = "cpu",
) -> bytes | None:
    """Fit the painter to a video; returns the payload of a `fit` packet, or None if the shipped
    weights do as well.

    `progress` receives lines on the outcome, `report_share` the finished share, 0…1.

    `before`: the payload in force so far. Fitting begins with it, and it comes back where nothing
    else pays.

    `samples`: short runs (1–3) of consecutive frames, (base_frame, source) planes at full size.
    `stream_bytes`: size of the stream that the payload serves. `leader`: whose features the losses
    compare, see `perceptual.guide_network`; without their weights a warning says so and None comes
    back. `frame_condition`: each sample's frames' own entries of the condition, `model.rate` of
    their packets. `device`: torch's name of where it is done. Raises `UsageError` for a device that
    is not there."""
    reason = _reason_against(samples, fmt)
    leading = None if reason else perceptual.guide_network(leader)
    if leading is None:
        reason = reason or "no weights of the perceptual losses found"
        warnings.warn(f"fitting is left out: {reason}", stacklevel=2)
        return None

    def log_line(text: str) -> None:
        if progress is not None:
            progress(text)
        if report_share is not None:
            report_share(min(1.0, fitter.steps / steps))

    place = open_device(device)
    fitter = Fitter(
        PainterNetwork.load(painter_of().find(checkpoint)).to(place),
        prepare(samples, frame_condition, place),
        condition(base, scale, q).to(place),
        make_objective(fmt, leading[1], place),
        _RATE,
        seed,
    )
    log_line(f"fitting: led by {'VGG16' if leading[0] == 'vgg' else 'the small network'}")
    shipped_parts = fitter.parts(fitter.base)
    offers = _PayloadChoice(shipped_parts, stream_bytes or DEFAULT_STREAM_BYTES)
    _offer_unfitted(fitter, shipped_parts, before, offers, log_line)
    _fit_and_offer(fitter, steps, shipped_parts, offers, log_line, report_share)
    return offers.best


def _offer_unfitted(
    fitter: Fitter,
    shipped_parts: dict[str, float],
    before: bytes | None,
    offers: _PayloadChoice,
    log_line: Progress,
) -> None:
    """Offer the candidates without steps: the shipped weights, base frames, the payload `before`.
    Fitting begins with the latter if it is better than the shipped weights."""
    shipped_loss = shipped_parts["total"]
    # The contrast guard tells painted frames from each other. Base frames have none of it by
    # definition; they are taken to have as much as the shipped weights'.
    base_loss = fitter.heldout_loss(None) + shipped_parts.get("contrast", 0.0)
    log_line(f"fitting: base frames {base_loss:.4f}, shipped weights {shipped_loss:.4f}")
    offers.add(shipped_loss, None if before is None else BASE)
    if base_loss < _BASE_NEARER * shipped_loss:
        offers.add(offers.cost(base_loss, IDENTITY), IDENTITY)
    deltas = None if before is None else unpack(before, fitter.base)
    if deltas is not None:
        loss = fitter.heldout_loss(_apply_deltas(fitter.base, deltas))
        offers.add(loss, before)
        if loss < shipped_loss:
            fitter.set_deltas(deltas)


def _fit_and_offer(
    fitter: Fitter,
    steps: int,
    shipped_parts: dict[str, float],
    offers: _PayloadChoice,
    log_line: Progress,
    report_share: Callable[[float], None] | None,
) -> None:
    """Take the steps, fewer where a look says that they will not pay, and offer the result."""
    begin = time.monotonic()
    exponents: dict[str, int] | None = None
    while fitter.steps < steps:
        share = fitter.steps / steps
        if fitter.steps == FIRST_CHECK and exponents is None:
            loss = fitter.heldout_loss(fitter.painter)
            log_line(f"fitting: {loss:.4f} after {FIRST_CHECK} steps")
            if loss > (1 - _LEAST_GAIN) * offers.least:
                log_line(f"fitting: too little gain after {FIRST_CHECK} steps")
                return
        if exponents is None and share > _FIT_SHARE:
            payload, exponents, parts = fitter.choose_steps(offers.cost, log_line)
            offers.add_fitted(payload, parts)
        fitter.update(fitter.rate * max(0.1, 0.5 + 0.5 * math.cos(math.pi * share)), exponents)
        if report_share is not None:
            report_share(min(1.0, fitter.steps / steps))
    if not fitter.steps:
        return
    payload = fitter.quantise(exponents or fitter.steps_for(_ONLY_FACTOR))
    fitted = fitter.parts(fitter.painter)
    offers.add_fitted(payload, fitted)
    gap = fitted["energy_gap"] / max(1e-9, shipped_parts["energy_gap"]) - 1
    log_line(
        f"fitting: {count_noun(fitter.steps, 'step')}, {fitted['total']:.4f}, "
        f"energy gap {gap:+.1%}, {len(payload)} bytes, {time.monotonic() - begin:.0f} s"
    )


def _split(runs: list[Run]) -> tuple[list[Run], list[Run]]:
    """Runs to fit to, and others to judge by; of few runs all are for both."""
    if len(runs) < 2 * _VALIDATED:
        return runs, runs
    heldout_runs = runs[_VALIDATED // 2 :: _VALIDATED]
    return [run for n, run in enumerate(runs) if n % _VALIDATED != _VALIDATED // 2], heldout_runs


def _is_still(samples: Sequence[list[tuple[Planes, Planes]]]) -> bool:
    first = samples[0][0][1]
    return all(
        np.array_equal(plane, other)
        for sample in samples
        for _, source in sample
        for plane, other in zip(source, first, strict=True)
    )
