"""Metadata of a source: tags, titles and chapters as FFmpeg reads them, HDR metadata of its first
frame, and notes on losses in a `metadata` packet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

import av
from av.sidedata.sidedata import Type
from av.stream import Stream

from gvcodec.bitstream.metadata import (
    LATEST,
    MAX_PAYLOAD,
    MICROSECOND,
    MOST_TRACKS,
    NAME_ROOM,
    Chapter,
    Metadata,
    printable,
)
from gvcodec.source.side_data import content_light, mastering_display, number_of, side_data
from gvcodec.tracks.tags import texts_of, title_of

#: Bytes that its field may take.
_ENCODER_ROOM = 64
#: Parts that a line names.
_MOST_NAMED = 5
#: Tags about the storage of a file, not its content.
_TECHNICAL = frozenset(
    """title encoder encoded_by major_brand minor_version compatible_brands software duration
    handler_name vendor_id language creation_app_version hasaudio hasvideo hasmetadata haskeyframes
    canseektoend metadatacreator lasttimestamp lastkeyframetimestamp timecode variant_bitrate
    devicevendor product_uid product_name product_version product_version_num company_name uid
    generation_uid application_platform modification_date operational_pattern_ul
    material_package_umid toolkit_version_num""".split()  # noqa: SIM905
)

#: Tags about the storage of a track, and those that say what other parts of a source do.
_OF_STORAGE = frozenset(
    """name bps number_of_frames number_of_bytes source_id source creation_time rotate alpha_mode
    stereo_mode track_name data_type file_package_umid file_package_name reel_name""".split()  # noqa: SIM905
)
#: A language at the end of a tag's name.
_LANGUAGE = re.compile(r"-[a-z]{3}$")


def metadata_of(
    container: av.container.InputContainer, frame: av.VideoFrame, streams: Sequence[Stream]
) -> tuple[Metadata, list[str]]:
    """Metadata of a file, its first frame, its video and copied tracks (`streams`), and a line for
    each omission."""
    side, video, is_ogg = side_data(frame), texts_of(streams[0]), _is_ogg(container)
    texts = _texts_in(container, streams)
    plain = {name.lower(): text for name, text in texts.items()}
    metadata = Metadata(
        plain.get("title", ""),
        chapters_of(container),
        mastering_display(side.get(number_of(Type.MASTERING_DISPLAY_METADATA), b"")),
        content_light(side.get(number_of(Type.CONTENT_LIGHT_LEVEL), b"")),
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


def kept_texts(container: av.container.InputContainer, streams: Sequence[Stream]) -> dict[str, str]:
    """Title and tags of a file's content, by their names in small letters."""
    texts = _texts_in(container, streams)
    kept = {n.lower(): t for n, t in texts.items() if n.lower() == "title" or _is_kept(n, texts)}
    return {name: text for name, text in kept.items() if text}


def labels_of(stream: Stream) -> dict[str, str]:
    """Title, language and other tags of a track's content; of Ogg these are of the file."""
    texts = {_LANGUAGE.sub("", name).lower(): t for name, t in texts_of(stream).items()}
    labels = {n: t for n, t in texts.items() if n not in _OF_STORAGE and _is_kept(n, {})}
    if _is_ogg(stream.container):
        labels = {}
    if not _is_ogg(stream.container) or stream.type != "video":
        labels |= {"title": title_of(stream), "language": texts.get("language", "")}
    return {name: text for name, text in labels.items() if text and text != "und"}


def _texts_in(container: av.container.InputContainer, streams: Sequence[Stream]) -> dict[str, str]:
    return texts_of(*streams[::-1]) if _is_ogg(container) else texts_of(container)


def _is_ogg(container: av.container.Container) -> bool:
    """Ogg has tags of tracks alone."""
    return bool(container.format.name == "ogg")


def chapters_of(container: av.container.InputContainer) -> tuple[Chapter, ...]:
    chapters = []
    for chapter in container.chapters():
        unit = Fraction(chapter["time_base"] or 0)
        begin, end = (
            round(time * unit / MICROSECOND) for time in (chapter["start"], chapter["end"])
        )
        if -LATEST < begin <= end < LATEST:
            chapters.append(Chapter(begin, end, printable(chapter["metadata"].get("title", ""))))
    return tuple(chapters)


def _names(video: dict[str, str], streams: Sequence[Stream]) -> Iterator[tuple[int, str, str]]:
    labels = {"title": video.get("title") or video.get("name"), "language": video.get("language")}
    yield from ((0, k, text[:NAME_ROOM]) for k, text in labels.items() if text and text != "und")
    for number, stream in enumerate(streams[1 : MOST_TRACKS + 1], 1):
        if not (title := title_of(stream)).isprintable():
            yield number, "title", title


def _shortened(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """The metadata that fits into a packet, and names of the longest parts, left out to fit."""
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


def _is_kept(name: str, texts: dict[str, str]) -> bool:
    # `location-eng` repeats `location`.
    language = len(name) > 4 and name[-4] == "-" and name[:-4] in texts
    return name.lower() not in _TECHNICAL and not language and not name.startswith("_")
