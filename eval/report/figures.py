"""The report's charts by matplotlib: rate–distortion curves, mean over clips, as SVG."""

from __future__ import annotations

import io
from itertools import cycle
from typing import Any

from eval.metrics import Metric
from eval.report.data import Results
from eval.sequences import NAMED
from eval.tools import need_packages
from gvcodec.util.messages import count_noun

#: One colour a family; variants of gvcodec beyond the first take from the second list.
_FAMILY_COLOURS = {
    "x264": "#8a94a6",
    "x265": "#2563c9",
    "svtav1": "#2b9348",
    "svtav1-slow": "#1b6b33",
    "svtav1-vq": "#55a630",
    "svtav1-tuned": "#bfd200",
    "svtav1-grain": "#8cb369",
    "aom": "#0b8793",
    "vvenc": "#7b4bd6",
}
_OWN_COLOURS = ("#d7263d", "#f08a24", "#d63bb0", "#8f1d2c")
_OTHER_COLOURS = ("#7a5c3e", "#4a4e69", "#b5838d", "#606c38")
#: Bits per pixel.
_TICKS = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
#: Label of published points next to generated clips.
OTHER_CLIPS = ", other clips"
#: No date, and names of parts that depend on their content alone: the same points give the same
#: text.
SETTINGS = {"svg.hashsalt": "gvcodec", "svg.fonttype": "none", "text.parse_math": False}


def rd_chart(results: Results, metric: Metric) -> str:
    """SVG text: metric over bpp. A row has a point where it reaches that rate on every headline
    clip; next to the rows are the points that the profile's papers print for these clips."""
    need_packages("matplotlib")
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(10, 6), layout="constrained")
        axes = figure.subplots()
        counted = count_noun(len(results.headline), "clip")
        axes.set_title(f"{metric.marked_label}, mean over {counted}, {results.where}", loc="left")
        axes.set_xlabel("bits per pixel")
        axes.set_ylabel(_label(metric))
        axes.grid(True)
        for row, look in _looks(results.rows).items():
            if points := results.mean_curve(row, metric.name):
                axes.plot(*zip(*points, strict=True), label=results.rows[row]["label"], **look)
        whose = "" if results.profile is None or results.profile.set_name in NAMED else OTHER_CLIPS
        published = results.find_published(metric.name)
        for (name, points), marker in zip(published.items(), cycle("D^vP*"), strict=False):
            look = {"color": "#9a9a9a", "linestyle": ":", "marker": marker}
            label = f"{name} (published{whose})"
            axes.plot(*zip(*points, strict=True), label=label, markerfacecolor="white", **look)
        _finish(axes)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def _finish(axes: Any) -> None:
    """Legend and ticks for the lines that there are."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    if not axes.lines:
        axes.text(0.5, 0.5, "no points", ha="center", transform=axes.transAxes)
        return
    axes.legend(fontsize="small")
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xticks([tick for tick in _TICKS if low <= tick <= high])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))


def _looks(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """How matplotlib draws every row: hue by family, dashes for low delay and for gvcodec's
    fidelity output."""
    own: dict[str, str] = {}
    others: dict[str, str] = {}
    styles = {}
    for row, codec in rows.items():
        family, output = codec["family"], codec["output"]
        if family == "gvcodec":
            stream = row.removesuffix(f"-{output}")
            colour = own.setdefault(stream, _OWN_COLOURS[len(own) % len(_OWN_COLOURS)])
            dashed, marker = output == "fidelity", "D"
        else:
            other = _OTHER_COLOURS[len(others) % len(_OTHER_COLOURS)]
            colour = _FAMILY_COLOURS.get(family) or others.setdefault(row, other)
            dashed = codec["delay"] == "low"
            marker = "s" if dashed else "o"
        styles[row] = {"color": colour, "linestyle": "--" if dashed else "-", "marker": marker}
    return styles


def _label(metric: Metric) -> str:
    """The label of an axis."""
    direction = "higher is better" if metric.higher_is_better else "lower is better"
    unit = f" / {metric.unit}" if metric.unit else ""
    return f"{metric.marked_label}{unit} ({direction})"
