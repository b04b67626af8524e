"""Motion8 with codes of the tokenizer and with codes of a GVC1D network for natural video:
`python -m eval.experiments.small_condense IMAGES --model WEIGHTS`.

Condensed sets (`gvcodec.condense`) hold clips as codes of a frozen network. Both arms get the same
clips in the same order, the same bytes, and the same classifier afterwards.

    tokenizer   four frames of a clip fill a window; rANS with the tables of the set (`condense`)
    network     four frames fill a quadrant, of which the tokens come first; rANS with the tables of
                the entropy model. The other tokens are those of a grey picture and are not stored

Motion8 and its columns: `eval.condense`.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from eval import clip_sets
from eval.condense import CODED, Trial
from eval.experiments.miniature_condense import EVERY, judge
from eval.tools import EvalError, append_rows
from gvcodec import _core
from gvcodec.condense import choosing
from gvcodec.condense.clip_streams import encode
from gvcodec.condense.joint import Parts, optimise
from gvcodec.condense.making import CondensedClips
from gvcodec.gvc1d import ops_exact
from gvcodec.gvc1d.model import LARGEST, Codec, Grid, rate_mix
from gvcodec.models import read_arrays
from gvcodec.planes import planes_from_rgb
from gvcodec.util.colour import SMALL
from gvcodec.util.tensors import to_rgb
from training.gvc1d.pictures import PictureNetwork

SIDE, COUNT = 32, 4
#: Coarsest of the network's rates, as the tokenizer's: codes are limited by their number.
RATE = 7
STEPS, JUDGED = 300, 900
_FULL_Q, _GREY = 28, 128
OUTPUT = Path("docs/data/gvc1d-small-condense.csv")
FIELDS = (
    "model", "step", "training seed", "seed", "share", "method", "bytes", "clips", "accuracy",
)  # fmt: skip

Values = NDArray[np.int16]
Pictures = NDArray[np.uint8]


class QuadrantCodes:
    """Codes of clips by a GVC1D network (`gvcodec.condense.joint.CodeSpace`): the first quarter of
    a window's tokens, [N, T / 4, C]. Tokens begin in the Z-order of patches, so these are of the
    upper left quadrant, where `COUNT` frames lie in a square."""

    def __init__(self, model: Path, rate: int = RATE) -> None:
        self.network, self._rate = PictureNetwork(model, rate), rate
        config = self.network.config
        if config.tokens % 4 or config.tokens > config.patches:
            raise EvalError(f"{model}: a quadrant of its windows has no tokens of its own")
        self.tokens, self._window = config.tokens // 4, config.window
        grey = np.full((self._window, self._window, 3), _GREY, np.uint8)
        self._rest = torch.from_numpy(self._encode([grey])[:, self.tokens :]).float()
        self._exact = Codec(config, self.network.weights, ops_exact)
        self._known: dict[bytes, tuple[NDArray[np.int16], NDArray[np.uint8]]] = {}

    def tokenize(self, clips: Pictures) -> Values:
        """Of clips (N, COUNT, side, side, 3)."""
        return self._encode([self.lay_out(clip) for clip in clips])[:, : self.tokens]

    def _encode(self, windows: Sequence[Pictures]) -> Values:
        return self.network.encode([planes_from_rgb(window) for window in windows]).values[:, 0]

    def lay_out(self, clip: Pictures) -> Pictures:
        """A window (256, 256, 3) with the frames in its upper left quadrant."""
        side = self._window // 4
        frames = torch.from_numpy(clip).permute(0, 3, 1, 2).float()
        x = F.interpolate(frames, (side, side), mode="bicubic", antialias=True)
        tiles = x.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        window = np.full((self._window, self._window, 3), _GREY, np.uint8)
        for (top, left), tile in zip(self._corners(), tiles, strict=True):
            window[top : top + side, left : left + side] = tile
        return window

    def _corners(self) -> list[tuple[int, int]]:
        side = self._window // 4
        return [(side * (number // 2), side * (number % 2)) for number in range(COUNT)]

    def _whole(self, values: Tensor) -> Tensor:
        """All tokens of the window: [N, T / 4, C] to [N, 1, T, C]."""
        return torch.cat([values, self._rest.expand(len(values), -1, -1)], 1)[:, None]

    def bits(self, values: Tensor) -> Tensor:
        """Of all integers. Later tokens do not change the estimate of earlier ones."""
        each = self.network.token_bits(self._whole(values))  # [N, 1, T, C]
        return each[:, :, : self.tokens].sum()

    def synthesise(self, values: Tensor, count: int, side: int) -> Tensor:
        """Pictures (N, count, side, side, 3), 0…255; differentiable."""
        planes = self.network.decode(self._whole(values), self._window, self._window)
        luma, chroma = (plane * (1020 / 1023) for plane in planes)
        rgb, tile = 255 * to_rgb(luma, chroma, SMALL), self._window // 4
        frames = []
        for top, left in self._corners()[:count]:
            large = rgb[:, :, top : top + tile, left : left + tile]
            frames.append(F.interpolate(large, (side, side), mode="bilinear", antialias=True))
        return torch.stack(frames, 1).clamp(0, 255).permute(0, 1, 3, 4, 2)

    def pack(self, values: Values) -> bytes:
        """One rANS packet, clip by clip and token by token, and its CRC-32."""
        clips = np.ascontiguousarray(values)
        tables = [self._tables(clip) for clip in clips]
        means, scales = (np.concatenate(part, None) for part in zip(*tables, strict=True))
        packet: bytes = _core.cdf_encode(clips.ravel().astype(np.int32), scales, means)
        return packet + zlib.crc32(packet).to_bytes(4, "little")

    def _tables(self, clip: Values) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Means in eighths and scales of the integers of a clip, by exact arithmetic."""
        key = clip.tobytes()
        if key not in self._known:
            tokens = np.zeros((1, 1, self.network.config.tokens, clip.shape[1]), np.float32)
            tokens[0, 0, : self.tokens] = clip
            state = self._exact.first_state(1, Grid(1, 1))
            prediction = self._exact.predict(tokens, state, rate_mix(self._rate), Grid(1, 1))
            mean, scale = (x[0, 0, : self.tokens] for x in prediction)
            self._known[key] = (
                np.clip(np.rint(8 * mean), -8 * LARGEST, 8 * LARGEST).astype(np.int16),
                np.clip(np.rint(scale), 0, _core.SCALES - 1).astype(np.uint8),
            )
        return self._known[key]


def make(trial: Trial, space: QuadrantCodes, room: int, parts: Parts) -> CondensedClips:
    """Codes of as many clips as fit into `room` bytes, in herding order."""
    order = choosing.herding_order(trial.rest, trial.seen)
    steps = trial.steps // EVERY
    coded = optimise(trial.rest, order, space, COUNT, room, steps, trial.seed, parts)
    values, pictures = coded.fitting(room), []
    with torch.no_grad():
        for part in torch.from_numpy(values).float().split(16):
            pictures.append(space.synthesise(part, COUNT, trial.rest.pictures.shape[2]))
    shown = torch.cat(pictures).round().to(torch.uint8).numpy()
    return CondensedClips(np.array(order[: len(values)]), shown, RATE, space.pack(values))


def read_facts(model: Path) -> list[str]:
    """Steps and seed of a network's training, from its metadata."""
    metadata = read_arrays(model, ())[1]
    return [metadata.get(name, "") for name in ("steps", "seed")]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m eval.experiments.small_condense")
    add = parser.add_argument
    add("images", type=Path, metavar="IMAGES", help="folder of photos, of which Motion8 is made")
    add("--model", type=Path, required=True, help="weights of the GVC1D network")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    add("--shares", type=float, nargs="+", default=[0.01])
    add("--methods", nargs="+", choices=CODED, default=["joint, nothing optimised"])
    add("--arms", nargs="+", choices=("tokenizer", "network"), default=["tokenizer", "network"])
    add("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    space = QuadrantCodes(options.model)
    learn, test = clip_sets.motion8(options.images, SIDE)
    whole = len(encode(list(learn.pictures), _FULL_Q))
    facts = {"network": read_facts(options.model), "tokenizer": ["", ""]}
    for seed in options.seeds:
        trial = Trial(learn, test, seed, STEPS, JUDGED)
        for share, method, arm in (
            (s, m, a) for s in options.shares for m in options.methods for a in options.arms
        ):
            room = int(share * whole)
            if arm == "network":
                condensed = make(trial, space, room, CODED[method])
            else:
                condensed = trial.make(method, room)
            right = round(judge(trial, condensed, seed), 4)
            row: list[Any] = [arm, *facts[arm], seed, share, method]
            row += [len(condensed.stream), len(condensed.clips), right]
            append_rows(options.output, FIELDS, [row])
            print(*row, flush=True)


if __name__ == "__main__":
    main()
