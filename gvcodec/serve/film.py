"""A stream as an HLS film: a playlist, the head of its fragmented MP4, and a segment for each GOP.

Segments are decoded, painted and coded when they are asked for: 8-bit H.264, and the sound of
`gvcodec.serve.sound`. Raises `DamagedStreamError`, `LimitError`, `WrongModelError`, `MediaError`.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer

from gvcodec.bitstream import GopEntry, Kind, Packet, PtsDecoder, Reader
from gvcodec.bitstream.packets import read_packet
from gvcodec.limits import Limits
from gvcodec.media.aac_segments import PREROLL
from gvcodec.media.output import name_errors, tick_of
from gvcodec.media.planes import frame_from_planes, tag_colour
from gvcodec.serve.sound import SegmentSound, sound_of
from gvcodec.types import Planes
from gvcodec.video import Video

#: Fragments that carry their times, one for each call, without tables at the end of a file.
_MUXER = {
    "movflags": "empty_moov+default_base_moof+frag_custom+frag_discont+skip_trailer+skip_sidx",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
}
#: A segment is one GOP with one keyframe, in display order: its packets need no second clock.
_ENCODER = {"preset": "veryfast", "bf": "0", "g": "1000000", "sc_threshold": "0"}
#: When the first picture is shown, in seconds of the segments: sound may begin a little earlier,
#: and MP4 has no times before 0.
_LATE = Fraction(1)


class Film:
    """`video` decodes the stream in the file at `path`, for one thread at a time."""

    def __init__(self, path: Path, video: Video, crf: float, threads: int, limits: Limits) -> None:
        self.path, self.video = path, video
        self._crf, self._threads, self._limits = crf, threads, limits
        self._lock = threading.Lock()
        self._gops: list[GopEntry] = []
        #: When each GOP begins and the last one ends, seconds after the first picture.
        self._starts: list[Fraction] = []
        self._sound: SegmentSound | None = None
        #: First and last time of the sound in a GOP's packets.
        self._spans: list[tuple[Fraction, Fraction, GopEntry]] = []
        fmt = video.header.format
        self._tick = tick_of(fmt.time_base)
        self._zero = video.header.start_pts * fmt.time_base

    @property
    def segments(self) -> int:
        return len(self.video.key_frames)

    def describe(self) -> str:
        """Size and length, for people."""
        fmt, seconds = (
            self.video.header.format,
            len(self.video) / self.video.header.format.frame_rate,
        )
        return f"{fmt.width}×{fmt.height}, {int(seconds // 60)}:{int(seconds % 60):02d}"

    def playlist(self) -> str:
        """The whole film, so that players can seek."""
        self._index()
        lengths = [float(b - a) for a, b in zip(self._starts, self._starts[1:], strict=False)]
        lines = [
            *("#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-PLAYLIST-TYPE:VOD"),
            f"#EXT-X-TARGETDURATION:{max(1, math.ceil(max(lengths)))}",
            *("#EXT-X-INDEPENDENT-SEGMENTS", '#EXT-X-MAP:URI="init.mp4"'),
            *(f"#EXTINF:{length:.6f},\n{n}.m4s" for n, length in enumerate(lengths)),
            "#EXT-X-ENDLIST\n",
        ]
        return "\n".join(lines)

    def head(self) -> bytes:
        """What players read before the first segment."""
        self._index()
        buffer = io.BytesIO()
        with name_errors(self.video.name), self._open(buffer, 1) as container:
            self._add_video(container)
            if self._sound:
                self._sound.add_to(container)
            container.start_encoding()
        return buffer.getvalue()

    def segment(self, number: int) -> bytes:
        """Segment `number`, from 0 to `segments` − 1."""
        self._index()
        buffer = io.BytesIO()
        with name_errors(self.video.name), self._open(buffer, number + 1) as container:
            video = self._add_video(container)
            sound = self._sound.add_to(container) if self._sound else None
            container.mux([*self._code(video, number), *self._sound_of(sound, number)])
        return _without_head(buffer.getvalue())

    def close(self) -> None:
        """Let go of the decoder; the next segment makes a new one."""
        self.video.close()

    def _index(self) -> None:
        """Read once when GOPs begin and where their sound is."""
        with self._lock, open(self.path, "rb") as file:
            if self._starts:
                return
            header, limits = self.video.header, self._limits
            gops, fmt = Reader(file, self.video.name).gops(), header.format
            timing = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base, limits)
            starts = []
            for gop in gops:
                timing.restart(gop.first_frame)
                for packet in _packets_of(file, gop):
                    if packet.kind is Kind.TIMING:
                        timing.send(packet.payload)
                    elif packet.kind is Kind.TRACKS and self._sound:
                        self._sound.reader.send(packet.payload)
                    elif packet.kind is Kind.TRACKS and gop is gops[0]:
                        self._sound = sound_of(packet.payload, self._zero, limits)
                starts.append(timing.receive() * fmt.time_base - self._zero)
                if self._sound and (span := self._sound.take_span()):
                    self._spans.append((*span, gop))
            end = self.video.pts_of(len(self.video)) * fmt.time_base - self._zero
            self._gops, self._starts = gops, [*starts, end]

    def _open(self, buffer: io.BytesIO, number: int) -> OutputContainer:
        options = _MUXER | {"fragment_index": str(number)}
        return av.open(buffer, "w", format="mp4", container_options=options)

    def _add_video(self, container: OutputContainer) -> Any:
        fmt = self.video.header.format
        options = _ENCODER | {"crf": f"{self._crf:g}"}
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
        gop, fmt = self._gops[number], self.video.header.format
        late = round(_LATE / self._tick)
        packets, times = list[Any](), list[int]()
        for frame in self.video.decode_range(gop.first_frame, gop.first_frame + gop.frames):
            pts = round((frame.pts * fmt.time_base - self._zero) / self._tick) + late
            times.append(max(pts, times[-1] + 1) if times else pts)
            picture = frame_from_planes(_with_even_sides(frame.planes), 8)
            picture.pts, picture.time_base = times[-1], self._tick
            tag_colour(picture, fmt.colour)
            packets += stream.encode(picture)
        packets += stream.encode(None)
        times.append(max(round(self._starts[number + 1] / self._tick) + late, times[-1] + 1))
        for packet, begin, end in zip(packets, times, times[1:], strict=False):
            packet.duration = end - begin
        return packets

    def _sound_of(self, stream: Any, number: int) -> list[Any]:
        """Packets of the sound that begin in a GOP; of the last one all that are left."""
        if self._sound is None:
            return []
        begin, end = self._starts[number], self._starts[number + 1]
        if number + 1 == self.segments:
            end = max(end, *(last for _, last, _ in self._spans))
        with open(self.path, "rb") as file:
            payloads = [
                packet.payload
                for first, last, gop in self._spans
                if last >= begin - PREROLL and first < end + PREROLL
                for packet in _packets_of(file, gop)
                if packet.kind is Kind.TRACKS
            ]
        packets = self._sound.packets(stream, payloads, begin, end)
        for packet in packets:
            later = round(_LATE / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts + later, packet.dts + later, stream
        return packets


def _packets_of(file: Any, gop: GopEntry) -> Iterator[Packet]:
    """Packets of a GOP as they are in the file, bundles of frames too."""
    file.seek(gop.offset)
    while file.tell() < gop.offset + gop.size:
        yield read_packet(file)[0]


def _with_even_sides(planes: Planes) -> Planes:
    """H.264 has no odd sides in 4:2:0: the last column and row are repeated."""
    y, u, v = planes
    height, width = y.shape
    return np.pad(y, ((0, height % 2), (0, width % 2)), "edge"), u, v


def _without_head(data: bytes) -> bytes:
    """A file from its first fragment on."""
    at = 0
    while at < len(data) and data[at + 4 : at + 8] != b"moof":
        at += max(8, int.from_bytes(data[at : at + 4]))
    return data[at:]
