"""HTTP server of `gvcodec serve`: a page with the films, and each of them as HLS.

    /  /NAME/index.m3u8  /NAME/init.mp4  /NAME/0.m4s …        below /TOKEN where there is one

Without a token it answers requests that name this machine, so that no page of another site reads
films by a name of its own. Paths are looked up in the list of films, never on the disk. When all
connections are taken, the one that has done nothing for longest goes.
"""

from __future__ import annotations

import contextlib
import hmac
import html
import http.client
import re
import selectors
import socket
import threading
from collections.abc import Mapping
from enum import IntEnum
from http import HTTPStatus
from importlib import resources
from typing import Any, ClassVar
from urllib.parse import quote, unquote

from gvcodec.errors import GvcodecError
from gvcodec.player.http_answers import AnswerHandler, AnswerServer
from gvcodec.serve.film import Film
from gvcodec.serve.segments import SegmentCache, TooManyRequestsError
from gvcodec.util.messages import log_line

#: Connections at a time and bytes of a request. Seconds that a client may send nothing, and take
#: nothing: players that pause leave a segment in the middle.
_MOST_CONNECTIONS, _MOST_REQUEST, _PATIENCE, _SENDING = 64, 1 << 14, 60.0, 600.0
_PIECE = 1 << 17
_LOCAL = ("127.0.0.1", "localhost", "::1")
_PLACE = re.compile(r"/([^/]+)/(?:(index\.m3u8)|(init\.mp4)|([0-9]{1,7})\.m4s)")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; media-src 'self' blob:; img-src data:; "
    "style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
#: Who knows the token may play films in a page of another site, as receivers of phones do.
_SHARED = {"Access-Control-Allow-Origin": "*"}


class _State(IntEnum):
    """What a connection does. Where there are too many, the first kind goes first."""

    SILENT, SENDING, MAKING = range(3)


class FilmServer(AnswerServer):
    """`films` by name. `token`: what paths begin with; "" for this machine alone."""

    request_queue_size = 128

    def __init__(self, host: str, port: int, films: Mapping[str, Film], token: str) -> None:
        self.films, self.prefix, self.segments = films, token and f"/{token}", SegmentCache()
        #: Those that did something last at the end.
        self._connections: dict[Any, _State] = {}
        self._lock = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        host = socket.gethostname() if host in ("", "0.0.0.0", "::") else host
        named = f"[{host}]" if ":" in host else host
        self.address = f"http://{named}:{self.server_port}{self.prefix}/"

    def server_close(self) -> None:
        super().server_close()
        self.segments.close()

    def address_of(self, name: str) -> str:
        """Of a film's playlist."""
        return f"{self.address}{quote(name, safe='')}/index.m3u8"

    def page(self) -> bytes:
        """The list of films."""
        template = resources.files("gvcodec.serve").joinpath("page.html").read_text("utf-8")
        before, film, after = template.split("<!--FILM-->")
        parts = [before]
        for name, each in self.films.items():
            place, facts = f"{quote(name, safe='')}/index.m3u8", html.escape(each.describe())
            parts.append(film.format(address=place, name=html.escape(name), facts=facts))
        return "".join((*parts, after)).encode()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._connections) >= _MOST_CONNECTIONS:
                last = min(self._connections, key=self._connections.__getitem__)
                if self._connections.pop(last) is _State.MAKING:
                    self._connections[last] = _State.MAKING
                    return super().shutdown_request(request)
                with contextlib.suppress(OSError):
                    last.shutdown(socket.SHUT_RDWR)
            self._connections[request] = _State.SILENT
        return super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def mark(self, request: Any, state: _State) -> None:
        """Note what a connection does now."""
        with self._lock:
            if self._connections.pop(request, None) is not None:
                self._connections[request] = state


class _Handler(AnswerHandler):
    server: FilmServer
    timeout = _PATIENCE
    common_headers: ClassVar = _HEADERS

    def setup(self) -> None:
        super().setup()
        self.rfile: Any = _Lines(self.rfile)

    def handle_one_request(self) -> None:
        self.rfile.left = _MOST_REQUEST
        self.server.mark(self.connection, _State.SILENT)
        try:
            super().handle_one_request()
        except http.client.HTTPException:
            self.close_connection = True

    def do_GET(self) -> None:
        # A body is not read: it would be taken for the next request.
        bodies = ("Content-Length", "Transfer-Encoding")
        self.close_connection |= any(name in self.headers for name in bodies)
        try:
            self._answer(self.path.partition("?")[0])
        except TooManyRequestsError:
            text = "this client waits for other segments already"
            self.answer_text(HTTPStatus.SERVICE_UNAVAILABLE, text, {"Retry-After": "2"})
        except GvcodecError as error:
            log_line(str(error))
            self.answer_text(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))

    do_HEAD = do_GET

    def begin_answer(self, status: HTTPStatus, kind: str, extra: Mapping[str, str]) -> None:
        shared = _SHARED if self.server.prefix else {}
        super().begin_answer(status, kind, {**shared, **extra})

    def _answer(self, path: str) -> None:
        server, prefix = self.server, self.server.prefix
        host = re.sub(r":\d*$", "", self.headers.get("Host", _LOCAL[0])).strip("[]")
        if not prefix and host not in _LOCAL:
            return self.answer_text(HTTPStatus.FORBIDDEN, "this server has another name")
        known = hmac.compare_digest(path[: len(prefix)].encode(), prefix.encode())
        path = path[len(prefix) :]
        if known and path == "/":
            return self._send("text/html; charset=utf-8", server.page())
        match = _PLACE.fullmatch(path) if known else None
        film = server.films.get(unquote(match[1])) if match else None
        if match is None or film is None or int(match[4] or 0) >= film.segments:
            return self.answer_text(HTTPStatus.NOT_FOUND, "there is no such film or segment")
        if match[2]:
            return self._send("application/vnd.apple.mpegurl", film.playlist().encode())
        if match[3]:
            return self._send("video/mp4", film.head())
        if self.command == "HEAD":
            return self.begin_answer(HTTPStatus.OK, "video/mp4", {})
        server.mark(self.connection, _State.MAKING)
        client = self.client_address[0]
        data = server.segments.get(film, int(match[4]), client, self._is_there)
        return self._send("video/mp4", data)

    def _send(self, kind: str, data: bytes) -> None:
        self.connection.settimeout(_SENDING)
        first, length = self.begin_part(kind, len(data))
        for at in range(first, first + length if self.command == "GET" else first, _PIECE):
            self.server.mark(self.connection, _State.SENDING)
            self.wfile.write(data[at : min(at + _PIECE, first + length)])
        self.connection.settimeout(_PATIENCE)

    def _is_there(self) -> bool:
        """Whether the client waits for its answer."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            return not selector.select(0) or bool(self.connection.recv(1, socket.MSG_PEEK))


class _Lines:
    """Lines of a request, at most `left` bytes of them."""

    def __init__(self, file: Any) -> None:
        self._file, self.left = file, _MOST_REQUEST

    def readline(self, most: int) -> bytes:
        line: bytes = self._file.readline(min(most, self.left + 1))
        self.left -= len(line)
        if self.left < 0:
            raise http.client.HTTPException("the request is too long")
        return line

    def close(self) -> None:
        self._file.close()
