"""A running `gvcodec serve`, and what its clients ask and get."""

import argparse
import contextlib
import io
import socket
import threading
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from gvcodec.cli import serve as command
from gvcodec.serve.server import FilmServer
from tests.player_helpers import answer

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
