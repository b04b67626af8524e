"""What each part of the painter gives: `python -m eval modules`.

Every clip is coded at the q nearest to one rate and painted by the shipped weights, not fitted,
once as it is and once with the output of one part set to zero. The bytes are the same in all rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from tqdm import tqdm

from eval.codecs import Codec, Options, resolve
from eval.encoding import encode
from eval.metrics import METRICS, looked_at
from eval.report.tables import markdown
from eval.runs import Plan, make_run, rate_search
from eval.tools import EvalError, read_json, write_json, write_text
from eval.video import Clip, stand_in

if TYPE_CHECKING:
    from gvcodec.painter.twin import PainterTwin

JUDGED = ("lpips_alex", "dists", "flicker")


def _without(painter: PainterTwin, heads: slice) -> None:
    for part in (painter.head.weight, painter.head.bias):
        part[heads] = 0


def _without_gains(painter: PainterTwin) -> None:
    _without(painter, slice(0, 6))  # gains of three scales, their ratios
    _without(painter, slice(12, 14))  # tint


def _without_texture(painter: PainterTwin) -> None:
    _without(painter, slice(6, 12))  # amplitudes, their ratios
    # The residual branch sees pictures first, then noise.
    painter.enter.weight[:, 12:] = 0


def _without_residual(painter: PainterTwin) -> None:
    painter.leave.weight[:] = 0
    painter.leave.bias[:] = 0


def _without_buffer(painter: PainterTwin) -> None:
    painter.head.weight[-1] = 0
    painter.head.bias[-1] = -1e4 * painter.head.unit[-1]  # the share that is kept, cut at 0
    painter.statistics.weight[:, -2:] = 0


#: What is set to zero, by the name of its row.
PARTS: dict[str, Callable[[PainterTwin], None]] = {
    "nothing": lambda painter: None,
    "sub-band gains": _without_gains,
    "texture (noise)": _without_texture,
    "residual branch": _without_residual,
    "short-term buffer": _without_buffer,
}


def measure(clips: Sequence[Clip], base: str, rate: float, every: dict[str, int], out: Path) -> str:
    """Encodes, measures, writes `modules.json` and `.md` below `out`; returns the Markdown. Raises
    EvalError."""
    (out / "tmp").mkdir(parents=True, exist_ok=True)
    plan = Plan(out, (), every)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in PARTS}
    codecs = {name: _codec(base, _checkpoint(name, out / "checkpoints")) for name in PARTS}
    for clip in tqdm(clips, unit="clip", disable=None):
        q, reached = rate_search(codecs["nothing"], clip, out / "streams")(rate)
        if not reached:
            tqdm.write(f"{clip.name} does not reach {rate} bpp")
            continue
        for name, codec in codecs.items():
            run = make_run(
                clip, codec, "rendered", q, encode(codec, clip, q, out / "streams"), [], plan
            )
            metrics = read_json(out / "runs" / run)["metrics"]
            found[name].append({metric: metrics[metric]["mean"] for metric in metrics})
    if not found["nothing"]:
        raise EvalError(f"no clip reaches {rate} bpp")
    write_json(
        out / "modules.json",
        {"clips": [c.describe() for c in clips], "base": base, "rate": rate, "rows": found},
    )
    text = _markdown(found, clips, base, rate, every)
    write_text(out / "modules.md", text + "\n")
    return text


def _checkpoint(name: str, folder: Path) -> Path:
    """The painter without one of its parts."""
    import torch

    from gvcodec.painter.model import find_painter
    from gvcodec.painter.twin import PainterTwin

    painter = PainterTwin.load(find_painter())
    with torch.no_grad():
        PARTS[name](painter)
    folder.mkdir(exist_ok=True)
    path = folder.resolve() / f"{'-'.join(name.split())}.safetensors"
    painter.save(path)
    return path


def _codec(base: str, checkpoint: Path) -> Codec:
    """The codec with another checkpoint."""
    plain = resolve([f"gvcodec:base={base}:tune=off:output=rendered"], Options())[0]
    given = ("env", f"GVCODEC_CHECKPOINT={checkpoint}")
    return dataclasses.replace(
        plain,
        name=f"{plain.name}-without-{checkpoint.stem}",
        encode=(*given, *plain.encode),
        outputs={name: (*given, *words) for name, words in plain.outputs.items()},
    )


def _markdown(
    found: dict[str, list[dict[str, float]]],
    clips: Sequence[Clip],
    base: str,
    rate: float,
    every: dict[str, int],
) -> str:
    whole = found["nothing"]
    rows = []
    for name, values in found.items():
        changes = {
            n: [100 * (v[n] / w[n] - 1) for v, w in zip(values, whole, strict=True)] for n in JUDGED
        }
        psnr = fmean(v["psnr_y"] - w["psnr_y"] for v, w in zip(values, whole, strict=True))
        cells = [f"{fmean(changes[n]):+.1f} %" for n in JUDGED] + [f"{psnr:+.2f} dB"]
        rows.append(
            [
                name,
                *cells,
                ", ".join(f"{min(changes[n]):+.1f} … {max(changes[n]):+.1f} %" for n in JUDGED[:2]),
            ]
        )
    header = [
        "set to zero",
        *(METRICS[n].marked for n in JUDGED),
        "PSNR-Y",
        "range over clips (LPIPS-Alex, DISTS)",
    ]
    sampled = looked_at({n: every[n] for n in JUDGED})
    note = (
        f"Painted output without tuning, base {base}, about {rate} bpp, change against the whole "
        f"renderer at equal bytes, mean of "
        f"{len(whole)} clips ({', '.join(c.name for c in clips)}), first {clips[0].raw.frames} "
        f"frames. A part is worth what its row loses. "
        f"{sampled}. † A loss of training; LPIPS-Alex and flicker are held out.{stand_in(clips)}"
    )
    return f"{markdown(header, rows)}\n\n{note}"
