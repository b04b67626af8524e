"""Whether FFmpeg finds a video in a file, whatever its name."""

from __future__ import annotations

import re

import av
from av.stream import Disposition

#: Demuxers of pictures, texts that FFmpeg draws, and lists of other files.
_NO_VIDEO = re.compile(r"image2|.*_pipe|ico|tty|hls|dash|concat|ffmetadata")
#: The file and nothing that it names.
_LOCAL = {"protocol_whitelist": "file"}


def holds_video(path: str) -> bool:
    """Whether a file of this machine has a video track other than a cover."""
    try:
        with av.open(path, "r", options=_LOCAL, metadata_errors="replace") as container:
            if _NO_VIDEO.match(container.format.name):
                return False
            tracks = container.streams.video
            return any(not track.disposition & Disposition.attached_pic for track in tracks)
    except (av.FFmpegError, OSError, ValueError):
        return False
