"""Whether painter tokens pay at equal bytes: `python -m eval.experiments.token_gate CLIPS --out
CSV`.

Each clip is coded in one GOP near `--target` bits a pixel: without tokens, with them, and without
them at `q` lower by one. From the first and the last, quality by bytes is interpolated on
logarithms, and `summarize` compares the gain of tokens with that of as many bytes of AV1.
Columns of the CSV: clip, luma samples, frames, tokens (off, on, finer: off at the lower q), q,
bytes, bpp, psnr_y (dB), lpips_alex, dists, flicker (code values), seconds of the processor.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, geometric_mean
from typing import Literal

import numpy as np
import torch

from eval.colour import Planes
from eval.frames import Loaded
from eval.quick import code, decode, measurer, read, wide
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.types import VideoFormat

_NAMES = ["clip", "samples", "frames", "tokens", "q", "bytes", "bpp"]
_NAMES += ["psnr_y", "lpips_alex", "dists", "flicker", "seconds"]
#: Metrics, on every n-th frame or pair.
_EVERY = {"psnr_y": 1, "lpips_alex": 4, "dists": 8, "flicker": 3}
_CRFS = 50, 66
#: SVT-AV1's preset 10 takes so much more bits than the default, as a logarithm.
_EXCESS = 0.3
#: Least bytes of quality by bytes: below, the clip has no slope.
_CLOSE = 1e-3


def find_q(frames: Sequence[Planes], fmt: VideoFormat, target: float) -> float:
    """`q` in halves, 30 to 66, near `target` bits a pixel."""
    rates = []
    for crf in _CRFS:
        size, _ = code("svt:p10", frames[:9], fmt, crf)
        rates.append(math.log(8 * size / (len(frames[:9]) * fmt.width * fmt.height)) - _EXCESS)
    crf = float(np.interp(-math.log(target), [-rate for rate in rates], _CRFS))
    return min(66.0, max(30.0, round(2 * crf) / 2))


def encode(
    frames: Sequence[Planes], fmt: VideoFormat, q: float, tokens: Literal["off", "on"]
) -> tuple[bytes, float]:
    """The file, and processor seconds; `q` 66 is CRF 70."""
    q = q if q <= 63 else 63 + (q - 63) * 3 / 7
    config = EncoderConfig(base="av1", q=q, keyint=0, threads=1, tokens=tokens)
    stream, begin = io.BytesIO(), time.process_time()
    encode_stream(Encoder(fmt, config), stream, ((wide(planes), None) for planes in frames))
    return stream.getvalue(), time.process_time() - begin


def measure(clip: Path, options: argparse.Namespace) -> list[dict[str, object]]:
    """Rows of one clip."""
    frames, fmt = read(clip, options.samples, options.frames)
    q = find_q(frames, fmt, options.target)
    metric = measurer(frames, fmt.frame_rate, _EVERY, fmt.colour.matrix)
    rows: list[dict[str, object]] = []
    for tokens, at in (("off", q), ("on", q), ("finer", max(30.0, q - 1))):
        data, seconds = encode(frames, fmt, at, "on" if tokens == "on" else "off")
        figures = {n: x["mean"] for n, x in metric(Loaded(decode(data, base=False))).items()}
        samples = fmt.width * fmt.height
        rows.append(
            {"clip": clip.stem, "samples": samples, "frames": len(frames), "tokens": tokens}
            | {"q": at, "bytes": len(data), "bpp": f"{8 * len(data) / samples / len(frames):.5f}"}
            | {name: f"{value:.5f}" for name, value in figures.items()}
            | {"seconds": f"{seconds:.2f}"}
        )
    return rows


def compare(rows: dict[str, dict[str, str]]) -> dict[str, float] | None:
    """Of one clip, tokens against none at equal bytes: LPIPS-Alex and DISTS in %, PSNR-Y in dB;
    flicker and bytes as ratios at equal q. None if the clip has no slope."""
    off, on, finer = rows["off"], rows["on"], rows["finer"]
    step = math.log(float(finer["bytes"]) / float(off["bytes"]))
    if abs(step) < _CLOSE:
        return None
    share = math.log(float(on["bytes"]) / float(off["bytes"])) / step

    def ratio(name: str, row: dict[str, str]) -> float:
        return float(row[name]) / max(1e-6, float(off[name]))

    gains = {
        name: 100 * (math.log(ratio(name, on)) - share * math.log(ratio(name, finer)))
        for name in ("lpips_alex", "dists")
    }
    psnr = [float(row["psnr_y"]) - float(off["psnr_y"]) for row in (on, finer)]
    gains["psnr_y"] = psnr[0] - share * psnr[1]
    return gains | {"flicker": ratio("flicker", on), "bytes": ratio("bytes", on)}


def summarize(path: Path) -> None:
    """A line for each clip, and the means."""
    clips: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    with path.open() as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            clips[row["clip"]][row["tokens"]] = row
    results = {clip: change for clip, rows in clips.items() if (change := compare(rows))}
    for clip, gains in results.items():
        print(clip, _describe(gains))
    mean = {n: fmean(gains[n] for gains in results.values()) for n in ("lpips_alex", "dists")}
    mean["psnr_y"] = fmean(gains["psnr_y"] for gains in results.values())
    for name in ("flicker", "bytes"):
        mean[name] = geometric_mean(gains[name] for gains in results.values())
    print(len(results), "clips", _describe(mean))


def _describe(gains: dict[str, float]) -> str:
    return (
        f"LPIPS-Alex {gains['lpips_alex']:+.2f} %, DISTS {gains['dists']:+.2f} %, "
        f"PSNR-Y {gains['psnr_y']:+.3f} dB, flicker ×{gains['flicker']:.3f}, "
        f"bytes ×{gains['bytes']:.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="token_gate", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("clips", type=Path, nargs="*", help="clips to measure and add to the CSV")
    parser.add_argument("--out", type=Path, required=True, help="the CSV")
    parser.add_argument("--samples", type=float, default=854 * 480, help="most luma samples")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--target", type=float, default=0.016, help="bits a pixel")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for clip in options.clips:
        is_new = not options.out.exists()
        with options.out.open("a", newline="") as file:
            writer = csv.DictWriter(file, _NAMES, lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerows(measure(clip, options))
    summarize(options.out)


if __name__ == "__main__":
    main()
