"""What phones and cameras put beside the pictures, in every kind of file that decoding writes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.media import tags
from tests.clips import add_video, put_planes
from tests.conftest import moving_texture

FAST = {"base": "av1", "preset": 10, "fit": 0, "q": 55}
PHONE = {
    "com.apple.quicktime.make": "Maker",
    "com.apple.quicktime.creationdate": "2024-05-01T10:00:00+0200",
    "title": "Alps",
    "description": "a walk",
    "keywords": "snow",
    "creation_time": "2024-05-01T08:00:00.000000Z",
}


def recording(path: Path, sound: str = "", said: dict[str, str] | None = None) -> Path:
    options = {"movflags": "use_metadata_tags"} if path.suffix == ".mov" else {}
    with av.open(str(path), "w", options=options) as container:
        container.metadata.update(said or {})
        video = add_video(container, 64, 64)
        voice = container.add_stream(sound, rate=8000, layout="mono") if sound else None
        put_planes(container, video, moving_texture(64, 64, 12))
        if voice is not None:
            wave = (9000 * np.sin(np.arange(4000) / 3)).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
            container.mux([*voice.encode(frame), *voice.encode(None)])
    return path


def written_tags(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return {name.lower(): text for name, text in container.metadata.items()}


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
def test_tags_of_a_phone_stay_in_every_file(tmp_path, suffix: str) -> None:
    recording(tmp_path / "a.mov", said=PHONE)
    gvcodec.encode_file(tmp_path / "a.mov", tmp_path / "a.gvc", **FAST)
    done = gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / f"b.{suffix}", fidelity=True)
    assert not [line for line in done.outcome if "left out" in line]
    assert PHONE.items() <= written_tags(tmp_path / f"b.{suffix}").items()
    if suffix != "mov":
        gvcodec.encode_file(tmp_path / "a.mov", tmp_path / f"c.{suffix}", **FAST)
        assert PHONE.items() <= written_tags(tmp_path / f"c.{suffix}").items()


def test_tags_with_places_of_their_own_keep_them(tmp_path) -> None:
    """Players look for a title there."""
    recording(tmp_path / "a.mkv", said={"title": "Alps", "artist": "Anna"})
    gvcodec.encode_file(tmp_path / "a.mkv", tmp_path / "a.gvc", **FAST)
    gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / "b.mp4", fidelity=True)
    assert b"\xa9nam" in (tmp_path / "b.mp4").read_bytes()
    assert b"mdta" not in (tmp_path / "b.mp4").read_bytes()


def test_a_tag_that_a_file_does_not_keep_gets_a_line(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tags, "_ANY_NAME", "rtphint")
    recording(tmp_path / "a.mov", said=PHONE)
    gvcodec.encode_file(tmp_path / "a.mov", tmp_path / "a.gvc", **FAST)
    done = gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / "b.mov", fidelity=True)
    lines = [line for line in done.outcome if "left out" in line]
    assert len(lines) == 1 and "com.apple.quicktime.make" in lines[0] and ".mov" in lines[0]


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
@pytest.mark.parametrize("codec", ["pcm_alaw", "pcm_mulaw"])
def test_sound_of_a_camera_is_kept_sample_by_sample(tmp_path, codec: str, suffix: str) -> None:
    def samples(path: Path) -> np.ndarray:
        with av.open(str(path)) as container:
            return np.concatenate([f.to_ndarray().ravel() for f in container.decode(audio=0)])

    recording(tmp_path / "a.mov", codec)
    gvcodec.encode_file(tmp_path / "a.mov", tmp_path / "a.gvc", **FAST)
    done = gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / f"b.{suffix}", fidelity=True)
    assert not [line for line in done.outcome if "left out" in line]
    assert np.array_equal(samples(tmp_path / f"b.{suffix}"), samples(tmp_path / "a.mov"))
