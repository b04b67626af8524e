"""How base gvc1d chooses its integers: `python -m eval.experiments.gvc1d_rounding CLIPS --out CSV`.

The first frames of each clip are coded with and without the Analyst, and with rate–distortion
rounding or a dead zone, at the qualities of `QUALITIES`: bytes of all packets, mean luma PSNR of
base frames. `--report CSV` prints the bytes of each choice against the dead zone alone, at equal
PSNR, interpolated over that curve.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import numpy as np

from eval.experiments.gvc1d_files import read
from eval.tools import append_rows, markdown, read_rows
from gvcodec.base.gvc1d.encoder import Gvc1dEncoder
from gvcodec.types import Colour, VideoFormat

QUALITIES = (36, 44, 52, 60)
#: (Analyst, rate–distortion rounding); the first is what the others are held against.
CHOICES = ((False, False), (True, False), (False, True), (True, True))
FIELDS = ("clip", "frames", "analyst", "search", "q", "bytes", "psnr_y")


def measure(clip: Path, height: int, count: int, out: Path) -> None:
    """Append a line for each choice and quality."""
    frames, _ = read(clip, height, count)
    tens = [tuple(p.astype(np.uint16) << 2 for p in planes) for planes in frames]
    rows, columns = frames[0][0].shape
    fmt = VideoFormat(columns, rows, Fraction(25), Fraction(1, 25), 8, Colour())
    for analyst, search in CHOICES:
        for q in QUALITIES:
            encoder = Gvc1dEncoder(fmt, q, threads=1)
            encoder.rounding.search = search
            encoder.rounding.network.uses_analyst = analyst
            size, psnr = 0, []
            for planes in tens:
                coded = encoder.send(planes)  # type: ignore[arg-type]
                size += sum(len(frame.payload) for frame in coded.packets)
                for shown in coded.base_frames:
                    error = shown[0].astype(np.float64) - planes[0]
                    psnr.append(10 * np.log10(1023**2 / np.square(error).mean()))
            line = [clip.stem, count, int(analyst), int(search), q, size, f"{fmean(psnr):.3f}"]
            append_rows(out, FIELDS, [line])
            print(*line, flush=True)


def report(path: Path) -> str:
    """Per cent more bytes at equal PSNR-Y than the dead zone alone, clip by clip and quality by
    quality of the choice."""
    curves: dict[tuple[str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in sorted(read_rows(path), key=lambda row: -int(row["q"])):  # PSNR rises
        key = row["clip"], row["analyst"], row["search"]
        curves[key].append((float(row["psnr_y"]), float(np.log(int(row["bytes"])))))
    lines = []
    for (clip, analyst, search), curve in sorted(curves.items()):
        x, y = zip(*curves[clip, "0", "0"], strict=True)
        cells = []
        for psnr, size in curve:
            inside = x[0] <= psnr <= x[-1]
            cells.append(f"{100 * np.expm1(size - np.interp(psnr, x, y)):+.1f}" if inside else "–")
        rounding = "J" if search == "1" else "dead zone"
        lines.append([clip, "yes" if analyst == "1" else "no", rounding, *cells])
    return markdown(
        ["clip", "Analyst", "rounding", *(f"q {q}" for q in sorted(QUALITIES, reverse=True))], lines
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="*")
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("docs/data/gvc1d-rounding.csv"))
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    if options.report:
        print(report(options.report))
        return
    for clip in options.clips:
        measure(clip, options.height, options.frames, options.out)


if __name__ == "__main__":
    main()
