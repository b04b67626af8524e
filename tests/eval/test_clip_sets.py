"""Clips that condensed sets are measured on: folds by source, and the papers' splits."""

import argparse

import numpy as np
import pytest

from eval import clip_sets, condense
from eval.tools import EvalError
from gvcodec.condense.clips import Clips
from tests.condense.test_condense import videos


def test_folds_keep_sources_together_and_classes_apart() -> None:
    sources = [f"s{n // 2}" for n in range(24)]
    labels = np.arange(24) // 2 % 3
    pictures, names = np.zeros((24, 8, 2, 2, 3), np.uint8), tuple(map(str, range(24)))
    every = Clips(pictures, labels, ("a", "b", "c"), names)
    folds = list(clip_sets.in_folds(every, sources, 4))
    assert sorted(int(n) for _, test in folds for n in test.names) == list(range(24))
    for learn, test in folds:
        assert np.bincount(test.labels).tolist() == [2, 2, 2]
        assert not {sources[int(n)] for n in learn.names} & {sources[int(n)] for n in test.names}
    with pytest.raises(EvalError, match="12 sources"):
        list(clip_sets.in_folds(every, sources, 13))


def test_sources_come_from_a_manifest(tmp_path) -> None:
    labels, manifest = tmp_path / "labels.csv", tmp_path / "manifest.csv"
    labels.write_text("file,label,motion\nx/0.mp4,cat,pan\nx/1.mp4,dog,still\n")
    pairs = clip_sets.list_clips(tmp_path, labels, "motion")
    assert pairs == [(tmp_path / "x/0.mp4", "pan"), (tmp_path / "x/1.mp4", "still")]
    manifest.write_text("file,source_repo\nx/0.mp4,one\n1.mp4,two\n")
    assert clip_sets.read_sources(pairs, tmp_path, manifest) == ["one", "two"]
    assert len(set(clip_sets.read_sources(pairs, tmp_path, None))) == 2
    manifest.write_text("file,source_repo\nx/0.mp4,one\n")
    with pytest.raises(EvalError, match="1.mp4 is not in it"):
        clip_sets.read_sources(pairs, tmp_path, manifest)


def test_lists_of_ucf101(tmp_path) -> None:
    videos(tmp_path / "data")
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "trainlist01.txt").write_text("up/0.mp4 1\ndown/1.mp4 2\nup/2.mp4 1\ndown/3.mp4 2\n")
    (lists / "testlist01.txt").write_text("up/4.mp4\ndown/5.mp4\n")
    ((learn, test),) = clip_sets.in_splits(tmp_path / "data", lists, 32)
    assert learn.names == ("0.mp4", "1.mp4", "2.mp4", "3.mp4") and test.names == ("4.mp4", "5.mp4")
    assert learn.classes == test.classes == ("down", "up")
    assert learn.labels.tolist() == [1, 0, 1, 0] and test.labels.tolist() == [1, 0]
    (lists / "testlist01.txt").write_text("up/9.mp4\n")
    with pytest.raises(EvalError, match=r"up/9\.mp4: no such video"):
        clip_sets.read_splits(tmp_path / "data", lists)


def test_lists_of_hmdb51(tmp_path) -> None:
    videos(tmp_path / "data")
    for split in (1, 2):
        for name, own in (("up", (0, 2, 4)), ("down", (1, 3, 5))):
            marks = (1, split, 0)
            text = "".join(f"{n}.mp4 {mark} \n" for n, mark in zip(own, marks, strict=True))
            (tmp_path / f"{name}_test_split{split}.txt").write_text(text + "\n")
    with pytest.raises(EvalError, match="a list without videos"):
        clip_sets.read_splits(tmp_path / "data", tmp_path)
    for name in ("up", "down"):
        (tmp_path / f"{name}_test_split1.txt").unlink()
    ((learn, test),) = clip_sets.read_splits(tmp_path / "data", tmp_path)
    data = tmp_path / "data"
    assert learn == [(data / "down/1.mp4", "down"), (data / "up/0.mp4", "up")]
    assert test == [(data / "down/3.mp4", "down"), (data / "up/2.mp4", "up")]
    (tmp_path / "up_test_split2.txt").write_text("0.mp4 7\n")
    with pytest.raises(EvalError, match="0, 1 or 2"):
        clip_sets.read_splits(tmp_path / "data", tmp_path)


@pytest.mark.parametrize(
    "given, message",
    [
        ([], "condense needs"),
        (["--clips", "x", "--splits", "nowhere"], "nowhere: neither trainlist01.txt"),
        (["--clips", "x", "--labels", "labels.csv"], "file and label are needed"),
        (["--clips", "x", "--labels", "good.csv", "--manifest", "none.csv"], "none.csv: No such"),
        (["--clips", "x", "--labels", "good.csv", "--manifest", "labels.csv"], "source_repo are"),
    ],
)
def test_bad_inputs_are_named(tmp_path, monkeypatch, given, message) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.csv").write_text("name\n1\n")
    (tmp_path / "good.csv").write_text("file,label\n1.mp4,cat\n")
    parser = argparse.ArgumentParser()
    condense.arguments(parser)
    with pytest.raises(EvalError, match=message) as caught:
        condense.run(parser.parse_args(["--out", "out", *given]))
    assert "\n" not in str(caught.value)
