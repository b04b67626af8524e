"""Types that the parts of gvcodec exchange: planes of one frame and the format of a video.

A frame inside the codec is always 4:2:0 with 10 bits a sample: 8-bit input
is shifted left by two on the way in and rounded on the way out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

#: Luma pixels along a block that has a motion vector.
BLOCK = 16
Plane = NDArray[np.uint16]
#: Y (H, W), U and V ((H+1)//2, (W+1)//2), uint16, 0…1023.
Planes = tuple[Plane, Plane, Plane]


def chroma_shape(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of U and V for luma of this size."""
    return (height + 1) // 2, (width + 1) // 2


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour as CICP code points (ITU-T H.273); 2 = unspecified. `chroma_location` as in
    H.264/H.265 (0 = left)."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool = False
    chroma_location: int = 0


#: The code point of H.273 for colours of which a file says nothing.
UNSPECIFIED_COLOUR = 2
#: Transfers of high dynamic range: PQ and HLG.
HDR_TRANSFERS = (16, 18)
#: Names of H.273 code points in FFmpeg's spelling; chroma locations as in H.265.
CODE_POINTS = {
    "primaries": {1: "bt709", 2: "unspecified", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film",
                  9: "bt2020", 10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213"},
    "transfer": {1: "bt709", 2: "unspecified", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear",
                 9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10",
                 15: "bt2020-12", 16: "smpte2084", 17: "smpte428", 18: "arib-std-b67"},
    "matrix": {0: "gbr", 1: "bt709", 2: "unspecified", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco",
               9: "bt2020nc", 10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp"},
    "chroma_location": {0: "left", 1: "center", 2: "topleft", 3: "top", 4: "bottomleft", 5: "bottom"},
}  # fmt: skip


#: Minimum duration of a still, in frame periods.
_STILL_PERIODS = Fraction(3, 2)


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """Properties of a video that a decoder needs besides its samples. `bit_depth` (8 or 10) is that
    of the source."""

    width: int
    height: int
    frame_rate: Fraction
    time_base: Fraction
    bit_depth: int = 8
    colour: Colour = field(default_factory=Colour)
    sar: Fraction = Fraction(1)

    @property
    def period(self) -> Fraction:
        """Period of frames in ticks."""
        return 1 / self.frame_rate / self.time_base


def time_in_part(
    begin: int, end: int, moment: Fraction, period: Fraction = Fraction(0)
) -> int | None:
    """When a picture that is on screen from `begin` to `end` is shown in a part that is cut at
    `moment`, if the cut falls on it: at the first tick from there on; else None. Times and `period`
    in ticks: a picture of a video (subtitles have no `period`) has to be a still, of more than 1.5
    periods. Others belong to the part in which they begin."""
    time = math.ceil(moment)
    is_still = end - begin > _STILL_PERIODS * period
    return time if begin < moment and time < end and is_still else None
