"""A file that is larger than its source is named; `min_gain` writes none."""

from pathlib import Path

import pytest

import gvcodec
from gvcodec.errors import NoGainError, UsageError
from tests.conftest import run
from tests.media.test_clocks import QUICK
from tests.media.test_real_inputs_files import made


@pytest.fixture
def small(tmp_path) -> Path:
    """A source of few bytes, of which `LARGE` makes more."""
    path = tmp_path / "small.mp4"
    path.write_bytes(made("mp4", crf="51"))
    return path


@pytest.fixture
def large(tmp_path) -> Path:
    path = tmp_path / "large.mkv"
    path.write_bytes(made("matroska", "ffv1"))
    return path


LARGE = QUICK | {"q": 0}


def test_a_file_larger_than_its_source_is_named(tmp_path, small, large) -> None:
    done = gvcodec.encode_file(small, tmp_path / "a.gvc", **LARGE)
    assert done.size > small.stat().st_size == done.source_bytes
    assert done.notes[-1] == (
        f"the file has {done.size} bytes, more than its source's {done.source_bytes}"
    )
    assert done.gain < 0
    done = gvcodec.encode_file(large, tmp_path / "b.gvc", **QUICK)
    assert done.gain > 0.5 and not any("more than" in note for note in done.notes)
    # The bytes of a part of the source are not known.
    done = gvcodec.encode_file(small, tmp_path / "c.gvc", frames=20, **LARGE)
    assert done.gain is None and not any("more than" in note for note in done.notes)


@pytest.mark.parametrize("name", ["a.gvc", "a.mkv"])
def test_min_gain_writes_nothing_where_too_little_is_saved(tmp_path, small, name) -> None:
    output = tmp_path / name
    with pytest.raises(NoGainError, match="more than its source's .* no file written"):
        gvcodec.encode_file(small, output, min_gain="10%", **LARGE)
    assert not output.exists()
    output.write_bytes(b"before")
    with pytest.raises(NoGainError):
        gvcodec.encode_file(small, output, min_gain=0, overwrite=True, **LARGE)
    assert output.read_bytes() == b"before"


@pytest.mark.parametrize("way", [{}, {"jobs": 1, "keyint": 5}, {"size": 5000}])
def test_min_gain_leaves_a_file_that_saves_enough_as_it_is(tmp_path, large, way) -> None:
    plain = gvcodec.encode_file(large, tmp_path / "plain.gvc", **QUICK | way)
    done = gvcodec.encode_file(large, tmp_path / "a.gvc", min_gain="50 %", **QUICK | way)
    assert (tmp_path / "a.gvc").read_bytes() == (tmp_path / "plain.gvc").read_bytes()
    assert done == plain and done.gain > 0.5
    with pytest.raises(NoGainError, match=r"% fewer than its source, saves less than 99.9 %"):
        gvcodec.encode_file(large, tmp_path / "b.gvc", min_gain=0.999, **QUICK | way)


def test_the_exit_code_is_seven_and_refusals_are_in_words(tmp_path, small) -> None:
    words = ["encode", small, tmp_path / "a.gvc", "-q", "0", "--fit", "off", "--preset", "10"]
    assert "no file written" in run(*words, "--min-gain", "10%", code=7).err
    said = run(*words, "--min-gain", "10%", "--to", "0.5", code=2)
    assert "--min-gain compares whole files" in said.err
    assert "not a share like 10% or 0.1" in run(*words, "--min-gain", "120%", code=2).err
    with pytest.raises(UsageError, match="'much' is not a share"):
        gvcodec.encode_file(small, tmp_path / "a.gvc", min_gain="much")
