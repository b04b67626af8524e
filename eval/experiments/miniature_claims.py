"""Claims of the papers on the miniature world's network, on held-out seeds:
`python -m eval.experiments.miniature_claims propagation|budgets|attention [--model W]`.

    propagation  PSNR-Y and bits by frame of one GOP of 96 frames; the price of a keyframe every two
                 seconds; multiplications a pixel; frames a second
    budgets      UniComp and InfoTok: J, tokens and bits of each way to spend a share of the tokens
    attention    share of a token's attention on the object that it looks at most, over time,
                 against other tokens of its window

Rows go to docs/data/gvc1d-claims.csv (what, row, share, seed, figures); tables are printed with
95 % bootstrap intervals over clips.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eval.experiments.miniature import code_network, source
from eval.points.bd import bootstrap
from eval.tools import append_rows
from gvcodec.gvc1d import budgets, ops_exact, ops_torch
from gvcodec.gvc1d.frame_coder import RATE_STEPS, Analysis, FrameCoder, Integers, lambda_of
from gvcodec.gvc1d.model import Codec, Grid, rate_mix, to_patches
from gvcodec.gvc1d.weights import read_network
from gvcodec.types import Planes
from training import world
from training.gvc1d.cost import count_multiplications

OUTPUT = Path(__file__).resolve().parents[2] / "docs/data/gvc1d-claims.csv"
FIELDS = ("what", "row", "share", "seed", "J", "tokens", "bits", "psnr_y_db", "attention", "hits")
#: The middle of the rates.
RATE = 56
Q = 33
SHARES = (0.25, 0.5, 0.75)


def put(what: str, row: str, share: float, seed: int, **figures: float) -> None:
    values = {"what": what, "row": row, "share": share, "seed": seed}
    values |= {name: round(value, 4) for name, value in figures.items()}
    append_rows(OUTPUT, FIELDS, [[values.get(name, "") for name in FIELDS]])
    print(*values.values(), flush=True)


def show(values: Sequence[float], digits: int = 1) -> str:
    """Mean and interval."""
    interval = bootstrap(list(values))
    ends = "" if interval is None else f" [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"
    return f"{np.mean(values):.{digits}f}{ends}"


# ------------------------------------------------------------------------------------ propagation


def measure_propagation(options: argparse.Namespace) -> None:
    config, weights = read_network(options.model)
    side = world.SIZE // config.window
    parts = count_multiplications(config, Grid(side, side))
    print("a luma sample:", {name: value // world.SIZE**2 for name, value in parts.items()})
    print(sum(int(value.size) for value in weights.values()), "parameters")
    thirds, prices = defaultdict(list), []
    for seed in options.seeds:
        frames = source(seed, 96)
        coder = FrameCoder(config, weights, ops_exact, (world.SIZE, world.SIZE))
        budget, packets, quality = budgets.Uniform(1.0), [], []
        begin = time.process_time()
        for number, planes in enumerate(frames):
            packet, decoded = coder.encode(budget.choose(coder, planes, RATE, not number))
            packets.append(packet)
            quality.append(psnr(decoded, planes))
        middle = time.process_time()
        other = FrameCoder(config, weights, ops_exact, (world.SIZE, world.SIZE))
        for packet in packets:
            other.decode(packet)
        end = time.process_time()
        for third in range(3):
            part = slice(32 * third, 32 * third + 32)
            bits = float(np.mean([8 * len(packet) for packet in packets[part]]))
            value = float(np.mean(quality[part]))
            put("propagation", f"frames {32 * third}-{32 * third + 31}", 1, seed,
                bits=bits, psnr_y_db=value)  # fmt: skip
            thirds[third].append((value, bits))
        whole, keyed = (
            code_network(options.model, Q, frames, keyint=keyint)[0] for keyint in (0, 50)
        )
        prices.append(100 * (keyed / whole - 1))
        speed = 96 / (middle - begin), 96 / (end - middle)
        print("frames a processor second, encoded and decoded:", *np.round(speed, 1))
    for third, values in thirds.items():
        change = [v[0] - first[0] for v, first in zip(values, thirds[0], strict=True)]
        print(
            f"frames {32 * third} on: {show([v[0] for v in values], 2)} dB, change", show(change, 2)
        )
    print("a keyframe every two seconds, % of bytes:", show(prices))


def psnr(decoded: Planes, planes: Planes) -> float:
    """PSNR-Y in dB of 10-bit planes."""
    error = np.square(decoded[0] / 4.0 - planes[0] / 4.0).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-4)))


# ---------------------------------------------------------------------------------------- budgets


class Random(budgets.Budget):
    """New lengths for each frame, `share` of the tokens in all."""

    def __init__(self, share: float) -> None:
        super().__init__(share)
        self._rng = np.random.default_rng(5)

    def lengths(self, coder: FrameCoder, analysis: Analysis, rate: int, keyframe: bool) -> Integers:
        weights = np.exp(self._rng.normal(size=coder.windows))
        return budgets.spread_tokens(coder, weights, self.share)


class Oracle(budgets.Budget):
    """The lengths of least J that the share allows, from the real cost of each length."""

    def lengths(self, coder: FrameCoder, analysis: Analysis, rate: int, keyframe: bool) -> Integers:
        full, windows = coder.config.tokens, coder.windows
        whole = np.rint(analysis.values).astype(np.int32)
        costs = []
        for length in range(full + 1):
            lengths = np.full(windows, length, np.int32)
            frame = budgets.Frame(rate, lengths, budgets.cut_tokens(whole, lengths))
            costs.append(budgets.cost_of(coder.estimate(frame, analysis), rate))
        return _cheapest(np.stack(costs), round(self.share * full * windows))


def _cheapest(costs: Integers, total: int) -> Integers:
    """Lengths [W] of least costs [T + 1, W] with a sum of at most `total` (dynamic programme)."""
    count, windows = costs.shape
    best = np.full(total + 1, 0.0)
    choices = np.zeros((windows, total + 1), np.int32)
    for window in range(windows):
        options = np.full((count, total + 1), np.inf)
        for length in range(min(count, total + 1)):
            options[length, length:] = best[: total + 1 - length] + costs[length, window]
        choices[window], best = options.argmin(0), options.min(0)
    lengths, remaining = np.zeros(windows, np.int32), total
    for window in reversed(range(windows)):
        lengths[window] = choices[window, remaining]
        remaining -= lengths[window]
    return lengths


class FramesOnly(budgets.Uniqueness):
    """UniComp's first module: frames like their group's first send nothing, the others as many."""

    def lengths(self, coder: FrameCoder, analysis: Analysis, rate: int, keyframe: bool) -> Integers:
        chosen = super().lengths(coder, analysis, rate, keyframe)
        even = budgets.spread_tokens(coder, np.ones(coder.windows), self.share)
        return even if chosen.any() else chosen


class WindowsOnly(budgets.Uniqueness):
    """Its second: budgets by uniqueness, and no frame is left out."""

    least = 0.0


BUDGETS: dict[str, type[budgets.Budget]] = {
    "uniform": budgets.Uniform,
    "random": Random,
    "uniqueness": budgets.Uniqueness,
    "uniqueness, frames": FramesOnly,
    "uniqueness, windows": WindowsOnly,
    "elbo": budgets.Elbo,
    "oracle": Oracle,
}


def measure_budgets(options: argparse.Namespace) -> None:
    config, weights = read_network(options.model)
    for seed in options.seeds:
        frames = source(seed, options.frames)
        for share in SHARES:
            for name, kind in BUDGETS.items():
                coder = FrameCoder(config, weights, ops_exact, (world.SIZE, world.SIZE))
                put("budgets", name, share, seed, **spend(coder, kind(share), frames))
    summarize_budgets()


def spend(coder: FrameCoder, budget: budgets.Budget, frames: list[Planes]) -> dict[str, float]:
    """Means over frames."""
    sums: dict[str, float] = defaultdict(float)
    for number, planes in enumerate(frames):
        frame = budget.choose(coder, planes, RATE, not number)
        distortion = coder.estimate(frame, coder.analyse(planes, RATE)).distortion.sum()
        packet, decoded = coder.encode(frame)
        sums["J"] += float(distortion) + lambda_of(RATE) * 8 * len(packet)
        sums["tokens"] += float(frame.lengths.sum())
        sums["bits"] += 8 * len(packet)
        sums["psnr_y_db"] += psnr(decoded, planes)
    return {name: value / len(frames) for name, value in sums.items()}


def summarize_budgets() -> None:
    """J against uniform budgets of the same share, in per cent; tokens for the same PSNR-Y."""
    rows = [row for row in csv.DictReader(OUTPUT.open()) if row["what"] == "budgets"]
    table = {(row["row"], float(row["share"]), row["seed"]): row for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    for name in BUDGETS:
        cells = []
        for share in SHARES:
            pairs = [(table[name, share, s], table["uniform", share, s]) for s in seeds]
            change = [100 * (float(a["J"]) / float(b["J"]) - 1) for a, b in pairs]
            sent = np.mean([float(a["tokens"]) / float(b["tokens"]) for a, b in pairs])
            cells.append(f"{show(change)} ({sent:.2f} of the tokens)")
        saved = [_tokens_saved(table, name, seed) for seed in seeds]
        saved = [value for value in saved if np.isfinite(value)]
        print(name, *cells, f"tokens at the same PSNR-Y {show(saved)} %", sep=" | ")


def _tokens_saved(table: dict[Any, Any], name: str, seed: str) -> float:
    """Per cent more tokens than uniform for the PSNR-Y that uniform has at one half."""
    points = sorted(
        (float(table[name, share, seed]["psnr_y_db"]), float(table[name, share, seed]["tokens"]))
        for share in SHARES
    )
    anchor = table["uniform", 0.5, seed]
    quality, tokens = zip(*points, strict=True)
    aim = float(anchor["psnr_y_db"])
    if not quality[0] <= aim <= quality[-1]:
        return float("nan")
    return 100 * float(np.interp(aim, quality, tokens) / float(anchor["tokens"]) - 1)


# -------------------------------------------------------------------------------------- attention


class Recorder:
    """Operations of `ops_torch` that keep the attention of all layers."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(ops_torch, name)

    def attention(self, query: Any, key: Any, value: Any, visible: Any = None) -> Any:
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        self.seen.append(scores.softmax(-1).mean(1))  # [B, N, K], mean of the heads
        return ops_torch.attention(query, key, value, visible)


@torch.no_grad()
def attention_of(model: Path, clip: world.Clip, last: bool) -> np.ndarray[Any, Any]:
    """[F, W, T, P]: shares of attention of each token on the patches of its window, in all 1, in
    the encoder's first or last local layer."""
    config, arrays = read_network(model)
    weights = {name: torch.from_numpy(value) for name, value in arrays.items()}
    recorder: Any = Recorder()
    codec = Codec(config, weights, recorder)
    side = world.SIZE // config.window
    grid, mix = Grid(side, side), torch.from_numpy(rate_mix(RATE / RATE_STEPS))
    state = codec.first_state(1, grid)
    present = torch.ones(1, side**2, config.tokens, 1)
    layer = config.encoder.rindex("L") if last else config.encoder.index("L")
    frames = []
    for y, u, v in zip(clip.y, clip.u, clip.v, strict=True):
        planes = (torch.from_numpy(plane)[None] for plane in (y, u, v))
        recorder.seen.clear()
        tokens = codec.encode(to_patches(*planes, config, ops_torch), state, mix, grid).round()
        shares = recorder.seen[layer][:, : config.tokens]
        begin = config.memory + config.tokens
        shares = shares[..., begin : begin + config.patches]
        frames.append((shares / shares.sum(-1, keepdim=True)).numpy())
        _, features = codec.decode(tokens, present, state, mix, grid)
        state = codec.advance(state, tokens, present, features, grid)
    return np.stack(frames)


def cover_of(clip: world.Clip, side: int, patch: int) -> np.ndarray[Any, Any]:
    """[F, W, P, O]: share of each patch that each object has, the background (0) too."""
    count = int(clip.objects.max()) + 1
    frames = np.stack([clip.objects == number for number in range(count)], -1)
    window = world.SIZE // side
    inner = window // patch
    x = frames.reshape(-1, side, inner, patch, side, inner, patch, count)
    x = x.transpose(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, side**2, inner**2, patch**2, count)
    return x.mean(3)


def measure_attention(options: argparse.Namespace) -> None:
    for last in (False, True):
        name = "last" if last else "first"
        values = []
        for seed in options.seeds:
            followed = follow(options.model, seed, last)
            if followed is None:
                continue
            mine, others, area = followed
            put("attention", f"{name} layer, same token", 1, seed, attention=mine)
            put("attention", f"{name} layer, other tokens", 1, seed, attention=others)
            put("attention", f"{name} layer, area", 1, seed, attention=area)
            values.append(followed)
        own, rest, area = zip(*values, strict=True)
        print(f"{name} local layer: on the object {show(own, 3)}, other tokens {show(rest, 3)}")
        change = [a - b for a, b in zip(own, rest, strict=True)]
        print(f"its area {show(area, 3)}, difference {show(change, 3)}")


def follow(model: Path, seed: int, last: bool) -> tuple[float, float, float] | None:
    """Of tokens that look at a shape in the first frame, in the later frames that show it: share of
    attention on this shape, the same of the window's other tokens, the shape's share of the window.
    None if no token looks at a shape."""
    config, _ = read_network(model)
    # One shot, the first scene from its start.
    clip = world.draw(seed, 24, ([0] * 24, list(range(24))))
    cover = cover_of(clip, world.SIZE // config.window, config.patch)
    on = np.einsum("fwtp,fwpo->fwto", attention_of(model, clip, last), cover)[..., 1:]  # of shapes
    coverage = cover.mean(2)[..., 1:]  # [F, W, O]
    values = []
    for window, token in np.ndindex(on.shape[1:3]):
        shape = int(on[0, window, token].argmax())
        visible = coverage[:, window, shape] > 0.05
        if not visible[0] or on[0, window, token, shape] < 1.2 * coverage[0, window, shape]:
            continue
        others = [t for t in range(on.shape[2]) if t != token]
        for frame in np.flatnonzero(visible)[1:]:
            rest = on[frame, window, others, shape].mean()
            values.append((on[frame, window, token, shape], rest, coverage[frame, window, shape]))
    if not values:
        return None
    mine, rest, area = np.mean(values, 0)
    return float(mine), float(rest), float(area)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m eval.experiments.miniature_claims")
    parser.add_argument("what", choices=("propagation", "budgets", "attention"))
    parser.add_argument("--model", type=Path, default=Path("checkpoints/gvc1d-mini.safetensors"))
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=24)
    options = parser.parse_args(words)
    first = world.FIRST_TEST_SEED + 2000
    options.seeds = range(first, first + options.clips)
    what = {"propagation": measure_propagation, "budgets": measure_budgets}
    what.get(options.what, measure_attention)(options)


if __name__ == "__main__":
    main()
