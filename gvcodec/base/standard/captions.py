"""Closed captions (CEA-608, CEA-708) in payloads of base av1: metadata OBUs with an ITU-T T.35
message each, ahead of the shown frame's header (ATSC A/53 part 4, as FFmpeg reads it).

In and out: `cc_data`, three bytes for each pair of caption bytes, as in FFmpeg's side data A53_CC.
Decoders show the same pictures with and without them. Raises `DamagedStreamError`."""

from __future__ import annotations

from gvcodec import _core
from gvcodec.base.standard.payloads import (
    CAPTION_MARK,
    OBU_METADATA,
    caption_bodies,
    strip_unit,
)
from gvcodec.bitstream.varint import encode_var

_OBU_FRAME_HEADER, _OBU_FRAME = 3, 6
_METADATA_HEAD = bytes([OBU_METADATA << 3 | 2])
#: In the byte after the mark: cc_data follows, and the number of its triplets (5 bits).
_FLAGS, _COUNT = 0xC0, 31
#: em_data; marker bits after the triplets and the OBU's trailing bits.
_EM_DATA, _TAIL = b"\xff", b"\xff\x80"
TRIPLET = 3
#: Most bytes of a frame that encoders write: 64 OBUs, the captions of about 100 frames.
MOST_OF_FRAME = 64 * TRIPLET * _COUNT


def insert_captions(payload: bytes, cc_data: bytes) -> bytes:
    """A payload of base av1 with these captions for its shown frame."""
    obus = _core.parse_obus(payload)
    headers = [n for n, (kind, _, _) in enumerate(obus) if kind in (_OBU_FRAME_HEADER, _OBU_FRAME)]
    # Frames that are decoded ahead of their time come before the shown one.
    frame_header = headers[-1] if headers else len(obus) - 1
    unit = [head + encode_var(len(body)) + body for _, head, body in obus]
    most = TRIPLET * _COUNT
    unit[frame_header:frame_header] = [
        _pack(cc_data[at : at + most]) for at in range(0, len(cc_data), most)
    ]
    return strip_unit("av1", b"".join(unit))


def captions_in(payload: bytes) -> bytes:
    """Captions of a payload of base av1, b"" without any that can be read."""
    return b"".join(map(_read, caption_bodies(payload)))


def _pack(triplets: bytes) -> bytes:
    count = bytes([_FLAGS | len(triplets) // TRIPLET])
    body = CAPTION_MARK + count + _EM_DATA + triplets + _TAIL
    return _METADATA_HEAD + encode_var(len(body)) + body


def _read(body: bytes) -> bytes:
    at = len(CAPTION_MARK)
    count = body[at] & _COUNT if len(body) > at else 0
    begin = at + 1 + len(_EM_DATA)
    triplets = body[begin : begin + TRIPLET * count]
    return triplets if len(triplets) == TRIPLET * count else b""
