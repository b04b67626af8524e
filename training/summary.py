"""Learns the compressor of summaries (`gvcodec.retrieval.compressor`), in closed form.

    python -m training summary FOLDER --manifest manifest.csv --out summary.safetensors

FOLDER is that of `training.summary_material`. Directions are Fisher's discriminants of pooled
tokens, between all frames against between the forms of one frame, divided by the fourth root of
their ratio. Held out by source: the manifest's column `source_repo`, or the photo."""

from __future__ import annotations

import csv
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.models import GUIDE, model_id
from gvcodec.retrieval.compressor import DIM, Compressor
from gvcodec.util.options import ExactParser
from training.summary_material import QUALITIES, WAYS

#: Part of the mean variance between forms that every direction has at least.
_RIDGE = 1.0
#: Statistics of features use every sixth frame.
_EVERY = 6

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Clip:
    """`forms`: tokens (form, frames, 16, features), fp16; the rest as in the material."""

    name: str
    source: str
    forms: Floats
    asked: Floats
    asked_at: NDArray[np.int64]
    clips: Floats
    clips_at: NDArray[np.int64]


def read_material(folder: Path, manifest: Path) -> list[Clip]:
    with open(manifest, newline="") as file:
        sources = {Path(row["file"]).stem: row["source_repo"] for row in csv.DictReader(file)}
    clips = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as held:
            names = ["source", *(f"q{q}" for q in QUALITIES)]
            forms = np.concatenate([*(held[name][None] for name in names), held["crops"]])
            rest = [held[key] for key in ("asked", "asked_at", "asked_clips", "clips_at")]
        stem, _, way = path.stem.rpartition("-")
        source = stem if way in WAYS else sources[path.stem]
        clips.append(Clip(path.stem, source, forms, *rest))
    return clips


def split(clips: Sequence[Clip], seed: int, held_out: float) -> tuple[list[Clip], list[Clip]]:
    """Clips to learn from, and those of about a share `held_out` of the sources, by hash."""
    draw = lambda clip: zlib.crc32(f"{seed} {clip.source}".encode()) < held_out * 2**32
    return [c for c in clips if not draw(c)], [c for c in clips if draw(c)]


def learn(clips: Sequence[Clip], discriminants: bool = True) -> dict[str, NDArray[np.float32]]:
    """Weights of a `Compressor`; not `discriminants`: directions of the largest variance."""
    some = np.concatenate([_rows(clip.forms[:, ::_EVERY]) for clip in clips])
    features = some.shape[1]
    start = {"centre": some.mean(0), "spread": np.maximum(some.std(0), 1e-3)}
    start["project"] = np.zeros((features, DIM), np.float32)
    standardise = Compressor(start).standardise
    # One vector a picture: directions are found for whole pictures, not for their parts.
    pooled = [standardise(clip.forms).mean(2).astype(np.float64) for clip in clips]
    if discriminants:
        within = _covariance(np.concatenate([_rows(own - own.mean(0)) for own in pooled]))
        within += _RIDGE * np.trace(within) / features * np.eye(features)
        inverse = np.linalg.inv(np.linalg.cholesky(within))
        between = _covariance(np.concatenate([own.mean(0) for own in pooled]))
        ratios, turned = np.linalg.eigh(inverse @ between @ inverse.T)
        vectors = inverse.T @ turned
    else:
        ratios, vectors = np.linalg.eigh(_covariance(np.concatenate([_rows(p) for p in pooled])))
    order = np.argsort(-ratios)[:DIM]
    project = vectors[:, order] / np.maximum(ratios[order], 1e-6) ** 0.25
    return {**start, "project": (project / project.std()).astype(np.float32)}


def _rows(values: Floats) -> Floats:
    return values.reshape(-1, values.shape[-1]).astype(np.float32)


def _covariance(rows: Floats) -> Floats:
    rows = rows - rows.mean(0)
    return rows.T @ rows / len(rows)


def recall(compress: Compressor, clips: Sequence[Clip], form: int = len(QUALITIES)) -> float:
    """Share of questions whose nearest frame of a coded form is of the right clip or photo."""
    held = np.concatenate([compress(clip.forms[form]) for clip in clips])
    scenes = np.concatenate([[_scene(clip)] * clip.forms.shape[1] for clip in clips])
    right = []
    for clip in clips:
        asked = compress(clip.asked.reshape(-1, *clip.asked.shape[2:]))
        right.append(scenes[(asked @ held.T).argmax(1)] == _scene(clip))
    return float(np.concatenate(right).mean())


def _scene(clip: Clip) -> str:
    stem, _, way = clip.name.rpartition("-")
    return stem if way in WAYS else clip.name


def save(weights: dict[str, NDArray[np.float32]], path: Path, card: dict[str, Any]) -> None:
    from safetensors.numpy import save as packed

    network = model_id(GUIDE.find()).hex()
    path.write_bytes(packed(weights, {"network": network}))
    card = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "network": network} | card
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")


def main(words: Sequence[str] | None = None) -> None:
    parser = ExactParser(prog="summary", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("folder", type=Path)
    add("--manifest", type=Path, required=True)
    add("--out", type=Path, required=True)
    add("--held-out", type=float, default=0.2, help="share of the sources (0.2)")
    add("--seed", type=int, default=0)
    options = parser.parse_args(words)
    clips = read_material(options.folder, options.manifest)
    learned, kept = split(clips, options.seed, options.held_out)
    weights = learn(learned)
    figures: dict[str, Any] = {"parameters": sum(value.size for value in weights.values())}
    figures |= {"clips": len(learned), "held_out_clips": [clip.name for clip in kept]}
    figures["manifest_sha256"] = hashlib.sha256(options.manifest.read_bytes()).hexdigest()
    for name, found in (("held_out", weights), ("largest_variance", learn(learned, False))):
        figures[f"recall_at_1_of_{name}"] = round(recall(Compressor(found), kept), 4)
    save(weights, options.out, figures)
    print(json.dumps(figures))
