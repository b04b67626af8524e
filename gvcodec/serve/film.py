"""A stream as an HLS film: a playlist, the head of its fragmented MP4, and a segment for each GOP.

Segments are decoded, painted and coded when they are asked for: 8-bit H.264, and the sound of
`gvcodec.serve.sound`. Times are seconds after the first picture. Raises `DamagedStreamError`,
`LimitError`, `WrongModelError`, `MediaError`.
"""

from __future__ import annotations

import functools
import io
import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import numpy as np
from av.container import OutputContainer

from gvcodec.limits import Limits
from gvcodec.planes import frame_from_planes, tag_colour
from gvcodec.serve.sound import SegmentSound, open_sound
from gvcodec.sink.output import name_errors, tick_of
from gvcodec.video import Video

#: Fragments that carry their times, one for each call, without tables at the end of a file.
_MUXER = {
    "movflags": "empty_moov+default_base_moof+frag_custom+frag_discont+skip_trailer+skip_sidx",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
}
#: A segment is one GOP with one keyframe, in display order: its packets need no second clock.
_ENCODER = {"preset": "veryfast", "bf": "0", "g": "1000000", "sc_threshold": "0"}
#: Seconds of sound after the last picture.
_REST = 60


class Film:
    """`crf`: quality of x264, 0 best. One thread at a time may ask for segments."""

    def __init__(self, video: Video, crf: float, threads: int, limits: Limits) -> None:
        self.video, self.segments = video, len(video.key_frames)
        self._crf, self._threads, self._limits = crf, threads, limits
        self._tick = tick_of(video.header.format.time_base)

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

    def segment(self, number: int) -> bytes:
        """Segment `number`, from 0 to `segments` − 1."""
        return self._mux(number)[len(self.head) :]

    @functools.cached_property
    def _starts(self) -> list[Fraction]:
        """When each GOP begins and the last one ends, with the sound after its pictures."""
        video, tick = self.video, self.video.header.format.time_base
        times = [video.pts_of(frame) * tick for frame in (*video.key_frames, len(video))]
        starts = [time - times[0] for time in times]
        if self._sound:
            starts[-1] = max(starts[-1], min(self._sound.end, starts[-1] + _REST))
        return starts

    @functools.cached_property
    def _sound(self) -> SegmentSound | None:
        return open_sound(self.video, self._limits)

    def _mux(self, number: int | None) -> bytes:
        """The head and segment `number`, or the head alone."""
        buffer = io.BytesIO()
        options = _MUXER | {"fragment_index": str((number or 0) + 1)}
        with (
            name_errors(self.video.name),
            av.open(buffer, "w", format="mp4", container_options=options) as container,
        ):
            pictures = self._add_pictures(container)
            sound = self._sound.add_to(container) if self._sound else None
            container.start_encoding()
            if number is not None:
                packets = self._code(pictures, number)
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

    def _code(self, stream: Any, number: int) -> list[Any]:
        """Coded pictures of a GOP."""
        video, fmt = self.video, self.video.header.format
        packets, pts = list[Any](), -1
        first, stop = [*video.key_frames, len(video)][number : number + 2]
        for frame in video.decode_range(first, stop):
            # H.264 has no odd sides in 4:2:0: the last column and row are repeated.
            more = (0, fmt.height % 2), (0, fmt.width % 2)
            luma = np.pad(frame.planes[0], more, "edge")
            picture = frame_from_planes((luma, *frame.planes[1:]), 8)
            seconds = (frame.pts - video.pts_of(0)) * fmt.time_base
            picture.pts, picture.time_base = max(pts + 1, round(seconds / self._tick)), self._tick
            pts = picture.pts
            packets += stream.encode(picture)
        packets += stream.encode(None)
        packets[-1].duration = max(1, round(self._starts[number + 1] / self._tick) - pts)
        return packets
