"""Tables of the report: BD-rates with intervals, means at each rate, every point; as plain data
and markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eval.codecs import ENDLESS
from eval.metrics import METRICS, Metric, looked_at
from eval.metrics.pixel import SCALES, WINDOW, scales_of
from eval.points.bd import Delta, bd_rate, bootstrap
from eval.report.data import HEADLINE_FRAMES, Results
from eval.tools import markdown
from gvcodec.util.messages import count_noun

#: Below this shared part of the quality range a BD-rate is marked as weakly supported.
WEAK_OVERLAP = 0.25
_BRACKETS = "In brackets: 95 % bootstrap interval over clips."
#: Metrics of the headline: one that no codec here was made for, one that trains the painter, and
#: what painting costs.
HEADLINE = ("lpips_alex", "dists", "psnr_y")
#: Other metrics of the headline, if measured.
BESIDE = ("ssimulacra2", "cvvdp", "flicker")
MARKS = "† a loss of gvcodec's training; the other metrics are held out."


@dataclass(frozen=True)
class Overall:
    """Mean BD-rate over the headline clips that have one, its bootstrap interval, and how many have
    one; `reason`: why none has."""

    percent: float | None
    interval: tuple[float, float] | None
    clips: int
    of: int
    reason: str = "–"

    def text(self) -> str:
        if self.percent is None:
            return self.reason
        interval = f" [{self.interval[0]:+.0f}, {self.interval[1]:+.0f}]" if self.interval else ""
        part = "" if self.clips == self.of else f" ({self.clips} of {self.of} clips)"
        return f"{self.percent:+.1f} %{interval}{part}"


def delta_text(delta: Delta) -> str:
    if delta.percent is None:
        return delta.reason
    return f"{delta.percent:+.1f} %" + ("*" if delta.overlap < WEAK_OVERLAP else "")


def anchors(results: Results) -> list[str]:
    """Rows the others are compared with: SVT-AV1, VVenC and x265 in random access, x265 in low
    delay, where present."""
    reached = {r: codec for r, codec in results.rows.items() if r not in results.smallest}
    peers = [r for r, codec in reached.items() if codec["family"] != "gvcodec"]
    usual = [r for r in ("svtav1-ra", "vvenc-ra", "x265-ra", "x265-ld") if r in peers]
    return usual or peers[:1] or list(reached)[:1]


def clip_deltas(results: Results, anchor: str, row: str, metric: Metric) -> dict[str, Delta]:
    """BD-rate of every clip that has both curves."""
    deltas = {}
    for clip in results.clips:
        curves = [results.curve(clip, r, metric.name) for r in (anchor, row)]
        if all(curves):
            deltas[clip] = bd_rate(*curves, metric.higher_is_better, results.limits)
    return deltas


def overall(results: Results, deltas: dict[str, Delta]) -> Overall:
    values = [deltas[c].percent for c in results.headline if c in deltas]
    numbers = [v for v in values if v is not None]
    mean = sum(numbers) / len(numbers) if numbers else None
    reason = next((delta.reason for delta in deltas.values()), "–")
    return Overall(mean, bootstrap(numbers), len(numbers), len(results.headline), reason)


def bd_table(results: Results, anchor: str) -> tuple[list[str], list[list[str]]]:
    """(header, rows): overall BD-rate against `anchor` for every metric."""
    header = [f"BD-rate, {results.where}", *(m.marked_label for m in results.metrics)]
    rows = []
    for row, codec in results.rows.items():
        if row != anchor:
            cells = _overalls(results, anchor, row, results.metrics)
            if row in results.smallest:
                cells = ["not reached"] * len(cells)
            rows.append([codec["label"], *cells])
    return header, rows


def _overalls(results: Results, anchor: str, row: str, metrics: Sequence[Metric]) -> list[str]:
    return [overall(results, clip_deltas(results, anchor, row, m)).text() for m in metrics]


def common_clips(results: Results, target: float) -> list[str]:
    """Headline clips on which every row that reaches `target` on at least half of them does so."""
    clips = results.headline
    reach = [{c for c in clips if results.run(c, row, target)} for row in results.rows]
    enough = [reached for reached in reach if reached and 2 * len(reached) >= len(clips)]
    return [c for c in results.headline if enough and all(c in clips for clips in enough)]


def means_table(results: Results, target: float) -> tuple[list[str], list[list[str]], list[str]]:
    """(header, rows, clips averaged): every metric's mean at one rate, over the clips the codecs
    have in common."""
    clips = common_clips(results, target)
    header = [f"≈ {target} bpp, {results.where}", "bpp", *(m.marked_label for m in results.metrics)]
    rows = []
    for row, codec in results.rows.items():
        points = [results.mean_point(row, target, m.name, clips) for m in results.metrics]
        first = next((p for p in points if p), None)
        if first is None:
            rows.append([codec["label"], "not reached", *("–" for _ in results.metrics)])
            continue
        both = zip(points, results.metrics, strict=True)
        cells = [f"{p[1]:.{m.digits}f}" if p else "–" for p, m in both]
        rows.append([codec["label"], f"{first[0]:.4f}", *cells])
    return header, rows, clips


def _list_painted(results: Results) -> list[tuple[str, str]]:
    """Rows of painted output, each with that of the base frames of the same files."""
    painted = [row for row, codec in results.rows.items() if codec["output"] == "rendered"]
    pairs = ((row.removesuffix("rendered") + "fidelity", row) for row in painted)
    return [(plain, row) for plain, row in pairs if plain in results.rows]


def make_own_table(results: Results) -> tuple[list[str], list[list[str]]]:
    """(header, rows): BD-rate of painted frames against the base frames of the same files, overall
    and on the clip that gains least. Empty without both outputs."""
    metrics = [m for m in results.metrics if m.name in PAINTING]
    header = [
        f"BD-rate against own base frames, {results.where}",
        *(f"{m.marked_label}{part}" for m in metrics for part in ("", ", worst clip")),
    ]
    rows = []
    for plain, row in _list_painted(results):
        cells = [results.rows[row]["label"]]
        for metric in metrics:
            deltas = clip_deltas(results, plain, row, metric)
            valid = [
                deltas[c] for c in results.headline if c in deltas and deltas[c].percent is not None
            ]
            worst = max(valid, key=lambda d: d.percent or 0.0, default=None)
            cells += [overall(results, deltas).text(), delta_text(worst) if worst else "–"]
        rows.append(cells)
    return header, rows


#: Metrics that judge painting, if measured.
PAINTING = (*HEADLINE, "ssimulacra2", "cvvdp")
PAINTING_NOTE = (
    "both outputs of the same files; flicker in per cent of the source's own change from frame to "
    "frame"
)
#: Rates at which painting is compared with the base frames of the same files.
PAINTING_TARGETS = (0.01, 0.02, 0.04)


def painting_table(results: Results) -> tuple[list[str], list[list[str]]]:
    """(header, rows): rendered against fidelity output of the same files, so at equal bytes; change
    of the metrics it is judged by, and flicker of both in per cent of the source's own change, as
    far as they were measured. Empty without both outputs."""
    judged = [m for m in results.metrics if m.name in PAINTING]
    steady = any(m.name == "flicker" for m in results.metrics)
    header = ["the same files, painted", "bpp", *(m.marked_label for m in judged)]
    header += ["flicker, painted", "flicker, base frames"] if steady else []
    rows = []
    for plain, row in _list_painted(results):
        label = "" if row == "gvcodec-rendered" else f", {results.rows[row]['label']}"
        for clip in results.headline:
            for target in results.targets if results.profile else PAINTING_TARGETS:
                runs = [results.run(clip, r, target) for r in (plain, row)]
                if all(runs):
                    change = results.source_change.get(clip)
                    cells = [f"{clip}{label}", f"{runs[0]['bpp']:.4f}"]  # type: ignore[index]
                    cells += [_format_painted_change(runs, metric) for metric in judged]
                    rows.append(cells + (_unsteadiness(runs, change) if steady else []))
    return header, rows


def _format_painted_change(runs: list[Any], metric: Metric) -> str:
    """From a file's fidelity to its rendered run: decibels, points, JOD, or per cent of a
    distance."""
    before, after = (run["metrics"].get(metric.name, {}).get("mean") for run in runs)
    if before is None or after is None:
        return "–"
    if metric.higher_is_better:
        return f"{after - before:+.{metric.digits}f} {metric.unit}".rstrip()
    return f"{100 * (after / before - 1):+.1f} %" if before else "–"


def _unsteadiness(runs: list[Any], change: float | None) -> list[str]:
    """Flicker of a file's rendered and fidelity run in per cent of the source's own change."""
    values = [run["metrics"].get("flicker", {}).get("mean") for run in reversed(runs)]
    return [
        f"{100 * value / change:.1f} %" if change and value is not None else "–" for value in values
    ]


#: Beginning of the sentence on headline metrics that this machine could not measure.
_ABSENT = "Not measured:"


def notes(results: Results) -> list[str]:
    """Notes of every table: the clips, how metrics are sampled, which
    presets."""
    run = results.all_runs()[0]
    headline = results.headline
    frames = sorted({results.clips[c]["frames"] for c in headline})
    counts = f"{frames[0]}" if len(frames) == 1 else f"{frames[0]}–{frames[-1]}"
    measured = {metric.name for metric in results.metrics}
    absent = [METRICS[name].label for name in HEADLINE if name not in measured]
    # First: without them a table says little about how pictures look.
    sentences = [f"{_ABSENT} {', '.join(absent)}."] * bool(absent)
    sentences.append(f"Averages over {count_noun(len(headline), 'clip')} of {counts} frames.")
    if short := len(results.clips) - len(headline):
        sentences.append(f"{short} more of fewer than {HEADLINE_FRAMES} frames shown by clip only.")
    if stand_ins := [c["set"] for c in results.clips.values() if c["stand_in"]]:
        sentences.append(
            f"The {stand_ins[0]} clips are a stand-in for HEVC Class B and UVG: not comparable "
            "with published tables."
        )
    if profile := results.profile:
        sentences.append(
            f"Conditions of profile {profile.name}: {profile.describe_frames()}, low delay, "
            "BD-rates over all common rates."
        )
    if {clip.get("rgb") for clip in results.clips.values()} == {"dcvc"}:
        sentences.append("RGB by BT.709 in full range, chroma linear from corner to corner (DCVC).")
    if sampled := looked_at(run["every"]):
        sentences.append(f"{sampled}; the same frames for every codec.")
    sizes = [(clip["height"], clip["width"]) for clip in results.clips.values()]
    if "ms_ssim" in measured and min(map(scales_of, *zip(*sizes, strict=True))) < SCALES:
        sentences.append(
            f"MS-SSIM of clips below {WINDOW << SCALES - 1} pixels has fewer than {SCALES} scales."
        )
    return [*sentences, *_codec_notes(results), MARKS]


def describe_unreached(results: Results) -> list[str]:
    """A sentence for each codec that reaches none of the rates."""
    return [
        f"**{results.rows[row]['label']} reaches none of these rates**: its smallest streams have "
        f"{min(rates):.3f} to {max(rates):.3f} bpp. `--targets` asks for others."
        for row, rates in results.smallest.items()
        if rates
    ]


def _codec_notes(results: Results) -> list[str]:
    """How the codecs were run."""
    codecs = results.rows.values()
    keyints = sorted({codec["keyint"] for codec in codecs if codec["delay"] != "intra"})
    period = f"Intra period {', '.join(map(str, keyints))} frames."
    sentences = ["Only the first frame is intra." if keyints == [ENDLESS] else period]
    if any(codec["family"] == "gvcodec" for codec in codecs):
        rate = "gvcodec's rate is its whole file; the peers' that of their elementary stream."
        sentences.append(rate)
    ours = [r for r in results.all_runs() if r["codec"]["output"] == "rendered"]
    if ours and not any(r["stream"].get("painter_id") for r in ours):
        sentences.append("These gvcodec streams are not painted: rendered is the same as fidelity.")
    presets = {c["family"]: c["notes"]["preset"] for c in codecs if "preset" in c.get("notes", {})}
    if presets:
        sentences.append("Presets: " + ", ".join(f"{f} {p}" for f, p in presets.items()) + ".")
    return sentences


def summary_markdown(results: Results) -> str:
    """The README's headline table: gvcodec against the first two anchors, and the notes
    that it needs."""
    prefixes = ("Averages", "The ", "Presets", MARKS)
    short = " ".join(note for note in notes(results) if note.startswith(prefixes))
    return _explain(_headline_table(results, anchors(results)[:2]), short)


def headline_markdown(results: Results) -> str:
    """gvcodec's overall BD-rates against each anchor."""
    return _explain(_headline_table(results, anchors(results)), " ".join(notes(results)))


def _explain(table: str, text: str) -> str:
    """A table of BD-rates with its notes; intervals are explained where there are some."""
    return f"{table}\n\n{text}" + (f" {_BRACKETS}" if _has_intervals(table) else "")


def _has_intervals(table: str) -> bool:
    return re.search(r"% \[[+-]\d+, [+-]\d+\]", table) is not None


def _headline_table(results: Results, against: list[str]) -> str:
    measured = {m.name: m for m in results.metrics}
    metrics = [measured[name] for name in (*HEADLINE, *BESIDE) if name in measured]
    rows = []
    for anchor in against:
        for row, codec in reversed(results.rows.items()):
            if codec["family"] == "gvcodec" and row != anchor:
                totals = _overalls(results, anchor, row, metrics)
                rows.append([codec["label"], results.rows[anchor]["label"], *totals])
    header = [f"BD-rate, {results.where}", "against", *(m.marked_label for m in metrics)]
    return markdown(header, rows)


def results_markdown(results: Results) -> str:
    """All tables of the report over all clips: overall BD-rates and the means at each rate, with
    explanations."""
    parts = []
    for anchor in anchors(results):
        label = results.rows[anchor]["label"]
        table = markdown(*bd_table(results, anchor))
        what = " (95 % bootstrap interval over clips)" if _has_intervals(table) else ""
        parts += [f"**BD-rate against {label}**{what}:", table]
    for target in results.targets:
        header, rows, clips = means_table(results, target)
        if clips:
            reached = f"{len(clips)} clips that all listed codecs reach"
            parts.append(f"**Means at about {target} bpp** ({reached}):")
            parts.append(markdown(header, [row for row in rows if row[1] != "not reached"]))
    parts += describe_unreached(results)
    header, rows = painting_table(results)
    if rows:
        parts += ["**What painting saves**:", markdown(*make_own_table(results))]
        parts += [f"**What painting does** ({PAINTING_NOTE}):", markdown(header, rows)]
    first, *others = notes(results)
    if first.startswith(_ABSENT):
        return "\n\n".join([first, *parts, " ".join(others)])
    return "\n\n".join([*parts, " ".join([first, *others])])
