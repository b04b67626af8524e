"""Measures what the adaptive entropy model is worth: its real bytes against static tables for the
same symbols.

    python -m eval.experiments.static_tables --data DIR --test DIR

Static tables are made from the training clips, for every q and frame type apart, and are as good as
such tables get. Two rivals: `channels` codes each channel of each token by the table of its pyramid
level and channel; `syntax` has the same empty-subtree flags and last indices as the real packets,
each coded by the table of its level, and tables by level and channel only for what these leave
open. Both have tables for the motion decisions. Their cost on a test clip is the ideal code length
of what its packets hold, without coder overhead; bits that are coded plainly and the header byte of
a frame count for all.
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
from gvcodec.structure.klt.codec import KltEncoder, load_model
from gvcodec.structure.klt.reference_contexts import FAMILIES, LEVELS, SLOT
from gvcodec.train.fit import central, read_clip
from gvcodec.types import Planes

FLAGS = ("any.q", "self.q")
MOTION = (
    "split.q",
    "merge.q",
    "merge.index",
    "mv.zero",
    "mv.prefix",
    "mv.sign",
    "becomes golden",
    "uses golden",
    "from.level",
)
CHANNELS = ("channel", "sign", "motion")
SYNTAX = ("flag", "last", "sig", "magnitude", "sign", "motion")
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
        for part, families in (("flag", FLAGS), ("motion", () if key else MOTION)):
            for name in families:
                self._count(f"{part}.{name}", _family(seen.astype(np.float64), name))
        for level in range(LEVELS):
            value, last = decoder.tokens(level)
            channels = value.shape[-1]
            ends = last.ravel()[last.ravel() >= 0]
            coded = value.reshape(-1, channels)[last.ravel() >= 0].astype(np.int64)
            self._count(
                f"last.{level}", np.bincount(ends, minlength=channels)[None].astype(np.float64)
            )
            before_last = np.arange(channels) < ends[:, None]
            zero = (before_last & (coded == 0)).sum(0)
            self._count(
                f"sig.{level}", np.stack([zero, before_last.sum(0) - zero], 1).astype(np.float64)
            )
            magnitude = np.minimum(np.abs(coded), LARGEST)
            histogram = np.stack([(magnitude == m).sum(0) for m in range(1, LARGEST + 1)], 1)
            self._count(f"magnitude.{level}", histogram.astype(np.float64))
            zeros = last.size - histogram.sum(1, keepdims=True)
            self._count(
                f"channel.{level}", np.concatenate([zeros, histogram], 1).astype(np.float64)
            )
            self._count(
                f"sign.{level}",
                np.stack([(coded > 0).sum(0), (coded < 0).sum(0)], 1).astype(np.float64),
            )
        self.plain_bits += plain
        self.real_bytes += len(payload)
        self.frames += 1

    def _count(self, name: str, counts: Counts) -> None:
        self.tables[name] = self.tables[name] + counts if name in self.tables else counts

    def cost(self, trained: Tables, parts: tuple[str, ...]) -> float:
        """Bytes of these symbols by tables made from `trained`, counting the tables of `parts`."""
        bits = self.plain_bits + 8 * self.frames
        for name, counts in self.tables.items():
            if name.split(".")[0] not in parts:
                continue
            known = trained.tables[name]
            # Rare contexts lean on the sum over all contexts of their kind.
            prior = (known.sum(0) + 0.5) / (known.sum() + 0.5 * known.shape[1])
            probability = (known + 2 * prior) / (known.sum(1, keepdims=True) + 2)
            bits -= float((counts * np.log2(probability)).sum())
        return bits / 8


def count_clips(clips: Iterable[list[Planes]], q: int) -> dict[tuple[int, bool], Tables]:
    """Code clips at one q; counts by (q of the frame, key frame)."""
    found: dict[tuple[int, bool], Tables] = defaultdict(Tables)
    for clip in clips:
        height, width = clip[0][0].shape
        encoder, decoder = (
            KltEncoder(width, height, q, threads=1),
            _core.KltDecoder(load_model(), width, height),
        )
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
    parser.add_argument("--data", type=Path, required=True, help="folder of training clips")
    parser.add_argument("--test", type=Path, required=True, help="folder of test clips")
    parser.add_argument("--q", type=int, nargs="+", default=[24, 40, 56])
    parser.add_argument("--every", type=int, default=3, help="use every n-th training clip")
    parser.add_argument("--train-frames", type=int, default=12)
    parser.add_argument("--frames", type=int, default=48, help="frames of a test clip")
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        default=[416, 240],
        help="central part of the frames that is coded",
    )
    arguments = parser.parse_args()
    width, height = arguments.size
    training, tests = (
        sorted(arguments.data.glob("*.mp4"))[:: arguments.every],
        sorted(arguments.test.glob("*.mp4")),
    )
    print(f"{len(training)} training clips of {arguments.train_frames} frames, {width}x{height}")
    print(
        f"{'clip':34}  q  frames  real bytes  channels    saved    syntax    saved  (in key, "
        f"inter frames)"
    )
    for q in arguments.q:
        trained = count_clips(read_clips(training, arguments.train_frames, width, height), q)
        for path in tests:
            tested = count_clips(read_clips([path], arguments.frames, width, height), q)
            real, channels, syntax = np.zeros(2), np.zeros(2), np.zeros(2)  # key, inter
            for kind, tables in tested.items():
                column = 0 if kind[1] else 1
                real[column] += tables.real_bytes
                channels[column] += tables.cost(trained[kind], CHANNELS)
                syntax[column] += tables.cost(trained[kind], SYNTAX)
            key, inter = 100 * (1 - real / syntax)
            print(
                f"{path.stem:34} {q:2} {sum(t.frames for t in tested.values()):7} "
                f"{real.sum():11.0f}"
                f" {channels.sum():9.0f} {100 * (1 - real.sum() / channels.sum()):6.1f} %"
                f" {syntax.sum():9.0f} {100 * (1 - real.sum() / syntax.sum()):6.1f} %  "
                f"({key:.1f}, {inter:.1f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
