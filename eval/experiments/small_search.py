"""Search by the shipped embedders and by tokens of GVC1D's network alone:
`python -m eval.experiments.small_search VIDEOS CACHE --photos DIR`.

Clips that no method has learned from (those of the card of `summary`) are coded at q 60 and joined
in random order; every method spends one hundredth of the bytes (`eval.search`). Questions are
frames as they are, cropped, and mirrored and coded again, and clips cropped and coded again. Photos
that move are there forwards and backwards: only the order of frames tells these apart.

    small                     reads the small perceptual network
    lp                        LP-Comp: reads both networks (`--weights`: another checkpoint)
    discriminants of network  latent tokens alone, by Fisher's discriminants of the learned clips

VIDEOS also serves to learn. CACHE keeps pictures and features; features of another network are
added, the rest is read. Rows have 95 % bootstrap intervals over clips.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eval.search import ASKED, CLIPS, Method, answer, join, questions, twins_of
from eval.tools import append_rows, read_facts
from gvcodec.api.decoded_frames import decode_planes
from gvcodec.models import GVC1D, LP_COMP, SUMMARY
from gvcodec.retrieval.compressor import Compressor
from gvcodec.retrieval.embedders import FrameTokens, Lp, Small
from gvcodec.retrieval.lp_comp import LpComp, load
from gvcodec.retrieval.thumbnails import thumbnail
from gvcodec.types import Planes
from gvcodec.util.messages import log_line
from training import lp_comp
from training.card import write_arrays
from training.summary import Clip, learn
from training.summary_material import (
    FORMAT,
    STRIDE,
    WAYS,
    encode,
    frames_of,
    move_photo,
    questions_of,
)

#: Frames of a video, as many as photos have.
FRAMES = 48
Q = 60
#: Random orders of the joined clips; draws of the bootstrap.
ORDERS, DRAWS = 3, 2000
#: What is reported: kinds of questions, and the field of an answer.
FIGURES = {
    "Recall@1": (ASKED, "recall@1"),
    "frame": (ASKED[:1], "recall@1"),
    "crop": (ASKED[1:2], "recall@1"),
    "mirrored recoding": (ASKED[2:], "recall@1"),
    "within 0.2 s": (ASKED, "near"),
    "clip Recall@1": (CLIPS, "recall@1"),
    "clip within 0.2 s": (CLIPS, "near"),
    "order": (CLIPS, "order"),
}
OUTPUT = Path("docs/data/gvc1d-small-search.csv")
FIELDS = ("method", "step", "training seed", "figure", "per cent", "low", "high", "clips")

Array = NDArray[Any]


def held_out() -> set[str]:
    """Clips that the shipped weights have not learned from."""
    card = json.loads(SUMMARY.find().with_suffix(".json").read_text())
    return set(card["held_out_clips"])


def cache_pictures(name: str, frames: list[Planes], target: Path) -> None:
    """Coded frames and questions as pictures of 256², with the bytes of the stream."""
    stream = encode(frames, Q)
    coded = list(decode_planes(stream, fidelity=True, threads=1))[::STRIDE]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    asked, asked_at, clips, clips_at = questions_of(frames, rng)

    def pictures(some: list[Planes]) -> Array:
        return np.stack([thumbnail(planes, FORMAT.colour, Lp.side) for planes in some])

    write_arrays(
        target,
        coded=pictures(coded),
        asked=np.stack([pictures(some) for some in asked]),
        asked_at=asked_at,
        clips=np.stack([[pictures(clip) for clip in same] for same in clips]),
        clips_at=clips_at,
        size=np.array(len(stream)),
    )


def fill(videos: Path, photos: Path | None, cache: Path, count: int) -> None:
    """Caches pictures of at most `count` videos and of as many photos."""
    cache.mkdir(parents=True, exist_ok=True)
    apart = held_out()
    clips = [(path.stem, path, 1) for path in sorted(videos.glob("*.mp4")) if path.stem in apart]
    clips = clips[:count]
    if photos:
        own = {name.rpartition("-")[0] for name in apart if name.rpartition("-")[2] in WAYS}
        chosen = [path for path in sorted(photos.glob("*.jpg")) if path.stem in own][:count]
        clips += [(f"{p.stem}-{name}", p, way) for p in chosen for name, way in WAYS.items()]
    for name, path, way in clips:
        target = cache / f"{name}.npz"
        if not target.is_file():
            moving = path.suffix == ".mp4"
            frames = frames_of(path, FRAMES) if moving else move_photo(path)[::way]
            cache_pictures(name, frames, target)
            log_line(name)


def add_features(cache: Path, kind: str, features: Callable[[Array], Array]) -> None:
    """Caches features (N, …), fp16, of all pictures, next to them in the folder `kind`."""
    folder = cache / kind
    folder.mkdir(exist_ok=True)
    for path in sorted(cache.glob("*.npz")):
        if (folder / path.name).is_file():
            continue
        with np.load(path) as cached:
            arrays = {}
            for key in ("coded", "asked", "clips"):
                pictures = cached[key]
                flat = features(pictures.reshape(-1, *pictures.shape[-3:])).astype(np.float16)
                arrays[key] = flat.reshape(*pictures.shape[:-3], *flat.shape[1:])
        write_arrays(folder / path.name, **arrays)


@dataclass(frozen=True)
class Material:
    """Held-out clips as `eval.search` reads them, by kind of features, and bytes of streams."""

    clips: dict[str, list[Clip]]
    sizes: list[int]


def read(cache: Path, kinds: Sequence[str]) -> Material:
    """Clips whose features of all kinds are there. The kind `A + B` has both, flat."""
    clips: dict[str, list[Clip]] = {kind: [] for kind in kinds}
    sizes = []
    for path in sorted(cache.glob("*.npz")):
        with np.load(path) as cached:
            at, clips_at = cached["asked_at"], cached["clips_at"]
            sizes.append(int(cached["size"]))
        for kind in kinds:
            parts = [np.load(cache / part / path.name) for part in kind.split(" + ")]
            joined = {key: _join([part[key] for part in parts]) for key in parts[0].files}
            forms, asked = joined["coded"][None], joined["asked"]
            clips[kind].append(
                Clip(path.stem, path.stem, forms, asked, at, joined["clips"], clips_at)
            )
    return Material(clips, sizes)


def _join(parts: Sequence[Array]) -> Array:
    """Features (…, tokens, features) as they are; those of several networks flat, (…, numbers)."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([part.reshape(*part.shape[:-2], -1) for part in parts], -1)


def lp_vectors(model: LpComp, small: Small) -> Callable[[Any], NDArray[np.float32]]:
    """Of flat patch tokens (16 tokens) and latent features (32 tokens); `small` narrows patches."""
    width = 16 * len(small.compress.centre)  # type: ignore[attr-defined]

    @torch.inference_mode()
    def vectors(tokens: Any) -> NDArray[np.float32]:
        flat = np.asarray(tokens, np.float32)
        patches = small.narrow(flat[:, :width].reshape(len(flat), 16, -1))
        latents = flat[:, width:].reshape(len(flat), 32, -1)
        both = model.tokens(torch.from_numpy(patches), torch.from_numpy(latents))
        return np.asarray(model(both).numpy())

    return vectors


def discriminants_of(clips: Sequence[lp_comp.Clip]) -> Compressor:
    """Of latent features alone, from the forms of the frames of these clips."""
    empty = np.zeros(0, np.int64)
    forms = [clip.latents.numpy() for clip in clips]
    return Compressor(learn([Clip("", "", one, one[:0], empty, one[:0], empty) for one in forms]))


def ask(clips: Sequence[Clip], sizes: Sequence[int], method: Method) -> dict[str, list[Array]]:
    """By figure, answers of each clip in all orders of the joined clips."""
    scores: dict[str, list[list[float]]] = {name: [[] for _ in clips] for name in FIGURES}
    for seed in range(ORDERS):
        order = np.random.default_rng(seed).permutation(len(clips))
        mixed = [clips[n] for n in order]
        parts = [method.vectors(clip.forms[0]) for clip in mixed]
        lengths = [STRIDE * len(part) for part in parts]
        joined = join(parts, lengths, [sizes[n] for n in order])
        twins = twins_of([clip.name for clip in mixed])
        for question in questions(mixed, method):
            row = answer(question, method.rank(question.vectors, joined), joined, twins)
            for name, (kinds, key) in FIGURES.items():
                if question.kind in kinds and row[key] is not None:
                    scores[name][int(order[question.clip])].append(float(row[key]))
    return {name: [np.array(values) for values in clips] for name, clips in scores.items()}


def interval(answers: Sequence[Array]) -> tuple[float, float, float, int]:
    """Mean and bootstrap bounds in per cent over clips, and their number."""
    means = np.array([100 * values.mean() for values in answers if len(values)])
    draws = np.random.default_rng(0).integers(0, len(means), (DRAWS, len(means)))
    low, high = np.percentile(means[draws].mean(1), (2.5, 97.5))
    return float(means.mean()), float(low), float(high), len(means)


def methods_of(cache: Path, model: Path, weights: Path) -> dict[str, tuple[str, Method]]:
    """By name the kind of features and the method. `cache`: of clips to learn from; `weights`: of
    LP-Comp, made for the GVC1D network `model`."""
    small, network = Small(), lp_comp.network_id(model)
    learned, validation, _ = lp_comp.split(lp_comp.read_clips(cache, model))
    lp = lp_vectors(load(weights, model), small)
    return {
        "small": ("patches", Method(small.compress)),
        "lp": (f"patches + {network}", Method(lp)),
        "discriminants of network": (network, Method(discriminants_of([*learned, *validation]))),
    }


def prepare(options: argparse.Namespace, model: Path) -> None:
    """Fills the cache as far as missing."""
    lp_comp.fill(options.videos, options.cache / "learn", model)
    asked = options.cache / "asked"
    fill(options.videos, options.photos, asked, options.count)
    reader = FrameTokens(model)
    add_features(asked, "patches", reader.patches)
    add_features(asked, lp_comp.network_id(model), reader.latents)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m eval.experiments.small_search")
    add = parser.add_argument
    add("videos", type=Path, metavar="VIDEOS", help="folder of videos")
    add("cache", type=Path, metavar="CACHE", help="folder for pictures and features")
    add("--photos", type=Path, metavar="DIR", help="photos to be moved")
    add("--model", type=Path, help="weights of the GVC1D network (the shipped ones)")
    add("--weights", type=Path, help="weights of LP-Comp (the shipped ones)")
    add("--count", type=int, default=40, help="held-out videos and photos at most (40)")
    add("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    model, weights = GVC1D.find(options.model), LP_COMP.find(options.weights)
    prepare(options, model)
    methods = methods_of(options.cache / "learn", model, weights)
    kinds = dict.fromkeys(kind for kind, _ in methods.values())
    material, facts = read(options.cache / "asked", list(kinds)), read_facts(model)
    for name, (kind, method) in methods.items():
        for figure, answers in ask(material.clips[kind], material.sizes, method).items():
            if any(len(values) for values in answers):
                training = ["", ""] if name == "small" else facts
                mean, low, high, count = interval(answers)
                row = [name, *training, figure, *(round(x, 1) for x in (mean, low, high)), count]
                append_rows(options.output, FIELDS, [row])
                print(*row, flush=True)


if __name__ == "__main__":
    main()
