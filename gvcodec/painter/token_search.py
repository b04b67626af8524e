"""Searches tokens that steer the painter in one GOP (`tokens`), by the gradient of a perceptual
loss.

On pairs of frames across the GOP the integers of all regions descend together, window by window,
from what the encoder (`token_encoder`) finds, led by the small network that `token_trial` judges
with; in the second half of the steps the loss sees them rounded. A pair that took no part then
decides, with noise of its own, what is sent.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from gvcodec.errors import UsageError
from gvcodec.painter.filters import round_through
from gvcodec.painter.fit import Adam
from gvcodec.painter.network import PainterNetwork
from gvcodec.painter.token_encoder import EncodedTokens
from gvcodec.painter.token_samples import GopSample
from gvcodec.painter.token_trial import Look, TokenTrial
from gvcodec.painter.tokens import LARGEST, MOST_LEVEL, STEP, pack
from gvcodec.types import VideoFormat

#: Most luma samples of a picture that is searched.
MOST_SAMPLES = 1 << 23
#: Steps of a search.
STEPS = 30
#: How much of what matches energies is tried, in parts of what the encoder adds.
_PARTS = (0.25, 0.5, 1.0)
#: Seeds of the noise by which windows are judged.
_HELD_NOISE = (64, 65)
#: Learning rate of integers, which falls with the steps; what a level costs.
_RATE, _PRICE = 0.25, 1e-5


class TokenSearch:
    """Tokens of the GOPs of one video: `thorough` ones are searched, others are the encoder's, and
    tried. Raises `WrongModelError` where painter, encoder or judge are missing, `UsageError` for a
    device that is not there and where larger pictures than `MOST_SAMPLES` are to be searched, of
    which memory would hold too much: about 15 MB a window."""

    def __init__(
        self,
        fmt: VideoFormat,
        base: str,
        scale: Fraction,
        q: int,
        look: int,
        steadies: bool,
        thorough: bool,
        device: str = "cpu",
        threads: int = 1,
    ) -> None:
        """`look`, `steadies` and `threads` as for `EncodedTokens`."""
        if thorough and fmt.width * fmt.height > MOST_SAMPLES:
            raise UsageError(
                f"tokens are searched in pictures of at most {MOST_SAMPLES} samples, not of "
                f"{fmt.width}×{fmt.height}: tokens on finds them without a search"
            )
        self.q, self.thorough = q, thorough
        self.trial = TokenTrial(fmt, base, scale, q, device)
        self.encoded = EncodedTokens(fmt, base, scale, q, look, steadies, threads)

    def find(self, sample: GopSample, size: int) -> bytes | None:
        """Bytes of tokens for a GOP of `size` bytes, None where they do not pay."""
        if not sample.pairs:
            return None
        runs, windows = self.trial.runs(sample), self.trial.windows
        moves = [self.trial.moves_of(sample, n) for n in range(len(runs))]
        strength = self.encoded.strength_of(sample)
        painter = self.trial.painter_at(strength)
        # The middle pair judges; of one pair alone, other noise does.
        middle = len(runs) // 2
        encoded, matched = self.encoded.parts(sample, strength)
        tried, kinds = [encoded + part * matched for part in _PARTS], [3]
        if self.thorough:
            learned = [n for n in range(len(runs)) if n != middle] or [middle]
            looks = [
                [
                    self.trial.look(painter, runs[n], moves[n], window, 2 * n + 1)
                    for window in windows
                ]
                for n in learned
            ]
            found = self._descend(encoded + matched, painter, looks)
            tried, kinds = [*tried, found, found / 2], [1, 2, 3]
        seeds = _HELD_NOISE if self.thorough else _HELD_NOISE[:1]
        held = [
            [self.trial.look(painter, runs[middle], moves[middle], window, seed) for seed in seeds]
            for window in windows
        ]
        tokens = self.trial.choose(tried, painter, held, size, kinds)
        if not tokens.kinds.any():
            return None
        return pack(tokens, self.trial.model, self.q)

    def _descend(
        self,
        start: NDArray[np.float32],
        painter: PainterNetwork,
        looks: list[list[Look]],
    ) -> NDArray[np.float32]:
        """Integers (rows, columns, D) of regions, not rounded, from `start` on."""
        trial, windows = self.trial, self.trial.windows
        free = torch.from_numpy(start.transpose(2, 0, 1)[None].copy()).to(trial.place)
        free.requires_grad_(True)
        optimizer = Adam([free], betas=(0.9, 0.999))
        for step in range(STEPS):
            optimizer.clear_gradients()
            integers = free.clamp(-LARGEST, LARGEST)
            if step >= STEPS // 2:
                integers = round_through(integers)
            levels = (STEP * integers).clamp(-MOST_LEVEL, MOST_LEVEL)
            # The gradient of each window goes into the levels, then of all at once on.
            apart = levels.detach().requires_grad_(True)
            pair = looks[step % len(looks)]
            for number in range(len(windows)):
                placed = trial.spread(apart, windows[number : number + 1])
                trial.weigh(painter, pair[number], placed[0]).loss.backward()
            assert apart.grad is not None
            ((levels * apart.grad).sum() + _PRICE * integers.abs().sum()).backward()
            optimizer.step(_RATE * (1.02 - step / (STEPS + 2)))
        found: NDArray[np.float32] = free.detach()[0].permute(1, 2, 0).cpu().numpy()
        return found
