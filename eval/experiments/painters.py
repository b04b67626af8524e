"""The integer painter beside the float one, on the same base frames, hence at equal bytes but for
tuned weights.

    python -m eval.experiments.painters CLIP… --q 42 50 58 --frames 9 --steps 0 60 --out DIR

Each clip's middle is coded once by av1; both painters paint it untuned and tuned (led by the small
network). Held out: LPIPS-Alex, SSIMULACRA2, ColorVideoVDP. What is painted is rounded to eight bits
first. Curves over q, tuned weights counted, give BD-rates. What is in DIR is kept.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from eval.bd import ALL_RATES, bd_rate
from eval.metrics.judges import cvvdp, ssimulacra2
from eval.report.tables import markdown
from eval.tools import read_json, write_json, write_text
from gvcodec.appearance import find_checkpoint, tune
from gvcodec.appearance.checkpoint import is_integer
from gvcodec.appearance.integer_model import rate
from gvcodec.appearance.integer_video import IntegerVideo
from gvcodec.appearance.painter import Painter
from gvcodec.appearance.perceptual import dists, lpips
from gvcodec.appearance.perceptual.losses import known_colour, to_rgb
from gvcodec.media.reader import VideoReader
from gvcodec.structure.standard.codec import StandardEncoder
from gvcodec.types import Planes, VideoFormat

EVERY = 4  # frames, for metrics of single pictures
KINDS = ("float", "integer")
_JUDGED = ("lpips_alex", "dists")


def _middle(planes: Planes, width: int, height: int) -> Planes:
    full = planes[0].shape
    top, left = ((n - m) // 4 * 2 for n, m in zip(full, (height, width), strict=True))
    y, u, v = (
        np.ascontiguousarray(p[top // s : (top + height) // s, left // s : (left + width) // s])
        for p, s in zip(planes, (1, 2, 2), strict=True)
    )
    return y, u, v


def _pictures(frames: list[Planes], fmt: VideoFormat) -> list[np.ndarray]:
    """(3, H, W) in [0, 1] as a viewer of eight bits gets them."""
    found = []
    for planes in frames:
        y, *uv = (np.minimum((p.astype(np.float32) + 2) // 4, 255) * (4 / 1023) for p in planes)
        tint = torch.from_numpy(np.stack(uv))[None]
        rgb = to_rgb(torch.from_numpy(y)[None, None], tint, known_colour(fmt.colour, fmt.height))
        found.append(rgb[0].clamp(0, 1).numpy())
    return found


class _Judge:
    def __init__(self, source: list[Planes], fmt: VideoFormat) -> None:
        self.source, self.fmt = _pictures(source, fmt), fmt
        self.networks = {"lpips_alex": lpips("alex"), "dists": dists()}

    @torch.inference_mode()
    def __call__(self, frames: list[Planes]) -> dict[str, float]:
        pictures, some = _pictures(frames, self.fmt), range(1, len(frames), EVERY)
        found: dict[str, float] = {}
        for name, network in self.networks.items():
            pairs = ((torch.from_numpy(p[n])[None] for p in (pictures, self.source)) for n in some)
            found[name] = fmean(float(network(*pair)) for pair in pairs)
        found["ssimulacra2"] = fmean(ssimulacra2(pictures[n], self.source[n]) for n in some)
        numbers = list(range(len(frames)))
        rate_of = float(self.fmt.frame_rate)
        found["cvvdp"] = cvvdp(lambda n: (pictures[n], self.source[n]), numbers, rate_of, "cpu")
        errors = [np.mean((a - b) ** 2) for a, b in zip(pictures, self.source, strict=True)]
        found["psnr_rgb"] = float(np.mean([-10 * np.log10(e + 1e-10) for e in errors]))
        return found


def measure(
    clip: Path, q: int, frames: int, size: tuple[int, int], steps: list[int], preset: int
) -> dict[str, Any]:
    with VideoReader(clip, frames=frames) as reader:
        sources, given = [frame.planes for frame in reader], reader.format
    width, height = (
        min(n, m) // 16 * 16 for n, m in zip(size, (given.width, given.height), strict=True)
    )
    sources = [_middle(planes, width, height) for planes in sources]
    fmt = VideoFormat(
        width, height, given.frame_rate, given.time_base, given.bit_depth, given.colour, given.sar
    )
    encoder = StandardEncoder(fmt, "av1", q, threads=1, preset=preset)
    loops: list[Planes] = []
    sizes: list[int] = []
    for coded in [*(encoder.send(planes) for planes in sources), encoder.flush()]:
        loops += coded.loops
        sizes += [len(packet.payload) for packet in coded.packets]
    judge, total = _Judge(sources, fmt), sum(sizes)
    found: dict[str, Any] = {
        "clip": clip.stem,
        "q": q,
        "size": [width, height],
        "frames": len(loops),
        "bytes": total,
    }
    found["bpp"] = 8 * total / (len(loops) * width * height)
    found["base"] = judge(loops)
    runs = list(range(0, len(loops) - 2, 3))
    samples = [[(loops[n], sources[n]) for n in range(k, k + 3)] for k in runs]
    own = [[rate(sizes[n], width, height) for n in range(k, k + 3)] for k in runs]
    for kind, count in itertools.product(KINDS, steps):
        checkpoint = find_checkpoint(base="av1", painter=kind)
        assert is_integer(checkpoint) == (kind == "integer")
        payload = None
        if count:
            options = {"steps": count, "leader": "small", "stream_bytes": total, "own": own}
            payload = tune(samples, fmt, "av1", Fraction(1), q, 0.0, checkpoint, **options)
        make = Painter if kind == "float" else IntegerVideo
        painter = make(fmt, "av1", Fraction(1), q, checkpoint, 1)
        painter.start_gop(payload)
        painted = [painter.paint(loop, n) for loop, n in zip(loops, sizes, strict=True)]
        found[f"{kind} {count}"] = {**judge(painted), "tuned_bytes": len(payload or b"")}
        print(
            json.dumps(
                {"clip": clip.stem, "q": q, "way": f"{kind} {count}", **found[f"{kind} {count}"]}
            ),
            flush=True,
        )
    return found


def to_markdown(rows: Sequence[dict[str, Any]], steps: Sequence[int]) -> str:
    """BD-rates against base frames, of the integer painter also against the float one; changes of
    the judges against base frames."""
    clips = list(dict.fromkeys(row["clip"] for row in rows))

    def curve(clip: str, way: str, metric: str) -> list[tuple[float, float]]:
        mine = [row for row in rows if row["clip"] == clip]
        return [
            (row["bpp"] * (1 + row[way].get("tuned_bytes", 0) / row["bytes"]), row[way][metric])
            for row in mine
        ]

    def delta(way: str, anchor: str, metric: str) -> str:
        pairs = [(curve(c, anchor, metric), curve(c, way, metric)) for c in clips]
        found = [bd_rate(one, other, False, ALL_RATES).percent for one, other in pairs]
        known = [percent for percent in found if percent is not None]
        if not known:
            return "–"
        return f"{fmean(known):+.1f} % [{min(known):+.0f}, {max(known):+.0f}]"

    lines = []
    for count, kind in itertools.product(steps, KINDS):
        way = f"{kind} {count}"
        line = [f"{kind}, {count} steps" if count else f"{kind}, untuned"]
        line += [delta(way, "base", metric) for metric in _JUDGED]
        for metric, digits in (("ssimulacra2", 2), ("cvvdp", 3)):
            change = fmean(row[way][metric] - row["base"][metric] for row in rows)
            line.append(f"{change:+.{digits}f}")
        line.append(f"{fmean(row[way]['tuned_bytes'] for row in rows):.0f}")
        against = f"float {count}" if kind == "integer" else ""
        line += [delta(way, against, metric) if against else "" for metric in _JUDGED]
        lines.append(line)
    header = ["painter", "LPIPS-Alex", "DISTS†", "SSIMULACRA2", "ColorVideoVDP", "bytes"]
    table = markdown([*header, "LPIPS-Alex, to float", "DISTS†, to float"], lines)
    qs = ", ".join(map(str, sorted({row["q"] for row in rows})))
    sizes = sorted({f"{row['size'][0]}×{row['size'][1]}, {row['frames']} frames" for row in rows})
    return (
        f"{table}\n\nBD-rate of painted frames against base frames, and of the integer painter "
        f"against the float one, tuned weights counted: q {qs}, {', '.join(sizes)}, mean over "
        f"{', '.join(clips)}, in brackets the least and the most of a clip. SSIMULACRA2 in points, "
        f"ColorVideoVDP in JOD, mean change against base frames. LPIPS-Alex, DISTS and SSIMULACRA2 "
        f"on one frame in {EVERY}. † A loss of training and tuning.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--q", type=int, nargs="+", default=[44, 56])
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument(
        "--size", type=int, nargs=2, default=[640, 352], help="of the middle that is taken"
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[0, 40])
    parser.add_argument("--preset", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "painters.json"
    rows = (read_json(kept) or {"rows": []})["rows"]
    for clip, q in itertools.product(options.clips, options.q):
        if any((row["clip"], row["q"]) == (clip.stem, q) for row in rows):
            continue
        size = tuple(options.size)
        rows.append(measure(clip, q, options.frames, size, options.steps, options.preset))
        told = {"clip": clip.stem, "q": q, "way": "base", **rows[-1]["base"]}
        print(json.dumps(told), flush=True)
        write_json(kept, {"rows": rows})
    text = to_markdown(rows, options.steps)
    write_text(options.out / "painters.md", text)
    print(text)


if __name__ == "__main__":
    main()
