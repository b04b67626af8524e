"""Base gvc1d in files beside AV1 at equal bytes: `python -m eval.experiments.gvc1d_files`.

Each row is one encode by the command line, decoded by another process, of the first frames of a
clip at one size: bytes of the whole file and the metrics of `kept_out`. `ROWS` are the settings by
name; those of AV1 are the curve that the others are held against (`report`: how many per
cent more or less LPIPS-Alex and DISTS at equal bytes, interpolated in logarithms). `--between B`
puts as many frames of B between two shots of each clip, a third each: what the memory is for.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from eval.colour import Planes
from eval.experiments import kept_out
from eval.frames import Loaded, read_frames
from eval.tools import append_rows, markdown, read_rows

_COMMON = ["--fit", "off", "--threads", "1", "-y"]
#: Weights of the paper's form.
_PAPER = Path("training/gvc1d/paper-form.safetensors")
#: Settings of `encode`.
_Q = (50, 54, 58, 62, 66, 67)
#: With `--between` every shot of "GOPs" begins one, so none finds a memory.
_GVC1D = {"": "", ", base frames": "", ", fitted": " --fit 60",
          ", GOPs": " --painter off --keyint SHOT"}  # fmt: skip
ROWS = {
    **{f"av1 q {q}": f"--base av1 -q {q}" for q in _Q},
    **{f"gvc1d q {q}{name}": f"--base gvc1d -q {q}{more}" for name, more in _GVC1D.items()
       for q in (32, 36, 40, 44, 48, 54, 60, 66)},
    **{f"paper q {q}": f"--base gvc1d --model {_PAPER} -q {q}" for q in (10, 35, 60)},
}  # fmt: skip
FIELDS = ("clip", "size", "frames", "row", "bytes", "bpp", *kept_out.EVERY, "encode_s",
          "decode_s")  # fmt: skip


def read(clip: Path, height: int, count: int) -> tuple[list[Planes], Fraction]:
    """The first `count` frames, scaled to `height` rows, 8 bits, and their frame rate."""
    return read_frames(clip, count, lambda w, h: (round(w * height / h / 2) * 2, height))


def _cropped(frame: Planes, like: Planes) -> Planes:
    """Its left part, or itself and its edge repeated, as wide as another."""
    planes = []
    for plane, other in zip(frame, like, strict=True):
        width = other.shape[1]
        wide = np.pad(plane, ((0, 0), (0, max(0, width - plane.shape[1]))), mode="edge")
        planes.append(wide[:, :width])
    return planes[0], planes[1], planes[2]


def write(path: Path, frames: Sequence[Planes]) -> None:
    """As y4m, 25 frames a second."""
    height, width = frames[0][0].shape
    with open(path, "wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420mpeg2\n".encode())
        for planes in frames:
            file.writelines([b"FRAME\n", *(np.ascontiguousarray(p).tobytes() for p in planes)])


def measure(
    clip: Path, height: int, count: int, rows: Sequence[str], out: Path, between: Path | None = None
) -> None:
    """Append a line for each row."""
    torch.set_num_threads(1)
    (frames, rate), name = read(clip, height, count), clip.stem
    if between is not None:
        third = count // 3
        other = [_cropped(f, frames[0]) for f in read(between, height, third)[0]]
        frames, name = frames[:third] + other + frames[third : 2 * third], f"{name}+{between.stem}"
    judge = kept_out.measurer(frames, rate, kept_out.EVERY)
    size = f"{frames[0][0].shape[1]}x{height}"
    with tempfile.TemporaryDirectory() as folder:
        source, stream, shown = (Path(folder) / n for n in ("source.y4m", "a.gvc", "shown.mkv"))
        write(source, frames)
        for row in rows:
            settings = ROWS[row].replace("SHOT", str(count // 3))
            begun = time.monotonic()
            _run(["encode", source, stream, *_COMMON, *settings.split()])
            coded = time.monotonic()
            bare = ["--fidelity"] if row.endswith("base frames") else []
            given = ["--model", _PAPER] if row.startswith("paper") else []
            _run(["decode", stream, shown, "--lossless", "--threads", "1", "-y", *bare, *given])
            seconds = coded - begun, time.monotonic() - coded
            values = judge(Loaded(read(shown, height, len(frames))[0]))
            bits = 8 * stream.stat().st_size / (len(frames) * frames[0][0].size)
            cells = [f"{values[n]['mean']:.5f}" if n in values else "" for n in kept_out.EVERY]
            head = [name, size, len(frames), row, stream.stat().st_size, f"{bits:.5f}"]
            append_rows(out, FIELDS, [[*head, *cells, *(f"{s:.1f}" for s in seconds)]])


def _run(words: Sequence[object]) -> None:
    subprocess.run([sys.executable, "-m", "gvcodec", *map(str, words)], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip


def report(path: Path) -> str:
    """Rows beside the AV1 curve of the same clip at equal bytes."""
    found = read_rows(path)
    lines = []
    for row in found:
        same = [r for r in found if all(r[k] == row[k] for k in ("clip", "size", "frames"))]
        plain = [r for r in same if r["row"].startswith("av1") and "," not in r["row"]]
        curve = sorted(((float(r["bytes"]), r) for r in plain), key=lambda pair: pair[0])
        cells = [f"{row['clip'][:28]} {row['size']} × {row['frames']}", row["row"], row["bytes"]]
        cells += [row["bpp"], row["lpips_alex"], row["dists"], row["psnr_y"], row["flicker"]]
        for metric in ("lpips_alex", "dists"):
            x = np.log([size for size, _ in curve])
            y = np.log([float(r[metric]) for _, r in curve])
            at = np.log(float(row["bytes"]))
            inside = len(x) > 1 and x[0] <= at <= x[-1]
            change = np.exp(np.log(float(row[metric])) - np.interp(at, x, y)) - 1
            cells.append(f"{100 * change:+.1f} %" if inside else "beyond")
        lines.append(cells)
    head = ["clip", "settings", "bytes", "bpp", "LPIPS-Alex", "DISTS", "PSNR-Y", "flicker"]
    return markdown([*head, "LPIPS-Alex at equal bytes", "DISTS at equal bytes"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--clips", type=Path, nargs="*", default=[])
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--rows", default=";".join(ROWS), help="names, separated by semicolons")
    parser.add_argument("--out", type=Path, default=Path("docs/data/gvc1d-files.csv"))
    parser.add_argument("--between", type=Path, help="a clip to put between shots of the others")
    options = parser.parse_args()
    if options.what == "report":
        print(report(options.out))
        return
    rows = options.rows.split(";")
    for clip in options.clips:
        measure(clip, options.height, options.frames, rows, options.out, options.between)


if __name__ == "__main__":
    main()
