"""What could a texture lifetime per region gain? `python -m eval.experiments.keep_bound CLIP …`.

A GOP's strength has `keep`: how much of a frame's painted detail survives in the next one
(docs/spec/fit.md). Tokens could carry it per region of 64×64. The bound: each clip is coded once
per value of `KEEPS`, in one GOP, and its painted frames are put together from regions, each with
the value that a search on the source finds best. The search minimizes LPIPS-Alex of crops with
their surroundings, plus a price times flicker. A composite has no seams that a painter would avoid,
so a real file gains less. Output per clip and price: LPIPS-Alex‡, DISTS†, PSNR-Y and flicker of the
composite, and of the best single value by the same sum; rows go to docs/data/keep-bound.csv.
`--report` prints means over clips, relative to the encoder's own choice.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eval.colour import Planes
from eval.experiments.token_gate import find_q
from eval.frames import Loaded
from eval.metrics import network
from eval.metrics.flicker import BLOCK, MotionField, block_flicker, block_means
from eval.quick import code, measurer, read
from eval.tools import append_rows, markdown, read_rows
from eval.video import Clip

OUTPUT = Path(__file__).resolve().parents[2] / "docs/data/keep-bound.csv"
KEEPS = (0, 12, 24, 48, 96)
#: Prices of one code value of flicker, in LPIPS-Alex.
PRICES = (0.0, 0.03, 0.1, 0.3, 1.0)
METRICS = {"lpips_alex": 4, "dists": 8, "psnr_y": 1, "flicker": 2}
FIELDS = ("clip", "q", "frames", "choice", "price", *METRICS, "values")
REGION, _MARGIN = 64, 32
#: One frame in so many is looked at by the search.
_EVERY = 4


def region_distances(clip: Clip, painted: Sequence[Planes]) -> NDArray[np.float64]:
    """LPIPS-Alex of every region with its margin, mean over frames, (rows, columns)."""
    distance: Any = network("lpips_alex", "cpu")
    total: NDArray[np.float64] | None = None
    indices = range(2, len(painted), _EVERY)
    for index in indices:
        picture, source = clip.rgb(painted[index]), clip.reference(index)
        crops = [_crops(part) for part in (picture, source)]
        rows, columns = crops[0].shape[:2]
        x, y = (torch.from_numpy(c.reshape(-1, *c.shape[2:])) for c in crops)
        with torch.inference_mode():
            distances = torch.cat([distance(a, b) for a, b in zip(x.split(16), y.split(16))])
        values = distances.double().numpy().reshape(rows, columns)
        total = values if total is None else total + values
    assert total is not None
    return total / len(indices)


def _crops(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3, H, W) → (rows, columns, 3, region + margins, the same), edges repeated."""
    _, height, width = picture.shape
    rows, columns = -(-height // REGION), -(-width // REGION)
    bottom, right = rows * REGION - height, columns * REGION - width
    padded = np.pad(
        picture, ((0, 0), (_MARGIN, _MARGIN + bottom), (_MARGIN, _MARGIN + right)), mode="edge"
    )
    side = REGION + 2 * _MARGIN
    crops = [
        padded[:, r * REGION : r * REGION + side, c * REGION : c * REGION + side]
        for r in range(rows)
        for c in range(columns)
    ]
    return np.stack(crops).reshape(rows, columns, 3, side, side)


def region_flicker(source: Sequence[Planes], painted: Sequence[Planes]) -> NDArray[np.float64]:
    """Excess change of every region over the source's, mean over frames, in 8-bit code values."""
    blocks = [
        block_flicker(
            MotionField(source[i - 1][0], source[i][0]),
            (painted[i - 1][0], painted[i][0]),
            (source[i - 1][0], source[i][0]),
            8,
        )
        for i in range(1, len(painted), 2)
    ]
    return np.asarray(block_means(np.mean(blocks, 0), REGION // BLOCK))


def compose(painted: Sequence[Sequence[Planes]], choice: NDArray[np.intp]) -> list[Planes]:
    """Frames whose regions come from the version that `choice` (rows, columns) names."""
    frames = []
    for versions in zip(*painted, strict=True):
        planes = []
        for plane in zip(*versions, strict=True):
            height, width = plane[0].shape
            side = REGION if plane[0].shape == versions[0][0].shape else REGION // 2
            index = choice.repeat(side, 0).repeat(side, 1)[:height, :width]
            planes.append(np.choose(index, plane))
        y, u, v = planes
        frames.append((y, u, v))
    return frames


def measure(path: Path, options: argparse.Namespace) -> None:
    """Appends the rows of one clip."""
    if any(row["clip"] == path.stem for row in read_rows(options.out)):
        return
    frames, fmt = read(path, options.samples, options.frames)
    q = find_q(frames, fmt, options.target)
    metric = measurer(frames, fmt.frame_rate, METRICS, fmt.colour.matrix)
    painted = [list(code(f"strength:64:{keep}", frames, fmt, q)[1]["painted"]()) for keep in KEEPS]
    distances = np.stack([region_distances(metric.clip, s) for s in painted])
    flickers = np.stack([region_flicker(frames, s) for s in painted])

    def add(name: str, price: float, videos: Sequence[Planes], values: str) -> None:
        scores = metric(Loaded(videos))
        cells = [f"{scores[m]['mean']:.5f}" for m in METRICS]
        row = [path.stem, q, len(frames), name, price, *cells, values]
        append_rows(options.out, FIELDS, [row])
        print(*row, flush=True)

    add("encoder", 0, list(code("gvcodec", frames, fmt, q)[1]["painted"]()), "")
    for price in PRICES:
        cost = distances + price * flickers
        single = int(cost.mean((1, 2)).argmin())
        add("single", price, painted[single], str(KEEPS[single]))
        choice = cost.argmin(0)
        counts = np.bincount(choice.ravel(), minlength=len(KEEPS))
        add("regions", price, compose(painted, choice), "/".join(map(str, counts)))


def report(path: Path) -> None:
    """Changes against the encoder's choice, means over clips."""
    rows, lines = read_rows(path), []
    base = {row["clip"]: row for row in rows if row["choice"] == "encoder"}
    for choice in ("single", "regions"):
        for price in PRICES:
            selection = [r for r in rows if r["choice"] == choice and float(r["price"]) == price]
            cells = [choice, f"{price:g}"]
            for name in METRICS:
                pairs = [(float(r[name]), float(base[r["clip"]][name])) for r in selection]
                if name == "psnr_y":
                    cells.append(f"{fmean(a - b for a, b in pairs):+.2f} dB")
                else:
                    cells.append(
                        f"{100 * (np.exp(fmean(np.log(a / b) for a, b in pairs)) - 1):+.1f} %"
                    )
            lines.append(cells)
    print(markdown(["keep by", "price", *METRICS], lines))


def main() -> None:
    parser = argparse.ArgumentParser(prog="keep_bound", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("clips", type=Path, nargs="*")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    parser.add_argument("--samples", type=float, default=640 * 360, help="most luma samples")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--target", type=float, default=0.016, help="bits a pixel")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for clip in options.clips:
        measure(clip, options)
    if options.report:
        report(options.out)


if __name__ == "__main__":
    main()
