"""Properties of the core's search, and manners of its bindings."""

from __future__ import annotations

import numpy as np
import pytest
from clips import make_clip, texture
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gvcodec import _core
from gvcodec.structure.klt import reference_loop
from gvcodec.structure.klt.codec import make_model
from gvcodec.train.fit import first_model

pytestmark = pytest.mark.usefixtures("form")


def samples(field: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.ascontiguousarray(np.round(64 + 860 * field).astype(np.uint16))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(-40, 40), st.integers(-40, 40))
def test_search_finds_a_whole_shift(seed: int, dx: int, dy: int) -> None:
    field = samples(texture(seed, 96 + 96, 128 + 96))
    reference = np.ascontiguousarray(field[48:144, 48:176])
    current = np.ascontiguousarray(field[48 + dy : 144 + dy, 48 + dx : 176 + dx])
    motion, satd = _core.motion_search(current, reference)
    assert motion.shape == (6, 8, 2) and satd.shape == (6, 8)
    # Blocks whose content lies in the reference and that are not at its rim.
    for y in range(1, 5):
        for x in range(1, 7):
            if 0 <= 16 * y + dy <= 80 and 0 <= 16 * x + dx <= 112:
                assert motion[y, x].tolist() == [4 * dx, 4 * dy]
                assert satd[y, x] == 0


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 10_000), st.integers(16, 90), st.integers(16, 70), st.sampled_from([1, 64, 500])
)
def test_reported_satd_is_that_of_the_vector(
    seed: int, width: int, height: int, penalty: int
) -> None:
    first, second = (clip[0] for clip in make_clip(width, height, 2, seed))
    motion, satd = _core.motion_search(second, first, penalty)
    padding = ((0, -height % 16), (0, -width % 16))
    reference, current = (np.pad(p, padding, mode="edge").astype(np.int64) for p in (first, second))
    moved = reference_loop.compensate(reference, motion.astype(np.int64), chroma=False)
    assert (reference_loop.satd_blocks(current, moved) == satd).all()
    still = reference_loop.satd_blocks(current, reference)
    assert satd.sum() <= still.sum()


def test_search_finds_a_quarter_of_a_sample() -> None:
    reference = samples(texture(4, 96, 128))
    motion = np.full((6, 8, 2), (9, -6), np.int16)  # 2¼ to the right, 1½ up
    current = _core.compensate(reference, motion)
    found, satd = _core.motion_search(current, reference, 16)
    assert (found[1:-1, 1:-1] == motion[1:-1, 1:-1]).all() and (satd[1:-1, 1:-1] == 0).all()


def test_search_does_not_depend_on_threads() -> None:
    first, second = (clip[0] for clip in make_clip(200, 120, 2, 5))
    one, two = (_core.motion_search(second, first, threads=n) for n in (1, 2))
    assert (one[0] == two[0]).all() and (one[1] == two[1]).all()


def test_forward_and_inverse_transform_are_a_pair() -> None:
    tensors = first_model()
    rng = np.random.default_rng(2)
    for basis in (tensors["basis.key"], tensors["basis.inter"]):
        residual = rng.integers(-300, 301, 384).astype(np.int16)
        back = _core.klt_inverse(basis, _core.klt_forward(basis, residual))
        assert np.abs(back.astype(int) - residual).max() <= 1


def test_wrong_arguments_are_refused() -> None:
    model = make_model(first_model())
    y, c = np.zeros((16, 16), np.uint16), np.zeros((8, 8), np.uint16)
    encoder = _core.KltEncoder(model, 16, 16)
    with pytest.raises(ValueError, match="do not fit"):
        encoder.encode(y, c, y, 30, 23, True, False)
    with pytest.raises(ValueError, match="q is"):
        encoder.encode(y, c, c, 64, 23, True, False)
    for width, height in ((0, 16), (16, -1), (20_000, 16)):
        with pytest.raises(ValueError, match="size out of range"):
            _core.KltDecoder(model, width, height)
    with pytest.raises(ValueError, match="one vector"):
        _core.compensate(y, np.zeros((2, 1, 2), np.int16))
    with pytest.raises(ValueError, match="differ in size"):
        _core.motion_search(y, c)
    with pytest.raises(ValueError, match="another shape"):
        make_model(first_model() | {"basis.key": np.zeros((383, 384), np.int16)})
    with pytest.raises(ValueError, match="another shape"):
        make_model(first_model() | {"entropy.counts": np.zeros(5, np.uint8)})
    with pytest.raises(ValueError, match="384 samples"):
        _core.klt_forward(np.zeros((3, 384), np.int16), np.zeros(383, np.int16))
    with pytest.raises(ValueError, match="more coefficients"):
        _core.klt_inverse(np.zeros((3, 384), np.int16), np.zeros(4, np.int32))
