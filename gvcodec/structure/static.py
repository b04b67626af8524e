"""Measures what the adaptive entropy model is worth: its real bytes against static tables for the same symbols.

    python -m gvcodec.structure.static --data ../shared/data/train --test ../shared/data/devtest

Static tables are as good as such tables get: for every q and frame type apart, made from the training clips coded at
that very q, one table for each pyramid level and channel (significance, magnitude, sign), one of the last index and the
flags for each level, one for each motion decision. Their cost on a test clip is the ideal code length of exactly the
symbols that the packets hold, without any coder overhead; bits that are coded plainly and the header byte of a frame
count for both.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec import _core
from gvcodec.structure.fit import read_clip
from gvcodec.structure.klt import KltEncoder, load_model
from gvcodec.structure.reference_contexts import FAMILIES, LEVELS, SLOT
from gvcodec.types import Planes

FLAGS = ("any.q", "self.q")
MOTION = ("split.q", "merge.q", "merge.index", "mv.zero", "mv.prefix", "mv.sign")
LARGEST = 16  # magnitudes from here on share a symbol (and have plain bits behind it)
Counts = NDArray[np.float64]


def _family(seen: Counts, name: str) -> Counts:
    first = SLOT(name, *(0 for _ in FAMILIES[name]))
    return seen[first : first + int(np.prod(FAMILIES[name]))]


@dataclass
class Tables:
    """Counts of the symbols of frames of one q and type; `tables` by name: (contexts, symbols)."""

    tables: dict[str, Counts] = field(default_factory=dict)
    plain_bits: float = 0.0
    real_bytes: int = 0
    frames: int = 0

    def add(self, decoder: _core.KltDecoder, payload: bytes, key: bool) -> None:
        """Count the frame that was decoded last."""
        seen, plain = decoder.decisions(key)
        for name in (*FLAGS, *(MOTION if not key else ())):
            self._count(name, _family(seen.astype(np.float64), name))
        for level in range(LEVELS):
            value, last = decoder.tokens(level)
            coded = value.reshape(-1, value.shape[-1])[last.ravel() >= 0].astype(np.int64)
            ends = last.ravel()[last.ravel() >= 0]
            channels = value.shape[-1]
            self._count(f"last.{level}", np.bincount(ends, minlength=channels)[None].astype(np.float64))
            before_last = np.arange(channels) < ends[:, None]
            zero = (before_last & (coded == 0)).sum(0)
            self._count(f"sig.{level}", np.stack([zero, before_last.sum(0) - zero], 1).astype(np.float64))
            magnitude = np.minimum(np.abs(coded), LARGEST)
            histogram = np.stack([(magnitude == m).sum(0) for m in range(1, LARGEST + 1)], 1)
            self._count(f"magnitude.{level}", histogram.astype(np.float64))
            self._count(f"sign.{level}", np.stack([(coded > 0).sum(0), (coded < 0).sum(0)], 1).astype(np.float64))
        self.plain_bits += plain
        self.real_bytes += len(payload)
        self.frames += 1

    def _count(self, name: str, counts: Counts) -> None:
        self.tables[name] = self.tables[name] + counts if name in self.tables else counts

    def cost(self, trained: Tables) -> float:
        """Bytes of these symbols by tables made from `trained`."""
        bits = self.plain_bits + 8 * self.frames
        for name, counts in self.tables.items():
            known = trained.tables[name]
            # Rare contexts lean on the sum over all contexts of their kind.
            prior = (known.sum(0) + 0.5) / (known.sum() + 0.5 * known.shape[1])
            probability = (known + 2 * prior) / (known.sum(1, keepdims=True) + 2)
            bits -= float((counts * np.log2(probability)).sum())
        return bits / 8


def central(clip: list[Planes], width: int, height: int) -> list[Planes]:
    """The middle of every frame, at most (width, height)."""
    h, w = clip[0][0].shape
    width, height = min(width, w) // 2 * 2, min(height, h) // 2 * 2
    x, y = (w - width) // 4 * 2, (h - height) // 4 * 2
    cuts = [(slice(y // n, (y + height) // n), slice(x // n, (x + width) // n)) for n in (1, 2, 2)]
    return [(f[0][cuts[0]], f[1][cuts[1]], f[2][cuts[2]]) for f in clip]


def count_clips(clips: Iterable[list[Planes]], q: int) -> dict[tuple[int, bool], Tables]:
    """Code clips at one q; counts by (q of the frame, key frame)."""
    found: dict[tuple[int, bool], Tables] = defaultdict(Tables)
    for clip in clips:
        height, width = clip[0][0].shape
        encoder, decoder = KltEncoder(width, height, q, threads=1), _core.KltDecoder(load_model(), width, height)
        for planes in clip:
            packet = encoder.send(planes).packets[0]
            decoder.decode(packet.payload)
            found[packet.q, packet.keyframe].add(decoder, packet.payload, packet.keyframe)
    return found


def read_clips(paths: list[Path], frames: int, width: int, height: int) -> Iterable[list[Planes]]:
    for path in paths:
        clip = read_clip(path, frames, 0)
        if len(clip) >= 2:
            yield central(clip, width, height)


def main() -> None:
    parser = argparse.ArgumentParser(description="Adaptive entropy model against static tables.")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/train"))
    parser.add_argument("--test", type=Path, default=Path("../shared/data/devtest"))
    parser.add_argument("--q", type=int, nargs="+", default=[24, 40, 56])
    parser.add_argument("--every", type=int, default=3, help="use every n-th training clip")
    parser.add_argument("--train-frames", type=int, default=12)
    parser.add_argument("--frames", type=int, default=48, help="frames of a test clip")
    parser.add_argument(
        "--size", type=int, nargs=2, default=[416, 240], help="central part of the frames that is coded"
    )
    arguments = parser.parse_args()
    width, height = arguments.size
    training, tests = sorted(arguments.data.glob("*.mp4"))[:: arguments.every], sorted(arguments.test.glob("*.mp4"))
    print(f"{len(training)} training clips of {arguments.train_frames} frames, {width}x{height}")
    print(f"{'clip':36}  q  frames  real bytes  static bytes  saved  saved in key, inter frames")
    for q in arguments.q:
        trained = count_clips(read_clips(training, arguments.train_frames, width, height), q)
        for path in tests:
            tested = count_clips(read_clips([path], arguments.frames, width, height), q)
            real, static = np.zeros(2), np.zeros(2)  # key, inter
            for kind, tables in tested.items():
                real[1 - kind[1]] += tables.real_bytes
                static[1 - kind[1]] += tables.cost(trained[kind])
            frames = sum(t.frames for t in tested.values())
            saved = [
                f"{100 * (1 - a / b):5.1f} %" for a, b in ((real.sum(), static.sum()), *zip(real, static, strict=True))
            ]
            print(
                f"{path.stem:36} {q:2} {frames:7} {real.sum():11.0f} {static.sum():13.0f} {saved[0]} {saved[1]} {saved[2]}",
                flush=True,
            )


if __name__ == "__main__":
    main()
