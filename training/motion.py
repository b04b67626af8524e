"""The entropy network of base motion, from zero in minutes.

    python -m training motion material CLIPS FOLDER
    python -m training motion train FOLDER motion.safetensors [--minutes 10]
    python -m training motion card FOLDER motion.safetensors [--minutes 10]

`material` codes clips and keeps what the network sees of each value: `NAME.npz` with `seen`
(S, inputs) uint8, `value` (S,) int8, and `windows`, the number of windows coded. The values do not
depend on the network, so any will do. `train` fits the float twin of the network and writes its
integers. `card` prints what the network is worth, in bits a window on clips kept out by source:
beside static tables and networks trained without the values before (AR), without the frames before
(memory) and without both; and with these inputs zeroed or shuffled.
"""

from __future__ import annotations

import argparse
import json
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
from gvcodec.errors import GvcodecError, UsageError
from training import integer_network
from training.integer_network import NONE, Material, Part, held_out, network_of, train

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


def collect(clip: Path, folder: Path) -> None:
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
    files = [f for f in sorted(folder.glob("*.npz")) if held_out(f.name) == kept_out]
    if not files:
        raise UsageError(f"{folder}: no material here")
    parts = [np.load(file) for file in files]
    seen, value = (
        torch.from_numpy(np.concatenate([part[name] for part in parts]))
        for name in ("seen", "value")
    )
    return Material(seen, value, sum(int(part["windows"]) for part in parts), len(files))


#: What the network sees where there are no values before, and no frames before.
BACK = (slice(TREE_SIDE, INPUTS), torch.full((TREE_BACK,), NONE, dtype=torch.uint8))
MEMORY = (
    list(TREE_MEMORY),
    torch.tensor([NONE] * 2 + [0] * (len(TREE_MEMORY) - 2), dtype=torch.uint8),
)


def make_card(folder: Path, model: Path, minutes: float) -> dict[str, object]:
    """What the network is worth, in bits a window of clips that were kept out."""
    cuts: dict[str, Part] = {"AR": BACK, "memory": MEMORY}
    network, halves = read_network(model), (load(folder, False), load(folder, True))
    return integer_network.make_card(network, *halves, _KINDS, cuts, minutes)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="motion", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("material", "train", "card"))
    parser.add_argument("source", type=Path, help="clips, or the folder of material")
    parser.add_argument("target", type=Path, help="the folder of material, or the model")
    parser.add_argument("--minutes", type=float, default=10, help="of one core (10)")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    if options.what == "material":
        options.target.mkdir(parents=True, exist_ok=True)
        for clip in sorted(options.source.glob("*.mp4")):
            if any(options.target.glob(f"{clip.stem}.?.npz")):
                continue
            try:
                collect(clip, options.target)
            except GvcodecError as error:
                print(f"left out: {error}", flush=True)
    elif options.what == "train":
        twin = train(load(options.source, False), 60 * options.minutes)
        write_network(options.target, network_of(twin))
    else:
        card = make_card(options.source, options.target, options.minutes)
        text = json.dumps(card, indent=2)
        print(text)
        options.target.with_suffix(".json").write_text(text + "\n")


if __name__ == "__main__":
    main()
