"""What SVT-AV1's settings are worth at low rates: `python -m eval.experiments.av1_settings`.

Every clip, scaled to a small size, is coded with each setting at the same CRFs, which span 0.005 to
0.08 bpp with the plain encoder; what is compared are elementary streams, decoded by dav1d.
`measure` appends one row for each clip, setting and CRF (bpp, PSNR-Y of all frames, LPIPS-Alex and
DISTS of some, processor seconds) to a CSV, and leaves out rows that are there. `report` makes
BD-rates against the plain encoder of that CSV: means over the clips that all rows have.

A setting is words joined by colons: `8` or `10` bits, `pN` the preset, then the encoder's own
options: `8:p2:scm=2:enable-variance-boost=1`. `crf+N` raises all CRFs.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import av
import numpy as np
import torch

from eval.colour import Planes, to_rgb
from eval.frames import read_frames
from eval.metrics import METRICS, network
from eval.metrics.pixel import psnr
from eval.points.bd import bd_rate
from eval.video import frame_planes
from gvcodec.util.process import leave_realtime

FRAMES = 32
#: Largest pictures: 416×240, or as many samples in another shape.
SAMPLES = 416 * 240
PLAIN = "8:p4"
MOST_CRF = 70.0
TARGETS = (0.006, 0.014, 0.032, 0.075)
LOOKS = {"lpips_alex": (3, 12, 19, 28), "dists": (7, 20)}
FIELDS = ("clip", "setting", "crf", "bpp", "psnr_y", "lpips_alex", "dists", "seconds")
_METRICS = FIELDS[4:7]


def read(path: Path, most: int = SAMPLES) -> tuple[list[Planes], Fraction]:
    """The first frames, 8-bit 4:2:0, scaled to so many samples at most, and their rate."""

    def size(width: int, height: int) -> tuple[int, int]:
        scale = min(1.0, (most / (width * height)) ** 0.5)
        width, height = (max(16, round(n * scale / 8) * 8) for n in (width, height))
        return width, height

    return read_frames(path, FRAMES, size)


def encode(frames: Sequence[Planes], rate: Fraction, setting: str, crf: float) -> tuple[int, list]:
    """Bytes of the stream and its units. Options the encoder does not know end the program."""
    bits, preset, *params = setting.split(":")
    raised = [float(p[4:]) for p in params if p.startswith("crf+")]
    params = [p for p in params if not p.startswith("crf+")]
    encoder = av.CodecContext.create("libsvtav1", "w")
    encoder.height, encoder.width = frames[0][0].shape
    encoder.pix_fmt = "yuv420p" if bits == "8" else "yuv420p10le"
    encoder.framerate, encoder.time_base = rate, 1 / rate
    encoder.gop_size = 1 << 20
    value = min(MOST_CRF, round(4 * (crf + sum(raised))) / 4)
    encoder.options = {
        "preset": preset[1:],
        "crf": "50",
        "svtav1-params": ":".join(["lp=1", *params, f"crf={value:.2f}"]),
    }
    units: list[bytes] = []
    for number, planes in enumerate(frames):
        frame = av.VideoFrame(encoder.width, encoder.height, encoder.pix_fmt)
        for plane, samples in zip(frame.planes, planes, strict=True):
            wide = samples if bits == "8" else samples.astype("<u2") << 2
            rows = np.zeros((plane.height, plane.line_size // wide.itemsize), wide.dtype)
            rows[:, : plane.width] = wide
            plane.update(rows)
        frame.pts, frame.time_base = number, encoder.time_base
        units += map(bytes, encoder.encode(frame))
        if not number:
            leave_realtime()
    units += map(bytes, encoder.encode(None))
    return sum(map(len, units)), units


def decode(units: Sequence[bytes], bits: str) -> list[Planes]:
    decoder = av.CodecContext.create("libdav1d", "r")
    decoder.thread_count = 1
    shown: list[Planes] = []
    for unit in [*units, None]:
        packet = None if unit is None else av.Packet(unit)
        for frame in decoder.decode(packet):
            planes = frame_planes(frame, int(bits))
            if bits != "8":
                planes = tuple(np.minimum((p + 2) >> 2, 255).astype(np.uint8) for p in planes)
            shown.append(planes)
    return shown


class Judge:
    """Metrics of one clip; maps of the source are made once."""

    def __init__(self, frames: Sequence[Planes]) -> None:
        self.frames = frames
        self.maps: dict[tuple[str, int], list[torch.Tensor]] = {}

    @torch.inference_mode()
    def __call__(self, shown: Sequence[Planes]) -> list[float]:
        pairs = list(zip(shown, self.frames, strict=True))
        values = [fmean(psnr(a[0], b[0], 255) for a, b in pairs)]
        for name, looks in LOOKS.items():
            net, found = network(name, "cpu"), []
            for i in looks:
                if (name, i) not in self.maps:
                    self.maps[name, i] = list(net.maps(_tensor(self.frames[i])))
                found.append(float(net(_tensor(shown[i]), self.maps[name, i])))
            values.append(fmean(found))
        return values


def _tensor(planes: Planes) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(to_rgb(planes, 6, False, 8)))[None]


def crfs_of(frames: Sequence[Planes], rate: Fraction) -> list[float]:
    """CRFs that reach the targets with a fast preset, within half a step."""
    samples = len(frames) * frames[0][0].size
    known: dict[float, float] = {}

    def bpp(crf: float) -> float:
        if crf not in known:
            known[crf] = 8 * encode(frames, rate, "8:p9", crf)[0] / samples
        return known[crf]

    found = []
    for target in TARGETS:
        low, high = 10.0, MOST_CRF
        while high - low > 1.5:
            middle = round((low + high) / 2 * 4) / 4
            low, high = (middle, high) if bpp(middle) > target else (low, middle)
        found.append(high)
    return sorted(set(found))


def rows_of(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def measure(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    begin = time.monotonic()
    for name in options.clips:
        matches = sorted(options.data.glob(f"*{name}*"))
        if len(matches) != 1:
            sys.exit(f"{name}: {len(matches)} clips")
        frames, rate = read(matches[0], options.samples)
        name += f"@{options.samples}" * (options.samples != SAMPLES)
        judge, crfs = Judge(frames), crfs_of(frames, rate)
        for setting in options.settings:
            done = {(r["clip"], r["setting"]) for r in rows_of(options.out)}
            if (name, setting) in done:
                continue
            if time.monotonic() - begin > options.minutes * 60:
                return
            lines = []
            for crf in crfs:
                begun = time.process_time()
                try:
                    size, units = encode(frames, rate, setting, crf)
                except av.FFmpegError as error:
                    print(f"{setting}: {error}", file=sys.stderr)
                    break
                seconds = time.process_time() - begun
                values = judge(decode(units, setting.split(":")[0]))
                bpp = 8 * size / (len(frames) * frames[0][0].size)
                row = [name, setting, crf, f"{bpp:.6f}", *(f"{v:.6f}" for v in values)]
                lines.append(",".join(map(str, [*row, f"{seconds:.3f}"])))
            if len(lines) < len(crfs):
                continue
            with open(options.out, "a") as file:
                if not file.tell():
                    file.write(",".join(FIELDS) + "\n")
                file.write("\n".join(lines) + "\n")


def report(options: argparse.Namespace) -> None:
    curves: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows_of(options.out):
        curves[row["setting"], row["clip"]].append(row)
    settings = list(dict.fromkeys(s for s, _ in curves))
    print("setting,clips," + ",".join(f"{m} %" for m in _METRICS) + ",time")
    for setting in settings:
        clips = [c for s, c in curves if s == setting and (options.anchor, c) in curves]
        deltas: dict[str, list[float]] = {m: [] for m in _METRICS}
        for clip in clips:
            for metric in _METRICS:
                a, b = (
                    [(float(r["bpp"]), float(r[metric])) for r in curves[s, clip]]
                    for s in (options.anchor, setting)
                )
                found = bd_rate(a, b, METRICS[metric].higher_is_better, (0.003, 0.12)).percent
                if found is not None:
                    deltas[metric].append(found)
        spent = [
            sum(float(r["seconds"]) for r in curves[s, c])
            for s in (setting, options.anchor)
            for c in clips
        ]
        ratio = sum(spent[: len(clips)]) / sum(spent[len(clips) :]) if clips else 0
        cells = [f"{fmean(v):+.1f}" if v else "" for v in deltas.values()]
        print(f"{setting},{len(clips)},{','.join(cells)},{ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=("measure", "report"))
    parser.add_argument("--data", type=Path, help="folder of clips")
    parser.add_argument("--clips", type=lambda t: t.split(","), help="parts of their names")
    parser.add_argument("--settings", type=lambda t: t.split(","), default=[PLAIN])
    parser.add_argument("--samples", type=int, default=SAMPLES, help="of the largest pictures")
    parser.add_argument("--anchor", default=PLAIN)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many")
    parser.add_argument("--out", type=Path, default=Path("docs/data/av1-settings.csv"))
    options = parser.parse_args()
    (measure if options.command == "measure" else report)(options)


if __name__ == "__main__":
    main()
