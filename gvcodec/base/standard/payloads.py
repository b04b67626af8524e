"""Strips payloads of standard bitstreams of redundant syntax, and restores it for decoders.

AV1 (section 5.3 of its specification): a temporal unit without its delimiter and padding, its last
OBU without a size field; two to four bytes less a frame. H.266 (Annex B): one NAL unit
without start code and without its first byte, which is zero; more than one, and one whose
first byte would be above 0x7f, are preceded by 0x80 | count and the sizes of all but the last as
LEB128; no SEI and no access unit delimiters. `restore_unit` raises `DamagedStreamError` for
anything that does not parse.
"""

from __future__ import annotations

import re

import av

from gvcodec import _core
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.errors import DamagedStreamError

#: Type of a metadata OBU; how one with closed captions begins: metadata_type ITU-T T.35; United
#: States, ATSC, "GA94", cc_data.
OBU_METADATA, CAPTION_MARK = 5, b"\x04\xb5\x00\x31GA94\x03"
#: Delimiters and supplemental information.
_VVC_DROPPED = (20, 23, 24)
_NAL_COUNTED = 0x80
_START_CODE = b"\x00\x00\x00\x01"


def packet_of(data: bytes) -> av.Packet:
    """A packet whose bytes belong to FFmpeg.

    Those of `av.Packet(data)` belong to Python, and a decoder's thread that lets go of them waits
    for the interpreter's lock: for ever, when the interpreter is just closing that decoder.
    """
    packet = av.Packet(len(data))
    packet.update(data)
    return packet


def strip_unit(codec: str, unit: bytes) -> bytes:
    """An access unit as an encoder makes it (AV1: a temporal unit, H.266: in Annex B form, of
    layer 0) to the payload of a packet."""
    return _core.strip_av1(unit) if codec == "av1" else _strip_vvc(unit)


def restore_unit(codec: str, payload: bytes) -> bytes:
    """Payload of a packet to an access unit: AV1 in the low-overhead format with a delimiter, H.266
    in Annex B form. Raises `DamagedStreamError`."""
    if codec == "av1":
        return _core.restore_av1(payload)
    return b"".join(_START_CODE + nal for nal in nals_of(payload))


def _strip_vvc(unit: bytes) -> bytes:
    return _join([nal[1:] for nal in _nals(unit) if nal[1] >> 3 not in _VVC_DROPPED])


def nals_of(payload: bytes) -> list[bytes]:
    """The NAL units in the payload of an H.266 packet."""
    nals = [b"\0" + nal for nal in _split(payload)]
    if any(b"\0\0\1" in nal for nal in nals):
        raise DamagedStreamError("a start code inside a NAL unit", code="base-layer")
    return nals


def _nals(unit: bytes) -> list[bytes]:
    return [nal.rstrip(b"\0") for nal in re.split(rb"\x00\x00\x01", unit)[1:]]


def _join(nals: list[bytes]) -> bytes:
    if len(nals) == 1 and nals[0][0] < _NAL_COUNTED:
        return nals[0]
    return (
        bytes([_NAL_COUNTED | len(nals)])
        + b"".join(encode_var(len(nal)) for nal in nals[:-1])
        + b"".join(nals)
    )


def _split(payload: bytes) -> list[bytes]:
    if not payload:
        raise DamagedStreamError("empty packet", code="base-layer")
    if payload[0] < _NAL_COUNTED:
        return [payload]
    cursor = Cursor(payload, "NAL unit")
    count = cursor.uint(1) & ~_NAL_COUNTED
    if count == 0:
        raise DamagedStreamError("packet without NAL units", code="base-layer")
    sizes = [cursor.var() for _ in range(count - 1)]
    nals = [cursor.take(size) for size in sizes]
    return [*nals, cursor.take(len(cursor))]


def caption_bodies(payload: bytes) -> list[bytes]:
    """Bodies of the OBUs with closed captions in a payload of base av1; none of a damaged one."""
    if CAPTION_MARK not in payload:
        return []
    try:
        bodies = [body for kind, _, body in _core.parse_obus(payload) if kind == OBU_METADATA]
    except DamagedStreamError:
        return []
    return [body for body in bodies if body.startswith(CAPTION_MARK)]
