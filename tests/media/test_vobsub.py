"""The last subtitle of a VobSub track stays for as long as its picture says."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import gvcodec
from gvcodec.tracks.vobsub import vobsub_shown_for
from tests.clips import add_video, packets_of, put_pictures
from tests.media.test_clocks import QUICK


def subtitle(stop: int | None) -> bytes:
    """A picture of 8×2 samples: shown at once, gone after `stop` units of 1024/90000 s."""
    pixels = b"\x00\x00\x00\x00"
    control = 4 + len(pixels)
    first = b"\x01\x03\x32\x10\x04\xff\xff\x05\x00\x00\x07\x00\x00\x01\x06\x00\x04\x00\x06\xff"
    after = control + 4 + len(first)
    begin = bytes(2) + (control if stop is None else after).to_bytes(2) + first
    end = b"" if stop is None else stop.to_bytes(2) + after.to_bytes(2) + b"\x02\xff"
    body = control.to_bytes(2) + pixels + begin + end
    return (len(body) + 2).to_bytes(2) + body


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (subtitle(88), Fraction(88 * 1024, 90_000)),
        (subtitle(None), 0),
        (b"", 0),
        (bytes(40), 0),
        (b"\xff" * 40, 0),
        (subtitle(88)[:-3], 0),
    ],
)
def test_the_time_to_go_is_read(data: bytes, seconds: Fraction) -> None:
    assert vobsub_shown_for(data) == seconds


def film(path: Path) -> Path:
    with av.open(str(path), "w", options={"default_mode": "passthrough"}) as container:
        video = add_video(container, 64, 48)
        titles = container.add_mux_stream("dvd_subtitle")
        titles.time_base = Fraction(1, 1000)
        container.start_encoding()
        for begin in (0, 1000):
            packet = av.Packet(subtitle(44))
            packet.pts = packet.dts = begin
            packet.time_base, packet.stream = Fraction(1, 1000), titles
            container.mux(packet)
        put_pictures(container, video, (np.full((48, 64, 3), 5 * n, np.uint8) for n in range(50)))
    return path


def test_the_last_subtitle_of_an_mp4_has_its_duration(tmp_path) -> None:
    gvcodec.encode_file(film(tmp_path / "in.mkv"), tmp_path / "a.gvc", **QUICK)
    gvcodec.decode_file(tmp_path / "a.gvc", tmp_path / "out.mp4")
    found = packets_of(tmp_path / "out.mp4", "subtitles")
    lengths = [float(p.duration * p.time_base) for p in found if p.size > 2]
    assert len(lengths) == 2 and lengths[-1] == pytest.approx(0.5, abs=0.01)
