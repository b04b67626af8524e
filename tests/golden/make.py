"""Makes the golden streams anew: `python tests/golden/make.py klt av1 hevc vvc tokens`, or some.

`klt-0.2.bin` is what `klt.bin` was before `klt` had golden frames, `klt-1.bin` before its entropy
model had a network, `tokens/tokens-0.4.bin` what `tokens/tokens.bin` was before refreshes,
`tokens/tokens-0.5.bin` before tokens went backward.
`tokens/` has a model of its own, small and not trained: the shipped one is still made anew. It is
made where it is not there.

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
    "tokens": {"base": "tokens", "base_q": 45},
}


def find_model() -> None:
    """Random, so that every integer matters, and with bits for nothing, so that no window is a
    copy; nor does the encoder make one where tokens do harm."""
    from gvcodec.structure.tokens import checkpoint, codec

    codec.TokenEncoder._counts = lambda self, now, tokens, given: (given, None)
    checkpoint.shipped_folders = lambda: [FOLDER / "tokens"]
    if (FOLDER / "tokens" / checkpoint.NAME).is_file():
        return
    import torch

    from gvcodec.structure.tokens.model import Sizes, TokenModel
    from gvcodec.structure.tokens.twin import Twin
    from gvcodec.train.token_entropy import network_of

    torch.manual_seed(3)
    sizes = {"width": 8, "heads": 1, "local": 1, "stages": 1, "expansion": 1, "tokens": 8}
    sizes |= {"channels": 12, "memory": 2, "features": 4, "filters": 4, "borders": 2}
    model, twin = TokenModel(Sizes(**sizes)), Twin(Sizes(**sizes), (16, 8))
    with torch.no_grad():
        model.to_tokens[1].weight.normal_(std=0.5)
        twin.last.weight.normal_(std=0.3)
    checkpoint.write(FOLDER / "tokens" / checkpoint.NAME, model, network_of(twin), 0.0, 50000.0)


def main(names: list[str]) -> None:
    fmt = VideoFormat(75, 53, Fraction(30000, 1001), Fraction(1, 30000), 8, Colour(1, 1, 1))
    for name in names:
        if name == "tokens":
            find_model()
        data = gvcodec.encode(
            moving_texture(75, 53, 10), format=fmt, keyint=6, fit=0, **CASES[name]
        )
        place = FOLDER / name if name == "tokens" else FOLDER
        (place / f"{name}.bin").write_bytes(data)
        print(f"{name}.bin: {len(data)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
