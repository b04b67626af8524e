"""What a network learns from a condensed set: `python -m eval condense --images DIR --out DIR`, or
`--clips DIR --labels CSV`.

*Motion8*: photos of 96 × 96 seen through a window of 32 × 32 that goes left, right, up, down,
nearer, farther, or turns either way, in 8 frames; the frame in the middle is the same in all 8, so
the order of frames tells the class and a single frame nothing. 200 photos to learn from, the others
to test. *Hand labels*: `eval/labels.csv`, six classes of 105 clips, given by looking at them;
folds by source, each is a seed.

Every method gets the same bytes, a share of those of all clips at q 28 with all
frames; its clips are decoded from a real stream, and a network is trained on them from scratch."""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eval.arguments import add_out
from eval.search import interval
from eval.tools import EvalError, markdown, say, write_json, write_text
from gvcodec.condense import choosing
from gvcodec.condense.choosing import Choice
from gvcodec.condense.clips import FRAMES, SIDE, Clips, list_clips, read
from gvcodec.condense.coded import encode
from gvcodec.condense.learning import accuracy, features, fit
from gvcodec.condense.making import choose, split_validation
from gvcodec.condense.networks import Pairs, prepare
from gvcodec.media.reader import VideoReader
from gvcodec.retrieval.thumbnails import thumbnail

MOTIONS = ("left", "right", "up", "down", "nearer", "farther", "clockwise", "counter-clockwise")
METHODS = (
    "ours", "ours, pixels not moved", "herding", "random", "uniform", "k-centre", "middle frame",
    "whole clips at low q",
)  # fmt: skip
_LEARN, _PHOTO = 200, 96
#: A frame's shift in pixels, gain of scale, turn in radians.
_STEP, _ZOOM, _TURN = 2.0, 1.07, 0.07
_FULL_Q, _LOW_Q, _USUAL_Q = 28, 60, 40
_MOVES = 24
#: Networks that are judged begin elsewhere than those that clips were chosen by.
_OTHER = 1000
_WIDTHS = (16, 32, 32)


class Cubes(nn.Module):
    """Convolutions over space and time together, the mean over time."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        widths = (3, *_WIDTHS)
        self.body = nn.Sequential(
            *(self._block(a, b) for a, b in zip(widths, _WIDTHS, strict=False)),
            nn.AdaptiveAvgPool3d((1, 4, 4)),
        )
        self.head = nn.Linear(16 * _WIDTHS[-1], classes)

    def features(self, pictures: Tensor) -> Tensor:
        return self.body(prepare(pictures).transpose(1, 2)).flatten(1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.features(pictures))

    @staticmethod
    def _block(before: int, after: int) -> nn.Sequential:
        convolution = nn.Conv3d(before, after, 3, (1, 2, 2), 1)
        return nn.Sequential(convolution, nn.GroupNorm(4, after), nn.ReLU())


NETWORKS = {"Pairs": Pairs, "Cubes": Cubes}


def motion8(images: Path) -> tuple[Clips, Clips]:
    """Clips to learn from and to test by."""
    paths = sorted(p for p in images.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if len(paths) <= _LEARN:
        raise EvalError(f"{images}: more than {_LEARN} photos are needed")
    paths = [paths[n] for n in np.random.default_rng(0).permutation(len(paths))]
    photos = []
    for path in paths:
        with VideoReader(path, frames=1) as reader:
            planes = next(iter(reader)).planes
            photos.append(thumbnail(planes, reader.format.colour, _PHOTO))
    pictures = np.stack([move(photo, motion) for photo in photos for motion in range(8)])
    labels, names = (
        np.tile(np.arange(8), len(photos)),
        tuple(str(n) for n in range(8 * len(photos))),
    )
    cut = 8 * _LEARN
    return (
        Clips(pictures[:cut], labels[:cut], MOTIONS, names[:cut]),
        Clips(pictures[cut:], labels[cut:], MOTIONS, names[cut:]),
    )


def move(photo: NDArray[np.uint8], motion: int) -> NDArray[np.uint8]:
    """(8, 32, 32, 3): the photo through a window that moves; frame 4 is the middle of the photo in
    all motions."""
    out = np.empty((FRAMES, SIDE, SIDE, 3), np.uint8)
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    for t in range(FRAMES):
        n = t - FRAMES // 2
        sign = 1 if motion % 2 == 0 else -1
        scale = _ZOOM ** (-sign * n) if motion in (4, 5) else 1.0
        angle = sign * n * _TURN if motion in (6, 7) else 0.0
        down, right = (sign * n * _STEP * (motion in pair) for pair in ((2, 3), (0, 1)))
        y = scale * (np.cos(angle) * rows - np.sin(angle) * columns) + (_PHOTO - 1) / 2 + down
        x = scale * (np.sin(angle) * rows + np.cos(angle) * columns) + (_PHOTO - 1) / 2 + right
        out[t] = _sample(photo, y, x)
    return out


def _sample(
    photo: NDArray[np.uint8], y: NDArray[np.float64], x: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Bilinear samples."""
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = (y - top)[..., None], (x - left)[..., None]
    above = photo[top, left] * (1 - fx) + photo[top, left + 1] * fx
    below = photo[top + 1, left] * (1 - fx) + photo[top + 1, left + 1] * fx
    return np.rint(above * (1 - fy) + below * fy).astype(np.uint8)


def hand_labelled(folder: Path, labels: Path) -> Iterator[tuple[Clips, Clips]]:
    """Clips to learn from and to test by, for each fold."""
    every = read(list_clips(folder, labels))
    with open(labels, newline="", encoding="utf-8") as file:
        folds = np.array([int(row["fold"]) for row in csv.DictReader(file)])
    for fold in range(int(folds.max()) + 1):
        yield every.only(np.flatnonzero(folds != fold)), every.only(np.flatnonzero(folds == fold))


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
    """What a simple way keeps of the clips, whole and at the usual quality."""
    orders = {
        "uniform": lambda: uniform_order(learn),
        "k-centre": lambda: k_centre_order(learn, seen),
        "herding": lambda: choosing.herding_order(learn, seen),
    }
    rng = np.random.default_rng(100 + seed)
    order = orders.get(method, lambda: random_order(learn, rng))()
    count, q = {"middle frame": (1, _USUAL_Q), "whole clips at low q": (FRAMES, _LOW_Q)}.get(
        method, (FRAMES, _USUAL_Q)
    )
    return choosing.fill_room(learn, order, count, q, room)


def with_all(learn: Clips, test: Clips, whole: int, seed: int, steps: int) -> list[dict[str, Any]]:
    """Accuracies of both networks with all clips."""
    rows = []
    for name, make in NETWORKS.items():
        network = fit(learn.pictures, learn.labels, len(learn.classes), steps, seed, make)
        right = accuracy(network, test.pictures, test.labels)
        row = {"method": "all clips", "network": name, "share": 1.0, "bytes": whole}
        rows.append(row | {"accuracy": right, "seed": seed})
    return rows


class Trial:
    """One seed: `rest` to choose from, `validation`, a network for features."""

    def __init__(self, learn: Clips, test: Clips, seed: int, steps: int) -> None:
        self.test, self.seed, self.steps = test, seed, steps
        self.classes = len(learn.classes)
        self.rest, self.validation = split_validation(learn, np.random.default_rng(seed))
        network = fit(self.rest.pictures, self.rest.labels, self.classes, steps, seed)
        assert isinstance(network, Pairs)
        self.network, self.seen = network, features(network, self.rest.pictures)

    def at(
        self, share: float, room: int, methods: tuple[str, ...], transfer: bool
    ) -> list[dict[str, Any]]:
        """Accuracies of all methods in `room` bytes; `transfer`: of some by the other network
        too."""
        rest, seed = self.rest, self.seed
        plain, ours = choose(rest, self.validation, self.network, room, _MOVES, seed, self.steps)
        own = {"ours": ours, "ours, pixels not moved": plain}
        rows = []
        known: dict[tuple[bytes, str], float] = {}
        for method in methods:
            choice = own.get(method) or choose_by(method, rest, self.seen, room, seed)
            pictures = choosing.decode_frames(choice.stream, FRAMES)
            labels = rest.labels[choice.clips]
            facts = {
                "share": share,
                "bytes": len(choice.stream),
                "clips": len(labels),
                "frames": choice.count,
                "q": choice.q,
            }
            for name in list(NETWORKS)[: 1 + (transfer and method in ("ours", "random"))]:
                if (choice.stream, name) not in known:
                    make = NETWORKS[name]
                    network = fit(pictures, labels, self.classes, self.steps, _OTHER + seed, make)
                    right = accuracy(network, self.test.pictures, self.test.labels)
                    known[choice.stream, name] = right
                right = known[choice.stream, name]
                rows.append(
                    {"method": method, "network": name, "accuracy": right, "seed": seed} | facts
                )
        say(
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
    note = f"Accuracy in %, mean of {seeds} seeds with 95 % interval; chance {100 * chance:.1f}."
    return f"{markdown(header, lines)}\n\n{note}{size}{_describe_ours(rows)}\n"


def _describe_ours(rows: list[dict[str, Any]]) -> str:
    """What our own method keeps of the clips at each share."""
    parts = []
    ours = [row for row in rows if row["method"] == "ours" and row["network"] == "Pairs"]
    for share in sorted({row["share"] for row in ours}):
        mine = [row for row in ours if row["share"] == share]
        frames = "/".join(map(str, sorted({row["frames"] for row in mine})))
        qs = "/".join(f"{q:g}" for q in sorted({row["q"] for row in mine}))
        count = np.mean([row["clips"] for row in mine])
        parts.append(f"{100 * share:g} %: {count:.0f} clips of {frames} frames at q {qs}")
    return f" Ours keeps, {', '.join(parts)}." if parts else ""


class _Size:
    """Bytes of all clips of a set, measured once."""

    def __init__(self) -> None:
        self._known: tuple[Clips | None, int] = (None, 0)

    def __call__(self, clips: Clips) -> int:
        if self._known[0] is not clips:
            self._known = clips, len(encode(list(clips.pictures), _FULL_Q))
        return self._known[1]


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--images", type=Path, metavar="DIR", help="photos, of which Motion8 is made")
    add("--clips", type=Path, metavar="DIR", help="videos that --labels names")
    columns = "columns file, label, fold, as eval/labels.csv"
    add("--labels", type=Path, metavar="CSV", help=columns)
    shares = [0.005, 0.01, 0.02, 0.05]
    add("--shares", type=_shares, default=shares, help="of the bytes (0.5,1,2,5 %%)")
    add("--methods", type=lambda text: text.split(";"), metavar="NAME;…", help="(all)")
    add("--seeds", type=int, default=5, help="of Motion8 (5)")
    add("--steps", type=int, default=300, help="of training on a condensed set (300)")
    add("--full", type=int, default=800, help="steps of training on all clips (800)")
    add("--full-seeds", type=int, default=2, help="seeds that do so (2)")
    add_out(parser)


def _shares(text: str) -> list[float]:
    return [float(part) / 100 for part in text.split(",")]


def run(options: argparse.Namespace) -> None:
    """Writes a JSON for each seed and share, and table.md; what is there is kept."""
    torch.set_num_threads(1)
    if options.images:
        learn, test = motion8(options.images)
        tasks: Iterator[tuple[Clips, Clips]] = ((learn, test) for _ in range(options.seeds))
    elif options.clips and options.labels:
        tasks = hand_labelled(options.clips, options.labels)
    else:
        raise EvalError("condense needs --images, or --clips and --labels")
    rows: list[dict[str, Any]] = []
    chance, size = 0.0, _Size()
    for seed, (learn, test) in enumerate(tasks):
        chance = float(np.bincount(test.labels).max() / len(test))
        if seed < options.full_seeds:
            path = options.out / f"all-{seed}.json"
            rows += _load_or_make(
                path, partial(with_all, learn, test, size(learn), seed, options.full)
            )
        trial: Trial | None = None
        for share in options.shares:
            path = options.out / f"seed{seed}-{100 * share:g}.json"
            if not path.is_file():
                trial = trial or Trial(learn, test, seed, options.steps)
                methods = tuple(options.methods or METHODS)
                transfer = share == options.shares[len(options.shares) // 2]
                write_json(path, trial.at(share, int(share * size(learn)), methods, transfer))
            rows += json.loads(path.read_text())
    write_text(options.out / "table.md", table(rows, chance))
    print(table(rows, chance))


def _load_or_make(path: Path, make: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What the file holds, made now if it is not there."""
    if not path.is_file():
        write_json(path, make())
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found
