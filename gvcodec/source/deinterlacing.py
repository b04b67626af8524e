"""Deinterlaces video: frames in, as many progressive frames out, by FFmpeg's filter `bwdif`.

Frames that are not marked as interlaced stay as they are. The filter looks at the frames before and
after each. Raises `MediaError`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

import av
import av.filter

from gvcodec.errors import MediaError
from gvcodec.source.side_data import make_filter

_T = TypeVar("_T")
#: One frame for each, and only where it is marked: progressive parts stay sharp.
_SETTINGS = "mode=send_frame:deint=interlaced"


def deinterlace(
    frames: Iterable[tuple[av.VideoFrame, _T]], name: str, notes: list[str]
) -> Iterator[tuple[av.VideoFrame, _T]]:
    """The frames of the video `name`, each with its side data. Another size or sample format
    starts a new filter. A line goes to `notes` where no frame is marked."""
    waiting = deque[_T]()
    graph: av.filter.Graph | None = None
    kind: tuple[int, int, str] | None = None
    is_marked = False
    try:
        for frame, facts in frames:
            is_marked = is_marked or bool(frame.interlaced_frame)
            here = (frame.width, frame.height, frame.format.name)
            if here != kind:
                yield from _end(graph, waiting)
                graph, kind = make_filter(frame, "bwdif", _SETTINGS), here
            assert graph is not None
            waiting.append(facts)
            graph.vpush(frame)
            yield from _ready(graph, waiting)
        yield from _end(graph, waiting)
    except av.FFmpegError as error:
        raise MediaError(f"{name}: cannot be deinterlaced: {error}") from error
    if not is_marked:
        notes.append("no frame of the source is marked as interlaced: --deinterlace changes none")


def _end(graph: av.filter.Graph | None, waiting: deque[_T]) -> Iterator[tuple[av.VideoFrame, _T]]:
    if graph is not None:
        graph.vpush(None)
        yield from _ready(graph, waiting)


def _ready(graph: av.filter.Graph, waiting: deque[_T]) -> Iterator[tuple[av.VideoFrame, _T]]:
    """Frames that the filter has finished, in their order."""
    while waiting:
        try:
            frame = graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
        yield frame, waiting.popleft()
