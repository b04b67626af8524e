"""Does a summary find what it should: `python -m eval search MATERIAL --manifest manifest.csv --out
DIR`.

MATERIAL is made by `python -m gvcodec.training.summary_material`. For every seed about 60 clips are
held out by source, the networks learn from the others, and the held-out clips are joined in random
order, a GOP each, as `gvcodec cat` would. Questions are frames between those that have vectors: as
they are, cropped, and mirrored and coded anew by x264. Every method gets one hundredth of the bytes
of the streams, spent by `gvcodec.retrieval.making.Budget`; what is searched was unpacked from
the packets.
"""

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
from numpy.typing import NDArray

from eval.arguments import add_out
from eval.tools import markdown, say, write_json, write_text
from gvcodec.retrieval.compressor import DIM, LpComp
from gvcodec.retrieval.embedders import Small, normalise
from gvcodec.retrieval.making import SHARE, STRIDES, Budget
from gvcodec.retrieval.ranking import best, scores
from gvcodec.retrieval.summary import Summary, quantise
from gvcodec.training.summary import Clip, read_material, split, train
from gvcodec.training.summary_material import QUALITIES, STRIDE

ASKED = ("frame", "crop", "mirrored recoding")
_HELD, _FPS = 60, 25
#: Half of a 95 % interval in standard errors, by the number of seeds (Student's t).
_T = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}
#: Methods that learn, and the mean of a frame's tokens.
LEARNED = {"LP-Comp": True, "mean pooling": False}

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
        packet = budget.packet(quantise(vectors, Small.step), STRIDE, size)
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
    return normalise(cells - cells.mean(1, keepdims=True) + 1e-3)


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
    joined: Joined, asked: Sequence[Vectors], at: Sequence[NDArray[np.int64]]
) -> list[dict[str, Any]]:
    """All questions, (kind, 2, dim) of each clip."""
    rows = []
    for clip, (questions, numbers) in enumerate(zip(asked, at, strict=True)):
        for kind, pair in zip(ASKED, questions, strict=True):
            for question, frame in zip(pair, numbers, strict=True):
                found = best(scores(question[None], joined.values, joined.frames), joined.frames, 5)
                rows.append({"kind": kind} | answers(found, joined, clip, int(frame)))
    return rows


def evaluate(
    folder: Path, manifest: Path, seeds: int, steps: int, out: Path
) -> list[dict[str, Any]]:
    """Questions summed up by (method, q, seed). What is in `out` is not done again."""
    clips = read_material(folder, manifest)
    everything: list[dict[str, Any]] = []
    for seed in range(seeds):
        kept = out / f"main-{seed}.json"
        if not kept.is_file():
            say(f"seed {seed}")
            write_json(kept, one_seed(clips, folder, seed, steps))
        everything += json.loads(kept.read_text())
    return everything


def one_seed(clips: Sequence[Clip], folder: Path, seed: int, steps: int) -> list[dict[str, Any]]:
    """Rows of all methods at all qualities."""
    learned, held = split(clips, seed, _HELD)
    rng = np.random.default_rng(seed)
    held = [held[n] for n in rng.permutation(len(held))]
    models = {name: by_network(train(learned, v, seed, steps)) for name, v in LEARNED.items()}
    frames = [STRIDE * clip.forms.shape[1] for clip in held]
    at = [clip.asked_at.numpy() for clip in held]
    rows: list[dict[str, Any]] = []
    for form, q in enumerate(QUALITIES, 1):
        sizes = [(folder / f"{clip.name}.q{q}.gvc").stat().st_size for clip in held]
        found: dict[str, tuple[list[dict[str, Any]], Joined]] = {}
        for name, vectors in models.items():
            joined = join([vectors(clip.forms[form]) for clip in held], frames, sizes)
            asked = [vectors(c.asked.flatten(0, 1)).reshape(3, 2, DIM) for c in held]
            found[name] = ask(joined, asked, at), joined
        found |= _pool_unlearned(held, folder, frames, sizes, at, rng)
        for name, (answered, joined) in found.items():
            row = {"method": name, "q": q, "seed": seed} | _summed_up(answered)
            rows.append(row | {"share": joined.spent / joined.size})
    return rows


def _pool_unlearned(
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
    recalls = ("recall@1", "recall@5")
    header = ["method", "seeds", "Recall@1", "Recall@5", *ASKED, "s off", "% of bytes"]
    header.append("begin / middle / end")
    parts = []
    for q in sorted({q for q, _ in groups}):
        lines = []
        for name, rows in ((name, rows) for (own, name), rows in groups.items() if own == q):
            thirds = (100 * np.nanmean([r["thirds"][n] for r in rows]) for n in range(3))
            by_kind = (100 * np.mean([r[f"recall@1 {kind}"] for r in rows]) for kind in ASKED)
            cells = [name, str(len(rows)), *(interval([r[key] for r in rows]) for key in recalls)]
            cells += [f"{value:.1f}" for value in by_kind]
            cells.append(f"{np.nanmean([r['seconds'] for r in rows]):.2f}")
            cells.append(f"{100 * np.mean([r['share'] for r in rows]):.2f}")
            lines.append([*cells, " / ".join(f"{value:.0f}" for value in thirds)])
        parts.append(f"**q {q}**\n\n{markdown(header, lines)}")
    return "\n\n".join(parts) + "\n"


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    made_by = "folder of python -m gvcodec.training.summary_material"
    add("material", type=Path, help=made_by)
    manifest = "columns file and source_repo: which clips are of one source"
    add("--manifest", type=Path, required=True, metavar="CSV", help=manifest)
    add("--seeds", type=int, default=5, help="(5)")
    add("--steps", type=int, default=300, help="of training (300)")
    add_out(parser)


def run(options: argparse.Namespace) -> None:
    """Writes a JSON a seed, and table.md."""
    torch.set_num_threads(1)
    material, manifest = options.material, options.manifest
    results = evaluate(material, manifest, options.seeds, options.steps, options.out)
    write_text(options.out / "table.md", table(results))
    print(table(results))
