"""Files and URIs behind one set of functions, by fsspec: `s3://…`, `gs://…`, `https://…`,
`memory://…`, or a path.

What is written appears whole or not at all. An error of a connection is a `ConnectionLostError`,
which a task is repeated for."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from gvcodec.errors import GvcodecError, MediaError, MissingFileError, UsageError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: What a store says of a version of a file.
_STAMPS = (
    "ETag",
    "etag",
    "md5Hash",
    "checksum",
    "mtime",
    "LastModified",
    "last_modified",
    "created",
    "updated",
)
_FOUND_BY_CONTENT = ("ETag", "etag", "md5Hash", "checksum")
_BLOCK = 1 << 20


class ConnectionLostError(MediaError):
    """A store stopped answering: the same may work a little later."""


def is_uri(path: str) -> bool:
    return bool(_SCHEME.match(path)) and not path.startswith("file://")


def in_this_process(path: str) -> bool:
    """Whether only this process sees it."""
    return path.startswith("memory://")


def local_path(path: str) -> str:
    """A path as one that does not depend on the working folder; URIs stay."""
    return path if is_uri(path) else os.path.abspath(path.removeprefix("file://"))


def joined(folder: str, *names: str) -> str:
    return "/".join([folder.rstrip("/") or "/", *names])


@contextlib.contextmanager
def reached(path: str) -> Iterator[None]:
    """What a store says inside becomes a line with this path."""
    try:
        yield
    except (GvcodecError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise MissingFileError(path) from error
    except (PermissionError, IsADirectoryError, FileExistsError, NotADirectoryError) as error:
        raise MediaError(f"{path}: {error.strerror or error}") from error
    except ImportError as error:
        raise UsageError(f"{path}: {error}".splitlines()[0]) from error
    except Exception as error:
        # Every store has errors of its own.
        if not is_uri(path) and isinstance(error, OSError):
            raise MediaError(f"{path}: {error.strerror or error}") from error
        if not is_uri(path):
            raise
        said = str(error).splitlines()[:1]
        raise ConnectionLostError(
            f"{path}: {type(error).__name__}{''.join(': ' + line for line in said)}"
        ) from error


def _system(path: str) -> tuple[Any, str]:
    import fsspec

    return fsspec.core.url_to_fs(path)  # type: ignore[no-any-return]


def stamp(path: str) -> dict[str, Any]:
    """What tells one version of a file from the next, without reading it. Raises `MediaError`."""
    with reached(path):
        if not is_uri(path):
            status = os.stat(path)
            return {"size": status.st_size, "mtime": status.st_mtime_ns}
        system, inside = _system(path)
        system.invalidate_cache()
        found = system.info(inside)
        return {"size": found.get("size")} | {
            name: str(found[name]) for name in _STAMPS if found.get(name)
        }


def content_id(path: str, known: dict[str, Any]) -> str:
    """A hash of a file's bytes, or what its store has for one (`known`: its stamp)."""
    tag = next((known[name] for name in _FOUND_BY_CONTENT if name in known), None)
    if tag is not None:
        return hashlib.sha256(f"{tag} {known['size']}".encode()).hexdigest()
    with reached(path), open_read(path) as stream:
        digest = hashlib.sha256()
        while block := stream.read(_BLOCK):
            digest.update(block)
        return digest.hexdigest()


@contextlib.contextmanager
def open_read(path: str) -> Iterator[BinaryIO]:
    """A binary file that can seek. Of a remote one only what is read comes over."""
    if not is_uri(path):
        with open(path, "rb") as stream:
            yield stream
        return
    system, inside = _system(path)
    with system.open(inside, "rb", block_size=_BLOCK) as stream:
        yield stream


@contextlib.contextmanager
def video_source(path: str) -> Iterator[str | BinaryIO]:
    """What `VideoReader` opens."""
    if not is_uri(path):
        yield path
        return
    with contextlib.ExitStack() as stack:
        with reached(path):
            stream = stack.enter_context(open_read(path))
        yield _Remote(stream, path)  # type: ignore[misc]


class _Remote:
    """A binary file under the name that messages call it by."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name, self._stream = name, stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        with reached(self.name):
            return self._stream.read(size)


def read_bytes(path: str) -> bytes | None:
    """None where there is no such file."""
    try:
        with reached(path), open_read(path) as stream:
            return stream.read()
    except MediaError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def read_json(path: str) -> Any:
    """None where there is no such file, or nothing that makes sense."""
    with contextlib.suppress(ValueError):
        return json.loads(read_bytes(path) or b"null")
    return None


def size_of(path: str) -> int | None:
    """Bytes of a file, None where there is none."""
    try:
        size = stamp(path)["size"]
    except ConnectionLostError:
        raise
    except MediaError:
        return None
    return None if size is None else int(size)


def write_bytes(path: str, data: bytes) -> None:
    """Appears whole. Raises `MediaError`."""
    with write_whole(path) as stream, reached(path):
        stream.write(data)


def write_json(path: str, value: Any) -> None:
    write_bytes(path, json.dumps(value, ensure_ascii=False, indent=1).encode())


@contextlib.contextmanager
def write_whole(path: str) -> Iterator[BinaryIO]:
    """A binary file to write, which appears under its name, in place of what was there, when the
    block ends well."""
    if is_uri(path):
        with tempfile.TemporaryFile() as spool:
            yield spool  # type: ignore[misc]
            spool.seek(0)
            with reached(path):
                _upload(spool, path)
        return
    place = Path(path)
    temporary = place.with_name(f".{place.name[-40:]}.{secrets.token_hex(6)}.part")
    with reached(path):
        place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with reached(path), open(temporary, "wb") as stream:
            yield stream
        with reached(path):
            os.replace(temporary, place)
    finally:
        temporary.unlink(missing_ok=True)


def _upload(spool: IO[bytes], path: str) -> None:
    """Stores show an object once it is closed; where writing breaks off, a transaction drops it."""
    system, inside = _system(path)
    with system.transaction, system.open(inside, "wb") as stream:
        shutil.copyfileobj(spool, stream, _BLOCK)


def remove_folder(path: str) -> None:
    """A folder and all in it, if it is there."""
    with contextlib.suppress(FileNotFoundError), reached(path):
        system, inside = _system(path)
        if system.exists(inside):
            system.rm(inside, recursive=True)


def names_in(folder: str) -> list[str]:
    """Names of the files in a folder; none where there is no such folder."""
    try:
        with reached(folder):
            if not is_uri(folder):
                return sorted(os.listdir(folder))
            system, inside = _system(folder)
            system.invalidate_cache()
            return sorted(
                str(path).rstrip("/").rsplit("/", 1)[-1] for path in system.ls(inside, detail=False)
            )
    except ConnectionLostError:
        raise
    except MediaError:
        return []


def expand(path: str) -> list[str]:
    """The files that a file, folder or glob stands for, in order. A folder: all in it and below,
    hidden ones left out."""
    if is_uri(path):
        return _expand_uri(path)
    path = local_path(path)
    if os.path.exists(path):
        return _below(path) if os.path.isdir(path) else [path]
    return sorted(found for found in glob.glob(path, recursive=True) if os.path.isfile(found))


def _below(folder: str) -> list[str]:
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [os.path.join(place, name) for name in files if not name.startswith(".")]
    return sorted(found)


def _expand_uri(path: str) -> list[str]:
    with reached(path):
        system, inside = _system(path)
        if glob.has_magic(inside):
            found = system.glob(inside)
        elif system.isdir(inside):
            found = system.find(inside)
        else:
            return [path]
        return sorted(
            system.unstrip_protocol(name)
            for name in found
            if not name.rsplit("/", 1)[-1].startswith(".")
        )
