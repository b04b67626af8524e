"""Metadata of a video besides frames and tracks: title and other tags, chapters, brightness of an
HDR master, start of its own clock, encoder of its base; and what of it an output loses.

    metadata = Metadata(title="Alps", light=(1000, 400))
    Metadata.unpack(metadata.pack()) == metadata

It travels in the `metadata` packet. Muxers take tags and chapters; HDR fields go into the video
bitstream (SEI messages), since PyAV cannot write the boxes that some containers have for them."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, cast

import av
from av.sidedata.sidedata import SideData, SideDataContainer, Type
from av.stream import Stream

from gvcodec.bitstream.varint import Cursor, encode_svar, encode_var
from gvcodec.errors import DamagedStreamError
from gvcodec.util.messages import is_control

#: Arguments of `av.open`: texts that are no UTF-8 do not stop it. From PyAV 19 on none do.
ANY_TEXT: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
)
#: Bytes of a payload. A thousand chapters with long names fit.
MAX_PAYLOAD = 1 << 16
_MICRO = Fraction(1, 1_000_000)
_MAX_TIME = 1 << 52
_TITLE, _CHAPTER, _MASTERING, _LIGHT, _TAG, _START, _ENCODER, _NAME = range(1, 9)
#: Encoders of bases by their numbers.
SVT_AV1, VVENC_H266 = 1, 2
_ENCODERS = {SVT_AV1: "SVT-AV1", VVENC_H266: "VVenC"}
_MOST_NUMBERS = 8
#: Bytes that its field may take.
_ENCODER_ROOM = 64
#: Parts that a line names.
_MOST_NAMED = 5
#: Tags of a file that say how it was stored, not what is in it.
_TECHNICAL = frozenset(
    """title encoder encoded_by major_brand minor_version compatible_brands software duration
    handler_name vendor_id language creation_app_version hasaudio hasvideo hasmetadata haskeyframes
    canseektoend metadatacreator lasttimestamp lastkeyframetimestamp timecode variant_bitrate
    devicevendor product_uid product_name product_version product_version_num company_name uid
    generation_uid application_platform modification_date operational_pattern_ul
    material_package_umid toolkit_version_num""".split()  # noqa: SIM905
)
_KEEP_ALL = ("matroska", "webm")
#: Kinds of files in which each chapter lasts until the next one.
_GAPLESS = ("mp4", "mov")
#: Characters of a name of a track, and most tracks.
_NAME_ROOM, _MOST_TRACKS = 256, 64
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
                begin, duration = field.svar(), field.var(_MAX_TIME)
                if abs(begin) > _MAX_TIME:
                    raise DamagedStreamError("metadata: a chapter is out of range")
                chapters.append(Chapter(begin, begin + duration, _text(field)))
            elif number == _MASTERING:
                metadata = replace(
                    metadata, mastering=tuple(field.var(limit) for limit in _HIGHEST)
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
                track = field.var(_MOST_TRACKS)
                name, _, text = _decode(field).partition("\0")
                if name in ("title", "language"):
                    names.append((track, name, printable(text)[:_NAME_ROOM]))
        if abs(metadata.source_start) > _MAX_TIME:
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
        return replace(self, chapters=tuple(kept), source_start=self.source_start - later)

    def parts(self) -> Iterator[str]:
        """Names of what there is, for messages."""
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

    def describe(self, container: av.container.OutputContainer) -> None:
        """Give tags and chapters to a muxer, before it begins. MP4 and QuickTime have places for a
        few tags or, instead of those, a list of any names, as phones write it."""
        if self.needs_list(container.format.name):
            flags = container.options.get("movflags", "")
            container.options["movflags"] = f"{flags}+use_metadata_tags"
        for name, text in self.tags:
            container.metadata[name] = text
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

    def needs_list(self, kind: str) -> bool:
        """Whether these tags have places in a file of this kind in such a list alone: others may
        want a number or a date."""
        names = {name.lower() for name, _ in self.tags}
        return kind in _GAPLESS and not names <= self._written(kind, False)

    def names_of(self, track: int) -> dict[str, str]:
        """What `names` says of a track."""
        return {name: text for number, name, text in self.names if number == track}

    def lost_in(self, kind: str) -> list[str]:
        """What does not come back from a file of this kind."""
        if kind in _KEEP_ALL:
            return []
        written = self._written(kind, self.needs_list(kind))
        title = "" if "title" in written else self.title
        chapters = () if kind in _GAPLESS else self.chapters
        tags = tuple(sorted(tag for tag in self.tags if tag[0].lower() not in written))
        names = tuple(name for name in self.names if f"track {name[1]}" not in written)
        lost = Metadata(title, chapters, tags=tags, names=names)
        gaps = any(one.end < other.begin for one, other in itertools.pairwise(self.chapters))
        return [*lost.parts(), *["gaps between chapters"] * (gaps and kind in _GAPLESS)]

    def _written(self, kind: str, listed: bool) -> set[str]:
        """Names of tags that come back from a file of this kind, "track title" and "track language"
        among them, tried without a frame."""
        data, flags = io.BytesIO(), "empty_moov+use_metadata_tags" if listed else "empty_moov"
        options = {"movflags": flags} if kind in _GAPLESS else {}
        try:
            with av.open(data, "w", format=kind, options=options) as trial:
                trial.add_stream("aac", rate=48_000).metadata.update(title="name", language="eng")
                trial.metadata.update({"title": self.title} | dict(self.tags))
                trial.start_encoding()
            with av.open(io.BytesIO(data.getvalue()), **ANY_TEXT) as written:
                said = {"track title": title_of(written.streams[0])}
                said |= {"track language": written.streams[0].language or ""} | _texts(written)
                return {name.lower() for name, text in said.items() if text}
        except (av.FFmpegError, ValueError):
            # MPEG-TS, GIF and APNG say nothing.
            return set()


def metadata_of(
    container: av.container.InputContainer, frame: av.VideoFrame, streams: Sequence[Stream]
) -> tuple[Metadata, list[str]]:
    """What a file, its first frame, its video and copied tracks (`streams`) say, and a line for
    what is left out."""
    side, video, is_ogg = side_data(frame), _texts(streams[0]), container.format.name == "ogg"
    # Ogg has tags of tracks alone.
    texts = _texts(*streams[::-1]) if is_ogg else _texts(container)
    plain = {name.lower(): text for name, text in texts.items()}
    metadata = Metadata(
        plain.get("title", ""),
        chapters_of(container),
        _mastering(side.get(number_of(Type.MASTERING_DISPLAY_METADATA), b"")),
        _light(side.get(number_of(Type.CONTENT_LIGHT_LEVEL), b"")),
        tuple((name, text) for name, text in texts.items() if _is_kept(name, texts)),
        names=() if is_ogg else tuple(_names(video, streams)),
    )
    metadata, lost = _shortened(metadata)
    timecode = plain.get("timecode") or video.get("timecode")
    notes = [f"timecode {timecode} left out"] if timecode else []
    if lost:
        names = ", ".join(lost[:_MOST_NAMED]) + (" and others" if len(lost) > _MOST_NAMED else "")
        notes.append(f"{names} left out: too long for the metadata of a file")
    return metadata, notes


def title_of(stream: Stream) -> str:
    """The name of a track, which FFmpeg calls "name" in MP4."""
    texts = _texts(stream)
    return (texts.get("title") or texts.get("name", ""))[:_NAME_ROOM]


def _names(video: dict[str, str], streams: Sequence[Stream]) -> Iterator[tuple[int, str, str]]:
    named = {"title": video.get("title") or video.get("name"), "language": video.get("language")}
    yield from ((0, k, text[:_NAME_ROOM]) for k, text in named.items() if text and text != "und")
    for number, stream in enumerate(streams[1 : _MOST_TRACKS + 1], 1):
        if not (title := title_of(stream)).isprintable():
            yield number, "title", title


def _texts(*sources: av.container.Container | Stream) -> dict[str, str]:
    """Tags that say something; those of later sources count."""
    texts = {name: text for source in sources for name, text in source.metadata.items()}
    # Matroska's are in capitals, whatever they were.
    names = {name: name.lower() if name.isupper() else name for name in texts}
    return {names[name]: shown for name, text in texts.items() if (shown := printable(text))}


def _shortened(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """What fits into a packet, without the longest parts of what does not; names of those."""
    parts = {"title": Metadata(metadata.title), "chapters": Metadata(chapters=metadata.chapters)}
    parts |= {f"tag {name}": Metadata(tags=((name, text),)) for name, text in metadata.tags}
    sizes = {name: len(part.pack()) for name, part in parts.items()}
    lost: dict[str, None] = {}
    excess = len(metadata.pack()) - (MAX_PAYLOAD - _ENCODER_ROOM)
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if excess > 0:
            lost[name] = None
            excess -= sizes[name]
    title = "" if "title" in lost else metadata.title
    chapters = () if "chapters" in lost else metadata.chapters
    tags = tuple(tag for tag in metadata.tags if f"tag {tag[0]}" not in lost)
    return replace(metadata, title=title, chapters=chapters, tags=tags), list(lost)


def chapters_of(container: av.container.InputContainer) -> tuple[Chapter, ...]:
    chapters = []
    for chapter in container.chapters():
        unit = Fraction(chapter["time_base"] or 0)
        begin, end = (round(time * unit / _MICRO) for time in (chapter["start"], chapter["end"]))
        if -_MAX_TIME < begin <= end < _MAX_TIME:
            chapters.append(Chapter(begin, end, printable(chapter["metadata"].get("title", ""))))
    return tuple(chapters)


def _is_kept(name: str, texts: dict[str, str]) -> bool:
    # `location-eng` says again what `location` says.
    language = len(name) > 4 and name[-4] == "-" and name[:-4] in texts
    return name.lower() not in _TECHNICAL and not language and not name.startswith("_")


def number_of(kind: Type) -> int:
    """FFmpeg's number of a kind of side data; for the stubs it is a `Type`."""
    return cast(int, kind.value)


def side_data(frame: av.VideoFrame) -> dict[int, bytes]:
    """What goes with a frame, by FFmpeg's number of its kind; empty where PyAV cannot read it."""
    side: dict[int, bytes] = {}
    # PyAV frees the name of a colour profile, which FFmpeg frees again: the process would die.
    # Decoders of PNG alone give names, and their pictures are RGB or gray.
    named = frame.format.is_rgb or len(frame.format.components) < _YUV_COMPONENTS
    if named and _filtered(frame, "select", _PROFILE) is not None:
        side[_PROFILE] = b""
        frame = _without(frame, _PROFILE)
    while True:
        try:
            # `frame.side_data` would be kept by the frame that it keeps: dozens of frames would
            # wait for the garbage collector. The stubs know neither its argument nor that it gives
            # what it holds.
            parts = cast(Any, SideDataContainer)(frame)
        except ValueError as error:
            # PyAV has no name for some kinds (EXIF, LCEVC …): "31 is not a valid Type".
            number = int(str(error).partition(" ")[0])
            side[number] = b""
            frame = _without(frame, number)
            continue
        # PyAV 19 gives keys, 18 gives what they stand for.
        listed = (part if isinstance(part, SideData) else parts[part] for part in parts)
        return side | {number_of(data.type): bytes(data) for data in listed}


def _without(frame: av.VideoFrame, kind: int) -> av.VideoFrame:
    """The same frame without its side data of a kind (FFmpeg's number)."""
    filtered = _filtered(frame, "delete", kind)
    assert filtered is not None
    return filtered


def _filtered(frame: av.VideoFrame, mode: str, kind: int) -> av.VideoFrame | None:
    """What FFmpeg's filter `sidedata` makes of a frame; None where it lets none pass."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base or Fraction(1, 25),
    )
    chosen = graph.add("sidedata", f"mode={mode}:type={kind}")
    sink = graph.add("buffersink")
    source.link_to(chosen)
    chosen.link_to(sink)
    graph.configure()
    graph.vpush(frame)
    try:
        return graph.vpull()
    except (av.BlockingIOError, av.EOFError):
        return None


_PROFILE = number_of(Type.ICC_PROFILE)
_YUV_COMPONENTS = 3
STEREO = number_of(Type.STEREO3D)
#: Side data of frames that is lost, by its kind.
LOST = {
    number_of(Type.A53_CC): "closed captions",
    STEREO: "the mark of stereo 3D",
    number_of(Type.SPHERICAL): "the projection of a 360° video",
    _PROFILE: "the ICC colour profile",
    number_of(Type.S12M_TIMECODE): "timecodes",
    number_of(Type.DYNAMIC_HDR_PLUS): "HDR metadata of single frames (HDR10+)",
    number_of(Type.DOVI_METADATA): "HDR metadata of single frames (Dolby Vision)",
    number_of(Type.DYNAMIC_HDR_VIVID): "HDR metadata of single frames (HDR Vivid)",
    number_of(Type.AMBIENT_VIEWING_ENVIRONMENT): "the ambient viewing environment",
    28: "an enhancement layer (LCEVC)",
    29: "all views of a video but the first",
    31: "EXIF data, except for its orientation,",
}


def _mastering(data: bytes) -> tuple[int, ...] | None:
    """From an `AVMasteringDisplayMetadata`: ten fractions, then two flags."""
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
    if len(data) < 8:
        return None
    most, mean = struct.unpack_from("2I", data)
    return (most, mean) if max(most, mean) <= 0xFFFF and (most or mean) else None


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
    return "".join(" " if is_control(one) else one for one in text).strip()
