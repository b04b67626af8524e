"""Gain of quantizers by region under the painter: `python -m
eval.experiments.region_quantizer measure --app SvtAv1EncApp --data DIR` and `report`.

FFmpeg's wrapper of SVT-AV1 passes no map of regions on, SVT-AV1's own program does
(`--roi-map-file`), so this codes clips of one GOP with that program (version 4.2 or later) and the
settings of base av1. The map follows the metrics themselves, measured on decoded frames: `gain` of
a block of 64×64 is how strongly LPIPS-Alex and DISTS of the painted picture react to the error of
its base frame (the sum of |gradient × error|, through the painter), and `error` the squared error.
Equal quantizers are right for squared error, so a block's offset goes with the logarithm of gain /
error. Maps: `zero` (no offsets, but coded with a map), `gop` (one for all frames), `frames` (each
eighth of the GOP by itself) and `shuffled` (that of `gop`, at other blocks), times
`--strength`; `none` codes without a map.

The gradients come from the frames that are coded, so this is a bound: an encoder that must predict
them from the source gets less.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from eval import quick
from eval.experiments import base_settings
from eval.experiments.base_settings import Source
from eval.frames import Loaded
from eval.metrics import METRICS
from eval.tools import append_rows, markdown, read_rows
from gvcodec import perceptual
from gvcodec.api.decoded_frames import decode_planes
from gvcodec.base.standard import encoder as standard_encoder
from gvcodec.base.standard.encoders import Settings, av1_options
from gvcodec.base.standard.pipe import ivf_units
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.models import PAINTER
from gvcodec.painter.torch_twin.network import PainterNetwork, condition
from gvcodec.painter.torch_twin.objective import Batch, paint_run
from gvcodec.perceptual.losses import eight_bits
from gvcodec.types import Colour, Planes
from gvcodec.util.colour import known_colour
from gvcodec.util.tensors import to_rgb, to_tensors

OUTPUT = Path("docs/data/region-quantizer.csv")
#: Six clips of training of different kinds.
CLIPS = [*[*base_settings.CLIPS][:5], "pi3-examples-skating-ed9ee0"]
#: Luma samples of a picture, frames, and those whose gradients are taken.
SAMPLES, FRAMES, STEP = 640 * 360, 32, 4
QUALITIES = (42.0, 50.0, 58.0)
BLOCK = 64
#: Steps of SVT-AV1's quantizer index for a factor of two, about; most of a map's range; and how
#: many values a map may have.
_OCTAVE, _MOST, _VALUES = 40, 60, 8
FIELDS = (
    *("clip", "width", "height", "frames", "map", "strength", "q", "bytes", "bpp"),
    *("psnr_y", "lpips_alex", "dists", "ssimulacra2", "flicker"),
)
EVERY = {"psnr_y": 1, "lpips_alex": 4, "dists": 8, "ssimulacra2": 16, "flicker": 4}
Map = NDArray[np.int64]


class AppEncoder:
    """`UnitEncoder` that codes one GOP with SVT-AV1's own program and a map of offsets (frames,
    rows, columns) of its quantizer index; None for no map."""

    def __init__(
        self,
        app: Sequence[str],
        size: tuple[int, int],
        rate: Fraction,
        settings: Settings,
        offsets: Map | None,
    ) -> None:
        self._app, self._size, self._rate = list(app), size, rate
        self._options = av1_options(settings, size[0] * size[1], (4, 2, 0))
        self._offsets, self._frames = offsets, list[bytes]()

    def encode(self, planes: Planes, key: bool = False) -> list[tuple[bytes, bool]]:
        assert not key or not self._frames, "one GOP a clip"
        eight = [np.minimum((plane + 2) >> 2, 255).astype(np.uint8) for plane in planes]
        self._frames.append(b"FRAME\n" + b"".join(plane.tobytes() for plane in eight))
        return []

    def drain(self) -> Iterator[tuple[bytes, bool]]:
        (width, height), rate, options = self._size, self._rate, self._options
        head = f"YUV4MPEG2 W{width} H{height} F{rate.numerator}:{rate.denominator} Ip C420jpeg\n"
        with tempfile.TemporaryDirectory() as folder:
            clip, stream, roi = (Path(folder, name) for name in ("in.y4m", "out.ivf", "roi.txt"))
            clip.write_bytes(head.encode() + b"".join(self._frames))
            words = ["-i", str(clip), "-b", str(stream), "--keyint", "-1"]
            words += ["--preset", options["preset"], "--crf", options["crf"]]
            words += ["--svtav1-params", options["svtav1-params"]]
            if self._offsets is not None:
                lines = (
                    f"{number} {' '.join(map(str, offsets.reshape(-1)))}\n"
                    for number, offsets in enumerate(self._offsets)
                )
                roi.write_text("".join(lines))
                words += ["--roi-map-file", str(roi)]
            subprocess.run([*self._app, *words], check=True, capture_output=True)
            with stream.open("rb") as file:
                for number, unit in enumerate(ivf_units(file)):
                    yield unit, number == 0


def code(
    app: Sequence[str], source: Source, q: float, offsets: Map | None
) -> tuple[int, list[Planes], list[Planes]]:
    """Bytes of the file, its base frames and its painted ones in 8 bits."""

    def open_app(
        codec: str, width: int, height: int, rate: Fraction, colour: Colour, settings: Settings
    ) -> AppEncoder:
        return AppEncoder(app, (width, height), rate, settings, offsets)

    stream = io.BytesIO()
    config = EncoderConfig(base="av1", q=q, keyint=0, threads=1)
    with patch.object(standard_encoder, "open_encoder", open_app):
        frames = ((quick.wide(planes), None) for planes in source.frames)
        encode_stream(Encoder(source.format, config), stream, frames)
    data = stream.getvalue()
    base, painted = (
        [quick.narrow(planes) for planes in decode_planes(data, fidelity=only, threads=1)]
        for only in (True, False)
    )
    return len(data), base, painted


def ratios(source: Source, base: Sequence[Planes], q: float) -> NDArray[np.float64]:
    """Gain / error of each block (frames, rows, columns), between measured frames as in the nearest
    one before; positive."""
    painter = PainterNetwork.load(PAINTER.find())
    alex, dists = perceptual.lpips("alex"), perceptual.dists()
    fmt = source.format
    colour = known_colour(fmt.colour, fmt.height)
    none = torch.zeros(1)
    maps = []
    for number in range(STEP // 2, len(base), STEP):
        luma, chroma = to_tensors(quick.wide(base[number]))
        reference = to_tensors(quick.wide(source.frames[number]))
        luma.requires_grad_(True)
        batch = Batch(
            (luma[:, None], chroma[:, None]),
            (reference[0][:, None], reference[1][:, None]),
            torch.zeros(1, 1, 2, luma.shape[2] // 16, luma.shape[3] // 16),
            condition("av1", Fraction(1), round(q)),
            none.long(),
            none,
        )
        painted, _ = paint_run(painter, batch, number)
        picture, target = (
            to_rgb(eight_bits(y), eight_bits(uv), colour)[..., : fmt.height, : fmt.width]
            for y, uv in (painted, reference)
        )
        loss = alex(picture, target).sum() + dists(picture, target).sum()
        (gradient,) = torch.autograd.grad(loss, luma)
        error = (reference[0] - luma.detach())[0, 0]
        # A single step towards the source is noisy: only the sensitivity of a block counts.
        moves = _sums((gradient[0, 0] * error).abs())
        maps.append(moves / (_sums(error.square()) + 1e-4 * BLOCK * BLOCK / 255))
    return np.repeat(np.stack(maps), STEP, 0)[: len(base)].astype(np.float64)


def _sums(plane: torch.Tensor) -> NDArray[np.float32]:
    """Sums of blocks; incomplete blocks at the edges are scaled to whole ones."""
    height, width = plane.shape
    pads = (0, -width % BLOCK, 0, -height % BLOCK)
    total, samples = (
        F.avg_pool2d(F.pad(x, pads)[None, None], BLOCK)[0, 0]
        for x in (plane, torch.ones_like(plane))
    )
    sums: NDArray[np.float32] = (total / samples * BLOCK * BLOCK).numpy()
    return sums


def offsets_of(kind: str, ratio: NDArray[np.float64], strength: float) -> Map | None:
    """Offsets of the quantizer index, at most `_VALUES` different ones."""
    if kind == "none":
        return None
    logs = np.log2(np.maximum(ratio, 1e-12))
    if kind != "frames":
        logs = np.broadcast_to(logs.mean(0, keepdims=True), logs.shape)
    else:
        size = max(1, len(logs) // 8)
        groups = [logs[n : n + size] for n in range(0, len(logs), size)]
        logs = np.concatenate([np.broadcast_to(g.mean(0), g.shape) for g in groups])
    logs = logs - logs.mean((1, 2), keepdims=True)
    offsets = np.clip(-0.5 * _OCTAVE * strength * logs, -_MOST, _MOST)
    if kind == "zero":
        offsets = np.zeros_like(offsets)
    if kind == "shuffled":
        flat = offsets.reshape(len(offsets), -1)
        order = np.random.default_rng(1).permutation(flat.shape[1])
        offsets = flat[:, order].reshape(offsets.shape)
    step = max(1.0, (offsets.max() - offsets.min()) / (_VALUES - 1))
    values: Map = np.rint(np.rint(offsets / step) * step).astype(np.int64)
    return values


def measure(options: argparse.Namespace) -> None:
    """Rows that the CSV lacks."""
    torch.set_num_threads(1)
    for clip in options.clips:
        path = quick.find_clip(options.data, clip)
        source = Source(clip, *quick.read(path, options.samples, FRAMES))
        fmt = source.format
        judge = quick.measurer(source.frames, fmt.frame_rate, EVERY, fmt.colour.matrix)
        measured_points = {
            (row["clip"], row["map"], float(row["strength"]), float(row["q"]))
            for row in read_rows(options.out)
        }
        for q in options.q:
            settings = [("none", 0.0), ("zero", 0.0)]
            settings += [(kind, s) for s in options.strength for kind in options.maps]
            missing = [
                setting for setting in settings if (clip, *setting, q) not in measured_points
            ]
            if not missing:
                continue
            first = code(options.app, source, q, None)
            ratio = ratios(source, first[1], q)
            for kind, strength in missing:
                offsets = offsets_of(kind, ratio, strength)
                size, _, painted = (
                    first if offsets is None else code(options.app, source, q, offsets)
                )
                loaded: Any = Loaded(painted)
                values = judge(loaded)
                bpp = 8 * size / (len(source.frames) * fmt.width * fmt.height)
                cells = [f"{values[n]['mean']:.5f}" if n in values else "" for n in EVERY]
                head = [clip, fmt.width, fmt.height, len(source.frames), kind, f"{strength:g}"]
                append_rows(options.out, FIELDS, [[*head, f"{q:g}", size, f"{bpp:.6f}", *cells]])


def report(options: argparse.Namespace) -> None:
    """Bits at equal quality against `none`, in per cent, mean over clips."""
    rows = read_rows(options.out)
    names = [name for name in EVERY if any(row[name] for row in rows)]
    kinds = dict.fromkeys((row["map"], row["strength"]) for row in rows)
    lines = []
    for kind in kinds:
        table: list[list[float | None]] = [[] for _ in names]
        clips = 0
        for clip in options.clips:
            anchor, other = (
                [r for r in rows if r["clip"] == clip and (r["map"], r["strength"]) == setting]
                for setting in (("none", "0"), kind)
            )
            if len(anchor) < 2 or len(other) < 2:
                continue
            clips += 1
            for name, column in zip(names, table, strict=True):
                column.append(base_settings.change(anchor, other, name))
        if kind != ("none", "0") and clips:
            cells = [base_settings.mean(n, column) for n, column in zip(names, table, strict=True)]
            lines.append([f"{kind[0]} ×{kind[1]}", str(clips), *cells])
    print(markdown(["map", "clips", *(METRICS[name].marked_label for name in names)], lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("command", choices=("measure", "report"))
    add("--app", type=lambda text: text.split(), help="SVT-AV1's own program, and words before it")
    add("--data", type=Path, action="append", help="folder of clips; repeatable")
    add("--clips", type=lambda text: text.split(","), default=CLIPS)
    add("--q", type=lambda text: [float(n) for n in text.split(",")], default=list(QUALITIES))
    add("--maps", type=lambda text: text.split(","), default=["gop", "frames", "shuffled"])
    add("--strength", type=lambda text: [float(n) for n in text.split(",")], default=[0.5, 1.0])
    add("--samples", type=float, default=SAMPLES, help="most luma samples of a picture")
    add("--out", type=Path, default=OUTPUT)
    options = parser.parse_args()
    (measure if options.command == "measure" else report)(options)


if __name__ == "__main__":
    main()
