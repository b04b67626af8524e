"""Integer networks and weights of the painter that several tests share."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from conformance.decoder.networks import IntegerNetwork
from gvcodec.entropy.network import Layer
from gvcodec.entropy.network_file import tensors_of
from gvcodec.models import PAINTER, read_arrays
from gvcodec.painter.model import Model
from gvcodec.painter.payload import Delta, in_groups, pack


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


def token_tensors(dimensions: int, styles: int, seed: int = 0) -> dict[str, Any]:
    """Random tensors of tokens for a painter whose style has `styles` outputs: strong weights, a
    network whose tables differ from place to place."""
    rng, inputs = np.random.default_rng(seed), dimensions + 9
    first = Layer(
        rng.integers(-60, 61, (8, inputs)).astype(np.int8),
        rng.integers(-4000, 4001, 8).astype(np.int32),
        rng.integers(200, 600, 8).astype(np.int32),
        16,
    )
    last = Layer(
        rng.integers(-40, 41, (3, 8)).astype(np.int8),
        np.array([9000, 0, 2000], np.int32),
        np.array([70, 30, 20], np.int32),
        14,
        -(1 << 15),
        (1 << 15) - 1,
    )
    weight = rng.integers(-127, 128, (styles, dimensions)).astype(np.int8)
    return {"tokens.weight": weight} | tensors_of([first, last], "tokens.")


def painter_with_tokens(path: Path, dimensions: int = 8, **others: Any) -> Path:
    """The shipped painter with tokens, saved; `others`: tensors instead of these, by names whose
    dots are `__`, None: left out."""
    arrays, metadata = read_arrays(PAINTER.find())
    arrays = dict(arrays) | token_tensors(dimensions, len(arrays["style.weight"]))
    arrays |= {name.replace("__", "."): value for name, value in others.items()}
    kept = {name: value for name, value in arrays.items() if value is not None}
    save_file(kept, path, metadata)
    return path
