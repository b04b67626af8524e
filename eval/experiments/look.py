"""Cost of the painting strength: `python -m eval.experiments.look CLIP … --q N …`.

Each clip is shown at each place of the dial and compared with the source; `gvcodec decode`, another
process, decodes. A place is set in one of two forms:

    encode   the clip is coded at each place, and strengths are chosen there (default)
    decode   one file of the default place is decoded by `--look`, as viewers turn it

PSNR-Y and flicker are of all frames, LPIPS-Alex and SSIMULACRA2 of one in 8, DISTS of one in 24 (of
the CIF clip one in 8), ColorVideoVDP
of the middle quarter. Rows go to docs/data/look.csv; existing rows of this painter are not
measured again. `--picture FILE` writes an enlarged crop of the middle frame, a row for each clip:
the source, then the places of `SHOWN`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eval.metrics import Measurer
from eval.tools import append_rows, read_rows, run_command
from eval.video import Clip, RawVideo, decode_raw, open_video, prepare
from gvcodec.models import PAINTER, model_id
from gvcodec.painter.video import BOLD, DEFAULT, NO_PAINT
from gvcodec.rate.quality import PACKAGES, missing_package

LOOKS = (NO_PAINT, 25, DEFAULT, 75, BOLD)
#: Places in the picture, next to the source.
PICTURE_LOOKS = (NO_PAINT, DEFAULT, BOLD)
METRICS = {"lpips_alex": 8, "dists": 24, "ssimulacra2": 8, "psnr_y": 1, "flicker": 1, "cvvdp": 4}
FIELDS = ("painter", "clip", "width", "height", "q", "frames", "speed", "form", "look", "bytes")
OUTPUT = Path(__file__).resolve().parents[2] / "docs/data/look.csv"
#: Side of the enlarged crop, how many times it is enlarged, and the quality of the picture.
_CROP, _ENLARGED, _QUALITY = 112, 3, 80


def encoded(clip: Clip, q: float, look: int, speed: str, path: Path) -> int:
    """Codes the clip by one thread and gives the bytes of the file."""
    settings = ["-q", f"{q:g}", "--speed", speed, "--look", str(look), "--threads", "1"]
    run_gvcodec(["encode", str(clip.file), str(path), *settings])
    return path.stat().st_size


def decoded(path: Path, clip: Clip, look: int | None, folder: Path) -> RawVideo:
    """The file's shown frames in the clip's format, at another place of the dial than its own or
    at its own (None)."""
    shown, place = folder / "look.y4m", [] if look is None else ["--look", str(look)]
    run_gvcodec(["decode", str(path), str(shown), "--threads", "1", *place])
    return decode_raw(shown, clip, folder / "look.yuv")


def run_gvcodec(words: list[str]) -> None:
    """Runs a command of gvcodec in another process, without progress. Raises EvalError."""
    run_command([sys.executable, "-m", "gvcodec", *words, "--quiet", "-y"])


def crop_of(clip: Clip, raw: RawVideo, at: tuple[float, float]) -> NDArray[np.uint8]:
    """A part of the middle frame, enlarged; `at`: where its middle is, in shares of width and
    height."""
    picture = np.clip(clip.rgb(raw.planes(raw.frames // 2)) * 255 + 0.5, 0, 255).astype(np.uint8)
    picture = picture.transpose(1, 2, 0)
    left, top = (
        int(np.clip(share * side - _CROP / 2, 0, side - _CROP))
        for share, side in zip(at, (raw.width, raw.height), strict=True)
    )
    part = picture[top : top + _CROP, left : left + _CROP]
    return part.repeat(_ENLARGED, 0).repeat(_ENLARGED, 1)


def measure(
    options: argparse.Namespace, clip: Clip, q: float, measured: Measurer
) -> dict[int, NDArray[np.uint8]]:
    """Appends the rows that are missing; crops by place, where a picture is asked for."""
    painter, at = model_id(PAINTER.find()).hex(), (0.5, 0.5)
    if options.picture:
        at = options.at.pop(0), options.at.pop(0)
    head = [painter, clip.name, clip.raw.width, clip.raw.height, q, clip.raw.frames]
    head += [options.speed, options.form]
    measured_points = {tuple(row[name] for name in FIELDS[:-1]) for row in read_rows(options.out)}
    crops = {-1: crop_of(clip, clip.raw, at)} if options.picture else {}
    file, size = options.work / "look.gvc", 0
    for look in options.looks:
        is_known = tuple(map(str, [*head, look])) in measured_points
        is_shown = bool(options.picture) and look in PICTURE_LOOKS
        if is_known and not is_shown:
            continue
        in_file = options.form == "encode"
        if in_file or not size:
            size = encoded(clip, q, look if in_file else DEFAULT, options.speed, file)
        raw = decoded(file, clip, None if in_file else look, options.work)
        if is_shown:
            crops[look] = crop_of(clip, raw, at)
        if not is_known:
            scores = measured(raw)
            values = [round(scores[name]["mean"], 5) if name in scores else "" for name in METRICS]
            append_rows(options.out, [*FIELDS, *METRICS], [[*head, look, size, *values]])
            print(*head[1:], look, size, *values, flush=True)
    return crops


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--q", type=float, nargs="+", required=True, help="one for each clip")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--form", choices=("encode", "decode"), default="encode")
    parser.add_argument("--looks", type=int, nargs="+", default=list(LOOKS))
    parser.add_argument("--metrics", nargs="+", default=list(METRICS), choices=list(METRICS))
    parser.add_argument("--speed", default="balanced")
    parser.add_argument("--work", type=Path, required=True, help="a folder for raw frames")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    parser.add_argument("--picture", type=Path, help="a .webp of crops at --at")
    parser.add_argument("--at", type=float, nargs="+", help="x, y for each clip, in shares")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rows = []
    for path, q in zip(options.clips, options.q, strict=True):
        source = prepare(
            path.stem, str(path), lambda p=path: open_video(p), options.frames, options.work
        )
        lacking = {name for name in PACKAGES if missing_package(name)}
        every = {name: METRICS[name] for name in options.metrics if name not in lacking}
        crops = measure(options, source, q, Measurer(source, every))
        if crops:
            rows.append(np.concatenate([crops[place] for place in (-1, *PICTURE_LOOKS)], axis=1))
    if rows:
        Image.fromarray(np.concatenate(rows)).save(options.picture, quality=_QUALITY)


if __name__ == "__main__":
    main()
