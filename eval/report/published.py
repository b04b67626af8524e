"""Published results for the clips of a profile, next to our measurements: their points, and
BD-rates against their curves. These come from other machines and are read off charts, so each row
says so; they are computed for HEVC Class B itself alone.

Papers print means over clips, so the curve here is the mean over the clips too, over all rates that
both share. A curve of four points or three is followed by Akima interpolation, one of two by a
straight line over log rate; a single point has no BD-rate.
"""

from __future__ import annotations

from eval.metrics import METRICS
from eval.points.bd import ALL_RATES, LEAST_POINTS, NO_OVERLAP, bd_rate
from eval.points.profiles import COLUMNS
from eval.report.data import Results
from eval.tools import markdown

#: Mark of a row of published points.
MARK = "published, other machine"
_HOW = (
    "BD-rates of mean curves over the clips, over the shared quality: Akima interpolation of log "
    f"rate, none for fewer than {LEAST_POINTS} points."
)


def published_deltas(results: Results) -> list[tuple[str, str, str, float | None]]:
    """BD-rates against published curves: (anchor, row, metric, per cent or None = no overlap).
    Empty where the clips are not those of the papers."""
    if not results.compares_published:
        return []
    rows = []
    for metric in [m for m in results.metrics if m.name in COLUMNS]:
        for anchor, points in results.find_published(metric.name).items():
            for row in results.rows if len(points) >= LEAST_POINTS else ():
                curve = results.mean_curve(row, metric.name)
                if curve and len(curve) >= LEAST_POINTS:
                    delta = bd_rate(points, curve, metric.higher_is_better, ALL_RATES)
                    rows.append((anchor, row, metric.name, delta.percent))
    return rows


def published_parts(results: Results) -> list[str]:
    """Parts of the report: the published points, BD-rates against them, and notes on both."""
    profile = results.profile
    if profile is None or not results.is_published_set:
        return []
    header = [MARK, "bpp", *(METRICS[name].label for name in COLUMNS)]
    rows = [
        [name, f"{bpp:.4f}", *("–" if v is None else f"{v:g}" for v in values)]
        for name, points in profile.published.items()
        for bpp, *values in points
    ]
    parts = ["**Published points**:", markdown(header, rows), profile.notes]
    if deltas := published_deltas(results):
        parts += [
            "**BD-rate against published curves**:",
            markdown(*_bd_table(results, deltas)),
            _HOW,
        ]
    elif profile.compares:
        parts.append("No BD-rate against them: no codec reaches a rate on every clip.")
    else:
        parts.append("BD-rates against published curves are given for HEVC Class B alone.")
    return parts


def _bd_table(
    results: Results, deltas: list[tuple[str, str, str, float | None]]
) -> tuple[list[str], list[list[str]]]:
    """(header, rows): every row against every published curve."""
    names = [name for name in COLUMNS if any(metric == name for *_, metric, _ in deltas)]
    header = [f"BD-rate, {results.where}", "against", *(METRICS[n].marked_label for n in names)]
    values = {key: percent for *key_parts, percent in deltas for key in [tuple(key_parts)]}
    rows = []
    for anchor, row in dict.fromkeys((anchor, row) for anchor, row, *_ in deltas):
        cells = [_cell(values, (anchor, row, name)) for name in names]
        rows.append([results.rows[row]["label"], f"{anchor} ({MARK})", *cells])
    return header, rows


def _cell(values: dict[tuple[str, ...], float | None], key: tuple[str, ...]) -> str:
    if key not in values:
        return "–"
    percent = values[key]
    return NO_OVERLAP if percent is None else f"{percent:+.1f} %"
