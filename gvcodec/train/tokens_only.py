"""Training of `gvcodec.appearance.tokens_only`, the ablation without a structure layer.

    python -m gvcodec.train.tokens_only --data DIR --runs out/runs --out out/none.safetensors --memory 1d --budgets random --minutes 25

Material: crops of source clips, made on the first call. Sequences grow from one frame to six; gradients pass through them whole. The loss is that of the
renderer (pixels, low-passed pixels, the perceptual distance that leads tuning) plus the estimated bits of the tokens, which cost nothing at first. How many tokens
a window gets is drawn anew for each frame: by `random`, whatever is in the window, or by `router`, in proportion to its evidence (InfoTok, the L1 form), around a
mean that is drawn.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from gvcodec import perceptual
from gvcodec.allocation.elbo import routed
from gvcodec.appearance.tokens import WINDOW, to_windows
from gvcodec.appearance.tokens_only import (
    MEMORIES,
    Picture,
    TokensOnly,
    TokensOnlyConfig,
    save_tokens_only,
    take,
)
from gvcodec.errors import MediaError
from gvcodec.train.cache import held_out, read_clip
from gvcodec.train.losses import SMALL, pixel_loss
from gvcodec.train.objective import crop_rgb
from gvcodec.train.vgg import PerceptualLoss

HEIGHT, WIDTH, FRAMES = 256, 512, 16
BUDGETS = ("random", "router")
#: Frames of a sequence, from so much of the time on.
LENGTHS = ((0.0, 1), (0.25, 2), (0.5, 4), (0.75, 6))
_CROPS = 8  # of a batch, over all of its frames
_RATE, _PIXEL = 1.2e-3, 4.0
#: Price of a bit a pixel, from when on, and when the perceptual distance joins.
_PRICE, _FREE, _PERCEPTUAL = 1.0, 0.35, 0.3
_PREFIXES = (32, 16, 8, 4, 2)


def make_runs(data: Path, folder: Path, seed: int = 0) -> None:
    """Two crops of each training clip, 8-bit planes one after the other: `(FRAMES, 1.5 HEIGHT WIDTH)` uint8. What is there is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for clip in sorted(data.glob("*.mp4")):
        if held_out(clip.name) or (folder / f"{clip.stem}-1.npy").exists():
            continue
        try:
            frames, fmt = read_clip(clip, FRAMES)
        except MediaError:
            continue
        if len(frames) < FRAMES or fmt.height < HEIGHT or fmt.width < WIDTH:
            continue
        for number in range(2):
            top, left = (int(rng.integers(0, (n - m) // 2 + 1)) for n, m in ((fmt.height, HEIGHT), (fmt.width, WIDTH)))
            run = np.zeros((FRAMES, HEIGHT * WIDTH * 3 // 2), np.uint8)
            for t, planes in enumerate(frames):
                parts = [planes[0][2 * top : 2 * top + HEIGHT, 2 * left : 2 * left + WIDTH]]
                parts += [p[top : top + HEIGHT // 2, left : left + WIDTH // 2] for p in planes[1:]]
                run[t] = np.concatenate([np.minimum((p + 2) >> 2, 255).ravel() for p in parts])
            np.save(folder / f"{clip.stem}-{number}.npy", run)


class Runs:
    """Random sequences of the material."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._runs = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))]
        if not self._runs:
            raise MediaError(f"{folder}: no material here")
        self._rng = np.random.default_rng(seed)

    def batch(self, count: int, frames: int) -> list[Picture]:
        """`frames` pictures of batch `count`, in 0…1, half of them mirrored."""
        rows = []
        for number in self._rng.integers(0, len(self._runs), count):
            start = int(self._rng.integers(0, FRAMES - frames + 1))
            flat = torch.from_numpy(self._runs[number][start : start + frames].astype(np.float32)) * (4 / 1023)
            luma = flat[:, : HEIGHT * WIDTH].reshape(frames, 1, HEIGHT, WIDTH)
            chroma = flat[:, HEIGHT * WIDTH :].reshape(frames, 2, HEIGHT // 2, WIDTH // 2)
            rows.append((luma.flip(3), chroma.flip(3)) if self._rng.random() < 0.5 else (luma, chroma))
        return [(torch.stack([r[0][t] for r in rows]), torch.stack([r[1][t] for r in rows])) for t in range(frames)]


def routed_counts(evidence: Tensor, mean: int, most: int) -> Tensor:
    """Numbers of tokens in proportion to the windows' evidence `(B, rows, columns)`, `mean` of them on average, `most` at most."""
    shares = routed(evidence.double().numpy(), float(mean * evidence.numel()))
    return torch.from_numpy(shares).round().long().clamp(0, most)


def evidence(
    model: TokensOnly, before: Picture | None, values: Tensor, memory: Tensor | None, source: Picture
) -> Tensor:
    """The L1 error of each window `(B, rows, columns)` when all of its tokens are sent: the paper's practical stand-in for -ELBO."""
    with torch.no_grad():
        every = torch.full(values.shape[:3], values.shape[3])
        painted, _ = model(before, take(values, every), memory, source[0])
        errors = ((ours - theirs).abs() for ours, theirs in zip(painted, source, strict=True))
        luma, chroma = (
            to_windows(e, side)[0].sum((3, 4)) for e, side in zip(errors, (WINDOW, WINDOW // 2), strict=True)
        )
    return luma + chroma


class Trainer:
    """`step(share)` does one update; `share` of the time is over."""

    def __init__(
        self, config: TokensOnlyConfig, budgets: str, runs: Runs, weights: dict[str, Tensor], seed: int
    ) -> None:
        torch.manual_seed(seed)
        self.model, self._runs, self._budgets = TokensOnly(config), runs, budgets
        self._rng = np.random.default_rng(seed)
        self._perceptual = PerceptualLoss(weights=weights)
        self._optimizer = torch.optim.AdamW(self.model.parameters(), _RATE, betas=(0.9, 0.98), weight_decay=1e-4)
        self.steps = 0

    def _counts(self, before: Picture | None, values: Tensor, memory: Tensor | None, source: Picture) -> Tensor:
        most = values.shape[3]
        if self._rng.random() < 0.4:
            return torch.full(values.shape[:3], most)
        if self._budgets == "random":
            return torch.from_numpy(self._rng.choice(_PREFIXES, values.shape[:3])).clamp(max=most)
        found = evidence(self.model, before, values, memory, source)
        return routed_counts(found, int(self._rng.choice(_PREFIXES[1:])), most)

    def step(self, share: float) -> dict[str, float]:
        frames = [n for start, n in LENGTHS if share >= start][-1]
        sources = self._runs.batch(max(1, _CROPS // frames), frames)
        before, memory = None, None
        parts: dict[str, list[Tensor]] = {"pixel": [], "bpp": []}
        for source in sources:
            exact = self.model.encode(source, before, memory)
            tokens = take(exact, self._counts(before, exact, memory, source))
            noisy = exact + torch.rand_like(exact) - 0.5
            sent = torch.arange(exact.shape[3]) < tokens.count[..., None]
            parts["bpp"].append((self.model.encoder.bits(noisy) * sent[..., None]).sum() / source[0].numel())
            before, memory = self.model(before, tokens, memory, source[0])
            parts["pixel"].append(pixel_loss(*before, *source).mean())
        means = {name: torch.stack(values).mean() for name, values in parts.items()}
        loss = _PIXEL * means["pixel"]
        if share > _FREE:
            loss = loss + _PRICE * min(1.0, (share - _FREE) / 0.2) * means["bpp"]
        if share > _PERCEPTUAL:
            shown = crop_rgb(before, SMALL)  # type: ignore[arg-type]
            means["lpips"], means["dists"] = (
                x.mean() for x in self._perceptual(shown, self._perceptual.reference(crop_rgb(sources[-1], SMALL)))
            )
            loss = loss + means["lpips"] + means["dists"]
        for group in self._optimizer.param_groups:
            group["lr"] = _RATE * min(1.0, (self.steps + 1) / 50) * max(0.05, 0.5 + 0.5 * math.cos(math.pi * share))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self.steps += 1
        return {name: float(value.detach()) for name, value in means.items()}


def main() -> None:
    """Make material where there is none, train, write; prints a JSON line every half minute."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of clips")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the material, outside the checkout (1 GB)")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--memory", choices=MEMORIES, default="1d")
    parser.add_argument("--encoder-reads", action="store_true", help="the encoder reads the 1-D memory too")
    parser.add_argument("--budgets", choices=BUDGETS, default="random")
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    leading = perceptual.leading_weights("small")
    assert leading is not None  # shipped
    make_runs(options.data, options.runs)
    if options.encoder_reads and options.memory != "1d":
        parser.error("--encoder-reads is for --memory 1d")
    config = TokensOnlyConfig(memory=options.memory, encoder_reads=options.encoder_reads)
    try:
        runs = Runs(options.runs, options.seed)
    except MediaError as error:
        parser.error(str(error))
    trainer = Trainer(config, options.budgets, runs, leading[1], options.seed)
    begin = said = time.process_time()
    parts: dict[str, list[float]] = {}
    while (share := (time.process_time() - begin) / (60 * options.minutes)) < 1:
        for name, value in trainer.step(share).items():
            parts.setdefault(name, []).append(value)
        if time.process_time() - said > 30:
            said = time.process_time()
            means = {name: round(fmean(values), 4) for name, values in parts.items()}
            print(json.dumps({"minutes": round((said - begin) / 60, 1), "steps": trainer.steps, **means}), flush=True)
            parts = {}
            save_tokens_only(trainer.model, options.out)
    save_tokens_only(trainer.model, options.out)


if __name__ == "__main__":
    main()
