"""What the dial of the painter is worth: `python -m eval.experiments.look CLIP … --q N`.

Each clip is coded at each place of `LOOKS` by a written stream, which is decoded and compared with
the source: PSNR-Y and flicker on all frames, LPIPS-Alex, DISTS and SSIMULACRA2 on one in 8. Rows go
to docs/data/look.csv; what is there already for this painter is not measured again. `--pictures
FOLDER` keeps an enlarged crop of the last frame: source, then each place, side by side.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import gvcodec
from eval.metrics import Measurer
from eval.tools import append_rows, read_rows
from eval.video import Clip, RawVideo, open_video, prepare
from gvcodec.models import PAINTER, model_id

LOOKS = (0, 25, 50, 75, 100)
METRICS = {"lpips_alex": 8, "dists": 8, "ssimulacra2": 8, "psnr_y": 1, "flicker": 1}
FIELDS = ("painter", "clip", "q", "frames", "look", "bytes", *METRICS)
OUTPUT = Path(__file__).resolve().parents[2] / "docs/data/look.csv"
#: Side of the enlarged crop, and how many times it is enlarged.
_CROP, _ENLARGED = 160, 3


def decoded(data: bytes, clip: Clip, path: Path) -> RawVideo:
    """The stream's shown frames as the clip's bits, in a file."""
    depth = clip.raw.depth
    with open(path, "wb") as file, gvcodec.open(data) as video:
        for frame in video.decode_range(0, len(video)):
            for plane in frame.planes:
                shown = plane if depth == 10 else np.minimum((plane + 2) >> 2, 255).astype("u1")
                file.write(shown.tobytes())
    return RawVideo(path, clip.raw.width, clip.raw.height, clip.raw.frames, depth)


def crop_of(clip: Clip, raw: RawVideo, at: tuple[float, float]) -> np.ndarray:
    """A part of the last frame, enlarged; `at`: where its middle is, in shares of width, height."""
    picture = np.clip(clip.rgb(raw.planes(raw.frames - 1)) * 255 + 0.5, 0, 255).astype(np.uint8)
    picture = picture.transpose(1, 2, 0)
    left, top = (
        int(np.clip(share * side - _CROP / 2, 0, side - _CROP))
        for share, side in zip(at, (raw.width, raw.height), strict=True)
    )
    part = picture[top : top + _CROP, left : left + _CROP]
    return part.repeat(_ENLARGED, 0).repeat(_ENLARGED, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--q", type=float, nargs="+", required=True, help="one for each clip")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--work", type=Path, required=True, help="a folder for raw frames")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--at", type=float, nargs=2, default=(0.5, 0.5), metavar=("X", "Y"))
    given = parser.parse_args()
    painter = model_id(PAINTER.find()).hex()
    given.work.mkdir(parents=True, exist_ok=True)
    known = {
        (row["painter"], row["clip"], float(row["q"]), int(row["look"]))
        for row in read_rows(given.out)
    }
    for path, q in zip(given.clips, given.q, strict=True):
        clip = prepare(path.stem, str(path), lambda p=path: open_video(p), given.frames, given.work)
        measurer = Measurer(clip, METRICS)
        crops = [crop_of(clip, clip.raw, given.at)]
        for look in LOOKS:
            if not given.pictures and (painter, path.stem, q, look) in known:
                continue
            stream = given.work / "look.gvc"
            options = {"q": q, "look": look, "speed": "fast", "threads": 1, "overwrite": True}
            gvcodec.encode_file(clip.file, stream, **options)
            data = stream.read_bytes()
            raw = decoded(data, clip, given.work / "look.yuv")
            crops.append(crop_of(clip, raw, given.at))
            if (painter, path.stem, q, look) not in known:
                found = measurer(raw)
                values = [round(found[name]["mean"], 5) for name in METRICS]
                row = (painter, path.stem, q, clip.raw.frames, look, len(data), *values)
                append_rows(given.out, FIELDS, [row])
                print(*row, flush=True)
        if given.pictures:
            joined = np.concatenate(crops, axis=1)
            Image.fromarray(joined).save(given.pictures / f"look-{path.stem}.png")


if __name__ == "__main__":
    main()
