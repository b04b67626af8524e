"""Codes and decodes 1080p frames with a network of the paper's size and random TA-TiTok weights.

    python scripts/large_1080p.py [CLIP] [--frames 2]

Published weights cannot be shipped, so `training.gvc1d.titok.random_titok` replaces them: the
script shows that the whole path fits a machine, and its cost. Prints the bytes of each frame,
seconds, and the process's peak memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from gvcodec.gvc1d.config import LARGE
from gvcodec.gvc1d.files import read_entropy
from gvcodec.gvc1d.picture import Picture, from_planes, pad
from gvcodec.models import GVC1D_SMALL
from gvcodec.types import Planes
from training.gvc1d.run import Frame, RunNetwork
from training.gvc1d.titok import load_titok, random_titok

_SIZE = (1920, 1080)


def pictures(clip: str, count: int) -> list[Picture]:
    """The first frames at 1080p, 10 bits; without a clip a gradient that moves."""
    import av

    found: list[Planes] = []
    if clip:
        with av.open(clip) as container:
            for frame in container.decode(video=0):
                flat = frame.reformat(*_SIZE, "yuv420p").to_ndarray().astype(np.uint16) << 2
                chroma = flat[_SIZE[1] :].reshape(2, _SIZE[1] // 2, _SIZE[0] // 2)
                found.append((flat[: _SIZE[1]], chroma[0], chroma[1]))
                if len(found) == count:
                    break
    else:
        row = np.arange(_SIZE[0], dtype=np.uint16)
        for t in range(count):
            luma = np.broadcast_to((row + 8 * t) % 1020, _SIZE[::-1]).copy()
            grey = np.full((_SIZE[1] // 2, _SIZE[0] // 2), 512, np.uint16)
            found.append((luma, grey, grey))
    return [pad(from_planes([planes], "cpu"), LARGE.window) for planes in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clip", nargs="?", default="")
    parser.add_argument("--frames", type=int, default=2)
    asked = parser.parse_args()
    torch.manual_seed(0)
    model = RunNetwork(LARGE).eval().requires_grad_(False)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "titok.safetensors"
        save_file(random_titok(model), weights)
        load_titok(model, weights)
    frames = [Frame(one, None, None) for one in pictures(asked.clip, asked.frames)]
    size = frames[0].source.y.shape[2:]
    print(
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.0f} M parameters, {size[1]}×{size[0]}"
    )
    begun = time.monotonic()
    entropy = read_entropy(GVC1D_SMALL.find())
    payloads = model.compress(frames, 3, entropy)
    coded = time.monotonic()
    made = model.decompress(payloads, (size[0], size[1]), entropy)
    done = time.monotonic()
    assert len(made) == len(frames) and all(bool(torch.isfinite(p.y).all()) for p in made)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"bytes {[len(p) for p in payloads]}, encode {coded - begun:.0f} s, "
        f"decode {done - coded:.0f} s, {peak:.1f} GiB"
    )


if __name__ == "__main__":
    main()
