"""Time and quality of presets as one table and one picture: `python -m eval.experiments.frontier
ROWS.csv --picture FILE.svg`.

The rows come from `eval.experiments.kept_out all`, each codec a process with one thread, with

    --codecs svt:p2:scm=0,…,svt:p8:scm=0,preset:2,…,preset:8,fast,tokens,best,vvenc

Bits are BD-rates by LPIPS-Alex, DISTS and PSNR-Y against SVT-AV1's preset 4, times those of all
qualities together over its. A codec is on the frontier where none takes both less time and fewer
bits by LPIPS-Alex. 1080p has a table and a panel of its own.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from eval.metrics import METRICS
from eval.points.bd import bd_rate
from eval.quick import BANDS, TARGETS, by_clip, size_of
from eval.report.figures import SETTINGS
from eval.tools import markdown, read_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ANCHOR = "svt:p4:scm=0"
_METRICS = ("lpips_alex", "dists", "psnr_y")
_RATES = (BANDS[0][0], BANDS[-1][1])
#: Sizes of pictures that are compared together.
_GROUPS = (("480p", "720p"), ("1080p",))
#: Lines of the picture: its label, prefix of its codecs' names, their colour.
_FAMILIES = (
    ("SVT-AV1", "svt:", "#2b9348"),
    ("gvcodec, painted, preset", "preset:", "#d7263d"),
    ("--speed, --tokens on", ("fast", "gvcodec", "tokens", "best"), "#f08a24"),
    ("VVenC slow", "vvenc", "#7b4bd6"),
)


@dataclass(frozen=True)
class Place:
    """A codec, by clip: its time over the anchor's, and BD-rates in per cent by metric (without
    clips that have no curve)."""

    codec: str
    times: dict[str, float]
    bits: dict[str, dict[str, float]]

    def time(self, clips: Collection[str] | None = None) -> float:
        """Mean over clips, all of them by default."""
        return fmean(value for clip, value in self.times.items() if clips is None or clip in clips)

    def share(self, name: str, clips: Collection[str] | None = None) -> float | None:
        """Mean of the BD-rates by a metric; None without any."""
        values = [v for clip, v in self.bits[name].items() if clips is None or clip in clips]
        return fmean(values) if values else None


def places(rows: list[dict[str, str]]) -> list[Place]:
    """Every codec on the clips that it and the anchor have, by time."""
    curves: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        if row["output"] != "base":
            curves[row["codec"]].append(row)
    anchor, results = by_clip(curves[ANCHOR]), []
    for codec, own in curves.items():
        clips = {c: r for c, r in by_clip(own).items() if len(r) == len(anchor.get(c, ()))}
        if not clips:
            continue
        times = {clip: _seconds(rows) / _seconds(anchor[clip]) for clip, rows in clips.items()}
        bits = {name: _bits(anchor, clips, name) for name in _METRICS}
        results.append(Place(codec, times, bits))
    return sorted(results, key=lambda place: place.time())


def _seconds(rows: list[dict[str, str]]) -> float:
    return sum(float(row["seconds"]) for row in rows)


def _bits(
    anchor: dict[str, list[dict[str, str]]], own: dict[str, list[dict[str, str]]], name: str
) -> dict[str, float]:
    percents = {}
    for clip, rows in own.items():
        theirs, ours = (
            [(float(r["bpp"]), float(r[name])) for r in curve if r[name]]
            for curve in (anchor[clip], rows)
        )
        percent = bd_rate(
            theirs, ours, METRICS[name].higher_is_better, _RATES, len(TARGETS)
        ).percent
        if percent is not None:
            percents[clip] = percent
    return percents


def is_beaten(place: Place, others: list[Place]) -> bool:
    """Whether another one takes less time and fewer bits by LPIPS-Alex on the clips of both."""
    name = "lpips_alex"
    for other in others:
        both = place.bits[name].keys() & other.bits[name].keys()
        if other is place or not both:
            continue
        fewer = fmean(other.bits[name][c] for c in both) < fmean(place.bits[name][c] for c in both)
        if fewer and other.time(both) < place.time(both):
            return True
    return False


def draw(groups: dict[str, list[Place]], path: Path) -> None:
    """The picture, SVG, a panel for each group: time from left to right, bits by LPIPS-Alex
    upwards."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(6 * len(groups) + 2, 5), layout="constrained")
        panels = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
        for axes, (title, group) in zip(panels, groups.items(), strict=True):
            _draw_panel(axes, title, group)
        panels[0].set_ylabel("BD-rate by LPIPS-Alex, %")
        panels[0].legend()
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _draw_panel(axes: Axes, title: str, group: list[Place]) -> None:
    from matplotlib.ticker import NullLocator

    for label, begins, colour in _FAMILIES:
        line = "" if label.startswith("--speed") else "-"
        points = [
            (place.time(), share, place.codec)
            for place in group
            if place.codec.startswith(begins) and (share := place.share("lpips_alex")) is not None
        ]
        if not points:
            continue
        times, bits, _ = zip(*points, strict=True)
        axes.plot(times, bits, marker="o", linestyle=line, color=colour, label=label)
        for time, share, codec in points:
            name = codec.removesuffix(":scm=0").removeprefix("svt:p").removeprefix("preset:")
            axes.annotate(name, (time, share), textcoords="offset points", xytext=(5, 4))
    axes.set_title(title)
    axes.set_xscale("log")
    axes.margins(x=0.1)
    axes.set_xticks([0.25, 0.5, 1, 2, 4, 8, 16], ["×¼", "×½", "×1", "×2", "×4", "×8", "×16"])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("processor time over SVT-AV1 preset 4")
    axes.grid(True, alpha=0.3)


def _format_share(place: Place, name: str) -> str:
    """The mean, and over how many clips where some have no BD-rate."""
    if (share := place.share(name)) is None:
        return "–"
    fewer = len(place.bits[name]) < len(place.times)
    return f"{share:+.1f} %" + (f" ({len(place.bits[name])})" if fewer else "")


def table(group: list[Place]) -> str:
    """Markdown; in brackets: the clips of a mean, where they are fewer than those of the row."""
    lines = []
    for place in group:
        cells = [_format_share(place, name) for name in _METRICS]
        beaten = "" if is_beaten(place, group) else "yes"
        count = str(len(place.times))
        lines.append([place.codec, count, f"×{place.time():.2f}", *cells, beaten])
    labels = [METRICS[name].marked_label for name in _METRICS]
    return markdown(["codec", "clips", "time", *labels, "frontier"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    rows, groups = read_rows(options.rows), {}
    for sizes in _GROUPS:
        if own := [row for row in rows if size_of(row) in sizes]:
            groups[" and ".join(sizes)] = places(own)
    for title, group in groups.items():
        print(f"{title}\n\n{table(group)}\n")
    if options.picture:
        draw(groups, options.picture)


if __name__ == "__main__":
    main()
