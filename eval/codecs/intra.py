"""Which frames of an elementary stream are coded without reference to others, read from its
headers.

Pictures are counted in coding order, a slice or tile group belonging to the picture it stands in.
Only as much of each standard's syntax is read as leads to the type of a picture: the slice headers
of H.264 and H.265, the picture headers of H.266 (where an intra picture allows no inter slices),
the frame headers of AV1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from eval.tools import EvalError

_START = re.compile(rb"\x00\x00\x01")
#: Enough of a header to read its first fields.
_HEAD = 64


class _Bits:
    """Bits of a header from its first on; those past its end are 0."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int = 1) -> int:
        self._left -= count
        return self._value >> max(0, self._left) & ((1 << count) - 1) if self._left >= 0 else 0

    def golomb(self) -> int:
        """ue(v)"""
        zeros = 0
        while zeros < 32 and not self.take():
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)


def intra_frames(data: bytes, form: str) -> list[int]:
    """Numbers of the intra pictures of a stream in `form` ("h264", "hevc", "vvc" or "obu"). Raises
    EvalError for a stream without any picture."""
    pictures = list(_READERS[form](data))
    if not pictures:
        raise EvalError(f"no picture in a stream of {form}")
    return [number for number, intra in enumerate(pictures) if intra]


def _units(data: bytes) -> Iterator[bytes]:
    """NAL units of an Annex B stream, their first bytes, without the bytes that keep start codes
    apart."""
    for match in _START.finditer(data):
        head = data[match.end() : match.end() + _HEAD]
        yield head.split(b"\x00\x00\x01", 1)[0].replace(b"\x00\x00\x03", b"\x00\x00")


def _h264(data: bytes) -> Iterator[bool]:
    """A picture begins with macroblock 0; I and SI slices are of types 2, 4, 7 and 9."""
    intra: bool | None = None
    for unit in _units(data):
        if unit and unit[0] & 31 in (1, 5):
            bits = _Bits(unit[1:])
            first, kind = bits.golomb() == 0, bits.golomb() % 5 in (2, 4)
            if first and intra is not None:
                yield intra
            intra = kind if first else bool(intra) and kind
    if intra is not None:
        yield intra


def _hevc(data: bytes) -> Iterator[bool]:
    """The first slice segment of a picture tells: of x265's pictures with several, all are of one
    type."""
    extra = 0
    for unit in _units(data):
        kind = unit[0] >> 1 & 63 if unit else -1
        bits = _Bits(unit[2:])
        if kind == 34:  # picture parameter set
            bits.golomb(), bits.golomb(), bits.take(2)
            extra = bits.take(3)
        elif (0 <= kind <= 9 or 16 <= kind <= 21) and bits.take():
            if kind >= 16:
                bits.take()
            bits.golomb(), bits.take(extra)
            yield bits.golomb() == 2


def _vvc(data: bytes) -> Iterator[bool]:
    """The picture header stands in a unit of its own or inside the picture's only slice."""
    for unit in _units(data):
        kind = unit[1] >> 3 if len(unit) > 1 else -1
        bits = _Bits(unit[2:])
        if kind == 19 or 0 <= kind <= 11 and bits.take():
            if bits.take():  # may be entered here
                bits.take()
            bits.take()
            yield not bits.take()


def _av1(data: bytes) -> Iterator[bool]:
    """Open bitstream units with sizes. Frames shown again are no new pictures; types 0 and 2 are
    intra."""
    at = 0
    while at < len(data):
        kind, extended, sized = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        at += 1 + extended
        size, shift = 0, 0
        while sized and at < len(data):
            size |= (data[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 128:
                break
        if not sized:
            size = len(data) - at
        bits = _Bits(data[at : at + _HEAD])
        if kind in (3, 6) and not bits.take():
            yield bits.take(2) in (0, 2)
        at += size


_READERS: dict[str, Callable[[bytes], Iterator[bool]]] = {
    "h264": _h264,
    "hevc": _hevc,
    "vvc": _vvc,
    "obu": _av1,
}
