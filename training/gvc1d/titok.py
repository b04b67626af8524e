"""Published TA-TiTok weights (BL32-VAE: ViT-B encoder, ViT-L decoder, 32 latents of 16 channels) in
a `LARGE` network, from which the paper's training begins.

The file is the safetensors of the tokenizer that its authors publish; `python -m training` and
`--model` take it after `load_titok` (`save_model` writes a file of this project). Their decoder
also attends to text, which a video codec does not have: those weights are left out. Of the VAE's
mean and variance the mean is kept; it is rounded on a grid of the rate.

Architecture and names: TA-TiTok, "Democratizing text-to-image masked generative models with compact
text-aware one-dimensional tokens", arXiv 2501.07730.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from gvcodec.errors import MediaError
from gvcodec.gvc1d.config import LARGE
from gvcodec.gvc1d.token_network import TokenNetwork
from gvcodec.gvc1d.tokenizer import save_model
from gvcodec.models import read_weights

#: Their names, without number of layer, by ours.
NAMES = {
    "encoder.patch_embed.weight": "encoder.patch_embed.weight",
    "encoder.patch_embed.bias": "encoder.patch_embed.bias",
    "encoder.slots": "latent_tokens",
    "encoder.stack.ln_pre.weight": "encoder.ln_pre.weight",
    "encoder.stack.ln_pre.bias": "encoder.ln_pre.bias",
    "encoder.stack.ln_post.weight": "encoder.ln_post.weight",
    "encoder.stack.ln_post.bias": "encoder.ln_post.bias",
    "encoder.out.weight": "encoder.conv_out.weight",
    "encoder.out.bias": "encoder.conv_out.bias",
    "decoder.decoder_embed.weight": "decoder.decoder_embed.weight",
    "decoder.decoder_embed.bias": "decoder.decoder_embed.bias",
    "decoder.mask_token": "decoder.mask_token",
    "decoder.slots": "decoder.latent_token_positional_embedding",
    "decoder.stack.ln_pre.weight": "decoder.ln_pre.weight",
    "decoder.stack.ln_pre.bias": "decoder.ln_pre.bias",
    "decoder.stack.ln_post.weight": "decoder.ln_post.weight",
    "decoder.stack.ln_post.bias": "decoder.ln_post.bias",
    "decoder.head.ffn.weight": "decoder.ffn.0.weight",
    "decoder.head.ffn.bias": "decoder.ffn.0.bias",
    "decoder.head.conv_out.weight": "decoder.conv_out.weight",
    "decoder.head.conv_out.bias": "decoder.conv_out.bias",
}
#: The same of each layer.
LAYER_NAMES = {
    "ln_1.weight": "ln_1.weight",
    "ln_1.bias": "ln_1.bias",
    "ln_2.weight": "ln_2.weight",
    "ln_2.bias": "ln_2.bias",
    "attn.in_proj.weight": "attn.in_proj_weight",
    "attn.in_proj.bias": "attn.in_proj_bias",
    "attn.out_proj.weight": "attn.out_proj.weight",
    "attn.out_proj.bias": "attn.out_proj.bias",
    "c_fc.weight": "mlp.c_fc.weight",
    "c_fc.bias": "mlp.c_fc.bias",
    "c_proj.weight": "mlp.c_proj.weight",
    "c_proj.bias": "mlp.c_proj.bias",
}


def load_titok(model: TokenNetwork, path: Path) -> None:
    """Put the published weights of `path` into a network of configuration `LARGE`'s form. Raises
    `MediaError` when the file is none, or of other sizes."""
    if not model.config.titok:
        raise MediaError(f"{path}: TA-TiTok's weights fit configurations with titok = true alone")
    try:
        theirs = read_weights(path)
        ours = dict(model.state_dict())
        for name, value in _translated(model, theirs).items():
            if ours[name].shape != value.shape:
                raise ValueError(f"{name} has shape {tuple(value.shape)}")
            ours[name] = value.float()
    except (OSError, KeyError, ValueError) as error:
        raise MediaError(f"{path}: not TA-TiTok's weights ({error})") from None
    model.load_state_dict(ours)


def _translated(model: TokenNetwork, theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors by our names. Raises `KeyError`, `ValueError`."""
    found = {mine: theirs[name] for mine, name in NAMES.items()}
    for side, sizes in (("encoder", model.config.encoder), ("decoder", model.config.decoder)):
        for i in range(sizes.stages * sizes.local):
            for mine, name in LAYER_NAMES.items():
                value = theirs[f"{side}.transformer.{i}.{name}"]
                found[f"{side}.stack.local.{i}.{mine}"] = value
        # Their class token has the first position.
        places = theirs[f"{side}.positional_embedding"]
        found[f"{side}.first"] = (theirs[f"{side}.class_embedding"] + places[:1])[0]
        found[f"{side}.places"] = places[1:]
    # Latent slots are a parameter and its position; the VAE's output is (mean, log variance).
    slots = theirs["encoder.latent_token_positional_embedding"]
    found["encoder.slots"] = found["encoder.slots"] + slots
    channels = model.config.channels
    found["encoder.out.weight"] = found["encoder.out.weight"].flatten(1)[:channels]
    found["encoder.out.bias"] = found["encoder.out.bias"][:channels]
    found["decoder.mask_token"] = found["decoder.mask_token"].flatten()
    return found


def random_titok(model: TokenNetwork, seed: int = 0) -> dict[str, Tensor]:
    """A file's tensors with the published names and shapes of a network's size and random values,
    for tests: the real one cannot be shipped."""
    generator = torch.Generator().manual_seed(seed)
    config, made = model.config, {}
    mine = model.state_dict()
    for name, their in NAMES.items():
        made[their] = torch.empty_like(mine[name])
    for side, sizes in (("encoder", config.encoder), ("decoder", config.decoder)):
        for i in range(sizes.stages * sizes.local):
            for name, their in LAYER_NAMES.items():
                like = mine[f"{side}.stack.local.{i}.{name}"]
                made[f"{side}.transformer.{i}.{their}"] = torch.empty_like(like)
        made[f"{side}.class_embedding"] = torch.empty(1, sizes.width)
        made[f"{side}.positional_embedding"] = torch.empty(config.side**2 + 1, sizes.width)
    width = config.encoder.width
    made["encoder.latent_token_positional_embedding"] = torch.empty(config.tokens, width)
    made["encoder.conv_out.weight"] = torch.empty(2 * config.channels, width, 1, 1)
    made["encoder.conv_out.bias"] = torch.empty(2 * config.channels)
    made["decoder.mask_token"] = torch.empty(1, 1, config.decoder.width)
    made["decoder.text_guidance_proj.weight"] = torch.empty(config.decoder.width, 768)
    for value in made.values():
        value.normal_(std=0.02, generator=generator)
    return made


def main(words: Sequence[str] | None = None) -> None:
    """Write a `LARGE` network with published weights. Raises `MediaError`."""
    parser = argparse.ArgumentParser(prog="training gvc1d.titok", description=__doc__)
    parser.add_argument("published", type=Path)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args(words)
    model = TokenNetwork(LARGE)
    load_titok(model, asked.published)
    save_model(model, asked.out)
