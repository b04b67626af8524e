"""A stream as an HLS film: a playlist, the head of its fragmented MP4, segments of at most two
seconds, and a poster.

Segments are decoded, painted and coded when they are asked for: 8-bit H.264, and the sound of
`gvcodec.serve.sound`. Times are seconds after the first picture. Raises `DamagedStreamError`,
`LimitError`, `WrongModelError`, `MediaError`, and the errors of FFmpeg.
"""

from __future__ import annotations

import functools
import io
import math
import os
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer

from gvcodec.codec.decoder import DecodedFrame
from gvcodec.limits import Limits
from gvcodec.planes import frame_from_planes, tag_colour
from gvcodec.serve.sound import SegmentSound, open_sound
from gvcodec.sink.output import tick_of
from gvcodec.util.messages import format_time, log_line
from gvcodec.video import Video

#: Fragments that carry their times, one for each call, without tables at the end of a file.
_MUXER = {
    "movflags": "empty_moov+default_base_moof+frag_custom+frag_discont+skip_trailer+skip_sidx",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
}
#: A segment has one keyframe, in display order: its packets need no second clock.
_ENCODER = {"preset": "veryfast", "bf": "0", "g": "1000000", "sc_threshold": "0"}
#: Seconds of a segment, and of sound after the last picture; columns of a poster.
_MOST, _REST, _POSTER = 2, 60, 640


class Film:
    """`path`: the file that `video` reads. `crf`: quality of x264, 0 best. `open_base` opens the
    base frames once more, for the poster. One thread at a time may ask for segments."""

    def __init__(
        self,
        video: Video,
        path: Path,
        crf: float,
        threads: int,
        limits: Limits,
        open_base: Callable[[], Video],
    ) -> None:
        self.video, self._path, self._open_base = video, path, open_base
        self._crf, self._threads, self._limits = crf, threads, limits
        self._tick, self._stamp = tick_of(video.header.format.time_base), os.stat(path)
        self._poster_lock = threading.Lock()
        #: Whether the segment that was coded last has base frames, because painting was too slow.
        self.is_late = False

    @property
    def is_there(self) -> bool:
        """Whether the file still exists and was not replaced by another one."""
        try:
            return os.path.samestat(os.stat(self._path), self._stamp)
        except OSError:
            return False

    @property
    def segments(self) -> int:
        return len(self._cuts) - 1

    def length(self, number: int) -> float:
        """Seconds of a segment."""
        return float(self._starts[number + 1] - self._starts[number])

    def keyframe(self, number: int) -> int:
        """The frame that the GOP of a segment begins with."""
        keys = self.video.key_frames
        return keys[bisect_right(keys, self._cuts[number]) - 1]

    @functools.cached_property
    def playlist(self) -> bytes:
        """The whole film, so that players can seek."""
        lengths = [float(end - begin) for begin, end in pairwise(self._starts)]
        lines = [
            *("#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-PLAYLIST-TYPE:VOD"),
            f"#EXT-X-TARGETDURATION:{max(1, math.ceil(max(lengths)))}",
            *("#EXT-X-INDEPENDENT-SEGMENTS", '#EXT-X-MAP:URI="init.mp4"'),
            *(f"#EXTINF:{length:.6f},\n{n}.m4s" for n, length in enumerate(lengths)),
            "#EXT-X-ENDLIST\n",
        ]
        return "\n".join(lines).encode()

    @functools.cached_property
    def head(self) -> bytes:
        """The bytes that players read before the first segment."""
        return self._mux(None)

    @functools.cached_property
    def poster(self) -> bytes:
        """JPEG of the base frame at a tenth of the film."""
        with self._poster_lock, self._open_base() as video:
            keys = video.key_frames
            first = keys[len(keys) // 10]
            (frame,) = video.decode_range(first, first + 1)
            picture = self._picture(frame)
            context: Any = av.CodecContext.create("mjpeg", "w")
            scale = min(1, _POSTER / (picture.width * video.header.format.sar))
            width = round(picture.width * video.header.format.sar * scale)
            height = max(2, round(picture.height * scale))
            picture = picture.reformat(
                max(2, width), height, "yuvj420p", src_color_range="MPEG", dst_color_range="JPEG"
            )
            context.width, context.height, context.pix_fmt = picture.width, height, "yuvj420p"
            context.time_base = self._tick
            return b"".join(map(bytes, (*context.encode(picture), *context.encode(None))))

    def segment(
        self, number: int, is_wanted: Callable[[], bool] = lambda: True, due: float = math.inf
    ) -> bytes:
        """Segment `number`, from 0 to `segments` − 1. From `due` on, by `time.monotonic`, frames
        are no longer painted. Raises `ConnectionAbortedError` when it is not wanted any more."""
        return self._mux(number, is_wanted, due)[len(self.head) :]

    @functools.cached_property
    def _cuts(self) -> list[int]:
        """Numbers of the first frames of segments, and the number of frames."""
        video, tick = self.video, self.video.header.format.time_base
        cuts = list[int]()
        for first, stop in pairwise((*video.key_frames, len(video))):
            times = [video.pts_of(frame) * tick for frame in range(first, stop + 1)]
            cuts += [first + cut for cut in split_gop(times, _MOST)]
        return [*cuts, len(video)]

    @functools.cached_property
    def _starts(self) -> list[Fraction]:
        """When each segment begins and the last one ends, with the sound after its pictures."""
        video, tick = self.video, self.video.header.format.time_base
        times = [video.pts_of(frame) * tick for frame in self._cuts]
        starts = [time - times[0] for time in times]
        if self._sound:
            starts[-1] = max(starts[-1], min(self._sound.end, starts[-1] + _REST))
        return starts

    @functools.cached_property
    def _sound(self) -> SegmentSound | None:
        return open_sound(self.video, self._limits)

    def _mux(
        self, number: int | None, is_wanted: Callable[[], bool] = lambda: True, due: float = 0
    ) -> bytes:
        """The head and segment `number`, or the head alone."""
        buffer = io.BytesIO()
        options = _MUXER | {"fragment_index": str((number or 0) + 1)}
        with av.open(buffer, "w", format="mp4", container_options=options) as container:
            pictures = self._add_pictures(container)
            sound = self._sound.add_to(container) if self._sound else None
            container.start_encoding()
            if number is not None:
                packets = self._code(pictures, number, is_wanted, due)
                if self._sound:
                    packets += self._sound.packets(sound, *self._starts[number : number + 2])
                container.mux(packets)
        return buffer.getvalue()

    def _add_pictures(self, container: OutputContainer) -> Any:
        fmt, options = self.video.header.format, _ENCODER | {"crf": f"{self._crf:g}"}
        options["x264-params"] = f"chromaloc={fmt.colour.chroma_location}"
        stream: Any = container.add_stream("libx264", rate=fmt.frame_rate, options=options)
        context = stream.codec_context
        context.width, context.height = fmt.width + fmt.width % 2, fmt.height + fmt.height % 2
        context.pix_fmt, context.thread_count = "yuv420p", self._threads
        context.time_base = stream.time_base = self._tick
        context.sample_aspect_ratio = fmt.sar
        tag_colour(context, fmt.colour)
        return stream

    def _code(
        self, stream: Any, number: int, is_wanted: Callable[[], bool], due: float
    ) -> list[Any]:
        """Coded pictures of a segment. Frames between the keyframe and the segment are painted
        too, because painting has a state."""
        video, fmt = self.video, self.video.header.format
        packets, pts = list[Any](), -1
        first, stop = self._cuts[number : number + 2]
        begin = video.decoding_start(first)
        self.is_late = self.is_late and begin != self.keyframe(number)
        for at, frame in enumerate(video.decode_range(begin, stop), begin):
            # A client that gave up waiting may ask again: a late segment is finished.
            if (at < first or not self.is_late) and not is_wanted():
                raise ConnectionAbortedError
            if video.is_painted and not self.is_late and time.monotonic() > due:
                self._stop_painting(at)
            if at >= first:
                picture = self._picture(frame)
                seconds = (frame.pts - video.pts_of(0)) * fmt.time_base
                pts = max(pts + 1, round(seconds / self._tick))
                picture.pts, picture.time_base = pts, self._tick
                packets += stream.encode(picture)
        packets += stream.encode(None)
        packets[-1].duration = max(1, round(self._starts[number + 1] / self._tick) - pts)
        return packets

    def _stop_painting(self, frame: int) -> None:
        self.is_late = True
        self.video.stop_painting()
        pts = self.video.pts_of(frame) - self.video.pts_of(0)
        seconds = pts * self.video.header.format.time_base
        log_line(
            f"{self.video.name}: painting is too slow at {format_time(float(seconds))}: base "
            "frames up to the next keyframe"
        )

    def _picture(self, frame: DecodedFrame) -> Any:
        """8 bits, 4:2:0. H.264 has no odd sides: the last column and row are repeated."""
        fmt = self.video.header.format
        luma = np.pad(frame.planes[0], ((0, fmt.height % 2), (0, fmt.width % 2)), "edge")
        return frame_from_planes((luma, *frame.planes[1:]), 8)


def split_gop(times: Sequence[Fraction], most: int) -> list[int]:
    """Where parts of at most `most` seconds and about the same length begin; `times` of the frames
    and of the end. A frame that is shown for longer is a part."""
    cuts = [0]
    while True:
        begin = times[cuts[-1]]
        remaining = times[-1] - begin
        target = begin + remaining / max(1, math.ceil(remaining / most))
        cut = bisect_left(times, target, cuts[-1] + 1)
        if times[cut] > begin + most and cut > cuts[-1] + 1:
            cut -= 1
        if cut >= len(times) - 1:
            return cuts
        cuts.append(cut)
