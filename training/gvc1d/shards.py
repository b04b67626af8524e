"""Shards: short runs of clips, small enough to carry to a machine with a GPU.

    python -m training gvc1d.shards CLIPS FOLDER [--images FOLDER] [--frames 8] [--runs 2]

A run is `frames` frames (H.265, nearly lossless, sides multiples of 16) in `NAME.N.mp4`, with the
motion of each 16×16 block from frame to frame in `motion.npz` (`NAME.N`: `[frames - 1, H/16, W/16,
2]` int16, (dx, dy) in quarter samples). A picture is a run of one frame. Clips whose source is held
out are left out. Needs the extra `eval` (ffmpeg with x265).
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from gvcodec._core import motion_search
from gvcodec.errors import UsageError
from gvcodec.util.messages import log_line
from training.held_out import is_held_out

#: Wide enough for 480p; a multiple of 16.
_WIDTH = 848
#: Weight of a vector's bits in the search, in 1/16 (as the encoder's).
PENALTY = 64
#: Crops, luma samples.
HEIGHT, WIDTH = 256, 512


class Shards:
    """Runs in memory, 8 bits: luma, chroma, vectors. Says which runs are dropped and why. Raises
    `UsageError` where none is left."""

    def __init__(self, folder: Path, device: torch.device, length: int) -> None:
        if not (folder / "motion.npz").is_file():
            raise UsageError(f"{folder} holds no shards (python -m training gvc1d.shards)")
        motion = np.load(folder / "motion.npz")
        self.runs: list[tuple[Tensor, Tensor, Tensor]] = []
        self.length, self.device = length, device
        for name in motion.files:
            y, uv = read_run(folder / f"{name}.mp4")
            vectors = motion[name]
            if reason := _unfit(y, vectors, length):
                log_line(f"{name} is dropped: {reason}")
                continue
            found = [torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (y, uv, vectors)]
            self.runs.append((found[0], found[1], found[2]))
        if not self.runs:
            raise UsageError(f"{folder}: no run is left")

    def batch(self, size: int, rng: np.random.Generator) -> list[tuple[Tensor, Tensor, Tensor]]:
        """`length` frames: luma `[B, 1, H, W]`, chroma `[B, 2, H/2, W/2]` in 10-bit levels, vectors
        `[B, H/16, W/16, 2]`."""
        crops = [self._crop(rng) for _ in range(size)]
        y, uv, vectors = (torch.stack([c[k] for c in crops]) for k in range(3))
        return [
            (y[:, t, None].float() * 4, uv[:, t].float() * 4, vectors[:, t])
            for t in range(self.length)
        ]

    def _crop(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        y, uv, vectors = self.runs[int(rng.integers(len(self.runs)))]
        first = int(rng.integers(len(y) - self.length + 1))
        turned = y.shape[1] >= WIDTH and (y.shape[2] < WIDTH or rng.random() < 0.2)
        h, w = (WIDTH, HEIGHT) if turned else (HEIGHT, WIDTH)
        r = int(rng.integers((y.shape[1] - h) // 16 + 1))
        c = int(rng.integers((y.shape[2] - w) // 16 + 1))
        frames = slice(first, first + self.length)
        y = y[frames, 16 * r : 16 * r + h, 16 * c : 16 * c + w]
        uv = uv[frames, :, 8 * r : 8 * r + h // 2, 8 * c : 8 * c + w // 2]
        moved = vectors[first : first + self.length - 1, r : r + h // 16, c : c + w // 16]
        moved = torch.cat([torch.zeros_like(moved[:1]), moved])
        if turned:
            y, uv, moved = y.mT, uv.mT, moved.transpose(1, 2).flip(-1)
        for axis in (0, 1):  # dx, dy
            if rng.random() < 0.5:
                y, uv, moved = y.flip(2 - axis), uv.flip(3 - axis), moved.flip(2 - axis)
                sign = torch.tensor([-1, 1] if axis == 0 else [1, -1], device=moved.device)
                moved = moved * sign.to(moved.dtype)
        return y, uv, moved


def _unfit(y: np.ndarray, vectors: np.ndarray, length: int) -> str:
    """Why a run cannot be trained on, "" where it can."""
    height, width = y.shape[1:]
    if min(height, width) < HEIGHT or max(height, width) < WIDTH:
        return f"{width}×{height} holds no crop of {WIDTH}×{HEIGHT}"
    if len(y) < length:
        return f"{len(y)} frames, {length} are trained on"
    if len(vectors) != len(y) - 1:
        return f"{len(y)} frames do not go with the motion of {len(vectors)}"
    return ""


def read_run(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Luma `[T, H, W]`, chroma `[T, 2, H/2, W/2]`, uint8."""
    with av.open(str(path)) as container:
        planes = np.stack([f.to_ndarray(format="yuv420p") for f in container.decode(video=0)])
    t, rows, width = planes.shape
    height = rows * 2 // 3
    chroma = planes[:, height:].reshape(t, 2, height // 2, width // 2)
    return planes[:, :height], chroma


def _make_run(clip: Path, start: float, frames: int, to: Path, crf: int) -> bool:
    from imageio_ffmpeg import get_ffmpeg_exe

    scale = f"scale='min({_WIDTH},iw)':-2,crop=trunc(iw/16)*16:trunc(ih/16)*16"
    command = [get_ffmpeg_exe(), "-v", "error", "-y", "-ss", f"{start:.3f}", "-i", str(clip)]
    command += ["-frames:v", str(frames), "-an", "-vf", scale, "-c:v", "libx265", "-crf", str(crf)]
    command += ["-preset", "medium", "-pix_fmt", "yuv420p", "-x265-params", "log-level=error"]
    subprocess.run([*command, str(to)], check=False)
    return to.is_file() and to.stat().st_size > 1000


def motion_of(luma: np.ndarray) -> np.ndarray:
    """Vectors of each frame against the previous one, `[frames - 1, H/16, W/16, 2]` int16."""
    planes = luma.astype(np.uint16) << 2
    found = [motion_search(b, a, PENALTY, 1, 1)[0] for a, b in itertools.pairwise(planes)]
    shape = (0, luma.shape[1] // 16, luma.shape[2] // 16, 2)
    return np.stack(found) if found else np.zeros(shape, np.int16)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="training gvc1d.shards")
    parser.add_argument("clips", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--crf", type=int, default=19)
    parser.add_argument("--held-out", action="store_true", help="take held-out sources only")
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True)
    motion: dict[str, np.ndarray] = {}
    jobs = [(clip, asked.frames, asked.runs) for clip in sorted(asked.clips.glob("*.mp4"))]
    if asked.images:
        jobs += [(image, 1, 1) for image in sorted(asked.images.iterdir())]
    for clip, frames, runs in jobs:
        if is_held_out(clip.name) != asked.held_out:
            continue
        for number in range(runs):
            to = asked.folder / f"{clip.stem}.{number}.mp4"
            start = 0.0 if frames == 1 else 0.3 + 1.5 * number
            if _make_run(clip, start, frames, to, asked.crf):
                motion[f"{clip.stem}.{number}"] = motion_of(read_run(to)[0])
            else:
                to.unlink(missing_ok=True)
    np.savez_compressed(asked.folder / "motion.npz", **motion)  # type: ignore[arg-type]
    size = sum(f.stat().st_size for f in asked.folder.iterdir())
    print(f"{len(motion)} runs, {size / 1e6:.1f} MB in {asked.folder}")
    return 0
