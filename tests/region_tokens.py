"""Painters that tokens can steer, and bytes of tokens by an encoder of the tests."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from conformance.decoder import models
from conformance.decoder.header import Header
from conformance.inputs import token_tensors
from gvcodec.bitstream.varint import encode_var
from gvcodec.entropy import streams
from gvcodec.entropy.network_file import layers_in
from gvcodec.models import PAINTER, read_arrays

Token = tuple[int, int, int]  # kind, row, column


def header_of(width: int, height: int, q: int = 45) -> Header:
    return Header(width=width, height=height, base="av1", scale=Fraction(1), q=q)


def order_of(width: int, height: int, depths: list[int]) -> list[Token]:
    """Tokens of a picture in the order of their bytes, each by the place of its first sample."""
    high, wide = (-(-side // 16) * 16 for side in (height, width))
    found = []
    tops = [(y, x) for y in range(0, high, 256) for x in range(0, wide, 256)]
    for (top, left), depth in zip(tops, depths, strict=True):
        for kind in range(depth):
            side = 256 >> kind
            for y in range(top, top + 256, side):
                for x in range(left, left + 256, side):
                    if y < high and x < wide:
                        found.append((kind, y // side, x // side))
    return found


def coded(model: Path, header: Header, depths: list[int], values: np.ndarray) -> bytes:
    """Bytes of tokens by the core's coder; `values` (tokens, D)."""
    tensors = models.painter(model.read_bytes())
    dimensions = tensors["tokens.weight"].shape[1]
    order = order_of(header.width, header.height, depths)
    at = {token: n for n, token in enumerate(order)}
    side = np.zeros((1, len(order) * dimensions, dimensions + 4), np.uint8)
    back = np.zeros((1, len(order) * dimensions, 5), np.int32)
    for n, (kind, y, x) in enumerate(order):
        for d in range(dimensions):
            t = n * dimensions + d
            side[0, t, [d, dimensions + kind]] = 127
            side[0, t, -1] = 2 * header.q
            near = (kind - 1, y // 2, x // 2), (kind, y, x - 1), (kind, y - 1, x)
            back[0, t, :3] = [(n - at[one]) * dimensions if one in at else 0 for one in near]
            back[0, t, 3:] = [k if d >= k else 0 for k in (1, 2)]
    layers = layers_in(tensors, dimensions + 9, "tokens.")
    bits = sum(depth << 2 * n for n, depth in enumerate(depths))
    head = bits.to_bytes(-(-len(depths) // 4), "little")
    if not order:
        return head
    return head + streams.encode_predicted(layers, side, values.reshape(1, -1), back=back)[0]


def fit_of(tokens: bytes, kind: int = 0x20, rest: bytes = b"") -> bytes:
    return bytes([kind]) + encode_var(len(tokens)) + tokens + rest


def painter_with_tokens(path: Path, dimensions: int = 8, **others: Any) -> Path:
    """The shipped painter with tokens, saved; `others`: tensors instead of these, by names whose
    dots are `__`, None: left out."""
    arrays, metadata = read_arrays(PAINTER.find())
    arrays = dict(arrays) | token_tensors(dimensions, len(arrays["style.weight"]))
    arrays |= {name.replace("__", "."): value for name, value in others.items()}
    kept = {name: value for name, value in arrays.items() if value is not None}
    save_file(kept, path, metadata)
    return path
