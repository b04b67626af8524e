"""Painters on held-out crops of training material: `python -m eval.experiments.painter_forms CACHE
NAME=PAINTER …`.

Rows go to docs/data/painter-forms.csv, one for each crop and painter ("base": the base frame): the
last frame of a run of three by LPIPS-Alex, plain and dithered (mean of two seeds), dithered
LPIPS-VGG and DISTS, PSNR-Y (dB) and flicker (excess change, 8-bit levels). Rows that are there are
kept. `--report` prints changes against the first painter, with 95 % bootstrap intervals over clips.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from eval.colour import to_rgb
from eval.experiments.gain_bounds import Judge, to_planes
from eval.tools import append_rows, markdown, read_rows
from gvcodec.painter.torch_twin.network import PainterNetwork
from gvcodec.painter.torch_twin.objective import Batch, paint_run
from gvcodec.perceptual.losses import eight_bits, temporal_loss
from training.crops import Cache

OUTPUT = Path(__file__).resolve().parents[2] / "docs/data/painter-forms.csv"
LOOKS: dict[str, Sequence[int]] = {"lpips_alex": (0, 1, 2), "lpips_vgg": (1,), "dists": (1,)}
METRICS = ("lpips_alex", "lpips_alex_dithered", "lpips_vgg_dithered", "dists_dithered")
METRICS = (*METRICS, "psnr_y", "flicker")
FIELDS = ("material", "record", "painter", *METRICS)
#: Differences, not ratios, are reported of these: decibels, and levels that may be 0.
_ABSOLUTE = ("psnr_y", "flicker")
_SIDE = 256


@torch.inference_mode()
def measure(cache: Cache, painters: dict[str, PainterNetwork], options: argparse.Namespace) -> None:
    """Appends the missing rows."""
    done = {(row["material"], row["record"], row["painter"]) for row in read_rows(options.out)}
    for record in range(options.records):
        for entry, facts in enumerate(cache.entries):
            missing = [
                n for n in ("base", *painters) if (facts["name"], str(record), n) not in done
            ]
            if not missing:
                continue
            batch = cache.batch(1, _SIDE, [(entry, record)])
            sources = [(batch.source[0][:, t], batch.source[1][:, t]) for t in (-2, -1)]
            judge = Judge(lambda p: to_rgb(p, 6, False, 8), to_planes(sources[1]), LOOKS)
            for name in missing:
                shown, before = (batch.base[0][:, -1], batch.base[1][:, -1]), batch.base[0][:, -2]
                if name != "base":
                    shown, before = paint_run(painters[name], batch, 0)
                values = judge(to_planes(shown)) | {"flicker": _flicker(shown, before, batch)}
                cells = [f"{values[metric]:.5f}" for metric in METRICS]
                append_rows(options.out, FIELDS, [[facts["name"], record, name, *cells]])
                print(facts["name"], record, name, *cells, flush=True)


def _flicker(shown: tuple[Tensor, Tensor], before: Tensor | None, batch: Batch) -> float:
    assert before is not None
    now, then = eight_bits(shown[0].clamp(0, 1)), eight_bits(before.clamp(0, 1))
    source, previous = batch.source[0][:, -1], batch.source[0][:, -2]
    excess = temporal_loss(now, then, source, previous, batch.vectors[:, -1])
    return 1023 / 4 * float(excess)


def report(path: Path, anchor: str) -> None:
    """Changes against a painter, by crops; the interval is of means over clips."""
    rows = read_rows(path)
    first = {(r["material"], r["record"]): r for r in rows if r["painter"] == anchor}
    rng, lines = np.random.default_rng(0), []
    for name in dict.fromkeys(row["painter"] for row in rows):
        cells = [name]
        for metric in METRICS:
            changes: dict[str, list[float]] = {}
            for row in rows:
                other = first.get((row["material"], row["record"]))
                if row["painter"] == name and other:
                    pair = float(row[metric]), float(other[metric])
                    change = pair[0] - pair[1] if metric in _ABSOLUTE else np.log(pair[0] / pair[1])
                    changes.setdefault(row["material"], []).append(change)
            means = np.array([fmean(values) for values in changes.values()])
            draws = rng.choice(means, (2000, len(means))).mean(1)
            found = means.mean(), *np.quantile(draws, (0.025, 0.975))
            if metric in _ABSOLUTE:
                cells.append("{:+.3f} [{:+.3f}, {:+.3f}]".format(*found))
            else:
                cells.append("{:+.1f} % [{:+.1f}, {:+.1f}]".format(*(100 * np.expm1(found))))
        lines.append(cells)
    print(markdown(["painter", *METRICS], lines))


def main() -> None:
    parser = argparse.ArgumentParser(prog="painter_forms", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("cache", type=Path, help="material with held-out clips")
    parser.add_argument("painters", nargs="*", metavar="NAME=PAINTER")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    parser.add_argument("--records", type=int, default=2, help="crops of a coded clip")
    parser.add_argument("--report", metavar="NAME", help="against this painter")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pairs = (text.split("=", 1) for text in options.painters)
    painters = {name: PainterNetwork.load(Path(path)) for name, path in pairs}
    if painters:
        measure(Cache(options.cache, held_out=True), painters, options)
    if options.report:
        report(options.out, options.report)


if __name__ == "__main__":
    main()
