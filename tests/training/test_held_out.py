"""The one list of sources that no trainer learns from."""

import csv
from pathlib import Path

from training import held_out
from training.held_out import is_held_out, list_sha256, sources

ROOT = Path(__file__).parents[2]


def test_clips_of_one_source_stand_on_one_side() -> None:
    assert len(sources()) >= 14 and len(set(sources())) == len(sources())
    for source in sources():
        assert is_held_out(f"{source}-videos-one-1a2b3c.mp4")
        assert is_held_out(f"{source}-videos-other-4d5e6f.mp4")
    assert not is_held_out("some-other-source-1a2b3c.mp4")


def test_clips_that_figures_are_shown_of_are_held_out() -> None:
    with open(ROOT / "eval" / "kept_out.csv") as file:
        clips = [row["clip"] for row in csv.DictReader(file)]
    assert clips and all(is_held_out(clip) for clip in clips)


def test_the_digest_says_which_list_it_was(tmp_path: Path, monkeypatch) -> None:
    before = list_sha256()
    path = tmp_path / "list.txt"
    path.write_text("# sources\n\none\n  two  \n")
    monkeypatch.setattr(held_out, "LIST", path)
    sources.cache_clear()
    try:
        assert sources() == ("one", "two") and list_sha256() != before
    finally:
        sources.cache_clear()
