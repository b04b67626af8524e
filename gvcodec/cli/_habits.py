"""Options as users of FFmpeg type them: taken where there is one here that means the same, answered
with the right one where there is not.

    from_habits(["-i", "in.mp4", "-crf", "40", "out.gvc"])
    # ["encode", "in.mp4", "-q", "40", "out.gvc"]

Options of gvcodec itself stay as they are; --base takes those names too, and names of presets mean
a --speed. What comes after "--" is no option.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from gvcodec.errors import UsageError

#: Which part of a video.
_PART = {
    "-ss": "--start",
    "-to": "--to",
    "-t": "--duration",
    "-vframes": "--frames",
    "-frames:v": "--frames",
    "-frames": "--frames",
}
#: What takes a value and what does not, by command: our option, "" = the value alone.
_VALUED: dict[str, dict[str, str]] = {
    "encode": {
        "-i": "",
        "-crf": "-q",
        "--crf": "-q",
        "-qp": "-q",
        "-q:v": "-q",
        "-b:v": "--bitrate",
        "-b": "--bitrate",
        **_PART,
        "-s": "--scale",
        "-r": "--fps",
        "-framerate": "--rate",
        "-g": "--keyint",
        "-threads": "--threads",
        "-maxrate": "--maxrate",
        "-fs": "--size",
    },
    "decode": {
        "-i": "",
        "-crf": "--crf",
        **_PART,
        "-s": "--scale",
        "-threads": "--threads",
    },
    "cut": {"-i": "", "-ss": "--start", "-to": "--to", "-t": "--duration"},
    "frame": {"-i": "", "-ss": "-t"},
}
#: What takes no value, by command.
_ALONE = {"encode": {"-an": "--no-sound", "-sn": "--no-subtitles"}}
#: FFmpeg's words that change nothing here: with a value, and alone.
_IGNORED_VALUED = {"-c:s", "-scodec", "-loglevel", "-v", "-movflags", "-stats_period"}
_IGNORED = {"-hide_banner", "-nostdin", "-n", "-stats", "-nostats"}
_SOUND = "--sound copy, opus, opus:32k or none says what becomes of sound"
_KEEPS_SOUND = "decode copies sound and subtitles as they are; a .y4m has none"
_NO_FILTERS = (
    "there are no filters here but --scale, --fps, --start, --to and --duration; for others encode "
    "takes what `ffmpeg … -f yuv4mpegpipe -` writes as IN -"
)
_FILTERS = ("-vf", "-filter:v", "-filter_complex", "-lavfi")
#: What to say of options that there are not, by command.
_BOTH = {
    "-vn": "a stream is a video",
    "-pix_fmt": "streams are 4:2:0 and keep the 8 or 10 bits of their source",
    "-map": "the first video is taken, with all sound and subtitles",
}
_ANSWERS: dict[str, dict[str, str]] = {
    "encode": {
        **_BOTH,
        **dict.fromkeys(("-af", "-ar", "-ac", "-q:a", "-aq"), _SOUND),
        "-pass": "--size, --bitrate and --target make the passes that they need",
        "-tune": "--eye decides for the eye instead of PSNR",
        "-bufsize": "--maxrate caps the mean bitrate, without a buffer",
        "-x265-params": "the encoders' own options are not passed on",
        "-svtav1-params": "the encoders' own options are not passed on",
        "-profile:v": "the profile follows from the video",
        "-lossless": "streams are lossy; decode --lossless writes them out exactly",
    },
    "decode": {
        **_BOTH,
        **dict.fromkeys(("-af", "-ar", "-ac", "-an", "-sn", "-b:a", "-q:a"), _KEEPS_SOUND),
        "-r": "every frame keeps its time",
    },
}
#: Names of presets of x264, x265 and VVenC, and the speed that means it. A number stays a preset.
_SPEEDS = {
    **dict.fromkeys(("placebo", "veryslow", "slower", "slow"), "best"),
    "medium": "balanced",
    **dict.fromkeys(("fast", "faster", "veryfast", "superfast", "ultrafast"), "fast"),
}
#: What people call encoders, and the base that means it; None: there is none.
_BASES = {
    **dict.fromkeys(("av1", "libsvtav1", "svtav1", "libaom-av1", "librav1e"), "av1"),
    **dict.fromkeys(("vvc", "h266", "libvvenc"), "vvc"),
    **dict.fromkeys(("h264", "avc", "libx264", "hevc", "h265", "libx265", "vp9", "libvpx-vp9")),
}
_VIDEO_CODEC = ("-c:v", "-vcodec", "-codec:v", "-c", "-codec", "--base")
_SOUND_CODEC = ("-c:a", "-acodec", "-codec:a")
_SOUND_RATE = ("-b:a", "-ab")


def from_habits(words: Sequence[str]) -> list[str]:
    """The words as gvcodec takes them. Raises `UsageError` that names the right option."""
    given = list(words)
    if given[:1] == ["help"]:
        return [*given[1:2], "--help"]
    if given[:1] == ["-i"]:
        given = ["encode", *given]
    command = given[0] if given else ""
    if command not in _VALUED:
        return given
    made = [command]
    rest = iter(given[1:])
    for word in rest:
        if word == "--":
            return [*made, word, *rest]
        made += _replace(command, word, rest)
    return _sound(given, made) if command == "encode" else made


def _replace(command: str, word: str, rest: Iterator[str]) -> list[str]:
    """One word of the command line, with its value out of `rest` where it has one."""

    def value() -> str:
        found = next(rest, None)
        if found is None:
            raise UsageError(f"{word}: a value is missing")
        return found

    if command == "encode" and word in _VIDEO_CODEC:
        return _base(word, value())
    if command == "encode" and word in (*_SOUND_CODEC, *_SOUND_RATE):
        value()  # `_sound` puts them together
        return []
    if command == "decode" and word in _SOUND_CODEC:
        if (codec := value()) != "copy":
            raise UsageError(f"{word} {codec}: {_KEEPS_SOUND}")
        return []
    if command in ("encode", "decode") and word in _FILTERS:
        return _filters(word, value(), command)
    if command == "encode" and word in ("-preset", "--preset"):
        name = value()
        return ["--speed", _SPEEDS[name]] if name in _SPEEDS else ["--preset", name]
    if word in _VALUED[command]:
        ours = _VALUED[command][word]
        return [ours, value()] if ours else [value()]
    if alone := _ALONE.get(command, {}).get(word):
        return [alone]
    if word in _IGNORED and command in ("encode", "decode"):
        return []
    if word in _IGNORED_VALUED:
        value()
        return []
    if answer := _ANSWERS.get(command, {}).get(word):
        raise UsageError(f"{word}: {answer}")
    return [word]


def _sound(given: Sequence[str], made: list[str]) -> list[str]:
    """With --sound for FFmpeg's codec and rate of sound, which come in two options."""
    values = dict(itertools.pairwise(given))
    codec = next((values[word] for word in _SOUND_CODEC if word in values), None)
    rate = next((values[word] for word in _SOUND_RATE if word in values), None)
    if codec is None and rate is None:
        return made
    if codec == "copy" and rate is None:
        return made
    if codec not in (None, "opus", "libopus"):
        raise UsageError(f"sound is copied or coded as Opus, not {codec}; {_SOUND}")
    return [*made, "--sound", f"opus:{rate}" if rate else "opus"]


def _filters(word: str, chain: str, command: str) -> list[str]:
    """Options of ours for a chain of filters that scales and lowers the frame rate."""
    made: list[str] = []
    for step in chain.split(","):
        name, _, value = step.partition("=")
        size = value.partition(":flags")[0].replace("w=", "").replace("h=", "")
        if name == "scale" and re.fullmatch(r"-?\d+[:x]-?\d+", size):
            made += [f"--scale={size}"]
        elif name == "fps" and command == "encode":
            made += ["--fps", value.removeprefix("fps=")]
        else:
            raise UsageError(f"{word} {step}: {_NO_FILTERS}")
    return made


def _base(word: str, codec: str) -> list[str]:
    if codec not in _BASES:
        return ["--base", codec]
    base = _BASES[codec]
    if base is None:
        raise UsageError(f"{word} {codec}: no base of that kind; --base is av1, vvc or motion")
    return ["--base", base]
