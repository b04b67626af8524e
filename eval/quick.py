"""Quick measurements of clips in memory, without files for each step: encode, decode in another
process, measure; then compare rows of a CSV.

`eval rd` does the same with every codec as a program of its own, a search for each rate and the
full conditions, and takes hours. Clips are lists of 8-bit `Planes`. Codecs of `code`:

    gvcodec         default options of base av1, the whole file, base frames and painted
    fast, best      the other speeds; tokens, tokens:search: tokens steer the painter; unsteady:
                    all GOPs at one strength; strength:32:24: at that one (noise, keep); preset:6:
                    at that preset; untextured: the base at SVT-AV1's own settings
    vvc             base vvc, and at preset slow (vvc:slow); 1/2, 3/4: sizes of av1
    gvc1d           base gvc1d with its shipped network
    svtav1          the newest SVT-AV1 at preset 4 (at 3/4 and 1/2 size too, where rates are low);
                    svtav1-tuned: CDEF and restoration off, ac-bias=4
    svt             SVT-AV1 as base av1 calls it, and so at other settings: svt:p4:scm=0
    vvenc, x265, aom   VVenC slow, x265 veryslow, libaom at cpu-used 4, as `eval rd` calls them

Raises EvalError for metrics that cannot be measured, KeyError for an unknown codec.
"""

from __future__ import annotations

import functools
import io
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

from eval.codecs import peers
from eval.codecs.codec import Options
from eval.colour import Planes
from eval.frames import clip_of, read_frames
from eval.metrics import METRICS, Measurer, need
from eval.points.bd import bd_rate, bootstrap
from eval.sequences import KEPT_OUT, KEPT_OUT_HD
from eval.tools import read_rows, run_command
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

TARGETS = (0.0045, 0.016, 0.055)
BANDS = ((0.003, 0.01), (0.01, 0.03), (0.03, 0.08))
#: Names of sizes, and the most luma samples of a picture.
SIZES = {"thumbnail": 100_000, "480p": 864 * 480, "720p": 1280 * 720, "1080p": 1 << 30}
EVERY = {"psnr_y": 1, "lpips_alex": 8, "dists": 24, "ssimulacra2": 24, "flicker": 8}
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
    else:
        settings = _SETTINGS[name]
    stream = io.BytesIO()
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
