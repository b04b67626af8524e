"""The encoder's rates with the shipped network of the miniature world: a coarser q makes smaller
files, and no window is sent without tokens."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from eval.experiments.miniature import format_of, source
from gvcodec.bases import index_of
from gvcodec.gvc1d.base_codec import open_coder, rate_of
from gvcodec.gvc1d.budgets import make_budget

MINI = Path(__file__).parents[2] / "checkpoints/gvc1d-mini.safetensors"
#: Seeds on which no rate was chosen.
SEEDS = range(92_001, 92_009)
FRAMES = 12


def code(seed: int, q: float, alloc: str = "uniform", share: float = 1.0) -> tuple[int, float, int]:
    """Bytes, PSNR-Y in dB, and the fewest tokens of a window."""
    coder, budget = open_coder(format_of(), MINI, 1), make_budget(alloc, share)
    coder.restart()
    size, errors, fewest = 0, [], coder.config.tokens
    for number, planes in enumerate(source(seed, FRAMES)):
        frame = budget.choose(coder, planes, rate_of(index_of("gvc1d", q)), not number)
        payload, decoded = coder.encode(frame)
        size += len(payload)
        errors.append(np.square(decoded[0].astype(float) - planes[0]).mean())
        fewest = min(fewest, int(frame.lengths.min()))
    return size, float(10 * np.log10(876**2 / np.mean(errors))), fewest


def check_rates(seeds: range) -> None:
    quality = []
    for seed in seeds:
        points = [code(seed, q) for q in range(10, 61, 5)]
        sizes = [size for size, _, _ in points]
        assert all(coarser < finer for finer, coarser in itertools.pairwise(sizes))
        quality.append([psnr for _, psnr, _ in points])
        # Rounding by rate and distortion makes the picture of one clip vary a little.
        assert np.diff(quality[-1]).max() < 0.2
    if len(seeds) == len(SEEDS):
        assert np.diff(np.mean(quality, 0)).max() <= 0


def test_a_coarser_q_gives_a_smaller_file() -> None:
    check_rates(SEEDS[:1])


@pytest.mark.slow
def test_a_coarser_q_gives_smaller_files_of_no_better_quality() -> None:
    check_rates(SEEDS)


@pytest.mark.parametrize("alloc", ["rd", "uniqueness", "elbo"])
def test_every_window_has_a_token(alloc: str) -> None:
    """The network was not trained on windows without tokens."""
    assert code(SEEDS[0], 60, alloc, 1 / 8)[2] >= 1
