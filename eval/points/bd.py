"""Bjøntegaard delta rate inside the project's rate range, with its uncertainty over sequences.

Curves are points (bpp, metric). Each is cut to 0.005…0.08 bpp by Akima interpolation of the metric
over log rate, made strictly monotone (a point that costs more and is no better is left out), and
compared by package `bjontegaard` (Akima) over the metric range both have in common. Curves of fewer
than four points are not compared. Negative = the test codec needs fewer bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eval.tools import need_packages

RANGE = (0.005, 0.08)
#: No limits: over the common range of two curves.
ALL_RATES = (1e-6, 100.0)
#: Points this little outside the range belong to it: a found rate is never exactly the target.
_SLACK = 1.03
#: Least points of a curve, as in Bjøntegaard's method (VCEG-M33).
LEAST_POINTS = 4
NO_OVERLAP, TOO_FEW = "no overlap", f"fewer than {LEAST_POINTS} rates"
Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Delta:
    """BD-rate in percent, or None with the `reason`: the curves share no quality, or have too few
    points; `overlap` is the shared part of the quality both cover together (0…1)."""

    percent: float | None
    overlap: float
    reason: str = NO_OVERLAP


def clip_curve(
    curve: Curve, higher_is_better: bool, limits: tuple[float, float] = RANGE
) -> list[tuple[float, float]]:
    """The curve inside `limits` (bpp) as (log10 bpp, quality), quality rising strictly; distances
    are negated."""
    sign = 1.0 if higher_is_better else -1.0
    by_rate = dict(sorted((math.log10(bpp), sign * value) for bpp, value in curve))
    points = list(by_rate.items())
    low, high = math.log10(limits[0] / _SLACK), math.log10(limits[1] * _SLACK)
    inside = [p for p in points if low <= p[0] <= high]
    if len(points) >= 2:
        for edge in (math.log10(limits[0]), math.log10(limits[1])):
            if points[0][0] < edge < points[-1][0] and not any(
                abs(p[0] - edge) < math.log10(_SLACK) for p in inside
            ):
                inside.append((edge, _interpolate(points, edge)))
    rising: list[tuple[float, float]] = []
    for rate, quality in sorted(inside):
        if not rising or quality > rising[-1][1]:
            rising.append((rate, quality))
    return rising


def _interpolate(points: list[tuple[float, float]], at: float) -> float:
    from scipy.interpolate import Akima1DInterpolator

    rates, qualities = np.array(points).T
    if len(points) < 3:
        return float(np.interp(at, rates, qualities))
    return float(Akima1DInterpolator(rates, qualities)(at))


def bd_rate(
    anchor: Curve,
    test: Curve,
    higher_is_better: bool,
    limits: tuple[float, float] = RANGE,
    least_points: int = LEAST_POINTS,
) -> Delta:
    """BD-rate of `test` against `anchor` in percent."""
    need_packages("bjontegaard")
    import bjontegaard

    if min(len({bpp for bpp, _ in curve}) for curve in (anchor, test)) < least_points:
        return Delta(None, 0.0, TOO_FEW)
    a, t = (clip_curve(c, higher_is_better, limits) for c in (anchor, test))
    if len(a) < 2 or len(t) < 2:
        return Delta(None, 0.0)
    common = min(a[-1][1], t[-1][1]) - max(a[0][1], t[0][1])
    whole = max(a[-1][1], t[-1][1]) - min(a[0][1], t[0][1])
    if common <= 0:
        return Delta(None, 0.0)
    rate_a, quality_a = np.array(a).T
    rate_t, quality_t = np.array(t).T
    options = {"method": "akima", "require_matching_points": False, "min_overlap": 0}
    percent = float(bjontegaard.bd_rate(10**rate_a, quality_a, 10**rate_t, quality_t, **options))
    return Delta(percent if math.isfinite(percent) else None, common / whole)


def bootstrap(values: Sequence[float], draws: int = 10000) -> tuple[float, float] | None:
    """95 % percentile interval of the mean over sequences (seed fixed), None for fewer than
    three."""
    if len(values) < 3:
        return None
    data = np.asarray(values)
    picks = np.random.default_rng(0).integers(0, len(data), (draws, len(data)))
    low, high = np.percentile(data[picks].mean(1), [2.5, 97.5])
    return float(low), float(high)
