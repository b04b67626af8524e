"""Trains LP-Comp, the compressor of summaries (`gvcodec.retrieval.compressor`), and the ranking of
moments (`gvcodec.retrieval.ranker`) together.

    python -m gvcodec.training.summary FOLDER --manifest manifest.csv --out DIR --minutes 130

FOLDER is that of `gvcodec.training.summary_material`. A step takes clips in one of their forms,
compressed, rounded and thinned as in a file, and asks for moments of them in another form (source,
coded, cropped and mirrored): single frames, or several that follow each other. Cross-entropy over
all moments of all clips of the batch, so that other moments of the same clip are the hard
negatives; where several frames are asked for, also those of the same clips backwards. The same by
cosines of single frames, and L1 to the mean of the centred tokens. Clips are held out by source,
the manifest's column `source_repo`; the clips of a photo are a source."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.retrieval.compressor import DIM, WIDTH, LpComp
from gvcodec.retrieval.embedders import Small, shipped_network
from gvcodec.retrieval.ranker import Ranker
from gvcodec.training.alarms import Alarm
from gvcodec.training.loop import Loop, Schedule
from gvcodec.training.summary_material import CLIP_STEP, QUALITIES, RATE, STRIDE, WAYS
from gvcodec.util.models import model_id, save_weights

TEMPERATURE, POOLED, COSINES = 0.07, 0.1, 0.5
#: Forms of a clip that a file may be made of: source and streams; the others are crops.
FORMS = 1 + len(QUALITIES)
_CLIPS, _QUESTIONS, LEARNING_RATE = 20, 2, 3e-4
_MISSING, _NOISE = 0.1, 0.2
#: Frames asked for, and sampled frames between two vectors of a file.
_LENGTHS, _STRIDES, _GAPS = (1, 1, 4, 8), (1, 2, 4, 8), (1, 2, 3)
_STEP = 2.0 ** (-Small.step / 8)
#: Minutes after which learning has to find more than the mean of tokens, and least spread of the
#: numbers of a vector between clips.
_PATIENCE, _LEAST_SPREAD = 10.0, 0.1


@dataclass(frozen=True, slots=True)
class Variant:
    """`learned`: LP-Comp, not the mean of tokens. `progressive` as there. `local` as in `Ranker`.
    `hard`: other moments of the same clip are negatives."""

    learned: bool = True
    progressive: bool = True
    local: bool = True
    hard: bool = True


@dataclass(frozen=True, slots=True)
class Clip:
    """`forms`: tokens (form, frames, 16, features), fp16. `asked`, `clips` and their places as in
    the material."""

    name: str
    source: str
    forms: Tensor
    asked: Tensor
    asked_at: Tensor
    clips: Tensor
    clips_at: Tensor

    @property
    def turned(self) -> bool:
        """Whether it is another one backwards."""
        return self.name.endswith("-back")


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
            rest = [held[key] for key in ("asked", "asked_at", "asked_clips", "clips_at")]
        stem, _, way = path.stem.rpartition("-")
        source = stem if way in WAYS else sources[path.stem]
        clips.append(Clip(path.stem, source, *(torch.from_numpy(x) for x in (forms, *rest))))
    return clips


def split(clips: Sequence[Clip], seed: int, held_out: float) -> tuple[list[Clip], list[Clip]]:
    """Clips to learn from, and those of about a share `held_out` of the sources: the same ones
    whatever else there is."""
    kept = {
        clip.name
        for clip in clips
        if zlib.crc32(f"{seed} {clip.source}".encode()) < held_out * 2**32
    }
    return [c for c in clips if c.name not in kept], [c for c in clips if c.name in kept]


def fit_projection(model: LpComp, clips: Sequence[Clip], learned: bool) -> None:
    """Centre, spread, and directions of pooled tokens, each divided by a root of its deviation.
    `learned`: those in which frames differ most against how much forms of a frame differ (Fisher's
    discriminants); else those of the largest variance."""
    tokens = torch.cat([clip.forms[:, ::6].flatten(0, 2).float() for clip in clips])
    model.centre.copy_(tokens.mean(0))
    model.spread.copy_(tokens.std(0).clamp(min=1e-3))

    def unit(tokens: Tensor) -> Tensor:
        return ((tokens.float() - model.centre) / model.spread).clamp(-6, 6)

    # One vector a picture: its directions count, not those of the parts.
    pooled = [unit(clip.forms).mean(2) for clip in clips]
    if learned:
        changes = torch.cat([(own - own.mean(0)).flatten(0, 1) for own in pooled])
        frames = torch.cat([own.mean(0) for own in pooled])
        within = _covariance(changes)
        within += within.trace() / len(within) * torch.eye(len(within))
        inverse = torch.linalg.inv(torch.linalg.cholesky(within))
        ratios, turned = torch.linalg.eigh(inverse @ _covariance(frames) @ inverse.T)
        vectors = inverse.T @ turned
    else:
        ratios, vectors = torch.linalg.eigh(
            _covariance(torch.cat([p[:, ::6].flatten(0, 1) for p in pooled]))
        )
    order = ratios.argsort(descending=True)[:WIDTH]
    model.project.copy_(vectors[:, order] / ratios[order].clamp(min=1e-6) ** 0.25)
    model.project.div_(unit(tokens[:65536]).matmul(model.project).std())


def _covariance(x: Tensor) -> Tensor:
    x = x - x.mean(0)
    return x.T @ x / len(x)


class Both(nn.Module):
    """Compressor and ranking of one checkpoint."""

    def __init__(self, features: int, variant: Variant) -> None:
        super().__init__()
        self.compressor = LpComp(features, variant.learned, variant.progressive)
        self.ranker = Ranker(variant.local)


def begin(clips: Sequence[Clip], variant: Variant, seed: int) -> Both:
    """What training begins with: the mean of tokens, ranked by cosines."""
    torch.manual_seed(seed)
    both = Both(clips[0].forms.shape[-1], variant)
    with torch.no_grad():
        fit_projection(both.compressor, clips, variant.learned)
    return both


def quantised(vectors: Tensor) -> Tensor:
    """As they come back from a file; gradients as if nothing was rounded."""
    return vectors + ((vectors / _STEP).round() * _STEP - vectors).detach()


@dataclass(frozen=True, slots=True)
class Files:
    """Vectors (B, K, DIM) of B clips at `times` (B, K), where `valid` (B, K)."""

    vectors: Tensor
    times: Tensor
    valid: Tensor

    @staticmethod
    def of(parts: Sequence[tuple[Tensor, Tensor]]) -> Files:
        """Padded to the longest; parts are vectors (K, DIM) and times (K,)."""
        pad = nn.utils.rnn.pad_sequence
        vectors, times = (pad([part[n] for part in parts], batch_first=True) for n in (0, 1))
        valid = pad([torch.ones(len(own), dtype=torch.bool) for _, own in parts], batch_first=True)
        return Files(vectors, times, valid)

    def with_reversed(self) -> Files:
        """All clips again, backwards in time."""
        last = self.times.amax(1, keepdim=True)
        return Files(
            torch.cat([self.vectors, self.vectors]),
            torch.cat([self.times, last - self.times]),
            torch.cat([self.valid, self.valid]),
        )


class Summaries:
    """What is trained (`gvcodec.training.loop.Work`)."""

    def __init__(
        self, clips: Sequence[Clip], held: Sequence[Clip], variant: Variant, seed: int,
        out: Path | None = None, card: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self._both = begin(clips, variant, seed)
        self.model: nn.Module = self._both
        self._mean = begin(clips, Variant(learned=False), seed)
        self._variant, self._rng = variant, np.random.default_rng(seed)
        self._held, self._out, self._card = list(held), out, card or {}
        self._forms = [clip.forms for clip in clips if not clip.turned]
        self._project()

    @torch.no_grad()
    def _project(self) -> None:
        """The projection of tokens stays as it began: it is taken once."""
        narrow = self._both.compressor.narrow
        self._clips = [torch.stack([narrow(form) for form in forms]) for forms in self._forms]

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": [p for p in self.model.parameters() if p.requires_grad]}]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Of one batch of clips."""
        rng = self._rng
        length, stride, gap = (int(rng.choice(x)) for x in (_LENGTHS, _STRIDES, _GAPS))
        if (length - 1) * gap >= max(forms.shape[1] for forms in self._clips):
            length = gap = 1
        span = (length - 1) * gap + 1
        which = rng.choice(len(self._clips), min(_CLIPS, len(self._clips)), replace=False)
        tokens, places, asked, wanted = [], [], [], []
        for row, number in enumerate(which):
            forms = self._clips[number]
            form, count = int(rng.integers(0, FORMS)), forms.shape[1]
            if count < span:
                continue  # others of the batch are as long
            kept = torch.arange(int(rng.integers(0, min(stride, count))), count, stride)
            tokens.append(forms[form, kept])
            places.append(kept.float() * STRIDE)
            for _ in range(_QUESTIONS):
                # Crops of a clip differ from frame to frame: they are asked for one by one.
                among = len(forms) if length == 1 else FORMS
                other = int(rng.choice([n for n in range(among) if n != form]))
                first = int(rng.integers(0, count - span + 1))
                asked.append(forms[other, first : first + span : gap])
                wanted.append((len(tokens) - 1, first * STRIDE))
        return self._loss(tokens, places, torch.stack(asked), wanted, gap)

    def _loss(
        self, tokens: list[Tensor], places: list[Tensor], asked: Tensor,
        wanted: list[tuple[int, int]], gap: int,
    ) -> tuple[Tensor, dict[str, float]]:  # fmt: skip
        counts, length = [len(own) for own in tokens], asked.shape[1]
        compress = self._both.compressor.compress
        inner = self._disturb(torch.cat([*tokens, asked.flatten(0, 1)]))
        vectors = compress(inner)
        pooled = F.normalize(inner.mean(1)[:, :DIM], dim=1) * math.sqrt(DIM)
        near_mean = F.l1_loss(vectors, pooled)
        kept, own = vectors[: sum(counts)], vectors[sum(counts) :]
        files = Files.of(list(zip(quantised(kept).split(counts), places, strict=True)))
        if length > 1:
            files = files.with_reversed()
        queries = own.view(len(asked), length, DIM)
        offsets = torch.arange(length) * float(STRIDE * gap)
        scores = self._both.ranker(
            queries, offsets, files.vectors, files.times, files.times, files.valid
        )
        target, ignored = _targets(files, wanted, self._variant.hard)
        ranked = _cross_entropy(scores * self._both.ranker.scale.exp(), target, ignored)
        unit = F.normalize(queries[:, 0], dim=1), F.normalize(files.vectors, dim=2)
        cosines = torch.einsum("qd,bkd->qbk", *unit)
        if length > 1:
            # A single frame does not tell a clip from its reversal.
            ignored = ignored | (torch.arange(len(files.times)) >= len(counts))[None, :, None]
        plain = _cross_entropy(cosines / TEMPERATURE, target, ignored)
        loss = ranked + COSINES * plain + POOLED * near_mean
        return loss, {"ranked": float(ranked.detach()), "cosines": float(plain.detach())}

    def _disturb(self, tokens: Tensor) -> Tensor:
        """Some directions and some parts of the pictures are missing, all are noisy: there are too
        few clips to learn them by heart otherwise."""
        kept = torch.rand(len(tokens), 1, tokens.shape[2]) > _MISSING
        parts = torch.rand(len(tokens), tokens.shape[1], 1) > _MISSING
        noise = torch.randn_like(tokens) * _NOISE * tokens.std()
        return tokens * kept * parts / (1 - _MISSING) ** 2 + noise

    def validate(self, average: nn.Module) -> dict[str, float]:
        """Answers on held-out clips: of the model, of its vectors by cosines, of the mean of tokens
        by cosines in time and without."""
        assert isinstance(average, Both)
        if not self._held:
            return {}
        ways = {
            "": (average, True),
            "cosine ": (average, False),
            "mean in time ": (self._mean, True),
            "mean ": (self._mean, False),
        }
        return {
            name + key: round(value, 4)
            for name, (model, ranked) in ways.items()
            for key, value in summed_up(answers(model, self._held, ranked)).items()
        }

    def check(self, average: nn.Module, minutes: float) -> dict[str, float]:
        """Raises `Alarm` where vectors of clips hardly differ, or learning finds less than the
        mean."""
        assert isinstance(average, Both)
        with torch.no_grad():
            some = torch.cat([forms[0, :1] for forms in self._clips])
            spread = float(average.compressor.compress(some).std(0).min())
        if not spread >= _LEAST_SPREAD:
            raise Alarm(f"a number of the vectors hardly differs between clips: {spread:.3g}")
        if minutes > _PATIENCE and self._held and not int(minutes) % 10:
            ours, mean = (
                summed_up(answers(model, self._held, ranked))["recall"]
                for model, ranked in ((average, True), (self._mean, False))
            )
            if ours < mean - 0.05:
                raise Alarm(f"finds {ours:.3f} of held-out moments, the mean {mean:.3f}")
        return {"spread": round(spread, 3)}

    def write(self, average: nn.Module, steps: int, minutes: float) -> None:
        assert isinstance(average, Both)
        if self._out is not None:
            extra = {"steps": steps, "processor_minutes": round(minutes, 1)}
            save(
                average,
                self._out / "summary.safetensors",
                self._card | extra | self.validate(average),
            )

    def state(self) -> dict[str, Any]:
        return {}

    def resume(self, state: dict[str, Any], steps: int) -> None:
        self._rng = np.random.default_rng(steps)
        self._project()


def _targets(files: Files, wanted: list[tuple[int, int]], hard: bool) -> tuple[Tensor, Tensor]:
    """(Q, B, K): where the answer is, shared by the two vectors that it lies between; and what
    does not count."""
    shape = (len(wanted), *files.valid.shape)
    target, ignored = torch.zeros(shape), ~files.valid[None].expand(shape).clone()
    for number, (row, at) in enumerate(wanted):
        times, valid = files.times[row], files.valid[row]
        distance = (times - at).abs().masked_fill(~valid, math.inf)
        gap = float(times[1] - times[0]) if valid.sum() > 1 else 1.0
        share = (1 - distance / gap).clamp(min=0)
        target[number, row] = (
            share / share.sum() if share.sum() > 0 else (distance == distance.min()).float()
        )
        if not hard:
            ignored[number, row] |= (distance > gap) & valid
    return target, ignored


def _cross_entropy(logits: Tensor, target: Tensor, ignored: Tensor) -> Tensor:
    flat = logits.masked_fill(ignored, -1e4).flatten(1)
    return -(F.log_softmax(flat, 1) * target.flatten(1)).sum(1).mean()


@dataclass(frozen=True, slots=True)
class Answer:
    """Of one question: whether the right clip was found, 1 / n where n are as good, and by how many
    frames the best moment of that clip is off; of a clip or of a frame."""

    clip: bool
    right: float
    off: float


@torch.inference_mode()
def answers(
    model: Both, clips: Sequence[Clip], ranked: bool, form: int = 2, stride: int = 4
) -> list[Answer]:
    """All questions about clips with a vector for every `stride`-th sampled frame of a coded form.
    Where clips are asked for, each is there backwards, too. `ranked`: by the learned ranking, else
    by the mean of cosines."""
    clips = [clip for clip in clips if not clip.turned]
    compress = model.compressor
    kept = [torch.arange(0, clip.forms.shape[1], stride) for clip in clips]
    single = Files.of(
        [
            (quantised(compress(clip.forms[form, own])), own.float() * STRIDE)
            for clip, own in zip(clips, kept, strict=True)
        ]
    )
    both = single.with_reversed()
    found = []
    for number, clip in enumerate(clips):
        frames = compress(clip.asked.flatten(0, 1)).unsqueeze(1)
        runs = compress(clip.clips.flatten(0, 2)).view(-1, clip.clips.shape[2], DIM)
        for files, queries, at in (
            (single, frames, clip.asked_at.repeat(clip.asked.shape[0])),
            (both, runs, clip.clips_at.repeat(clip.clips.shape[0])),
        ):
            offsets = torch.arange(queries.shape[1]) * float(CLIP_STEP)
            rows = scores(model, queries, offsets, files, ranked)
            rows = rows.masked_fill(~files.valid, -math.inf)
            times = files.times[number]
            for place, row in zip(at.tolist(), rows, strict=True):
                best = row.amax(1)
                first = best == best.max()
                right = float(first[number]) / int(first.sum())
                off = abs(float(times[row[number].argmax()]) - place)
                found.append(Answer(files is both, right, off))
    return found


def summed_up(found: Sequence[Answer]) -> dict[str, float]:
    """`recall` of the clip by one frame, `near`: and within a fifth of a second, `seconds`: median
    error in the right clip; `clip …` where clips were asked for."""
    figures = {}
    for clip, name in ((False, ""), (True, "clip ")):
        own = [answer for answer in found if answer.clip is clip]
        near = [a.right * (a.off <= 0.2 * RATE) for a in own]
        figures[f"{name}recall"] = float(np.mean([a.right for a in own]))
        figures[f"{name}near"] = float(np.mean(near))
        figures[f"{name}seconds"] = float(np.median([a.off for a in own])) / RATE
    return figures


def scores(model: Both, queries: Tensor, offsets: Tensor, files: Files, ranked: bool) -> Tensor:
    """(Q, B, K), by the learned ranking or by the mean of cosines, frame by frame."""
    if ranked:
        return model.ranker(queries, offsets, files.vectors, files.times, files.times, files.valid)
    unit = F.normalize(queries, dim=2), F.normalize(files.vectors, dim=2)
    return torch.einsum("qmd,bkd->qmbk", *unit).mean(1)


def save(model: Both, path: Path, card: dict[str, Any]) -> None:
    """Checkpoint and model card."""
    network = model_id(shipped_network()).hex()
    save_weights(dict(model.state_dict()), path, {"network": network})
    card = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "network": network} | card
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")


def main() -> None:
    """Train on all clips but those of held-out sources, write checkpoint and card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("folder", type=Path)
    add("--manifest", type=Path, required=True)
    add("--out", type=Path, required=True, help="folder of state, log, checkpoint and card")
    add("--minutes", type=float, default=130, help="(130)")
    add("--held-out", type=float, default=0.2, help="share of the clips, by source (0.2)")
    add("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = read_material(options.folder, options.manifest)
    learned, kept = split(clips, options.seed, options.held_out)
    card = {
        "temperature": TEMPERATURE,
        "clips": len(learned),
        "held_out_clips": [clip.name for clip in kept],
        "manifest_sha256": hashlib.sha256(options.manifest.read_bytes()).hexdigest(),
    }
    work = Summaries(learned, kept, Variant(), options.seed, options.out, card)
    schedule = Schedule(
        LEARNING_RATE, options.minutes, average=0.998, decay=0.05, validate_minutes=2
    )
    Loop(work, schedule, options.out).run(options.minutes)


if __name__ == "__main__":
    main()
