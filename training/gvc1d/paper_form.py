"""Trains GVC1D in the paper's own form, small: learned queries, mask tokens, no transform.

    python -m training gvc1d.paper_form FOLDER OUT [--minutes 60]
        [--form paper|transform] [--size small|large]

Material: pictures (`*.jpg`, `*.png`) and clips (`*.mp4`) of FOLDER, any depth, at a quarter of
their size; sources of `training/held_out.txt` measure. A window of 256² is 64² luma and two 32²
chroma there, 64 patches of 96 values. `--form paper`: a transformer reads patches, the last picture
and the last tokens beside 64 learned queries, whose outputs are 64 tokens of 16 integers; another
reads the tokens beside mask tokens. `--form transform`: the lowest coefficients of an orthonormal
cosine transform are the integers, its inverse the decoder. Both pay an autoregressive transformer
over tokens. The objective is J = squared error / step² + 0.15 bits.

Tokens live by the measures of TA-TiTok's and GVC1D's trainings: input patches are masked, the
context is dropped in half of the samples, the tail of the tokens in a quarter. Bits that cost from
the first step on kill them (all integers were 0 after eight minutes), so a third of the run is
free; queries and patches begin with the same places and keys as queries, so that attention begins
near. In OUT: `log.jsonl` (curve; J with tokens zeroed or of another window at the decoder, and
without context) and `weights.safetensors` (fp16; of the paper's form with tables of its tokens, for
`gvcodec encode --base gvc1d --model`).
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gvcodec.gvc1d.paper.decoder import TokenDecoder
from gvcodec.gvc1d.paper.encoder import TokenEncoder, quantise
from gvcodec.gvc1d.paper.layers import COARSEST, FINEST, Context, features, rate_of
from gvcodec.gvc1d.paper.sizes import (
    CHANNELS,
    LARGE,
    LARGEST,
    PATCHES,
    SMALL,
    TOKENS,
    VALUES,
    Sizes,
)
from gvcodec.gvc1d.paper.token_counts import QUALITIES, UNIT
from gvcodec.gvc1d.paper.weights import FORM
from gvcodec.gvc1d.paper.windows import to_patches
from gvcodec.gvc1d.transformer import Block
from training.held_out import is_held_out
from training.loop import follow

#: λ in squared steps a bit.
PRICE = 0.15
#: Steps of the objective that are measured.
MEASURED = (45.0, 90.0, 160.0)
#: Share of the run in which bits cost nothing.
FREE = 0.33


class Planes(NamedTuple):
    """A quarter-size picture, 8 bits: luma `[H, W]`, chroma `[2, H/2, W/2]`."""

    y: np.ndarray
    uv: np.ndarray


def _quarter(path: Path, most: int) -> list[Planes]:
    """Up to `most` pictures of a file, every second frame, at a quarter of their size."""
    import av

    found = []
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 2:
                continue
            h, w = frame.height // 16 * 4, frame.width // 16 * 4
            small = frame.reformat(w, h, "yuv420p", interpolation="AREA").to_ndarray()
            chroma = small[h:].reshape(2, h // 2, w // 2)
            if min(h, w) >= 64:
                found.append(Planes(small[:h], chroma))
            if len(found) == most:
                break
    return found


def _files(folder: Path) -> list[Path]:
    """Of any depth; `rglob` does not go through links."""
    return [
        Path(top) / name for top, _, names in os.walk(folder, followlinks=True) for name in names
    ]


class Material:
    """Runs of pictures in memory, trained and held out."""

    def __init__(self, folder: Path, frames: int = 12) -> None:
        self.trained: list[list[Planes]] = []
        self.kept: list[list[Planes]] = []
        for path in sorted(_files(folder)):
            if path.suffix.lower() not in (".mp4", ".jpg", ".png"):
                continue
            run = _quarter(path, frames if path.suffix == ".mp4" else 1)
            if run:
                (self.kept if is_held_out(path.name) else self.trained).append(run)

    @staticmethod
    def batch(
        runs: list[list[Planes]], size: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Patches of windows and of the same place one to three pictures before (or the same
        picture where there is one alone), `[B, 64, 96]` each, levels - 128."""
        now, before = [], []
        for _ in range(size):
            run = runs[int(rng.integers(len(runs)))]
            at = int(rng.integers(len(run)))
            earlier = max(0, at - int(rng.integers(1, 4)))
            h, w = run[at].y.shape
            r, c = (int(rng.integers((n - 64) // 2 + 1)) for n in (h, w))
            flip = rng.random() < 0.5
            now.append(_window(run[at], r, c, flip))
            before.append(_window(run[earlier], r, c, flip))
        return torch.stack(now), torch.stack(before)


def _window(planes: Planes, r: int, c: int, flip: bool) -> Tensor:
    """`[64, 96]`."""
    y = planes.y[2 * r : 2 * r + 64, 2 * c : 2 * c + 64]
    uv = planes.uv[:, r : r + 32, c : c + 32]
    if flip:
        y, uv = y[:, ::-1], uv[:, :, ::-1]
    luma, chroma = (torch.from_numpy(np.ascontiguousarray(a)).float() - 128 for a in (y, uv))
    return to_patches(luma[None], chroma[None])[0]


def _block(width: int) -> Block:
    return Block(width, 4, 0.5, plain=True)


class Prior(nn.Module):
    """Bits of the integers: a Laplace distribution each, by the tokens before and the last ones."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.enter, self.last = nn.Linear(2 * CHANNELS, width), nn.Linear(2 * CHANNELS, width)
        self.places = nn.Parameter(0.1 * torch.randn(TOKENS, width))
        self.rate = nn.Linear(1, width)
        self.blocks = nn.ModuleList([_block(width), _block(width)])
        self.register_buffer("ahead", torch.full((TOKENS, TOKENS), -1e4).triu(1), persistent=False)
        self.norm, self.leave = nn.LayerNorm(width), nn.Linear(width, 2 * CHANNELS)
        nn.init.zeros_(self.leave.weight)
        self.usual = nn.Parameter(torch.zeros(TOKENS, CHANNELS))

    def forward(self, values: Tensor, paid: Tensor, rate: Tensor, last: Tensor) -> Tensor:
        """Bits `[B]` of `paid`, by whole `values`, both `[B, 64, 16]`."""
        x = F.pad(self.enter(features(values))[:, :-1], (0, 0, 1, 0)) + self.last(features(last))
        x = x + self.places + self.rate(rate[:, None])[:, None]
        for block in self.blocks:
            x = block(x, bias=self.ahead)
        mean, spread = self.leave(self.norm(x)).float().chunk(2, -1)
        b = (self.usual + spread - rate[:, None, None] * math.log(2)).clamp(-4, 8).exp() + 0.02
        far = (paid - mean).abs()
        above, below = (far + 0.5) / b, (far - 0.5) / b
        outside = 0.5 * torch.exp(-below.clamp(min=0)) * (1 - torch.exp(-1 / b))
        inside = 1 - 0.5 * torch.exp(-above) - 0.5 * torch.exp(below.clamp(max=0))
        p = torch.where(below > 0, outside, inside)
        bits: Tensor = -torch.log2(p.clamp(min=2e-7) * 0.9995 + 1e-7)
        return bits.flatten(1).sum(1)


class Form(nn.Module):
    """What both forms share. `rate`: log2(step / 60) `[B]`."""

    def __init__(self) -> None:
        super().__init__()
        self.prior = Prior()

    def encode(self, x: Tensor, context: Context | None, rate: Tensor) -> Tensor:
        """Unrounded integers `[B, 64, 16]` of patches `[B, 64, 96]`."""
        raise NotImplementedError

    def decode(self, values: Tensor, context: Context | None, rate: Tensor) -> Tensor:
        """Patches of integers."""
        raise NotImplementedError


class PaperForm(Form):
    """TiTok's layout with GVC1D's contexts, as files have it (`gvcodec.gvc1d.paper`)."""

    def __init__(self, sizes: Sizes = SMALL) -> None:
        super().__init__()
        self.encoder, self.decoder = TokenEncoder(sizes.encoder), TokenDecoder(sizes.decoder)

    def encode(self, x: Tensor, context: Context | None, rate: Tensor) -> Tensor:
        return self.encoder.encode(x, context, rate)

    def decode(self, values: Tensor, context: Context | None, rate: Tensor) -> Tensor:
        return self.decoder.decode(values, context, rate)


class TransformForm(Form):
    """The fixed neighbour: 832 luma and 2 · 96 chroma coefficients of a cosine transform of the
    window, coarse to fine; of a window with context its difference to the last picture."""

    basis: Tensor

    def __init__(self) -> None:
        super().__init__()
        basis = []
        for n, count, planes in ((64, 832, 1), (32, 96, 2)):
            k, i = torch.arange(n)[:, None].double(), torch.arange(n)[None].double()
            cosine = torch.cos(math.pi * (i + 0.5) * k / n) * math.sqrt(2 / n)
            cosine[0] /= math.sqrt(2)
            order = (k.square() + k.mT.square()).flatten().argsort(stable=True)[:count]
            picked = torch.einsum("ai,bj->abij", cosine, cosine).flatten(0, 1)[order].float()
            distance = (k.square() + k.mT.square()).flatten()[order] * (64 / n) ** 2
            for p in range(planes):
                basis += [(float(d), n, p, m) for d, m in zip(distance, picked, strict=True)]
        basis.sort(key=lambda b: b[:3])
        rows = []
        for _, n, p, m in basis:
            y = torch.zeros(1, 64, 64) if n == 32 else m[None]
            uv = torch.zeros(2, 32, 32)
            if n == 32:
                uv[p] = m
            rows.append(to_patches(y, uv[None])[0])
        self.register_buffer("basis", torch.stack(rows).flatten(1))  # [1024, 64 · 96]

    def encode(self, x: Tensor, context: Context | None, rate: Tensor) -> Tensor:
        before = x * 0 if context is None else context.patches
        found = (x - before).flatten(1) @ self.basis.T
        return (found / (60 * 2 ** rate[:, None])).view(-1, TOKENS, CHANNELS)

    def decode(self, values: Tensor, context: Context | None, rate: Tensor) -> Tensor:
        scaled = values.flatten(1) * (60 * 2 ** rate[:, None])
        made = (scaled @ self.basis).view(-1, PATCHES, VALUES)
        return made if context is None else context.patches + made


FORMS = ("paper", "transform")
SIZES = {"small": SMALL, "large": LARGE}


class Outcome(NamedTuple):
    """`[B]` each: squared error, bits."""

    error: Tensor
    bits: Tensor


class Run:
    """A training run's state."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        torch.manual_seed(asked.seed)
        self.rng = np.random.default_rng(asked.seed)
        self.device = torch.device(asked.device)
        made = PaperForm(SIZES[asked.size]) if asked.form == "paper" else TransformForm()
        self.form: Form = made.to(self.device)
        if asked.initial:
            load(self.form, asked.initial)
        self.average = copy.deepcopy(self.form).requires_grad_(False).eval()
        self.material = Material(asked.folder)
        self.optimizer = torch.optim.AdamW(
            [p for p in self.form.parameters() if p.requires_grad],
            betas=(0.9, 0.98),
            weight_decay=0.01,
        )
        self.steps, self.price = 0, 0.0

    def _coded(
        self, form: Form, x: Tensor, context: Context | None, rate: Tensor, how: str = ""
    ) -> tuple[Outcome, Tensor]:
        """One picture; `how`: "zeroed" or "shuffled" tokens at the decoder."""
        with torch.autocast(self.device.type, torch.bfloat16):
            loose = form.encode(x, context, rate)
            values = loose + (quantise(loose) - loose).detach()  # straight through
            if form.training:  # the tail falls away in a quarter of the samples
                kept = torch.randint(8, TOKENS + 1, (len(x), 1, 1), device=x.device)
                kept = torch.where(torch.rand_like(kept, dtype=torch.float) < 0.25, kept, TOKENS)
                values = values * (torch.arange(TOKENS, device=x.device)[None, :, None] < kept)
            noisy = loose + torch.rand_like(loose) - 0.5 if form.training else values
            free = form.training and self.price == 0
            last = torch.zeros_like(loose) if context is None else context.tokens
            bits = form.prior(values.detach(), noisy.detach() if free else noisy, rate, last)
            read = {"zeroed": values * 0, "shuffled": values.roll(1, 0)}.get(how, values)
            made = form.decode(read, context, rate)
        error = (made.float() - x).square().flatten(1).sum(1)
        return Outcome(error, bits), values.detach()

    def _pair(
        self, form: Form, pair: tuple[Tensor, Tensor], rate: Tensor, how: str
    ) -> list[Outcome]:
        """The earlier picture without a context, the later one with it."""
        x, before = (p.to(self.device) for p in pair)
        first, values = self._coded(form, before, None, rate, how)
        context: Context | None = Context(self._shown(form, values, rate), values)
        if how == "no context" or (form.training and self.rng.random() < 0.5):
            context = None
        later, _ = self._coded(form, x, context, rate, how)
        return [first, later]

    @torch.no_grad()
    def _shown(self, form: Form, values: Tensor, rate: Tensor) -> Tensor:
        return form.decode(values, None, rate).float().clamp(-128, 127)

    def step(self, part: float) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            warm = min(1.0, (self.steps + 1) / 300)
            group["lr"] = (
                self.asked.peak * warm * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * part)))
            )
        if isinstance(self.form, PaperForm):
            self.form.encoder.hides = 0.3 * (1 - part)
        low, high = math.log2(FINEST / 60), math.log2(COARSEST / 60)
        rate = (
            torch.from_numpy(self.rng.uniform(low, high, self.asked.batch)).float().to(self.device)
        )
        pair = self.material.batch(self.material.trained, self.asked.batch, self.rng)
        step2 = (60 * 2**rate).square()
        free = self.asked.free
        self.price = price = PRICE * (min(1.0, max(0.0, (part - free) / 0.2)) if free else 1.0)
        found = self._pair(self.form, pair, rate, "")
        # Each sample by the logarithm of its own cost: all rates count alike.
        costs = [(one.error / step2 + price * one.bits + 1).log().mean() for one in found]
        loss = costs[0] + costs[1]
        if price == 0:  # the entropy model learns meanwhile
            loss = loss + 1e-4 * sum(one.bits.mean() for one in found)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.form.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        keep = min(0.998, 1 - 1 / (self.steps + 1))
        with torch.no_grad():
            follow(self.average, self.form, keep)
        return {"first": float(costs[0].detach()), "later": float(costs[1].detach())}

    @torch.no_grad()
    def measure(self, size: int = 16) -> dict[str, float]:
        """J, PSNR-Y and bits a pixel of the full size, on held-out windows."""
        found: dict[str, float] = {}
        for how in ("", "zeroed", "shuffled", "no context"):
            for step in MEASURED if not how else MEASURED[1:2]:
                rng = np.random.default_rng(3)
                rows = []
                for _ in range(self.asked.looks):
                    pair = self.material.batch(self.material.kept, size, rng)
                    rate = torch.full((size,), math.log2(step / 60), device=self.device)
                    rows.append(self._pair(self.average, pair, rate, how))
                name = f"{how or 'J'} {step:g}"
                for t, time_name in enumerate(("first", "later")):
                    error = torch.cat([r[t].error for r in rows])
                    bits = torch.cat([r[t].bits for r in rows])
                    j = error / step**2 + PRICE * bits
                    found[f"{name} {time_name}"] = round(float(j.mean()), 2)
                    if not how:
                        found[f"bpp {step:g} {time_name}"] = round(float(bits.mean()) / 65536, 5)
                        mse = float(error.mean()) / (PATCHES * VALUES)
                        found[f"PSNR {step:g} {time_name}"] = round(
                            10 * math.log10(255**2 / mse), 2
                        )
        return found

    def save(self, out: Path, final: bool = False) -> None:
        """`final`: with tables of the tokens, which take minutes."""
        partial = out / "state.part"
        weights = {k: v.half() for k, v in self.average.state_dict().items()}
        if final and isinstance(self.average, PaperForm):
            size = self.asked.looks, self.asked.batch
            tables = token_tables(self.average, self.material.trained, *size)
            save_file(weights | tables, partial, {"form": FORM})
        else:
            save_file(weights, partial)
        partial.rename(out / "weights.safetensors")


def load(form: Form, path: Path) -> None:
    """Weights of a file into a form, tables left out."""
    tensors = load_file(path)
    form.load_state_dict({k: v for k, v in tensors.items() if not k.startswith("tokens.")})


@torch.no_grad()
def token_tables(
    form: PaperForm, runs: list[list[Planes]], batches: int, size: int
) -> dict[str, Tensor]:
    """`token_counts.Tables` as a weight file has them: of pictures without a context."""
    device, rng = form.prior.usual.device, np.random.default_rng(7)
    pictures = [Material.batch(runs, size, rng)[0].to(device) for _ in range(batches)]
    usual, distance = [], []
    for q in range(QUALITIES):
        rate = torch.full((size,), rate_of(q), device=device)
        tokens = torch.cat([quantise(form.encode(x, None, rate)) for x in pictures])
        mean = tokens.mean(0).round().clamp(-LARGEST, LARGEST)
        usual.append(mean.short().cpu())
        far = UNIT * (tokens - mean).abs().mean(0)
        distance.append(far.round().clamp(max=1 << 14).short().cpu())
    return {"tokens.usual": torch.stack(usual), "tokens.distance": torch.stack(distance)}


def _looks(minutes: float) -> Iterator[float]:
    """Minutes at which the run is measured: 1, 2, 4, … 32, then each 30."""
    yield from (t for t in (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0) if t < minutes)
    yield from np.arange(60.0, minutes, 30.0)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="training gvc1d.paper_form")
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--form", choices=FORMS, default="paper")
    parser.add_argument("--size", choices=SIZES, default="small", help="of the paper's form")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--initial", type=Path, help="weights to go on from, with --free 0")
    parser.add_argument(
        "--free", type=float, default=FREE, help="share of the steps without a rate term"
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--peak", type=float, default=6e-4, help="learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--looks", type=int, default=6, help="batches of each measurement")
    asked = parser.parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    run = Run(asked)
    parameters = sum(p.numel() for p in run.form.parameters())
    print(
        f"{len(run.material.trained)} runs, {len(run.material.kept)} held out, "
        f"{parameters} weights",
        flush=True,
    )
    begun = saved = time.monotonic()
    times = list(_looks(asked.minutes))
    with open(asked.out / "log.jsonl", "a") as log:
        while (part := (time.monotonic() - begun) / (60 * asked.minutes)) < 1:
            row = run.step(part)
            if times and part * asked.minutes >= times[0]:
                times.pop(0)
                _note(log, run, row, begun)
            if time.monotonic() - saved > 300:
                run.save(asked.out)
                saved = time.monotonic()
        run.save(asked.out, final=True)
        _note(log, run, row, begun)
    return 0


def _note(log, run: Run, row: dict[str, float], begun: float) -> None:  # type: ignore[no-untyped-def]
    line = {"steps": run.steps, "minutes": round((time.monotonic() - begun) / 60, 2)}
    line |= {k: round(v, 4) for k, v in row.items()} | run.measure()
    for where in (log, None):
        print(json.dumps(line), file=where, flush=True)
