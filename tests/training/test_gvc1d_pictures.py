"""Tokens of single pictures by GVC1D's network, next to those that its files hold."""

from pathlib import Path

import numpy as np
import torch

from gvcodec.gvc1d import ops_exact
from gvcodec.gvc1d.frame_coder import RATE_STEPS, Frame, FrameCoder
from gvcodec.gvc1d.model import grid_of
from gvcodec.types import Planes
from training import world
from training.gvc1d.pictures import PictureNetwork, region_features

MODEL = Path(__file__).resolve().parents[2] / "checkpoints/gvc1d-mini.safetensors"
RATE = 5


def pictures(count: int) -> list[Planes]:
    clip = world.draw(7, count, [[0] * count, [9 * n for n in range(count)]])
    planes = zip(clip.y, clip.u, clip.v, strict=True)
    return [tuple((64 + np.rint(876 * p)).astype(np.uint16) for p in frame) for frame in planes]


def test_tokens_and_pictures_are_those_of_a_file() -> None:
    network = PictureNetwork(MODEL, RATE)
    # An odd size: windows of 64 are padded.
    frames = [(y[:70, :101], u[:35, :51], v[:35, :51]) for y, u, v in pictures(2)]
    tokens = network.encode(frames)
    config, size = network.config, (101, 70)
    grid = grid_of(*size, config)
    assert tokens.values.shape == (2, grid.rows * grid.columns, config.tokens, config.channels)
    assert tokens.features.shape == (*tokens.values.shape[:2], config.tokens, 2 * config.width)
    luma, chroma = (x.numpy() for x in network.decode(tokens.values, *size))
    for number, planes in enumerate(frames):
        coder = FrameCoder(config, network.weights, ops_exact, size)
        analysis = coder.analyse(planes, RATE * RATE_STEPS)
        assert np.abs(np.rint(analysis.values) - tokens.values[number]).max() <= 1
        assert (np.rint(analysis.values) == tokens.values[number]).mean() > 0.999
        lengths = np.full(coder.windows, config.tokens, np.int32)
        frame = Frame(RATE * RATE_STEPS, lengths, tokens.values[number].astype(np.int32))
        bits = network.bits(tokens.values[number : number + 1], grid.columns)
        packet, shown = coder.encode(frame)
        assert abs(8 * len(packet) - float(bits.sum())) < 0.05 * 8 * len(packet) + 40
        for exact, plane in zip(shown, (luma[number, 0], *chroma[number]), strict=True):
            plane = plane[: exact.shape[0], : exact.shape[1]]
            assert np.abs(exact - np.clip(np.rint(1020 * plane), 0, 1023)).max() <= 1


def test_features_are_means_and_deviations_of_runs() -> None:
    slots = torch.arange(2 * 64 * 3.0).view(1, 2, 64, 3)
    features = region_features(slots)
    assert features.shape == (1, 2, 32, 6)
    assert torch.equal(features[0, 0, 0], torch.tensor([1.5, 2.5, 3.5, 1.5, 1.5, 1.5]))
    assert region_features(slots[:, :, :8]).shape == (1, 2, 8, 6)


def test_gradients_reach_tokens() -> None:
    network = PictureNetwork(MODEL, RATE)
    values = torch.zeros(1, 1, network.config.tokens, network.config.channels).requires_grad_()
    luma, _ = network.decode(values, 64, 64)
    (luma.square().mean() + network.bits(values).sum()).backward()
    assert values.grad is not None and float(values.grad.abs().sum()) > 0
