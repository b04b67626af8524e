"""LP-Comp and QC-Comp against discriminants, mean pooling and cosines: `python -m eval xcomp CACHE
--out DIR`.

CACHE is the folder of `python -m training lp_comp`. Clips that no method has learned from are
joined in random order, a GOP each, as coded; every method gets the same bytes a clip for its
vectors, which are unpacked from packets. Questions are single frames as they are and changed
(another part of the picture, mirrored, brighter or darker), and clips of four frames in order.
`begin / middle / end`: by the third of the joined file that the answer lies in."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eval.arguments import add_out
from eval.search import Joined, interval, join
from eval.tools import markdown, write_json, write_text
from gvcodec.models import GVC1D, LP_COMP
from gvcodec.retrieval.compressor import DIM, lengthen
from gvcodec.retrieval.lp_comp import LpComp, load
from gvcodec.retrieval.making import SHARE
from gvcodec.retrieval.ranking import SEGMENT, Attention, attend, scores
from training.lp_comp import FORMS, FRAMES, STRIDE, Clip, read_clips, split

Vectors = NDArray[np.float32]
Rank = Callable[[Vectors, Sequence[float], Vectors, NDArray[np.int64]], NDArray[np.float64]]

BYTES = (64, 128, 256)
#: Kinds of questions, the form of their frames, how many, and frames between two questions.
_QUESTIONS = (
    ("frame", "source", 1, 1),
    ("changed frame", "changed", 1, 1),
    ("clip", "source", 4, 2),
)


def summaries_of(learned: Sequence[Clip], best: LpComp) -> dict[str, Callable[[Clip], Vectors]]:
    """Functions that make vectors (forms, frames, 64) of a clip, by name."""
    torch.manual_seed(0)

    def by(model: LpComp, shuffle: bool = False) -> Callable[[Clip], Vectors]:
        @torch.inference_mode()
        def vectors(clip: Clip) -> Vectors:
            patches, latents = clip.patches.float(), clip.latents.float()
            latents = latents.roll(FRAMES // 2, 1) if shuffle else latents
            rows = model(model.tokens(patches.flatten(0, 1), latents.flatten(0, 1)))
            return rows.view(len(FORMS), FRAMES, DIM).numpy()

        return vectors

    def pooled(key: str) -> Callable[[Clip], Vectors]:
        rows = np.concatenate(
            [means(clip, key).reshape(-1, means(clip, key).shape[2]) for clip in learned]
        )
        centre, spread = rows.mean(0), rows.std(0) + 1e-3
        unit = (rows - centre) / spread
        values, turned = np.linalg.eigh(unit.T @ unit / len(unit))
        project = turned[:, ::-1][:, :DIM] / np.maximum(values[::-1][:DIM], 1e-6) ** 0.25
        return lambda clip: lengthen((means(clip, key) - centre) / spread @ project)

    return {
        "discriminants (`small`, where LP-Comp begins)": by(LpComp(best.enter.in_features).eval()),
        "LP-Comp": by(best),
        "LP-Comp, latent tokens of another frame": by(best, shuffle=True),
        "mean of patch tokens": pooled("pooled"),
        "mean of latent tokens": pooled("latents"),
    }


def means(clip: Clip, key: str) -> Vectors:
    """(forms, frames, features)"""
    values = getattr(clip, key).float().numpy()
    return values.mean(2) if values.ndim == 4 else values


def rankings_of(best: LpComp) -> dict[str, Rank]:
    """Functions that rank moments, by name."""
    ask, look = (getattr(best, name).detach().double().numpy() for name in ("ask", "look"))
    learned = Attention(ask, look, float(best.sharpness.detach()))

    def by(attention: Attention, segment: int) -> Rank:
        return lambda *arguments: attend(*arguments, attention, segment)

    return {
        "cosine": scores,
        "qc, not trained": by(Attention(), SEGMENT),
        "qc": by(learned, SEGMENT),
        "qc over the whole file": by(learned, 0),
    }


@dataclass(frozen=True)
class Answer:
    """The answer to one question: whether the best moment is in the right clip, and within 0.2 s of
    the right one; the third of the file."""

    kind: str
    clip: bool
    near: bool
    third: int


def answers(vectors: Sequence[Vectors], joined: Joined, rank: Rank) -> list[Answer]:
    """Answers to all questions."""
    results = []
    for number, own in enumerate(vectors):
        for kind, form, length, stride in _QUESTIONS:
            for at in range(0, FRAMES - length + 1, stride):
                query = own[FORMS.index(form), at : at + length]
                fits = rank(
                    query, [STRIDE * n for n in range(length)], joined.values, joined.frames
                )
                best = int(joined.frames[int(fits.argmax())])
                target = int(joined.starts[number]) + STRIDE * at
                right = joined.starts.searchsorted(best, "right") - 1 == number
                near = abs(best - target) <= 5  # 0.2 s of 25 frames a second
                results.append(Answer(kind, bool(right), near, 3 * target // joined.total))
    return results


def sum_up(results: Sequence[Answer]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for kind, *_ in _QUESTIONS:
        own = [answer for answer in results if answer.kind == kind]
        row[kind] = float(np.mean([answer.clip for answer in own]))
        row[f"{kind}, 0.2 s"] = float(np.mean([answer.near for answer in own]))
    row["thirds"] = [float(np.mean([a.near for a in results if a.third == n])) for n in range(3)]
    return row


def measure(
    clips: Sequence[Clip], learned: Sequence[Clip], best: LpComp, seeds: int
) -> list[dict[str, Any]]:
    """A row for each seed, number of bytes, summary and ranking."""
    rows = []
    rankings = rankings_of(best)
    for name, vectors_of in summaries_of(learned, best).items():
        vectors = [vectors_of(clip) for clip in clips]
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(len(clips))
            mixed = [vectors[n] for n in order]
            for size in BYTES:
                coded = [own[FORMS.index("coded")] for own in mixed]
                frames = [FRAMES * STRIDE] * len(mixed)
                joined = join(coded, frames, [round(size / SHARE)] * len(mixed))
                for ranking, rank in rankings.items():
                    if ranking != "cosine" and name != "LP-Comp":
                        continue
                    facts = {"summary": name, "ranking": ranking, "bytes": size, "seed": seed}
                    spent = {"spent": joined.spent / len(mixed), "vectors": len(joined.frames)}
                    rows.append(facts | spent | sum_up(answers(mixed, joined, rank)))
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown."""
    keys = ["frame", "frame, 0.2 s", "changed frame", "changed frame, 0.2 s", "clip", "clip, 0.2 s"]
    lines = []
    for size, name, ranking in dict.fromkeys(
        (r["bytes"], r["summary"], r["ranking"]) for r in rows
    ):
        own = [r for r in rows if (r["bytes"], r["summary"], r["ranking"]) == (size, name, ranking)]
        thirds = 100 * np.mean([row["thirds"] for row in own], 0)
        spent = f"{np.mean([row['spent'] for row in own]):.0f}"
        cells = [interval([row[key] for row in own]) for key in keys]
        lines.append(
            [str(size), name, ranking, spent, *cells, " / ".join(f"{v:.0f}" for v in thirds)]
        )
    header = ["bytes a clip", "summary", "ranking", "spent", *keys, "begin / middle / end"]
    return markdown(header, sorted(lines, key=lambda line: int(line[0]))) + "\n"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cache", type=Path, help="folder of python -m training lp_comp")
    parser.add_argument("--weights", type=Path, help="weights of LP-Comp (the shipped ones)")
    parser.add_argument(
        "--model", type=Path, help="weights of the GVC1D network (the shipped ones)"
    )
    parser.add_argument("--seeds", type=int, default=5, help="orders of the clips (5)")
    add_out(parser)


def run(options: argparse.Namespace) -> None:
    """Writes xcomp.json and table.md."""
    learned, _, held_out = split(read_clips(options.cache, options.model))
    best = load(LP_COMP.find(options.weights), GVC1D.find(options.model))
    rows = measure(held_out, learned, best, options.seeds)
    write_json(options.out / "xcomp.json", rows)
    write_text(options.out / "table.md", table(rows))
    print(table(rows))
