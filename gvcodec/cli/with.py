"""`gvcodec with PROGRAM`: run a player, or any program, that then shows painted pictures.

`libgvcodec-dav1d.so` (csrc/players) is preloaded in front of the program's libdav1d. The program
takes the place of this process, so signals and exit code are its own."""

from __future__ import annotations

import argparse
import os
import re
import signal
import stat
import struct
import subprocess
import sys
from pathlib import Path
from shlex import quote

from gvcodec.bitstream import Reader
from gvcodec.errors import GvcodecError, UsageError
from gvcodec.models import MODELS_VARIABLE, list_models
from gvcodec.opening import open_stream
from gvcodec.util.programs import find_program

EXAMPLES = ("with mpv film.mp4", "with ffmpeg -i film.mp4 -vf scale=640:-2 small.mp4")
_LIBRARY = "libgvcodec-dav1d.so"
#: Arguments that a program gets first: hardware decodes without libdav1d.
_OPTIONS = {"mpv": ["--hwdec=no"]}
_PLAYERS = ("mpv", "vlc", "cvlc", "ffplay", "ffmpeg", "ffprobe")
_BROWSERS = ("firefox", "firefox-esr", "chromium", "google-chrome")
#: Bytes; painters have 0.1 MB.
_LARGEST_MODEL = 4 << 20
_PT_INTERP = 3
_OTHER_WAY = "gvcodec play FILE or gvcodec serve FILE shows it painted"


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("program", metavar="PROGRAM", help="mpv, vlc, ffplay, ffmpeg, or another with libdav1d")
    add("arguments", metavar="ARGS", nargs=argparse.REMAINDER, help="passed on as they are")


def run(options: argparse.Namespace) -> None:
    library = _find_library()
    program = find_program(options.program)
    if program is None:
        raise UsageError(f"{options.program}: no such program", code="package-missing")
    name = Path(program).name
    if reason := _find_obstacle(program):
        raise UsageError(f"{options.program}: {reason}; {_OTHER_WAY}", code="package-missing")
    if name in _PLAYERS:
        for word in options.arguments:
            _refuse_stream(name, word)
    words = [options.program, *_OPTIONS.get(name, []), *options.arguments]
    # Python ignores these two signals, and programs inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execve(program, words, _environment(library))


def _find_library() -> Path:
    """The library to preload. Raises `UsageError` where it cannot work."""
    if sys.platform != "linux":
        raise UsageError(f"gvcodec with needs Linux; {_OTHER_WAY}", code="package-missing")
    from gvcodec import _core

    library = Path(_core.__file__).with_name(_LIBRARY)
    if not library.is_file():
        raise UsageError(f"{library}: not in this build of gvcodec", code="package-missing")
    if re.search(r"[\s:]", str(library)):
        raise UsageError(f"{library}: cannot be preloaded from a path with a space or colon")
    return library


def _environment(library: Path) -> dict[str, str]:
    """That of the program: models are looked for where `gvcodec decode` looks, small ones first."""
    files = {file for _, files in list_models() for file in files if ":" not in str(file)}
    sizes = sorted((file.stat().st_size, str(file.resolve())) for file in files)
    preloaded = [str(library), *os.environ.get("LD_PRELOAD", "").split()]
    return os.environ | {
        MODELS_VARIABLE: ":".join(name for size, name in sizes if size <= _LARGEST_MODEL),
        "LD_PRELOAD": ":".join(preloaded),
    }


def _find_obstacle(program: str) -> str | None:
    """Why a program cannot show painted pictures, judging by its file."""
    target = os.path.realpath(program)
    if os.stat(target).st_mode & (stat.S_ISUID | stat.S_ISGID):
        return "runs with another user's rights, so nothing can be preloaded"
    if "/snap/" in program or "/flatpak/" in target or Path(target).name == "snap":
        return "runs in a sandbox, where nothing can be preloaded"
    if Path(program).name in _BROWSERS:
        return "has a built-in AV1 decoder, and hardware decoding"
    content = Path(target).read_bytes()
    if not content.startswith(b"\x7fELF\x02\x01"):
        return None  # a script, which starts the program
    try:
        interpreter = _interpreter_of(content)
    except struct.error:
        return "is damaged: its ELF header ends early"
    if not interpreter:
        return "is linked statically, so nothing can be preloaded"
    if b"ld-linux" not in interpreter:
        return None  # only glibc lists libraries without running the program
    trace = os.environ | {"LD_TRACE_LOADED_OBJECTS": "1"}
    process = subprocess.run([target], env=trace, capture_output=True, text=True, check=False)
    if "libdav1d.so" in process.stdout:
        return None
    if b"libdav1d" in content:
        return "has libdav1d linked in statically"
    return "its FFmpeg is built without libdav1d" if "libavcodec.so" in process.stdout else None


def _interpreter_of(content: bytes) -> bytes:
    """The dynamic loader that a 64-bit ELF file names, b"" for none."""
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for at in range(table, min(table + size * count, len(content) - size + 1), size or 1):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", content, at)
        if kind == _PT_INTERP:
            return content[offset : offset + length]
    return b""


def _refuse_stream(program: str, path: str) -> None:
    """Raises `UsageError` for a .gvc file, which no player opens."""
    if not path.lower().endswith(".gvc") or not os.path.isfile(path):
        return
    advice = f"gvcodec serve {quote(path)}"
    try:
        with open_stream(path) as source:
            if Reader(source, path).header.base == "av1":
                advice = f"gvcodec extract {quote(path)} {quote(path[:-4])}.mp4"
    except GvcodecError:
        pass
    raise UsageError(f"{path}: {program} does not read .gvc files: {advice}", code="input-kind")
