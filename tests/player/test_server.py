"""`gvcodec play`: its server, and what it gives to whom."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import gvcodec
from gvcodec.cli import main
from tests.conftest import moving_texture
from tests.edit.test_tools import made
from tests.player_helpers import GOLDEN, STREAMS, answer, flat, opened, running


def test_server_gives_ranges_of_the_stream() -> None:
    whole = (GOLDEN / "av1.bin").read_bytes()
    with running(GOLDEN / "av1.bin") as server:
        for asked, part in (
            ("5-9", slice(5, 10)),
            ("100-", slice(100, None)),
            ("-7", slice(-7, None)),
        ):
            response, data = answer(server, "/stream", Range=f"bytes={asked}")
            assert (response.status, data) == (206, whole[part])
        assert answer(server, "/stream", Range="bytes=nonsense")[1] == whole
        assert answer(server, "/stream", Range=f"bytes={len(whole)}-")[0].status == 416
        for asked in (f"bytes={len(whole)}-", "bytes=-0"):
            response, _ = answer(server, "/stream", Range=asked)
            assert response.status == 416
            assert response.headers["Content-Range"] == f"bytes */{len(whole)}"
        for asked in ("bytes=nonsense", "bytes=9-3", "bytes=0-1,3-4", "lines=0-1", "bytes=-"):
            response, data = answer(server, "/stream", Range=asked)
            assert (response.status, data) == (200, whole)
            assert response.headers["Content-Range"] is None
        assert answer(server, "/stream", "HEAD")[0].getheader("Content-Length") == str(len(whole))


def test_server_gives_the_painter_that_the_stream_names(tmp_path: Path) -> None:
    path = tmp_path / "a.gvc"
    path.write_bytes(made(moving_texture(64, 48, 2)))
    painter = gvcodec.open(path).header.painter_id
    assert painter is not None
    named = f"/models/{painter.hex()}.safetensors"
    with running(path) as server:
        response, data = answer(server, named)
        assert (response.status, hashlib.sha256(data).digest()[:8]) == (200, painter)
    with running(path, "--fidelity") as server:
        assert answer(server, named)[0].status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/core/painter.cpp",
        "/build.sh",
        "//etc/passwd",
        "/%2e%2e/README.md",
        "/models/",
    ],
)
def test_server_gives_nothing_but_its_files(path: str) -> None:
    with running(GOLDEN / "av1.bin") as server:
        assert answer(server, path)[0].status == 404


def test_server_is_for_this_machine_and_this_name() -> None:
    with running(GOLDEN / "av1.bin") as server:
        assert server.server_address[0] == "127.0.0.1"
        for host in ("example.org", f"example.org:{server.server_port}", "127.0.0.1"):
            assert answer(server, "/stream", Host=host)[0].status == 403
        response, _ = answer(server, "/")
        assert response.getheader("Cross-Origin-Resource-Policy") == "same-origin"
        assert answer(server, "/stream", "POST")[0].status == 501


@pytest.mark.parametrize("name", ["vvc", "motion"])
def test_frames_are_sent_as_they_are_decoded(name: str) -> None:
    path, options = STREAMS[name]
    with running(path, "--fidelity", *options) as server, opened(name) as video:
        response, data = answer(server, "/native?from=2")
        frames = [flat(frame.base_frame) for frame in video.decode_range(2, len(video))]
        size = 8 + len(frames[0])
        assert data == b"".join(
            number.to_bytes(4, "little") + b"\1\0\0\0" + frame
            for number, frame in enumerate(frames, 2)
        )
        assert len(data) == size * len(frames) and response.status == 200
        for wrong in ("x", "-1", "9" * 30):
            assert answer(server, f"/native?from={wrong}")[0].status == 400


def test_a_keyframe_is_sent_alone_and_ends_nothing() -> None:
    path, options = STREAMS["vvc"]
    with running(path, "--fidelity", *options) as server, opened("vvc") as video:
        assert server.frames is not None
        playing = server.frames.frames(0, False)
        next(playing)
        last = video.key_frames[-1]
        (frame,) = video.decode_range(last, last + 1)
        _, data = answer(server, f"/keyframe?from={last}")
        assert data == last.to_bytes(4, "little") + b"\1\0\0\0" + flat(frame.base_frame)
        assert answer(server, f"/keyframe?from={len(video)}")[1] == b""
        assert len(list(playing)) == 2 * len(video) - 1
        assert answer(server, "/keyframe?from=x")[0].status == 400


def test_what_cannot_be_played_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.gvc").write_bytes(b"nothing of the kind")
    with running(GOLDEN / "av1.bin") as server:
        for arguments, code in (
            ([str(tmp_path / "no.gvc")], 3),
            (["-"], 2),
            ([str(tmp_path / "missing.gvc")], 1),
            ([str(GOLDEN / "av1.bin"), "--source", str(tmp_path / "missing.mp4")], 1),
            ([str(GOLDEN / "av1.bin"), "--port", str(server.server_port)], 1),
        ):
            assert main(["play", "--no-browser", *arguments]) == code
            assert capsys.readouterr().err.count("\n") == 1
