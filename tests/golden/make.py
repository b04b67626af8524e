"""Makes the golden streams anew: `python tests/golden/make.py klt av1 hevc vvc` (any of them).

`klt-0.2.bin` is what `klt.bin` was before `klt` had golden frames, `klt-1.bin` before its entropy
model had a network.

A golden stream must decode for as long as its format version is read; making one anew is for a
change of the format, with the reason in the commit.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from conftest import moving_texture

import gvcodec
from gvcodec.types import Colour, VideoFormat

CASES = {
    "klt": {"base": "klt", "base_q": 40},
    "av1": {"base": "av1", "q": 45},
    "hevc": {"base": "hevc", "base_q": 45, "scale": Fraction(1, 2)},
    "vvc": {"base": "vvc", "base_q": 45},
}


def main(names: list[str]) -> None:
    fmt = VideoFormat(75, 53, Fraction(30000, 1001), Fraction(1, 30000), 8, Colour(1, 1, 1))
    for name in names:
        data = gvcodec.encode(
            moving_texture(75, 53, 10), format=fmt, keyint=6, tune=0, **CASES[name]
        )
        (FOLDER / f"{name}.bin").write_bytes(data)
        print(f"{name}.bin: {len(data)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
