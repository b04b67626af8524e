"""Accuracy of networks trained on condensed sets: `python -m eval condense --images DIR --out DIR`,
or `--clips DIR` with `--labels CSV` or `--splits DIR`.

*Motion8*: photos seen through a window of a third of their side that goes left, right, up, down,
nearer, farther, or turns either way, in 8 frames; the frame in the middle is the same in all 8, so
the order of frames tells the class and a single frame nothing. 200 photos to learn from, the others
to test. A user's clips: folds by source, each is a seed. UCF101 and HMDB51: the authors' splits.

Every method gets the same bytes, a share of the bytes of all clips at q 28 with all frames. Clips
are decoded from a real stream, and a network is trained on them from scratch, for more steps than
the networks that choose clips: in as few steps it would learn a set of 1,280 clips only by half,
and large sets would seem worse than small ones."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eval import clip_sets
from eval.arguments import add_out
from eval.search import interval
from eval.tools import EvalError, log_line, markdown, write_json, write_text
from gvcodec.condense import choosing
from gvcodec.condense.choosing import Choice
from gvcodec.condense.clip_streams import encode
from gvcodec.condense.clips import FRAMES, SIDE, Clips, read
from gvcodec.condense.joint import Parts
from gvcodec.condense.learning import Pairs, accuracy, features, fit
from gvcodec.condense.making import MAKERS, CondensedClips, choose, make_joint, split_validation
from gvcodec.errors import GvcodecError

#: Those of `gvcodec condense`, VideoCompressa's parts one by one, and simple ways.
CODED = {
    "joint": Parts(),
    "joint, selector off": Parts(select=False),
    "joint, codes frozen": Parts(learn=False),
    "joint, one after the other": Parts(together=False),
    "joint, nothing optimised": Parts(select=False, learn=False),
}
METHODS = (
    "frames", "selector", *CODED, "herding, quality searched", "herding", "k-centre", "random",
    "uniform", "whole clips at low q",
)  # fmt: skip
_FULL_Q, _LOW_Q, _USUAL_Q = 28, 60, 40
#: Networks that are judged begin elsewhere than those that clips were chosen by.
_OTHER = 1000
_WIDTHS = (16, 32, 32)


class Cubes(nn.Module):
    """Convolutions over space and time together, the mean over time."""

    def __init__(self, classes: int, side: int) -> None:
        super().__init__()
        widths = (3, *_WIDTHS, *_WIDTHS[-1:] * (side > 96))
        self.body = nn.Sequential(
            *(self._block(a, b) for a, b in pairwise(widths)),
            nn.AdaptiveAvgPool3d((1, 4, 4)),
        )
        self.head = nn.Linear(16 * _WIDTHS[-1], classes)

    def features(self, pictures: Tensor) -> Tensor:
        return self.body(pictures.movedim(-1, 1).float() / 64 - 2).flatten(1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.features(pictures))

    @staticmethod
    def _block(before: int, after: int) -> nn.Sequential:
        convolution = nn.Conv3d(before, after, 3, (1, 2, 2), 1)
        return nn.Sequential(convolution, nn.GroupNorm(4, after), nn.ReLU())


NETWORKS = {"Pairs": Pairs, "Cubes": Cubes}


def random_order(clips: Clips, rng: np.random.Generator) -> list[int]:
    return choosing.in_turns(clips.labels, rng.permutation(len(clips)), len(clips.classes))


def uniform_order(clips: Clips) -> list[int]:
    """Evenly spaced in the list of each class."""
    places = [np.flatnonzero(clips.labels == label) for label in range(len(clips.classes))]
    halved = [own[_van_der_corput(len(own))] for own in places]
    return choosing.in_turns(clips.labels, np.concatenate(halved), len(clips.classes))


def k_centre_order(clips: Clips, seen: NDArray[np.float64]) -> list[int]:
    """By class: each time the clip that is farthest from those chosen."""
    order = []
    for label in range(len(clips.classes)):
        own = np.flatnonzero(clips.labels == label)
        at = int(np.argmin(np.linalg.norm(seen[own] - seen[own].mean(0), axis=1)))
        nearest = np.full(len(own), np.inf)
        for _ in range(min(len(own), choosing.MOST_ORDERED // len(clips.classes))):
            order.append(int(own[at]))
            nearest = np.minimum(nearest, np.linalg.norm(seen[own] - seen[own[at]], axis=1))
            at = int(np.argmax(nearest))
    return choosing.in_turns(clips.labels, np.array(order), len(clips.classes))


def _van_der_corput(count: int) -> NDArray[np.int64]:
    """0 … count − 1 so that the first few are evenly spaced, too."""
    bits = max(1, (count - 1).bit_length())
    turned = [int(f"{n:0{bits}b}"[::-1], 2) for n in range(1 << bits)]
    return np.array([n for n in turned if n < count])


def choose_by(method: str, learn: Clips, seen: NDArray[np.float64], room: int, seed: int) -> Choice:
    """The clips that a baseline selects, whole and at the usual quality."""
    orders = {
        "uniform": lambda: uniform_order(learn),
        "k-centre": lambda: k_centre_order(learn, seen),
        "herding": lambda: choosing.herding_order(learn, seen),
    }
    rng = np.random.default_rng(100 + seed)
    order = orders.get(method, lambda: random_order(learn, rng))()
    q = _LOW_Q if method == "whole clips at low q" else _USUAL_Q
    return choosing.fill_budget(learn, order, np.arange(FRAMES), q, room)


def with_all(
    learn: Clips, test: Clips, whole: int, seed: int, steps: int, networks: int
) -> list[dict[str, Any]]:
    """Accuracies of the first `networks` networks with all clips."""
    rows = []
    for name, make in list(NETWORKS.items())[:networks]:
        network = fit(learn.pictures, learn.labels, len(learn.classes), steps, seed, make)
        right = accuracy(network, test.pictures, test.labels)
        row = {"method": "all clips", "network": name, "share": 1.0, "bytes": whole}
        rows.append(row | {"accuracy": right, "seed": seed})
    return rows


class Trial:
    """One seed: `rest` to choose from, `validation`, a network for features."""

    def __init__(self, learn: Clips, test: Clips, seed: int, steps: int, judged: int) -> None:
        self.test, self.seed, self.steps, self._judged = test, seed, steps, judged
        self.classes = len(learn.classes)
        self.rest, self.validation = split_validation(learn, np.random.default_rng(seed))
        network = fit(self.rest.pictures, self.rest.labels, self.classes, steps, seed)
        assert isinstance(network, Pairs)
        self.network, self.seen = network, features(network, self.rest.pictures)

    def make(self, method: str, room: int) -> CondensedClips:
        """The clips that a method selects."""
        given = self.rest, self.validation, self.network, self.seed, self.steps
        if method in CODED:
            return make_joint(*given, CODED[method])(room)
        if method in MAKERS:
            return MAKERS[method](*given)(room)
        if method == "herding, quality searched":
            chosen = choose(self.rest, self.validation, self.network, room, self.seed, self.steps)
            return CondensedClips.of(chosen["whole"])
        return CondensedClips.of(choose_by(method, self.rest, self.seen, room, self.seed))

    def at(
        self, share: float, room: int, methods: tuple[str, ...], transfer: bool
    ) -> list[dict[str, Any]]:
        """Accuracies of all methods in `room` bytes; `transfer`: of some by the other network
        too."""
        rest, seed = self.rest, self.seed
        rows = []
        for method in methods:
            made = self.make(method, room)
            labels = rest.labels[made.clips]
            facts = {"share": share, "bytes": len(made.stream), "clips": len(labels)}
            facts |= {"frames": made.count, "q": made.q}
            for name in list(NETWORKS)[: 1 + (transfer and method in (*MAKERS, "random"))]:
                # Pairs sees nothing else in frames that are repeated.
                pictures = made.repeat_frames(FRAMES if name != "Pairs" else max(2, made.count))
                network = fit(
                    pictures, labels, self.classes, self._judged, _OTHER + seed, NETWORKS[name]
                )
                right = accuracy(network, self.test.pictures, self.test.labels)
                rows.append(
                    {"method": method, "network": name, "accuracy": right, "seed": seed} | facts
                )
        log_line(
            f"seed {seed}, {100 * share:g} %: "
            + ", ".join(f"{row['method']} {row['accuracy']:.2f}" for row in rows)
        )
        return rows


def table(rows: list[dict[str, Any]], chance: float) -> str:
    """Markdown: methods by share of bytes."""
    groups: dict[tuple[str, str, float], list[float]] = defaultdict(list)
    for row in rows:
        groups[row["network"], row["method"], row["share"]].append(row["accuracy"])
    shares = sorted({row["share"] for row in rows})
    names = list(dict.fromkeys((row["network"], row["method"]) for row in rows))
    lines = [
        [*name, *(interval(groups.get((*name, share), [])) for share in shares)]
        for name in sorted(names, key=lambda pair: pair[0] != "Pairs")
    ]
    header = ["network", "method", *(f"{100 * share:g} %" for share in shares)]
    seeds = len({row["seed"] for row in rows})
    whole = [row["bytes"] for row in rows if row["method"] == "all clips"]
    size = f" All clips take {np.mean(whole):,.0f} bytes." if whole else ""
    over = f"mean of {seeds} seeds with 95 % interval" if seeds > 1 else "one seed"
    note = f"Accuracy in %, {over}; chance {100 * chance:.1f}."
    return f"{markdown(header, lines)}\n\n{note}{size}{_describe(rows)}\n"


def _describe(rows: list[dict[str, Any]]) -> str:
    """The clips that each method of `gvcodec condense` selects at each share."""
    parts = []
    for method, share in sorted({(row["method"], row["share"]) for row in rows}):
        own = [row for row in rows if (row["method"], row["share"]) == (method, share)]
        own = [row for row in own if row["network"] == "Pairs"]
        if method not in MAKERS or not own:
            continue
        frames = "/".join(map(str, sorted({row["frames"] for row in own})))
        qs = "/".join(f"{q:g}" for q in sorted({row["q"] for row in own}))
        count = np.mean([row["clips"] for row in own])
        parts.append(f"{method} {100 * share:g} %: {count:.0f} clips of {frames} frames at {qs}")
    return f" Kept: {', '.join(parts)}." if parts else ""


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--images", type=Path, metavar="DIR", help="photos, of which Motion8 is made")
    add("--clips", type=Path, metavar="DIR", help="videos that --labels or --splits name")
    add("--labels", type=Path, metavar="CSV", help="columns file and label")
    add(
        "--column",
        default="label",
        metavar="NAME",
        help="column of --labels with the classes (label)",
    )
    sources = "columns file and source_repo: a source is learned from or tested by, not both"
    add("--manifest", type=Path, metavar="CSV", help=sources)
    add("--splits", type=Path, metavar="DIR", help="lists of UCF101 or HMDB51, for --clips")
    add("--side", type=int, default=SIDE, help=f"width and height of pictures ({SIDE})")
    add("--transfer", action="store_true", help="train Cubes too, at the middle share")
    parts = lambda text: [float(part) / 100 for part in text.split(",")]
    shares = [0.005, 0.01, 0.02, 0.05]
    add("--shares", type=parts, default=shares, help="shares of the bytes (0.5,1,2,5 %%)")
    add(
        "--methods",
        type=lambda text: text.split(";"),
        metavar="NAME;…",
        help="methods to run (all)",
    )
    add("--seeds", type=int, default=5, help="seeds of Motion8, or folds of --labels (5)")
    add("--steps", type=int, default=300, help="steps of networks that choose clips (300)")
    add("--judged", type=int, default=900, help="steps of training on a condensed set (900)")
    add("--full", type=int, default=800, help="steps of training on all clips (800)")
    add("--full-seeds", type=int, default=2, help="seeds trained on all clips (2)")
    add_out(parser)


def run(options: argparse.Namespace) -> None:
    """Writes a JSON for each seed and share, and table.md; existing files are kept."""
    torch.set_num_threads(1)
    try:
        _run(options)
    except GvcodecError as error:
        raise EvalError(str(error)) from error


def _run(options: argparse.Namespace) -> None:
    rows: list[dict[str, Any]] = []
    chances: list[float] = []
    of, size = None, cache(int)
    for seed, (learn, test) in enumerate(_tasks(options)):
        if learn is not of:  # seeds may share all clips, whose bytes are measured once
            of, size = learn, cache(lambda own=learn: len(encode(list(own.pictures), _FULL_Q)))
        chances.append(float(np.bincount(test.labels).max() / len(test)))
        if seed < options.full_seeds:
            path = options.out / f"all-{seed}.json"
            if not path.is_file():
                judged = 1 + options.transfer
                whole = with_all(learn, test, size(), seed, options.full, judged)
                write_json(path, whole)
            rows += json.loads(path.read_text())
        trial: Trial | None = None
        for share in options.shares:
            path = options.out / f"seed{seed}-{100 * share:g}.json"
            if not path.is_file():
                trial = trial or Trial(learn, test, seed, options.steps, options.judged)
                methods = tuple(options.methods or METHODS)
                transfer = options.transfer and share == options.shares[len(options.shares) // 2]
                write_json(path, trial.at(share, int(share * size()), methods, transfer))
            rows += json.loads(path.read_text())
    made = table(rows, float(np.mean(chances)))
    write_text(options.out / "table.md", made)
    print(made)


def _tasks(options: argparse.Namespace) -> Iterator[tuple[Clips, Clips]]:
    """Clips to learn from and to test by, for each seed."""
    if options.images:
        pair = clip_sets.motion8(options.images, options.side)
        return (pair for _ in range(options.seeds))
    if options.clips and options.splits:
        return clip_sets.in_splits(options.clips, options.splits, options.side)
    if options.clips and options.labels:
        videos = clip_sets.list_clips(options.clips, options.labels, options.column)
        sources = clip_sets.read_sources(videos, options.clips, options.manifest)
        every = read(videos, side=options.side)
        return clip_sets.in_folds(every, sources, options.seeds)
    raise EvalError("condense needs --images, or --clips and --labels or --splits")
