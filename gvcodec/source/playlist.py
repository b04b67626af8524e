"""HLS playlists: a text that names the files of a recording, which FFmpeg reads as one. It goes
over a file that is missing without an error."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from gvcodec.util import uris
from gvcodec.util.uris import is_uri, local_path

_MARK = b"#EXTM3U"
#: Tags of a fragmented recording, another track, and a key, named in separate lines.
_FILE_TAG = re.compile(r'#EXT-X-(MAP|MEDIA|KEY):.*URI="([^"]+)"')
#: The word of `files_of` for a key.
KEY = "KEY"
_MOST_BYTES, _DEEPEST = 1 << 24, 2


def is_playlist(head: bytes) -> bool:
    """Whether these first bytes of a file are those of a playlist."""
    return head.startswith(_MARK)


def files_of(path: str, depth: int = 0) -> dict[str, str]:
    """The files that the playlist at `path` and playlists in it name, in order, and their kind;
    none for other files."""
    if is_uri(path) or not os.path.isfile(path := local_path(path)):
        return {}
    with open(path, "rb") as file:
        if file.read(len(_MARK)) != _MARK:
            return {}
        lines = file.read(_MOST_BYTES).decode(errors="replace").splitlines()
    files: dict[str, str] = {}
    for line in map(str.strip, lines[1:]):
        kind, name = match.groups() if (match := _FILE_TAG.match(line)) else ("", line)
        if name and not name.startswith("#") and not is_uri(name):
            files[os.path.join(os.path.dirname(path), name)] = kind
    for file_name in list(files) if depth < _DEEPEST else ():
        files |= files_of(file_name, depth + 1)
    return files


def size_of(path: str) -> int | None:
    """Bytes of a source, of a playlist those of its files; None if they are not known."""
    files = files_of(path)
    return total_size(files) if files else uris.size_of(path)


def total_size(files: Iterable[str]) -> int:
    """Bytes of the files that are not missing."""
    return sum(os.path.getsize(file) for file in files if os.path.isfile(file))
