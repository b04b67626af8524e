"""When fitting by default pays: `python -m eval.experiments.fit_gain --data FOLDER`, which goes on
where it was broken off.

Six training clips are coded by base av1 at the default speed, fitted and not, and their painted
frames are measured: bytes of the `fit` packets (0: fitting was given up), LPIPS-Alex of some of the
frames, processor seconds.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
from fractions import Fraction
from pathlib import Path

from eval.experiments.kept_out import decode, measurer, wide
from eval.frames import Loaded, read_frames
from eval.tools import EvalError, read_rows
from gvcodec.bitstream import Kind, Reader
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.types import VideoFormat

SIZE, FRAMES, RATE = (480, 270), 24, Fraction(25)
#: Camera clips of unlike content: sport, a road, a face, rain, an animal, a wood.
CLIPS = ("pose-estimat-videos-tennis", "carnd-lanelines", "face-3-65b359")
CLIPS += ("rain-7afc6e", "videos-dog-4c1d00", "embedding-2-videos-forest")
QUALITIES = (50.0, 60.0)
EVERY = {"lpips_alex": 6}
FIELDS = ("clip", "q", "fit", "bytes", "fit_bytes", "note", "lpips_alex", "cpu_s")
OUTPUT = Path(__file__).resolve().parents[2] / "docs/data/fit-gain.csv"


def measure(data: Path, out: Path) -> None:
    known = {(row["clip"], float(row["q"]), row["fit"]) for row in read_rows(out)}
    with open(out, "a", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if not known:
            table.writeheader()
        for clip in CLIPS:
            found = sorted(data.glob(f"**/*{clip}*.mp4"))
            if not found:
                raise EvalError(f"{data}: no clip {clip}")
            frames, _ = read_frames(found[0], FRAMES, lambda w, h: SIZE)
            judge = measurer(frames, RATE, EVERY)
            for q in QUALITIES:
                for fit in (None, 0):
                    name = "off" if fit == 0 else "default"
                    if (clip, q, name) in known:
                        continue
                    began = sum(os.times()[:4])
                    config = EncoderConfig(base="av1", q=q, threads=1, fit=fit)
                    encoder = Encoder(VideoFormat(*SIZE, RATE, 1 / RATE), config)
                    stream = io.BytesIO()
                    encode_stream(encoder, stream, ((wide(planes), None) for planes in frames))
                    seconds = sum(os.times()[:4]) - began
                    coded = stream.getvalue()
                    packets = Reader(io.BytesIO(coded)).packets()
                    fitted = sum(len(p.payload) for p in packets if p.kind is Kind.FIT)
                    lpips = judge(Loaded(decode(coded, False)))["lpips_alex"]["mean"]
                    values = (clip, q, name, len(coded), fitted, "; ".join(encoder.notes))
                    values += (round(lpips, 5), round(seconds, 1))
                    table.writerow(dict(zip(FIELDS, values, strict=True)))
                    file.flush()


def report(out: Path) -> None:
    rows = {(row["clip"], row["q"], row["fit"]): row for row in read_rows(out)}
    for (clip, q, fit), one in rows.items():
        if fit == "default" and (clip, q, "off") in rows:
            other = rows[clip, q, "off"]
            gain = 100 * (float(one["lpips_alex"]) / float(other["lpips_alex"]) - 1)
            more = int(one["bytes"]) - int(other["bytes"])
            seconds = float(one["cpu_s"]) - float(other["cpu_s"])
            print(f"{clip}, q {q}: LPIPS-Alex {gain:+.1f} %, {more:+} bytes of {other['bytes']}, "
                  f"{seconds:+.1f} s {one['note']}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/train"))
    parser.add_argument("--out", type=Path, default=OUTPUT)
    given = parser.parse_args()
    measure(given.data, given.out)
    report(given.out)


if __name__ == "__main__":
    main()
