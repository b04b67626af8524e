"""The control of tables: Gaussian noise on decoded luma, in levels, rounded to 8 bits. As a program
it decodes a stream by ffmpeg: `python -m eval.noise STREAM OUTPUT.y4m SIGMA`. Raises EvalError for
what is not 4:2:0 of 8 bits."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from eval.colour import Planes
from eval.tools import EvalError, ffmpeg

_FRAME = b"FRAME"
#: Names of 4:2:0 with 8 bits.
_COLOURS = ("420", "420jpeg", "420mpeg2", "420paldv")


def add_noise(frames: Iterable[Planes], sigma: float, seed: int = 0) -> Iterator[Planes]:
    """8-bit frames with noise of `sigma` levels on luma; always the same, another on each frame."""
    rng = np.random.default_rng(seed)

    def noisy(luma: NDArray[Any]) -> NDArray[np.uint8]:
        values = luma + np.float32(sigma) * rng.standard_normal(luma.shape, np.float32)
        return np.clip(np.rint(values), 0, 255).astype(np.uint8)

    return ((noisy(y), u, v) for y, u, v in frames)


def read_y4m(file: BinaryIO) -> tuple[bytes, Iterator[Planes]]:
    """Header line and frames."""
    header = file.readline()
    words = {word[:1]: word[1:].decode() for word in header.split()[1:]}
    if not header.startswith(b"YUV4MPEG2") or words.get(b"C", "420") not in _COLOURS:
        raise EvalError(f"noise needs a .y4m in 4:2:0 of 8 bits, not {header[:80]!r}")
    width, height = int(words[b"W"]), int(words[b"H"])
    half = -(-height // 2), -(-width // 2)
    shapes = (height, width), half, half

    def plane(rows: int, columns: int) -> NDArray[np.uint8]:
        data = file.read(rows * columns)
        if len(data) < rows * columns:
            raise EvalError("the .y4m ends within a frame")
        return np.frombuffer(data, np.uint8).reshape(rows, columns)

    def frames() -> Iterator[Planes]:
        while file.readline().startswith(_FRAME):
            y, u, v = (plane(*shape) for shape in shapes)
            yield y, u, v

    return header, frames()


def decode(stream: Path, output: Path, sigma: float, threads: int) -> None:
    """Writes the frames of a stream with noise."""
    words = [ffmpeg(), "-v", "error", "-threads", str(threads), "-i", str(stream)]
    words += ["-fps_mode", "passthrough", "-f", "yuv4mpegpipe", "-strict", "-1", "-"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process, open(output, "wb") as file:
        header, frames = read_y4m(cast(BinaryIO, process.stdout))
        file.write(header)
        for planes in add_noise(frames, sigma):
            samples = b"".join(plane.tobytes() for plane in planes)
            file.write(_FRAME + b"\n" + samples)
    if process.returncode:
        raise EvalError(f"ffmpeg cannot decode {stream}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="eval.noise", description=__doc__)
    parser.add_argument("stream", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("sigma", type=float)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    decode(options.stream, options.output, options.sigma, options.threads)


if __name__ == "__main__":
    main()
