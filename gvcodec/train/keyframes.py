"""Trains the network that chooses keyframes (`gvcodec.condense.keyframes`), together with a
classifier and the bytes of the frames.

    python -m gvcodec.train.keyframes FOLDER LABELS --out checkpoints/keyframes-1.safetensors

FOLDER is that of `gvcodec.train.summary_material`, LABELS a CSV with columns file, label, fold.
Bytes are those of a frame alone, coded by av1. Clips of fold `--held-out` are left out and say how
good the classifier is on the chosen frames, and on frames drawn at random."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from gvcodec.condense.coded import encode, sizes
from gvcodec.condense.keyframes import Chooser, drawn, select
from gvcodec.models import save_weights

#: Frames of a clip, evenly spaced.
FRAMES = 16
COUNTS = (1, 2, 4, 8)
_BATCH, _RATE, _HOT, _COLD, _PRICE, _Q = 6, 5e-3, 2.0, 0.3, 0.1, 40


def read(
    folder: Path, labels: Path
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Pictures (N, FRAMES, 64, 64, 3), classes, folds, and bytes of each frame (N, FRAMES) over
    their mean in its clip."""
    with open(labels, newline="") as file:
        rows = list(csv.DictReader(file))
    classes = sorted({row["label"] for row in rows})
    pictures, bytes_of = [], []
    for row in rows:
        with np.load((folder / row["file"]).with_suffix(".npz")) as held:
            small = held["small"]
        pictures.append(small[np.linspace(0, len(small) - 1, FRAMES).round().astype(int)])
        cost = sizes(encode([picture[None] for picture in pictures[-1]], _Q)).astype(np.float32)
        bytes_of.append(cost / cost.mean())
    numbers = [classes.index(row["label"]) for row in rows]
    return (
        np.stack(pictures),
        np.array(numbers),
        np.array([int(row["fold"]) for row in rows]),
        np.stack(bytes_of),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--steps", type=int, default=300, help="(300)")
    parser.add_argument("--held-out", type=int, default=0, help="fold (0)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    pictures, labels, folds, cost = read(options.folder, options.labels)
    learn = np.flatnonzero(folds != options.held_out)
    chooser, head = Chooser(), nn.Linear(32, int(labels.max()) + 1)
    optimiser = torch.optim.AdamW(
        [*chooser.parameters(), *head.parameters()], _RATE, weight_decay=0.02
    )
    for step in range(options.steps):
        which = rng.choice(learn, _BATCH)
        temperature = _HOT * (_COLD / _HOT) ** (step / options.steps)
        features, scores = chooser(torch.from_numpy(pictures[which]))
        weights = drawn(scores, int(rng.choice(COUNTS)), temperature)
        mean = (features * weights[..., None]).sum(1) / weights.sum(1, keepdim=True)
        paid = (weights * torch.from_numpy(cost[which])).sum(1) / weights.sum(1)
        loss = F.cross_entropy(head(mean), torch.from_numpy(labels[which])) + _PRICE * paid.mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    held = np.flatnonzero(folds == options.held_out)
    found = {
        "steps": options.steps,
        "clips": len(learn),
        "held_out_clips": len(held),
        "classes": int(labels.max()) + 1,
    }
    found |= judged(chooser.eval(), head, pictures[held], labels[held], cost[held], rng)
    save_weights(dict(chooser.state_dict()), options.out)
    card = {
        "sha256": hashlib.sha256(options.out.read_bytes()).hexdigest(),
        "parameters": sum(p.numel() for p in chooser.parameters()),
    }
    options.out.with_suffix(".json").write_text(json.dumps(card | found, indent=1) + "\n")
    print(json.dumps(found))


@torch.inference_mode()
def judged(
    chooser: Chooser,
    head: nn.Module,
    pictures: Any,
    labels: Any,
    cost: Any,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Accuracy and bytes (of a mean frame) with chosen frames, evenly spaced ones, and random ones,
    by K."""
    features, scores = chooser(torch.from_numpy(pictures))
    found: dict[str, Any] = {}
    for count in COUNTS:
        ways = {
            "chosen": [select(row, count) for row in scores.numpy()],
            "even": [[round((n + 0.5) * FRAMES / count - 0.5) for n in range(count)]] * len(labels),
            "random": [rng.choice(FRAMES, count, replace=False).tolist() for _ in labels],
        }
        for name, places in ways.items():
            means = torch.stack([row[p].mean(0) for row, p in zip(features, places, strict=True)])
            right = (head(means).argmax(1).numpy() == labels).mean()
            paid = np.mean([row[p].mean() for row, p in zip(cost, places, strict=True)])
            found[f"{name} {count}"] = {
                "accuracy": round(float(right), 3),
                "bytes": round(float(paid), 3),
            }
    return found


if __name__ == "__main__":
    main()
