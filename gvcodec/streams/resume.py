"""Encoding that goes on after it was killed: what is coded lies in a journal, OUT.part, GOP by GOP.

    with Journal(path, what) as journal:
        encoder = Encoder(fmt, config, wrap=journal.wrap)

The journal is 32 bytes that say what is being encoded with which settings, then a gvcodec stream
without its end. After a restart its whole GOPs stand for the frames that they hold, which the
encoder is given again: it measures, samples and hashes them as before, only coding them is left
out.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Self

from gvcodec import layers
from gvcodec.base import BaseEncoder, Coded, CodedFrame, Drains
from gvcodec.bitstream import Kind, Packet, Salvage, SequenceHeader, Writer
from gvcodec.codec.gops import GopSource
from gvcodec.errors import DamagedStreamError, MediaError, UsageError
from gvcodec.types import Planes
from gvcodec.util.file_io import PendingFile, name_errors

try:
    import fcntl
except ImportError:  # no POSIX system
    fcntl = None  # type: ignore[assignment]

_DIGEST_BYTES = 32


class Journal:
    """OUT.part beside `path`. `what`: everything that decides about the result. Raises `UsageError`
    when a journal is there that belongs to something else, `MediaError`."""

    def __init__(self, path: str, what: object, threads: int = 0) -> None:
        if path == "-":
            raise UsageError("--resume needs an output file")
        self.path = Path(f"{path}.part")
        self._what = repr(what)
        self._threads = threads
        self._stream: BinaryIO | None = None
        self._writer: Writer | None = None
        #: Frames that were there already.
        self.frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        if self._stream is not None:
            with contextlib.suppress(OSError) if kind else name_errors(self.path):
                self._stream.close()

    def remove(self) -> None:
        """The output is complete: the journal goes."""
        self.path.unlink(missing_ok=True)

    def wrap(self, header: SequenceHeader, make: Callable[[], BaseEncoder]) -> BaseEncoder:
        """A base encoder that first gives what is in the journal and writes what it codes into
        it."""
        digest = hashlib.sha256(self._what.encode() + header.pack()).digest()
        coded = self._read(digest, header)
        self.frames = len(coded)
        with PendingFile(self.path, overwrite=True) as pending, name_errors(self.path):
            self._stream = open(pending.temporary, "wb")  # noqa: SIM115 (closed by __exit__)
            self._hold(self._stream)
            self._stream.write(digest)
            self._writer = Writer(self._stream, header)
            for frame in coded:
                self._keep(frame)
            self._stream.flush()
        return _Resumed(header, coded, make, self._keep, self._threads)

    def _hold(self, stream: BinaryIO) -> None:
        """Raises `MediaError` where another encode writes this journal, and lets no other one until
        the stream is closed."""
        if fcntl is None:
            return
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MediaError(f"{self.path}: another encode is writing it") from None
        except OSError:
            # A file system without locks.
            return

    def _read(self, digest: bytes, header: SequenceHeader) -> list[CodedFrame]:
        """Frames of the whole GOPs in the journal that can be decoded."""
        coded: list[CodedFrame] = []
        if not self.path.is_symlink() and not self.path.exists():
            return coded
        if self.path.is_symlink() or not self.path.is_file():
            raise MediaError(f"{self.path}: is a link or no regular file; remove it to begin anew")
        try:
            with open(self.path, "rb", opener=_no_link) as stream:
                self._hold(stream)
                found = stream.read(_DIGEST_BYTES)
                if len(found) == _DIGEST_BYTES and found != digest:
                    raise UsageError(
                        f"{self.path} belongs to another video or other settings; remove it to "
                        f"begin anew"
                    )
                with contextlib.suppress(DamagedStreamError):
                    salvage = Salvage(stream, str(self.path))
                    if salvage.header != header:
                        return coded
                    for gop in GopSource(header, salvage.events()):
                        packets = (packet for packet in gop.packets if packet.is_frame)
                        frames = [
                            CodedFrame(p.payload, p.kind is Kind.KEY, header.q) for p in packets
                        ]
                        if gop.damaged:
                            break
                        self._check(header, frames)
                        coded += frames
        except OSError as error:
            raise MediaError(f"{self.path}: {error.strerror}") from error
        return coded

    def _check(self, header: SequenceHeader, frames: list[CodedFrame]) -> None:
        """Raises `DamagedStreamError` unless a GOP can be decoded."""
        decoder = layers.open_decoder(header, self._threads)
        for frame in frames:
            decoder.send(frame.payload, frame.keyframe)
        decoder.flush()

    def _keep(self, frame: CodedFrame) -> None:
        if self._writer is not None and self._stream is not None:
            with name_errors(self.path):
                self._writer.write(
                    Packet(Kind.KEY if frame.keyframe else Kind.INTER, frame.payload)
                )
                if frame.keyframe:
                    # The GOP before it is whole now.
                    self._stream.flush()


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


class _Resumed:
    """Base encoder: packets from the journal while there are any, then those of a new encoder."""

    def __init__(
        self,
        header: SequenceHeader,
        coded: list[CodedFrame],
        make: Callable[[], BaseEncoder],
        keep: Callable[[CodedFrame], None],
        threads: int,
    ) -> None:
        self._coded = deque(coded)
        self._decoder = layers.open_decoder(header, threads)
        self._make, self._keep = make, keep
        self._encoder: BaseEncoder | None = None

    def send(self, planes: Planes, force_key: bool = False) -> Coded:
        if not self._coded:
            if self._encoder is None:
                self._encoder = self._make()
            return self._keep_all(self._encoder.send(planes, force_key))
        frame = self._coded.popleft()
        base_frames = self._decoder.send(frame.payload, frame.keyframe)
        if not self._coded:
            base_frames += self._decoder.flush()
        return Coded([frame], base_frames)

    def flush(self) -> Coded:
        coded = Coded()
        for part in self.drain():
            coded.add(part)
        return coded

    def drain(self) -> Iterator[Coded]:
        if self._coded:
            raise UsageError("the video is shorter than it was when encoding began")
        if isinstance(self._encoder, Drains):
            yield from map(self._keep_all, self._encoder.drain())
        elif self._encoder is not None:
            yield self._keep_all(self._encoder.flush())

    def _keep_all(self, coded: Coded) -> Coded:
        for frame in coded.packets:
            self._keep(frame)
        return coded
