"""Memory of decoding: at 1080p it is bounded, and it does not grow with the length of a file."""

import sys
from pathlib import Path

import numpy as np
import pytest

import gvcodec
from gvcodec.types import Planes
from tests.conftest import in_process

WIDTH, HEIGHT, FRAMES = 1920, 1080, 4
#: Bytes above those of a program that has decoded one frame of 16×16: 34 frames of 10-bit planes
#: (160 MiB were measured).
MOST = 34 * 3 * WIDTH * HEIGHT
#: The peak of resident memory, in bytes, of a process that decodes and paints a file.
CODE = """
import sys
from gvcodec import cli
assert cli.main(["decode", sys.argv[1], sys.argv[2], "--threads", "2", "-y"]) == 0
(line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(line.split()[1]) << 10)
"""


def clip(width: int, height: int, count: int) -> list[Planes]:
    """A ramp with a few grains, which moves: quick to code, and it is painted."""
    rng = np.random.default_rng(1)
    luma = np.add.outer(np.arange(height) // 4, np.arange(width) // 4) + rng.integers(
        0, 64, (height, width)
    )
    chroma = np.full((height // 2, width // 2), 512, np.uint16)
    return [(np.roll(luma, n, 1).astype(np.uint16), chroma, chroma) for n in range(count)]


def encode(path: Path, width: int, height: int, count: int) -> Path:
    options = {"frame_rate": 25, "preset": 10, "fit": 0, "keyint": count, "q": 55}
    path.write_bytes(gvcodec.encode(clip(width, height, count), **options))
    return path


def peak_of(path: Path) -> int:
    done = in_process("-c", CODE, path, path.with_suffix(".y4m"), text=True)
    path.with_suffix(".y4m").unlink()
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is counted by Linux")
def test_memory_of_decoding_1080p_is_bounded_and_does_not_grow(tmp_path: Path) -> None:
    least = peak_of(encode(tmp_path / "small.gvc", 16, 16, 1))
    gop = encode(tmp_path / "gop.gvc", WIDTH, HEIGHT, FRAMES)
    peak = peak_of(gop)
    assert peak - least < MOST
    gvcodec.cat([gop] * 4, tmp_path / "long.gvc")
    longer = peak_of(tmp_path / "long.gvc")
    assert gvcodec.info(tmp_path / "long.gvc").frames == 4 * FRAMES
    assert longer - peak < 4 * 3 * WIDTH * HEIGHT
