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

#: Inputs of the router are of as many runs of tokens, each a region of its window.
RUNS = 32
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


def magnitudes(values: Floats, rate: float) -> NDArray[np.float32]:
    """Inputs of the router for windows with integers `values` (..., T, C): the mean of
    log(1 + |value|) in each of `RUNS` runs of tokens (each token, with fewer of them), and the
    network's `rate`, 0 = fine … 7: (..., RUNS + 1). Raises `ValueError` for a T without such
    runs."""
    tokens = np.shape(values)[-2]
    if tokens > RUNS and tokens % RUNS:
        raise ValueError(f"{tokens} tokens are not {RUNS} runs of the same length")
    logs = np.log1p(np.abs(np.asarray(values, np.float32))).mean(-1)
    means = logs.reshape(*logs.shape[:-1], min(RUNS, tokens), -1).mean(-1)
    rates = np.full((*means.shape[:-1], 1), rate, np.float32)
    return np.concatenate([means, rates], -1)


@dataclass(frozen=True, slots=True)
class Router:
    """Predicts log(-ELBO) of windows from normalised `magnitudes`: a linear map plus one hidden
    layer.

    `centre`, `scale`, `linear` (RUNS + 1); `hidden` (H, RUNS + 1), `hidden_bias` (H); `out` (H),
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
        (..., T, C) at a rate of the network. Raises `ValueError` for another number of runs."""
        features = magnitudes(values, rate)
        if features.shape[-1] != self.centre.size:
            raise ValueError(
                f"{features.shape[-1] - 1} runs of tokens, {self.centre.size - 1} are expected"
            )
        features = (features - self.centre) * self.scale
        units = np.maximum(features @ self.hidden.T + self.hidden_bias, 0)  # (..., H)
        logs = features @ self.linear + units @ self.out + self.out_bias[0]
        return np.exp(np.clip(logs.astype(np.float64), -30, 30))
