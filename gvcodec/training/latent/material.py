"""Single AV1 pictures with their sources and what the painter makes of them.

A picture is a frame of a clip or a photo, cut to multiples of 16 and 854 luma samples a side at
most. Coded once it is one file `NAME.npy` (3, 1.5·H·W) uint16: the planes of source, AV1 picture
and painted picture, 10 bits, luma, u and v one after the other. `index.jsonl` has a line for each:
`{"name", "picture", "clip", "width", "height", "q", "bytes", "held_out"}`. q is SVT-AV1's CRF.

Sources are held out whole: photos one by one, clips by the first word of their names.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.base.standard.codec import StandardDecoder
from gvcodec.base.standard.encoders import Settings, open_encoder
from gvcodec.errors import UsageError
from gvcodec.media.planes import crop, planes_from_rgb
from gvcodec.media.reader import VideoReader
from gvcodec.painter.cpu import CpuPainter
from gvcodec.painter.model import Model, condition, rate
from gvcodec.types import Planes, VideoFormat

#: Luma samples of the longer side, and of the patch that sizes are multiples of.
SIDE, PATCH = 854, 16
#: Frames of a clip that are coded.
FRAMES = (6, 30, 54)
#: CRFs of training pictures: SVT-AV1's ends at 70, 1.5 of which the encoder adds.
FINEST, COARSEST = 28, 68
#: Those of held-out pictures. Each second one is the finer picture that the one before is held
#: against.
HELD_OUT = (62, 58, 54, 50, 46, 42, 38, 34)
_PRESET = 7
_ONE = Fraction(1)
Words = NDArray[np.uint16]


def is_held_out(path: Path) -> bool:
    """True for photos (one in 24) and clips (one name's first word in 8) kept for validation."""
    if path.suffix == ".mp4":
        word = path.stem.split("-")[0]
        return hashlib.sha256(word.encode()).digest()[1] % 8 == 0
    return hashlib.sha256(path.stem.encode()).digest()[0] % 24 == 0


def _cut(planes: Planes) -> Planes:
    """The middle, `SIDE` at most, in whole patches."""
    height, width = (min(n, SIDE) // PATCH * PATCH for n in planes[0].shape)
    top, left = (planes[0].shape[0] - height) // 4 * 2, (planes[0].shape[1] - width) // 4 * 2
    y, u, v = map(np.ascontiguousarray, crop(planes, top, left, height, width))
    return y, u, v


def read_pictures(path: Path) -> list[Planes]:
    """A photo, reduced to `SIDE`, or frames `FRAMES` of a clip. Raises `MediaError`."""
    if path.suffix == ".mp4":
        with VideoReader(path, frames=FRAMES[-1] + 1) as reader:
            return [_cut(f.planes) for n, f in enumerate(reader) if n in FRAMES]
    from PIL import Image

    with Image.open(path) as image:
        photo = image.convert("RGB")
        photo.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        return [_cut(planes_from_rgb(np.asarray(photo)))]


def code_picture(planes: Planes, q: int) -> tuple[Planes, int]:
    """An AV1 picture as it is decoded, and its bytes."""
    height, width = planes[0].shape
    fmt = VideoFormat(width, height, Fraction(25), Fraction(1, 25))
    settings = Settings(q, threads=1, preset=_PRESET)
    encoder = open_encoder("av1", width, height, fmt.frame_rate, fmt.colour, settings)
    units = encoder.encode(planes, True) + list(encoder.rest())
    decoder = StandardDecoder(fmt, "av1", threads=1)
    shown = [picture for unit, key in units for picture in decoder.send(unit, key)]
    shown += decoder.flush()
    return shown[0], sum(len(unit) for unit, _ in units)


def paint_picture(base: Planes, q: int, size: int, painter: Model) -> Planes:
    """What the painter makes of an AV1 picture of `size` bytes."""
    height, width = base[0].shape
    core = CpuPainter(height, width, 1)
    core.start(condition("av1", _ONE, min(q, 63)), painter)
    return core.paint(base, None, rate(size, width, height))


def _flat(planes: Planes) -> Words:
    return np.concatenate([plane.ravel() for plane in planes]).astype(np.uint16)


def _plan(sources: list[Path], rounds: int, seed: int) -> Iterator[tuple[Path, list[int]]]:
    """Every source with one or more CRFs in each round; held-out ones first."""
    rng = random.Random(seed)
    yield from ((path, list(HELD_OUT)) for path in sources if is_held_out(path))
    rest = [path for path in sources if not is_held_out(path)]
    for _ in range(rounds):
        for path in rng.sample(rest, len(rest)):
            yield path, [rng.randint(FINEST, COARSEST)]


def add_material(
    folders: list[Path], cache: Path, painter: Model, rounds: int = 2, seed: int = 1
) -> None:
    """Fill a cache from folders of clips and photos; what is there stays. Raises `MediaError`,
    `OSError`."""
    cache.mkdir(parents=True, exist_ok=True)
    sources = sorted(p for f in folders for p in f.iterdir() if p.suffix in (".mp4", ".jpg"))
    index = cache / "index.jsonl"
    lines = index.read_text().splitlines() if index.is_file() else []
    there = {json.loads(line)["name"] for line in lines}
    for path, qualities in _plan(sources, rounds, seed):
        wanted = [q for q in qualities if f"{path.stem}-0-q{q}" not in there]
        pictures = read_pictures(path) if wanted else []
        entries = []
        for number, picture in reversed(list(enumerate(pictures))):
            if min(picture[0].shape) < 128:
                continue
            for q in wanted:
                base, size = code_picture(picture, q)
                painted = paint_picture(base, q, size, painter)
                name = f"{path.stem}-{number}-q{q}"
                partial = cache / f"{name}.part"
                with open(partial, "wb") as target:
                    np.save(target, np.stack([_flat(p) for p in (picture, base, painted)]))
                os.replace(partial, cache / f"{name}.npy")
                height, width = picture[0].shape
                facts: dict[str, Any] = {"name": name, "picture": f"{path.stem}-{number}"}
                facts |= {"clip": path.name}
                facts |= {"width": width, "height": height, "q": q, "bytes": size}
                entries.append(facts | {"held_out": is_held_out(path)})
        there |= {entry["name"] for entry in entries}
        with open(index, "a") as listing:
            listing.writelines(json.dumps(entry) + "\n" for entry in entries)


Pair = tuple[Tensor, Tensor]


@dataclass
class Crops:
    """B crops. `source`, `base` (the AV1 picture), `painted`: (luma `(B, 1, H, W)`, chroma `(B, 2,
    H/2, W/2)`) in 0…1; `q` `(B,)`: CRF; `bits` `(B,)`: what AV1 spent on so many samples of the
    picture, on average over the picture."""

    source: Pair
    base: Pair
    painted: Pair
    q: Tensor
    bits: Tensor

    def __len__(self) -> int:
        return len(self.q)


class Material:
    """Crops of one part of a cache. Raises `UsageError` where there is nothing."""

    def __init__(self, cache: Path, held_out: bool, seed: int = 0) -> None:
        self._cache = cache
        path = cache / "index.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        found = [json.loads(line) for line in lines]
        self.entries: list[dict[str, Any]] = [e for e in found if e["held_out"] == held_out]
        if not self.entries:
            raise UsageError(f"{cache}: no {'held-out' if held_out else 'training'} pictures here")
        self.files = [np.load(cache / f"{e['name']}.npy", mmap_mode="r") for e in self.entries]
        self.rng = np.random.default_rng(seed)

    def digest(self) -> str:
        """SHA-256 over the index."""
        return hashlib.sha256(json.dumps(self.entries, sort_keys=True).encode()).hexdigest()

    def _crop(self, number: int, top: int, left: int, size: int) -> list[Words]:
        """Luma `(3, size, size)` and chroma `(3, 2, size/2, size/2)`: source, base, painted."""
        entry, flat = self.entries[number], self.files[number]
        height, width = entry["height"], entry["width"]
        luma = flat[:, : height * width].reshape(3, height, width)
        chroma = flat[:, height * width :].reshape(3, 2, height // 2, width // 2)
        half = slice(top // 2, (top + size) // 2), slice(left // 2, (left + size) // 2)
        return [luma[:, top : top + size, left : left + size], chroma[:, :, half[0], half[1]]]

    def _random(self, size: int) -> tuple[list[Words], int]:
        """A random crop, mirrored or not, and the number of its entry."""
        number = int(self.rng.integers(len(self.entries)))
        entry = self.entries[number]
        top, left = (
            int(self.rng.integers((entry[side] - size) // PATCH + 1)) * PATCH
            for side in ("height", "width")
        )
        parts = self._crop(number, top, left, size)
        for axis in (-1, -2):
            if self.rng.random() < 0.5:
                parts = [np.flip(part, axis) for part in parts]
        return parts, number

    def batch(self, count: int, size: int) -> Crops:
        """Random crops of `size`², mirrored at random."""
        return self._crops([self._random(size) for _ in range(count)], size)

    def _crops(self, found: list[tuple[list[Words], int]], size: int) -> Crops:
        luma, chroma = (
            torch.from_numpy(np.stack([parts[k] for parts, _ in found]).astype(np.float32) / 1023)
            for k in (0, 1)
        )
        entries = [self.entries[number] for _, number in found]
        q = torch.tensor([float(e["q"]) for e in entries])
        bits = [e["bytes"] * 8 * size * size / (e["width"] * e["height"]) for e in entries]
        kinds = [(luma[:, k, None], chroma[:, k]) for k in range(3)]
        return Crops(kinds[0], kinds[1], kinds[2], q, torch.tensor(bits))

    def twice(
        self, count: int, size: int, coarser: tuple[int, ...] = ()
    ) -> list[tuple[Crops, Crops]]:
        """Crops of pictures that are there with two CRFs, one by one: the coarser picture and the
        finer one. Always the same ones, evenly over the sources; `coarser`: the CRFs of the coarser
        one, all where none are given."""
        by_picture: dict[str, list[int]] = {}
        for number, entry in enumerate(self.entries):
            by_picture.setdefault(entry["picture"], []).append(number)
        pairs = []
        for numbers in by_picture.values():
            ordered = sorted(numbers, key=lambda n: -self.entries[n]["q"])
            for a, b in pairwise(ordered):
                qs = self.entries[a]["q"], self.entries[b]["q"]
                if (not coarser or qs[0] in coarser) and qs[0] - qs[1] >= 3:
                    pairs.append((a, b))
        rng = np.random.default_rng(0)
        chosen = [pairs[k] for k in rng.permutation(len(pairs))[:count]]
        made = []
        for a, b in sorted(chosen):
            entry = self.entries[a]
            top, left = (
                int(rng.integers((entry[side] - size) // PATCH + 1)) * PATCH
                for side in ("height", "width")
            )
            crops = [self._crops([(self._crop(n, top, left, size), n)], size) for n in (a, b)]
            made.append((crops[0], crops[1]))
        return made
