"""A header for a stream whose own is damaged and which has no copy of it: picture size from the
first AV1 sequence header, everything else from another stream or guessed. Raises
`DamagedStreamError`."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from typing import BinaryIO

import av

from gvcodec import _core
from gvcodec.base.resample import Resampler
from gvcodec.base.standard.payloads import restore_unit
from gvcodec.bitstream import Kind, Packet, SequenceHeader
from gvcodec.bitstream.packets import Unbundler, read_packet
from gvcodec.bitstream.varint import MAX_BYTES
from gvcodec.errors import DamagedStreamError
from gvcodec.types import Colour, VideoFormat

#: Bytes of a header at most, and bytes that are examined for its end at most.
_MOST_HEADER = 1 << 11
_MOST_EXAMINED = 1 << 28
#: What is guessed: frames a second, index of the base (without a painter it changes nothing).
_RATE, _BASE_Q = 25, 30
_OBU_SEQUENCE = 1
_ONLY_DAV1D = {"codec_whitelist": "libdav1d", "protocol_whitelist": "none"}
_NO_HEADER = "header: damaged, without a copy"


def find_header(
    stream: BinaryIO, like: SequenceHeader | None, notes: list[str]
) -> tuple[SequenceHeader, int]:
    """A header and its bytes in the stream. `like`: of a stream with the same settings; `notes`
    gets a line about the source of each field."""
    size = _find_end(stream)
    key = _first_key(stream, size)
    if like is not None and like.base != "av1":
        notes.append("the header is damaged: that of --like is used")
        return like, size
    unit, is_bundled = _first_unit(key)
    with av.open(io.BytesIO(unit), format="obu", container_options=dict(_ONLY_DAV1D)) as file:
        context = file.streams.video[0].codec_context
        coded = context.width, context.height
        depth = 10 if context.pix_fmt and "10" in context.pix_fmt else 8
        colour = Colour(context.color_primaries, context.color_trc, context.colorspace)
    if like is None:
        rate = Fraction(_RATE)
        fmt = VideoFormat(*coded, rate, 1 / rate, depth, colour)
        notes.append(
            f"the header is damaged: {coded[0]}×{coded[1]} is AV1's size; {_RATE} frames a second, "
            "a start at 0 and no painter are guessed (--like FILE.gvc takes them from a file)"
        )
        return SequenceHeader(fmt, "av1", Fraction(1), _BASE_Q, is_bundled=is_bundled), size
    resampler = Resampler(like.format.width, like.format.height, like.scale)
    fmt = like.format
    if (resampler.coded_width, resampler.coded_height) != coded:
        width, height = (round(side / like.scale) for side in coded)
        fmt = replace(fmt, width=width, height=height)
    notes.append("the header is damaged: frame rate, start and painter are those of --like")
    return replace(like, format=fmt, is_bundled=is_bundled), size


def _find_end(stream: BinaryIO) -> int:
    """Bytes of the header: two packets follow it."""
    begin, examined = stream.tell(), 0
    try:
        for size in range(1, _MOST_HEADER):
            stream.seek(begin + size)
            head = stream.read(MAX_BYTES + 1)
            stream.seek(begin + size)
            try:
                examined += _core.packet_size(head)
                if examined > _MOST_EXAMINED:
                    break
                read_packet(stream)
                read_packet(stream)
                return size
            except DamagedStreamError:
                continue
    finally:
        stream.seek(begin)
    raise DamagedStreamError(f"{_NO_HEADER}, and no packet follows it", code="header-checksum")


def _first_key(stream: BinaryIO, size: int) -> Packet:
    begin = stream.tell()
    stream.seek(begin + size)
    try:
        packet, _ = read_packet(stream)
        while packet.kind is not Kind.KEY:
            packet, _ = read_packet(stream)
        return packet
    finally:
        stream.seek(begin)


def _first_unit(key: Packet) -> tuple[bytes, bool]:
    """The temporal unit of a `key` packet of base av1, and whether it is a bundle."""
    for is_bundled in (False, True):
        try:
            payload = Unbundler().send(key)[0].payload if is_bundled else key.payload
            unit = restore_unit("av1", payload)
            if payload[0] >> 3 & 15 == _OBU_SEQUENCE:
                return unit, is_bundled
        except DamagedStreamError:
            continue
    raise DamagedStreamError(
        f"{_NO_HEADER}; only --like can replace it for a base other than av1",
        code="header-checksum",
    )
