"""Makes the report of an output folder, from its JSONs alone.

`report.html` is one self-contained page;
`tables/` gets results as Markdown and CSV, `figures/` one SVG for each metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.report import csv_tables, figures, page, tables
from eval.report.data import load
from eval.tools import fill_marks, write_text


def make(
    folder: Path,
    readme: Sequence[Path] = (),
) -> str:
    """Writes the report and returns a line that says where; its tables also to files with marks for
    them (`headline`, `results`). Raises EvalError when there is nothing to report."""
    results = load(folder)
    text = tables.results_markdown(results)
    made = {
        "results.md": text + "\n",
        "points.csv": csv_tables.points_csv(results),
        "bd.csv": csv_tables.bd_csv(results),
        "frames.csv": csv_tables.frames_csv(results),
    }
    for name in tables.FILES:
        write_text(folder / "tables" / name, made[name])
    for metric in results.metrics:
        chart = figures.rd(results, metric, legend=True)
        write_text(folder / "figures" / f"{metric.name}.svg", chart.svg() + "\n")
    write_text(folder / "report.html", page.page(results))
    texts = {
        "headline": tables.headline_markdown(results),
        "summary": tables.summary_markdown(results),
        "results": text,
    }
    for path in readme:
        fill_marks(path, texts)
    return f"{folder / 'report.html'}: {len(results.all_runs())} runs, {len(results.clips)} clips"
