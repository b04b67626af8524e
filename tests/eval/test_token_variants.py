"""Other ways to find tokens of the painter, in files."""

from fractions import Fraction

import numpy as np
import pytest

import gvcodec
from eval.experiments.token_variants import CODEBOOK, VARIANTS, cluster, prefixes, variant
from gvcodec.types import VideoFormat
from tests.conftest import moving_texture


def test_prefixes_fit_and_use_what_is_left() -> None:
    # Where most is left comes first: regions of the fifth, then a token for the first.
    assert prefixes(np.array([0, 1, 4, 5, 20, 21]), 51).tolist() == [1, 1, 1, 2, 3, 3]
    assert prefixes(np.array([3, 20, 4]), 27).tolist() == [1, 3, 2]
    assert prefixes(np.array([0, 0]), 0).tolist() == [0, 0]


def test_clusters_are_found() -> None:
    rng = np.random.default_rng(2)
    places = 7 * rng.permutation(np.eye(16))
    vectors = np.concatenate([place + rng.normal(0, 0.05, (40, 16)) for place in places])
    found = {tuple(centre) for centre in cluster(vectors)}
    # Some centres begin in the same cluster.
    assert len(found & {tuple(place.astype(int)) for place in places}) >= 8


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_are_in_files(name: str) -> None:
    fmt = VideoFormat(288, 272, Fraction(25), Fraction(1, 25))
    frames = moving_texture(288, 272, 6)
    with variant(name):
        data = gvcodec.encode(frames, format=fmt, q=50, preset=10, tokens="on")
    assert gvcodec.verify(data).frames == 6
    if name == "all":
        assert gvcodec.info(data).tokens == 4 + 9 + 25
    assert CODEBOOK.is_file()
