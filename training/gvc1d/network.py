"""The network that a stage begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from gvcodec.gvc1d.config import LARGE, SMALL, GVC1DConfig
from training.gvc1d.run import RunNetwork
from training.gvc1d.settings import TrainConfig


def make_model(config: TrainConfig) -> RunNetwork:
    """The network to train: of `initial`, of TA-TiTok's weights, or new."""
    named = {"small": SMALL, "large": LARGE}.get(config.network)
    if named is None:
        named = GVC1DConfig.from_json(Path(config.network).read_text())
    if config.tokens:
        named = replace(named, tokens=config.tokens)
    if "memory" in config.without:
        named = replace(named, memory=0)
    if "buffer" in config.without:
        named = replace(named, buffer=False)
    if "direct" in config.without:
        named = replace(named, direct=False)
    model = RunNetwork(named)
    if config.initial:
        # An ablation, or a network that has got a part since: what fits.
        mine, saved = model.state_dict(), load_file(config.initial)
        fits = {k: v for k, v in saved.items() if k in mine and mine[k].shape == v.shape}
        model.load_state_dict(fits, strict=False)
    if config.titok:
        from training.gvc1d.titok import load_titok

        load_titok(model, Path(config.titok))
    for stack in (model.encoder.stack, model.decoder.stack):
        stack.uses_local = "local" not in config.without
        stack.uses_global = "global" not in config.without
        stack.recomputes = config.recompute
    return model.train().requires_grad_(True)
