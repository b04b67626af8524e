"""Rates and qualities that a checkpoint reached, for the description beside it
(`checkpoints/base.json`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.report.data import Results
from eval.tools import EvalError, read_json, write_json

JUDGED = ("lpips_alex", "dists", "psnr_y")
_ID_DIGITS = 16


def describe(results: Results, path: Path) -> None:
    """Puts all points that the checkpoint of `path` made into it, under `rd`. Raises EvalError when
    there are none."""
    card = read_json(path)
    if not isinstance(card, dict) or "sha256" not in card:
        raise EvalError(f"{path} does not describe a checkpoint")
    identity = card["sha256"][:_ID_DIGITS]
    points: list[dict[str, Any]] = []
    for clip, rows in results.runs.items():
        for row, runs in rows.items():
            made = {
                run["q"]: run
                for run in runs.values()
                if run and run["stream"].get("painter_id") == identity
            }
            points += [
                {
                    "clip": clip,
                    "frames": run["clip"]["frames"],
                    "row": row,
                    "q": q,
                    "bpp": round(run["bpp"], 5),
                }
                | {
                    name: round(run["metrics"][name]["mean"], 4)
                    for name in JUDGED
                    if name in run["metrics"]
                }
                for q, run in sorted(made.items())
            ]
    if not points:
        raise EvalError(f"no stream in this folder was painted by the checkpoint of {path}")
    write_json(path, card | {"rd": {"clips": results.where, "points": points}})
