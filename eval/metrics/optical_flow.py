"""tOF: how far the optical flow of a decoded video is from that of its source.

Chu, Xie, Mayer, Leal-Taixé, Thuerey, "Learning Temporal Coherence via Self-Supervision for
GAN-based Video Generation" (SIGGRAPH 2020; arXiv 1811.09393), with Farneback's flow and the
parameters of that paper's evaluation:

    tOF(t) = mean over samples of |flow(decoded_(t-1), decoded_t) - flow(source_(t-1), source_t)|

in samples a frame, on luma. Flow comes from OpenCV (package `opencv-python-headless`).
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Pyramid scale, levels, window, iterations, neighbourhood, its sigma, flags.
_FARNEBACK = (0.5, 3, 15, 3, 5, 1.2, 0)


def missing_opencv() -> str:
    """Why tOF cannot be measured here, "" if it can."""
    if importlib.util.find_spec("cv2") is None:
        return "OpenCV is not installed (pip install opencv-python-headless)"
    return ""


def flow(before: NDArray[Any], frame: NDArray[Any], depth: int) -> NDArray[np.float32]:
    """Flow between two (H, W) luma planes of `depth` bits, (H, W, 2) in samples."""
    import cv2

    levels = [(plane >> (depth - 8)).astype(np.uint8) for plane in (before, frame)]
    vectors = cv2.calcOpticalFlowFarneback(*levels, None, *_FARNEBACK)
    return np.asarray(vectors, np.float32)


def flow_difference(decoded: NDArray[np.float32], source: NDArray[np.float32]) -> float:
    """Mean length of the difference of two flows, in samples."""
    return float(np.hypot(*np.moveaxis(decoded - source, -1, 0)).mean())
