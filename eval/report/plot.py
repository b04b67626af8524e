"""Charts of rate and quality by matplotlib: SVG text for the page and for files."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape, unescape
from typing import TYPE_CHECKING

from eval.tools import EvalError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Pixels; SVG counts 72 to the inch.
_WIDTH, _HEIGHT, _PER_INCH = 760, 440, 72
#: One colour a family; variants of gvcodec beyond the first take from the second list.
FAMILY_COLOURS = {
    "x264": "#8a94a6",
    "x265": "#2563c9",
    "svtav1": "#2b9348",
    "svtav1-slow": "#1b6b33",
    "svtav1-vq": "#55a630",
    "svtav1-grain": "#8cb369",
    "aom": "#0b8793",
    "vvenc": "#7b4bd6",
}
OWN_COLOURS = ("#d7263d", "#f08a24", "#d63bb0", "#8f1d2c")
OTHER_COLOURS = ("#7a5c3e", "#4a4e69", "#b5838d", "#606c38")
_LONG_LABEL = 26  # does not fit into a third of the width
_MARKERS = {"circle": "o", "square": "s", "diamond": "D", "hollow": "D"}
#: Bits per pixel.
_TICKS = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
#: No date, and names of parts that depend on their content alone: the same points give the same
#: text.
_SETTINGS = {
    "svg.hashsalt": "gvcodec",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "text.parse_math": False,
    "text.color": "#1c2330",
    "axes.labelcolor": "#1c2330",
    "axes.edgecolor": "#dfe3ea",
    "grid.color": "#dfe3ea",
    "xtick.color": "#6b7485",
    "ytick.color": "#6b7485",
}
_GROUP = "series "


@dataclass(frozen=True)
class Series:
    """One line: points (bpp, quality), colour, dashes, and a marker "circle", "square", "diamond"
    or "hollow" (named beside its first point, not in the legend). `notes` are tooltips, one a
    point."""

    key: str
    label: str
    points: Sequence[tuple[float, float]]
    colour: str
    dash: str
    marker: str
    notes: Sequence[str]

    @property
    def style(self) -> str | tuple[float, tuple[float, ...]]:
        """As matplotlib says it: dashes count in widths of the line there, which is 2."""
        return (0, tuple(float(part) / 2 for part in self.dash.split())) if self.dash else "solid"


@dataclass(frozen=True)
class Chart:
    """What is drawn. `legend` adds the names below (the page has its own). A chart without points
    says so."""

    title: str
    series: Sequence[Series]
    y_label: str
    legend: bool = False

    def svg(self) -> str:
        """One element, no prolog: readable alone and inside a page."""
        stream = io.StringIO()
        with _settings():
            _draw(self).savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        text = stream.getvalue()
        text = re.sub(
            r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg ") :], flags=re.DOTALL
        )
        head = f'<svg class="chart" role="img" aria-label="{escape(self.title)}"'
        text = re.sub(r'<svg |width="[\d.]+pt" |height="[\d.]+pt" ', "", text, count=3)
        text = re.sub(
            rf'<g id="{_GROUP}([^"]*)">',
            lambda found: f'<g class="series" data-key="{found[1]}">',
            text,
        )
        text = re.sub(
            r'<a xlink:href="([^"]*)"[^>]*>',
            lambda found: f"<g><title>{escape(unescape(found[1]))}</title>",
            text,
        )
        lines = (line.rstrip() for line in text.replace("</a>", "</g>").splitlines())
        return f"{head} " + "\n".join(lines)


def styles(rows: dict[str, dict]) -> dict[str, tuple[str, str, str]]:
    """(colour, dash, marker) of every row: hue by family, dashes for low delay and for gvcodec's
    fidelity output."""
    own: dict[str, str] = {}
    others: dict[str, str] = {}
    found = {}
    for row, codec in rows.items():
        family, output = codec["family"], codec["output"]
        if family == "gvcodec":
            stream = row.removesuffix(f"-{output}")
            colour = own.setdefault(stream, OWN_COLOURS[len(own) % len(OWN_COLOURS)])
            found[row] = (colour, "6 4" if output == "fidelity" else "", "diamond")
            continue
        other = OTHER_COLOURS[len(others) % len(OTHER_COLOURS)]
        colour = FAMILY_COLOURS.get(family) or others.setdefault(row, other)
        low = codec["delay"] == "low"
        found[row] = (colour, "6 4" if low else "", "square" if low else "circle")
    return found


def _settings():
    try:
        import matplotlib
    except ImportError:
        raise EvalError("matplotlib is not installed: pip install 'gvcodec[eval]'") from None
    return matplotlib.rc_context(_SETTINGS)


def _draw(chart: Chart) -> Figure:
    from matplotlib.figure import Figure

    shown = [s for s in chart.series if s.points]
    named = [s for s in shown if chart.legend and s.marker != "hollow"]
    columns = 3 if all(len(s.label) <= _LONG_LABEL for s in named) else 2
    height = _HEIGHT + 20 * -(-len(named) // columns) + 8 * bool(named)
    figure = Figure(figsize=(_WIDTH / _PER_INCH, height / _PER_INCH), dpi=_PER_INCH)
    axes = figure.add_axes((0.1, 1 - 390 / height, 0.87, 354 / height))
    axes.set_title(chart.title, loc="left", fontsize=13, fontweight="bold")
    axes.set_xlabel("bits per pixel")
    axes.set_ylabel(chart.y_label)
    axes.grid(True)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    if not shown:
        axes.text(0.5, 0.5, "no points", ha="center", transform=axes.transAxes)
    for s in shown:
        _add(axes, s)
    if any(s.marker == "hollow" for s in shown):
        axes.margins(y=0.1)  # room for the name above the highest point
    _scale(axes, [x for s in shown for x, _ in s.points])
    if named:
        axes.legend(
            *zip(*((h, n) for h, n in _entries(named)), strict=True),
            loc="upper left",
            bbox_to_anchor=(-0.02, -48 / 354),
            ncols=columns,
            frameon=False,
        )
    return figure


def _add(axes: Axes, series: Series) -> None:
    xs, ys = zip(*series.points, strict=True)
    gid = _GROUP + series.key
    (line,) = axes.plot(xs, ys, color=series.colour, linestyle=series.style, linewidth=2)
    line.set_gid(gid)
    hollow = series.marker == "hollow"
    marks = axes.scatter(
        xs,
        ys,
        s=40,
        marker=_MARKERS[series.marker],
        facecolors="white" if hollow else series.colour,
        edgecolors=series.colour,
        zorder=3,
    )
    marks.set_gid(gid)
    marks.set_urls([f"{series.label}\n{note}" for note in series.notes])
    if hollow:
        said = axes.annotate(
            series.label, (xs[0], ys[0]), xytext=(-5, 8), textcoords="offset points", fontsize=10
        )
        said.set_gid(gid)


def _scale(axes: Axes, rates: Sequence[float]) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    if rates:
        low, high = min(rates) / 1.12, max(rates) * 1.12
        axes.set_xlim(low, high)
        axes.set_xticks([t for t in _TICKS if low <= t <= high])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10g}"))


def _entries(named: Sequence[Series]):
    from matplotlib.lines import Line2D

    for s in named:
        marker = _MARKERS[s.marker]
        handle = Line2D([], [], color=s.colour, linestyle=s.style, linewidth=2, marker=marker)
        yield handle, s.label
