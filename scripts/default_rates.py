"""Bitrate of default files: `python scripts/default_rates.py CLIP... --out CSV`.

Encodes up to 96 frames of each clip with default options and adds a row to the
CSV: size of the picture, frames a second, bytes, bpp (bits per luma sample) and kb/s. Clips that
the CSV has are skipped. Run it again on all clips when a default changes.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import gvcodec

FIELDS = ("clip", "width", "height", "frames", "frame_rate", "bytes", "bpp", "kbps", "psnr_y_base")


def measure(clip: Path, frames: int) -> dict[str, str]:
    """The row of a clip."""
    with tempfile.TemporaryDirectory() as folder:
        report = gvcodec.encode_file(clip, Path(folder) / "out.gvc", frames=frames)
    fmt = report.format
    return {
        "clip": clip.stem,
        "width": str(fmt.width),
        "height": str(fmt.height),
        "frames": str(report.frames),
        "frame_rate": f"{float(fmt.frame_rate):.3f}",
        "bytes": str(report.size),
        "bpp": f"{report.bpp:.4f}",
        "kbps": f"{report.kbps:.0f}",
        "psnr_y_base": f"{report.psnr_y:.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=96)
    options = parser.parse_args()
    rows: list[dict[str, str]] = []
    if options.out.exists():
        with options.out.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    finished = {row["clip"] for row in rows}
    for clip in options.clips:
        if clip.stem in finished:
            continue
        rows.append(measure(clip, options.frames))
        rows.sort(key=lambda row: (int(row["width"]) * int(row["height"]), row["clip"]))
        with options.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
