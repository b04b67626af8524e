"""The entropy network of base motion, from zero in minutes: `training.integer_network` says how.

Material is `NAME.npz` with `seen` (S, inputs) uint8, `value` (S,) int8, and `windows`, the number
of windows coded.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gvcodec._core import TREE_BACK, TREE_MEMORY, TREE_SIDE
from gvcodec.base.motion.checkpoint import read_network, write_network
from gvcodec.base.motion.encoder import MotionEncoder
from gvcodec.base.motion.payload import Entropy, Levels, MotionStatistics, Times, Values
from gvcodec.entropy import streams
from training.integer_network import NONE, Material, Part, Subject, files_of, run

INPUTS = TREE_SIDE + TREE_BACK
#: Qualities that material is coded at, and frames and luma rows of a clip at most.
_QUALITIES = (40, 46, 50, 53, 56, 58, 60, 62)
_FRAMES, _ROWS = 33, 480
#: Kinds of values: the first activations.
_KINDS = 7


class Collector:
    """Takes what an encoder codes (`gvcodec.base.motion.encoder.Trace`)."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[np.uint8], NDArray[np.int16]]] = []
        self.windows = 0

    def __call__(
        self,
        entropy: Entropy,
        values: Values,
        levels: Levels,
        memory: MotionStatistics,
        times: Times,
    ) -> None:
        self.windows += int((levels > 0).sum())
        for side, back, index in entropy.rows(levels, memory, times):
            row = values.reshape(-1)[index]
            self._parts.append((streams.contexts(side[0], row, back[0]), row))

    def write(self, path: Path) -> None:
        """All of it, as one file."""
        seen = np.concatenate([part[0] for part in self._parts])
        value = np.concatenate([part[1] for part in self._parts]).astype(np.int8)
        np.savez_compressed(path, seen=seen, value=value, windows=np.int64(self.windows))


def collect(clip: Path, folder: Path, _: argparse.Namespace) -> None:
    """Code a clip at two qualities. Raises `MediaError`."""
    from gvcodec.media.reader import VideoReader

    with VideoReader(clip, frames=_FRAMES) as reader:
        fmt, frames = reader.format, [frame.planes for frame in reader]
    scales = (Fraction(1), Fraction(3, 4), Fraction(1, 2))
    scale = next((s for s in scales if fmt.height * s <= _ROWS), scales[-1])
    rng = np.random.default_rng(zlib.crc32(clip.name.encode()))
    for number, q in enumerate(rng.choice(_QUALITIES, 2, replace=False)):
        collector = Collector()
        ahead = 16 * int(rng.random() < 0.75)
        encoder = MotionEncoder(fmt, int(q), 240, 1, scale=scale, ahead=ahead, trace=collector)
        for planes in frames:
            encoder.send(planes)
        encoder.flush()
        if collector.windows:
            collector.write(folder / f"{clip.stem}.{number}.npz")


def load(folder: Path, kept_out: bool) -> Material:
    """All material of either part. Raises `UsageError` where there is none."""
    parts = [np.load(file) for file in files_of(folder, kept_out)]
    seen, value = (
        torch.from_numpy(np.concatenate([part[name] for part in parts]))
        for name in ("seen", "value")
    )
    return Material(seen, value, sum(int(part["windows"]) for part in parts), len(parts))


#: What the network sees where there are no values before, and no frames before.
BACK = (slice(TREE_SIDE, INPUTS), torch.full((TREE_BACK,), NONE, dtype=torch.uint8))
MEMORY = (
    list(TREE_MEMORY),
    torch.tensor([NONE] * 2 + [0] * (len(TREE_MEMORY) - 2), dtype=torch.uint8),
)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="motion", description=__doc__.splitlines()[0])
    cuts: dict[str, Part] = {"AR": BACK, "memory": MEMORY}
    run(Subject(collect, load, read_network, write_network, _KINDS, cuts), parser, words)
