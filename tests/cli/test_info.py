"""What `info` and `frame` say to people."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest

from tests.conftest import run
from tests.player_helpers import with_beep


def test_info_names_the_tracks_and_where_they_begin(tmp_path: Path, capsys) -> None:
    source = with_beep(tmp_path / "a.mkv", "libopus", 48000, 0.2, ("subrip",))
    with av.open(str(source)) as one, av.open(str(tmp_path / "b.mkv"), "w") as two:
        outputs = {s.index: two.add_stream_from_template(s) for s in one.streams}
        outputs[2].metadata["language"], outputs[2].metadata["title"] = "fra", "Version"
        for packet in one.demux(list(one.streams.audio) + list(one.streams.video)):
            if packet.pts is not None:
                packet.pts += 100 * (packet.stream.type == "audio")
                packet.stream = outputs[packet.stream.index]
                two.mux(packet)
    run("encode", tmp_path / "b.mkv", tmp_path / "b.gvc", "--preset", 10, "--fit", "off", "-q", 55)
    capsys.readouterr()
    run("info", tmp_path / "b.gvc", "--json")
    sound = json.loads(capsys.readouterr().out)["tracks"][-1]
    assert sound["kind"] == "audio" and "opus" in sound["codec"] and sound["channels"] == 2
    assert (sound["language"], sound["title"]) == ("fra", "Version")
    assert sound["begin"] == pytest.approx(0.1, abs=0.01)
    run("info", tmp_path / "b.gvc")
    said = capsys.readouterr().out
    assert "fra, Version, begins at 0.1" in said and "keyframes          1, at frames 0" in said
