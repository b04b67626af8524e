"""The header (Container: Header; Versions and growth)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from conformance.decoder.wire import Bytes, Newer, Refused, crc32, require

VERSION = 1, 1
MAGIC = b"\x89GVC"
BASES = {1: "av1", 3: "vvc", 7: "gvc1d"}
RETIRED = 0, 2, 5, 6
LEVELS = (18, 23), (20, 25), (21, 26), (21, 27), (23, 28), (23, 29), (26, 32)  # logarithms
SCALES = {0: Fraction(1), 1: Fraction(3, 4), 2: Fraction(1, 2)}


@dataclass
class Header:
    size: int = 0  # bytes of the whole structure
    models: bool = False
    bundled: bool = False
    width: int = 0
    height: int = 0
    rate: Fraction = Fraction(1)
    tick: Fraction = Fraction(1)
    start: int = 0
    colour: tuple[int, int, int] = (2, 2, 2)
    bits: int = 0
    sar: Fraction = Fraction(1)
    base: str = ""
    scale: Fraction = Fraction(1)
    q: int = 0
    base_id: str | None = None
    painter_id: str | None = None
    gvc1d_id: str | None = None

    def fields(self) -> dict[str, object]:
        """The container part of an answer (Conformance)."""
        primaries, transfer, matrix = self.colour
        return {
            "width": self.width,
            "height": self.height,
            "frame_rate": fraction(self.rate),
            "time_base": fraction(self.tick),
            "start": self.start,
            "bit_depth": 10 if self.bits & 2 else 8,
            "primaries": primaries,
            "transfer": transfer,
            "matrix": matrix,
            "full_range": bool(self.bits & 1),
            "chroma_location": self.bits >> 2 & 7,
            "sar": fraction(self.sar),
            "base": self.base,
            "scale": str(self.scale),
            "q": self.q,
            "profile": self.profile(),
            "level": self.level(),
            "bundled": self.bundled,
            "painter_id": self.painter_id,
        }

    def profile(self) -> int:
        """The level that follows from the other fields; the byte of the file informs (Profiles)."""
        if self.base == "gvc1d" or self.gvc1d_id:
            return 3
        return int(self.painter_id is not None)

    def level(self) -> int:
        samples = self.width * self.height
        for level, (most, most_a_second) in enumerate(LEVELS, 1):
            if samples <= 1 << most and samples * self.rate <= 1 << most_a_second:
                return level
        return 255


def fraction(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def read_header(data: bytes) -> Header:
    """Read the fields, with checks in the order of the specification."""
    if data[:4] != MAGIC:
        raise Refused("not a gvcodec file")
    whole = Bytes(data, 4)
    major, _minor = whole.number(1), whole.number(1)
    size = whole.var(0, 1024)
    fields = Bytes(whole.take(size))
    require(crc32(data[: whole.at]) == whole.number(4), "checksum of the header")
    if major == 0:
        raise Newer("an earlier format")
    needed = fields.number(1), fields.number(1)
    if needed > VERSION:
        raise Newer(f"needs version {needed[0]}.{needed[1]}")
    return _fields(fields, whole.at, needed)


def _fields(read: Bytes, size: int, needed: tuple[int, int]) -> Header:
    header, _profile, _level = Header(size=size), read.number(1), read.number(1)
    must, may = read.var(), read.var()
    if must >> 5:
        raise Newer("needs a feature that is not known here")
    header.models, header.bundled = bool(may & 1), bool(must & 8)
    if must & 16:
        raise Newer("the reduced form of base gvc1d, of release 1.0")
    header.width, header.height = read.var(1, 16384), read.var(1, 16384)
    require(header.width * header.height <= 2**26, "picture too large")
    header.rate, header.tick = _ratio(read), _ratio(read)
    header.start = read.svar(2**60)
    header.colour = read.number(1), read.number(1), read.number(1)
    header.bits = read.number(1)
    if header.bits >> 5:
        raise Newer("reserved bits of the sample format")
    header.sar = _ratio(read)
    base, scale = read.number(1), read.number(1)
    if base in RETIRED:
        raise Newer("a base of an earlier format")
    if base not in BASES or scale not in SCALES:
        raise Newer(f"base {base} at scale {scale}")
    header.base, header.scale = BASES[base], SCALES[scale]
    header.q = read.number(1)
    require(header.q <= 63, "q")
    require(bool(must & 1) or header.base != "gvc1d", "no model of the base")
    require(not header.bundled or header.base == "av1", "bundles of another base")
    require(not must & 4 or header.base != "gvc1d", "tokens of base gvc1d")
    if header.base == "gvc1d":
        require(not must & 2 and needed >= (1, 1), "gvc1d with a painter, or before 1.1")
    header.base_id = read.take(8).hex() if must & 1 else None
    header.painter_id = read.take(8).hex() if must & 2 else None
    header.gvc1d_id = read.take(8).hex() if must & 4 else None
    return header


def _ratio(read: Bytes) -> Fraction:
    top = read.var(1, 2**31 - 1)
    return Fraction(top, read.var(1, 2**31 - 1))
