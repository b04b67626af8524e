"""No single bit turned in a file is called right, unless it changes nothing."""

import random

import pytest

import gvcodec
from gvcodec.errors import GvcodecError
from gvcodec.util.messages import silence
from tests.fuzz.bit_flips import KINDS, flipped, make_files, turn


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, bytes]:
    with silence():
        return make_files(tmp_path_factory.mktemp("flips"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_turned_bit_is_noticed_or_harmless(files: dict[str, bytes], kind: str) -> None:
    with silence():
        found, wrong = turn(files[kind], 100, seed=7)
    assert not wrong
    assert found["noticed"] >= (100 if kind == "gvc" else 70)


@pytest.mark.parametrize("kind", KINDS)
def test_verify_gives_the_hashes_that_were_written_or_none(files, kind: str) -> None:
    whole, numbers, refused = gvcodec.verify(files[kind]), random.Random(3), 0
    with silence():
        for _ in range(12):
            try:
                found = gvcodec.verify(flipped(files[kind], numbers.randrange(8 * 8000)))
                assert found == whole
            except GvcodecError:
                refused += 1
    assert refused >= 8
