"""What `q` means in every base: measures the tables of `gvcodec.bases` on training clips.

    python -m eval quality --sequences TRAIN --only surf,traffic,…

The middle of every clip, at most `WIDTH` × `HEIGHT`, is coded by AV1 at the q of `SCALE` and by the
other layers at the indices of `OWN`, with one key frame and nothing tuned. For each q the index
with AV1's PSNR-Y is read off a layer's points (straight lines; a clip counts where it lies between
two of them) and averaged over the clips. Both ends of the scale stay ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from statistics import fmean

import numpy as np
from tqdm import tqdm

from eval.frames import central, ten_bits
from eval.report.tables import markdown
from eval.tools import EvalError, digest, read_json, write_json, write_text
from eval.video import Clip
from gvcodec.bases import Q_END, index_of
from gvcodec.encoder import Encoder, EncoderConfig
from gvcodec.types import Planes, VideoFormat

WIDTH, HEIGHT = 416, 240
#: q at which the scale is tied to the other layers.
SCALE = (10, 20, 30, 40, 50, 57, 63)
OWN = {
    "vvc": (2, 12, 22, 32, 42, 52, 63),
}
_END = 63


def measure(clips: Sequence[Clip], out: Path) -> str:
    """Measures what is not in `quality.json` below `out` yet, writes the tables there and returns
    them as Markdown. Raises EvalError where too few clips tell an index."""
    path = out / "quality.json"
    known: dict[str, float] = read_json(path) or {}
    wanted = [("av1", q) for q in SCALE] + [
        (base, i) for base, indices in OWN.items() for i in indices
    ]
    for clip in tqdm(clips, unit="clip", disable=None):
        frames = None
        for base, index in wanted:
            key = f"{clip.name} {digest([clip.sha256, WIDTH, HEIGHT])} {base} {index}"
            if key not in known:
                frames = frames or central(ten_bits(clip), WIDTH, HEIGHT)
                known[key] = psnr_y(frames, base, index)
                write_json(path, known)
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for key, psnr in known.items():
        name, _, base, index = key.split(" ")
        curves.setdefault(name, {}).setdefault(base, []).append((int(index), psnr))
    text = to_markdown({clip.name: curves[clip.name] for clip in clips})
    write_text(out / "quality.md", text + "\n")
    return text


def psnr_y(frames: Sequence[Planes], base: str, index: float) -> float:
    """Mean PSNR-Y (dB) of the loop frames."""
    height, width = frames[0][0].shape
    fmt = VideoFormat(width, height, Fraction(25), Fraction(1, 25), 10)
    encoder = Encoder(fmt, EncoderConfig(base=base, base_q=index, fit=0, keyint=0, threads=1))
    for planes in frames:
        encoder.send_frame(planes)
    encoder.flush()
    return encoder.psnr_y


def indices(
    curves: dict[str, dict[str, list[tuple[int, float]]]], base: str
) -> list[tuple[float, float]]:
    """(q, index) of a layer: ends, and between them the mean index over clips with AV1's PSNR-Y,
    rising. `curves[clip][base]` are (index, dB). Raises EvalError for a q that fewer than half of
    the clips reach."""
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
    return [*found, (float(Q_END), float(_END))]


def to_markdown(curves: dict[str, dict[str, list[tuple[int, float]]]]) -> str:
    """Tables for `gvcodec.bases`, and how far PSNR-Y lies from AV1's by them and by those in
    use."""
    rows = []
    for base in OWN:
        table = indices(curves, base)
        by_q = dict(table)
        errors = {
            name: _errors(curves, base, f)
            for name, f in (("new", by_q.__getitem__), ("used", _used(base)))
        }
        rows.append(
            [
                base,
                ", ".join(f"({q:g}, {i:g})" for q, i in table),
                *(f"{errors[n]:.2f} dB" for n in ("new", "used")),
            ]
        )
    header = ["base", "(q, index)", "mean distance from AV1's PSNR-Y by it", "by the table in use"]
    return (
        markdown(header, rows) + f"\n\nMean of {len(curves)} clips, q {', '.join(map(str, SCALE))}."
    )


def _used(base: str):  # type: ignore[no-untyped-def]
    return lambda q: index_of(base, q)


def _errors(curves: dict[str, dict[str, list[tuple[int, float]]]], base: str, index) -> float:  # type: ignore[no-untyped-def]
    """Mean |dB| over clips and q."""
    off = []
    for bases in curves.values():
        own = np.transpose(sorted(bases[base]))
        off += [abs(float(np.interp(index(q), *own)) - dB) for q, dB in bases["av1"] if q in SCALE]
    return fmean(off)
