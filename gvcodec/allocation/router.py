"""InfoTok: a window gets tokens in proportion to its evidence lower bound.

Ye et al., "InfoTok: Adaptive Discrete Video Tokenizer via Information-Theoretic Compression", ICLR
2026 (arXiv 2512.16975). -ELBO of a window is its code length plus its distortion with all tokens.
With its mean over windows, E[ELBO], a window gets

    N = clip(β · ELBO / E[ELBO], K/16, K)        of K tokens

so that code length follows information (Shannon). `Router` predicts it from the integers of the
encoder, without a decode and without a pass of the entropy model; `python -m training router` fits
it. Shapes: W windows of T tokens with C channels; leading dimensions for several frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import WrongModelError
from gvcodec.models import ROUTER, read_arrays

Floats = NDArray[np.floating]
Counts = NDArray[np.int64]

#: Least share of all tokens of a window, as in the paper.
FLOOR = 16


def negative_elbo(bits: Floats, distortion: Floats, bit_price: float) -> NDArray[np.float64]:
    """-ELBO of windows in bits: code length plus distortion divided by the distortion per bit."""
    return np.asarray(bits, np.float64) + np.asarray(distortion, np.float64) / bit_price


def route_to(elbo: Floats, tokens: int, total: int) -> Counts:
    """N = clip(β · ELBO / E[ELBO], K/16, K), K = `tokens`, with the β whose counts sum to `total`,
    exactly if the clip allows it; `elbo` of any shape.

    If not even K/16 for each fits into `total`, the windows of least -ELBO get nothing."""
    flat = np.asarray(elbo, np.float64).ravel()
    least, total = max(1, tokens // FLOOR), min(total, tokens * flat.size)
    open_windows = np.zeros(flat.size, bool)
    open_windows[np.argsort(-flat, kind="stable")[: total // least]] = True
    # A window without information has a small weight, so that all tokens are used.
    shares = np.maximum(flat / max(float(flat.mean()), 1e-12), 1e-6)
    low, high = 0.0, 2.0 * tokens / float(shares.min())
    for _ in range(64):  # halves the interval, so to the last bit
        beta = (low + high) / 2
        targets = np.where(open_windows, np.clip(beta * shares, least, tokens), 0.0)
        low, high = (beta, high) if targets.sum() <= total else (low, beta)
    targets = np.where(open_windows, np.clip(low * shares, least, tokens), 0.0)
    counts = np.floor(targets + 1e-9).astype(np.int64)
    order = np.argsort(-(targets - counts), kind="stable")
    order = order[open_windows[order] & (counts[order] < tokens)]
    counts[order[: total - int(counts.sum())]] += 1
    return counts.reshape(np.shape(elbo))


def differences(values: Floats, rate: float) -> NDArray[np.float32]:
    """Inputs of the router for windows with integers `values` (..., T, C): log(1 + mean |difference
    of successive tokens|) of each channel, and the network's `rate`, 0 = fine … 7: (..., C + 1).
    Tokens begin in the Z-order of patches, so differences measure detail, without brightness."""
    steps = np.abs(np.diff(np.asarray(values, np.float32), axis=-2))
    means = np.log1p(steps.sum(-2) / max(1, steps.shape[-2]))
    rates = np.full((*means.shape[:-1], 1), rate, np.float32)
    return np.concatenate([means, rates], -1, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Router:
    """Predicts log(-ELBO) of windows from normalised `differences`: a linear map plus one hidden
    layer.

    `centre`, `scale`, `linear` (C + 1); `hidden` (H, C + 1), `hidden_bias` (H); `out` (H),
    `out_bias` (1)."""

    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    linear: NDArray[np.float32]
    hidden: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    out: NDArray[np.float32]
    out_bias: NDArray[np.float32]

    @staticmethod
    def find(network: bytes) -> Router | None:
        """The shipped router, if it was trained for the GVC1D network of this id."""
        try:
            path = ROUTER.find()
        except WrongModelError:
            return None
        metadata = read_arrays(path, ())[1]
        return Router.read(path) if metadata.get("network") == network.hex() else None

    @staticmethod
    def read(path: Path) -> Router:
        """Read a router. Raises `ValueError` for another file."""
        arrays, _ = read_arrays(path)
        names = Router.__slots__
        if set(arrays) != set(names):
            raise ValueError(f"{path} holds no router")
        router = Router(*(np.asarray(arrays[name], np.float32) for name in names))
        width, units = router.centre.size, router.out.size
        shapes = [(width,)] * 3 + [(units, width), (units,), (units,), (1,)]
        if [getattr(router, name).shape for name in names] != shapes:
            raise ValueError(f"{path}: the router's parts do not fit together")
        return router

    def predict(self, values: Floats, rate: float) -> NDArray[np.float64]:
        """-ELBO (...), in units of J (`gvcodec.gvc1d.frame_coder`), of windows with integers
        (..., T, C) at a rate of the network. Raises `ValueError` for another C."""
        features = differences(values, rate)
        if features.shape[-1] != self.centre.size:
            raise ValueError(
                f"tokens of {features.shape[-1] - 1} channels, not {self.centre.size - 1}"
            )
        features = (features - self.centre) * self.scale
        units = np.maximum(features @ self.hidden.T + self.hidden_bias, 0)  # (..., H)
        logs = features @ self.linear + units @ self.out + self.out_bias[0]
        return np.exp(np.clip(logs.astype(np.float64), -30, 30))
