"""Line charts as SVG text: no script, no font file, readable alone and inside the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 66, 18, 34, 48
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
_LONG_LABEL = 26  # does not fit into a third of the width
OTHER_COLOURS = ("#7a5c3e", "#4a4e69", "#b5838d", "#606c38")


@dataclass(frozen=True)
class Series:
    """One line: points (x, y), colour, dash pattern ("" = solid), marker "circle", "square" or "diamond"."""

    key: str
    label: str
    points: Sequence[tuple[float, float]]
    colour: str
    dash: str = ""
    marker: str = "circle"
    notes: Sequence[str] = ()


def styles(rows: dict[str, dict]) -> dict[str, tuple[str, str, str]]:
    """(colour, dash, marker) of every row: hue by family, dashes for low delay and for gvcodec's fidelity output."""
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
        colour = FAMILY_COLOURS.get(family) or others.setdefault(row, OTHER_COLOURS[len(others) % len(OTHER_COLOURS)])
        low = codec["delay"] == "low"
        found[row] = (colour, "6 4" if low else "", "square" if low else "circle")
    return found


def nice_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round numbers that cover low…high."""
    span = (high - low) or abs(high) or 1.0
    raw = span / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float) -> str:
    return f"{value:.10g}"


def chart(
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    log_x: bool = False,
    x_ticks: Sequence[float] | None = None,
    log_y: bool = False,
    legend: bool = False,
) -> str:
    """A line chart with tooltips; series without points are left out. Empty charts say so. Values below 1 stand at 1
    where `log_y`. `legend` adds the names below (the page has its own)."""
    drawn = [s for s in series if s.points]
    named = [s for s in drawn if legend and s.marker not in ("hollow", "none")]
    columns = 3 if all(len(s.label) <= _LONG_LABEL for s in named) else 2
    below = 20 * -(-len(named) // columns) + 8 * bool(named)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + below}" class="chart" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">'
        f'<text x="{LEFT}" y="20" font-size="14" font-weight="600" class="ink">{escape(title)}</text>'
    )
    if not drawn:
        return (
            head + f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle" class="faint">no points</text></svg>'
        )
    xs = [x for s in drawn for x, _ in s.points]
    ys = [_height(y, log_y) for s in drawn for _, y in s.points]
    x_low, x_high = (min(xs) / 1.12, max(xs) * 1.12) if log_x else (min(xs), max(max(xs), min(xs) + 1))
    margin = 0.06 * ((max(ys) - min(ys)) or abs(max(ys)) or 1.0)
    y_low, y_high = min(ys) - margin, max(ys) + margin

    def px(x: float) -> float:
        at = math.log(x / x_low) / math.log(x_high / x_low) if log_x else (x - x_low) / (x_high - x_low)
        return round(LEFT + at * (WIDTH - LEFT - RIGHT), 1)

    def py(y: float) -> float:
        part = (_height(y, log_y) - y_low) / (y_high - y_low)
        return round(HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM), 1)

    parts = [head]
    decades = [m * 10.0**e for e in range(9) for m in (1, 3) if y_low <= math.log10(m * 10.0**e) <= y_high]
    for tick in decades if log_y else nice_ticks(y_low, y_high):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{py(tick)}" y2="{py(tick)}" class="grid"/>'
            f'<text x="{LEFT - 8}" y="{py(tick) + 4}" text-anchor="end" class="faint">{number(tick)}</text>'
        )
    for tick in x_ticks or nice_ticks(x_low, x_high):
        if x_low <= tick <= x_high:
            parts.append(
                f'<line y1="{TOP}" y2="{HEIGHT - BOTTOM}" x1="{px(tick)}" x2="{px(tick)}" class="grid"/>'
                f'<text x="{px(tick)}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle" class="faint">{number(tick)}</text>'
            )
    middle = TOP + (HEIGHT - TOP - BOTTOM) / 2
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle" class="ink">{escape(x_label)}</text>'
        f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle" class="ink">{escape(y_label)}</text>'
    )
    parts += [_series(s, [(px(x), py(y)) for x, y in s.points]) for s in drawn]
    for s in drawn:
        if s.marker == "hollow":  # lines that stand in no legend by their own name
            x, y = px(s.points[0][0]), py(s.points[0][1])
            near_edge = x < LEFT + 130
            place = f'x="{x - 5}" y="{y - 10}"' if near_edge else f'x="{x - 9}" y="{y + 4}" text-anchor="end"'
            parts.append(
                f'<g class="series" data-key="{escape(s.key)}"><text {place} class="faint" font-size="11">'
                f"{escape(s.label)}</text></g>"
            )
    parts += [_legend_entry(s, i, columns) for i, s in enumerate(named)]
    return "".join(parts) + "</svg>"


def _legend_entry(series: Series, index: int, columns: int) -> str:
    x = LEFT + (WIDTH - LEFT - RIGHT) / columns * (index % columns)
    y = HEIGHT + 8 + 20 * (index // columns)
    line = Series(series.key, series.label, [(0, 0), (1, 0), (2, 0)], series.colour, series.dash, "none")
    return (
        _series(line, [(x, y), (x + 14, y), (x + 28, y)])
        + _marker(series, x + 14, y, series.label)
        + f'<text x="{x + 36}" y="{y + 4}" class="ink">{escape(series.label)}</text>'
    )


def _height(y: float, log_y: bool) -> float:
    return math.log10(max(1.0, y)) if log_y else y


def _series(series: Series, at: list[tuple[float, float]]) -> str:
    path = " ".join(f"{x},{y}" for x, y in at)
    dash = f' stroke-dasharray="{series.dash}"' if series.dash else ""
    marks = []
    for i, (x, y) in enumerate(at):
        note = series.notes[i] if series.notes else f"{number(series.points[i][0])}: {series.points[i][1]:.4g}"
        marks.append(_marker(series, x, y, f"{series.label}\n{note}"))
    return (
        f'<g class="series" data-key="{escape(series.key)}"><polyline points="{path}" fill="none" '
        f'stroke="{series.colour}" stroke-width="2"{dash} stroke-linejoin="round"/>{"".join(marks)}</g>'
    )


def _marker(series: Series, x: float, y: float, text: str) -> str:
    title = f"<title>{escape(text)}</title>"
    if series.marker == "none":
        return f'<circle cx="{x}" cy="{y}" r="5" fill="transparent">{title}</circle>'
    if series.marker == "circle":
        return f'<circle cx="{x}" cy="{y}" r="4" fill="{series.colour}">{title}</circle>'
    if series.marker == "square":
        return (
            f'<rect x="{x - 3.6:.1f}" y="{y - 3.6:.1f}" width="7.2" height="7.2" fill="{series.colour}">{title}</rect>'
        )
    hollow = series.marker == "hollow"
    fill, stroke = ("#fff", series.colour) if hollow else (series.colour, series.colour)
    shape = f"M{x} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"
    return f'<path d="{shape}" fill="{fill}" stroke="{stroke}">{title}</path>'
