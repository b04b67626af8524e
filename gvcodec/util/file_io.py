"""Inputs and outputs: "-" for pipes, file objects of callers, outputs that appear whole or not at
all."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import select
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, cast

from gvcodec.errors import MediaError, MissingFileError, OutputError, UsageError
from gvcodec.util.signals import OnAbort, defer_signals
from gvcodec.util.uris import BLOCK, absolute_path, file_system_of, is_uri, local_path, open_read
from gvcodec.util.uris import name_errors as name_store_errors

_STDIN, _STDOUT = 0, 1
#: Seconds to wait for a full pipe that has no number.
_PAUSE = 0.01
#: Characters of a name that its temporary file takes over: a name may have 255 bytes in all.
_LONG = 32
#: Endings of streams.
STREAMS = (".gvc", ".bin")


def display_name(path: str) -> str:
    """How messages call an input."""
    return "standard input" if path == "-" else path


@contextlib.contextmanager
def open_input(path: str) -> Iterator[BinaryIO]:
    """A file to read, "-" is standard input."""
    if path == "-":
        yield _standard_stream(sys.stdin, "input")
        return
    with open_read(path if is_uri(path) else local_path(path)) as stream:
        yield stream


def _standard_stream(stream: Any, name: str) -> BinaryIO:
    """The bytes of `sys.stdin` or `sys.stdout`. Raises `UsageError` in programs without a console,
    and in notebooks, where these hold text."""
    if getattr(stream, "buffer", None) is None:
        raise UsageError(
            f"this program has no standard {name} for bytes: name a file", code="input-kind"
        )
    return cast(BinaryIO, stream.buffer)


@contextlib.contextmanager
def open_output(path: str, overwrite: bool) -> Iterator[BinaryIO]:
    """A stream to write, whole or absent. Raises `UsageError` for an ending of other files."""
    refuse_folder(path)
    suffix = Path(path.partition("?")[0] if is_uri(path) else path).suffix
    if suffix and suffix.lower() not in STREAMS and not _is_device(path):
        raise UsageError(
            f"{path}: a stream ends in .gvc, or in .mp4, .mkv or .webm to play everywhere, "
            f"not in {suffix}; gvcodec decode writes other formats",
            code="output-name",
        )
    if path == "-":
        output = _standard_stream(sys.stdout, "output")
        if output.isatty():
            raise UsageError(
                "cannot write a stream to a terminal: redirect standard output or name a file",
                code="output-name",
            )
        refuse_input(path)
        with name_errors("standard output"):
            yield output
            output.flush()
        return
    with _open_pending(path, overwrite) as stream:
        yield stream


def _is_device(path: str) -> bool:
    """Whether a path is there, as neither a file nor a folder: a device, a pipe."""
    try:
        return not stat.S_IFMT(os.stat(path).st_mode) in (stat.S_IFREG, stat.S_IFDIR)
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def name_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors of the system get this name, except for a reader that has gone."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is not None:
            raise
        raise OutputError.of(path, error) from error


#: By device and number of a file, how users call it: a name for each block that protects it.
_inputs: dict[tuple[int, int], list[str]] = {}
_inputs_lock = threading.Lock()


@contextlib.contextmanager
def protect_inputs(inputs: Iterable[str], status: os.stat_result | None = None) -> Iterator[None]:
    """While the block runs no output of any thread replaces one of these files, not even through a
    link. Of an archive in a URI (`zip://in.mp4::a.zip`) that is the archive. `status`: of the only
    input, where that is known."""
    protected = []
    for name in inputs:
        with contextlib.suppress(OSError, ValueError):
            path = absolute_path(local_path(name.rsplit("::", 1)[-1] if is_uri(name) else name))
            facts = status or os.stat(_STDIN if name == "-" else path)
            if stat.S_ISREG(facts.st_mode):
                protected.append(((facts.st_dev, facts.st_ino), display_name(name)))
    with _inputs_lock:
        for file, name in protected:
            _inputs.setdefault(file, []).append(name)
    try:
        yield
    finally:
        with _inputs_lock:
            for file, name in protected:
                _inputs[file].remove(name)
                if not _inputs[file]:
                    del _inputs[file]


def refuse_input(path: str | os.PathLike[str]) -> None:
    """Raises `MediaError` where `path`, "-" is standard output, is one of the inputs."""
    with contextlib.suppress(OSError, ValueError):
        status = os.stat(_STDOUT if path == "-" else path)
        with _inputs_lock:
            names = _inputs.get((status.st_dev, status.st_ino), ())
            name = names[-1] if names else None
        if name is not None:
            output = "standard output" if path == "-" else str(path)
            which = "the input" if name == output else f"the input {name}"
            raise MediaError(f"{output}: is {which}, nothing was written", code="input-is-output")


def require_inputs(names: Iterable[str]) -> None:
    """Raises `MissingFileError` for the first name of a local file that is not there. Patterns of
    numbered pictures, globs, FILE@TIME and URIs are left to whoever reads them."""
    for name in names:
        is_plain = name != "-" and not is_uri(name) and not set(name) & set("%*?[@")
        if is_plain and not os.path.lexists(local_path(name)):
            raise MissingFileError(local_path(name))


def refuse_folder(path: str | os.PathLike[str]) -> None:
    """Raises `MediaError` where `path`, of a file to write, names a folder by how it ends."""
    if os.path.basename(text := os.fspath(path)) in ("", os.curdir, os.pardir):
        problem = "is a folder" if os.path.isdir(text) else "names a folder, and there is none"
        raise MediaError(f"{text}: {problem}", code="file-folder")


def _resolve_output(path: str | os.PathLike[str]) -> Path:
    """The absolute path, without links, of the file that the system writes for `path`, which need
    not exist; its folder has to. Raises `OSError`."""
    folder, name = os.path.split(path)
    return Path(os.path.realpath(os.path.join(os.path.realpath(folder, strict=True), name)))


def spool_stream(stream: BinaryIO) -> BinaryIO:
    """A seekable stream: the data of a pipe is in a temporary file."""
    if stream.seekable():
        return stream
    spool: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 (whoever reads it lets go of it)
    shutil.copyfileobj(stream, spool)
    spool.seek(0)
    return spool


class Readable(Protocol):
    """The methods that a file object must have."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...


class BorrowedFile(io.RawIOBase):
    """Somebody else's file object, never closed. Raises `UsageError` where it gives no bytes."""

    def __init__(self, source: Readable) -> None:
        _check_object(source, ("read", "seek"), "a stream")
        self._source = source

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(getattr(self._source, "seekable", lambda: True)())

    def seek(self, offset: int, whence: int = 0, /) -> int:
        place: int | None = self._source.seek(offset, whence)
        if place is None:
            # A memory-mapped file, before Python 3.13.
            return int(cast(BinaryIO, self._source).tell())
        return place

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self._source.read(len(buffer))
        if not isinstance(data, bytes | bytearray | memoryview) or len(data) > len(buffer):
            raise UsageError(
                "a file object has to give bytes, as many as asked for at most", code="input-kind"
            )
        buffer[: len(data)] = data
        return len(data)


def check_source(source: object, what: str) -> None:
    """Raises `UsageError` for objects that are neither a path nor an open binary file. `what`: its
    name in the message."""
    if isinstance(source, str | os.PathLike):
        return
    if isinstance(source, bytes | bytearray | memoryview):
        raise UsageError(
            f"{what} is a path or an open file, not bytes: io.BytesIO makes one", code="input-kind"
        )
    _check_object(source, ("read", "seek", "tell"), what)


def wrap_output(output: object) -> BinaryIO:
    """An open binary file whose `write` writes everything. Raises `UsageError`."""
    _check_object(output, ("write",), "an output")
    return cast(BinaryIO, _FullWriter(output))


def _check_object(value: object, methods: tuple[str, ...], what: str) -> None:
    missing = [name for name in methods if not callable(getattr(value, name, None))]
    if missing:
        raise UsageError(
            f"{what} is a path or an open binary file, not {type(value).__name__} "
            f"(without {' and '.join(missing)})",
            code="input-kind",
        )
    if isinstance(value, io.TextIOBase):
        raise UsageError(f"{what} is open as text: open it in binary mode", code="input-kind")
    if getattr(value, "closed", False):
        raise UsageError(f"{what} is closed", code="input-kind")


#: Errors of a full disk, a quota that is used up, and a file that is as large as it may be.
_NO_ROOM = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


class _FullWriter:
    """A raw file may take a part, and a pipe that does not block nothing for a while."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._raw = isinstance(stream, io.RawIOBase)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        view = memoryview(data).cast("B")
        remaining = view
        while remaining:
            try:
                # Many an object that is no raw file says nothing.
                count = self._stream.write(remaining if len(remaining) < len(view) else data)
                count = (0 if self._raw else len(remaining)) if count is None else count
            except BlockingIOError as error:
                count = error.characters_written
            except OSError as error:
                self._name_full_disk(error)
                raise
            remaining = remaining[count:]
            if remaining and not count:
                self._wait()
        return len(view)

    def flush(self) -> None:
        while flush := getattr(self._stream, "flush", None):
            try:
                flush()
                return
            except BlockingIOError:
                self._wait()
            except OSError as error:
                self._name_full_disk(error)
                raise

    def _name_full_disk(self, error: OSError) -> None:
        """Raises `MediaError` where there is no room; other errors are the caller's."""
        if error.errno in _NO_ROOM:
            name = name_of(self._stream)
            raise OutputError.of(name, error) from error

    def _wait(self) -> None:
        try:
            select.select([], [self._stream.fileno()], [], 1)
        except (AttributeError, OSError, ValueError):
            time.sleep(_PAUSE)


class PendingFile:
    """A temporary file next to `path`: takes its place when the `with` block ends well, is removed
    when it does not.

    `temporary` is the absolute path to write to (it exists, empty, with the extension of `path`).
    Links are followed: the file that they lead to is replaced, with its permissions. Pipes and
    devices are written to directly. Raises `MediaError` when the folder cannot be written, when
    `path` is an input, or exists, now or at the end, and `overwrite` is false.
    """

    def __init__(self, path: str | os.PathLike[str], overwrite: bool) -> None:
        self.path = Path(path)
        self._overwrite = overwrite
        self._abort: OnAbort | None = None
        if is_uri(os.fspath(path)):
            raise UsageError(
                f"{path}: the output must be a local file, not a URI", code="output-name"
            )
        refuse_input(path)
        try:
            refuse_folder(path)
            #: The stamp of the present file, None = no file.
            self._old = self.path.stat() if self.path.exists() else None
            self.temporary = self.path.absolute()
            if self._old is None or self._replaces(self._old):
                self._target = _resolve_output(path)
                refuse_input(self._target)
                with defer_signals():
                    self.temporary = self._create(self._old)
                    self._abort = OnAbort(partial(self.temporary.unlink, missing_ok=True))
        except OSError as error:
            raise OutputError.of(path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: BaseException | None, trace: object) -> None:
        try:
            if kind is None and self._abort is not None:
                self._commit()
        except FileExistsError as error:
            raise MediaError(
                f"{self.path}: was created meanwhile (-y overwrites)", code="file-exists"
            ) from error
        except OSError as error:
            raise OutputError.of(self.path, error) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the temporary file, if there still is one."""
        if self._abort is not None:
            self.temporary.unlink(missing_ok=True)
            self._abort.cancel()
            self._abort = None

    def _replaces(self, old: os.stat_result) -> bool:
        """Whether a file is replaced; a pipe or a device is written to."""
        if stat.S_ISDIR(old.st_mode):
            raise OutputError(f"{self.path}: is a folder")
        if stat.S_ISFIFO(old.st_mode) or stat.S_ISCHR(old.st_mode):
            return False
        if not stat.S_ISREG(old.st_mode):
            raise OutputError(f"{self.path}: is not a regular file")
        if not self._overwrite:
            raise MediaError(f"{self.path}: exists already (-y overwrites)", code="file-exists")
        return True

    def _create(self, old: os.stat_result | None) -> Path:
        """An empty file next to the target, readable at most by users who may read the target."""
        suffix = self._target.suffix if len(self._target.suffix) < _LONG else ""
        name = f".{self._target.stem[:_LONG]}.{os.urandom(6).hex()}{suffix}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
        mode = 0o666 if old is None else stat.S_IMODE(old.st_mode) & 0o666 | stat.S_IWUSR
        path = self._target.with_name(name)
        os.close(os.open(path, flags, mode))
        return path

    def _commit(self) -> None:
        if self._overwrite:
            if self._old is not None:
                with contextlib.suppress(OSError, AttributeError):
                    os.chown(self.temporary, self._old.st_uid, self._old.st_gid)
                self.temporary.chmod(stat.S_IMODE(self._old.st_mode))
            self.temporary.replace(self._target)
            return
        try:
            os.link(self.temporary, self._target)
        except FileExistsError:
            raise
        except OSError:
            # A file system without hard links: claim the name, then fill it.
            with open(self._target, "xb"):
                pass
            try:
                self.temporary.replace(self._target)
            except OSError:
                self._target.unlink(missing_ok=True)
                raise


@contextlib.contextmanager
def write_atomically(path: str, root: str = "") -> Iterator[BinaryIO]:
    """A binary file at a path or URI to write, which takes its place when the block ends well.
    Missing folders are created, except `root`, if named, which has to exist. Raises `OutputError`,
    of a URI `MediaError`."""
    if is_uri(path):
        with tempfile.TemporaryFile() as spool:
            yield spool  # type: ignore[misc]
            spool.seek(0)
            with name_store_errors(path):
                # Stores show an object once it is closed; where writing breaks off, a transaction
                # drops it.
                system, inside = file_system_of(path)
                with system.transaction, system.open(inside, "wb") as stream:
                    shutil.copyfileobj(spool, stream, BLOCK)
        return
    _make_folders(path, root)
    with _open_pending(path, overwrite=True) as stream:
        yield stream


def copy_time(source: str, output: str) -> None:
    """Give a file that was made of another one the modification time of that; nothing if one of
    them is no file of this machine, or where the file system does not allow it."""
    if "-" not in (source, output):
        with contextlib.suppress(OSError, ValueError):
            set_time(output, os.stat(local_path(source)))


def set_time(output: str, source: os.stat_result) -> None:
    """The same where the `source` is known."""
    output = local_path(output)
    with contextlib.suppress(OSError, ValueError):
        status = os.stat(output)
        if output != "-" and stat.S_ISREG(status.st_mode) and stat.S_ISREG(source.st_mode):
            os.utime(output, ns=(status.st_atime_ns, source.st_mtime_ns))


def _make_folders(path: str, root: str) -> None:
    folder = Path(path).parent
    try:
        if not root:
            folder.mkdir(parents=True, exist_ok=True)
            return
        names = folder.relative_to(root).parts
        for depth in range(len(names)):
            Path(root, *names[: depth + 1]).mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError.of(path, error) from error


@contextlib.contextmanager
def _open_pending(path: str, overwrite: bool) -> Iterator[BinaryIO]:
    with PendingFile(path, overwrite) as file, name_errors(path), open(file.temporary, "wb") as to:
        yield to


def write_bytes(path: str, data: bytes, root: str = "") -> None:
    """Appears whole. `root` and errors as of `write_atomically`."""
    with write_atomically(path, root) as stream:
        stream.write(data)


def write_json(path: str, value: Any, root: str = "") -> None:
    # In ASCII: names of files need not be UTF-8.
    write_bytes(path, json.dumps(value, indent=1).encode(), root)


@contextlib.contextmanager
def work_folder(prefix: str = "gvcodec-", beside: Path | None = None) -> Iterator[str]:
    """A new folder, in `beside` or among temporary files, that is gone afterwards."""
    with defer_signals():
        folder = tempfile.mkdtemp(prefix=prefix, dir=beside)
        undo = OnAbort(partial(shutil.rmtree, folder, ignore_errors=True))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        undo.cancel()


@contextlib.contextmanager
def open_rereadable(source: str | os.PathLike[str] | BinaryIO) -> Iterator[str]:
    """A file that can be read again: pipes and file objects go to a temporary one first."""
    check_source(source, "a video")
    name = as_name(source)
    if name is not None and name != "-" and not _is_pipe(name):
        yield name
        return
    source_stream = contextlib.nullcontext(source) if name is None else open_input(name)
    with work_folder() as folder, source_stream as stream:
        path = os.path.join(folder, os.path.basename(name or "").strip("-") or "input")
        with name_errors(path), open(path, "wb") as spool:
            shutil.copyfileobj(stream, spool)  # type: ignore[arg-type]
        yield path


def _is_pipe(name: str) -> bool:
    """Whether the file of this name can be read only once."""
    try:
        kind = os.stat(local_path(name)).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))


def as_name(source: object) -> str | None:
    """The path as a string; None for objects without one."""
    return os.fsdecode(source) if isinstance(source, str | os.PathLike) else None


def name_of(source: object) -> str:
    """How messages call an input."""
    name = as_name(source) or getattr(source, "name", None)
    return display_name(name) if isinstance(name, str) else "stream"
