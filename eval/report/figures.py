"""The report's charts: rate–distortion curves (one clip or the mean over clips) and bits per
frame."""

from __future__ import annotations

from eval.metrics import Metric
from eval.report.data import OUTPUTS, Results
from eval.report.plot import Chart, Series, styles
from eval.report.published import anchors
from gvcodec.util.messages import count_noun

RATE_TICKS = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
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
    return Chart(title, series, "bits per pixel", _label(metric), True, RATE_TICKS, legend=legend)


def draw_published(metric: Metric) -> str:
    """Points read off papers, on axes of their own: their clips are others than those measured
    here. "" where there are none."""
    series = []
    for name, points in anchors(metric.name).items():
        notes = [f"published, HEVC Class B\n{x:.4f} bpp: {y}" for x, y in points]
        series.append(Series("published", name, points, "#9a9a9a", "2 4", "hollow", notes))
    title = f"{metric.label} as papers print it: other clips (HEVC Class B), other machines"
    chart = Chart(title, series, "bits per pixel", _label(metric), True, RATE_TICKS)
    return chart.svg() if series else ""


def _label(metric: Metric) -> str:
    """Of the axis."""
    direction = "higher is better" if metric.higher_is_better else "lower is better"
    unit = f" / {metric.unit}" if metric.unit else ""
    return f"{metric.marked_label}{unit} ({direction})"


def bits_chart(results: Results, clip: str, target: float) -> str:
    """Bits of every frame in coding order, for streams near one rate. gvcodec's two outputs are one
    stream."""
    look = styles(results.rows)
    series, seen = [], set()
    for row, codec in results.rows.items():
        run = results.run(clip, row, target)
        stream = row.removesuffix(f"-{codec['output']}") if codec["output"] else row
        if run is None or not run["frame_bytes"] or stream in seen:
            continue
        seen.add(stream)
        points = [(float(i), 8.0 * size) for i, size in enumerate(run["frame_bytes"])]
        colour, dash, _ = look[row]
        label = codec["label"].removesuffix(f", {OUTPUTS.get(codec['output'])}")
        notes = [f"frame {i:.0f}: {b:.0f} bits" for i, b in points]
        series.append(Series(row, label, points, colour, dash, "none", notes))
    title = f"{clip}, ≈ {target} bpp"
    return Chart(title, series, "frame in coding order", "bits", log_y=True).svg()


def quality_chart(results: Results, clip: str, target: float, metric: Metric) -> str:
    """A metric over the frames that it looked at, for streams near one rate; "" where it has no
    values by frame."""
    look = styles(results.rows)
    series = []
    for row, codec in results.rows.items():
        found = (results.run(clip, row, target) or {"metrics": {}})["metrics"].get(metric.name)
        if found is None or len(found["frames"]) < 2:
            continue
        points = sorted(zip(map(float, found["frames"]), found["values"], strict=True))
        colour, dash, _ = look[row]
        notes = [f"frame {i:.0f}: {v:.{metric.digits}f} {metric.unit}".rstrip() for i, v in points]
        series.append(Series(row, codec["label"], points, colour, dash, "none", notes))
    title = f"{metric.marked_label}, {clip}, ≈ {target} bpp"
    return Chart(title, series, "frame", _label(metric)).svg() if series else ""
