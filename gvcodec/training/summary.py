"""Trains LP-Comp, the compressor of summaries (`gvcodec.retrieval.compressor`).

    python -m gvcodec.training.summary FOLDER --manifest manifest.csv --out
        checkpoints/summary-1.safetensors

FOLDER is that of `gvcodec.training.summary_material`. A pair is two frames of a clip at most 5
frames apart (the sampled ones next to each other), of two of its forms: source, coded at some
quality, cropped and mirrored. InfoNCE (temperature .07) over the batch, where other frames of the
same clip at a distance do not count, and L1 to the mean of the centred tokens. Clips are held out
by source, the manifest's column `source_repo`."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gvcodec.retrieval.compressor import DIM, TOKENS, WIDTH, LpComp
from gvcodec.retrieval.embedders import shipped_network
from gvcodec.training.summary_material import QUALITIES, STRIDE
from gvcodec.util.models import model_id, save_weights

TEMPERATURE, POOLED = 0.07, 0.1
_BATCH, _RATE = 64, 1e-3
#: Frames of a clip nearer than this are no negatives.
_APART = 24


@dataclass(frozen=True, slots=True)
class Clip:
    """`forms`: tokens (form, frames, 16, features), fp16. `asked` as in the material."""

    name: str
    source: str
    forms: Tensor
    asked: Tensor
    asked_at: Tensor


def read_material(folder: Path, manifest: Path) -> list[Clip]:
    """All clips of the folder, by name."""
    with open(manifest, newline="") as file:
        sources = {Path(row["file"]).stem: row["source_repo"] for row in csv.DictReader(file)}
    clips = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as held:
            forms = np.concatenate(
                [held["source"][None], *(held[f"q{q}"][None] for q in QUALITIES), held["crops"]]
            )
            asked, at = held["asked"], held["asked_at"]
        clips.append(
            Clip(path.stem, sources[path.stem], *(torch.from_numpy(x) for x in (forms, asked, at)))
        )
    return clips


def split(clips: Sequence[Clip], seed: int, held_out: int) -> tuple[list[Clip], list[Clip]]:
    """Clips to learn from, and about `held_out` others of other sources."""
    sources = sorted({clip.source for clip in clips})
    np.random.default_rng(seed).shuffle(sources)
    kept: list[Clip] = []
    for source in sources:
        own = [clip for clip in clips if clip.source == source]
        if len(kept) + len(own) <= held_out:
            kept += own
    names = {clip.name for clip in kept}
    return [clip for clip in clips if clip.name not in names], kept


def fit_projection(model: LpComp, clips: Sequence[Clip]) -> None:
    """Centre, spread, and the directions of the largest variance of pooled tokens, each divided by
    the root of its deviation."""
    tokens = torch.cat([clip.forms[:, ::6].flatten(0, 2).float() for clip in clips])
    model.centre.copy_(tokens.mean(0))
    model.spread.copy_(tokens.std(0).clamp(min=1e-3))
    unit = ((tokens - model.centre) / model.spread).clamp(-6, 6)
    # One vector a picture: its directions count, not those of the parts.
    pooled = unit.view(-1, TOKENS, unit.shape[1]).mean(1)
    values, vectors = torch.linalg.eigh(pooled.T @ pooled / len(pooled))
    order = values.argsort(descending=True)[:WIDTH]
    model.project.copy_(vectors[:, order] / values[order].clamp(min=1e-6) ** 0.25)
    model.project.div_(unit[:4096].matmul(model.project).std())


def train(clips: Sequence[Clip], learned: bool, seed: int, steps: int) -> LpComp:
    """A model for these clips; deterministic on one machine."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = LpComp(clips[0].forms.shape[-1], learned)
    with torch.no_grad():
        fit_projection(model, clips)
    if not learned:
        return model.eval()
    with torch.no_grad():
        # The projection stays: it is taken once.
        narrow = [torch.stack([model.narrow(form) for form in clip.forms]) for clip in clips]
    average = {name: value.clone() for name, value in model.state_dict().items()}
    optimiser = torch.optim.AdamW(model.parameters(), _RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, steps, pct_start=0.1)
    for _ in range(steps):
        loss = _loss(model, *_batch(narrow, rng))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            for name, value in model.state_dict().items():
                average[name].lerp_(value, 0.01)
    model.load_state_dict(average)
    return model.eval()


def _batch(
    clips: Sequence[Tensor], rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Narrow tokens of frames, of their partners, clip numbers, frame numbers."""
    which = rng.integers(0, len(clips), _BATCH)
    left, right, places = [], [], []
    for number in which:
        forms = clips[number]
        at = int(rng.integers(0, forms.shape[1]))
        near = min(max(at + int(rng.integers(-1, 2)), 0), forms.shape[1] - 1)
        one, other = rng.choice(forms.shape[0], 2, replace=False)
        left.append(forms[one, at])
        right.append(forms[other, near])
        places.append(at * STRIDE)
    return torch.stack(left), torch.stack(right), torch.from_numpy(which), torch.tensor(places)


def _loss(model: LpComp, left: Tensor, right: Tensor, clip: Tensor, place: Tensor) -> Tensor:
    tokens = torch.cat([left, right])
    both = model.compress(tokens)
    a, b = F.normalize(both, dim=1).chunk(2)
    same = (clip[:, None] == clip[None]) & ((place[:, None] - place[None]).abs() < _APART)
    same.fill_diagonal_(False)
    logits = (a @ b.T / TEMPERATURE).masked_fill(same, -math.inf)
    target = torch.arange(len(a))
    contrast = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    pooled = F.normalize(tokens.mean(1)[:, :DIM], dim=1) * math.sqrt(DIM)
    return contrast + POOLED * F.l1_loss(both, pooled)


@torch.inference_mode()
def recall(model: LpComp, clips: Sequence[Clip], form: int = 2) -> float:
    """Part of the questions whose nearest frame of the coded form is of the right clip."""
    held = torch.cat([F.normalize(model(clip.forms[form]), dim=1) for clip in clips])
    owner = torch.cat([torch.full((clip.forms.shape[1],), n) for n, clip in enumerate(clips)])
    right = [
        owner[(F.normalize(model(clip.asked.flatten(0, 1)), dim=1) @ held.T).argmax(1)] == n
        for n, clip in enumerate(clips)
    ]
    return float(torch.cat(right).float().mean())


def save(model: LpComp, path: Path, card: dict[str, Any]) -> None:
    """Checkpoint and model card."""
    network = model_id(shipped_network()).hex()
    save_weights(dict(model.state_dict()), path, {"network": network})
    card = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "network": network} | card
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")


def main() -> None:
    """Train on all clips but those of held-out sources, write checkpoint and card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000, help="(2000)")
    parser.add_argument("--held-out", type=int, default=15, help="clips, by source (15)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = read_material(options.folder, options.manifest)
    learned, kept = split(clips, options.seed, options.held_out)
    began = time.process_time()
    model = train(learned, True, options.seed, options.steps)
    found = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": options.steps,
        "processor_seconds": round(time.process_time() - began),
        "temperature": TEMPERATURE,
        "clips": len(learned),
        "held_out_clips": [clip.name for clip in kept],
        "manifest_sha256": hashlib.sha256(options.manifest.read_bytes()).hexdigest(),
        "recall_at_1_of_held_out": round(recall(model, kept), 4),
        "recall_at_1_of_mean_pooling": round(recall(train(learned, False, 0, 0), kept), 4),
    }
    save(model, options.out, found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
