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

import numpy as np

from gvcodec._core import motion_search
from training.gvc1d.codec import read_run
from training.held_out import is_held_out

#: Wide enough for 480p; a multiple of 16.
_WIDTH = 848
#: Weight of a vector's bits in the search, in 1/16 (as the encoder's).
PENALTY = 64


def _make_run(clip: Path, start: float, frames: int, to: Path, crf: int) -> bool:
    from imageio_ffmpeg import get_ffmpeg_exe

    scale = f"scale='min({_WIDTH},iw)':-2,crop=trunc(iw/16)*16:trunc(ih/16)*16"
    command = [get_ffmpeg_exe(), "-v", "error", "-y", "-ss", f"{start:.3f}", "-i", str(clip)]
    command += ["-frames:v", str(frames), "-an", "-vf", scale, "-c:v", "libx265", "-crf", str(crf)]
    command += ["-preset", "medium", "-pix_fmt", "yuv420p", "-x265-params", "log-level=error"]
    subprocess.run([*command, str(to)], check=False)
    return to.is_file() and to.stat().st_size > 1000


def motion_of(luma: np.ndarray) -> np.ndarray:
    """Vectors of each frame against the one before, `[frames - 1, H/16, W/16, 2]` int16."""
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
