"""What could better gain maps of the painter gain? `python -m eval.experiments.gain_bounds CLIP …`.

A painter scales three bands of the base frame by gains on a grid of 8 luma samples, and adds noise.
Here the gains are an oracle's: they give each band the source's local energy (17 luma samples), on
grids of 4, 8 and 64 samples, without noise and with the painter's own; the rest is the painter's.
Grids of 4 and 8 bound prediction; gains of 64 samples could be sent: they are in quarters of log2,
and `bits` is their entropy per frame. A *visible* oracle sees both pictures with the noise of
dithered metrics; a *fitted* one has the gains of least squared error. `painter, then` scales bands
of the painted picture. `file` is the decoded file with the encoder's strength; all other rows have
strength 1.

Rows go to docs/data/gain-bounds.csv: LPIPS-Alex and DISTS, plain and dithered (mean of two seeds,
one for DISTS), PSNR-Y (dB). `--report` prints changes against base frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from eval.colour import Planes
from eval.frames import clip_of
from eval.metrics import network
from eval.quick import code, narrow, read, wide
from eval.tools import append_rows, markdown, read_rows
from gvcodec.models import PAINTER
from gvcodec.painter import model as I
from gvcodec.painter.cpu import block_vectors
from gvcodec.painter.torch_twin.filters import Bands, decimate, shift_right, times, upsample
from gvcodec.painter.torch_twin.network import FrameObservation, PainterNetwork, State, condition
from gvcodec.painter.torch_twin.objective import fresh
from gvcodec.perceptual.dither import SIGMA, dither
from gvcodec.perceptual.dither import noise as dither_noise
from gvcodec.types import BLOCK

OUTPUT = Path(__file__).resolve().parents[2] / "docs/data/gain-bounds.csv"
METRICS = ("lpips_alex", "lpips_alex_dithered", "dists", "dists_dithered", "psnr_y")
FIELDS = ("clip", "q", "form", "noise", *METRICS, "bits", "bits_of_a_frame")
#: Frames of a clip that are coded; metrics of the measured ones, see `Judge`.
COUNT = 13
LOOKS: dict[int, dict[str, Sequence[int]]] = {
    6: {"lpips_alex": (0, 1, 2)},
    12: {"lpips_alex": (0, 1, 2), "dists": (0, 1)},
}
#: A map's value for twice the band; least and most that a band is scaled by.
_ONE, _LEAST, _MOST = 8192, 0.1, 3.0
#: Energy that no gain restores: of a tenth of a level squared, in quarters of 10-bit codes.
_FAINT = 0.1 * 16**2
_WINDOWS = (17, 9, 9)  # samples of the scale
#: Grids of the oracle's gains in luma samples; steps of log2 on the last, which would be sent.
GRIDS, _STEP = (4, 8, 64), 0.25


def _pad(planes: Planes) -> tuple[Tensor, Tensor]:
    """10-bit planes as (1, 1, H, W) and (1, 2, H/2, W/2) in 0…1, padded to whole blocks."""

    def pad(x: Tensor, unit: int) -> Tensor:
        bottom, right = (-n % unit for n in x.shape[-2:])
        return F.pad(x, (0, right, 0, bottom), mode="replicate")

    y, u, v = (torch.from_numpy(p.astype(np.float32) / I.PEAK)[None, None] for p in planes)
    return pad(y, BLOCK), pad(torch.cat([u, v], 1), BLOCK // 2)


def band_scales(luma: Tensor) -> list[Tensor]:
    """The undirected band of each scale of luma codes, as the painter has them."""
    half = decimate(luma)
    scales = [Bands(luma, fine=True), second := Bands(half), Bands(second.low, 2)]
    return [bands.bands[:, :1] for bands in scales]


@lru_cache(maxsize=1)
def dither_energies() -> tuple[float, ...]:
    """Mean energy of the bands of the dithered metrics' noise, in quarters of codes squared."""
    noise = torch.from_numpy(dither_noise((1, 256, 256), 0, 4 * SIGMA))[0][None]
    return tuple(float(band.square().mean()) for band in band_scales((255 * noise).round()))


def local_gains(
    source: Sequence[Tensor], own: Sequence[Tensor], grid: int, oracle: str = "energy"
) -> list[Tensor]:
    """log2 of gains for own bands, one for each `grid` luma samples: of the sums of a region on the
    largest grid, else the mean of local ones. `oracle`: see the module."""
    logs = []
    for number, (window, theirs, ours) in enumerate(zip(_WINDOWS, source, own, strict=True)):
        side = grid if number == 0 else grid // 2

        def local(x: Tensor, window: int = window, side: int = side) -> Tensor:
            if grid == GRIDS[-1]:
                return _pool(x, side)
            return F.avg_pool2d(x, window, 1, window // 2, count_include_pad=False)

        floor = _FAINT + (dither_energies()[number] if oracle == "visible" else 0.0)
        energy = local(ours.square()) + floor
        if oracle == "fitted":
            log = torch.log2(((local(theirs * ours) + floor) / energy).clamp(min=_LEAST))
        else:
            log = 0.5 * torch.log2((local(theirs.square()) + floor) / energy)
        logs.append(log if grid == GRIDS[-1] else _pool(log, side))
    return logs


def _pool(x: Tensor, side: int) -> Tensor:
    """Means of squares; those at the border repeat its samples."""
    bottom, right = (-n % side for n in x.shape[-2:])
    return F.avg_pool2d(F.pad(x, (0, right, 0, bottom), mode="replicate"), side)


def gain_maps(
    logs: Sequence[Tensor], grid: int, shape: tuple[int, int]
) -> tuple[list[Tensor], float]:
    """Gains minus 1 on the half grid of a padded picture, and the bits of their values (0 for grids
    that are predicted)."""
    maps, bits = [], 0.0
    for log in logs:
        values = log
        if grid == GRIDS[-1]:
            steps = torch.round(log / _STEP)
            counts = torch.unique(steps, return_counts=True)[1].double()
            bits += float(-(counts * torch.log2(counts / counts.sum())).sum())
            values = steps * _STEP
        gains = torch.exp2(values).clamp(max=_MOST) - 1
        raised = F.interpolate(gains, scale_factor=grid // 2, mode="bilinear", align_corners=False)
        maps.append(raised[..., : shape[0] // 2, : shape[1] // 2])
    return maps, bits


def gain_detail(scales: Sequence[Tensor], maps: Sequence[Tensor]) -> Tensor:
    """Detail of luma, eighths of a code, that the gains add: as docs/spec/painter.md, Detail."""
    wide = [torch.round(_ONE * gains) for gains in maps]
    parts = [times(8 * band, gains) for band, gains in zip(scales[1:], wide[1:], strict=True)]
    below = torch.stack(parts).sum(0).clamp(-I.COARSE, I.COARSE)
    fine = wide[0].repeat_interleave(2, 2).repeat_interleave(2, 3)
    return upsample(below) + times(8 * scales[0], fine)


class EditedPainter:
    """The painter's step behind the trunk, with other gains."""

    def __init__(self, painter: PainterNetwork) -> None:
        self.painter, self.rescale = painter, painter.head.rescale
        self.state: State | None = None

    def paint(
        self, seen: FrameObservation, maps: Sequence[Tensor] | None, noise: bool
    ) -> tuple[Tensor, Tensor]:
        """The next frame, (luma, chroma), not clipped. `maps`: gains, see `gain_maps`; None: the
        painter's."""

        def edited(sums: Tensor) -> Tensor:
            steering = self.rescale(sums).clone()
            if maps is not None:
                steering[:, I.GAIN_ROWS] = 0
            if not noise:
                steering[:, I.NOISE_ROWS] = 0
            return steering

        def add_detail(x: FrameObservation) -> tuple[Tensor, Tensor, Tensor]:
            detail, tint, share = PainterNetwork.add_detail(self.painter, x)
            if maps is not None:
                detail = detail + gain_detail([s[:, :1] for s in x.scales], maps)
            return detail.clamp(-I.DETAIL, I.DETAIL), tint, share

        self.painter.head.rescale = edited  # type: ignore[method-assign]
        self.painter.add_detail = add_detail  # type: ignore[method-assign]
        try:
            luma, chroma, self.state = self.painter.paint(seen, self.state)
        finally:
            del self.painter.head.rescale, self.painter.add_detail
        return luma, chroma


def to_planes(painted: tuple[Tensor, Tensor], height: int = 0, width: int = 0) -> Planes:
    """Planes (1, 1, H, W) and (1, 2, H/2, W/2) in 0…1 as 8-bit samples of the picture's size (0:
    all)."""
    luma, chroma = ((I.PEAK * x[0].clamp(0, 1)).round().numpy().astype(np.uint16) for x in painted)
    height, width = height or luma.shape[1], width or luma.shape[2]
    u, v = chroma[:, : height // 2, : width // 2]
    return narrow((luma[0, :height, :width], u, v))


class Judge:
    """Metrics of pictures of one source frame; maps of the source are computed once."""

    def __init__(
        self,
        rgb: Callable[[Planes], NDArray[np.float32]],
        source: Planes,
        looks: dict[str, Sequence[int]],
    ) -> None:
        """`looks`: metrics with the seeds of their dither; 0 is the plain metric."""
        self.rgb, self.luma = rgb, source[0].astype(np.float64)
        reference = torch.from_numpy(rgb(source))[None]
        self.distances: list[tuple[str, Any, int, Any]] = []
        for name, seeds in looks.items():
            distance = network(name, "cpu")
            for seed in seeds:
                picture = dither(reference, (0, seed)) if seed else reference
                maps = list(distance.maps(picture)) if hasattr(distance, "maps") else picture
                self.distances.append((name, distance, seed, maps))

    @torch.inference_mode()
    def __call__(self, planes: Planes) -> dict[str, float]:
        picture = torch.from_numpy(self.rgb(planes))[None]
        values: dict[str, list[float]] = {}
        for name, distance, seed, maps in self.distances:
            seen = dither(picture, (1, seed)) if seed else picture
            values.setdefault(f"{name}_dithered" if seed else name, []).append(
                float(distance(seen, maps))
            )
        error = ((planes[0].astype(np.float64) - self.luma) ** 2).mean()
        values["psnr_y"] = [10 * float(np.log10(255**2 / max(error, 1e-9)))]
        return {name: fmean(found) for name, found in values.items()}


@dataclass(frozen=True)
class Form:
    """Gains of a row. `grid`: of the oracle's, 0 for the painter's own; `is_after`: they scale the
    painted picture; `oracle`: see the module."""

    name: str
    grid: int = 0
    is_after: bool = False
    oracle: str = "energy"


FORMS = [
    Form("painter"),
    *(Form(f"oracle {grid}", grid) for grid in GRIDS),
    Form("painter, then oracle 64", 64, True),
    Form("visible oracle 8", 8, oracle="visible"),
    Form("painter, then visible oracle 64", 64, True, "visible"),
    Form("fitted oracle 8", 8, oracle="fitted"),
    Form("fitted oracle 64", 64, oracle="fitted"),
    Form("painter, then fitted oracle 64", 64, True, "fitted"),
]


def correct(luma: Tensor, source: Sequence[Tensor], form: Form) -> tuple[Tensor, float]:
    """Painted luma (1, 1, H, W) in 0…1 with bands scaled to the source's, and bits."""
    codes = (luma.clamp(0, 1) * I.PEAK).round()
    scales = band_scales(codes)
    maps, bits = gain_maps(
        local_gains(source, scales, form.grid, form.oracle), form.grid, codes.shape[-2:]
    )
    return (codes + shift_right(gain_detail(scales, maps), 3)) / I.PEAK, bits


@torch.inference_mode()
def measure(path: Path, options: argparse.Namespace) -> None:
    """Appends the rows of one clip."""
    done = {row["form"] for row in read_rows(options.out) if row["clip"] == path.stem}
    missing = [form for form in FORMS if form.name not in done]
    if not missing:
        return
    forms = [form for form in FORMS if form in missing or not form.grid]
    frames, fmt = read(path, options.samples, COUNT)
    size, outputs = code("gvcodec", frames, fmt, options.q)
    base, file_frames = (list(outputs[name]()) for name in ("base", "painted"))
    painter = PainterNetwork.load(options.painter)
    given = condition("av1", Fraction(1), round(options.q))
    given[:, -1] = I.rate(size // COUNT, fmt.width, fmt.height)
    rgb = clip_of(frames, fmt.frame_rate).rgb
    editors = {
        (form.name, noise): EditedPainter(painter) for form in forms for noise in (False, True)
    }
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    bits: dict[tuple[str, str], list[float]] = {}
    seen: FrameObservation | None = None
    before: NDArray[np.uint16] | None = None
    for t, (source, decoded) in enumerate(zip(frames, base, strict=True)):
        luma, chroma = _pad(wide(decoded))
        now = (luma[0, 0] * I.PEAK).round().numpy().astype(np.uint16)
        vectors = None if before is None else torch.from_numpy(block_vectors(now, before))[None]
        before = now
        noise = fresh(*luma.shape[-2:], t)
        seen = painter.trunk(luma, chroma, vectors, noise, seen, given)
        theirs = band_scales((_pad(wide(source))[0] * I.PEAK).round())
        own = [scale[:, :1] for scale in seen.scales]
        judge = Judge(rgb, source, LOOKS[t]) if t in LOOKS else None
        if judge and not done:
            found.setdefault(("base", ""), []).append(judge(decoded))
            found.setdefault(("file", "yes"), []).append(judge(file_frames[t]))
        shown: dict[bool, tuple[Tensor, Tensor]] = {}
        for form in forms:
            maps, cost = None, 0.0
            if form.grid and not form.is_after:
                logs = local_gains(theirs, own, form.grid, form.oracle)
                maps, cost = gain_maps(logs, form.grid, luma.shape[-2:])
            for has_noise in (False, True):
                if form.is_after:
                    corrected, cost = correct(shown[has_noise][0], theirs, form)
                    picture = corrected, shown[has_noise][1]
                else:
                    picture = editors[form.name, has_noise].paint(seen, maps, has_noise)
                    shown = shown if form.grid else shown | {has_noise: picture}
                key = form.name, "yes" if has_noise else "no"
                bits.setdefault(key, []).append(cost)
                if judge and form in missing:
                    pixels = to_planes(picture, *source[0].shape)
                    found.setdefault(key, []).append(judge(pixels))
    for (name, has), values in found.items():
        cells = [f"{fmean(v[m] for v in values if m in v):.5f}" for m in METRICS]
        cost = fmean(bits.get((name, has), [0.0]))
        tail = [f"{cost:.0f}", f"{cost / (8 * size / COUNT):.4f}"]
        append_rows(options.out, FIELDS, [[path.stem, options.q, name, has, *cells, *tail]])
        print(path.stem, name, has, *cells, *tail, flush=True)


def report(path: Path) -> None:
    """Changes against base frames, geometric means over clips."""
    rows, lines = read_rows(path), []
    base = {row["clip"]: row for row in rows if row["form"] == "base"}
    for form, noise in dict.fromkeys((row["form"], row["noise"]) for row in rows):
        if form == "base":
            continue
        chosen = [row for row in rows if (row["form"], row["noise"]) == (form, noise)]
        cells = [form, noise]
        for name in METRICS:
            pairs = [(float(row[name]), float(base[row["clip"]][name])) for row in chosen]
            if name == "psnr_y":
                cells.append(f"{fmean(a - b for a, b in pairs):+.2f} dB")
            else:
                change = np.exp(fmean(np.log(a / b) for a, b in pairs)) - 1
                cells.append(f"{100 * change:+.1f} %")
        cells.append(f"{100 * fmean(float(row['bits_of_a_frame']) for row in chosen):.1f} %")
        lines.append(cells)
    print(markdown(["gains", "noise", *METRICS, "bits"], lines))


def main() -> None:
    parser = argparse.ArgumentParser(prog="gain_bounds", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("clips", type=Path, nargs="*")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    parser.add_argument("--painter", type=Path, default=PAINTER.find())
    parser.add_argument("--samples", type=float, default=480 * 270, help="most luma samples")
    parser.add_argument("--q", type=float, default=54)
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for clip in options.clips:
        measure(clip, options)
    if options.report:
        report(options.out)


if __name__ == "__main__":
    main()
