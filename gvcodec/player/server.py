"""HTTP server for one stream and its page, on this machine only.

It listens on 127.0.0.1, answers only requests to that name (so a page of another site cannot reach
it by its own name), and serves a fixed list: the files of the player, the stream with range
requests, the model that the stream names, and frames. No path of a request is ever looked up on the
disk.
"""

import itertools
import json
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gvcodec.errors import GvcodecError, MediaError
from gvcodec.player.http_answers import AnswerHandler, AnswerServer
from gvcodec.types import Planes
from gvcodec.video import Video


class FrameServer:
    """Decoded frames of one stream, for pages that cannot decode or paint themselves.

        u32 frame  u32 parts  parts × planes        parts 1: the base frame, 2: then the painted one
        u32 size   u32 0      size bytes of UTF-8   an error, the end of the answer

    Planes are Y, U, V as `<u2`, 0…1023, without gaps. For one reader at a time: a new request ends
    the previous response. A second `Video` decodes keyframes for thumbnails. Requests have their
    own threads, but a `Video` belongs to one thread at a time: they alternate, a frame each."""

    def __init__(self, video: Video, open_keyframes: Callable[[], Video]) -> None:
        self._video = video
        self._open_keyframes = open_keyframes
        self._keyframes: Video | None = None
        self._turn, self._keyframe_turn = threading.Lock(), threading.Lock()
        self._reader = 0

    def frames(self, first: int, is_painted: bool) -> Iterator[bytes]:
        """Pieces of the answer, from frame `first` to the last."""
        with self._turn:
            self._reader += 1
            reader = self._reader
            frames = self._video.decode_range(first, len(self._video))
        try:
            for number in itertools.count(first):
                with self._turn:
                    if reader != self._reader:
                        return
                    frame = next(frames, None)
                if frame is None:
                    return
                yield struct.pack("<II", number, 1 + is_painted)
                yield _bytes(frame.base_frame)
                if is_painted:
                    yield _bytes(frame.planes)
        except (GvcodecError, MemoryError) as error:
            yield _describe(error)

    def keyframe(self, number: int) -> Iterator[bytes]:
        """Pieces of the answer with base frame `number`; none if it does not exist."""
        try:
            with self._keyframe_turn:
                self._keyframes = video = self._keyframes or self._open_keyframes()
                frames = list(video.decode_range(number, min(number + 1, len(video))))
            for frame in frames:
                yield struct.pack("<II", number, 1)
                yield _bytes(frame.base_frame)
        except (GvcodecError, MemoryError) as error:
            yield _describe(error)


def _describe(error: Exception) -> bytes:
    text = (str(error) or "out of memory").encode(errors="backslashreplace")
    return struct.pack("<II", len(text), 0) + text


def _bytes(planes: Planes) -> bytes:
    return b"".join(plane.astype("<u2", copy=False).tobytes() for plane in planes)


_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".wasm": "application/wasm",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}
_PIECE = 1 << 18
_MOST_FRAME = 1 << 40


def page_folder() -> Path:
    """Files of the player in the checkout or the package. Raises `MediaError`."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package.parent / "web", package / "web"):
        if (folder / "built" / "core.wasm").is_file():
            return folder
    raise MediaError("the player is not part of this installation; install gvcodec again")


def page_files() -> dict[str, Path]:
    """Files of the player by the path of a request."""
    folder = page_folder()
    files = [
        path for pattern in ("*.html", "*.css", "*.js", "built/*") for path in folder.glob(pattern)
    ]
    files_by_name = {
        "/" + path.relative_to(folder).as_posix(): path for path in files if path.suffix in _TYPES
    }
    return files_by_name | {"/": folder / "index.html"}


class PlayerServer(AnswerServer):
    """`files` by path, `facts` as `play.json`, `frames` of this machine. Port 0: a free one."""

    def __init__(
        self,
        port: int,
        files: Mapping[str, Path],
        facts: Mapping[str, Any],
        frames: FrameServer | None,
    ) -> None:
        self.files, self.frames = files, frames
        self.facts = json.dumps(facts).encode()
        super().__init__(("127.0.0.1", port), _Handler)
        self.hosts = {f"{name}:{self.server_port}" for name in ("127.0.0.1", "localhost")}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Handler(AnswerHandler):
    server: PlayerServer

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        if self.host not in self.server.hosts:
            self.answer_text(HTTPStatus.FORBIDDEN, "this server has another name")
        elif place.path == "/play.json":
            self.answer(HTTPStatus.OK, "application/json", self.server.facts)
        elif place.path in ("/native", "/keyframe"):
            self._frames(parse_qs(place.query), place.path == "/keyframe")
        elif place.path in self.server.files:
            self._file(self.server.files[place.path])
        else:
            self.answer_text(HTTPStatus.NOT_FOUND, "there is no such file")

    do_HEAD = do_GET

    def _frames(self, query: Mapping[str, list[str]], alone: bool) -> None:
        if self.server.frames is None:
            return self.answer_text(HTTPStatus.NOT_FOUND, "this file is not decoded here")
        start_text = query.get("from", ["0"])[-1]
        if (
            not start_text.isdecimal()
            or len(start_text) > len(str(_MOST_FRAME))
            or self.command != "GET"
        ):
            return self.answer_text(HTTPStatus.BAD_REQUEST, "from is the number of a frame")
        self.close_connection = True
        self.begin_answer(HTTPStatus.OK, "application/octet-stream", {"Connection": "close"})
        frames, first = self.server.frames, int(start_text)
        is_painted = query.get("painted") == ["1"]
        for piece in frames.keyframe(first) if alone else frames.frames(first, is_painted):
            self.wfile.write(piece)
        return None

    def _file(self, path: Path) -> None:
        try:
            with open(path, "rb") as file:
                kind = _TYPES.get(path.suffix, "application/octet-stream")
                first, remaining = self.begin_part(kind, file.seek(0, 2))
                file.seek(first)
                while (
                    remaining
                    and self.command == "GET"
                    and (data := file.read(min(remaining, _PIECE)))
                ):
                    self.wfile.write(data)
                    remaining -= len(data)
                self.close_connection |= remaining > 0
        except OSError as error:
            self.close_connection = True
            if isinstance(error, ConnectionError | TimeoutError):
                return None
            return self.answer_text(HTTPStatus.NOT_FOUND, error.strerror or "cannot be read")
        return None
