"""Options go by their whole names, FFmpeg's that change nothing are ignored, and a call that does
nothing of what it asks for ends with a code other than 0."""

from pathlib import Path

import pytest

from gvcodec import cli
from gvcodec.cli._habits import map_ffmpeg_options
from tests.clips import make_clip, write_clip
from tests.conftest import in_process, run

QUICK = ("--fit", "off", "--painter", "off", "--preset", "10")


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("names") / "a.mkv", make_clip(64, 48, 4))


@pytest.mark.parametrize("command", [name for name in cli.COMMANDS if name != "with"])
@pytest.mark.parametrize("word", ["-hash", "-hq", "-hwaccel", "-hello=1", "-h264", "-overwrite"])
def test_a_word_is_not_read_as_a_short_option_and_its_value(command, word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = run(command, "a.gvc", "b.gvc", word, code=2)
    assert not said.out and said.err.count("\n") == 1 and "there is no option" in said.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "line",
    [
        "encode a.mp4 b.gvc --q 40",
        "encode a.mp4 b.gvc --thr 2",
        "encode a.mp4 b.gvc -quality 40",
        "encode a.mp4 b.gvc --hel",
        "decode a.gvc b.mp4 --loss",
        "batch a.mp4 -out there",
        "cat a.gvc b.gvc -overwrite",
        "cat a.gvc b.gvc -output c.gvc",
        "encode --hlep",
        "encode -v a.mp4 b.gvc",
        "encode a.mp4 b.gvc -n -y",
        "encode a.mp4 b.gvc -g 0",
        "--vers",
        "-hash",
        "-hide_banner",
        "help -hide_banner",
        "with -hide_banner mpv",
    ],
)
def test_an_abbreviation_or_unknown_option_ends_with_code_2(line, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = run(*line.split(), code=2)
    assert not said.out and said.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("-hide_banner -y -i a.mp4 o.gvc", "encode -y a.mp4 o.gvc"),
        ("encode -nostdin -v error -stats a.mp4 o.gvc", "encode a.mp4 o.gvc"),
        ("encode -loglevel repeat+level+verbose -i a.mp4 -n o.gvc", "encode a.mp4 o.gvc"),
        ("encode a.mp4 -crf 30 -b:v 0 o.gvc", "encode a.mp4 -q 30 o.gvc"),
        ("encode a.mp4 -b:v 0k -maxrate 0 -fs 0 o.gvc", "encode a.mp4 o.gvc"),
        ("encode a.mp4 -q:v 30 -frames:v 3 o.gvc", "encode a.mp4 -q 30 --frames 3 o.gvc"),
        ("decode a.gvc -an -sn o.mp4", "decode a.gvc --no-sound --no-subtitles o.mp4"),
        ("info -hide_banner a.gvc", "info a.gvc"),
        ("encode a.mp4 -- -stats", "encode a.mp4 -- -stats"),
        ("with ffmpeg -hide_banner", "with ffmpeg -- -hide_banner"),
    ],
)
def test_options_that_change_nothing_are_ignored(line: str, taken: str) -> None:
    assert map_ffmpeg_options(line.split()) == taken.split()


@pytest.mark.parametrize(
    ("line", "way_out"),
    [
        ("encode a.mp4 b.gvc -hwaccel auto", "leave it out"),
        ("encode a.mp4 -b:a 64k b.gvc", "--sound copy"),
        ("encode a.mp4 b.gvc --crop 1:2:3:4", "vf crop"),
        ("decode a.gvc b.mp4 -vn", "ffmpeg -i - -vn"),
        ("decode a.gvc b.mp4 -c:v libx265", "gvcodec decode IN -"),
    ],
)
def test_other_options_of_ffmpeg_get_a_way_out(line: str, way_out: str) -> None:
    assert way_out in run(*line.split(), code=2).err


def test_a_script_of_ffmpeg_encodes(film: Path, tmp_path) -> None:
    output = tmp_path / "o.gvc"
    run("-hide_banner", "-nostdin", "-i", film, "-crf", "40", "-b:v", "0", output, *QUICK)
    assert "at q 40" in run("info", output).out
    run("encode", film, output, "-q45", "-y", *QUICK)
    assert "at q 45" in run("info", output).out


@pytest.mark.parametrize("name", ["o.m3u8", "o.mpd", "o.VOB", "o.xyz", "o.gvc.tmp", "o.m4s"])
def test_an_ending_of_other_files_is_refused(film: Path, tmp_path, name: str) -> None:
    said = run("encode", film, tmp_path / name, *QUICK, code=2).err
    assert said.count("\n") == 1 and ".gvc" in said and not list(tmp_path.iterdir())


def test_streams_of_any_spelling_without_ending_and_on_devices_are_written(film, tmp_path) -> None:
    for name in ("o.GVC", "o.bin", "o"):
        run("encode", film, tmp_path / name, *QUICK)
        run("verify", tmp_path / name)
    (tmp_path / "null.dev").symlink_to("/dev/null")
    run("encode", film, tmp_path / "null.dev", *QUICK, "-y")
    for command in (["cut"], ["repair"], ["cat", "-o"]):
        words = [command[0], tmp_path / "o", *command[1:], tmp_path / "p.xyz"]
        run(*words, code=2)
    run("condense", tmp_path, tmp_path / "p.xyz", "--size", "10k", code=2)
    assert not (tmp_path / "p.xyz").exists()


def test_files_that_are_no_videos_and_queries_that_are_no_files_are_called_so(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("Buy milk. " * 500)
    said = run("encode", tmp_path / "notes.txt", tmp_path / "o.gvc", code=1).err
    assert "notes.txt" in said and "nothing" not in said


@pytest.mark.parametrize("program", ["eval", "training material", "training painter"])
def test_programs_of_a_checkout_take_whole_names_too(program: str) -> None:
    pytest.importorskip("torch")
    for word in ("-hide_banner", "--hel"):
        in_process("-m", *program.split(), word, code=2)
