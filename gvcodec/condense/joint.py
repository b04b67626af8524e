"""Frames and codes of a set, optimised together with a network that learns from them
(VideoCompressa, arXiv 2511.18831). Imports torch.

    selector   scores the frames of every clip and draws K of them (`selector`)
    codes      tokens of these frames by a frozen encoder, then optimised themselves: rounded,
               decoded by its frozen decoder (`CodeSpace`, for example `codes.WindowCodes`)
    task       a classifier, trained on real and decoded clips

One loss trains all three: the classifier's cross-entropy; the codes' bits as a share of the budget,
with estimates scaled by the last written rANS packet; the squared error of the decoded frames,
without which codes mislead the next classifier. The gradient reaches the selector through the
decoded frames as if they were the source's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.condense.clips import Clips
from gvcodec.condense.learning import Pairs
from gvcodec.condense.selector import Selector, choose_places, draw, gumbel, show, temperature_at

_BATCH, _REAL = 8, 16
#: Rates of codes (integers a step), and of selector and classifier. This rate and the weight of the
#: squared error, relative to the frames' variance, were chosen with the separate tokenizer of
#: release 1.0 (at 0.3, without the squared error, codes taught a third as much as those that were
#: not optimised); nothing is measured with codes of GVC1D.
_CODE_RATE, _RATE = 0.1, 2e-3
_FIDELITY = 250.0
#: Steps between measurements of the real bytes.
_ANEW = 10
#: Clips that are optimised for each one that fits before its codes shrink; of release 1.0, too.
_AGAIN = 1.25


class CodeSpace(Protocol):
    """A frozen encoder and decoder of clips: K pictures become integers (T, C)."""

    def tokenize(self, clips: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Integers (N, T, C) of clips (N, K, side, side, 3)."""

    def bits(self, values: Tensor) -> Tensor:
        """Estimated bits of integers (N, T, C), all together; differentiable."""

    def synthesise(self, values: Tensor, count: int, side: int) -> Tensor:
        """Pictures (N, K, side, side, 3), 0…255; differentiable."""

    def pack(self, values: NDArray[np.int16]) -> bytes:
        """The integers as they are written."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts to optimise, for ablations.

    `select`: which frames (else the middle ones); `learn`: codes; `together`: both at once
    (else frames in the first half of the steps, codes in the second)."""

    select: bool = True
    learn: bool = True
    together: bool = True


ALL = Parts()


class CodedSet:
    """Codes of clips: `places` (N, K) of the selected frames and `values` (N, tokens, channels)."""

    def __init__(
        self, clips: Clips, space: CodeSpace, count: int, byte_budget: int, parts: Parts = ALL
    ) -> None:
        self.clips, self.count, self.parts = clips, count, parts
        self._space, self._byte_budget = space, byte_budget
        self._known: dict[tuple[int, ...], NDArray[np.int16]] = {}
        self.selector = Selector()
        self._source = torch.from_numpy(clips.pictures).float()
        shape = space.tokenize(clips.pictures[:1, :count]).shape[1:]
        self.change = torch.zeros(len(clips), *shape, requires_grad=True)
        #: The frames for which each clip's change was learned.
        self._learned = np.full((len(clips), count), -1)
        self._bytes_a_bit = 1 / 8
        #: Decoded codes.
        self.steps_seen: list[NDArray[np.int16]] = []

    @property
    def places(self) -> NDArray[np.int64]:
        """Selected frames, without noise."""
        return self._choose(self.clips)

    @property
    def values(self) -> NDArray[np.int16]:
        every, places = np.arange(len(self.clips)), self.places
        begin = self._tokens(every, places)
        self._forget(every, places)
        return (begin + self.change.detach()).round().numpy().astype(np.int16)

    def fitting(self, byte_budget: int) -> NDArray[np.int16]:
        """The integers of the first clips whose codes fit, at least one."""
        values = self.values
        low, high = 1, len(values)
        while low < high:
            middle = (low + high + 1) // 2
            fits = len(self._space.pack(values[:middle])) <= byte_budget
            low, high = (middle, high) if fits else (low, middle - 1)
        return values[:low]

    def weigh(self, values: NDArray[np.int16]) -> None:
        """Measure the real bytes per estimated bit of these codes."""
        with torch.no_grad():
            bits = float(self._space.bits(torch.from_numpy(values).float()))
        self._bytes_a_bit = len(self._space.pack(values)) / max(bits, 1.0)

    def decode(self, which: NDArray[np.int64], share: float) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures (n, K, side, side, 3) of these clips; their bytes as a share of the budget, and
        their squared error."""
        source = self._source[torch.from_numpy(which)]
        early = share < 0.5
        selects = self.parts.select and (self.parts.together or early)
        learns = self.parts.learn and (self.parts.together or not early)
        if selects:
            scores = self.selector(source)
            selection = draw(scores, self.count, temperature_at(share), gumbel(tuple(scores.shape)))
            frames = torch.einsum("nkt,nthwc->nkhwc", selection, source)
            places = selection.argmax(2).numpy()
        else:
            places = self._choose(self.clips.only(which))
            frames = source[torch.arange(len(source))[:, None], torch.from_numpy(places)]
        self._forget(which, places)
        change = self.change[torch.from_numpy(which)]
        values = self._tokens(which, places) + (change if learns else change.detach())
        values = values + (values.round() - values).detach()
        self.steps_seen.append(values.detach().numpy().astype(np.int16))
        pictures = self._space.synthesise(values, self.count, source.shape[2])
        bits = self._space.bits(values)
        part = bits * self._bytes_a_bit * len(self.clips) / len(which) / self._byte_budget
        fixed = frames.detach()
        return (
            pictures + frames - fixed,
            part,
            (pictures - fixed).square().mean() / (fixed.var() + 1),
        )

    @torch.no_grad()
    def step(self, which: NDArray[np.int64]) -> None:
        """Change the codes of these clips by `_CODE_RATE` integers in the root mean square. A clip
        is used only a few times: Adam's moments would change it in between."""
        if self.change.grad is not None:
            slopes = self.change.grad[torch.from_numpy(which)]
            length = slopes.square().mean((1, 2), keepdim=True).sqrt()
            self.change[torch.from_numpy(which)] -= _CODE_RATE * slopes / (length + 1e-12)
            self.change.grad = None

    @torch.no_grad()
    def _forget(self, which: NDArray[np.int64], places: NDArray[np.int64]) -> None:
        """Discard changes that were learned for other frames of a clip."""
        other = (self._learned[which] != places).any(1)
        self.change[torch.from_numpy(which[other])] = 0
        self._learned[which] = places

    def _choose(self, clips: Clips) -> NDArray[np.int64]:
        """Places (N, K) of the selected frames of these clips, without noise."""
        if self.parts.select:
            return choose_places(self.selector.eval(), clips, self.count)
        first = (clips.pictures.shape[1] - self.count) // 2
        return np.tile(np.arange(first, first + self.count), (len(clips), 1))

    def _tokens(self, which: NDArray[np.int64], places: NDArray[np.int64]) -> Tensor:
        """Tokens of these frames."""
        keys = [
            (int(n), *map(int, frame_numbers))
            for n, frame_numbers in zip(which, places, strict=True)
        ]
        missing = [key for key in dict.fromkeys(keys) if key not in self._known]
        if missing:
            pictures = np.stack(
                [self.clips.pictures[n][list(frame_numbers)] for n, *frame_numbers in missing]
            )
            self._known |= dict(zip(missing, self._space.tokenize(pictures), strict=True))
        return torch.from_numpy(np.stack([self._known[key] for key in keys])).float()


def optimise(
    real: Clips,
    order: list[int],
    space: CodeSpace,
    count: int,
    byte_budget: int,
    steps: int,
    seed: int,
    parts: Parts = ALL,
) -> CodedSet:
    """Optimise a set of the first clips in this order, more than fit at first; selector, codes and
    classifier are trained together."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    few = space.tokenize(real.pictures[order[:_BATCH], :count])
    most = int(_AGAIN * byte_budget * len(few) / len(space.pack(few))) + 1
    coded_set = CodedSet(real.only(np.array(order[:most])), space, count, byte_budget, parts)
    task = Pairs(len(real.classes), real.pictures.shape[2])
    optimiser = torch.optim.Adam([*coded_set.selector.parameters(), *task.parameters()], _RATE)
    queue = np.empty(0, np.int64)
    for step in range(steps if parts.select or parts.learn else 0):
        if step % _ANEW == 0:
            coded_set.weigh(np.concatenate(coded_set.steps_seen or [few]))
            coded_set.steps_seen = []
        if len(queue) < _BATCH:
            queue = np.concatenate([queue, rng.permutation(len(coded_set.clips))])
        which, queue = queue[:_BATCH], queue[_BATCH:]
        synthesised, part, error = coded_set.decode(which, step / steps)
        task_loss = F.cross_entropy(
            task(show(synthesised)), torch.from_numpy(coded_set.clips.labels[which])
        )
        sample_indices = rng.integers(0, len(real), _REAL)
        pictures, labels = (
            torch.from_numpy(x[sample_indices]) for x in (real.pictures, real.labels)
        )
        loss = task_loss + F.cross_entropy(task(pictures), labels) + part + _FIDELITY * error
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        coded_set.step(which)
    return coded_set
