"""Latent tokens from an encoder to a decoder, through everything that handles streams. The network
has random weights, but its direct path is there from the start: tokens mean something."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import gvcodec
from gvcodec.bitstream import Kind, Packet, Reader
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.psnr import psnr
from tests.clips import make_clip
from tests.gvc1d.tiny import write_model

WIDTH, HEIGHT, FRAMES = 100, 72, 6
FORMAT = VideoFormat(WIDTH, HEIGHT, Fraction(25), Fraction(1, 25))
#: Of every encode here.
PLAIN = {"base": "av1", "base_q": 60.0, "preset": 10, "fit": 0.0, "threads": 1, "keyint": 3}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def frames() -> list[Planes]:
    return make_clip(WIDTH, HEIGHT, FRAMES, seed=7)


def encode(frames: list[Planes], model: Path, **options: object) -> bytes:
    config = gvcodec.EncoderConfig(**{**PLAIN, "model": str(model), **options})  # type: ignore[arg-type]
    stream = io.BytesIO()
    encode_stream(gvcodec.Encoder(FORMAT, config), stream, ((planes, None) for planes in frames))
    return stream.getvalue()


def packets_of(data: bytes) -> list[Packet]:
    return list(Reader(io.BytesIO(data)).packets())


def decode(data: bytes, model: Path, **options: object) -> list[Planes]:
    reader = Reader(io.BytesIO(data))
    decoder = Decoder(reader.header, models=[model], threads=1, **options)  # type: ignore[arg-type]
    shown = [frame.planes for frame in decoder.frames_of(reader.packets())]
    decoder.verify(reader.base_hash)
    return shown


def luma_error(shown: list[Planes], frames: list[Planes]) -> float:
    return float(np.mean([psnr(a[0], b[0]) for a, b in zip(shown, frames, strict=True)]))


@pytest.fixture(scope="module")
def plain(frames, model) -> bytes:
    return encode(frames, model)


@pytest.fixture(scope="module")
def coded(frames, model) -> bytes:
    return encode(frames, model, tokens=8, token_rate=0)


def test_tokens_bring_frames_nearer_to_the_source(frames, model, plain, coded) -> None:
    kinds = [packet.kind for packet in packets_of(coded)]
    assert kinds.count(Kind.LATENT) == FRAMES and kinds.count(Kind.PAINTED) == 1
    painted, restored = decode(plain, model), decode(coded, model)
    assert luma_error(restored, frames) > luma_error(painted, frames) + 0.3
    # Base and painter are as they were.
    base = decode(coded, model, fidelity=True)
    assert all((a[0] == b[0]).all() for a, b in zip(base, decode(plain, model, fidelity=True)))
    hashes = [[p.payload for p in packets_of(d) if p.kind is Kind.PAINTED] for d in (plain, coded)]
    assert hashes[0] == hashes[1]


def test_without_tokens_a_file_has_no_byte_more(frames, model, plain) -> None:
    """ "auto" leaves out tokens that do not pay: the coarsest rate of noise does not."""
    grey = [tuple(np.full_like(p, 512) for p in planes) for planes in frames]
    assert encode(grey, model, tokens="auto") == encode(grey, model)  # type: ignore[arg-type]
    assert Reader(io.BytesIO(plain)).header.gvc1d_id is None
