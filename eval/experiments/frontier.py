"""Time and quality of presets as one table and one picture: `python -m eval.experiments.frontier
ROWS.csv --picture FILE.svg`.

The rows come from `eval.experiments.kept_out all`, each codec a process with one thread, with

    --codecs svt:p2:scm=0,…,svt:p8:scm=0,preset:2,…,preset:8,fast,best,vvenc

Bits are BD-rates by LPIPS-Alex, DISTS and PSNR-Y against SVT-AV1's preset 4, times those of all
qualities together over its. A codec is on the frontier where none takes both less time and fewer
bits by LPIPS-Alex.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from eval.experiments.kept_out import BANDS, by_clip
from eval.metrics import METRICS
from eval.points.bd import bd_rate
from eval.tools import markdown, read_rows

ANCHOR = "svt:p4:scm=0"
_METRICS = ("lpips_alex", "dists", "psnr_y")
_RATES = (BANDS[0][0], BANDS[-1][1])
#: Lines of the picture: its label, what its codecs' names begin with, their colour.
_FAMILIES = (
    ("SVT-AV1", "svt:", "#2b9348"),
    ("gvcodec, painted, preset", "preset:", "#d7263d"),
    ("--speed", ("fast", "gvcodec", "best"), "#f08a24"),
    ("VVenC slow", "vvenc", "#7b4bd6"),
)


@dataclass(frozen=True)
class Place:
    """A codec on `clips` clips: its time over the anchor's, and BD-rates in per cent by metric
    (None: no curve)."""

    codec: str
    clips: int
    time: float
    bits: dict[str, float | None]


def places(rows: list[dict[str, str]]) -> list[Place]:
    """Every codec on the clips that it and the anchor have, by time."""
    curves: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        if row["output"] != "base":
            curves[row["codec"]].append(row)
    anchor, found = by_clip(curves[ANCHOR]), []
    for codec, own in curves.items():
        clips = {c: r for c, r in by_clip(own).items() if len(r) == len(anchor.get(c, ()))}
        if not clips:
            continue
        seconds = [
            sum(float(row["seconds"]) for clip in clips for row in curve[clip])
            for curve in (clips, anchor)
        ]
        bits = {name: _bits(anchor, clips, name) for name in _METRICS}
        found.append(Place(codec, len(clips), seconds[0] / seconds[1], bits))
    return sorted(found, key=lambda place: place.time)


def _bits(
    anchor: dict[str, list[dict[str, str]]], own: dict[str, list[dict[str, str]]], name: str
) -> float | None:
    values = []
    for clip, rows in own.items():
        theirs, ours = (
            [(float(r["bpp"]), float(r[name])) for r in curve if r[name]]
            for curve in (anchor[clip], rows)
        )
        percent = bd_rate(theirs, ours, METRICS[name].higher_is_better, _RATES).percent
        if percent is not None:
            values.append(percent)
    return fmean(values) if values else None


def is_beaten(place: Place, others: list[Place]) -> bool:
    """Whether another one takes less time and fewer bits by LPIPS-Alex."""
    bits = place.bits["lpips_alex"]
    return bits is not None and any(
        other.time < place.time and (more := other.bits["lpips_alex"]) is not None and more < bits
        for other in others
    )


def draw(found: list[Place], path: Path) -> None:
    """The picture, SVG: time from left to right, bits by LPIPS-Alex upwards."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for label, begins, colour in _FAMILIES:
        points = [
            (place.time, place.bits["lpips_alex"], place.codec)
            for place in found
            if place.codec.startswith(begins) and place.bits["lpips_alex"] is not None
        ]
        if not points:
            continue
        times, bits, _ = zip(*points, strict=True)
        axes.plot(times, bits, marker="o", color=colour, label=label)
        for time, share, codec in points:
            name = codec.removesuffix(":scm=0").removeprefix("svt:p").removeprefix("preset:")
            axes.annotate(name, (time, share), textcoords="offset points", xytext=(5, 4))
    axes.set_xscale("log")
    axes.set_xlabel("processor time over SVT-AV1 preset 4")
    axes.set_ylabel("BD-rate by LPIPS-Alex, %")
    axes.grid(True, alpha=0.3)
    axes.legend()
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    found = places(read_rows(options.rows))
    lines = []
    for place in found:
        shares = ("–" if v is None else f"{v:+.1f} %" for v in place.bits.values())
        beaten = "" if is_beaten(place, found) else "yes"
        lines.append([place.codec, str(place.clips), f"×{place.time:.2f}", *shares, beaten])
    labels = [METRICS[name].marked_label for name in _METRICS]
    print(markdown(["codec", "clips", "time", *labels, "frontier"], lines))
    if options.picture:
        draw(found, options.picture)


if __name__ == "__main__":
    main()
