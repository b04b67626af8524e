"""Reads the report's curves and runs from an output folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from eval.metrics import METRICS, Metric
from eval.points.bd import ALL_RATES, RANGE
from eval.points.profiles import COLUMNS, PROFILES, Profile
from eval.sequences import NAMED
from eval.tools import EvalError, read_json

#: Clips with fewer frames are shown, but not averaged: their one intra frame would dominate.
HEADLINE_FRAMES = 48


#: Display names of gvcodec's two outputs and of its bases.
OUTPUTS = {"rendered": "painted", "fidelity": "base frames"}
_BASES = {"av1": "AV1", "vvc": "H.266"}


def plain(label: str) -> str:
    """A row's name in words: "gvcodec base vvc preset 1, rendered" is "gvcodec, H.266 base
    (preset 1), painted". Other codecs' stay."""
    if label.split(",")[0].split()[:1] != ["gvcodec"]:
        return label
    settings, _, output = label.removeprefix("gvcodec").partition(", ")
    base = re.search(r" base (\w+)", settings)
    rest = (settings.replace(base[0], "", 1) if base else settings).strip()
    name = base[1] if base else "av1"
    words = f"gvcodec, {_BASES.get(name, name)} base" + (f" ({rest})" if rest else "")
    return f"{words}, {OUTPUTS.get(output, output)}" if output else words


@dataclass
class Results:
    """`runs[clip][row][target]` is a run's JSON, or None if the row does not reach that rate on
    that clip."""

    clips: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, dict[float, dict[str, Any] | None]]] = field(default_factory=dict)
    #: By clip and row, runs by target of the same codec at smaller sizes.
    parts: dict[tuple[str, str], list[dict[str, dict[str, Any] | None]]] = field(
        default_factory=dict
    )
    #: By row that reaches no rate, the smallest streams found on each clip, bpp.
    smallest: dict[str, list[float]] = field(default_factory=dict)
    #: Motion-compensated change of the sources themselves, see `eval.metrics.flicker.own_change`.
    source_change: dict[str, float] = field(default_factory=dict)
    speed: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    #: The paper's conditions under which all of this was made; None = the project's own.
    profile: Profile | None = None

    @property
    def targets(self) -> list[float]:
        points = (p for rows in self.runs.values() for p in rows.values())
        return sorted({target for by_target in points for target in by_target})

    @property
    def metrics(self) -> list[Metric]:
        present = {name for run in self.all_runs() for name in run["metrics"]}
        return [metric for name, metric in METRICS.items() if name in present]

    @property
    def headline(self) -> list[str]:
        """Clips that are averaged: those with enough frames, or all when there is none."""
        long = [name for name, clip in self.clips.items() if clip["frames"] >= HEADLINE_FRAMES]
        return long or list(self.clips)

    @property
    def where(self) -> str:
        """The clips in a word or two, for titles: "devtest (stand-in)"."""
        names = sorted(
            {c["set"] + (" (stand-in)" if c["stand_in"] else "") for c in self.clips.values()}
        )
        return ", ".join(names)

    @property
    def limits(self) -> tuple[float, float]:
        """Rates that BD-rates look at, bpp: as far as rates were asked for, at least."""
        if self.profile:
            return ALL_RATES
        return min(RANGE[0], *self.targets), max(RANGE[1], *self.targets)

    @property
    def is_published_set(self) -> bool:
        """Whether the clips are the profile's: all of a paper's and no other, or generated ones,
        next to which published points are drawn as a try."""
        if self.profile is None:
            return False
        name = self.profile.set_name
        same_set = {clip["set"] for clip in self.clips.values()} == {name}
        return same_set and (name not in NAMED or set(self.clips) == set(NAMED[name]))

    @property
    def compares_published(self) -> bool:
        """Whether published curves are for these very clips and may get BD-rates."""
        return self.is_published_set and self.profile is not None and self.profile.compares

    def find_published(self, metric: str) -> dict[str, list[tuple[float, float]]]:
        """Points printed in the profile's papers, as name → (bpp, value), where the clips are the
        profile's."""
        column = COLUMNS.get(metric)
        if self.profile is None or column is None or not self.is_published_set:
            return {}
        curves = {
            name: [(point[0], value) for point in points if (value := point[column]) is not None]
            for name, points in self.profile.published.items()
        }
        return {name: points for name, points in curves.items() if points}

    def mean_curve(self, row: str, metric: str) -> list[tuple[float, float]]:
        """(bpp, value) at each rate that a row reaches on every headline clip, means over these
        clips."""
        points = (self.mean_point(row, target, metric, self.headline) for target in self.targets)
        return sorted({point for point in points if point})

    def run(self, clip: str, row: str, target: float) -> dict[str, Any] | None:
        """The JSON of a run, None if there is none."""
        return self.runs.get(clip, {}).get(row, {}).get(target)

    def all_runs(self) -> list[dict[str, Any]]:
        points = (p for rows in self.runs.values() for p in rows.values())
        return [run for by_target in points for run in by_target.values() if run]

    def curve(self, clip: str, row: str, metric: str) -> list[tuple[float, float]]:
        """(bpp, mean of the metric) of every distinct stream, by rate, including the row's smaller
        picture sizes: a BD-rate ignores points that cost more and are no better."""
        rows = [self.runs.get(clip, {}).get(row, {}), *self.parts.get((clip, row), [])]
        measured = {
            (r["bpp"], r["metrics"][metric]["mean"])
            for points in rows
            for r in points.values()
            if r and metric in r["metrics"]
        }
        return sorted(measured)

    def mean_point(
        self, row: str, target: float, metric: str, clips: list[str]
    ) -> tuple[float, float] | None:
        """Mean bpp and mean metric over `clips`, None when one of them has no such run."""
        results = [self.run(clip, row, target) for clip in clips]
        if not results or any(r is None or metric not in r["metrics"] for r in results):
            return None
        runs = [r for r in results if r]
        return sum(r["bpp"] for r in runs) / len(runs), sum(
            r["metrics"][metric]["mean"] for r in runs
        ) / len(runs)


def load(folder: Path) -> Results:
    """Reads an output folder. Raises EvalError when it holds no result."""
    results, profiles = Results(), set()
    for path in sorted((folder / "curves").glob("*.json")):
        curve = read_json(path)
        if curve is None:
            continue
        if path.stem.endswith("__source"):
            results.source_change[curve["clip"]["name"]] = curve["change"]
            continue
        clip, row = curve["clip"], curve["codec"]["name"]
        if whole := curve["codec"].get("part_of"):
            runs = {t: _run(folder, point) for t, point in curve["targets"].items()}
            results.parts.setdefault((clip, whole), []).append(runs)
            continue
        results.rows[row] = curve["codec"] | {"label": plain(curve["codec"]["label"])}
        profiles.add(curve.get("profile", ""))
        points: dict[float, dict[str, Any] | None] = {}
        for target, point in curve["targets"].items():
            run = points[float(target)] = _run(folder, point)
            if run:
                results.clips[clip] = run["clip"]
        results.runs.setdefault(clip, {})[row] = points
        lowest = [p["lowest_bpp"] for p in curve["targets"].values() if "lowest_bpp" in p]
        results.smallest.setdefault(row, []).extend(lowest)
    for rows in results.runs.values():
        for row in [row for row, points in rows.items() if any(points.values())]:
            results.smallest.pop(row, None)
    if not results.clips and (rates := list(chain(*results.smallest.values()))):
        raise EvalError(
            f"{folder}: no rate was reached: the smallest streams have {min(rates):.3f} bpp; "
            "--targets asks for other rates"
        )
    if not results.clips:
        raise EvalError(
            f"{folder}: no results in it; make some with `python -m eval rd --out {folder} …`"
        )
    results.clips = dict(sorted(results.clips.items()))
    results.profile = PROFILES.get(profiles.pop()) if len(profiles) == 1 else None
    results.rows = dict(sorted(results.rows.items(), key=_row_order))
    results.speed = [
        s for s in (read_json(p) for p in sorted((folder / "speed").glob("*.json"))) if s
    ]
    results.failures = read_json(folder / "failures.json") or []
    return results


def _run(folder: Path, point: dict[str, Any]) -> dict[str, Any] | None:
    return read_json(folder / "runs" / point["run"]) if "run" in point else None


#: The order of rows.
_FAMILIES = ("gvcodec", "x264", "x265", "svtav1", "svtav1-slow", "svtav1-vq", "svtav1-tuned")
_FAMILIES += ("svtav1-tuned-noise", "svtav1-grain", "aom", "vvenc")


def _row_order(item: tuple[str, dict[str, Any]]) -> tuple[int, str]:
    name, codec = item
    family = codec["family"]
    return (_FAMILIES.index(family) if family in _FAMILIES else len(_FAMILIES), name)
