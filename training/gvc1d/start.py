"""Weights to begin with, from the principal components of patches.

A network that begins at random needs thousands of steps before its tokens hold as much as the mean
of each patch. Where there is a token for each patch, it can begin as a linear transform instead:
patches go in by their principal components, each token's integers are the first C of them, and
patches come out by the same components. Blocks begin near the identity, so training starts from the
picture that the components give.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import UsageError
from gvcodec.gvc1d.model import SAMPLE_SCALE, Config

Floats = NDArray[np.float32]

#: Size of the components' share of a vector, in parts of its constants (positions, mask, rate): the
#: norms behind them are nearly linear then.
_SIZE = 0.35
#: Deviation of the first integer at the middle rate.
_FIRST = 12.0
#: Share of a vector's values that components get; constants have the others.
_SHARE = 4
#: Initial output of blocks, relative to that of a random start.
_BLOCKS = 0.02


def start_from_components(weights: dict[str, Any], config: Config, patches: Floats) -> None:
    """Changes `weights` in place. patches [N, S] in 0…1, some thousand of the training material.
    Raises `UsageError` where tokens and patches differ in number."""
    if config.tokens != config.patches:
        raise UsageError("[train] start = 'components' needs a token for each patch")
    values = (patches.astype(np.float64) - 0.5) * SAMPLE_SCALE
    mean = values.mean(0)
    variances, basis = np.linalg.eigh(np.cov((values - mean).T))
    count = min(config.width // _SHARE, config.samples)
    variances, basis = variances[::-1][:count], basis[:, ::-1][:, :count]  # [K], [S, K]
    constants = ("query", "mask", "patch_position", "rate", "window_row", "window_column")
    for name in constants:
        weights[name][..., :count] = 0
    for name in weights:
        if name.endswith(("attention_out.weight", "down.weight")):
            weights[name] *= np.float32(_BLOCKS)
    # Both norms divide by about these; every global layer adds the window's position once more.
    at = _deviation(weights, "window_row", "window_column")
    query = _deviation(weights, "query", "rate")
    query = float(np.hypot(query, at * (1 + config.encoder.count("G"))))
    mask = _deviation(weights, "mask", "patch_position", "rate")
    mask = float(np.hypot(mask, at * (1 + config.decoder.count("G"))))
    unit = np.sqrt(config.width / variances.sum())
    into, out = _SIZE * query * unit, _SIZE * mask * unit
    first = into * np.sqrt(variances[0]) / query
    channels = np.arange(min(config.channels, count))
    weights["patch_in.weight"][:] = 0
    weights["patch_in.weight"][:, :count] = into * basis
    weights["patch_in.bias"][:count] = -into * (mean @ basis)
    weights["token_out.weight"][:] = 0
    gain = float(np.exp(np.log(weights["gain"]).mean()))
    weights["token_out.weight"][channels, channels] = _FIRST / (gain * first)
    # The last C inputs of `token_in` are integers / 16.
    inputs = 2 * config.channels + channels
    weights["token_in.weight"][:, :count] = 0
    weights["token_in.weight"][inputs] = 0
    weights["token_in.weight"][inputs, channels] = 16 * out * np.sqrt(variances[0]) / _FIRST
    weights["patch_out.weight"][:] = 0
    weights["patch_out.weight"][:count] = mask / out * basis.T
    weights["patch_out.bias"][:] = mean


def _deviation(weights: dict[str, Any], *names: str) -> float:
    """Standard deviation of a sum of one row of each table."""
    return float(np.sqrt(sum(np.square(weights[name]).mean() for name in names)))
