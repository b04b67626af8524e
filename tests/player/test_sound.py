"""Sound in the page: in time, and named where it cannot be played."""

from pathlib import Path

import av
import pytest

import gvcodec
from tests.browser import Page
from tests.player_helpers import Play, beeping, hear_onset, with_beep

#: What becomes of the sound is known.
KNOWN = "window.player?.shown && (player.sound?.track || player.sound?.reason)"
#: Sound runs, past this many seconds of the picture, and in step with its clock.
IN_STEP = """(player.sound.running && player.sound.heard() > %s
    && Math.abs(player.sound.heard() - player.timeAt(performance.now())) < 0.1)"""


def skip_without_codec(page: Page) -> None:
    if (reason := page.run("player.sound.reason")) and "does not decode" in reason:
        pytest.skip(reason)


@pytest.mark.parametrize(("codec", "rate"), [("libopus", 48000), ("aac", 44100)])
def test_sound_is_in_time_with_the_picture(play, tmp_path, codec, rate):
    path = beeping(tmp_path, codec, rate)
    with play(path, "--fidelity", shown=KNOWN) as page:
        skip_without_codec(page)
        page.run("player.setSpeed(0.25)")
        assert hear_onset(page) == pytest.approx(0.4, abs=0.03)
        page.until(f"{IN_STEP % 0} || (player.playing || player.play(), false)")
        page.key("v")
        assert page.run("[player.sound.gain.gain.value, player.sound.muted]") == [0, True]
        page.key("ArrowUp")
        assert page.run("player.sound.gain.gain.value") == 1
        page.until("!player.playing")
        again = "(player.playing || (player.go(20), player.play()), false)"
        page.until(f"{IN_STEP % 0.7} || {again}")


#: Codec and sample rate, kind of file, tracks before the sound.
KINDS = [
    *((codec, 48000, ".mkv", ()) for codec in ("libmp3lame", "flac", "pcm_u8", "pcm_s24le")),
    ("aac", 44100, ".mp4", ("mov_text",)),
    ("aac", 44100, ".mkv", ("subrip", "ac3")),
    ("libopus", 48000, ".mkv", ("ac3", "dvd_subtitle")),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join((kind[0], *kind[3])))
def test_sound_plays_whatever_its_kind_and_the_tracks_before_it(play, tmp_path, kind):
    codec, rate, suffix, others = kind
    path = beeping(tmp_path, codec, rate, 0.0, suffix, others)
    with play(path, "--fidelity", shown=KNOWN) as page:
        skip_without_codec(page)
        assert page.run("player.sound.track.number") == len(others)
        loud = "Math.max(...player.sound.nodes.map(({ node }) => Math.abs(node.buffer.getChannelData(0)[500])))"
        page.run("player.setSpeed(0.25)")
        page.until(f"{loud} > 0.001 || (player.playing || player.play(), false)")
        assert page.run("player.errors") == []


def test_the_track_that_is_marked_as_default_is_played(play: Play, tmp_path: Path) -> None:
    source = with_beep(tmp_path / "a.mkv", "libopus", 48000, 0.0)
    with av.open(str(source)) as one, av.open(str(tmp_path / "b.mkv"), "w") as two:
        outputs = [two.add_stream_from_template(one.streams[n]) for n in (0, 1, 1)]
        outputs[2].disposition = 1
        outputs[2].metadata["language"] = "fra"
        for packet in one.demux():
            if packet.pts is None:
                continue
            for output in outputs[:1] if packet.stream.type == "video" else outputs[1:]:
                copy = av.Packet(bytes(packet))
                copy.pts, copy.dts = packet.pts, packet.dts
                copy.time_base = packet.time_base
                copy.is_keyframe = packet.is_keyframe
                copy.stream = output
                two.mux(copy)
    gvcodec.encode_file(tmp_path / "b.mkv", tmp_path / "b.gvc", q=45, base="av1", preset=10, fit=0)
    with play(
        tmp_path / "b.gvc", "--fidelity", shown="window.player?.sound?.track", expected=True
    ) as page:
        assert page.run("[player.sound.track.number, player.sound.track.language]") == [1, "fra"]


def test_sound_that_the_browser_does_not_take_is_named(play: Play, tmp_path: Path) -> None:
    path = beeping(tmp_path, "ac3", 48000)
    with play(path, "--fidelity", shown="window.player?.shown && player.sound?.reason") as page:
        assert page.run("player.errors") == ["no sound: this browser does not decode AC3"]
        assert page.run("document.getElementById('sound').hidden")
        page.run("player.play()")
        page.until("!player.playing && player.shown.frame === 24")
