"""The library: arrays to bytes and back, frame by frame, without torch and quickly imported."""

from __future__ import annotations

import io
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

import gvcodec
from gvcodec.bitstream import Reader
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.errors import UsageError, VerificationError
from gvcodec.types import Planes, VideoFormat
from tests.conftest import FASTEST, clips_equal, psnr

FORMAT = VideoFormat(96, 80, Fraction(30), Fraction(1, 90000))


def pictures(count: int = 8) -> list[np.ndarray]:
    x, y = np.meshgrid(np.arange(72), np.arange(56))
    return [
        np.stack([128 + 80 * np.sin((x + n) / 9), 2 * y, 90 + x], -1).astype(np.uint8)
        for n in range(count)
    ]


def test_rgb_goes_in_and_comes_back() -> None:
    data = gvcodec.encode(pictures(), frame_rate=24, q=10, fit=0)
    found = list(gvcodec.decode(data, fidelity=True))
    assert [image.shape for image in found] == [(56, 72, 3)] * 8
    assert found[0].dtype == np.uint8
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(found, pictures(), strict=True)) < 4
    assert Reader(io.BytesIO(data)).header.format.frame_rate == 24


@pytest.mark.parametrize("base", ["av1", "vvc"])
def test_decoding_may_start_anywhere(clip: list[Planes], base: str) -> None:
    data = gvcodec.encode(clip, format=FORMAT, base=base, preset=FASTEST[base], keyint=6, fit=0)
    everything = list(gvcodec.decode_planes(data, fidelity=True))
    assert len(everything) == 20
    for start in (1, 6, 17, 19):
        found = list(gvcodec.decode_planes(data, fidelity=True, start=start))
        assert clips_equal(found, everything[start:])
    with pytest.raises(UsageError, match="frame 20"):
        list(gvcodec.decode_planes(data, start=20, fidelity=True))


def test_push_and_pull(clip: list[Planes]) -> None:
    config = gvcodec.EncoderConfig(q=20, preset=10, fit=0, low_delay=True, keyint=5)
    encoder = gvcodec.Encoder(FORMAT, config)
    decoder = gvcodec.Decoder(encoder.header, fidelity=True)
    shown = []
    for number, planes in enumerate(clip):
        encoder.send_frame(planes, pts=3000 * number, force_key=number == 7)
        while (packet := encoder.receive_packet()) is not None:
            decoder.send_packet(packet)
        while (frame := decoder.receive_frame()) is not None:
            shown.append(frame)
    encoder.flush()
    assert encoder.receive_packet() is None
    decoder.flush()
    while (frame := decoder.receive_frame()) is not None:
        shown.append(frame)
    decoder.verify(encoder.base_hash)
    with pytest.raises(VerificationError, match="base hash"):
        decoder.verify(b"8 others")
    assert [frame.pts for frame in shown] == [3000 * number for number in range(20)]
    mean = np.mean([psnr(frame.planes, planes) for frame, planes in zip(shown, clip, strict=True)])
    assert encoder.psnr_y == pytest.approx(mean, abs=1e-6)
    with pytest.raises(UsageError, match="flushed"):
        encoder.send_frame(clip[0])


def test_irregular_timestamps_survive(clip: list[Planes]) -> None:
    times = [3000 * number + (1700 if number > 7 else 0) + number % 3 for number in range(20)]
    encoder = gvcodec.Encoder(
        FORMAT, gvcodec.EncoderConfig(preset=10, fit=0, keyint=6), start_pts=times[0]
    )
    stream = io.BytesIO()
    encode_stream(encoder, stream, zip(clip, times, strict=True), paints=False)
    reader = Reader(io.BytesIO(stream.getvalue()))
    decoder = gvcodec.Decoder(reader.header, fidelity=True)
    assert [frame.pts for frame in decoder.frames_of(reader.packets())] == times


@pytest.mark.parametrize(
    ("frames", "options", "what"),
    [
        ([], {}, "no frame"),
        (pictures(1), {"q": 68}, "q"),
        (pictures(1), {"q": 4, "config": gvcodec.EncoderConfig()}, "either"),
        (pictures(1), {"speed": 3}, "speed"),
        (pictures(1), {"base": "vp8"}, "vp8"),
        (pictures(1), {"keyint": -1}, "negative"),
        (pictures(1), {"scale": Fraction(2, 3)}, "scale"),
        (pictures(1), {"frame_rate": 0}, "frame rate"),
        ([pictures(1)[0][:, :, 0]], {}, "uint8"),
        ([pictures(1)[0], pictures(1)[0][:-2]], {}, "frame 1"),
    ],
)
def test_wrong_use_is_refused_in_words(frames: list, options: dict, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        gvcodec.encode(frames, **{"fit": 0, **options})


def test_import_loads_nothing_heavy_and_no_torch_at_all() -> None:
    code = (
        "import sys; import gvcodec, gvcodec.cli; print(sorted({'torch', 'av', 'numpy'} & "
        "set(sys.modules)));"
        "gvcodec.encode; gvcodec.Decoder; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]
