"""Training material of base tokens: whole clips as samples on disk, and intra pictures to start
from.

    python -m gvcodec.train.token_material CLIPS FOLDER

For each clip `NAME.yuv`: frames one after the other, each luma then chroma (4:2:0), uint8;
`NAME.key`: every `KEY_STEP`-th frame coded as a single AV1 picture and decoded, uint16 with 10
bits. `index.jsonl` has one line a clip: `{"name", "width", "height", "frames", "keys": [q of each
picture], "held_out"}`. What is there already is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gvcodec.errors import MediaError, UsageError
from gvcodec.structure.tokens.model import Picture
from gvcodec.types import Planes, VideoFormat

#: Frames from one possible beginning to the next.
KEY_STEP = 10
#: Qualities of AV1 (CRF) that keyframes have at 0.003 to 0.02 bits a pixel.
KEY_Q = (36, 63)
#: Frames taken of a clip.
LONGEST = 160


def flat(planes: Planes) -> NDArray[np.uint16]:
    """Luma and chroma one after the other."""
    return np.concatenate([plane.ravel() for plane in planes])


def still(planes: Planes, fmt: VideoFormat, q: int) -> Planes:
    """The picture as a decoder of AV1 gives it, coded alone."""
    from gvcodec.structure.standard.codec import StandardEncoder

    encoder = StandardEncoder(fmt, "av1", q, threads=1, preset=8, low_delay=True)
    return [*encoder.send(planes).loops, *encoder.flush().loops][0]


def add_clip(path: Path, folder: Path, rng: random.Random) -> dict[str, object]:
    """Write the two files of a clip. Raises `MediaError`."""
    from gvcodec.media.reader import VideoReader
    from gvcodec.training.material import held_out

    name, keys, frames = path.stem, [], 0
    with (
        VideoReader(path, frames=LONGEST) as reader,
        open(folder / f"{name}.part", "wb") as samples,
        open(folder / f"{name}.key", "wb") as pictures,
    ):
        fmt = reader.format
        for frame in reader:
            if frames % KEY_STEP == 0:
                keys.append(rng.randint(*KEY_Q))
                pictures.write(flat(still(frame.planes, fmt, keys[-1])).astype("<u2").tobytes())
            samples.write(np.minimum((flat(frame.planes) + 2) >> 2, 255).astype(np.uint8).tobytes())
            frames += 1
    os.replace(folder / f"{name}.part", folder / f"{name}.yuv")
    return {
        "name": name,
        "width": fmt.width,
        "height": fmt.height,
        "frames": frames,
        "keys": keys,
        "held_out": held_out(path.name),
    }


class Clip:
    """One clip of the material; frames and keyframes are mapped from disk."""

    def __init__(self, folder: Path, entry: dict[str, object]) -> None:
        self.width, self.height, self.frames = (
            int(entry[k]) for k in ("width", "height", "frames")
        )  # type: ignore[call-overload]
        half = ((self.height + 1) // 2, (self.width + 1) // 2)
        self._half, self._luma = half, self.height * self.width
        size = self._luma + 2 * half[0] * half[1]
        stem = folder / str(entry["name"])
        self._samples = np.memmap(f"{stem}.yuv", np.uint8, "r").reshape(-1, size)
        self._keys = np.memmap(f"{stem}.key", "<u2", "r").reshape(-1, size)

    def frame(self, number: int, top: int, left: int, h: int, w: int) -> Picture:
        """A part of a source frame, (1, 1, h, w) and (1, 2, h/2, w/2), -0.5…0.5."""
        return self._part(self._samples[number], 255, top, left, h, w)

    def key(self, number: int, top: int, left: int, h: int, w: int) -> Picture:
        """The same part of intra picture `number`."""
        return self._part(self._keys[number], 1020, top, left, h, w)

    def _part(self, flat: NDArray, peak: int, top: int, left: int, h: int, w: int) -> Picture:  # type: ignore[type-arg]
        luma = flat[: self._luma].reshape(self.height, self.width)[top : top + h, left : left + w]
        y, x = top // 2, left // 2
        chroma = flat[self._luma :].reshape(2, *self._half)[:, y : y + h // 2, x : x + w // 2]
        return tuple(  # type: ignore[return-value]
            torch.from_numpy(part.astype(np.float32) * (1 / peak) - 0.5)[None]
            for part in (luma[None], chroma)
        )


def open_clips(folder: Path, held_out: bool, least: tuple[int, int]) -> list[Clip]:
    """Clips of at least (height, width). Raises `UsageError` where there is no material."""
    index = folder / "index.jsonl"
    if not index.is_file():
        raise UsageError(
            f"{folder}: no material here (make it with python -m gvcodec.train.token_material)"
        )
    entries = [json.loads(line) for line in index.read_text().splitlines()]
    chosen = [
        e
        for e in entries
        if e["held_out"] == held_out
        and e["height"] >= least[0]
        and e["width"] >= least[1]
        and e["frames"] > KEY_STEP
    ]
    return [Clip(folder, entry) for entry in chosen]


@dataclass(slots=True)
class Walk:
    """A way through a clip: where the window lies and which frame comes next."""

    clip: Clip
    top: int
    left: int
    flips: tuple[bool, bool]
    step: int
    at: int
    left_over: int


class Streams:
    """`count` windows that walk through clips, each for a random number of frames, then begin again
    elsewhere."""

    def __init__(self, clips: list[Clip], count: int, size: tuple[int, int], seed: int) -> None:
        self.clips, self.size = clips, size
        self._rng = random.Random(seed)
        self._walks: list[Walk | None] = [None] * count
        self._weights = [min(c.frames, 96) for c in clips]

    def next(self, slot: int, longest: int) -> tuple[Picture | None, Picture]:
        """(keyframe, frame): the keyframe where a new walk begins, None where the last goes on."""
        walk = self._walks[slot]
        key = None
        if walk is None or walk.left_over == 0 or not 0 <= walk.at + walk.step < walk.clip.frames:
            walk, key = self._begin(longest)
            self._walks[slot] = walk
        walk.at += walk.step
        walk.left_over -= 1
        return key, self._turned(
            walk.clip.frame(walk.at, walk.top, walk.left, *self.size), walk.flips
        )

    def _begin(self, longest: int) -> tuple[Walk, Picture]:
        rng, (h, w) = self._rng, self.size
        clip = rng.choices(self.clips, self._weights)[0]
        number = rng.randrange((clip.frames + KEY_STEP - 1) // KEY_STEP)
        at = number * KEY_STEP
        step = rng.choice((1, 1, 1, 2)) * rng.choice((1, -1))
        if not 0 <= at + step < clip.frames:
            step = -step
        top, left = (
            rng.randrange((clip.height - h) // 2 + 1) * 2,
            rng.randrange((clip.width - w) // 2 + 1) * 2,
        )
        walk = Walk(
            clip,
            top,
            left,
            (rng.random() < 0.5, rng.random() < 0.5),
            step,
            at,
            rng.randint(1, longest),
        )
        fine = rng.random() < 0.15  # now and then from the source itself
        key = clip.frame(at, top, left, h, w) if fine else clip.key(number, top, left, h, w)
        return walk, self._turned(key, walk.flips)

    @staticmethod
    def _turned(picture: Picture, flips: tuple[bool, bool]) -> Picture:
        axes = [axis for axis, on in zip((-2, -1), flips, strict=True) if on]
        return tuple(part.flip(axes) for part in picture) if axes else picture  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of videos")
    parser.add_argument("folder", type=Path, help="folder to write")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    index = options.folder / "index.jsonl"
    known = (
        {json.loads(line)["name"] for line in index.read_text().splitlines()}
        if index.exists()
        else set()
    )
    for path in sorted(options.clips.glob("*.mp4")):
        if path.stem in known:
            continue
        try:
            entry = add_clip(path, options.folder, random.Random(path.stem))
        except MediaError as error:
            print(f"left out: {error}", flush=True)
            continue
        with open(index, "a") as file:
            file.write(json.dumps(entry) + "\n")
        print(entry["name"], entry["frames"], flush=True)


if __name__ == "__main__":
    main()
