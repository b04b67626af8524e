"""The headline on the clips that nobody tuned on, by pieces of seconds: `python -m
eval.experiments.kept_out`.

`eval rd --set kept-out` does the same with every codec as a program of its own, a search for each
rate and the full conditions, and takes hours. Here each clip of `eval/kept_out.csv` (48 frames,
scaled to at most `SAMPLES`) is coded at the same few qualities, which span 0.007 to 0.06 bpp:

    gvcodec        default options of base av1, the whole file, base frames and painted
    best, vvc      `--speed best`; base vvc, and at preset slow (vvc:slow)
    8:p4:tune=0    base av1 with so many bits, this preset and options of SVT-AV1, nothing fitted
    svtav1         SVT-AV1 at preset 4, 8 bits (at 3/4 and 1/2 size too, where rates are low)
    vvenc, x265, aom   VVenC slow, x265 veryslow, libaom at cpu-used 4, as `eval rd` calls them

`measure` makes one codec on one clip at one quality, appends rows to a CSV and may keep its middle
frames as pictures, `all` calls it for everything that is missing, `report` compares the rows.
`check` fails where gvcodec's rows of a new CSV take over 2 % more bits than those that came with
the checkout. Settings are compared on clips for training, painted, by `all --clips … --outputs
painted --codecs 8:p2:scm=1,8:p4:scm=1` and `report --anchor 8:p2:scm=1`.
"""

from __future__ import annotations

import argparse
import csv
import functools
import io
import itertools
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from PIL import Image

from eval.codecs import peers
from eval.codecs.codec import Options
from eval.colour import Planes, to_rgb
from eval.experiments import av1_settings as av1
from eval.frames import Loaded, clip_of
from eval.metrics import METRICS, Measurer, need
from eval.metrics.judges import PACKAGES, without_package
from eval.points.bd import bd_rate, bootstrap
from eval.sequences import KEPT_OUT
from eval.tools import markdown, read_rows, run_command
from eval.video import Frames, decode_raw, prepare
from gvcodec.base.resample import Resampler
from gvcodec.base.standard.codec import StandardEncoder
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.types import Colour, VideoFormat

FRAMES, SAMPLES = 48, 352 * 200
TARGETS = (0.007, 0.02, 0.06)
EVERY = {"psnr_y": 1, "lpips_alex": 8, "dists": 16, "ssimulacra2": 16, "flicker": 4}
#: Of single frames, and ColorVideoVDP of the middle quarter of a clip.
JUDGES = EVERY | {"cvvdp": 4}
FIELDS = ("clip", "codec", "output", "q", "bytes", "bpp", *JUDGES, "seconds")
#: Only where the rate is low: part of the size, and how much finer.
SMALLER = {"svtav1-3/4": (0.75, 1.5), "svtav1-1/2": (0.5, 3.75)}
#: SVT-AV1's CRFs, and the peers' own numbers at which bytes are about the same.
_CRFS = (10, 25, 40, 50, 57, 63, 70)
QUALITIES = {
    "vvenc": (15, 24, 30.5, 34.5, 38, 44.5, 49),
    "x265": (10, 20, 28, 33, 37, 43, 48),
    "aom": (10, 25, 38, 47, 53, 58, 63),
}
#: What differs from default options.
_SETTINGS: dict[str, dict[str, Any]] = {
    "gvcodec": {},
    "best": {"speed": "best"},
    "vvc": {"base": "vvc"},
    "vvc:slow": {"base": "vvc", "preset": 1},
}
CODECS = ("svtav1", *SMALLER, "gvcodec", *QUALITIES, "vvc", "best")
#: What `check` compares with, and per cent of bits that it allows.
LANDED, ALLOWED = Path("docs/data/kept-out.csv"), 2.0


#: Bytes, and by output what decodes the frames that are shown.
Coded = tuple[int, dict[str, Callable[[], Sequence[Planes]]]]


def measurer(frames: Sequence[Planes], rate: Fraction, every: dict[str, int]) -> Measurer:
    """Metrics of one clip; of the judges those that are installed. Raises EvalError."""
    lacking = {name for name in PACKAGES if without_package(name)}
    kept = {name: n for name, n in every.items() if name not in lacking}
    need(kept)
    return Measurer(clip_of(frames, rate), kept)


def _rgb(planes: Planes) -> np.ndarray:
    return to_rgb(planes, 6, False, 8)


def wide(planes: Planes) -> Planes:
    y, u, v = (plane.astype(np.uint16) << 2 for plane in planes)
    return y, u, v


def narrow(planes: Planes) -> Planes:
    y, u, v = (np.minimum((p + 2) >> 2, 255).astype(np.uint8) for p in planes)
    return y, u, v


def code(codec: str, frames: Sequence[Planes], fmt: VideoFormat, q: float) -> Coded:
    """One codec at a quality, by number of SVT-AV1's CRFs."""
    if codec in ("svtav1", *SMALLER):
        return _svtav1(codec, frames, fmt, q)
    if codec in QUALITIES:
        return _peer(codec, frames, fmt, float(np.interp(q, _CRFS, QUALITIES[codec])))
    # `q` 66 is CRF 70.
    q = q if q <= 63 else 63 + (q - 63) * 3 / 7
    config = EncoderConfig(base="av1", q=q, keyint=0, threads=1, fit_by="small")
    base_encoder = None
    if ":p" in codec:
        bits, preset, *params = codec.split(":")
        config, fmt = (
            replace(config, preset=int(preset[1:]), fit=0),
            replace(fmt, bit_depth=int(bits)),
        )
        base_encoder = StandardEncoder(
            fmt, "av1", q, threads=1, params=params, preset=config.preset
        )
    else:
        config = replace(config, **_SETTINGS[codec])
    stream = io.BytesIO()
    encoder = Encoder(fmt, config, base_encoder=base_encoder)
    encode_stream(encoder, stream, ((wide(planes), None) for planes in frames))
    data = stream.getvalue()
    outputs = {"base": True, "painted": False}
    return len(data), {n: functools.partial(decode, data, base) for n, base in outputs.items()}


#: Planes of a file, one after another, as `.npy`: what decodes is not what has encoded.
_DECODER = """
import sys, numpy
from gvcodec.api.frames import decode_planes
with open(sys.argv[1], "wb") as file:
    for planes in decode_planes(sys.stdin.buffer.read(), fidelity=sys.argv[2] == "1", threads=1):
        for plane in planes:
            numpy.save(file, plane)
"""


def decode(data: bytes, base: bool) -> list[Planes]:
    """Frames of a stream, decoded by another process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "planes")
        words = [sys.executable, "-c", _DECODER, str(path), str(int(base))]
        subprocess.run(words, input=data, check=True)
        planes, size = [], path.stat().st_size
        with open(path, "rb") as file:
            while file.tell() < size:
                planes.append(np.load(file))
    return [narrow((y, u, v)) for y, u, v in zip(*[iter(planes)] * 3, strict=True)]


def _peer(codec: str, frames: Sequence[Planes], fmt: VideoFormat, quality: float) -> Coded:
    """In random access, the first frame alone intra."""
    peer = peers.make(codec, "ra", Options())
    with tempfile.TemporaryDirectory() as folder:
        stream, output, raw = (Path(folder, name) for name in ("stream", "out.y4m", "raw"))
        source = Frames(iter(frames), fmt.width, fmt.height, fmt.frame_rate, 8, 6)
        clip = prepare("clip", "", lambda: source, 0, Path(folder))
        run_command(peer.command(peer.encode, clip, q=round(quality), stream=stream))
        run_command(peer.command(peer.outputs[""], clip, stream=stream, output=output))
        shown = list(decode_raw(output, clip, raw))
        return stream.stat().st_size, {"": lambda: shown}


def _svtav1(codec: str, frames: Sequence[Planes], fmt: VideoFormat, q: float) -> Coded:
    if codec == "svtav1":
        size, units = av1.encode(frames, fmt.frame_rate, "8:p4", q)
        return size, {"": lambda: av1.decode(units, "8")}
    scale, less = SMALLER[codec]
    resampler = Resampler(fmt.width, fmt.height, Fraction(scale))
    small = [narrow(resampler.down(wide(planes))) for planes in frames]
    size, units = av1.encode(small, fmt.frame_rate, "8:p4", q - less)

    def shown() -> Sequence[Planes]:
        return [narrow(resampler.up(wide(planes))) for planes in av1.decode(units, "8")]

    return size, {"": shown}


@functools.cache
def names() -> list[str]:
    with open(KEPT_OUT, newline="", encoding="utf-8") as file:
        return [row["clip"] for row in csv.DictReader(file)]


def measure(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    av1.FRAMES = options.frames
    frames, rate = av1.read(options.data / f"{options.clip}.mp4", SAMPLES)
    height, width = frames[0][0].shape
    fmt = VideoFormat(width, height, rate, 1 / rate, 8, Colour(6, 6, 6))
    if options.codec == "qualities":
        av1.TARGETS = options.targets
        print(",".join(map(str, av1.crfs_of(frames, rate))))
        return
    measure = measurer(frames, rate, JUDGES)
    for q in options.q:
        begun = sum(os.times()[:4])
        size, outputs = code(options.codec, frames, fmt, q)
        seconds = sum(os.times()[:4]) - begun
        bpp = 8 * size / (len(frames) * width * height)
        lines = []
        for output, decode in outputs.items():
            if output and output not in options.outputs:
                continue
            shown = decode()
            values = measure(Loaded(shown))
            if options.keep:
                name = f"{options.clip}-{options.codec}-{output}-{q:g}.png".replace("/", "_")
                picture = np.rint(255 * _rgb(shown[len(shown) // 2])).astype(np.uint8)
                Image.fromarray(picture.transpose(1, 2, 0).copy()).save(options.keep / name)
            cells = [f"{values[n]['mean']:.5f}" if n in values else "" for n in JUDGES]
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
    call += ["--frames", str(options.frames), "--outputs", ",".join(options.outputs)]
    call += ["--targets", ",".join(map(str, options.targets))]
    for clip, codec in itertools.product(options.clips or names(), options.codecs):
        done = {(r["clip"], r["codec"], r["q"]) for r in read_rows(options.out)}
        known = sorted({float(q) for c, _, q in done if c == clip})
        if len(known) < len(options.targets):
            words = [*call, "measure", "--clip", clip, "--codec", "qualities"]
            text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            known = sorted(float(q) for q in text.strip().split(","))
        low = known[-1:] if codec in SMALLER else known
        missing = [str(q) for q in low if (clip, codec, str(q)) not in done]
        quick = missing and (codec == "svtav1" or ":p" in codec)
        for part in [",".join(missing)] if quick else missing:
            words = [*call, "measure", "--clip", clip, "--codec", codec, "--q", part]
            subprocess.run(words, check=True)


def report(options: argparse.Namespace) -> None:
    curves: dict[tuple[str, str], dict[str, list[dict[str, str]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in read_rows(options.out):
        codec = "svtav1" if row["codec"] in SMALLER else row["codec"]
        curves[codec, row["output"]][row["clip"]].append(row)
    anchors = (options.anchor,) if options.anchor else ("svtav1", *QUALITIES)
    against = [row for row in curves if row[0] in anchors]
    shown = [row for row in curves if row not in against]
    lines = []
    for anchor, row in itertools.product(against, shown):
        clips = sorted(set(curves[anchor]) & set(curves[row]))
        cells = [_overall(curves[anchor], curves[row], clips, name) for name in JUDGES]
        seconds = [_seconds(curves[key], clips) for key in (row, anchor)]
        cells.append(f"×{seconds[0] / seconds[1]:.2f}" if all(seconds) else "–")
        lines.append([" ".join(row), anchor[0], str(len(clips)), *cells])
    labels = [METRICS[name].marked_label for name in JUDGES]
    header = ["gvcodec", "against", "clips", *labels, "time"]
    print(markdown(header, lines))


def _seconds(curve: dict[str, list[dict[str, str]]], clips: Sequence[str]) -> float:
    return sum(float(row["seconds"]) for clip in clips for row in curve[clip])


def check(options: argparse.Namespace) -> None:
    """Ends with 1 and a line where a mean is worse."""
    before, now = (
        [r for r in read_rows(path) if r["codec"] == "gvcodec"] for path in (LANDED, options.out)
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
    parser.add_argument("--clips", type=lambda t: t.split(","), help="instead of those kept out")
    parser.add_argument("--prefix", type=str.split, default=[], help="words before each command")
    words = {"type": lambda t: t.split(","), "help": "of what gvcodec shows (base,painted)"}
    parser.add_argument("--outputs", default=["base", "painted"], **words)
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"of a clip ({FRAMES})")
    parser.add_argument(
        "--targets",
        type=lambda t: tuple(map(float, t.split(","))),
        default=TARGETS,
        help="bits a pixel (0.007,0.02,0.06)",
    )
    parser.add_argument("--anchor", help="what the report compares with (the peers)")
    parser.add_argument("--keep", type=Path, help="folder for pictures of middle frames")
    parser.add_argument("--clip")
    parser.add_argument("--codec")
    parser.add_argument("--q", type=lambda t: [float(q) for q in t.split(",")])
    options = parser.parse_args()
    commands = {"measure": measure, "all": everything, "report": report, "check": check}
    commands[options.command](options)


if __name__ == "__main__":
    main()
