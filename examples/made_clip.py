"""A clip for the other examples where none is named: two scenes of texture that moves, as .y4m."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 160, 96, 10


def pictures(frames: int = 20) -> NDArray[np.uint8]:
    """(frames, HEIGHT, WIDTH, 3) RGB; a new scene begins in the middle."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    images = []
    for number in range(frames):
        late = number >= frames // 2
        waves = np.sin((x + 3 * number) / (5 if late else 9)) * np.cos((y - number) / 7)
        images.append(np.stack([128 + 90 * waves, 60 + y + 90 * late, 220 - x], -1))
    return np.clip(images, 0, 255).astype(np.uint8)


def given_or_made() -> Path:
    """The video that the command line names, or a made clip in a new folder."""
    if len(sys.argv) > 1:
        return Path(sys.argv[1])
    path = Path(tempfile.mkdtemp(prefix="gvcodec-example-"), "clip.y4m")
    with open(path, "wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F%d:1 C444\n" % (WIDTH, HEIGHT, RATE))
        for red, green, blue in pictures().transpose(0, 3, 1, 2).astype(float):
            luma = 0.299 * red + 0.587 * green + 0.114 * blue
            planes = luma, 128 + 0.564 * (blue - luma), 128 + 0.713 * (red - luma)
            scaled = (16 + luma * 219 / 255, *(128 + (p - 128) * 224 / 255 for p in planes[1:]))
            file.write(b"FRAME\n" + np.stack(scaled).round().astype(np.uint8).tobytes())
    return path
