"""Frames to streams: arrays, tensors, pictures, planes.

`encode` gives bytes; `gvcodec.api.decoded_frames` is the way back. Frame by frame: `Encoder`.
Pictures are (H, W, 3) or (3, H, W), one or a whole video of them, of NumPy, PyTorch, PIL or any
other type that NumPy reads.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeAlias, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from gvcodec.api.job import make_config
from gvcodec.bitstream.attachments import Attachment
from gvcodec.bitstream.metadata import Metadata
from gvcodec.codec.encode_stream import encode_source
from gvcodec.codec.encoder import Encoder
from gvcodec.codec.fidelity import PEAK
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.planes import CENTRE, planes_from_rgb, rgb_matrix
from gvcodec.source.reader import Frame as TimedFrame
from gvcodec.source.sound_source import SoundSource
from gvcodec.tracks.copier import TrackCopier
from gvcodec.types import Colour, Planes, VideoFormat
from gvcodec.util.options import list_options, name_keywords, split_options

if TYPE_CHECKING:
    import torch

    from gvcodec.keywords import EncodeOptions

    Image: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.floating] | torch.Tensor


#: A file, or samples.
Sound: TypeAlias = "str | os.PathLike[str] | BinaryIO | NDArray[Any] | torch.Tensor"
Frame: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16] | Planes"
_KINDS = "an array or tensor (H, W, 3) or (3, H, W), a picture of PIL or three planes"
#: Floats may be off by rounding: half a step of 8 bits.
_SLACK = 0.5 / 255
#: Largest denominator of a frame rate that is given as a float.
_MOST_PARTS = 1_000_000


def are_frames(value: Any) -> bool:
    """Whether this is meant as frames, not as a video file or its name."""
    if isinstance(value, str | bytes | bytearray | memoryview | os.PathLike):
        return False
    return (
        _is_array(value)
        or _is_picture(value)
        or isinstance(value, Iterable)
        and (not hasattr(value, "read"))
    )


def frames_of(value: Any) -> Iterator[Frame]:
    """The frames of a video: an array (T, H, W, 3), (T, 3, H, W) or (3, T, H, W), a single picture,
    or anything that gives one picture after another. Raises `UsageError`."""
    if isinstance(value, str | bytes):
        raise UsageError(
            "frames are pictures; encode_file takes the name of a video", code="frame-shape"
        )
    if not _is_array(value):
        if not isinstance(value, Iterable) or _is_picture(value):
            value = [value]
        return map(frame_of, value)
    if value.ndim == 3:
        return iter([frame_of(value)])
    if value.ndim != 4:
        raise UsageError(
            f"a video is (T, H, W, 3) or (T, 3, H, W), not {_shape(value)}", code="frame-shape"
        )
    if 3 not in (value.shape[1], value.shape[3]) and value.shape[0] == 3:
        value = value.swapaxes(0, 1)
    return map(frame_of, value)


def frame_of(value: Any) -> Frame:
    """One picture as (H, W, 3) uint8 or uint16, or the `Planes` that were given. Raises
    `UsageError`."""
    if _is_picture(value):
        return _read_picture(value)
    if isinstance(value, tuple | list) and len(value) == 3 and not np.isscalar(value[0]):
        return cast(Planes, value)
    if not _is_array(value):
        raise UsageError(f"a frame is {_KINDS}, not {type(value).__name__}", code="frame-shape")
    array = _to_numpy(value)
    if array.ndim != 3 or 3 not in (array.shape[0], array.shape[2]) or 0 in array.shape:
        raise UsageError(
            f"a frame is {_KINDS}, uint8, uint16 or 0…1, not {_shape(array)}", code="frame-shape"
        )
    if array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    if array.dtype.newbyteorder("=") == np.uint16:
        # Readers of FITS, TIFF and DICOM give the byte order of the file.
        array = array.astype(np.uint16, copy=False)
        if (high := int(array.max())) > PEAK:
            raise UsageError(
                f"a uint16 picture holds 10 bits, 0…{PEAK}, not up to {high}; shift 16 bits right "
                "by 6",
                code="frame-shape",
            )
    elif array.dtype != np.uint8:
        array = _to_bytes(array)
    return np.ascontiguousarray(array)


def planes_of(frame: Frame, fmt: VideoFormat) -> Planes:
    """The planes that are coded. Raises `UsageError` for a picture of more bits than the format
    has."""
    if not isinstance(frame, np.ndarray):
        return frame
    if frame.dtype == np.uint16 and fmt.bit_depth == 8:
        raise UsageError("a uint16 picture has 10 bits, the video has 8", code="frame-shape")
    return planes_from_rgb(frame, fmt.colour)


def _is_array(value: Any) -> bool:
    return hasattr(value, "ndim") and hasattr(value, "dtype") and hasattr(value, "shape")


def _is_picture(value: Any) -> bool:
    return type(value).__module__.startswith("PIL.")


#: Modes of PIL for 16-bit gray: `convert` would clip them to white. "I" has 32 bits, and is what
#: older releases give for such files.
_GRAY = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_MOST_GRAY = 65535


def _read_picture(picture: Any) -> NDArray[np.uint8]:
    """A picture of PIL in RGB; 16-bit gray is scaled, as in files. Raises `UsageError` for gray
    beyond 16 bits and for floats outside 0 to 1."""
    if picture.mode == "F":
        gray = _to_bytes(np.asarray(picture))
    elif picture.mode in _GRAY:
        values = np.asarray(picture).astype(np.int64)
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > _MOST_GRAY:
            raise UsageError(
                f"a gray picture has 16 bits, 0…{_MOST_GRAY}, not {low} to {high}",
                code="frame-shape",
            )
        gray = ((values * 255 + _MOST_GRAY // 2) // _MOST_GRAY).astype(np.uint8)
    else:
        return np.asarray(picture.convert("RGB"))
    return np.repeat(gray[..., None], 3, axis=2)


def _to_numpy(value: Any) -> NDArray[Any]:
    """Also tensors on any device."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() else value
        return cast(NDArray[Any], value.numpy())
    return np.asarray(value)


def _to_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Floats from 0 to 1 as uint8."""
    if not np.issubdtype(array.dtype, np.floating):
        raise UsageError(
            f"a frame is uint8, uint16 or floats from 0 to 1, not {array.dtype}", code="frame-shape"
        )
    low, high = float(array.min()), float(array.max())
    if not (-_SLACK <= low and high <= 1 + _SLACK):
        raise UsageError(
            f"a frame is uint8, or floats from 0 to 1, not from {low:g} to {high:g}",
            code="frame-shape",
        )
    return np.round(255 * np.clip(array, 0, 1)).astype(np.uint8)


def _shape(array: Any) -> str:
    return f"{tuple(array.shape)} {str(array.dtype).removeprefix('torch.')}"


@list_options(EncoderConfig)
@name_keywords(EncoderConfig)
def encode(
    frames: Image | Iterable[Image | Planes],
    *,
    frame_rate: Fraction | float = 30,
    format: VideoFormat | str | None = None,
    sound: Sound | None = None,
    sound_rate: int | None = None,
    config: EncoderConfig | None = None,
    **options: Unpack[EncodeOptions],
) -> bytes:
    """Encode frames, all of one size, to the bytes of a gvcodec file.

    `frames`: RGB pictures (H, W, 3) or (3, H, W), uint8, uint16 of 10 bits (0…1023) or floats
    0…1, as arrays, tensors on any device or pictures of PIL, or `Planes`; one, several, or an array
    (T, H, W, 3), (T, 3, H, W) or (3, T, H, W). `format` says more of them: bits and colour of
    `Planes` (default: 8 bits, colour not specified), and which colour pictures are coded in, as
    `Colour(9, 16, 9)` for HDR. `sound`: a file, whose sound is copied, or samples (T,), (C, T) or
    (T, C), floats from -1 to 1, int16 or int32, with `sound_rate` of them a second, coded as Opus
    of 24 kb/s a channel. Either `config`, or fields of `EncoderConfig` by name
    (`q=40, base="av1", fit=0`). `encode_file` writes the same to a file while frames come. Raises
    `UsageError`, and `MediaError` for sound that cannot be read.
    """
    given: dict[str, Any] = {**options}
    if isinstance(format, str):
        given["format"], format = format, None
    (fields,) = split_options(given, EncoderConfig)
    settings, stream = make_config(config, fields), io.BytesIO()
    with ImageSource(frames, frame_rate, format, sound, sound_rate) as source:
        encode_source(source, source, Encoder(source.format, settings), stream)
    return stream.getvalue()


class ImageSource:
    """Frames of a program, with `sound`, as a `gvcodec.codec.encode_stream.VideoSource`.

    `max_frames`: at most so many. `expected_frames`: their number, None while unknown. Raises
    `UsageError`, `MediaError`."""

    start_pts = 0
    end: int | None = None
    incomplete = ""
    metadata = Metadata()
    attachments: Sequence[Attachment] = ()

    def __init__(
        self,
        frames: Any,
        frame_rate: Fraction | float = 30,
        format: VideoFormat | None = None,
        sound: Sound | None = None,
        sound_rate: int | None = None,
        max_frames: int | None = None,
    ) -> None:
        self.notes: list[str] = []
        remaining = itertools.islice(frames_of(frames), max_frames)
        first = next(remaining, None)
        if first is None:
            raise UsageError("there is no frame to encode", code="no-frames")
        self.format = format or _format_of(first, _rate(frame_rate))
        self._frames = itertools.chain([first], remaining)
        limits = [max_frames] if max_frames is not None else []
        limits += [len(frames)] if isinstance(frames, list | tuple) else []
        self.expected_frames = min(limits, default=None)
        if sound is None and sound_rate is not None:
            raise UsageError("sound_rate goes with sound", code="option-conflict")
        if isinstance(sound, np.ndarray):
            # WAV and FITS readers give the byte order of the file.
            sound = sound.astype(sound.dtype.newbyteorder("="), copy=False)
        self._sound = None if sound is None else SoundSource(sound, sound_rate)
        self.tracks: TrackCopier | None = self._sound.tracks if self._sound is not None else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        if self._sound is not None:
            self._sound.close()

    def __iter__(self) -> Iterator[TimedFrame]:
        period = 1 / self.format.frame_rate / self.format.time_base
        for number, frame in enumerate(self._frames):
            if self._sound is not None:
                self._sound.copy((number + 1) / self.format.frame_rate)
            yield TimedFrame(planes_of(frame, self.format), round(number * period))
        if self._sound is not None:
            self._sound.copy(None)


def _rate(frame_rate: Fraction | float) -> Fraction:
    try:
        if isinstance(frame_rate, np.floating):
            # A float32 is not the number that was meant, but its shortest decimals are.
            return Fraction(str(frame_rate)).limit_denominator(_MOST_PARTS)
        return Fraction(frame_rate).limit_denominator(_MOST_PARTS)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(
            f"a frame rate of {frame_rate} is not possible", code="option-value"
        ) from None


def _format_of(frame: Frame, frame_rate: Fraction) -> VideoFormat:
    if frame_rate <= 0:
        raise UsageError(f"a frame rate of {frame_rate} is not possible", code="option-value")
    height, width = (frame if isinstance(frame, np.ndarray) else frame[0]).shape[:2]
    rgb = isinstance(frame, np.ndarray)
    colour = Colour(matrix=rgb_matrix(height), chroma_location=CENTRE) if rgb else Colour()
    ten_bits = isinstance(frame, np.ndarray) and frame.dtype == np.uint16
    return VideoFormat(width, height, frame_rate, 1 / frame_rate, 10 if ten_bits else 8, colour)
