"""Training material on disk: short runs of loop frames (what a base codec decodes) with their sources.

One `.npz`-like pair of files for each (clip, codec, q, scale): `NAME.npy`, a memory-mapped record array with `RUNS` runs of
`LENGTH` consecutive frames in windows of `WINDOW` luma pixels, and one line in `index.jsonl`:
`{"name", "clip", "base", "q", "scale", "bpp", "held_out"}`. Record fields, 4:2:0 with the planes flattened one after the other:
`loop` (LENGTH, 1.5·WINDOW²) uint16 10-bit, `source` the same in uint8, `motion` (LENGTH, 2, WINDOW/16, WINDOW/16) int16 (first frame: zeros).

`material.json` names the data set: `{"manifest_sha256"}` of the manifest that stands beside the folder of clips.

The base codecs run through the ffmpeg of `imageio-ffmpeg`; q is gvcodec's 0…63. Run as `python -m gvcodec.train.cache --help`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import subprocess
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gvcodec.appearance.motion import BLOCK, search
from gvcodec.errors import MediaError

WINDOW, LENGTH, RUNS = 256, 3, 10
RECORD = np.dtype(
    [
        ("loop", "<u2", (LENGTH, WINDOW * WINDOW * 3 // 2)),
        ("source", "u1", (LENGTH, WINDOW * WINDOW * 3 // 2)),
        ("motion", "<i2", (LENGTH, 2, WINDOW // BLOCK, WINDOW // BLOCK)),
    ]
)
FrameArray = NDArray[np.uint16]


def held_out(clip: str) -> bool:
    """True for the training clips (about one in thirteen, by hash of the name) that are kept for validation."""
    return hashlib.sha256(clip.encode()).digest()[0] % 13 == 0


def _ffmpeg(*arguments: str) -> bytes:
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-nostdin", *arguments]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "SVT_LOG": "1"})
    if done.returncode:
        raise MediaError(f"ffmpeg: {done.stderr.decode(errors='replace').strip().splitlines()[-1:]}")
    return done.stdout


def _size(clip: Path) -> tuple[int, int]:
    import av

    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        return stream.height // 2 * 2, stream.width // 2 * 2


def _frames(raw: bytes, height: int, width: int) -> FrameArray:
    """Raw yuv420p10le to `(T, 1.5·H·W)` uint16."""
    return np.frombuffer(raw, np.uint16).reshape(-1, height * width * 3 // 2)


def _window(frame: FrameArray, height: int, width: int, top: int, left: int) -> FrameArray:
    """The three planes of a window, flattened one after the other."""
    area = height * width
    half = WINDOW // 2
    luma = frame[:area].reshape(height, width)[top : top + WINDOW, left : left + WINDOW]
    chroma = frame[area:].reshape(2, height // 2, width // 2)
    chroma = chroma[:, top // 2 : top // 2 + half, left // 2 : left // 2 + half]
    return np.concatenate([luma.ravel(), chroma.ravel()])


def encode_clip(
    clip: Path, base: str, q: int, scale: Fraction, frames: int, preset: str
) -> tuple[FrameArray, FrameArray, float]:
    """Source and loop frames `(T, 1.5·H·W)` uint16 10-bit and the rate in bpp of one clip through one base codec."""
    height, width = _size(clip)
    crop = f"crop={width}:{height}:0:0"
    source = _frames(
        _ffmpeg(
            "-i", str(clip), "-frames:v", str(frames), "-vf", crop, "-pix_fmt", "yuv420p10le", "-f", "rawvideo", "-"
        ),
        height,
        width,
    )
    small = (round(width * scale / 2) * 2, round(height * scale / 2) * 2)
    down = "" if scale == 1 else f",scale={small[0]}:{small[1]}:flags=lanczos"
    up = [] if scale == 1 else ["-vf", f"scale={width}:{height}:flags=lanczos"]
    if base == "av1":
        codec = ["-c:v", "libsvtav1", "-preset", preset, "-crf", str(max(1, q)), "-g", "999", "-svtav1-params", "lp=1"]
    else:
        x265 = "log-level=none:pools=1:frame-threads=1:keyint=999:scenecut=0"
        codec = ["-c:v", "libx265", "-preset", "medium", "-crf", f"{q * 51 / 63:.2f}", "-x265-params", x265]
    with tempfile.TemporaryDirectory() as folder:
        coded = str(Path(folder) / "coded.mkv")
        _ffmpeg("-i", str(clip), "-frames:v", str(frames), "-vf", crop + down, "-pix_fmt", "yuv420p10le", *codec, coded)
        size = os.path.getsize(coded)
        loop = _frames(_ffmpeg("-i", coded, *up, "-pix_fmt", "yuv420p10le", "-f", "rawvideo", "-"), height, width)
    count = min(len(source), len(loop))
    return source[:count], loop[:count], size * 8 / (count * height * width)


def make_records(source: FrameArray, loop: FrameArray, height: int, width: int, rng: random.Random) -> NDArray[np.void]:
    """`RUNS` random windows (on the block grid) and starting times from one coded clip."""
    records = np.zeros(RUNS, RECORD)
    for record in records:
        start = rng.randrange(len(loop) - LENGTH + 1)
        top = rng.randrange((height - WINDOW) // BLOCK + 1) * BLOCK
        left = rng.randrange((width - WINDOW) // BLOCK + 1) * BLOCK
        rows, cols = slice(top // BLOCK, (top + WINDOW) // BLOCK), slice(left // BLOCK, (left + WINDOW) // BLOCK)
        luma = [np.ascontiguousarray(loop[start + k, : height * width].reshape(height, width)) for k in range(LENGTH)]
        for k in range(LENGTH):
            record["loop"][k] = _window(loop[start + k], height, width, top, left)
            record["source"][k] = np.minimum((_window(source[start + k], height, width, top, left) + 2) >> 2, 255)
            if k:
                record["motion"][k] = search(luma[k], luma[k - 1]).numpy()[:, rows, cols]
    return records


def plan(clips: list[Path], seed: int) -> list[tuple[Path, str, int, Fraction]]:
    """Passes over all clips, each with other codecs and rates: mostly AV1 at full size, then HEVC, then half-size bases."""
    rng = random.Random(seed)
    jobs = []
    for base, low, high, scale in (
        ("av1", 44, 58, 1), ("av1", 30, 46, 1), ("hevc", 38, 54, 1), ("av1", 55, 63, 1), ("av1", 32, 50, 2), ("av1", 38, 54, 1), ("hevc", 44, 60, 2)
    ):  # fmt: skip
        jobs += [(clip, base, rng.randint(low, high), Fraction(1, scale)) for clip in rng.sample(clips, len(clips))]
    return jobs


def describe_material(data: Path, cache: Path) -> None:
    """Write `material.json`."""
    manifest = data.parent / "manifest.csv"
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else None
    (cache / "material.json").write_text(json.dumps({"manifest_sha256": digest}))


def main() -> None:
    """Fill a cache; what is there already is kept, so a stopped run can be continued."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/train"), help="folder of clips")
    parser.add_argument("--cache", type=Path, required=True, help="folder to write, outside the checkout")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--frames", type=int, default=33, help="frames coded of each clip")
    parser.add_argument("--preset", default="6", help="preset of SVT-AV1")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.cache.mkdir(parents=True, exist_ok=True)
    describe_material(options.data, options.cache)
    end = time.monotonic() + 60 * options.minutes
    clips = [c for c in sorted(options.data.glob("*.mp4")) if min(_size(c)) >= WINDOW]
    for number, (clip, base, q, scale) in enumerate(plan(clips, options.seed)):
        if time.monotonic() > end:
            break
        name = f"{clip.stem}-{base}-q{q}-s{scale.denominator}"
        target = options.cache / f"{name}.npy"
        if target.exists():
            continue
        try:
            source, loop, bpp = encode_clip(clip, base, q, scale, options.frames, options.preset)
        except MediaError as error:
            print(f"{clip.name}: left out: {error}", flush=True)
            continue
        records = make_records(source, loop, *_size(clip), random.Random(f"{options.seed}-{number}"))
        partial = target.with_suffix(".part")
        with open(partial, "wb") as file:
            np.save(file, records)
        os.replace(partial, target)
        entry = {
            "name": name,
            "clip": clip.name,
            "base": base,
            "q": q,
            "scale": str(scale),
            "bpp": round(bpp, 5),
            "held_out": held_out(clip.name),
        }
        with open(options.cache / "index.jsonl", "a") as index:
            index.write(json.dumps(entry) + "\n")
        print(f"{number} {name} {bpp:.4f} bpp", flush=True)


if __name__ == "__main__":
    main()
