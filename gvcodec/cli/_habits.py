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

#: Options of FFmpeg that change no output, with the values that they take; "" = none.
_NEUTRAL = {
    **dict.fromkeys(
        ("-hide_banner", "-nostdin", "-stdin", "-stats", "-nostats", "-benchmark", "-n"), ""
    ),
    **dict.fromkeys(
        ("-loglevel", "-v"),
        r"(\w+\+)*(quiet|panic|fatal|error|warning|info|verbose|debug|trace|-?\d+)",
    ),
    "-strict": r"very|strict|normal|unofficial|experimental|-?\d",
    **dict.fromkeys(("-stats_period", "-max_muxing_queue_size", "-thread_queue_size"), r"[\d.]+"),
}
#: Limits of FFmpeg that 0 lifts.
_LIMITS, _ZERO = ("-b:v", "-maxrate", "-fs"), re.compile(r"0+(\.0+)?[kKmM]?")
_PART = {"-ss": "--start", "-to": "--to", "-t": "--duration"}
_FRAMES = {
    "-vframes": "--frames",
    "-frames:v": "--frames",
    "-s": "--scale",
    "-threads": "--threads",
}
#: The output of other programs.
_OUTPUT = ("-o", "--output")
#: Our option by command and FFmpeg's, "" = its value alone.
_OPTION_MAP: dict[str, dict[str, str]] = {
    "encode": {
        **_PART, **_FRAMES, "-i": "", "-crf": "-q", "-q:v": "-q", "-b:v": "--video-bitrate",
        "-maxrate": "--maxrate", "-fs": "--size", "-r": "--fps", "-framerate": "--rate",
        "-g": "--keyint", "-preset": "--preset", "-an": "--no-sound", "-sn": "--no-subtitles",
    },
    "decode": {
        **_PART, **_FRAMES, "-i": "", "-crf": "--crf", "-an": "--no-sound",
        "-sn": "--no-subtitles",
    },
    "cut": {**_PART, "-i": ""},
    "batch": {
        **_PART, **_FRAMES, "-b:v": "--video-bitrate", "-crf": "-q", "-q:v": "-q",
        "-g": "--keyint", "-an": "--no-sound", "-sn": "--no-subtitles",
    },
}  # fmt: skip


def map_ffmpeg_options(words: Sequence[str]) -> list[str]:
    """The words as gvcodec takes them."""
    arguments = list(words)
    if arguments[:1] == ["with"]:
        return _quote_program(arguments)
    if arguments[:1] == ["help"]:
        return [*arguments[1:2], "--help"]
    if "-i" in arguments and arguments[0].startswith("-"):
        arguments = ["encode", *arguments]
    if arguments and not arguments[0].startswith("-"):
        arguments = _drop_neutral(arguments)
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


def _drop_neutral(words: list[str]) -> list[str]:
    """Without FFmpeg's options that change nothing here. Raises `UsageError`."""
    end = words.index("--") if "--" in words else len(words)
    kept: list[str] = []
    place = 0
    while place < end:
        word, value = words[place], words[place + 1] if place + 1 < end else ""
        place += 1
        if word in _LIMITS and _ZERO.fullmatch(value):
            place += 1
        elif word == "-g" and _ZERO.fullmatch(value):
            raise UsageError("-g 0: FFmpeg makes each frame a keyframe by it: --keyint 1 does that")
        elif word not in _NEUTRAL or (word == "-n" and "-y" in words):
            kept.append(word)
        elif _NEUTRAL[word] and re.fullmatch(_NEUTRAL[word], value):
            place += 1
        elif _NEUTRAL[word]:
            kept.append(word)
    return kept + words[end:]


def is_option(word: str) -> bool:
    """Whether argparse takes a word for an option, not for a value or a file."""
    return word[:1] == "-" and word != "-" and not _NEGATIVE.match(word) and " " not in word


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
    **dict.fromkeys(
        ("-hwaccel", "-hwaccel_output_format", "-init_hw_device"),
        "sources are decoded on the processor, leave it out",
    ),
    "--crop": "run ffmpeg first: ffmpeg -i IN -vf crop=… -f yuv4mpegpipe - | gvcodec encode - OUT",
    "-n": "files are overwritten with -y only, leave one of them out",
}  # fmt: skip
_PIPE = "pipe it into ffmpeg: gvcodec decode IN - -f matroska | ffmpeg -i - "
#: The same for `decode`, which writes files that every other program codes again.
_DECODE_ADVICE = {
    **dict.fromkeys(
        ("-c:v", "-vcodec", "-codec:v", "-c", "-codec", "-pix_fmt", "-preset", "-b:v"),
        f"{_PIPE}-c:v … OUT",
    ),
    **dict.fromkeys(("-vf", "-filter:v", "-filter_complex"), f"{_PIPE}-vf … OUT"),
    **dict.fromkeys(("-c:a", "-acodec", "-codec:a", "-b:a", "-af"), f"{_PIPE}-c:a … OUT"),
    **{name: ADVICE[name] for name in ("-hwaccel", "-movflags", "-n")},
    "-vn": f"{_PIPE}-vn OUT",
}
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
    "--crf": "-q", "--qp": "-q", "--quality": "-q", "--cq": "-q", "--q": "-q", "-qp": "-q",
    "-cq": "-q", "-quality": "-q", "-qscale": "-q", "-qscale:v": "-q", "--output": "-o",
    "-output": "-o", "--tune": "--speed",
    "--gop": "--keyint", "--start-time": "--start", "--end": "--to", "--resize": "--scale",
    "--no-audio": "--no-sound", "--audio": "--sound", "--workers": "--jobs", "--overwrite": "-y",
    "--force": "-y", "-b:v": "--video-bitrate", "-crf": "-q", "-preset": "--preset",
}  # fmt: skip


def advice_for(command: str, name: str) -> str:
    """The way out for an option of other programs that a command has not, "" = none."""
    if command == "decode":
        return _DECODE_ADVICE.get(name, "")
    return ADVICE.get(name, "") if command in ("encode", "batch") else ""
