"""Gain of sharing bits among scenes (`--alloc`): `python -m eval.experiments.scenes measure --data
FOLDER`, then `report`.

Each film of `FILMS` is made of scenes of short clips, or of their first frames (as slides are), all
of one size. It is coded in base av1 at the qualities of `QUALITIES` with each `--alloc`
(`shuffled`: the budget by ELBO of the next scene), painted without fitting, and measured scene by
scene: LPIPS-Alex, DISTS and luma PSNR, mean and worst scene. `report` compares at the bytes of
`uniform`, by the line through two points. Films of `kept` clips (`eval/kept_out.csv`) chose
nothing.
"""

from __future__ import annotations

import argparse
import io
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, product
from pathlib import Path
from statistics import fmean

import numpy as np

from eval.colour import Planes
from eval.experiments.kept_out import decode, measurer, wide
from eval.frames import Loaded, clip_in, read_frames
from eval.tools import append_rows, markdown, read_rows
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.rate.scenes import gop_offsets
from gvcodec.types import VideoFormat

SIZE = (416, 240)
QUALITIES = (54.0, 61.0)
METHODS = ("uniform", "elbo", "rd")
EVERY = {"psnr_y": 1, "lpips_alex": 8, "dists": 24}
#: A middle preset: budgets move bits in the same way at each.
PRESET = 6
RATE = Fraction(25)
FIELDS = ("film", "kept", "method", "q", "bytes", "scene", *EVERY, "trial", "seconds")


@dataclass(frozen=True)
class Film:
    """`scenes`: (part of a clip's name, frames); "=" before a name: its first frame, standing."""

    kept: bool
    scenes: tuple[tuple[str, int], ...]


FILMS = {
    "sport": Film(
        False, (("pose-estimat-videos-tennis", 24), ("football", 24), ("skateboard", 24))
    ),
    "film": Film(
        False,
        (("embedding-2-videos-forest", 24), ("carnd-lanelines", 24), ("videos-dog-4c1d00", 24))
        + (("videos-traffic-d46e81", 24),),
    ),
    "talk": Film(
        False,
        (("face-3-65b359", 24), ("=clouds", 24), ("face-3-65b359", 24))
        + (("=pedestrians-d5e0bf", 24),),
    ),
    "nature": Film(False, (("rain-7afc6e", 24), ("surf-2fe9d9", 24), ("bird-4486c0", 24))),
    "kept-a": Film(
        True, (("bmx-trees", 24), ("parrot", 24), ("movie-date", 24), ("=videos-beaches", 24))
    ),
    "kept-b": Film(
        True,
        (("videos-street-038", 24), ("assets-videos-people", 24), ("driving-d9", 24))
        + (("videos-impro", 24),),
    ),
}


def read_scene(data: Path, name: str, count: int) -> list[Planes]:
    """Raises EvalError where the clip is missing."""
    still = name.startswith("=")
    path = clip_in(data, name.removeprefix("="))
    frames, _ = read_frames(path, 1 if still else count, lambda w, h: SIZE)
    return frames * count if still else frames


def code(frames: list[Planes], method: str, q: float) -> tuple[bytes, float, float]:
    """The file, processor seconds of the trial and of all."""
    fmt = VideoFormat(*SIZE, RATE, 1 / RATE)
    alloc = "elbo" if method == "shuffled" else method
    config = EncoderConfig(base="av1", q=q, threads=1, fit=0, alloc=alloc, preset=PRESET).resolve()
    began, stream = _cpu(), io.BytesIO()
    if method != "uniform":
        offsets = gop_offsets(map(wide, frames), fmt, config)
        offsets = offsets[1:] + offsets[:1] if method == "shuffled" else offsets
        config = replace(config, gop_q=offsets)
    trial = _cpu() - began
    encode_stream(Encoder(fmt, config), stream, ((wide(planes), None) for planes in frames))
    return stream.getvalue(), trial, _cpu() - began


def _cpu() -> float:
    return sum(os.times()[:4])


def measure(data: Path, out: Path, films: list[str], methods: Sequence[str]) -> None:
    known = {(row["film"], row["method"], row["q"]) for row in read_rows(out)}
    for name in films:
        scenes = [read_scene(data, *scene) for scene in FILMS[name].scenes]
        judges = [measurer(scene, RATE, EVERY) for scene in scenes]
        frames = [planes for scene in scenes for planes in scene]
        for method, q in product(methods, QUALITIES):
            if (name, method, str(q)) in known:
                continue
            coded, trial, seconds = code(frames, method, q)
            shown, rows = iter(decode(coded, False)), []
            head = name, FILMS[name].kept, method, q, len(coded)
            for number, (scene, judge) in enumerate(zip(scenes, judges, strict=True)):
                found = judge(Loaded(list(islice(shown, len(scene)))))
                means = (round(found[m]["mean"], 5) for m in EVERY)
                rows.append([*head, number, *means, round(trial, 2), round(seconds, 2)])
            append_rows(out, FIELDS, rows)


def report(out: Path) -> str:
    """At the bytes of `uniform`, each quality: change of the mean and of the worst scene."""
    found: dict[tuple[str, str, float], list[dict[str, str]]] = defaultdict(list)
    for row in read_rows(out):
        found[row["film"], row["method"], float(row["q"])].append(row)
    lines = []
    for film in dict.fromkeys(key[0] for key in found):
        for method in sorted({m for f, m, _ in found if f == film} - {"uniform"}):
            known = sorted(q for f, m, q in found if (f, m) == (film, method))
            changes: dict[str, list[float]] = defaultdict(list)
            for q in known:
                usual = found[film, "uniform", q]
                for metric in ("lpips_alex", "dists"):
                    for pool in (fmean, max):
                        here = _at_bytes(
                            found, film, method, metric, pool, float(usual[0]["bytes"])
                        )
                        there = pool(float(row[metric]) for row in usual)
                        changes[f"{metric} {pool.__name__}"].append(100 * (here / there - 1))
                row = found[film, method, q][0]
                changes["trial"].append(100 * float(row["trial"]) / float(row["seconds"]))
            kept = "kept out" if found[film, method, known[0]][0]["kept"] == "True" else ""
            lines.append([film, kept, method, *(f"{fmean(v):+.1f}" for v in changes.values())])
    header = ["film", "clips", "alloc"]
    header += ["LPIPS %", "worst scene", "DISTS %", "worst scene", "trial %"]
    return markdown(header, lines)


def _at_bytes(found, film, method, metric, pool, size: float) -> float:  # type: ignore[no-untyped-def]
    """The metric of a method at `size` bytes, interpolated between the nearest qualities."""
    points = sorted(
        (np.log(float(rows[0]["bytes"])), pool(float(row[metric]) for row in rows))
        for (f, m, _), rows in found.items()
        if (f, m) == (film, method)
    )
    logs, values = zip(*points, strict=True)
    at = int(np.clip(np.searchsorted(logs, np.log(size)), 1, len(logs) - 1))
    part = (np.log(size) - logs[at - 1]) / (logs[at] - logs[at - 1])
    return float(values[at - 1] + part * (values[at] - values[at - 1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("measure", "report"))
    parser.add_argument("--data", type=Path, help="folder with the clips")
    parser.add_argument("--out", type=Path, default=Path("docs/data/scenes.csv"))
    parser.add_argument("--films", nargs="*", default=list(FILMS))
    parser.add_argument(
        "--methods", nargs="*", default=METHODS, help="values of --alloc, or shuffled"
    )
    options = parser.parse_args()
    if options.what == "measure":
        measure(options.data, options.out, options.films, options.methods)
    print(report(options.out))


if __name__ == "__main__":
    main()
