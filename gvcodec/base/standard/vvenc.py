"""VVenC, an encoder of H.266, through a program `ffmpeg` that holds it (PyAV's own FFmpeg decodes
H.266 but has no encoder).

Every GOP is coded by a process of its own, so keyframes come where they are wanted and nothing
reaches across them. Access units leave on a fixed schedule, a number of frames after they were
sent, so what a caller gets does not depend on the speed of the machine.
"""

from __future__ import annotations

import functools
import os
import queue
import subprocess
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import IO, NoReturn

import av

from gvcodec.errors import MediaError, UsageError
from gvcodec.types import Colour, Planes
from gvcodec.util.programs import find_program
from gvcodec.util.signals import OnAbort, defer_signals

FFMPEG_VARIABLE = "GVCODEC_FFMPEG"
#: VVenC lets the first access unit go with the 45th frame; what it holds back does not grow after
#: that.
_DELAY = 64
_LIBRARY = "libvvenc"
#: Seconds that the program has to say what is wrong.
_PATIENCE = 5


def find_ffmpeg(kind: str = "encoder", name: str = _LIBRARY) -> str:
    """The program: $GVCODEC_FFMPEG, the one that `imageio-ffmpeg` carries, or `ffmpeg`. `kind` is
    encoder or filter. Raises `UsageError` where none holds VVenC, or what else is named."""
    named = os.environ.get(FFMPEG_VARIABLE)
    for program in [named] if named else [_find_carried(), "ffmpeg"]:
        program = find_program(program) if program else None
        if program and _holds(program, kind, name):
            return program
    if named:
        raise UsageError(f"{named} has no {kind} {name}")
    what = "H.266 is encoded" if name == _LIBRARY else f"{name} is done"
    raise UsageError(
        f"{what} by an ffmpeg with {name}: pip install 'gvcodec[vvc]', or name one in "
        f"${FFMPEG_VARIABLE}"
    )


def _find_carried() -> str | None:
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        return None


@functools.cache
def _holds(program: str, kind: str, name: str) -> bool:
    try:
        listed = subprocess.run(
            [program, "-hide_banner", f"-{kind}s"], capture_output=True, text=True, check=False
        )
    except OSError:
        return False
    return f" {name} " in listed.stdout


class VvcEncoder:
    """Planes in, access units in Annex B form out, in decode order, each with whether it is a
    keyframe: the first of a GOP, shown after up to 31 others that need it.

        encoder = VvcEncoder(width, height, rate, colour, words)
        units = encoder.encode(planes, key=True)
        units += encoder.encode(None)  # the rest

    `words`: options of `libvvenc` for ffmpeg. Raises `MediaError` when the program fails."""

    def __init__(
        self, width: int, height: int, rate: Fraction, colour: Colour, words: Sequence[str]
    ) -> None:
        tags = zip(
            ("color_range", "colorspace", "color_primaries", "color_trc"),
            (2 if colour.full_range else 1, colour.matrix, colour.primaries, colour.transfer),
            strict=True,
        )
        self._command = [
            *(
                find_ffmpeg(),
                "-v",
                "error",
                "-probesize",
                "32",
                "-analyzeduration",
                "0",
                "-f",
                "rawvideo",
            ),
            *("-pix_fmt", "yuv420p10le", "-s", f"{width}x{height}", "-r", str(rate)),
            # Tags of the input: as tags of the output they would make ffmpeg convert.
            *(word for name, code in tags for word in (f"-{name}", str(code))),
            *("-i", "pipe:0", "-c:v", _LIBRARY, *words),
            *("-flush_packets", "1", "-f", "vvc", "pipe:1"),
        ]
        self._gop: _Gop | None = None

    def encode(self, planes: Planes | None, key: bool = False) -> list[tuple[bytes, bool]]:
        """Take the next frame (10 bits); `key` begins a GOP. None: release everything."""
        units: list[tuple[bytes, bool]] = []
        if key or planes is None:
            units += self.rest()
        if planes is not None:
            if self._gop is None:
                self._gop = _Gop(self._command)
            units += self._gop.send(planes)
        return units

    def rest(self) -> Iterator[tuple[bytes, bool]]:
        """The units that are not out yet, each as soon as it is coded."""
        if self._gop is not None:
            yield from self._gop.finish()
            self._gop = None


class _Gop:
    def __init__(self, command: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        try:
            with defer_signals():
                self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
                self._abort = OnAbort(self._process.kill)
        except OSError as error:
            raise MediaError(f"{command[0]}: cannot be run: {error.strerror}") from error
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._input = self._process.stdin
        self._units: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._said = bytearray()
        self._threads = [
            threading.Thread(
                target=_collect, args=(self._process.stdout, self._units), daemon=True
            ),
            threading.Thread(target=_listen, args=(self._process.stderr, self._said), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._sent = self._received = 0

    def send(self, planes: Planes) -> list[tuple[bytes, bool]]:
        try:
            for plane in planes:
                self._input.write(plane.astype("<u2", copy=False).tobytes())
            self._input.flush()
        except OSError:
            self._fail()
        self._sent += 1
        return [self._next()] if self._sent > _DELAY else []

    def finish(self) -> Iterator[tuple[bytes, bool]]:
        try:
            self._input.close()
        except OSError:
            self._fail()
        while self._received < self._sent:
            yield self._next()
        if self._units.get() is not None or self._process.wait():
            self._fail()
        self._close()

    def _next(self) -> tuple[bytes, bool]:
        unit = self._units.get()
        if unit is None:
            self._fail()
        self._received += 1
        return unit, self._received == 1

    def _fail(self) -> NoReturn:
        # It is about to end by itself; what it says should arrive.
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()
        said = self._said.decode(errors="replace").strip().splitlines()
        raise MediaError(f"ffmpeg with {_LIBRARY} failed: {said[-1] if said else 'no message'}")

    def _close(self) -> None:
        self._abort.cancel()
        for thread in self._threads:
            thread.join()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    def __del__(self) -> None:
        # A caller that gives up leaves no process running.
        if (process := getattr(self, "_process", None)) is not None and process.poll() is None:
            self._abort.cancel()
            process.kill()
            process.wait()


def _collect(stream: IO[bytes], units: queue.SimpleQueue[bytes | None]) -> None:
    """Access units of a stream, then None."""
    parser = av.CodecContext.create("vvc", "r")
    while data := os.read(stream.fileno(), 1 << 16):
        for packet in parser.parse(data):
            units.put(bytes(packet))
    for packet in parser.parse(b""):
        units.put(bytes(packet))
    units.put(None)


def _listen(stream: IO[bytes], said: bytearray) -> None:
    """The end of what the program says of errors."""
    while data := os.read(stream.fileno(), 1 << 12):
        said += data
        del said[: -(1 << 12)]
