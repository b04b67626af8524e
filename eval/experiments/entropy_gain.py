"""Measures what the entropy model of a `klt` model file saves against that of another, on the very
same tokens.

    python -m eval.experiments.entropy_gain --test DIR --against checkpoints/klt-1.safetensors

Streams are coded with `--against`; their tokens are coded again by the adaptive mixing of `--model`
alone, and with its network. Bytes are ideal code lengths (the range coder adds 0.3 % and 3 bytes at
most), headers left out for all.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec import _core
from gvcodec.structure.klt.codec import KltEncoder, KltTools, load_model, model_path
from gvcodec.structure.klt.lookahead import DEPTH
from gvcodec.structure.klt.reference_contexts import SETS
from gvcodec.train.fit import central, read_clip
from gvcodec.types import Planes

#: Kinds of decisions as columns: those of these weight sets, key and inter frames apart; the last
#: column is plain bits.
PARTS = {
    "flags": ("any", "self"),
    "last": ("last", "last.bits"),
    "significance": ("sig",),
    "magnitude": ("big", "more"),
    "sign": ("sign",),
    "motion": ("split", "merge", "merge.index", "mv", "golden", "from"),
}
_SET_PART = [
    part
    for name, shape in SETS.items()
    for part in [next(number for number, names in enumerate(PARTS.values()) if name in names)]
    * int(np.prod(shape))
]


def measure(clip: list[Planes], q: float, against: Path, model: Path) -> NDArray[np.float64]:
    """Bytes (against, mixing alone, with the network) × (key, inter) × (PARTS, plain bits)."""
    height, width = clip[0][0].shape
    encoder = KltEncoder(
        width, height, q, threads=1, model=against, tools=KltTools(lookahead=DEPTH)
    )
    packets = [p for coded in (*map(encoder.send, clip), encoder.flush()) for p in coded.packets]
    bits = np.zeros((3, 2, len(PARTS) + 1))
    for row, (path, refines) in enumerate(((against, True), (model, False), (model, True))):
        recorder = _core.KltRecorder(load_model(against), load_model(path), width, height)
        for packet in packets:
            found = recorder.decode(packet.payload, refines)
            column = bits[row, 0 if packet.keyframe else 1]
            column[:-1] += np.bincount(_SET_PART, found["cost"], len(PARTS))
            column[-1] += found["raw_bits"]
    return bits / 8


def saved(bits: Sequence[NDArray[np.float64]] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Percent below the first row."""
    sums = np.array([np.sum(row) for row in bits])
    return 100 * (1 - sums[1:] / max(sums[0], 1e-9))


def main() -> None:
    parser = argparse.ArgumentParser(
        description="What an entropy model saves against another on the same tokens."
    )
    parser.add_argument("--test", type=Path, required=True, help="folder of clips")
    parser.add_argument("--only", default="*.mp4", help="pattern of the clips' names")
    parser.add_argument("--model", type=Path, default=model_path())
    parser.add_argument("--against", type=Path, default=model_path().with_name("klt-1.safetensors"))
    parser.add_argument("--q", type=float, nargs="+", default=[30, 38, 46, 54, 60])
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument(
        "--every", type=int, nargs=2, default=[1, 0], help="every n-th clip, from the m-th on"
    )
    parser.add_argument(
        "--size", type=int, nargs=2, default=[416, 240], help="central part of the frames"
    )
    arguments = parser.parse_args()
    paths = sorted(arguments.test.glob(arguments.only))[arguments.every[1] :: arguments.every[0]]
    print(
        f"{len(paths)} clips; bytes: {arguments.against.stem}; saved: mixing of "
        f"{arguments.model.stem}, with its network"
    )
    for q in arguments.q:
        total, logs = np.zeros((3, 2, len(PARTS) + 1)), []
        for path in paths:
            clip = read_clip(path, arguments.frames, 0)
            if len(clip) < 2:
                continue
            bits = measure(central(clip, *arguments.size), q, arguments.against, arguments.model)
            logs.append(saved(bits))
            total += bits
        key, inter = saved(total[:, 0])[1], saved(total[:, 1])[1]
        mixing, network = saved(total)
        print(
            f"q {q:g}: {total[0].sum():.0f} bytes, {mixing:.1f} %, {network:.1f} % (key "
            f"{key:.1f}, inter {inter:.1f};",
            end=" ",
        )
        print(
            f"mean of clips {np.mean(logs, 0)[0]:.1f}, {np.mean(logs, 0)[1]:.1f}, lowest "
            f"{np.min(logs, 0)[1]:.1f})"
        )
        for number, part in enumerate((*PARTS, "plain")):
            share = 100 * total[0, :, number].sum() / total[0].sum()
            print(
                f"    {part:13}{share:5.1f} % of the bytes, saved "
                f"{saved(total[:, :, number])[1]:5.1f} %",
                flush=True,
            )


if __name__ == "__main__":
    main()
