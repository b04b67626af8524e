"""`gvcodec serve`: pictures and sound of segments, seeking, the cache, and hostile requests."""

import argparse
import contextlib
import http.client
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.cli import main
from gvcodec.cli import serve as command
from gvcodec.media.planes import planes_from_frame, to_eight_bits
from gvcodec.player import http_answers
from gvcodec.serve.segments import SegmentCache
from gvcodec.serve.server import FilmServer
from gvcodec.types import VideoFormat
from tests.clips import sound_of
from tests.conftest import moving_texture
from tests.edit.test_tools import TIMES, made
from tests.player_helpers import as_mp4, painted_stream, with_beep

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


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return painted_stream(tmp_path_factory.mktemp("serve") / "a.gvc", 96, 80)


def test_segments_show_the_painted_pictures_at_their_times(painted: Path) -> None:
    with serving(painted, "--crf", 4) as server, gvcodec.open(painted) as video:
        shown = frames_in(joined(server))
        decoded = list(video.decode_range(0, len(video)))
        assert len(shown) == len(decoded) == 12
        for picture, frame in zip(shown, decoded, strict=True):
            luma = planes_from_frame(picture)[0] >> 2
            assert psnr(luma, to_eight_bits(frame.planes[0])) > 40
            assert psnr(luma, to_eight_bits(frame.planes[0])) > psnr(
                luma, to_eight_bits(frame.base_frame[0])
            )
            assert picture.time == pytest.approx(frame.pts / 25)
    with serving(painted, "--crf", 4, "--fidelity") as server:
        luma = planes_from_frame(frames_in(joined(server))[3])[0] >> 2
        assert psnr(luma, to_eight_bits(decoded[3].base_frame[0])) > 40


def test_a_playlist_lists_the_whole_film_and_any_segment_plays_first(painted: Path) -> None:
    with serving(painted) as server:
        assert lengths_of(answer(server, PLAYLIST)[1]) == pytest.approx([0.24, 0.24])
        head, last = (answer(server, f"/a.gvc/{place}")[1] for place in ("init.mp4", "1.m4s"))
        frames = frames_in(head + last)
        assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in range(6, 12)])
        assert frames[0].key_frame
        page = answer(server, "/")[1].decode()
        assert 'src="a.gvc/index.m3u8"' in page


def test_ffmpeg_plays_the_playlist_and_seeks(painted: Path) -> None:
    with serving(painted) as server, av.open(server.address_of("a.gvc")) as container:
        times = [frame.time for frame in container.decode(video=0)]
        assert times == pytest.approx([n / 25 for n in range(12)])
        container.seek(round(0.3 * av.time_base))
        assert next(container.decode(video=0)).time == pytest.approx(6 / 25)


def test_times_that_vary_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.gvc"
    path.write_bytes(made(moving_texture(64, 48, 18), times=TIMES, start=500))
    with serving(path) as server:
        frames = frames_in(joined(server))
        times = [(time - TIMES[0]) / 1000 for time in TIMES]
        assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-6)
        total = sum(lengths_of(answer(server, PLAYLIST)[1]))
        with gvcodec.open(path) as video:
            assert total == pytest.approx(video.metadata.duration_seconds, abs=1e-4)


def test_odd_sides_are_made_even(tmp_path: Path) -> None:
    path, fmt = tmp_path / "a.gvc", VideoFormat(65, 47, Fraction(25), Fraction(1, 25))
    path.write_bytes(gvcodec.encode(moving_texture(65, 47, 3), format=fmt, threads=1, preset=10))
    with serving(path, "--crf", 4) as server, gvcodec.open(path) as video:
        shown = frames_in(joined(server))[2]
        (frame,) = video.decode_range(2, 3)
        luma = planes_from_frame(shown)[0] >> 2
        assert luma.shape == (48, 66)
        assert psnr(luma[:47, :65], to_eight_bits(frame.planes[0])) > 40


def samples_from(path_or_data: Any, beginning: Fraction) -> np.ndarray[Any, Any]:
    """Mono samples of a file, from a time on."""
    with av.open(path_or_data) as container:
        frames = list(container.decode(audio=0))
        rate = frames[0].sample_rate
        first = round((frames[0].pts * frames[0].time_base - beginning) * rate)
        samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
        return np.pad(samples, (first, 0)) if first > 0 else samples[-first:]


@pytest.mark.parametrize(
    ("codec", "rate", "suffix", "served"),
    [
        ("aac", 44100, ".mp4", "aac"),
        ("libopus", 48000, ".mkv", "opus"),
        ("flac", 44100, ".mkv", "aac"),
        ("mp3", 48000, ".mkv", "aac"),
    ],
)
def test_sound_is_heard_at_its_time(
    codec: str, rate: int, suffix: str, served: str, tmp_path: Path
) -> None:
    source = with_beep(tmp_path / f"a{suffix}", codec, rate, 0.4)
    path = tmp_path / "a.gvc"
    gvcodec.encode_file(source, path, q=45, base="av1", preset=10, fit=0, keyint=10)
    with serving(path, "--fidelity") as server:
        data = joined(server)
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.audio[0].codec_context.name.removeprefix("lib") == served
    samples = samples_from(io.BytesIO(data), Fraction(0))
    rate = rate if served != "aac" or codec == "aac" else 48000
    onset = int(np.argmax(np.abs(samples) > 0.1)) / rate
    assert onset == pytest.approx(0.4, abs=0.004)
    tone = samples[round(0.5 * rate) : round(0.95 * rate)]
    source_rate = 44100 if "44100" in str(rate) else rate
    # No seam: a sine obeys x[n+1] + x[n-1] = 2 cos(w) x[n]; the source's w is 0.1 at its own rate.
    step = 0.1 * {("flac"): 44100, "mp3": 48000}.get(codec, source_rate) / rate
    residue = tone[2:] + tone[:-2] - 2 * np.cos(step) * tone[1:-1]
    assert np.abs(residue).max() < 0.02


def test_sound_that_is_copied_stays_as_it_is(tmp_path: Path) -> None:
    source = with_beep(tmp_path / "a.mp4", "aac", 48000, 0.4)
    path = tmp_path / "a.gvc"
    gvcodec.encode_file(source, path, q=45, base="av1", preset=10, fit=0, keyint=10)
    with serving(path, "--fidelity") as server:
        data = joined(server)
    with av.open(str(source)) as one, av.open(io.BytesIO(data)) as other:
        given = {bytes(packet) for packet in one.demux(audio=0) if packet.size}
        served = [bytes(packet) for packet in other.demux(audio=0) if packet.size]
    assert len(served) >= len(given) - 2 and set(served) <= given


def test_a_file_that_plays_everywhere_is_served_too(painted: Path) -> None:
    with serving(as_mp4(painted)) as server:
        assert len(frames_in(joined(server, "a.mp4"))) == 12


def test_a_damaged_gop_is_an_answer_and_the_others_play(
    painted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(painted.read_bytes())
    with open(painted, "rb") as file:
        gop = gvcodec.Reader(file).gops()[0]
    with gvcodec.open(painted) as video:
        assert len(video) == 12
    path = tmp_path / "a.gvc"
    path.write_bytes(data)
    with serving(path) as server:
        assert answer(server, PLAYLIST)[0].status == 200
        data[gop.offset + gop.size // 2] ^= 0xFF
        path.write_bytes(data)
        response, text = answer(server, "/a.gvc/0.m4s")
        assert response.status == 500 and b"GOP at frame 0" in text
        assert answer(server, "/a.gvc/1.m4s")[0].status == 200
    assert capsys.readouterr().err.count("GOP at frame 0") == 1


PRIVATE = [
    *("/../a.gvc", "/a.gvc", "/a.gvc/", "/a.gvc/2.m4s", "/a.gvc/-1.m4s", "/a.gvc/0.m4s/.."),
    *("/b.gvc/index.m3u8", "//etc/passwd", "/a.gvc/../../etc/passwd", "/%2e%2e/a.gvc/init.mp4"),
    *("/a.gvc/index.m3u8/", "/a.gvc/\xd9\xa1.m4s", "/[", "*", "/%00/init.mp4"),
    *("/a.gvc%2finit.mp4", "/a.gvc/99999999999.m4s", "http://x/a.gvc/init.mp4", "/page.html"),
]  # fmt: skip


def test_nothing_but_films_is_given(painted: Path) -> None:
    with serving(painted) as server:
        for path in PRIVATE:
            head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            reply = exchange(server, head.encode("latin-1"))
            assert reply.split(b" ", 2)[1] in (b"404", b"400"), path
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
            (b"\x16\x03\x01\x02\x00" * 9 + b"\r\n\r\n", b"400"),
        ):
            assert status in exchange(server, request), request[:60]
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


def read_all(connection: socket.socket) -> bytes:
    """All that comes until the connection is closed."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def is_free_again(server: FilmServer) -> bool:
    """Wait until all connections have gone."""
    return wait_until(lambda: not server._connections.total())


def wait_until(is_so: Callable[[], bool]) -> bool:
    """Wait up to a minute until something is so."""
    for _ in range(6000):
        if is_so():
            return True
        time.sleep(0.01)
    return False


class FakeFilm:
    """Segments that are coded when `begin` is set; `numbers` says which."""

    def __init__(self) -> None:
        self.segments, self.numbers, self.closings = 100, list[int](), 0
        self.video, self.begin = self, threading.Event()
        self.begin.set()

    def segment(self, number: int) -> bytes:
        assert self.begin.wait(60)
        self.numbers.append(number)
        if number == 13:
            raise ValueError("13")
        return bytes([number]) * 1000

    def close(self) -> None:
        self.closings += 1


@pytest.fixture
def cache() -> Iterator[SegmentCache]:
    cache = SegmentCache()
    yield cache
    cache.close()


def wait_for_coding(cache: SegmentCache, film: Any) -> list[int]:
    """Segments coded once the thread has nothing to do: it takes jobs one after the other."""
    other: Any = FakeFilm()
    cache._ask(9, other, 0, lambda: True).result(60)
    return list(film.numbers)


def test_two_segments_are_coded_ahead_and_no_more(cache: SegmentCache) -> None:
    film: Any = FakeFilm()
    assert cache.get(film, 5, lambda: True) == b"\5" * 1000
    assert wait_for_coding(cache, film) == [5, 6, 7]
    cache.get(film, 6, lambda: True)
    assert wait_for_coding(cache, film) == [5, 6, 7, 8]
    cache.get(film, 99, lambda: True)
    assert wait_for_coding(cache, film) == [5, 6, 7, 8, 99]
    with pytest.raises(ValueError, match="13"):
        cache.get(film, 13, lambda: True)
    cache.get(film, 5, lambda: True)
    assert film.closings == 3  # one decoder at a time: the other film had its turn thrice


def test_the_cache_is_bounded(cache: SegmentCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gvcodec.serve.segments._MOST_BYTES", 5500)
    film: Any = FakeFilm()
    for number in (*range(0, 90, 3), 0):
        assert cache.get(film, number, lambda: True)[0] == number
        assert cache._jobs.qsize() <= 8
    wait_for_coding(cache, film)
    assert sum(map(len, cache._segments.values())) <= 5500


def test_what_clients_wait_for_comes_first_unless_they_have_gone(cache: SegmentCache) -> None:
    film: Any = FakeFilm()
    film.begin.clear()
    requests = [(1, 50, True), (0, 30, True), (0, 40, False), (0, 20, True)]
    first = cache._ask(0, film, 10, lambda: True)
    assert wait_until(lambda: cache._jobs.empty())  # it is being coded
    answers = [cache._ask(rank, film, n, partial(bool, there)) for rank, n, there in requests]
    film.begin.set()
    assert first.result(60)[0] == 10
    with pytest.raises(ConnectionAbortedError):
        answers[2].result(60)
    assert wait_for_coding(cache, film) == [10, 30, 20, 50]


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
    with serving(painted) as server:
        for words, code in (
            ([str(tmp_path / "no.gvc")], 9),
            (["-"], 2),
            ([str(painted), str(painted)], 2),
            ([str(tmp_path / "missing.gvc")], 1),
            ([str(painted), "--port", str(server.server_port)], 1),
            ([str(painted), "--host", "no such host"], 1),
        ):
            assert main(["serve", *words]) == code, words
            assert capsys.readouterr().err.count("\n") == 1


def test_sound_without_a_codec_of_browsers_has_no_holes() -> None:
    """Parts that are coded by themselves join without a seam."""
    from gvcodec.media.aac_segments import add_aac, code_part

    rate, count = 48000, 96000
    tone = (np.sin(np.arange(count) * 0.05) / 2).astype(np.float32)[None]
    container = av.open(io.BytesIO(), "w", format="adts")
    stream = add_aac(container, 1)
    cuts = [Fraction(0), Fraction(7, 10), Fraction(13, 10), Fraction(2)]
    coded = []

    class Pcm:
        def decode(self, packet: Any) -> list[Any]:
            return [packet]

    for begin, end in pairwise(cuts):
        one = av.open(io.BytesIO(), "w", format="adts")
        first = max(0, round(begin * rate) - 9600)
        frames = [
            sound_of(tone[:, at : at + 960], rate, at)
            for at in range(first // 960 * 960, min(count, round(end * rate) + 9600), 960)
        ]
        coded += code_part(add_aac(one, 1), Pcm(), frames, begin, end)
    assert [packet.pts for packet in coded] == [1024 * n for n in range(len(coded))]
    decoder: Any = av.CodecContext.create("aac", "r")
    decoder.sample_rate, decoder.layout = rate, "mono"
    decoder.extradata = stream.codec_context.extradata
    heard = np.concatenate([f.to_ndarray()[0] for p in coded for f in decoder.decode(p)])
    inner = slice(2048, len(heard) - 4096)
    assert np.abs(heard[inner] - tone[0, : len(heard)][inner]).max() < 0.06
