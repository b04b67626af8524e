"""Writes the tables of the specification: `python scripts/spec_tables.py` fills docs/spec/tables
and its SHA256SUMS. `tests/bitstream/test_conformance.py` compares them with the code.

Laplace tables are computed here independently, from the rule in docs/spec/entropy.md.
"""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path

from gvcodec.base.resample import DOWN, UP, Filter

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/spec/tables"
SUMS = "SHA256SUMS"
_DECAY = (4280046474, 4281671832, 4283120382, 4284411306, 4285561716, 4286586875)
_SCALES, _PHASES = 64, 8


def laplace_scale(scale: int) -> dict[str, object]:
    """Radius, order of the exp-Golomb code, and for each eighth of a mean the frequencies."""
    decay, i = _DECAY[(scale + 2) % 6], scale
    while i < _SCALES - 6:
        decay, i = (decay * decay + (1 << 31)) >> 32, i + 6
    tail = [1 << 32]
    while len(tail) < 8 * 700:
        tail.append((tail[-1] * decay + (1 << 31)) >> 32)
    radius = next(r for r in range(2, 600) if tail[8 * r] <= 1 << 23)
    symbols = 2 * radius + 2

    def below(n: int) -> int:
        return tail[-n] if n < 0 else (1 << 33) - tail[n]

    def frequency(p: int) -> int:
        return 1 + (p * ((1 << 16) - symbols) >> 33)

    rows = []
    for phase in range(_PHASES):
        mean, row = phase - 4, []
        for symbol in range(symbols - 1):
            distance = (symbol + 1) // 2 if symbol % 2 else -(symbol // 2)
            centre = 8 * distance - mean
            row.append(frequency(below(centre + 4) - below(centre - 4)))
        outer = 8 * radius + 4
        row.append(frequency(below(-outer - mean) + tail[outer - mean]))
        row[0] += (1 << 16) - sum(row)
        rows.append(row)
    return {"radius": radius, "golomb": max(0, (scale - 21) // 6), "frequencies": rows}


def resampler() -> dict[str, object]:
    """Filters by direction and scale."""

    def fields(kernel: Filter) -> dict[str, object]:
        return {"step": kernel.step, "first": kernel.first, "taps": kernel.taps}

    def all_of(kernels: dict[Fraction, Filter]) -> dict[str, object]:
        return {str(scale): fields(kernel) for scale, kernel in kernels.items()}

    return {"up": all_of(UP), "down": all_of(DOWN)}


def tables() -> dict[str, bytes]:
    """Every table by the name of its file."""
    laplace = [laplace_scale(scale) for scale in range(_SCALES)]
    return {
        "laplace.json": (json.dumps(laplace, separators=(",", ":")) + "\n").encode(),
        "resampler.json": (json.dumps(resampler(), indent=1) + "\n").encode(),
        "bundles.sample": (ROOT / "gvcodec/bitstream/bundles.sample").read_bytes(),
    }


def sums(files: dict[str, bytes]) -> str:
    """SHA-256 sums in the form of `sha256sum`."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in sorted(files.items()))
    return "\n".join(lines) + "\n"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    contents = tables()
    for name, data in contents.items():
        (FOLDER / name).write_bytes(data)
    (FOLDER / SUMS).write_text(sums(contents))


if __name__ == "__main__":
    main()
