"""Which frames of each clip are stored and what they show, optimised together for the task
(VideoCompressa). Imports torch.

    selector   logits (N, T), an offset common to all clips in them; the K highest after Gumbel
               noise are stored, gradients go through a softer choice (straight through)
    codes      grids of (side / 4)² numbers for each channel of a frame, bicubic to the picture,
               added to the source before the codec; gradients go straight through the codec, whose
               error is taken anew every few steps
    rate       Laplace entropy of 8 × 8 DCT coefficients (differences between frames from the
               second on), scaled to the stream's real bytes
    task       a network trained along on what is decoded; codes and logits descend its loss on
               real clips after one more such step, and the mismatch of mean features by class

Bytes of the result are real: the last clips leave until the stream fits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from gvcodec.condense.choosing import Choice, fit_in
from gvcodec.condense.clips import Clips
from gvcodec.condense.coded import decode, encode
from gvcodec.condense.networks import Pairs


@dataclass(frozen=True, slots=True)
class Form:
    """What is optimised: which frames (`select`); codes of a number for `cell`² pixels (0: none, 1:
    the pixels themselves); `together`, or frames in the first half of the steps and codes after."""

    select: bool = True
    cell: int = 4
    together: bool = True


#: Clips of the set in a step, real ones, and real ones of each class.
_BATCH, _REAL, _REAL_OF_CLASS = 32, 64, 16
#: Steps between looks at the codec's error.
_ANEW = 10
#: Rates of codes and of logits, of the network, and of its step that is looked through.
_CODE_RATE, _LOGIT_RATE, _NETWORK_RATE, _INNER_RATE = 1.0, 0.3, 2e-3, 0.1
#: Temperature of the choice, first and last.
_WARM, _COLD = 1.0, 0.2


def optimise(
    clips: Clips, network: Pairs, choice: Choice, room: int, steps: int, seed: int,
    form: Form = Form(),
) -> Choice:  # fmt: skip
    """The same clips, other frames of them with other contents, in at most `room` bytes."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    classes, side = len(clips.classes), clips.pictures.shape[2]
    stored = _Stored(clips, choice, form)
    along = Pairs(classes, side)
    learner = torch.optim.AdamW(along.parameters(), _NETWORK_RATE, weight_decay=0.01)
    optimiser = torch.optim.Adam(
        [
            {"params": [stored.logits, stored.offset], "lr": _LOGIT_RATE},
            {"params": [stored.codes], "lr": _CODE_RATE},
        ]
    )
    for step in range(steps):
        if step % _ANEW == 0:
            stored.renew()
        which = torch.from_numpy(rng.permutation(len(choice.clips))[:_BATCH])
        labels = stored.labels[which]
        kept = stored.draw(which, step / max(1, steps - 1))
        seen = kept.movedim(2, -1)[:, torch.arange(max(2, choice.count)) % choice.count]
        task = F.cross_entropy(along(seen.detach()), labels, label_smoothing=0.05)
        learner.zero_grad()
        task.backward()
        learner.step()
        real = rng.integers(0, len(clips), _REAL)
        pictures, wanted = glimpse(clips, real, rng), torch.from_numpy(clips.labels[real])
        loss = _after_a_step(along, seen, labels, pictures, wanted)
        judge = network if step % 2 else Pairs(classes, side)
        loss = loss + _mismatch(judge, seen, labels.numpy(), clips, rng)
        share = len(choice.clips) / len(which) / room
        loss = loss + stored.bytes_a_bit * estimate_bits(kept) * share
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    places = stored.chosen()
    return fit_in(stored.parts(places), replace(choice, places=places.numpy()), room)


class _Stored:
    """All frames of the chosen clips (N, T, 3, side, side), logits and codes that are learned."""

    def __init__(self, clips: Clips, choice: Choice, form: Form) -> None:
        self.form, self.q, self.count = form, choice.q, choice.count
        self.source = torch.from_numpy(clips.pictures[choice.clips]).float().movedim(-1, 2)
        self.labels = torch.from_numpy(clips.labels[choice.clips])
        frames, side = self.source.shape[1], self.source.shape[-1]
        self.selects = form.select and self.count < frames
        begin = torch.zeros(len(self.source), frames)
        self.logits = begin.scatter_(1, torch.from_numpy(choice.places), 1.0).requires_grad_(True)
        self.offset = torch.zeros(frames, requires_grad=True)
        grid = side // (form.cell or side)
        self.codes = torch.zeros(len(self.source), frames, 3, grid, grid, requires_grad=True)
        self.error = torch.zeros_like(self.source)
        self.bytes_a_bit = 0.0

    @torch.no_grad()
    def chosen(self) -> Tensor:
        """Places (N, K) without noise."""
        return select(self.logits + self.offset, self.count, 1.0)[0]

    @torch.no_grad()
    def parts(self, places: Tensor) -> list[NDArray[np.uint8]]:
        """Frames at these places as bytes: N of (K, side, side, 3)."""
        clips = torch.arange(len(self.source))[:, None]
        codes = synthesise(self.codes[clips, places], self.source.shape[-1])
        moved = (self.source[clips, places] + codes).clamp(0, 255).round()
        return list(moved.movedim(2, -1).to(torch.uint8).numpy())

    @torch.no_grad()
    def renew(self) -> None:
        """Takes the codec's error, of frames that are not stored the clip's mean one, and real
        bytes a unit of `estimate_bits`."""
        places = self.chosen()
        parts = self.parts(places)
        stream = encode(parts, self.q)
        wanted, found = (
            torch.from_numpy(np.stack(pictures)).float().movedim(-1, 2)
            for pictures in (parts, decode(stream))
        )
        error = (found - wanted).mean(1, keepdim=True).repeat(1, self.source.shape[1], 1, 1, 1)
        error[torch.arange(len(error))[:, None], places] = found - wanted
        self.error, self.bytes_a_bit = error, len(stream) / float(estimate_bits(wanted))

    def draw(self, which: Tensor, at: float) -> Tensor:
        """Decoded frames (n, K, 3, side, side) of these clips with gradients, `at` 0…1 of the
        steps."""
        early = at < 0.5
        selecting = self.selects and (self.form.together or early)
        coding = self.form.cell and (self.form.together or not early or not self.selects)
        shown = self.source[which] + self.error[which]
        if coding:
            shown = shown + synthesise(self.codes[which], self.source.shape[-1])
        scores = self.logits[which] + self.offset
        noise = -torch.log(torch.empty(scores.shape).exponential_())
        temperature = _WARM * (_COLD / _WARM) ** at
        places, soft = select(scores + noise * selecting * temperature, self.count, temperature)
        return show(shown, places, soft if selecting else soft.detach())


def select(scores: Tensor, count: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Places (N, count) of the highest scores in order of time, and how far each of the T is
    chosen (N, T), 0…1, with gradients."""
    chosen = scores.topk(count).indices.sort(1).values
    if count == scores.shape[1]:
        return chosen, torch.ones_like(scores)
    edge = scores.detach().topk(count + 1).values[:, -2:].mean(1, keepdim=True)
    return chosen, torch.sigmoid((scores - edge) / temperature)


def show(pictures: Tensor, chosen: Tensor, soft: Tensor) -> Tensor:
    """Chosen frames of (N, T, 3, H, W) as (N, K, 3, H, W); gradients as if each were a mean of
    frames near it."""
    times = torch.arange(pictures.shape[1])
    far = (chosen[:, :, None] - times).abs()
    weights = torch.softmax((soft + 1e-4).log()[:, None] - far, 2)
    weights = F.one_hot(chosen, len(times)) + weights - weights.detach()
    return torch.einsum("nks,nschw->nkchw", weights, pictures)


def synthesise(codes: Tensor, side: int) -> Tensor:
    """(N, T, 3, h, w) → (N, T, 3, side, side), bicubic: the fixed decoder before the codec's."""
    if codes.shape[-1] == side:
        return codes
    lines = torch.eye(codes.shape[-1])[:, None, :, None]
    up = F.interpolate(lines, size=(side, 1), mode="bicubic", align_corners=False)[:, 0, :, 0]
    return up.T @ codes @ up


def estimate_bits(kept: Tensor) -> Tensor:
    """Of frames (N, K, 3, H, W), up to a factor: Laplace entropy of DCT coefficients."""
    luma = kept.mean(2)
    luma = torch.cat([luma[:, :1], luma[:, 1:] - luma[:, :-1]], 1)
    side = luma.shape[-1] // 8 * 8
    blocks = luma[..., :side, :side].unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8))
    basis = _dct()
    values = torch.einsum("ku,nfyuxv,lv->nfyxkl", basis, blocks, basis).abs()
    scale = values.detach().mean((0, 2, 3), keepdim=True) + 1.0
    return (values / scale).sum() + scale.log().sum() * values[:, 0, :, :, 0, 0].numel()


def _dct() -> Tensor:
    n = torch.arange(8.0)
    basis = torch.cos(torch.pi / 8 * (n[None] + 0.5) * n[:, None]) / 2
    basis[0] /= 2**0.5
    return basis


def glimpse(clips: Clips, which: NDArray[np.integer], rng: np.random.Generator) -> Tensor:
    """Two neighbouring frames of each of these clips: (N, 2, side, side, 3)."""
    first = 2 * rng.integers(0, max(1, clips.pictures.shape[1] // 2), len(which))
    pairs = np.stack([first, np.minimum(first + 1, clips.pictures.shape[1] - 1)], 1)
    return torch.from_numpy(clips.pictures[which[:, None], pairs])


def _after_a_step(
    network: nn.Module, seen: Tensor, labels: Tensor, pictures: Tensor, wanted: Tensor
) -> Tensor:
    """The loss on real clips of the network after one step on the set."""
    values: dict[str, Any] = dict(network.named_parameters())
    inner = F.cross_entropy(functional_call(network, values, (seen,)), labels)
    slopes = torch.autograd.grad(inner, list(values.values()), create_graph=True)
    moved = {
        name: value - _INNER_RATE * slope
        for (name, value), slope in zip(values.items(), slopes, strict=True)
    }
    return F.cross_entropy(functional_call(network, moved, (pictures,)), wanted)


def _mismatch(
    network: Pairs, seen: Tensor, labels: NDArray[np.int64], clips: Clips, rng: np.random.Generator
) -> Tensor:
    """Squared distances of mean features, class by class (distribution matching: Zhao and Bilen,
    WACV 2023)."""
    ours = network.features(seen)
    loss = ours.new_zeros(())
    for label in np.unique(labels):
        real = rng.choice(np.flatnonzero(clips.labels == label), _REAL_OF_CLASS)
        with torch.no_grad():
            wanted = network.features(glimpse(clips, real, rng)).mean(0)
        loss = loss + (ours[torch.from_numpy(labels == label)].mean(0) - wanted).square().sum()
    return loss / len(np.unique(labels))
