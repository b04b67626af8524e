"""Begins a network with TA-TiTok's published weights: `python -m training gvc1d CONFIG --from-titok
FILE` (.safetensors, or the published .bin, read without running code).

TA-TiTok (Kim et al. 2025; repository bytedance/1d-tokenizer, Apache-2.0) codes pictures of 256×256
as 32 tokens of 16 values. GVC1D starts from its form BL32-VAE: encoder ViT-B, decoder ViT-L. What
corresponds is loaded, everything else stays as training begins:

    theirs (encoder or decoder)            ours
    transformer.N.ln_1, ln_2               attention_norm, mlp_norm
    transformer.N.attn.in_proj             query, key_value
    transformer.N.attn.out_proj            attention_out
    transformer.N.mlp.c_fc, c_proj         up, down
    ln_post                                norm
    latent_tokens + their positions        query: constants, so through ln_pre exactly
    mask_token + positions (decoder)       mask + patch_position: constants too
    patch_embed, of RGB                    patch_in, of 4:2:0: exact for the picture whose chroma is
                                           repeated (BT.709)
    conv_out, means only (encoder)         token_out

No counterpart: class_embedding, ln_pre and positions of patches, decoder_embed (our decoder reads
rounded integers through softsigns), text guidance, the log variances, and ffn with conv_out of the
decoder (a 3×3 convolution across patches). GELU is their exact one, our tanh form.

Linear weights are [outputs, inputs] there and [inputs, outputs] here. `pool` becomes zero: their
queries begin without patches. Encoder and decoder are loaded where their width is that of the
network. Layer N is ours of that number if there are as many layers, else the N-th local one.
Raises `UsageError` for a file that is something else, or where neither half fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gvcodec.errors import UsageError
from gvcodec.gvc1d.frame_coder import BLACK, RANGE
from gvcodec.gvc1d.model import SAMPLE_SCALE, Config, parameter_shapes

Array = NDArray[np.float32]

#: Channels of a head in all of TiTok's sizes.
HEAD = 64
#: Samples of a patch's side, and patches of a picture's side.
PATCH, GRID = 16, 16
#: Their names in a block → ours; matrices are transposed.
_BLOCK = {
    "ln_1.weight": "attention_norm.gain",
    "ln_1.bias": "attention_norm.bias",
    "attn.out_proj.weight": "attention_out.weight",
    "attn.out_proj.bias": "attention_out.bias",
    "ln_2.weight": "mlp_norm.gain",
    "ln_2.bias": "mlp_norm.bias",
    "mlp.c_fc.weight": "up.weight",
    "mlp.c_fc.bias": "up.bias",
    "mlp.c_proj.weight": "down.weight",
    "mlp.c_proj.bias": "down.bias",
}


@dataclass(frozen=True)
class Sizes:
    """Sizes of their network: layers and widths of encoder and decoder, tokens, values of a
    token."""

    layers: dict[str, int]
    width: dict[str, int]
    tokens: int
    channels: int


def shapes_of(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Their tensors that are read, by name."""
    shapes: dict[str, tuple[int, ...]] = {}
    for half, layers in sizes.layers.items():
        d = sizes.width[half]
        for layer in range(layers):
            name = f"{half}.transformer.{layer}"
            shapes[f"{name}.attn.in_proj_weight"] = 3 * d, d
            shapes[f"{name}.attn.in_proj_bias"] = (3 * d,)
            shapes[f"{name}.attn.out_proj.weight"] = d, d
            shapes[f"{name}.mlp.c_fc.weight"] = 4 * d, d
            shapes[f"{name}.mlp.c_fc.bias"] = (4 * d,)
            shapes[f"{name}.mlp.c_proj.weight"] = d, 4 * d
            vectors = ("ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias")
            for vector in (*vectors, "attn.out_proj.bias", "mlp.c_proj.bias"):
                shapes[f"{name}.{vector}"] = (d,)
        for vector in ("ln_pre.weight", "ln_pre.bias", "ln_post.weight", "ln_post.bias"):
            shapes[f"{half}.{vector}"] = (d,)
        shapes[f"{half}.positional_embedding"] = GRID**2 + 1, d
        shapes[f"{half}.latent_token_positional_embedding"] = sizes.tokens, d
    d = sizes.width["encoder"]
    shapes["latent_tokens"] = sizes.tokens, d
    shapes["encoder.patch_embed.weight"] = d, 3, PATCH, PATCH
    shapes["encoder.patch_embed.bias"] = (d,)
    shapes["encoder.conv_out.weight"] = 2 * sizes.channels, d, 1, 1
    shapes["encoder.conv_out.bias"] = (2 * sizes.channels,)
    shapes["decoder.mask_token"] = 1, 1, sizes.width["decoder"]
    return shapes


def read_file(path: Path) -> tuple[Sizes, dict[str, Array]]:
    """Sizes and tensors of a weight file. Raises `UsageError`."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 (errors of damaged files are not documented)
        line = str(error).strip().partition("\n")[0]
        raise UsageError(f"{path}: cannot be read as weights ({line})") from None
    if not isinstance(state, Mapping) or not all(torch.is_tensor(v) for v in state.values()):
        raise UsageError(f"{path}: not a table of tensors")
    return _check(path, state)


def _check(path: Path, state: Mapping[str, torch.Tensor]) -> tuple[Sizes, dict[str, Array]]:
    try:
        halves = ("encoder", "decoder")
        layers = {half: _count_layers(state, half) for half in halves}
        width = {half: state[f"{half}.ln_post.weight"].shape[0] for half in halves}
        tokens = state["latent_tokens"].shape[0]
        channels = state["encoder.conv_out.weight"].shape[0] // 2
    except (KeyError, IndexError, ValueError):
        raise UsageError(f"{path}: not weights of TA-TiTok") from None
    sizes = Sizes(layers, width, tokens, channels)
    arrays = {}
    for name, shape in shapes_of(sizes).items():
        tensor = state.get(name)
        if tensor is None or tuple(tensor.shape) != shape:
            got = "missing" if tensor is None else f"{list(tensor.shape)}"
            raise UsageError(f"{path}: {name} is {got}, TA-TiTok (VAE) has {list(shape)}")
        arrays[name] = tensor.float().numpy()
        if not np.isfinite(arrays[name]).all():
            raise UsageError(f"{path}: {name} is not finite")
    return sizes, arrays


def _count_layers(state: Mapping[str, Any], half: str) -> int:
    names = (name.split(".") for name in state if name.startswith(f"{half}.transformer."))
    return 1 + max(int(parts[2]) for parts in names)


def convert(
    sizes: Sizes, theirs: Mapping[str, Array], config: Config
) -> tuple[dict[str, Array], list[str]]:
    """Our parameters that they give, and a line for each part that they do not. Raises
    `UsageError` where neither encoder nor decoder fits."""
    ours: dict[str, Array] = {}
    notes = []
    for half, kinds in (("encoder", config.encoder), ("decoder", config.decoder)):
        reason = _find_misfit(sizes, half, kinds, config)
        if reason:
            notes.append(f"{half}: {reason}")
            continue
        _convert_blocks(theirs, half, kinds, sizes.layers[half], ours)
        notes += (_convert_encoder if half == "encoder" else _convert_decoder)(
            sizes, theirs, config, ours
        )
    if not ours:
        raise UsageError(f"TA-TiTok does not fit this network: {'; '.join(notes)}")
    shapes = parameter_shapes(config)
    wrong = [name for name, value in ours.items() if value.shape != shapes[name][0]]
    assert not wrong, wrong
    return ours, notes


def _find_misfit(sizes: Sizes, half: str, kinds: str, config: Config) -> str:
    """Why a half cannot be loaded, "" if it can."""
    width, layers = sizes.width[half], sizes.layers[half]
    if width != config.width:
        return f"width {width} there, {config.width} here"
    if config.width != HEAD * config.heads:
        return f"{width // HEAD} heads there, {config.heads} here"
    if config.expansion != 4:
        return f"an expansion of 4 there, {config.expansion} here"
    if layers not in (len(kinds), kinds.count("L")):
        return f"{layers} layers there, {len(kinds)} here ({kinds.count('L')} local)"
    return ""


def _convert_blocks(
    theirs: Mapping[str, Array], half: str, kinds: str, layers: int, ours: dict[str, Array]
) -> None:
    local = [number for number, kind in enumerate(kinds) if kind == "L"]
    places = range(layers) if layers == len(kinds) else local
    for layer, place in enumerate(places):
        source, name = f"{half}.transformer.{layer}", f"{half}.{place}"
        for their_name, our_name in _BLOCK.items():
            ours[f"{name}.{our_name}"] = theirs[f"{source}.{their_name}"].T.copy()
        weight, bias = (theirs[f"{source}.attn.in_proj_{part}"] for part in ("weight", "bias"))
        width = len(bias) // 3
        ours[f"{name}.query.weight"] = weight[:width].T.copy()
        ours[f"{name}.query.bias"] = bias[:width].copy()
        ours[f"{name}.key_value.weight"] = weight[width:].T.copy()
        ours[f"{name}.key_value.bias"] = bias[width:].copy()
    ours[f"{half}.norm.gain"] = theirs[f"{half}.ln_post.weight"]
    ours[f"{half}.norm.bias"] = theirs[f"{half}.ln_post.bias"]


def _normalize(theirs: Mapping[str, Array], half: str, x: Array) -> Array:
    """Their ln_pre of vectors [N, D]."""
    weight, bias = theirs[f"{half}.ln_pre.weight"], theirs[f"{half}.ln_pre.bias"]
    centred = x - x.mean(1, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(1, keepdims=True) + 1e-5)
    return (centred / deviation * weight + bias).astype(np.float32)


def _convert_encoder(
    sizes: Sizes, theirs: Mapping[str, Array], config: Config, ours: dict[str, Array]
) -> list[str]:
    notes = []
    if sizes.tokens == config.tokens:
        vectors = theirs["latent_tokens"] + theirs["encoder.latent_token_positional_embedding"]
        ours["query"] = _normalize(theirs, "encoder", vectors)
        ours["pool"] = np.zeros((config.patches, config.tokens), np.float32)
    else:
        notes.append(f"query: {sizes.tokens} tokens there, {config.tokens} here")
    if sizes.channels == config.channels:
        means = theirs["encoder.conv_out.weight"][: sizes.channels, :, 0, 0]
        ours["token_out.weight"] = means.T.copy()
        ours["token_out.bias"] = theirs["encoder.conv_out.bias"][: sizes.channels].copy()
    else:
        notes.append(f"token_out: {sizes.channels} values there, {config.channels} here")
    if config.patch == PATCH:
        weight, bias = theirs["encoder.patch_embed.weight"], theirs["encoder.patch_embed.bias"]
        ours["patch_in.weight"], ours["patch_in.bias"] = embed_planes(weight, bias)
    else:
        notes.append(f"patch_in: patches of {PATCH}² there, {config.patch}² here")
    return notes


def _convert_decoder(
    sizes: Sizes, theirs: Mapping[str, Array], config: Config, ours: dict[str, Array]
) -> list[str]:
    if config.patches != GRID**2:
        return [f"mask: {GRID**2} patches there, {config.patches} here"]
    # The first position is that of the class token.
    vectors = theirs["decoder.mask_token"][0] + theirs["decoder.positional_embedding"][1:]
    slots = _normalize(theirs, "decoder", vectors)  # [P, D]
    ours["mask"] = slots.mean(0)
    ours["patch_position"] = slots - ours["mask"]
    return []


def embed_planes(weight: Array, bias: Array) -> tuple[Array, Array]:
    """Their patch embedding [D, 3, 16, 16] of RGB in 0..1 as ours [S, D] of the samples of a patch:
    equal for the RGB picture that BT.709 makes of the planes, each chroma sample repeated for its
    four luma samples."""
    kr, kb = 0.2126, 0.0722
    red, blue = 2 * (1 - kr), 2 * (1 - kb)  # R = Y + red · V, B = Y + blue · U
    kg = 1 - kr - kb
    of_u = np.array([0, -kb * blue / kg, blue])
    of_v = np.array([red, -kr * red / kg, 0])
    w = weight.astype(np.float64)
    luma = w.sum(1).reshape(len(w), -1)  # [D, 256]
    # Sums over the four samples that share a chroma sample: [D, 3, 8, 8].
    shared = w.reshape(len(w), 3, PATCH // 2, 2, PATCH // 2, 2).sum((3, 5))
    chroma = [
        np.einsum("dcij,c->dij", shared, factors).reshape(len(w), -1) for factors in (of_u, of_v)
    ]
    # Samples are (level - BLACK) / RANGE for all planes; chroma is (level - 512) / 896.
    scale, offset = RANGE / 896, (BLACK - 512) / 896
    matrix = np.concatenate([luma, *(part * scale for part in chroma)], 1)  # [D, S]
    constant = bias + offset * (chroma[0] + chroma[1]).sum(1)
    # The network reads (sample - 1/2) · SAMPLE_SCALE.
    constant = constant + 0.5 * matrix.sum(1)
    return (matrix.T / SAMPLE_SCALE).astype(np.float32), constant.astype(np.float32)


def begin_with(path: Path, config: Config, networks: Iterable[Any]) -> list[str]:
    """Loads a file into networks of `training.gvc1d.train`; lines on loaded and missing
    tensors. Raises `UsageError`."""
    ours, notes = convert(*read_file(path), config)
    for network in networks:
        weights = network.weights()
        with torch.no_grad():
            for name, value in ours.items():
                weights[name].copy_(torch.from_numpy(value))
    count, total = len(ours), len(parameter_shapes(config))
    return [f"{path.name}: {count} of {total} parameters", *(f"not {note}" for note in notes)]
