"""Sequence header of a gvcodec file: fields, bounds, bytes (docs/spec/container.md). Reading is
C++ (csrc/format/header.cpp).

Unknown parts are skipped, or the file is *newer* (`FormatVersionError`), never damaged:
docs/spec/index.md has the rules.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from fractions import Fraction

from gvcodec import _core
from gvcodec.bases import INDEX_END, base_of, base_of_wire, names, wires
from gvcodec.bitstream.packets import ENDS_EARLY, Source, read_sized
from gvcodec.bitstream.varint import encode_svar, encode_var
from gvcodec.errors import UsageError
from gvcodec.types import Colour, VideoFormat
from gvcodec.util.deprecation import renamed_attributes

MAGIC = b"\x89GVC"
#: The latest readable version.
VERSION = (1, 1)
#: Versions needed by files: usually; with factors of the painter; with painter tokens; of base
#: gvc1d.
NEEDS, NEEDS_STRENGTH_FACTORS, NEEDS_PAINTER_TOKENS, NEEDS_NETWORK = (1, 0), (1, 1), (1, 1), (1, 1)
#: Versions for `--format`: the most that reading may need, and the highest profile that every later
#: release of the same major version decodes to the same frames.
FORMAT_PROFILES = {"1.0": ((1, 0), 1)}
MAX_SIDE = 16384
MAX_PIXELS = 1 << 26
#: Bound of numerators and denominators.
MAX_RATIO = 1 << 31
#: Ticks from 0, either way: the difference of any two times can be coded.
MAX_PTS = 1 << 60
SCALES = (Fraction(1), Fraction(3, 4), Fraction(1, 2))
ID_BYTES = 8
#: Magic, version, and at least one byte of the size.
_LEAST_HEAD = len(MAGIC) + len(VERSION) + 1
#: The core's names of the fields of `Colour`, and those of `SequenceHeader` from `base_q` on.
_COLOUR = ("primaries", "transfer", "matrix", "full_range", "chroma_location")
_REST = ("q", "start", "base_model", "painter", "gvc1d", "bundled", "embeds_models", "needs")

#: Bits of `must`.
_HAS_BASE_MODEL_ID = 1
_HAS_PAINTER_ID = 2
_BUNDLED = 8
#: Bit of `may`.
_EMBEDS_MODELS = 1
#: 2 is not used.
PROFILES = {0: "Base", 1: "Painted", 3: "Tokens"}
#: Level: most luma samples of a picture, and of a second.
LEVELS = {
    1: (1 << 18, 1 << 23),
    2: (1 << 20, 1 << 25),
    3: (1 << 21, 1 << 26),
    4: (1 << 21, 1 << 27),
    5: (1 << 23, 1 << 28),
    6: (1 << 23, 1 << 29),
    7: (1 << 26, 1 << 32),
}
#: Of a stream above all levels.
NO_LEVEL = 255


@renamed_attributes(enhanced="is_painted", hold_to="check_format")
@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """Properties of the whole stream. `start_pts` is in ticks of `format.time_base`; ids are 8
    bytes or None. `gvc1d_id`: the model of the latent tokens of files of 1.0, not written again.
    `is_bundled`: frame packets hold bundles (`gvcodec.bitstream.bundles`). `embeds_models`: `model`
    packets follow.
    `needs`: the version that reads the file, `NEEDS_STRENGTH_FACTORS` where fitted weights may have
    factors (`gvcodec.painter.paint_strength`), `NEEDS_PAINTER_TOKENS` where they may have tokens
    (`gvcodec.painter.token_coding`)."""

    format: VideoFormat
    base: str
    scale: Fraction
    base_q: int
    start_pts: int = 0
    base_model_id: bytes | None = None
    painter_id: bytes | None = None
    gvc1d_id: bytes | None = None
    is_bundled: bool = False
    embeds_models: bool = False
    needs: tuple[int, int] = NEEDS

    def __post_init__(self) -> None:
        """Raise `UsageError` for values outside of the format."""
        fmt = self.format
        sides = 0 < fmt.width <= MAX_SIDE and 0 < fmt.height <= MAX_SIDE
        if not sides or fmt.width * fmt.height > MAX_PIXELS:
            raise UsageError(
                f"a picture of {fmt.width}×{fmt.height} is outside the limits (side 1…{MAX_SIDE}, "
                f"{MAX_PIXELS} pixels)",
                code="header-field",
            )
        ratios = {"frame rate": fmt.frame_rate, "time base": fmt.time_base, "aspect ratio": fmt.sar}
        for name, ratio in ratios.items():
            if not (0 < ratio.numerator < MAX_RATIO and ratio.denominator < MAX_RATIO):
                raise UsageError(f"{name} {ratio} is outside the limits", code="header-field")
        colour = fmt.colour
        if not all(0 <= code < 256 for code in (colour.primaries, colour.transfer, colour.matrix)):
            raise UsageError("colour tags are CICP code points 0…255", code="header-field")
        if not 0 <= colour.chroma_location < 8 or fmt.bit_depth not in (8, 10):
            raise UsageError("chroma location is 0…7 and bit depth 8 or 10", code="header-field")
        if self.base not in names() or self.scale not in SCALES:
            raise UsageError(
                f"base layer {self.base} at scale {self.scale} is unknown", code="header-field"
            )
        if not 0 <= self.base_q <= INDEX_END:
            raise UsageError(f"q is 0…{INDEX_END}, not {self.base_q}", code="header-field")
        for model in (self.base_model_id, self.painter_id, self.gvc1d_id):
            if model is not None and len(model) != ID_BYTES:
                raise UsageError(f"a model id has {ID_BYTES} bytes", code="header-field")
        if self.is_bundled and self.base != "av1":
            raise UsageError("frames of base av1 alone travel in bundles", code="header-field")
        if self.base == "gvc1d" and self.base_model_id is None:
            raise UsageError(f"base {self.base} names its model", code="header-field")
        if self.base == "gvc1d" and self.painter_id is not None:
            raise UsageError("frames of base gvc1d are not painted", code="header-field")
        if self.base == "gvc1d" and self.needs < NEEDS_NETWORK:
            raise UsageError(
                f"base gvc1d needs format {_dotted(NEEDS_NETWORK)}", code="format-promise"
            )

    @property
    def is_painted(self) -> bool:
        """Whether output frames are painted."""
        return self.painter_id is not None

    @property
    def profile(self) -> int:
        """The decoder features needed besides the container: a key of `PROFILES`."""
        if self.gvc1d_id is not None or self.base == "gvc1d":
            return 3
        return int(self.painter_id is not None)

    @property
    def codecs(self) -> str:
        """The `codecs` parameter of the media type: `gvc.1.1.03.av1`."""
        return f"gvc.{self.needs[0]}.{self.profile}.{self.level:02d}.{self.base}"

    @property
    def level(self) -> int:
        """The lowest level that allows its pictures at the frame rate."""
        samples = self.format.width * self.format.height
        for level, (most, a_second) in LEVELS.items():
            if samples <= most and samples * self.format.frame_rate <= a_second:
                return level
        return NO_LEVEL

    def check_format(self, version: str) -> None:
        """Raise `UsageError` for properties that a release of this version does not read, or does
        not promise to decode to the same frames."""
        if version not in FORMAT_PROFILES:
            raise UsageError(
                f"format is {', '.join(FORMAT_PROFILES)}, not {version}", code="format-promise"
            )
        most, profile = FORMAT_PROFILES[version]
        if most < self.needs:
            what = "base gvc1d" if self.base == "gvc1d" else "look"
            raise UsageError(
                f"{what} needs format {_dotted(self.needs)}, which {version} is not",
                code="format-promise",
            )
        if self.profile > profile:
            raise UsageError(
                f"profile {PROFILES[self.profile]} is not covered by format {version}: "
                "it covers bases av1 and vvc without tokens",
                code="format-promise",
            )

    def pack(self) -> bytes:
        """All bytes of the header, magic to CRC, without latent tokens."""
        if self.gvc1d_id is not None:
            return replace(self, gvc1d_id=None).pack()
        fmt, colour = self.format, self.format.colour
        flags = (self.base_model_id is not None) * _HAS_BASE_MODEL_ID
        flags |= (self.painter_id is not None) * _HAS_PAINTER_ID
        flags |= self.is_bundled * _BUNDLED
        bits = colour.full_range | (fmt.bit_depth == 10) << 1 | colour.chroma_location << 2
        fields = b"".join(
            (
                bytes([*self.needs, self.profile, self.level]),
                encode_var(flags),
                encode_var(self.embeds_models * _EMBEDS_MODELS),
                *(encode_var(side) for side in (fmt.width, fmt.height)),
                *(_encode_ratio(ratio) for ratio in (fmt.frame_rate, fmt.time_base)),
                encode_svar(self.start_pts),
                bytes([colour.primaries, colour.transfer, colour.matrix, bits]),
                _encode_ratio(fmt.sar),
                bytes([base_of(self.base).wire, SCALES.index(self.scale), self.base_q]),
                *(i or b"" for i in (self.base_model_id, self.painter_id)),
            )
        )
        head = MAGIC + bytes(self.needs) + encode_var(len(fields)) + fields
        return head + zlib.crc32(head).to_bytes(4, "little")

    @staticmethod
    def read(stream: Source) -> tuple[SequenceHeader, int]:
        """Read a header, return it and its size in bytes. Raises `DamagedStreamError`, and
        `FormatVersionError` for a stream of another release, `NotGvcodecError`."""
        data = read_sized(stream, _LEAST_HEAD, _core.header_size, f"header: {ENDS_EARLY}")
        fields = _core.header_fields(data, wires())
        width, height, bits = fields["width"], fields["height"], fields["bits"]
        rate, tick, sar = (Fraction(*fields[name]) for name in ("rate", "tick", "sar"))
        colour = Colour(*(fields[name] for name in _COLOUR))
        fmt = VideoFormat(width, height, rate, tick, bits, colour, sar)
        base, scale = base_of_wire(fields["base"]), SCALES[fields["scale"]]
        rest = (fields[name] for name in _REST)
        return SequenceHeader(fmt, base, scale, *rest), len(data)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _encode_ratio(ratio: Fraction) -> bytes:
    return encode_var(ratio.numerator) + encode_var(ratio.denominator)
