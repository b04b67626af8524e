"""GVC1D in the miniature world against other encoders, in written files:
`python -m eval.experiments.miniature measure --model W.safetensors`, then `… summarize`;
networks against each other: `… summarize --output docs/data/gvc1d-parts.csv --against full-1`.

For each held-out seed a clip of the world is coded by a GVC1D network at several q (budget
`uniform`) and by SVT-AV1, libaom, x265 and VVenC (random access, intra frames where they like) at
several quality numbers; SVT-AV1 also at 3/4 and 1/2 of the size. Presets are those of `gvcodec
compare`, for libaom `-cpu-used 1`. Rows (docs/data/gvc1d-mini.csv): bytes of the file or
elementary stream, bits of frame payloads, PSNR-Y of all frames, LPIPS-Alex and DISTS of every 4th.
The network was trained on this world, the others were not. A network that was trained without a
part (`training.gvc1d.variants`) is coded without it.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

import gvcodec
from eval.points.bd import bd_rate, bootstrap
from eval.tools import append_rows
from gvcodec import perceptual
from gvcodec.compare.peers import encode
from gvcodec.gvc1d import frame_coder
from gvcodec.gvc1d.frame_coder import BLACK, RANGE
from gvcodec.models import read_arrays
from gvcodec.planes import Scaler
from gvcodec.types import Planes, VideoFormat
from training import world
from training.gvc1d.variants import make_codec

OUTPUT = Path(__file__).resolve().parents[2] / "docs/data/gvc1d-mini.csv"
METRICS = ("psnr_y_db", "lpips_alex", "dists")
FIELDS = ("model", "codec", "quality", "seed", "frames", "bytes", "payload_bits", *METRICS)
#: Quality numbers of each encoder, about .006 to .06 bits a pixel.
QUALITIES = {
    "gvc1d": (10, 25, 40, 55, 66),
    "svtav1": (70, 63, 55, 47),
    "svtav1-3/4": (70, 63, 55, 47, 40),
    "svtav1-1/2": (63, 55, 47, 40, 32),
    "aom": (63, 57, 50, 43),
    "x265": (51, 46, 41, 36),
    "vvenc": (63, 57, 50, 43),
}
#: Words of a preset other than that of `gvcodec compare`.
PRESETS = {"aom": ("-cpu-used", "1")}
_EVERY = 4
#: Bits a pixel that BD-rates may span.
_RANGE = (0.004, 0.12)


def source(seed: int, frames: int) -> list[Planes]:
    """A clip of the world in 8 bits, as `training.world.write` writes it, in codec planes."""
    clip = world.draw(seed, frames)
    levels = (
        (np.rint(16 + plane * 219) * 4).astype(np.uint16) for plane in (clip.y, clip.u, clip.v)
    )
    return list(zip(*levels, strict=True))


def format_of() -> VideoFormat:
    rate = Fraction(world.FRAME_RATE)
    return VideoFormat(world.SIZE, world.SIZE, rate, 1 / rate)


@contextmanager
def as_trained(model: Path) -> Iterator[None]:
    """Meanwhile networks run in the form that this weight file was trained in."""
    off = tuple(filter(None, read_arrays(model, ())[1].get("off", "").split(",")))
    with mock.patch.object(frame_coder, "Codec", lambda *network: make_codec(*network, off)):
        yield


def code_network(
    model: Path, q: float, frames: list[Planes], **options: Any
) -> tuple[int, int, list[Planes]]:
    """Bytes of the file, bits of its frame payloads, decoded pictures. `options` of `encode`."""
    options = {"base": "gvc1d", "model": str(model), "q": q, "keyint": 0} | options
    with as_trained(model):
        data = gvcodec.encode(frames, format=format_of(), threads=1, **options)
        reader = gvcodec.Reader(io.BytesIO(data))
        bits = sum(8 * len(packet.payload) for packet in reader.packets() if packet.is_frame)
        with gvcodec.open(io.BytesIO(data), models=[model]) as video:
            base_frames = [frame.base_frame for frame in video.decode_range(0, len(frames))]
    return len(data), bits, base_frames


def code_peer(name: str, quality: float, frames: list[Planes]) -> tuple[int, int, list[Planes]]:
    """Bytes of the elementary stream, its bits, decoded pictures. `name`: a peer, or a peer and its
    size, as in "svtav1-1/2"."""
    peer, _, scale = name.partition("-")
    down = Scaler(format_of(), Fraction(scale or 1))
    small = [down.apply(planes) for planes in frames] if scale else frames
    coded = encode(peer, small, down.format, quality, preset=PRESETS.get(peer, ()))
    up = Scaler(down.format, (world.SIZE, world.SIZE))
    size = sum(coded.sizes)
    return size, 8 * size, [up.apply(planes) for planes in coded.frames] if scale else coded.frames


class Judge:
    """PSNR-Y, LPIPS-Alex and DISTS of decoded frames."""

    def __init__(self) -> None:
        self._distances = {"lpips_alex": perceptual.lpips("alex"), "dists": perceptual.dists()}

    @torch.no_grad()
    def __call__(self, decoded: list[Planes], frames: list[Planes]) -> dict[str, float]:
        errors = [
            np.square(a[0] / 4.0 - b[0] / 4.0).mean() for a, b in zip(decoded, frames, strict=True)
        ]
        values = {"psnr_y_db": float(10 * np.log10(255**2 / np.mean(errors)))}
        pairs = [(_to_rgb(decoded[n]), _to_rgb(frames[n])) for n in range(0, len(frames), _EVERY)]
        for name, distance in self._distances.items():
            values[name] = float(np.mean([float(distance(a, b)) for a, b in pairs]))
        return values


def _to_rgb(planes: Planes) -> torch.Tensor:
    """[1, 3, H, W] in 0..1, BT.709 of the world's own range."""
    y, u, v = ((torch.from_numpy(p.astype(np.float32)) - BLACK) / RANGE for p in planes)
    u, v = (c.repeat_interleave(2, 0).repeat_interleave(2, 1) - 0.5 for c in (u, v))
    rgb = torch.stack([y + 1.5748 * v, y - 0.1873 * u - 0.4681 * v, y + 1.8556 * u])
    return rgb.clamp(0, 1)[None]


def measure(options: argparse.Namespace) -> None:
    judge, model = Judge(), options.model
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        frames = source(seed, options.frames)
        for codec in options.codecs.split(","):
            for quality in QUALITIES[codec]:
                if codec == "gvc1d":
                    size, bits, decoded = code_network(model, quality, frames)
                else:
                    size, bits, decoded = code_peer(codec, quality, frames)
                row = {
                    "model": (options.name or model.stem) if codec == "gvc1d" else "",
                    "codec": codec,
                }
                row |= {"quality": quality, "seed": seed, "frames": options.frames}
                row |= {"bytes": size, "payload_bits": bits}
                row |= {name: round(value, 4) for name, value in judge(decoded, frames).items()}
                append_rows(options.output, FIELDS, [list(row.values())])
                print(*row.values(), flush=True)


def read_curves(path: Path) -> dict[tuple[str, str, str, str], list[tuple[float, float]]]:
    """Points (bits a pixel, metric) by codec with its network, file or payload, metric, seed."""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    curves: dict[tuple[str, str, str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        samples = int(row["frames"]) * world.SIZE**2
        for size, bits in (
            ("file", 8 * float(row["bytes"])),
            ("payload", float(row["payload_bits"])),
        ):
            for metric in METRICS:
                key = row["codec"] + row["model"], size, metric, row["seed"]
                curves[key].append((bits / samples, float(row[metric])))
    return curves


def summarize(options: argparse.Namespace) -> None:
    """BD-rates of each network against each other encoder, or against the network `against`."""
    curves = read_curves(options.output)
    networks = sorted({key[0] for key in curves if key[0].startswith("gvc1d")})
    anchors = [f"gvc1d{options.against}"] if options.against else list(QUALITIES)[1:]
    print("network,against,rate,metric,bd_rate_percent,low,high,clips")
    for network in networks:
        for anchor in anchors:
            for size in ("file", "payload"):
                for metric in METRICS:
                    _print_row(curves, network, anchor, size, metric)


def _print_row(curves: Any, model: str, peer: str, size: str, metric: str) -> None:
    seeds = [key[3] for key in curves if key[:3] == (model, size, metric)]
    values = []
    for seed in seeds:
        anchor, test = (curves.get((codec, size, metric, seed), []) for codec in (peer, model))
        delta = bd_rate(anchor, test, metric == "psnr_y_db", _RANGE)
        if delta.percent is not None:
            values.append(delta.percent)
    interval = bootstrap(values)
    ends = ("", "") if interval is None else (f"{end:.1f}" for end in interval)
    mean = f"{np.mean(values):.1f}" if values else "no overlap"
    print(model, peer, size, metric, mean, *ends, f"{len(values)}/{len(seeds)}", sep=",")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m eval.experiments.miniature", description=__doc__)
    parser.add_argument("what", choices=("measure", "summarize"))
    parser.add_argument("--model", type=Path, default=Path("checkpoints/gvc1d-mini.safetensors"))
    parser.add_argument("--name", help="of the network in the rows (default: its file's)")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--against", help="summarize: the network that others are compared with")
    parser.add_argument("--codecs", default=",".join(QUALITIES))
    parser.add_argument("--first-seed", type=int, default=world.FIRST_TEST_SEED + 1000)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--frames", type=int, default=48)
    options = parser.parse_args(words)
    if options.first_seed >= world.FIRST_ACCEPTANCE_SEED:
        parser.error("seeds from 90,000 on are for acceptance")
    (measure if options.what == "measure" else summarize)(options)


if __name__ == "__main__":
    main()
