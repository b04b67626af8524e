"""The klt layer's Python reference against the C++ core: whole decoder and its parts, integer for
integer."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip, save_first_model
from conftest import planes_equal as same
from decoders import fare_alike, follow
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.klt import ReferenceDecoder

from gvcodec import _core
from gvcodec.bitstream import Reader
from gvcodec.bitstream.packets import Kind
from gvcodec.models import find_model
from gvcodec.structure.klt import reference_contexts, reference_loop
from gvcodec.structure.klt.codec import KltDecoder, KltEncoder, load_model
from gvcodec.types import Planes

#: Payloads, which of them are key frames, and their model: hypothesis takes no fixtures of a
#: module.
STREAM: list[tuple[list[bytes], list[bool], Path]] = []


@pytest.fixture(scope="module")
def klt_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_first_model(tmp_path_factory.mktemp("model"))


def test_numbering_fits_the_core() -> None:
    assert reference_contexts.SLOT.count == _core.SLOT_COUNT
    assert reference_contexts.SET.count == _core.WEIGHT_SETS


@pytest.mark.parametrize(
    ("width", "height", "frames", "q"),
    [
        (96, 64, 4, 40),
        (70, 50, 4, 24),
        (64, 48, 3, 10),
        (300, 40, 4, 52),
        (1, 1, 3, 30),
        (17, 33, 3, 63),
        (32, 32, 2, 0),
    ],
)
def test_decoder_equals_the_core(
    width: int, height: int, frames: int, q: int, klt_model: Path
) -> None:
    encoder = KltEncoder(width, height, q, threads=1, model=klt_model)
    core = KltDecoder(width, height, threads=1, model=klt_model)
    python = ReferenceDecoder(width, height, klt_model)
    for planes in make_clip(width, height, frames, seed=q):
        follow(encoder.send(planes), core, python)


def test_decoder_equals_the_core_with_the_model_that_ships() -> None:
    encoder, python = KltEncoder(80, 48, 33, threads=1), ReferenceDecoder(80, 48)
    for planes in make_clip(80, 48, 4, seed=1):
        follow(encoder.send(planes), python)


def noisy(clip: list[Planes], strength: int) -> list[Planes]:
    rng = np.random.default_rng(4)
    return [
        tuple(
            np.clip(p + rng.integers(-strength, strength + 1, p.shape), 0, 1023).astype(np.uint16)
            for p in planes
        )
        for planes in clip
    ]  # type: ignore[misc]


@pytest.mark.parametrize("shipped", [False, True])
def test_golden_frames(shipped: bool, klt_model: Path) -> None:
    clip = make_clip(96, 64, 4, seed=2)
    still = (
        [clip[0]] * 4 + clip[1:] + [clip[0]] * 5
    )  # what was covered comes back; noise asks for averaging
    model = None if shipped else klt_model
    encoder, core, python = (
        KltEncoder(96, 64, 20, 0, False, 1, model),
        KltDecoder(96, 64, 1, model),
        ReferenceDecoder(96, 64, model),
    )
    sources, flags = set(), []
    for planes in noisy(still, 60):
        follow(encoder.send(planes), core, python)
        assert python.tokens is not None and (core._core.motion() == python.tokens.motion).all()
        sources |= set(python.tokens.motion[..., 4].ravel().tolist())
        flags.append((python.tokens.golden_age, python.tokens.becomes_golden))
    assert sources == {1, 2, 3}
    assert flags == [
        (0, True),
        *((n, n == 8) for n in range(1, 9)),
        (1, False),
        (2, False),
        (3, False),
    ]


def test_a_new_key_frame_forgets(klt_model: Path) -> None:
    clip = make_clip(48, 32, 5, seed=3)
    encoder = KltEncoder(48, 32, 36, keyint=3, threads=1, model=klt_model)
    coded = [encoder.send(p) for p in clip]
    assert [c.packets[0].keyframe for c in coded] == [True, False, False, True, False]
    decoder = ReferenceDecoder(48, 32, klt_model)
    for c in coded[3:]:
        follow(c, decoder)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2), st.integers(0, 10**6), st.integers(0, 255))
def test_damaged_frames_fare_alike(frame: int, position: int, value: int) -> None:
    payloads, keys, model = STREAM[0]
    payloads = list(payloads)
    payload = bytearray(payloads[frame])
    payload[position % len(payload)] = value
    payloads[frame] = bytes(payload)
    fare_alike(payloads, keys, 48, 32, model)


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=1, max_size=60), st.integers(0, 63))
def test_made_up_frames_fare_alike(data: bytes, q: int) -> None:
    fare_alike(
        [bytes([q | 0x40]) + data, bytes([q]) + data[::-1]], [True, False], 48, 32, STREAM[0][2]
    )


@pytest.fixture(autouse=True, scope="module")
def stream(klt_model: Path) -> None:
    encoder = KltEncoder(48, 32, 30, threads=1, model=klt_model)
    packets = [encoder.send(p).packets[0] for p in make_clip(48, 32, 3, seed=8)]
    STREAM[:] = [([p.payload for p in packets], [p.keyframe for p in packets], klt_model)]


@pytest.mark.parametrize("name", ["klt", "klt-1", "klt-0.2"])
def test_golden_stream(name: str) -> None:
    """The file's own loop hash, without the core; and the tokens that the core reads are the
    reference's."""
    with (Path(__file__).parent / "golden" / f"{name}.bin").open("rb") as file:
        reader = Reader(file)
        assert reader.header.structure_id is not None
        model = find_model(reader.header.structure_id, "the model")
        python = ReferenceDecoder(reader.header.format.width, reader.header.format.height, model)
        core = _core.KltDecoder(
            load_model(model), reader.header.format.width, reader.header.format.height
        )
        digest = hashlib.sha256()
        for packet in reader.packets():
            if not packet.is_frame:
                continue
            (loop,) = python.send(packet.payload, packet.kind == Kind.KEY)
            assert same(core.decode(packet.payload), loop)
            assert python.tokens is not None
            assert (core.motion() == python.tokens.motion).all()
            for n, level in enumerate(python.tokens.level):
                value, last = core.tokens(n)
                assert (value == level.value).all() and (last == level.last).all()
            for plane in loop:
                digest.update(plane.astype("<u2").tobytes())
    assert digest.digest()[:8] == reader.loop_hash


# The parts.


def plane(seed: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 1024, (height, width)).astype(np.uint16)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([3, 40, 600, 4095]))
def test_motion_compensation(seed: int, chroma: bool, reach: int) -> None:
    size = 8 if chroma else 16
    source = plane(seed, 2 * size, 3 * size)
    motion = np.random.default_rng(seed).integers(-reach, reach + 1, (2, 3, 2)).astype(np.int16)
    expected = reference_loop.compensate(source.astype(np.int64), motion.astype(np.int64), chroma)
    assert (_core.compensate(source, motion, chroma) == expected).all()


def test_every_fraction_of_a_sample() -> None:
    source = plane(1, 16, 16 * 64)
    motion = np.array([[[i % 8, i // 8] for i in range(64)]], np.int16)
    for chroma, width in ((False, 16 * 64), (True, 8 * 64)):
        part = np.ascontiguousarray(source[: 8 if chroma else 16, :width])
        expected = reference_loop.compensate(part.astype(np.int64), motion.astype(np.int64), chroma)
        assert (_core.compensate(part, motion, chroma) == expected).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 63), st.sampled_from([8, 16]), st.integers(1, 400))
def test_deblocking(seed: int, q: int, size: int, contrast: int) -> None:
    rng = np.random.default_rng(seed)
    # Blocks of one level each with noise on them: some edges meet the long filter, some the short
    # one, some neither.
    levels = rng.integers(0, contrast + 1, (3, 4)).repeat(size, 0).repeat(size, 1)
    source = np.clip(300 + levels + rng.integers(-3, 4, levels.shape), 0, 1023).astype(np.uint16)
    across, down = np.ones((3, 3), bool), np.ones((2, 4), bool)
    expected = reference_loop.deblock(source.astype(np.int64), across, down, q, size)
    assert (_core.deblock_edges(source, q, size) == expected).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 384), st.sampled_from([50, 5000, 2**30]))
def test_transform(seed: int, count: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    basis = rng.integers(-900, 901, (count, 384)).astype(np.int16)
    coefficients = rng.integers(-size, size + 1, int(rng.integers(0, count + 1))).astype(np.int32)
    expected = reference_loop.klt_inverse(basis, coefficients.astype(np.int64))
    assert (_core.klt_inverse(basis, coefficients) == expected).all()
    residual = rng.integers(-1023, 1024, 384).astype(np.int16)
    assert (
        _core.klt_forward(basis, residual)
        == reference_loop.klt_forward(basis, residual.astype(np.int64))
    ).all()


def test_quantiser() -> None:
    steps = [[reference_loop.quantiser_step(q, n) for q in range(64)] for n in range(5)]
    assert steps == [[_core.quantiser_step(q, n) for q in range(64)] for n in range(5)]
    assert steps[0] == sorted(steps[0]) and steps[0][63] // steps[0][0] == 128
