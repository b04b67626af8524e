"""Random access to the frames of a stream, by the interface of torchcodec and decord. In: a stream
and frame numbers or times. Out: arrays or tensors.

    video = gvcodec.open("out.bin")
    len(video), video[7], video[-1], video[10:40:3]   # (H, W, 3), (N, H, W, 3) uint8 RGB
    video.get_frames_at([3, 90, 4])            # with their times
    video.get_frames_played_at([1.5])
    video.metadata.duration_seconds

Only GOPs that hold wanted frames are decoded, reading in order is as fast as from the start, and
frames equal sequential decoding. Between calls one decoder stays open and nothing else: hundreds of
videos can be open at once.
"""

from gvcodec.video.frames import Frame, FrameBatch, Metadata
from gvcodec.video.video import Video

__all__ = ["Frame", "FrameBatch", "Metadata", "Video"]
