"""Compares token budgets (`--alloc`): `python -m eval budgets CLIP… --out FILE`.

GVC1D's network codes single pictures (512×512) and decodes their windows from prefixes of 0, 1, 2,
3 … of 32 runs of tokens. Each arm is a choice among them, those between interpolated: PSNR-Y at
equal numbers of tokens, as InfoTok's table has it. `elbo` and `router` go by -ELBO of windows with
all tokens, measured (the J of `gvcodec.gvc1d.budgets`) or predicted; `rd` by the J's distortion of
every prefix; `shuffled` puts the counts by ELBO at random places; `oracle` is the best choice of
all by the squared errors of luma themselves; `uniqueness` (of the encoder's outputs) without fusion
of frames, which needs previous frames. Several clips are also measured together: budgets among
scenes.
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
from gvcodec.allocation.router import Router, negative_elbo
from gvcodec.allocation.uniqueness import compress
from gvcodec.gvc1d.frame_coder import DISTORTION_UNIT, RANGE, RATE_STEPS, lambda_of
from gvcodec.gvc1d.tokenizer import Tokenizer
from gvcodec.models import model_id
from gvcodec.types import Planes

#: Runs of tokens that windows are decoded from.
_PREFIXES = (0, 1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32)
FIELDS = (
    "what", "clip", "size", "base q", "budgets", "bytes", "bpp", "LPIPS-Alex", "PSNR-Y", "seconds",
)  # fmt: skip
SIZE = (512, 512)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--tokens", type=int, default=64, help="tokens a window on average (64)")
    parser.add_argument("--model", type=Path, help="weights of a GVC1D network (the shipped ones)")
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
    frames: Sequence[Planes], tokens: int, model: Path | None
) -> Iterator[dict[str, Any]]:
    """PSNR-Y of each arm at `tokens` a window on average."""
    tokenizer = Tokenizer(model)
    config = tokenizer.config
    values, features = tokenizer.encode(frames)
    runs = features.shape[2]
    run = config.tokens // runs
    prefixes = [n for n in _PREFIXES if n <= runs]
    curves = np.stack([errors_of(tokenizer, values, frames, n * run) for n in prefixes], -1)
    luma, distortion = (
        np.apply_along_axis(lambda c: np.interp(np.arange(runs + 1), prefixes, c), -1, curve)
        for curve in curves
    )  # F, W, runs + 1
    columns = SIZE[0] // config.window
    bits = np.concatenate(
        [tokenizer.bits(values[[n]], columns).numpy() for n in range(len(values))]
    )
    elbo = negative_elbo(bits, distortion[..., -1], lambda_of(round(tokenizer.rate * RATE_STEPS)))
    router = Router.find(model_id(tokenizer.path))
    total = round(tokens * bits.size / run)
    arms = {name: allocate(features, elbo, name, total) for name in ("uniform", "elbo")}
    flat = features.reshape(len(features), -1, features.shape[-1])
    prefix = compress(flat, total, frame_threshold=-1.0).mask
    arms["uniqueness"] = prefix.reshape(features.shape[:3]).sum(-1)
    arms["rd"] = allocate(features, distortion, "rd", total)
    shuffled = np.random.default_rng(1).permutation(arms["elbo"].ravel())
    arms["shuffled"] = shuffled.reshape(bits.shape)
    arms["oracle"] = best_counts(luma, total)
    if router is not None:
        predicted = router.predict(values, tokenizer.rate)
        arms["router"] = allocate(features, predicted, "elbo", total)
    for name, counts in arms.items():
        error_at_budget = np.take_along_axis(luma, counts[..., None], -1).mean()
        yield {
            "base q": tokens,
            "budgets": name,
            "PSNR-Y": f"{-10 * np.log10(error_at_budget):.3f}",
        } | {"bytes": "", "bpp": f"{run * counts.mean():.2f} tokens"}


def errors_of(
    tokenizer: Tokenizer, values: np.ndarray, frames: Sequence[Planes], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of windows (F, W) decoded from their first `count` tokens: mean squared error of luma, at
    1020 = 1, and distortion of all planes in units of J."""
    window = tokenizer.config.window
    rows = []
    for number, planes in enumerate(frames):
        luma, chroma = tokenizer.decode(values[[number]], *SIZE, count)
        sums = [
            _by_window(np.square(shown.numpy() - plane / 1020), side)
            for plane, shown, side in zip(
                planes, (luma[0, 0], *chroma[0]), (window, window // 2, window // 2), strict=True
            )
        ]
        rows.append((sums[0] / window**2, (1020 / RANGE) ** 2 * sum(sums) / DISTORTION_UNIT))
    luma_errors, distortions = (np.stack(part) for part in zip(*rows, strict=True))
    return luma_errors, distortions


def _by_window(plane: np.ndarray, side: int) -> np.ndarray:
    """Sums of a plane by window, row by row."""
    height, width = plane.shape
    return plane.reshape(height // side, side, width // side, side).sum((1, 3)).ravel()


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
