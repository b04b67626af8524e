"""What the tests of the player share: its server in a thread, golden streams, a browser's tab."""

import hashlib
import http.client
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.cli import main
from gvcodec.cli.play import serve
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.player import server as server_module
from gvcodec.player.server import PlayerServer, page_folder
from gvcodec.types import Planes, VideoFormat
from tests.browser import Page
from tests.clips import add_video, sound_of
from tests.conftest import moving_texture
from tests.networks import other_biases

GOLDEN = Path(__file__).parent / "golden"
#: Golden streams by base.
STREAMS = {"av1": GOLDEN / "av1.bin", "vvc": GOLDEN / "vvc.bin"}
#: What the fixture `play` gives.
Play = Callable[..., AbstractContextManager[Page]]
#: A page shows a frame, painted or not.
SHOWN, PAINTED = "window.player?.shown", "window.player?.shown?.painted"
#: Seconds for SwiftShader, a program, to have shaders ready and tried on a busy machine.
SHADERS = 240.0
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")


@contextmanager
def running(path: Path, *options: str) -> Iterator[PlayerServer]:
    with serve(str(path), [*options]) as server:
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
    return gvcodec.open(STREAMS[name], fidelity=True)


def flat(planes: Planes) -> bytes:
    return b"".join(plane.tobytes() for plane in planes)


def run_node(script: str, tmp_path: Path, *words: object, relaxed: bool = False) -> str:
    """What a script prints in Node; its first argument is a folder with the page's modules.
    `relaxed`: it needs relaxed SIMD, for which Node before 21 has to be asked."""
    folder = tmp_path / "page"
    if not folder.exists():
        shutil.copytree(page_folder(), folder, ignore=shutil.ignore_patterns("core"))
        (folder / "package.json").write_text('{"type": "module"}')
    (tmp_path / "script.mjs").write_text(script)
    asked = ["--experimental-wasm-relaxed-simd"] * (relaxed and _node_version() < 21)
    command = ["node", *asked, tmp_path / "script.mjs", folder, *words]
    how = {"capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run([*map(str, command)], check=False, **how)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _node_version() -> int:
    done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.lstrip("v").split(".")[0])


def as_mp4(path: Path) -> Path:
    """The stream in a file that plays everywhere, next to it."""
    assert main(["extract", str(path), str(path.with_suffix(".mp4"))]) == 0
    return path.with_suffix(".mp4")


def go(page: Page, number: int) -> None:
    page.run(f"player.go({number})")
    page.until(f"player.wanted === undefined && player.shown.frame === {number}")


DIGEST = """crypto.subtle.digest("SHA-256", player.shown.base).then((data) =>
  Array.from(new Uint8Array(data), (byte) => byte.toString(16).padStart(2, "0")).join(""))"""
#: The picture's pixels, joined.
PIXELS = """(() => { const context = new OffscreenCanvas(64, 48).getContext("2d");
    context.drawImage(player.canvas, 0, 0);
    return context.getImageData(0, 0, 64, 48).data.join(); })()"""


def middle(page: Page, name: str) -> list[float]:
    box = f"document.getElementById('{name}').getBoundingClientRect()"
    x, y, width, height = page.run(f"Object.values({box}.toJSON()).slice(0, 4)")
    return [x, y + height / 2, width, height]


def painted_digest(page: Page) -> str:
    return page.run(DIGEST.replace("shown.base", "shown.painted"))


def digest_of(video: gvcodec.Video, number: int) -> str:
    (frame,) = video.decode_range(number, number + 1)
    return hashlib.sha256(flat(frame.planes)).hexdigest()


def painted_stream(path: Path, width: int, height: int, bit_depth: int = 8) -> Path:
    """Twelve frames in two GOPs, for each of which the painter has other weights."""
    fmt = VideoFormat(width, height, Fraction(25), Fraction(1, 25), bit_depth)
    config = gvcodec.EncoderConfig(q=45, base="av1", preset=10, fit=0, keyint=6)
    encoder = gvcodec.Encoder(fmt, config)
    encoder.fit_payloads = {first: other_biases(first) for first in (0, 6)}
    with open(path, "wb") as file:
        encode_stream(encoder, file, zip(moving_texture(width, height, 12), range(12), strict=True))
    with gvcodec.open(path) as video:
        assert video.key_frames == [0, 6]
        for frame in video.decode_range(0, 12):
            assert flat(frame.planes) != flat(frame.base_frame)
    return path


#: Codecs of subtitles, whose packets a test makes up.
SUBTITLES = ("mov_text", "subrip", "ass", "webvtt", "dvd_subtitle")


def with_beep(
    path: Path, codec: str, rate: int, begins: float, others: tuple[str, ...] = ()
) -> Path:
    """A second of video, a tone from `begins` seconds on; `others`: tracks before it."""
    size = 960 if codec == "libopus" else 1024
    with av.open(str(path), "w", options={"default_mode": "passthrough"}) as container:
        video = add_video(container, 96, 80)
        earlier = {}
        for other in others:
            if other in SUBTITLES:
                stream = container.add_mux_stream(other)
                stream.time_base = Fraction(1, 1000)
            else:
                stream = container.add_stream(other, rate=48000, layout="stereo")
            earlier[stream] = other
        audio = container.add_stream(codec, rate=rate, layout="stereo")
        container.start_encoding()
        for stream, other in earlier.items():
            if other in SUBTITLES:
                packet = av.Packet(b"\0\x07Bonjour")
                packet.pts = packet.dts = 0
                packet.duration, packet.time_base = 900, Fraction(1, 1000)
                packet.stream = stream
                container.mux(packet)
            else:
                silence = sound_of(np.zeros((2, 48000), np.float32), 48000)
                container.mux([*stream.encode(silence), *stream.encode(None)])
        for number in range(25):
            picture = np.full((120, 96), 60 + 5 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts = number
            container.mux(video.encode(frame))
        for first in range(0, rate, size):
            at = np.arange(first, first + size)
            tone = (np.sin(at * 0.1) * (at >= begins * rate) / 2).astype(np.float32)
            container.mux(audio.encode(sound_of(np.stack([tone, tone]), rate, first)))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def beeping(
    folder: Path,
    codec: str,
    rate: int,
    begins: float = 0.4,
    suffix: str = ".mkv",
    others: tuple[str, ...] = (),
) -> Path:
    source, path = with_beep(folder / f"a{suffix}", codec, rate, begins, others), folder / "a.gvc"
    gvcodec.encode_file(source, path, q=45, base="av1", preset=10, fit=0, keyint=10)
    return path


#: Notes where silence becomes a tone in what is scheduled, in seconds of the picture, as `onset`. A run that begins with the tone says
#: nothing of it: on a busy machine the picture may be further before sound begins.
_LISTEN = """(() => { let quiet = null; window.onset = null;
    player.sound.nodes.push = function (entry) {
        const { buffer } = entry.node, place = buffer.getChannelData(0).findIndex((value) => Math.abs(value) > 0.1);
        if (place >= 0 && quiet !== null && Math.abs(entry.time - quiet) < 0.005) window.onset ??= entry.time + place / buffer.sampleRate;
        quiet = place < 0 ? entry.time + buffer.duration : null;
        return Array.prototype.push.call(this, entry); }; })()"""


def hear_onset(page: Page) -> float:
    """Seconds into the picture at which the tone begins, playing from the start."""
    page.run(_LISTEN)
    page.run("player.play()")
    page.until("onset !== null || (player.playing || player.play(), false)")
    return page.run("onset")


def changed_page(
    name: str,
    old: str,
    new: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *more: tuple[str, str, str],
) -> None:
    """The server gives the page with `new` for `old`, which has to be there, in this file; `more`:
    as the first three."""
    page = shutil.copytree(page_folder(), folder / "page")
    for file, before, after in ((name, old, new), *more):
        text = (page / file).read_text()
        assert before in text
        (page / file).write_text(text.replace(before, after))
    monkeypatch.setattr(server_module, "page_folder", lambda: page)
