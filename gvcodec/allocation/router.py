"""InfoTok: a window gets tokens in proportion to its evidence lower bound.

Ye et al., "InfoTok: Adaptive Discrete Video Tokenizer via Information-Theoretic Compression", ICLR
2026 (arXiv 2512.16975). -ELBO of a window is its code length plus its distortion, in the paper the
L1 error of the decode of all tokens. With its mean over windows seen before, E[ELBO], a window gets

    N = clip(β · ELBO / E[ELBO], K/16, K)        of K tokens

so that code length follows information (Shannon). `Router` predicts -ELBO from the encoder's
output, without a decode; the package `training` fits it. It reads the tokens and not the
transformer's features, from which layer norms remove the contrast of a window: they explain 0.36 of
the variance of log(-ELBO), tokens 0.9. Shapes: W windows of K tokens with C channels; a leading F
for several frames.
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

#: Weight of the previous running mean per frame, as in the paper.
DECAY = 0.95
#: Least share of all tokens of a window, as in the paper.
FLOOR = 16
#: Shares of all tokens that training draws, as in the paper.
BASE_RATES = (1.0, 0.75, 0.5, 0.25)


def negative_elbo(bits: Floats, distortion: Floats, bit_price: float) -> NDArray[np.float64]:
    """-ELBO of windows in bits: code length plus L1 error divided by the distortion per bit."""
    return np.asarray(bits, np.float64) + np.asarray(distortion, np.float64) / bit_price


class RunningMean:
    """E[ELBO] of the windows so far: each frame moves it by 1 - `DECAY`, the first sets it."""

    def __init__(self, value: float | None = None) -> None:
        self.value = value

    def update(self, elbo: Floats) -> float:
        """The mean with the windows of one more frame, (W,)."""
        now = float(np.mean(elbo))
        self.value = now if self.value is None else DECAY * self.value + (1 - DECAY) * now
        return self.value


def route(elbo: Floats, mean: float, tokens: int, beta: float) -> Counts:
    """N = clip(β · ELBO / E[ELBO], K/16, K), rounded; `beta` is in tokens, `elbo` of any shape."""
    counts = beta * np.asarray(elbo, np.float64) / max(mean, 1e-12)
    return np.rint(np.clip(counts, tokens / FLOOR, tokens)).astype(np.int64)


def route_to(elbo: Floats, tokens: int, total: int) -> Counts:
    """`route` with the β whose counts sum to `total`, exactly if the clip allows it.

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


def training_counts(losses: Floats, mean: float, tokens: int, rates: Floats) -> Counts:
    """Token counts for training, of the shape of `losses`: each window's base rate r of
    `BASE_RATES` varied by its loss, N = clip(r · K · loss / E[loss], K/16, K), so that every length
    is seen with the windows that will have it."""
    return route(np.asarray(rates) * np.asarray(losses, np.float64), mean, tokens, tokens)


def magnitudes(values: Floats, rate: float) -> NDArray[np.float32]:
    """Inputs of the router for windows with tokens `values` (..., K, C): log(1 + |value|) of each
    token, the mean of its channels, and the share `rate` of all tokens that windows get on average,
    (..., K + 1)."""
    logs = np.log1p(np.abs(np.asarray(values, np.float32))).mean(-1)
    share = np.full((*logs.shape[:-1], 1), rate, np.float32)
    return np.concatenate([logs, share], -1)


@dataclass(frozen=True, slots=True)
class Router:
    """Predicts log(-ELBO) of windows from normalised `magnitudes`: a linear map plus one hidden
    layer.

    `centre`, `scale`, `linear` (K + 1); `hidden` (H, K + 1), `hidden_bias` (H); `out` (H),
    `out_bias` (1)."""

    centre: NDArray[np.float32]
    scale: NDArray[np.float32]
    linear: NDArray[np.float32]
    hidden: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    out: NDArray[np.float32]
    out_bias: NDArray[np.float32]

    @staticmethod
    def find(tokenizer: bytes) -> Router | None:
        """The shipped router, if it was trained for the tokenizer of this id."""
        try:
            path = ROUTER.find()
        except WrongModelError:
            return None
        metadata = read_arrays(path, ())[1]
        return Router.read(path) if metadata.get("tokenizer") == tokenizer.hex() else None

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

    def predict(self, values: Floats, rate: float = 1.0) -> NDArray[np.float64]:
        """-ELBO (...), of any unit, of windows (..., K, C) that get the share `rate` of all tokens
        on average. Raises `ValueError` for another K."""
        features = magnitudes(values, rate)
        if features.shape[-1] != self.centre.size:
            raise ValueError(
                f"{features.shape[-1] - 1} tokens, {self.centre.size - 1} are expected"
            )
        features = (features - self.centre) * self.scale
        units = np.maximum(features @ self.hidden.T + self.hidden_bias, 0)  # (..., H)
        logs = features @ self.linear + units @ self.out + self.out_bias[0]
        return np.exp(np.clip(logs.astype(np.float64), -30, 30))
