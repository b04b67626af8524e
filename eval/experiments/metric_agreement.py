"""Do metrics agree on painted texture and film grain? `python -m eval.experiments.metric_agreement
CLIP … --q N … --work DIR`.

Each clip is coded once by gvcodec and by SVT-AV1 at preset 4, plain and with film grain synthesis
of strengths 4, 8 and 16 (`film-grain`), at the CRF whose bytes are nearest to gvcodec's. A row per
output: base frames (`--look 0`), gvcodec's file at other looks, and SVT-AV1's. Metrics include
three that no table of results rests on: Wasserstein distortion, VMAF-NEG, and tOF, a published
measure of flicker. Rows go to docs/data/metric-agreement.csv; rows there already are not measured
again. `--report` prints mean changes against base frames (gvcodec) and plain SVT-AV1, and rank
correlations between metrics over the outputs of a clip. `--keep DIR` writes middle frames as PNG.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image

from eval.codecs import peers
from eval.codecs.codec import Options
from eval.experiments.look import decoded, encoded, run_gvcodec
from eval.metrics import METRICS, Measurer, need
from eval.tools import append_rows, markdown, read_rows, run_command
from eval.video import Clip, RawVideo, decode_raw, open_video, prepare
from gvcodec.painter.video import DEFAULT

OUTPUT = Path(__file__).resolve().parents[2] / "docs/data/metric-agreement.csv"
#: One frame in how many.
EVERY = {
    "lpips_alex": 6,
    "dists": 12,
    "wasserstein": 12,
    "ssimulacra2": 12,
    "cvvdp": 4,
    "vmaf": 1,
    "vmaf_neg": 1,
    "psnr_y": 1,
    "flicker": 4,
    "tof": 4,
}
FIELDS = ("clip", "width", "height", "frames", "output", "quality", "bytes", *EVERY)
#: Outputs of SVT-AV1, by name of the peer.
PEERS = {
    "SVT-AV1": "svtav1",
    "SVT-AV1, grain 4": "svtav1-grain4",
    "SVT-AV1, grain 8": "svtav1-grain",
    "SVT-AV1, grain 16": "svtav1-grain16",
}
_BASE = "base frames"
#: Places of the dial; 0 shows base frames.
LOOKS = (25, 50, 75, 100)
#: Bytes are near enough, and CRFs of SVT-AV1 are tried at most this often.
_NEAR, _TRIALS = 0.01, 5


def peer_at(codec: str, clip: Clip, target: int, crf: float, folder: Path) -> tuple[float, int]:
    """(CRF, bytes) of the peer's stream, left in `folder`, of the bytes nearest to `target`; CRFs
    go in quarters and begin at `crf`."""
    peer, sizes = peers.make(codec, "ra", Options()), {}
    for _ in range(_TRIALS):
        stream = folder / f"{crf:g}.stream"
        run_command(peer.command(peer.encode, clip, q=crf, stream=stream))
        sizes[crf] = stream.stat().st_size
        if abs(sizes[crf] / target - 1) < _NEAR:
            break
        # Eight steps of CRF halve the bytes, roughly; two trials correct that.
        slope = -np.log(2) / 8
        if len(sizes) > 1:
            (a, b), (c, d) = sorted(sizes.items(), key=lambda s: abs(s[1] / target - 1))[:2]
            slope = min(-0.01, float(np.log(b / d)) / (a - c))
        best = min(sizes, key=lambda c: abs(sizes[c] / target - 1))
        crf = round(4 * (best + float(np.log(target / sizes[best])) / slope)) / 4
        if crf in sizes:
            break
    best = min(sizes, key=lambda c: abs(sizes[c] / target - 1))
    (folder / f"{best:g}.stream").rename(folder / "stream")
    return best, sizes[best]


def outputs(clip: Clip, q: float, folder: Path) -> Iterator[tuple[str, float, int, RawVideo]]:
    """(name, quality, bytes, frames) of each output; frames hold until the next."""
    file, shown = folder / "file.gvc", folder / "base.y4m"
    size = encoded(clip, q, DEFAULT, "balanced", file)
    run_gvcodec(["decode", str(file), str(shown), "--fidelity", "--threads", "1"])
    yield _BASE, q, size, decode_raw(shown, clip, folder / "base.yuv")
    for look in LOOKS:
        yield f"look {look}", q, size, decoded(file, clip, look, folder)
    crf = q
    for name, codec in PEERS.items():
        crf, peer_size = peer_at(codec, clip, size, crf, folder)
        peer, out = peers.make(codec, "ra", Options()), folder / "peer.y4m"
        command = peer.command(peer.outputs[""], clip, stream=folder / "stream", output=out)
        run_command(command)
        yield name, crf, peer_size, decode_raw(out, clip, folder / "peer.yuv")


def measure(options: argparse.Namespace, clip: Clip, q: float) -> None:
    """Appends the rows that are missing."""
    measured_points = {(row["clip"], row["output"]) for row in read_rows(options.out)}
    names = [_BASE, *(f"look {look}" for look in LOOKS), *PEERS]
    if all((clip.name, name) in measured_points for name in names):
        return
    measurer = Measurer(clip, EVERY)
    for name, quality, size, raw in outputs(clip, q, options.work):
        if options.keep:
            picture = np.rint(255 * np.clip(clip.rgb(raw.planes(raw.frames // 2)), 0, 1))
            path = options.keep / f"{clip.name}-{name}.png"
            Image.fromarray(picture.astype(np.uint8).transpose(1, 2, 0).copy()).save(path)
        if (clip.name, name) in measured_points:
            continue
        values = measurer(raw)
        head = [clip.name, raw.width, raw.height, raw.frames, name, quality, size]
        cells = [f"{values[metric]['mean']:.5f}" for metric in EVERY]
        append_rows(options.out, FIELDS, [[*head, *cells]])
        print(*head, *cells, flush=True)


def report(options: argparse.Namespace) -> None:
    """Prints two tables: changes by output, and rank correlations with LPIPS-Alex."""
    rows = read_rows(options.out)
    by_clip = {
        clip: {row["output"]: row for row in group}
        for clip, group in itertools.groupby(rows, lambda row: row["clip"])
    }
    lines = []
    for name in dict.fromkeys(row["output"] for row in rows):
        anchor = "SVT-AV1" if name in PEERS else _BASE
        cells = [name]
        for metric in EVERY:
            pairs = [
                (float(of[name][metric]), float(of[anchor][metric])) for of in by_clip.values()
            ]
            if METRICS[metric].higher_is_better:
                cells.append(f"{fmean(a - b for a, b in pairs):+.2f}")
            else:
                cells.append(f"{100 * (np.exp(fmean(np.log(a / b) for a, b in pairs)) - 1):+.1f} %")
        lines.append(cells)
    labels = [METRICS[metric].marked_label for metric in EVERY]
    print(markdown(["output", *labels], lines))
    print(markdown(["ranks agree with", *labels], [_agreement(by_clip, m) for m in EVERY]))


def _agreement(by_clip: dict[str, dict[str, dict[str, str]]], metric: str) -> list[str]:
    """Mean over clips of Spearman's correlation of a metric with the others, better being up."""
    cells = [METRICS[metric].marked_label]
    for other in EVERY:
        correlations = []
        for of in by_clip.values():
            ranks = []
            for name in (metric, other):
                sign = 1 if METRICS[name].higher_is_better else -1
                values = [sign * float(row[name]) for row in of.values()]
                ranks.append(np.argsort(np.argsort(values)))
            correlations.append(float(np.corrcoef(*ranks)[0, 1]))
        cells.append(f"{fmean(correlations):+.2f}")
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--q", type=float, nargs="+", default=[], help="one for each clip")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--work", type=Path, help="a folder for raw frames")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    parser.add_argument("--keep", type=Path, help="a folder for middle frames")
    parser.add_argument("--report", action="store_true")
    options = parser.parse_args()
    if options.report:
        report(options)
        return
    need(EVERY)
    for folder in (options.work, options.keep):
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    for path, q in zip(options.clips, options.q, strict=True):
        opened = lambda p=path: open_video(p)
        measure(options, prepare(path.stem, str(path), opened, options.frames, options.work), q)


if __name__ == "__main__":
    main()
