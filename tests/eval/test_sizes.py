"""`python -m eval sizes`: files keep to their sizes, and what is refused is made larger."""

import pytest

from eval.__main__ import main
from eval.rd import sizes
from eval.tools import read_json
from tests.clips import write_clip
from tests.conftest import moving_texture


@pytest.fixture
def words(tmp_path):
    (tmp_path / "clips").mkdir()
    write_clip(tmp_path / "clips/pan.y4m", moving_texture(64, 48, 25))
    where = ["--sequences", str(tmp_path / "clips"), "--out", str(tmp_path)]
    return ["sizes", *where, "--frames", "25", "--threads", "1"]


def test_files_keep_to_their_sizes_and_what_is_refused_is_made_larger(
    words, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(sizes, "STEPS", 2)
    monkeypatch.setattr(sizes, "SPAN", 5000.0)
    assert main(words) == 0
    one, other = read_json(tmp_path / "sizes-av1.json")["rows"]
    assert one["refused"] is None and 0.9 * one["wanted"] <= one["bytes"] <= one["wanted"]
    assert other["refused"] == round(one["wanted"] / 5000)
    assert other["refused"] < other["bytes"] <= other["wanted"]
    assert "0 of 2 files over their size" in capsys.readouterr().out
    assert not (tmp_path / "stream.gvc").exists()


def test_clips_of_less_than_a_second_are_refused(words, capsys):
    words[words.index("25")] = "4"
    assert main(words) == 1 and "no clip of a second or more" in capsys.readouterr().err
