"""Crops for the visual comparison, stored in the runs' JSONs as WebP in base64.

A crop is at most 480×320 luma samples at native resolution, where the source frame has most detail;
its place depends on the source alone, so every codec shows the same spot.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from eval.colour import Picture
from eval.video import Clip, RawVideo

WIDTH, HEIGHT = 480, 320
_STEP = 32
_WIDEST = 960


def crop_box(clip: Clip, index: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the most detailed crop of a source frame, in steps of 32; even
    numbers."""
    luma = clip.raw.planes(index)[0].astype(np.float32)
    height, width = min(HEIGHT, luma.shape[0]), min(WIDTH, luma.shape[1])
    detail = np.abs(np.diff(luma, axis=0))[:, :-1] + np.abs(np.diff(luma, axis=1))[:-1]
    # The root keeps one hard edge from outweighing a textured area.
    total = np.pad(np.sqrt(detail), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    best, place = -1.0, (0, 0)
    for top in range(0, luma.shape[0] - height + 1, _STEP):
        for left in range(0, luma.shape[1] - width + 1, _STEP):
            bottom, right = (
                min(top + height, total.shape[0] - 1),
                min(left + width, total.shape[1] - 1),
            )
            score = float(
                total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
            )
            if score > best:
                best, place = score, (top, left)
    return (*place, height, width)


def crop(video: RawVideo, clip: Clip, index: int) -> dict[str, Any]:
    """One crop of `video` (the clip's own samples or a decode of them): frame, box and WebP
    data."""
    top, left, height, width = crop_box(clip, index)
    rgb = clip.rgb(video.planes(index))[:, top : top + height, left : left + width]
    return {"frame": index, "box": [top, left, height, width], "webp": _webp(rgb)}


def _webp(rgb: Picture) -> str:
    """In base64, no wider than `_WIDEST`."""
    from PIL import Image

    data = io.BytesIO()
    picture = Image.fromarray(np.rint(255 * rgb).astype(np.uint8).transpose(1, 2, 0))
    picture.thumbnail((_WIDEST, _WIDEST))
    picture.save(data, "WEBP", quality=90, method=2)
    return base64.b64encode(data.getvalue()).decode()
