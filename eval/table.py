"""gvcodec's fidelity output at fixed q beside x264 and x265, and the check that every decode is
exact.

For every clip and q: bytes, bpp and PSNR-Y of what a separate process decoded, and how many times
the bytes of `libx264`/`libx265 -preset medium` (low delay, read off their own curve over CRF at the
same PSNR-Y) that is; then the BD-rate over BD_LIMITS. Each stream is decoded with one and with two
threads: both must end with exit code 0 (the decoder checks the loop hash itself) and give the same
samples.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from eval.bd import bd_rate
from eval.codecs import Codec, Options, resolve
from eval.codecs.peers import make
from eval.encoding import decode, encode
from eval.metrics import Measurer
from eval.report.tables import markdown
from eval.tools import EvalError, write_json, write_text
from eval.video import Clip, stand_in

#: Between two of them log bytes is interpolated linearly over PSNR-Y.
PEER_CRF = (10, 16, 22, 28, 34, 40, 46, 51)
PEERS = ("x264", "x265")
#: Rates (bpp) of the BD-rate.
BD_LIMITS = (0.01, 0.1)


def make_table(clips: list[Clip], base: str, qs: Sequence[int], out: Path) -> tuple[str, list[str]]:
    """Encodes, decodes, measures and writes `table-BASE.json` and `.md` below `out`; (markdown,
    what went wrong)."""
    ours = resolve([f"gvcodec:base={base}:tune=off:base-q:output=fidelity"], Options())[0]
    peers = {name: make(name, "ld", Options(), ("-preset", "medium")) for name in PEERS}
    (out / "tmp").mkdir(parents=True, exist_ok=True)
    rows, problems, deltas = [], [], {}
    for clip in tqdm(clips, unit="clip", disable=None):
        curves = {
            name: [_point(peer, clip, crf, out) for crf in PEER_CRF] for name, peer in peers.items()
        }
        for q in qs:
            try:
                point = _point(ours, clip, q, out, threads=(1, 2))
            except EvalError as error:
                problems.append(f"{clip.name}, q {q}: {error}")
                continue
            ratios = {name: ratio_at_equal_psnr(point, curve) for name, curve in curves.items()}
            rows.append(
                {
                    "clip": clip.describe(),
                    **point,
                    "bytes_over": ratios,
                    "exact_with_threads": [1, 2],
                }
            )
        mine = [row for row in rows if row["clip"]["name"] == clip.name]
        deltas[clip.name] = {name: _delta(curve, mine) for name, curve in curves.items()}
        found = {"rows": rows, "bd_rate": deltas, "bd_limits": BD_LIMITS}
        write_json(
            out / f"table-{base}.json",
            {"base": base, **found, "peers": PEER_CRF, "problems": problems},
        )
    text = f"{_markdown(base, rows, clips, problems)}\n\n{_bd_markdown(deltas)}"
    write_text(out / f"table-{base}.md", text + "\n")
    return text, problems


def _point(
    codec: Codec, clip: Clip, q: int, out: Path, threads: Sequence[int] = (1,)
) -> dict[str, Any]:
    """Size and PSNR-Y of one stream. Raises EvalError when decodes by these numbers of threads
    differ."""
    encoded = encode(codec, clip, q, out / "streams")
    hashes: set[str] = set()
    for count in threads:
        with tempfile.TemporaryDirectory(dir=out / "tmp") as folder:
            one = dataclasses.replace(codec, threads=count)
            decoded, _ = decode(one, next(iter(codec.outputs)), encoded, clip, Path(folder))
            if not hashes:
                psnr = Measurer(clip, {"psnr_y": 1})(decoded)["psnr_y"]["mean"]
            hashes.add(hashlib.sha256(decoded.path.read_bytes()).hexdigest())
    if len(hashes) != 1:
        raise EvalError(f"decodes with {' and '.join(map(str, threads))} threads differ")
    return {
        "q": q,
        "bytes": encoded.size,
        "bpp": encoded.bpp(clip),
        "psnr_y": psnr,
        "command": encoded.command,
    }


def _delta(anchor: list[dict[str, Any]], test: list[dict[str, Any]]) -> float | None:
    a, t = ([(p["bpp"], p["psnr_y"]) for p in curve] for curve in (anchor, test))
    return bd_rate(a, t, True, BD_LIMITS).percent


def ratio_at_equal_psnr(point: dict[str, Any], curve: list[dict[str, Any]]) -> float | None:
    """Bytes of `point` over those the curve needs for the same PSNR-Y; None outside the curve."""
    known = sorted((p["psnr_y"], math.log(p["bytes"])) for p in curve)
    quality = [p[0] for p in known]
    if not quality[0] <= point["psnr_y"] <= quality[-1]:
        return None
    return point["bytes"] / math.exp(
        float(np.interp(point["psnr_y"], quality, [p[1] for p in known]))
    )


def _ratio_text(values: list[float | None]) -> str:
    numbers = [v for v in values if v is not None]
    return f"×{math.exp(sum(map(math.log, numbers)) / len(numbers)):.2f}" if numbers else "–"


def _markdown(base: str, rows: list[dict[str, Any]], clips: list[Clip], problems: list[str]) -> str:
    where = sorted({c.set_name + (" (stand-in)" if c.stand_in else "") for c in clips})
    header = [
        f"clip of {', '.join(where)}",
        "q",
        "bytes",
        "bpp",
        "PSNR-Y dB",
        *(f"bytes over {name}" for name in PEERS),
    ]
    lines = []
    for row in rows:
        ratios = [_ratio_text([row["bytes_over"][name]]) for name in PEERS]
        name, size = row["clip"]["name"], f"{row['bytes']:,}".replace(",", " ")
        lines.append(
            [name, str(row["q"]), size, f"{row['bpp']:.4f}", f"{row['psnr_y']:.2f}", *ratios]
        )
    for q in sorted({row["q"] for row in rows}):
        same = [row for row in rows if row["q"] == q]
        ratios = [_ratio_text([row["bytes_over"][name] for row in same]) for name in PEERS]
        psnr = sum(row["psnr_y"] for row in same) / len(same)
        bpp = sum(row["bpp"] for row in same) / len(same)
        lines.append([f"**mean of {len(same)}**", str(q), "", f"{bpp:.4f}", f"{psnr:.2f}", *ratios])
    counts = sorted({clip.raw.frames for clip in clips})
    span = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    frames = "frame" if counts == [1] else f"{span} frames"
    exact = (
        f"**Failed**: {'; '.join(problems)}."
        if problems
        else "Every stream was decoded exactly by separate processes with 1 and 2 threads."
    )
    note = (
        f"`--base {base}`, q by `--base-q`, fidelity output, first {frames}, one intra frame; "
        f"“bytes over” is gvcodec's file "
        "against the elementary stream of libx264/libx265 `-preset medium` without B-frames at "
        "the same PSNR-Y (read "
        f"off their points at CRF {', '.join(map(str, PEER_CRF))}; “–” outside them; geometric "
        f"mean below). {exact}{stand_in(clips)}"
    )
    return f"{markdown(header, lines)}\n\n{note}"


def _bd_markdown(deltas: dict[str, dict[str, float | None]]) -> str:
    """BD-rate in PSNR-Y of every clip and, where there are some, their mean."""

    def cell(value: float | None) -> str:
        return "no overlap" if value is None else f"{value:+.1f} %"

    lines = [[clip, *(cell(delta[name]) for name in PEERS)] for clip, delta in deltas.items()]
    columns = [
        [v for v in (delta[name] for delta in deltas.values()) if v is not None] for name in PEERS
    ]
    lines.append(
        [f"**mean of {len(deltas)}**", *(cell(sum(c) / len(c) if c else None) for c in columns)]
    )
    header = [
        f"BD-rate in PSNR-Y, {BD_LIMITS[0]}–{BD_LIMITS[1]} bpp",
        *(f"against {name}" for name in PEERS),
    ]
    return markdown(header, lines)
