"""HTTP server of `gvcodec serve`: a page with the films, and each of them as HLS.

    /  /NAME/index.m3u8  /NAME/init.mp4  /NAME/0.m4s …        below /TOKEN where there is one

Without a token it answers requests that name this machine, so that no page of another site reads
films through its host name. Paths are looked up in the list of films, never on the disk.
"""

from __future__ import annotations

import hmac
import html
import re
import selectors
import socket
from collections.abc import Mapping
from http import HTTPStatus
from importlib import resources
from typing import ClassVar
from urllib.parse import quote, unquote

from gvcodec.errors import GvcodecError
from gvcodec.player.http_answers import HEADERS, AnswerHandler, AnswerServer
from gvcodec.serve.film import Film
from gvcodec.serve.segments import SegmentCache
from gvcodec.util.messages import log_line

_PLACE = re.compile(r"/([^/]+)/(?:(index\.m3u8)|(init\.mp4)|([0-9]{1,7})\.m4s)")


class FilmServer(AnswerServer):
    """`films` by name. `token`: the first part of paths; "" for this machine alone."""

    def __init__(self, host: str, port: int, films: Mapping[str, Film], token: str) -> None:
        self.films, self.prefix, self.segments = films, token and f"/{token}", SegmentCache()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        host = socket.gethostname() if host in ("", "0.0.0.0", "::") else host
        address = f"[{host}]" if ":" in host else host
        self.address = f"http://{address}:{self.server_port}{self.prefix}/"

    def server_close(self) -> None:
        super().server_close()
        self.segments.close()

    def address_of(self, name: str) -> str:
        """The address of a film's playlist."""
        return f"{self.address}{quote(name, safe='')}/index.m3u8"

    def page(self) -> bytes:
        """The list of films."""
        template = resources.files("gvcodec.serve").joinpath("page.html").read_text("utf-8")
        before, film, after = template.split("<!--FILM-->")
        places = {name: f"{quote(name, safe='')}/index.m3u8" for name in self.films}
        films = [film.format(address=places[name], name=html.escape(name)) for name in places]
        return "".join((before, *films, after)).encode()


class _Handler(AnswerHandler):
    server: FilmServer
    timeout = 600.0  # players that pause stop reading
    common_headers: ClassVar = HEADERS | {
        "Content-Security-Policy": "default-src 'none'; media-src 'self' blob:; img-src data:; "
        "style-src 'unsafe-inline'; frame-ancestors 'none'"
    }

    def do_GET(self) -> None:
        try:
            self._answer(self.path.partition("?")[0])
        except GvcodecError as error:
            log_line(str(error))
            self.answer_text(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))

    do_HEAD = do_GET

    def begin_answer(self, status: HTTPStatus, kind: str, extra: Mapping[str, str]) -> None:
        # With the token, pages of other sites may play films, as receivers of phones do.
        shared = {"Access-Control-Allow-Origin": "*"} if self.server.prefix else {}
        super().begin_answer(status, kind, {**shared, **extra})

    def _answer(self, path: str) -> None:
        server, prefix = self.server, self.server.prefix
        host = re.sub(r":\d*$", "", self.headers.get("Host", "localhost"))
        if not prefix and host not in ("127.0.0.1", "localhost"):
            return self.answer_text(HTTPStatus.FORBIDDEN, "this server has another name")
        has_secret = hmac.compare_digest(path[: len(prefix)].encode(), prefix.encode())
        path = path[len(prefix) :]
        if has_secret and path == "/":
            return self.answer_part("text/html; charset=utf-8", server.page())
        match = _PLACE.fullmatch(path) if has_secret else None
        film = server.films.get(unquote(match[1])) if match else None
        if match is None or film is None or int(match[4] or 0) >= film.segments:
            return self.answer_text(HTTPStatus.NOT_FOUND, "there is no such film or segment")
        if match[2]:
            return self.answer_part("application/vnd.apple.mpegurl", film.playlist)
        segments = server.segments
        data = film.head if match[3] else segments.get(film, int(match[4]), self._is_there)
        return self.answer_part("video/mp4", data)

    def _is_there(self) -> bool:
        """Whether the client waits for its answer."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ)
            return not selector.select(0) or bool(self.connection.recv(1, socket.MSG_PEEK))
