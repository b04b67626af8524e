"""Headline figures by size and rate on clips kept out of training and tuning: `python -m
eval.experiments.kept_out`.

`eval rd --set kept-out` does the same with every codec as a program of its own, a search for each
rate and the full conditions, and takes hours. Here each clip of `eval/kept_out.csv` and
`eval/kept_out_hd.csv` is coded at its own size, at most `--samples` luma samples, at the same few
qualities, near `TARGETS`:

    gvcodec         default options of base av1, the whole file, base frames and painted
    fast, best      the other speeds; tokens, tokens:search: tokens
                    steer the painter (tokens:all and others: `token_variants`); unsteady: all GOPs
                    at one strength; strength:32:24: at that one (noise, keep); preset:6: at that
                    preset; untextured: the base at SVT-AV1's own settings
    vvc             base vvc, and at preset slow (vvc:slow); 1/2, 3/4: sizes of av1
    gvc1d           base gvc1d with its shipped network
    svtav1          the newest SVT-AV1 at preset 4 (at 3/4 and 1/2 size too, where rates are low);
                    svtav1-tuned: CDEF and restoration off, ac-bias=4
    svt             SVT-AV1 as base av1 calls it, and so at other settings: svt:p4:scm=0
    vvenc, x265, aom   VVenC slow, x265 veryslow, libaom at cpu-used 4, as `eval rd` calls them

`all` measures the missing rows of a CSV, a process for each codec, clip and quality, each of them
short. `report` compares its rows by size of picture and band of rates. `check` fails where gvcodec
takes over 2 % more bits than in the release before, on the same clips at the same sizes.
`sampling` reports the effect of measuring only some frames (`EVERY`).
"""

from __future__ import annotations

import argparse
import functools
import io
import itertools
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
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
from eval.colour import Planes
from eval.experiments import token_variants
from eval.frames import Loaded, clip_of, read_frames
from eval.metrics import METRICS, Measurer, need
from eval.points.bd import bd_rate, bootstrap
from eval.sequences import KEPT_OUT, KEPT_OUT_HD
from eval.tools import markdown, read_rows, run_command
from eval.video import Frames, decode_raw, prepare
from gvcodec.base.standard.encoder import StandardEncoder
from gvcodec.base.standard.encoders import Settings
from gvcodec.base.standard.payloads import restore_unit
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.painter import strength
from gvcodec.painter.model import Strength
from gvcodec.rate.quality import PACKAGES, missing_package
from gvcodec.types import Colour, VideoFormat

RELEASES = Path("docs/data/releases")
TARGETS = (0.0045, 0.016, 0.055)
BANDS = ((0.003, 0.01), (0.01, 0.03), (0.03, 0.08))
#: Names of sizes, and the most luma samples of a picture.
SIZES = {"thumbnail": 100_000, "480p": 864 * 480, "720p": 1280 * 720, "1080p": 1 << 30}
EVERY = {"psnr_y": 1, "lpips_alex": 8, "dists": 24, "ssimulacra2": 24, "flicker": 8}
#: Of single frames, and ColorVideoVDP of the middle quarter of a clip.
JUDGES = EVERY | {"cvvdp": 4}
FIELDS = ("clip", "codec", "output", "q", "bytes", "bpp", *JUDGES, "seconds", "samples", "frames")
#: Only where the rate is low.
SMALLER = ("svtav1-0.75", "svtav1-0.5")
#: SVT-AV1's CRFs, and the peers' own numbers at which bytes are about the same.
_CRFS = (10, 25, 40, 50, 57, 63, 70)
QUALITIES: dict[str, tuple[float, ...]] = {
    "svtav1": _CRFS,
    "svtav1-tuned": _CRFS,
    "svtav1-0.75": tuple(crf - 1.5 for crf in _CRFS),
    "svtav1-0.5": tuple(crf - 3.75 for crf in _CRFS),
    "vvenc": (15, 24, 30.5, 34.5, 38, 44.5, 49),
    "x265": (10, 20, 28, 33, 37, 43, 48),
    "aom": (10, 25, 38, 47, 53, 58, 63),
}
#: Options that differ from the defaults.
_SETTINGS: dict[str, dict[str, Any]] = {
    "gvcodec": {},
    "unsteady": {"fit": 0},
    "untextured": {"encoder_params": "enable-restoration=-1:ac-bias=0"},
    "tokens": {"tokens": "on"},
    "tokens:search": {"tokens": "search"},
    "fast": {"speed": "fast"},
    "best": {"speed": "best"},
    "vvc": {"base": "vvc"},
    "vvc:slow": {"base": "vvc", "preset": 1},
    "gvc1d": {"base": "gvc1d"},
    "1/2": {"scale": Fraction(1, 2)},
    "3/4": {"scale": Fraction(3, 4)},
}
#: Other ways to find tokens, by codec.
_VARIANTS = {f"tokens:{name}": name for name in token_variants.VARIANTS}
CODECS = ("svtav1", *SMALLER, "gvcodec", "svt")
ALLOWED = 2.0  # per cent of bits


#: Bytes, and for each output a function that decodes its frames.
EncodeResult = tuple[int, dict[str, Callable[[], Sequence[Planes]]]]
Rows = Sequence[dict[str, str]]


def measurer(
    frames: Sequence[Planes], rate: Fraction, every: dict[str, int], matrix: int = 6
) -> Measurer:
    """Metrics of one clip; only installed judges. Raises EvalError."""
    lacking = {name for name in PACKAGES if missing_package(name)}
    usable = {name: n for name, n in every.items() if name not in lacking}
    need(usable)
    return Measurer(replace(clip_of(frames, rate), matrix=matrix), usable)


def wide(planes: Planes) -> Planes:
    y, u, v = (plane.astype(np.uint16) << 2 for plane in planes)
    return y, u, v


def narrow(planes: Planes) -> Planes:
    y, u, v = (np.minimum((p + 2) >> 2, 255).astype(np.uint8) for p in planes)
    return y, u, v


def code(codec: str, frames: Sequence[Planes], fmt: VideoFormat, q: float) -> EncodeResult:
    """One codec at a quality, by number of SVT-AV1's CRFs."""
    if codec in QUALITIES:
        return _peer(codec, frames, fmt, float(np.interp(q, _CRFS, QUALITIES[codec])))
    # `q` 66 is CRF 70.
    q = q if q <= 63 else 63 + (q - 63) * 3 / 7
    config = EncoderConfig(base="av1", q=q, keyint=0, threads=1)
    if codec.split(":")[0] == "svt":
        return _base_alone(codec, frames, fmt, config)
    name, *numbers = codec.split(":") if codec.startswith(("strength:", "preset:")) else (codec,)
    settings: dict[str, Any] = {}
    if name == "strength":
        strength.STRENGTH_STEPS = (Strength(*map(int, numbers)),)
    elif name == "preset":
        settings = {"preset": int(numbers[0])}
    elif name in _VARIANTS:
        settings = {"tokens": "on"}
    else:
        settings = _SETTINGS[name]
    stream = io.BytesIO()
    with token_variants.variant(_VARIANTS[name]) if name in _VARIANTS else nullcontext():
        encoder = Encoder(fmt, replace(config, **settings))
        encode_stream(encoder, stream, ((wide(planes), None) for planes in frames))
    data = stream.getvalue()
    outputs = {"": True} if name == "gvc1d" else {"base": True, "painted": False}
    return len(data), {n: functools.partial(decode, data, base) for n, base in outputs.items()}


def _base_alone(
    codec: str, frames: Sequence[Planes], fmt: VideoFormat, config: EncoderConfig
) -> EncodeResult:
    """SVT-AV1's own stream, by the settings of base av1 or those in `codec`."""
    words = codec.split(":")[1:]
    preset = config.resolve().preset_of(fmt.width * fmt.height)
    if words and words[0].startswith("p"):
        preset = int(words.pop(0)[1:])
    q = config.resolve().base_q
    encoder = StandardEncoder(fmt, "av1", Settings(q, threads=1, params=words, preset=preset))
    parts = [*(encoder.send(wide(planes)) for planes in frames), encoder.flush()]
    base_frames = [narrow(planes) for part in parts for planes in part.base_frames]
    packets = (packet for part in parts for packet in part.packets)
    return sum(len(restore_unit("av1", packet.payload)) for packet in packets), {
        "": lambda: base_frames
    }


#: Planes of a file, one after another, as `.npy`: another process decodes.
_DECODER = """
import sys, numpy
from gvcodec.api.decoded_frames import decode_planes
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


def _peer(codec: str, frames: Sequence[Planes], fmt: VideoFormat, quality: float) -> EncodeResult:
    """A peer in random access, with only the first frame intra."""
    peer = peers.make(codec, "ra", Options())
    with tempfile.TemporaryDirectory() as folder:
        stream, output, raw = (Path(folder, name) for name in ("stream", "out.y4m", "raw"))
        matrix = fmt.colour.matrix
        source = Frames(iter(frames), fmt.width, fmt.height, fmt.frame_rate, 8, matrix)
        clip = prepare("clip", "", lambda: source, 0, Path(folder))
        number = quality if codec.startswith("svtav1") else round(quality)
        run_command(peer.command(peer.encode, clip, q=number, stream=stream))
        run_command(peer.command(peer.outputs[""], clip, stream=stream, output=output))
        decoded = list(decode_raw(output, clip, raw))
        return stream.stat().st_size, {"": lambda: decoded}


def read(path: Path, samples: float, count: int) -> tuple[list[Planes], VideoFormat]:
    """The first `count` frames in 8 bits (0 = 48, or 24 above 480 lines), scaled to at most
    `samples` luma samples."""

    def size(width: int, height: int) -> tuple[int, int]:
        scale = min(1.0, (samples / (width * height)) ** 0.5)
        if scale == 1 and not (width % 2 or height % 2):
            return width, height
        return max(16, round(width * scale / 8) * 8), max(16, round(height * scale / 8) * 8)

    frames, rate = read_frames(path, count or 48, size)
    height, width = frames[0][0].shape
    if not count and width * height > SIZES["480p"]:
        del frames[24:]
    matrix = 1 if min(width, height) >= 720 else 6
    return frames, VideoFormat(width, height, rate, 1 / rate, 8, Colour(*[matrix] * 3))


def qualities(frames: Sequence[Planes], fmt: VideoFormat, targets: Sequence[float]) -> list[float]:
    """CRFs in quarters at which SVT-AV1 at preset 4 comes near these rates."""
    crfs, rates = (40, 50, 57, 63, 70), []
    for crf in crfs:
        size, _ = code("svt:p10", frames, fmt, crf)
        rates.append(np.log(8 * size / (len(frames) * fmt.width * fmt.height)))
    interpolated = np.interp(-np.log(targets), -np.array(rates), crfs)
    return sorted({round(4 * float(crf)) / 4 for crf in interpolated})


@functools.cache
def names() -> list[str]:
    """The clips of `eval/kept_out.csv`, then the 720p and 1080p clips."""
    return [row["clip"] for path in (KEPT_OUT, KEPT_OUT_HD) for row in read_rows(path)]


def find_clip(folders: Sequence[Path], name: str) -> Path:
    """Ends the program where none has it."""
    for folder in folders:
        if (path := folder / f"{name}.mp4").exists():
            return path
    sys.exit(f"{name}.mp4 is in none of {', '.join(map(str, folders))}")


def measure(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    frames, fmt = read(find_clip(options.data, options.clip), options.samples, options.frames)
    if options.codec == "qualities":
        print(",".join(map(str, qualities(frames, fmt, options.targets))))
        return
    judges = JUDGES if options.cvvdp else EVERY
    judges = {name: every for name, every in judges.items() if name in options.judges}
    measured = measurer(frames, fmt.frame_rate, judges, fmt.colour.matrix)
    for q in options.q:
        begun = sum(os.times()[:4])
        size, outputs = code(options.codec, frames, fmt, q)
        seconds = sum(os.times()[:4]) - begun
        bpp = 8 * size / (len(frames) * fmt.width * fmt.height)
        lines = []
        for output, shown_by in outputs.items():
            if output and output not in options.outputs:
                continue
            shown = shown_by()
            values = measured(Loaded(shown))
            if options.keep:
                name = f"{options.clip}-{options.codec}-{output}-{q:g}.png".replace("/", "_")
                picture = np.rint(255 * measured.clip.rgb(shown[len(shown) // 2]))
                picture = picture.astype(np.uint8).transpose(1, 2, 0)
                Image.fromarray(picture.copy()).save(options.keep / name)
            cells = [f"{values[n]['mean']:.5f}" if n in values else "" for n in JUDGES]
            head = [options.clip, options.codec, output, q, size, f"{bpp:.6f}"]
            tail = [f"{seconds:.2f}", fmt.width * fmt.height, len(frames)]
            lines.append(",".join(map(str, [*head, *cells, *tail])) + "\n")
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with open(options.out, "a", encoding="utf-8") as file:
            if not file.tell():
                file.write(",".join(FIELDS) + "\n")
            file.writelines(lines)


def sampling(options: argparse.Namespace) -> None:
    """A line for each quality: LPIPS-Alex of SVT-AV1's and our painted frames on every frame, on
    those that `EVERY` takes, and by how many per cent that moves their ratio."""
    torch.set_num_threads(1)
    frames, fmt = read(find_clip(options.data, options.clip), options.samples, options.frames)
    judges = [
        measurer(frames, fmt.frame_rate, {"lpips_alex": every}, fmt.colour.matrix)
        for every in (1, EVERY["lpips_alex"])
    ]
    for q in options.q:
        values = []
        for codec, output in (("svtav1", ""), ("gvcodec", "painted")):
            decoded = Loaded(code(codec, frames, fmt, q)[1][output]())
            values.append([judge(decoded)["lpips_alex"]["mean"] for judge in judges])
        (all_theirs, theirs), (all_ours, ours) = values
        moved = 100 * (ours / theirs / (all_ours / all_theirs) - 1)
        cells = [options.clip, q, *(f"{v:.5f}" for pair in values for v in pair), f"{moved:+.1f}"]
        print(",".join(map(str, cells)), flush=True)


def everything(options: argparse.Namespace) -> None:
    """One process for each piece, so that none takes long."""
    call = [*options.prefix, sys.executable, "-m", "eval.experiments.kept_out"]
    call += [word for folder in options.data for word in ("--data", str(folder))]
    call += ["--out", str(options.out), "--samples", str(options.samples)]
    call += ["--frames", str(options.frames), "--outputs", ",".join(options.outputs)]
    call += ["--targets", ",".join(map(str, options.targets)), *["--cvvdp"] * options.cvvdp]
    call += ["--judges", ",".join(options.judges)]
    for clip, codec in itertools.product(options.clips or names(), options.codecs):
        measured_points = {(r["clip"], r["codec"], float(r["q"])) for r in read_rows(options.out)}
        qualities = sorted({q for c, _, q in measured_points if c == clip})
        if options.q:
            qualities = options.q
        elif len(qualities) < len(options.targets):
            words = [*call, "measure", "--clip", clip, "--codec", "qualities"]
            text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            qualities = [float(q) for q in text.strip().split(",")]
        low = qualities[-1:] if codec in SMALLER else qualities
        for q in [q for q in low if (clip, codec, q) not in measured_points]:
            words = [*call, "measure", "--clip", clip, "--codec", codec, "--q", str(q)]
            subprocess.run(words, check=True)


def size_of(row: dict[str, str]) -> str:
    """The name of a row's size of pictures."""
    return next(name for name, most in SIZES.items() if int(row["samples"]) <= most)


#: Rows by clip.
Curves = dict[str, list[dict[str, str]]]


def by_clip(rows: Rows) -> Curves:
    curves: Curves = defaultdict(list)
    for row in rows:
        curves[row["clip"]].append(row)
    return curves


def report(options: argparse.Namespace) -> None:
    rows = read_rows(options.out)
    bands = BANDS if options.bands else ((BANDS[0][0], BANDS[-1][1]),)
    lines = []
    for size, band in itertools.product(SIZES, bands):
        curves: dict[tuple[str, str], Curves] = defaultdict(lambda: defaultdict(list))
        for row in (row for row in rows if size_of(row) == size):
            codec = "svtav1" if row["codec"] in SMALLER else row["codec"]
            curves[codec, row["output"]][row["clip"]].append(row)
        lines += list(_compare(curves, options.anchor, size, band))
    labels = [METRICS[name].marked_label for name in JUDGES]
    print(markdown(["size", "bpp", "codec", "against", "clips", *labels, "time"], lines))


def _compare(
    curves: dict[tuple[str, str], Curves], anchor: str, size: str, band: tuple[float, float]
) -> Iterator[list[str]]:
    """Rows of the table: every codec against the anchor."""
    for name, against in curves.items():
        if name[0] != anchor:
            continue
        for key, curve in curves.items():
            clips = sorted(set(against) & set(curve))
            if key == name or not clips:
                continue
            cells = [overall(against, curve, clips, metric, band) for metric in JUDGES]
            spent = [
                sum(float(r["seconds"]) for c in clips for r in x[c]) for x in (curve, against)
            ]
            cells.append(f"×{spent[0] / spent[1]:.2f}" if all(spent) else "–")
            rates = "–".join(f"{rate:g}".lstrip("0") for rate in band)
            yield [size, rates, " ".join(key).strip(), anchor, str(len(clips)), *cells]


def overall(
    anchor: Curves, row: Curves, clips: Sequence[str], name: str, band: tuple[float, float]
) -> str:
    """Mean BD-rate over clips with its interval; of flicker the ratio at equal rate."""
    percents = []
    for clip in clips:
        pair = [
            [(float(r["bpp"]), float(r[name])) for r in curves[clip] if r[name]]
            for curves in (anchor, row)
        ]
        if name == "flicker":
            value = ratio(*pair)
        else:
            value = bd_rate(*pair, METRICS[name].higher_is_better, band, len(TARGETS)).percent
        if value is not None:
            percents.append(value)
    if not percents:
        return "–"
    fewer = f" ({len(percents)})" if len(percents) < len(clips) else ""
    if name == "flicker":
        return f"×{np.exp(fmean(percents)):.2f}{fewer}"
    interval = bootstrap(percents)
    within = f" [{interval[0]:+.0f}, {interval[1]:+.0f}]" if interval else ""
    return f"{fmean(percents):+.1f} %{within}{fewer}"


def ratio(*curves: list[tuple[float, float]]) -> float | None:
    """Mean log of the second's values over the first's at equal rates."""
    if any(len(curve) < 2 for curve in curves):
        return None
    logs = [np.log(np.maximum(np.array(sorted(curve)), 1e-4)) for curve in curves]
    low, high = max(c[0, 0] for c in logs), min(c[-1, 0] for c in logs)
    if high <= low:
        return None
    rates = np.linspace(low, high, 20)
    first, second = (np.interp(rates, c[:, 0], c[:, 1]) for c in logs)
    return float((second - first).mean())


def check(options: argparse.Namespace) -> None:
    """Ends with 1 and a line where a mean is worse than that of the release before."""
    releases = sorted(path for path in options.releases.glob("*.csv") if path != options.out)
    if not releases:
        sys.exit(f"{options.releases}: no release to compare with")
    worse = []
    before, now = (
        [r for r in read_rows(path) if r["codec"] == "gvcodec"]
        for path in (releases[-1], options.out)
    )
    for size, output, name in itertools.product(
        SIZES, ("base", "painted"), ("psnr_y", "lpips_alex", "dists")
    ):
        old, new = (
            by_clip([r for r in rows if (size_of(r), r["output"]) == (size, output)])
            for rows in (before, now)
        )
        clips = sorted(set(old) & set(new))
        if not clips:
            continue
        text = overall(old, new, clips, name, (0.003, 0.12))
        print(size, output, METRICS[name].label, text)
        if not text.startswith("–") and float(text.split(" ")[0]) > ALLOWED:
            worse.append(f"{size} {output} {METRICS[name].label}")
    if worse:
        sys.exit(f"{', '.join(worse)}: more than {ALLOWED:g} % more bits than {releases[-1].stem}")


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "measure": measure,
    "all": everything,
    "report": report,
    "check": check,
    "sampling": sampling,
}


def main() -> None:
    def listed(text: str) -> list[str]:
        return text.split(",")

    def numbers(text: str) -> list[float]:
        return [float(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=tuple(COMMANDS))
    parser.add_argument("--data", type=Path, action="append", help="folder of clips; repeatable")
    parser.add_argument("--out", type=Path, default=RELEASES / "1.0.0.csv")
    parser.add_argument("--releases", type=Path, default=RELEASES, help="CSVs of releases")
    parser.add_argument("--codecs", type=listed, default=list(CODECS))
    parser.add_argument("--clips", type=listed, help="clips instead of the kept-out set")
    parser.add_argument(
        "--samples", type=float, default=1 << 30, help="most luma samples of a picture"
    )
    parser.add_argument("--frames", type=int, default=0, help="0: 48, of large pictures 24")
    parser.add_argument("--prefix", type=str.split, default=[], help="words before each command")
    parser.add_argument("--outputs", type=listed, default=["base", "painted"])
    parser.add_argument("--targets", type=numbers, default=list(TARGETS), help="rates in bpp")
    parser.add_argument("--q", type=numbers, default=[], help="qualities, instead of targets")
    parser.add_argument("--clip")
    parser.add_argument("--codec")
    parser.add_argument("--cvvdp", action="store_true", help="measure ColorVideoVDP too")
    parser.add_argument(
        "--judges", type=listed, default=list(JUDGES), help="metrics to measure; others stay empty"
    )
    parser.add_argument("--keep", type=Path, help="folder for middle frames")
    parser.add_argument("--anchor", default="svtav1", help="codec to compare with")
    parser.add_argument("--bands", action="store_true", help="a row for each band of rates")
    options = parser.parse_args()
    COMMANDS[options.command](options)


if __name__ == "__main__":
    main()
