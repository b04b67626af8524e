"""Standard bitstreams as base layer: exact base frames, closed GOPs, any size, payloads."""

import dataclasses
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gvcodec.base import BasePacket
from gvcodec.base.resample import DOWN, UP, Resampler
from gvcodec.base.standard.decoders import StandardDecoder
from gvcodec.base.standard.encoder import StandardEncoder, base_encoder
from gvcodec.base.standard.encoders import Settings, texture_params
from gvcodec.base.standard.payloads import restore_unit, strip_unit
from gvcodec.config import EncoderConfig
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.types import Colour, Planes, VideoFormat
from tests.conftest import (
    FASTEST,
    clips_equal,
    in_process,
    moving_texture,
    planes_equal,
    psnr,
    send_all,
)
from tests.errors import raises

FULL = Fraction(1)
#: PSNR in dB, and bytes for it, of SVT-AV1 4.1 (PyAV 18.1).
KNOWN_POINTS = ((37.0, 12621), (30.0, 6415))


def form(width: int, height: int) -> VideoFormat:
    return VideoFormat(width, height, Fraction(30), Fraction(1, 30))


def encode(
    clip: list[Planes],
    codec: str,
    q: int = 30,
    keys: tuple[int, ...] = (),
    keyint: int = 0,
    scale: Fraction = FULL,
    **settings: Any,
) -> tuple[list[BasePacket], list[Planes]]:
    height, width = clip[0][0].shape
    encoder = StandardEncoder(form(width, height), codec, Settings(q, **settings), keyint, scale)
    parts = [encoder.send(planes, number in keys) for number, planes in enumerate(clip)]
    parts.append(encoder.flush())
    packets = [packet for part in parts for packet in part.packets]
    return packets, [base_frame for part in parts for base_frame in part.base_frames]


def decode(packets: list[BasePacket], width: int, height: int, *how: object) -> list[Planes]:
    decoder = StandardDecoder(form(width, height), *how)
    found = [frame for p in packets for frame in decoder.send(p.payload, p.keyframe)]
    return found + decoder.flush()


@pytest.mark.parametrize(
    ("codec", "low_delay", "scale"),
    [("av1", True, FULL), ("av1", False, Fraction(3, 4)), ("vvc", False, Fraction(1, 2))],
)
def test_decoder_gives_the_loop_frames_of_the_encoder(clip, codec, low_delay, scale):
    fast = {"keyint": 8, "preset": FASTEST[codec]}
    packets, base_frames = encode(clip, codec, scale=scale, low_delay=low_delay, **fast)
    assert len(packets) == len(base_frames) == len(clip)
    for threads in (1, 2):
        assert clips_equal(decode(packets, 96, 80, codec, scale, threads), base_frames)
    quality = np.mean([psnr(*pair) for pair in zip(base_frames, clip, strict=True)])
    assert quality > (30 if scale == 1 else 22)


@pytest.mark.parametrize("low_delay", [False, True])
def test_more_texture_stays_where_frames_are_painted_and_for_the_eye(low_delay: bool) -> None:
    ground = np.random.default_rng(0).integers(440, 600, (80, 160)).astype(np.uint16)
    grey = np.full((40, 48), 512, np.uint16)
    clip = [(ground[:, t : t + 96].copy(), grey, grey) for t in range(16)]
    strengths = []
    for params in ((), texture_params(), texture_params(eye=True)):
        packets, base_frames = encode(clip, "av1", 50, params=params, low_delay=low_delay)
        assert clips_equal(decode(packets, 96, 80, "av1"), base_frames)
        strengths.append(np.mean([base_frame[0].std() for base_frame in base_frames]))
    assert strengths[0] < strengths[1] < strengths[2] < ground.std()


def test_encoder_params_prevail_over_the_settings_of_texture() -> None:
    clip = moving_texture(96, 80, 8)

    def payloads(params: str) -> list[bytes]:
        config = EncoderConfig(q=50, preset=8, threads=1, eye=True, encoder_params=params)
        parts = send_all(base_encoder(form(96, 80), config.resolve()), clip)
        return [packet.payload for packet in parts[0]]

    plain, _ = encode(clip, "av1", 50, preset=8, threads=1)
    neutral = payloads("enable-restoration=-1:ac-bias=0")
    assert [packet.payload for packet in plain] == neutral != payloads("")


@pytest.mark.parametrize("codec", ["av1", "vvc"])
def test_gops_are_closed(clip: list[Planes], codec: str) -> None:
    packets, base_frames = encode(clip, codec, keys=(13,), keyint=8, preset=FASTEST[codec])
    keys = [number for number, packet in enumerate(packets) if packet.keyframe]
    assert keys == [0, 8, 13]
    for start, end in zip(keys, [*keys[1:], len(packets)], strict=True):
        assert clips_equal(decode(packets[start:end], 96, 80, codec), base_frames[start:end])


def test_low_delay_releases_every_frame_at_once(clip: list[Planes]) -> None:
    encoder = StandardEncoder(form(96, 80), "av1", Settings(40, low_delay=True))
    assert [len(encoder.send(planes).packets) for planes in clip[:6]] == [1] * 6


@pytest.mark.parametrize(
    ("codec", "scale", "size"),
    [
        ("av1", FULL, (1, 1)),
        ("av1", FULL, (63, 65)),
        ("av1", Fraction(3, 4), (130, 20)),
        ("vvc", FULL, (1, 1)),
        ("vvc", FULL, (97, 81)),
        ("vvc", Fraction(1, 2), (2, 3)),
    ],
)
def test_any_size(codec: str, scale: Fraction, size: tuple[int, int]) -> None:
    clip = moving_texture(*size, 3)
    packets, base_frames = encode(clip, codec, 10, scale=scale, preset=FASTEST[codec])
    assert [plane.shape for plane in base_frames[0]] == [plane.shape for plane in clip[0]]
    assert clips_equal(decode(packets, *size, codec, scale), base_frames)
    assert psnr(base_frames[0], clip[0]) > 22


@pytest.mark.parametrize("codec", ["av1", "vvc"])
@pytest.mark.parametrize(
    "payload",
    [b"", b"\x80", b"\xff\xff\xff", b"\x32\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x0a\x01"],
)
def test_made_up_payloads_are_refused(codec: str, payload: bytes) -> None:
    with pytest.raises(DamagedStreamError):
        decode([BasePacket(payload, True)], 96, 80, codec)


@pytest.mark.parametrize("arguments", [("vp9", 30), ("av1", 71), ("av1", -1), ("vvc", -1)])
def test_wrong_arguments_are_refused(arguments: tuple[str, int]) -> None:
    with pytest.raises(UsageError):
        codec, q = arguments
        StandardEncoder(form(64, 64), codec, Settings(q))


def test_a_decoder_may_be_dropped_while_its_threads_work(clip: list[Planes]) -> None:
    """In a process of its own: what this guards against is a deadlock."""
    packets, _ = encode(clip[:8], "av1", 20)
    code = """
import sys, pickle
from gvcodec.base.standard.decoders import StandardDecoder
fmt, payloads = pickle.load(sys.stdin.buffer)
for _ in range(100):
    decoder = StandardDecoder(fmt, "av1", threads=2)
    for payload in payloads: decoder.send(payload, True)"""
    data = pickle.dumps((form(96, 80), [packet.payload for packet in packets]))
    in_process("-c", code, input=data)


def test_unusual_frame_rates_and_sizes(clip: list[Planes]) -> None:
    for rate in (Fraction(1, 100), Fraction(1000), Fraction(999983, 33331)):
        for codec in ("av1", "vvc"):
            encoder = StandardEncoder(VideoFormat(96, 80, rate, 1 / rate), codec, Settings(40))
            encoder.send(clip[0])
            assert len(encoder.flush().packets) == 1
    with raises(UsageError, "picture-size"):
        StandardEncoder(form(64, 16384), "av1", Settings(60)).send(moving_texture(64, 16384, 1)[0])


@pytest.mark.parametrize("codec", ["av1", "vvc"])
@pytest.mark.parametrize("codes", [(3, 3, 3), (255, 255, 255)])
def test_any_tags_of_colour(codec: str, codes: tuple[int, int, int]) -> None:
    clip = moving_texture(64, 64, 1)
    fmt = VideoFormat(64, 64, Fraction(30), Fraction(1, 30), colour=Colour(*codes))
    encoder = StandardEncoder(fmt, codec, Settings(20))
    encoder.send(clip[0])
    assert psnr(encoder.flush().base_frames[0], clip[0]) > 30


def obu(kind: int, body: bytes, sized: bool = True) -> bytes:
    return bytes([kind << 3 | 2 * sized]) + (bytes([len(body)]) if sized else b"") + body


@given(
    st.lists(st.tuples(st.sampled_from([1, 3, 6]), st.binary(max_size=100)), min_size=1, max_size=5)
)
def test_temporal_units_are_restored(units: list[tuple[int, bytes]]) -> None:
    whole = b"\x12\x00" + b"".join(obu(kind, body) for kind, body in units)
    payload = strip_unit("av1", whole[:2] + obu(15, b"padding") + whole[2:])
    assert len(payload) == len(whole) - 3 and restore_unit("av1", payload) == whole


@pytest.mark.parametrize("unit", [b"", b"\x12\0", b"\x12\0" + obu(15, b"padding")])
def test_temporal_units_without_a_frame_are_refused(unit: bytes) -> None:
    with pytest.raises(DamagedStreamError, match="empty packet"):
        strip_unit("av1", unit)


NALS = st.tuples(st.sampled_from([1, 8, 15, 16, 17, 31]), st.binary(min_size=3, max_size=50))
NALS = NALS.filter(lambda nal: b"\0\0" not in nal[1] and nal[1][-1])


@given(st.lists(NALS, min_size=1, max_size=6))
def test_access_units_of_h266_are_restored(units: list[tuple[int, bytes]]) -> None:
    nals = [bytes([0, kind << 3 | 1]) + body for kind, body in units]
    whole = b"".join(b"\0\0\0\1" + nal for nal in nals)
    payload = strip_unit("vvc", b"\0\0\0\1\0\xa1\x88" + whole)
    assert restore_unit("vvc", payload) == whole
    if len(nals) == 1 and units[0][0] < 16:
        assert payload == nals[0][1:]


@pytest.mark.parametrize(
    ("scale", "lobes"),
    [(Fraction(1, 2), 3), (Fraction(3, 4), 3), (Fraction(2), 4), (Fraction(4, 3), 4)],
)
def test_taps_are_those_of_the_documented_window(scale: Fraction, lobes: int) -> None:
    kernel = DOWN[scale] if scale < 1 else UP[1 / scale]
    outputs, inputs, cutoff = scale.numerator, scale.denominator, float(min(Fraction(1), scale))
    assert (len(kernel.taps), kernel.step) == (outputs, inputs)
    for phase, (first, row) in enumerate(zip(kernel.first, kernel.taps, strict=True)):
        position = Fraction(2 * phase + 1, 2) * inputs / outputs - Fraction(1, 2)
        distance = np.array([float(first + tap - position) for tap in range(len(row))]) * cutoff
        weights = np.sinc(distance) * np.sinc(distance / lobes) * (np.abs(distance) < lobes)
        assert sum(row) == 128 and np.abs(np.array(row) - 128 * weights / weights.sum()).max() < 1


SCALES = FULL, Fraction(3, 4), Fraction(1, 2)


@settings(max_examples=30)
@given(*[st.integers(1, 200)] * 2, st.sampled_from(SCALES), st.integers(0, 1023))
def test_flat_pictures_stay_flat_at_any_size(width, height, scale, level):
    shapes = [(height, width)] + 2 * [((height + 1) // 2, (width + 1) // 2)]
    planes = tuple(np.full(shape, level, np.uint16) for shape in shapes)
    resampler = Resampler(width, height, scale)
    small = resampler.downsample(planes)
    assert small[0].shape == (resampler.coded_height, resampler.coded_width)
    assert min(small[0].shape) >= 64 and not any(side % 2 for side in small[0].shape)
    assert [plane.shape for plane in small[1:]] == [tuple(side // 2 for side in small[0].shape)] * 2
    assert planes_equal(resampler.upsample(small), planes)


@pytest.mark.parametrize("depth", [8, 10])
def test_av1_has_as_many_bits_as_its_source(depth: int, clip: list[Planes]) -> None:
    fmt = dataclasses.replace(form(96, 80), bit_depth=depth)
    packets, base_frames = send_all(StandardEncoder(fmt, "av1", Settings(30)), clip[:4])
    fine = [bool((plane & 3).any()) for base_frame in base_frames for plane in base_frame]
    assert any(fine) == (depth == 10)
    # What the header says of the source does not decide: earlier streams had 10 bits for all.
    assert clips_equal(decode(packets, 96, 80, "av1"), base_frames)


def test_svtav1_has_not_become_worse() -> None:
    """Bytes at the PSNR that 4.1 reached, on the line through three qualities: more than 3 % above
    its own mean that settings have to be measured again (`docs/data/svt-versions.csv`)."""
    clip, points = moving_texture(192, 128, 24), []
    for q in (40, 50, 60):
        packets, base_frames = encode(clip, "av1", q, preset=4, threads=1)
        quality = np.mean([psnr(*pair) for pair in zip(base_frames, clip, strict=True)])
        points.append((quality, np.log(sum(len(packet.payload) for packet in packets))))
    qualities, sizes = zip(*sorted(points), strict=True)
    for quality, size in KNOWN_POINTS:
        assert qualities[0] <= quality <= qualities[-1]
        assert np.exp(np.interp(quality, qualities, sizes)) <= 1.03 * size


@pytest.mark.parametrize(
    ("low_delay", "preset", "q"), [(False, 8, 0), (False, 10, 10), (True, 8, 22), (True, 10, 0)]
)
def test_ten_bits_are_right_at_fast_presets_and_fine_qualities(low_delay, preset, q):
    """Black and white in turn, which SVT-AV1 turns into 5 dB there."""
    chroma = np.full((48, 64), 512, np.uint16)
    clip = [(np.full((96, 128), y, np.uint16), chroma, chroma) for y in (64, 940) * 3]
    fmt = dataclasses.replace(form(128, 96), bit_depth=10)
    encoder = StandardEncoder(fmt, "av1", Settings(q, low_delay, threads=1, preset=preset))
    _, shown = send_all(encoder, clip)
    assert min(psnr(*pair) for pair in zip(shown, clip, strict=True)) > 45
