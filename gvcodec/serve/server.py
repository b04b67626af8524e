"""HTTP server of `gvcodec serve`: a page with the films, and each of them as HLS.

    /  /NAME/  /NAME/index.m3u8  /NAME/init.mp4  /NAME/0.m4s …  /NAME/poster.jpg

below /TOKEN if there is one. `--cors` lets the pages of one other site read films.

Without a token it answers requests that name this machine, so that no page of another site reads
films through its host name. Paths are looked up in the list of films, never on the disk.
"""

from __future__ import annotations

import contextlib
import hmac
import html
import ipaddress
import os
import re
import selectors
import socket
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from importlib import resources
from typing import ClassVar
from urllib.parse import quote, unquote_to_bytes

from gvcodec.errors import GvcodecError
from gvcodec.player.http_answers import HEADERS, AnswerHandler, AnswerServer
from gvcodec.serve.film import Film
from gvcodec.serve.segments import SegmentCache
from gvcodec.util.messages import format_time, log_line

_PLACE = re.compile(r"/([^/]+)/(|index\.m3u8|init\.mp4|poster\.jpg|([0-9]{1,7})\.m4s)")
#: Addresses of documentation (RFC 5737, RFC 3849): nothing is sent to them.
_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


class FilmServer(AnswerServer):
    """`films` by name. `token`: the first part of paths; "" for this machine alone. `cors`: the
    origin whose pages may read films. `addresses` of the page, the first is `address`."""

    def __init__(
        self, host: str, port: int, films: Mapping[str, Film], token: str, cors: str | None = None
    ) -> None:
        self.films, self.prefix, self.cors = films, token and f"/{token}", cors
        self.segments = SegmentCache()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        hosts = own_addresses(host == "::") if host in ("", "0.0.0.0", "::") else [host]
        places = [f"[{name}]" if ":" in name else name for name in hosts]
        self.addresses = [f"http://{name}:{self.server_port}{self.prefix}/" for name in places]
        self.address = self.addresses[0]

    def server_close(self) -> None:
        super().server_close()
        self.segments.close()

    def address_of(self, name: str) -> str:
        """The address of a film's playlist."""
        return f"{self.address}{_quote(name)}/index.m3u8"

    def page(self, film: str | None = None) -> bytes:
        """The list of films, or the page of one."""
        file = "page.html" if film is None else "film.html"
        template = resources.files("gvcodec.serve").joinpath(file).read_text("utf-8")
        before, part, after = template.split("<!--FILM-->")
        parts = [part.format(**_facts(name, self.films[name])) for name in self._names(film)]
        return "".join((before, *parts, after)).encode(errors="replace")

    def _names(self, film: str | None) -> list[str]:
        return [name for name in self.films if film in (None, name) and self.films[name].is_there]


def _quote(name: str) -> str:
    return quote(os.fsencode(name), safe="")


def _facts(name: str, film: Film) -> dict[str, str]:
    duration = ""
    with contextlib.suppress(GvcodecError, OSError):  # a damaged film has no known duration
        duration = format_time(film.video.metadata.duration_seconds).partition(".")[0]
    return {"address": _quote(name), "name": html.escape(name), "duration": duration}


def own_addresses(with_ipv6: bool) -> list[str]:
    """This machine's addresses in its networks; its own name without any."""
    found = dict.fromkeys(_own_addresses())
    usable = [
        name
        for name in found
        if not (ip := ipaddress.ip_address(name)).is_loopback
        and not ip.is_link_local
        and (ip.version == 4 or with_ipv6)
    ]
    return usable or [socket.gethostname()]


def _own_addresses() -> Iterator[str]:
    for family, elsewhere in _ELSEWHERE:
        # The address that packets to elsewhere would have.
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            yield probe.getsockname()[0]
    with contextlib.suppress(OSError):
        for *_, address in socket.getaddrinfo(socket.gethostname(), None):
            yield str(address[0]).partition("%")[0]


class _Handler(AnswerHandler):
    server: FilmServer
    timeout = 600.0  # players that pause stop reading
    common_headers: ClassVar = HEADERS | {
        "Content-Security-Policy": "default-src 'none'; connect-src 'self'; worker-src blob:; "
        "media-src 'self' blob:; img-src 'self' data:; style-src 'unsafe-inline'; "
        "frame-ancestors 'none'"
    }
    _has_begun = False

    def do_GET(self) -> None:
        server, prefix = self.server, self.server.prefix
        path = self.path.partition("?")[0]
        if not prefix and re.sub(r":\d*$", "", self.host) not in ("127.0.0.1", "localhost"):
            return self.answer_text(HTTPStatus.FORBIDDEN, "this server has another name")
        has_secret = hmac.compare_digest(path[: len(prefix)].encode(), prefix.encode())
        path = path[len(prefix) :]
        if has_secret and path == "/":
            return self._answer_part("text/html; charset=utf-8", server.page)
        match = _PLACE.fullmatch(path) if has_secret else None
        name = os.fsdecode(unquote_to_bytes(match[1].encode("latin-1"))) if match else ""
        film = server.films.get(name)
        if match is None or film is None:
            return self.answer_text(HTTPStatus.NOT_FOUND, "there is no such film")
        return self._answer_film(name, film, match[2], match[3])

    do_HEAD = do_GET

    def do_OPTIONS(self) -> None:
        """Say to a page of another site what it may ask for."""
        allowed = {"Access-Control-Allow-Headers": "Range"} if self.server.cors else {}
        self.answer(HTTPStatus.OK, "text/plain", b"", {"Allow": "GET, HEAD, OPTIONS", **allowed})

    def begin_answer(self, status: HTTPStatus, kind: str, extra: Mapping[str, str]) -> None:
        # With the token, pages of other sites may play films, as receivers of phones do.
        cors = self.server.cors or self.server.prefix and "*"
        shared = {"Access-Control-Allow-Origin": cors, "Vary": "Origin"} if cors else {}
        super().begin_answer(status, kind, {**shared, **extra})

    def _answer_film(self, name: str, film: Film, file: str, number: str | None) -> None:
        if not film.is_there:
            return self.answer_text(HTTPStatus.NOT_FOUND, "the film has gone or was replaced")
        server = self.server
        if file == "":
            return self._answer_part("text/html; charset=utf-8", lambda: server.page(name))
        if file == "index.m3u8":
            return self._answer_part("application/vnd.apple.mpegurl", lambda: film.playlist)
        if file == "poster.jpg":
            return self._answer_part("image/jpeg", lambda: film.poster)
        if number is None:
            return self._answer_part("video/mp4", lambda: film.head)
        if int(number) >= film.segments:
            return self.answer_text(HTTPStatus.NOT_FOUND, "there is no such segment")
        segments = server.segments
        return self._answer_part(
            "video/mp4", lambda: segments.get(film, int(number), self._is_there)
        )

    def _answer_part(self, kind: str, make: Callable[[], bytes]) -> None:
        """Send what `make` gives. The log has details of an error, the client none."""
        try:
            data = make()
        except ConnectionError:
            raise
        except FileNotFoundError:
            return self.answer_text(HTTPStatus.NOT_FOUND, "the film has gone")
        except Exception as error:  # noqa: BLE001 (whatever it is, the server goes on)
            log_line(str(error) or type(error).__name__)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            return self.answer_text(status, "this part of the film cannot be read")
        return self.answer_part(kind, data)

    def _is_there(self) -> bool:
        """Whether the client waits for its answer. The end of its data means that it sends no more,
        or that it has gone: the beginning of the answer shows which."""
        connection = self.connection
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ)
            if not selector.select(0) or connection.recv(1, socket.MSG_PEEK):
                return True
        if not self._has_begun:
            self._has_begun = True
            connection.sendall(self.protocol_version.encode())
            self.protocol_version = ""  # the rest of the status line follows
        return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
