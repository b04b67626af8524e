"""Trains LP-Comp, one token a frame, and the attention of QC-Comp (`gvcodec.retrieval`).

    python -m training lp_comp CLIPS --cache DIR --out DIR --minutes 4

The frozen networks look once at `FRAMES` frames of each clip, 256×256, in three forms: as they are,
coded, and changed (another part of the picture, mirrored, brighter or darker). The cache keeps
pictures and tokens; with another GVC1D network, the tokens are computed again. A step asks for
single frames of some clips in one form among all frames of all these clips in another, rounded as
in a file; training starts from the shipped discriminants. The loss is the cross-entropy of the
right frame, by attention and by cosines. Clips that were not training clips of the discriminants
are held out; of the others a sixth, by name, validates, and the weights of the best validation are
written.
"""

from __future__ import annotations

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

from gvcodec.condense.clip_streams import decode, encode
from gvcodec.errors import UsageError
from gvcodec.models import GVC1D, LP_COMP, SUMMARY, model_id, save_weights
from gvcodec.retrieval.compressor import DIM
from gvcodec.retrieval.embedders import FrameTokens, Lp, Small
from gvcodec.retrieval.lp_comp import LpComp, load
from gvcodec.retrieval.thumbnails import thumbnail
from gvcodec.source.reader import VideoReader
from gvcodec.util.messages import log_line
from gvcodec.util.options import ExactParser
from training.alarms import Alarm
from training.card import write_arrays, write_card
from training.loop import Loop, Schedule, Work
from training.summary_material import crop_at_random

#: Frames of a clip, so far apart.
FRAMES, STRIDE = 8, 8
#: Forms of a frame; a file is made of one of the first two.
FORMS = ("source", "coded", "changed")
_Q = 55
_CLIPS, _QUESTIONS, _STEPS, _RATE = 16, 3, 600, 1e-3
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


def cache_pictures(path: Path, target: Path, reader: FrameTokens) -> None:
    """Writes the pictures of a clip and their patch tokens; of a short clip's nearer frames."""
    rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
    pictures_of: list[list[NDArray[np.uint8]]] = []
    with VideoReader(path, frames=FRAMES * STRIDE) as video:
        stride = max(1, min(STRIDE, (video.expected_frames or FRAMES * STRIDE) // FRAMES))
        for number, frame in enumerate(video):
            if number % stride == 0 and len(pictures_of) < FRAMES:
                looks = frame.planes, crop_at_random(frame.planes, rng, True)
                pictures_of.append(
                    [thumbnail(look, video.format.colour, Lp.side) for look in looks]
                )
    source, changed = (np.stack(pictures) for pictures in zip(*pictures_of, strict=True))
    pictures = np.stack([source, decode(encode([source], _Q))[0], changed])
    patches = reader.patches(pictures.reshape(-1, *pictures.shape[2:]))
    shape = pictures.shape[:2]
    narrow = reader.small.narrow(patches).reshape(*shape, -1, DIM).astype(np.float16)
    pooled = patches.mean(1).reshape(*shape, -1).astype(np.float16)
    write_arrays(target, pictures=pictures, patches=narrow, pooled=pooled)


def cache_latents(path: Path, target: Path, reader: FrameTokens) -> None:
    """Writes the features of latent tokens of the pictures in the cache."""
    with np.load(path) as arrays:
        pictures = arrays["pictures"]
    latents = reader.latents(pictures.reshape(-1, *pictures.shape[2:]))
    shape = *pictures.shape[:2], *latents.shape[1:]
    write_arrays(target, latents=latents.reshape(shape).astype(np.float16))


def fill(clips: Path, cache: Path, model: Path | None = None) -> None:
    """Caches missing data: pictures, and latent tokens by a GVC1D network (the shipped one)."""
    latents = latents_of(cache, model)
    latents.mkdir(parents=True, exist_ok=True)
    reader: FrameTokens | None = None
    for path in sorted(clips.glob("*.mp4")):
        pictures, features = cache / f"{path.stem}.npz", latents / f"{path.stem}.npz"
        if features.is_file():
            continue
        reader = reader or FrameTokens(model)
        if not pictures.is_file():
            cache_pictures(path, pictures, reader)
        cache_latents(pictures, features, reader)
        log_line(path.name)


def latents_of(cache: Path, model: Path | None = None) -> Path:
    return cache / network_id(model)


def network_id(model: Path | None = None) -> str:
    return model_id(GVC1D.find(model)).hex()


def read_clips(cache: Path, model: Path | None = None) -> list[Clip]:
    """All clips of the cache that have `FRAMES` frames, by name."""
    clips = []
    for path in sorted(latents_of(cache, model).glob("*.npz")):
        with np.load(path) as features, np.load(cache / path.name) as arrays:
            parts = arrays["patches"], features["latents"], arrays["pooled"]
            if parts[0].shape[1] == FRAMES:
                clips.append(Clip(path.stem, *map(torch.from_numpy, parts)))
    return clips


def split(clips: Sequence[Clip]) -> tuple[list[Clip], list[Clip], list[Clip]]:
    """Clips to learn from, to validate by, and held out."""
    apart = set(json.loads(SUMMARY.find().with_suffix(".json").read_text())["held_out_clips"])
    rest = [clip for clip in clips if clip.name not in apart]
    # Clips of a source share the beginning of their names.
    own = lambda clip: zlib.crc32(clip.name.split("-videos")[0][:12].encode()) % 6 == 0
    held_out = [clip for clip in clips if clip.name in apart]
    return [c for c in rest if not own(c)], [c for c in rest if own(c)], held_out


def quantised(vectors: Tensor) -> Tensor:
    """Vectors rounded as in a file, with straight-through gradients."""
    return vectors + ((vectors / _STEP).round() * _STEP - vectors).detach()


def match_losses(
    model: LpComp, queries: Tensor, keys: Tensor, answers: Tensor
) -> dict[str, Tensor]:
    """Cross-entropies of `queries` (Q, 64), whose answers are the rows `answers` (Q,) of
    `keys` (N, 64), by attention and by cosines; segments of QC-Comp need no loss: softmaxes
    multiply."""
    q, k = F.normalize(queries, dim=1), F.normalize(keys, dim=1)
    attention = model.sharpness * (q @ model.ask) @ (k @ model.look).T
    logits = {"attention": attention, "cosine": q @ k.T / TEMPERATURE}
    return {name: F.cross_entropy(scores, answers) for name, scores in logits.items()}


class Frames(Work):
    def __init__(
        self,
        parts: tuple[list[Clip], list[Clip], list[Clip]],
        seed: int,
        out: Path | None = None,
        model: Path | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self._learn, self._validation, self._held_out = parts
        self._network = LpComp(self._learn[0].latents.shape[-1])
        self.model: nn.Module = self._network
        self._rng, self._out, self._tokens_by = np.random.default_rng(seed), out, model
        self._best = float("inf")

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        rng = self._rng
        some = rng.choice(len(self._learn), min(_CLIPS, len(self._learn)), replace=False)
        rows: list[tuple[Tensor, Tensor]] = []
        queries, answers = [], []
        for row, number in enumerate(some):
            clip, form = self._learn[number], int(rng.integers(0, 2))
            rows.append((clip.patches[form], clip.latents[form]))
            for _ in range(_QUESTIONS):
                at, other = int(rng.integers(0, FRAMES)), (form + int(rng.integers(1, 3))) % 3
                queries.append((clip.patches[other, at][None], clip.latents[other, at][None]))
                answers.append(row * FRAMES + at)
        patches, latents = (torch.cat(part).float() for part in zip(*rows, *queries, strict=True))
        vectors = self._network(self._disturb(self._network.tokens(patches, latents)))
        keys, questions = vectors.split([len(some) * FRAMES, len(queries)])
        parts = match_losses(self._network, questions, quantised(keys), torch.tensor(answers))
        loss = torch.stack(list(parts.values())).sum()
        return loss, {name: float(value.detach()) for name, value in parts.items()}

    def _disturb(self, tokens: Tensor) -> Tensor:
        """Some tokens are missing, all are noisy: the clips are too few to be learned by heart."""
        mask = torch.rand(*tokens.shape[:2], 1) > _MISSING
        noise = _NOISE * tokens.detach().std() * torch.randn_like(tokens)
        return tokens * mask / (1 - _MISSING) + noise

    def validate(self, average: nn.Module) -> dict[str, float]:
        """Figures of the validation clips; the best network so far is kept."""
        assert isinstance(average, LpComp)
        figures = judge(average, self._validation)
        if figures["loss"] < self._best and self._out is not None:
            self._best = figures["loss"]
            metadata = {"network": network_id(self._tokens_by)}
            save_weights(dict(average.state_dict()), self._out / LP_COMP.name, metadata)
        return figures

    def check(self, average: nn.Module, minutes: float) -> dict[str, float]:
        """Costs of zeroed weights and of shuffled latent tokens. Raises `Alarm`."""
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
        assert isinstance(average, LpComp)
        path = self._out / LP_COMP.name if self._out else None
        if path is None or not path.is_file():
            return
        best = load(path)
        networks = {"begin": LpComp(best.enter.in_features), "trained": best}
        card: dict[str, Any] = {"network": network_id(self._tokens_by)}
        card |= {
            "clips": len(self._learn),
            "held_out_clips": [clip.name for clip in self._held_out],
        }
        card["held_out"] = {
            name: judge(network, self._held_out) for name, network in networks.items()
        }
        write_card(path, best, steps, minutes, **card)

    def state(self) -> dict[str, Any]:
        return {"best": self._best}

    def resume(self, state: dict[str, Any], steps: int) -> None:
        self._rng, self._best = np.random.default_rng(steps), state["best"]


@torch.inference_mode()
def judge(model: LpComp, clips: Sequence[Clip], shuffle: bool = False) -> dict[str, float]:
    """All frames, as they are and changed, asked for among the coded frames of all clips: `loss`,
    share whose best frame is of the right `clip`, and is the right `frame` or next to it, each by
    cosines and by attention. `shuffle`: forms have the latent tokens of different frames."""
    if not clips:
        return {}
    vectors = []
    for number in range(len(FORMS)):
        patches = torch.cat([clip.patches[number] for clip in clips]).float()
        latents = torch.cat([clip.latents[number] for clip in clips]).float()
        latents = latents.roll((FRAMES + 3) * number, 0) if shuffle else latents
        vectors.append(model(model.tokens(patches, latents)))
    keys = quantised(vectors[FORMS.index("coded")])
    answers = torch.arange(len(keys))
    figures: dict[str, float] = {}
    for form in ("source", "changed"):
        queries = vectors[FORMS.index(form)]
        parts = match_losses(model, queries, keys, answers)
        figures["loss"] = figures.get("loss", 0.0) + sum(map(float, parts.values()))
        q, k = F.normalize(queries, dim=1), F.normalize(keys, dim=1)
        for name, scores in (("cosine", q @ k.T), ("qc", (q @ model.ask) @ (k @ model.look).T)):
            best = scores.argmax(1)
            clip = best // FRAMES == answers // FRAMES
            near = clip & ((best - answers).abs() <= 1)
            figures[f"{form}, {name}: clip"] = round(float(clip.float().mean()), 4)
            figures[f"{form}, {name}: frame"] = round(float(near.float().mean()), 4)
    return figures


def train(cache: Path, out: Path, minutes: float, seed: int = 0, model: Path | None = None) -> None:
    """On the clips of the cache; writes state, weights and card to `out`. Raises `UsageError` for
    too few clips."""
    learn, validation, held_out = split(read_clips(cache, model))
    if not learn or not validation:
        raise UsageError("too few clips: some are learned from, a sixth validates")
    work = Frames((learn, validation, held_out), seed, out, model)
    schedule = Schedule(_RATE, 0, _STEPS, 50, average=0.98, decay=0.05, validate_minutes=0.4)
    Loop(work, schedule, out).run(minutes)


def main(words: Sequence[str] | None = None) -> None:
    parser = ExactParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("clips", type=Path, metavar="CLIPS", help="folder of videos")
    add("--cache", type=Path, required=True, metavar="DIR", help="tokens of clips")
    add("--out", type=Path, required=True, metavar="DIR", help="state and weights")
    add("--minutes", type=float, default=4.0, help="minutes of training; 0: cache only (4)")
    add("--seed", type=int, default=0)
    add("--model", type=Path, help="weights of the GVC1D network (the shipped ones)")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    fill(options.clips, options.cache, options.model)
    if options.minutes:
        train(options.cache, options.out, options.minutes, options.seed, options.model)
