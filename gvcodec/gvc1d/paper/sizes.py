"""Sizes of the paper's form, without torch.

A window of 256² luma samples is coded at a quarter of its size: 64² luma and two planes of 32²
chroma samples.
"""

from __future__ import annotations

from gvcodec.gvc1d.pictures import padded_size
from gvcodec.types import VideoFormat

#: Tokens of a window, integers of a token.
TOKENS, CHANNELS = 64, 16
#: Magnitude of an integer at most.
LARGEST = 1023
#: Patches of a window, values of a patch.
PATCHES, VALUES = 64, 96
#: Luma samples of a coded window's side, of a patch's side.
SIDE, PATCH = 64, 8
#: How much smaller pictures are coded.
REDUCED = 4


def grid_of(fmt: VideoFormat) -> tuple[int, int]:
    """Rows and columns of windows of a picture."""
    height, width = padded_size(fmt)
    return height // (REDUCED * SIDE), width // (REDUCED * SIDE)
