"""`python -m eval check DIR`: is gvcodec as good as in the points that came with the checkout?

Every gvcodec row of the folder is compared with the same row of `eval/measured`, clip by clip: bits
at equal quality, by the metrics of the headline. A mean that is more than `ALLOWED` per cent worse
fails. For the clips that nobody tuned on:

    python -m eval rd --set kept-out --codecs gvcodec --frames 48 --out out/check
    python -m eval check out/check
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from statistics import fmean

from eval.metrics import METRICS
from eval.points import measured
from eval.points.bd import Curve, bd_rate
from eval.report.data import load
from eval.report.tables import HEADLINE
from eval.tools import EvalError, markdown

#: Per cent of bits.
ALLOWED = 2.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dir", type=Path, metavar="DIR", help="the --out folder of `rd`")


def run(options: argparse.Namespace) -> int:
    found = compare(options.dir)
    rows = [[row, *(f"{found[row].get(m, 0):+.1f} %" for m in HEADLINE)] for row in found]
    print(markdown(["row", *(METRICS[name].label for name in HEADLINE)], rows))
    worse = [row for row, means in found.items() if max(means.values()) > ALLOWED]
    if worse:
        raise EvalError(f"{', '.join(worse)}: more than {ALLOWED:g} % more bits than before")
    return 0


def compare(folder: Path) -> dict[str, dict[str, float]]:
    """Row → metric → mean per cent of bits over the clips that both have. Raises EvalError where
    nothing can be compared."""
    results = load(folder)
    deltas: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row, codec in results.rows.items():
        if codec["family"] != "gvcodec":
            continue
        for clip in results.clips:
            for metric in HEADLINE:
                before = measured.curve(clip, row, metric)
                now = results.curve(clip, row, metric)
                delta = _percent(before, now, METRICS[metric].higher_is_better)
                if delta is not None:
                    deltas[row][metric].append(delta)
    if not deltas:
        raise EvalError(f"{folder}: no row of gvcodec on a clip that came with the checkout")
    return {row: {m: fmean(v) for m, v in found.items()} for row, found in deltas.items()}


def _percent(before: Curve, now: Curve, higher_is_better: bool) -> float | None:
    return bd_rate(before, now, higher_is_better).percent if before and now else None
