"""PyAV, whose versions differ: what is installed is what pyproject.toml allows, and has every name
that the package uses."""

from __future__ import annotations

from pathlib import Path

import av

from gvcodec.media.metadata import printable, side_data

ROOT = Path(__file__).resolve().parents[2]


def test_side_data_is_read_by_its_kind() -> None:
    """Iterating gives values in PyAV 18, keys in 19."""
    frame = av.VideoFrame(64, 48, "yuv420p")
    assert side_data(frame) == {}
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
    encoder.time_base, encoder.options = 1, {"udu_sei": "1"}
    decoder = av.CodecContext.create("h264", "r")
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    (decoded,) = [f for packet in [*packets, None] for f in decoder.decode(packet)]
    assert [bytes(data)[16:20] for data in side_data(decoded).values()] == [b"x264"]


def test_texts_that_are_no_unicode_are_shown_by_the_sign_for_it() -> None:
    """PyAV 19 gives other bytes as surrogates, 18 as the sign."""
    assert printable("caf\udce9\n") == printable("caf\ufffd") == "caf\ufffd"
