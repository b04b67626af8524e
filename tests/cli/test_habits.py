"""Command lines in the style of FFmpeg: those that are translated, those that are refused."""

import re

import pytest

from gvcodec import cli
from gvcodec.cli import parser
from gvcodec.cli._habits import map_ffmpeg_options
from gvcodec.util.messages import parse_amount
from tests.clips import write_clip
from tests.conftest import run

_LINES = """
gvcodec encode a.mp4 o.gvc -to 10 -t 4 | not allowed with
gvcodec encode a.mp4 o.gvc -ss 10 -to 4 | before it begins
gvcodec encode a.mp4 o.gvc -r fast | frame rate
gvcodec encode a.mp4 o.gvc -vf hflip | there is no option -vf
gvcodec encode a.mp4 o.gvc -s large | no size like 640x360
gvcodec encode a.mp4 o.gvc --base mpeg2 | av1
gvcodec encode a.mp4 o.gvc -crf 40 -b:v 80k | --video-bitrate: not allowed with -q
gvcodec encode a.mp4 o.gvc -ss tomorrow | is not a time like
gvcodec encode a.mp4 o.gvc --target ssim=0.9 | psnr=DECIBEL
gvcodec encode a.mp4 o.gvc --frames 0 | 1 or more
gvcodec encode a.mp4 o.gvc --kint 4 | no option --kint, did you mean --keyint? (gvcodec help encode
gvcodec batch a.mp4 -o out -vf hflip | --scale 640x360
gvcodec cut a.gvc o.gvc --overwrite | did you mean -y?
gvcodec encode a.mp4 o.gvc --device cuda:9 | no device cuda:9 here
gvcodec encode a.mp4 o.gvc -q 80 | number from 0 (best) to 67
gvcodec encode a.mp4 b.mp4 c.mp4 | c.mp4: one file too many; gvcodec batch
gvcodec encode - | standard input has none
gvcodec decode a.gvc | OUT
gvcodec summarize a.gvc | -y adds
gvcodec transcode a.mp4 o.gvc | invalid choice: 'transcode'
gvcodec encode a.mp4 o.gvc -c:v libx264 | --base av1, vvc or gvc1d
gvcodec encode a.mp4 o.gvc -vcodec libx265 | --base av1, vvc or gvc1d
gvcodec encode a.mp4 o.gvc -vf scale=640:360 | --scale 640x360
gvcodec encode a.mp4 o.gvc -preset slow | presets are numbers, 0 (slowest) to 10; or --speed
gvcodec encode a.mp4 o.gvc -c:a aac | --sound copy, opus:24k or none
gvcodec encode a.mp4 o.gvc -pix_fmt yuv420p | it follows from the source
gvcodec encode a.mp4 o.gvc --size -5k | '-5k' is not an amount
gvcodec encode a.mp4 o.gvc --bitrate -1 | '-1' is not an amount
gvcodec encode a.mp4 o.gvc --start -3 | '-3' is not a time
"""
WRONG = [line.split(" | ") for line in _LINES.strip().splitlines()]


@pytest.mark.parametrize(("line", "answer"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_usage_is_answered_in_one_line(line, answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = run(*line.split()[1:], code=2).err
    assert message.count("\n") == 1 and message.startswith("gvcodec: ") and answer in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("-i a.mp4 -crf 40 o.gvc", "encode a.mp4 -q 40 o.gvc"),
        ("encode -i a.mp4 -b:v 80kbps o.gvc", "encode a.mp4 --video-bitrate 80kbps o.gvc"),
        ("encode -ss 1:15 -i a.mp4 o.gvc -y", "encode --start 1:15 a.mp4 o.gvc -y"),
        ("encode -ss 5 -t 10 -i a.mp4 -an", "encode --start 5 --duration 10 a.mp4 --no-sound"),
        ("encode a.mp4 -s 640x360 -r 15", "encode a.mp4 --scale 640x360 --fps 15"),
        ("encode a.mp4 -sn", "encode a.mp4 --no-subtitles"),
        ("decode a.gvc -ss 5 -to 10 o.mp4", "decode a.gvc --start 5 --to 10 o.mp4"),
        ("cut a.gvc -ss 5 -t 10 o.gvc", "cut a.gvc --start 5 --duration 10 o.gvc"),
        ("encode -q 4 -- -i -crf", "encode -q 4 -- -i -crf"),
        ("encode a.mp4 --preset 7 o.gvc", "encode a.mp4 --preset 7 o.gvc"),
        ("encode a.mp4 -fs 10MB", "encode a.mp4 --size 10MB"),
        ("decode -i a.gvc -crf 18 o.mp4", "decode a.gvc --crf 18 o.mp4"),
        ("help encode", "encode --help"),
        ("help", "--help"),
        ("info a.gvc -crf 3", "info a.gvc -crf 3"),
        ("encode a.mp4 -vframes 9 -threads 1", "encode a.mp4 --frames 9 --threads 1"),
        ("encode a.mp4 -g 48 o.gvc", "encode a.mp4 --keyint 48 o.gvc"),
        ("encode -o b.gvc a.mp4 -q 40", "encode a.mp4 -q 40 b.gvc"),
        ("decode a.gvc --output=b.mp4", "decode a.gvc b.mp4"),
        ("cut a.gvc -ss 1 -o b.gvc", "cut a.gvc --start 1 b.gvc"),
        ("cat a.gvc b.gvc -o c.gvc", "cat a.gvc b.gvc -o c.gvc"),
        ("encode a.mp4 -- -o b.gvc", "encode a.mp4 -- -o b.gvc"),
    ],
)
def test_a_habit_is_taken(line: str, taken: str) -> None:
    assert map_ffmpeg_options(line.split()) == taken.split()


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("encode a.mp4 --fit off --preset 10 o.gvc", ("a.mp4", "o.gvc")),
        ("encode --fit off a.mp4 -q 40 o.gvc", ("a.mp4", "o.gvc")),
        ("encode -i a.mp4 -crf 45 -ss 0.5 -preset 8 o.gvc", ("a.mp4", "o.gvc")),
        ("encode a.mp4 -q 40", ("a.mp4", None)),
        ("cat a.gvc -o o.gvc b.gvc", (["a.gvc", "b.gvc"], "o.gvc")),
        ("batch a.mkv -o out b.mkv", (["a.mkv", "b.mkv"], "out")),
    ],
)
def test_files_stand_among_the_options(line: str, files: tuple) -> None:
    words = map_ffmpeg_options(line.split())
    options = parser(words).parse_args(words)
    given = options.inputs if hasattr(options, "inputs") else options.input
    assert (given, options.output) == files


@pytest.mark.parametrize(
    ("text", "amount"),
    [("10MB", 10e6), ("3 kib", 3072), ("80kbps", 80e3), ("80 kbit/s", 80e3), ("2Mbps", 2e6)]
    + [("500kB", 500e3), ("1.5M", 1.5e6), ("64KiB", 65536), ("900", 900), ("12bytes", 12)],
)
def test_an_amount_may_name_its_unit(text: str, amount: float) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize(
    "text", ["", "kB", "k", "1kk", "10bitbytes", "1.5.2M", "ten", "bps", "-3k", "inf", "0"]
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_amount(text)


def test_gvcodec_alone_lists_its_commands() -> None:
    shown = run().out
    assert all(re.search(rf"\n    {name}\s", shown) for name in cli.COMMANDS)


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_of_a_command_ends_with_two_examples_that_parse(command: str) -> None:
    lines = run("help", command).out.rstrip().splitlines()
    assert lines[-3] == "examples:"
    for line in lines[-2:]:
        for part in line.split(" | "):
            words = part.split()
            if words[0] == "gvcodec":
                given = map_ffmpeg_options([word for word in words[1:]])
                end = next((i for i, word in enumerate(given) if word in ("<", ">")), len(given))
                cli.parser(given[:end]).parse_args(given[:end])


@pytest.mark.parametrize("command", ["encode", "batch"])
def test_help_all_has_every_option(command: str) -> None:
    shown = run(command, "--help", "all").out
    (choices,) = cli.parser([command])._subparsers._group_actions
    names = [n for action in choices.choices[command]._actions for n in action.option_strings]
    assert len(names) > 40
    for name in names:
        assert re.search(rf"(^|[ ,]){re.escape(name)}\b", shown, re.MULTILINE), name


def test_a_stream_is_named_after_its_input(clip, tmp_path) -> None:
    write_clip(tmp_path / "film.mp4", clip[:2])
    run("encode", tmp_path / "film.mp4", "--fit", "off", "-q", "40.5")
    assert (tmp_path / "film.gvc").is_file()


def test_batch_takes_rates_as_ffmpeg_calls_them() -> None:
    words = ["batch", "films", "-o", "out", "-b:v", "40k", "-g", "48", "--", "-crf"]
    expected = ["batch", "films", "-o", "out", "--video-bitrate", "40k", "--keyint", "48"]
    assert map_ffmpeg_options(words) == [*expected, "--", "-crf"]
