"""What settings of the standard layers are worth beside those of the AV1 layer: `python -m eval
settings`.

Every clip is coded at a few q with the AV1 layer's own settings and with each of others,
`NAME=VALUE` joined by colons: `base=NAME` for another layer, `preset=N`, and
options as SVT-AV1 takes them. Compared are loop frames, or with `--painted` what the renderer makes
of them, tuned where a setting says `steps=N`, by bits at equal quality and by processor time.
`--anchor` names other settings to compare with; `loop` among them means its loop frames, and the
bytes of its packets alone.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import fmean

from tqdm import tqdm

from eval.frames import Metric, distance, picture, psnr_y, ten_bits
from eval.bd import RANGE, bd_rate
from eval.colour import Picture
from eval.metrics import METRICS, judges, looked_at, middle, sample
from eval.metrics import Metric as MetricRecord
from eval.report.tables import markdown
from eval.tools import EvalError, digest, read_json, write_json, write_text
from eval.video import Clip, stand_in
from gvcodec.api import decode_planes
from gvcodec.config import EncoderConfig
from gvcodec.encoder import Encoder
from gvcodec.errors import UsageError
from gvcodec.session import run
from gvcodec.structure.standard.codec import StandardEncoder
from gvcodec.types import Planes, VideoFormat

#: One frame in how many each metric looks at; LPIPS-Alex is held out and has no part in a choice.
EVERY = {"psnr_y": 1, "lpips_vgg": 16, "dists": 16}
#: Painted frames are judged by what leads tuning where nobody has other weights, and by metrics
#: that have no part in a choice.
EVERY_PAINTED = {"small": 4, "lpips_alex": 4, "ssimulacra2": 8, "cvvdp": 4, "psnr_y": 1}
_RECORDS = METRICS | {"small": MetricRecord("small", "small network", "", False, 4, trained=True)}
#: What a setting may say beside options of SVT-AV1.
_OWN = ("base=", "preset=", "steps=")
_LOOP = "loop"
#: For each metric its points (bpp, quality), and processor seconds.
Measured = tuple[list[list[tuple[float, float]]], float]


def measure(
    clips: Sequence[Clip],
    settings: Sequence[str],
    qs: Sequence[int],
    out: Path,
    painted: bool = False,
    anchor: str = "",
) -> str:
    """Encodes, measures, writes `settings.json` and `.md` below `out`, where points that are there
    are kept; returns the Markdown. Raises EvalError."""
    if len(qs) < 3:
        raise EvalError("--q: three or more are needed for a BD-rate")
    found: dict[str, list[dict[str, float | None]]] = {name: [] for name in settings}
    every = EVERY_PAINTED if painted else EVERY
    for clip in tqdm(clips, unit="clip", disable=None):
        frames = ten_bits(clip)
        metrics = {f"{name}/{n}": _metric(clip, name, n) for name, n in every.items()}
        usual, usual_seconds = _coded(clip, frames, anchor, qs, metrics, painted, out)
        for setting in settings:
            curves, seconds = _coded(clip, frames, setting, qs, metrics, painted, out)
            deltas = {
                name: bd_rate(own, other, _RECORDS[name].higher_is_better).percent
                for name, own, other in zip(every, usual, curves, strict=True)
            }
            found[setting].append(deltas | {"time": seconds / usual_seconds})
    write_json(
        out / "settings.json",
        {"clips": [c.describe() for c in clips], "q": list(qs), "rows": found},
    )
    text = _markdown(
        clips,
        qs,
        found,
        every,
        f"`{anchor}`" if anchor else "the AV1 layer with its own settings",
        painted,
    )
    write_text(out / "settings.md", text + "\n")
    return text


def _metric(clip: Clip, name: str, every: int) -> Metric:
    if name == "psnr_y":
        return psnr_y
    if name == "cvvdp":
        return _colorvideovdp(clip, every)
    if name not in ("small", "ssimulacra2"):
        return distance(clip, name, every)
    judge = _small_network() if name == "small" else judges.ssimulacra2

    def measure(source: list[Planes], shown: list[Planes]) -> float:
        return fmean(
            judge(picture(clip, shown[i]), picture(clip, source[i]))
            for i in sample(len(source), every)
        )

    return measure


def _colorvideovdp(clip: Clip, every: int) -> Metric:
    looked = middle(clip.raw.frames, every)

    def measure(source: list[Planes], shown: list[Planes]) -> float:
        return judges.cvvdp(
            lambda i: (picture(clip, shown[i]), picture(clip, source[i])),
            looked,
            float(clip.fps),
            "cpu",
        )

    return measure


def _small_network() -> Callable[[Picture, Picture], float]:
    """LPIPS + DISTS by the features of the network that is shipped."""
    import torch

    from gvcodec.painter import perceptual
    from gvcodec.painter.perceptual.vgg import PerceptualLoss

    found = perceptual.leading_weights("small")
    if found is None:
        raise EvalError("the small network is missing")
    loss = PerceptualLoss(weights=found[1])

    def judge(shown: Picture, source: Picture) -> float:
        with torch.inference_mode():
            one, other = (torch.from_numpy(x)[None] for x in (shown, source))
            return float(sum(part.sum() for part in loss(one, loss.reference(other))))

    return judge


def _coded(
    clip: Clip,
    frames: list[Planes],
    setting: str,
    qs: Sequence[int],
    metrics: Mapping[str, Metric],
    painted: bool,
    out: Path,
) -> Measured:
    """Points that were measured before are in `points.json`: a run that was stopped goes on
    there."""
    words = [word for word in setting.split(":") if word]
    own = dict(word.split("=", 1) for word in words if word.startswith(_OWN))
    params = [word for word in words if not word.startswith(_OWN) and word != _LOOP]
    painted = painted and _LOOP not in words
    steps = own.get("steps", "")
    base, preset = own.get("base", "av1"), own.get("preset", "")
    if not all(number.isdecimal() for number in (preset, steps) if number):
        raise EvalError(f"--settings: {setting}: a preset is a number")
    if params and base != "av1":
        raise EvalError(f"--settings: {setting}: {params[0]} is for SVT-AV1")
    rate = Fraction(clip.fps).limit_denominator(1001)
    fmt = VideoFormat(clip.raw.width, clip.raw.height, rate, 1 / rate)
    curves: list[list[tuple[float, float]]] = [[] for _ in metrics]
    total, path = 0.0, out / "points.json"
    for q in qs:
        points: dict[str, list[float]] = read_json(path) or {}
        key = f"{clip.name} {setting} q{q} {digest([clip.sha256, clip.raw.frames, painted, list(metrics)])}"
        if key not in points:
            began, stream = _processor_seconds(), io.BytesIO()
            number = int(preset) if preset else None
            try:
                structure = StandardEncoder(fmt, base, q, params=params, preset=number)
                config = EncoderConfig(
                    base=base,
                    base_q=q,
                    preset=number,
                    fit_steps=int(steps or 0),
                    fit_by="small",
                )
                encoder = Encoder(fmt, config, structure=structure)
            except (UsageError, ValueError) as error:
                raise EvalError(f"--settings: {setting}: {error}") from None
            run(encoder, stream, ((planes, None) for planes in frames))
            seconds = _processor_seconds() - began
            size = encoder.coded_bytes if _LOOP in words else len(stream.getvalue())
            shown = list(decode_planes(stream.getvalue(), fidelity=not painted))
            values = [metric(frames, shown) for metric in metrics.values()]
            points[key] = [8 * size / clip.pixels, seconds, *values]
            write_json(path, points)
        bpp, seconds, *values = points[key]
        total += seconds
        for curve, value in zip(curves, values, strict=True):
            curve.append((bpp, value))
    return curves, total


def _processor_seconds() -> float:
    """Of this process and of those that it waited for: VVenC runs as one."""
    return sum(os.times()[:4])


def _markdown(
    clips: Sequence[Clip],
    qs: Sequence[int],
    found: dict[str, list[dict[str, float | None]]],
    every: Mapping[str, int],
    anchor: str,
    painted: bool,
) -> str:
    rows = []
    for setting, values in found.items():
        cells = []
        for name in every:
            known = [v for value in values if (v := value[name]) is not None]
            missing = f" ({len(known)} of {len(values)} clips)" if len(known) < len(values) else ""
            cells.append(f"{fmean(known):+.1f} %{missing}" if known else "no overlap")
        rows.append([f"`{setting}`", *cells, f"×{fmean(v['time'] or 0 for v in values):.2f}"])
    header = ["layer with", *(_RECORDS[name].marked for name in every), "processor time"]
    note = (
        f"{'Painted' if painted else 'Loop'} frames, bits more at equal quality than {anchor} "
        f"(BD-rate over {RANGE[0]}–{RANGE[1]} bpp, "
        f"q {', '.join(map(str, qs))}), mean of {len(clips)} clips "
        f"({', '.join(c.name for c in clips)}), first {clips[0].raw.frames} frames. "
        f"{looked_at({name: n for name, n in every.items() if name in METRICS})}. † A loss of "
        f"training.{stand_in(clips)}"
    )
    return f"{markdown(header, rows)}\n\n{note}"
