"""A batch from a bucket into a bucket, on a local server that speaks S3."""

from __future__ import annotations

import contextlib
import csv
import io
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gvcodec import api
from tests.batch.test_batch import write_video

pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")


@pytest.fixture
def bucket(monkeypatch) -> Iterator[tuple[Any, int]]:
    """A file system with a bucket "films", and the port of its server; programs started from here
    find it too."""
    import s3fs

    running = server.ThreadedMotoServer("127.0.0.1", port=0)
    running.start()
    port = running.get_host_and_port()[1]
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "no_proxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem(endpoint_url=f"http://127.0.0.1:{port}")
    with contextlib.suppress(FileExistsError):
        system.mkdir("films")
    yield system, port
    running.stop()


class Interrupter:
    """Hands on connections to a port, and breaks off those that have brought `most` bytes, `times`
    times."""

    def __init__(self, port: int, most: int, times: int) -> None:
        self._port, self._most, self.left = port, most, times
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self._listening.accept()
            far = socket.create_connection(("127.0.0.1", self._port))
            threading.Thread(target=self._pass, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, True), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 14):
                passed += len(data)
                if counts and passed > self._most and self.left > 0:
                    self.left -= 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
                end.close()


def run(*words: object, fails: int = 0) -> str:
    command = [sys.executable, "-m", "gvcodec", "batch", *map(str, words)]
    options = ["--preset", "10", "--fit", "off", "--chunk", "20", "--jobs", "2"]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == fails, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_from_bucket_to_bucket_with_lost_connections(
    bucket: tuple[Any, int], tmp_path, monkeypatch
) -> None:
    system, port = bucket
    for name, seed in (("a.mp4", 1), ("b.mkv", 2)):
        write_video(tmp_path / name, seed)
        system.put_file(str(tmp_path / name), f"films/in/{name}")
    system.pipe_file("films/in/notes.txt", b"no video")
    whole = run(tmp_path / "a.mp4", tmp_path / "b.mkv", "-o", tmp_path / "out")
    assert "2 files done" in whole
    breaker = Interrupter(port, 4000, 6)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{breaker.port}")
    said = run("s3://films/in", "-o", "s3://films/out", fails=6)
    assert breaker.left == 0, "no connection was lost"
    assert "1 of 3 files failed" in said
    system.invalidate_cache()
    made = {path: system.cat_file(path) for path in system.ls("films/out") if path.endswith(".gvc")}
    # Names hold a hash of the content, which is the store's own here; the streams are the same.
    assert sorted(made.values()) == sorted(p.read_bytes() for p in (tmp_path / "out").glob("*.gvc"))
    assert all(len(list(api.decode(stream, fidelity=True))) == 60 for stream in made.values())
    rows = list(csv.DictReader(io.StringIO(system.cat_file("films/out/batch.csv").decode())))
    assert [row["status"] for row in rows if not row["chunk"]].count("failed") == 1
    assert not any(".part" in path for path in system.find("films/out"))


def test_a_bucket_that_cannot_be_reached_is_one_line(bucket: tuple[Any, int], monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    said = run("s3://films/in", "-o", "s3://films/out", fails=1)
    assert said.count("\n") == 1 and "s3://films/out" in said
