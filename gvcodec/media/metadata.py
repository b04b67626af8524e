"""What a file says of its video besides frames and tracks: title, chapters, how bright an HDR
master is.

    metadata = Metadata(title="Alps", light=(1000, 400))
    Metadata.unpack(metadata.pack()) == metadata

It travels in the `metadata` packet (specified in `gvcodec.bitstream`). Muxers take title and
chapters; the HDR fields go into the video bitstream itself (SEI messages), since PyAV cannot write
the boxes that some containers have for them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from gvcodec.bitstream.varint import Cursor, encode_svar, encode_var
from gvcodec.errors import DamagedStreamError

if TYPE_CHECKING:
    import av

#: Bytes of a payload. A thousand chapters with long names fit.
MAX_PAYLOAD = 1 << 16
_MICRO = Fraction(1, 1_000_000)
_MAX_TIME = 1 << 52
_TITLE, _CHAPTER, _MASTERING, _LIGHT = 1, 2, 3, 4
#: FFmpeg's units of `AVMasteringDisplayMetadata` are fractions; H.265's are these.
_CHROMA, _LUMINANCE = 50_000, 10_000
_HIGHEST = (*(0xFFFF,) * 8, 0xFFFFFFFF, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Chapter:
    """`begin` and `end` in microseconds on the clock of the timestamps."""

    begin: int
    end: int
    title: str = ""


@dataclass(frozen=True, slots=True)
class Metadata:
    """`mastering` (SMPTE ST 2086): x and y of red, green, blue and white in 1/50000, largest and
    least luminance in 1/10000 cd/m². `light`: largest and mean content light level, cd/m²."""

    title: str = ""
    chapters: tuple[Chapter, ...] = ()
    mastering: tuple[int, ...] | None = None
    light: tuple[int, int] | None = None

    def __bool__(self) -> bool:
        return self != Metadata()

    def pack(self) -> bytes:
        """The payload of a `metadata` packet, of any size; empty when there is nothing to say."""
        fields = [(_TITLE, self.title.encode())] if self.title else []
        for chapter in self.chapters:
            times = encode_svar(chapter.begin) + encode_var(chapter.end - chapter.begin)
            fields.append((_CHAPTER, times + chapter.title.encode()))
        for number, values in ((_MASTERING, self.mastering), (_LIGHT, self.light)):
            if values is not None:
                fields.append((number, b"".join(map(encode_var, values))))
        return b"".join(bytes([number]) + encode_var(len(data)) + data for number, data in fields)

    @staticmethod
    def unpack(payload: bytes) -> Metadata:
        """Raises `DamagedStreamError` for what cannot be read; fields of unknown number are
        skipped."""
        if len(payload) > MAX_PAYLOAD:
            raise DamagedStreamError(f"metadata: {len(payload)} bytes are above {MAX_PAYLOAD}")
        found, chapters = Metadata(), []
        cursor = Cursor(payload, "metadata")
        while len(cursor):
            number = cursor.uint(1)
            field = Cursor(cursor.take(cursor.var()), "metadata")
            if number == _TITLE:
                found = replace(found, title=_text(field))
            elif number == _CHAPTER:
                begin, duration = field.svar(), field.var(_MAX_TIME)
                if abs(begin) > _MAX_TIME:
                    raise DamagedStreamError("metadata: a chapter is out of range")
                chapters.append(Chapter(begin, begin + duration, _text(field)))
            elif number == _MASTERING:
                found = replace(found, mastering=tuple(field.var(limit) for limit in _HIGHEST))
            elif number == _LIGHT:
                found = replace(found, light=(field.var(0xFFFF), field.var(0xFFFF)))
        return replace(found, chapters=tuple(chapters))

    def during(self, begin: Fraction | None, end: Fraction | None, shift: Fraction) -> Metadata:
        """The same for a piece of the video: chapters between `begin` and `end` (seconds, None = no
        bound), `shift` seconds later."""
        first = -_MAX_TIME if begin is None else round(begin / _MICRO)
        last = _MAX_TIME if end is None else round(end / _MICRO)
        later = round(shift / _MICRO)
        kept = (
            Chapter(
                max(chapter.begin, first) + later, min(chapter.end, last) + later, chapter.title
            )
            for chapter in self.chapters
            if chapter.begin < last and chapter.end > first
        )
        return replace(self, chapters=tuple(kept))

    def parts(self) -> Iterator[str]:
        """Names of what there is, for messages."""
        if self.title:
            yield "title"
        if self.chapters:
            yield "chapters" if len(self.chapters) > 1 else "chapter"
        if self.mastering or self.light:
            yield "HDR metadata"

    def describe(self, container: av.container.OutputContainer) -> None:
        """Give title and chapters to a muxer, before it begins."""
        if self.title:
            container.metadata["title"] = self.title
        if self.chapters:
            container.set_chapters(
                [
                    {
                        "id": number,
                        # Containers have no time before 0.
                        "start": max(0, chapter.begin),
                        "end": max(0, chapter.end),
                        "time_base": _MICRO,
                        "metadata": {"title": chapter.title},
                    }
                    for number, chapter in enumerate(self.chapters)
                ]
            )


def metadata_of(
    container: av.container.InputContainer, frame: av.VideoFrame
) -> tuple[Metadata, list[str]]:
    """What a file and its first frame say, and a line for everything that is lost."""
    chapters = []
    for chapter in container.chapters():
        begin, end = (
            round(chapter[edge] * chapter["time_base"] / _MICRO) for edge in ("start", "end")
        )
        if -_MAX_TIME < begin <= end < _MAX_TIME:
            chapters.append(Chapter(begin, end, _clean(chapter["metadata"].get("title", ""))))
    side = {data.type.name: bytes(data) for data in frame.side_data}
    title = next((text for name, text in container.metadata.items() if name.lower() == "title"), "")
    found = Metadata(
        _clean(title),
        tuple(chapters),
        _mastering(side.get("MASTERING_DISPLAY_METADATA", b"")),
        _light(side.get("CONTENT_LIGHT_LEVEL", b"")),
    )
    lost = [name for kind, name in _DYNAMIC.items() if kind in side]
    notes = [f"HDR metadata of single frames ({', '.join(lost)}) is left out"] if lost else []
    if len(found.pack()) > MAX_PAYLOAD:
        notes.append(f"title and {len(found.chapters)} chapters are left out, they are too long")
        found = replace(found, title="", chapters=())
    return found, notes


_DYNAMIC = {
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_METADATA": "Dolby Vision",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
}


def _mastering(data: bytes) -> tuple[int, ...] | None:
    """From an `AVMasteringDisplayMetadata`: ten fractions, least luminance before the largest, then
    two flags."""
    if len(data) < 88:
        return None
    numbers = struct.unpack_from("22i", data)
    ratios = [
        Fraction(n, d) if d else Fraction(0)
        for n, d in zip(numbers[:20:2], numbers[1:20:2], strict=True)
    ]
    least, most = ratios.pop(8), ratios.pop(8)
    places = [round(value * _CHROMA) if numbers[20] else 0 for value in ratios]
    levels = [round(value * _LUMINANCE) if numbers[21] else 0 for value in (most, least)]
    values = (*places, *levels)
    fits = all(0 <= value <= limit for value, limit in zip(values, _HIGHEST, strict=True))
    return values if fits and any(values) else None


def _light(data: bytes) -> tuple[int, int] | None:
    """From an `AVContentLightMetadata`."""
    if len(data) < 8:
        return None
    most, mean = struct.unpack_from("2I", data)
    return (most, mean) if max(most, mean) <= 0xFFFF and (most or mean) else None


def _text(field: Cursor) -> str:
    try:
        return _clean(field.take(len(field)).decode())
    except UnicodeDecodeError as error:
        raise DamagedStreamError("metadata: a text is no UTF-8") from error


def _clean(text: str) -> str:
    """Without control characters: texts are shown on terminals."""
    return "".join(character if character.isprintable() else " " for character in text).strip()
