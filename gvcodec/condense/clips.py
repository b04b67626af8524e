"""Labelled clips as small pictures: (N, T, side, side, 3) uint8, evenly spaced over each video.
Raises `MediaError`, `UsageError`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import UsageError
from gvcodec.retrieval.thumbnails import thumbnail
from gvcodec.source.reader import VideoReader

VIDEOS = {".mp4", ".mkv", ".mov", ".webm", ".avi", ".y4m"}
#: Methods of `gvcodec.condense.making`.
METHODS = ("frames", "selector", "joint")
#: Frames of a clip, and their side in pixels.
FRAMES, SIDE = 8, 32


@dataclass(frozen=True, slots=True)
class Clips:
    """`pictures` (N, T, side, side, 3) uint8, `labels` (N,) numbers of `classes`, `names` of the
    N."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def only(self, which: NDArray[np.integer]) -> Clips:
        names = tuple(self.names[n] for n in which)
        return Clips(self.pictures[which], self.labels[which], self.classes, names)


def in_folders(folder: Path) -> list[tuple[Path, str]]:
    """Videos of a folder with a folder for each class, as in UCF101 and HMDB51."""
    clips = [
        (path, inner.name)
        for inner in sorted(folder.iterdir() if folder.is_dir() else [])
        if inner.is_dir()
        for path in sorted(inner.rglob("*"))
        if path.suffix.lower() in VIDEOS
    ]
    if not clips:
        raise UsageError(f"{folder}: no folders with videos in it", code="data-set")
    return clips


def read(videos: Iterable[tuple[Path, str]], frames: int = FRAMES, side: int = SIDE) -> Clips:
    pairs = list(videos)
    classes = tuple(sorted({label for _, label in pairs}))
    if len(classes) < 2:
        raise UsageError("a data set has at least two classes", code="data-set")
    pictures = np.stack([pictures_of(path, frames, side) for path, _ in pairs])
    labels = np.array([classes.index(label) for _, label in pairs])
    return Clips(pictures, labels, classes, tuple(path.name for path, _ in pairs))


def pictures_of(path: Path, frames: int, side: int) -> NDArray[np.uint8]:
    """(frames, side, side, 3), evenly spaced."""
    pictures: list[NDArray[np.uint8]] = []
    stride = 1
    with VideoReader(path) as reader:
        for number, frame in enumerate(reader):
            if number % stride:
                continue
            pictures.append(thumbnail(frame.planes, reader.format.colour, side))
            if len(pictures) == 16 * frames:
                pictures, stride = pictures[::2], 2 * stride
    return np.stack([pictures[at] for at in evenly(len(pictures), frames)])


def evenly(count: int, count_out: int) -> NDArray[np.int64]:
    """`count_out` places from the first to the last of `count`; the middle one for 1."""
    if count_out == 1:
        return np.array([count // 2])
    return np.rint(np.linspace(0, count - 1, count_out)).astype(np.int64)
