"""Vectors of parts: the range coder, predicted integers, the painter's layers in one block."""

from __future__ import annotations

import binascii
import io
from pathlib import Path
from typing import Any

import numpy as np

from conformance.reference import MODELS
from gvcodec import _core
from gvcodec.bitstream import Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.entropy import streams
from gvcodec.entropy.network import Layer
from gvcodec.models import find_model
from gvcodec.painter.model import Ints, Model, condition, rate
from gvcodec.painter.motion import block_vectors
from tests.oracle import painter as oracle

#: Of `painter_layers`: a file that is painted, a frame of its first GOP, a block of 8×8 (row,
#: column) near the edge.
FILE, FRAME, BLOCK = "av1-low-delay", 2, (5, 8)


def rans() -> list[dict[str, Any]]:
    """Values in every fifth table, with escapes, and inflated ones; whole bytes."""
    rng = np.random.default_rng(2)
    found = []
    for scale in range(0, 64, 5):
        for mean, inflation in ((0, 0), (-11, 0), (300, 0), (5, 9), (-40, 127)):
            values = np.concatenate([rng.integers(-4, 5, 20), [200, -3000, 1 << 20]])
            values = values.astype(np.int32)
            if inflation:
                data = streams.encode_predicted(
                    [_constant(scale, mean, inflation)],
                    np.zeros((1, len(values), 1)).astype(np.uint8),
                    values[None],
                )[0]
            else:
                tables = np.full(len(values), scale, np.uint8), np.full(len(values), mean, np.int16)
                data = _core.cdf_encode(values, *tables)
            found.append(
                {
                    "scale": scale,
                    "mean": mean,
                    "inflation": inflation,
                    "values": values.tolist(),
                    "bytes": binascii.hexlify(data).decode(),
                }
            )
    return found


def _constant(*outputs: int) -> Layer:
    """A network that always gives these."""
    bias = 2 * np.array(outputs, np.int32)
    return Layer(np.zeros((3, 1), np.int8), bias, np.ones(3, np.int32), 1, -(1 << 15), 1 << 15)


def predicted() -> list[dict[str, Any]]:
    """Packets of predicted integers: layers, activations and entries of each, values, bytes."""
    rng = np.random.default_rng(7)
    found = []
    for count in (1, 40):
        layers = [
            Layer(
                rng.integers(-99, 100, (6, 5)).astype(np.int8),
                rng.integers(-999, 1000, 6).astype(np.int32),
                rng.integers(1, 999, 6).astype(np.int32),
                14,
            ),
            Layer(
                rng.integers(-30, 31, (3, 6)).astype(np.int8),
                np.array([4000, 0, 900], np.int32),
                np.array([9, 3, 5], np.int32),
                10,
                -(1 << 14),
                1 << 14,
            ),
        ]
        side = rng.integers(0, 128, (1, count, 2)).astype(np.uint8)
        at = np.arange(count)
        back = np.stack([at.clip(0, 2), -(at.clip(0, 9) << 14 | 4), np.full(count, -1)], 1)
        values = rng.integers(-20, 21, (1, count)).astype(np.int32)
        data = streams.encode_predicted(layers, side, values, back=back[None].astype(np.int32))[0]
        found.append(
            {
                "layers": [
                    {
                        "weight": layer.weight.tolist(),
                        "bias": layer.bias.tolist(),
                        "multiplier": layer.multiplier.tolist(),
                        "bounds": [layer.shift, layer.low, layer.high],
                    }
                    for layer in layers
                ],
                "activations": side[0].tolist(),
                "entries": back.tolist(),
                "values": values[0].tolist(),
                "bytes": binascii.hexlify(data).decode(),
            }
        )
    return found


class _Watched(oracle.OraclePainter):
    """Keeps what the layers of one block see and give."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen: dict[str, Any] = {}

    def _trunk(self, signal: Ints, statistics: Ints) -> Ints:
        r, c = BLOCK
        style = super()._trunk(signal, statistics)
        stem = self.model.layers["stem"]
        near = oracle.levels(stem, oracle.silu(stem, oracle.sums(stem, signal, 2)))
        head = self.model.layers["head"]
        self.seen |= {
            "signals": signal[:, 4 * r, 4 * c].tolist(),
            "statistics": statistics[:, r, c].tolist(),
            "stem": near[:, 2 * r, 2 * c].tolist(),
            "style": style[:, r, c].tolist(),
            "head": oracle.scaled(head, oracle.sums(head, style))[:, r, c].tolist(),
        }
        return style


def painter_layers(folder: Path) -> dict[str, Any]:
    """The painter's inner values in block `BLOCK` of frame `FRAME` of `FILE`."""
    reader = Reader(io.BytesIO((folder / f"{FILE}.gvc").read_bytes()))
    header = reader.header
    assert header.painter_id is not None
    model = Model.load(find_model(header.painter_id, "painter", [MODELS]))
    packets = list(reader.packets())
    sizes = [len(packet.payload) for packet in packets if packet.is_frame]
    frames = [f.base_frame for f in Decoder(header, True, 1).frames_of(packets)]
    fmt, before = header.format, None
    painter = _Watched(model, fmt.height, fmt.width)
    painter.start(condition(header.base, header.scale, header.q), model)
    r, c = BLOCK
    for frame, size in zip(frames[: FRAME + 1], sizes, strict=False):
        vectors = None if before is None else block_vectors(frame[0], before[0])
        own = rate(size, fmt.width, fmt.height)
        y, u, _ = painter.paint(frame, vectors, own)
        before = frame
    state = painter.state
    assert vectors is not None and state is not None
    rows, columns = slice(8 * r, 8 * r + 2), slice(8 * c, 8 * c + 8)
    return {
        "file": FILE,
        "frame": FRAME,
        "block": list(BLOCK),
        "condition": painter.condition.tolist(),
        "vector": vectors[:, r // 2, c // 2].tolist(),
        **painter.seen,
        "noise": state.noise[rows, columns].tolist(),
        "detail": state.detail[rows, columns].tolist(),
        "tint": state.tint[:, 4 * r, 4 * c : 4 * c + 4].tolist(),
        "painted": y[rows, columns].tolist(),
        "painted u": u[4 * r, 4 * c : 4 * c + 4].tolist(),
    }
