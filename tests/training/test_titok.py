"""TA-TiTok's weights in our network: what is loaded computes the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gvcodec.errors import UsageError
from gvcodec.gvc1d import ops_torch
from gvcodec.gvc1d.frame_coder import BLACK, RANGE
from gvcodec.gvc1d.model import SAMPLE_SCALE, Codec, Config, initial_weights, parameter_shapes
from training.gvc1d import train
from training.gvc1d.titok import Sizes, convert, read_file, shapes_of

#: Widths, layers, tokens and values of the published form BL32-VAE.
PUBLISHED = Sizes({"encoder": 12, "decoder": 24}, {"encoder": 768, "decoder": 1024}, 32, 16)
SMALL = Sizes({"encoder": 2, "decoder": 3}, {"encoder": 128, "decoder": 128}, 32, 16)
CONFIG = Config(
    window=256, patch=16, tokens=32, channels=16, width=128, heads=2, expansion=4, encoder="LLG",
    decoder="LLG", entropy_layers=1, memory=4, memory_layers=1, grid=2,
)  # fmt: skip


def random_tensors(sizes: Sizes, seed: int = 1) -> dict[str, Tensor]:
    """A file's tensors, those that are not read among them."""
    generator = torch.Generator().manual_seed(seed)
    state = {
        name: 0.1 * torch.randn(shape, generator=generator)
        for name, shape in shapes_of(sizes).items()
    }
    for name in state:
        if ".ln_" in name and name.endswith("weight"):
            state[name] += 1
    for half in ("encoder", "decoder"):
        state[f"{half}.class_embedding"] = torch.zeros(1, sizes.width[half])
    state["decoder.text_guidance_proj.weight"] = torch.zeros(sizes.width["decoder"], 768)
    state["decoder.conv_out.weight"] = torch.zeros(3, 3, 3, 3)
    return state


def converted(state: dict[str, Tensor], sizes: Sizes = SMALL, config: Config = CONFIG):
    return convert(sizes, {name: value.numpy() for name, value in state.items()}, config)


def their_block(state: dict[str, Tensor], name: str, x: Tensor, heads: int) -> Tensor:
    """A block as their repository builds it: pre-norm, nn.MultiheadAttention, exact GELU."""
    width = x.shape[-1]
    norms = [nn.LayerNorm(width) for _ in range(2)]
    attention = nn.MultiheadAttention(width, heads, batch_first=True)
    fc, proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
    parts = {"ln_1": norms[0], "ln_2": norms[1], "attn": attention}
    for part, module in (parts | {"mlp.c_fc": fc, "mlp.c_proj": proj}).items():
        start = f"{name}.{part}."
        own = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
        module.load_state_dict(own)
    y = norms[0](x)
    x = x + attention(y, y, y, need_weights=False)[0]
    return x + proj(nn.functional.gelu(fc(norms[1](x))))


@pytest.mark.parametrize("name", ["encoder.1", "decoder.2"])
def test_blocks_compute_the_same(name: str) -> None:
    state = random_tensors(SMALL)
    weights = {k: torch.from_numpy(v) for k, v in converted(state)[0].items()}
    half, layer = name.split(".")
    x = torch.randn(2, 5, 128, generator=torch.Generator().manual_seed(2))
    ours = Codec(CONFIG, weights, ops_torch)._block(name, x)
    theirs = their_block(state, f"{half}.transformer.{layer}", x, 2)
    # The tanh form of GELU is off by 5e-4 at most.
    assert (ours - theirs).abs().max() < 3e-3
    assert (theirs - x).abs().max() > 0.05


def test_patches_are_embedded_as_their_rgb() -> None:
    state = random_tensors(SMALL)
    found, _ = converted(state)
    rng = np.random.default_rng(4)
    y = rng.random((16, 16)).astype(np.float32)  # luma, 0 to 1
    u, v = (rng.random((2, 8, 8)) - 0.5).astype(np.float32)  # -0.5 to 0.5
    wide = [np.repeat(np.repeat(plane, 2, 0), 2, 1) for plane in (u, v)]
    red = y + 1.5748 * wide[1]
    blue = y + 1.8556 * wide[0]
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    rgb = torch.from_numpy(np.stack([red, green, blue]))[None]
    weight, bias = (state[f"encoder.patch_embed.{part}"] for part in ("weight", "bias"))
    theirs = nn.functional.conv2d(rgb, weight, bias, stride=16)[0, :, 0, 0]
    # Levels of limited range, 10 bits, as samples of the network.
    planes = [BLACK + 876 * y, *(512 + 896 * plane for plane in (u, v))]
    samples = np.concatenate([((plane - BLACK) / RANGE).ravel() for plane in planes])
    read = (samples - 0.5) * SAMPLE_SCALE
    ours = read @ found["patch_in.weight"] + found["patch_in.bias"]
    assert np.abs(ours - theirs.numpy()).max() < 1e-4 * theirs.abs().max()


def test_constants_go_through_their_first_norm() -> None:
    state = random_tensors(SMALL)
    found, notes = converted(state)
    for half, ours, theirs in (
        ("encoder", found["query"], state["latent_tokens"]),
        ("decoder", found["mask"] + found["patch_position"], state["decoder.mask_token"][0]),
    ):
        kind = "latent_token_positional" if half == "encoder" else "positional"
        position = state[f"{half}.{kind}_embedding"]
        norm = nn.LayerNorm(128)
        names = ("weight", "bias")
        norm.load_state_dict({n: state[f"{half}.ln_pre.{n}"] for n in names})
        shown = norm(theirs + position[-len(ours) :]).detach()
        assert np.abs(ours - shown.numpy()).max() < 1e-5
    assert not found["pool"].any() and notes == []
    means = state["encoder.conv_out.weight"][:16, :, 0, 0]
    assert np.array_equal(found["token_out.weight"], means.T)


def test_every_parameter_is_ours_and_new_layers_stay() -> None:
    found, _ = converted(random_tensors(SMALL))
    shapes = parameter_shapes(CONFIG)
    assert all(value.shape == shapes[name][0] for name, value in found.items())
    # Two layers there are the two local ones; three are all.
    assert "encoder.1.up.weight" in found and "encoder.2.up.weight" not in found
    assert "decoder.2.up.weight" in found
    kept = {name.split(".")[0] for name in set(shapes) - set(found)}
    assert {"entropy", "memory", "token_in", "patch_out", "laplace"} <= kept


def test_published_shapes() -> None:
    """BL32-VAE: encoder ViT-B, decoder ViT-L, which a network of ViT-L's width takes."""
    shapes = shapes_of(PUBLISHED)
    assert len(shapes) == 12 * (12 + 24) + 2 * 6 + 6
    assert shapes["encoder.patch_embed.weight"] == (768, 3, 16, 16)
    assert shapes["encoder.conv_out.weight"] == (32, 768, 1, 1)
    assert shapes["decoder.transformer.23.attn.in_proj_weight"] == (3072, 1024)
    assert shapes["decoder.positional_embedding"] == (257, 1024)
    assert shapes["latent_tokens"] == (32, 768)
    sizes = replace(PUBLISHED, layers={"encoder": 1, "decoder": 2})
    config = replace(CONFIG, width=1024, heads=16, decoder="LL")
    found, notes = converted(random_tensors(sizes), sizes, config)
    assert notes == ["encoder: width 768 there, 1024 here"]
    assert found["decoder.1.key_value.weight"].shape == (1024, 2048)


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_a_run_begins_with_a_file(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = random_tensors(SMALL)
    path = tmp_path / f"titok{suffix}"
    if suffix == ".bin":
        torch.save(state, path)
    else:
        save_file(state, path)
    sizes, arrays = read_file(path)
    assert sizes == SMALL and np.array_equal(arrays["latent_tokens"], state["latent_tokens"])
    # Windows and patches of half the size, as the world's frames are small.
    config = replace(CONFIG, window=128, patch=8)
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in vars(config).items())
    stage = "[[stage]]\nsteps = 1\nframes = 1\nclips = 1"
    rest = f'[data]\nkind = "world"\n[train]\nseed = 3\n{stage}\n'
    (tmp_path / "run.toml").write_text(f"[model]\n{table}\n{rest}")
    words = [tmp_path / "run.toml", "--out", tmp_path / "out", "--from-titok", path]
    train.main([*map(str, words), "--steps", "1"])
    found, notes = converted(state, config=config)
    assert notes == ["patch_in: patches of 16² there, 8² here"]
    said = capsys.readouterr().err
    assert f"{path.name}: {len(found)} of {len(parameter_shapes(config))} parameters" in said
    assert f"not {notes[0]}" in said
    saved = load_file(tmp_path / "out" / "weights.safetensors")
    begun = initial_weights(config, 3)
    for name in ("encoder.0.up.weight", "mask", "decoder.norm.gain"):
        # fp16, after one step that moves each weight by a little.
        assert np.abs(saved[name].numpy() - found[name]).max() < 0.02
        assert np.abs(saved[name].numpy() - begun[name]).max() > 0.05


@pytest.mark.parametrize("fault", ["shape", "missing", "other", "damaged", "nan", "misfit"])
def test_one_clear_error(fault: str, tmp_path: Path) -> None:
    state, path = random_tensors(SMALL), tmp_path / "titok.safetensors"
    words = {
        "shape": "encoder.transformer.1.attn.in_proj_weight is [384, 127]",
        "missing": "decoder.mask_token is missing",
        "other": "not weights of TA-TiTok",
        "damaged": "cannot be read as weights",
        "nan": "latent_tokens is not finite",
        "misfit": "width 128 there, 64 here",
    }[fault]
    if fault == "shape":
        name = "encoder.transformer.1.attn.in_proj_weight"
        state[name] = state[name][:, :127].clone()
    elif fault == "missing":
        del state["decoder.mask_token"]
    elif fault == "other":
        state = {"weight": torch.zeros(3)}
    elif fault == "nan":
        state["latent_tokens"][0, 0] = float("nan")
    save_file(state, path)
    if fault == "damaged":
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UsageError) as error:
        convert(*read_file(path), replace(CONFIG, width=64, heads=1))
    assert words in str(error.value) and "\n" not in str(error.value)
