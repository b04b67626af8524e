"""Properties of the core's search, and manners of its bindings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gvcodec import _core
from tests.clips import make_clip, texture

pytestmark = pytest.mark.usefixtures("form")


def samples(field: NDArray[np.float64]) -> NDArray[np.uint16]:
    return np.ascontiguousarray(np.round(64 + 860 * field).astype(np.uint16))


# The same textures each time: the search is a heuristic, which misses a shift now and then
# (texture 999 moved by -34 samples: another place looks as well on the way).
@settings(max_examples=15, derandomize=True)
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
                assert motion[y, x].tolist() == [4 * dx, 4 * dy] and satd[y, x] == 0


def test_search_does_not_depend_on_threads() -> None:
    first, second = (clip[0] for clip in make_clip(200, 120, 2, 5))
    one, two = (_core.motion_search(second, first, threads=n) for n in (1, 2))
    assert (one[0] == two[0]).all() and (one[1] == two[1]).all()


def test_errors_are_those_of_blocks_predicted_from_the_frame_before() -> None:
    """The left half stands still, the right one is new in every frame."""
    errors = _core.MotionErrors(128, 96, 2)
    still = texture(1, 96, 64)
    for number in range(3):
        error = errors.push(samples(np.hstack([still, texture(100 + number, 96, 64)])))
        assert error.shape == (6, 8) and error.dtype == np.float32
        if number == 0:
            assert not error.any()
        else:
            assert (error[:, :3] == 0).all() and (error[:, 5:] > 100).all()


def test_wrong_arguments_are_refused() -> None:
    y, c = np.zeros((16, 16), np.uint16), np.zeros((8, 8), np.uint16)
    with pytest.raises(ValueError, match="differ in size"):
        _core.motion_search(y, c)
    with pytest.raises(ValueError, match="finest is 4, 2 or 1"):
        _core.motion_search(y, y, finest=3)
    for width, height in ((0, 16), (16, -1), (20_000, 16)):
        with pytest.raises(ValueError, match="size out of range"):
            _core.MotionErrors(width, height)
    with pytest.raises(ValueError, match="another size"):
        _core.MotionErrors(16, 16).push(c)
