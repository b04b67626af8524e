"""Outputs of a batch lie in folders like their inputs."""

from __future__ import annotations

from fractions import Fraction

from gvcodec.batch.inputs import folder_of
from gvcodec.types import VideoFormat
from tests.clips import write_clip
from tests.conftest import moving_texture, run


def test_folders_of_the_inputs_are_kept(tmp_path) -> None:
    fmt = VideoFormat(64, 64, Fraction(25), Fraction(1, 25), 8)
    for place in ("films/a.mkv", "films/2023/a.mkv", "films/2024/may/b.mkv", "other/c.mkv"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        write_clip(tmp_path / place, fmt, moving_texture(64, 64, 3))
    words = ["--fit", "off", "--preset", 10, "-q", 60, "--jobs", 1]
    inputs = [tmp_path / "films", tmp_path / "other/c.mkv"]
    run("batch", *inputs, "-o", tmp_path / "out", *words)
    out = tmp_path / "out"
    made = sorted(str(path.relative_to(out)) for path in out.rglob("*.gvc"))
    assert made == ["2023/a.gvc", "2024/may/b.gvc", "a.gvc", "c.gvc"]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.gvc")}
    run("batch", *inputs, "-o", tmp_path / "out", *words)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*.gvc")}


def test_a_folder_counts_from_where_the_input_is_named() -> None:
    assert folder_of("/v/films/x/a.mp4", ["/v/films/"]) == "x"
    assert folder_of("/v/films/x/a.mp4", ["/v/films/x/a.mp4"]) == ""
    assert folder_of("/v/films/x/a.mp4", ["/v/films/**/*.mp4"]) == "x"
    assert folder_of("/v/films/x/a.mp4", ["/v/films/x/a*.mp4"]) == ""
    assert folder_of("s3://box/films/x/a.mp4", ["s3://box/films"]) == "x"
    assert folder_of("/v/a.mp4", ["/v/list.csv"]) == ""
