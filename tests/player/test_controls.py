"""The page in a browser: frames, handle, seek bar, keys, drops, sizes."""

import hashlib
import json
from pathlib import Path

import pytest

import gvcodec
from tests.browser import Page
from tests.conftest import moving_texture
from tests.edit.test_tools import made
from tests.player_helpers import (
    DIGEST,
    GOLDEN,
    PAINTED,
    PIXELS,
    STREAMS,
    Play,
    as_mp4,
    beeping,
    changed_page,
    digest_of,
    flat,
    go,
    hear_onset,
    middle,
    opened,
    painted_digest,
    painted_stream,
    running,
)


@pytest.mark.parametrize("name", STREAMS)
def test_browser_plays_and_shows_exactly_the_frames_of_decode(play: Play, name: str) -> None:
    with play(STREAMS[name], "--fidelity") as page, opened(name) as video:
        last = len(video) - 1
        for number in (last, 0, len(video) // 2):
            go(page, number)
            (frame,) = video.decode_range(number, number + 1)
            assert page.run(DIGEST) == hashlib.sha256(flat(frame.base_frame)).hexdigest()
        page.run("player.go(0)")
        page.until("player.wanted === undefined")
        page.run("player.play()")
        page.until(f"!player.playing && player.shown.frame === {last}")
        if name == "av1":
            page.until("player.verified !== null")
            assert page.run("player.verified") == {"base": True}
        assert page.run("player.byPage") == (name == "av1")


def test_browser_shows_what_is_left_of_a_broken_file(play: Play, tmp_path: Path) -> None:
    whole = made(moving_texture(64, 48, 18))
    (tmp_path / "cut.gvc").write_bytes(whole[: len(whole) * 2 // 3])
    with play(tmp_path / "cut.gvc") as page:
        assert "file ends early" in page.run("document.getElementById('notes').textContent")
        count = page.run("player.frames")
        assert 5 <= count < 18
        page.run("player.play()")
        page.until(f"!player.playing && player.shown.frame === {count - 1}")
        (frame,) = gvcodec.open(whole, fidelity=True).decode_range(count - 1, count)
        assert page.run(DIGEST) == hashlib.sha256(flat(frame.base_frame)).hexdigest()


def is_hidden(page: Page, name: str) -> bool:
    return bool(page.run(f"document.getElementById('{name}').hidden"))


def test_compare_handle_begins_at_half_and_follows_mouse_and_keys(play, tmp_path):
    (tmp_path / "a.gvc").write_bytes(made(moving_texture(64, 48, 6)))
    with play(
        tmp_path / "a.gvc",
        query="?gpu=off",
        shown="window.player?.shown?.painted && !document.getElementById('handle').hidden",
    ) as page:
        left, y, width, _ = middle(page, "frame")
        handle = middle(page, "handle")
        assert handle[0] + handle[2] / 2 == pytest.approx(left + width / 2, abs=1)
        assert [is_hidden(page, name) for name in ("sides", "left", "right")] == [False] * 3
        shown = {0.5: page.run(PIXELS)}
        page.mouse.move(left + width / 2, y)
        page.mouse.down()
        page.mouse.move(left + width / 4, y)
        page.mouse.up()
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


def test_thumbnails_of_what_the_page_does_not_decode_come_from_the_server(play: Play) -> None:
    with (
        play(STREAMS["vvc"], "--fidelity", shown="window.player?.shown && !player.byPage") as page,
        opened("vvc") as video,
    ):
        x, y, width, _ = middle(page, "bar")
        for gop, first in enumerate(video.key_frames):
            page.mouse.move(x + 8 + (width - 16) * first / (len(video) - 1), y)
            page.until(f"player.page.thumbnails.kept.has({gop})")
            mean = page.run(f"""(() => {{ const {{ data }} = player.page.thumbnails.kept.get({gop});
                return data.reduce((a, b) => a + b) / data.length; }})()""")
            (frame,) = video.decode_range(first, first + 1)
            assert mean == pytest.approx((3 * frame.base_frame[0].mean() / 4 + 255) / 4, abs=12)


def test_pointing_at_the_seek_bar_shows_time_and_keyframe(play: Play, tmp_path: Path) -> None:
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with play(
        path, "--fidelity", shown="window.player?.timeline?.times.size === 2", expected=True
    ) as page:
        times = "[...document.getElementById('time').children].map((e) => e.textContent)"
        assert page.run(times) == ["0:00.0", "0:00.4"]
        x, y, width, _ = middle(page, "bar")
        preview = "document.getElementById('preview')"
        assert page.run(f"{preview}.hidden")
        for share, time, gop in ((0.99, "0:00.4", 1), (0.01, "0:00.0", 0)):
            page.mouse.move(x + share * width, y)
            assert page.run(f"[{preview}.hidden, {preview}.textContent.trim()]") == [False, time]
            page.until(f"player.page.thumbnails.kept.has({gop})")
        first, second = (
            page.run("""[0, 1].map((gop) => { const { width, height, data } = player.page.thumbnails.kept.get(gop);
            return [width, height, data.reduce((a, b) => a + b) / data.length, data.join()]; })""")
        )
        assert first[:2] == [96, 80] and first[3] != second[3]
        (frame,) = gvcodec.open(path, fidelity=True).decode_range(0, 1)
        assert first[2] == pytest.approx((3 * frame.base_frame[0].mean() / 4 + 255) / 4, abs=12)
        page.mouse.move(x, 5)
        assert page.run(f"{preview}.hidden")
        page.mouse.click(x + 0.75 * width, y)
        page.until("player.wanted === undefined && player.shown.frame === 8")
        assert page.run("player.shown.painted === null")


def test_a_drag_of_the_seek_bar_shows_keyframes_and_then_the_exact_frame(
    play: Play, tmp_path: Path
) -> None:
    """Also if it ends where it began: then the bar's value does not change."""
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with play(path, "--fidelity", shown="window.player?.timeline?.times.size === 2") as page:
        x, y, width, _ = middle(page, "bar")
        first = page.run("player.gops[player.timeline.gopOf(8)].first")
        assert 0 < first < 8
        for begin in (0.1, 0.75):
            page.mouse.move(x + begin * width, y)
            page.mouse.down()
            page.mouse.move(x + 0.3 * width, y)
            page.until("player.wanted === undefined && player.shown.frame === 0")
            page.mouse.move(x + 0.75 * width, y)
            page.until(f"player.wanted === undefined && player.shown.frame === {first}")
            assert page.run("document.getElementById('seek').value") == "8"
            page.mouse.up()
            page.until("player.wanted === undefined && player.shown.frame === 8")


@pytest.mark.parametrize("native", [False, True])
def test_what_was_found_is_marked_and_the_best_of_it_shown_first(tab, tmp_path, native):
    path = STREAMS["vvc"] if native else tmp_path / "a.gvc"
    if not native:
        painted_stream(path, 96, 80)
    with running(path, "--fidelity") as server:
        hits = [{"frame": 5, "score": 0.9}, {"frame": 2, "score": 0.8}]
        server.facts = json.dumps(json.loads(server.facts) | {"hits": hits}).encode()
        page = tab(server.address)
        page.until("window.player?.shown?.frame === 5 && player.wanted === undefined")
        marks = "[...document.querySelectorAll('#moments i.hit')]"
        shares = page.run(f"{marks}.map((mark) => Number(mark.style.getPropertyValue('--at')))")
        frames = page.run("player.frames")
        assert shares == pytest.approx([2 / (frames - 1), 5 / (frames - 1)])
        page.key("m")
        page.until("player.shown.frame === 2")
        page.key("m")
        page.until("player.shown.frame === 5")
        assert page.errors() == []


def test_keys_seek_and_explain_themselves(play: Play, tmp_path: Path) -> None:
    path = painted_stream(tmp_path / "a.gvc", 96, 80)
    with play(path, "--fidelity") as page:
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


DROP = """(async () => { const data = new Uint8Array(await (await fetch("stream")).arrayBuffer());
    const moved = new DataTransfer(); moved.items.add(new File([%s], %s));
    const drop = (name) => document.body.dispatchEvent(new DragEvent(name, { bubbles: true, cancelable: true, dataTransfer: moved }));
    window.before = window.player; drop("dragenter"); const seen = !document.getElementById("drop").hidden; drop("drop");
    return seen && document.getElementById("drop").hidden; })()"""


def test_a_file_that_is_dropped_plays_whatever_its_name(play):
    hostile = "<img src=x onerror=alert(1)>\u202e.gvc"
    with play(GOLDEN / "av1.bin", "--fidelity") as page:
        assert page.run(DROP % ("data", json.dumps(hostile)))
        page.until("player !== before && player.shown")
        assert page.run("document.getElementById('name').textContent") == hostile
        assert page.run("document.images.length") == 0
        assert page.run(DROP % ("data.subarray(9)", "'b.gvc'"))
        page.until("player.failed")
        assert "not a gvcodec file" in page.run("document.getElementById('message').textContent")
        assert not is_hidden(page, "empty") and page.run(DROP % ("data", "'c.gvc'"))
        page.until("player.shown && document.getElementById('empty').hidden")


def test_an_mp4_that_is_dropped_is_painted_and_heard(play: Play, tmp_path: Path) -> None:
    path = beeping(tmp_path, "libopus", 48000)
    data = list(as_mp4(path).read_bytes())
    with play(path, query="?gpu=off", shown=PAINTED) as page, gvcodec.open(path) as video:
        page.run(DROP % (f"new Uint8Array({data})", "'a.mp4'"))
        page.until("player !== before && player.shown?.painted")
        page.until("player.sound?.track || player.sound?.reason")
        for number in (13, 24, 0):
            go(page, number)
            assert painted_digest(page) == digest_of(video, number)
        page.run("player.insists = true, player.setSpeed(0.25)")
        if page.run("Boolean(player.sound.track)"):
            assert hear_onset(page) == pytest.approx(0.4, abs=0.03)
        page.run("player.setSpeed(4), player.go(0), player.play()")
        page.until(
            "player.verified || player.errors.some((each) => each.includes('too slow for it'))"
        )
        assert page.run("player.verified") in (None, {"base": True, "painted": True})


def test_the_source_stands_left_of_the_handle_in_step(play: Play, tmp_path: Path) -> None:
    path = beeping(tmp_path, "aac", 44100, suffix=".mp4")
    source = path.with_suffix(".mp4")
    left = "document.getElementById('left').textContent"
    with play(
        path, "--source", str(source), query="?gpu=off", shown=PAINTED, expected=True
    ) as page:
        page.until("player.page.original.isThere || document.getElementById('source').error")
        if page.run("Boolean(document.getElementById('source').error)"):
            pytest.skip("a browser without H.264")
        page.run("player.go(13)")
        page.until(f"player.wanted === undefined && {left} === 'Source'")
        page.until("Math.abs(document.getElementById('source').currentTime - 13.5 / 25) < 1e-3")
        page.key("s")
        page.until(f"{left} === 'Base layer' && document.getElementById('source').hidden")
        # Another video that is dropped is compared with what plays.
        page.run(DROP % (f"new Uint8Array({list(source.read_bytes())})", "'b.mp4'"))
        page.until(
            f"document.getElementById('source').src.startsWith('blob:') && {left} === 'Source'"
        )
        assert page.run("player === before")


def test_painting_that_is_too_slow_gives_way_to_the_base_layer(play, tmp_path, monkeypatch):
    paints = "    if (this.identity) return out.set(base);"
    # The first frame is there at once; the next three come so late that a busy machine, which
    # refreshes its screen once a second, sees it too.
    slow = (
        "    this.paints = (this.paints ?? 0) + 1;\n"
        "    const wait = this.paints === 1 ? 0 : this.paints < 5 ? 3500 : 500;\n"
        "    await new Promise((done) => setTimeout(done, wait));\n"
    )
    changed_page("painter.js", paints, slow + paints, tmp_path, monkeypatch)
    with play(painted_stream(tmp_path / "a.gvc", 96, 80), query="?gpu=off", shown=PAINTED) as page:
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
