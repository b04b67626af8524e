"""What each tool of the klt structure layer is worth: BD-rate in PSNR-Y of leaving it out.

The middle of every clip is coded at a few q with all tools, then without one tool at a time;
positive = bits that the tool saves. Rate is that of the packets, PSNR-Y that of decoded frames; AQ,
which is not made for PSNR, is also judged by LPIPS-VGG on some frames. Two rows are of another
kind: without deblocking no decoder exists, so the encoder's own loop frames count; static tables
(`eval.experiments.static_tables`) are ideal code lengths for the packets of the low-delay encoder,
against the real bytes of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
from tqdm import tqdm

from eval.bd import RANGE, bd_rate
from eval.colour import Picture, to_rgb
from eval.experiments.static_tables import SYNTAX, Tables, count_clips, read_clips
from eval.metrics import network, sample
from eval.report.tables import markdown
from eval.tools import EvalError, write_json, write_text
from eval.video import Clip, stand_in
from gvcodec.media.planes import to_eight_bits
from gvcodec.structure.klt.codec import KltDecoder, KltEncoder, KltTools, model_path
from gvcodec.structure.klt.lookahead import DEPTH
from gvcodec.train.fit import central
from gvcodec.types import Planes

SIZE = (416, 240)
ALL = KltTools(lookahead=DEPTH)
WITHOUT = {
    "motion: quarter-sample vectors": replace(ALL, fractions=False),
    "motion: regions above 16×16": replace(ALL, quadtree=False),
    "motion: trying neighbours' vectors": replace(ALL, merge=False),
    "motion: golden frame": replace(ALL, golden=False),
    "tokens above 16×16": replace(ALL, coarse_tokens=False),
    "RDOQ": replace(ALL, rdoq=False),
    f"look-ahead of {DEPTH} frames": replace(ALL, lookahead=0),
    "finer key and periodic frames": replace(ALL, cascade=False),
    "variance AQ": replace(ALL, aq=0),
    "deblocking": replace(ALL, deblock=False),
}
AQ = "variance AQ"
AQ_VGG = "variance AQ, by LPIPS-VGG†"
STATIC = "adaptive entropy model (static tables instead)"
NETWORK = "network of the entropy model and its contexts (klt-1 instead)"
#: Training clips that static tables are made from: one in so many, and their frames.
EVERY, TRAIN_FRAMES = 8, 9
#: LPIPS-VGG looks at one frame in so many.
VGG_EVERY = 12
Curve = list[tuple[float, float]]
#: Quality of shown frames against their sources.
Metric = Callable[[list[Planes], list[Planes]], float]


def ten_bits(clip: Clip) -> list[Planes]:
    """Its frames with 10 bits."""
    shift = 10 - clip.raw.depth
    return [tuple(p.astype(np.uint16) << shift for p in planes) for planes in clip.raw]  # type: ignore[misc]


def middle(clip: Clip) -> list[Planes]:
    """Its frames with 10 bits, cut to SIZE."""
    return central(ten_bits(clip), *SIZE)


def curve(
    frames: list[Planes],
    tools: KltTools,
    qs: Sequence[int],
    *metrics: Metric,
    model: Path | None = None,
) -> list[Curve]:
    """(bpp, quality) for each q, for each metric; `model`: another than the one that is encoded
    with."""
    height, width = frames[0][0].shape
    points: list[Curve] = [[] for _ in metrics]
    for q in qs:
        encoder = KltEncoder(width, height, q, scene_cut=False, threads=1, tools=tools, model=model)
        coded = [*(encoder.send(planes) for planes in frames), encoder.flush()]
        packets, shown = (
            [p for c in coded for p in c.packets],
            [loop for c in coded for loop in c.loops],
        )
        if tools.deblock:
            decoder = KltDecoder(width, height, threads=1, model=model)
            shown = [decoder.send(p.payload, p.keyframe)[0] for p in packets]
        bpp = 8 * sum(len(p.payload) for p in packets) / (len(frames) * width * height)
        for metric, found in zip(metrics, points, strict=True):
            found.append((bpp, metric(frames, shown)))
    return points


def static_delta(
    frames: list[Planes], trained: dict[int, dict[tuple[int, bool], Tables]]
) -> float | None:
    """BD-rate of static tables against the real bytes of the low-delay encoder."""
    height, width = frames[0][0].shape
    (plain,) = curve(frames, KltTools(), list(trained), psnr_y)
    static = []
    for (_, psnr), (q, tables) in zip(plain, trained.items(), strict=True):
        cost = sum(t.cost(tables[kind], SYNTAX) for kind, t in count_clips([frames], q).items())
        static.append((8 * cost / (len(frames) * width * height), psnr))
    return bd_rate(plain, static, True).percent


def make_ablation(clips: list[Clip], qs: Sequence[int], train: Path, out: Path) -> str:
    """Measures, writes `ablation.json` and `.md` below `out`; returns the Markdown. Raises
    EvalError."""
    from gvcodec.painter.perceptual import find_weights

    paths = sorted(train.glob("*.mp4"))[::EVERY]
    if not paths:
        raise EvalError(f"{train}: no .mp4 to make static tables from")
    if len(qs) < 3:
        raise EvalError("--q: three or more are needed for a BD-rate")
    trained = {q: count_clips(read_clips(paths, TRAIN_FRAMES, *SIZE), q) for q in qs}
    deltas: dict[str, list[float | None]] = {
        name: [] for name in (*WITHOUT, AQ_VGG, NETWORK, STATIC)
    }
    for clip in tqdm(clips, unit="clip", disable=None):
        frames = middle(clip)
        vgg = [distance(clip, "lpips_vgg", VGG_EVERY)] if find_weights() else []
        anchor, *anchor_vgg = curve(frames, ALL, qs, psnr_y, *vgg)
        for name, tools in WITHOUT.items():
            test, *test_vgg = curve(frames, tools, qs, psnr_y, *(vgg if name == AQ else []))
            deltas[name].append(bd_rate(anchor, test, True).percent)
            if name == AQ:
                pairs = zip(anchor_vgg, test_vgg, strict=True)
                deltas[AQ_VGG] += [bd_rate(a, t, False).percent for a, t in pairs] or [None]
        (test,) = curve(frames, ALL, qs, psnr_y, model=model_path().with_name("klt-1.safetensors"))
        deltas[NETWORK].append(bd_rate(anchor, test, True).percent)
        deltas[STATIC].append(static_delta(frames, trained))
    write_json(
        out / "ablation.json",
        {"clips": [c.describe() for c in clips], "q": list(qs), "percent": deltas},
    )
    text = _markdown(clips, qs, deltas)
    write_text(out / "ablation.md", text + "\n")
    return text


def psnr_y(source: Sequence[Planes], shown: Sequence[Planes]) -> float:
    """Mean over the frames, dB."""
    errors = [
        float(np.mean((a[0].astype(np.float64) - b[0]) ** 2))
        for a, b in zip(source, shown, strict=True)
    ]
    return fmean(10 * np.log10(1023**2 / max(error, 1e-3)) for error in errors)


def distance(clip: Clip, name: str, every: int) -> Metric:
    """LPIPS or DISTS of 10-bit frames, rounded to what the clip has, mean over one frame in
    `every`. Raises EvalError where its weights are missing."""
    import torch

    module = network(name, "cpu")

    def tensor(planes: Planes) -> torch.Tensor:
        return torch.from_numpy(picture(clip, planes))[None]

    def measure(source: list[Planes], shown: list[Planes]) -> float:
        with torch.no_grad():
            return fmean(
                float(module(tensor(shown[i]), tensor(source[i])))
                for i in sample(len(source), every)
            )

    return measure


def picture(clip: Clip, planes: Planes) -> Picture:
    """(3, H, W) in [0, 1] of a 10-bit frame, rounded to what the clip has."""
    if clip.raw.depth == 8:
        planes = tuple(map(to_eight_bits, planes))  # type: ignore[assignment]
    return to_rgb(planes, clip.matrix, clip.full_range, clip.raw.depth)


def _markdown(clips: list[Clip], qs: Sequence[int], deltas: dict[str, list[float | None]]) -> str:
    def cell(value: float | None) -> str:
        return "–" if value is None else f"{value:+.1f} %"

    rows = []
    for name, values in deltas.items():
        known = [v for v in values if v is not None]
        rows.append([name, cell(fmean(known) if known else None), *map(cell, values)])
    header = ["bits more without", "mean", *(clip.name for clip in clips)]
    frames = sorted({clip.raw.frames for clip in clips})
    note = (
        f"BD-rate in PSNR-Y over {RANGE[0]}–{RANGE[1]} bpp, q {', '.join(map(str, qs))}, middle "
        f"{SIZE[0]}×{SIZE[1]} of the first "
        f"{' to '.join(map(str, dict.fromkeys((frames[0], frames[-1]))))} frames, one key frame, "
        f"bytes of the packets, PSNR-Y of "
        "decoded frames (without deblocking, which no decoder goes without, of the encoder's). "
        "Static tables: ideal code length "
        "with tables from training clips, against real bytes, low delay. "
        f"† One frame in {VGG_EVERY}; AQ's strength was chosen by it, on training "
        f"clips.{stand_in(clips)}"
    )
    return f"{markdown(header, rows)}\n\n{note}"
