"""`eval fetch`: licence, going on, hashes; from a folder, and from a server that knows parts."""

import hashlib
import http.server
import threading

import pytest

from eval import fetch
from eval.__main__ import main
from eval.sequences import NAMED
from eval.tools import EvalError

NAME = "Beauty_1920x1080_120fps_420_8bit_YUV_RAW.7z"


@pytest.fixture
def published(tmp_path, monkeypatch):
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / NAME).write_bytes(bytes(range(256)) * 20)
    program = tmp_path / "bin"
    program.mkdir()
    (program / "7z").write_text("#!/bin/sh\nprintf frames > Beauty_1920x1080_120.yuv\n")
    (program / "7z").chmod(0o755)
    monkeypatch.setenv("PATH", f"{program}:/bin:/usr/bin")
    return folder


def test_a_set_is_fetched_once_its_licence_is_accepted(tmp_path, published, capsys):
    out = tmp_path / "uvg"
    words = ["fetch", "uvg", str(out), "--only", "Beauty", "--from", published.as_uri()]
    assert main(words) == 1 and not out.exists() and "CC BY-NC 3.0" in capsys.readouterr().err
    assert main([*words, "--accept-licence"]) == 0
    assert (out / "Beauty_1920x1080_120.yuv").read_text() == "frames"
    digest = hashlib.sha256((published / NAME).read_bytes()).hexdigest()
    assert (out / "SHA256SUMS").read_text() == f"{digest}  {NAME}\n"
    (out / NAME).write_bytes(b"another")
    assert main([*words, "--accept-licence"]) == 1 and "remove it" in capsys.readouterr().err


def test_what_was_cut_off_goes_on(tmp_path, published):
    """By a range where the server knows it, from the start from a folder."""
    whole = (published / NAME).read_bytes()
    ranges = []

    class Parts(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            ranges.append(self.headers["Range"])
            begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if begin < len(whole) else 416)
            self.end_headers()
            self.wfile.write(whole[begin:])

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Parts)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served = f"http://127.0.0.1:{server.server_port}/{NAME}"
    for have in (1000, len(whole)):
        for address in (served, (published / NAME).as_uri()):
            (tmp_path / "got.part").write_bytes(whole[:have])
            fetch.download(address, tmp_path / "got")
            assert (tmp_path / "got").read_bytes() == whole and not (tmp_path / "got.part").exists()
    server.shutdown()
    assert ranges == ["bytes=1000-", f"bytes={len(whole)}-"]


def test_what_is_not_there_is_one_line(tmp_path):
    with pytest.raises(EvalError, match="the downloaded part is kept"):
        fetch.download((tmp_path / "none.7z").as_uri(), tmp_path / "got")
    assert set(fetch._PUBLISHED) <= set(NAMED["uvg"])
