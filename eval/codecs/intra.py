"""Which frames of an elementary stream are coded without reference to others."""

from __future__ import annotations

import io

import av
from av.video.frame import PictureType

from eval.tools import EvalError


def intra_frames(data: bytes, form: str) -> list[int]:
    """Numbers of the intra pictures of a stream in `form` ("h264", "hevc", "vvc" or "obu"), as they
    are shown; of H.266, whose decoder names the types of other pictures, in coding order and as its
    packets are marked. Raises EvalError for a stream without any picture."""
    try:
        with av.open(io.BytesIO(data), format=form) as container:
            if form == "vvc":
                packets = (packet for packet in container.demux(video=0) if packet.size)
                kinds = [packet.is_keyframe for packet in packets]
            else:
                kinds = [f.pict_type == PictureType.I for f in container.decode(video=0)]
    except (av.error.FFmpegError, IndexError):
        kinds = []
    if not kinds:
        raise EvalError(f"no picture in a stream of {form}")
    return [number for number, intra in enumerate(kinds) if intra]
