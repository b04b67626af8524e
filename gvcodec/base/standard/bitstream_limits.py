"""Checks the headers in a standard bitstream's payload against its limits before decoding.

A payload is one frame of the size that the sequence header promises. Bitstreams of a few bytes can
ask for much more: pictures of 2^28 samples, a hundred pictures, or, in AV1, a thousand frames that
are shown again.
`check` refuses these. What it lets through decoders still check for themselves; the pictures they
give are checked again in `gvcodec.base.standard.codec`.
"""

from __future__ import annotations

from gvcodec.base.standard.payloads import nals_of, obus_of
from gvcodec.errors import DamagedStreamError
from gvcodec.util.messages import count_noun

_OBU_SEQUENCE, _OBU_FRAME_HEADER, _OBU_FRAME = 1, 3, 6
_SPS, _SLICES, _PICTURE_HEADER = 15, 12, 19
#: Bitstreams pad pictures to whole coding blocks.
_BLOCK = 128
#: Parameter sets begin with what is looked at here.
_LOOKED_AT = 128


def pad(width: int, height: int) -> tuple[int, int]:
    """The largest size that a bitstream may name for a picture of this size."""
    return -(-width // _BLOCK) * _BLOCK, -(-height // _BLOCK) * _BLOCK


def check(codec: str, payload: bytes, width: int, height: int) -> None:
    """Raises `DamagedStreamError` for pictures larger than `padded(width, height)` and for more
    frames than one, of AV1 also for none."""
    if codec == "av1":
        _check_av1(payload)
        return
    most, nals = pad(width, height), nals_of(payload)
    _one_frame(sum(_begins_frame(nal) for nal in nals) or 1)
    for nal in nals:
        size = _size_in(nal)
        if size and (size[0] > most[0] or size[1] > most[1]):
            raise DamagedStreamError(
                f"the base layer holds pictures of {size[0]}×{size[1]}, the header promises "
                f"{width}×{height}"
            )


def _check_av1(payload: bytes) -> None:
    shown = 0
    for kind, body in obus_of(payload):
        if kind == _OBU_SEQUENCE and body[:1] and body[0] & 8:
            raise DamagedStreamError("the base layer is a still picture")
        if kind in (_OBU_FRAME, _OBU_FRAME_HEADER) and body[:1]:
            # show_existing_frame; or after it and two bits of frame type, show_frame.
            shown += bool(body[0] & 0x80 or body[0] & 0x10)
    _one_frame(shown)


def _one_frame(shown: int) -> None:
    if shown != 1:
        raise DamagedStreamError(
            f"a packet of the base layer shows {count_noun(shown, 'frame')} instead of one"
        )


def _begins_frame(nal: bytes) -> bool:
    if len(nal) < 3:
        return False
    kind = nal[1] >> 3
    return kind == _PICTURE_HEADER or kind < _SLICES and nal[2] >= 0x80


def _size_in(nal: bytes) -> tuple[int, int] | None:
    """Width and height that a sequence parameter set names, None for other units."""
    if len(nal) < 2:
        return None
    return _vvc_size(_Bits(nal)) if nal[1] >> 3 == _SPS else None


def _vvc_size(bits: _Bits) -> tuple[int, int]:
    """Section 7.3.2.4 of H.266 up to the size."""
    bits.skip(8)
    sublayers = bits.take(3)
    bits.skip(4)
    if bits.take(1):
        bits.skip(7 + 1 + 8 + 2)
        if bits.take(1):
            bits.skip(71)
            bits.skip(bits.take(8))
        bits.align()
        levels = sum(bits.take(1) for _ in range(sublayers))
        bits.align()
        bits.skip(8 * levels)
        bits.skip(32 * bits.take(8))
    bits.skip(1)
    if bits.take(1):
        bits.skip(1)
    return bits.golomb(), bits.golomb()


class _Bits:
    """Bits of a unit after its head. Raises `DamagedStreamError` at the end."""

    def __init__(self, nal: bytes) -> None:
        data = nal[2:_LOOKED_AT].replace(b"\0\0\3", b"\0\0")
        self._value, self._left, self._size = int.from_bytes(data), 8 * len(data), 8 * len(data)

    def skip(self, count: int) -> None:
        if count > self._left:
            raise DamagedStreamError("a parameter set of the base layer ends early")
        self._left -= count

    def take(self, count: int) -> int:
        self.skip(count)
        return self._value >> self._left & ((1 << count) - 1)

    def align(self) -> None:
        self.skip(-(self._size - self._left) % 8)

    def golomb(self) -> int:
        """An unsigned Exp-Golomb number."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)
