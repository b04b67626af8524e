"""How far noise, blur and a coarser quantizer move each judge of pictures: `python -m
eval.experiments.noise_response --clips CLIPS`.

A frame of each clip is coded by SVT-AV1 as base av1 calls it, then changed: noise of σ 1/2, 1 and 2
levels on luma (rounded to 8 bits), blur of σ 1 on luma, the quantizer `q` + 6. Judges: LPIPS-Alex
(`lpips_alex`) and DISTS (`dists`) of the middle of the frame, plain and dithered; our own
(`encoder`), of the whole frame: the network by which tokens are tried, the small network of
`compare` (as DISTS), the mismatch of the texture check, and the flicker by which the strength is
chosen. Columns: clip, judge, dither (σ of noise on both pictures, levels), base (the distance of
the coded frame), then the changes of it in per cent.
"""

from __future__ import annotations

import argparse
import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from scipy import ndimage

from eval.colour import Planes
from eval.frames import clip_of
from eval.metrics import DITHER_SEEDS, METRICS, network
from eval.noise import add_noise
from eval.quick import code, read, wide
from eval.tools import markdown, read_rows
from gvcodec import perceptual
from gvcodec.painter.energies import energies, pad_to_patches
from gvcodec.painter.sample_clips import SampleClips
from gvcodec.painter.tokens.metric import PerceptualMetric
from gvcodec.painter.tokens.trial import trial_windows
from gvcodec.perceptual.dither import dither
from gvcodec.types import VideoFormat

CHANGES = ("noise_0.5", "noise_1", "noise_2", "blur", "coarser")
FIELDS = ("clip", "judge", "dither", "base", *CHANGES)
FRAMES = 9
#: Rows and columns of the middle that the judges of tables see.
SIDES = 256, 256
JUDGES = ("encoder", "lpips_alex", "dists")
DITHERS = (0.0, 2.0, 4.0, 6.0)
#: Consecutive frames: flicker needs two.
Pair = list[Planes]
Judge = Callable[[Pair], float]


def change_frames(frames: Pair, fmt: VideoFormat, q: float) -> dict[str, Pair]:
    """The last two frames coded, and the coded ones changed."""

    def coded(at: float) -> Pair:
        return list(code("svt", frames, fmt, at)[1][""]()[-2:])

    def blurred(planes: Planes) -> Planes:
        luma = ndimage.gaussian_filter(planes[0].astype(np.float32), 1)
        return np.rint(luma).astype(np.uint8), *planes[1:]

    base = coded(q)
    noisy = {f"noise_{sigma:g}": list(add_noise(base, sigma)) for sigma in (0.5, 1, 2)}
    changed = {"blur": [blurred(planes) for planes in base], "coarser": coded(q + 6)}
    return {"base": base} | noisy | changed


def middle(planes: Planes) -> Planes:
    height, width = planes[0].shape
    rows, columns = (
        min(most, size) & -2 for most, size in zip(SIDES, (height, width), strict=True)
    )
    top, left = (height - rows) // 2 & -2, (width - columns) // 2 & -2
    y, u, v = planes
    half = slice(top // 2, (top + rows) // 2), slice(left // 2, (left + columns) // 2)
    return y[top : top + rows, left : left + columns], u[half], v[half]


def table_judges(name: str, source: Pair, fmt: VideoFormat) -> Iterator[tuple[str, float, Judge]]:
    clip = replace(clip_of(source, fmt.frame_rate), matrix=fmt.colour.matrix)

    def rgb(planes: Planes) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(clip.rgb(planes)))[None]

    def distance(sigma: float, frames: Pair) -> float:
        pair = [rgb(middle(planes)) for planes in (frames[-1], source[-1])]
        net, values = network(name, "cpu"), []
        for seed in DITHER_SEEDS if sigma else (0,):
            dithered = (dither(x, [seed, side], sigma) for side, x in enumerate(pair))
            with torch.inference_mode():
                values.append(float(net(*(dithered if sigma else pair))))
        return fmean(values)

    for sigma in DITHERS:
        yield METRICS[name].label, sigma, functools.partial(distance, sigma)


def encoder_judges(source: Pair, fmt: VideoFormat) -> Iterator[tuple[str, float, Judge]]:
    clip = replace(clip_of(source, fmt.frame_rate), matrix=fmt.colour.matrix)
    trial, windows = PerceptualMetric(fmt), trial_windows(fmt.height, fmt.width)
    small = perceptual.Dists(perceptual.read_weights(perceptual.GUIDE.find())).eval()
    last = wide(source[-1])

    def trial_distance(frames: Pair) -> float:
        return float(trial.distances(last, [wide(frames[-1])], windows).mean())

    def small_distance(frames: Pair) -> float:
        pictures = (clip.rgb(planes) for planes in (frames[-1], source[-1]))
        with torch.inference_mode():
            return float(small(*(torch.from_numpy(x.copy())[None] for x in pictures)))

    def texture_mismatch(frames: Pair) -> float:
        ours, theirs = (energies(pad_to_patches(y)) for y in (wide(frames[-1])[0], last[0]))
        return float(np.abs(ours - theirs).mean())

    def flicker(frames: Pair) -> float:
        sample = [(wide(ours), wide(theirs)) for ours, theirs in zip(frames, source, strict=True)]
        return SampleClips([sample], [[0, 0]]).excess_of_base()

    yield "trial of tokens", 0, trial_distance
    yield "small network", 0, small_distance
    yield "texture check", 0, texture_mismatch
    yield "flicker of strengths", 0, flicker


def measure(path: Path, options: argparse.Namespace) -> Iterator[list[str]]:
    """Rows of a clip."""
    frames, fmt = read(path, options.samples, FRAMES)
    versions = change_frames(frames, fmt, options.q)
    judges = (
        encoder_judges(frames[-2:], fmt)
        if kind == "encoder"
        else table_judges(kind, frames[-2:], fmt)
        for kind in options.judges
    )
    for name, sigma, judge in itertools.chain.from_iterable(judges):
        values = {change: judge(shown) for change, shown in versions.items()}
        base = values.pop("base")
        cells = [f"{100 * (values[change] / base - 1):+.2f}" for change in CHANGES]
        yield [path.stem, name, f"{sigma:g}", f"{base:.5f}", *cells]


def report(path: Path) -> None:
    """Means over clips, and for each noise the change of the clip that moves most."""
    rows = defaultdict(list)
    for row in read_rows(path):
        rows[row["judge"], row["dither"]].append(row)
    lines = []
    for (judge, sigma), group in rows.items():
        cells = [f"{fmean(float(row[name]) for row in group):+.1f}" for name in CHANGES]
        moved = (max((float(row[n]) for row in group), key=abs) for n in CHANGES[:2])
        lines.append([judge, sigma, str(len(group)), *cells, *(f"{m:+.1f}" for m in moved)])
    farthest = [f"farthest, {name}" for name in CHANGES[:2]]
    print(markdown(["judge", "dither", "clips", *CHANGES, *farthest], lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--clips", type=Path, nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("docs/data/noise-response.csv"))
    parser.add_argument("--judges", nargs="+", choices=JUDGES, default=JUDGES)
    parser.add_argument("--samples", type=float, default=640 * 480, help="most luma samples")
    parser.add_argument("--q", type=float, default=54)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for path in options.clips:
        for cells in measure(path, options):
            is_new = not options.out.exists()
            with open(options.out, "a", encoding="utf-8") as file:
                file.write((",".join(FIELDS) + "\n") * is_new + ",".join(cells) + "\n")
    report(options.out)


if __name__ == "__main__":
    main()
