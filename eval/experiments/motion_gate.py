"""Whether base `motion` still earns its place beside AV1 at half and three-quarter size: `python -m
eval.experiments.motion_gate measure --data FOLDER --clips …`, then `report`.

Painted and fitted files by default options, decoded by another process. LPIPS-Alex is compared at
equal bytes on the rates that both curves have inside `BAND` (bpp): the mean of log LPIPS along the
log of the rate. `motion` stays where the better of the two sizes is more than 10 % behind it.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from eval.experiments.kept_out import decode, measurer, wide
from eval.frames import Loaded, read_frames
from eval.tools import markdown, read_rows
from gvcodec.base.standard.codec import base_encoder
from gvcodec.bases import INDEX_END
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.types import Colour, VideoFormat

ARMS: dict[str, dict[str, Any]] = {
    "motion": {"base": "motion"},
    "half": {"base": "av1", "scale": Fraction(1, 2)},
    "three quarters": {"base": "av1", "scale": Fraction(3, 4)},
}
BAND, MOST = (0.004, 0.012), 640 * 480
QUALITIES = {
    "motion": (63.0, 65.0, 66.5),
    "half": (59.0, 63.0, 66.0),
    "three quarters": (63.0, 66.0),
}
EVERY = {"lpips_alex": 4, "dists": 24}
FIELDS = ("clip", "arm", "q", "bytes", "bpp", *EVERY)


def measure(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    done = {(r["clip"], r["arm"], float(r["q"])) for r in read_rows(options.out)}
    for clip in options.clips:
        path = next(options.data.glob(f"*{clip}*.mp4"))
        frames, rate = read_frames(path, options.frames, _size)
        height, width = frames[0][0].shape
        fmt = VideoFormat(width, height, rate, 1 / rate, 8, Colour(6, 6, 6))
        measured = measurer(frames, rate, EVERY)
        for arm, settings in ARMS.items():
            for q in options.q or QUALITIES[arm]:
                if arm not in options.arms or (path.stem, arm, q) in done:
                    continue
                stream, encoder = io.BytesIO(), _open(fmt, q, settings)
                encode_stream(encoder, stream, ((wide(p), None) for p in frames))
                size = len(stream.getvalue())
                values = measured(Loaded(decode(stream.getvalue(), False)))
                bpp = 8 * size / (len(frames) * width * height)
                cells = [f"{values[name]['mean']:.5f}" for name in EVERY]
                with open(options.out, "a", newline="", encoding="utf-8") as file:
                    rows = csv.writer(file, lineterminator="\n")
                    if not file.tell():
                        rows.writerow(FIELDS)
                    rows.writerow([path.stem, arm, q, size, f"{bpp:.6f}", *cells])


def _open(fmt: VideoFormat, q: float, settings: dict[str, Any]) -> Encoder:
    """`q` above 63 at a smaller size: with the CRF that it has at full size."""
    config = EncoderConfig(
        q=q if "scale" not in settings else min(q, INDEX_END),
        keyint=0,
        threads=1,
        fit_by="small",
        **settings,
    )
    base = None
    if "scale" in settings:
        base = base_encoder(fmt, replace(config.resolve(), base_q=q))
    return Encoder(fmt, config, base_encoder=base)


def _size(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, (MOST / (width * height)) ** 0.5)
    return max(16, round(width * scale / 8) * 8), max(16, round(height * scale / 8) * 8)


def report(options: argparse.Namespace) -> None:
    curves: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in read_rows(options.out):
        curves[row["clip"]][row["arm"]].append((float(row["bpp"]), float(row["lpips_alex"])))
    lines, best = [], []
    for clip, arms in curves.items():
        found = {name: _excess(arms["motion"], arms[name]) for name in arms if name != "motion"}
        known = [value for value in found.values() if value is not None]
        best += [min(known)] if known else []
        cells = [_percent(found.get(name)) for name in ("half", "three quarters")]
        lines.append([clip, *cells, _percent(min(known)) if known else "–"])
    lines.append(["mean", "", "", _percent(fmean(best)) if best else "–"])
    print(markdown(["clip", "AV1 at half size", "at three quarters", "the better"], lines))


def _excess(anchor: list[tuple[float, float]], other: list[tuple[float, float]]) -> float | None:
    """Mean log of LPIPS over the anchor's on the rates that both have inside the band."""
    curves = [np.log(np.array(sorted(points))) for points in (anchor, other)]
    low = max(math.log(BAND[0]), *(curve[0, 0] for curve in curves))
    high = min(math.log(BAND[1]), *(curve[-1, 0] for curve in curves))
    if high <= low:
        return None
    rates = np.linspace(low, high, 50)
    values = [np.interp(rates, curve[:, 0], curve[:, 1]) for curve in curves]
    return float((values[1] - values[0]).mean())


def _percent(value: float | None) -> str:
    return "no overlap" if value is None else f"{100 * math.expm1(value):+.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=("measure", "report"))
    parser.add_argument("--data", type=Path, help="folder of the clips")
    parser.add_argument("--clips", type=lambda t: t.split(","), default=[])
    parser.add_argument("--arms", type=lambda t: t.split(","), default=list(ARMS))
    parser.add_argument("--q", type=lambda t: [float(q) for q in t.split(",")])
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--out", type=Path, default=Path("docs/data/motion-gate.csv"))
    options = parser.parse_args()
    (measure if options.command == "measure" else report)(options)


if __name__ == "__main__":
    main()
