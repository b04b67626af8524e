"""Which index of base vvc has the PSNR-Y of base av1 at a `q`: what `q_map` of `gvcodec.bases` is
read from. `python -m eval.experiments.q_scale measure --data FOLDER`, then `report`.

Each training clip of `CLIPS` is coded in both bases at their default presets; base frames are
measured. `report` averages over clips the index at which vvc meets av1, and says what the map in
force leaves: PSNR-Y of vvc less that of av1 at equal `q`.
"""

from __future__ import annotations

import argparse
import io
from fractions import Fraction
from itertools import product
from pathlib import Path
from statistics import fmean

import numpy as np

from eval.experiments.kept_out import wide
from eval.frames import clip_in, read_frames
from eval.tools import append_rows, read_rows
from gvcodec.bases import INDEX_END, index_of, q_of
from gvcodec.codec.encoder import Encoder, encode_stream
from gvcodec.config import EncoderConfig
from gvcodec.types import VideoFormat

SIZE, FRAMES, RATE = (320, 180), 24, Fraction(25)
#: Camera clips of unlike content: sport, a road, a face.
CLIPS = ("pose-estimat-videos-tennis", "carnd-lanelines", "face-3-65b359")
#: Of base av1; of base vvc, whose QP is whole: 12 + 4/7 of the index.
QUALITIES = (10, 20, 30, 40, 50, 57, 60, 63)
INDICES = (14, 21, 28, 35, 42, 49, 56, 63)
FIELDS = ("clip", "base", "q", "index", "bytes", "psnr_y")
OUTPUT = Path(__file__).resolve().parents[2] / "docs/data/q-scale.csv"


def code(data: Path, clip: str, base: str, q: float) -> tuple[int, float]:
    """Bytes and mean PSNR-Y of the base frames. Raises EvalError where the clip is missing."""
    frames, _ = read_frames(clip_in(data, clip), FRAMES, lambda w, h: SIZE)
    config = EncoderConfig(base=base, q=q, threads=1, fit=0)
    encoder, stream = Encoder(VideoFormat(*SIZE, RATE, 1 / RATE), config), io.BytesIO()
    encode_stream(encoder, stream, ((wide(planes), None) for planes in frames), paints=False)
    return len(stream.getvalue()), encoder.psnr_y


def measure(data: Path, out: Path) -> None:
    """Goes on where it was broken off."""
    points = [("av1", float(q)) for q in QUALITIES]
    points += [("vvc", q_of("vvc", index)) for index in INDICES]
    known = {(row["clip"], row["base"], float(row["index"])) for row in read_rows(out)}
    for clip, (base, q) in product(CLIPS, points):
        index = round(index_of(base, q), 3)
        if (clip, base, index) not in known:
            size, psnr = code(data, clip, base, q)
            append_rows(out, FIELDS, [(clip, base, round(q, 3), index, size, round(psnr, 3))])


def curve(rows: list[dict[str, str]], clip: str, base: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices in rising order, and PSNR-Y."""
    points = sorted(
        (float(row["index"]), float(row["psnr_y"]))
        for row in rows
        if (row["clip"], row["base"]) == (clip, base)
    )
    index, psnr = zip(*points, strict=True)
    return np.array(index), np.array(psnr)


def report(out: Path) -> None:
    rows = read_rows(out)
    print("q    index of vvc, its range over clips    PSNR-Y of vvc less that of av1 by the map")
    for q in QUALITIES:
        wanted, differences = [], []
        for clip in CLIPS:
            index, psnr = curve(rows, clip, "vvc")
            q_av1, psnr_av1 = curve(rows, clip, "av1")
            goal = float(np.interp(q, q_av1, psnr_av1))
            wanted.append(float(np.interp(-goal, -psnr, index)))
            there = float(np.interp(index_of("vvc", q), index, psnr))
            differences.append(there - goal)
        words = " ".join(f"{difference:+.2f}" for difference in differences)
        span = f"{fmean(wanted):5.1f}  {min(wanted):5.1f} … {max(wanted):5.1f}"
        print(f"{q:3}  {span}    {words}, mean {fmean(differences):+.2f} dB")
    ends = sum(row["base"] == "vvc" and float(row["index"]) == INDEX_END for row in rows)
    print(f"{ends} clips at the coarsest index, {INDEX_END}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["measure", "report"])
    parser.add_argument("--data", type=Path, default=Path("data/train"))
    parser.add_argument("--out", type=Path, default=OUTPUT)
    given = parser.parse_args()
    if given.command == "measure":
        measure(given.data, given.out)
    report(given.out)


if __name__ == "__main__":
    main()
