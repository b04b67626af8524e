"""XComp's claims on the tokens of GVC1D, in the miniature world:
`python -m eval.experiments.miniature_search [--model W]`.

Each frame of held-out clips is coded; its integers become vectors. A query is the first frame of a
shot that returns; right answers are frames of the same scene in the same clip before it. All frames
of all clips compete, except those of the query's own shot and after it. Vectors are projected by
principal components of the tokens (of other clips) and stored as int8, with the same bytes a clip:

    one token a frame      every frame, the first components of its tokens
    many tokens, few frames  every fourth frame, four times the numbers
    shuffled               every frame, tokens of another frame
    chosen by the query    the quarter of the frames nearest to the query by a vector of
                           fewer numbers, compared by four times the numbers

"By quarter": hits by the quarter of the index in which the first right answer lies. Comparisons
have no positions, so a bias can only come from the clips.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eval.experiments.miniature import source
from eval.experiments.miniature_claims import FIELDS, OUTPUT, RATE, show
from eval.tools import append_rows
from gvcodec.gvc1d import budgets, ops_exact
from gvcodec.gvc1d.frame_coder import FrameCoder
from gvcodec.gvc1d.weights import read_network
from training import world

Vectors = NDArray[np.float32]
#: int8 numbers a frame.
NUMBERS = (2, 3, 4)


class CodedClip(NamedTuple):
    """A clip: integers of each frame [F, W * T, C], scene [F], and the queries."""

    tokens: Vectors
    scene: NDArray[np.int64]
    returns: list[int]


def code(model: Path, seed: int, frames: int) -> CodedClip:
    config, weights = read_network(model)
    coder = FrameCoder(config, weights, ops_exact, (world.SIZE, world.SIZE))
    budget, tokens = budgets.Uniform(1.0), []
    for number, planes in enumerate(source(seed, frames)):
        frame = budget.choose(coder, planes, RATE, not number)
        coder.encode(frame)
        tokens.append(frame.tokens.reshape(-1, config.channels))
    clip = world.draw(seed, frames)
    returns = [frame for frame, is_return in clip.cuts() if is_return]
    return CodedClip(np.stack(tokens).astype(np.float32), clip.scene, returns)


def components(clips: list[CodedClip]) -> tuple[Vectors, Vectors]:
    """Mean and directions [K, N] of all tokens of a frame side by side, largest variance first."""
    flat = np.concatenate([clip.tokens.reshape(len(clip.tokens), -1) for clip in clips])
    mean = flat.mean(0)
    _, _, directions = np.linalg.svd(flat - mean, full_matrices=False)
    return mean, directions.T.astype(np.float32)


def project(tokens: Vectors, basis: tuple[Vectors, Vectors], numbers: int) -> Vectors:
    """[F, numbers] in int8 steps, of unit length."""
    values = (tokens.reshape(len(tokens), -1) - basis[0]) @ basis[1][:, :numbers]
    scale = np.abs(values).max(initial=1e-6) / 127
    values = np.rint(values / scale)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)


class Index(NamedTuple):
    """Vectors [N, D], with clip and frame of each [N]."""

    vectors: Vectors
    clip: NDArray[np.int64]
    frame: NDArray[np.int64]


def build(clips: list[CodedClip], vectors: list[Vectors], step: int) -> Index:
    numbers = [np.full(len(v[::step]), n) for n, v in enumerate(vectors)]
    frames = [np.arange(0, len(v), step) for v in vectors]
    parts = np.concatenate([v[::step] for v in vectors])
    return Index(parts, np.concatenate(numbers), np.concatenate(frames))


def hits(clips: list[CodedClip], index: Index, scores: Any) -> list[tuple[int, int, bool]]:
    """(clip, place of the first right answer, whether the best frame is right) of each query that
    has a right answer; `scores(clip, frame)` [N]."""
    results = []
    for number, clip in enumerate(clips):
        for frame in clip.returns:
            earlier = np.flatnonzero(clip.scene[:frame] == clip.scene[frame])
            right = (index.clip == number) & np.isin(index.frame, earlier)
            if not right.any():
                continue
            allowed = (index.clip != number) | (index.frame < frame)
            score = np.where(allowed, scores(number, frame), -np.inf)
            results.append((number, int(np.flatnonzero(right)[0]), bool(right[score.argmax()])))
    return results


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m eval.experiments.miniature_search")
    parser.add_argument("--model", type=Path, default=Path("checkpoints/gvc1d-mini.safetensors"))
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=48)
    options = parser.parse_args(words)
    first = world.FIRST_TEST_SEED + 3000
    all_clips = [code(options.model, first + n, options.frames) for n in range(options.clips + 8)]
    clips, basis = all_clips[8:], components(all_clips[:8])
    for numbers in NUMBERS:
        compare(clips, basis, numbers)


def compare(clips: list[CodedClip], basis: tuple[Vectors, Vectors], numbers: int) -> None:
    """All ways at so many bytes a frame."""
    rng = np.random.default_rng(1)
    whole = [project(clip.tokens, basis, numbers) for clip in clips]
    wide = [project(clip.tokens, basis, 4 * numbers) for clip in clips]
    mixed = [project(rng.permutation(clip.tokens), basis, numbers) for clip in clips]
    every, fourth = build(clips, whole, 1), build(clips, wide, 4)
    shuffled = build(clips, mixed, 1)
    coarse = [v[:, : max(2, numbers // 2)] for v in whole]
    narrow = build(clips, coarse, 1)

    def score_nearest(number: int, frame: int) -> Vectors:
        """Scores of the frames that the query attends to most; the others are left out."""
        attended = narrow.vectors @ coarse[number][frame]
        nearest = np.argsort(-attended)[: len(attended) // 4]
        scores = np.full(len(attended), -1.0, np.float32)
        full = np.concatenate(wide)
        scores[nearest] = full[nearest] @ wide[number][frame]
        return scores

    rows = {
        "one token a frame": hits(clips, every, lambda n, f: every.vectors @ whole[n][f]),
        "many tokens, every fourth frame": hits(
            clips, fourth, lambda n, f: fourth.vectors @ wide[n][f]
        ),
        "shuffled": hits(clips, shuffled, lambda n, f: shuffled.vectors @ whole[n][f]),
        "chosen by the query": hits(clips, every, score_nearest),
    }
    for name, results in rows.items():
        by_clip = [
            100 * float(np.mean([right for clip, _, right in results if clip == number]))
            for number in sorted({clip for clip, _, _ in results})
        ]
        size = len(every.clip) if "fourth" not in name else len(fourth.clip)
        quarters = [
            100
            * np.mean([r for _, place, r in results if place * 4 // size == quarter] or [np.nan])
            for quarter in range(4)
        ]
        append_rows(
            OUTPUT,
            FIELDS,
            [[*("search", f"{numbers} bytes, {name}"), *[""] * 7, round(np.mean(by_clip), 2)]],
        )
        print(
            f"{numbers} bytes, {name}",
            len(results),
            show(by_clip),
            "by quarter",
            *np.round(quarters, 1),
            sep=" | ",
        )


if __name__ == "__main__":
    main()
