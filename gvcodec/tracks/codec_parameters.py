"""Heads of Matroska and MP4 files that carry the codec parameters of a copied track.

The bytes come from an untrusted stream. FFmpeg gets the format, opens no file, address or
decoder by itself, and sees only heads without packed codec parameters, attachments and
tables of samples, all of which can take thousands of times their own size.

    head = fitting_head(stream)               # b"" if no kind of file holds this codec
    template = open_head(head).streams[0]     # for an output stream"""

import io
from collections.abc import Sequence
from itertools import takewhile

import av
from av.container import InputContainer
from av.stream import Stream

from gvcodec.errors import DamagedStreamError
from gvcodec.util.boxes import (
    CHECKSUM,
    CLUSTER,
    EBML,
    INFO,
    SEEK_HEAD,
    SEGMENT,
    TAGS,
    TRACK,
    TRACKS,
    VOID,
    bodies,
    boxes,
    element,
    elements,
    rewrite,
)

#: Most bytes of a head. Ordinary ones have less than a thousand a track.
MAX_HEAD = 1 << 20
#: Containers of the codec parameters, with options that make a head without seeking back. MP4 knows
#: its own subtitles.
KINDS = {
    "matroska": {"live": "1"},
    "mp4": {"movflags": "empty_moov"},
    "mov": {"movflags": "empty_moov"},
}
#: No random numbers, times and versions: the same video makes the same file.
_EXACT = {"fflags": "bitexact"}
#: FFmpeg opens only these bytes: no other format, no protocol, no decoder.
_NOTHING_ELSE = {"protocol_whitelist": "none", "codec_whitelist": "none"}

#: Names the data in errors.
_SOURCE = "tracks: codec parameters"
_IN_SEGMENT = frozenset({SEEK_HEAD, VOID, INFO, TRACKS, TAGS, CLUSTER, CHECKSUM})
#: `ContentEncodings`: codec parameters that are packed.
_PACKED = 0x6D80
_DELAY = 0x56AA

_BOXES: dict[bytes, tuple[bytes, ...]] = {
    b"": (b"ftyp", b"moov", b"mfra", b"free"),
    b"moov": (b"mvhd", b"trak", b"mvex", b"udta", b"iods"),
    b"trak": (b"tkhd", b"mdia", b"edts", b"udta", b"tref"),
    b"mdia": (b"mdhd", b"hdlr", b"minf", b"elng"),
    b"minf": (b"smhd", b"nmhd", b"sthd", b"gmhd", b"hdlr", b"dinf", b"stbl"),
    b"stbl": (b"stsd", b"stts", b"stsc", b"stsz", b"stco", b"co64"),
}
#: Offset of the number of entries in a table of samples.
_COUNT_AT = {b"stts": 4, b"stsc": 4, b"stco": 4, b"co64": 4, b"stsz": 8}


def fitting_head(stream: Stream) -> bytes:
    """Head of the first kind of file that gives the codec parameters back, or empty."""
    for kind in KINDS:
        head = make_head(kind, [stream])
        if not head:
            continue
        try:
            with open_head(head) as container:
                if len(container.streams) == 1 and alike(container.streams[0], stream):
                    return head
        except DamagedStreamError:
            continue
    return b""


def alike(one: Stream, other: Stream) -> bool:
    """Whether packets of one stream can follow packets of the other."""
    return _form(one) == _form(other)


def _form(stream: Stream) -> tuple[object, ...]:
    context = stream.codec_context
    if not isinstance(context, av.AudioCodecContext):
        return (stream.type, context and context.codec.canonical_name)
    name, layout = context.codec.canonical_name, context.layout
    return (stream.type, name, context.sample_rate, layout and layout.nb_channels)


def make_head(kind: str, streams: Sequence[Stream]) -> bytes:
    """Head of a file with these streams' codec parameters; empty when it cannot hold them."""
    pipe = _Pipe()
    try:
        with av.open(pipe, "w", format=kind, options=KINDS[kind] | _EXACT) as container:
            outputs = [container.add_stream_from_template(stream) for stream in streams]
            container.start_encoding()
            if kind == "matroska":
                # A Matroska file without any packet is refused by FFmpeg.
                placeholder = av.Packet(b"\0")
                placeholder.pts = placeholder.dts = 0
                placeholder.stream = outputs[0]
                container.mux(placeholder)
    except (av.FFmpegError, ValueError, KeyError):
        return b""
    return bytes(pipe.data)


def open_head(head: bytes) -> InputContainer:
    """The container with template streams. Raises `DamagedStreamError`."""
    if len(head) > MAX_HEAD:
        raise DamagedStreamError(
            f"tracks: codec parameters of {len(head)} bytes, more than {MAX_HEAD}"
        )
    if head[:4] == EBML.to_bytes(4):
        kind = "matroska"
        _check_matroska(head)
    elif head[4:8] in (b"ftyp", b"moov"):
        kind = "mp4"
        head = _until_fragments(head)
        _check_mp4(head, 0, len(head))
    else:
        raise DamagedStreamError(
            "tracks: codec parameters are not the head of a Matroska or MP4 file"
        )
    try:
        container = av.open(io.BytesIO(head), "r", format=kind, container_options=_NOTHING_ELSE)
    except MemoryError:
        raise MemoryError("no memory for codec parameters") from None
    except (av.FFmpegError, ValueError) as error:
        raise DamagedStreamError("tracks: codec parameters cannot be read") from error
    if others := {stream.type for stream in container.streams} - {"audio", "subtitle"}:
        container.close()
        raise DamagedStreamError(
            f"tracks: {', '.join(sorted(others))} is neither sound nor subtitles"
        )
    return container


def delayed_head(head: bytes, nanoseconds: int) -> bytes:
    """A Matroska head with the duration that decoders drop at the start."""
    delay = element(_DELAY, nanoseconds.to_bytes(8)) if nanoseconds > 0 else b""

    def change(identity: int, body: bytes) -> bytes | None:
        if identity in (SEGMENT, TRACKS, TRACK):
            body = rewrite(body, _SOURCE, change)
            return body + delay if identity == TRACK else body
        return None if identity in (_DELAY, CHECKSUM) else body

    return rewrite(head, _SOURCE, change)


class _Pipe:
    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


def _check_matroska(head: bytes) -> None:
    for identity, body in elements(head, _SOURCE):
        if identity not in (EBML, SEGMENT):
            raise DamagedStreamError(f"tracks: codec parameters hold an element {identity:x}")
        for part, _ in elements(body, _SOURCE) if identity == SEGMENT else ():
            if part not in _IN_SEGMENT:
                raise DamagedStreamError(f"tracks: codec parameters hold an element {part:x}")
    if any(True for _ in bodies(head, _SOURCE, SEGMENT, TRACKS, TRACK, _PACKED)):
        raise DamagedStreamError("tracks: codec parameters are packed")


def _until_fragments(head: bytes) -> bytes:
    """An MP4 file without fragments, with which muxers of some subtitles end an empty file."""
    parts = boxes(io.BytesIO(head), 0, len(head))
    return head[: next((start - 8 for name, start, _ in parts if name == b"moof"), None)]


def _check_mp4(head: bytes, begin: int, end: int, inside: bytes = b"") -> None:
    """Boxes from `begin` to `end`, without a gap, and those in them."""
    at = begin
    for kind, start, after in boxes(io.BytesIO(head), begin, end):
        if kind not in _BOXES[inside] or start != at + 8:
            raise DamagedStreamError(f"tracks: codec parameters hold a box {_format(kind)}")
        at = after
        if at > end:
            break
        if kind in _BOXES:
            _check_mp4(head, start, after, kind)
        elif kind == b"stts" and head[start + 4 : start + 12] == b"\0\0\0\1\0\0\0\0":
            # Heads of PCM have one entry, for no samples.
            continue
        elif (place := _COUNT_AT.get(kind)) and any(head[start:after][place : place + 4]):
            raise DamagedStreamError("tracks: codec parameters with a table of samples")
    if at != end:
        raise DamagedStreamError("tracks: codec parameters end early", code="truncated")


def _format(kind: bytes) -> str:
    return "".join(takewhile(str.isprintable, kind.decode("latin-1")))
