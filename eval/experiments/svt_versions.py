"""What a release of SVT-AV1, its tools for screens and its presets are worth: `python -m
eval.experiments.svt_versions measure CLIP… --arms new:p4:scm=0,new:p3:scm=1`, then `report`.

An arm is `new` (the newest SVT-AV1 there is) or `pyav` (PyAV's own), the preset, and options of
SVT-AV1. All arms of a clip are coded in turn at each quality, by base `av1` in one thread. `report`
makes BD-rates and times against an arm, one row for each height of pictures.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import torch

from eval.experiments.kept_out import measurer, narrow, wide
from eval.frames import Loaded, read_frames
from eval.metrics import METRICS
from eval.points.bd import bd_rate
from eval.tools import markdown, read_rows
from gvcodec.base.standard.codec import StandardEncoder
from gvcodec.base.standard.programs import FFMPEG_VARIABLE, newest_svt
from gvcodec.types import Colour, VideoFormat

EVERY = {"psnr_y": 1, "lpips_alex": 8, "dists": 24}
FIELDS = ("clip", "height", "arm", "version", "q", "bytes", "bpp", *EVERY, "seconds")


def code(frames: list, fmt: VideoFormat, arm: str, q: float) -> tuple[int, list, float, str]:
    """Bytes, decoded frames, processor seconds and the version that coded."""
    which, preset, *params = arm.split(":")
    if which == "pyav":
        os.environ[FFMPEG_VARIABLE] = "none"
    else:
        os.environ.pop(FFMPEG_VARIABLE, None)
    version = ".".join(map(str, newest_svt()[1][:3]))
    begun = sum(os.times()[:4])
    encoder = StandardEncoder(fmt, "av1", q, threads=1, preset=int(preset[1:]), params=params)
    parts = [encoder.send(wide(planes)) for planes in frames] + [encoder.flush()]
    seconds = sum(os.times()[:4]) - begun
    size = sum(len(packet.payload) for part in parts for packet in part.packets)
    shown = [narrow(planes) for part in parts for planes in part.base_frames]
    return size, shown, seconds, version


def measure(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    for path in options.clips:
        frames, rate = read_frames(path, options.frames, lambda w, h: _size(w, h, options.samples))
        height, width = frames[0][0].shape
        fmt = VideoFormat(width, height, rate, 1 / rate, 8, Colour(6, 6, 6))
        measured = measurer(frames, rate, EVERY)
        done = {(r["clip"], r["height"], r["arm"], float(r["q"])) for r in read_rows(options.out)}
        for q in options.q:
            for arm in options.arms:
                if (path.stem, str(height), arm, q) in done:
                    continue
                size, shown, seconds, version = code(frames, fmt, arm, q)
                values = measured(Loaded(shown))
                bpp = 8 * size / (len(frames) * width * height)
                cells = [f"{values[name]['mean']:.5f}" for name in EVERY]
                row = [path.stem, height, arm, version, q, size, f"{bpp:.6f}", *cells]
                with open(options.out, "a", encoding="utf-8") as file:
                    if not file.tell():
                        file.write(",".join(FIELDS) + "\n")
                    file.write(",".join(map(str, [*row, f"{seconds:.2f}"])) + "\n")


def _size(width: int, height: int, most: float) -> tuple[int, int]:
    scale = min(1.0, (most / (width * height)) ** 0.5)
    return max(16, round(width * scale / 8) * 8), max(16, round(height * scale / 8) * 8)


def report(options: argparse.Namespace) -> None:
    curves: dict[tuple[str, str], dict[str, list[dict[str, str]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in read_rows(options.out):
        curves[row["height"], row["arm"]][row["clip"]].append(row)
    lines = []
    for (height, arm), clips in curves.items():
        anchor = curves[height, options.anchor]
        shared = sorted(set(clips) & set(anchor))
        if not shared:
            continue
        cells = []
        for name in EVERY:
            found = [
                bd_rate(
                    _points(anchor[clip], name),
                    _points(clips[clip], name),
                    METRICS[name].higher_is_better,
                    (0.002, 0.2),
                ).percent
                for clip in shared
            ]
            known = [percent for percent in found if percent is not None]
            cells.append(f"{fmean(known):+.1f} %" if known else "–")
        spent = [sum(float(r["seconds"]) for c in shared for r in x[c]) for x in (clips, anchor)]
        version = clips[shared[0]][0]["version"]
        lines.append(
            [height, arm, version, str(len(shared)), *cells, f"×{spent[0] / spent[1]:.2f}"]
        )
    labels = [METRICS[name].marked_label for name in EVERY]
    print(markdown(["lines", "arm", "SVT-AV1", "clips", *labels, "time"], sorted(lines)))


def _points(rows: list[dict[str, str]], name: str) -> list[tuple[float, float]]:
    return [(float(row["bpp"]), float(row[name])) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=("measure", "report"))
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--arms", type=lambda t: t.split(","), default=[])
    parser.add_argument(
        "--q", type=lambda t: [float(q) for q in t.split(",")], default=[50, 58, 64]
    )
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--samples", type=lambda t: float(Fraction(t)), default=1 << 30)
    parser.add_argument("--anchor", default="new:p4:scm=0", help="arm to compare with")
    parser.add_argument("--out", type=Path, default=Path("docs/data/svt-versions.csv"))
    options = parser.parse_args()
    (measure if options.command == "measure" else report)(options)


if __name__ == "__main__":
    main()
