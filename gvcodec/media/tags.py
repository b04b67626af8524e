"""Tags that each kind of video file keeps. MP4 and QuickTime have fields of their own for a few of
them (title, artist, place …) and, instead of those, a list of any names, as phones write it
(`com.apple.quicktime.make`)."""

from __future__ import annotations

import io

import av

from gvcodec.media.decoding_times import COUNTS
from gvcodec.media.metadata import ANY_TEXT, Metadata

#: Option of FFmpeg's muxer for the list of any names.
_ANY_NAME = "use_metadata_tags"


def give_tags(container: av.container.OutputContainer, kind: str, metadata: Metadata) -> list[str]:
    """Give tags and chapters to a muxer of this kind that has not begun. Names of those that it
    does not keep; Matroska keeps all."""
    metadata.describe(container)
    wanted = {name for name, _ in metadata.tags} | ({"title"} if metadata.title else set())
    if not wanted or kind not in COUNTS:
        return []
    lost = wanted - _kept(kind, metadata, "")
    others = wanted - _kept(kind, metadata, _ANY_NAME) if lost else lost
    if len(others) < len(lost):
        lost = others
        container.options["movflags"] = f"{container.options.get('movflags', '')}+{_ANY_NAME}"
    return sorted(lost)


def _kept(kind: str, metadata: Metadata, flag: str) -> set[str]:
    """Names of the tags that come back from a file without a frame."""
    data, flags = io.BytesIO(), "+".join(filter(None, ("empty_moov", flag)))
    try:
        with av.open(data, "w", format=kind, options={"movflags": flags}) as trial:
            trial.add_stream("aac", rate=48_000)
            Metadata(title=metadata.title, tags=metadata.tags).describe(trial)
            trial.start_encoding()
        with av.open(io.BytesIO(data.getvalue()), **ANY_TEXT) as written:
            return {name.lower() for name, text in written.metadata.items() if text}
    except (av.FFmpegError, ValueError):
        return set()
