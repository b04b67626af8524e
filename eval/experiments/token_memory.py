"""Bytes saved by a memory of token sets: `python -m eval.experiments.token_memory CLIP…`.

Tokens of the painter are coded GOP by GOP, each by itself. Here the encoder finds them for short
GOPs of clips (`--keyint`), and adaptive counts code each integer of a region once by itself, once
knowing the same region's integer in the GOP before (a short-term buffer), and once that in the
nearest of all earlier GOPs of the clip (a memory of sets, with the bits that say which). Prints
bits a region, over the clips, of GOPs that have others before them.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.quick import read, wide
from gvcodec.base import open_encoder
from gvcodec.config import EncoderConfig
from gvcodec.painter.token_coding import LARGEST, round_integers
from gvcodec.painter.tokens.encoder import EncodedTokens
from gvcodec.painter.tokens.samples import TokenSampler
from gvcodec.painter.video import DEFAULT
from gvcodec.types import VideoFormat

_VALUES = 2 * LARGEST + 1
#: Initial value of every count, and the range, -near … near, in which previous integers select
#: different counts.
_COUNT, _NEAR = 0.05, 3


def tokens_of(path: Path, q: int, keyint: int, frames: int) -> list[NDArray[np.int64]]:
    """Integers (rows, columns, D) of regions of each GOP, by the encoder."""
    shown, fmt = read(path, 1280 * 720, frames)
    fmt = VideoFormat(fmt.width, fmt.height, fmt.frame_rate, 1 / fmt.frame_rate)
    encoder = EncodedTokens(fmt, "av1", Fraction(1), q, DEFAULT, chooses_strengths=True, threads=1)
    token_planes = []
    for start in range(0, len(shown) - keyint + 1, keyint):
        base = open_encoder(fmt, EncoderConfig(q=q, threads=1).resolve())
        sampler = TokenSampler()
        sampler.start_gop(0)
        parts = []
        for number, planes in enumerate(shown[start : start + keyint]):
            sampler.send_source(number, wide(planes))
            parts.append(base.send(wide(planes)))
        parts.append(base.flush())
        coded = [planes for part in parts for planes in part.base_frames]
        for number, planes in enumerate(coded):
            list(sampler.send_base(number, planes, 0))
        (gop,) = sampler.finish()
        encoded, matched = encoder.parts(gop, encoder.strength_of(gop))
        token_planes.append(round_integers(encoded + matched).astype(np.int64))
    return token_planes


class Counts:
    """Adaptive counts of integers by dimension and context."""

    def __init__(self, dims: int, contexts: int) -> None:
        self._counts = np.full((dims, contexts, _VALUES), _COUNT)

    def bits(self, values: NDArray[np.int64], contexts: NDArray[np.int64]) -> float:
        """Bits of values (regions, D) with contexts of the same shape, which are learned."""
        total = 0.0
        for value_row, context_row in zip(values, contexts, strict=True):
            for n, (value, context) in enumerate(zip(value_row, context_row, strict=True)):
                row = self._counts[n, context]
                total -= np.log2(row[value + LARGEST] / row.sum())
                row[value + LARGEST] += 1
        return total


def main() -> None:
    parser = argparse.ArgumentParser(prog="token_memory", description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--q", type=int, default=56)
    parser.add_argument("--keyint", type=int, default=12)
    parser.add_argument("--frames", type=int, default=48)
    options = parser.parse_args()
    alone, buffer, memory = (None,) * 3
    sums, regions = np.zeros(3), 0
    for path in options.clips:
        sets = tokens_of(path, options.q, options.keyint, options.frames)
        for n, tokens in enumerate(sets):
            dims = tokens.shape[-1]
            if alone is None or buffer is None or memory is None:
                alone = Counts(dims, 1)
                buffer, memory = (Counts(dims, 2 * _NEAR + 1) for _ in range(2))
            flat = tokens.reshape(-1, dims)
            own = alone.bits(flat, np.zeros_like(flat))
            if not n:
                continue
            earlier = [each.reshape(-1, dims) for each in sets[:n]]
            nearest = min(earlier, key=lambda each: int(np.abs(each - flat).sum()))
            contexts = [each.clip(-_NEAR, _NEAR) + _NEAR for each in (earlier[-1], nearest)]
            costs = [own, buffer.bits(flat, contexts[0])]
            costs.append(memory.bits(flat, contexts[1]) + float(np.log2(n)))
            sums += costs
            regions += len(flat)
    for name, total in zip(("alone", "buffer", "memory"), sums, strict=True):
        print(f"{name},{total / regions:.2f} bits a region,{regions} regions")


if __name__ == "__main__":
    main()
