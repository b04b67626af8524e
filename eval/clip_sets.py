"""Training and test splits of clips, on which condensed sets are measured.

    motion8       photos seen through a window that moves in one of eight ways
    in_folds      a user's clips with labels, every source in one fold
    in_splits     UCF101 and HMDB51 by the lists of their authors

Clips are small pictures (`gvcodec.condense.clips`). Raises `EvalError`."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.tools import EvalError
from gvcodec.condense.clips import FRAMES, Clips, read
from gvcodec.retrieval.thumbnails import thumbnail
from gvcodec.source.reader import VideoReader

Videos = list[tuple[Path, str]]

MOTIONS = ("left", "right", "up", "down", "nearer", "farther", "clockwise", "counter-clockwise")
#: Photos to learn from; sides of a photo for one of the window.
_LEARN, _PHOTO = 200, 3
#: A frame's shift in sides, gain of scale, turn in radians.
_STEP, _ZOOM, _TURN = 1 / 16, 1.07, 0.07


def motion8(images: Path, side: int) -> tuple[Clips, Clips]:
    """Clips to learn from and to test by, pictures of this side."""
    paths = sorted(p for p in images.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if len(paths) <= _LEARN:
        raise EvalError(f"{images}: more than {_LEARN} photos are needed")
    paths = [paths[n] for n in np.random.default_rng(0).permutation(len(paths))]
    photos = []
    for path in paths:
        with VideoReader(path, frames=1) as reader:
            planes = next(iter(reader)).planes
            photos.append(thumbnail(planes, reader.format.colour, _PHOTO * side))
    pictures = np.stack([move(photo, motion, side) for photo in photos for motion in range(8)])
    labels, names = (
        np.tile(np.arange(8), len(photos)),
        tuple(str(n) for n in range(8 * len(photos))),
    )
    cut = 8 * _LEARN
    return (
        Clips(pictures[:cut], labels[:cut], MOTIONS, names[:cut]),
        Clips(pictures[cut:], labels[cut:], MOTIONS, names[cut:]),
    )


def move(photo: NDArray[np.uint8], motion: int, side: int) -> NDArray[np.uint8]:
    """(8, side, side, 3): the photo, three times as large, through a window that moves; frame 4 is
    the middle of the photo in all motions."""
    out = np.empty((FRAMES, side, side, 3), np.uint8)
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    for t in range(FRAMES):
        n = t - FRAMES // 2
        sign = 1 if motion % 2 == 0 else -1
        scale = _ZOOM ** (-sign * n) if motion in (4, 5) else 1.0
        angle = sign * n * _TURN if motion in (6, 7) else 0.0
        down, right = (sign * n * _STEP * side * (motion in pair) for pair in ((2, 3), (0, 1)))
        y = scale * (np.cos(angle) * rows - np.sin(angle) * columns) + (len(photo) - 1) / 2 + down
        x = scale * (np.sin(angle) * rows + np.cos(angle) * columns) + (len(photo) - 1) / 2 + right
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


def in_folds(every: Clips, sources: Sequence[str], folds: int) -> Iterator[tuple[Clips, Clips]]:
    """Clips to learn from and to test by, for each fold; all clips of a source are in the same one,
    and classes are spread over folds as evenly as sources let them."""
    if len(set(sources)) < folds:
        raise EvalError(f"{len(set(sources))} sources cannot be in {folds} folds")
    own: dict[str, list[int]] = defaultdict(list)
    for number, source in enumerate(sources):
        own[source].append(number)
    fold_of = np.zeros(len(every), np.int64)
    counts = np.zeros((folds, len(every.classes)))
    for numbers in sorted(own.values(), key=len, reverse=True):
        labels = np.bincount(every.labels[numbers], minlength=len(every.classes))
        fold = int(np.argmin(((counts + labels) ** 2 - counts**2).sum(1)))
        counts[fold] += labels
        fold_of[numbers] = fold
    for fold in range(folds):
        yield (
            every.only(np.flatnonzero(fold_of != fold)),
            every.only(np.flatnonzero(fold_of == fold)),
        )


def list_clips(folder: Path, labels: Path, column: str) -> Videos:
    """Videos and classes of a CSV with a column `file` and one of classes."""
    rows = _read_rows(labels, column)
    return [(folder / row["file"], row[column]) for row in rows]


def _read_rows(path: Path, column: str) -> list[dict[str, str]]:
    """Rows of a CSV that has columns `file` and this one, both with something in every row."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError) as error:
        raise EvalError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if not rows or not all(row.get("file") and row.get(column) for row in rows):
        raise EvalError(f"{path}: columns file and {column} are needed in every row")
    return rows


def read_sources(videos: Videos, folder: Path, manifest: Path | None) -> list[str]:
    """`source_repo` of each video in a manifest whose column `file` names it as in the folder, or
    by its last part; without a manifest each is its own source."""
    if manifest is None:
        return [str(path) for path, _ in videos]
    rows = _read_rows(manifest, "source_repo")
    repository_of = {Path(row["file"]).name: row["source_repo"] for row in rows}
    repository_of |= {str(folder / row["file"]): row["source_repo"] for row in rows}
    repositories = [
        repository_of.get(str(path)) or repository_of.get(path.name) for path, _ in videos
    ]
    for (path, _), source in zip(videos, repositories, strict=True):
        if source is None:
            raise EvalError(f"{manifest}: {path.name} is not in it")
    return [source or "" for source in repositories]


def in_splits(folder: Path, lists: Path, side: int) -> Iterator[tuple[Clips, Clips]]:
    """Clips to learn from and to test by, for each split of the authors."""
    for learn, test in read_splits(folder, lists):
        every = read([*learn, *test], side=side)
        yield every.only(np.arange(len(learn))), every.only(np.arange(len(learn), len(every)))


def read_splits(folder: Path, lists: Path) -> list[tuple[Videos, Videos]]:
    """Videos to learn from and to test by of each split that the folder `lists` holds:
    `trainlist01.txt` and `testlist01.txt` (UCF101), or a `CLASS_test_split1.txt` for each class
    (HMDB51)."""
    splits = []
    for number in (1, 2, 3):
        learn, test = (lists / f"{name}list{number:02d}.txt" for name in ("train", "test"))
        by_class = sorted(lists.glob(f"*_test_split{number}.txt"))
        if learn.is_file() and test.is_file():
            splits.append((_listed(folder, learn), _listed(folder, test)))
        elif by_class:
            marked: dict[str, Videos] = {"1": [], "2": [], "0": []}
            for path in by_class:
                name = path.name.removesuffix(f"_test_split{number}.txt")
                for line in _lines(path):
                    video, mark = line[0], line[-1]
                    if len(line) != 2 or mark not in marked:
                        raise EvalError(f"{path}: a line is a video and 0, 1 or 2")
                    marked[mark].append((folder / name / video, name))
            splits.append((marked["1"], marked["2"]))
    if not splits:
        raise EvalError(
            f"{lists}: neither trainlist01.txt and testlist01.txt nor *_test_split1.txt"
        )
    for part in (videos for split in splits for videos in split):
        if not part:
            raise EvalError(f"{lists}: a list without videos")
        for path, _ in part:
            if not path.is_file():
                raise EvalError(f"{path}: no such video")
    return splits


def _listed(folder: Path, path: Path) -> Videos:
    """Videos of a list of UCF101, each in the folder of its class."""
    names = [Path(line[0]) for line in _lines(path)]
    return [(folder / name, name.parent.name) for name in names]


def _lines(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EvalError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return [line.split() for line in text.splitlines() if line.strip()]
