"""Vectors of parts: the range coder, predicted integers, the painter's layers in one block."""

from __future__ import annotations

import binascii
from pathlib import Path
from typing import Any

import numpy as np

from conformance.decoder.container import read_stream
from conformance.decoder.decode import Decoder
from conformance.decoder.fit import fitted
from conformance.decoder.painter import Array, Network, Painter
from conformance.decoder.search import search
from gvcodec import _core
from gvcodec.entropy import streams
from gvcodec.entropy.network import Layer

#: Of `painter_layers`: a file that is painted, a frame of its first GOP, a block of 8×8 (row,
#: column) near the edge.
FILE, FRAME, BLOCK = "av1-low-delay", 2, (5, 8)


def rans() -> list[dict[str, Any]]:
    """Values in every fifth table, with escapes, and inflated ones; whole bytes."""
    rng = np.random.default_rng(2)
    cases = []
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
            cases.append(
                {
                    "scale": scale,
                    "mean": mean,
                    "inflation": inflation,
                    "values": values.tolist(),
                    "bytes": binascii.hexlify(data).decode(),
                }
            )
    return cases


def _constant(*outputs: int) -> Layer:
    """A network that always gives these."""
    bias = 2 * np.array(outputs, np.int32)
    return Layer(np.zeros((3, 1), np.int8), bias, np.ones(3, np.int32), 1, -(1 << 15), 1 << 15)


def predicted() -> list[dict[str, Any]]:
    """Packets of predicted integers: layers, activations and entries of each, values, bytes."""
    rng = np.random.default_rng(7)
    cases = []
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
        cases.append(
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
    return cases


class _Watched(Network):
    """Keeps inputs and outputs of the layers of one block."""

    def outputs(self, signals: Array, statistics: Array, frame: int) -> Array:
        r, c = BLOCK
        head = super().outputs(signals, statistics, frame)
        self.values = {
            "condition": [*self.entries, frame],
            "signals": signals[:, 4 * r, 4 * c].tolist(),
            "statistics": statistics[:, r, c].tolist(),
            "stem": (self._activated("stem", signals, stride=2) - 8)[:, 2 * r, 2 * c].tolist(),
            "style": self.style[:, r, c].tolist(),
            "head": head[:, r, c].tolist(),
        }
        return head

    def _activated(self, layer: str, x: Array, stride: int = 1) -> Array:
        activations = super()._activated(layer, x, stride)
        if layer == "style":
            self.style = activations - 8
        return activations


def painter_layers(folder: Path) -> dict[str, Any]:
    """The painter's inner values in block `BLOCK` of frame `FRAME` of `FILE`."""
    decoder = Decoder(read_stream((folder / f"{FILE}.gvc").read_bytes()))
    payloads, fit = decoder.payloads(decoder.stream.gops[0]), decoder.read_fits()[0]
    assert decoder.painter is not None
    tensors = fitted(decoder.painter, fit)
    painter = Painter(tensors, decoder.header)
    painter.network = network = _Watched(tensors, decoder.header)
    frames = decoder.base_frames(payloads)[: FRAME + 1]
    for frame, payload in zip(frames, payloads, strict=False):
        y, u, _ = painter.paint(frame, len(payload))
    state, (r, c) = painter.before, BLOCK
    luma, *chroma = state["details"]
    rows, columns = slice(8 * r, 8 * r + 2), slice(8 * c, 8 * c + 8)
    half = 4 * r, slice(4 * c, 4 * c + 4)
    return {
        "file": FILE,
        "frame": FRAME,
        "block": list(BLOCK),
        "condition": network.values["condition"],
        "vector": search(frames[-1][0], frames[-2][0])[r // 2, c // 2].tolist(),
        **network.values,
        "noise": state["noise"][rows, columns].tolist(),
        "detail": luma[rows, columns].tolist(),
        "tint": [plane[half].tolist() for plane in chroma],
        "painted": y[rows, columns].tolist(),
        "painted u": u[half].tolist(),
    }
