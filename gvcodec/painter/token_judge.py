"""Judges pictures that tokens steer, by a small network of VGG16's form that was distilled from
LPIPS on VGG16 and on AlexNet. It is written in NumPy, so that encoders need no torch; the search
descends along the gradient of the same network in `perceptual.vgg`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import MediaError
from gvcodec.models import TOKEN_METRIC, read_arrays
from gvcodec.painter.token_trial import Window
from gvcodec.types import Plane, Planes, VideoFormat
from gvcodec.util.colour import known_colour, red_green_blue

Floats = NDArray[np.float32]
#: The convolutions of each stage, by their numbers in the file. Between stages maps are pooled.
_STAGES = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
#: Mean and deviation of R, G and B that the network expects.
_MEAN = np.array((0.485, 0.456, 0.406), np.float32)
_DEVIATION = np.array((0.229, 0.224, 0.225), np.float32)
#: About how many positions are convolved at once: what they are made of stays in the cache.
_POSITIONS_PER_BATCH = 1024
#: Taps of pooling, both ways.
_HANN = (0.25, 0.5, 0.25)


class MetricNetwork:
    """Raises `MediaError` for a file that is no such network."""

    def __init__(self, path: Path) -> None:
        try:
            arrays, _ = read_arrays(path)
            arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
            self._convolutions = [
                [
                    (
                        _by_rows(arrays[f"features.{number}.weight"]),
                        arrays[f"features.{number}.bias"],
                    )
                    for number in stage
                ]
                for stage in _STAGES
            ]
            #: What differences of the channels of a stage weigh.
            self._weights = [arrays[f"lin{n}.weight"].reshape(-1) for n in range(len(_STAGES))]
            self.distance(*2 * [self.maps(np.zeros((16, 16, 3), np.float32))])
        except (OSError, KeyError, ValueError) as error:
            raise MediaError(
                f"{path}: not a network that judges ({error})", code="not-a-model"
            ) from None

    def maps(self, picture: Floats) -> list[Floats]:
        """What is compared, of a picture (H, W, 3), RGB in 0…1: a map (h, w, channels) a stage,
        each position of length 1."""
        x = (picture - _MEAN) / _DEVIATION
        maps = []
        for number, stage in enumerate(self._convolutions):
            if number:
                x = _pool(x)
            for weight, bias in stage:
                x = _convolve(x, weight, bias)
            maps.append(x / np.sqrt(np.square(x).sum(2, keepdims=True) + np.float32(1e-10)))
        return maps

    def distance(self, picture: Sequence[Floats], source: Sequence[Floats]) -> float:
        """Between the maps of two pictures of one size: 0 where they are equal."""
        return sum(
            float((np.square(one - other) @ weight).mean())
            for one, other, weight in zip(picture, source, self._weights, strict=True)
        )


class PerceptualMetric:
    """`token_trial.WindowMetric` by that network. Raises `WrongModelError` where it is missing."""

    def __init__(self, fmt: VideoFormat) -> None:
        self._network = MetricNetwork(TOKEN_METRIC.find())
        self._colour = known_colour(fmt.colour, fmt.height)
        self._bit_depth = fmt.bit_depth

    def distances(
        self, source: Planes, painted_frames: Sequence[Planes], windows: Sequence[Window]
    ) -> NDArray[np.float64]:
        """Of each painted picture by window, (pictures, windows), as they are given out; one window
        at a time, whose maps take about 40 MB."""
        displayed = [self._displayed(planes) for planes in painted_frames]
        distances = np.zeros((len(painted_frames), len(windows)))
        for column, window in enumerate(windows):
            reference = self._network.maps(self._cut(source, window))
            for number, planes in enumerate(displayed):
                maps = self._network.maps(self._cut(planes, window))
                distances[number, column] = self._network.distance(maps, reference)
        return distances

    def _displayed(self, planes: Planes) -> Planes:
        if self._bit_depth != 8:
            return planes
        y, u, v = (np.minimum((plane + 2) >> 2, 255) << 2 for plane in planes)
        return y, u, v

    def _cut(self, planes: Planes, window: Window) -> Floats:
        """RGB of a window, (H, W, 3)."""
        top, left, height, width = window
        rows, columns = slice(top, top + height), slice(left, left + width)
        half = slice(top // 2, (top + height) // 2), slice(left // 2, (left + width) // 2)
        u, v = (_double(_double(_unit(plane[half]), 0), 1) for plane in planes[1:])
        rgb = red_green_blue(_unit(planes[0][rows, columns]), u, v, self._colour)
        picture: Floats = np.stack(rgb, 2).astype(np.float32)
        return picture


def _unit(plane: Plane) -> Floats:
    """Ten bits as 0…1."""
    return plane.astype(np.float32) / np.float32(1023)


def _by_rows(weight: Floats) -> Floats:
    """Weights (out, in, 3, 3) as one matrix for each row of taps, (3, 3 · in, out)."""
    return np.ascontiguousarray(weight.transpose(2, 3, 1, 0).reshape(3, -1, len(weight)))


def _convolve(x: Floats, weight: Floats, bias: Floats) -> Floats:
    """A map (H, W, in), convolved 3×3 by `_by_rows` with zeros around, and its positive part."""
    height, width, channels = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    result = np.empty((height, width, len(bias)), np.float32)
    step = max(1, _POSITIONS_PER_BATCH // width)
    for top in range(0, height, step):
        rows = padded[top : top + step + 2]
        # Each position with its neighbours to the left and right.
        wide = np.concatenate([rows[:, :-2], rows[:, 1:-1], rows[:, 2:]], 2)
        count = len(rows) - 2
        taps = (wide[tap : tap + count].reshape(-1, 3 * channels) for tap in range(3))
        sums, *others = (part @ matrix for part, matrix in zip(taps, weight, strict=True))
        for other in (*others, bias):
            sums += other
        np.maximum(sums.reshape(count, width, -1), 0, out=result[top : top + count])
    return result


def _pool(x: Floats) -> Floats:
    """At half size, the root of Hann-weighted means of squares, zeros around."""
    square = np.pad(np.square(x), ((1, 1), (1, 1), (0, 0)))
    height, width = x.shape[:2]
    down = _HANN[0] * square[0:height:2]
    down += _HANN[1] * square[1 : height + 1 : 2]
    down += _HANN[2] * square[2 : height + 2 : 2]
    result = _HANN[0] * down[:, 0:width:2]
    result += _HANN[1] * down[:, 1 : width + 1 : 2]
    result += _HANN[2] * down[:, 2 : width + 2 : 2]
    return np.sqrt(result + np.float32(1e-12))


def _double(plane: Floats, axis: int) -> Floats:
    """Twice as long along an axis, linear between samples, edges repeated."""
    x = np.moveaxis(plane, axis, 0)
    before, after = np.concatenate([x[:1], x[:-1]]), np.concatenate([x[1:], x[-1:]])
    both = np.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], 1)
    result: Floats = np.moveaxis(both.reshape(-1, *x.shape[1:]), 0, axis).astype(np.float32)
    return result
