"""Puts the report's page together: one file, nothing loaded from elsewhere."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template
from typing import Any

from eval.report import figures, tables
from eval.report.data import Results
from eval.report.plot import styles
from eval.report.speed_table import speed_table

_HERE = Path(__file__).resolve().parent


def page(results: Results) -> str:
    """The whole HTML text."""
    parts = {
        name: (_HERE / f"page.{name}").read_text(encoding="utf-8") for name in ("css", "js", "html")
    }
    return Template(parts["html"]).substitute(
        css=parts["css"],
        js=parts["js"],
        title=escape(f"gvcodec: rate–distortion on {results.where}"),
        notes="".join(f"<li>{escape(note)}</li>" for note in tables.notes(results)),
        limits="over all rates that two curves share"
        if results.profile
        else "inside 0.005–0.08 bpp",
        bd=_bd(results),
        legend=_legend(results),
        metric_buttons=_buttons("metric", [(m.name, m.marked_label) for m in results.metrics]),
        clip_options=_options(
            [(figures.MEAN, "mean over clips"), *((c, c) for c in results.clips)]
        ),
        charts=_charts(results),
        means=_means(results),
        painting=_painting(results),
        clip_bd=_clip_bd(results),
        files=_files(),
        speed=_speed(results),
        runs=_runs(results),
    )


def table(header: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = ("".join(f"<td>{_cell(cell)}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{whole}</div>'


def _cell(text: str) -> str:
    """Percentages are coloured by sign; interval and number of clips are set small below them."""
    value, percent, rest = text.partition(" %")
    if not percent or value[:1] not in ("+", "-") or rest[:1] == ":":
        return escape(text)
    below = f"<small>{escape(rest.strip())}</small>" if rest.strip("* ") else escape(rest)
    return f'<span class="{"good" if value[0] == "-" else "bad"}">{escape(value)} %</span>{below}'


def _buttons(group: str, items: list[tuple[str, str]]) -> str:
    button = '<button data-{}="{}">{}</button>'
    return "".join(button.format(group, escape(key), escape(label)) for key, label in items)


def _options(items: list[tuple[str, str]]) -> str:
    option = '<option value="{}">{}</option>'
    return "".join(option.format(escape(key), escape(label)) for key, label in items)


def _bd(results: Results) -> str:
    blocks = []
    for anchor in tables.anchors(results):
        label = escape(results.rows[anchor]["label"])
        blocks.append(f"<h3>against {label}</h3>{table(*tables.bd_table(results, anchor))}")
    return "".join(blocks)


def _legend(results: Results) -> str:
    items = []
    for row, (colour, dash, _) in styles(results.rows).items():
        path = f'<path d="M0 4H26" stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dash}"/>'
        line = f'<svg width="26" height="8">{path}</svg>'
        label = escape(results.rows[row]["label"])
        items.append(f'<button data-row="{escape(row)}">{line} {label}</button>')
    return "".join(items)


def _charts(results: Results) -> str:
    blocks = []
    for metric in results.metrics:
        for clip in (figures.MEAN, *results.clips):
            svg = figures.rd_chart(results, metric, clip)
            key = f"{metric.name}|{escape(clip)}"
            blocks.append(f'<figure data-chart="{key}" hidden>{svg}</figure>')
    return "".join(blocks)


def _means(results: Results) -> str:
    blocks = []
    for target in results.targets:
        header, rows, clips = tables.means_table(results, target)
        share = f"{len(clips)} of {len(results.headline)} clips"
        text = f"{share}, those that all codecs with values here reach"
        head = f"<h3>≈ {target} bpp</h3><p class='faint'>{text}</p>"
        blocks.append(head + (table(header, rows) if clips else ""))
    return "".join(blocks)


def _painting(results: Results) -> str:
    header, rows = tables.painting_table(results)
    if not rows:
        return "<p class='faint'>No file with both outputs.</p>"
    note = f"<p class='faint'>{tables.PAINTING_NOTE.capitalize()}.</p>"
    return table(*tables.make_own_table(results)) + note + table(header, rows)


def _clip_bd(results: Results) -> str:
    anchor = tables.anchors(results)[0]
    label = escape(results.rows[anchor]["label"])
    found = (table(*tables.clip_table(results, anchor, metric)) for metric in results.metrics)
    return f"<p>against {label}; * = the curves share less than a quarter.</p>{''.join(found)}"


def _files() -> str:
    """Links to what lies beside the page."""
    items = (f'<a href="tables/{name}">{name}</a> ({what})' for name, what in tables.FILES.items())
    return ", ".join(items)


def _speed(results: Results) -> str:
    if not results.speed:
        command = "<code>python -m eval speed --out DIR</code>"
        return f"<p class='faint'>Not measured: {command} adds it here.</p>"
    blocks = []
    for result in results.speed:
        header, rows, note = speed_table(result)
        blocks.append(table(header, rows) + f"<p class='faint'>{escape(note)}</p>")
    return "".join(blocks)


def _runs(results: Results) -> str:
    rows: list[list[str]] = []
    for clip, by_row in results.runs.items():
        for row in (r for r in results.rows if r in by_row):
            for target, run in sorted(by_row[row].items()):
                rows.append([clip, results.rows[row]["label"], str(target), *_run_cells(run)])
    header = ["clip", "codec", "target", "q", "bytes", "bpp", "encode s", "decode s", "command"]
    failures = "".join(f"<li>{escape(line)}</li>" for line in results.failures)
    failed = f"<h3>Failed</h3><ul>{failures}</ul>" if failures else ""
    versions = results.all_runs()[0]["versions"]
    shown = ", ".join(f"{name} {value}" for name, value in versions.items())
    return failed + f"<p>{escape(shown)}</p>" + table(header, rows)


def _run_cells(run: dict[str, Any] | None) -> list[str]:
    if run is None:
        return ["–", "–", "not reached", "–", "–", "–"]
    seconds = run["seconds"]
    head = [str(run["q"]), str(run["bytes"]), f"{run['bpp']:.4f}"]
    return [*head, f"{seconds['encode']:.1f}", f"{seconds['decode']:.1f}", run["encode_command"]]
