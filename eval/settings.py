"""What settings of the standard layers are worth beside those of the AV1 layer: `python -m eval settings`.

Every clip is coded at a few q with the AV1 layer's own settings and with each of others, `NAME=VALUE` joined by colons: `base=NAME` for
another layer, `preset=N`, and options as SVT-AV1 takes them. Compared are loop frames, by bits at equal quality and by processor time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from statistics import fmean

from tqdm import tqdm

from eval.ablate import Metric, distance, psnr_y, ten_bits
from eval.bd import RANGE, bd_rate
from eval.metrics import METRICS, looked_at
from eval.report.tables import markdown
from eval.tools import EvalError, write_json, write_text
from eval.video import Clip, stand_in
from gvcodec.errors import UsageError
from gvcodec.structure.standard.codec import StandardEncoder
from gvcodec.types import Planes, VideoFormat

#: One frame in how many each metric looks at; LPIPS-Alex is held out and has no part in a choice.
EVERY = {"psnr_y": 1, "lpips_vgg": 16, "dists": 16}
#: For each metric its points (bpp, quality), and processor seconds.
Measured = tuple[list[list[tuple[float, float]]], float]


def measure(clips: Sequence[Clip], settings: Sequence[str], qs: Sequence[int], out: Path) -> str:
    """Encodes, measures, writes `settings.json` and `.md` below `out`; returns the Markdown. Raises EvalError."""
    if len(qs) < 3:
        raise EvalError("--q: three or more are needed for a BD-rate")
    found: dict[str, list[dict[str, float | None]]] = {name: [] for name in settings}
    for clip in tqdm(clips, unit="clip", disable=None):
        frames = ten_bits(clip)
        metrics = [psnr_y if name == "psnr_y" else distance(clip, name, every) for name, every in EVERY.items()]
        anchor, usual_seconds = _coded(clip, frames, "", qs, metrics)
        for setting in settings:
            curves, seconds = _coded(clip, frames, setting, qs, metrics)
            deltas = {
                name: bd_rate(own, other, METRICS[name].higher_is_better).percent
                for name, own, other in zip(EVERY, anchor, curves, strict=True)
            }
            found[setting].append(deltas | {"time": seconds / usual_seconds})
    write_json(out / "settings.json", {"clips": [c.describe() for c in clips], "q": list(qs), "rows": found})
    text = _markdown(clips, qs, found)
    write_text(out / "settings.md", text + "\n")
    return text


def _coded(clip: Clip, frames: list[Planes], setting: str, qs: Sequence[int], metrics: Sequence[Metric]) -> Measured:
    words = [word for word in setting.split(":") if word]
    own = dict(word.split("=", 1) for word in words if word.startswith(("base=", "preset=")))
    base, preset = own.get("base", "av1"), own.get("preset", "")
    params = [word for word in words if not word.startswith(("base=", "preset="))]
    if preset and not preset.isdecimal():
        raise EvalError(f"--settings: {setting}: a preset is a number")
    if params and base != "av1":
        raise EvalError(f"--settings: {setting}: {params[0]} is for SVT-AV1")
    rate = Fraction(clip.fps).limit_denominator(1001)
    fmt = VideoFormat(clip.raw.width, clip.raw.height, rate, 1 / rate)
    curves: list[list[tuple[float, float]]] = [[] for _ in metrics]
    seconds = 0.0
    for q in qs:
        began = _processor_seconds()
        try:
            encoder = StandardEncoder(fmt, base, q, params=params, preset=int(preset) if preset else None)
        except UsageError as error:
            raise EvalError(f"--settings: {setting}: {error}") from None
        coded = [*(encoder.send(planes) for planes in frames), encoder.flush()]
        seconds += _processor_seconds() - began
        bpp = 8 * sum(len(p.payload) for c in coded for p in c.packets) / clip.pixels
        loops = [loop for c in coded for loop in c.loops]
        for curve, metric in zip(curves, metrics, strict=True):
            curve.append((bpp, metric(frames, loops)))
    return curves, seconds


def _processor_seconds() -> float:
    """Of this process and of those that it waited for: VVenC runs as one."""
    return sum(os.times()[:4])


def _markdown(clips: Sequence[Clip], qs: Sequence[int], found: dict[str, list[dict[str, float | None]]]) -> str:
    rows = []
    for setting, values in found.items():
        cells = []
        for name in EVERY:
            known = [v for value in values if (v := value[name]) is not None]
            missing = f" ({len(known)} of {len(values)} clips)" if len(known) < len(values) else ""
            cells.append(f"{fmean(known):+.1f} %{missing}" if known else "no overlap")
        rows.append([f"`{setting}`", *cells, f"×{fmean(v['time'] or 0 for v in values):.2f}"])
    header = ["layer with", *(METRICS[name].marked for name in EVERY), "processor time"]
    note = (
        f"Loop frames, bits more at equal quality than the AV1 layer with its own settings (BD-rate over {RANGE[0]}–{RANGE[1]} bpp, "
        f"q {', '.join(map(str, qs))}), mean of {len(clips)} clips ({', '.join(c.name for c in clips)}), first {clips[0].raw.frames} frames. "
        f"{looked_at(EVERY)}. † A loss of training.{stand_in(clips)}"
    )
    return f"{markdown(header, rows)}\n\n{note}"
