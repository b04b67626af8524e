"""Options as users of FFmpeg type them, mapped to the option of the same meaning.

    map_ffmpeg_options(["-i", "in.mp4", "-crf", "40", "out.gvc"])
    # ["encode", "in.mp4", "-q", "40", "out.gvc"]

`-o OUT` is the output of encode, decode and cut. Words after "--" are not options.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import pairwise

from gvcodec.errors import UsageError

_PART = {"-ss": "--start", "-to": "--to", "-t": "--duration"}
_FRAMES = {"-vframes": "--frames", "-s": "--scale", "-threads": "--threads"}
#: The output of other programs.
_OUTPUT = ("-o", "--output")
#: Our option by command and FFmpeg's, "" = its value alone.
_OPTION_MAP: dict[str, dict[str, str]] = {
    "encode": {
        **_PART, **_FRAMES, "-i": "", "-crf": "-q", "-b:v": "--video-bitrate",
        "-maxrate": "--maxrate", "-fs": "--size", "-r": "--fps", "-framerate": "--rate",
        "-g": "--keyint", "-preset": "--preset", "-an": "--no-sound", "-sn": "--no-subtitles",
    },
    "decode": {**_PART, **_FRAMES, "-i": "", "-crf": "--crf"},
    "cut": {**_PART, "-i": ""},
    "batch": {**_PART, **_FRAMES, "-b:v": "--video-bitrate", "-crf": "-q", "-g": "--keyint"},
}  # fmt: skip


def map_ffmpeg_options(words: Sequence[str]) -> list[str]:
    """The words as gvcodec takes them."""
    arguments = list(words)
    if arguments[:1] == ["with"]:
        return _quote_program(arguments)
    if arguments[:1] == ["help"]:
        return [*arguments[1:2], "--help"]
    if arguments[:1] == ["-i"]:
        arguments = ["encode", *arguments]
    ours = _OPTION_MAP.get(arguments[0], {}) if arguments else {}
    end = arguments.index("--") if "--" in arguments else len(arguments)
    escaped = [
        _escape_name(w) if before == "-i" else w for before, w in pairwise(["", *arguments[:end]])
    ]
    words = [ours.get(w, w) for w in escaped if ours.get(w) != ""]
    if arguments[:1] == ["batch"]:
        # It defines -o itself.
        return [*join_negative(words), *arguments[end:]]
    if not ours:
        return [*join_negative(arguments[:end]), *arguments[end:]]
    check_presets(words)
    return [*_output_last(join_negative(words)), *arguments[end:]]


def _quote_program(arguments: list[str]) -> list[str]:
    """`with PROGRAM` and arguments of the program, none of which is an option of ours."""
    is_program = len(arguments) > 1 and not arguments[1].startswith("-")
    return [*arguments[:2], "--", *arguments[2:]] if is_program else arguments


def _escape_name(word: str) -> str:
    """The name of a file that begins like an option, as one that does not."""
    return f"./{word}" if word.startswith("-") and os.path.lexists(word) else word


def _output_last(words: list[str]) -> list[str]:
    """The output as it is named without an option: after the input."""
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in _OUTPUT and (equals or place + 1 < len(words)):
            output = value if equals else words[place + 1]
            return [*words[:place], *words[place + 1 + (not equals) :], output]
    return words


#: Options of FFmpeg and other encoders without one of the same meaning, and the way out.
ADVICE = {
    **dict.fromkeys(
        ("-c:v", "-vcodec", "-codec:v", "-c", "-codec"),
        "--base av1, vvc or gvc1d chooses the codec",
    ),
    **dict.fromkeys(
        ("-vf", "-filter:v", "-filter_complex", "-lavfi"),
        "--scale 640x360 changes the size, --fps the frame rate; for other filters run ffmpeg "
        "first: ffmpeg -i IN -vf … -f yuv4mpegpipe - | gvcodec encode - OUT",
    ),
    **dict.fromkeys(
        ("-c:a", "-acodec", "-codec:a", "-b:a", "-ab"), "--sound copy, opus:24k or none"
    ),
    "-b": "--video-bitrate is the picture's, --bitrate the whole file's",
    **dict.fromkeys(("-pix_fmt", "-profile:v", "-level"), "it follows from the source"),
    **dict.fromkeys(("-tune", "-x264-params", "-x265-params"), "--encoder-params K=V sets some"),
    "-map": "the first video and all sound and subtitles are taken",
    "-af": "run ffmpeg first, sound is copied as it is",
    "-pass": "--size and --bitrate take as many passes as they need",
    "-bufsize": "--maxrate sets the buffer",
    "-movflags": "the index comes first in every .mp4",
}  # fmt: skip
#: Names of presets of x264 and x265, SVT-AV1 has numbers.
_PRESET_NAMES = """ultrafast superfast veryfast faster fast medium slow slower veryslow placebo"""
_NEGATIVE = re.compile(r"-\.?\d")


def check_presets(words: Sequence[str]) -> None:
    """Raises `UsageError` for a preset by its name in x264."""
    for option, value in pairwise(words):
        if option == "--preset" and value in _PRESET_NAMES.split():
            raise UsageError(
                f"--preset {value}: presets are numbers, 0 (slowest) to 10; or --speed fast, "
                "balanced or best"
            )


def join_negative(words: Sequence[str]) -> list[str]:
    """A value like -5k belongs to the option before it: its type reports the error."""
    joined: list[str] = []
    for word in words:
        before = joined[-1] if joined else ""
        if (
            _NEGATIVE.match(word)
            and before.startswith("--")
            and "=" not in before
            and before != "--"
        ):
            joined[-1] = f"{before}={word}"
        else:
            joined.append(word)
    return joined


#: Names here of other encoders' options.
HINTS = {
    "--crf": "-q", "--qp": "-q", "--quality": "-q", "--cq": "-q", "--tune": "--speed",
    "--gop": "--keyint", "--start-time": "--start", "--end": "--to", "--resize": "--scale",
    "--no-audio": "--no-sound", "--audio": "--sound", "--workers": "--jobs", "--overwrite": "-y",
    "--force": "-y", "-b:v": "--video-bitrate", "-crf": "-q", "-preset": "--preset",
}  # fmt: skip
