"""Options as users of FFmpeg type them, mapped to the option of the same meaning.

    from_habits(["-i", "in.mp4", "-crf", "40", "out.gvc"])
    # ["encode", "in.mp4", "-q", "40", "out.gvc"]

`-o OUT` is the output of encode, decode and cut. What comes after "--" is no option.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise

_PART = {"-ss": "--start", "-to": "--to", "-t": "--duration"}
_FRAMES = {"-vframes": "--frames", "-s": "--scale", "-threads": "--threads"}
#: The output of other programs.
_OUTPUT = ("-o", "--output")
#: Our option by command and FFmpeg's, "" = its value alone.
_OPTION_MAP: dict[str, dict[str, str]] = {
    "encode": {
        **_PART, **_FRAMES, "-i": "", "-crf": "-q", "-b:v": "--bitrate", "-maxrate": "--maxrate",
        "-fs": "--size", "-r": "--fps", "-framerate": "--rate", "-g": "--keyint",
        "-preset": "--preset", "-an": "--no-sound", "-sn": "--no-subtitles",
    },
    "decode": {**_PART, **_FRAMES, "-i": "", "-crf": "--crf"},
    "cut": {**_PART, "-i": ""},
}  # fmt: skip


def map_ffmpeg_options(words: Sequence[str]) -> list[str]:
    """The words as gvcodec takes them."""
    arguments = list(words)
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
    return [*_output_last(words), *arguments[end:]] if ours else arguments


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


#: What options of other encoders are called here.
HINTS = {
    "--crf": "-q", "--qp": "-q", "--quality": "-q", "--cq": "-q", "--tune": "--speed",
    "--gop": "--keyint", "--start-time": "--start", "--end": "--to", "--resize": "--scale",
    "--no-audio": "--no-sound", "--audio": "--sound", "--workers": "--jobs", "--overwrite": "-y",
    "--force": "-y",
}  # fmt: skip
