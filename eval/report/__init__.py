"""`python -m eval report DIR`: makes the report of an output folder, from its JSONs alone.

`report.md` has the tables that matter; `tables/` gets every value as CSV, `figures/` one SVG for
each metric.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from eval import arguments as shared
from eval.metrics import METRICS
from eval.report import csv_tables, figures, tables
from eval.report.data import Results, load
from eval.report.published import published_parts
from eval.report.speed_table import speed_table
from eval.tools import fill_marks, markdown, write_text

#: Begins the report of `rd --short`.
_GENERATED = (
    "**A try on generated clips.** They have names of HEVC Class B, are computed by this program, "
    "and are small and short: no figure here says anything about a codec."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, metavar="DIR", help="the --out folder of `rd`")
    shared.add_readme(parser, "summary, headline and results")


def run(options: argparse.Namespace) -> None:
    print(make(options.dir, options.readme))


def make(folder: Path, readme: Sequence[Path] = ()) -> str:
    """Writes the report and returns a line that says where; its tables also to files with marks for
    them (`headline`, `results`). Raises EvalError when there is nothing to report."""
    results = load(folder)
    text = tables.results_markdown(results)
    for name, values in (
        ("points", csv_tables.points_csv(results)),
        ("bd", csv_tables.bd_csv(results)),
        ("frames", csv_tables.frames_csv(results)),
    ):
        write_text(folder / "tables" / f"{name}.csv", values)
    for metric in results.metrics:
        write_text(folder / "figures" / f"{metric.name}.svg", figures.rd_chart(results, metric))
    write_text(folder / "report.md", _report(results, text))
    texts = {
        "headline": tables.headline_markdown(results),
        "summary": tables.summary_markdown(results),
        "results": text,
    }
    for path in readme:
        fill_marks(path, texts)
    return f"{folder / 'report.md'}: {len(results.all_runs())} runs, {len(results.clips)} clips"


def _report(results: Results, text: str) -> str:
    """The tables of `text`, the charts, speed, failures, and versions."""
    parts = [f"# Rate–distortion on {results.where}"]
    if results.profile and results.profile.name == "short":
        parts.append(_GENERATED)
    parts += [text, *published_parts(results)]
    parts += [f"![{m.marked_label}](figures/{m.name}.svg)" for m in results.metrics]
    for measured in results.speed:
        header, rows, note = speed_table(measured)
        parts += ["**Speed**:", markdown(header, rows), note]
    if results.failures:
        parts.append("\n".join(["**Failed**:", "", *(f"* {line}" for line in results.failures)]))
    run = results.all_runs()[0]
    if measured_by := run.get("judges"):
        lines = (f"{METRICS[name].label} by {judge}" for name, judge in measured_by.items())
        parts.append("; ".join(lines))
    versions = run["versions"]
    parts.append(", ".join(f"{name} {value}" for name, value in versions.items()))
    return "\n\n".join(parts) + "\n"
