"""Does a summary find what it should: `python -m eval search MATERIAL --manifest manifest.csv --out
DIR`.

MATERIAL is made by `python -m gvcodec.train.summary_material`. For every seed about 60 clips are
held out by source, the networks learn from the others, and the held-out clips are joined in random
order, a GOP each, as `gvcodec cat` would. Questions are frames between those that have vectors: as
they are, cropped, and mirrored and coded anew by x264. Every method gets one hundredth of the bytes
of the streams, spent by `gvcodec.search.making.Budget`; what is searched is what was unpacked from
the packets."""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from eval.tools import EvalError, say, write_json
from gvcodec.search.compressor import DIM, LpComp, Variant
from gvcodec.search.embedders import Small, lengthened
from gvcodec.search.making import SHARE, STRIDES, Budget
from gvcodec.search.ranking import SEGMENT, best, scores
from gvcodec.search.summary import Summary, quantised
from gvcodec.train.summary import Clip, read_material, split, train
from gvcodec.train.summary_material import QUALITIES, STRIDE

ASKED = ("frame", "crop", "mirrored recoding")
_HELD, _FPS = 60, 25
#: Half of a 95 % interval in standard errors, by the number of seeds (Student's t).
_T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}
LEARNED = {
    "LP-Comp": Variant(),
    "one special token": Variant(progressive=False, special=True),
    "LP-Comp, one step": Variant(progressive=False),
    "LP-Comp, uniform": Variant(kept="uniform"),
    "LP-Comp, local attention": Variant(local=True),
}
MEAN = {"mean pooling": Variant(learned=False, progressive=False)}
FREE = {
    "attention, not learned": Variant(learned=False),
    "attention, not learned, uniform": Variant(learned=False, kept="uniform"),
}

Vectors = NDArray[np.float32]


@dataclass
class _Named:
    """What `Budget` knows of an embedder."""

    dim: int
    id: bytes = bytes(8)
    step: int = Small.step


@dataclass
class Joined:
    """Vectors (N, dim) with their frame numbers (N,) in the joined file; `starts` of the clips and
    `frames` of all; bytes of summaries and streams."""

    values: Vectors
    frames: NDArray[np.int64]
    starts: NDArray[np.int64]
    total: int
    spent: int
    size: int

    def clip_of(self, frame: int) -> int:
        return int(np.searchsorted(self.starts, frame, "right")) - 1


def join(
    parts: Sequence[Vectors], frames: Sequence[int], sizes: Sequence[int], share: float = SHARE
) -> Joined:
    """Clips one after another, their vectors (STRIDE frames apart) as they come back from
    packets."""
    named: Any = _Named(parts[0].shape[1])
    budget = Budget(named, [stride for stride in STRIDES if stride >= STRIDE], share)
    values, numbers, at = [], [], 0
    for vectors, count, size in zip(parts, frames, sizes, strict=True):
        packet = budget.packet(quantised(vectors, Small.step), STRIDE, size)
        summary = Summary.unpack(packet.payload, count)
        values.append(summary.values)
        numbers.append(at + summary.stride * np.arange(len(summary.vectors)))
        at += count
    starts = np.concatenate([[0], np.cumsum(frames)[:-1]])
    return Joined(
        np.concatenate(values),
        np.concatenate(numbers),
        starts,
        at,
        budget.spent,
        sum(sizes) + budget.spent,
    )


def by_network(model: LpComp) -> Callable[[torch.Tensor], Vectors]:
    def vectors(tokens: torch.Tensor) -> Vectors:
        with torch.inference_mode():
            return model(tokens).numpy()

    return vectors


def thumbnails(clip: Clip, folder: Path) -> tuple[Vectors, Vectors]:
    """Pictures of 8 × 8 as vectors: of every STRIDE-th frame, and of the questions (3, 2, 64)."""
    with np.load(folder / f"{clip.name}.npz") as held:
        small, asked = held["small"][::STRIDE], held["asked_small"]
    return _tiny(small), _tiny(asked.reshape(-1, *asked.shape[2:])).reshape(*asked.shape[:2], -1)


def _tiny(pictures: NDArray[np.uint8]) -> Vectors:
    n, height, width, _ = pictures.shape
    grey = pictures.astype(np.float32) @ np.array([0.3, 0.59, 0.11], np.float32)
    cells = grey.reshape(n, 8, height // 8, 8, width // 8).mean((2, 4)).reshape(n, -1)
    return lengthened(cells - cells.mean(1, keepdims=True) + 1e-3)


def answers(found: Sequence[Any], joined: Joined, clip: int, frame: int) -> dict[str, float]:
    """Recall, error of time and place of one question about a frame of a clip."""
    owners = [joined.clip_of(moment.frame) for moment in found]
    wanted = int(joined.starts[clip]) + frame
    right = [moment.frame for moment, owner in zip(found, owners, strict=True) if owner == clip]
    return {
        "recall@1": float(owners[:1] == [clip]),
        "recall@5": float(clip in owners[:5]),
        "seconds": abs(right[0] - wanted) / _FPS if right else np.nan,
        "third": 3 * wanted // joined.total,
    }


def ask(
    joined: Joined, asked: Sequence[Vectors], at: Sequence[NDArray[np.int64]], score: Any = scores
) -> list[dict[str, Any]]:
    """All questions, (kind, 2, dim) of each clip."""
    rows = []
    for clip, (questions, numbers) in enumerate(zip(asked, at, strict=True)):
        for kind, pair in zip(ASKED, questions, strict=True):
            for question, frame in zip(pair, numbers, strict=True):
                found = best(score(question[None], joined.values, joined.frames), joined.frames, 5)
                rows.append({"kind": kind} | answers(found, joined, clip, int(frame)))
    return rows


def summed(query: Vectors, values: Vectors, frames: NDArray[np.int64]) -> NDArray[np.float64]:
    """The paper's form: softmax over a segment, whose parts add up to 1, times the largest
    cosine."""
    total = np.zeros(len(values))
    q, z = query[0], values
    cosines = z @ q / np.maximum(np.linalg.norm(z, axis=1) * np.linalg.norm(q), 1e-9)
    logits = z @ q / np.sqrt(z.shape[1])
    for shift in (0, 16, 32, 48):
        segments = (frames + shift) // SEGMENT
        for segment in np.unique(segments):
            inside = segments == segment
            weight = np.exp(logits[inside] - logits[inside].max())
            total[inside] += weight / weight.sum() * cosines[inside].max()
    return total


class _Ceiling:
    """16 tokens a frame, not compressed: mean over the question's tokens of the largest cosine."""

    def __init__(self, model: LpComp, clips: Sequence[Clip], form: int) -> None:
        self._model = model
        with torch.inference_mode():
            self._held = torch.cat(
                [F.normalize(model.narrow(clip.forms[form]), dim=2) for clip in clips]
            )

    def __call__(self, question: torch.Tensor) -> NDArray[np.float64]:
        with torch.inference_mode():
            q = F.normalize(self._model.narrow(question), dim=1)
            return torch.einsum("td,nsd->nts", q, self._held).amax(2).mean(1).double().numpy()


def ceiling(model: LpComp, clips: Sequence[Clip], form: int) -> list[dict[str, Any]]:
    frames = [STRIDE * clip.forms.shape[1] for clip in clips]
    starts = np.concatenate([[0], np.cumsum(frames)[:-1]])
    numbers = np.concatenate(
        [s + STRIDE * np.arange(c.forms.shape[1]) for s, c in zip(starts, clips, strict=True)]
    )
    joined = Joined(np.empty((0, 0), np.float32), numbers, starts, sum(frames), 0, 0)
    score, rows = _Ceiling(model, clips, form), []
    for place, clip in enumerate(clips):
        for kind, pair in zip(ASKED, clip.asked, strict=True):
            for question, frame in zip(pair, clip.asked_at.tolist(), strict=True):
                rows.append(
                    {"kind": kind}
                    | answers(best(score(question), numbers, 5), joined, place, frame)
                )
    return rows


def needles(
    vectors: Callable[[torch.Tensor], Vectors],
    clips: Sequence[Clip],
    sizes: Sequence[int],
    rng: np.random.Generator,
) -> float:
    """Three differently cropped copies of a clip hidden in the joined file: how many of them the
    first three moments are."""
    found = 0.0
    plain = [vectors(clip.forms[-4]) for clip in clips]
    chosen = rng.choice(len(clips), 10, replace=False)
    for target in chosen:
        parts = [
            (own, size, False)
            for n, (own, size) in enumerate(zip(plain, sizes, strict=True))
            if n != target
        ]
        for copy in range(3):
            cropped = vectors(clips[target].forms[-1 - copy])
            parts.insert(int(rng.integers(0, len(parts) + 1)), (cropped, sizes[target], True))
        joined = join(
            [own for own, _, _ in parts],
            [STRIDE * len(own) for own, _, _ in parts],
            [size for _, size, _ in parts],
        )
        copies = {n for n, (_, _, cropped) in enumerate(parts) if cropped}
        query = vectors(clips[target].asked[0, :1])
        moments = best(scores(query, joined.values, joined.frames), joined.frames, 3)
        found += len({joined.clip_of(m.frame) for m in moments} & copies) / 3
    return found / len(chosen)


def evaluate(
    folder: Path, manifest: Path, seeds: int, steps: int, ablations: int, out: Path
) -> list[dict[str, Any]]:
    """Questions summed up by (method, q, seed). What is in `out` is not done again; variants come
    behind the main rows."""
    clips = read_material(folder, manifest)
    out.mkdir(parents=True, exist_ok=True)
    names = list(LEARNED)
    jobs = [(seed, "main", [*MEAN, names[0]]) for seed in range(seeds)]
    jobs += [(seed, "free", list(FREE)) for seed in range(seeds)]
    jobs += [
        (seed, f"variant{n}", [name])
        for seed in range(ablations)
        for n, name in enumerate(names[1:])
    ]
    everything: list[dict[str, Any]] = []
    for seed, group, wanted in jobs:
        kept = out / f"{group}-{seed}.json"
        if not kept.is_file():
            say(f"seed {seed}: {', '.join(wanted)}")
            write_json(kept, one_seed(clips, folder, seed, wanted, steps, group == "main"))
        everything += json.loads(kept.read_text())
    return everything


def one_seed(
    clips: Sequence[Clip], folder: Path, seed: int, wanted: Sequence[str], steps: int, main: bool
) -> list[dict[str, Any]]:
    """Rows of the methods that are wanted; `main`: and of thumbnails, the ceiling and noise."""
    learned, held = split(clips, seed, _HELD)
    rng = np.random.default_rng(seed)
    held = [held[n] for n in rng.permutation(len(held))]
    models = {name: train(learned, (LEARNED | MEAN | FREE)[name], seed, steps) for name in wanted}
    frames, at = (
        [STRIDE * clip.forms.shape[1] for clip in held],
        [clip.asked_at.numpy() for clip in held],
    )
    asked = {
        name: [by_network(model)(c.asked.flatten(0, 1)).reshape(3, 2, DIM) for c in held]
        for name, model in models.items()
    }
    rows: list[dict[str, Any]] = []
    for form, q in enumerate(QUALITIES, 1):
        sizes = [(folder / f"{clip.name}.q{q}.gvc").stat().st_size for clip in held]
        found: dict[str, tuple[list[dict[str, Any]], Joined | None]] = {}
        for name, model in models.items():
            joined = join([by_network(model)(clip.forms[form]) for clip in held], frames, sizes)
            found[name] = ask(joined, asked[name], at), joined
            if name == "LP-Comp":
                found["LP-Comp, weights that add up to 1"] = (
                    ask(joined, asked[name], at, summed),
                    joined,
                )
        if main:
            found |= _unlearned(held, folder, frames, sizes, at, rng)
            found["16 tokens, not compressed"] = ceiling(models["mean pooling"], held, form), None
        for name, answered in found.items():
            row = (
                _summed_up(answered[0])
                | {"method": name, "q": q, "seed": seed}
                | _cost(answered[1])
            )
            if name in ("LP-Comp", "mean pooling"):
                row["needles"] = needles(
                    by_network(models[name]), held, sizes, np.random.default_rng(seed)
                )
            rows.append(row)
    return rows


def _unlearned(
    held: Sequence[Clip],
    folder: Path,
    frames: Sequence[int],
    sizes: Sequence[int],
    at: Any,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Thumbnails and noise."""
    tiny = [thumbnails(clip, folder) for clip in held]
    joined = join([own for own, _ in tiny], frames, sizes)
    found: dict[str, Any] = {
        "thumbnails of 8 × 8": (ask(joined, [own for _, own in tiny], at), joined)
    }
    noise = [3 * rng.normal(size=(clip.forms.shape[1], DIM)).astype(np.float32) for clip in held]
    joined = join(noise, frames, sizes)
    return found | {
        "random": (ask(joined, [rng.normal(size=(3, 2, DIM)) for _ in held], at), joined)
    }


def _cost(joined: Joined | None) -> dict[str, float]:
    if joined is None:
        return {}
    return {
        "share": joined.spent / joined.size,
        "vectors": len(joined.values),
        "frames": joined.total,
    }


def _summed_up(rows: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("recall@1", "recall@5"):
        found[key] = float(np.mean([row[key] for row in rows]))
        for kind in ASKED:
            found[f"{key} {kind}"] = float(
                np.mean([row[key] for row in rows if row["kind"] == kind])
            )
    found["seconds"] = float(np.nanmedian([row["seconds"] for row in rows] or [np.nan]))
    found["thirds"] = [
        float(np.mean([r["recall@1"] for r in rows if r["third"] == n] or [np.nan]))
        for n in range(3)
    ]
    return found


def interval(values: Sequence[float], scale: float = 100, digits: int = 1) -> str:
    """Mean ± half of its 95 % interval."""
    good = np.array([value for value in values if not math.isnan(value)]) * scale
    if not len(good):
        return ""
    half = (
        _T.get(len(good), 2.78) * good.std(ddof=1) / np.sqrt(len(good)) if len(good) > 1 else np.nan
    )
    return f"{good.mean():.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}")


def table(results: list[dict[str, Any]]) -> str:
    """Markdown: methods by quality."""
    groups: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for row in results:
        groups[row["q"], row["method"]].append(row)
    lines = []
    for q in sorted({q for q, _ in groups}):
        lines += [
            f"\n**q {q}**\n",
            "| method | seeds | Recall@1 | Recall@5 | " + " | ".join(ASKED) + " | s off "
            "| % of bytes | begin / middle / end | 3 needles |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        for (own, name), rows in groups.items():
            if own != q:
                continue
            thirds = " / ".join(
                f"{100 * np.nanmean([r['thirds'][n] for r in rows]):.0f}" for n in range(3)
            )
            cells = [
                name,
                str(len(rows)),
                *(interval([r[key] for r in rows]) for key in ("recall@1", "recall@5")),
                *(f"{100 * np.mean([r[f'recall@1 {kind}'] for r in rows]):.1f}" for kind in ASKED),
                f"{np.nanmean([r['seconds'] for r in rows]):.2f}",
                f"{100 * np.mean([r['share'] for r in rows]):.2f}"
                if "share" in rows[0]
                else "no limit",
                thirds,
                interval([r.get("needles", np.nan) for r in rows], digits=0),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines).strip() + "\n"


def run(options: argparse.Namespace) -> int:
    """Writes a JSON a seed, and table.md."""
    torch.set_num_threads(1)
    if options.manifest is None:
        raise EvalError("search needs --manifest: which clips are of one source")
    results = evaluate(
        options.material,
        options.manifest,
        options.seeds,
        options.steps,
        options.ablations,
        options.out,
    )
    (options.out / "table.md").write_text(table(results))
    print(table(results))
    return 0
