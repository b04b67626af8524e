"""Clips that several tests share. They are made here, small and always the same."""

from __future__ import annotations

import numpy as np
import pytest

from gvcodec.types import Planes


def moving_texture(width: int, height: int, frames: int, seed: int = 1) -> list[Planes]:
    """10-bit 4:2:0 frames of smooth texture that pans by (3, 1) samples a frame (values are multiples of four)."""
    rng = np.random.default_rng(seed)
    margin = 3 * frames + 8
    field = rng.normal(size=(height + margin, width + margin))
    spectrum = np.fft.rfft2(field)
    rows = np.fft.fftfreq(field.shape[0])[:, None]
    columns = np.fft.rfftfreq(field.shape[1])[None, :]
    field = np.fft.irfft2(spectrum / (0.02 + np.hypot(rows, columns)), s=field.shape)
    field = (field - field.min()) / (field.max() - field.min())
    clip: list[Planes] = []
    for number in range(frames):
        view = field[number : number + height, 3 * number : 3 * number + width]
        y = (64 + 4 * np.round(view * 200)).astype(np.uint16)
        u = (400 + 4 * np.round(view[::2, ::2] * 40)).astype(np.uint16)
        v = (600 - 4 * np.round(view[::2, ::2] * 40)).astype(np.uint16)
        clip.append((y, u, v))
    return clip


@pytest.fixture(scope="session")
def clip() -> list[Planes]:
    """Twenty frames of 96×80."""
    return moving_texture(96, 80, 20)


def planes_equal(left: Planes, right: Planes) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def psnr(left: Planes, right: Planes) -> float:
    """PSNR of luma in dB."""
    mse = float(np.mean((left[0].astype(float) - right[0].astype(float)) ** 2))
    return 99.0 if mse == 0 else float(10 * np.log10(1023**2 / mse))
