"""The page of a blind comparison: a person sees two clips in hidden order and chooses the better
one.

Every pair of codecs appears twice, with sides exchanged, in random order. Votes are downloaded as
JSON for `python -m eval votes`. Clips are (H, W, 3) uint8 pictures, coded as H.264 without visible
loss; the page needs nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Sequence
from fractions import Fraction
from importlib import resources

import av
import numpy as np
from numpy.typing import NDArray

from gvcodec.compare.page import Row
from gvcodec.errors import UsageError

Picture = NDArray[np.uint8]

#: Format name in the file of votes.
VOTES = "gvcodec-votes-1"
#: Visually lossless quality of x264; few browsers play 4:4:4.
_CRF, _PRESET = "8", "fast"


def write_blind_page(
    name: str, originals: Sequence[Picture], rows: Sequence[Row], frame_rate: Fraction
) -> str:
    """The page for the clips of `rows` and the source. Raises `UsageError` for fewer than two."""
    if len(rows) < 2:
        raise UsageError(
            "a blind comparison needs two codecs; only one has a clip here", code="comparison"
        )
    clips = [_as_video(row.pictures, frame_rate) for row in rows]
    height, width = originals[0].shape[:2]
    data = {
        "format": VOTES,
        "clip": name,
        # Identifies the votes of one page, whatever the file's name.
        "page": hashlib.sha256("".join(clips).encode()).hexdigest()[:16],
        "size": [width, height],
        "source": _as_video(originals, frame_rate),
        "codecs": [
            {"title": row.title, "bytes": sum(row.sizes), "video": clip}
            for row, clip in zip(rows, clips, strict=True)
        ],
    }
    page = resources.files("gvcodec.compare").joinpath("blind.html").read_text(encoding="utf-8")
    parts = {
        "TITLE": html.escape(f"{name}: which looks better?"),
        "DATA": json.dumps(data).replace("<", "\\u003c"),
    }
    for key, value in parts.items():
        page = page.replace(f"<!--{key}-->", value)
    return page


def _as_video(pictures: Sequence[Picture], frame_rate: Fraction) -> str:
    """An MP4 file as a data URI, even sides by repeating the last row and column."""
    height, width = pictures[0].shape[:2]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=frame_rate)
        stream.options = {"crf": _CRF, "preset": _PRESET}
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="itu709")
            frame.colorspace = frame.color_primaries = frame.color_trc = 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return "data:video/mp4;base64," + base64.b64encode(buffer.getvalue()).decode()
