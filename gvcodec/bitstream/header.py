"""Sequence header of a gvcodec file: the fields, their bounds, their bytes. The layout is specified
in the package docstring."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from fractions import Fraction

from gvcodec.bases import INDEX_END, RETIRED_BASES, base_of, base_of_wire, names
from gvcodec.bitstream.packets import Source
from gvcodec.bitstream.varint import MAX_BYTES, Cursor, encode_svar, encode_var
from gvcodec.errors import DamagedStreamError, FormatVersionError, UsageError
from gvcodec.types import Colour, VideoFormat

MAGIC = b"\x89GVC"
#: Versions before 1.0 are read by the release that wrote them alone.
VERSION = (0, 7)
MAX_SIDE = 16384
MAX_PIXELS = 1 << 26
#: Numerators and denominators are below it.
MAX_RATIO = 1 << 31
#: Ticks from 0, either way: the difference of any two times can be coded.
MAX_PTS = 1 << 60
SCALES = (Fraction(1), Fraction(3, 4), Fraction(1, 2))
ID_BYTES = 8

_MAX_FIELDS = 256
_HAS_BASE_MODEL_ID = 1
_HAS_PAINTER_ID = 2
_HAS_LATENTS = 4
_BUNDLED = 8


@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """What holds for the whole stream. `start_pts` is in ticks of `format.time_base`; ids are 8
    bytes or None. `gvc1d_id`: the model of the latent tokens (`gvcodec.gvc1d.files`), where the
    stream has any. `bundled`: frame packets hold bundles (`gvcodec.bitstream.bundles`)."""

    format: VideoFormat
    base: str
    scale: Fraction
    q: int
    start_pts: int = 0
    base_model_id: bytes | None = None
    painter_id: bytes | None = None
    gvc1d_id: bytes | None = None
    bundled: bool = False

    def __post_init__(self) -> None:
        """Raises `UsageError` for what the format cannot hold."""
        fmt = self.format
        if not (
            0 < fmt.width <= MAX_SIDE
            and 0 < fmt.height <= MAX_SIDE
            and fmt.width * fmt.height <= MAX_PIXELS
        ):
            raise UsageError(
                f"a picture of {fmt.width}×{fmt.height} is outside the limits (side 1…{MAX_SIDE}, "
                f"{MAX_PIXELS} pixels)"
            )
        for name, ratio in (
            ("frame rate", fmt.frame_rate),
            ("time base", fmt.time_base),
            ("aspect ratio", fmt.sar),
        ):
            if not (0 < ratio.numerator < MAX_RATIO and ratio.denominator < MAX_RATIO):
                raise UsageError(f"{name} {ratio} is outside the limits")
        colour = fmt.colour
        if not all(0 <= code < 256 for code in (colour.primaries, colour.transfer, colour.matrix)):
            raise UsageError("colour tags are CICP code points 0…255")
        if not 0 <= colour.chroma_location < 8 or fmt.bit_depth not in (8, 10):
            raise UsageError("chroma location is 0…7 and bit depth 8 or 10")
        if self.base not in names() or self.scale not in SCALES:
            raise UsageError(f"base layer {self.base} at scale {self.scale} is unknown")
        if not 0 <= self.q <= INDEX_END:
            raise UsageError(f"q is 0…{INDEX_END}, not {self.q}")
        for model in (self.base_model_id, self.painter_id, self.gvc1d_id):
            if model is not None and len(model) != ID_BYTES:
                raise UsageError(f"a model id has {ID_BYTES} bytes")
        if self.bundled and self.base != "av1":
            raise UsageError("frames of base av1 alone travel in bundles")
        if self.base == "motion" and self.base_model_id is None:
            raise UsageError("base motion names its model")

    @property
    def enhanced(self) -> bool:
        """Whether other frames are shown than those of the base layer."""
        return self.painter_id is not None or self.gvc1d_id is not None

    def pack(self) -> bytes:
        """All bytes of the header, magic to CRC."""
        fmt, colour = self.format, self.format.colour
        flags = (self.base_model_id is not None) * _HAS_BASE_MODEL_ID
        flags |= (self.painter_id is not None) * _HAS_PAINTER_ID
        flags |= (self.gvc1d_id is not None) * _HAS_LATENTS
        flags |= self.bundled * _BUNDLED
        bits = colour.full_range | (fmt.bit_depth == 10) << 1 | colour.chroma_location << 2
        fields = b"".join(
            (
                bytes([flags]),
                *(encode_var(side) for side in (fmt.width, fmt.height)),
                *(_encode_ratio(ratio) for ratio in (fmt.frame_rate, fmt.time_base)),
                encode_svar(self.start_pts),
                bytes([colour.primaries, colour.transfer, colour.matrix, bits]),
                _encode_ratio(fmt.sar),
                bytes([base_of(self.base).wire, SCALES.index(self.scale), self.q]),
                self.base_model_id or b"",
                self.painter_id or b"",
                self.gvc1d_id or b"",
            )
        )
        head = MAGIC + bytes(VERSION) + encode_var(len(fields)) + fields
        return head + zlib.crc32(head).to_bytes(4, "little")

    @staticmethod
    def read(stream: Source) -> tuple[SequenceHeader, int]:
        """Read a header, return it and its size in bytes. Raises `DamagedStreamError`, and
        `FormatVersionError` for a stream of another release."""
        head = _read(stream, len(MAGIC) + len(VERSION))
        if head[: len(MAGIC)] != MAGIC:
            raise DamagedStreamError("not a gvcodec file (wrong first bytes)")
        size = bytearray()
        while not size or size[-1] >= 0x80 and len(size) < MAX_BYTES:
            size += _read(stream, 1)
        body = _read(stream, Cursor(bytes(size), "header").var(_MAX_FIELDS))
        crc = _read(stream, 4)
        whole = head + bytes(size) + body
        if zlib.crc32(whole) != int.from_bytes(crc, "little"):
            raise DamagedStreamError("header: checksum differs (nothing can be decoded)")
        major, minor = head[len(MAGIC) :]
        if (major, minor) != VERSION:
            raise FormatVersionError(_of_another_release(major, minor))
        return _parse_fields(body), len(whole) + len(crc)


def _of_another_release(major: int, minor: int) -> str:
    ours, found = ".".join(map(str, VERSION)), f"format version {major}.{minor}"
    which = "a later" if (major, minor) > VERSION else "an earlier"
    return f"{found} is of {which} release of gvcodec; this one reads {ours}"


def _read(stream: Source, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise DamagedStreamError("header: file ends early")
    return data


def _encode_ratio(ratio: Fraction) -> bytes:
    return encode_var(ratio.numerator) + encode_var(ratio.denominator)


def _parse_fields(body: bytes) -> SequenceHeader:
    cursor = Cursor(body, "header")

    def ratio() -> Fraction:
        numerator, denominator = cursor.var(MAX_RATIO), cursor.var(MAX_RATIO)
        if denominator == 0:
            raise DamagedStreamError("header: ratio with denominator 0")
        return Fraction(numerator, denominator)

    flags = cursor.uint(1)
    width, height = cursor.var(MAX_SIDE), cursor.var(MAX_SIDE)
    frame_rate, time_base = ratio(), ratio()
    start_pts = cursor.svar()
    primaries, transfer, matrix, bits = cursor.take(4)
    sar = ratio()
    base, scale, q = cursor.take(3)
    base_model_id = cursor.take(ID_BYTES) if flags & _HAS_BASE_MODEL_ID else None
    painter_id = cursor.take(ID_BYTES) if flags & _HAS_PAINTER_ID else None
    gvc1d_id = cursor.take(ID_BYTES) if flags & _HAS_LATENTS else None
    name = base_of_wire(base)
    if base in RETIRED_BASES:
        raise FormatVersionError(
            f"base {RETIRED_BASES[base]} was written by gvcodec before 0.7.0 and is read by "
            f"release 0.1.0; this one reads {', '.join(names())}"
        )
    if len(cursor) or flags > 15 or bits >= 32 or name is None or scale >= len(SCALES):
        raise DamagedStreamError("header: field out of range")
    if abs(start_pts) > MAX_PTS:
        raise DamagedStreamError("header: field out of range")
    colour = Colour(primaries, transfer, matrix, bool(bits & 1), bits >> 2)
    fmt = VideoFormat(width, height, frame_rate, time_base, 10 if bits & 2 else 8, colour, sar)
    try:
        return SequenceHeader(
            fmt,
            name,
            SCALES[scale],
            q,
            start_pts,
            base_model_id,
            painter_id,
            gvc1d_id,
            bool(flags & _BUNDLED),
        )
    except UsageError as error:
        raise DamagedStreamError(f"header: {error}") from error
