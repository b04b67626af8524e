"""Decoders of a base layer that is a standard bitstream: AV1 (dav1d) or H.266 (FFmpeg).

Base frames have 10 bits, 8-bit samples shifted left by two; coded pictures at scale 3/4 or 1/2 come
back at full size through the filters of `gvcodec.base.resample`. All decoders are exact by
standard, so base frames are the same everywhere.

A payload is one frame of the size that the sequence header promises. Bitstreams of a few bytes can
ask for much more: pictures of 2^28 samples, a hundred pictures, or, in AV1, a thousand frames that
are shown again. `check_payload` refuses these before decoding. Decoders check all other
payloads, and `StandardDecoder` checks the pictures that they return.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import weakref
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, cast

import av

from gvcodec import _core
from gvcodec.base import BaseDecoder
from gvcodec.base.resample import Resampler
from gvcodec.base.standard.payloads import caption_bodies, nals_of, packet_of, restore_unit
from gvcodec.bases import is_reordered, standard_of
from gvcodec.bitstream import SequenceHeader
from gvcodec.errors import DamagedStreamError
from gvcodec.planes import planes_from_frame
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.messages import count_noun

_DAV1D = "libdav1d"


class StandardDecoder(BaseDecoder):
    """Decoder of the plug; base frames come out at full size. With `low_delay` none is held back
    for parallel work."""

    def __init__(
        self,
        fmt: VideoFormat,
        codec: str,
        scale: Fraction = Fraction(1),
        threads: int = 0,
        low_delay: bool = False,
    ) -> None:
        self._resampler = Resampler(fmt.width, fmt.height, scale)
        self._codec = codec
        self._size = self._resampler.coded_width, self._resampler.coded_height
        self._decoder = open_decoder(codec, *self._size, threads, low_delay)
        self._decoder_holds_back = standard_of(codec).holds_back
        self._pending_frames = 0
        _decoders.add(self)

    def keep_open(self) -> None:
        """Leave FFmpeg's decoder open until the process ends."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._decoder))

    def send(self, payload: bytes, keyframe: bool) -> list[Planes]:
        """Take the next packet. Raises `DamagedStreamError`."""
        packet = unit_of(self._codec, payload, *self._size)
        if self._codec == "av1" and not self.has_captions:
            self.has_captions = bool(caption_bodies(payload))
        base_frames: list[Planes] = []
        if keyframe and self._decoder_holds_back and self._pending_frames:
            base_frames = self._decode(None)
            self._decoder.flush_buffers()
        self._pending_frames += 1
        return base_frames + self._decode(packet)

    def flush(self) -> list[Planes]:
        """Release the rest. Raises `DamagedStreamError` where frames are missing."""
        base_frames = self._decode(None)
        if self._pending_frames:
            raise DamagedStreamError(
                f"{count_noun(abs(self._pending_frames), 'frame')} of the base layer could not be "
                "decoded",
                code="base-layer",
            )
        return base_frames

    def abandon(self) -> None:
        with contextlib.suppress(av.FFmpegError):
            self._decoder.flush_buffers()
        self._pending_frames = 0

    def _decode(self, packet: av.Packet | None) -> list[Planes]:
        frames = decode_unit(self._decoder, packet)
        self._pending_frames -= len(frames)
        if self._pending_frames < 0:
            raise DamagedStreamError(
                "the base layer has more frames than packets", code="base-layer"
            )
        for frame in frames:
            if (
                (frame.width, frame.height) != self._size
                or frame.format.name not in standard_of(self._codec).layouts
                or frame.is_corrupt
            ):
                raise DamagedStreamError(
                    "base frames differ from the header in size or format", code="base-layer"
                )
        return [self._resampler.upsample(planes_from_frame(frame)) for frame in frames]


def base_decoder(
    header: SequenceHeader, threads: int, low_delay: bool, model: object = None
) -> StandardDecoder:
    """The decoder of a stream's base."""
    return StandardDecoder(header.format, header.base, header.scale, threads, low_delay)


_decoders: weakref.WeakSet[StandardDecoder] = weakref.WeakSet()


def _free_nothing_of_parent() -> None:
    """`fork` copies no threads: closing a decoder would wait for those of the parent.

    `gc.freeze` exempts garbage of the parent, also FFmpeg's codecs, from collection."""
    gc.freeze()
    for decoder in list(_decoders):
        decoder.keep_open()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_nothing_of_parent)


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


_SPS, _SLICES, _PICTURE_HEADER = 15, 12, 19
#: Bitstreams pad pictures to whole coding blocks.
_BLOCK = 128
#: Parameter sets begin with the fields examined here.
_PARSED_BYTES = 128


def padded_size(width: int, height: int) -> tuple[int, int]:
    """The largest size that a bitstream may name for a picture of this size."""
    return -(-width // _BLOCK) * _BLOCK, -(-height // _BLOCK) * _BLOCK


def check_payload(codec: str, payload: bytes, width: int, height: int) -> None:
    """Raises `DamagedStreamError` for pictures larger than `padded_size(width, height)` and for
    more frames than one, of AV1 also for none."""
    if codec == "av1":
        _core.check_av1(payload)
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
