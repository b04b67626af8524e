"""What a call is about to measure, and about how long that takes: by runs in its folder, or else by
those that come with the checkout."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.points import measured
from eval.tools import read_json

if TYPE_CHECKING:
    from eval.codecs import Codec
    from eval.video import Clip

#: Encodes for each rate: seven find the usual five rates (mean of 300 searches over exponential
#: curves with 2 % of noise).
_ENCODES = 7 / 5


def describe(
    clips: Sequence[Clip],
    codecs: Sequence[Codec],
    missing: Sequence[tuple[Clip, Codec]],
    targets: Sequence[float],
    metrics: Sequence[str],
    folder: Path,
) -> list[str]:
    """A line for each thing that is measured at the rates `targets` (bpp), and the time of the
    curves that are `missing` in `folder`."""
    sizes = sorted({f"{clip.raw.width}×{clip.raw.height}" for clip in clips})
    frames = sum(clip.raw.frames for clip in clips)
    names = ", ".join(dict.fromkeys(codec.name for codec in codecs))
    rates = ", ".join(f"{target:g}" for target in targets)
    counts = len(clips), len(codecs), len(targets)
    size = "{} clips × {} codecs × {} rates".format(*counts)
    lines = [
        f"clips: {', '.join(clip.name for clip in clips)} ({frames} frames of {', '.join(sizes)})",
        f"codecs: {names}",
        f"rates: {rates} bpp",
        f"metrics: {', '.join(metrics)}",
        f"{size} = {math.prod(counts)} points, {len(missing) * counts[2]} of them to be made",
    ]
    if missing:
        lines.append(_time(missing, len(targets), folder))
    return lines


def _time(missing: Sequence[tuple[Clip, Codec]], rates: int, folder: Path) -> str:
    here = [run for p in (folder / "runs").glob("*.json") if (run := read_json(p))]
    known, source = _seconds(here), "the runs in this folder"
    kept = _seconds(measured.runs())
    if any(_of(codec, known) is None for _, codec in missing):
        known, source = kept | known, "points measured on another machine"
    total, unknown = 0.0, set()
    for clip, codec in missing:
        seconds = _of(codec, known)
        if seconds is None:
            unknown.add(codec.name)
            continue
        pixels = clip.raw.width * clip.raw.height * clip.raw.frames / 1e6
        total += pixels * seconds * rates * _ENCODES
    parts = [f"no time is known for {', '.join(sorted(unknown))}"] if unknown else []
    if total:
        words = f"about {duration(total)} of one core for encoding, by {source}"
        parts.insert(0, f"{words}; metrics come on top")
    return "; ".join(parts)


def _seconds(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Median of encoding a megapixel, by name and by family of codecs."""
    found: dict[str, list[float]] = {}
    for run in runs:
        clip, codec = run["clip"], run["codec"]
        pixels = clip["width"] * clip["height"] * clip["frames"] / 1e6
        for name in {codec["name"], codec["family"]}:
            found.setdefault(name, []).append(run["seconds"]["encode"] / pixels)
    return {name: statistics.median(values) for name, values in found.items()}


def _of(codec: Codec, known: dict[str, float]) -> float | None:
    rows = (codec.row(output) for output in codec.outputs)
    return next((known[name] for name in (*rows, codec.family) if name in known), None)


def duration(seconds: float) -> str:
    """`40 s`, `3 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
