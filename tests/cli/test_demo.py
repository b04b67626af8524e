"""The built-in clip: always the same, moving, and worth coding."""

from __future__ import annotations

import itertools

import numpy as np

from scripts.demo_clip import HEIGHT, WIDTH, frames


def test_the_clip_is_the_same_every_time_and_moves() -> None:
    first, again = (list(itertools.islice(frames(), 3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert [image.shape for image in first] == [(HEIGHT, WIDTH, 3)] * 3
    ground = [image[130:].astype(float).mean(axis=2) for image in first]
    assert np.abs(ground[1] - ground[0]).mean() > 2
    # The meadow is textured: neighbours differ, but far less than distant samples do.
    assert 2 < np.abs(np.diff(ground[0], axis=1)).mean() < ground[0].std()
