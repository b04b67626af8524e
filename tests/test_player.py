"""`gvcodec play`: its server, the page's reading of files (where Node is), and the page in a
browser (where Chromium is)."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest
from conftest import moving_texture
from test_tools import TIMES, made

import gvcodec
from eval import browser
from gvcodec.cli import main
from gvcodec.cli.play import served
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.player import server as server_module
from gvcodec.player.server import PlayerServer, page_files, page_folder
from gvcodec.types import Planes, VideoFormat

GOLDEN = Path(__file__).parent / "golden"
#: Golden streams by base, and what `play` needs to decode them.
STREAMS: dict[str, tuple[Path, tuple[str, ...]]] = {
    "av1": (GOLDEN / "av1.bin", ()),
    "vvc": (GOLDEN / "vvc.bin", ()),
    "tokens": (GOLDEN / "tokens" / "tokens.bin", ("--model", str(GOLDEN / "tokens"))),
}
needs_browser = pytest.mark.skipif(browser.found() is None, reason="needs Chromium")
#: Seconds for SwiftShader, a program, to have shaders ready and tried on a busy machine.
SHADERS = 240.0
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")


@contextmanager
def running(path: Path, *options: str) -> Iterator[PlayerServer]:
    """The server of `gvcodec play PATH`, in a thread."""
    with served(str(path), [*options]) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def answer(
    server: PlayerServer, path: str, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response, data


def opened(name: str) -> gvcodec.Video:
    """The base frames of a golden stream."""
    path, options = STREAMS[name]
    return gvcodec.open(path, fidelity=True, models=options[1:])


def flat(planes: Planes) -> bytes:
    """The samples of a frame as the page has them."""
    return b"".join(plane.tobytes() for plane in planes)


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


@pytest.mark.parametrize("name", ["vvc", "tokens"])
def test_frames_are_sent_as_they_are_decoded(name: str) -> None:
    path, options = STREAMS[name]
    with running(path, "--fidelity", *options) as server, opened(name) as video:
        response, data = answer(server, "/native?from=2")
        frames = [flat(frame.base_frame) for frame in video.decoded(2, len(video))]
        size = 8 + len(frames[0])
        assert data == b"".join(
            number.to_bytes(4, "little") + b"\1\0\0\0" + frame
            for number, frame in enumerate(frames, 2)
        )
        assert len(data) == size * len(frames) and response.status == 200
        for wrong in ("x", "-1", "9" * 30):
            assert answer(server, f"/native?from={wrong}")[0].status == 400


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


def test_player_is_small() -> None:
    assert sum(path.stat().st_size for path in set(page_files().values())) < 1 << 20
    assert (page_folder() / "built" / "core.wasm").read_bytes()[:4] == b"\0asm"


SCRIPT = """
import fs from "node:fs";
const folder = process.argv[2] + "/";
const { streamIn } = await import(folder + "streams.js");
const { Damaged, hex } = await import(folder + "bytes.js");
const { Hash, loadCore, samplesOf } = await import(folder + "core.js");
const core = await loadCore({ wasmBinary: fs.readFileSync(folder + "built/core.wasm") });
const found = [];
for (const [path, decoded] of JSON.parse(process.argv[3])) {
  const data = new Uint8Array(fs.readFileSync(path));
  const facts = { gops: 0, sizes: [], problem: "", hash: "", times: [] };
  found.push(facts);
  try {
    const stream = await streamIn({ size: data.length, read: async (at, size) => data.slice(at, at + size) });
    const { width, height } = stream.header;
    Object.assign(facts, { gops: stream.gops.length, problem: stream.problem, whole: stream.baseHash });
    for (const number of stream.gops.keys()) {
      const gop = await stream.read(number);
      facts.problem ||= gop.problem;
      facts.times.push(...gop.times.slice(0, gop.units.length));
      facts.sizes.push(...gop.units.map(({ payload }) => payload.length));
    }
    if (!decoded) continue;
    const hash = new Hash(core), all = new Uint16Array(new Uint8Array(fs.readFileSync(decoded)).buffer);
    for (let at = 0; at < all.length; at += samplesOf(width, height)) hash.take(all.subarray(at, at + samplesOf(width, height)));
    facts.hash = hex(hash.digest().subarray(0, 8));
  } catch (error) {
    if (!(error instanceof Damaged)) throw new Error(path, { cause: error });
    facts.problem ||= error.message;
  }
}
console.log(JSON.stringify(found));
"""


def page_for_node(tmp_path: Path) -> Path:
    """The page's modules in a folder that says so, for Node."""
    folder = shutil.copytree(
        page_folder(), tmp_path / "page", ignore=shutil.ignore_patterns("core")
    )
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def read_by_page(tmp_path: Path, given: list[tuple[Path, Path | None]]) -> list[dict[str, object]]:
    """What the page's modules make of files; frames that are given are hashed."""
    script = tmp_path / "script.mjs"
    script.write_text(SCRIPT)
    files = json.dumps([(str(path), decoded and str(decoded)) for path, decoded in given])
    command = ["node", str(script), str(page_for_node(tmp_path)), files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@needs_node
def test_page_reads_golden_streams_and_hashes_frames_as_the_encoder(tmp_path: Path) -> None:
    given: list[tuple[Path, Path | None]] = []
    for name, (path, _) in STREAMS.items():
        decoded = tmp_path / name
        with opened(name) as video:
            decoded.write_bytes(
                b"".join(flat(frame.base_frame) for frame in video.decoded(0, len(video)))
            )
        given.append((path, decoded))
    for (path, _), facts in zip(given, read_by_page(tmp_path, given), strict=True):
        reader = gvcodec.Reader(io.BytesIO(path.read_bytes()))
        sizes = [len(packet.payload) for packet in reader.packets() if packet.is_frame]
        assert (facts["sizes"], facts["problem"]) == (sizes, "")
        assert facts["gops"] == len(reader.gops())
        assert reader.base_hash is not None
        assert facts["hash"] == facts["whole"] == reader.base_hash.hex()


@needs_node
def test_page_has_the_timestamps_of_decoding(tmp_path: Path) -> None:
    path = tmp_path / "late.gvc"
    path.write_bytes(made(moving_texture(64, 48, 18), times=TIMES, start=500))
    (facts,) = read_by_page(tmp_path, [(path, None)])
    assert facts["times"] == pytest.approx([time / 1000 for time in TIMES], abs=1e-9)


def as_mp4(path: Path) -> Path:
    """The stream in a file that plays everywhere, beside it."""
    assert main(["extract", str(path), str(path.with_suffix(".mp4"))]) == 0
    return path.with_suffix(".mp4")


@needs_node
def test_page_reads_the_same_stream_out_of_mp4(tmp_path: Path) -> None:
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    stream, file = read_by_page(tmp_path, [(path, None), (as_mp4(path), None)])
    assert file.pop("times") == pytest.approx(stream.pop("times"), abs=1e-6)
    assert file == stream and stream["problem"] == ""


@needs_node
@pytest.mark.parametrize("kind", ["gvc", "mp4"])
def test_page_takes_any_bytes_and_keeps_what_is_whole(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "whole.gvc"
    path.write_bytes((GOLDEN / "av1.bin").read_bytes())
    with gvcodec.open(path) as video:
        frames = len(video)
    whole = (path if kind == "gvc" else as_mp4(path)).read_bytes()
    given: list[tuple[Path, Path | None]] = []
    for number in range(0, len(whole), max(1, len(whole) // 120)):
        for name, data in (
            ("cut", whole[:number]),
            ("turned", whole[:number] + bytes([whole[number] ^ 0x5A]) + whole[number + 1 :]),
            ("longer", whole[:number] + b"\xff" * 40 + whole[number:]),
        ):
            path = tmp_path / f"{name}{number}.{kind}"
            path.write_bytes(data)
            given.append((path, None))
    for (path, _), facts in zip(given, read_by_page(tmp_path, given), strict=True):
        # A container has bytes that nothing depends on.
        assert facts["problem"] or kind == "mp4", path.name
        assert kind == "mp4" or len(facts["sizes"]) <= frames


DIGEST = """crypto.subtle.digest("SHA-256", player.shown.base).then((data) =>
  Array.from(new Uint8Array(data), (byte) => byte.toString(16).padStart(2, "0")).join(""))"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Callable[[str], browser.Page]]:
    with browser.Browser() as chromium:
        yield chromium.open


@needs_browser
@pytest.mark.parametrize("name", STREAMS)
def test_browser_plays_and_shows_exactly_the_frames_of_decode(
    tab: Callable[[str], browser.Page], name: str
) -> None:
    path, options = STREAMS[name]
    with running(path, "--fidelity", *options) as server, opened(name) as video:
        page = tab(server.address)
        page.until("window.player?.shown")
        last = len(video) - 1
        for number in (last, 0, len(video) // 2):
            page.run(f"player.go({number})")
            page.until(f"player.wanted === undefined && player.shown.frame === {number}")
            (frame,) = video.decoded(number, number + 1)
            assert page.run(DIGEST) == hashlib.sha256(flat(frame.base_frame)).hexdigest()
        page.run("player.go(0)")
        page.until("player.wanted === undefined")
        page.run("player.play()")
        page.until(f"!player.playing && player.shown.frame === {last}")
        if name == "av1":
            page.until("player.verified !== null")
            assert page.run("player.verified") == {"base": True}
        assert page.run("player.byPage") == (name == "av1")
        assert page.errors() == []


@needs_browser
def test_browser_shows_what_is_left_of_a_broken_file(
    tab: Callable[[str], browser.Page], tmp_path: Path
) -> None:
    whole = made(moving_texture(64, 48, 18))
    (tmp_path / "cut.gvc").write_bytes(whole[: len(whole) * 2 // 3])
    with running(tmp_path / "cut.gvc") as server:
        page = tab(server.address)
        page.until("window.player?.shown")
        assert "file ends early" in page.run("document.getElementById('notes').textContent")
        count = page.run("player.frames")
        assert 5 <= count < 18
        page.run("player.play()")
        page.until(f"!player.playing && player.shown.frame === {count - 1}")
        (frame,) = gvcodec.open(whole, fidelity=True).decoded(count - 1, count)
        assert page.run(DIGEST) == hashlib.sha256(flat(frame.base_frame)).hexdigest()
        assert page.errors() == []


#: The picture's pixels, joined.
PIXELS = """(() => { const gl = player.view.gl, out = new Uint8Array(4 * 64 * 48);
    gl.readPixels(0, 0, 64, 48, gl.RGBA, gl.UNSIGNED_BYTE, out); return Array.from(out).join(); })()"""


def middle(page: browser.Page, name: str) -> list[float]:
    """Left, middle, width and height of an element in CSS pixels: [x, y, width, height]."""
    box = f"document.getElementById('{name}').getBoundingClientRect()"
    x, y, width, height = page.run(f"Object.values({box}.toJSON()).slice(0, 4)")
    return [x, y + height / 2, width, height]


def is_hidden(page: browser.Page, name: str) -> bool:
    return bool(page.run(f"document.getElementById('{name}').hidden"))


@needs_browser
def test_compare_handle_begins_at_half_and_follows_mouse_and_keys(
    tab: Callable[[str], browser.Page], tmp_path: Path
) -> None:
    (tmp_path / "a.gvc").write_bytes(made(moving_texture(64, 48, 6)))
    with running(tmp_path / "a.gvc") as server:
        page = tab(server.address + "?gpu=off")
        page.until("window.player?.shown?.painted && !document.getElementById('handle').hidden")
        left, y, width, _ = middle(page, "frame")
        handle = middle(page, "handle")
        assert handle[0] + handle[2] / 2 == pytest.approx(left + width / 2, abs=1)
        assert [is_hidden(page, name) for name in ("sides", "left", "right")] == [False] * 3
        shown = {0.5: page.run(PIXELS)}
        page.mouse("mousePressed", left + width / 2, y)
        page.mouse("mouseMoved", left + width / 4, y)
        page.mouse("mouseReleased", left + width / 4, y)
        assert page.run("player.place") == pytest.approx(0.25, abs=0.01)
        page.key("ArrowRight")  # the handle has the focus: no seek
        assert page.run("player.place") == pytest.approx(0.27, abs=0.01)
        assert page.run("[player.at, player.playing]") == [0, False]
        for key, place in (("Home", 0), ("End", 1)):
            page.key(key)
            assert page.run("document.getElementById('handle').ariaValueNow") == str(100 * place)
            shown[place] = page.run(PIXELS)
        assert len(set(shown.values())) == 3
        page.key("c")  # all painted
        assert page.run(PIXELS) == shown[0]
        page.key("p")
        page.until("!player.shown.painted && player.wanted === undefined")
        assert page.run(PIXELS) == shown[1]
        page.until("document.getElementById('handle').hidden")
        assert page.errors() == []


@needs_browser
def test_pointing_at_the_seek_bar_shows_time_and_keyframe(
    tab: Callable[[str], browser.Page], tmp_path: Path
) -> None:
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with running(path, "--fidelity") as server:
        page = tab(server.address)
        page.until("window.player?.timeline?.times.size === 2")
        assert page.run(
            "[...document.getElementById('time').children].map((e) => e.textContent)"
        ) == ["0:00.0", "0:00.4"]
        x, y, width, _ = middle(page, "bar")
        preview = "document.getElementById('preview')"
        assert page.run(f"{preview}.hidden")
        for share, time, gop in ((0.99, "0:00.4", 1), (0.01, "0:00.0", 0)):
            page.mouse("mouseMoved", x + share * width, y)
            assert page.run(f"[{preview}.hidden, {preview}.textContent.trim()]") == [False, time]
            page.until(f"player.page.thumbnails.kept.has({gop})")
        first, second = (
            page.run("""[0, 1].map((gop) => { const { width, height, data } = player.page.thumbnails.kept.get(gop);
            return [width, height, data.reduce((a, b) => a + b) / data.length, data.join()]; })""")
        )
        assert first[:2] == [96, 80] and first[3] != second[3]
        (frame,) = gvcodec.open(path, fidelity=True).decoded(0, 1)
        assert first[2] == pytest.approx((3 * frame.base_frame[0].mean() / 4 + 255) / 4, abs=12)
        page.mouse("mouseMoved", x, 5)
        assert page.run(f"{preview}.hidden")
        page.mouse("mousePressed", x + 0.75 * width, y)
        page.mouse("mouseReleased", x + 0.75 * width, y)
        page.until("player.wanted === undefined && player.shown.frame === 8")
        assert page.run("player.shown.painted === null") and page.errors() == []


@needs_browser
def test_keys_seek_and_explain_themselves(
    tab: Callable[[str], browser.Page], tmp_path: Path
) -> None:
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with running(path, "--fidelity") as server:
        page = tab(server.address)
        page.until("window.player?.shown")
        for key, frame in (("End", 11), ("ArrowLeft", 0), (".", 1), ("5", 6), (",", 5), ("L", 11)):
            page.key(key)
            page.until(f"player.wanted === undefined && player.shown.frame === {frame}")
        page.key("?")
        assert page.run("document.getElementById('help').open")
        assert page.run("document.querySelectorAll('#keys div').length") > 15
        page.key("Home")  # not while the help is read
        assert page.run("player.at") == 11
        page.key("?")
        page.key("Home")
        page.until("player.wanted === undefined && player.shown.frame === 0")
        page.key(" ")
        page.until("!player.playing && player.shown.frame === 11")
        assert page.run("document.getElementById('play').ariaLabel") == "Play again"
        assert page.errors() == []


DROP = """(async () => { const data = new Uint8Array(await (await fetch("stream")).arrayBuffer());
    const moved = new DataTransfer(); moved.items.add(new File([%s], %s));
    const drop = (name) => document.body.dispatchEvent(new DragEvent(name, { bubbles: true, cancelable: true, dataTransfer: moved }));
    window.before = window.player; drop("dragenter"); const seen = !document.getElementById("drop").hidden; drop("drop");
    return seen && document.getElementById("drop").hidden; })()"""


@needs_browser
def test_a_file_that_is_dropped_plays_whatever_its_name(
    tab: Callable[[str], browser.Page],
) -> None:
    hostile = "<img src=x onerror=alert(1)>\u202e.gvc"
    with running(GOLDEN / "av1.bin", "--fidelity") as server:
        page = tab(server.address)
        page.until("window.player?.shown")
        assert page.run(DROP % ("data", json.dumps(hostile)))
        page.until("player !== before && player.shown")
        assert page.run("document.getElementById('name').textContent") == hostile
        assert page.run("document.images.length") == 0
        assert page.run(DROP % ("data.subarray(9)", "'b.gvc'"))
        page.until("player.failed")
        assert "not a gvcodec file" in page.run("document.getElementById('message').textContent")
        assert not is_hidden(page, "empty")
        assert page.run(DROP % ("data", "'c.gvc'"))
        page.until("player.shown && document.getElementById('empty').hidden")
        assert page.errors() == []


@needs_browser
def test_an_mp4_that_is_dropped_is_painted_and_heard(
    tab: Callable[[str], browser.Page], tmp_path: Path
) -> None:
    path = tmp_path / "a.gvc"
    source = with_beep(tmp_path / "a.mkv", "libopus", 48000, 0.4)
    gvcodec.encode_file(source, path, q=45, base="av1", preset=10, fit=0, keyint=10)
    data = list(as_mp4(path).read_bytes())
    with running(path) as server, gvcodec.open(path) as video:
        page = tab(server.address + "?gpu=off")
        page.until("window.player?.shown?.painted")
        page.run(DROP % (f"new Uint8Array({data})", "'a.mp4'"))
        page.until("player !== before && player.shown?.painted")
        page.until("player.sound?.track || player.sound?.reason")
        for number in (13, 24, 0):
            page.run(f"player.go({number})")
            page.until(f"player.wanted === undefined && player.shown.frame === {number}")
            assert painted_digest(page) == digest_of(video, number)
        page.run("player.insists = true, player.setSpeed(0.25), player.play()")
        if page.run("Boolean(player.sound.track)"):
            page.until(f"player.sound.running && {ONSET} !== null")
            assert page.run(ONSET) == pytest.approx(0.4, abs=0.03)
        page.until(
            "player.verified || player.errors.some((each) => each.includes('too slow for it'))"
        )
        assert page.run("player.verified") in (None, {"base": True, "painted": True})
        assert page.errors() == []


@needs_browser
def test_the_source_stands_left_of_the_handle_in_step(
    tab: Callable[[str], browser.Page], tmp_path: Path
) -> None:
    source = with_beep(tmp_path / "a.mp4", "aac", 44100, 0.4)
    path = tmp_path / "a.gvc"
    gvcodec.encode_file(source, path, q=45, base="av1", preset=10, fit=0, keyint=10)
    left = "document.getElementById('left').textContent"
    with running(path, "--source", str(source)) as server:
        page = tab(server.address + "?gpu=off")
        page.until("window.player?.shown?.painted")
        page.until("player.page.original.isThere || document.getElementById('source').error")
        if page.run("Boolean(document.getElementById('source').error)"):
            pytest.skip("a browser without H.264")
        page.run("player.go(13)")
        page.until(f"player.wanted === undefined && {left} === 'Source'")
        page.until("Math.abs(document.getElementById('source').currentTime - 13.5 / 25) < 1e-3")
        page.key("s")
        page.until(f"{left} === 'Base layer' && document.getElementById('source').hidden")
        # Another video that is dropped is compared with what plays.
        film = f"new Uint8Array({list(source.read_bytes())})"
        page.run(DROP % (film, "'b.mp4'"))
        page.until(
            f"document.getElementById('source').src.startsWith('blob:') && {left} === 'Source'"
        )
        assert page.run("player === before") and page.errors() == []


@needs_browser
def test_painting_that_is_too_slow_gives_way_to_the_base_layer(
    tab: Callable[[str], browser.Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paints = "    if (this.identity) return out.set(base);"
    slow = "    await new Promise((done) => setTimeout(done, 1000));\n"
    changed_page("painter.js", paints, slow + paints, tmp_path, monkeypatch)
    with running(painted_stream(tmp_path / "a.gvc", 96, 80)) as server:
        page = tab(server.address + "?gpu=off")
        page.until("window.player?.shown?.painted")
        assert is_hidden(page, "slow")
        page.run("player.play()")
        page.until("player.mode === 'base' && !player.shown.painted")
        assert not is_hidden(page, "slow")
        assert page.run("document.querySelector('#modes :checked').value") == "base"
        page.until("!player.playing && player.shown.frame === 11")
        page.run("document.getElementById('insist').click()")
        assert is_hidden(page, "slow")
        page.run("player.setPlace(0.5), player.go(0)")
        page.until("player.shown.painted && player.wanted === undefined")
        page.run("player.play()")
        page.until("player.shown.frame >= 4")
        assert page.run("[player.mode, Boolean(player.shown.painted)]") == ["compare", True]
        assert page.errors() == []


@needs_browser
@pytest.mark.parametrize("width", [320, 390, 800, 1600])
def test_no_width_scrolls_sideways(tab: Callable[[str], browser.Page], width: int) -> None:
    with running(GOLDEN / "av1.bin") as server:
        page = tab(server.address + "?gpu=off")
        page.resize(width, 844)
        page.until("window.player?.shown && player.painter !== undefined")
        page.run("player.page.slow(), player.note('x'.repeat(500))")
        page.run("document.getElementById('details').open = true")
        assert page.run("document.documentElement.scrollWidth") <= width
        outside = """[...document.querySelectorAll("header *, #controls *, #slow *")].filter((each) => each.checkVisibility()
            && each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.id || each.tagName)"""
        assert page.run(outside) == []
        unnamed = """[...document.querySelectorAll("button, input, select")].filter((each) =>
            !each.ariaLabel && !each.closest("label") && !each.textContent.trim()).map((each) => each.id)"""
        assert page.run(unnamed) == []
        page.resize(width, 844, "light")
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(244, 245, 248)"
        assert page.errors() == []


PAINT = """
import fs from "node:fs";
const [, , folder, model, given, fitted, width, height, q, base] = process.argv;
const { Model, Painter } = await import(folder + "/painter.js");
const { loadCore, samplesOf } = await import(folder + "/core.js");
const header = { width: Number(width), height: Number(height), base, scale: 1, q: Number(q) };
const core = await loadCore({ wasmBinary: fs.readFileSync(folder + "/built/core.wasm") });
const numbers = new Model(new Uint8Array(fs.readFileSync(model)).buffer, header);
const painter = new Painter(core, numbers, header);
const payload = fs.readFileSync(fitted);
painter.startGop(payload.length ? new Uint8Array(payload) : null);
const base_frames = new Uint16Array(new Uint8Array(fs.readFileSync(given)).buffer);
const samples = samplesOf(header.width, header.height), out = new Uint16Array(samples);
const began = performance.now();
for (let n = 0; n < base_frames.length / samples; ++n) {
  await painter.paint(base_frames.subarray(n * samples, (n + 1) * samples), 1000 * n, out);
  fs.appendFileSync(given + ".painted", new Uint8Array(out.buffer));
}
console.log((base_frames.length / samples / (performance.now() - began)) * 1000);
"""


def painted_by_page(
    tmp_path: Path, model: Path, base_frames: bytes, payload: bytes, *facts: object
) -> bytes:
    """Frames that the page's modules paint; `facts`: width, height, q, base."""
    tmp_path.mkdir(exist_ok=True)
    for name, data in (
        ("paint.mjs", PAINT.encode()),
        ("base_frames", base_frames),
        ("fitted", payload),
    ):
        (tmp_path / name).write_bytes(data)
    files = [
        str(path)
        for path in (
            tmp_path / "paint.mjs",
            page_for_node(tmp_path),
            model,
            tmp_path / "base_frames",
            tmp_path / "fitted",
        )
    ]
    command = ["node", *files, *map(str, facts)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    print("frames/s", done.stdout)
    return (tmp_path / "base_frames.painted").read_bytes()


@needs_node
@pytest.mark.parametrize(("width", "height", "middle"), [(96, 80, 1), (75, 53, 0)])
def test_page_paints_integers_exactly(tmp_path: Path, width: int, height: int, middle: int) -> None:
    pytest.importorskip("torch")
    import numpy as np
    from test_painter import frames, twin

    from gvcodec.painter.cpu import CpuPainter
    from gvcodec.painter.model import Model, condition, rate
    from gvcodec.painter.motion import block_vectors
    from gvcodec.painter.payload import IDENTITY, Delta, in_groups, pack

    path = tmp_path / "model.safetensors"
    twin(middle=middle).save(path)
    model = Model.load(path)
    base_frames = frames(width, height, 3)
    unpainted = b"".join(map(flat, base_frames))
    rng = np.random.default_rng(0)
    deltas = {}
    tensors = {f"{name}.{part}" for name in model.layers for part in ("weight", "bias")}
    for name in in_groups(0b101, tensors):
        layer, part = name.rsplit(".", 1)
        count = getattr(model.layers[layer], part).size
        deltas[name] = (
            rng.integers(-20, 21, count) * (rng.random(count) < 0.4),
            6 if part == "bias" else 1,
        )
    payload = pack([Delta(name, values, step) for name, (values, step) in deltas.items()])
    for given, changed in ((b"", model), (payload, model.fitted(deltas))):
        painter = CpuPainter(height, width, 1)
        painter.start(condition("av1", 1, 40), changed)
        wanted, before = b"", None
        for number, planes in enumerate(base_frames):
            vectors = None if before is None else block_vectors(planes[0], before)
            own = rate(1000 * number, width, height)
            wanted += flat(painter.paint(planes, vectors, own))
            before = planes[0]
        folder = tmp_path / ("fitted" if given else "plain")
        assert painted_by_page(folder, path, unpainted, given, width, height, 40, "av1") == wanted
    assert (
        painted_by_page(tmp_path / "identity", path, unpainted, IDENTITY, width, height, 40, "av1")
        == unpainted
    )


def painted_digest(page: browser.Page) -> str:
    """Of the painted samples on the page."""
    return page.run(DIGEST.replace("shown.base", "shown.painted"))


def digest_of(video: gvcodec.Video, number: int) -> str:
    """Of those that the decoder paints."""
    (frame,) = video.decoded(number, number + 1)
    return hashlib.sha256(flat(frame.planes)).hexdigest()


def painted_stream(path: Path, width: int, height: int) -> Path:
    """Twelve frames in two GOPs, for each of which the painter has other weights."""
    import numpy as np

    from gvcodec.painter.model import Model, find_painter
    from gvcodec.painter.payload import Delta, in_groups, pack

    rng = np.random.default_rng(5)
    layers = Model.load(find_painter()).layers
    sizes = {f"{name}.bias": layer.bias.size for name, layer in layers.items()}
    names = in_groups(1, sizes)
    fmt = VideoFormat(width, height, Fraction(25), Fraction(1, 25))
    config = gvcodec.EncoderConfig(q=45, base="av1", preset=10, fit=0, keyint=6)
    encoder = gvcodec.Encoder(fmt, config)
    encoder.fitted = {
        first: pack([Delta(name, rng.integers(-9, 10, sizes[name]), 8) for name in names])
        for first in (0, 6)
    }
    with open(path, "wb") as file:
        encode_stream(encoder, file, zip(moving_texture(width, height, 12), range(12), strict=True))
    with gvcodec.open(path) as video:
        assert video.key_frames == [0, 6]
        for frame in video.decoded(0, 12):
            assert flat(frame.planes) != flat(frame.base_frame)
    return path


@needs_browser
@pytest.mark.parametrize("painted", [False, True])
def test_seeks_that_come_fast_do_not_disturb_each_other(
    tab: Callable[[str], browser.Page], tmp_path: Path, painted: bool
) -> None:
    # There is one painter: a seek that came while another was painted mixed their frames.
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with (
        running(path, *[] if painted else ["--fidelity"]) as server,
        gvcodec.open(path, fidelity=not painted) as video,
    ):
        page = tab(server.address + "?gpu=off")
        page.until("window.player?.shown?.painted" if painted else "window.player?.shown")
        page.run("""(async () => { for (let n = 0; n < 60; ++n) {
            player.go((7 * n) % 12); await new Promise((done) => setTimeout(done, n % 4)); } })()""")
        page.run("player.go(10)")
        page.until("player.wanted === undefined && player.shown.frame === 10")
        assert page.run("Boolean(player.shown.painted)") == painted
        shown = painted_digest(page) if painted else page.run(DIGEST)
        assert shown == digest_of(video, 10)
        assert not any("keyframe" in note for note in page.run("player.errors"))


@needs_browser
@pytest.mark.parametrize(
    ("gpu", "width", "height"), [("off", 96, 80), ("any", 75, 53), ("any", 96, 80)]
)
def test_browser_paints_exactly_and_checks_the_painted_hash(
    tab: Callable[[str], browser.Page], tmp_path: Path, gpu: str, width: int, height: int
) -> None:
    path = painted_stream(tmp_path / "a.gvc", width, height)
    with running(path) as server, gvcodec.open(path) as video:
        page = tab(server.address + f"?gpu={gpu}")
        page.until("window.player?.shown?.painted")
        assert page.run("player.paintsByPage")
        if gpu == "any":
            page.until("player.painter.reason || player.painter.name === 'WebGPU'", SHADERS)
            if (reason := page.run("player.painter.reason")) and "no" in reason.split():
                pytest.skip(reason)
            assert page.run("player.painter") == {"name": "WebGPU"}
        for number in (11, 4, 7):
            page.run(f"player.go({number})")
            page.until(f"player.wanted === undefined && player.shown.frame === {number}")
            assert painted_digest(page) == digest_of(video, number)
        page.run("player.go(0)")
        page.until("player.wanted === undefined")
        page.run("player.insists = true")  # a slow machine is to paint all of it
        page.run("player.play()")
        page.until("player.verified !== null")
        assert page.run("player.verified") == {"base": True, "painted": True}
        page.until("!document.getElementById('exact').hidden")
        assert page.errors() == []


def with_beep(path: Path, codec: str, rate: int, begins: float) -> Path:
    """A second of video whose sound is silent until `begins` seconds, then a tone."""
    import av
    import numpy as np

    size = 960 if codec == "libopus" else 1024
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 96, 80, "yuv420p"
        audio = container.add_stream(codec, rate=rate, layout="stereo")
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(
                np.full((120, 96), 60 + 5 * number, np.uint8), format="yuv420p"
            )
            frame.pts = number
            container.mux(video.encode(frame))
        for first in range(0, rate, size):
            at = np.arange(first, first + size)
            tone = (np.sin(at * 0.1) * (at >= begins * rate) / 2).astype(np.float32)
            sound = av.AudioFrame.from_ndarray(
                np.tile(tone.repeat(2), 1)[None, :], format="flt", layout="stereo"
            )
            sound.sample_rate, sound.pts = rate, first
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


ONSET = """(() => { for (const { node, time } of player.sound.nodes) {
    const place = node.buffer.getChannelData(0).findIndex((value) => Math.abs(value) > 0.1);
    if (place >= 0) return time + place / node.buffer.sampleRate; } return null; })()"""
STEP = """Math.abs(player.sound.heard() - player.clock.time
    - (performance.now() - player.clock.at) / 1000 * player.speed)"""


@needs_browser
@pytest.mark.parametrize(("codec", "rate"), [("libopus", 48000), ("aac", 44100)])
def test_sound_is_in_time_with_the_picture(
    tab: Callable[[str], browser.Page], tmp_path: Path, codec: str, rate: int
) -> None:
    source = with_beep(tmp_path / "a.mkv", codec, rate, 0.4)
    path = tmp_path / "a.gvc"
    gvcodec.encode_file(source, path, q=45, base="av1", preset=10, fit=0, keyint=10)
    with running(path, "--fidelity") as server:
        page = tab(server.address)
        page.until("window.player?.shown && (player.sound?.track || player.sound?.reason)")
        if (reason := page.run("player.sound.reason")) and "does not decode" in reason:
            pytest.skip(reason)  # a browser without the codec, which it says
        page.run("player.setSpeed(0.25)")
        page.run("player.play()")
        page.until(f"player.sound.running && {ONSET} !== null")
        assert page.run(ONSET) == pytest.approx(0.4, abs=0.03)
        page.until(f"{STEP} < 0.1")
        page.key("v")
        assert page.run("[player.sound.gain.gain.value, player.sound.muted]") == [0, True]
        page.key("ArrowUp")
        assert page.run("player.sound.gain.gain.value") == 1
        page.until("!player.playing")
        page.run("player.go(20)")
        page.until("player.wanted === undefined")
        page.run("player.play()")
        page.until(f"player.sound.heard() > 0.7 && {STEP} < 0.1")
        assert page.errors() == []


@needs_browser
def test_sound_that_the_browser_does_not_take_is_named(
    tab: Callable[[str], browser.Page], tmp_path: Path
) -> None:
    source = with_beep(tmp_path / "a.mkv", "ac3", 48000, 0.4)
    path = tmp_path / "a.gvc"
    gvcodec.encode_file(source, path, q=45, base="av1", preset=10, fit=0)
    with running(path, "--fidelity") as server:
        page = tab(server.address)
        page.until("window.player?.shown && player.sound?.reason")
        assert page.run("player.errors") == ["no sound: this browser does not decode AC3"]
        assert page.run("document.getElementById('sound').hidden")
        page.run("player.play()")
        page.until("!player.playing && player.shown.frame === 24")
        assert page.errors() == []


@needs_browser
def test_the_first_picture_waits_for_no_model(
    tab: Callable[[str], browser.Page], tmp_path: Path
) -> None:
    # A page that fetched the painter before it showed anything began seconds later.
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with running(path) as server:
        name = next(name for name in server.files if name.startswith("/models/"))
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        server.files[name] = pipe
        page = tab(server.address)
        page.until("window.player?.shown")
        assert page.run("player.shown.painted === null && player.painter === undefined")
        writer = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # lets the server go on
        page.until("player.painter !== undefined")
        os.close(writer)


@needs_browser
def test_without_shared_memory_one_thread_paints(
    tab: Callable[[str], browser.Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(server_module._HEADERS, "Cross-Origin-Embedder-Policy")
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with running(path) as server, gvcodec.open(path) as video:
        page = tab(server.address + "?gpu=off")
        page.until("window.player?.shown?.painted")
        assert page.run("[crossOriginIsolated, player.painter.name]") == [False, "WebAssembly"]
        page.run("player.go(8)")
        page.until("player.wanted === undefined && player.shown.frame === 8")
        assert painted_digest(page) == digest_of(video, 8)
        assert page.errors() == []


def changed_page(
    name: str, old: str, new: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server gives the page with `new` for `old`, which has to be there, in this file."""
    page = shutil.copytree(page_folder(), folder / "page")
    text = (page / name).read_text()
    assert old in text
    (page / name).write_text(text.replace(old, new))
    monkeypatch.setattr(server_module, "page_folder", lambda: page)


@needs_browser
def test_a_lost_adapter_gives_way_to_the_core(
    tab: Callable[[str], browser.Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paints = "    const corner = mixed(this.position++);"
    # The clip that it is tried with has three frames.
    lost = '    if (this.position === 4) throw new Error("lost");\n'
    changed_page("gpu.js", paints, lost + paints, tmp_path, monkeypatch)
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with running(path) as server, gvcodec.open(path) as video:
        page = tab(server.address + "?gpu=any")
        page.until(
            "window.player?.painter?.reason || window.player?.painter?.name === 'WebGPU'", SHADERS
        )
        if reason := page.run("player.painter.reason"):
            pytest.skip(reason)
        page.run("player.insists = true")
        page.run("player.go(0)")
        page.until("player.wanted === undefined && player.shown.painted")
        page.run("player.play()")
        page.until("!player.playing && player.shown.frame === 11")
        assert any("lost; painted by WebAssembly" in note for note in page.run("player.errors"))
        assert page.run("player.statistics.shown + player.statistics.dropped") >= 12
        assert painted_digest(page) == digest_of(video, 11)


@needs_browser
def test_an_adapter_that_counts_wrong_does_not_paint(
    tab: Callable[[str], browser.Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_page("shader.js", "- inner) >> 2u)", "- inner) >> 1u)", tmp_path, monkeypatch)
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with running(path) as server:
        page = tab(server.address + "?gpu=any")
        page.until("window.player?.painter?.reason", SHADERS)
        reason = page.run("player.painter.reason")
        if "no" in reason.split():
            pytest.skip(reason)
        assert "differs" in reason
        assert page.run("player.painter.name").startswith("WebAssembly")
        page.until("player.shown?.painted")
