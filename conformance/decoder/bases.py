"""Base frames of AV1 and H.266, and the resampler (Bases)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from functools import cache

import av
import numpy as np

from conformance.decoder.entropy import TABLES
from conformance.decoder.header import Header
from conformance.decoder.wire import Bytes, Damaged, require, var

Planes = list[np.ndarray]  # Y [H, W], U and V [⌈H / 2⌉, ⌈W / 2⌉], int32, 0…1023
SEQUENCE, FRAME_HEADER, METADATA, FRAME = 1, 3, 5, 6
#: ITU-T T.35: United States, ATSC, "GA94", cc_data.
CAPTIONS = b"\x04\xb5\x00\x31GA94\x03"
START_CODE = b"\0\0\0\1"


def coded_side(side: int, scale: Fraction) -> int:
    """Reduced sizes."""
    p, q = scale.numerator, scale.denominator
    multiple = 2 * q
    padded = -(-max(side, 64 * q // p) // multiple) * multiple
    return padded * p // q


@cache
def _filters() -> dict:
    return json.loads((TABLES / "resampler.json").read_text())["up"]


def _up(lines: np.ndarray, scale: str) -> np.ndarray:
    """Along the last axis, not rounded."""
    rule = _filters()[scale]
    n = lines.shape[-1]
    k = np.arange(-(-n // rule["step"])) * rule["step"]
    phases = []
    for first, taps in zip(rule["first"], rule["taps"], strict=True):
        phases.append(
            sum(t * lines[..., (k + first + i).clip(0, n - 1)] for i, t in enumerate(taps))
        )
    return np.stack(phases, -1).reshape(*lines.shape[:-1], -1)


def full_size(planes: Planes, header: Header) -> Planes:
    """Resampled and cropped."""
    resampled = []
    for i, plane in enumerate(planes):
        height = header.height if i == 0 else (header.height + 1) // 2
        width = header.width if i == 0 else (header.width + 1) // 2
        if header.scale != 1:
            plane = _up(_up(plane, str(header.scale)).T, str(header.scale)).T
            plane = ((plane + (1 << 13)) >> 14).clip(0, 1023)
        resampled.append(plane[:height, :width])
    return resampled


def pictures(codec: str, units: list[bytes], size: tuple[int, int]) -> list[Planes]:
    """Decoded pictures of a GOP, in display order, through PyAV."""
    context = av.CodecContext.create(codec, "r")
    context.thread_count = 1
    frames: list[av.VideoFrame] = []
    try:
        for unit in units:
            frames += context.decode(av.Packet(unit))
        frames += context.decode(None)
    except av.FFmpegError as error:
        raise Damaged(f"the base: {error}") from None
    require(len(frames) == len(units), f"{len(frames)} pictures of {len(units)} payloads")
    return [_planes(frame, size) for frame in frames]


def _planes(frame: av.VideoFrame, size: tuple[int, int]) -> Planes:
    shifts = {"yuv420p": 2, "yuvj420p": 2, "yuv420p10le": 0}
    require(frame.format.name in shifts, f"samples {frame.format.name}")
    require((frame.width, frame.height) == size, "size of a coded picture")
    shift, planes = shifts[frame.format.name], []
    for plane in frame.planes:
        kind = np.uint8 if shift else np.dtype("<u2")
        rows = np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width]
        planes.append(rows.astype(np.int32) << shift)
    return planes


class Base:
    """Frames of a stream of base AV1 or H.266, GOP by GOP."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.size = coded_side(header.width, header.scale), coded_side(header.height, header.scale)

    def gop(self, payloads: list[bytes]) -> Iterator[Planes]:
        """Base frames of a GOP, in display order."""
        is_av1 = self.header.base == "av1"
        units = [temporal_unit(p) if is_av1 else _access_unit(p) for p in payloads]
        for planes in pictures("libdav1d" if is_av1 else "vvc", units, self.size):
            yield full_size(planes, self.header)


def _leb128(read: Bytes) -> int:
    value = 0
    for i in range(8):
        byte = read.number(1)
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value
    raise Damaged("size of an OBU")


def obus(payload: bytes) -> list[tuple[int, bytes, bytes]]:
    """(type, header, body) of each OBU of a low-overhead stream."""
    read, units = Bytes(payload), []
    while read.remaining:
        head = read.take(1)
        if head[0] & 4:
            head += read.take(1)
        body = read.take(_leb128(read)) if head[0] & 2 else read.rest()
        units.append((head[0] >> 3 & 15, head, body))
    require(0 < len(units) <= 4096, "OBUs of a payload")
    return units


def temporal_unit(payload: bytes) -> bytes:
    """A payload as a decoder takes it (av1)."""
    unit, pictures = b"\x12\0", 0
    for kind, head, body in obus(payload):
        require(head[0] < 128, "the forbidden bit of an OBU")
        if kind in (FRAME_HEADER, FRAME):
            require(len(body) > 0, "an empty frame header")
            pictures += body[0] >> 7 or body[0] >> 4 & 1
        if kind == SEQUENCE:
            require(len(body) > 0 and not body[0] >> 3 & 1, "a still picture")
        unit += bytes([head[0] | 2]) + head[1:] + var(len(body)) + body
    require(pictures == 1, f"{pictures} pictures in a payload")
    return unit


def captions(payload: bytes) -> str:
    """Closed captions of a frame, in hexadecimal digits (av1)."""
    triplets = b""
    for kind, _, body in obus(payload):
        if kind == METADATA and body.startswith(CAPTIONS):
            read = Bytes(body, len(CAPTIONS))
            flags, _ = read.take(2)
            triplets += read.take(3 * (flags & 31))
    return triplets.hex()


def _access_unit(payload: bytes) -> bytes:
    """NAL units with start codes (vvc)."""
    require(len(payload) > 0, "an empty payload")
    units = [payload]
    if payload[0] & 128:
        read = Bytes(payload, 1)
        count = payload[0] & 127
        require(count > 0, "no NAL unit")
        sizes = [read.var() for _ in range(count - 1)]
        units = [read.take(size) for size in sizes] + [read.rest()]
    require(all(b"\0\0\1" not in unit for unit in units), "a start code inside")
    return b"".join(START_CODE + b"\0" + unit for unit in units)
