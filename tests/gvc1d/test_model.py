"""The tokenizer of pictures: parts, sizes, weights on disk, and what its integers stand for."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from gvcodec.errors import MediaError, NewerModelError, WrongModelError
from gvcodec.gvc1d.blocks import cosines, lowest, region_grid, token_regions
from gvcodec.gvc1d.config import TokenizerConfig
from gvcodec.gvc1d.direct import DirectPath
from gvcodec.gvc1d.picture import grey, join, pack, split, unpack
from gvcodec.gvc1d.token_network import StepSizes
from gvcodec.gvc1d.tokenizer import Tokenizer, load_model, read_config, save_model
from gvcodec.gvc1d.transformer import GlobalAttention, LocalAttention, limit_rms
from gvcodec.models import TOKENIZER, save_weights
from tests.gvc1d.models import TINY, make_model, smooth_picture

SHIPPED = TokenizerConfig()


def _planes(width: int, height: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    half = (height + 1) // 2, (width + 1) // 2
    shapes = ((height, width), half, half)
    y, u, v = (rng.integers(64, 900, s, dtype=np.uint16) & 0x3FC for s in shapes)
    return y, u, v


def test_windows_and_patches_are_undone() -> None:
    x = torch.randn(2, 3, 8, 12)
    assert torch.equal(join(split(x, 4), 4, 3), x)
    picture = smooth_picture(32, 64)
    assert torch.equal(unpack(pack(picture, 16), 16).y, picture.y)
    assert torch.equal(unpack(pack(picture, 16), 16).uv, picture.uv)


def test_configuration_survives_json_and_refuses_nonsense() -> None:
    assert TokenizerConfig.from_json(TINY.to_json()) == TINY
    assert read_config(TOKENIZER.find()) == SHIPPED
    for text in ("[]", '{"colour": 3}', '{"tokens": 31}', '{"encoder": {"width": 5}}', "{"):
        with pytest.raises(MediaError):
            TokenizerConfig.from_json(text)
    with pytest.raises(MediaError, match="head is pixels"):  # of networks that coded video
        TokenizerConfig.from_json('{"head": "pixels"}')


def test_branches_are_bounded() -> None:
    x = 1e4 * torch.randn(3, 16)
    assert (limit_rms(x).square().mean(-1).sqrt() <= 4.001).all()
    small = 0.01 * torch.randn(3, 16)
    assert torch.allclose(limit_rms(small), small, rtol=1e-3)


def test_local_attention_stays_in_its_window_and_global_crosses() -> None:
    torch.manual_seed(0)
    local, across = LocalAttention(16, 2).eval(), GlobalAttention(16, 2).eval()
    x = torch.randn(1, 2, 5, 16)
    changed = x.clone()
    changed[:, 1] = torch.randn(5, 16)
    assert torch.equal(local(x)[:, 0], local(changed)[:, 0])
    assert not torch.allclose(across(x)[:, 0], across(changed)[:, 0])


def test_finer_rates_take_more_bits_and_come_nearer() -> None:
    path, steps, none = DirectPath(SHIPPED), StepSizes(SHIPPED), grey(1, 256, 256, torch.zeros(1))
    source = smooth_picture(256, 256, seed=1)
    rows = []
    with torch.no_grad():
        for rate in (0, 4, 7):
            step = steps(torch.tensor([rate]))
            values = (path.analyse(source - none) / step).round()
            made = none + path.synthesise(values * step, 1)
            error = float((made.y - source.y).square().mean())
            rows.append((float(values.abs().sum()), error))
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
    weights = dict(model.state_dict())
    del weights["decoder.mask_token"]
    save_weights(weights, tmp_path / "less.safetensors", {"config": TINY.to_json()})
    with pytest.raises(MediaError, match=r"not a model of gvc1d .*decoder\.mask_token"):
        load_model(tmp_path / "less.safetensors")
    save_weights(weights, tmp_path / "later.safetensors", {"config": '{"colour": 3}'})
    with pytest.raises(NewerModelError, match="unknown field colour"):
        load_model(tmp_path / "later.safetensors")


def test_the_tokenizer_of_pictures(tmp_path: Path) -> None:
    save_model(make_model(), tmp_path / "a.safetensors")
    tokenizer = Tokenizer(tmp_path / "a.safetensors")
    tokens = tokenizer.encode([_planes(70, 50, seed) for seed in range(9)])
    assert tokens.values.shape == (9, 2, 8, 16)
    assert tokens.features.shape == tokens.keys.shape == (9, 2, 8, 32)
    assert np.array_equal(tokenizer.encode([_planes(70, 50, 3)]).values[0], tokens.values[3])
    latent = torch.from_numpy(tokens.values[:1]).float().requires_grad_()
    luma, chroma = tokenizer.decode(latent, 70, 50)
    assert luma.shape == (1, 1, 50, 70) and chroma.shape == (1, 2, 25, 35)
    (luma.mean() + 1e-3 * tokenizer.bits(latent).sum()).backward()
    assert latent.grad is not None and latent.grad.abs().sum() > 0
    odd = tokenizer.encode([_planes(63, 47)]).values
    assert tokenizer.decode(odd, 63, 47)[0].shape == (1, 1, 48, 64)


def test_cosines_are_the_orthonormal_dct() -> None:
    rows = cosines(16, 16)
    assert torch.allclose(rows @ rows.T, torch.eye(16), atol=1e-5)
    n = np.arange(16)
    assert np.allclose(rows[3], np.sqrt(2 / 16) * np.cos(np.pi * 3 * (2 * n + 1) / 32), atol=1e-6)


def test_lowest_frequencies_come_first_and_only_beyond_a_radius() -> None:
    assert lowest(4) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert lowest(2, above=1.0) == [(1, 1), (0, 2)]


@pytest.mark.parametrize("tokens", [8, 16, 32, 64])
def test_regions_are_a_pyramid(tokens: int) -> None:
    regions = token_regions(replace(SHIPPED, tokens=tokens))
    rows, columns = region_grid(tokens)
    assert regions.shape == (tokens, 256) and rows * columns == tokens // 2
    assert regions[0].all() and regions[tokens // 2 - 1].all()
    # The second half tiles the window.
    assert (regions[tokens // 2 :].sum(0) == 1).all()


def test_a_low_pattern_comes_back_through_one_integer() -> None:
    path = DirectPath(TINY)
    latent = torch.zeros(1, 1, TINY.tokens, TINY.channels)
    latent[0, 0, 0, 1] = 400.0
    made = path.synthesise(latent, 1)
    assert made.y.abs().max() > 0.01 and made.uv.abs().max() == 0
    half = TINY.tokens // 2  # patterns of regions are not at right angles to those of the window
    assert torch.allclose(path.analyse(made)[:, :, :half], latent[:, :, :half], atol=0.5)


def test_prefixes_of_tokens_come_nearer_and_nearer() -> None:
    path, none = DirectPath(SHIPPED), grey(1, 256, 512, torch.zeros(1))
    source = smooth_picture(256, 512, seed=3)
    found = path.analyse(source - none)
    errors: list[float] = []
    for count in (0, 1, 4, 16, 32):
        made = none + path.synthesise(found * (torch.arange(32) < count)[:, None], 2)
        errors.append(float((made.y - source.y).square().mean().detach()))
    assert all(a > b for a, b in pairwise(errors)) and errors[-1] < 0.05 * errors[0]


def test_patterns_of_a_region_are_at_right_angles() -> None:
    patterns = DirectPath(SHIPPED).patterns.flatten(1)
    assert torch.allclose(patterns @ patterns.T, torch.eye(len(patterns)), atol=1e-4)
