"""Sizes of the paper's form, without torch.

A window of 256² luma samples is coded at a quarter of its size: 64² luma and two planes of 32²
chroma samples.
"""

from __future__ import annotations

from typing import NamedTuple

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


class Depth(NamedTuple):
    """Of a stack of transformer blocks: `width` of its features, number of `layers`."""

    width: int
    layers: int

    @property
    def heads(self) -> int:
        """Of attention: of 64 features each, at least four."""
        return max(4, self.width // 64)


class Sizes(NamedTuple):
    """Of encoder and decoder."""

    encoder: Depth
    decoder: Depth


#: Trained from this repository: 3.6 M weights with training's prior.
SMALL = Sizes(Depth(192, 3), Depth(192, 4))
#: The paper's: ViT-B and ViT-L, 390 M weights; nobody has trained it in this form.
LARGE = Sizes(Depth(768, 12), Depth(1024, 24))
#: Largest width and number of layers of a file.
MOST = Depth(2048, 48)


def grid_of(fmt: VideoFormat) -> tuple[int, int]:
    """Rows and columns of windows of a picture."""
    height, width = padded_size(fmt)
    return height // (REDUCED * SIDE), width // (REDUCED * SIDE)
