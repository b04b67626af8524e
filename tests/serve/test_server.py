"""Requests of players, and hostile ones."""

import contextlib
import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from gvcodec.cli import main
from gvcodec.player import http_answers
from gvcodec.serve.server import FilmServer
from tests.conftest import wait_for
from tests.serve.clients import PLAYLIST, answer, frames_in, joined, read_all, serving

PRIVATE = [
    *("/../a.gvc", "/a.gvc", "/a.gvc/x", "/a.gvc/2.m4s", "/a.gvc/-1.m4s", "/a.gvc/0.m4s/.."),
    *("/b.gvc/index.m3u8", "//etc/passwd", "/a.gvc/../../etc/passwd", "/%2e%2e/a.gvc/init.mp4"),
    *("/a.gvc/index.m3u8/", "/a.gvc/\xd9\xa1.m4s", "/[", "*", "/%00/init.mp4"),
    *("/a.gvc%2finit.mp4", "/a.gvc/99999999999.m4s", "http://x/a.gvc/init.mp4", "/page.html"),
]  # fmt: skip


def test_nothing_but_films_is_given(painted: Path) -> None:
    with serving(painted) as server:
        for path in PRIVATE:
            head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            reply = exchange(server, head.encode("latin-1"))
            assert reply.split(b" ", 2)[1] in (b"404", b"403", b"400"), path
        assert answer(server, "/", "POST")[0].status == 501


def exchange(server: FilmServer, data: bytes) -> bytes:
    """All that the server says to these bytes, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
        connection.sendall(data)
        return read_all(connection)


def test_odd_requests_get_short_answers(painted: Path) -> None:
    with serving(painted) as server:
        for request, status in (
            (b"GET / HTTP/1.0\r\n\r\n", b" 200 "),
            (b"GET /a.gvc/init.mp4 HTTP/1.0\r\n\r\n", b" 200 "),
            (b"HEAD /a.gvc/0.m4s HTTP/1.0\r\n\r\n", b" 200 "),
            (b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", b" 403 "),
            (b"GET / HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n", b" 403 "),
            (b"GET / HTTP/1.1\r\n" + b"y" * 16368, b" 431 "),
            (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 999 + b"\r\n", b" 431 "),
            (b"GET /" + b"a" * 16379, b" 431 "),
            (b"GET / HTTP/1.1\r\nHost: LOCALHOST\r\n\r\n", b" 200 "),
            (b"GET / HTTP/1.1\nHost: localhost\n\n", b" 200 "),
            (b"GET http://127.0.0.1:9/ HTTP/1.1\r\nHost: x\r\n\r\n", b" 200 "),
            (b"GET http://x/ HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 403 "),
            (b"GET / HTTP/1.1\r\n\r\n", b" 400 "),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: x\r\n\r\n", b" 400 "),
            (b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", b" 400 "),
            (b"GET /\r\n\r\n", b" 400 "),
            (b"\x16\x03\x01\x02\x00" * 9 + b"\r\n\r\n", b"400"),
        ):
            assert status in exchange(server, request), request[:60]
        for wrong, status in ((b"<b> / HTTP/1.1", b" 501 "), (b"GET / HTTP/9.9", b" 505 ")):
            reply = exchange(server, wrong + b"\r\nHost: localhost\r\n\r\n")
            assert status in reply and b"nosniff" in reply and b"<b>" not in reply
        head = b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 40\r\n\r\n"
        assert exchange(server, head + b"GET /a HTTP/1.1\r\n\r\n").count(b"HTTP/1.1 ") == 1
        whole = answer(server, "/a.gvc/0.m4s")[1]
        response, part = answer(server, "/a.gvc/0.m4s", Range="bytes=10-19")
        assert (response.status, part) == (206, whole[10:20])
        assert answer(server, "/a.gvc/0.m4s", Range=f"bytes={len(whole)}-")[0].status == 416
        assert answer(server, "/a.gvc/0.m4s", Range="bytes=0-1,5-6")[1] == whole


def test_other_machines_need_the_token(painted: Path) -> None:
    with serving(painted, "--host", "127.0.0.1") as server:
        token = server.prefix
        assert len(token) > 16 and server.address.endswith(f"{token}/")
        assert answer(server, f"{token}/", Host="films.example")[0].status == 200
        response, _ = answer(server, f"{token}{PLAYLIST}", Host="films.example")
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, "*")
        for wrong in ("", "/", "/x", token[:-1], f"{token}x", token.swapcase(), f"{token}/../x"):
            assert answer(server, f"{wrong}{PLAYLIST}")[0].status == 404
    with serving(painted) as server:
        assert server.prefix == "" and server.server_address[0] == "127.0.0.1"
        assert "Access-Control-Allow-Origin" not in answer(server, "/")[0].headers


def test_slow_requests_end_and_connections_are_counted(
    painted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_answers, "_REQUEST_TIME", 2.0)
    with serving(painted) as server, contextlib.ExitStack() as stack:
        before, slow = threading.active_count(), []
        for n in range(60):
            one = socket.create_connection(("127.0.0.1", server.server_port), timeout=60)
            slow.append(stack.enter_context(one))
            with contextlib.suppress(ConnectionError):  # refused already
                one.sendall(b"GET / HTTP"[: n % 9])
        assert threading.active_count() <= before + 2 * http_answers._MOST_OF_CLIENT
        answers = [read_all(one)[:12] for one in slow]
        assert set(answers) == {b"", b"HTTP/1.1 408", b"HTTP/1.1 503"}
        assert is_free_again(server) and answer(server, PLAYLIST)[0].status == 200


def test_a_client_that_reads_nothing_loses_its_connection(
    painted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gvcodec.serve.server._Handler.timeout", 0.5)
    with serving(painted) as server, socket.socket() as client:
        server.films["a.gvc"].__dict__["head"] = bytes(64 << 20)  # more than buffers hold
        client.settimeout(60)
        client.connect(("127.0.0.1", server.server_port))
        client.sendall(b"GET /a.gvc/init.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        assert is_free_again(server)
        assert len(read_all(client)) < 64 << 20


def test_many_connections_at_once_get_answers(painted: Path) -> None:
    head = b"GET /a.gvc/init.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(painted) as server, contextlib.ExitStack() as stack:
        before, most = threading.active_count(), 0
        many = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.server_port), 60))
            for _ in range(200)
        ]
        for one in many:
            with contextlib.suppress(ConnectionError):
                one.sendall(head)
            most = max(most, threading.active_count() - before)
        statuses = {read_all(one)[:12] for one in many}
        assert statuses <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}
        assert most <= 2 * http_answers._MOST_OF_CLIENT
        assert is_free_again(server) and answer(server, PLAYLIST)[0].status == 200


def is_free_again(server: FilmServer) -> bool:
    """Wait until all connections have gone."""
    return wait_for(lambda: not server._connections.total(), 60)


def test_two_clients_and_one_that_stops(painted: Path) -> None:
    with serving(painted) as server:
        gone = socket.create_connection(("127.0.0.1", server.server_port))
        gone.sendall(b"GET /a.gvc/0.m4s HTTP/1.1\r\nHost: localhost\r\n\r\n")
        gone.close()
        films: list[bytes] = []
        threads = [threading.Thread(target=lambda: films.append(joined(server))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert films[0] == films[1] and len(frames_in(films[0])) == 12


def test_what_cannot_be_served_is_one_line(
    painted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.gvc").write_bytes(b"nothing of the kind")
    os.mkfifo(fifo := tmp_path / "fifo.gvc")
    with serving(painted) as server:
        for words, code in (
            ([str(tmp_path / "no.gvc")], 9),
            (["-"], 2),
            ([str(tmp_path / "no.gvc"), str(tmp_path / "no.gvc"), "--port", "1"], 9),
            ([str(fifo)], 2),
            ([str(tmp_path / "missing.gvc")], 1),
            ([str(painted), "--port", str(server.server_port)], 1),
            ([str(painted), "--host", "no such host"], 1),
        ):
            assert main(["serve", *words]) == code, words
            assert capsys.readouterr().err.count("\n") == 1
        with pytest.raises(SystemExit) as error:
            main(["serve", str(painted), "--crf", "52"])
        assert error.value.code == 2 and capsys.readouterr().err.count("\n") == 1


def test_what_can_be_read_is_served(
    painted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "series").mkdir()
    other, odd = tmp_path / "series" / "a.gvc", tmp_path / "series" / os.fsdecode(b"Caf\xe9.gvc")
    for copy in (other, odd):
        shutil.copy(painted, copy)
    (tmp_path / "half.gvc").write_bytes(painted.read_bytes()[:60])
    with serving(painted, tmp_path / "half.gvc", tmp_path / "series", painted) as server:
        assert list(server.films) == ["a.gvc", odd.name, "a (2).gvc"]
        assert b"Caf%E9.gvc" in answer(server, "/")[1]
        for place in ("Caf%E9.gvc", "a%20%282%29.gvc"):
            assert answer(server, f"/{place}/index.m3u8")[0].status == 200
        assert "half.gvc" in capsys.readouterr().err
        other.unlink()
        for file in ("index.m3u8", "0.m4s", ""):
            response, text = answer(server, f"/a%20%282%29.gvc/{file}")
            assert response.status == 404 and b"series" not in text
        shutil.copy(painted, tmp_path / "new.gvc")
        os.replace(tmp_path / "new.gvc", odd)
        assert answer(server, "/Caf%E9.gvc/0.m4s")[0].status == 404


def test_a_client_that_sends_no_more_gets_its_answer(painted: Path) -> None:
    with serving(painted) as server:
        for _ in range(2):  # the second answer is in the cache
            with socket.create_connection(("127.0.0.1", server.server_port), 60) as client:
                client.sendall(b"GET /a.gvc/1.m4s HTTP/1.1\r\nHost: localhost\r\n\r\n")
                client.shutdown(socket.SHUT_WR)
                head, _, body = read_all(client).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert len(body) == int(head.split(b"Content-Length: ")[1].split()[0])


def test_pages_of_another_site_need_cors(painted: Path) -> None:
    with serving(painted, "--cors", "https://films.example") as server:
        response, _ = answer(server, PLAYLIST)
        assert response.headers["Access-Control-Allow-Origin"] == "https://films.example"
        assert answer(server, PLAYLIST, "OPTIONS")[0].headers["Access-Control-Allow-Headers"]
        assert answer(server, PLAYLIST, Host="films.example")[0].status == 403
    with pytest.raises(SystemExit):
        main(["serve", str(painted), "--cors", "films.example"])


def test_addresses_are_those_of_the_network(painted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["127.0.0.1", "192.168.1.7", "192.168.1.7", "10.0.0.3", "fe80::1", "2001:db8::5"]
    monkeypatch.setattr("gvcodec.serve.server._own_addresses", lambda: iter(found))
    with serving(painted, "--host", "0.0.0.0") as server:
        hosts = [address.split("/")[2].rsplit(":", 1)[0] for address in server.addresses]
        assert hosts == ["192.168.1.7", "10.0.0.3"]


def test_a_thread_that_does_not_start_frees_its_place(
    painted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with serving(painted) as server:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            assert {answer(server, "/")[0].status for _ in range(20)} == {503}
        assert is_free_again(server) and answer(server, "/")[0].status == 200
