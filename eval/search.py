"""Retrieval accuracy of summaries: `python -m eval search MATERIAL --manifest manifest.csv --out
DIR`.

MATERIAL is made by `python -m training summary_material`. For every seed a third of the
clips is held out by source, the compressor learns from the others, and the held-out clips are
joined in random order, a GOP each, as `gvcodec cat` would. Questions are frames between those that
have vectors (as they are, cropped, mirrored and coded again by x264) and clips of about a second
(cropped, coded again). Photos that move are there forwards and backwards: only the order of frames
tells these apart. Every method gets one hundredth of the bytes of the streams, spent by
`gvcodec.retrieval.making.Budget`; the searched vectors are unpacked from the packets.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.arguments import add_out
from eval.tools import log_line, markdown, write_json, write_text
from gvcodec.retrieval.compressor import DIM, Compressor, lengthen
from gvcodec.retrieval.embedders import Small
from gvcodec.retrieval.making import SHARE, STRIDES, Budget
from gvcodec.retrieval.ranking import scores
from gvcodec.retrieval.summary import Summary, quantise
from training.summary import Clip, learn, read_material, split
from training.summary_material import CLIP_STEP, QUALITIES, RATE, STRIDE, WAYS

ASKED, CLIPS = ("frame", "crop", "mirrored recoding"), ("cropped clip", "recoded clip")
_HELD = 0.33
#: Half of a 95 % interval in standard errors, by the number of seeds (Student's t).
_T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}
#: Seconds within which a moment counts as found.
NEAR = 0.2

Vectors = NDArray[np.float32]


@dataclass
class _Named:
    """Facts of an embedder for `Budget`."""

    dim: int
    id: bytes = bytes(8)
    step: int = Small.step


@dataclass
class Joined:
    """Vectors (N, dim) with their frame numbers (N,) in the joined file; `starts` of the clips and
    `total` of frames; bytes of summaries and streams."""

    values: Vectors
    frames: NDArray[np.int64]
    starts: NDArray[np.int64]
    total: int
    spent: int
    size: int


def join(
    parts: Sequence[Vectors], frames: Sequence[int], sizes: Sequence[int], share: float = SHARE
) -> Joined:
    """Clips one after another, their vectors (STRIDE frames apart) as they come back from
    packets."""
    named: Any = _Named(parts[0].shape[1])
    budget = Budget(named, [stride for stride in STRIDES if stride >= STRIDE], share)
    values, numbers, at = [], [], 0
    for vectors, count, size in zip(parts, frames, sizes, strict=True):
        packet = budget.packet(quantise(vectors, Small.step), STRIDE, size)
        summary = Summary.unpack(packet.payload, count)
        values.append(summary.values)
        numbers.append(at + summary.stride * np.arange(len(summary.vectors)))
        at += count
    starts = np.concatenate([[0], np.cumsum(frames)[:-1]])
    size = sum(sizes) + budget.spent_bytes
    return Joined(
        np.concatenate(values), np.concatenate(numbers), starts, at, budget.spent_bytes, size
    )


@dataclass(frozen=True)
class Method:
    """`vectors` of tokens (N, 16, features), whether they are held to the bytes, and whether clips
    are compared in their order or frame by frame with single moments."""

    vectors: Callable[[Any], Vectors]
    limited: bool = True
    in_order: bool = True

    def rank(self, query: Vectors, joined: Joined) -> NDArray[np.float64]:
        """Scores (N,) of all vectors of the file."""
        offsets = float(CLIP_STEP) * np.arange(len(query)) * self.in_order
        return scores(query, offsets, joined.values, joined.frames)


def methods_of(learned: Sequence[Clip], seed: int) -> dict[str, Method]:
    """The compared embedders, learned from these clips."""
    found = {}
    for name, discriminants in (("discriminants", True), ("largest variance", False)):
        compress = Compressor(learn(learned, discriminants))
        found[name] = Method(compress)
        found[f"{name}, clips without order"] = Method(compress, in_order=False)
    found["16 tokens, not pooled"] = Method(whole_tokens(Compressor(learn(learned))), limited=False)
    rng = np.random.default_rng(seed)
    found["random"] = Method(lambda tokens: 3 * rng.normal(size=(len(tokens), DIM)))
    return found


def whole_tokens(compress: Compressor) -> Callable[[Any], Vectors]:
    """All 16 tokens along the same directions, one after another, not rounded."""

    def vectors(tokens: Any) -> Vectors:
        return lengthen((compress.standardise(tokens) @ compress.project).reshape(len(tokens), -1))

    return vectors


@dataclass(frozen=True)
class Asked:
    """A question: `kind`, vectors (M, dim), number of the clip and frame in it."""

    kind: str
    vectors: Vectors
    clip: int
    at: int


def questions(clips: Sequence[Clip], method: Method) -> list[Asked]:
    """Of all clips: `ASKED`, one frame each, and `CLIPS`."""
    found = []
    for number, clip in enumerate(clips):
        for kinds, tokens, at in (
            (ASKED, clip.asked[:, :, None], clip.asked_at),
            (CLIPS, clip.clips, clip.clips_at),
        ):
            for kind, same in zip(kinds, tokens, strict=True):
                for one, place in zip(same, at.tolist(), strict=True):
                    found.append(Asked(kind, method.vectors(one), number, int(place)))
    return found


def answer(
    asked: Asked, scores: NDArray[Any], joined: Joined, twins: Sequence[int]
) -> dict[str, Any]:
    """Of one question. `twins`: by clip the number of the one with the same frames backwards, or
    its own. To a single frame the twin is as right as the clip."""
    owners = np.searchsorted(joined.starts, joined.frames, "right") - 1
    best = np.full(len(joined.starts), -np.inf)
    np.maximum.at(best, owners, scores)
    order = [int(n) for n in np.argsort(-best, kind="stable")]
    own, twin = asked.clip, twins[asked.clip]
    right = {own} if asked.kind in CLIPS else {own, twin}
    wanted = int(joined.starts[own]) + asked.at
    mine = np.flatnonzero(owners == own)
    off = abs(int(joined.frames[mine[scores[mine].argmax()]]) - wanted) / RATE
    return {
        "kind": asked.kind,
        "recall@1": order[0] in right,
        "recall@5": bool(right & set(order[:5])),
        "seconds": off,
        "near": off <= NEAR,
        "order": (1 + np.sign(best[own] - best[twin])) / 2
        if twin != own and asked.kind in CLIPS
        else None,
        "third": 3 * wanted // joined.total,
    }


def measure(
    clips: Sequence[Clip], method: Method, form: int, sizes: Sequence[int]
) -> dict[str, Any]:
    """Figures of a method on joined clips of one form."""
    frames = [STRIDE * clip.forms.shape[1] for clip in clips]
    parts = [method.vectors(clip.forms[form]) for clip in clips]
    if method.limited:
        joined = join(parts, frames, sizes)
    else:
        joined = join([part[:, :8] for part in parts], frames, [1 << 30] * len(parts))
        joined.values = np.concatenate(parts)
    twins = twins_of([clip.name for clip in clips])
    asked = questions(clips, method)
    rows = [answer(one, method.rank(one.vectors, joined), joined, twins) for one in asked]
    return sum_up(rows) | {"share": joined.spent / joined.size if method.limited else None}


def twins_of(clips: Sequence[str]) -> list[int]:
    """By name of a clip of a photo the number of its other one, else its own."""
    names = {clip: number for number, clip in enumerate(clips)}
    other = dict(zip(WAYS, reversed(WAYS), strict=True))
    found = []
    for number, clip in enumerate(clips):
        stem, _, way = clip.rpartition("-")
        found.append(names.get(f"{stem}-{other[way]}", number) if way in other else number)
    return found


def sum_up(rows: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, kinds in (("", ASKED), ("clip ", CLIPS)):
        own = [row for row in rows if row["kind"] in kinds]
        for key in ("recall@1", "recall@5", "near"):
            found[name + key] = mean_of([row[key] for row in own])
        found[f"{name}seconds"] = mean_of([row["seconds"] for row in own], np.median)
    for kind in (*ASKED, *CLIPS):
        found[kind] = mean_of([row["recall@1"] for row in rows if row["kind"] == kind])
    found["order"] = mean_of([row["order"] for row in rows if row["order"] is not None])
    found["thirds"] = [mean_of([r["recall@1"] for r in rows if r["third"] == n]) for n in range(3)]
    return found


def mean_of(values: Sequence[float], mean: Callable[..., Any] = np.mean) -> float | None:
    return float(mean(values)) if len(values) else None


def one_seed(
    clips: Sequence[Clip], folder: Path, seed: int, of: Sequence[int]
) -> list[dict[str, Any]]:
    """Rows of all methods at the qualities `of`."""
    learned, held = split(clips, seed, _HELD)
    twins = twins_of([clip.name for clip in held])
    held = [c for n, c in enumerate(held) if twins[n] != n or c.name.rpartition("-")[2] not in WAYS]
    held = [held[n] for n in np.random.default_rng(seed).permutation(len(held))]
    methods = methods_of(learned, seed)
    rows = []
    for form, q in ((n, q) for n, q in enumerate(QUALITIES, 1) if q in of):
        sizes = [(folder / f"{clip.name}.q{q}.gvc").stat().st_size for clip in held]
        for name, method in methods.items():
            row = {"method": name, "q": q, "seed": seed, "clips": len(held)}
            rows.append(row | measure(held, method, form, sizes))
    return rows


def interval(values: Sequence[float | None], scale: float = 100, digits: int = 1) -> str:
    """Mean ± half of its 95 % interval; in brackets how many values, where some are missing."""
    good = np.array([v for v in values if v is not None and not math.isnan(v)]) * scale
    if not len(good):
        return ""
    half = (
        _T.get(len(good), 2.78) * good.std(ddof=1) / np.sqrt(len(good)) if len(good) > 1 else np.nan
    )
    part = f" ({len(good)})" if len(good) < len(values) else ""
    return (
        f"{good.mean():.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}") + part
    )


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: methods by quality."""
    columns = {
        "Recall@1": "recall@1", "mirrored recoding": ASKED[2], "≤ 0.2 s": "near",
        "clip Recall@1": "clip recall@1", "clip ≤ 0.2 s": "clip near", "order": "order",
    }  # fmt: skip
    header = ["method", "seeds", *columns, "s off", "clip s off", "% of bytes"]
    header.append("begin / middle / end")
    results = sorted(results, key=lambda row: row["q"])
    parts = []
    for q, same in itertools.groupby(results, key=lambda row: row["q"]):
        of_q = list(same)
        lines = []
        for name in dict.fromkeys(row["method"] for row in of_q):
            rows = [row for row in of_q if row["method"] == name]
            cells = [name, str(len(rows))]
            cells += [interval([row[key] for row in rows]) for key in columns.values()]
            for key in ("seconds", "clip seconds"):
                cells.append(interval([row[key] for row in rows], 1, 2))
            cells.append(interval([row["share"] for row in rows], digits=2) or "no limit")
            thirds = np.mean([row["thirds"] for row in rows], 0) * 100
            lines.append([*cells, " / ".join(f"{value:.0f}" for value in thirds)])
        parts.append(f"**q {q}**\n\n{markdown(header, lines)}")
    return "\n\n".join(parts) + "\n"


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    made_by = "folder of python -m training summary_material"
    add("material", type=Path, help=made_by)
    manifest = "columns file and source_repo: which clips are of one source"
    add("--manifest", type=Path, required=True, metavar="CSV", help=manifest)
    add("--seeds", type=int, default=5, help="random splits of the clips (5)")
    add("--q", type=int, nargs="+", default=[60], help="qualities of the streams (60)")
    add_out(parser)


def run(options: argparse.Namespace) -> None:
    """Writes a JSON a seed, and table.md; existing files are kept."""
    clips = read_material(options.material, options.manifest)
    results: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        kept = options.out / f"seed-{seed}.json"
        if not kept.is_file():
            log_line(f"seed {seed}")
            write_json(kept, one_seed(clips, options.material, seed, options.q))
        results += json.loads(kept.read_text())
    write_text(options.out / "table.md", table(results))
    print(table(results))
