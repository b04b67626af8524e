"""Runs of frames for training: from any tree of videos and pictures, with no preparation.

Vimeo-90k (folders of PNG septuplets) and OpenVid (a flat folder of .mp4) are such trees; folders of
numbered pictures count as one video, a picture becomes a run by a slow pan. Run number i of a seed
is always the same: a random file, place, scale and flip. Its base frames come from a real encode of
the crop (AV1 at a random quality, painted), which `cache` keeps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

import gvcodec
from gvcodec._core import BlockMotion
from gvcodec.errors import GvcodecError, UsageError
from gvcodec.types import Colour, VideoFormat
from training.card import write_arrays
from training.gvc1d.settings import TrainConfig
from training.held_out import is_held_out

VIDEOS = {".mp4", ".mkv", ".webm", ".mov", ".avi", ".y4m", ".m4v", ".ts"}
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
#: Least pictures of a folder that is one video.
_NUMBERED = 4
#: A crop of `size`² is cut out of a picture whose shorter side is 1 to `_WIDEST` times `size`.
_WIDEST = 2.0
_TRIES = 20

Run = dict[str, NDArray[Any]]


def list_clips(folder: Path, skip: Sequence[str] = ()) -> list[Path]:
    """Videos, pictures, folders of numbered pictures, none in `skip`. Raises `UsageError`."""
    clips: list[Path] = []
    for place in [folder, *sorted(p for p in folder.rglob("*") if p.is_dir())]:
        if set(place.relative_to(folder).parts) & set(skip):
            continue
        files = sorted(f for f in place.iterdir() if f.is_file())
        stills = [f for f in files if f.suffix.lower() in PICTURES]
        clips += [f for f in files if f.suffix.lower() in VIDEOS]
        numbered = len(stills) >= _NUMBERED and all(re.search(r"\d+$", f.stem) for f in stills)
        alike = len({re.sub(r"\d+$", "", f.stem) for f in stills}) == 1
        clips += [place] if numbered and alike else stills
    if not clips:
        raise UsageError(f"{folder}: no videos or pictures here")
    return clips


class Runs(Dataset[Run]):
    """Runs of one half of the material; `motion` is that of base frames, or of the source."""

    def __init__(self, config: TrainConfig, held_out: bool = False) -> None:
        self.config, self.held_out = config, held_out
        self.frames = max(config.length, config.frames)
        clips = list_clips(Path(config.data), config.skip)
        self.clips = [c for c in clips if is_held_out(c.name, config.held_out) == held_out] or clips

    def __len__(self) -> int:
        return self.config.samples or 1 << 31

    def __getitem__(self, index: int) -> Run:
        if self.config.samples:
            index %= self.config.samples
        kept = self._kept(index)
        if kept is not None and kept.is_file():
            with np.load(kept) as file:
                return dict(file)
        run = self._make(index)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(kept, **run)
        return run

    def _kept(self, index: int) -> Path | None:
        if not self.config.cache:
            return None
        wide = f"-{self.config.width}" if self.config.width else ""
        half = "held" if self.held_out else "run"
        name = f"{half}-{self.config.seed}-{index}-{self.frames}{wide}.npz"
        return Path(self.config.cache) / name

    def _make(self, index: int) -> Run:
        rng = np.random.default_rng((self.config.seed, int(self.held_out), index))
        for _ in range(_TRIES):
            clip = self.clips[int(rng.integers(len(self.clips)))]
            try:
                y, uv = self._crop(clip, rng)
            except (OSError, ValueError, GvcodecError):
                continue
            q = int(rng.choice(self.config.qs))
            run: Run = {"y": y, "uv": uv, "q": np.array(q)}
            if self.held_out or self.config.no_base < 1:
                return run | code_base(y, uv, q)
            return run | {"motion": motion_of(y.astype(np.uint16) * np.uint16(4))}
        raise UsageError(f"{self.config.data}: {_TRIES} files in a row cannot be read")

    def _crop(self, clip: Path, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
        size = self.config.size
        ratio = (self.config.width or size) / size
        pan = rng.integers(-3, 4, 2)
        begin, steps = float(rng.random()), int(rng.integers(1, 3))
        zoom, at = float(rng.random()), rng.random(2)
        flip = rng.random() < 0.5
        still = clip.suffix.lower() in PICTURES
        frames = list(_decode(clip, begin, 1 if still else self.frames, steps))
        if still:
            frames *= self.frames
        if len(frames) < self.frames:
            raise ValueError("too short")
        cut = []
        for t, frame in enumerate(frames):
            short = min(int(frame.width / ratio), frame.height)
            # Rows of what is scaled to the size of a run, in samples of the frame.
            least, most = min(size, short), min(short, int(_WIDEST * size))
            side = int(least + zoom * (most - least)) // 2 * 2
            wide = int(side * ratio) // 2 * 2
            free = np.array([frame.height - side, frame.width - wide])
            move = pan * t * side // size if still else 0
            top, left = np.clip((at * (free + 1)).astype(int) + move, 0, free) // 2 * 2
            source = int(top), int(left), side, wide
            cut.append(_scaled(frame, source, (size, int(size * ratio))))
        planes = np.stack(cut)  # [T, 1.5·size, width]
        y = planes[:, :size]
        uv = planes[:, size:].reshape(len(cut), 2, size // 2, -1)
        if flip:
            y, uv = y[..., ::-1], uv[..., ::-1]
        return np.ascontiguousarray(y), np.ascontiguousarray(uv)


def _decode(clip: Path, begin: float, count: int, step: int) -> Iterator[Any]:
    """`count` frames, every `step`-th, from a share `begin` of the clip's length on."""
    if clip.is_dir():
        files = sorted(f for f in clip.iterdir() if f.suffix.lower() in PICTURES)
        first = int(begin * max(1, len(files) - count * step))
        for file in files[first : first + count * step : step]:
            yield from _decode(file, 0, 1, 1)
        return
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        if stream.duration and count > 1:
            target = (stream.start_time or 0) + int(begin * 0.9 * stream.duration)
            container.seek(target, stream=stream)
        given = 0
        for i, frame in enumerate(container.decode(stream)):
            if i % step == 0:
                yield frame
                given += 1
                if given == count:
                    return


def _scaled(
    frame: Any, source: tuple[int, int, int, int], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """A part (top, left, rows, columns) of a frame as yuv420p `[1.5·rows, columns]` of `size`."""
    top, left, rows, columns = source
    graph = av.filter.Graph()
    kind = {"width": frame.width, "height": frame.height, "format": frame.format.name}
    begin = graph.add_buffer(**kind, time_base=Fraction(1, 25))
    cut = graph.add("crop", f"{columns}:{rows}:{left}:{top}")
    scale = graph.add("scale", f"{size[1]}:{size[0]}:flags=area:out_range=tv")
    form, sink = graph.add("format", "yuv420p"), graph.add("buffersink")
    for a, b in ((begin, cut), (cut, scale), (scale, form), (form, sink)):
        a.link_to(b)
    graph.configure()
    graph.push(frame)
    return graph.pull().to_ndarray().astype(np.uint8)


def motion_of(luma: Sequence[NDArray[np.uint16]] | NDArray[np.uint16]) -> NDArray[np.int16]:
    """(dy, dx) of 16×16 blocks of each frame (10 bits) against the one before, `[T, 2, h, w]`."""
    height, width = luma[0].shape
    motion, found = BlockMotion(width, height, 1), []
    for plane in luma:
        vectors = motion.push(np.ascontiguousarray(plane))
        if vectors is None:
            vectors = np.zeros((height // 16, width // 16, 2), np.int16)
        found.append(vectors.transpose(2, 0, 1))
    return np.stack(found).astype(np.int16)


def code_base(y: NDArray[np.uint8], uv: NDArray[np.uint8], q: int) -> Run:
    """What base av1 shows of a run: painted frames `shown_y`, `shown_uv` (uint8), `motion`
    `[T, 2, h, w]` of base frames, `bits` of the file a frame."""
    height, width = y.shape[1:]
    ten_bits = lambda plane: np.ascontiguousarray(plane.astype(np.uint16) << 2)
    planes: list[Any] = [tuple(map(ten_bits, (a, *b))) for a, b in zip(y, uv, strict=True)]
    fmt = VideoFormat(width, height, Fraction(25), Fraction(1, 25), 8, Colour())
    options: dict[str, Any] = {"base": "av1", "fit": 0, "q": q, "threads": 1, "preset": 8}
    data = gvcodec.encode(planes, frame_rate=25, format=fmt, **options)
    base, shown = (
        list(gvcodec.decode_planes(data, fidelity=exact, threads=1)) for exact in (True, False)
    )
    luma, chroma = np.stack([f[0] for f in shown]), np.stack([f[1:] for f in shown])
    shown_y, shown_uv = (((p + 2) >> 2).clip(0, 255).astype(np.uint8) for p in (luma, chroma))
    bits = np.array(8 * len(data) / len(y), np.float32)
    motion = motion_of([frame[0] for frame in base])
    return {"shown_y": shown_y, "shown_uv": shown_uv, "motion": motion, "bits": bits}


def collate(runs: Sequence[Run]) -> dict[str, Tensor]:
    """A micro-batch: arrays `[B, T, …]`."""
    return {key: torch.from_numpy(np.stack([run[key] for run in runs])) for key in runs[0]}
