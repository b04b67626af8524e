"""HLS playlists: a text that names the files of a recording, which FFmpeg reads as one. It goes
over a file that is missing without an error."""

from __future__ import annotations

import os
import re

from gvcodec.util import uris
from gvcodec.util.uris import is_uri, local_path

_MARK = b"#EXTM3U"
#: What begins a fragmented recording, named in a line of its own.
_BEGIN = re.compile(r'#EXT-X-MAP:.*URI="([^"]+)"')
_MOST_BYTES = 1 << 24


def files_of(path: str) -> list[str]:
    """The files that the playlist at `path` names, in order, each once; none for what is no
    playlist of this machine."""
    if is_uri(path) or not os.path.isfile(path := local_path(path)):
        return []
    with open(path, "rb") as file:
        if file.read(len(_MARK)) != _MARK:
            return []
        lines = file.read(_MOST_BYTES).decode(errors="replace").splitlines()
    names: list[str] = []
    for line in map(str.strip, lines[1:]):
        if begin := _BEGIN.match(line):
            names.append(begin[1])
        elif line and not line.startswith("#"):
            names.append(line)
    folder = os.path.dirname(path)
    return [os.path.join(folder, name) for name in dict.fromkeys(names) if not is_uri(name)]


def size_of(path: str) -> int | None:
    """Bytes of a source, of a playlist those of its files; None where they are not known."""
    if files := files_of(path):
        return sum(os.path.getsize(file) for file in files if os.path.isfile(file))
    return uris.size_of(path)
