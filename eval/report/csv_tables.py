"""The report as CSV: every frame, every measured point, every BD-rate."""

from __future__ import annotations

import csv
import io

from eval.report.data import Results
from eval.report.tables import anchors, clip_deltas, overall


def frames_csv(results: Results) -> str:
    """Every frame: clip, row, target, metric ("bits" in coding order), frame, value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["clip", "codec", "target", "metric", "frame", "value"])
    for clip, rows in results.runs.items():
        for row in (r for r in results.rows if r in rows):
            for target, run in sorted(rows[row].items()):
                if run is None:
                    continue
                head = [clip, row, target]
                for number, size in enumerate(run["frame_bytes"]):
                    writer.writerow([*head, "bits", number, 8 * size])
                for name, got in run["metrics"].items():
                    for number, value in zip(got["frames"], got["values"], strict=False):
                        writer.writerow([*head, name, number, value])
    return out.getvalue()


def points_csv(results: Results) -> str:
    """Every measured point: clip, row, target, q, bytes, bpp, and mean, worst and 5th percentile of
    metrics."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = [f"{m.name}_{part}" for m in results.metrics for part in ("mean", "worst", "p5")]
    writer.writerow(["clip", "codec", "target", "q", "bytes", "bpp", *columns])
    for clip, rows in results.runs.items():
        for row in (r for r in results.rows if r in rows):
            for target, run in sorted(rows[row].items()):
                if run is None:
                    writer.writerow([clip, row, target])
                    continue
                values = []
                for metric in results.metrics:
                    got = run["metrics"].get(metric.name)
                    values += [round(got[p], 5) if got else "" for p in ("mean", "worst", "p5")]
                head = [clip, row, target, run["q"], run["bytes"], round(run["bpp"], 6)]
                writer.writerow([*head, *values])
    return out.getvalue()


def bd_csv(results: Results) -> str:
    """Every BD-rate: anchor, row, metric, clip or "overall", percent, interval, overlap."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["anchor", "codec", "metric", "clip", "percent", "low95", "high95", "overlap"])
    for anchor in anchors(results):
        for row in (r for r in results.rows if r != anchor):
            for metric in results.metrics:
                deltas = clip_deltas(results, anchor, row, metric)
                for clip, delta in deltas.items():
                    percent = "no overlap" if delta.percent is None else round(delta.percent, 2)
                    writer.writerow(
                        [anchor, row, metric.name, clip, percent, "", "", round(delta.overlap, 3)]
                    )
                total = overall(results, deltas)
                interval = [round(v, 2) for v in total.interval] if total.interval else ["", ""]
                mean: float | str = "no overlap" if deltas else ""
                if total.percent is not None:
                    mean = round(total.percent, 2)
                writer.writerow([anchor, row, metric.name, "overall", mean, *interval, ""])
    return out.getvalue()
