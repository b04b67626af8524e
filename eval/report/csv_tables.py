"""The report as CSV: every frame, every measured point, every BD-rate."""

from __future__ import annotations

import csv
import io
from typing import Any

from eval.report.data import Results
from eval.report.published import MARK, published_deltas
from eval.report.tables import anchors, clip_deltas, overall


def _text(lines: list[list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return out.getvalue()


def frames_csv(results: Results) -> str:
    """Every frame: clip, row, target, metric ("bits" in coding order), frame, value."""
    lines: list[list[Any]] = [["clip", "codec", "target", "metric", "frame", "value"]]
    for clip, rows in results.runs.items():
        for row in (r for r in results.rows if r in rows):
            for target, run in sorted(rows[row].items()):
                if run is None:
                    continue
                head = [clip, row, target]
                for number, size in enumerate(run["frame_bytes"]):
                    lines.append([*head, "bits", number, 8 * size])
                for name, got in run["metrics"].items():
                    for number, value in zip(got["frames"], got["values"], strict=False):
                        lines.append([*head, name, number, value])
    return _text(lines)


def points_csv(results: Results) -> str:
    """Every measured point: clip, row, target, q, bytes, bpp, and mean, worst and 5th percentile of
    metrics."""
    columns = [f"{m.name}_{part}" for m in results.metrics for part in ("mean", "worst", "p5")]
    lines: list[list[Any]] = [["clip", "codec", "target", "q", "bytes", "bpp", *columns]]
    for clip, rows in results.runs.items():
        for row in (r for r in results.rows if r in rows):
            for target, run in sorted(rows[row].items()):
                if run is None:
                    lines.append([clip, row, target])
                    continue
                values = []
                for metric in results.metrics:
                    got = run["metrics"].get(metric.name)
                    values += [round(got[p], 5) if got else "" for p in ("mean", "worst", "p5")]
                head = [clip, row, target, run["q"], run["bytes"], round(run["bpp"], 6)]
                lines.append([*head, *values])
    return _text(lines)


def bd_csv(results: Results) -> str:
    """Every BD-rate: anchor, row, metric, clip, percent, interval, overlap; clip is "overall" for
    the mean of BD-rates, "mean curve" for the BD-rate of mean curves against published ones."""
    header = ["anchor", "codec", "metric", "clip", "percent", "low95", "high95", "overlap"]
    lines: list[list[Any]] = [header]
    for anchor in anchors(results):
        for row in (r for r in results.rows if r != anchor):
            for metric in results.metrics:
                deltas = clip_deltas(results, anchor, row, metric)
                for clip, delta in deltas.items():
                    percent = delta.reason if delta.percent is None else round(delta.percent, 2)
                    lines.append(
                        [anchor, row, metric.name, clip, percent, "", "", round(delta.overlap, 3)]
                    )
                total = overall(results, deltas)
                interval = [round(v, 2) for v in total.interval] if total.interval else ["", ""]
                mean: float | str = total.reason if deltas else ""
                if total.percent is not None:
                    mean = round(total.percent, 2)
                lines.append([anchor, row, metric.name, "overall", mean, *interval, ""])
    for name, row, metric_name, value in published_deltas(results):
        percent = "no overlap" if value is None else round(value, 2)
        lines.append([f"{name} ({MARK})", row, metric_name, "mean curve", percent, "", "", ""])
    return _text(lines)
