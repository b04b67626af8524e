"""How much of a lead noise alone would give: `python -m eval.experiments.noise_control measure`.

LPIPS and DISTS fall if faint noise is added to a smooth picture. Each kept-out clip is coded at the
qualities of `RELEASE` by SVT-AV1 at preset 4, the same tuned (`svtav1-tuned`), and gvcodec with
default options. Noise of σ 1/2, 1 and 2 levels is added to the decoded luma of the tuned SVT-AV1;
all are measured by plain and by dithered metrics (`gvcodec.perceptual.dither`).

`measure` adds the missing rows of `--out`, one by one, so that a second run goes on; decoded frames
lie in `--cache`. Columns: clip, codec, output (base, painted, or none), noise (levels), q, bytes,
bpp, samples (of a picture), metric, frames (measured), value, spread (of the dithered metrics: the
range of the means of both seeds). `report` compares by BD-rate. A row `best noise` has, of each
clip and metric, the noise (0, 1/2, 1 or 2) whose BD-rate against no noise is lowest.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from eval.colour import Planes
from eval.frames import Loaded
from eval.metrics import DITHERED, METRICS, sample
from eval.metrics.pixel import psnr
from eval.noise import add_noise
from eval.points.bd import bd_rate, bootstrap
from eval.quick import (
    SIZES,
    TARGETS,
    code,
    find_clip,
    measurer,
    names,
    read,
)
from eval.tools import markdown, read_rows
from gvcodec.types import VideoFormat

RELEASE = Path("docs/data/releases/1.1.0.csv")
FIELDS = ("clip", "codec", "output", "noise", "q", "bytes", "bpp", "samples")
FIELDS += ("metric", "frames", "value", "spread")
NOISES = (0.5, 1.0, 2.0)
#: Codec → its outputs and the noise they get.
CODECS = {
    "svtav1": [("", 0.0)],
    "svtav1-tuned": [("", noise) for noise in (0.0, *NOISES)],
    "gvcodec": [("base", 0.0), ("painted", 0.0)],
}
#: How many frames of a clip are measured.
FRAMES = {"lpips_alex": 2, "dists": 1}
FRAMES |= {name: FRAMES[plain] for name, plain in DITHERED.items()}
#: BD-rates are taken over these rates, in bpp.
BAND = (0.003, 0.08)
Row = dict[str, str]
#: Codec with output, and the noise on its luma.
Codec = tuple[str, float]
BEST = -1.0
_TUNED, _PAINTED, _BASE = ("svtav1-tuned", 0.0), ("gvcodec painted", 0.0), ("gvcodec base", 0.0)
COMPARISONS: list[tuple[str, Codec, Codec]] = [
    ("painted against tuned", _PAINTED, _TUNED),
    ("painted against tuned + best noise", _PAINTED, (_TUNED[0], BEST)),
    ("painted against preset 4", _PAINTED, ("svtav1", 0.0)),
    ("painted against base frames", _PAINTED, _BASE),
    ("base frames against tuned", _BASE, _TUNED),
    *((f"tuned + noise {n:g} against tuned", (_TUNED[0], n), _TUNED) for n in NOISES),
    ("tuned + best noise against tuned", (_TUNED[0], BEST), _TUNED),
]
TABLE_METRICS = ("lpips_alex_dithered", "lpips_alex_dithered_2", "lpips_alex")
TABLE_METRICS += ("dists_dithered", "dists", "psnr_y")


def qualities(clip: str) -> list[float]:
    """Those at which the release measured a clip."""
    return sorted({float(row["q"]) for row in read_rows(RELEASE) if row["clip"] == clip})


class Measurement:
    """The CSV, the folder of decoded frames, and what is still missing."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.data, self.out, self.cache = options.data, options.out, options.cache
        self.metrics = options.metrics
        self.cache.mkdir(parents=True, exist_ok=True)
        self.done = {self.key(row) for row in read_rows(self.out)}

    @staticmethod
    def key(row: Row) -> tuple[object, ...]:
        about = row["clip"], row["codec"], row["output"], float(row["noise"]), float(row["q"])
        return *about, row["metric"]

    def add(self, row: Row) -> None:
        if self.key(row) in self.done:
            return
        is_new = not self.out.exists()
        with open(self.out, "a", encoding="utf-8") as file:
            if is_new:
                file.write(",".join(FIELDS) + "\n")
            file.write(",".join(row[name] for name in FIELDS) + "\n")
        self.done.add(self.key(row))

    def source(self, clip: str) -> tuple[list[Planes], VideoFormat]:
        return read(find_clip(self.data, clip), 1 << 30, 0)

    def encode_missing(self, clip: str, codec: str, q: float) -> None:
        """Adds the rows of PSNR-Y, and to the cache the frames that the others look at."""
        wanted = [(clip, codec, output, noise, q) for output, noise in CODECS[codec]]
        complete = all((*w, m) in self.done for w in wanted for m in ("psnr_y", *self.metrics))
        encoded = all((*w, "psnr_y") in self.done and self.path(*w).exists() for w in wanted)
        if complete or encoded:
            return
        frames, fmt = self.source(clip)
        size, outputs = code(codec, frames, fmt, q)
        samples = fmt.width * fmt.height
        for output, noise in CODECS[codec]:
            decoded = list(add_noise(outputs[output](), noise))
            kept = [decoded[i] for i in positions(len(frames))]
            np.savez(self.path(clip, codec, output, noise, q), *[p for f in kept for p in f])
            values = [psnr(d[0], s[0], 255) for d, s in zip(decoded, frames, strict=True)]
            row = {"clip": clip, "codec": codec, "output": output, "noise": f"{noise:g}"}
            row |= {"q": f"{q:g}", "bytes": str(size), "samples": str(samples)}
            row |= {"bpp": f"{8 * size / len(frames) / samples:.6f}", "metric": "psnr_y"}
            row |= {"frames": str(len(frames)), "value": f"{fmean(values):.5f}", "spread": ""}
            self.add(row)

    def path(self, clip: str, codec: str, output: str, noise: float, q: float) -> Path:
        return self.cache / f"{clip}-{codec}-{output}-{noise:g}-{q:g}.npz"

    def judge_missing(self, clip: str, metric: str, wants: Callable[[float], bool]) -> None:
        """Adds the rows of a network for the noises that `wants` accepts."""
        if metric not in self.metrics:
            return
        rows = [row for row in read_rows(self.out) if row["clip"] == clip]
        rows = [row for row in rows if row["metric"] == "psnr_y" and wants(float(row["noise"]))]
        rows = [row for row in rows if (*self.key(row)[:-1], metric) not in self.done]
        if not rows:
            return
        frames, fmt = self.source(clip)
        shown = positions(len(frames))
        places = [shown.index(i) for i in measured(len(frames), metric)]
        source = [frames[shown[place]] for place in places]
        measure = measurer(source, fmt.frame_rate, {metric: 1}, fmt.colour.matrix)
        for row in rows:
            noise, q = float(row["noise"]), float(row["q"])
            with np.load(self.path(clip, row["codec"], row["output"], noise, q)) as file:
                planes = [file[name] for name in file.files]
            decoded = [(planes[3 * p], planes[3 * p + 1], planes[3 * p + 2]) for p in places]
            result = measure(Loaded(decoded))[metric]
            spread = f"{result['spread']:.5f}" if "spread" in result else ""
            found = {"frames": str(len(places)), "value": f"{result['mean']:.5f}"}
            self.add(row | found | {"metric": metric, "spread": spread})


def measured(frames: int, metric: str) -> list[int]:
    """The frames that a metric looks at."""
    return sample(frames, -(-frames // FRAMES[metric]))


def positions(frames: int) -> list[int]:
    """The frames that any network looks at."""
    return sorted({i for metric in FRAMES for i in measured(frames, metric)})


def measure(options: argparse.Namespace) -> None:
    """LPIPS-Alex of all clips, then DISTS; last what decides nothing: dithered DISTS of noise, and
    the strongest noise."""
    torch.set_num_threads(1)
    state, clips = Measurement(options), options.clips or names()
    for clip in clips:
        for q, codec in itertools.product(qualities(clip), CODECS):
            state.encode_missing(clip, codec, q)
        for metric in ("lpips_alex", "lpips_alex_dithered"):
            state.judge_missing(clip, metric, lambda noise: True)
        state.judge_missing(clip, "lpips_alex_dithered_2", lambda noise: noise <= 1)
    for clip in clips:
        state.judge_missing(clip, "dists", lambda noise: noise < max(NOISES))
        state.judge_missing(clip, "dists_dithered", lambda noise: not noise)
    for clip, metric in itertools.product(clips, FRAMES):
        state.judge_missing(clip, metric, lambda noise: True)


Curve = list[tuple[float, float]]
#: (clip, codec with output, noise, metric) → its points.
Curves = dict[tuple[str, str, float, str], Curve]


def curves_of(rows: Sequence[Row]) -> Curves:
    curves: Curves = defaultdict(list)
    for row in rows:
        name = f"{row['codec']} {row['output']}".strip()
        key = row["clip"], name, float(row["noise"]), row["metric"]
        curves[key].append((float(row["bpp"]), float(row["value"])))
    return curves


def change(curves: Curves, clip: str, metric: str, test: Codec, anchor: Codec) -> float | None:
    """BD-rate in per cent of one clip, None without overlap or with a rate missing."""
    anchor, test = (choose_noise(curves, clip, metric, codec) for codec in (anchor, test))
    pair = [curves.get((clip, *codec, metric), []) for codec in (anchor, test)]
    if min(map(len, pair)) < len(TARGETS):
        return None
    return bd_rate(*pair, METRICS[metric].higher_is_better, BAND, len(TARGETS)).percent


def choose_noise(curves: Curves, clip: str, metric: str, codec: Codec) -> tuple[str, float]:
    """The noise of `codec`; if it is `BEST`, that with the lowest BD-rate against none."""
    name, noise = codec
    if noise != BEST:
        return codec
    changes = {0.0: 0.0}
    for level in NOISES:
        percent = change(curves, clip, metric, (name, level), (name, 0.0))
        changes[level] = np.inf if percent is None else percent
    return name, min(changes, key=lambda level: changes[level])


def report(options: argparse.Namespace) -> None:
    rows = read_rows(options.out)
    curves, samples = curves_of(rows), {row["clip"]: int(row["samples"]) for row in rows}
    lines, lowest = [], 0
    for size, most in SIZES.items():
        clips = [clip for clip, count in samples.items() if lowest < count <= most]
        lowest = most
        for label, test, anchor in COMPARISONS if clips else ():
            cells = [
                mean_change([change(curves, clip, m, test, anchor) for clip in clips])
                for m in TABLE_METRICS
            ]
            lines.append([size, label, *cells])
    labels = [METRICS[name].marked_label for name in TABLE_METRICS]
    print(markdown(["size", "change", *labels], lines))


def mean_change(percents: Sequence[float | None]) -> str:
    """The mean over clips with its interval, and in parentheses how many clips if not all."""
    known = [percent for percent in percents if percent is not None]
    if not known:
        return "–"
    interval = bootstrap(known)
    within = f" [{interval[0]:+.0f}, {interval[1]:+.0f}]" if interval else ""
    return f"{fmean(known):+.1f} %{within} ({len(known)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("command", choices=("measure", "report"))
    parser.add_argument("--data", type=Path, action="append", help="folder of clips; repeatable")
    parser.add_argument("--out", type=Path, default=Path("docs/data/noise-control.csv"))
    parser.add_argument("--cache", type=Path, default=Path("out/noise-control"))
    parser.add_argument("--clips", type=lambda text: text.split(","), help="instead of kept-out")
    parser.add_argument("--metrics", type=lambda text: text.split(","), default=list(FRAMES))
    options = parser.parse_args()
    {"measure": measure, "report": report}[options.command](options)


if __name__ == "__main__":
    main()
