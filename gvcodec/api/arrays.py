"""Arrays, tensors and PIL pictures to frames. Layouts: (H, W, 3) or (3, H, W), one picture or a
whole video; uint8, uint16 of 10 bits (0…1023) or floats in 0…1; NumPy, PyTorch or anything that
NumPy can read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import UsageError
from gvcodec.media.planes import planes_from_rgb
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.psnr import PEAK

if TYPE_CHECKING:
    import torch

    Image: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.floating] | torch.Tensor

Frame: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16] | Planes"
_KINDS = "an array or tensor (H, W, 3) or (3, H, W), a picture of PIL or three planes"
#: Floats may be off by rounding: half a step of 8 bits.
_SLACK = 0.5 / 255


def frames_of(given: Any) -> Iterator[Frame]:
    """The frames of a video: an array (T, H, W, 3), (T, 3, H, W) or (3, T, H, W), a single picture,
    or anything that gives one picture after another. Raises `UsageError`."""
    if isinstance(given, str | bytes):
        raise UsageError("frames are pictures; encode_file takes the name of a video")
    if not _is_array(given):
        if not isinstance(given, Iterable) or _is_picture(given):
            given = [given]
        return map(frame_of, given)
    if given.ndim == 3:
        return iter([frame_of(given)])
    if given.ndim != 4:
        raise UsageError(f"a video is (T, H, W, 3) or (T, 3, H, W), not {_shape(given)}")
    if 3 not in (given.shape[1], given.shape[3]) and given.shape[0] == 3:
        given = given.swapaxes(0, 1)
    return map(frame_of, given)


def frame_of(given: Any) -> Frame:
    """One picture as (H, W, 3) uint8 or uint16, or the `Planes` that were given. Raises
    `UsageError`."""
    if _is_picture(given):
        return np.asarray(given.convert("RGB"))
    if isinstance(given, tuple | list) and len(given) == 3 and not np.isscalar(given[0]):
        return cast(Planes, given)
    if not _is_array(given):
        raise UsageError(f"a frame is {_KINDS}, not {type(given).__name__}")
    array = _to_numpy(given)
    if array.ndim != 3 or 3 not in (array.shape[0], array.shape[2]) or 0 in array.shape:
        raise UsageError(f"a frame is {_KINDS}, uint8, uint16 or 0…1, not {_shape(array)}")
    if array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    if array.dtype == np.uint16:
        _check_ten_bits(array)
    elif array.dtype != np.uint8:
        array = _to_bytes(array)
    return np.ascontiguousarray(array)


def planes_of(frame: Frame, fmt: VideoFormat) -> Planes:
    """The planes that are coded. Raises `UsageError` for a picture of more bits than the format
    has."""
    if not isinstance(frame, np.ndarray):
        return frame
    if frame.dtype == np.uint16 and fmt.bit_depth == 8:
        raise UsageError("a uint16 picture has 10 bits, the video has 8")
    return planes_from_rgb(frame, fmt.colour)


def _is_array(given: Any) -> bool:
    return hasattr(given, "ndim") and hasattr(given, "dtype") and hasattr(given, "shape")


def _is_picture(given: Any) -> bool:
    return type(given).__module__.startswith("PIL.")


def _to_numpy(given: Any) -> NDArray[Any]:
    """Tensors on whatever device too."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = given.float() if given.is_floating_point() else given
        return cast(NDArray[Any], given.numpy())
    return np.asarray(given)


def _to_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Floats from 0 to 1 as uint8."""
    if not np.issubdtype(array.dtype, np.floating):
        raise UsageError(f"a frame is uint8, uint16 or floats from 0 to 1, not {array.dtype}")
    low, high = float(array.min()), float(array.max())
    if not (-_SLACK <= low and high <= 1 + _SLACK):
        raise UsageError(f"a frame is uint8, or floats from 0 to 1, not from {low:g} to {high:g}")
    return np.round(255 * np.clip(array, 0, 1)).astype(np.uint8)


def _check_ten_bits(array: NDArray[np.uint16]) -> None:
    if (high := int(array.max())) > PEAK:
        raise UsageError(
            f"a uint16 picture holds 10 bits, 0…{PEAK}, not up to {high}; shift 16 bits right by 6"
        )


def _shape(array: Any) -> str:
    return f"{tuple(array.shape)} {str(array.dtype).removeprefix('torch.')}"
