"""Allocators of window budgets against each other at equal written bytes: `python -m eval alloc`.

Every arm codes every clip at the same q's, without look-ahead by default (which is an allocator of
its own, by blocks), with tuning off. Bytes are those of the written stream; loop frames are decoded
from it, and the decoder checks their hash. Arms are compared by BD-rate, so at equal bytes. Cost is
processor time of the encode against that of `uniform`.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from eval.bd import ALL_RATES, bd_rate, bootstrap
from eval.codecs.ours import content_version
from eval.experiments.wrong_allocators import Delayed, Shuffled
from eval.metrics import METRICS, Measurer, looked_at
from eval.report.tables import markdown
from eval.tools import read_json, write_json, write_text
from eval.video import Clip, RawVideo
from gvcodec import api
from gvcodec.allocation.elbo import ElboRouter
from gvcodec.allocation.oracle import Oracle, Survey
from gvcodec.allocation.uniqueness import (
    FUSION_QUANTILE,
    SELECTION_QUANTILE,
    Uniqueness,
    UniquenessOptions,
)
from gvcodec.allocation.windows import Allocator, WindowBudgets
from gvcodec.bitstream import Writer
from gvcodec.encoder import Encoder, EncoderConfig
from gvcodec.media.planes import to_eight_bits
from gvcodec.media.reader import VideoReader
from gvcodec.structure.klt.codec import open_encoder

#: Thresholds of uniqueness: the paper's, and 5 % quantiles over training clips.
PAPER_FUSION, PAPER_SELECTION = 0.005, 0.2
ARMS: dict[str, Callable[[], Allocator | None]] = {
    "uniform": lambda: None,
    "oracle": Oracle,
    "oracle, one slope for all frames": Survey,
    "elbo": ElboRouter,
    "elbo, a quarter": lambda: ElboRouter(strength=0.25),
    "elbo, L1": lambda: ElboRouter(absolute=True),
    "uniqueness": Uniqueness,
    "uniqueness, fusion (5 % quantile)": lambda: Uniqueness(
        UniquenessOptions(FUSION_QUANTILE, 0.0)
    ),
    "uniqueness, fusion (paper's 0.005)": lambda: Uniqueness(UniquenessOptions(PAPER_FUSION, 0.0)),
    "uniqueness, selection (5 % quantile)": lambda: Uniqueness(
        UniquenessOptions(0.0, 0.0, SELECTION_QUANTILE)
    ),
    "uniqueness, selection (paper's 0.2)": lambda: Uniqueness(
        UniquenessOptions(0.0, 0.0, PAPER_SELECTION)
    ),
    "control: uniqueness in random places": lambda: Shuffled(Uniqueness()),
    "control: uniqueness five frames late": lambda: Delayed(Uniqueness()),
}
UNIFORM, ORACLE = "uniform", "oracle"
WORST = "psnr_y worst"


def compare(
    clips: Sequence[Clip], qs: Sequence[int], every: dict[str, int], lookahead: bool, out: Path
) -> str:
    """Encodes, measures, writes `alloc.json` and `alloc.md` below `out`; returns the Markdown.
    Points that stand in `alloc.json` already, of the same sources, program and settings, are taken
    from there."""
    settings = {
        "qs": list(qs),
        "lookahead": lookahead,
        "every": every,
        "version": content_version(),
    }
    before = read_json(out / "alloc.json") or {}
    known = {(r["clip"], r["sha256"], r["arm"], r["q"]): r for r in before.get("rows", [])}
    if any(before.get(key) != value for key, value in settings.items()):
        known = {}
    rows: list[dict[str, Any]] = []
    for clip in clips:
        measurer = Measurer(clip, every)
        for arm, make in tqdm(ARMS.items(), desc=clip.name, unit="arm", disable=None):
            for q in qs:
                key = (clip.name, clip.sha256, arm, q)
                rows.append(
                    known.pop(key, None) or _point(clip, arm, make, q, lookahead, measurer, out)
                )
                write_json(out / "alloc.json", {**settings, "rows": rows + list(known.values())})
    text = to_markdown(rows, clips, qs, every, lookahead)
    write_text(out / "alloc.md", text + "\n")
    return text


def _point(
    clip: Clip,
    arm: str,
    make: Callable[[], Allocator | None],
    q: int,
    lookahead: bool,
    measurer: Measurer,
    out: Path,
) -> dict[str, Any]:
    allocator = make()
    data, seconds = encode(clip, allocator, q, lookahead)
    if isinstance(allocator, Survey):
        data, more = encode(clip, allocator.planned(), q, lookahead)
        seconds += more
    raw = clip.raw
    path = out / "decoded.yuv"
    with path.open("wb") as file:
        for planes in api.decode_planes(data, fidelity=True, threads=1):
            for plane in planes:
                file.write(
                    (to_eight_bits(plane) if raw.depth == 8 else plane.astype("<u2")).tobytes()
                )
    measured = measurer(RawVideo(path, raw.width, raw.height, raw.frames, raw.depth))
    path.unlink()
    values = {name: m["mean"] for name, m in measured.items()}
    values[WORST] = measured["psnr_y"]["worst"]
    bpp = 8 * len(data) / clip.pixels
    return {
        "clip": clip.name,
        "sha256": clip.sha256,
        "arm": arm,
        "q": q,
        "bytes": len(data),
        "bpp": bpp,
        "seconds": round(seconds, 3),
        "metrics": values,
    }


def encode(clip: Clip, allocator: Allocator | None, q: int, lookahead: bool) -> tuple[bytes, float]:
    """The file of a clip and the processor seconds that it took."""
    config = EncoderConfig(
        base_q=q, base="klt", tune=0, keyint=0, low_delay=not lookahead, threads=1
    )
    stream = io.BytesIO()
    with VideoReader(clip.file) as reader:
        frames = list(reader)
        regions = WindowBudgets(allocator) if allocator is not None else None
        structure = open_encoder(reader.format, q, 0, not lookahead, 1, regions=regions)
        began = time.process_time()
        encoder = Encoder(reader.format, config, reader.start_pts, structure=structure)
        writer = Writer(stream, encoder.header)
        for frame in frames:
            encoder.send_frame(frame.planes, frame.pts)
        encoder.flush()
        while (packet := encoder.receive_packet()) is not None:
            writer.write(packet)
        writer.finish(encoder.loop_hash)
    return stream.getvalue(), time.process_time() - began


def to_markdown(
    rows: list[dict[str, Any]],
    clips: Sequence[Clip],
    qs: Sequence[int],
    every: dict[str, int],
    lookahead: bool,
) -> str:
    """One row an arm: BD-rates against `uniform`, mean over clips, with the interval of the first
    metric."""
    metrics = [*every, WORST]
    gains = {arm: {m: _deltas(rows, arm, m) for m in metrics} for arm in ARMS}
    oracle = _mean(gains[ORACLE]["psnr_y"])
    lines = []
    for arm in ARMS:
        if arm == UNIFORM:
            continue
        deltas = gains[arm]
        interval = bootstrap(deltas["psnr_y"])
        shown = [_percent(_mean(deltas[m])) for m in metrics]
        if interval:
            shown[0] += f" ({interval[0]:+.1f} … {interval[1]:+.1f})"
        if len(deltas["psnr_y"]) < len(clips):
            shown[0] += f" on {len(deltas['psnr_y'])} of {len(clips)}: no common range on the rest"
        own = _mean(deltas["psnr_y"])
        share = (
            f"{100 * own / oracle:.0f} %" if own is not None and oracle and oracle < -0.5 else "–"
        )
        lines.append([arm, *shown, share, f"×{_cost(rows, arm):.2f}"])
    names = [METRICS[m].label if m in METRICS else "PSNR-Y of the worst frame" for m in metrics]
    header = ["budgets", *names, "of the oracle's gain", "encode cost"]
    counts = sorted({clip.raw.frames for clip in clips})
    looks = looked_at(every)
    note = (
        f"BD-rate against equal lambda in all windows (`uniform`) over {len(clips)} clips of "
        f"devtest (stand-in: "
        f"{', '.join(c.name for c in clips)}), first {' to '.join(map(str, counts))} frames, klt "
        f"at q {', '.join(map(str, qs))}, "
        f"{'with' if lookahead else 'without'} look-ahead, fidelity output, one thread; negative "
        f"= fewer bytes at equal quality. "
        f"{looks + '. ' if looks else ''}“–”: the oracle itself gains less than half a per cent. "
        f"In brackets: 95 % bootstrap interval over clips. Cost: processor time of the encode."
    )
    return f"{markdown(header, lines)}\n\n{note}"


def _deltas(rows: list[dict[str, Any]], arm: str, metric: str) -> list[float]:
    found = []
    better = METRICS[metric].higher_is_better if metric in METRICS else True
    for clip in dict.fromkeys(row["clip"] for row in rows):
        curves = [
            [
                (r["bpp"], r["metrics"][metric])
                for r in rows
                if r["clip"] == clip and r["arm"] == name
            ]
            for name in (UNIFORM, arm)
        ]
        # The q's say which rates count, not the range of the other tables.
        delta = bd_rate(*curves, better, ALL_RATES).percent
        if delta is not None:
            found.append(delta)
    return found


def _cost(rows: list[dict[str, Any]], arm: str) -> float:
    seconds = [sum(r["seconds"] for r in rows if r["arm"] == name) for name in (arm, UNIFORM)]
    return seconds[0] / max(1e-9, seconds[1])


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1f} %"
