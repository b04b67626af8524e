"""HTTP for the servers of `play` and `serve`: answers in bytes, byte ranges, short texts.

A connection has one request, and each client, by its address, a bounded number of connections.
Errors of a connection are one line on standard error; a closed connection is no error.
"""

import contextlib
import http.server
import io
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from gvcodec.errors import MediaError
from gvcodec.util.messages import log_line

#: Headers of every answer of `play`.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    "style-src 'self'; "
    "worker-src 'self'; connect-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Connection": "close",
}
#: Seconds that a client may keep the server waiting.
PATIENCE = 60.0
#: The empty line after a request's head, and a header line (RFC 9112, 5).
_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00]*")
#: Host and path of a request for an absolute address.
_ABSOLUTE = re.compile(r"http://([^/?#]*)([^#]*).*", re.IGNORECASE)
#: Bytes and seconds of a request.
_MOST_REQUEST, _REQUEST_TIME = 1 << 14, 10.0
#: Connections at a time: of all clients, and of one (browsers open six).
_MOST_CONNECTIONS, _MOST_OF_CLIENT = 64, 16
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\n"
    b"Connection: close\r\nContent-Length: 0\r\n\r\n"
)


class AnswerServer(http.server.ThreadingHTTPServer):
    """A thread for each connection; one connection too many is answered with status 503. Port 0 is
    a free one. Raises `MediaError` for an address or port that cannot be used."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(
        self, address: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler]
    ) -> None:
        self._connections: Counter[str] = Counter()
        self._lock = threading.Lock()
        try:
            super().__init__(address, handler)
        except (OSError, OverflowError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            place = f"{address[0]}, port {address[1]}"
            raise MediaError(f"cannot listen at {place}: {reason}") from error

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection, or refuse it."""
        client, connections = client_address[0], self._connections
        with self._lock:
            is_free = (
                connections[client] < _MOST_OF_CLIENT and connections.total() < _MOST_CONNECTIONS
            )
            connections[client] += is_free
            self._connections += Counter()  # without clients at 0
        if is_free:
            try:
                return super().process_request(request, client_address)
            except RuntimeError:  # no thread can start
                self._release(client_address)
        with contextlib.suppress(OSError):
            request.setblocking(False)
            request.sendall(_BUSY)
            request.recv(_MOST_REQUEST)  # a request that nobody reads would cancel the answer
        return self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for another connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._release(client_address)

    def _release(self, client_address: Any) -> None:
        with self._lock:
            self._connections[client_address[0]] -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print one line, nothing for a closed connection."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            log_line(f"a request could not be answered: {type(error).__name__}: {error}")


class AnswerHandler(http.server.BaseHTTPRequestHandler):
    """Subclasses answer `do_GET`, also for HEAD, which gets no body. A client may take `timeout`
    seconds for an answer."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "gvcodec", ""
    timeout = PATIENCE
    disable_nagle_algorithm = True  # else the body waits 40 ms for the head's acknowledgement
    common_headers: ClassVar[Mapping[str, str]] = HEADERS
    _RANGE: ClassVar = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

    def handle(self) -> None:
        """Answer one request. Its body is not read: it would be taken for another request."""
        head = self._read_head()
        self.connection.settimeout(self.timeout)
        self.requestline, self.request_version, self.command = "", "HTTP/1.1", "GET"
        if end := _END.search(head):
            lines = re.split(rb"\r?\n", head[: end.start()])
            if not all(map(_FIELD.fullmatch, lines[1:])):
                return self.send_error(HTTPStatus.BAD_REQUEST)
            self.rfile = io.BytesIO(head)
            self.handle_one_request()
        elif head:
            status = HTTPStatus.REQUEST_TIMEOUT
            if len(head) >= _MOST_REQUEST:
                status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.answer_text(status, "the request is too long or not whole")
        return None

    def parse_request(self) -> bool:
        """Read the request line and headers; `host` is the machine that the client means, in lower
        case, with its port. A request without a version or with two hosts is refused."""
        if not super().parse_request():
            return False
        hosts = self.headers.get_all("Host", [])
        needs_host = self.request_version == "HTTP/1.1"
        if self.request_version == "HTTP/0.9" or not needs_host <= len(hosts) <= 1:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return False
        self.host = (hosts or ["localhost"])[0].strip().lower()
        if absolute := _ABSOLUTE.fullmatch(self.path):
            self.host, self.path = absolute[1].lower(), absolute[2]
            self.path = self.path if self.path.startswith("/") else f"/{self.path}"
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with the name of the status; nothing of the request is repeated."""
        self.request_version = "HTTP/1.1"
        self.answer_text(HTTPStatus(code), HTTPStatus(code).phrase)

    def _read_head(self) -> bytes:
        """The request up to its empty line, or the part that arrives in time."""
        head, until = b"", time.monotonic() + _REQUEST_TIME
        while not _END.search(head) and len(head) < _MOST_REQUEST:
            self.connection.settimeout(max(0.001, until - time.monotonic()))
            try:
                part = self.connection.recv(_MOST_REQUEST - len(head))
            except TimeoutError:
                break
            if not part or time.monotonic() > until:
                break
            head += part
        return head

    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""

    def requested_range(self, size: int) -> tuple[int, int] | None:
        """First and last requested byte, the last before the first if the file has none of them;
        None = the whole file: no range, or one that cannot be parsed (RFC 9110, 14.2)."""
        match = self._RANGE.fullmatch(self.headers.get("Range", ""))
        if match is None or not (match[1] or match[2]):
            return None
        if not match[1]:
            return (max(0, size - int(match[2])), size - 1) if int(match[2]) else (0, -1)
        first, last = int(match[1]), int(match[2] or size - 1)
        if match[2] and last < first:
            return None
        return first, min(size - 1, last)

    def begin_part(self, kind: str, size: int) -> tuple[int, int]:
        """Send the head of an answer with `size` bytes or the requested part of them. Returns the
        first byte and the number of bytes to send, 0 for a refused request."""
        byte_range = self.requested_range(size)
        first, last = byte_range or (0, size - 1)
        if byte_range is not None and first > last:
            place = {"Content-Range": f"bytes */{size}"}
            text = f"the file has {size} bytes"
            self.answer_text(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, text, place)
            return 0, 0
        status = HTTPStatus.OK if byte_range is None else HTTPStatus.PARTIAL_CONTENT
        extra = {"Content-Length": str(last - first + 1), "Accept-Ranges": "bytes"}
        if byte_range is not None:
            extra["Content-Range"] = f"bytes {first}-{last}/{size}"
        self.begin_answer(status, kind, extra)
        return first, last - first + 1

    def answer_part(self, kind: str, data: bytes) -> None:
        """Send these bytes, or the requested part of them."""
        first, length = self.begin_part(kind, len(data))
        if self.command == "GET":
            self.wfile.write(data[first : first + length])

    def answer_text(
        self, status: HTTPStatus, text: str, extra: Mapping[str, str] | None = None
    ) -> None:
        data = text.encode(errors="backslashreplace")
        self.answer(status, "text/plain; charset=utf-8", data, extra)

    def answer(
        self, status: HTTPStatus, kind: str, data: bytes, extra: Mapping[str, str] | None = None
    ) -> None:
        self.begin_answer(status, kind, {"Content-Length": str(len(data)), **(extra or {})})
        if self.command != "HEAD":
            self.wfile.write(data)

    def begin_answer(self, status: HTTPStatus, kind: str, extra: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**self.common_headers, "Content-Type": kind, **extra}.items():
            self.send_header(name, value)
        self.end_headers()
