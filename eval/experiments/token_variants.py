"""Other ways to find the tokens that steer the painter, for comparison in files.

`eval.experiments.kept_out` takes them as codecs:

    tokens:all          the encoder's tokens, untried; tokens:alone, tokens:matched: without the
                        part that matches energies, that part alone
    tokens:uniform, tokens:uniqueness, tokens:elbo
                        as many tokens as the trial sends, shared among windows evenly, by
                        uniqueness [UniComp] or by -ELBO [InfoTok], without a trial
    tokens:codebook     for the whole GOP one of sixteen vectors or none, by the trial's judge

The sixteen vectors (`docs/data/token-codebook.csv`) are cluster centres of searched vectors of
windows of training clips; `python -m eval.experiments.token_variants TARGETS` makes them.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

from eval.token_budgets import allocate
from gvcodec.allocation.router import negative_elbo
from gvcodec.painter.token_coding import (
    WINDOW,
    Tokens,
    decompose,
    keep_kinds,
    no_tokens,
    pack,
    round_integers,
)
from gvcodec.painter.tokens import encoder as token_encoder
from gvcodec.painter.tokens.encoder import EncodedTokens
from gvcodec.painter.tokens.samples import GopSample
from gvcodec.painter.tokens.trial import GopTrial, estimate_bytes

CODEBOOK = Path("docs/data/token-codebook.csv")
BUDGETS = ("uniform", "uniqueness", "elbo")
UNTRIED = ("all", "alone", "matched")
VARIANTS = (*UNTRIED, *BUDGETS, "codebook")
#: Tokens of a window by how many kinds it has.
_COUNTS = np.array([0, 1, 5, 21])
_VECTORS, _ROUNDS = 16, 50


@contextmanager
def variant(name: str) -> Iterator[None]:
    """Encoders find tokens so while this is open."""

    def find(self: EncodedTokens, sample: GopSample, size: int) -> bytes | None:
        if not sample.runs:
            return None
        tokens = _find(self, name, sample, size)
        return pack(tokens, self.model, self.q) if tokens.kinds.any() else None

    with mock.patch.object(token_encoder.EncodedTokens, "find", find):
        yield


def _find(encoder: EncodedTokens, name: str, sample: GopSample, size: int) -> Tokens:
    height, width = sample.runs[0][0][0][0].shape
    strength = encoder.strength_of(sample)
    trial = encoder.trial(sample, strength)
    if name == "codebook":
        return _of_codebook(trial, height, width, encoder.model.dims)
    encoded, matched = encoder.parts(sample, strength)
    real_tokens = (
        encoded if name == "alone" else matched if name == "matched" else encoded + matched
    )
    whole = keep_kinds(decompose(round_integers(real_tokens), height, width), 3)
    if name in UNTRIED:
        return whole
    sent = trial.choose([real_tokens], size)
    total = int(_COUNTS[sent.kinds].sum())
    features = np.stack([_tokens_in(whole, at) for at in np.ndindex(sent.kinds.shape)])
    errors = None
    if name == "elbo":
        bits = np.array([8 * estimate_bytes(whole, window) for window in trial.windows])
        missed = trial.measure([None, whole])[1].loss
        price = float(missed.mean() / max(bits.mean(), 1e-9))
        # Windows that are too small to be tried have none.
        errors = np.zeros((1, *sent.kinds.shape))
        for (top, left, _, _), error in zip(
            trial.windows, negative_elbo(bits, missed, price), strict=True
        ):
            errors[0, top // WINDOW, left // WINDOW] = error
        errors = errors.reshape(1, -1)
    counts = allocate(features[None].astype(np.float32), errors, name, total)[0]
    whole.kinds[:] = prefixes(counts, total).reshape(whole.kinds.shape)
    return whole


def prefixes(counts: NDArray[np.int64], total: int) -> NDArray[np.int32]:
    """Kinds of tokens of windows that were given `counts` tokens: the longest prefixes that fit,
    then longer ones where most is left, `total` tokens at most."""
    kinds = np.searchsorted(_COUNTS, counts, side="right") - 1
    for n in np.argsort(_COUNTS[kinds] - counts, kind="stable"):
        while kinds[n] < 3:
            more = _COUNTS[kinds[n] + 1] - _COUNTS[kinds[n]]
            if _COUNTS[kinds].sum() + more > total:
                break
            kinds[n] += 1
    result: NDArray[np.int32] = kinds.astype(np.int32)
    return result


def _tokens_in(tokens: Tokens, window: tuple[int, ...]) -> NDArray[np.int32]:
    """(21, D), coarse to fine; regions outside the picture are 0."""
    row, column = window
    parts = []
    for kind, part in enumerate(tokens[:3]):
        side = 1 << kind
        inside = part[side * row : side * row + side, side * column : side * column + side]
        square = np.zeros((side, side, part.shape[2]), np.int32)
        square[: inside.shape[0], : inside.shape[1]] = inside
        parts.append(square.reshape(side * side, -1))
    return np.concatenate(parts)


def _of_codebook(trial: GopTrial, height: int, width: int, dims: int) -> Tokens:
    """The vector at which the windows together lose least, or none."""
    options = [no_tokens(height, width, dims)]
    for vector in np.loadtxt(CODEBOOK, np.int32, delimiter=","):
        tokens = no_tokens(height, width, dims)
        tokens.window[:], tokens.kinds[:] = vector, 1
        options.append(tokens)
    losses = [float(verdict.loss.sum()) for verdict in trial.measure(options)]
    return options[int(np.argmin(losses))]


def cluster(vectors: NDArray[np.float64], seed: int = 1) -> NDArray[np.int64]:
    """Centres (16, D) of clusters of vectors (N, D), rounded (Lloyd's algorithm)."""
    rng = np.random.default_rng(seed)
    centres = vectors[rng.permutation(len(vectors))[:_VECTORS]].copy()
    for _ in range(_ROUNDS):
        nearest = ((vectors[:, None] - centres) ** 2).sum(2).argmin(1)
        for n in np.unique(nearest):
            centres[n] = vectors[nearest == n].mean(0)
    return np.rint(centres).astype(np.int64)


def main() -> None:
    """Writes the codebook out of the targets of `training.token_targets`."""
    targets = torch.load(sys.argv[1])["windows"]
    means = np.stack([tokens.numpy().astype(float).mean((1, 2)) for _, _, tokens in targets])
    with open(CODEBOOK, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(cluster(means).tolist())


if __name__ == "__main__":
    main()
