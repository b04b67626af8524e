"""Painted streams: the painted hash at their end, on every form of the loops and thread count."""

import io
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gvcodec
from conformance.deltas import Delta, pack, sizes_of
from gvcodec import EncoderConfig, _core
from gvcodec.bitstream import Kind, Packet, Reader
from gvcodec.codec.encode_stream import PAINTED_BYTES, add_painted
from gvcodec.errors import DamagedStreamError, VerificationError
from gvcodec.models import CHECKPOINT_VARIABLE
from gvcodec.painter.model import Model, rate
from gvcodec.painter.payload import IDENTITY
from gvcodec.painter.video import VideoPainter
from gvcodec.types import VideoFormat
from tests.conftest import (
    clips_equal,
    coded,
    moving_texture,
    packets_in,
    planes_equal,
    rewritten,
    without_painted_hash,
)
from tests.errors import raises
from tests.networks import read_deltas
from tests.painter.test_painter import twin

WIDTH, HEIGHT = 80, 48
FORMAT = VideoFormat(WIDTH, HEIGHT, Fraction(25), Fraction(1, 25))


@pytest.fixture
def model(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "painter.safetensors"
    twin(4, 0.3).save(path)
    monkeypatch.setenv(CHECKPOINT_VARIABLE, str(path))
    return path


def encoded(count: int = 6, keyint: int = 3, paints: bool = True, **settings: Any) -> bytes:
    usual = {"base_q": 30, "base": "av1", "preset": 10, "keyint": keyint, "threads": 1, "fit": 0}
    return coded(FORMAT, moving_texture(WIDTH, HEIGHT, count), paints, **usual | settings)


def decoded(data: bytes, threads: int = 1, **options: Any) -> list[Any]:
    reader = Reader(io.BytesIO(data))
    decoder = gvcodec.Decoder(reader.header, threads=threads, **options)
    found = [frame.planes for frame in decoder.frames_of(reader.packets())]
    decoder.verify(reader.base_hash)
    return found


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("settings", [{"low_delay": True}, {"threads": 2}])
def test_without_fitting_both_hashes_are_right(settings: Any) -> None:
    data = encoded(**settings)
    # Checks both hashes.
    assert len(decoded(data)) == 6 and Kind.PAINTED in [packet.kind for packet in packets_in(data)]


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("settings", [{}, {"low_delay": True}])
def test_what_is_painted_later_is_the_same_stream(settings: Any) -> None:
    done: list[int] = []
    later = add_painted(encoded(paints=False, **settings), EncoderConfig(threads=1), done.append)
    assert later == encoded(**settings) and done == [1, 2, 3, 4, 5, 6]
    assert 0 <= PAINTED_BYTES - (len(later) - len(encoded(paints=False, **settings))) <= 1


@pytest.mark.usefixtures("model")
def test_all_frames_before_a_broken_packet_are_given_out() -> None:
    data = encoded()
    wanted, reader = decoded(data), Reader(io.BytesIO(data))
    packets = [packet for packet in reader.packets() if packet.is_frame]
    packets[4] = Packet(packets[4].kind, b"\xff" * 10)
    given = gvcodec.Decoder(reader.header, threads=1).frames_of(packets)
    for before in wanted[:4]:
        assert planes_equal(next(given).planes, before)
    with pytest.raises(DamagedStreamError):
        next(given)


@pytest.mark.usefixtures("model")
def test_painted_samples_are_the_same_in_every_form_and_checked() -> None:
    data, before, found = encoded(), _core.cpu(), []
    try:
        for form in _core.cpu_forms():
            _core.use_cpu(form)
            found += [decoded(data, threads) for threads in (1, 2)]
    finally:
        _core.use_cpu(before)
    assert len(found) >= 2
    for other in found[1:]:
        assert clips_equal(found[0], other)
    assert not planes_equal(decoded(data, fidelity=True)[0], found[0][0])
    kinds = [packet.kind for packet in packets_in(data)]
    assert kinds.count(Kind.PAINTED) == 1 and kinds[-1] is Kind.PAINTED


@pytest.mark.usefixtures("model")
def test_other_samples_than_the_encoders_are_noticed() -> None:
    data = without_painted_hash(encoded())
    data = rewritten(data, lambda packets: [*packets, Packet(Kind.PAINTED, bytes(8))])
    with raises(VerificationError, "painted-hash"):
        decoded(data)
    with raises(VerificationError, "painted-hash"):
        decoded(data, only_check=True)
    assert len(decoded(data, fidelity=True)) == 6 and VerificationError.exit_code == 5


@pytest.mark.usefixtures("model")
def test_the_size_of_a_frames_packet_is_part_of_its_condition() -> None:
    """A decoder that takes another size paints another picture."""
    data = encoded(keyint=0)
    reader = Reader(io.BytesIO(data))
    sizes = [len(p.payload) for p in reader.packets() if p.is_frame]
    base_frames = decoded(data, fidelity=True)
    video = VideoPainter(FORMAT, "av1", Fraction(1), 30, Path(os.environ[CHECKPOINT_VARIABLE]), 1)
    video.start_gop(None)
    again = [video.paint(*pair) for pair in zip(base_frames, sizes, strict=True)]
    assert clips_equal(again, decoded(data))
    video.start_gop(None)
    assert not planes_equal(video.paint(base_frames[0], 20 * sizes[0]), again[0])
    assert rate(0, WIDTH, HEIGHT) == 0 < rate(10**9, WIDTH, HEIGHT) <= 1024


def test_fitted_weights_are_read_as_they_were_written(model: Path) -> None:
    rng = np.random.default_rng(0)
    sizes, steps = sizes_of(Model.load(model)), {"head.weight": 3}
    names = ("head.bias", "style.bias", "head.weight")
    deltas = [Delta(n, rng.integers(-127, 128, sizes[n]), steps.get(n, 4)) for n in names]
    payload = pack(deltas)
    for delta, again in zip(deltas, read_deltas(payload, model), strict=True):
        assert (delta.name, delta.exponent) == (again.name, again.exponent)
        assert np.array_equal(delta.values, again.values)
    assert read_deltas(IDENTITY, model) is None
    head = bytes([payload[0], 12 * 21])  # a step of 2^21
    with pytest.raises(DamagedStreamError, match="step"):
        read_deltas(head + payload[2:], model)
