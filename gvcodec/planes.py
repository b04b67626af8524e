"""Converts samples between PyAV's frames, NumPy RGB and `Planes` (10-bit 4:2:0, see
`gvcodec.types`).

8-bit 4:2:0 and gray go in by a shift of two and come back exactly; everything else is converted by
swscale, alpha is dropped.

Chroma siting: most video has chroma samples above every second luma column ("left"), JPEG and
video made from RGB between four luma samples ("center"). Other sitings are converted by cubic
interpolation.
"""

import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TypeAlias, TypeVar, cast

import av
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from gvcodec.bitstream import MAX_PIXELS, MAX_SIDE
from gvcodec.errors import UsageError
from gvcodec.types import UNSPECIFIED_COLOUR, Colour, Plane, Planes, VideoFormat
from gvcodec.util.kinds import check_kind, repr_short

#: Place of the first chroma sample in luma samples from the first luma sample, (right, down), by
#: chroma location.
PLACES = {0: (0.0, 0.5), 1: (0.5, 0.5), 2: (0.0, 0.0), 3: (0.5, 0.0), 4: (0.0, 1.0), 5: (0.5, 1.0)}
LEFT, CENTRE = 0, 1
_PEAK = 1023
#: By how much the entries of a turned unit square, from fixed-point numbers, may be off.
_EXACT = 0.01


def move_chroma(planes: Planes, location: int, target: int) -> Planes:
    """Frames with chroma at one location as frames with chroma at another."""
    right, down = (
        (b - a) / 2 for a, b in zip(PLACES.get(location, PLACES[LEFT]), PLACES[target], strict=True)
    )
    y, u, v = planes
    return y, _shift(u, right, down), _shift(v, right, down)


class Rotation:
    """Turns frames of `width`×`height` samples counterclockwise by `degrees`, a multiple of 90,
    `is_mirrored` before that. `location`: of chroma in turned frames."""

    def __init__(
        self, degrees: int, width: int, height: int, location: int, is_mirrored: bool = False
    ) -> None:
        self._turns = round(degrees / 90) % 4
        self._mirrored = is_mirrored
        self.swaps = self._turns % 2 == 1
        right, down = PLACES[location]
        if is_mirrored:
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
    None if it is none of the eight orientations."""
    if len(matrix) < 36:
        return None
    rows = np.array(struct.unpack_from("5i", matrix), np.float64)[[[0, 1], [3, 4]]]
    # Lengths say how far each side is stretched, which the aspect ratio of samples says too.
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)
    mirrored = bool(np.linalg.det(rows) < 0)
    rows[0] *= -1 if mirrored else 1
    turns = round(math.degrees(math.atan2(rows[1, 0], rows[1, 1])) / 90) % 4
    target = np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), turns)
    return (90 * turns, mirrored) if np.abs(rows - target).max() < _EXACT else None


def _shift(plane: Plane, right: float, down: float) -> Plane:
    """The plane resampled at positions `right` and `down` samples further."""
    if right == down == 0:
        return plane
    moved = _resample(_resample(plane.astype(np.float32), right, 1), down, 0)
    return np.clip(np.round(moved), 0, _PEAK).astype(np.uint16)


def taps(t: float) -> tuple[float, ...]:
    """Shares of samples −1, 0, 1, 2 at `t`, 0…1: cubic convolution (Keys 1981, a = −1/2)."""
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


Picture: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
_Sample = TypeVar("_Sample", bound=np.generic)
_SCALER = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
_LIMITED, _FULL = 1, 2
_BT709, _BT601 = 1, 5
#: swscale's matrix for a CICP matrix; an unspecified one goes by the picture's height.
_SWSCALE = {1: _BT709, 2: _BT601, 4: 4, 5: _BT601, 6: _BT601, 7: 7, 9: 9, 10: 9}
_GRAY = ("gray", "ya8", "ya16", "mono")
_NEUTRAL = 512
#: A change of the aspect ratio below this comes from sides that are rounded to whole samples.
_ROUNDED = Fraction(1, 50)


class Scaler:
    """Pictures of another size: `target` is (width, height), one of them 0 = by the shape of the
    picture, or a factor that gives even sides. `format`: of the scaled video. Raises `UsageError`
    for sizes out of bounds."""

    def __init__(self, fmt: VideoFormat, target: tuple[int, int] | Fraction) -> None:
        if isinstance(target, Fraction):
            factor = min(target, Fraction(MAX_SIDE))
            sides = [max(2, 2 * round(side * factor / 2)) for side in (fmt.width, fmt.height)]
            target = sides[0], sides[1]
        if not isinstance(target, tuple | list) or len(target) != 2:
            raise UsageError(f"a scale is (width, height) or a Fraction, not {repr_short(target)}")
        width, height = (check_kind("a side", side, "int") for side in target)
        display = fmt.sar * Fraction(fmt.width, fmt.height)
        if not width:
            width = max(2, 2 * round(height * display / 2))
        if not height:
            height = max(2, 2 * round(width / display / 2))
        if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
            raise UsageError(
                f"a picture of {width}×{height} is outside the limits (side {MAX_SIDE}, "
                f"{MAX_PIXELS} pixels)"
            )
        sar = fmt.sar * Fraction(fmt.width * height, fmt.height * width)
        if abs(sar / fmt.sar - 1) < _ROUNDED:
            sar = fmt.sar
        self.format = replace(fmt, width=width, height=height, sar=sar)

    def apply(self, planes: Planes) -> Planes:
        """10-bit planes of the new size."""
        location = self.format.colour.chroma_location
        width, height = self.format.width, self.format.height
        # Each plane is scaled about its centre, which moves chroma unless that lies between four
        # luma samples.
        y, u, v = move_chroma(planes, location, CENTRE)
        half = (width + 1) // 2, (height + 1) // 2
        return move_chroma(
            (_scale(y, width, height), _scale(u, *half), _scale(v, *half)), CENTRE, location
        )


def _scale(plane: Plane, width: int, height: int) -> Plane:
    frame = av.VideoFrame(plane.shape[1], plane.shape[0], "gray10le")
    _samples(frame, 0, np.uint16)[:] = plane
    scaled = frame.reformat(width=width, height=height, interpolation=_SCALER, threads=1)
    return np.minimum(_samples(scaled, 0, np.uint16), _PEAK)


def is_rgb(frame: av.VideoFrame) -> bool:
    return frame.format.is_rgb or frame.format.has_palette


def is_full_range(frame: av.VideoFrame) -> bool:
    """Whether samples use the full range; untagged gray does, as in swscale."""
    name = frame.format.name
    gray = name.startswith(_GRAY) and frame.color_range != _LIMITED
    return frame.color_range == _FULL or name.startswith("yuvj") or gray


def planes_from_frame(frame: av.VideoFrame) -> Planes:
    """`Planes` of a frame of any pixel format: RGB as `rgb_matrix`, limited range."""
    name = frame.format.name
    if name in ("yuv420p", "yuvj420p", "yuva420p"):
        y, u, v = (
            _samples(frame, index, np.uint8).astype(np.uint16) << np.uint16(2) for index in range(3)
        )
        return y, u, v
    if name == "yuv420p10le":
        y, u, v = (_samples(frame, index, np.uint16).copy() for index in range(3))
        return y, u, v
    if name == "gray":
        shape = ((frame.height + 1) // 2, (frame.width + 1) // 2)
        u, v = (np.full(shape, _NEUTRAL, np.uint16) for _ in range(2))
        return _samples(frame, 0, np.uint8).astype(np.uint16) << np.uint16(2), u, v
    if is_rgb(frame):
        matrix = _swscale_matrix(rgb_matrix(frame.height))
        converted = frame.reformat(
            format="yuv420p10le",
            dst_colorspace=matrix,
            dst_color_range=_LIMITED,
            interpolation=_SCALER,
            threads=1,
        )
    else:
        span = _FULL if is_full_range(frame) or name.startswith(_GRAY) else _LIMITED
        converted = frame.reformat(
            format="yuv420p10le",
            src_colorspace=_BT601,
            dst_colorspace=_BT601,
            src_color_range=span,
            dst_color_range=span,
            interpolation=_SCALER,
            threads=1,
        )
    return planes_from_frame(converted)


def checksum(frame: av.VideoFrame) -> int:
    """CRC-32 of every fourth line of the first plane."""
    plane, kind = frame.planes[0], frame.format
    bits = 8 * -(-kind.components[0].bits // 8) if kind.is_planar else kind.padded_bits_per_pixel
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
    return zlib.crc32(lines[::4, : -(-plane.width * bits // 8)].tobytes())


def frame_from_planes(
    planes: Planes, bit_depth: int, again: av.VideoFrame | None = None
) -> av.VideoFrame:
    """A frame in `yuv420p` (rounded) or `yuv420p10le`; `again`: a like one to overwrite."""
    height, width = planes[0].shape
    frame = again or av.VideoFrame(width, height, "yuv420p" if bit_depth == 8 else "yuv420p10le")
    frame.make_writable()
    for index, plane in enumerate(planes):
        samples = to_eight_bits(plane) if bit_depth == 8 else plane
        _samples(frame, index, samples.dtype.type)[:] = samples
    return frame


def samples_of(planes: Planes, bit_depth: int) -> bytes:
    """A frame as planar samples, one after the other: 8 bits, or 10 bits in two bytes."""
    samples = [to_eight_bits(plane) if bit_depth == 8 else plane for plane in planes]
    return b"".join(plane.tobytes() for plane in samples)


def to_eight_bits(plane: Plane) -> NDArray[np.uint8]:
    """10-bit samples rounded to 8 bits (half up)."""
    rounded = np.minimum(plane, 1021)
    rounded += 2
    rounded >>= 2
    return rounded.astype(np.uint8)


def tag_colour(target: av.VideoFrame | av.VideoCodecContext, colour: Colour) -> None:
    """Say range and code points of H.273."""
    target.color_range = _FULL if colour.full_range else _LIMITED
    target.colorspace, target.color_primaries = colour.matrix, colour.primaries
    target.color_trc = colour.transfer


def planes_from_rgb(rgb: Picture, colour: Colour | None = None) -> Planes:
    """`Planes` of (H, W, 3) uint8, or uint16 of 10 bits: as `colour` says (an unspecified matrix is
    `rgb_matrix(H)`), by default in limited range with chroma location 1."""
    kind = "gbrp10le" if rgb.dtype == np.uint16 else "rgb24"
    frame = av.VideoFrame.from_ndarray(
        cast("NDArray[np.uint8]", np.ascontiguousarray(rgb)), format=kind
    )
    if colour is None:
        return planes_from_frame(frame)
    converted = frame.reformat(
        format="yuv420p10le",
        dst_colorspace=_swscale_matrix(matrix_of(colour, rgb.shape[0])),
        dst_color_range=_FULL if colour.full_range else _LIMITED,
        interpolation=_SCALER,
        threads=1,
    )
    return move_chroma(planes_from_frame(converted), CENTRE, colour.chroma_location)


def rgb_from_planes(planes: Planes, colour: Colour) -> NDArray[np.uint8]:
    """Image (H, W, 3) uint8. An unspecified matrix is `rgb_matrix(H)`."""
    return cast("NDArray[np.uint8]", _rgb_frame(planes, colour, "rgb24").to_ndarray())


def rgb10_from_planes(planes: Planes, colour: Colour) -> NDArray[np.uint16]:
    """The same as uint16 of 10 bits, 0…1023."""
    return cast("NDArray[np.uint16]", _rgb_frame(planes, colour, "gbrp10le").to_ndarray())


def rgb_reader(bit_depth: int) -> Callable[[Planes, Colour], Picture]:
    """Images of 8 or 10 bits. Raises `UsageError`."""
    if bit_depth not in (8, 10):
        raise UsageError(f"bit_depth is 8 (uint8) or 10 (uint16, 0…{_PEAK}), not {bit_depth}")
    return rgb_from_planes if bit_depth == 8 else rgb10_from_planes


def _rgb_frame(planes: Planes, colour: Colour, kind: str) -> av.VideoFrame:
    # swscale takes chroma to stand between four luma samples, going in and coming out.
    frame = frame_from_planes(move_chroma(planes, colour.chroma_location, CENTRE), 10)
    return frame.reformat(
        format=kind,
        src_colorspace=_swscale_matrix(matrix_of(colour, planes[0].shape[0])),
        src_color_range=_FULL if colour.full_range else _LIMITED,
        dst_color_range=_FULL,
        interpolation=_SCALER,
        threads=1,
    )


def matrix_of(colour: Colour, height: int) -> int:
    """CICP matrix of a picture of this height."""
    return colour.matrix if colour.matrix != UNSPECIFIED_COLOUR else rgb_matrix(height)


def rgb_matrix(height: int) -> int:
    """CICP matrix for RGB input: BT.709 for 720 lines and more, else BT.601."""
    return 1 if height >= 720 else 6


def _swscale_matrix(cicp: int) -> int:
    """swscale's name of a CICP matrix; BT.601 for a matrix that it does not have."""
    return _SWSCALE.get(cicp, _BT601)


def converts_matrix(colour: Colour) -> bool:
    """Whether swscale converts these planes by their matrix: it has no YCgCo and no ICtCp."""
    return colour.matrix in _SWSCALE


def _samples(frame: av.VideoFrame, index: int, dtype: type[_Sample]) -> NDArray[_Sample]:
    """View (rows, columns) of a plane without its line padding."""
    plane = frame.planes[index]
    rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
    return rows[:, : plane.width]
