"""Properties of a video track that PyAV does not show: chroma siting, cropping and Dolby Vision.
FFmpeg writes them into the header of a Matroska file (RFC 9559), which is made here from the codec
parameters and parsed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import av

from gvcodec.errors import DamagedStreamError
from gvcodec.media.codec_parameters import SEGMENT, TRACK, TRACKS, elements
from gvcodec.media.siting import LEFT, PLACES

_VIDEO, _COLOUR, _MAPPING = 0xE0, 0x55B0, 0x41E4
#: Of chroma samples: 1 at the first luma sample, 2 between two.
_RIGHT, _DOWN = 0x55B7, 0x55B8
#: Samples to crop at the left, top, right and bottom.
_CROPS = (0x54CC, 0x54BB, 0x54DD, 0x54AA)
_ADDED_TYPE, _ADDED_DATA = 0x41E7, 0x41ED
_DOLBY = (b"dvcC", b"dvvC", b"dvwC")


@dataclass(frozen=True, slots=True)
class Stored:
    """`chroma_location` as in `Colour`; `crop`: samples at the left, top, right and bottom that are
    not shown; `dolby_vision`: profile and compatibility of the base layer, 0 = none."""

    chroma_location: int = LEFT
    crop: tuple[int, int, int, int] = (0, 0, 0, 0)
    dolby_vision: tuple[int, int] | None = None


def read_stored(stream: av.VideoStream) -> Stored:
    """Of a stream; what is usual where its codec has no place in Matroska."""
    memory = io.BytesIO()
    try:
        with av.open(memory, "w", format="matroska", options={"strict": "-2"}) as output:
            output.add_stream_from_template(stream, opaque=True)
            output.start_encoding()
        return _read(memory.getvalue())
    except (av.FFmpegError, ValueError, KeyError, DamagedStreamError):
        return Stored()


def _read(head: bytes) -> Stored:
    fields: dict[int, bytes] = {}
    dolby: tuple[int, int] | None = None
    for track in _inside([head], SEGMENT, TRACKS, TRACK):
        fields |= {name: body for part in _inside([track], _VIDEO) for name, body in elements(part)}
        for mapping in _inside([track], _MAPPING):
            added = dict(elements(mapping))
            data = added.get(_ADDED_DATA, b"")
            if added.get(_ADDED_TYPE) in _DOLBY and len(data) >= 5:
                dolby = data[2] >> 1, data[4] >> 4
    fields |= dict(elements(fields.get(_COLOUR, b"")))
    numbers = {name: int.from_bytes(body) for name, body in fields.items()}
    place = ((numbers.get(_RIGHT, 0) - 1) / 2, (numbers.get(_DOWN, 0) - 1) / 2)
    location = next((code for code, known in PLACES.items() if known == place), LEFT)
    left, top, right, bottom = (numbers.get(name, 0) for name in _CROPS)
    return Stored(location, (left, top, right, bottom), dolby)


def _inside(data: list[bytes], *names: int) -> Iterator[bytes]:
    for name in names:
        data = [body for part in data for found, body in elements(part) if found == name]
    yield from data
