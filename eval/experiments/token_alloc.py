"""Token numbers of base tokens against each other at equal written bytes.

    python -m eval.experiments.token_alloc CLIP… --frames 25 --q 40 50 60 --part 2 --out DIR

Every arm codes the same frames at the same q behind one keyframe, without refreshes; curves over q
give BD-rates against `all`, which gives every window all its tokens. `uniform`, the default, makes
windows copies where that pays. What ends in `, anywhere` gives the numbers of its namesake to
windows drawn anew for each frame, so it shows what the place is worth.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from eval.frames import psnr_y
from eval.bd import ALL_RATES, bd_rate
from eval.metrics import network
from eval.report.tables import markdown
from eval.tools import write_json, write_text
from gvcodec.media.reader import VideoReader
from gvcodec.painter.perceptual.losses import known_colour, to_rgb
from gvcodec.structure.tokens.codec import TokenEncoder
from gvcodec.structure.tokens.entropy import Integers
from gvcodec.structure.tokens.model import Picture, State
from gvcodec.types import Colour, Planes, VideoFormat

ALL = "all"
ANYWHERE = ", anywhere"
_PLACED = ("uniform", "elbo", "uniqueness")
ARMS = (ALL, *(name + place for name in _PLACED for place in ("", ANYWHERE)), "oracle")
#: Frames between those that LPIPS-Alex and DISTS look at.
EVERY = 4
_METRICS = {"lpips_alex": False, "dists": False, "psnr_y": True}
Counts = NDArray[np.int64]


class All(TokenEncoder):
    """All tokens for every window."""

    def _counts(self, now: Picture, tokens: Integers, given: Counts) -> tuple[Counts, State | None]:
        return given, None


class Anywhere(TokenEncoder):
    """Gives the token numbers of a frame to its windows at random."""

    def __init__(self, fmt: VideoFormat, q: float, alloc: str, seed: int = 1) -> None:
        super().__init__(fmt, q, threads=1, alloc=alloc, refreshes=False)
        self._rng = np.random.default_rng(seed)

    def _counts(self, now: Picture, tokens: Integers, given: Counts) -> tuple[Counts, State | None]:
        return self._rng.permutation(super()._counts(now, tokens, given)[0]), None


def _encoder(fmt: VideoFormat, q: float, arm: str) -> TokenEncoder:
    if arm == ALL:
        return All(fmt, q, threads=1, refreshes=False)
    if arm.endswith(ANYWHERE):
        return Anywhere(fmt, q, arm.removesuffix(ANYWHERE))
    return TokenEncoder(fmt, q, threads=1, alloc=arm, refreshes=False)


def _rgb(planes: Planes) -> Tensor:
    y, u, v = (torch.from_numpy(plane.astype(np.float32) / 1023)[None, None] for plane in planes)
    return to_rgb(y, torch.cat([u, v], 1), known_colour(Colour(), planes[0].shape[0])).clamp(0, 1)


def _scaled(planes: Planes, part: int) -> Planes:
    """Means of squares of `part`² samples."""
    if part == 1:
        return planes
    out = []
    for plane, even in zip(planes, (2, 1, 1), strict=True):
        h, w = (n // part // even * even for n in plane.shape)
        blocks = plane[: h * part, : w * part].reshape(h, part, w, part)
        out.append(np.round(blocks.mean((1, 3))).astype(np.uint16))
    return out[0], out[1], out[2]


@torch.inference_mode()
def coded(frames: Sequence[Planes], fmt: VideoFormat, q: int, arm: str) -> dict[str, Any]:
    """Bytes and distortion of base frames."""
    encoder = _encoder(fmt, q, arm)
    parts = [*(encoder.send(planes) for planes in frames), encoder.flush()]
    shown = [loop for part in parts for loop in part.loops]
    data = sum(len(packet.payload) for part in parts for packet in part.packets)
    alex, texture = network("lpips_alex", "cpu"), network("dists", "cpu")
    found: dict[str, list[float]] = {"lpips_alex": [], "dists": []}
    for number, (a, b) in enumerate(zip(frames, shown, strict=True)):
        if number % EVERY == EVERY // 2:
            one, other = _rgb(a), _rgb(b)
            found["lpips_alex"].append(float(alex(2 * other - 1, 2 * one - 1)))
            found["dists"].append(float(texture(other, one)))
    bpp = 8 * data / len(frames) / fmt.width / fmt.height
    quality = {k: float(np.mean(v)) for k, v in found.items()} | {"psnr_y": psnr_y(frames, shown)}
    return {"arm": arm, "q": q, "bpp": bpp} | quality


def measure(clips: Sequence[Path], frames: int, qs: Sequence[int], part: int, out: Path) -> str:
    """Writes `token_alloc.json` and `.md` below `out`; returns the Markdown. `part`: clips are made
    smaller by so much."""
    rows: list[dict[str, Any]] = []
    for path in clips:
        with VideoReader(path) as reader:
            read = [f.planes for f, _ in zip(reader, range(frames), strict=False)]
            rate = reader.format.frame_rate
        size = part if read[0][0].shape[1] > 640 else 1
        small = [_scaled(planes, size) for planes in read]
        height, width = small[0][0].shape
        fmt = VideoFormat(width, height, rate, Fraction(1) / rate)
        for q in qs:
            for arm in tqdm(ARMS, path.stem, disable=None):
                rows.append({"clip": path.stem} | coded(small, fmt, q, arm))
                write_json(out / "token_alloc.json", {"rows": rows})
    text = to_markdown(rows, frames, qs)
    write_text(out / "token_alloc.md", text)
    return text


def to_markdown(rows: Sequence[dict[str, Any]], frames: int, qs: Sequence[int]) -> str:
    """BD-rates against `uniform`: the mean, and every clip."""
    clips = list(dict.fromkeys(row["clip"] for row in rows))

    def curve(clip: str, arm: str, metric: str) -> list[tuple[float, float]]:
        return [(r["bpp"], r[metric]) for r in rows if (r["clip"], r["arm"]) == (clip, arm)]

    lines = []
    for arm in ARMS[1:]:
        line = [arm]
        for metric, better in _METRICS.items():
            deltas = [
                bd_rate(curve(c, ALL, metric), curve(c, arm, metric), better, ALL_RATES).percent
                for c in clips
            ]
            known = [d for d in deltas if d is not None]
            each = ", ".join("–" if d is None else f"{d:+.0f}" for d in deltas)
            line.append(f"{np.mean(known):+.1f} % ({each})" if known else "–")
        lines.append(line)
    table = markdown(["token numbers", "LPIPS-Alex", "DISTS", "PSNR-Y"], lines)
    note = (
        f"BD-rate against all tokens in every window, base frames, without refreshes, first "
        f"{frames} frames, q "
        f"{', '.join(map(str, qs))}; mean over clips, in brackets {', '.join(clips)}. LPIPS-Alex "
        f"and DISTS on one frame in {EVERY}. Negative = fewer bytes."
    )
    return f"{table}\n\n{note}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--q", type=int, nargs="+", default=[40, 50, 60])
    parser.add_argument(
        "--part", type=int, default=2, help="wider ones than 640 are made smaller by so much"
    )
    parser.add_argument("--out", type=Path, default=Path("out/token-alloc"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    print(measure(options.clips, options.frames, options.q, options.part, options.out))


if __name__ == "__main__":
    main()
