"""FFmpeg's decoders of standard bitstreams, held to what the sequence header promises.

A payload is one frame of the size that the sequence header promises. Bitstreams of a few bytes can
ask for much more: pictures of 2^28 samples, a hundred pictures, or, in AV1, a thousand frames that
are shown again. `check_payload` refuses these before decoding. What it lets through decoders still
check for themselves; the pictures they give are checked again in `gvcodec.base.standard.codec`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, cast

import av

from gvcodec.base.standard.payloads import nals_of, obus_of, packet_of, restore_unit
from gvcodec.bases import is_reordered, standard_of
from gvcodec.errors import DamagedStreamError
from gvcodec.util.messages import count_noun

_DAV1D = "libdav1d"


def open_decoder(base: str, width: int, height: int, threads: int, low_delay: bool = False) -> Any:
    """A decoder of pictures of this size. The bitstream's own idea of its size does not decide
    about memory.

    Where its threads cannot be started it works in one. Raises `MemoryError`."""
    columns, rows = padded_size(width, height)
    name = standard_of(base).decoder
    options = {"max_pixels": str(columns * rows)}
    if low_delay and name == _DAV1D:
        options["max_frame_delay"] = "1"
    for count in (threads, 1):
        decoder = av.CodecContext.create(name, "r")
        decoder.thread_count = count
        decoder.options = dict(options)
        if low_delay and name != _DAV1D:
            decoder.thread_type = "SLICE"
        with contextlib.suppress(MemoryError, BlockingIOError):
            decoder.open()
            return decoder
    raise MemoryError("the base layer's decoder is out of memory")


def unit_of(base: str, payload: bytes, width: int, height: int) -> av.Packet:
    """A payload for a decoder. Raises `DamagedStreamError` where it claims more than a frame."""
    check_payload(base, payload, width, height)
    return packet_of(restore_unit(base, payload))


def decode_unit(decoder: Any, packet: av.Packet | None) -> list[av.VideoFrame]:
    """Frames that come out, None = the last ones. Raises `DamagedStreamError`, `MemoryError`."""
    try:
        return list(decoder.decode(packet))
    except MemoryError:
        raise MemoryError("the base layer's decoder is out of memory") from None
    except (av.FFmpegError, ValueError) as error:
        raise DamagedStreamError("the base layer cannot be decoded", code="base-layer") from error


_OBU_SEQUENCE, _OBU_FRAME_HEADER, _OBU_FRAME = 1, 3, 6
_SPS, _SLICES, _PICTURE_HEADER = 15, 12, 19
#: Bitstreams pad pictures to whole coding blocks.
_BLOCK = 128
#: Parameter sets begin with what is looked at here.
_PARSED_BYTES = 128


def padded_size(width: int, height: int) -> tuple[int, int]:
    """The largest size that a bitstream may name for a picture of this size."""
    return -(-width // _BLOCK) * _BLOCK, -(-height // _BLOCK) * _BLOCK


def check_payload(codec: str, payload: bytes, width: int, height: int) -> None:
    """Raises `DamagedStreamError` for pictures larger than `padded_size(width, height)` and for
    more frames than one, of AV1 also for none."""
    if codec == "av1":
        _check_av1(payload)
        return
    most, nals = padded_size(width, height), nals_of(payload)
    _require_one_frame(sum(_begins_frame(nal) for nal in nals) or 1)
    for nal in nals:
        size = _size_in(nal)
        if size and (size[0] > most[0] or size[1] > most[1]):
            raise DamagedStreamError(
                f"the base layer holds pictures of {size[0]}×{size[1]}, the header promises "
                f"{width}×{height}",
                code="base-layer",
            )


def _check_av1(payload: bytes) -> None:
    frame_count = 0
    for kind, body in obus_of(payload):
        if kind == _OBU_SEQUENCE and body[:1] and body[0] & 8:
            raise DamagedStreamError("the base layer is a still picture", code="base-layer")
        if kind in (_OBU_FRAME, _OBU_FRAME_HEADER) and body[:1]:
            # show_existing_frame; or after it and two bits of frame type, show_frame.
            frame_count += bool(body[0] & 0x80 or body[0] & 0x10)
    _require_one_frame(frame_count)


def _require_one_frame(frame_count: int) -> None:
    if frame_count != 1:
        raise DamagedStreamError(
            f"a packet of the base layer shows {count_noun(frame_count, 'frame')} instead of one",
            code="base-layer",
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
    sublayers = bits.read(3)
    bits.skip(4)
    if bits.read(1):
        bits.skip(7 + 1 + 8 + 2)
        if bits.read(1):
            bits.skip(71)
            bits.skip(bits.read(8))
        bits.align()
        levels = sum(bits.read(1) for _ in range(sublayers))
        bits.align()
        bits.skip(8 * levels)
        bits.skip(32 * bits.read(8))
    bits.skip(1)
    if bits.read(1):
        bits.skip(1)
    return bits.read_golomb(), bits.read_golomb()


class _Bits:
    """Bits of a unit after its head. Raises `DamagedStreamError` at the end."""

    def __init__(self, nal: bytes) -> None:
        data = nal[2:_PARSED_BYTES].replace(b"\0\0\3", b"\0\0")
        self._value, self._remaining, self._size = (
            int.from_bytes(data),
            8 * len(data),
            8 * len(data),
        )

    def skip(self, count: int) -> None:
        if count > self._remaining:
            raise DamagedStreamError(
                "a parameter set of the base layer ends early", code="base-layer"
            )
        self._remaining -= count

    def read(self, count: int) -> int:
        self.skip(count)
        return self._value >> self._remaining & ((1 << count) - 1)

    def align(self) -> None:
        self.skip(-(self._size - self._remaining) % 8)

    def read_golomb(self) -> int:
        """An unsigned Exp-Golomb number."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)


def display_order(
    payloads: Sequence[bytes], base: str, size: tuple[int, int], flush: bool = True
) -> list[int]:
    """Numbers of the payloads whose frames come out, in display order, found by decoding:
    H.266 packets come in decode order; pictures have `size`. Raises `DamagedStreamError`."""
    decoder = open_decoder(base, *size, threads=1)
    order: list[int] = []
    for number, payload in enumerate([*payloads, None] if flush else payloads):
        packet = None
        if payload is not None:
            packet = unit_of(base, payload, *size)
            packet.pts = packet.dts = number
        order += [cast(int, frame.pts) for frame in decode_unit(decoder, packet)]
    return order


def leading_frames(payloads: Sequence[bytes], base: str, size: tuple[int, int]) -> int:
    """How many packets from the start of an incomplete GOP hold just as many frames from its start
    in display order."""
    if not is_reordered(base):
        return len(payloads)
    # Without flush a decoder gives only frames that no later packet can come before.
    order = display_order(payloads, base, size, flush=False)
    highest, leading = -1, 0  # VVenC's key frame is shown after up to 31 others
    for count, number in enumerate(order, 1):
        highest = max(highest, number)
        leading = count if highest == count - 1 else leading
    return leading
