"""The network: shapes, contexts, what it knows and what it must not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gvcodec.errors import MediaError, WrongModelError
from gvcodec.gvc1d.config import LARGE, SMALL, GVC1DConfig, Transformer
from gvcodec.gvc1d.picture import (
    Picture,
    crop,
    from_planes,
    join,
    pack,
    pad,
    split,
    to_planes,
    unpack,
)
from gvcodec.gvc1d.token_network import TokenNetwork, round_latent
from gvcodec.gvc1d.tokenizer import Tokenizer, load_model, read_config, save_model
from gvcodec.gvc1d.transformer import GlobalAttention, LocalAttention, bound
from tests.gvc1d.models import TINY, make_model, smooth_picture
from training.gvc1d.titok import load_titok, random_titok


def _planes(width: int, height: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    half = (height + 1) // 2, (width + 1) // 2
    shapes = ((height, width), half, half)
    y, u, v = (rng.integers(64, 900, s, dtype=np.uint16) & 0x3FC for s in shapes)
    return y, u, v


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (1, 1)])
def test_planes_come_back(size: tuple[int, int]) -> None:
    planes = _planes(*size)
    picture = pad(from_planes([planes]), 64)
    assert picture.y.shape == (1, 1, 64, 64) and picture.uv.shape == (1, 2, 32, 32)
    height, width = size[1], size[0]
    back = to_planes(crop(picture, height + height % 2, width + width % 2), height, width)[0]
    assert all(np.array_equal(a, b) for a, b in zip(planes, back, strict=True))


def test_windows_and_patches_are_undone() -> None:
    x = torch.randn(2, 3, 8, 12)
    assert torch.equal(join(split(x, 4), 4, 3), x)
    picture = smooth_picture(32, 64)
    assert torch.equal(unpack(pack(picture, 16), 16).y, picture.y)
    assert torch.equal(unpack(pack(picture, 16), 16).uv, picture.uv)


def test_configuration_survives_json_and_refuses_nonsense() -> None:
    assert GVC1DConfig.from_json(LARGE.to_json()) == LARGE
    for text in ("[]", '{"colour": 3}', '{"tokens": 31}', '{"encoder": {"width": 5}}', "{"):
        with pytest.raises(MediaError):
            GVC1DConfig.from_json(text)


def test_small_is_of_the_size_it_says() -> None:
    assert 4e6 < sum(p.numel() for p in TokenNetwork(SMALL).parameters()) < 8e6


def test_branches_are_bounded() -> None:
    x = 1e4 * torch.randn(3, 16)
    assert (bound(x).square().mean(-1).sqrt() <= 4.001).all()
    small = 0.01 * torch.randn(3, 16)
    assert torch.allclose(bound(small), small, rtol=1e-3)


def test_local_attention_stays_in_its_window_and_global_crosses() -> None:
    torch.manual_seed(0)
    local, across = LocalAttention(16, 2).eval(), GlobalAttention(16, 2).eval()
    x = torch.randn(1, 2, 5, 16)
    changed = x.clone()
    changed[:, 1] = torch.randn(5, 16)
    assert torch.equal(local(x)[:, 0], local(changed)[:, 0])
    assert not torch.allclose(across(x)[:, 0], across(changed)[:, 0])


def test_the_decoder_needs_nothing_that_is_not_sent() -> None:
    """Tokens, what is shown and the motion give the encoder's pictures, bit for bit."""
    model = make_model()
    state = other = None
    for t in range(3):
        source, shown = smooth_picture(64, 64, seed=t), smooth_picture(64, 64, seed=50 + t)
        with torch.no_grad():
            context = model.context(shown, state)
            tokens = round_latent(model.analyse(source, context, 2))
            picture, state = model.synthesise(tokens, context, 2)
            again, other = model.synthesise(tokens.short().float(), model.context(shown, other), 2)
        assert torch.equal(picture.y, again.y) and torch.equal(picture.uv, again.uv)


def test_context_changes_the_picture_and_may_be_missing() -> None:
    model = make_model()
    source, shown = smooth_picture(64, 64), smooth_picture(64, 64, seed=5)
    tokens = torch.zeros(1, 1, TINY.tokens, TINY.channels)
    with torch.no_grad():
        _, state = model.synthesise(tokens, model.context(shown, None), 0)
        first, _ = model.synthesise(tokens, model.context(shown, None), 0)
        later, _ = model.synthesise(tokens, model.context(shown, state), 0)
        without = state._replace(memory=None)
        forgotten, _ = model.synthesise(tokens, model.context(shown, without), 0)
        alone, _ = model.synthesise(tokens, model.context(None, None, None, (1, 64, 64)), 0)
    assert not torch.equal(first.y, later.y) and not torch.equal(later.y, forgotten.y)
    assert abs(float(alone.y.mean()) - 0.5) < 0.1 and source.y.shape == alone.y.shape


def test_buffer_and_memory_can_be_left_out() -> None:
    model = make_model(replace(TINY, memory=0, buffer=False))
    shown = smooth_picture(64, 64)
    tokens = torch.ones(1, 1, TINY.tokens, TINY.channels)
    with torch.no_grad():
        _, state = model.synthesise(tokens, model.context(shown, None), 0)
        assert state.memory is None
        for base in (shown, None):
            context = model.context(base, state, size=(1, 64, 64))
            assert context.known == (base is not None, False) and context.features is None
            assert float(context.added.y.abs().max()) == 0


def test_motion_carries_what_tokens_added() -> None:
    model = make_model()
    shown = Picture(torch.full((1, 1, 64, 64), 0.5), torch.full((1, 2, 32, 32), 0.5))
    tokens = torch.zeros(1, 1, TINY.tokens, TINY.channels)
    tokens[0, 0, 0, :4] = 5
    with torch.no_grad():
        _, state = model.synthesise(tokens, model.context(shown, None), 7)
        moved = model.context(shown, state, torch.full((1, 2, 4, 4), 16, dtype=torch.int16))
        still = model.context(shown, state)
    a, b = moved.added.y[0, 0], still.added.y[0, 0]
    assert b.abs().max() > 0 and torch.allclose(a[:32, :32], b[16:48, 16:48], atol=1e-6)


def test_finer_rates_take_more_bits_and_come_nearer() -> None:
    model = make_model(SMALL)
    source = smooth_picture(256, 256, seed=1)
    rows = []
    with torch.no_grad():
        context = model.context(None, None, None, (1, 256, 256))
        for rate in (0, 4, 7):
            tokens = round_latent(model.analyse(source, context, rate))
            scaled = tokens * model.steps(torch.tensor([rate]))
            added = model.direct.synthesise(scaled, context.picture)
            error = (context.picture.y + added.y - source.y).square().mean()
            rows.append((float(tokens.abs().sum()), float(error)))
    assert rows[0][0] > rows[1][0] > rows[2][0] and rows[0][1] < rows[1][1] < rows[2][1]


def test_weights_on_disk(tmp_path: Path) -> None:
    model = make_model()
    save_model(model, tmp_path / "a.safetensors")
    assert read_config(tmp_path / "a.safetensors") == TINY
    loaded = load_model(tmp_path / "a.safetensors")
    pairs = zip(model.state_dict().values(), loaded.state_dict().values(), strict=True)
    assert all(torch.allclose(a, b, atol=2e-3) for a, b in pairs)
    (tmp_path / "bytes").write_bytes(b"x" * 40)
    with pytest.raises(MediaError, match="not a model of gvc1d"):
        load_model(tmp_path / "bytes")
    with pytest.raises(WrongModelError, match="the tokenizer of pictures is missing"):
        load_model(tmp_path / "none")


def test_the_tokenizer_of_pictures(tmp_path: Path) -> None:
    save_model(make_model(), tmp_path / "a.safetensors")
    tokenizer = Tokenizer(tmp_path / "a.safetensors")
    tokens = tokenizer.encode([_planes(70, 50, seed) for seed in range(9)])
    assert tokens.values.shape == (9, 2, 8, 16) and tokens.features.shape == (9, 2, 8, 32)
    assert np.array_equal(tokenizer.encode([_planes(70, 50, 3)]).values[0], tokens.values[3])
    latent = torch.from_numpy(tokens.values[:1]).float().requires_grad_()
    luma, chroma = tokenizer.decode(latent, 70, 50)
    assert luma.shape == (1, 1, 50, 70) and chroma.shape == (1, 2, 25, 35)
    (luma.mean() + 1e-3 * tokenizer.bits(latent).sum()).backward()
    assert latent.grad is not None and latent.grad.abs().sum() > 0


def test_titok_weights_are_read(tmp_path: Path) -> None:
    """Names and shapes as published; the real file cannot be shipped."""
    config = replace(LARGE, encoder=Transformer(48, 4, 2, 1), decoder=Transformer(64, 4, 2, 1))
    model = make_model(config)
    weights = random_titok(model, seed=4)
    save_file(weights, tmp_path / "titok.safetensors")
    load_titok(model, tmp_path / "titok.safetensors")
    wanted = weights["encoder.transformer.1.attn.in_proj_weight"]
    assert torch.equal(model.encoder.stack.local[1].attn.in_proj.weight, wanted)
    assert torch.equal(model.encoder.out.weight, weights["encoder.conv_out.weight"][:16, :, 0, 0])
    # Each frame codes by itself with these weights alone.
    save_model(model, tmp_path / "large.safetensors")
    tokens = Tokenizer(tmp_path / "large.safetensors", rate=0).encode([_planes(256, 256)])
    assert tokens.values.shape == (1, 1, 32, 16)
    del weights["decoder.mask_token"]
    save_file(weights, tmp_path / "less.safetensors")
    with pytest.raises(MediaError, match="not TA-TiTok"):
        load_titok(model, tmp_path / "less.safetensors")
    with pytest.raises(MediaError, match="titok = true"):
        load_titok(make_model(), tmp_path / "titok.safetensors")


def test_titok_transformer_is_the_published_one(tmp_path: Path) -> None:
    """A layer with published weights computes what `nn.MultiheadAttention` blocks compute."""
    torch.manual_seed(3)
    ours = LocalAttention(16, 4, plain=True).eval()
    attention = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    with torch.no_grad():
        attention.in_proj_weight.copy_(ours.attn.in_proj.weight)
        attention.in_proj_bias.copy_(ours.attn.in_proj.bias)
        attention.out_proj.weight.copy_(ours.attn.out_proj.weight)
        attention.out_proj.bias.copy_(ours.attn.out_proj.bias)
        x = torch.randn(2, 7, 16)
        normed = ours.ln_1(x)
        theirs = x + attention(normed, normed, normed, need_weights=False)[0]
        theirs = theirs + ours.c_proj(torch.nn.functional.gelu(ours.c_fc(ours.ln_2(theirs))))
        assert torch.allclose(ours(x[None])[0], theirs, atol=1e-5)
