"""Makes the golden streams again: `python tests/golden/make.py av1 vvc`, or some of them.

A golden stream must decode for as long as its format version is read; making one again is for a
change of the format, with the reason in the commit.
"""

import sys
from fractions import Fraction
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parents[1]))


import gvcodec
from gvcodec.types import Colour, VideoFormat
from tests.conftest import moving_texture

CASES = {"av1": {"base": "av1", "q": 45}, "vvc": {"base": "vvc", "base_q": 45}}


def main(names: list[str]) -> None:
    fmt = VideoFormat(75, 53, Fraction(30000, 1001), Fraction(1, 30000), 8, Colour(1, 1, 1))
    for name in names:
        clip = moving_texture(75, 53, 10)
        data = gvcodec.encode(clip, format=fmt, keyint=6, fit=0, **CASES[name])
        (FOLDER / f"{name}.bin").write_bytes(data)
        print(f"{name}.bin: {len(data)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
