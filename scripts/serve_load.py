"""Memory, threads and processor use of `gvcodec serve` while clients seek in a film.

    python scripts/serve_load.py film.gvc --seeks 60 --crowd 1000

Two clients take turns: each asks for a segment somewhere in the film and for the next one, as
players do after a seek. Places are spread evenly over the film, in random order. Then hostile
clients: connections at once that say nothing, that read nothing, and that ask for a segment.
Writes a line of CSV for each tenth of the seeks, and one for each kind of crowd. Linux only.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import http.client
import os
import random
import re
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path


class Server:
    """A running `gvcodec serve` for `film` on this machine."""

    def __init__(self, film: Path) -> None:
        command = [sys.executable, "-m", "gvcodec", "serve", str(film), "--threads", "1"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        address = next(
            match for line in self.process.stderr if (match := re.search(r"(\d+)(/\S+)m3u8", line))
        )
        self.port, self.folder = int(address[1]), address[2].rsplit("/", 1)[0]
        self.received = 0

    def get(self, name: str) -> bytes:
        """A file of the film. Raises `RuntimeError` for any other status than 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request("GET", f"{self.folder}/{name}")
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{name}: status {answer.status}")
        self.received += len(data)
        return data

    def usage(self) -> tuple[float, float, int]:
        """Resident MiB, processor seconds, threads."""
        place = Path(f"/proc/{self.process.pid}")
        pages = int((place / "statm").read_text().split()[1])
        fields = (place / "stat").read_text().rsplit(")", 1)[1].split()
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        resident = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        return resident, seconds, len(list((place / "task").iterdir()))


def seek(server: Server, count: int, seed: int) -> None:
    """`count` seeks, two segments each."""
    begin = time.monotonic()
    segments = server.get("index.m3u8").count(b"#EXTINF")
    report("playlist", 0, server, begin)
    places = [int((segments - 1) * (n + 0.5) / count) for n in range(count)]
    random.Random(seed).shuffle(places)
    for done, first in enumerate(places, 1):
        for number in (first, first + 1):
            server.get(f"{number}.m4s")
        if done % max(1, count // 10) == 0:
            report("seeks", done, server, begin)


def crowd(server: Server, kind: str, count: int, data: bytes) -> None:
    """`count` connections at once that send `data`, then wait until the server closes them, or, if
    `kind` is "deaf", read nothing for 15 s."""
    begin, statuses = time.monotonic(), collections.Counter[str]()
    most = 0
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(count):
            connection = stack.enter_context(socket.socket())
            if kind == "deaf":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect(("127.0.0.1", server.port))
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
            selector.register(connection, selectors.EVENT_READ)
            most = max(most, server.usage()[2])
        if kind == "deaf":
            time.sleep(15)
        while selector.get_map():
            most = max(most, server.usage()[2])
            for key, _ in selector.select(1):
                answer = b""
                with contextlib.suppress(ConnectionError):
                    answer = key.fileobj.recv(1 << 20)  # type: ignore[union-attr]
                statuses[answer[9:12].decode() or "closed"] += 1
                selector.unregister(key.fileobj)
    counts = " ".join(f"{status}:{number}" for status, number in sorted(statuses.items()))
    report(f"{kind} ({counts}; at most {most} threads)", count, server, begin)


def report(what: str, count: int, server: Server, begin: float) -> None:
    resident, seconds, threads = server.usage()
    wall = time.monotonic() - begin
    megabytes = server.received / 1e6
    print(
        f"{what},{count},{megabytes:.1f},{resident:.0f},{seconds:.1f},{threads},{wall:.1f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("film", type=Path)
    parser.add_argument("--seeks", type=int, default=60)
    parser.add_argument("--crowd", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    server = Server(options.film)
    print("what,count,MB received,resident MiB,processor s,threads,wall s", flush=True)
    try:
        seek(server, options.seeks, options.seed)
        head = f"GET {server.folder}/%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        crowd(server, "silent", options.crowd, b"")
        crowd(server, "half a request", options.crowd, b"GET / HTTP/1.1\r\nX: ")
        crowd(server, "playlist", options.crowd, (head % "index.m3u8").encode())
        crowd(server, "deaf", options.crowd, (head % "index.m3u8").encode())
        crowd(server, "segment", options.crowd, (head % "1.m4s").encode())
        server.get("init.mp4")
        report("afterwards", 1, server, time.monotonic())
    finally:
        server.process.terminate()
        server.process.wait()


if __name__ == "__main__":
    main()
