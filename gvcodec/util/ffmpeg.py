"""The program `ffmpeg`: its choice, its encoders, and a process of it.

    process = Process(find_ffmpeg("libx264"), ["-i", "pipe:0", …, "out.mp4"], "libx264")
    process.write(data)
    process.finish()

It is $GVCODEC_FFMPEG, the program of `imageio-ffmpeg`, or `ffmpeg` on $PATH."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import IO, NoReturn

from gvcodec.errors import MediaError, UsageError
from gvcodec.util.process import leave_realtime
from gvcodec.util.programs import find_program
from gvcodec.util.signals import OnAbort, defer_signals

FFMPEG_VARIABLE = "GVCODEC_FFMPEG"
VVENC, SVT = "libvvenc", "libsvtav1"
Version = tuple[int, ...]
_NAMED_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-(\d+)-g)?")
#: Seconds that a failing process has for its error message.
_PATIENCE = 5
#: Bytes of its messages that are kept.
_MESSAGES = 1 << 12
#: How FFmpeg begins a message: "[libx264 @ 0x5581c0] ".
_PLACE = re.compile(r"^(\[[^]]*\] |Svt\[error\]: )+")


def find_ffmpeg(name: str, kind: str = "encoder") -> str:
    """Path of the first program that holds an encoder or a filter of this name. Raises
    `UsageError`."""
    for program in _candidates():
        if holds(program, kind, name):
            return program
    if chosen := os.environ.get(FFMPEG_VARIABLE):
        raise UsageError(f"{chosen} has no {kind} {name}", code="package-missing")
    what = "H.266 is encoded" if name == VVENC else f"{name} is done"
    raise UsageError(
        f"{what} by an ffmpeg with {name}: pip install imageio-ffmpeg, or name one in "
        f"${FFMPEG_VARIABLE}"
    )


@functools.cache
def holds(program: str, kind: str, name: str) -> bool:
    """Whether a program lists an "encoder" or a "filter" of this name."""
    lines = run_ffmpeg(program, f"-{kind}s").stdout.splitlines()
    return any(line.split()[1:2] == [name] for line in lines)


def raw_input(width: int, height: int, rate: Fraction, bit_depth: int) -> list[str]:
    """Words before `-i` for planar 4:2:0 of 8 or 10 bits, as `planes.samples_of` gives it."""
    layout = "yuv420p" if bit_depth == 8 else "yuv420p10le"
    return [
        *("-probesize", "32", "-analyzeduration", "0"),
        *("-f", "rawvideo", "-pix_fmt", layout, "-s", f"{width}x{height}", "-r", str(rate)),
    ]


@functools.cache
def svt_version(program: str) -> Version:
    """Version of the SVT-AV1 in a program: major, minor, patch, commits since; empty = unknown. It
    prints its version when it starts: one picture is coded."""
    picture = ("-f", "lavfi", "-i", "color=s=64x64:r=1:d=1")
    ended = run_ffmpeg(program, *picture, "-c:v", SVT, "-preset", "10", "-f", "null", "-")
    _, banner, text = ended.stderr.partition("SVT-AV1 Encoder Lib")
    match = _NAMED_VERSION.search(text) if banner and ended.returncode == 0 else None
    return tuple(int(part) for part in match.groups("0")) if match else ()


def run_ffmpeg(program: str, *words: str, log: str = "3") -> subprocess.CompletedProcess[str]:
    """The output of a program; `log`: how much of it SVT-AV1, 1 = errors."""
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


def first_error(messages: str) -> str:
    """The first line of FFmpeg's messages, without the place that it names; "" without any."""
    lines = messages.strip().splitlines()
    return _PLACE.sub("", lines[0]) if lines else ""


class Process:
    """A run of `program` that gets data by a pipe. `output`: its output on `pipe:1`, where
    `reads`. `what` names it in messages. Raises `MediaError` when it fails."""

    def __init__(
        self, program: str, words: Sequence[str], what: str, *, reads: bool = False
    ) -> None:
        self._what = what
        try:
            with defer_signals():
                self._process = subprocess.Popen(
                    [program, "-hide_banner", "-v", "error", *words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE if reads else subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    env=os.environ | {"SVT_LOG": "0"},
                )
                self._abort = OnAbort(self._process.kill)
        except OSError as error:
            raise MediaError(f"{program}: cannot be run: {error.strerror}") from error
        assert self._process.stdin is not None and self._process.stderr is not None
        self._input, self._errors = self._process.stdin, self._process.stderr
        self.output: IO[bytes] | None = self._process.stdout
        self._messages = bytearray()
        self._listener = threading.Thread(
            target=_listen, args=(self._errors, self._messages), daemon=True
        )
        self._listener.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def write(self, data: bytes) -> None:
        try:
            self._input.write(data)
        except OSError:
            self.fail()

    def flush(self) -> None:
        """Wait until everything written has arrived."""
        try:
            self._input.flush()
        except OSError:
            self.fail()
        # Threads of encoders begin with any of the first frames.
        leave_realtime(self.pid)

    def close_input(self) -> None:
        try:
            self._input.close()
        except OSError:
            self.fail()

    def finish(self) -> str:
        """Wait for its end, after all its output is read. Gives the first error that it went over,
        "" without any."""
        self.close_input()
        if self._process.wait():
            self.fail()
        self._close()
        return first_error(self._messages.decode(errors="replace"))

    def fail(self) -> NoReturn:
        """It is about to end by itself: its last output should arrive."""
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()
        message = first_error(self._messages.decode(errors="replace")) or "no message"
        raise MediaError(f"ffmpeg with {self._what} failed: {message}")

    def kill(self) -> None:
        """End it; nothing of its output counts."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._abort.cancel()

    def _close(self) -> None:
        self._abort.cancel()
        self._listener.join()
        self._errors.close()

    def __del__(self) -> None:
        # A caller that gives up leaves no process running.
        if getattr(self, "_process", None) is not None and self._process.poll() is None:
            self.kill()


def _listen(stream: IO[bytes], messages: bytearray) -> None:
    """The end of the program's error output. Knows nothing of its `Process`, which may go."""
    while data := os.read(stream.fileno(), _MESSAGES):
        messages += data
        del messages[:-_MESSAGES]


def _candidates() -> Iterator[str]:
    chosen = os.environ.get(FFMPEG_VARIABLE)
    for program in [chosen] if chosen else [_find_carried(), "ffmpeg"]:
        if program and (path := find_program(program)):
            yield path


def _find_carried() -> str | None:
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        return None
