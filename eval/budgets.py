"""Compares token budgets (`--alloc`): `python -m eval budgets CLIP… --out FILE`.

The tokenizer decodes windows of single pictures (512×512, four windows) from prefixes of 0, 1, 2,
3 … tokens, and each arm is a choice among them, those between interpolated: PSNR-Y at equal numbers
of tokens, as InfoTok's table has it. `elbo` and `router` go by -ELBO of all tokens, measured or
predicted; `shuffled` puts the counts by ELBO at random places; `oracle` is the best choice of all
by the squared errors themselves; `uniqueness` (of the encoder's outputs, and of its keys) without
fusion of frames, which needs previous frames. Several clips are also measured together: budgets
among scenes.
"""

from __future__ import annotations

import argparse
import csv
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.frames import read_frames
from eval.token_budgets import allocate
from gvcodec.allocation.patches import WINDOW
from gvcodec.allocation.router import Router, negative_elbo
from gvcodec.allocation.uniqueness import compress
from gvcodec.gvc1d.tokenizer import Tokenizer
from gvcodec.models import TOKENIZER, model_id
from gvcodec.types import Planes

#: Tokens that windows are decoded with.
_PREFIXES = (0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32)
FIELDS = (
    "what", "clip", "size", "base q", "budgets", "bytes", "bpp", "LPIPS-Alex", "PSNR-Y", "seconds",
)  # fmt: skip
SIZE = (512, 512)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--tokens", type=int, default=8, help="tokens a window on average (8)")
    parser.add_argument("--model", help="weights of the tokenizer (the shipped ones)")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--out", type=Path, default=Path("budgets.csv"), help="rows are added")


def run(options: argparse.Namespace) -> None:
    new = not options.out.exists()
    with open(options.out, "a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        for row in _rows(options):
            writer.writerow({"what": "windows"} | row)
            file.flush()


def _rows(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    videos = {
        path.stem: read_frames(path, options.frames, lambda *_: SIZE, 10)[0]
        for path in options.clips
    }
    if len(videos) > 1:  # a number of scenes, which differ more than windows of one do
        videos[f"{len(videos)} clips"] = list(itertools.chain(*videos.values()))
    for name, frames in videos.items():
        rows = window_rows(frames, options.tokens, options.model)
        for row in rows:
            yield {"clip": name, "size": "x".join(map(str, SIZE))} | row


def window_rows(
    frames: Sequence[Planes], tokens: int, model: str | None
) -> Iterator[dict[str, Any]]:
    """PSNR-Y of each arm at `tokens` a window on average."""
    path = Path(model) if model else TOKENIZER.find()
    tokenizer = Tokenizer(path)
    values, features, keys = look(tokenizer, frames)
    count = values.shape[2]
    prefixes = [n for n in _PREFIXES if n <= count]
    squared, absolute = [], []
    for n in prefixes:
        prefix = values * (np.arange(count) < n)[:, None]
        luma = tokenizer.decode(prefix, *SIZE)[0].numpy()[:, 0]
        missed = np.stack([planes[0] for planes in frames]) / 1020 - luma
        squared.append(_by_window(missed**2))
        absolute.append(_by_window(np.abs(missed)))
    curves = np.stack(squared, -1), np.stack(absolute, -1)  # F, W, prefixes
    error, missed = (
        np.apply_along_axis(lambda c: np.interp(np.arange(count + 1), prefixes, c), -1, curve)
        for curve in curves
    )
    bits = tokenizer.bits(values).numpy().astype(np.float64)
    price = float(missed[..., -1].mean() / max(bits.mean(), 1e-9))
    elbo = negative_elbo(bits, missed[..., -1], price)
    router = Router.find(model_id(path))
    total = tokens * bits.size
    arms = {name: allocate(features, elbo, name, total) for name in ("uniform", "elbo")}
    for name, compared in (("uniqueness", features), ("uniqueness of keys", keys)):
        flat = compared.reshape(len(compared), -1, compared.shape[-1])
        prefix = compress(flat, total, frame_threshold=-1.0).mask
        arms[name] = prefix.reshape(values.shape[:3]).sum(-1)
    arms["rd (L1)"] = allocate(features, missed, "rd", total)
    shuffled = np.random.default_rng(1).permutation(arms["elbo"].ravel())
    arms["shuffled"] = shuffled.reshape(bits.shape)
    arms["oracle"] = best_counts(error, total)
    if router is not None:
        predicted = router.predict(values, tokens / count)
        arms["router"] = allocate(features, predicted, "elbo", total)
    for name, counts in arms.items():
        error_at_budget = np.take_along_axis(error, counts[..., None], -1).mean()
        yield {
            "base q": tokens,
            "budgets": name,
            "PSNR-Y": f"{-10 * np.log10(error_at_budget):.3f}",
        } | {"bytes": "", "bpp": f"{counts.mean():.2f} tokens"}


def look(
    tokenizer: Tokenizer, frames: Sequence[Planes]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For single frames: tokens (F, W, K, C), the encoder's outputs and the keys of its last
    local layer (F, W, K, D)."""
    encodings = [tokenizer.encode([planes]) for planes in frames]
    values, features, keys = (np.concatenate(part) for part in zip(*encodings, strict=True))
    return values, features, keys


def _by_window(values: np.ndarray) -> np.ndarray:
    """Means of pictures (F, H, W) by window, (F, windows)."""
    frames, height, width = values.shape
    split = values.reshape(frames, height // WINDOW, WINDOW, width // WINDOW, WINDOW)
    return split.mean((2, 4)).reshape(frames, -1)


def best_counts(errors: np.ndarray, total: int) -> np.ndarray:
    """The counts (F, W) of least sum of errors (F, W, K + 1), of all that come to `total` tokens at
    most."""
    flat = errors.reshape(-1, errors.shape[-1])
    least = np.zeros(total + 1)  # by tokens that are left, of the windows so far
    chosen = np.zeros((len(flat), total + 1), np.int64)
    for i, window in enumerate(flat):
        options = np.full((flat.shape[1], total + 1), np.inf)
        for n, error in enumerate(window[: total + 1]):
            options[n, n:] = least[: total + 1 - n] + error
        chosen[i], least = options.argmin(0), options.min(0)
    counts, remaining = np.zeros(len(flat), np.int64), total
    for i in reversed(range(len(flat))):
        counts[i] = chosen[i, remaining]
        remaining -= counts[i]
    return counts.reshape(errors.shape[:-1])
