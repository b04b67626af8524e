"""What the command says to people who come from other programs, or mistype."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gvcodec
from gvcodec.api.info import possible_q
from gvcodec.api.results import HIGH_BPP, high_rate_hint
from gvcodec.bases import Q_END
from gvcodec.config import EncoderConfig
from gvcodec.errors import DamagedStreamError, NotGvcodecError
from tests.clips import write_clip
from tests.conftest import moving_texture, run

QUICK = ("--fit", "off", "--preset", "10")


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("film") / "a.mkv", moving_texture(96, 64, 6))


@pytest.fixture(scope="module")
def stream(film: Path) -> Path:
    run("encode", film, film.with_suffix(".gvc"), *QUICK)
    return film.with_suffix(".gvc")


@pytest.mark.parametrize("command", ["encode", "decode", "cut", "extract", "repair"])
def test_a_missing_input_is_named_before_an_output_that_exists(tmp_path, command: str) -> None:
    output = tmp_path / "there.gvc"
    output.touch()
    report = run(command, tmp_path / "none.mp4", output, code=1).err
    assert "none.mp4: No such file or directory" in report and "exists" not in report
    with pytest.raises(FileNotFoundError, match="none"):
        gvcodec.encode_file(tmp_path / "none.mp4", output)


@pytest.mark.parametrize(
    "data", [b"hi", b"no gvcodec file at all", bytes(100), b"\xff\xd8\xff\xe0"]
)
def test_a_file_of_another_kind_is_not_called_damaged(tmp_path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    for words in (["info"], ["verify"], ["decode", "-"], ["extract", tmp_path / "o.gvc"]):
        command, *rest = words
        report = run(command, tmp_path / "a", *rest, code=9).err
        assert "not a gvcodec file" in report and "damaged" not in report
    with pytest.raises(NotGvcodecError):
        gvcodec.info(data)


def test_videos_that_are_not_ours_and_streams_that_are_cut(film, stream, tmp_path) -> None:
    assert "not a gvcodec file" in run("info", film, code=9).err
    for size in (0, 3, 5):
        (tmp_path / "cut.gvc").write_bytes(stream.read_bytes()[:size])
        run("info", tmp_path / "cut.gvc", code=3)
    assert issubclass(NotGvcodecError, DamagedStreamError)


@pytest.mark.usefixtures("inline_batch")
def test_a_stream_given_to_encode_gets_the_way_out(stream: Path, tmp_path) -> None:
    report = run("encode", stream, tmp_path / "o.gvc", code=2).err
    assert "is a gvcodec file already: decode it first" in report
    report = run("batch", stream, "-o", tmp_path / "out", "--jobs", 1, code=6).err
    assert "decode it first" in report


def test_an_unquoted_glob_does_not_print_every_file(film, capsys) -> None:
    names = [f"film{number}.mp4" for number in range(200)]
    try:
        report = run("encode", film, *names, code=2).err
    except SystemExit:
        report = capsys.readouterr().err
    assert "199 files too many; gvcodec batch takes many videos" in report and len(report) < 200


def test_decode_counts_painted_frames_as_they_are_shown(stream: Path, tmp_path) -> None:
    output = tmp_path / "o.mkv"
    for words, kind in (
        ([], "6 painted frames"),
        (["--look", "0"], "6 base frames"),
        (["--look", "30"], "6 painted frames"),
        (["--fidelity"], "6 base frames"),
    ):
        assert kind in run("decode", stream, output, "-y", *words).err


@pytest.mark.parametrize("base", ["av1", "vvc", "gvc1d"])
def test_info_reports_the_q_that_was_given(base: str) -> None:
    for q in range(Q_END + 1):
        try:
            config = EncoderConfig(base=base, q=q).resolve()
        except gvcodec.UsageError:
            continue
        index = min(63, round(config.base_q))
        possible = possible_q(base, str(config.scale), index)
        assert q in possible and max(possible) - min(possible) <= 3


def test_info_has_the_index_of_the_base_next_to_q(film: Path, tmp_path) -> None:
    fast = {"overwrite": True, "preset": 10, "fit": 0}
    for q, words in ((66, "q 63 to 66, av1's 63"), (67, "q 67, av1's"), (40, "at q 40 (0 is")):
        assert gvcodec.encode_file(film, tmp_path / "o.gvc", q=q, **fast).q == q
        assert words in run("info", tmp_path / "o.gvc").out
    assert gvcodec.encode_file(film, tmp_path / "o.gvc", base_q=33, **fast).q == 33


def test_the_last_line_has_the_file_with_its_sound(tmp_path) -> None:
    from tests.batch.test_batch import write_video

    film = write_video(tmp_path / "a.mp4", frames=20, sound=True)
    report = run("encode", film, tmp_path / "o.gvc", *QUICK).err
    size = (tmp_path / "o.gvc").stat().st_size
    assert f"file of {size} bytes, {8 * size / 1000 / 0.8:.1f} kb/s" in report


@pytest.mark.usefixtures("inline_batch")
def test_a_high_rate_gets_one_line(film: Path, tmp_path) -> None:
    assert not high_rate_hint(HIGH_BPP) and "0.097 bpp is above" in high_rate_hint(0.097)
    assert "painting gains little" in run("encode", film, tmp_path / "o.gvc", *QUICK, "-q", 10).err

    words = ["batch", film, "-o", tmp_path / "out", *QUICK, "--jobs", 1, "-q", 10]
    assert "1 file is above 0.08 bpp" in run(*words).err
    bare = run("encode", film, tmp_path / "o.gvc", "-y", *QUICK, "-q", 10, "--painter", "off").err
    assert "painting" not in bare


def test_commands_run_in_a_folder_that_was_removed(film: Path, stream: Path, tmp_path) -> None:
    gone = tmp_path / "gone"
    for words in (
        ["encode", film, tmp_path / "o.gvc", *QUICK, "--jobs", "1"],
        ["decode", stream, tmp_path / "o.mkv"],
    ):
        gone.mkdir()
        command = [sys.executable, "-m", "gvcodec", *map(str, words)]
        begin = f"import os, sys; os.rmdir({str(gone)!r}); os.execv(sys.executable, sys.argv[1:])"
        environment = os.environ | {"PYTHONPATH": str(Path(gvcodec.__file__).parents[1])}
        done = subprocess.run(
            [sys.executable, "-c", begin, *command],
            cwd=gone,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    begin = f"import os; os.rmdir({str(gone)!r}); from gvcodec.__main__ import run; exit(run())"
    gone.mkdir()
    relative = [sys.executable, "-c", begin, "info", "a.gvc"]
    done = subprocess.run(relative, cwd=gone, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr == "gvcodec: a.gvc: No such file or directory\n"
