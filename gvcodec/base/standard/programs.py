"""Programs `ffmpeg` that hold encoders, and which SVT-AV1 codes: the newest of PyAV's own and of
these programs.

One release of SVT-AV1 differs much from the next: with tools for screens, 4.1 takes three times as
long as 4.2 at 1080p (docs/results.md). PyAV's wheel carries one version, `imageio-ffmpeg` another.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av

from gvcodec.errors import UsageError
from gvcodec.util.programs import find_program

FFMPEG_VARIABLE = "GVCODEC_FFMPEG"
VVENC, SVT = "libvvenc", "libsvtav1"
Version = tuple[int, ...]
_NAMED_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-(\d+)-g)?")


def find_ffmpeg(kind: str = "encoder", name: str = VVENC) -> str:
    """The program: $GVCODEC_FFMPEG, the one that `imageio-ffmpeg` carries, or `ffmpeg`. `kind` is
    encoder or filter. Raises `UsageError` where none holds VVenC, or what else is named."""
    for program in _candidates():
        if _holds(program, kind, name):
            return program
    if named := os.environ.get(FFMPEG_VARIABLE):
        raise UsageError(f"{named} has no {kind} {name}")
    what = "H.266 is encoded" if name == VVENC else f"{name} is done"
    raise UsageError(
        f"{what} by an ffmpeg with {name}: pip install imageio-ffmpeg, or name one in "
        f"${FFMPEG_VARIABLE}"
    )


def newest_svt() -> tuple[str | None, Version]:
    """The program that holds a newer SVT-AV1 than PyAV does, None = there is none; and the version
    that codes: major, minor, patch, commits since; empty = unknown."""
    program, version = None, pyav_svt_version()
    for candidate in _candidates():
        found = _svt_version(candidate)
        if found > version:
            program, version = candidate, found
    return program, version


def _candidates() -> Iterator[str]:
    named = os.environ.get(FFMPEG_VARIABLE)
    for program in [named] if named else [_find_carried(), "ffmpeg"]:
        if program and (path := find_program(program)):
            yield path


def _find_carried() -> str | None:
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


@functools.cache
def _holds(program: str, kind: str, name: str) -> bool:
    return f" {name} " in run_program(program, f"-{kind}s").stdout


@functools.cache
def _svt_version(program: str) -> Version:
    """By coding one picture: SVT-AV1 prints its version when it starts."""
    picture = ("-f", "lavfi", "-i", "color=s=64x64:r=1:d=1")
    ended = run_program(program, *picture, "-c:v", SVT, "-preset", "10", "-f", "null", "-")
    _, named, text = ended.stderr.partition("SVT-AV1 Encoder Lib")
    return _parse_version(text) if named and ended.returncode == 0 else ()


def run_program(program: str, *words: str, log: str = "3") -> subprocess.CompletedProcess[str]:
    """What a program says; `log`: how much of it SVT-AV1, 1 = errors."""
    command = [program, "-nostdin", "-hide_banner", *words]
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            errors="replace",
            env=os.environ | {"SVT_LOG": log},
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


@functools.cache
def pyav_svt_version() -> Version:
    """Version of the SVT-AV1 that PyAV's wheel brings; empty where the library is not found."""
    package = Path(av.__file__).parent
    for path in (*package.parent.glob("av.libs/*SvtAv1Enc*"), *package.glob(".dylibs/*SvtAv1Enc*")):
        try:
            tell = ctypes.CDLL(str(path)).svt_av1_get_version
        except (OSError, AttributeError):
            continue
        tell.restype = ctypes.c_char_p
        return _parse_version(tell().decode(errors="replace"))
    return ()


def _parse_version(text: str) -> Version:
    found = _NAMED_VERSION.search(text)
    return tuple(int(part) for part in found.groups("0")) if found else ()
