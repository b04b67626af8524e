"""What `info` and `frame` say to people."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from tests.clips import write_clip
from tests.conftest import moving_texture, run
from tests.player_helpers import with_beep

FILES = Path(__file__).parents[2] / "conformance/files"


def test_info_names_the_tracks_and_where_they_begin(tmp_path: Path) -> None:
    source = with_beep(tmp_path / "a.mkv", "libopus", 48000, 0.2, ("subrip",))
    with av.open(str(source)) as one, av.open(str(tmp_path / "b.mkv"), "w") as two:
        outputs = {s.index: two.add_stream_from_template(s) for s in one.streams}
        outputs[2].metadata["language"], outputs[2].metadata["title"] = "fra", "Version"
        for packet in one.demux([*one.streams.audio, *one.streams.video]):
            if packet.pts is not None:
                packet.pts += 100 * (packet.stream.type == "audio")
                packet.stream = outputs[packet.stream.index]
                two.mux(packet)
    run("encode", tmp_path / "b.mkv", tmp_path / "b.gvc", "--preset", 10, "--fit", "off", "-q", 55)
    sound = json.loads(run("info", tmp_path / "b.gvc", "--json").out)["tracks"][-1]
    assert sound["kind"] == "audio" and "opus" in sound["codec"] and sound["channels"] == 2
    assert (sound["language"], sound["title"]) == ("fra", "Version")
    assert sound["begin"] == pytest.approx(0.1, abs=0.01)
    text = run("info", tmp_path / "b.gvc").out
    assert "fra, Version, begins at 0.1" in text and "keyframes          1, at frames 0" in text


def test_verify_names_the_worst_frame(tmp_path) -> None:
    clip = moving_texture(64, 64, 20)
    source = list(clip)
    write_clip(tmp_path / "a.mkv", clip)
    run("encode", str(tmp_path / "a.mkv"), str(tmp_path / "a.gvc"), "--fit", "off", "-q", "20")
    source[13] = tuple(plane // 2 for plane in source[13])
    write_clip(tmp_path / "b.mkv", source)
    found = gvcodec.verify(tmp_path / "a.gvc", tmp_path / "b.mkv", fidelity=True)
    assert found.worst is not None and found.base_psnr is not None
    assert found.worst[0] == pytest.approx(13 / 25, abs=0.05)
    assert found.worst[1] < found.base_psnr[0] - 10
    text = run(
        "verify", tmp_path / "a.gvc", "--source", tmp_path / "b.mkv", "--progress", "json"
    ).out
    assert "worst frame: Y " in text and f" at {found.worst[0]:.2f} s" in text


def test_info_says_the_quality_that_was_reached(tmp_path: Path) -> None:
    """In chunks and for a size too; not of a piece, whose frames it does not know."""
    source, out = write_clip(tmp_path / "a.mkv", moving_texture(64, 64, 24)), tmp_path / "a.gvc"
    fast = {"base": "av1", "preset": 10, "fit": 0, "overwrite": True}
    for options in ({}, {"jobs": 1, "keyint": 8}, {"size": 3000}):
        done = gvcodec.encode_file(source, out, **fast, **options)
        found = gvcodec.info(out)
        assert found.psnr_y == pytest.approx(done.psnr_y, abs=0.006)
        assert f"base frames had PSNR-Y {done.psnr_y:.2f} dB" in str(found)
    gvcodec.encode_file(source, out, keyint=8, **fast)
    gvcodec.cut(out, tmp_path / "b.gvc", 0.4, 0.9)
    gvcodec.cat([out, out], tmp_path / "c.gvc")
    for name in ("b.gvc", "c.gvc"):
        found = gvcodec.info(tmp_path / name)
        assert found.psnr_y is None
        assert "does not say how good it is, `gvcodec verify --source VIDEO` does" in str(found)


def test_the_quality_of_exact_frames(tmp_path: Path) -> None:
    flat = (np.full((64, 64), 512, np.uint16), *[np.full((32, 32), 512, np.uint16)] * 2)
    write_clip(tmp_path / "a.mkv", [flat] * 4)
    gvcodec.encode_file(tmp_path / "a.mkv", tmp_path / "a.gvc", base="av1", preset=10, fit=0)
    found = gvcodec.info(tmp_path / "a.gvc")
    assert found.psnr_y == 100 and "base frames are exact" in str(found)


@pytest.mark.parametrize("name", ["unpainted-regions", "tokens", "av1"])
def test_info_counts_what_steers_the_painter(name: str) -> None:
    """Regions that show base frames and tokens, as the second decoder finds them."""
    expected = json.loads((FILES / f"{name}.json").read_text())["fit"]
    regions = sum(np.sum(fit.get("unpainted", 0)) for fit in expected if fit)
    facts = json.loads(run("info", FILES / f"{name}.gvc", "--json").out)
    assert facts["unpainted_regions"] == regions
    assert bool(facts["tokens"]) == any(fit and bool(fit.get("tokens")) for fit in expected)
    text = run("info", FILES / f"{name}.gvc").out
    for count, words in (
        (regions, f"; {regions} regions shown as base frames"),
        (facts["tokens"], f"steered by {facts['tokens']} tokens in {facts['token_bytes']} bytes"),
    ):
        assert (words in text) == (count > 0)
