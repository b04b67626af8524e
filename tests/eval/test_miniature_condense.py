"""Codes of clips by GVC1D's network, for condensed sets."""

from pathlib import Path

import numpy as np
import torch

from eval.experiments.miniature_condense import COUNT, SIDE, FrameCodes, make_clips
from gvcodec.bitstream.varint import Cursor
from gvcodec.gvc1d import ops_exact
from gvcodec.gvc1d.frame_coder import FrameCoder

MODEL = Path(__file__).resolve().parents[2] / "checkpoints/gvc1d-mini.safetensors"


def test_packets_decode_to_the_tokens_and_have_the_estimated_size() -> None:
    space, clips = FrameCodes(MODEL), make_clips(7, 2)
    values = space.tokenize(clips.pictures[:, :COUNT])
    config = space.config
    assert values.shape == (2, COUNT * config.tokens, config.channels)
    data = space.pack(values)
    bits = float(space.bits(torch.from_numpy(values).float()))
    assert 0.95 * bits < 8 * len(data) < bits + 2 * COUNT * 40
    cursor = Cursor(data, "codes")
    for clip in values.reshape(2, COUNT, 1, config.tokens, config.channels):
        coder = FrameCoder(config, space.weights, ops_exact, (config.window, config.window))
        for tokens in clip:
            frame, _ = coder.decode(cursor.take(cursor.var(1 << 16)))
            assert np.array_equal(frame.tokens, tokens)
    assert not len(cursor)


def test_pictures_resemble_the_frames_and_gradients_reach_the_codes() -> None:
    space, clips = FrameCodes(MODEL), make_clips(7, 2)
    frames = clips.pictures[:, :COUNT]
    values = torch.from_numpy(space.tokenize(frames)).float().requires_grad_()
    pictures = space.synthesise(values, COUNT, SIDE)
    error = (pictures.detach().numpy() - frames).astype(float)
    assert np.square(error).mean() < 0.5 * frames.astype(float).var()
    pictures.square().mean().backward()
    assert values.grad is not None and float(values.grad.abs().sum()) > 0
