"""Settings of SVT-AV1 under the painter: `python -m eval.experiments.base_settings measure --data
DIR` and `report`.

A clip of at most `--samples` luma samples is coded with each of `SETTINGS` at the qualities `--q`:
by base av1 with default options otherwise (`gvcodec`: base frames and painted ones of one file),
and by SVT-AV1 alone at preset 4 (`svt`). Base and painter are exact, so the process that encodes
also decodes. Bytes are file sizes. Rows go to docs/data/base-settings.csv. `report` compares each
setting with `--anchor`: bits at equal quality in percent (BD-rate over the rates in common), and
flicker at equal rates. Raises EvalError where a metric cannot be measured.
"""

from __future__ import annotations

import argparse
import io
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from PIL import Image

from eval import quick
from eval.colour import Planes
from eval.frames import Loaded
from eval.metrics import METRICS, Measurer
from eval.points.bd import ALL_RATES, bd_rate
from eval.tools import append_rows, markdown, read_rows
from gvcodec.api.decoded_frames import decode_planes
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.types import VideoFormat

OUTPUT = Path("docs/data/base-settings.csv")
#: Name of a setting and its options of SVT-AV1.
SETTINGS = {
    "default": "",
    "cdef": "enable-cdef=0",
    "rest": "enable-restoration=0",
    "dlf": "enable-dlf=0",
    "tf": "enable-tf=0",
    "ac1": "ac-bias=1",
    "ac2": "ac-bias=2",
    "ac4": "ac-bias=4",
    "ac8": "ac-bias=8",
    "cdef+rest": "enable-cdef=0:enable-restoration=0",
    "rest+ac1": "enable-restoration=0:ac-bias=1",
    "rest+ac2": "enable-restoration=0:ac-bias=2",
    "rest+ac4": "enable-restoration=0:ac-bias=4",
    "rest+ac8": "enable-restoration=0:ac-bias=8",
    "cdef+rest+ac1": "enable-cdef=0:enable-restoration=0:ac-bias=1",
    "cdef+rest+ac2": "enable-cdef=0:enable-restoration=0:ac-bias=2",
    "cdef+rest+ac4": "enable-cdef=0:enable-restoration=0:ac-bias=4",
    "cdef+rest+ac8": "enable-cdef=0:enable-restoration=0:ac-bias=8",
    # On top of the default file's settings ("rest+ac2").
    **{
        name: f"enable-restoration=0:ac-bias=2:{params}"
        for name, params in {
            "sharp-2": "sharpness=-2",
            "sharp2": "sharpness=2",
            "sharp7": "sharpness=7",
            "qm": "enable-qm=1",
            "qm4": "enable-qm=1:qm-min=4",
            "qm0": "enable-qm=1:qm-min=0",
            "tune-vq": "tune=0",
            "tune-ssim": "tune=2",
            "boost1": "enable-variance-boost=1:variance-boost-strength=1",
            "key-24": "use-fixed-qindex-offsets=2:key-frame-qindex-offset=-24",
            "key+24": "use-fixed-qindex-offsets=2:key-frame-qindex-offset=24",
            "golden-16": "use-fixed-qindex-offsets=2:qindex-offsets=-16,0,0,0,0,0",
            "golden+16": "use-fixed-qindex-offsets=2:qindex-offsets=16,0,0,0,0,0",
            "compress2": "qp-scale-compress-strength=2",
        }.items()
    },
}
#: SVT-AV1's own values instead of those of base av1, for options that a setting does not name.
NEUTRAL = "enable-cdef=-1:enable-restoration=-1:ac-bias=0"
#: Clips of training, by content.
CLIPS = {
    "hdtrain_street_crowd_720p": "street",
    "video-retalking-examples-face-5-fc207e": "face",
    "hdtrain_butterfly_grass_720p": "grass, out of focus",
    "hdtrain_night_car_720p": "night",
    "hdtrain_lawn_trees_720p": "lawn, shrubs",
    "liveportrait-assets-examples-driving-d12-984922": "face",
    "video-segmentation-videos-goat-af86ba": "rocks",
    "hdtrain_dog_sofa_720p": "low light, smooth",
    "hdtrain_selfie_face_720x1280p": "face, hand-held",
    "pi3-examples-skating-ed9ee0": "ice, smooth",
}
#: One frame in how many is measured; of ColorVideoVDP the middle quarter.
EVERY = {"psnr_y": 1, "lpips_alex": 4, "dists": 16, "ssimulacra2": 16, "flicker": 4, "cvvdp": 4}
FIELDS = (
    *("clip", "width", "height", "frames", "codec", "output", "setting", "q", "bytes", "bpp"),
    *EVERY,
)
#: Luma samples of a screen test, and frames of each clip.
SAMPLES, FRAMES = 480 * 272, 32
QUALITIES = (42.0, 50.0, 58.0)
Frames = Sequence[Planes]


@dataclass(frozen=True)
class Source:
    """The frames of a clip, 8 bits, and their format."""

    name: str
    frames: Frames
    format: VideoFormat


def code(
    codec: str, source: Source, params: str, q: float, outputs: Sequence[str]
) -> tuple[int, dict[str, Frames]]:
    """Bytes of a file, and its frames in 8 bits by output."""
    if codec != "gvcodec":
        words = f"svt:p4:{params}".rstrip(":")
        size, decoded_frames = quick.code(words, source.frames, source.format, q)
        return size, {output: decoded() for output, decoded in decoded_frames.items()}
    stream = io.BytesIO()
    params = f"{NEUTRAL}:{params}".rstrip(":")
    config = EncoderConfig(base="av1", q=q, keyint=0, threads=1, encoder_params=params)
    wide = ((quick.wide(planes), None) for planes in source.frames)
    encode_stream(Encoder(source.format, config), stream, wide)
    data = stream.getvalue()
    return len(data), {
        output: [
            quick.narrow(planes)
            for planes in decode_planes(data, fidelity=output == "base", threads=1)
        ]
        for output in outputs
    }


def picture(decoded: Frames, judge: Measurer) -> Image.Image:
    """The middle frame."""
    middle = np.rint(255 * judge.clip.rgb(decoded[len(decoded) // 2])).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(middle.transpose(1, 2, 0)))


def measure(options: argparse.Namespace) -> None:
    """Rows that the CSV lacks, until `--seconds` are over; ends with 3 where rows are left."""
    torch.set_num_threads(1)
    until = time.monotonic() + options.seconds
    for clip in options.clips:
        path = quick.find_clip(options.data, clip)
        source = Source(clip, *quick.read(path, options.samples, FRAMES))
        size = [str(side) for side in (source.format.width, source.format.height)]
        measured_points = {
            (row["setting"], row["codec"], float(row["q"]), row["output"])
            for row in read_rows(options.out)
            if [row["clip"], row["width"], row["height"]] == [clip, *size]
        }
        pieces = {}
        for piece in itertools.product(options.settings, options.codecs, options.q):
            outputs = options.outputs if piece[1] == "gvcodec" else [""]
            pieces[piece] = [
                output for output in outputs if (*piece, output) not in measured_points
            ]
        if any(pieces.values()):
            _measure_clip(source, pieces, options, until)


def _measure_clip(
    source: Source,
    pieces: dict[tuple[str, str, float], list[str]],
    options: argparse.Namespace,
    until: float,
) -> None:
    fmt = source.format
    every = {name: EVERY[name] for name in options.judges} | (
        {"dists": options.dists} if "dists" in options.judges else {}
    )
    judge = quick.measurer(source.frames, fmt.frame_rate, every, fmt.colour.matrix)
    for (setting, codec, q), outputs in pieces.items():
        if not outputs:
            continue
        if time.monotonic() > until:
            sys.exit(3)
        size, decoded = code(codec, source, SETTINGS[setting], q, outputs)
        bpp = 8 * size / (len(source.frames) * fmt.width * fmt.height)
        rows = []
        for output, frames in decoded.items():
            if options.keep:
                name = f"{source.name}-{setting}-{q:g}-{output or codec}.png"
                picture(frames, judge).save(options.keep / name)
            loaded: Any = Loaded(frames)
            values = judge(loaded)
            cells = [f"{values[name]['mean']:.5f}" if name in values else "" for name in EVERY]
            head = [source.name, fmt.width, fmt.height, len(source.frames), codec, output]
            rows.append([*head, setting, f"{q:g}", size, f"{bpp:.6f}", *cells])
        append_rows(options.out, FIELDS, rows)


Rows = list[dict[str, str]]


def change(anchor: Rows, other: Rows, metric: str) -> float | None:
    """BD-rate in percent; of flicker the logarithm of the ratio at equal rates."""
    first, second = (
        [(float(r["bpp"]), float(r[metric])) for r in rows if r[metric]] for rows in (anchor, other)
    )
    if min(len(first), len(second)) < 2:
        return None
    if metric == "flicker":
        return quick.ratio(first, second)
    # A screening of settings with three qualities, which no report shows.
    return bd_rate(first, second, METRICS[metric].higher_is_better, ALL_RATES, 3).percent


def at_rate(anchor: Rows, point: dict[str, str], metric: str) -> float | None:
    """Bits of one point over those of the anchor at its quality, in percent: the anchor's curve is
    straight in logarithms between its two points next to the rate, and beyond them."""
    curve = sorted((float(r["bpp"]), float(r[metric])) for r in anchor if r[metric])
    if len(curve) < 2 or not point[metric]:
        return None
    rates, values = np.log([c[0] for c in curve]), np.array([c[1] for c in curve])
    logs = metric in ("lpips_alex", "dists", "flicker")
    rate, value = np.log(float(point["bpp"])), float(point[metric])
    if logs:
        values, value = np.log(np.maximum(values, 1e-5)), np.log(max(value, 1e-5))
    near = int(np.clip(np.searchsorted(rates, rate), 1, len(rates) - 1))
    slope = (values[near] - values[near - 1]) / (rates[near] - rates[near - 1])
    interpolated = values[near] + slope * (rate - rates[near])
    if metric == "flicker":
        return float(value - interpolated)
    return float(100 * np.expm1((interpolated - value) / slope)) if slope else None


def report(options: argparse.Namespace) -> None:
    """A table for each output: mean over clips, and with `--details` each clip or quality."""
    rows = [r for r in read_rows(options.out) if r["clip"] in options.clips]
    rows = [r for r in rows if int(r["width"]) * int(r["height"]) <= 1.05 * options.samples]
    rows = [r for r in rows if int(r["width"]) * int(r["height"]) > 1.05 * options.above]
    groups: dict[tuple[str, str, str, str], Rows] = {}
    for row in rows:
        key = (row["codec"], row["output"], row["setting"], row["clip"])
        groups.setdefault(key, []).append(row)
    names = [name for name in EVERY if any(row[name] for row in rows)]
    for codec, output in dict.fromkeys((key[0], key[1]) for key in groups):
        lines = []
        for setting in SETTINGS:
            both = [(codec, output, name) for name in (options.anchor, setting)]
            clips = [c for c in options.clips if all((*key, c) in groups for key in both)]
            if setting != options.anchor and clips:
                pairs = [
                    (groups[codec, output, options.anchor, c], groups[codec, output, setting, c])
                    for c in clips
                ]
                lines += _lines(setting, clips, pairs, names, options)
        labels = [METRICS[name].marked_label for name in names]
        print(f"\n{codec} {output}".rstrip(), "\n")
        print(markdown(["setting", "clips", *labels], lines))


def _lines(
    setting: str,
    clips: list[str],
    pairs: list[tuple[Rows, Rows]],
    names: list[str],
    options: argparse.Namespace,
) -> list[list[str]]:
    table = [[change(*pair, name) for pair in pairs] for name in names]
    lines = [[setting, str(len(clips)), *map(mean, names, table)]]
    for number, clip in enumerate(clips if options.details else ()):
        cells = [mean(name, [column[number]]) for name, column in zip(names, table, strict=True)]
        lines.append([f"· {clip[:32]}", "", *cells])
    for q in options.q if options.rates else ():
        points = [(a, [r for r in b if float(r["q"]) == q]) for a, b in pairs]
        cells = [mean(n, [at_rate(a, p, n) for a, b in points for p in b]) for n in names]
        lines.append([f"· q {q:g}", "", *cells])
    return lines


def mean(name: str, values: Sequence[float | None]) -> str:
    numbers = [value for value in values if value is not None]
    if not numbers:
        return "–"
    fewer = f" ({len(numbers)})" if len(numbers) < len(values) else ""
    if name == "flicker":
        return f"×{np.exp(fmean(numbers)):.3f}{fewer}"
    return f"{fmean(numbers):+.1f}{fewer}"


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {"measure": measure, "report": report}


def main() -> None:
    def listed(text: str) -> list[str]:
        return text.split(",")

    def numbers(text: str) -> list[float]:
        return [float(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("command", choices=tuple(COMMANDS))
    add("--clips", type=listed, default=list(CLIPS))
    add("--data", type=Path, action="append", help="folder of clips; repeatable")
    add("--codecs", type=listed, default=["gvcodec"], help="gvcodec, svt")
    add("--settings", type=listed, default=list(SETTINGS))
    add("--q", type=numbers, default=list(QUALITIES))
    add("--outputs", type=listed, default=["base", "painted"], help="of gvcodec")
    add("--samples", type=float, default=SAMPLES, help="most luma samples of a picture")
    add("--above", type=float, default=0, help="report: pictures with more luma samples only")
    add("--judges", type=listed, default=list(EVERY), help="metrics to measure")
    add("--dists", type=int, default=EVERY["dists"], help="DISTS on one frame in N")
    add("--seconds", type=float, default=float("inf"), help="begin nothing after these")
    add("--keep", type=Path, help="folder for middle frames")
    add("--anchor", default="default", help="report: the setting to compare with")
    add("--details", action="store_true", help="report: a line for each clip")
    add("--rates", action="store_true", help="report: a line for each quality")
    add("--out", type=Path, default=OUTPUT)
    options = parser.parse_args()
    COMMANDS[options.command](options)


if __name__ == "__main__":
    main()
