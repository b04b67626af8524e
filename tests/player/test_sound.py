"""Sound in the page: in time, and named where it cannot be played."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import gvcodec
from eval import browser
from tests.player_helpers import ONSET, needs_browser, running, with_beep

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
