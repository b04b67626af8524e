"""The report's charts: rate–distortion curves, of one clip or the mean over clips."""

from __future__ import annotations

from eval.metrics import Metric
from eval.report.data import Results
from eval.report.plot import Chart, Series, styles
from gvcodec.util.messages import count_noun

MEAN = "mean"


def rd_chart(results: Results, metric: Metric, clip: str = MEAN, legend: bool = False) -> str:
    """`rd` as SVG text."""
    return rd(results, metric, clip, legend).svg()


def rd(results: Results, metric: Metric, clip: str = MEAN, legend: bool = False) -> Chart:
    """Metric over bpp, of what was measured. The mean has a point where a row reaches that rate on
    every headline clip, and what the profile's paper prints for these clips."""
    look = styles(results.rows)
    series = []
    for row, codec in results.rows.items():
        if clip == MEAN:
            found = [
                results.mean_point(row, t, metric.name, results.headline) for t in results.targets
            ]
            points = sorted({p for p in found if p})
        else:
            points = results.curve(clip, row, metric.name)
        notes = [f"{x:.4f} bpp: {y:.{metric.digits}f} {metric.unit}".rstrip() for x, y in points]
        series.append(Series(row, codec["label"], points, *look[row], notes))
    for name, points in results.find_published(metric.name).items() if clip == MEAN else ():
        notes = [f"published, the same clips, another machine\n{x:.4f} bpp: {y}" for x, y in points]
        series.append(
            Series("published", f"{name} (published)", points, "#9a9a9a", "2 4", "hollow", notes)
        )
    counted = count_noun(len(results.headline), "clip")
    where = f"mean over {counted}, {results.where}" if clip == MEAN else clip
    title = f"{metric.marked_label}, {where}"
    return Chart(title, series, _label(metric), legend)


def _label(metric: Metric) -> str:
    """Of the axis."""
    direction = "higher is better" if metric.higher_is_better else "lower is better"
    unit = f" / {metric.unit}" if metric.unit else ""
    return f"{metric.marked_label}{unit} ({direction})"
