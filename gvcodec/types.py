"""Shapes that go between the parts of gvcodec: planes of one frame and the format of a video.

A frame inside the codec is always 4:2:0 with 10 bits a sample, whatever the file was: 8-bit input
is shifted left by two on the way in and rounded on the way out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

#: Luma pixels along a block that has a motion vector.
BLOCK = 16
Plane = NDArray[np.uint16]
#: Y (H, W), U and V ((H+1)//2, (W+1)//2), uint16, 0…1023.
Planes = tuple[Plane, Plane, Plane]


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour as CICP code points (ITU-T H.273); 2 = unspecified. `chroma_location` as in
    H.264/H.265 (0 = left)."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False
    chroma_location: int = 0


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """What a decoder needs to know of the video besides its samples. `bit_depth` (8 or 10) is that
    of the source."""

    width: int
    height: int
    frame_rate: Fraction
    time_base: Fraction
    bit_depth: int = 8
    colour: Colour = field(default_factory=Colour)
    sar: Fraction = Fraction(1)
