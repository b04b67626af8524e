"""Decoded frames for pages that cannot decode or paint themselves.

    u32 frame   u32 parts   parts × planes        parts 1: the base frame, 2: then the painted one
    u32 size    u32 0       size bytes of UTF-8   an error, the last thing that comes

Planes are Y, U, V as `<u2`, 0…1023, without gaps.
"""

import itertools
import struct
import threading
from collections.abc import Callable, Iterator

from gvcodec.errors import GvcodecError
from gvcodec.types import Planes
from gvcodec.video import Video


class FrameServer:
    """Frames of one stream, for one reader at a time: a new request ends the previous response. A
    second `Video` decodes keyframes for thumbnails. Requests come in threads of their own, and a
    `Video` is an object of one thread: they take turns, a frame each."""

    def __init__(self, video: Video, open_keyframes: Callable[[], Video]) -> None:
        self._video = video
        self._open_keyframes = open_keyframes
        self._keyframes: Video | None = None
        self._turn, self._keyframe_turn = threading.Lock(), threading.Lock()
        self._reader = 0

    def frames(self, first: int, painted: bool) -> Iterator[bytes]:
        """Pieces of the answer, from frame `first` to the last."""
        with self._turn:
            self._reader += 1
            reader = self._reader
            wanted = self._video.decode_range(first, len(self._video))
        try:
            for number in itertools.count(first):
                with self._turn:
                    if reader != self._reader:
                        return
                    frame = next(wanted, None)
                if frame is None:
                    return
                yield struct.pack("<II", number, 1 + painted)
                yield _bytes(frame.base_frame)
                if painted:
                    yield _bytes(frame.planes)
        except (GvcodecError, MemoryError) as error:
            yield _describe(error)

    def keyframe(self, number: int) -> Iterator[bytes]:
        """Pieces of the answer with base frame `number`; none where there is no such frame."""
        try:
            with self._keyframe_turn:
                self._keyframes = video = self._keyframes or self._open_keyframes()
                found = list(video.decode_range(number, min(number + 1, len(video))))
            for frame in found:
                yield struct.pack("<II", number, 1)
                yield _bytes(frame.base_frame)
        except (GvcodecError, MemoryError) as error:
            yield _describe(error)


def _describe(error: Exception) -> bytes:
    text = (str(error) or "out of memory").encode(errors="backslashreplace")
    return struct.pack("<II", len(text), 0) + text


def _bytes(planes: Planes) -> bytes:
    return b"".join(plane.astype("<u2", copy=False).tobytes() for plane in planes)
