"""Integer networks and weights of the painter that several tests share."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from conformance.decoder.networks import IntegerNetwork
from conformance.deltas import Delta, in_groups, pack
from gvcodec import _core
from gvcodec.entropy.network import Layer
from gvcodec.models import PAINTER
from gvcodec.painter.model import NEUTRAL, Model, Strength


def of_second_decoder(layers: list[Layer]) -> IntegerNetwork:
    """The layers as the second decoder has them; a third output of zero where there are two."""
    if len(layers[-1].bias) == 2:
        last = layers[-1]
        weight, bias, multiplier = (np.append(p, p[:1] * 0, 0) for p in last[:3])
        layers = [*layers[:-1], last._replace(weight=weight, bias=bias, multiplier=multiplier)]
    parts = [([p.astype(np.int64) for p in layer[:3]], list(layer[3:])) for layer in layers]
    inputs = layers[0].weight.shape[1]
    return IntegerNetwork([(*arrays, bounds) for arrays, bounds in parts], inputs)


def forward(layers: list[Layer], rows: np.ndarray) -> np.ndarray:
    """What the second decoder makes of rows of activations; above 127 they count as 127."""
    network = of_second_decoder(layers)
    found = np.zeros((len(rows), len(network.layers[-1][0])), np.int64)
    for row, x in zip(found, np.minimum(rows, 127).astype(np.int64), strict=True):
        row[:] = network.forward(x)
    return found[:, : len(layers[-1].bias)]


def make_layers(rng: np.random.Generator, sizes: list[int]) -> list[Layer]:
    layers = []
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        weight = rng.integers(-128, 128, (outputs, inputs)).astype(np.int8)
        bias = rng.integers(-(2**14), 2**14, outputs).astype(np.int32)
        multiplier = rng.integers(1, 2**15, outputs).astype(np.int32) * rng.choice([-1, 1])
        bounds = (-(2**15), 2**15 - 1) if i == len(sizes) - 2 else (0, 127)
        layers.append(Layer(weight, bias, multiplier, int(rng.integers(14, 26)), *bounds))
    return layers


def other_biases(seed: int) -> bytes:
    """A fit that moves every bias of the shipped painter."""
    rng, layers = np.random.default_rng(seed), Model.load(PAINTER.find()).layers
    sizes = {f"{name}.bias": layer.bias.size for name, layer in layers.items()}
    return pack([Delta(n, rng.integers(-9, 10, sizes[n]), 8) for n in in_groups(1, sizes)])


def read_deltas(payload: bytes, painter: Path | None = None) -> list[Delta] | None:
    """Weight changes of a payload, for the shipped painter or another; None for the identity."""
    contents = _core.read_fit(payload, (painter or PAINTER.find()).read_bytes(), 64, 64, 40)
    if contents is None:
        return None
    return [Delta(name, np.array(values), exponent) for name, exponent, values in contents[3]]


def add_deltas(
    model: Model, deltas: dict[str, tuple[np.ndarray, int]], strength: Strength = NEUTRAL
) -> Model:
    """A painter changed by `deltas`, "layer.weight" or "layer.bias" to (values, shift): values <<
    shift are added, weights are cut to ±127, biases to ±2^28; then by `strength`."""
    layers = dict(model.layers)
    for name, (values, shift) in deltas.items():
        layer, part = name.rsplit(".", 1)
        before = getattr(layers[layer], part)
        limit = 127 if part == "weight" else 1 << 28
        moved = before.astype(np.int64) + (values << shift).reshape(before.shape)
        after = np.clip(moved, -limit, limit).astype(before.dtype)
        layers[layer] = replace(layers[layer], **{part: after})
    return Model(layers, model.conditions, model.tokens).with_strength(strength)
