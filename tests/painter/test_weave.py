"""What the painter adds to a texture without direction: no weave of lines, however it is fitted."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from conformance.decoder.painter import direction
from conformance.deltas import Delta, in_groups, pack
from gvcodec.models import PAINTER
from gvcodec.painter.torch_twin.network import PainterNetwork
from gvcodec.painter.video import VideoPainter
from gvcodec.types import Planes, VideoFormat

SIDE = 192
SECTORS = 8
# Cycles a sample: above what is brightness, below where sampling has directions of its own.
_LOW, _HIGH = 0.08, 0.42
_RUN = 8

FORMAT = VideoFormat(SIDE, SIDE, Fraction(25), Fraction(1, 25))


def by_direction(plane: np.ndarray) -> np.ndarray:
    """Mean power of `SECTORS` directions, horizontal variation first, counterclockwise."""
    h, w = plane.shape
    window = np.hanning(h)[:, None] * np.hanning(w)
    power = np.abs(np.fft.fft2((plane - plane.mean()) * window)) ** 2
    v, u = np.meshgrid(np.fft.fftfreq(h), np.fft.fftfreq(w), indexing="ij")
    radius, angle = np.hypot(u, v), np.arctan2(v, u) % np.pi
    sector = np.rint(angle / np.pi * SECTORS).astype(int) % SECTORS
    inside = (radius > _LOW) & (radius < _HIGH)
    return np.array([power[inside & (sector == s)].mean() for s in range(SECTORS)])


def anisotropy(plane: np.ndarray) -> float:
    """Power along axes over that along diagonals: 1 without direction, high for a weave."""
    found = by_direction(plane)
    quarter = SECTORS // 4
    return float((found[0] + found[2 * quarter]) / (found[quarter] + found[3 * quarter]))


def lines(plane: np.ndarray) -> float:
    """Power of means of runs along rows and columns over that of diagonal runs."""
    x = plane - plane.mean()
    n = _RUN

    def runs(dy: int, dx: int) -> float:
        h, w = x.shape[0] - n * abs(dy), x.shape[1] - n * abs(dx)
        left = n if dx < 0 else 0
        total = sum(x[i * dy : i * dy + h, left + i * dx : left + i * dx + w] for i in range(n))
        return float(np.mean((total / n) ** 2))

    return (runs(0, 1) + runs(1, 0)) / (runs(1, 1) + runs(1, -1))


def texture(stretch: int = 1) -> np.ndarray:
    spectrum = np.fft.fft2(np.random.default_rng(5).normal(0, 1, (SIDE, SIDE)))
    v, u = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij")
    radius = np.hypot(u * stretch, v)
    plane = np.fft.ifft2(spectrum * (radius > 0.02) / (0.03 + radius)).real
    return plane / plane.std()


def frame(luma: np.ndarray) -> Planes:
    half = np.full((SIDE // 2, SIDE // 2), 512, np.uint16)
    return luma.clip(0, 1023).astype(np.uint16), half, half


def base(source: np.ndarray) -> Planes:
    """What a coder leaves of it: blurred, with little contrast."""
    blurred = source
    for axis in (0, 1):
        blurred = sum(np.roll(blurred, s, axis) for s in range(-2, 3)) / 5
    return frame(500 + 25 * blurred)


def added(changes: dict[int, float], base_frame: Planes) -> np.ndarray:
    """Luma added by the shipped painter after a fit that moves biases of its head by `changes`."""
    path, exponent = PAINTER.find(), 10
    twin = PainterNetwork.load(path)
    sizes = {name: p.numel() for name, p in twin.named_parameters()}
    grid = twin.head.unit
    wanted = torch.zeros(sizes["head.bias"])
    for number, change in changes.items():
        wanted[number] = change / grid[number]
    values = (wanted / 2**exponent).round().clamp(-127, 127).long().numpy()
    zeros = {n: np.zeros(sizes[n], np.int64) for n in in_groups(1, sizes)}
    deltas = [Delta(n, x, exponent) for n, x in (zeros | {"head.bias": values}).items()]
    painter = VideoPainter(FORMAT, "av1", Fraction(1), 50, path, 1)
    painter.start_gop(pack(deltas))
    return (painter.paint(base_frame)[0].astype(float) - base_frame[0])[16:-16, 16:-16]


def test_measures_know_a_weave() -> None:
    plain = texture()
    assert 0.8 < anisotropy(plain) < 1.25 and 0.6 < lines(plain) < 1.4
    rng = np.random.default_rng(0)
    woven = np.repeat(rng.normal(0, 1, (SIDE, SIDE // 8)), 8, 1)
    woven += np.repeat(rng.normal(0, 1, (SIDE // 8, SIDE)), 8, 0)
    assert anisotropy(woven) > 3 and lines(woven) > 2
    turned = by_direction(texture(6))
    assert turned.argmax() == len(turned) // 2


#: Amplitudes as a fit raises them, with every ratio at its end.
RAISED = {6: 0.5, 7: 0.5, 8: 0.5, 9: 9.0, 10: 9.0, 11: 9.0}


@pytest.mark.parametrize("sign", [1, -1])
def test_no_fit_makes_the_painter_weave(sign: int) -> None:
    changes = {n: change * (sign if n > 8 else 1) for n, change in RAISED.items()}
    detail = added(changes, base(texture()))
    assert detail.std() > 4 and 0.7 < anisotropy(detail) < 1.45
    assert 0.6 < lines(detail) < 1.5


def test_texture_follows_the_pictures_direction_within_a_bound() -> None:
    """Drawn-out texture gets drawn-out noise, at most three times the amplitude across it."""
    base_frame = base(texture(8))
    half = 4 * base_frame[0][::2, ::2].astype(np.int64)
    c, _ = direction(half)
    assert c.mean() < -30  # vertical variation
    ways = ({**RAISED, 9: r, 10: r, 11: r} for r in (9.0, -9.0, 0.0))  # along, across, none
    powers = [by_direction(added(changes, base_frame)) for changes in ways]
    ratio = [float(power[4] / power[0]) for power in powers]
    assert ratio[0] > 2 * ratio[2] > 4 * ratio[1]
    assert ratio[0] < 9 * ratio[2] * 1.5 and ratio[1] > ratio[2] / 9 / 1.5
