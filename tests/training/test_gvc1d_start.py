"""Starts from principal components (`training.gvc1d.start`)."""

import numpy as np
import pytest

pytest.importorskip("torch")

from gvcodec.errors import UsageError
from gvcodec.gvc1d import ops_exact
from gvcodec.gvc1d.model import Codec, Config, Grid, initial_weights, rate_mix, to_patches
from tests.conftest import moving_texture
from training.gvc1d.start import start_from_components

CONFIG = Config(window=32, patch=8, tokens=16, channels=8, width=64, heads=4, memory=4)


def _patches(frames: int) -> np.ndarray:
    """[B, 1, P, S] of smooth pictures."""
    clip = moving_texture(32, 32, frames)
    y, u, v = (np.stack([planes[n] for planes in clip]) / np.float32(1023) for n in range(3))
    blurred = [0.25 * sum(np.roll(x, shift, 2) for shift in range(4)) for x in (y, u, v)]
    planes = [plane.astype(np.float32) for plane in blurred]
    return np.asarray(to_patches(*planes, CONFIG, ops_exact))


def _error(weights: dict[str, np.ndarray], patches: np.ndarray) -> float:
    codec, grid, mix = Codec(CONFIG, weights, ops_exact), Grid(1, 1), rate_mix(3.5)
    errors = []
    for frame in patches:
        state = codec.first_state(1, grid)
        tokens = np.rint(codec.encode(frame[None], state, mix, grid))
        present = np.ones((1, 1, CONFIG.tokens, 1), np.float32)
        shown, _ = codec.decode(tokens, present, state, mix, grid)
        errors.append(np.square(shown - frame).mean())
    return float(np.mean(errors))


def test_a_network_begins_with_more_than_the_mean_of_each_patch() -> None:
    patches = _patches(12)
    weights = initial_weights(CONFIG, 1)
    at_random = _error(weights, patches[8:])
    start_from_components(weights, CONFIG, patches[:8].reshape(-1, CONFIG.samples))
    luma = patches[8:, ..., : CONFIG.patch**2]
    means = float(np.square(luma - luma.mean(-1, keepdims=True)).mean())
    begun = _error(weights, patches[8:])
    assert begun < 0.5 * at_random and begun < means


def test_it_takes_a_token_for_each_patch() -> None:
    config = Config(window=32, patch=8, tokens=8, channels=8, width=64, heads=4)
    weights = initial_weights(config, 1)
    with pytest.raises(UsageError, match="a token for each patch"):
        start_from_components(weights, config, np.zeros((4, config.samples), np.float32))
