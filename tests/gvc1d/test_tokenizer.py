"""Tokens of single pictures by GVC1D's network, next to those that its files hold."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gvcodec.errors import MediaError, WrongModelError
from gvcodec.gvc1d import ops_exact
from gvcodec.gvc1d.frame_coder import RATE_STEPS, Frame, FrameCoder
from gvcodec.gvc1d.model import grid_of
from gvcodec.gvc1d.tokenizer import RUNS, Tokenizer, region_features
from gvcodec.models import GVC1D_MINI
from gvcodec.types import Planes
from tests.gvc1d.models import WIDE, write_network
from training import world

RATE = 5


def pictures(count: int, width: int = 101, height: int = 70) -> list[Planes]:
    """Of an odd size: windows of 64 are padded."""
    clip = world.draw(7, count, [[0] * count, [9 * n for n in range(count)]])
    half = slice((height + 1) // 2), slice((width + 1) // 2)
    cuts = (slice(height), slice(width)), half, half
    planes = zip(clip.y, clip.u, clip.v, strict=True)
    return [
        tuple((64 + np.rint(876 * p[at])).astype(np.uint16) for p, at in zip(f, cuts, strict=True))
        for f in planes
    ]


@pytest.fixture(scope="module")
def mini() -> Tokenizer:
    return Tokenizer(GVC1D_MINI.find(), RATE)


def frame_of(tokenizer: Tokenizer, values: np.ndarray, count: int) -> Frame:
    """A frame that is sent with the first tokens of each window [W, T, C]."""
    lengths = np.full(len(values), count, np.int32)
    sent = np.arange(tokenizer.config.tokens) < count
    return Frame(RATE * RATE_STEPS, lengths, values.astype(np.int32) * sent[:, None])


def test_tokens_and_pictures_are_those_of_a_file(mini: Tokenizer) -> None:
    frames, size = pictures(2), (101, 70)
    tokens, config = mini.encode(frames), mini.config
    grid = grid_of(*size, config)
    assert tokens.values.shape == (2, grid.rows * grid.columns, config.tokens, config.channels)
    assert tokens.features.shape == (*tokens.values.shape[:2], config.tokens, 2 * config.width)
    luma, chroma = (x.numpy() for x in mini.decode(tokens.values, *size))
    assert luma.shape == (2, 1, 70, 102) and chroma.shape == (2, 2, 35, 51)
    for number, planes in enumerate(frames):
        coder = FrameCoder(config, mini.weights, ops_exact, size)
        analysis = coder.analyse(planes, RATE * RATE_STEPS)
        assert np.abs(np.rint(analysis.values) - tokens.values[number]).max() <= 1
        assert (np.rint(analysis.values) == tokens.values[number]).mean() > 0.999
        frame = frame_of(mini, tokens.values[number], config.tokens)
        bits = mini.bits(tokens.values[number : number + 1], grid.columns)
        assert bits.shape == (1, coder.windows)
        packet, shown = coder.encode(frame)
        assert abs(8 * len(packet) - float(bits.sum())) < 0.05 * 8 * len(packet) + 40
        for exact, plane in zip(shown, (luma[number, 0], *chroma[number]), strict=True):
            plane = plane[: exact.shape[0], : exact.shape[1]]
            assert np.abs(exact - np.clip(np.rint(1020 * plane), 0, 1023)).max() <= 1


def test_a_prefix_is_decoded_as_a_packet_that_ends_there(mini: Tokenizer) -> None:
    planes, size = pictures(1)[0], (101, 70)
    values = mini.encode([planes]).values
    for count in (0, 3):
        coder = FrameCoder(mini.config, mini.weights, ops_exact, size)
        _, shown = coder.encode(frame_of(mini, values[0], count))
        luma = mini.decode(values, *size, count)[0][0, 0].numpy()[: size[1], : size[0]]
        assert np.abs(shown[0] - np.clip(np.rint(1020 * luma), 0, 1023)).max() <= 1
    whole = mini.decode(values, *size)[0][0, 0].numpy()[: size[1], : size[0]]
    assert np.abs(whole - luma).max() > 0.01


def test_a_picture_does_not_depend_on_the_others(mini: Tokenizer) -> None:
    """Nine pictures are more than one batch."""
    frames = pictures(9)
    together = mini.encode(frames)
    for number in (0, 3, 8):
        alone = mini.encode([frames[number]])
        assert np.array_equal(alone.values[0], together.values[number])
        assert np.allclose(alone.features[0], together.features[number], atol=1e-4)
    assert (together.values[0] != together.values[8]).any()


def test_features_are_means_and_deviations_of_runs() -> None:
    slots = torch.arange(2 * 64 * 3.0).view(1, 2, 64, 3)
    features = region_features(slots)
    assert features.shape == (1, 2, RUNS, 6)
    assert torch.equal(features[0, 0, 0], torch.tensor([1.5, 2.5, 3.5, 1.5, 1.5, 1.5]))
    assert region_features(slots[:, :, :8]).shape == (1, 2, 8, 6)


def test_gradients_reach_tokens(mini: Tokenizer) -> None:
    shape = 1, 1, mini.config.tokens, mini.config.channels
    for part in ("picture", "bits"):
        values = torch.zeros(shape).requires_grad_()
        lost = mini.decode(values, 64, 64)[0].square().mean()
        (lost if part == "picture" else mini.bits(values).sum()).backward()
        assert values.grad is not None and float(values.grad.abs().sum()) > 0


def test_a_coarser_rate_takes_fewer_bits(mini: Tokenizer) -> None:
    frames = pictures(2)
    fine = Tokenizer(GVC1D_MINI.find(), 0)
    bits = [float(one.bits(one.encode(frames).values, 2).sum()) for one in (fine, mini)]
    assert bits[1] < 0.8 * bits[0]


def test_the_network_is_that_of_the_path(tmp_path: Path) -> None:
    tokenizer = Tokenizer(write_network(tmp_path / "w.safetensors"))
    assert tokenizer.config == WIDE and tokenizer.path == tmp_path / "w.safetensors"
    tokens = tokenizer.encode(pictures(1, 96, 90))
    assert tokens.values.shape == (1, 1, 32, 2) and tokens.features.shape == (1, 1, RUNS, 2 * 16)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongModelError, match="the network of base gvc1d is missing"):
        Tokenizer(tmp_path / "none")
    (tmp_path / "bytes").write_bytes(b"x" * 40)
    with pytest.raises(MediaError, match="bytes: not a model"):
        Tokenizer(tmp_path / "bytes")
