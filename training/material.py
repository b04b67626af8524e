"""Training material on disk: short runs of base frames (the output of a base codec) with sources.

`NAME.npy` for each (clip, codec, q = index of the base, scale): `RUNS` records of `LENGTH` frames,
windows of `WINDOW` luma samples, 4:2:0 flattened plane by plane: `base` (LENGTH, 1.5·WINDOW²)
uint16 10-bit, `source` the same in uint8, `motion` (LENGTH, 2, WINDOW/16, WINDOW/16) int16 (first
frame: zeros), `bpp` (LENGTH,) float32: bits a pixel of the frame's own packet, 0 if packets are
not in display order. `index.jsonl`: `{"name", "clip", "base", "q", "scale", "bpp", "held_out"}`.
`material.json`: `{"manifest_sha256"}` of the manifest next to the folder of clips.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gvcodec.base import open_encoder
from gvcodec.bases import is_reordered
from gvcodec.batch.engines import AHEAD, Engine, Task, TaskError, open_engine
from gvcodec.config import EncoderConfig
from gvcodec.errors import MediaError, UsageError
from gvcodec.painter.cpu import block_vectors
from gvcodec.source.reader import VideoReader
from gvcodec.types import BLOCK, Planes, VideoFormat
from gvcodec.util.options import ExactParser
from training.files import VIDEOS, describe_small, read_size
from training.held_out import HeldOut, add_option, parse_held_out

WINDOW, LENGTH, RUNS = 256, 3, 10
_PLANES, _BLOCKS = (LENGTH, WINDOW * WINDOW * 3 // 2), (LENGTH, 2, *[WINDOW // BLOCK] * 2)
_FIELDS = [("base", "<u2", _PLANES), ("source", "u1", _PLANES), ("motion", "<i2", _BLOCKS)]
RECORD = np.dtype([*_FIELDS, ("bpp", "<f4", (LENGTH,))])


def crop(planes: Planes, top: int, left: int, height: int, width: int) -> Planes:
    """Views of a rectangle, in luma samples, whose corner is even."""
    y, u, v = planes
    sides = (top, height), (left, width)
    rows, columns = (slice(first // 2, (first + side + 1) // 2) for first, side in sides)
    return y[top : top + height, left : left + width], u[rows, columns], v[rows, columns]


def _window(planes: Planes, top: int, left: int) -> NDArray[np.uint16]:
    return np.concatenate([plane.ravel() for plane in crop(planes, top, left, WINDOW, WINDOW)])


def read_clip(clip: Path, frames: int, most: int = 0) -> tuple[list[Planes], VideoFormat]:
    """The first frames of a clip, of each side the middle `most` samples (0: all). Raises
    `MediaError`."""
    with VideoReader(clip, frames=frames) as reader:
        fmt = reader.format
        height, width = (min(n, most or n) for n in (fmt.height, fmt.width))
        top, left = (fmt.height - height) // 4 * 2, (fmt.width - width) // 4 * 2
        frames_read = [crop(frame.planes, top, left, height, width) for frame in reader]
    return frames_read, replace(fmt, height=height, width=width)


def encode_clip(
    source: list[Planes], fmt: VideoFormat, base: str, q: int, scale: Fraction
) -> tuple[list[Planes], list[float]]:
    """Base frames of a clip as the product codes it, one keyframe; bpp of packets in order."""
    config = EncoderConfig(base=base, base_q=q, scale=scale, keyint=0, threads=1)
    encoder = open_encoder(fmt, config.resolve())
    base_frames, sizes = [], []
    for coded in [*(encoder.send(planes) for planes in source), encoder.flush()]:
        base_frames += coded.base_frames
        sizes += [len(packet.payload) * 8 / (fmt.width * fmt.height) for packet in coded.packets]
    return base_frames, sizes


def make_records(
    source: list[Planes], base_frames: list[Planes], sizes: list[float], rng: random.Random
) -> NDArray[np.void]:
    """`RUNS` random windows (on the block grid) and starting times; `sizes`: bpp of each frame."""
    height, width = source[0][0].shape
    records = np.zeros(RUNS, RECORD)
    for record in records:
        start = rng.randrange(len(base_frames) - LENGTH + 1)
        top = rng.randrange((height - WINDOW) // BLOCK + 1) * BLOCK
        left = rng.randrange((width - WINDOW) // BLOCK + 1) * BLOCK
        rows, cols = (slice(n // BLOCK, (n + WINDOW) // BLOCK) for n in (top, left))
        for k in range(LENGTH):
            record["base"][k] = _window(base_frames[start + k], top, left)
            record["bpp"][k] = sizes[start + k]
            record["source"][k] = np.minimum((_window(source[start + k], top, left) + 2) >> 2, 255)
            if k:
                moves = block_vectors(base_frames[start + k][0], base_frames[start + k - 1][0])
                record["motion"][k] = moves[:, rows, cols]
    return records


_ONE = Fraction(1)
#: Base, range of q, scale.
_KINDS = [("av1", 36, 50, _ONE), ("av1", 44, 66, _ONE), ("vvc", 36, 50, _ONE)]
_KINDS += [("av1", 36, 58, Fraction(1, 2)), ("av1", 52, 66, _ONE), ("vvc", 46, 63, _ONE)]
_KINDS += [("av1", 40, 63, Fraction(3, 4))]


def plan(
    clips: list[Path], bases: Sequence[str], seed: int, least_q: int = 0
) -> list[tuple[Path, str, int, Fraction]]:
    """Every clip with every kind of `bases`, at `least_q` or coarser, mixed: a stopped run still
    has all kinds and rates."""
    rng = random.Random(seed)
    kinds = [kind for kind in _KINDS if kind[0] in bases]
    jobs = []
    for turn in range(len(kinds)):
        for number, clip in enumerate(rng.sample(clips, len(clips))):
            base, low, high, scale = kinds[(number + turn) % len(kinds)]
            jobs.append((clip, base, rng.randint(max(low, least_q), max(high, least_q)), scale))
    return jobs


def describe_material(data: Path, cache: Path) -> None:
    manifest = data.parent / "manifest.csv"
    digest = hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else None
    (cache / "material.json").write_text(json.dumps({"manifest_sha256": digest}))


def add_material(
    clip: str,
    base: str,
    q: int,
    scale: str,
    frames: int,
    seed: str,
    cache: str,
    most: int = 0,
    held_out: bool = False,
) -> dict[str, Any]:
    """Writes the records of a clip in one form; its line of the index, {} where it has fewer than
    `LENGTH` frames. Raises `MediaError`."""
    torch.set_num_threads(1)
    path, ratio = Path(clip), Fraction(scale)
    name = material_name(path, base, q, ratio)
    source, fmt = read_clip(path, frames, most)
    if len(source) < LENGTH:
        return {}
    base_frames, sizes = encode_clip(source, fmt, base, q, ratio)
    frame_sizes = [0.0] * len(base_frames) if is_reordered(base) else sizes
    records = make_records(source, base_frames, frame_sizes, random.Random(seed))
    target = Path(cache, f"{name}.npy")
    partial = target.with_suffix(".part")
    with open(partial, "wb") as file:
        np.save(file, records)
    os.replace(partial, target)
    facts: dict[str, Any] = {"name": name, "clip": path.name, "base": base, "q": q, "scale": scale}
    return facts | {"bpp": round(sum(sizes) / len(sizes), 5), "held_out": held_out}


def material_name(clip: Path, base: str, q: int, scale: Fraction) -> str:
    return f"{clip.stem}-{base}-q{q}-s{scale.denominator}"


def choose_clips(data: Path, most: int) -> list[Path]:
    """Videos of a folder that windows fit into, `most` samples of each side coded (0: all); a line
    names clips that are too small or cannot be read. Raises `UsageError` when none is left."""
    if not data.is_dir():
        raise UsageError(f"{data}: no such folder")
    clips = sorted(p for p in data.absolute().iterdir() if p.suffix.lower() in VIDEOS)
    if not clips:
        raise UsageError(f"{data}: no videos here")
    small, fit = [], []
    for clip in clips:
        try:
            width, height = (min(n, most or n) for n in read_size(str(clip), clip.name))
        except MediaError as error:
            print(f"left out: {error}", flush=True)
            continue
        if min(width, height) < WINDOW:
            small.append((clip.name, width, height))
        else:
            fit.append(clip)
    if small and not fit:
        raise UsageError(f"{data}: {describe_small(small, WINDOW)}")
    if not fit:
        raise UsageError(f"{data}: no video that can be read")
    if small:
        print(f"left out: {describe_small(small, WINDOW)}", flush=True)
    return fit


def check_split(clips: Sequence[Path], rule: HeldOut) -> None:
    """A line that says how many clips validate. Raises `UsageError` where none would train."""
    count = sum(rule.has(clip.name) for clip in clips)
    if count == len(clips):
        raise UsageError("--held-out leaves no clips to train on")
    hint = "" if count else "; trainers need some: --held-out FILE or a share such as 0.2"
    print(f"{len(clips)} clips, {count} of them held out{hint}", flush=True)


def _tasks(options: argparse.Namespace, clips: list[Path], rule: HeldOut) -> Iterator[Task]:
    """The missing samples, as long as there is time."""
    end = time.monotonic() + 60 * options.minutes
    cached = {path.stem for path in options.cache.glob("*.npy")}
    for number, (clip, base, q, scale) in enumerate(
        plan(clips, options.bases.split(","), options.seed, options.least_q)
    ):
        if time.monotonic() > end:
            return
        name = material_name(clip, base, q, scale)
        if name not in cached:
            cached.add(name)
            arguments = {"clip": str(clip), "base": base, "q": q, "scale": str(scale)}
            arguments |= {
                "frames": options.frames,
                "most": options.most,
                "held_out": rule.has(clip.name),
                "seed": f"{options.seed}-{number}",
            }
            arguments |= {"cache": str(options.cache.absolute())}
            yield Task(add_material, arguments)


def each(engine: Engine, tasks: Iterable[Task]) -> Iterator[tuple[Task, Future[Any]]]:
    """Tasks with their futures as they are done; the next ones are taken as cores come free."""
    waiting: dict[Future[Any], Task] = {}
    coming = iter(tasks)
    while True:
        for task in itertools.islice(coming, max(0, AHEAD * engine.cores - len(waiting))):
            waiting[engine.submit(task)] = task
        if not waiting:
            return
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield waiting.pop(future), future


def main(words: Sequence[str] | None = None) -> None:
    """Fill a cache; existing samples are kept, so a stopped run can be continued."""
    parser = ExactParser(prog="material", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of videos, 256×256 or larger")
    add("--cache", type=Path, required=True, help="folder to write, outside the checkout")
    add("--minutes", type=float, default=20)
    add("--frames", type=int, default=25, help="frames coded of each clip")
    add("--most", type=int, default=0, help="width and height of the coded middle part (0: all)")
    add("--least-q", type=int, default=0, help="code at this q or coarser (default: any)")
    add("--seed", type=int, default=1)
    add("--bases", default="av1,vvc", help="kinds of base to add (default %(default)s)")
    add("--jobs", type=int, default=1, help="cores to use (default %(default)s)")
    add("--cluster", metavar="ADDRESS", help="a Ray cluster, see docs/batch.md")
    add_option(parser, "the project's list alone")
    options = parser.parse_args(words)
    rule = parse_held_out(options.held_out) if options.held_out else HeldOut()
    clips = choose_clips(options.data, options.most)
    check_split(clips, rule)
    options.cache.mkdir(parents=True, exist_ok=True)
    describe_material(options.data, options.cache)
    with open_engine(options.jobs, options.cluster) as engine:
        for task, future in each(engine, _tasks(options, clips, rule)):
            try:
                entry = future.result()
            except TaskError as error:
                print(f"left out: {task.arguments['clip']}: {error}", flush=True)
                continue
            if entry:
                with open(options.cache / "index.jsonl", "a") as index:
                    index.write(json.dumps(entry) + "\n")
                print(f"{entry['name']} {entry['bpp']:.4f} bpp", flush=True)
