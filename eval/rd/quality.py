"""What `q` means in every base: measures the tables of `gvcodec.bases` on training clips.

    python -m eval quality --sequences TRAIN --only surf,traffic,…

The middle of every clip, at most `WIDTH` × `HEIGHT`, is coded by AV1 at the q of `SCALE` and by the
other base layers at the indices of `OWN`, with one keyframe and nothing fitted. For each q the
index with AV1's PSNR-Y is read off a layer's points (straight lines; a clip counts where it lies
between two of them) and averaged over the clips. Both ends of the scale stay ends.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import numpy as np
from tqdm import tqdm

from eval import arguments as shared
from eval.tools import EvalError, digest, markdown, read_json, write_json, write_text
from eval.video import Clip
from gvcodec.bases import index_of, q_of
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.types import Planes, VideoFormat

WIDTH, HEIGHT = 416, 240
#: q at which the scale is tied to the other layers.
SCALE = (10, 20, 30, 40, 50, 57, 63)
OWN = {"vvc": (2, 12, 22, 32, 42, 52, 63)}
_END = 63
#: Clip → base → points (index, dB).
Curves = dict[str, dict[str, list[tuple[int, float]]]]


def arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_clips(parser, 24)
    shared.add_out(parser, "out/quality", "what is there is kept")


def run(options: argparse.Namespace) -> None:
    print(measure(shared.clips(options), options.out))


def measure(clips: Sequence[Clip], out: Path) -> str:
    """Measures what is not in `quality.json` below `out` yet, writes the tables there and returns
    them as Markdown. Raises EvalError where too few clips give an index."""
    path = out / "quality.json"
    known: dict[str, float] = read_json(path) or {}
    wanted = [("av1", q) for q in SCALE] + [(base, i) for base in OWN for i in OWN[base]]
    curves: Curves = {}
    for clip in tqdm(clips, unit="clip", disable=None):
        frames = None
        for base, index in wanted:
            key = f"{clip.name} {digest([clip.sha256, WIDTH, HEIGHT])} {base} {index}"
            if key not in known:
                frames = frames or [middle(planes) for planes in clip.ten_bits()]
                known[key] = psnr_y(frames, base, index)
                write_json(path, known)
            curves.setdefault(clip.name, {}).setdefault(base, []).append((index, known[key]))
    text = to_markdown(curves)
    write_text(out / "quality.md", text + "\n")
    return text


def middle(planes: Planes) -> Planes:
    """The middle of a frame, at most `WIDTH` × `HEIGHT`."""
    height, width = planes[0].shape
    wide, high = min(WIDTH, width) // 2 * 2, min(HEIGHT, height) // 2 * 2
    x, y = (width - wide) // 4 * 2, (height - high) // 4 * 2
    cut = [p[y // n : (y + high) // n, x // n : (x + wide) // n] for p, n in zip(planes, (1, 2, 2))]
    return cut[0], cut[1], cut[2]


def psnr_y(frames: Sequence[Planes], base: str, index: float) -> float:
    """Mean PSNR-Y (dB) of the base frames, as the encoder counts it."""
    height, width = frames[0][0].shape
    fmt = VideoFormat(width, height, Fraction(25), Fraction(1, 25), 10)
    encoder = Encoder(fmt, EncoderConfig(base=base, base_q=index, fit=0, keyint=0, threads=1))
    for planes in frames:
        encoder.send_frame(planes)
    encoder.flush()
    return encoder.psnr_y


def indices(curves: Curves, base: str) -> list[tuple[float, float]]:
    """(q, index) of a layer: ends, and between them the mean index over clips with AV1's PSNR-Y,
    rising. Raises EvalError for a q that fewer than half of the clips reach."""
    found: list[tuple[float, float]] = [(0.0, 0.0)]
    for q in SCALE:
        same = []
        for bases in curves.values():
            own = sorted((dB, index) for index, dB in bases[base])
            wanted = dict(bases["av1"])[q]
            if own[0][0] <= wanted <= own[-1][0]:
                same.append(float(np.interp(wanted, *np.transpose(own))))
        if 2 * len(same) < len(curves):
            raise EvalError(f"{base}: {len(same)} of {len(curves)} clips have an index for q {q}")
        found.append((q, max(round(fmean(same), 1), found[-1][1] + 0.1)))
    return [*found, (q_of(base, _END), float(_END))]


def to_markdown(curves: Curves) -> str:
    """Tables for `gvcodec.bases`, and how far PSNR-Y lies from AV1's by them and by those in
    use."""
    rows = []
    for base in OWN:
        table = indices(curves, base)
        new = _distance(curves, base, dict(table).__getitem__)
        used = _distance(curves, base, lambda q: index_of(base, q))  # noqa: B023 (called here)
        points = ", ".join(f"({q:g}, {i:g})" for q, i in table)
        rows.append([base, points, f"{new:.2f} dB", f"{used:.2f} dB"])
    header = ["base", "(q, index)", "mean distance from AV1's PSNR-Y by it", "by the table in use"]
    note = f"Mean of {len(curves)} clips, q {', '.join(map(str, SCALE))}."
    return f"{markdown(header, rows)}\n\n{note}"


def _distance(curves: Curves, base: str, index: Callable[[float], float]) -> float:
    """Mean |dB| over clips and q."""
    off = []
    for bases in curves.values():
        own = np.transpose(sorted(bases[base]))
        off += [abs(float(np.interp(index(q), *own)) - dB) for q, dB in bases["av1"]]
    return fmean(off)
