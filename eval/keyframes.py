"""Where should keyframes stand: `python -m eval keyframes MATERIAL --out DIR`.

Sequences of 64 frames of 320 × 180, joined from pieces of clips (decoded at q 30), are coded by AV1
(preset 10, nothing painted) at four qualities with keyframes at: the first frame only; scene cuts,
as `encode` finds them; the first frame and the frames that `gvcodec keyframes` chooses; the nodes
of the path of least cost over every eighth frame (bytes + distortion, each segment coded by
itself). BD-rates in PSNR-Y against the first."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from eval.bd import ALL_RATES, bd_rate
from eval.tools import say, write_json
from gvcodec.api import decode_planes
from gvcodec.condense.keyframes import load, scores_of, select
from gvcodec.config import EncoderConfig
from gvcodec.encoder import Encoder
from gvcodec.media.planes import Scaler
from gvcodec.search.thumbnails import thumbnail
from gvcodec.session import run
from gvcodec.train.summary_material import FORMAT
from gvcodec.types import Planes

_QUALITIES, _NODE, _FRAMES = (35, 45, 53, 60), 8, 64
#: Frames of each piece: cuts stand on nodes and beside them, one sequence has none.
_PIECES = ((24, 40), (64,), (20, 25, 19), (13, 51))
_SCALER = Scaler(FORMAT, (320, 180))


def sequences(material: Path) -> list[list[Planes]]:
    """Made of clips evenly spaced in the list."""
    paths = sorted(material.glob("*.q30.gvc"))
    wanted = iter(np.linspace(0, len(paths) - 1, sum(map(len, _PIECES))).round().astype(int))
    found = []
    for pieces in _PIECES:
        frames: list[Planes] = []
        for count in pieces:
            clip = list(decode_planes(paths[next(wanted)].read_bytes(), fidelity=True, threads=1))
            frames += [_SCALER.apply(clip[n % len(clip)]) for n in range(count)]
        found.append(frames)
    return found


def coded(frames: list[Planes], q: float, keys: set[int] | None) -> tuple[int, float]:
    """Bytes and squared error of luma; `keys` None: the encoder finds scene cuts."""
    config = EncoderConfig(q=q, preset=10, fit=0, threads=1, keyint=240 if keys is None else 0)
    encoder = Encoder(_SCALER.format, config)
    stream = io.BytesIO()
    send = encoder.send_frame
    numbers = iter(range(len(frames)))
    encoder.send_frame = lambda planes, pts=None: send(
        planes, pts, bool(keys) and next(numbers) in keys
    )  # type: ignore[method-assign]
    run(encoder, stream, ((planes, None) for planes in frames))
    error = 0.0
    for source, planes in zip(
        frames, decode_planes(stream.getvalue(), fidelity=True, threads=1), strict=True
    ):
        error += float(np.square(source[0].astype(np.float64) - planes[0]).mean())
    return len(stream.getvalue()), error / len(frames)


def cheapest(frames: list[Planes], q: float, price: float) -> set[int]:
    """Keyframes of the path from node to node of least bytes + price · squared error."""
    nodes = list(range(0, len(frames) + 1, _NODE))
    fixed = len(_only_header())
    best: dict[int, tuple[float, set[int]]] = {0: (0.0, set())}
    for end in nodes[1:]:
        choices = []
        for begin in nodes[: nodes.index(end)]:
            size, error = coded(frames[begin:end], q, {0})
            cost = size - fixed + price * error * (end - begin)
            choices.append((best[begin][0] + cost, best[begin][1] | {begin}))
        best[end] = min(choices, key=lambda choice: choice[0])
    return best[nodes[-1]][1]


def _only_header() -> bytes:
    return Encoder(_SCALER.format, EncoderConfig(fit=0, preset=10)).header.pack()


def one(frames: list[Planes]) -> dict[str, Any]:
    """Curves and keyframes by way."""
    chooser = load()
    pictures = np.stack([thumbnail(planes, FORMAT.colour, 64) for planes in frames])
    found = scores_of(chooser, pictures)
    fixed: dict[str, set[int] | None] = {"first frame only": {0}, "scene cuts": None}
    fixed |= {f"{count} proposals": {0, *select(found, count)} for count in (1, 2, 4)}
    rows: dict[str, Any] = {
        name: {"keys": sorted(keys or ()), "points": []} for name, keys in fixed.items()
    }
    rows["oracle"] = {"keys": [], "points": []}
    alone = [coded(frames, q, {0}) for q in _QUALITIES]
    slopes = [(a[0] - b[0]) / max(b[1] - a[1], 1e-9) / len(frames) for a, b in pairwise(alone)]
    for number, q in enumerate(_QUALITIES):
        for name, keys in fixed.items():
            rows[name]["points"].append(
                alone[number] if name == "first frame only" else coded(frames, q, keys)
            )
        keys = cheapest(frames, q, slopes[min(number, len(slopes) - 1)])
        rows["oracle"]["keys"].append(sorted(keys))
        rows["oracle"]["points"].append(coded(frames, q, keys))
    return rows


def keyframes(material: Path, out: Path) -> int:
    """Writes keyframes.json and prints BD-rates."""
    out.mkdir(parents=True, exist_ok=True)
    every = []
    for number, frames in enumerate(sequences(material)):
        say(f"sequence {number + 1} of {len(_PIECES)}")
        every.append(one(frames) | {"pieces": _PIECES[number]})
    write_json(out / "keyframes.json", every)
    print(table(every))
    (out / "table.md").write_text(table(every))
    return 0


def table(every: list[dict[str, Any]]) -> str:
    names = [name for name in every[0] if name not in ("pieces", "first frame only")]
    lines = [
        "| keyframes at | "
        + " | ".join("+".join(map(str, rows["pieces"])) for rows in every)
        + " | mean |",
        "|---|" + "---|" * (len(every) + 1),
    ]
    for name in names:
        deltas = [
            bd_rate(_curve(rows["first frame only"]), _curve(rows[name]), True, ALL_RATES).percent
            for rows in every
        ]
        known = [delta for delta in deltas if delta is not None]
        cells = ["no overlap" if delta is None else f"{delta:+.1f}" for delta in deltas]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {np.mean(known):+.1f} |")
    return "\n".join(lines) + "\n"


def _curve(row: dict[str, Any]) -> list[tuple[float, float]]:
    pixels = 320 * 180 * _FRAMES
    return [
        (8 * size / pixels, 10 * np.log10(1023**2 / max(error, 1e-9)))
        for size, error in row["points"]
    ]
