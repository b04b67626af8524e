"""`<gv-video>`: the packed folder in a page of somebody else, used like `<video>`."""

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gvcodec
from gvcodec.codec.decoder import DecodedFrame
from gvcodec.planes import rgb_from_planes
from gvcodec.player.server import PlayerServer, page_folder
from tests.browser import Page
from tests.clips import write_clip
from tests.conftest import moving_texture
from tests.player_helpers import as_mp4, beeping, painted_stream

ROOT = Path(__file__).resolve().parents[2]
EVENTS = (
    "loadedmetadata loadeddata play pause seeking seeked timeupdate ended error note paintedchange"
)
PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="module" src="gv/gv_video.js"></script><script src="listen.js"></script>
<gv-video id="film" %s gpu="off"></gv-video>"""
LISTEN = """window.told = []; for (const name of "%s".split(" ")) document.addEventListener(name,
({ detail }) => told.push(detail ? `${name}: ${detail}` : name), true);"""
#: Luma-like means of the picture's canvas, as a flat list of RGBA.
PIXELS = """(() => { const canvas = film.shadowRoot.querySelector("canvas");
    const context = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    context.drawImage(canvas, 0, 0);
    return [...context.getImageData(0, 0, canvas.width, canvas.height).data]; })()"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that npm would install."""
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "pack", "--pack-destination", str(folder), "--offline"]
    done = subprocess.run(command, cwd=page_folder(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def test_the_package_holds_what_its_files_name(package: Path) -> None:
    """Modules and workers that modules load, both painters under their ids, and what the README
    promises; nothing of the player's own page."""
    names = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    loads = r'(?:from |import\(|new URL\()"(?:\./)?([\w-]+\.js)"'
    loaded = {name for path in package.glob("*.js") for name in re.findall(loads, path.read_text())}
    assert {"engine.js", "hasher.js", "one_file.js"} <= loaded <= names
    painters = [f"checkpoints/{name}.safetensors" for name in ("painter", "painter-tokens")]
    digests = [hashlib.sha256((ROOT / path).read_bytes()).hexdigest()[:16] for path in painters]
    assert {f"models/{digest}.safetensors" for digest in digests} <= names
    assert {"gv_video.js", "example.html", "README.md", "LICENSE", "NOTICE"} <= names
    facts = json.loads((package / "package.json").read_text())
    assert facts["main"] in names and "index.html" not in names and "page.js" not in names
    assert (package / "README.md").read_text() == (page_folder() / "README.md").read_text()


Show = Callable[..., contextlib.AbstractContextManager[Page]]


@pytest.fixture
def show(package: Path, tab: Callable[[str], Page], tmp_path: Path) -> Show:
    """A page with a file in `<gv-video ATTRIBUTES>`; `left_out`: a folder of the package."""

    @contextlib.contextmanager
    def opened(path: Path, attributes: str = "", left_out: str = "") -> Iterator[Page]:
        (tmp_path / "index.html").write_text(PAGE % f'src="{path.name}" {attributes}')
        (tmp_path / "listen.js").write_text(LISTEN % EVENTS)
        names = [each for each in package.rglob("*") if each.is_file()]
        files = {f"/gv/{each.relative_to(package).as_posix()}": each for each in names}
        files = {
            place: each for place, each in files.items() if not left_out or left_out not in place
        }
        own = {"/": tmp_path / "index.html", "/listen.js": tmp_path / "listen.js"}
        with PlayerServer(0, {**files, **own, f"/{path.name}": path}, {}, None) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                page = tab(server.address)
                page.until("window.told && window.film && customElements.get('gv-video')")
                yield page
            finally:
                server.shutdown()
                thread.join()

    return opened


def picture(page: Page) -> np.ndarray[Any, Any]:
    width, height = page.run("[film.videoWidth, film.videoHeight]")
    return np.array(page.run(PIXELS), float).reshape(height, width, 4)[..., :3]


def painted_share(page: Page, frame: DecodedFrame) -> float:
    """How much of the painted luma detail the picture has: 1 all, 0 none."""
    luma = 16 + picture(page) @ np.array([65.481, 128.553, 24.966]) / 255  # BT.601, limited range
    base, painted = (planes[0] / 4 for planes in (frame.base_frame, frame.planes))
    detail = painted - base
    return float(((luma - base) * detail).sum() / (detail**2).sum())


def test_it_shows_the_painted_frames_of_decode(show: Show, tmp_path: Path) -> None:
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with show(path) as page, gvcodec.open(path) as video:
        page.until("film.painted")
        assert page.run("[film.videoWidth, film.videoHeight]") == [96, 80]
        assert page.run("film.duration") == pytest.approx(0.48)
        for number in (7, 0, 11):
            page.run(f"told.length = 0, film.currentTime = {(number + 0.5) / 25}")
            page.until("!film.seeking && film.painted && told.includes('seeked')")
            (frame,) = video.decode_range(number, number + 1)
            assert painted_share(page, frame) == pytest.approx(1, abs=0.2)
            assert page.run("film.currentTime") == pytest.approx(number / 25)
            assert page.run("told").count("seeked") == 1
        page.run("film.setAttribute('fidelity', '')")
        page.until("!film.painted && !film.seeking")
        assert painted_share(page, frame) == pytest.approx(0, abs=0.2)
        assert page.errors() == []


def test_it_plays_with_the_events_of_a_video(show: Show, tmp_path: Path) -> None:
    path = as_mp4(painted_stream(tmp_path / "a.gvc", 96, 80))
    with show(path, "controls") as page:
        page.until("told.includes('loadeddata')")
        assert page.run("[film.paused, film.ended, film.currentTime]") == [True, False, 0]
        page.run("film.playbackRate = 0.5, film.play()")
        page.until("told.includes('ended')")
        told = page.run("told")
        order = ["loadedmetadata", "loadeddata", "play", "timeupdate", "pause", "ended"]
        assert [told.index(name) for name in order] == sorted(told.index(name) for name in order)
        assert page.run("[film.paused, film.ended]") == [True, True]
        assert page.run("film.currentTime") == pytest.approx(0.48, abs=0.05)
        page.run("told.length = 0, film.loop = true, film.play()")
        page.until("told.filter((name) => name === 'play').length === 3", 120)
        page.run("film.loop = false, film.pause(), film.currentTime = 0")
        page.until("!film.seeking && film.paused && film.currentTime === 0")


def test_controls_are_those_of_a_video(show: Show, tmp_path: Path) -> None:
    path = beeping(tmp_path, "libopus", 48000)
    with show(path, 'controls width="320" muted') as page:
        part = "film.shadowRoot.querySelector('{}')"
        page.until(f"!{part.format('#volume')}.hidden")
        assert page.run("[film.muted, film.clientWidth, film.tabIndex]") == [True, 320, 0]
        assert page.run(f"{part.format('#mute')}.ariaLabel") == "Unmute"
        page.run(f"{part.format('#mute')}.click()")
        assert page.run("[film.muted, film.volume]") == [False, 1]
        page.run("film.focus()")
        page.key("ArrowDown")
        assert page.run("film.volume") == pytest.approx(0.9)
        with pytest.raises(RuntimeError, match="IndexSizeError"):
            page.run("film.volume = 2")
        page.key("ArrowRight")
        page.until("!film.seeking && film.currentTime > 0.9")
        assert page.run(f"{part.format('time')}.textContent") == "0:00.9 / 0:01.0"
        page.run("film.currentTime = 0")
        page.until("!film.seeking && film.currentTime === 0")
        page.key("k")
        page.until("!film.paused || film.ended")
        page.run("film.controls = false")
        assert page.run(f"{part.format('#bar')}.hidden")
        page.run("film.remove()")
        page.run("window.again = document.body.appendChild(document.createElement('gv-video'))")
        page.run(f"again.id = 'again', again.src = {json.dumps(path.name)}")
        page.until("again.videoWidth > 0")


def test_without_a_painter_base_frames_are_shown(show: Show, tmp_path: Path) -> None:
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with show(path, left_out="/models/") as page, gvcodec.open(path, fidelity=True) as video:
        page.until("told.some((each) => each.startsWith('note: not painted'))")
        (frame,) = video.decode_range(0, 1)
        shown = rgb_from_planes(frame.planes, video.header.format.colour)
        assert np.abs(picture(page) - shown).mean() < 1 and not page.run("film.painted")


def test_what_a_browser_plays_by_itself_is_played_so(show: Show, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "plain.mp4", moving_texture(96, 80, 10))
    with show(path, "controls") as page:
        page.until("film.shadowRoot.querySelector('video')?.readyState >= 1")
        page.until("told.includes('loadedmetadata')")
        assert page.run("film.duration") == pytest.approx(0.4, abs=0.05)
        page.run("film.muted = true, film.play()")
        page.until("film.ended")
        assert page.run("film.error === null")


def test_what_nobody_plays_is_an_error_that_says_why(show: Show, tmp_path: Path) -> None:
    path = tmp_path / "a.gvc"
    path.write_bytes(b"nothing of the kind" * 9)
    with show(path, "controls") as page:
        page.until("told.some((each) => each.startsWith('error: '))")
        assert "not a gvcodec file" in page.run("film.error.message")
        assert "not a gvcodec file" in page.run("film.shadowRoot.querySelector('p').textContent")
