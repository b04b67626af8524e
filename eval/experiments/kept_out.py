"""The headline on the clips that nobody tuned on, by pieces of seconds: `python -m
eval.experiments.kept_out`.

`eval rd --set kept-out` does the same with every codec as a program of its own, a search for each
rate and the full conditions, and takes hours. Here each clip of `eval/kept_out.csv` (48 frames,
scaled to at most `SAMPLES`) is coded at the same few qualities, which span 0.007 to 0.06 bpp:

    gvcodec        default options of base av1, the whole file, base frames and painted
    best, vvc      `--speed best`; base vvc
    svtav1         SVT-AV1 at preset 4, 8 bits (at 3/4 and 1/2 size too, where rates are low)
    vvenc          VVenC at preset slow, without anything of gvcodec's

`measure` makes one codec on one clip at one quality and appends rows to a CSV, `all` calls it for
everything that is missing, `report` compares the rows. `check` fails where gvcodec's rows of a new
CSV take over 2 % more bits than those that came with the checkout.
"""

from __future__ import annotations

import argparse
import csv
import functools
import io
import itertools
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from eval.colour import to_rgb
from eval.experiments import av1_settings as av1
from eval.metrics import METRICS, network, sample
from eval.metrics.flicker import MotionField, flicker
from eval.metrics.judges import ssimulacra2, without_package
from eval.metrics.pixel import psnr
from eval.points.bd import bd_rate, bootstrap
from eval.sequences import KEPT_OUT
from eval.tools import markdown
from gvcodec.base.resample import Resampler
from gvcodec.base.standard.codec import StandardEncoder
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.types import Colour, Planes, VideoFormat

FRAMES, SAMPLES = 48, 352 * 200
TARGETS = (0.007, 0.02, 0.06)
EVERY = {"psnr_y": 1, "lpips_alex": 8, "dists": 16, "ssimulacra2": 16, "flicker": 4}
FIELDS = ("clip", "codec", "output", "q", "bytes", "bpp", *EVERY, "seconds")
#: Only where the rate is low: part of the size, and how much finer.
SMALLER = {"svtav1-3/4": (0.75, 1.5), "svtav1-1/2": (0.5, 3.75)}
CODECS = ("svtav1", *SMALLER, "gvcodec", "vvenc", "vvc", "best")
#: What `check` compares with, and per cent of bits that it allows.
LANDED, ALLOWED = Path("docs/data/kept-out.csv"), 2.0
#: VVenC's index at which it has about AV1's bytes.
_VVC = 1.0


class Measurer:
    """Metrics of one clip."""

    def __init__(self, frames: Sequence[av1.Planes]) -> None:
        self.frames = frames

    @torch.inference_mode()
    def __call__(self, shown: Sequence[av1.Planes]) -> dict[str, float]:
        count, found = len(self.frames), {}
        pairs = list(zip(shown, self.frames, strict=True))
        found["psnr_y"] = fmean(psnr(a[0], b[0], 255) for a, b in pairs)
        for name in ("lpips_alex", "dists"):
            net = network(name, "cpu")
            looks = [tuple(map(_tensor, pairs[i])) for i in sample(count, EVERY[name])]
            found[name] = fmean(float(net(a, list(net.maps(b)))) for a, b in looks)
        if not without_package("ssimulacra2"):
            looks = [tuple(map(_rgb, pairs[i])) for i in sample(count, EVERY["ssimulacra2"])]
            found["ssimulacra2"] = fmean(ssimulacra2(*pair) for pair in looks)
        changes = []
        for i in (i for i in sample(count, EVERY["flicker"]) if i):
            decoded, source = ((x[i - 1][0], x[i][0]) for x in (shown, self.frames))
            changes.append(flicker(MotionField(*source), decoded, source, 8))
        found["flicker"] = fmean(changes)
        return found


def _rgb(planes: av1.Planes) -> np.ndarray:
    return to_rgb(planes, 6, False, 8)


def _tensor(planes: av1.Planes) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(_rgb(planes)))[None]


def _wide(planes: av1.Planes) -> Planes:
    y, u, v = (plane.astype(np.uint16) << 2 for plane in planes)
    return y, u, v


def _narrow(planes: Planes) -> av1.Planes:
    y, u, v = (np.minimum((p + 2) >> 2, 255).astype(np.uint8) for p in planes)
    return y, u, v


def code(
    codec: str, frames: Sequence[av1.Planes], fmt: VideoFormat, q: float
) -> tuple[int, dict[str, Sequence[av1.Planes]]]:
    """Bytes, and what is shown by output."""
    if codec in ("svtav1", "vvenc", *SMALLER):
        return _peer(codec, frames, fmt, q)
    settings = {"vvc": {"base": "vvc"}, "best": {"base": "av1", "speed": "best"}}
    given = {"base": "av1"} | settings.get(codec, {})
    # `q` 66 is CRF 70.
    q = q if q <= 63 else 63 + (q - 63) * 3 / 7
    config = EncoderConfig(**given, q=q, keyint=0, threads=1, fit_by="small")  # type: ignore[arg-type]
    stream = io.BytesIO()
    encode_stream(Encoder(fmt, config), stream, ((_wide(planes), None) for planes in frames))
    data = stream.getvalue()
    outputs = {"base": True, "painted": False}
    return len(data), {name: _decode(data, base) for name, base in outputs.items()}


#: Planes of a file, one after another, as `.npy`: what decodes is not what has encoded.
_DECODER = """
import sys, numpy
from gvcodec.api.frames import decode_planes
with open(sys.argv[1], "wb") as file:
    for planes in decode_planes(sys.stdin.buffer.read(), fidelity=sys.argv[2] == "1", threads=1):
        for plane in planes:
            numpy.save(file, plane)
"""


def _decode(data: bytes, base: bool) -> list[av1.Planes]:
    """Frames of a stream, decoded by another process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "planes")
        words = [sys.executable, "-c", _DECODER, str(path), str(int(base))]
        subprocess.run(words, input=data, check=True)
        planes, size = [], path.stat().st_size
        with open(path, "rb") as file:
            while file.tell() < size:
                planes.append(np.load(file))
    return [_narrow((y, u, v)) for y, u, v in zip(*[iter(planes)] * 3, strict=True)]


def _peer(
    codec: str, frames: Sequence[av1.Planes], fmt: VideoFormat, q: float
) -> tuple[int, dict[str, Sequence[av1.Planes]]]:
    if codec == "vvenc":
        encoder = StandardEncoder(fmt, "vvc", min(63.0, q + _VVC), threads=1, preset=1)
        parts = [encoder.send(_wide(planes)) for planes in frames] + [encoder.flush()]
        size = sum(len(packet.payload) for part in parts for packet in part.packets)
        return size, {"": [_narrow(p) for part in parts for p in part.base_frames]}
    if codec == "svtav1":
        size, units = av1.encode(frames, fmt.frame_rate, "8:p4", q)
        return size, {"": av1.decode(units, "8")}
    from fractions import Fraction

    scale, less = SMALLER[codec]
    resampler = Resampler(fmt.width, fmt.height, Fraction(scale))
    small = [_narrow(resampler.down(_wide(planes))) for planes in frames]
    size, units = av1.encode(small, fmt.frame_rate, "8:p4", q - less)
    shown = (resampler.up(_wide(planes)) for planes in av1.decode(units, "8"))
    return size, {"": [_narrow(planes) for planes in shown]}


@functools.cache
def names() -> list[str]:
    with open(KEPT_OUT, newline="", encoding="utf-8") as file:
        return [row["clip"] for row in csv.DictReader(file)]


def measure(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    av1.FRAMES = FRAMES
    frames, rate = av1.read(options.data / f"{options.clip}.mp4", SAMPLES)
    height, width = frames[0][0].shape
    fmt = VideoFormat(width, height, rate, 1 / rate, 8, Colour(6, 6, 6))
    if options.codec == "qualities":
        av1.TARGETS = TARGETS
        print(",".join(map(str, av1.crfs_of(frames, rate))))
        return
    measurer = Measurer(frames)
    for q in options.q:
        begun = time.process_time()
        size, outputs = code(options.codec, frames, fmt, q)
        seconds = time.process_time() - begun
        bpp = 8 * size / (len(frames) * width * height)
        lines = []
        for output, shown in outputs.items():
            values = measurer(shown)
            cells = [f"{values[name]:.5f}" if name in values else "" for name in EVERY]
            head = [options.clip, options.codec, output, q, size, f"{bpp:.6f}"]
            lines.append(",".join(map(str, [*head, *cells, f"{seconds:.2f}"])) + "\n")
        with open(options.out, "a") as file:
            if not file.tell():
                file.write(",".join(FIELDS) + "\n")
            file.writelines(lines)


def everything(options: argparse.Namespace) -> None:
    """One process for each piece, so that none takes long."""
    call = [*options.prefix, sys.executable, "-m", "eval.experiments.kept_out"]
    call += ["--data", str(options.data), "--out", str(options.out)]
    clips = [name for name in names() if options.only in name]
    for clip, codec in itertools.product(clips, options.codecs):
        done = {(r["clip"], r["codec"], r["q"]) for r in av1.rows_of(options.out)}
        known = sorted({float(q) for c, _, q in done if c == clip})
        if len(known) < len(TARGETS):
            words = [*call, "measure", "--clip", clip, "--codec", "qualities"]
            text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            known = sorted(float(q) for q in text.strip().split(","))
        low = known[-1:] if codec in SMALLER else known
        missing = [str(q) for q in low if (clip, codec, str(q)) not in done]
        for part in [",".join(missing)] if codec == "svtav1" and missing else missing:
            words = [*call, "measure", "--clip", clip, "--codec", codec, "--q", part]
            subprocess.run(words, check=True)


def report(options: argparse.Namespace) -> None:
    curves: dict[tuple[str, str], dict[str, list[dict[str, str]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in av1.rows_of(options.out):
        codec = "svtav1" if row["codec"] in SMALLER else row["codec"]
        curves[codec, row["output"]][row["clip"]].append(row)
    shown = [row for row in curves if row[0] not in ("svtav1", "vvenc")]
    against = [row for row in curves if row[0] in ("svtav1", "vvenc")]
    lines = []
    for anchor, row in itertools.product(against, shown):
        clips = sorted(set(curves[anchor]) & set(curves[row]))
        cells = [_overall(curves[anchor], curves[row], clips, name) for name in EVERY]
        lines.append([" ".join(row), anchor[0], str(len(clips)), *cells])
    header = ["gvcodec", "against", "clips", *(METRICS[name].marked_label for name in EVERY)]
    print(markdown(header, lines))


def check(options: argparse.Namespace) -> None:
    """Ends with 1 and a line where a mean is worse."""
    before, now = (
        [r for r in av1.rows_of(path) if r["codec"] == "gvcodec"] for path in (LANDED, options.out)
    )
    worse = []
    for output, name in itertools.product(("base", "painted"), ("psnr_y", "lpips_alex", "dists")):
        old, new = (_by_clip([r for r in rows if r["output"] == output]) for rows in (before, now))
        text = _overall(old, new, sorted(set(old) & set(new)), name)
        print(output, METRICS[name].label, text)
        if not text.startswith("–") and float(text.split(" ")[0]) > ALLOWED:
            worse.append(f"{output} {METRICS[name].label}")
    if worse:
        sys.exit(f"{', '.join(worse)}: more than {ALLOWED:g} % more bits than before")


def _by_clip(rows: Sequence[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        found[row["clip"]].append(row)
    return found


def _overall(
    anchor: dict[str, list[dict[str, str]]],
    row: dict[str, list[dict[str, str]]],
    clips: Sequence[str],
    name: str,
) -> str:
    found = []
    for clip in clips:
        pair = (
            [(float(r["bpp"]), float(r[name])) for r in rows[clip] if r[name]]
            for rows in (anchor, row)
        )
        percent = bd_rate(*pair, METRICS[name].higher_is_better, (0.003, 0.12)).percent
        if percent is not None:
            found.append(percent)
    interval = bootstrap(found)
    if not found:
        return "–"
    within = f" [{interval[0]:+.0f}, {interval[1]:+.0f}]" if interval else ""
    fewer = f" ({len(found)})" if len(found) < len(clips) else ""
    return f"{fmean(found):+.1f} %{within}{fewer}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=("measure", "all", "report", "check"))
    parser.add_argument("--data", type=Path, help="folder of the clips")
    parser.add_argument("--out", type=Path, default=Path("docs/data/kept-out.csv"))
    parser.add_argument("--codecs", type=lambda t: t.split(","), default=list(CODECS))
    parser.add_argument("--only", default="", help="clips whose names contain this")
    parser.add_argument("--prefix", type=str.split, default=[], help="words before each command")
    parser.add_argument("--clip")
    parser.add_argument("--codec")
    parser.add_argument("--q", type=lambda t: [float(q) for q in t.split(",")])
    options = parser.parse_args()
    commands = {"measure": measure, "all": everything, "report": report, "check": check}
    commands[options.command](options)


if __name__ == "__main__":
    main()
