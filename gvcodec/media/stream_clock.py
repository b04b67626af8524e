"""What a stream says of its clock: whether it has times at all, its frame rate, when it ends."""

from __future__ import annotations

from fractions import Fraction

import av

from gvcodec.media.inputs import DEFAULT_RATE
from gvcodec.media.timeline import may_jump

_MAX_RATE = 1000
#: FFmpeg's mark of kinds of files without timestamps, and names of more of them.
_NO_TIMESTAMPS = 128
_UNTIMED = ("h264", "hevc", "vvc", "obu", "m4v", "mpegvideo", "mjpeg", "image2", "yuv4mpegpipe")


def has_timestamps(container: av.container.InputContainer) -> bool:
    """Whether files of this kind have times of their own."""
    return (
        not int(container.format.flags) & _NO_TIMESTAMPS and container.format.name not in _UNTIMED
    )


def rate_of_stream(stream: av.VideoStream) -> Fraction:
    """Frames a second, nominally."""
    for rate in (stream.guessed_rate, stream.average_rate, stream.base_rate):
        if rate and 0 < rate <= _MAX_RATE:
            return Fraction(rate)
    # A clock may pass for a rate, but not where frames are counted: a high-speed camera.
    counted = stream.average_rate if stream.frames > 1 else None
    return Fraction(counted) if counted and counted > 0 else DEFAULT_RATE


def end_of_track(stream: av.VideoStream, last: av.Packet | None, step: Fraction) -> int:
    """When an MP4 track ends, in ticks, if its packet decoded last says that a frame stays longer
    than `step`: that is not the frame shown last where there are B frames. Else 0."""
    length = stream.duration
    is_mp4 = stream.container.format.name.startswith("mov")
    if last is None or not is_mp4 or length is None or (last.duration or 0) <= step * 3 / 2:
        return 0
    return (stream.start_time or 0) + length


def ends_before_another(
    container: av.container.InputContainer, stream: av.VideoStream, last: av.Packet | None
) -> bool:
    """Whether another video of a transport stream begins where this one ends with packet `last`:
    its number may change within a recording."""
    if last is None or last.pts is None or not may_jump(container):
        return False
    others = (
        other.start_time * other.time_base
        for other in container.streams.video
        if other is not stream and other.start_time is not None and other.time_base
    )
    # Where a stream begins may be a time of decoding.
    end = last.pts * last.time_base
    return any(begin >= end for begin in others)
