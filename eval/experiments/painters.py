"""The integer painter beside the float one, on the same base frames, hence at equal bytes but for
tuned weights.

    python -m eval.experiments.painters CLIP… --q 44 56 --frames 16 --steps 0 40 --out FILE.json

Each clip's middle is coded once by av1; both painters paint it untuned and tuned (led by the small
network). Held out: LPIPS-Alex, SSIMULACRA2, ColorVideoVDP. What is painted is rounded to eight bits
first.
"""

from __future__ import annotations

import argparse
import itertools
import json
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from eval.metrics.judges import cvvdp, ssimulacra2
from gvcodec.appearance import find_checkpoint, tune
from gvcodec.appearance.checkpoint import is_integer
from gvcodec.appearance.integer_model import rate
from gvcodec.appearance.integer_video import IntegerVideo
from gvcodec.appearance.painter import Painter
from gvcodec.appearance.perceptual import dists, lpips
from gvcodec.appearance.perceptual.losses import known_colour, to_rgb
from gvcodec.media.reader import VideoReader
from gvcodec.structure.standard.codec import StandardEncoder
from gvcodec.types import Planes, VideoFormat

EVERY = 4  # frames, for metrics of single pictures


def _middle(planes: Planes, width: int, height: int) -> Planes:
    full = planes[0].shape
    top, left = ((n - m) // 4 * 2 for n, m in zip(full, (height, width), strict=True))
    y, u, v = (
        np.ascontiguousarray(p[top // s : (top + height) // s, left // s : (left + width) // s])
        for p, s in zip(planes, (1, 2, 2), strict=True)
    )
    return y, u, v


def _pictures(frames: list[Planes], fmt: VideoFormat) -> list[np.ndarray]:
    """(3, H, W) in [0, 1] as a viewer of eight bits gets them."""
    found = []
    for planes in frames:
        y, *uv = (np.minimum((p.astype(np.float32) + 2) // 4, 255) * (4 / 1023) for p in planes)
        tint = torch.from_numpy(np.stack(uv))[None]
        rgb = to_rgb(torch.from_numpy(y)[None, None], tint, known_colour(fmt.colour, fmt.height))
        found.append(rgb[0].clamp(0, 1).numpy())
    return found


class _Judge:
    def __init__(self, source: list[Planes], fmt: VideoFormat) -> None:
        self.source, self.fmt = _pictures(source, fmt), fmt
        self.networks = {"lpips_alex": lpips("alex"), "dists": dists()}

    @torch.inference_mode()
    def __call__(self, frames: list[Planes]) -> dict[str, float]:
        pictures, some = _pictures(frames, self.fmt), range(1, len(frames), EVERY)
        found: dict[str, float] = {}
        for name, network in self.networks.items():
            pairs = ((torch.from_numpy(p[n])[None] for p in (pictures, self.source)) for n in some)
            found[name] = fmean(float(network(*pair)) for pair in pairs)
        found["ssimulacra2"] = fmean(ssimulacra2(pictures[n], self.source[n]) for n in some)
        numbers = list(range(len(frames)))
        rate_of = float(self.fmt.frame_rate)
        found["cvvdp"] = cvvdp(lambda n: (pictures[n], self.source[n]), numbers, rate_of, "cpu")
        errors = [np.mean((a - b) ** 2) for a, b in zip(pictures, self.source, strict=True)]
        found["psnr_rgb"] = float(np.mean([-10 * np.log10(e + 1e-10) for e in errors]))
        return found


def measure(
    clip: Path, q: int, frames: int, size: tuple[int, int], steps: list[int], preset: int
) -> dict[str, Any]:
    with VideoReader(clip, frames=frames) as reader:
        sources, given = [frame.planes for frame in reader], reader.format
    width, height = (
        min(n, m) // 16 * 16 for n, m in zip(size, (given.width, given.height), strict=True)
    )
    sources = [_middle(planes, width, height) for planes in sources]
    fmt = VideoFormat(
        width, height, given.frame_rate, given.time_base, given.bit_depth, given.colour, given.sar
    )
    encoder = StandardEncoder(fmt, "av1", q, threads=1, preset=preset)
    loops: list[Planes] = []
    sizes: list[int] = []
    for coded in [*(encoder.send(planes) for planes in sources), encoder.flush()]:
        loops += coded.loops
        sizes += [len(packet.payload) for packet in coded.packets]
    judge, total = _Judge(sources, fmt), sum(sizes)
    found: dict[str, Any] = {
        "clip": clip.stem,
        "q": q,
        "size": [width, height],
        "frames": len(loops),
        "bytes": total,
    }
    found["bpp"] = 8 * total / (len(loops) * width * height)
    found["base"] = judge(loops)
    runs = list(range(0, len(loops) - 2, 3))
    samples = [[(loops[n], sources[n]) for n in range(k, k + 3)] for k in runs]
    own = [[rate(sizes[n], width, height) for n in range(k, k + 3)] for k in runs]
    for kind, count in itertools.product(("float", "integer"), steps):
        checkpoint = find_checkpoint(base="av1", painter=kind)
        assert is_integer(checkpoint) == (kind == "integer")
        payload = None
        if count:
            options = {"steps": count, "leader": "small", "stream_bytes": total, "own": own}
            payload = tune(samples, fmt, "av1", Fraction(1), q, 0.0, checkpoint, **options)
        make = Painter if kind == "float" else IntegerVideo
        painter = make(fmt, "av1", Fraction(1), q, checkpoint, 1)
        painter.start_gop(payload)
        painted = [painter.paint(loop, n) for loop, n in zip(loops, sizes, strict=True)]
        found[f"{kind} {count}"] = {**judge(painted), "tuned_bytes": len(payload or b"")}
        print(
            json.dumps(
                {"clip": clip.stem, "q": q, "way": f"{kind} {count}", **found[f"{kind} {count}"]}
            ),
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--q", type=int, nargs="+", default=[44, 56])
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument(
        "--size", type=int, nargs=2, default=[640, 352], help="of the middle that is taken"
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[0, 40])
    parser.add_argument("--preset", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for clip, q in itertools.product(options.clips, options.q):
        found.append(
            measure(clip, q, options.frames, tuple(options.size), options.steps, options.preset)
        )
        print(
            json.dumps({"clip": clip.stem, "q": q, "way": "base", **found[-1]["base"]}), flush=True
        )
        options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
