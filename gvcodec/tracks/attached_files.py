"""Attachments and covers of containers: read with FFmpeg's demuxers, given to its muxers. Matroska
has a place for all; MP4 for covers alone, without names; other kinds of files for none.

    files = AttachedFiles(container, video)
    for packet in container.demux(…): files.take(packet)     # covers are packets of their own
    files.attachments()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import av
from av.container import InputContainer, OutputContainer
from av.stream import AttachmentStream, Disposition, Stream

from gvcodec.bitstream.attachments import OPAQUE, Attachment
from gvcodec.bitstream.metadata import printable

#: First bytes of pictures that MP4 takes as covers, with FFmpeg's names of their codecs.
_PICTURES = {b"\xff\xd8\xff": "mjpeg", b"\x89PNG\r\n\x1a\n": "png"}
_THUMBNAILS = Disposition.timed_thumbnails


def is_attached(stream: Stream) -> bool:
    """Whether a stream is an attachment or a cover."""
    cover = stream.disposition & (Disposition.attached_pic | _THUMBNAILS)
    return stream.type == "attachment" or cover == Disposition.attached_pic


class AttachedFiles:
    """Attachments and covers of a file but its `video`; `streams`: of covers, whose packets come
    before all others and go to `take`."""

    def __init__(self, container: InputContainer, video: Stream | None = None) -> None:
        self._all = [s for s in container.streams if s is not video and is_attached(s)]
        self.streams = [stream for stream in self._all if stream.type == "video"]
        self._covers = {stream.index: b"" for stream in self.streams}

    def take(self, packet: av.Packet) -> bool:
        """Whether a packet is a cover. It may come again after a seek."""
        index = packet.stream.index
        if index not in self._covers:
            return False
        self._covers[index] = self._covers[index] or bytes(packet)
        return True

    def attachments(self) -> list[Attachment]:
        """In the order of the file; a cover without a name gets one."""
        found, covers = [], 0
        for stream in self._all:
            name, media_type = (
                printable(stream.metadata.get(key, "")) for key in ("filename", "mimetype")
            )
            if isinstance(stream, AttachmentStream):
                found.append(Attachment(name, media_type or OPAQUE, stream.data))
                continue
            covers += 1
            codec = stream.codec_context.name if stream.codec_context else ""
            ending = "jpg" if codec == "mjpeg" else codec
            name = name or f"cover{covers if covers > 1 else ''}.{ending}"
            data = self._covers[stream.index]
            found.append(Attachment(name, media_type or _media_type(codec), data, True))
        return found


def read_attachments(container: InputContainer) -> list[Attachment]:
    """Those of a file that nothing else is read of."""
    files = AttachedFiles(container)
    packets = container.demux() if files.streams else iter(())
    while (packet := next(packets, None)) is not None and files.take(packet):
        pass
    return files.attachments()


def choose_held(
    attachments: Sequence[Attachment], kind: str
) -> tuple[list[Attachment], list[Attachment]]:
    """The attachments that a file of FFmpeg's `kind` holds, and the others."""
    if kind == "matroska":
        return list(attachments), []
    held = [a for a in attachments if kind == "mp4" and a.is_cover and _picture_codec(a.data)]
    return held, [attachment for attachment in attachments if attachment not in held]


def as_fed(attachment: Attachment, kind: str) -> Attachment:
    """An attachment on its way to ffmpeg, which makes a file of this kind: it takes pictures of
    Matroska for video, as MP4 wants its covers."""
    codec = _picture_codec(attachment.data) if kind == "mp4" else None
    return replace(attachment, media_type=_media_type(codec) if codec else OPAQUE)


def attach(container: OutputContainer, attachment: Attachment) -> av.Packet | None:
    """Give a muxer an attachment, before it begins. Returns the packet to write when it has."""
    codec = _picture_codec(attachment.data)
    if container.format.name == "matroska" or codec is None:
        container.add_attachment(attachment.name, attachment.media_type, attachment.data)
        return None
    # FFmpeg wants a size, which the file does not say.
    stream = container.add_mux_stream(codec, width=1, height=1)
    stream.disposition = Disposition.attached_pic
    packet = av.Packet(attachment.data)
    packet.stream, packet.pts, packet.dts, packet.is_keyframe = stream, 0, 0, True
    return packet


def _media_type(codec: str) -> str:
    return f"image/{'jpeg' if codec == 'mjpeg' else codec}"


def _picture_codec(data: bytes) -> str | None:
    return next((codec for head, codec in _PICTURES.items() if data.startswith(head)), None)
