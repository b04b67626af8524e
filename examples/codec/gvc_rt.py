"""GVC-RT (arXiv 2608.04891) next to gvcodec, by `--codec-file examples/codec/gvc_rt.toml`: its own
benchmark script, with the user's checkout and weights.

`$GVC_RT` is the checkout, with `checkpoints/GVC_RT-I.pt` and `GVC_RT-P.pt` in it; `$GVC_RT_PYTHON`
the Python that runs it (this one). The script codes and decodes in one run, and has no way to
decode alone: `encode` keeps the decoded frames in STREAM.y4m, and `decode` copies them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np

_SCRIPT = "test_video_gvcrt_1088.py"
_SET, _CLIP = "own", "clip"


def write_frames(source: str, folder: Path) -> tuple[list[int], int]:
    """RGB frames as im00001.png and so on; numerator and denominator of the rate, and a matrix."""
    folder.mkdir(parents=True)
    with av.open(source) as container:
        rate = container.streams.video[0].average_rate or 25
        for number, frame in enumerate(container.decode(video=0), 1):
            matrix = int(frame.colorspace)
            frame.to_image().save(folder / f"im{number:05d}.png")
    return [rate.numerator, rate.denominator], matrix


def run_benchmark(folder: Path, frames: Path, rate_index: int) -> tuple[bytes, list[Path]]:
    """The stream, and the decoded frames."""
    files = sorted(frames.glob("*.png"))
    with av.open(str(files[0])) as container:
        width, height = (getattr(container.streams.video[0], side) for side in ("width", "height"))
    clip = {"width": width, "height": height, "frames": len(files), "intra_period": -1}
    data_set = {"test": 1, "base_path": ".", "src_type": "png", "sequences": {_CLIP: clip}}
    config = {"root_path": str(folder), "test_classes": {_SET: data_set}}
    (folder / "config.json").write_text(json.dumps(config))
    options = {
        "model_path_i": "checkpoints/GVC_RT-I.pt",
        "model_path_p": "checkpoints/GVC_RT-P.pt",
        "rate_num": 1,
        "qp_i": rate_index,
        "qp_p": rate_index,
        "test_config": folder / "config.json",
        "cuda": "true",
        "worker": 1,
        "write_stream": "true",
        "stream_path": folder / "out",
        "output_path": folder / "output.json",
        "force_zero_thres": 0.12,
        "force_intra_period": -1,
        "reset_interval": 96,
        "force_frame_num": len(files),
        "save_decoded_frame": "true",
        "calc_ssim": "false",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    python = os.environ.get("GVC_RT_PYTHON", sys.executable)
    subprocess.run([python, _SCRIPT, *words], cwd=os.environ["GVC_RT"], check=True)
    (stream,) = (folder / "out").rglob("*.bin")
    decoded = sorted((folder / "out").rglob("*.png"))
    if len(decoded) != len(files):
        raise SystemExit(f"gvc_rt: {len(decoded)} decoded frames of {len(files)}")
    return stream.read_bytes(), decoded


def write_y4m(path: Path, frames: list[Path], rate: list[int], matrix: int) -> None:
    """The frames in 4:2:0, with the matrix of the source."""
    with open(path, "wb") as file:
        for number, name in enumerate(frames):
            with av.open(str(name)) as container:
                rgb = next(container.decode(video=0)).reformat(format="rgb24")
            planes = rgb.reformat(
                format="yuv420p", dst_colorspace=matrix, dst_color_range="MPEG"
            ).to_ndarray()
            if not number:
                size = b"W%d H%d F%d:%d" % (rgb.width, rgb.height, *rate)
                file.write(b"YUV4MPEG2 %s Ip C420jpeg\n" % size)
            file.write(b"FRAME\n" + np.ascontiguousarray(planes).tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("encode", "decode"))
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--q", type=int, default=0, help="9 - its rate index")
    options = parser.parse_args()
    if options.command == "decode":
        shutil.copyfile(f"{options.source}.y4m", options.target)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rate, matrix = write_frames(options.source, folder / _CLIP)
        stream, decoded = run_benchmark(folder, folder / _CLIP, 9 - options.q)
        Path(options.target).write_bytes(stream)
        write_y4m(Path(f"{options.target}.y4m"), decoded, rate, matrix)


if __name__ == "__main__":
    main()
