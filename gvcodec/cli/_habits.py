"""Options as users of FFmpeg type them: taken where there is one here that means the same, answered
with the right one where there is not.

    from_habits(["-i", "in.mp4", "-crf", "40", "out.gvc"])
    # ["encode", "in.mp4", "-q", "40", "out.gvc"]

Only words that gvcodec itself does not know are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gvcodec.errors import UsageError

#: What comes with a value and what stands alone, by command: our option, "" = the value alone.
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
        "-bufsize": "--bufsize",
        "-fs": "--size",
        "-preset": "--preset",
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
_ANSWERS = {
    "-t": "-t: how long is said in frames here, as in --frames 250",
    "-to": "-to: how far is said in frames here, as in --frames 250",
    "-r": "-r: every frame keeps its time; the rate of pictures and raw video is --rate",
    "-vf": "-vf: there are no filters here; decode has --scale, and encode takes what "
    "`ffmpeg … -f yuv4mpegpipe -` writes as IN -",
    "-filter:v": "-filter:v: there are no filters here; decode has --scale, and encode takes what "
    "`ffmpeg … -f yuv4mpegpipe -` writes as IN -",
    "-af": f"-af: {_COPIES_SOUND}",
    "-s": "-s: a stream has the size of its source; --base-scale 1/2 codes its base at half of it",
    "-pix_fmt": "-pix_fmt: streams are 4:2:0 and keep the 8 or 10 bits of their source",
    "-b:a": f"-b:a: {_COPIES_SOUND}",
    "-ar": f"-ar: {_COPIES_SOUND}",
    "-ac": f"-ac: {_COPIES_SOUND}",
    "-map": f"-map: the first video is coded, {_COPIES_SOUND}",
    "-pass": "-pass: --size, --bitrate and --target make the passes that they need",
    "-tune": "-tune: --eye decides for the eye instead of PSNR",
    "-x265-params": "-x265-params: the encoders' own options are not passed on",
    "-svtav1-params": "-svtav1-params: the encoders' own options are not passed on",
    "-profile:v": "-profile:v: the profile follows from the video",
    "-an": f"-an: {_COPIES_SOUND}; a .y4m has none",
    "-sn": f"-sn: {_COPIES_SOUND}",
    "-vn": "-vn: a stream is a video",
    "-lossless": "-lossless: streams are lossy; decode --lossless writes them out exactly",
}
#: Names of presets of x264 and x265, for SVT-AV1.
_PRESETS = {
    "placebo": 0,
    "veryslow": 1,
    "slower": 2,
    "slow": 2,
    "medium": 4,
    "fast": 6,
    "faster": 7,
    "veryfast": 8,
    "superfast": 9,
    "ultrafast": 10,
}
#: What people call encoders, and the base that means it; None: there is none.
_BASES = {
    **dict.fromkeys(("av1", "libsvtav1", "svtav1", "libaom-av1", "librav1e"), "av1"),
    **dict.fromkeys(("vvc", "h266", "libvvenc"), "vvc"),
    **dict.fromkeys(("hevc", "h265", "libx265"), "hevc"),
    **dict.fromkeys(("h264", "avc", "libx264", "vp9", "libvpx-vp9")),
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
        made += _replace(command, word, rest)
    return made


def _replace(command: str, word: str, rest: Iterator[str]) -> list[str]:
    """One word of the command line, with its value out of `rest` where it has one."""

    def value() -> str:
        found = next(rest, None)
        if found is None:
            raise UsageError(f"{word}: a value is missing")
        return found

    if command == "encode":
        if word in _VIDEO_CODEC:
            return _base(word, value())
        if word in ("-preset", "--preset"):
            text = value()
            return ["--preset", str(_PRESETS.get(text, text))]
        if word == "-lossless":
            raise UsageError(_ANSWERS[word])
    if word in _SOUND_CODEC:
        if (codec := value()) != "copy":
            raise UsageError(f"{word} {codec}: {_COPIES_SOUND}")
        return []
    if command == "decode" and word in ("-vf", "-filter:v"):
        if not (text := value()).startswith("scale="):
            raise UsageError(_ANSWERS[word])
        return ["--scale", text.removeprefix("scale=").replace(":", "x")]
    if word in _VALUED[command]:
        ours = _VALUED[command][word]
        return [ours, value()] if ours else [value()]
    if word in _IGNORED and command in ("encode", "decode"):
        return []
    if word in _IGNORED_VALUED:
        value()
        return []
    if word in _ANSWERS and (command, word) != ("frame", "-t"):
        raise UsageError(_ANSWERS[word])
    return [word]


def _base(word: str, codec: str) -> list[str]:
    if codec not in _BASES:
        return ["--base", codec]
    base = _BASES[codec]
    if base is None:
        raise UsageError(
            f"{word} {codec}: no base of that kind; --base is av1, hevc, vvc or tokens"
        )
    return ["--base", base]
