"""The library: arrays of 8 and 10 bits, push and pull, wrong use; what importing it loads."""

import io
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

import gvcodec
from gvcodec.bitstream import Reader
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.errors import UsageError, VerificationError
from gvcodec.types import Colour, Planes, VideoFormat
from tests.clips import texture
from tests.conftest import clips_equal, in_process, moving_texture, psnr
from tests.errors import raises

FORMAT = VideoFormat(96, 80, Fraction(30), Fraction(1, 90000))


def pictures(count: int = 8) -> list[np.ndarray]:
    x, y = np.meshgrid(np.arange(72), np.arange(56))
    waves = (128 + 80 * np.sin((x + n) / 9) for n in range(count))
    return [np.stack([wave, 2 * y, 90 + x], -1).astype(np.uint8) for wave in waves]


def test_rgb_goes_in_and_comes_back() -> None:
    data = gvcodec.encode(pictures(), frame_rate=24, q=10, fit=0)
    found = list(gvcodec.decode(data, fidelity=True))
    assert [image.shape for image in found] == [(56, 72, 3)] * 8 and found[0].dtype == np.uint8
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(found, pictures(), strict=True)) < 4
    assert Reader(io.BytesIO(data)).header.format.frame_rate == 24


def test_decoding_may_start_anywhere(clip: list[Planes]) -> None:
    data = gvcodec.encode(clip, format=FORMAT, base="av1", preset=10, keyint=6, fit=0)
    everything = list(gvcodec.decode_planes(data, fidelity=True))
    assert len(everything) == 20
    for start in (1, 6, 17, 19):
        found = list(gvcodec.decode_planes(io.BytesIO(data), fidelity=True, start=start))
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
    with raises(VerificationError, "base-hash"):
        decoder.verify(b"8 others")
    assert [frame.pts for frame in shown] == [3000 * number for number in range(20)]
    mean = np.mean([psnr(frame.planes, planes) for frame, planes in zip(shown, clip, strict=True)])
    assert encoder.psnr_y == pytest.approx(mean, abs=1e-6)
    with raises(UsageError, "encoder-flushed"):
        encoder.send_frame(clip[0])


def test_base_frames_need_not_be_hashed(clip: list[Planes]) -> None:
    config = gvcodec.EncoderConfig(q=50, preset=10, fit=0)
    stream = io.BytesIO()
    encode_stream(Encoder(FORMAT, config), stream, zip(clip, range(20), strict=True))
    stream.seek(0)
    reader = Reader(stream)
    decoder = gvcodec.Decoder(reader.header, hashes_base=False)
    assert len(list(decoder.frames_of(reader.packets()))) == 20
    assert decoder.painted_hash is not None
    assert decoder.painted_hash == decoder.expected_painted_hash
    with raises(UsageError, "option-value"):
        decoder.verify(reader.base_hash)


@pytest.mark.parametrize("tokens", ["off", "on"])
def test_a_caller_may_write_every_frame_into_the_same_arrays(tokens: str) -> None:
    """Strengths and tokens are found from frames that are kept."""
    fmt = VideoFormat(96, 64, Fraction(25), Fraction(1, 25), bit_depth=10)
    clip = [tuple(plane.astype(np.uint16) for plane in f) for f in moving_texture(96, 64, 9)]
    config = gvcodec.EncoderConfig(q=55, preset=10, tokens=tokens)

    def coded(frames: Iterator[Planes]) -> bytes:
        stream, encoder = io.BytesIO(), Encoder(fmt, config)
        encode_stream(encoder, stream, ((planes, None) for planes in frames))
        return stream.getvalue()

    def one_by_one() -> Iterator[Planes]:
        kept = tuple(np.empty_like(plane) for plane in clip[0])
        for planes in clip:
            for array, plane in zip(kept, planes, strict=True):
                array[:] = plane
            yield kept

    assert coded(one_by_one()) == coded(iter(clip))


@pytest.mark.parametrize(
    ("frames", "options", "what"),
    [
        (pictures(1), {"q": 4, "config": gvcodec.EncoderConfig()}, "either config or its"),
        (pictures(1), {"keyint": -1}, "0 or more"),
        (pictures(1), {"scale": Fraction(2, 3)}, "scale"),
        ([pictures(1)[0][:, :, 0]], {}, "uint8"),
        ([pictures(1)[0], pictures(1)[0][:-2]], {}, "frame 1"),
    ],
)
def test_wrong_use_is_refused_in_words(frames: list, options: dict, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        gvcodec.encode(frames, **{"fit": 0, **options})


def test_import_loads_nothing_heavy_and_no_torch_at_all() -> None:
    code = """
import sys, gvcodec, gvcodec.cli
print(sorted({'torch', 'av', 'numpy'} & set(sys.modules)))
gvcodec.encode, gvcodec.Decoder
print('torch' in sys.modules)"""
    assert in_process("-c", code, text=True).stdout == "[]\nFalse\n"


FAST = {"fit": 0, "threads": 1, "base": "av1", "preset": 10, "q": 5}
PQ = Colour(9, 16, 9)


def ramp(frames: int = 3) -> np.ndarray:
    """(T, H, W, 3) of all ten bits: steps that eight bits do not have."""
    row = np.linspace(300, 420, 96)
    picture = np.stack([row, row + 40, row + 80], -1)
    return np.repeat(np.broadcast_to(picture, (64, 96, 3))[None], frames, 0).astype(np.uint16)


def as_open(data: bytes, **options: object) -> np.ndarray:
    return np.asarray(gvcodec.open(data, fidelity=True, **options)[:])


@pytest.mark.parametrize("colour", [None, Colour(9, 18, 9, True)])
def test_ten_bits_go_in_and_come_out(colour: Colour | None) -> None:
    frames = ramp()
    fmt = colour and VideoFormat(96, 64, Fraction(25), Fraction(1, 25), 10, colour)
    data = gvcodec.encode(frames, format=fmt, **FAST)
    shown = as_open(data, bit_depth=10)
    assert shown.dtype == np.uint16 and shown.shape == frames.shape
    assert np.abs(shown.astype(int) - frames).mean() < 2.5
    # Eight bits have a quarter of the steps.
    assert len(np.unique(shown[0, :, :, 1])) > 1.5 * len(np.unique(as_open(data)[0, :, :, 1]))
    assert np.abs(as_open(data) - shown / 1023 * 255).max() < 1.5
    assert np.array_equal(next(iter(gvcodec.decode(data, bit_depth=10, fidelity=True))), shown[0])


def test_metadata_says_what_the_video_has() -> None:
    fmt = VideoFormat(96, 64, Fraction(25), Fraction(1, 25), 10, PQ)
    given = (ramp(), fmt), (ramp(), None), ((ramp() >> 2).astype(np.uint8), None)
    facts = [gvcodec.open(gvcodec.encode(x, format=f, **FAST)).metadata for x, f in given]
    assert [(m.bit_depth, m.is_hdr) for m in facts] == [(10, True), (10, False), (8, False)]


def test_the_matrix_of_the_format_holds_for_pictures_of_eight_bits() -> None:
    picture = (255 * np.stack([texture(n, 64, 96) for n in range(3)], -1)).astype(np.uint8)
    for given in (None, VideoFormat(96, 64, Fraction(25), Fraction(1, 25), 8, Colour(1, 1, 1))):
        shown = as_open(gvcodec.encode([picture], format=given, **FAST))[0]
        assert np.abs(shown.astype(int) - picture).mean() < 8


def test_tensors_have_ten_bits_too() -> None:
    torch = pytest.importorskip("torch")
    data = gvcodec.encode(torch.from_numpy(ramp()), **FAST)
    shown = gvcodec.open(data, bit_depth=10, output="torch", dimension_order="NCHW")[0]
    assert shown.dtype == torch.uint16 and tuple(shown.shape) == (3, 64, 96)


def test_what_is_not_ten_bits_is_refused() -> None:
    with raises(UsageError, "frame-shape"):
        gvcodec.encode(np.full((8, 8, 3), 1024, np.uint16), **FAST)
    with raises(UsageError, "frame-shape"):
        gvcodec.encode([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint16)], **FAST)
    with pytest.raises(UsageError, match="bit_depth is 8 .uint8. or 10"):
        gvcodec.open(gvcodec.encode(ramp(1), **FAST), bit_depth=16)
