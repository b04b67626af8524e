"""A running `gvcodec serve`, and what its clients ask and get."""

import argparse
import contextlib
import http.client
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import av
import numpy as np

from gvcodec.cli import serve as command
from gvcodec.serve.server import FilmServer

PLAYLIST = "/a.gvc/index.m3u8"


@contextlib.contextmanager
def serving(*words: object) -> Iterator[FilmServer]:
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    options = parser.parse_args([str(word) for word in (*words, "--threads", 1)])
    with command.open_server(options) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def answer(
    server: FilmServer, path: str, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response, data


def lengths_of(playlist: bytes) -> list[float]:
    lines = playlist.decode().splitlines()
    assert lines[-1] == "#EXT-X-ENDLIST" and '#EXT-X-MAP:URI="init.mp4"' in lines
    return [float(line[8:-1]) for line in lines if line.startswith("#EXTINF:")]


def joined(server: FilmServer, name: str = "a.gvc") -> bytes:
    """What a player gets that plays a film from its beginning."""
    lengths = lengths_of(answer(server, f"/{name}/index.m3u8")[1])
    places = ["init.mp4", *(f"{number}.m4s" for number in range(len(lengths)))]
    parts = [answer(server, f"/{name}/{place}") for place in places]
    assert {response.status for response, _ in parts} == {200}
    return b"".join(data for _, data in parts)


def frames_in(data: bytes, kind: str = "video") -> list[Any]:
    with av.open(io.BytesIO(data)) as container:
        return list(container.decode(**{kind: 0}))


def psnr(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def read_all(connection: socket.socket) -> bytes:
    """All that comes until the connection is closed."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def wait_until(is_so: Callable[[], bool]) -> bool:
    """Wait up to a minute until something is so."""
    for _ in range(6000):
        if is_so():
            return True
        time.sleep(0.01)
    return False
