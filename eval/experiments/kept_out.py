"""Headline figures by size and rate on clips kept out of training and tuning: `python -m
eval.experiments.kept_out`.

Each clip of `eval/kept_out.csv` and `eval/kept_out_hd.csv` is coded at its own size, at most
`--samples` luma samples, at the same few qualities, near `TARGETS`, by the codecs of
`eval.quick.code`, and with tokens found in other ways (tokens:all and others:
`token_variants`).

`all` measures the missing rows of a CSV, a process for each codec, clip and quality, each of them
short. `report` compares its rows by size of picture and band of rates. `check` fails where gvcodec
takes over 2 % more bits than in the release before, on the same clips at the same sizes.
`sampling` reports the effect of measuring only some frames (`EVERY`).
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from eval.colour import Planes
from eval.experiments import token_variants
from eval.frames import Loaded
from eval.metrics import METRICS
from eval.quick import (
    BANDS,
    EVERY,
    SIZES,
    SMALLER,
    TARGETS,
    Curves,
    EncodeResult,
    by_clip,
    code,
    find_clip,
    measurer,
    names,
    overall,
    qualities,
    read,
    size_of,
)
from eval.tools import markdown, read_rows
from gvcodec.types import VideoFormat

RELEASES = Path("docs/data/releases")
#: Of single frames, and ColorVideoVDP of the middle quarter of a clip.
JUDGES = EVERY | {"cvvdp": 4}
FIELDS = ("clip", "codec", "output", "q", "bytes", "bpp", *JUDGES, "seconds", "samples", "frames")
#: Other ways to find tokens, by codec.
_VARIANTS = {f"tokens:{name}": name for name in token_variants.VARIANTS}
CODECS = ("svtav1", *SMALLER, "gvcodec", "svt")
ALLOWED = 2.0  # per cent of bits


def encode(codec: str, frames: Sequence[Planes], fmt: VideoFormat, q: float) -> EncodeResult:
    """`eval.quick.code`, with variants of tokens."""
    if codec not in _VARIANTS:
        return code(codec, frames, fmt, q)
    with token_variants.variant(_VARIANTS[codec]):
        return code("tokens", frames, fmt, q)


def measure(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    frames, fmt = read(find_clip(options.data, options.clip), options.samples, options.frames)
    if options.codec == "qualities":
        print(",".join(map(str, qualities(frames, fmt, options.targets))))
        return
    judges = JUDGES if options.cvvdp else EVERY
    judges = {name: every for name, every in judges.items() if name in options.judges}
    measured = measurer(frames, fmt.frame_rate, judges, fmt.colour.matrix)
    for q in options.q:
        begun = sum(os.times()[:4])
        size, outputs = encode(options.codec, frames, fmt, q)
        seconds = sum(os.times()[:4]) - begun
        bpp = 8 * size / (len(frames) * fmt.width * fmt.height)
        lines = []
        for output, shown_by in outputs.items():
            if output and output not in options.outputs:
                continue
            shown = shown_by()
            values = measured(Loaded(shown))
            if options.keep:
                name = f"{options.clip}-{options.codec}-{output}-{q:g}.png".replace("/", "_")
                picture = np.rint(255 * measured.clip.rgb(shown[len(shown) // 2]))
                picture = picture.astype(np.uint8).transpose(1, 2, 0)
                Image.fromarray(picture.copy()).save(options.keep / name)
            cells = [f"{values[n]['mean']:.5f}" if n in values else "" for n in JUDGES]
            head = [options.clip, options.codec, output, q, size, f"{bpp:.6f}"]
            tail = [f"{seconds:.2f}", fmt.width * fmt.height, len(frames)]
            lines.append(",".join(map(str, [*head, *cells, *tail])) + "\n")
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with open(options.out, "a", encoding="utf-8") as file:
            if not file.tell():
                file.write(",".join(FIELDS) + "\n")
            file.writelines(lines)


def sampling(options: argparse.Namespace) -> None:
    """A line for each quality: LPIPS-Alex of SVT-AV1's and our painted frames on every frame, on
    those that `EVERY` takes, and by how many per cent that moves their ratio."""
    torch.set_num_threads(1)
    frames, fmt = read(find_clip(options.data, options.clip), options.samples, options.frames)
    judges = [
        measurer(frames, fmt.frame_rate, {"lpips_alex": every}, fmt.colour.matrix)
        for every in (1, EVERY["lpips_alex"])
    ]
    for q in options.q:
        values = []
        for codec, output in (("svtav1", ""), ("gvcodec", "painted")):
            decoded = Loaded(code(codec, frames, fmt, q)[1][output]())
            values.append([judge(decoded)["lpips_alex"]["mean"] for judge in judges])
        (all_theirs, theirs), (all_ours, ours) = values
        moved = 100 * (ours / theirs / (all_ours / all_theirs) - 1)
        cells = [options.clip, q, *(f"{v:.5f}" for pair in values for v in pair), f"{moved:+.1f}"]
        print(",".join(map(str, cells)), flush=True)


def everything(options: argparse.Namespace) -> None:
    """One process for each piece, so that none takes long."""
    call = [*options.prefix, sys.executable, "-m", "eval.experiments.kept_out"]
    call += [word for folder in options.data for word in ("--data", str(folder))]
    call += ["--out", str(options.out), "--samples", str(options.samples)]
    call += ["--frames", str(options.frames), "--outputs", ",".join(options.outputs)]
    call += ["--targets", ",".join(map(str, options.targets)), *["--cvvdp"] * options.cvvdp]
    call += ["--judges", ",".join(options.judges)]
    for clip, codec in itertools.product(options.clips or names(), options.codecs):
        measured_points = {(r["clip"], r["codec"], float(r["q"])) for r in read_rows(options.out)}
        qualities = sorted({q for c, _, q in measured_points if c == clip})
        if options.q:
            qualities = options.q
        elif len(qualities) < len(options.targets):
            words = [*call, "measure", "--clip", clip, "--codec", "qualities"]
            text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            qualities = [float(q) for q in text.strip().split(",")]
        low = qualities[-1:] if codec in SMALLER else qualities
        for q in [q for q in low if (clip, codec, q) not in measured_points]:
            words = [*call, "measure", "--clip", clip, "--codec", codec, "--q", str(q)]
            subprocess.run(words, check=True)


def report(options: argparse.Namespace) -> None:
    rows = read_rows(options.out)
    bands = BANDS if options.bands else ((BANDS[0][0], BANDS[-1][1]),)
    lines = []
    for size, band in itertools.product(SIZES, bands):
        curves: dict[tuple[str, str], Curves] = defaultdict(lambda: defaultdict(list))
        for row in (row for row in rows if size_of(row) == size):
            codec = "svtav1" if row["codec"] in SMALLER else row["codec"]
            curves[codec, row["output"]][row["clip"]].append(row)
        lines += list(_compare(curves, options.anchor, size, band))
    labels = [METRICS[name].marked_label for name in JUDGES]
    print(markdown(["size", "bpp", "codec", "against", "clips", *labels, "time"], lines))


def _compare(
    curves: dict[tuple[str, str], Curves], anchor: str, size: str, band: tuple[float, float]
) -> Iterator[list[str]]:
    """Rows of the table: every codec against the anchor."""
    for name, against in curves.items():
        if name[0] != anchor:
            continue
        for key, curve in curves.items():
            clips = sorted(set(against) & set(curve))
            if key == name or not clips:
                continue
            cells = [overall(against, curve, clips, metric, band) for metric in JUDGES]
            spent = [
                sum(float(r["seconds"]) for c in clips for r in x[c]) for x in (curve, against)
            ]
            cells.append(f"×{spent[0] / spent[1]:.2f}" if all(spent) else "–")
            rates = "–".join(f"{rate:g}".lstrip("0") for rate in band)
            yield [size, rates, " ".join(key).strip(), anchor, str(len(clips)), *cells]


def check(options: argparse.Namespace) -> None:
    """Ends with 1 and a line where a mean is worse than that of the release before."""
    releases = sorted(path for path in options.releases.glob("*.csv") if path != options.out)
    if not releases:
        sys.exit(f"{options.releases}: no release to compare with")
    worse = []
    before, now = (
        [r for r in read_rows(path) if r["codec"] == "gvcodec"]
        for path in (releases[-1], options.out)
    )
    for size, output, name in itertools.product(
        SIZES, ("base", "painted"), ("psnr_y", "lpips_alex", "dists")
    ):
        old, new = (
            by_clip([r for r in rows if (size_of(r), r["output"]) == (size, output)])
            for rows in (before, now)
        )
        clips = sorted(set(old) & set(new))
        if not clips:
            continue
        text = overall(old, new, clips, name, (0.003, 0.12))
        print(size, output, METRICS[name].label, text)
        if not text.startswith("–") and float(text.split(" ")[0]) > ALLOWED:
            worse.append(f"{size} {output} {METRICS[name].label}")
    if worse:
        sys.exit(f"{', '.join(worse)}: more than {ALLOWED:g} % more bits than {releases[-1].stem}")


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "measure": measure,
    "all": everything,
    "report": report,
    "check": check,
    "sampling": sampling,
}


def main() -> None:
    def listed(text: str) -> list[str]:
        return text.split(",")

    def numbers(text: str) -> list[float]:
        return [float(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=tuple(COMMANDS))
    parser.add_argument("--data", type=Path, action="append", help="folder of clips; repeatable")
    parser.add_argument("--out", type=Path, default=RELEASES / "1.0.0.csv")
    parser.add_argument("--releases", type=Path, default=RELEASES, help="CSVs of releases")
    parser.add_argument("--codecs", type=listed, default=list(CODECS))
    parser.add_argument("--clips", type=listed, help="clips instead of the kept-out set")
    parser.add_argument(
        "--samples", type=float, default=1 << 30, help="most luma samples of a picture"
    )
    parser.add_argument("--frames", type=int, default=0, help="0: 48, of large pictures 24")
    parser.add_argument("--prefix", type=str.split, default=[], help="words before each command")
    parser.add_argument("--outputs", type=listed, default=["base", "painted"])
    parser.add_argument("--targets", type=numbers, default=list(TARGETS), help="rates in bpp")
    parser.add_argument("--q", type=numbers, default=[], help="qualities, instead of targets")
    parser.add_argument("--clip")
    parser.add_argument("--codec")
    parser.add_argument("--cvvdp", action="store_true", help="measure ColorVideoVDP too")
    parser.add_argument(
        "--judges", type=listed, default=list(JUDGES), help="metrics to measure; others stay empty"
    )
    parser.add_argument("--keep", type=Path, help="folder for middle frames")
    parser.add_argument("--anchor", default="svtav1", help="codec to compare with")
    parser.add_argument("--bands", action="store_true", help="a row for each band of rates")
    options = parser.parse_args()
    COMMANDS[options.command](options)


if __name__ == "__main__":
    main()
