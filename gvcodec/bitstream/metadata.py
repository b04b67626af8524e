"""Metadata of a video besides frames and tracks: title and other tags, chapters, brightness of an
HDR master, start of its own clock, encoder of its base.

    metadata = Metadata(title="Alps", light=(1000, 400))
    Metadata.unpack(metadata.pack()) == metadata

It travels in the `metadata` packet. `source_metadata` reads it from a source; `container_tags`
gives tags and chapters to a muxer. HDR fields go into the video bitstream (SEI messages), because
PyAV cannot write the boxes that some containers have for them. Raises `DamagedStreamError`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from gvcodec.bitstream.varint import Cursor, encode_svar, encode_var
from gvcodec.errors import DamagedStreamError
from gvcodec.util.messages import is_control

#: Bytes of a payload. A thousand chapters with long names fit.
MAX_PAYLOAD = 1 << 16
#: Unit of times, in seconds, and the largest one.
MICROSECOND = Fraction(1, 1_000_000)
LATEST = 1 << 52
_TITLE, _CHAPTER, _MASTERING, _LIGHT, _TAG, _START, _ENCODER, _NAME = range(1, 9)
#: Encoders of bases by their numbers.
SVT_AV1, VVENC_H266 = 1, 2
_ENCODERS = {SVT_AV1: "SVT-AV1", VVENC_H266: "VVenC"}
_MOST_NUMBERS = 8
#: Characters of a name of a track, and most tracks.
NAME_ROOM, MOST_TRACKS = 256, 64
#: Largest values of the fields of `Metadata.mastering`.
HIGHEST_MASTERING = (*(0xFFFF,) * 8, 0xFFFFFFFF, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Chapter:
    """`begin` and `end` in microseconds on the clock of the timestamps."""

    begin: int
    end: int
    title: str = ""


@dataclass(frozen=True, slots=True)
class Metadata:
    """`mastering` (SMPTE ST 2086): x and y of red, green, blue and white in 1/50000, largest and
    least luminance in 1/10000 cd/m². `light`: largest and mean content light level, cd/m².
    `tags`: names and texts (`creation_time`, `location`, `artist` …). `source_start`: where the
    first frame is on the clock of the source, microseconds. `encoder`: number of the base's encoder
    and its version, as far as that is known. `names`: number of a track (0: the video), "title" or
    "language", and the text; of other tracks only titles that `tracks` packets cannot hold."""

    title: str = ""
    chapters: tuple[Chapter, ...] = ()
    mastering: tuple[int, ...] | None = None
    light: tuple[int, int] | None = None
    tags: tuple[tuple[str, str], ...] = ()
    source_start: int = 0
    encoder: tuple[int, ...] = ()
    names: tuple[tuple[int, str, str], ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything that a video file could hold."""
        return replace(self, source_start=0, encoder=()) != Metadata()

    def pack(self) -> bytes:
        """The payload of a `metadata` packet, of any size; empty when there is nothing to say."""
        fields = [(_TITLE, self.title.encode())] if self.title else []
        for chapter in self.chapters:
            times = encode_svar(chapter.begin) + encode_var(chapter.end - chapter.begin)
            fields.append((_CHAPTER, times + chapter.title.encode()))
        for number, values in ((_MASTERING, self.mastering), (_LIGHT, self.light)):
            if values is not None:
                fields.append((number, b"".join(map(encode_var, values))))
        fields += [(_TAG, f"{name}\0{text}".encode()) for name, text in self.tags]
        if self.source_start:
            fields.append((_START, encode_svar(self.source_start)))
        if self.encoder:
            fields.append((_ENCODER, b"".join(map(encode_var, self.encoder))))
        fields += [(_NAME, encode_var(n) + f"{k}\0{text}".encode()) for n, k, text in self.names]
        return b"".join(bytes([number]) + encode_var(len(data)) + data for number, data in fields)

    @staticmethod
    def unpack(payload: bytes) -> Metadata:
        """Skips fields of unknown number. Raises `DamagedStreamError`."""
        if len(payload) > MAX_PAYLOAD:
            raise DamagedStreamError(f"metadata: {len(payload)} bytes are above {MAX_PAYLOAD}")
        metadata, chapters, tags, names = Metadata(), [], [], []
        cursor = Cursor(payload, "metadata")
        while len(cursor):
            number = cursor.uint(1)
            field = Cursor(cursor.take(cursor.var()), "metadata")
            if number == _TITLE:
                metadata = replace(metadata, title=_text(field))
            elif number == _CHAPTER:
                begin, duration = field.svar(), field.var(LATEST)
                if abs(begin) > LATEST:
                    raise DamagedStreamError("metadata: a chapter is out of range")
                chapters.append(Chapter(begin, begin + duration, _text(field)))
            elif number == _MASTERING:
                metadata = replace(
                    metadata, mastering=tuple(field.var(limit) for limit in HIGHEST_MASTERING)
                )
            elif number == _LIGHT:
                metadata = replace(metadata, light=(field.var(0xFFFF), field.var(0xFFFF)))
            elif number == _TAG:
                name, _, text = _decode(field).partition("\0")
                tags.append((printable(name), printable(text)))
            elif number == _START:
                metadata = replace(metadata, source_start=field.svar())
            elif number == _ENCODER:
                numbers = (field.var() for _ in range(_MOST_NUMBERS) if len(field))
                metadata = replace(metadata, encoder=tuple(numbers))
            elif number == _NAME:
                track = field.var(MOST_TRACKS)
                name, _, text = _decode(field).partition("\0")
                if name in ("title", "language"):
                    names.append((track, name, printable(text)[:NAME_ROOM]))
        if abs(metadata.source_start) > LATEST:
            raise DamagedStreamError("metadata: the start of the source is out of range")
        return replace(metadata, chapters=tuple(chapters), tags=tuple(tags), names=tuple(names))

    @property
    def encoder_name(self) -> str:
        """Such as "SVT-AV1 4.2.0-151", empty where it is not known."""
        if not self.encoder:
            return ""
        number, *version = self.encoder
        name = _ENCODERS.get(number, f"encoder {number}")
        text = ".".join(map(str, version[:3])) + "".join(f"-{part}" for part in version[3:] if part)
        return f"{name} {text}".strip()

    def during(self, begin: Fraction | None, end: Fraction | None, shift: Fraction) -> Metadata:
        """With the chapters between two times (seconds, None = no bound), `shift` seconds later."""
        first = -LATEST if begin is None else round(begin / MICROSECOND)
        last = LATEST if end is None else round(end / MICROSECOND)
        later = round(shift / MICROSECOND)
        chapters = (
            Chapter(
                max(chapter.begin, first) + later, min(chapter.end, last) + later, chapter.title
            )
            for chapter in self.chapters
            if chapter.begin < last and chapter.end > first
        )
        return replace(self, chapters=tuple(chapters), source_start=self.source_start - later)

    def parts(self) -> Iterator[str]:
        """Names of the parts present, for messages."""
        if self.title:
            yield "title"
        if self.chapters:
            yield "chapters" if len(self.chapters) > 1 else "chapter"
        if self.tags:
            yield f"tags ({', '.join(name for name, _ in self.tags)})"
        if names := self.names_of(0):
            yield f"{' and '.join(names)} of the video"
        if self.mastering or self.light:
            yield "HDR metadata"

    def names_of(self, track: int) -> dict[str, str]:
        """The names of a track in `names`."""
        return {name: text for number, name, text in self.names if number == track}


def _text(field: Cursor) -> str:
    return printable(_decode(field))


def _decode(field: Cursor) -> str:
    try:
        return field.take(len(field)).decode()
    except UnicodeDecodeError as error:
        raise DamagedStreamError("metadata: a text is no UTF-8") from error


def printable(text: str) -> str:
    """Without control characters, since texts are shown on terminals, and of Unicode alone."""
    text = text.encode(errors="surrogateescape").decode(errors="replace")
    return "".join(" " if is_control(character) else character for character in text).strip()
