"""A page for judging by eye: pairs of pictures of equal bytes without names, sides and order drawn
by a seed.

gvcodec's leading row meets every other row on every clip. Keys 1 and 2 say which picture is better,
0 that they are equal. Names are shown and stored (as a JSON file) at the end only.
"""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from string import Template
from typing import Any

from eval.report.data import Results
from eval.report.visual import leading_row

#: Bytes of a pair are equal within this (natural logarithm).
EQUAL = 0.1
#: Pairs that a person is asked for at most; about ten minutes.
MOST = 60


def pairs(results: Results, seed: int) -> list[dict[str, Any]]:
    """The pairs in their order: {clip, frame, target, source, a, b}; the source is WebP in base64,
    a and b are {row, label, bpp, webp}."""
    rng, leader, found = random.Random(seed), leading_row(results), []
    for clip in results.clips:
        for other in (row for row in results.rows if row != leader):
            if (pair := _pair(results, clip, leader, other, rng)) is not None:
                found.append(pair)
    rng.shuffle(found)
    return found[:MOST]


def _pair(
    results: Results, clip: str, leader: str, other: str, rng: random.Random
) -> dict[str, Any] | None:
    """One frame of a clip by two rows, at the lowest rate at which both have pictures of equal
    bytes."""
    source = {crop["frame"]: crop["webp"] for crop in results.source_crops.get(clip, [])}
    for target in results.targets:
        runs = [results.run(clip, row, target) for row in (leader, other)]
        if not all(run and run["crops"] for run in runs):
            continue
        if abs(math.log(runs[0]["bpp"] / runs[1]["bpp"])) > EQUAL:  # type: ignore[index]
            continue
        crops = [{crop["frame"]: crop["webp"] for crop in run["crops"]} for run in runs]  # type: ignore[index]
        if frames := sorted(set(source) & set(crops[0]) & set(crops[1])):
            frame = rng.choice(frames)
            sides = [
                {
                    "row": row,
                    "label": results.rows[row]["label"],
                    "bpp": run["bpp"],
                    "webp": crop[frame],
                }  # type: ignore[index]
                for row, run, crop in zip((leader, other), runs, crops, strict=True)
            ]
            rng.shuffle(sides)
            found = {"clip": clip, "frame": frame, "target": target, "source": source[frame]}
            return found | {"a": sides[0], "b": sides[1]}
    return None


def page(results: Results, seed: int) -> str:
    """The whole HTML text, "" where there is no pair."""
    drawn = pairs(results, seed)
    template = (Path(__file__).resolve().parent / "blind.html").read_text(encoding="utf-8")
    data = json.dumps({"seed": seed, "where": results.where, "pairs": drawn}).replace("</", "<\\/")
    return Template(template).substitute(data=data) if drawn else ""
