"""Perceptual distance of painted windows from their source, by which tokens are tried: a small
network of VGG16's form that was distilled from LPIPS on VGG16 and on AlexNet. The core computes it
(csrc/token_trial/perceptual_metric.hpp), with the same result on every machine; the search descends
along the gradient of the same network in `perceptual.vgg`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec import _core
from gvcodec.errors import MediaError
from gvcodec.models import TOKEN_METRIC, read_arrays
from gvcodec.painter.tokens.trial import Window
from gvcodec.types import Colour, Planes, VideoFormat
from gvcodec.util.colour import known_colour, red_green_blue

#: The convolutions of each stage by their numbers in the file, with the largest value of their maps
#: that is told from larger ones: 1.0 to 2 times the largest one of 24 training clips. Steps of the
#: maps are in proportion to it; in the first stage, flat areas need fine steps.
_STAGES = (
    ((0, 24.0), (2, 36.0)),
    ((5, 48.0), (7, 96.0)),
    ((10, 72.0), (12, 96.0), (14, 128.0)),
    ((17, 64.0), (19, 48.0), (21, 40.0)),
    ((24, 20.0), (26, 12.0), (28, 5.0)),
)


def open_network(path: Path) -> _core.PerceptualMetric:
    """Raises `MediaError` for a file that is no such network."""
    try:
        arrays, _ = read_arrays(path)
        floats = {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
        stages = [
            (
                [
                    (floats[f"features.{number}.weight"], floats[f"features.{number}.bias"], limit)
                    for number, limit in stage
                ],
                floats[f"lin{n}.weight"].reshape(-1),
            )
            for n, stage in enumerate(_STAGES)
        ]
        return _core.PerceptualMetric(stages)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise MediaError(
            f"{path}: not a perceptual network ({error})", code="not-a-model"
        ) from None


class PerceptualMetric:
    """`trial.WindowMetric` by that network. Raises `WrongModelError` if it is missing."""

    def __init__(self, fmt: VideoFormat, threads: int = 1) -> None:
        self._network = open_network(TOKEN_METRIC.find())
        self._colour = (*_to_rgb(known_colour(fmt.colour, fmt.height)), fmt.bit_depth == 8)
        self._threads = threads

    def distances(
        self, source: Planes, painted: Sequence[Planes], windows: Sequence[Window]
    ) -> NDArray[np.float64]:
        """Distances of painted pictures by window, (pictures, windows), as decoders show them;
        takes about 30 MB a thread."""
        pictures = [_contiguous(planes) for planes in painted]
        return self._network.distances(
            _contiguous(source), pictures, windows, self._colour, self._threads
        )


def _contiguous(planes: Planes) -> Planes:
    y, u, v = (np.ascontiguousarray(plane) for plane in planes)
    return y, u, v


def _to_rgb(colour: Colour) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Offsets of 10-bit Y, U, V (3,), and their factors in R, G and B (3, 3)."""
    black = np.array([0 if colour.full_range else 64, 512, 512]) / 1023
    # R, G and B of black are 0.
    columns = [red_green_blue(y, u, v, colour) for y, u, v in black + np.eye(3)]
    factors = np.array(columns).T / 1023
    return (1023 * black).astype(np.float32), np.ascontiguousarray(factors, np.float32)
