"""Options as users of FFmpeg type them: taken where there is one here that means the same, answered
with the right one where there is not.

    from_habits(["-i", "in.mp4", "-crf", "40", "out.gvc"])
    # ["encode", "in.mp4", "-q", "40", "out.gvc"]

Options of gvcodec itself stay as they are; --base takes those names too, and names of presets mean
a --speed. What comes after "--" is no option.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gvcodec.errors import UsageError

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
        "-ss": "--start",
        "-vframes": "--frames",
        "-frames:v": "--frames",
        "-frames": "--frames",
        "-g": "--keyint",
        "-threads": "--threads",
        "-maxrate": "--maxrate",
        "-fs": "--size",
    },
    "decode": {
        "-i": "",
        "-crf": "--crf",
        "-ss": "--start",
        "-vframes": "--frames",
        "-frames:v": "--frames",
        "-frames": "--frames",
        "-s": "--scale",
        "-threads": "--threads",
    },
    "cut": {"-i": "", "-ss": "--from", "-to": "--to"},
    "frame": {"-i": "", "-ss": "-t"},
}
#: FFmpeg's words that change nothing here: with a value, and alone.
_IGNORED_VALUED = {"-loglevel", "-v", "-movflags", "-stats_period"}
_IGNORED = {"-hide_banner", "-nostdin", "-n", "-stats", "-nostats"}
_COPIES_SOUND = "sound and subtitles are copied as they are"
_NO_FILTERS = (
    "there are no filters here; decode has --scale, and encode takes what "
    "`ffmpeg … -f yuv4mpegpipe -` writes as IN -"
)
#: What to say of options that there are not, by command.
_BOTH = {
    "-t": "how long is said in frames here, as in --frames 250",
    "-to": "how far is said in frames here, as in --frames 250",
    "-vf": _NO_FILTERS,
    "-filter:v": _NO_FILTERS,
    **dict.fromkeys(("-af", "-b:a", "-ar", "-ac", "-sn"), _COPIES_SOUND),
    "-an": f"{_COPIES_SOUND}; a .y4m has none",
    "-vn": "a stream is a video",
    "-pix_fmt": "streams are 4:2:0 and keep the 8 or 10 bits of their source",
    "-map": f"the first video is taken, {_COPIES_SOUND}",
}
_ANSWERS: dict[str, dict[str, str]] = {
    "encode": {
        **_BOTH,
        "-r": "every frame keeps its time; the rate of pictures and raw video is --rate",
        "-s": "a stream has the size of its source; --base-scale 1/2 codes its base at half of it",
        "-pass": "--size, --bitrate and --target make the passes that they need",
        "-tune": "--eye decides for the eye instead of PSNR",
        "-bufsize": "--maxrate caps the mean bitrate, without a buffer",
        "-x265-params": "the encoders' own options are not passed on",
        "-svtav1-params": "the encoders' own options are not passed on",
        "-profile:v": "the profile follows from the video",
        "-lossless": "streams are lossy; decode --lossless writes them out exactly",
    },
    "decode": {**_BOTH, "-r": "every frame keeps its time"},
    "cut": {"-t": "--from and --to say where a piece begins and ends"},
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
_SOUND_CODEC = ("-c:a", "-acodec", "-codec:a", "-c:s")


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
    return made


def _replace(command: str, word: str, rest: Iterator[str]) -> list[str]:
    """One word of the command line, with its value out of `rest` where it has one."""

    def value() -> str:
        found = next(rest, None)
        if found is None:
            raise UsageError(f"{word}: a value is missing")
        return found

    if command == "encode" and word in _VIDEO_CODEC:
        return _base(word, value())
    if command in ("encode", "decode") and word in _SOUND_CODEC:
        if (codec := value()) != "copy":
            raise UsageError(f"{word} {codec}: {_COPIES_SOUND}")
        return []
    if command == "decode" and word in ("-vf", "-filter:v"):
        if not (text := value()).startswith("scale="):
            raise UsageError(f"{word}: {_NO_FILTERS}")
        return ["--scale", text.removeprefix("scale=").replace(":", "x")]
    if command == "encode" and word in ("-preset", "--preset"):
        name = value()
        return ["--speed", _SPEEDS[name]] if name in _SPEEDS else ["--preset", name]
    if word in _VALUED[command]:
        ours = _VALUED[command][word]
        return [ours, value()] if ours else [value()]
    if word in _IGNORED and command in ("encode", "decode"):
        return []
    if word in _IGNORED_VALUED:
        value()
        return []
    if answer := _ANSWERS.get(command, {}).get(word):
        raise UsageError(f"{word}: {answer}")
    return [word]


def _base(word: str, codec: str) -> list[str]:
    if codec not in _BASES:
        return ["--base", codec]
    base = _BASES[codec]
    if base is None:
        raise UsageError(f"{word} {codec}: no base of that kind; --base is av1, vvc or motion")
    return ["--base", base]
