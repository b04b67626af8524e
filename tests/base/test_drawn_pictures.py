"""Slides and drawings are told from camera pictures, and only camera GOPs keep more texture."""

from fractions import Fraction

import numpy as np
import pytest

from gvcodec.base.drawn_pictures import is_drawn
from gvcodec.base.standard.encoder import StandardEncoder, base_encoder
from gvcodec.base.standard.encoders import Settings, texture_params
from gvcodec.config import EncoderConfig
from gvcodec.types import Planes, VideoFormat
from tests.conftest import moving_texture, send_all
from tests.painter.test_strength import slides

FORMAT = VideoFormat(96, 80, Fraction(30), Fraction(1, 30))


def smooth_scene(noise: float) -> np.ndarray:
    """(272, 480) of 10 bits, whole 8-bit values: soft shapes with an edge, and a camera's noise."""
    y, x = np.mgrid[:272, :480]
    scene = 500 + 200 * np.sin(x / 60) + 150 * np.tanh((y - 120 + 20 * np.sin(x / 25)) / 2)
    grain = np.random.default_rng(1).normal(0, noise, scene.shape)
    return (4 * np.rint((scene + 4 * grain) / 4)).clip(0, 1020).astype(np.uint16)


def test_slides_are_drawn_and_camera_pictures_are_not() -> None:
    page = slides(1, 272, 480)[0][0]
    assert is_drawn(page)
    assert not is_drawn(smooth_scene(1.0)) and not is_drawn(moving_texture(96, 80, 1)[0][0])
    with_camera = page.copy()
    with_camera[100:, 300:] = smooth_scene(1.0)[100:, 300:]
    assert is_drawn(with_camera)
    # A black picture and a fade have no lines.
    assert not is_drawn(np.full((272, 480), 64, np.uint16))
    assert not is_drawn((64 + (page - 64) // 16).astype(np.uint16))


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (8, 8), (9, 15)])
def test_any_size_is_judged(size: tuple[int, int]) -> None:
    assert not is_drawn(np.zeros(size, np.uint16))
    lines = np.zeros(size, np.uint16)
    lines[:, ::8] = 1000
    assert is_drawn(lines) == (min(size) >= 8)


def payloads(clip: list[Planes], low_delay: bool = False, **settings: object) -> list[bytes]:
    config = EncoderConfig(q=50, preset=8, threads=1, low_delay=low_delay, **settings)
    packets, _ = send_all(base_encoder(FORMAT, config.resolve()), clip)
    return [packet.payload for packet in packets]


def plain(clip: list[Planes], params: tuple[str, ...], low_delay: bool = False) -> list[bytes]:
    encoder = StandardEncoder(
        FORMAT, "av1", Settings(50, low_delay, threads=1, params=params, preset=8), 240
    )
    return [packet.payload for packet in send_all(encoder, clip)[0]]


@pytest.mark.parametrize("low_delay", [False, True])
def test_camera_pictures_keep_texture_only_where_they_are_painted(low_delay: bool) -> None:
    clip = moving_texture(96, 80, 8)
    own, painted, eye = (
        plain(clip, params, low_delay)
        for params in ((), texture_params(), texture_params(eye=True))
    )
    assert own != painted != eye
    assert payloads(clip, low_delay) == painted
    assert payloads(clip, low_delay, painter="off") == own
    assert payloads(clip, low_delay, look=0) == own
    assert payloads(clip, low_delay, eye=True) == eye


def test_each_gop_has_settings_of_its_own() -> None:
    page, camera = slides(14, 80, 96), moving_texture(96, 80, 14)
    found = payloads(page + camera + page, keyint=14)
    first, second = plain(page, ()), plain(camera, texture_params())
    assert found == first + second + first
