"""Clips for training GVC1D: the miniature world, or a folder of videos.

A batch is y [B, F, H, W], u and v [B, F, H/2, W/2], float32 in 0..1, and the number of the scene
that each frame shows [B, F]. It follows from the random generator given, so that a resumed run sees
the clips that it would have seen.
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gvcodec.errors import MediaError, UsageError
from gvcodec.gvc1d.frame_coder import BLACK, RANGE
from gvcodec.gvc1d.model import Config
from training import world
from training.files import PICTURES, VIDEOS, describe_small, read_size
from training.held_out import parse_held_out

Planes = tuple[Tensor, Tensor, Tensor]
#: Planes and scenes.
Labelled = tuple[Tensor, Tensor, Tensor, Tensor]
#: Clips and frames of a validation, and frames of a scene in the test of recall.
VALIDATION_CLIPS, VALIDATION_FRAMES, RECALL_CLIPS = 16, 12, 16
#: Clips whose sizes are read at the start, a few milliseconds each.
MOST_CHECKED = 2000


class Recall(NamedTuple):
    """Clips A B A, and the same with another clip's scene instead of the first A: [B, F, …]; the
    frame [B] at which A begins (again)."""

    returning: Planes
    stranger: Planes
    frame: Tensor


@dataclass(frozen=True)
class Validation:
    """Clips, and by name masks [B, F] of frames: first, next, cut, return."""

    planes: Planes
    places: dict[str, Tensor]
    recall: Recall | None = None


class Clips(Protocol):
    def batch(self, rng: np.random.Generator, batch: Batch) -> Labelled: ...

    def validation(self) -> Validation: ...


def open_data(table: dict[str, Any], config: Config) -> Clips:
    """The data that [data] of a configuration names. Raises `UsageError`, `MediaError`."""
    table = dict(table)
    kind = table.pop("kind", None)
    table.pop("workers", None)
    try:
        if kind == "world":
            return WorldClips(**table)
        if kind == "folder":
            return FolderClips(window=config.window, **table)
    except TypeError as error:
        raise UsageError(f"[data]: {error}") from None
    raise UsageError(f"data kind {kind!r} is unknown; there are world and folder")


class Batch(NamedTuple):
    """The request of a step: its generator's seed, clips, frames; in the world, the fewest and most
    frames of a shot."""

    seed: tuple[int, ...]
    clips: int
    frames: int
    shot_frames: tuple[int, int] = world.SHOT_FRAMES


class Batches(Dataset[Labelled]):
    """The batches of a run by their number, for workers: number k is the same in every run."""

    def __init__(self, data: Clips, plan: Any) -> None:
        self._data, self._plan = data, plan

    def __getitem__(self, number: int) -> Labelled:
        batch: Batch = self._plan(number)
        return self._data.batch(np.random.default_rng(batch.seed), batch)


def load(data: Clips, plan: Any, first: int, end: int, workers: int) -> Any:
    """Iterates over batches `first` to `end`, made ahead by `workers` processes."""
    return iter(
        DataLoader(
            Batches(data, plan), batch_size=None, sampler=range(first, end), num_workers=workers
        )
    )


def _stack(clips: list[world.Clip]) -> Planes:
    planes = ([getattr(clip, name) for clip in clips] for name in ("y", "u", "v"))
    y, u, v = (torch.from_numpy(np.stack(plane)) for plane in planes)
    return y, u, v


@dataclass
class WorldClips:
    """Clips of training seeds."""

    _validation: list[Validation] = field(default_factory=list)

    def batch(self, rng: np.random.Generator, batch: Batch) -> Labelled:
        seeds = rng.integers(world.FIRST_TEST_SEED, size=batch.clips)
        shots = batch.shot_frames
        clips = [world.draw(int(s), batch.frames, shot_frames=shots) for s in seeds]
        return *_stack(clips), torch.from_numpy(np.stack([clip.scene for clip in clips]))

    def validation(self) -> Validation:
        if not self._validation:
            self._validation.append(_draw_validation())
        return self._validation[0]


@dataclass
class FolderClips:
    """Crops of `size` luma samples of all videos and pictures below `path`, and in shards (.tar)
    there. Sources that are smaller, but not than a window, are extended as the codec extends them,
    so that incomplete windows train too. Those named in `training/held_out.txt`, and those of
    `held_out` (a share of the sources by the first words of their names, or a file of beginnings of
    names), only validate. The first `MOST_CHECKED` clips are opened at the start, and a line names
    clips that are too small. Raises `MediaError` where there is nothing to train or to validate on,
    `UsageError`."""

    path: str
    window: int
    size: int = 256
    held_out: float | str = 0.1

    def __post_init__(self) -> None:
        if self.size % self.window:
            raise UsageError(f"crops of {self.size} samples are not whole windows of {self.window}")
        self._leave_out_small()
        if not self._files[False]:
            raise MediaError(f"{self.path}: no videos or pictures to train on")
        if not self._files[True]:
            raise MediaError(
                f"{self.path}: nothing is held out for validation: --held-out FILE, or a larger "
                f"share (now {self.held_out})"
            )

    @cached_property
    def _files(self) -> dict[bool, list[Source]]:
        """Files, held-out ones apart."""
        root = Path(self.path)
        if not root.is_dir():
            raise MediaError(f"{self.path}: no such folder")
        rule = parse_held_out(str(self.held_out))
        sides: dict[bool, list[Source]] = {False: [], True: []}
        for source in list_sources(root):
            sides[rule.has(source.name)].append(source)
        return sides

    def _leave_out_small(self) -> None:
        small = []
        files = [*self._files[False], *self._files[True]]
        for source in files[:MOST_CHECKED]:
            width, height = read_size(source.open(), source.name)
            if min(width, height) < self.window:
                small.append((source, width, height))
        if not small:
            return
        line = describe_small(
            [(source.name, w, h) for source, w, h in small], self.window, "windows"
        )
        if len(small) == len(files):
            raise UsageError(f"{self.path}: {line}: a smaller `window` in [model]")
        print(f"left out: {line}", file=sys.stderr, flush=True)
        names = {source for source, _, _ in small}
        for side, sources in self._files.items():
            self._files[side] = [source for source in sources if source not in names]

    def batch(self, rng: np.random.Generator, batch: Batch) -> Labelled:
        planes = self._draw(self._files[False], rng, batch.clips, batch.frames)
        return *planes, torch.zeros(batch.clips, batch.frames, dtype=torch.long)

    def validation(self) -> Validation:
        """Fewer clips where crops have more windows."""
        rng = np.random.default_rng(0)
        clips = max(2, VALIDATION_CLIPS * self.window**2 // self.size**2)
        planes = self._draw(self._files[True], rng, clips, VALIDATION_FRAMES)
        first = torch.zeros(planes[0].shape[:2], dtype=torch.bool)
        first[:, 0] = True
        return Validation(planes, {"first": first, "next": ~first})

    def _draw(
        self, files: list[Source], rng: np.random.Generator, clips: int, frames: int
    ) -> Planes:
        drawn: list[tuple[NDArray[np.float32], ...]] = []
        faults = 0
        while len(drawn) < clips:
            file = files[int(rng.integers(len(files)))]
            try:
                drawn.append(read_crop(file, rng, frames, self.size, self.window))
            except MediaError:
                faults += 1
                if faults > 50 + clips:
                    raise
        y, u, v = (torch.from_numpy(np.stack(plane)) for plane in zip(*drawn, strict=True))
        return y, u, v


class Source(NamedTuple):
    """A video or picture: a file, or `size` bytes from `offset` of a shard."""

    path: Path
    name: str
    offset: int = 0
    size: int = 0

    def open(self) -> Any:
        """The source that PyAV opens."""
        if not self.size:
            return str(self.path)
        with self.path.open("rb") as shard:
            shard.seek(self.offset)
            return io.BytesIO(shard.read(self.size))


def list_sources(root: Path) -> list[Source]:
    """All below a folder, by name. Raises `MediaError` for a shard that cannot be read."""
    suffixes = VIDEOS | PICTURES
    sources = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in suffixes:
            sources.append(Source(path, path.name))
        elif path.suffix.lower() == ".tar":
            try:
                with tarfile.open(path, "r:") as shard:
                    files = [member for member in shard if member.isfile() and member.size]
            except (tarfile.TarError, OSError) as error:
                raise MediaError(f"{path}: cannot be read ({error})") from None
            for member in files:
                name = Path(member.name).name
                if Path(name).suffix.lower() in suffixes:
                    sources.append(Source(path, name, member.offset_data, member.size))
    return sources


def read_crop(
    source: Source, rng: np.random.Generator, frames: int, size: int, least: int = 0
) -> tuple[NDArray[np.float32], ...]:
    """y [F, size, size] and both chroma planes of half the size, from a random place and a random
    frame, each as likely as any other; a picture, or a shorter clip, repeats its last frame, and a
    smaller one its last row and column. Raises `MediaError`, also for sides below `least`
    (0: `size`)."""
    import av

    share, across, down = rng.uniform(), rng.uniform(), rng.uniform()
    planes: list[tuple[NDArray[np.float32], ...]] = []
    try:
        with av.open(source.open()) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for frame in _decode_from(container, stream, _start_of(stream, share, frames)):
                if min(frame.width, frame.height) < (least or size):
                    raise MediaError(f"{source.name}: smaller than {least or size} samples")
                planes.append(_crop_of(frame, size, across, down))
                if len(planes) == frames:
                    break
    except (av.FFmpegError, IndexError, OSError) as error:
        raise MediaError(f"{source.name}: cannot be read ({error})") from None
    if not planes:
        raise MediaError(f"{source.name}: no frames")
    planes += [planes[-1]] * (frames - len(planes))
    y, u, v = (np.stack(plane) for plane in zip(*planes, strict=True))
    return y, u, v


def _start_of(stream: Any, share: float, frames: int) -> Fraction | None:
    """The time in ticks of the stream's clock at which a clip of `frames` frames begins: half a
    frame before a frame that `share`, 0 to 1, draws. None for pictures, and for videos with no
    more frames."""
    seconds = Fraction(0)
    if stream.duration:
        seconds = stream.duration * stream.time_base
    elif stream.container.duration:  # Matroska times no single stream.
        seconds = Fraction(stream.container.duration, 1_000_000)
    if not seconds or not stream.average_rate:
        return None
    starts = round(seconds * stream.average_rate) - frames + 1
    if starts < 2:
        return None
    # Half a frame early: Matroska rounds times to milliseconds.
    place = min(int(share * starts), starts - 1) - Fraction(1, 2)
    return (stream.start_time or 0) + place / stream.average_rate / stream.time_base


def _decode_from(container: Any, stream: Any, start: Fraction | None) -> Iterator[Any]:
    """The frames from this time on, from the first one without it. Seeking ends at an earlier
    keyframe; if it ends late or beyond all keyframes (MPEG-TS), all frames are decoded."""
    if start is None:
        yield from container.decode(stream)
        return
    container.seek(int(start), stream=stream)
    first = next(container.decode(stream), None)
    origin = (
        int(start) if first is not None and (first.pts or 0) <= start else stream.start_time or 0
    )
    container.seek(origin, stream=stream)
    for frame in container.decode(stream):
        if frame.pts is None or frame.pts >= start:
            yield frame


def _crop_of(frame: Any, size: int, across: float, down: float) -> tuple[NDArray[np.float32], ...]:
    width, height = min(size, frame.width // 2 * 2), min(size, frame.height // 2 * 2)
    left = int(across * (frame.width - width)) // 2 * 2
    top = int(down * (frame.height - height)) // 2 * 2
    samples = frame.reformat(format="yuv420p", dst_color_range="MPEG").to_ndarray()
    luma = samples[: frame.height]
    half = frame.width // 2, frame.height // 2
    chroma = samples[frame.height :].reshape(2, half[1], half[0])
    parts = [luma[top : top + height, left : left + width]]
    parts += [c[top // 2 : (top + height) // 2, left // 2 : (left + width) // 2] for c in chroma]
    planes: list[NDArray[np.float32]] = []
    for part, side in zip(parts, (size, size // 2, size // 2), strict=True):
        missing = [(0, side - length) for length in part.shape]
        levels = np.pad(part, missing, "edge").astype(np.float32)
        planes.append(((levels * 4 - BLACK) / RANGE).astype(np.float32, copy=False))
    return tuple(planes)


def _draw_validation() -> Validation:
    first = world.FIRST_TEST_SEED
    clips = [world.draw(first + n, VALIDATION_FRAMES) for n in range(VALIDATION_CLIPS)]
    places = {name: torch.zeros(len(clips), VALIDATION_FRAMES, dtype=torch.bool)
              for name in ("first", "next", "cut", "return")}  # fmt: skip
    places["first"][:, 0] = True
    for row, clip in enumerate(clips):
        for frame, is_return in clip.cuts():
            places["return" if is_return else "cut"][row, frame] = True
    places["next"] = ~(places["first"] | places["cut"] | places["return"])
    return Validation(_stack(clips), places, draw_recall(first + 500, RECALL_CLIPS))


def draw_recall(first_seed: int, count: int) -> Recall:
    """Paired clips of these seeds: scene 0 for some frames, scene 1, then scene 0 goes on; and with
    scene 2 shown first instead."""
    returning: list[world.Clip] = []
    stranger: list[world.Clip] = []
    frames = []
    for seed in range(first_seed, first_seed + count):
        rng = np.random.default_rng([seed, 2])
        first_length, between = (int(rng.integers(2, 5)) for _ in range(2))
        times = [*range(first_length), *range(between), first_length]
        scenes = [0] * first_length + [1] * between
        total = 4 + 4 + 1
        pad = total - len(times)  # the same length for all: frames after the return
        times += [first_length + 1 + n for n in range(pad)]
        for first, clips in ((0, returning), (2, stranger)):
            numbers = [first if s == 0 else s for s in scenes] + [0] * (1 + pad)
            clips.append(world.draw(seed, total, (numbers, times)))
        frames.append(first_length + between)
    return Recall(_stack(returning), _stack(stranger), torch.tensor(frames))
