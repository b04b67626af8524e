"""A trained network of base gvc1d as its weight file (`gvcodec.gvc1d.model_file`): integers of the
transform and of the entropy network's twin, floats of its encoder.

    python -m training gvc1d.export OUT/state.pt gvc1d.safetensors
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from gvcodec.entropy.network import MAX_ACTIVATION, Layer
from gvcodec.entropy.network_file import tensors_of
from gvcodec.gvc1d.codec_network import CodecNetwork
from gvcodec.gvc1d.context_model import INFLATION_RANGE, MEAN_RANGE, SCALE_RANGE, USUAL, Twin
from gvcodec.gvc1d.exact import FACTOR_BITS, WEIGHT_BITS, Weights
from gvcodec.gvc1d.filter_network import MIDDLE, REACH, Convolution, LoopFilter
from gvcodec.gvc1d.loop_filter import FRACTION
from gvcodec.models import GVC1D
from training.gvc1d.codec import load

#: Bits of the requantisation's multipliers, at most.
_SHIFT = 24


def layers_of(twin: Twin) -> list[Layer]:
    """Three layers; outputs are scale index, mean in eighths, zero inflation."""
    gain = np.array([SCALE_RANGE, 8 * MEAN_RANGE, INFLATION_RANGE]) / MAX_ACTIVATION
    last = _quantise(twin.last, gain, np.array([USUAL, 0.0, 0.0]) / MAX_ACTIVATION)
    first, second = _quantise(twin.first), _quantise(twin.second)
    return [first, second, last._replace(low=-(1 << 14), high=1 << 14)]


def filter_layers_of(twin: LoopFilter) -> list[Layer]:
    """The convolutions; outputs are in 2^-FRACTION steps."""
    *hidden, last = (layer for layer in twin.layers if isinstance(layer, Convolution))
    found = [_quantise(_dense(layer, MIDDLE)) for layer in hidden]
    made = _quantise(_dense(last, 0.0), REACH * (1 << FRACTION) / MAX_ACTIVATION)
    return [*found, made._replace(low=-(1 << 14), high=1 << 14)]


def _dense(layer: Convolution, middle: float) -> nn.Linear:
    """A convolution's weights as a matrix, its outputs around `middle`."""
    outputs, inputs = layer.weight.shape[:2]
    found = nn.Linear(9 * inputs, outputs)
    found.weight.data = layer.weight.detach().reshape(outputs, -1)
    found.bias.data = layer.bias(middle).detach()
    return found


def _quantise(
    layer: nn.Linear,
    gain: NDArray[np.float64] | float = 1.0,
    offset: NDArray[np.float64] | float = 0.0,
) -> Layer:
    """`gain` · (weights · x + bias) + `offset` in steps of 1 / 127, by integers; activations below
    0 and above 127 are cut."""
    weight, bias = (t.detach().cpu().double().numpy() for t in (layer.weight, layer.bias))
    gain = np.broadcast_to(np.asarray(gain, float), bias.shape)
    weight, bias = weight * gain[:, None], (bias * gain + offset) * MAX_ACTIVATION
    step = np.maximum(np.abs(weight).max(1), 1e-6) / MAX_ACTIVATION
    limit = (1 << 30) - 1
    return Layer(
        np.round(weight / step[:, None]).astype(np.int8),
        np.clip(np.round(bias / step), -limit, limit).astype(np.int32),
        np.round(step * (1 << _SHIFT)).astype(np.int32),
        _SHIFT,
    )


def weights_of(state: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """A trained transform's tensors (`gvcodec.gvc1d.transform`) as a file's integers."""
    found: dict[str, NDArray[Any]] = {}
    for name in Weights._fields[:4]:
        weight = np.asarray(state[name], float).reshape(len(state[name]), -1)
        found[name] = np.round(weight * (1 << WEIGHT_BITS)).clip(-32768, 32767).astype(np.int16)
    factors = np.exp(np.clip(np.asarray(state["log_step"], float), -1, 1)) * (1 << FACTOR_BITS)
    found["factors"] = np.round(factors).astype(np.int32)
    return {f"transform.{name}": array for name, array in found.items()}


def integers_of(network: CodecNetwork) -> dict[str, Any]:
    """The integer tensors of a trained network."""
    state = {k: v.detach().cpu().numpy() for k, v in network.transform.state_dict().items()}
    entropy = tensors_of(layers_of(network.twin), "entropy.")
    filters = tensors_of(filter_layers_of(network.loop_filter), "filter.")
    return weights_of(state) | entropy | filters


def save_network(network: CodecNetwork, path: Path) -> None:
    """Write the file, atomically. Entropy model and loop filter stay fp32, the transform is
    halves."""
    tensors = {k: torch.from_numpy(v) for k, v in integers_of(network).items()}
    for name, tensor in network.state_dict().items():
        whole = name.startswith(("twin.", "loop_filter."))
        kind = torch.float32 if whole else torch.float16
        tensors[f"float.{name}"] = tensor.detach().cpu().to(kind).contiguous()
    partial = path.with_suffix(".part")
    partial.write_bytes(save(tensors, {"form": GVC1D.form}))
    os.replace(partial, path)


def main(words: Sequence[str] | None = None) -> None:
    """Write what `training gvc1d.codec` saved."""
    parser = argparse.ArgumentParser(prog="gvc1d.export", description=__doc__.splitlines()[0])
    parser.add_argument("state", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args(words)
    network = CodecNetwork()
    load(network, asked.state, torch.device("cpu"))
    save_network(network, asked.out)
