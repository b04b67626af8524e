"""Compares tokens with their neighbours: `python -m training token_neighbours TOKENS`.

TOKENS is a file of `training.tokens`. On held-out windows of a cache, runs of three frames whose
last one is judged, it prints per cent of LPIPS-Alex, DISTS and flicker and decibels of PSNR-Y
against the painter without tokens, with bits a region by a histogram, for

    vector, linear      one vector for all, a linear map of a region's mean features, both trained
                        like the encoder and next to it
    ridge               ridge regression from a region's mean features to the tokens of the targets
    energies            all of the tokens at which bands have the energies of the source's; matched:
                        the part of them that the encoder adds to
    codebook            one of sixteen vectors for the window, by the judge that files are tried by
    encoder             local and global transformers with that part; alone: without it; its tokens
                        in other regions of the window, and those of another window
    no local, no over   the encoder whose local or global layers are passed by
    tried               the encoder's with half or all of that part, or none, by that judge, on
                        other noise
    searched            from the encoder's on by the judge's gradient

`--also NAME=FILE` adds other encoders, with that part and alone: other seeds, or layers left out.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.models import read_arrays
from gvcodec.painter.tokens.search import open_network, token_loss
from gvcodec.painter.tokens.trial import PSNR_PRICE, price_of_flicker
from gvcodec.painter.torch_twin.objective import crop_rgb, to_display_rgb
from gvcodec.perceptual.losses import fidelity_guard, temporal_loss
from gvcodec.util.colour import SMALL
from gvcodec.util.options import ExactParser
from training.material import WINDOW
from training.tokens import (
    DIMS,
    FEATURES,
    SIDE,
    Crop,
    Steering,
    TokenWork,
    TrainConfig,
    entropy,
    match,
    observe,
    shuffled,
    whole_tokens,
)

#: Added to the diagonal of the regression, in parts of its mean.
_RIDGE = 1.0
#: Of a search: steps and rate, as the encoder of files has them.
_STEPS, _RATE = 30, 0.25
#: Added to a window's seed of noise for tried or searched tokens.
_OTHER_NOISE = 5000
FIELDS = ("tokens", "lpips_alex", "dists", "psnr_y", "flicker", "bits", "windows")


class Judge:
    """The small network that encoders try tokens by."""

    def __init__(self, work: TokenWork) -> None:
        self.distance = open_network(work.device)
        self.work = work

    def parts(
        self, crop: Crop, shifts: Tensor | None, exact: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Distance, decibels of PSNR-Y that are lost, flicker; `exact`: of 8-bit samples."""
        painted, before = self.work.paint(crop, shifts)
        rgb = (
            to_display_rgb(painted, SMALL, 8, WINDOW) if exact else crop_rgb(painted, SMALL, WINDOW)
        )
        with torch.no_grad():
            reference = self.distance.reference(crop_rgb(crop.source, SMALL, WINDOW))
        assert before is not None and crop.source_before is not None
        moved = (before, crop.source[0], crop.source_before, crop.vectors)
        flicker = temporal_loss(painted[0], *moved).mean()
        psnr_loss = fidelity_guard(painted[0], crop.painted[0], crop.source[0], 0.0).mean()
        return self.distance(rgb, reference)[0].mean(), psnr_loss, flicker

    @torch.no_grad()
    def best(self, crop: Crop, model: Steering, tried: Sequence[Tensor]) -> Tensor:
        """The best of some tokens, or none: `trial.choose_best` without bytes and without a bound
        of flicker."""
        distance, _, usual = (float(x) for x in self.parts(crop, None, exact=True))
        least, best = distance, torch.zeros_like(tried[0])
        steady = price_of_flicker(distance, usual)
        for tokens in tried:
            parts = self.parts(crop, model.shifts(tokens), exact=True)
            distance, psnr_loss, flicker = (float(x) for x in parts)
            loss = distance + PSNR_PRICE * psnr_loss + steady * max(0.0, flicker - usual)
            if loss < least:
                least, best = loss, tokens
        return best


def load(path: Path) -> Steering:
    """A file that `training.tokens` has written."""
    arrays, _ = read_arrays(path)
    config = json.loads(path.with_suffix(".json").read_text())["config"]
    sizes = {name: config[name] for name in ("width", "local", "over")}
    model = Steering(len(arrays["table"]), TrainConfig(painter="", cache="", out="", **sizes))
    model.load_state_dict({name: torch.from_numpy(a).float() for name, a in arrays.items()})
    return model.eval()


def without(model: Steering, kind: str) -> Steering:
    """The same encoder whose "local" or "over" layers are passed by."""
    reduced = copy.deepcopy(model)
    setattr(reduced.encoder, kind, nn.ModuleList())
    return reduced


def ridge_of(work: TokenWork, model: Steering, targets: Path) -> Callable[[Tensor], Tensor]:
    """The regression from mean features of regions to tokens of targets."""
    inputs, targets_of = [], []
    for position, (entry, record, tokens) in enumerate(torch.load(targets)["windows"]):
        batch = work.data.batch(1, WINDOW, [(entry, record)])
        inputs.append(_pooled(model, observe(work.network, batch.part(0, 1), position).features))
        targets_of.append(tokens.float().flatten(1).T)
    x, y = torch.cat(inputs).double(), torch.cat(targets_of).double()
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    square = x.T @ x
    square += _RIDGE * square.diagonal().mean() * torch.eye(len(square), dtype=x.dtype)
    weights = torch.linalg.solve(square, x.T @ y).float()

    def make(features: Tensor) -> Tensor:
        values = _pooled(model, features) @ weights[:-1] + weights[-1]
        return values.T.reshape(1, DIMS, SIDE, SIDE)

    return make


def _pooled(model: Steering, features: Tensor) -> Tensor:
    """Means of regions (regions, FEATURES), in deviations."""
    x = ((features - model.centre) / model.deviation).clamp(-4, 4)
    return F.avg_pool2d(x, x.shape[-1] // SIDE).view(FEATURES, -1).T


def search(judge: Judge, model: Steering, crop: Crop, start: Tensor) -> Tensor:
    """Tokens, not rounded, by the judge's gradient."""
    assert crop.flicker is not None
    usual = crop.flicker.mean()
    tokens = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([tokens], lr=_RATE)
    for step in range(_STEPS):
        current = whole_tokens(tokens) if step >= _STEPS // 2 else tokens
        optimizer.zero_grad()
        distance, psnr_loss, flicker = judge.parts(crop, model.shifts(current), exact=False)
        token_loss(distance, psnr_loss, flicker, usual).backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1.02 - step / (_STEPS + 2))
    return tokens.detach()


def rows_of(
    work: TokenWork, model: Steering, others: dict[str, Steering], options: argparse.Namespace
) -> list[dict[str, Any]]:
    judge = Judge(work)
    ridge = ridge_of(work, model, options.targets) if options.targets else None
    vectors: list[Tensor] = []
    if options.codebook:
        rows = torch.from_numpy(np.loadtxt(options.codebook, np.float32, delimiter=","))
        vectors = [row.view(1, DIMS, 1, 1).expand(1, DIMS, SIDE, SIDE) for row in rows]
    tokens_of: dict[str, list[Tensor]] = {}
    measured: dict[str, list[list[float]]] = {}
    before = None
    for n, pick in enumerate(work.picks(options.windows)):
        painter = work.painters[n % len(work.painters)]
        batch = work.held_out.batch(1, WINDOW, [pick])
        crop = observe(work.network, batch, 700 + n, painter)
        other = observe(work.network, batch, 700 + n + _OTHER_NOISE, painter)
        with torch.no_grad():
            part = match(other, model)
            encoded = whole_tokens(model.tokens(crop.features, "encoder", part))
            candidates = {
                name: whole_tokens(model.tokens(crop.features, name)) for name in _TRAINED
            }
            if ridge is not None:
                candidates["ridge"] = whole_tokens(ridge(crop.features))
            candidates["energies"] = whole_tokens(part)
            candidates["matched"] = whole_tokens(model.tokens(crop.features, "matched", part))
            if vectors:
                candidates["codebook"] = judge.best(other, model, vectors)
            candidates["encoder"] = encoded
            candidates["encoder alone"] = whole_tokens(model.tokens(crop.features, "encoder"))
            candidates["regions shuffled"] = shuffled(encoded)
            candidates["another window's"] = encoded if before is None else before
            half = whole_tokens(model.tokens(crop.features, "encoder", part / 2))
            candidates["tried"] = judge.best(other, model, [encoded, half])
            for kind in ("local", "over"):
                network = without(model, kind)
                candidates[f"no {kind}"] = whole_tokens(
                    network.tokens(crop.features, "encoder", part)
                )
            for name, network in others.items():
                candidates[name] = whole_tokens(network.tokens(crop.features, "encoder", part))
                candidates[f"{name} alone"] = whole_tokens(network.tokens(crop.features, "encoder"))
        if options.search:
            searched = whole_tokens(search(judge, model, other, encoded))
            candidates["searched"] = judge.best(other, model, [searched, (searched / 2).round()])
        before = encoded
        with torch.inference_mode():
            plain = np.array(work.measure(crop, None))
            for name, tokens in candidates.items():
                table = others.get(name.removesuffix(" alone"), model)
                row = np.array(work.measure(crop, table.shifts(tokens)))
                ratios = 100 * (row / np.maximum(plain, 1e-9) - 1)
                cells = [ratios[0], ratios[1], row[2] - plain[2], row[3], plain[3]]
                measured.setdefault(name, []).append(cells)
                tokens_of.setdefault(name, []).append(tokens)
    table_rows = []
    for name, cells in measured.items():
        means = np.mean(cells, 0)
        values = means[0], means[1], means[2], 100 * (means[3] / means[4] - 1)
        texts = [f"{value:.2f}" for value in (*values, entropy(torch.cat(tokens_of[name])))]
        table_rows.append(dict(zip(FIELDS, [name, *texts, str(options.windows)], strict=True)))
    return table_rows


_TRAINED = ("vector", "linear")


def main(words: Sequence[str] | None = None) -> None:
    """Print the rows, and write them."""
    parser = ExactParser(prog="token_neighbours", description=__doc__.splitlines()[0])
    parser.add_argument("tokens", type=Path, help="tokens.safetensors of training.tokens")
    parser.add_argument("--cache", required=True, help="folder of training.material")
    parser.add_argument("--painter", default="checkpoints/painter.safetensors")
    parser.add_argument("--targets", type=Path, help="targets.pt, for ridge")
    parser.add_argument("--codebook", type=Path, help="vectors, a row each, for codebook")
    parser.add_argument("--also", action="append", default=[], help="NAME=FILE of other encoders")
    parser.add_argument("--search", action="store_true", help="search too, which takes long")
    parser.add_argument("--windows", type=int, default=60)
    parser.add_argument("--out", type=Path, help="CSV to write")
    options = parser.parse_args(words)
    work = TokenWork(TrainConfig(painter=options.painter, cache=options.cache, out="."), "cpu")
    others = {name: load(Path(path)) for name, path in (x.split("=", 1) for x in options.also)}
    rows = rows_of(work, load(options.tokens), others, options)
    for row in rows:
        print(",".join(row.values()))
    if options.out is not None:
        with open(options.out, "w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
