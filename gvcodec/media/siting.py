"""Chroma siting in 4:2:0: where chroma samples lie, and how they stay there when frames are rotated
or shown.

Chroma samples of most video stand above every second luma column ("left"), those of JPEG and of
video made from RGB between four luma samples. Where something needs them at other places they are
moved by cubic interpolation.
"""

from __future__ import annotations

import math
import struct

import numpy as np
from numpy.typing import NDArray

from gvcodec.types import Plane, Planes

#: Place of the first chroma sample in luma samples from the first luma sample, (right, down), by
#: chroma location.
PLACES = {0: (0.0, 0.5), 1: (0.5, 0.5), 2: (0.0, 0.0), 3: (0.5, 0.0), 4: (0.0, 1.0), 5: (0.5, 1.0)}
LEFT, CENTRE = 0, 1
_PEAK = 1023
#: Degrees by which the entries of a matrix, fixed-point numbers, may be off.
_EXACT = 0.5


def move_chroma(planes: Planes, location: int, wanted: int) -> Planes:
    """Frames with chroma at one location as frames with chroma at another."""
    right, down = (
        (b - a) / 2 for a, b in zip(PLACES.get(location, PLACES[LEFT]), PLACES[wanted], strict=True)
    )
    y, u, v = planes
    return y, _shift(u, right, down), _shift(v, right, down)


class Rotation:
    """Counterclockwise by `degrees`, a multiple of 90, of frames of `width`×`height` samples with
    this chroma location; `mirrored`: left and right change places before that.

    Attributes: `location` (of the turned frames), `swaps` (whether width and height change places).
    """

    def __init__(
        self, degrees: int, width: int, height: int, location: int, mirrored: bool = False
    ) -> None:
        self._turns = round(degrees / 90) % 4
        self._mirrored = mirrored
        self.swaps = self._turns % 2 == 1
        right, down = PLACES[location]
        if mirrored:
            right = (0.0 if width % 2 else 1.0) - right
        for _ in range(self._turns):
            # A quarter turn makes x the new y, counted from the right edge: from the last sample of
            # an even width.
            right, down = down, (0.0 if width % 2 else 1.0) - right
            width, height = height, width
        self.location = min(
            PLACES, key=lambda code: abs(PLACES[code][0] - right) + abs(PLACES[code][1] - down)
        )
        #: How far the wanted place lies from the turned samples, in chroma samples.
        self._move = (PLACES[self.location][0] - right) / 2, (PLACES[self.location][1] - down) / 2

    def apply(self, planes: Planes) -> Planes:
        if not self._turns and not self._mirrored:
            return planes
        step = -1 if self._mirrored else 1
        y, u, v = (
            np.ascontiguousarray(np.rot90(plane[:, ::step], self._turns)) for plane in planes
        )
        return y, _shift(u, *self._move), _shift(v, *self._move)


def rotation_of(matrix: bytes) -> tuple[int, bool] | None:
    """(degrees counterclockwise, mirrored before that) of an FFmpeg display matrix (9 × int32);
    None where it is none of the eight orientations."""
    if len(matrix) < 36:
        return None
    a, b, _, c, d = (value / 65536 for value in struct.unpack_from("5i", matrix))
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    # Lengths say how far each side is stretched, which the aspect ratio of samples says too.
    wide, high = math.hypot(a, b), math.hypot(c, d)
    if not wide or not high:
        return None
    angles = math.degrees(math.atan2(-b, a)), math.degrees(math.atan2(c, d))
    turns = [round(angle / 90) for angle in angles]
    if (turns[0] - turns[1]) % 4 or any(
        abs(angle - 90 * turn) > _EXACT for angle, turn in zip(angles, turns, strict=True)
    ):
        return None
    return turns[0] % 4 * 90, mirrored


def _shift(plane: Plane, right: float, down: float) -> Plane:
    """The plane at places that lie so many samples further right and down."""
    if right == down == 0:
        return plane
    moved = _resample(_resample(plane.astype(np.float32), right, 1), down, 0)
    return np.clip(np.round(moved), 0, _PEAK).astype(np.uint16)


def taps(t: float) -> tuple[float, ...]:
    """Shares of the samples at −1, 0, 1, 2 in what is at `t`, 0…1: cubic convolution (Keys 1981,
    a = −1/2)."""
    return (
        (-t + 2 * t**2 - t**3) / 2,
        (2 - 5 * t**2 + 3 * t**3) / 2,
        (t + 4 * t**2 - 3 * t**3) / 2,
        (-(t**2) + t**3) / 2,
    )


def _resample(plane: NDArray[np.float32], shift: float, axis: int) -> NDArray[np.float32]:
    """The plane at places `shift` (−1…1) samples further along an axis."""
    if not shift:
        return plane
    whole = int(np.floor(shift))
    size = plane.shape[axis]
    places = np.arange(size) + whole
    result = np.zeros_like(plane)
    for n, tap in enumerate(taps(shift - whole)):
        result += np.float32(tap) * plane.take(np.clip(places + n - 1, 0, size - 1), axis)
    return result
