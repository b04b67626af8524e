"""Trains LP-Comp, one token a frame, and the attention of QC-Comp
(`gvcodec.retrieval.lp_comp`, `gvcodec.retrieval.ranking`).

    python -m training lp_comp CLIPS --cache DIR --out DIR --minutes 4

The frozen networks look once at `FRAMES` frames of each clip, 256×256, in three forms: as they are,
coded, and changed (another part of the picture, mirrored, brighter or darker); the cache keeps
their tokens, and what is there is kept. A step asks for single frames of some clips in one form
among all frames of all these clips in another form, rounded as in a file. Its loss is the
cross-entropy of the right frame, by attention and by cosines: other moments of the same clip are
negatives like any other. Training begins at the shipped discriminants.

Clips that the discriminants have not learned from are held out; of the others a sixth, by name,
validates, and the weights of the best validation are written."""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gvcodec.condense.coded import decode, encode
from gvcodec.media.reader import VideoReader
from gvcodec.retrieval.embedders import (
    CHECKPOINT,
    LP_CHECKPOINT,
    FrameTokens,
    Lp,
    Small,
    find_shipped,
)
from gvcodec.retrieval.lp_comp import LpComp, load
from gvcodec.retrieval.thumbnails import thumbnail
from gvcodec.util.messages import say
from gvcodec.util.models import save_weights
from training.alarms import Alarm
from training.card import write_card
from training.loop import Loop, Schedule
from training.summary_material import crop_at_random

#: Frames of a clip, so far apart.
FRAMES, STRIDE = 16, 4
#: Forms of a frame; a file is made of one of the first two.
FORMS = ("source", "coded", "changed")
_Q = 55
_CLIPS, _QUESTIONS, _STEPS, _RATE = 12, 4, 1200, 1e-3
TEMPERATURE, _NOISE, _MISSING = 0.07, 0.1, 0.1
_STEP = 2.0 ** (-Small.step / 8)
#: Minutes after which the learned part has to be worth something.
_PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class Clip:
    """`patches` (forms, frames, 16, 64), along the discriminants; `latents` (forms, frames, 32,
    features); `pooled` (forms, frames, features), the mean patch. All fp16."""

    name: str
    patches: Tensor
    latents: Tensor
    pooled: Tensor


def cache_clip(path: Path, target: Path, reader: FrameTokens) -> None:
    """Writes the tokens of a clip of at least `FRAMES` frames; of fewer nothing."""
    rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
    pictures: list[list[NDArray[np.uint8]]] = [[], []]
    with VideoReader(path, frames=FRAMES * STRIDE) as video:
        stride = STRIDE if (video.expected or STRIDE * FRAMES) >= STRIDE * FRAMES else 1
        for number, frame in enumerate(video):
            if number % stride or len(pictures[0]) == FRAMES:
                continue
            part = crop_at_random(frame.planes, rng, True)
            for kept, planes in zip(pictures, (frame.planes, part), strict=True):
                kept.append(thumbnail(planes, video.format.colour, Lp.side))
    if len(pictures[0]) < FRAMES:
        return
    source, changed = (np.stack(kept) for kept in pictures)
    coded = decode(encode([source], _Q))[0]
    patches, latents = (
        np.stack(part) for part in zip(*map(reader, (source, coded, changed)), strict=True)
    )
    narrow = reader.small.narrow(patches.reshape(-1, *patches.shape[2:]))
    partial = target.with_suffix(".part")
    with open(partial, "wb") as file:
        np.savez(
            file,
            patches=narrow.reshape(*patches.shape[:3], -1).astype(np.float16),
            latents=latents.astype(np.float16),
            pooled=patches.mean(2).astype(np.float16),
        )
    partial.replace(target)


def read_clips(folder: Path) -> list[Clip]:
    """All clips of the cache, by name."""
    clips = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as held:
            parts = (torch.from_numpy(held[key]) for key in ("patches", "latents", "pooled"))
            clips.append(Clip(path.stem, *parts))
    return clips


def split(clips: Sequence[Clip]) -> tuple[list[Clip], list[Clip], list[Clip]]:
    """Clips to learn from, to validate by, and held out."""
    card = json.loads(find_shipped(CHECKPOINT).with_suffix(".json").read_text())
    apart = set(card["held_out_clips"])
    rest = [clip for clip in clips if clip.name not in apart]
    # Clips of a source share the beginning of their names.
    validates = [zlib.crc32(clip.name.split("-videos")[0][:12].encode()) % 6 == 0 for clip in rest]
    return (
        [clip for clip, own in zip(rest, validates, strict=True) if not own],
        [clip for clip, own in zip(rest, validates, strict=True) if own],
        [clip for clip in clips if clip.name in apart],
    )


def quantised(vectors: Tensor) -> Tensor:
    """As they come back from a file; gradients as if nothing was rounded."""
    return vectors + ((vectors / _STEP).round() * _STEP - vectors).detach()


def match_losses(model: LpComp, asked: Tensor, keys: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """Cross-entropies of vectors `asked` (Q, 64), whose answers are the rows `wanted` (Q,) of
    `keys` (N, 64): by attention and by cosines. The softmax over all frames is that over segments
    times that inside a segment, so the segments of QC-Comp need no loss of their own."""
    q, k = F.normalize(asked, dim=1), F.normalize(keys, dim=1)
    attention = model.sharpness * (q @ model.ask) @ (k @ model.look).T
    return {
        "attention": F.cross_entropy(attention, wanted),
        "cosine": F.cross_entropy(q @ k.T / TEMPERATURE, wanted),
    }


class Frames:
    """What is trained (`training.loop.Work`)."""

    def __init__(
        self, parts: tuple[list[Clip], list[Clip], list[Clip]], seed: int, out: Path | None = None
    ) -> None:
        torch.manual_seed(seed)
        self._learn, self._validation, self._held = parts
        self._network = LpComp(self._learn[0].latents.shape[-1])
        self.model: nn.Module = self._network
        self._rng, self._out = np.random.default_rng(seed), out
        self._best = float("inf")

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters())}]

    def follow_plan(self, share: float) -> None:
        """Nothing changes on the way."""

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Of one batch of clips."""
        rng = self._rng
        some = rng.choice(len(self._learn), min(_CLIPS, len(self._learn)), replace=False)
        rows: list[tuple[Tensor, Tensor]] = []
        asked, wanted = [], []
        for row, number in enumerate(some):
            clip, form = self._learn[number], int(rng.integers(0, 2))
            rows.append((clip.patches[form], clip.latents[form]))
            for _ in range(_QUESTIONS):
                at, other = int(rng.integers(0, FRAMES)), (form + int(rng.integers(1, 3))) % 3
                asked.append((clip.patches[other, at][None], clip.latents[other, at][None]))
                wanted.append(row * FRAMES + at)
        patches, latents = (torch.cat(part).float() for part in zip(*rows, *asked, strict=True))
        vectors = self._network(self._disturb(self._network.tokens(patches, latents)))
        keys, questions = vectors.split([len(some) * FRAMES, len(asked)])
        parts = match_losses(self._network, questions, quantised(keys), torch.tensor(wanted))
        loss = torch.stack(list(parts.values())).sum()
        return loss, {name: float(value.detach()) for name, value in parts.items()}

    def _disturb(self, tokens: Tensor) -> Tensor:
        """Some tokens are missing, all are noisy: the clips are too few to be learned by heart."""
        kept = torch.rand(*tokens.shape[:2], 1) > _MISSING
        noise = _NOISE * tokens.detach().std() * torch.randn_like(tokens)
        return tokens * kept / (1 - _MISSING) + noise

    def validate(self, average: nn.Module) -> dict[str, float]:
        """Figures of the validation clips; the best network so far is kept."""
        assert isinstance(average, LpComp)
        found = judge(average, self._validation)
        if found["loss"] < self._best and self._out is not None:
            self._best = found["loss"]
            save_weights(dict(average.state_dict()), self._out / LP_CHECKPOINT)
        return found

    def check(self, average: nn.Module, minutes: float) -> dict[str, float]:
        """What it costs to zero what was learned, and to give every frame the latent tokens of
        another one. Raises `Alarm` where zeroing costs nothing."""
        assert isinstance(average, LpComp)
        with torch.no_grad():
            begin = LpComp(self._learn[0].latents.shape[-1])
        own = judge(average, self._learn[:_CLIPS])["loss"]
        zeroed = judge(begin, self._learn[:_CLIPS])["loss"] - own
        shuffled = judge(average, self._learn[:_CLIPS], shuffle=True)["loss"] - own
        if not zeroed > 0 and minutes > _PATIENCE:
            raise Alarm(f"nothing is learned: zeroing costs {zeroed:.3g}")
        return {"zeroed": round(zeroed, 4), "latents shuffled": round(shuffled, 4)}

    def write(self, average: nn.Module, steps: int, minutes: float) -> None:
        """The card; weights are written by `validate`."""
        assert isinstance(average, LpComp)
        path = self._out / LP_CHECKPOINT if self._out else None
        if path is None or not path.is_file():
            return
        best = load(path)
        figures = {
            name: judge(network, self._held)
            for name, network in (("begin", LpComp(best.enter.in_features)), ("trained", best))
        }
        held = [clip.name for clip in self._held]
        write_card(
            path.with_suffix(".json"), best, steps, minutes,
            clips=len(self._learn), held_out=figures, held_out_clips=held,
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        return {"best": self._best}

    def resume(self, state: dict[str, Any], steps: int) -> None:
        self._rng, self._best = np.random.default_rng(steps), state["best"]


@torch.inference_mode()
def judge(model: LpComp, clips: Sequence[Clip], shuffle: bool = False) -> dict[str, float]:
    """All frames, as they are and changed, asked for among the coded frames of all clips: `loss` by
    cosines, share whose best frame is of the right `clip`, and is the right `frame` or next to it,
    by cosines and by attention. `shuffle`: forms have the latent tokens of different frames."""
    if not clips:
        return {}
    vectors = []
    for number in range(len(FORMS)):
        patches, latents = (
            torch.cat([getattr(clip, key)[number] for clip in clips]).float()
            for key in ("patches", "latents")
        )
        latents = latents.roll((FRAMES + 3) * number, 0) if shuffle else latents
        vectors.append(model(model.tokens(patches, latents)))
    keys = quantised(vectors[FORMS.index("coded")])
    wanted = torch.arange(len(keys))
    found: dict[str, float] = {}
    for form in ("source", "changed"):
        asked = vectors[FORMS.index(form)]
        parts = match_losses(model, asked, keys, wanted)
        found["loss"] = found.get("loss", 0.0) + float(parts["cosine"])
        q, k = F.normalize(asked, dim=1), F.normalize(keys, dim=1)
        for name, scores in (("cosine", q @ k.T), ("qc", (q @ model.ask) @ (k @ model.look).T)):
            best = scores.argmax(1)
            clip = best // FRAMES == wanted // FRAMES
            near = clip & ((best - wanted).abs() <= 1)
            found[f"{form}, {name}: clip"] = round(float(clip.float().mean()), 4)
            found[f"{form}, {name}: frame"] = round(float(near.float().mean()), 4)
    return found


def main(words: Sequence[str] | None = None) -> None:
    """Cache what is missing, then train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, metavar="CLIPS", help="folder of videos")
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR", help="tokens of clips")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="state and weights")
    parser.add_argument("--minutes", type=float, default=4.0, help="of training; 0: cache only (4)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    options.cache.mkdir(parents=True, exist_ok=True)
    paths = sorted(options.clips.glob("*.mp4"))
    missing = [p for p in paths if not (options.cache / f"{p.stem}.npz").is_file()]
    reader = FrameTokens() if missing else None
    for number, path in enumerate(missing, 1):
        assert reader is not None
        cache_clip(path, options.cache / f"{path.stem}.npz", reader)
        say(f"{path.name} ({number} of {len(missing)})")
    if options.minutes:
        work = Frames(split(read_clips(options.cache)), options.seed, options.out)
        schedule = Schedule(_RATE, 0, _STEPS, 100, average=0.99, decay=0.05, validate_minutes=0.5)
        Loop(work, schedule, options.out).run(options.minutes)
