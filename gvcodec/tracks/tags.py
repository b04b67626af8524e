"""Tags of containers: reads them, gives tags and chapters to a muxer, and lists those that a kind
of file loses. `kind` is FFmpeg's name of a muxer."""

from __future__ import annotations

import io
import itertools
from typing import Any

import av
from av.stream import Stream

from gvcodec.bitstream.metadata import MICROSECOND, NAME_ROOM, Metadata, printable

#: Arguments with which `av.open` reads text that is not valid UTF-8. PyAV 19 needs none.
ANY_TEXT: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
)
_KEEP_ALL = ("matroska", "webm")
#: Kinds of files in which each chapter lasts until the next one.
_GAPLESS = ("mp4", "mov")


def texts_of(*sources: av.container.Container | Stream) -> dict[str, str]:
    """Tags that say something; those of later sources count."""
    texts = {name: text for source in sources for name, text in source.metadata.items()}
    # Matroska stores all names in capitals.
    names = {name: name.lower() if name.isupper() else name for name in texts}
    return {names[name]: value for name, text in texts.items() if (value := printable(text))}


def title_of(stream: Stream) -> str:
    """The name of a track, which FFmpeg calls "name" in MP4."""
    texts = texts_of(stream)
    return (texts.get("title") or texts.get("name", ""))[:NAME_ROOM]


def write_metadata(
    metadata: Metadata, container: av.container.OutputContainer, has_cover: bool = False
) -> None:
    """Give tags and chapters to a muxer, before it begins. MP4 and QuickTime have places for a
    few tags or, instead of those, a list of any names, as phones write it."""
    if needs_tag_list(metadata, container.format.name, has_cover):
        flags = container.options.get("movflags", "")
        container.options["movflags"] = f"{flags}+use_metadata_tags"
    for name, text in metadata.tags:
        container.metadata[name] = text
    if metadata.title:
        container.metadata["title"] = metadata.title
    if metadata.chapters:
        container.set_chapters(
            [
                {
                    "id": number,
                    # Containers have no time before 0.
                    "start": max(0, chapter.begin),
                    "end": max(0, chapter.end),
                    "time_base": MICROSECOND,
                    "metadata": {"title": chapter.title},
                }
                for number, chapter in enumerate(metadata.chapters)
            ]
        )


def needs_tag_list(metadata: Metadata, kind: str, has_cover: bool = False) -> bool:
    """Whether these tags have places in a file of this kind in such a list alone: others may
    want a number or a date. FFmpeg's muxer writes no cover next to such a list."""
    names = {name.lower() for name, _ in metadata.tags}
    can_list = kind in _GAPLESS and not has_cover
    return can_list and not names <= _readable_tags(metadata, kind, False)


def lost_metadata(metadata: Metadata, kind: str, has_cover: bool = False) -> list[str]:
    """Metadata that a file of this kind loses."""
    if kind in _KEEP_ALL:
        return []
    written = _readable_tags(metadata, kind, needs_tag_list(metadata, kind, has_cover))
    title = "" if "title" in written else metadata.title
    chapters = () if kind in _GAPLESS else metadata.chapters
    tags = tuple(sorted(tag for tag in metadata.tags if tag[0].lower() not in written))
    names = tuple(name for name in metadata.names if f"track {name[1]}" not in written)
    left_out = Metadata(title, chapters, tags=tags, names=names)
    gaps = any(
        chapter.end < following.begin
        for chapter, following in itertools.pairwise(metadata.chapters)
    )
    return [*left_out.parts(), *["gaps between chapters"] * (gaps and kind in _GAPLESS)]


def _readable_tags(metadata: Metadata, kind: str, as_list: bool) -> set[str]:
    """Names of tags that come back from a file of this kind, "track title" and "track language"
    among them, tried without a frame."""
    data, flags = io.BytesIO(), "empty_moov+use_metadata_tags" if as_list else "empty_moov"
    options = {"movflags": flags} if kind in _GAPLESS else {}
    try:
        with av.open(data, "w", format=kind, options=options) as trial:
            trial.add_stream("aac", rate=48_000).metadata.update(title="name", language="eng")
            trial.metadata.update({"title": metadata.title} | dict(metadata.tags))
            trial.start_encoding()
        with av.open(io.BytesIO(data.getvalue()), **ANY_TEXT) as written:
            labels = {"track title": title_of(written.streams[0])}
            labels |= {"track language": written.streams[0].language or ""} | texts_of(written)
            return {name.lower() for name, text in labels.items() if text}
    except (av.FFmpegError, ValueError):
        # MPEG-TS, GIF and APNG say nothing.
        return set()
