"""VideoCompressa's claim on the tokens of GVC1D, in the miniature world:
`python -m eval.experiments.miniature_condense [--model W]`.

The question is where the shapes of a clip move: nowhere, left, right, up or down. (Asked for all
eight motions of the world, one step from frame to frame, a classifier that had seen 800 clips was
right in 18.5 %.) A classifier learns it from a small set, a share of the bytes of all clips as AV1
at q 28 with all frames. Clips to test by have other seeds and other textures. The network that
codes was trained on this world, SVT-AV1 was not.

    frames                 clips in herding order as AV1; frames and quality by validation loss
    random frames          random clips, four random frames of each, as AV1 at q 59
    selector               frames by a trained selector, as AV1
    joint                  four frames of a clip by a selector, as tokens of GVC1D, both optimised
                           with a classifier that learns from them; and without each part

Tokens of a clip are those of its four frames one after the other, from a keyframe on, at 64×64; the
frozen network codes them, by its own entropy model, to one packet a frame.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from eval.condense import CODED, Trial
from eval.tools import append_rows
from gvcodec.bitstream.varint import encode_var
from gvcodec.condense import choosing
from gvcodec.condense.clip_streams import encode
from gvcodec.condense.clips import Clips
from gvcodec.condense.joint import Parts, optimise
from gvcodec.condense.learning import accuracy, fit
from gvcodec.condense.making import CondensedClips
from gvcodec.gvc1d import ops_exact, ops_torch
from gvcodec.gvc1d.frame_coder import BLACK, RANGE, RATE_STEPS, Frame, FrameCoder
from gvcodec.gvc1d.model import Codec, Grid, from_patches, to_patches
from gvcodec.gvc1d.weights import read_network
from gvcodec.planes import planes_from_rgb
from gvcodec.retrieval.thumbnails import thumbnail
from gvcodec.types import Colour
from gvcodec.util.colour import SMALL
from gvcodec.util.tensors import to_rgb
from training import world

SIDE, FRAMES, COUNT = 32, 8, 4
#: Of the network's rates, 0 (finest) to 7.
RATE = 5
LEARN, TEST = 1000, 300
SHARES = (0.005, 0.01)
#: The first of `world.MOTIONS`, and the time from frame to frame.
CLASSES, STRIDE = 5, 3
#: Steps of networks that choose, of those that are judged, and for each step of codes.
STEPS, JUDGED, EVERY = 300, 900, 5
_RANDOM_Q, _FULL_Q = 59, 28
METHODS = ("frames", "random frames", "selector", *CODED)
OUTPUT = Path("docs/data/gvc1d-condense.csv")
FIELDS = ("seed", "share", "method", "bytes", "clips", "frames", "accuracy")

Values = NDArray[np.int16]


class FrameCodes:
    """Codes of clips by GVC1D (`gvcodec.condense.joint.CodeSpace`): integers [N, K * T, C] of K
    frames of one window each."""

    def __init__(self, model: Path) -> None:
        self.config, self.weights = read_network(model)
        tensors = {name: torch.tensor(np.array(value)) for name, value in self.weights.items()}
        self._codec = Codec(self.config, tensors, ops_torch)
        self._mix = ops_torch.rate_mix(torch.tensor([float(RATE)]), 8)
        self._grid = Grid(1, 1)
        self._packets: dict[bytes, bytes] = {}

    @torch.no_grad()
    def tokenize(self, clips: NDArray[np.uint8]) -> Values:
        """Integers of clips (N, K, side, side, 3)."""
        return np.concatenate([self._tokenize(clips[n : n + 32]) for n in range(0, len(clips), 32)])

    def _tokenize(self, clips: NDArray[np.uint8]) -> Values:
        size, state = self.config.window, self._codec.first_state(len(clips), self._grid)
        pictures = torch.from_numpy(clips).float().permute(0, 1, 4, 2, 3)
        tokens = []
        for frame in pictures.unbind(1):
            large = F.interpolate(frame, (size, size), mode="bilinear", antialias=True)
            rgb = large.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
            levels = [np.stack(p) for p in zip(*map(planes_from_rgb, rgb), strict=True)]
            planes = [torch.from_numpy((p.astype(np.float32) - BLACK) / RANGE) for p in levels]
            patches = to_patches(*planes, self.config, ops_torch)
            values = self._codec.encode(patches, state, self._mix, self._grid).round()
            tokens.append(values[:, 0])
            state = self._next(values, state)[1]
        return torch.cat(tokens, 1).numpy().astype(np.int16)

    def _next(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Patches of the next frame, and the state after it; tokens [N, 1, T, C]."""
        present = torch.ones_like(tokens[..., :1])
        shown, features = self._codec.decode(tokens, present, state, self._mix, self._grid)
        return shown, self._codec.advance(state, tokens, present, features, self._grid)

    def _frames(self, values: Tensor) -> list[Tensor]:
        """K times [N, 1, T, C]."""
        return [part[:, None] for part in values.split(self.config.tokens, 1)]

    def bits(self, values: Tensor) -> Tensor:
        """Bits of integers [N, K * T, C] by the autoregressive entropy model."""
        state, total = self._codec.first_state(len(values), self._grid), values.new_zeros(())
        for tokens in self._frames(values):
            prediction = self._codec.predict(tokens, state, self._mix, self._grid)
            total = total + ops_torch.estimate_bits(tokens, prediction).sum()
            state = self._next(tokens, state)[1]
        return total

    def synthesise(self, values: Tensor, count: int, side: int) -> Tensor:
        """Pictures [N, count, side, side, 3], 0…255."""
        state, pictures = self._codec.first_state(len(values), self._grid), []
        for tokens in self._frames(values)[:count]:
            shown, state = self._next(tokens, state)
            planes = from_patches(shown, self._grid, self.config, ops_torch)
            y, u, v = (((BLACK + RANGE * plane) / 1023)[:, None] for plane in planes)
            rgb = 255 * to_rgb(y, torch.cat([u, v], 1), SMALL)
            small = F.interpolate(rgb, (side, side), mode="bilinear", antialias=True)
            pictures.append(small.clamp(0, 255).permute(0, 2, 3, 1))
        return torch.stack(pictures, 1)

    def pack(self, values: Values) -> bytes:
        """Packets with their lengths."""
        return b"".join(map(self._pack, np.ascontiguousarray(values)))

    def _pack(self, values: Values) -> bytes:
        key = values.tobytes()
        if key not in self._packets:
            size, count = self.config.window, self.config.tokens
            coder = FrameCoder(self.config, self.weights, ops_exact, (size, size))
            frames = values.astype(np.int32).reshape(-1, 1, count, self.config.channels)
            frame_of = lambda tokens: Frame(RATE * RATE_STEPS, np.array([count]), tokens)
            packets = [coder.encode(frame_of(tokens))[0] for tokens in frames]
            self._packets[key] = b"".join(encode_var(len(p)) + p for p in packets)
        return self._packets[key]


def make_clips(first_seed: int, count: int) -> Clips:
    """Clips of one scene each, with the motion of its shapes."""
    shots = [0] * FRAMES, list(range(0, STRIDE * FRAMES, STRIDE))
    pictures, labels, names = [], [], []
    for seed in range(first_seed, first_seed + 10 * count):
        # A clip's first scene draws its motion first.
        if len(labels) == count or int(np.random.default_rng(seed).integers(8)) >= CLASSES:
            continue
        clip = world.draw(seed, FRAMES, shots)
        planes = ((BLACK + np.rint(p * RANGE)).astype(np.uint16) for p in (clip.y, clip.u, clip.v))
        frames = zip(*planes, strict=True)
        pictures.append(np.stack([thumbnail(frame, Colour(), SIDE) for frame in frames]))
        labels.append(clip.motion)
        names.append(str(seed))
    return Clips(np.stack(pictures), np.array(labels), world.MOTIONS[:CLASSES], tuple(names))


def make_joint(trial: Trial, space: FrameCodes, room: int, parts: Parts) -> CondensedClips:
    """Tokens of as many clips as fit."""
    order = choosing.herding_order(trial.rest, trial.seen)
    steps = trial.steps // EVERY
    coded = optimise(trial.rest, order, space, COUNT, room, steps, trial.seed, parts)
    values = coded.fitting(room)
    with torch.no_grad():
        pictures = space.synthesise(torch.from_numpy(values).float(), COUNT, SIDE)
    shown = pictures.round().to(torch.uint8).numpy()
    return CondensedClips(np.array(order[: len(values)]), shown, RATE, space.pack(values))


def make_random(trial: Trial, room: int) -> CondensedClips:
    rng = np.random.default_rng(100 + trial.seed)
    order = rng.permutation(len(trial.rest))
    scores = rng.uniform(size=(len(trial.rest), FRAMES))
    places = np.sort(scores.argsort(1)[:, :COUNT], 1)
    return CondensedClips.of(choosing.fill_budget(trial.rest, order, places, _RANDOM_Q, room))


def make(trial: Trial, method: str, space: FrameCodes, room: int) -> CondensedClips:
    if method in CODED:
        return make_joint(trial, space, room, CODED[method])
    return make_random(trial, room) if method == "random frames" else trial.make(method, room)


def judge(trial: Trial, condensed: CondensedClips, seed: int) -> float:
    """Accuracy of a network that learns from the set alone."""
    labels = trial.rest.labels[condensed.clips]
    pictures = condensed.repeat_frames(max(2, condensed.count))
    network = fit(pictures, labels, trial.classes, JUDGED, 1000 + seed)
    return accuracy(network, trial.test.pictures, trial.test.labels)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m eval.experiments.miniature_condense")
    parser.add_argument("--model", type=Path, default=Path("checkpoints/gvc1d-mini.safetensors"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    space = FrameCodes(options.model)
    learn, test = make_clips(1000, LEARN), make_clips(world.FIRST_TEST_SEED + 4000, TEST)
    whole = len(encode(list(learn.pictures), _FULL_Q))
    for seed in options.seeds:
        network = fit(learn.pictures, learn.labels, len(learn.classes), JUDGED, 1000 + seed)
        right = accuracy(network, test.pictures, test.labels)
        write(options.output, [seed, 1, "all clips", whole, LEARN, FRAMES, right])
        trial = Trial(learn, test, seed, STEPS, JUDGED)
        for share in options.shares:
            for method in options.methods:
                condensed = make(trial, method, space, int(share * whole))
                facts = (len(condensed.stream), len(condensed.clips), condensed.count)
                write(options.output, [seed, share, method, *facts, judge(trial, condensed, seed)])


def write(path: Path, row: list[Any]) -> None:
    row = [*row[:-1], round(row[-1], 4)]
    append_rows(path, FIELDS, [row])
    print(*row, flush=True)


if __name__ == "__main__":
    main()
