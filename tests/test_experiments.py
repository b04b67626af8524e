"""Tables of `eval.experiments`, from made-up points."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("bjontegaard")

from eval.experiments import painters


def row(q: int, bpp: float, worth: dict[str, float]) -> dict[str, Any]:
    """A clip whose LPIPS-Alex and DISTS fall by 0.1 with twice the rate, and each way is as good as
    so many times the rate."""
    found: dict[str, Any] = {"clip": "a", "q": q, "bpp": bpp, "bytes": 1000}
    found |= {"size": [32, 16], "frames": 3}
    for way, factor in worth.items():
        value = -0.1 * math.log2(bpp * factor)
        found[way] = {"lpips_alex": value, "dists": value, "ssimulacra2": 50.0, "cvvdp": 9.0}
        found[way]["tuned_bytes"] = 0
    return found


def test_painters_are_compared_in_rate() -> None:
    worth = {"base": 1.0, "float 0": 1.25, "integer 0": 1.0}
    rows = [row(q, bpp, worth) for q, bpp in ((30, 0.08), (40, 0.04), (50, 0.02), (60, 0.01))]
    text = painters.to_markdown(rows, [0])
    float_line, integer_line = text.splitlines()[2:4]
    assert float_line.count("-20.0 % [-20, -20]") == 2 and "+0.00" in float_line
    assert integer_line.count("+0.0 % [+0, +0]") == 2
    assert integer_line.count("+25.0 % [+25, +25]") == 2
    for each in rows:
        each["integer 0"]["tuned_bytes"] = 100
    assert painters.to_markdown(rows, [0]).splitlines()[3].count("+10.0 % [+10, +10]") == 2
