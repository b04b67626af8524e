"""Files and URIs through one set of functions, by fsspec: `s3://…`, `https://…`, `memory://…`, or a
path. `file_io` writes them.

A store's errors become one line with the path; where it stops answering that is a
`ConnectionLostError`, which a task is repeated for."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import json
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import unquote

from gvcodec.errors import GvcodecError, MediaError, MissingFileError, UsageError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: Names of this machine's file system among fsspec's.
_LOCAL = ("file://", "local://")
#: Bytes that are read of a URI at once.
BLOCK = 1 << 20
#: Fields by which stores identify a version of a file.
_CONTENT_TAGS = ("ETag", "etag", "md5Hash", "checksum")
_STAMPS = (*_CONTENT_TAGS, "mtime", "LastModified", "last_modified", "created", "updated")


class ConnectionLostError(MediaError):
    """A store stopped answering: the same may work a little later."""

    default_code = "store-lost"


def is_uri(path: str) -> bool:
    """Whether fsspec opens it: `s3://…`, `https://…`, not a file of this machine."""
    return bool(_SCHEME.match(path)) and not path.startswith(_LOCAL)


def local_path(path: str) -> str:
    """The path of a `file://` URI; other paths stay."""
    prefix = next((prefix for prefix in _LOCAL if path.startswith(prefix)), None)
    if prefix is None:
        return path
    return unquote(path.removeprefix(prefix + "localhost").removeprefix(prefix))


def absolute_path(path: str) -> str:
    """An absolute path of the file that the system opens for `path`.

    `a/../b` lies next to the folder that a link `a` leads to, and nowhere if there is no folder
    `a`: such a path stays as it is, and so does a file's with a slash at its end. Raises
    `MissingFileError` for a relative path if the working directory has been removed.
    """
    full_path = path
    if not os.path.isabs(path):
        try:
            full_path = os.path.join(os.getcwd(), path)
        except FileNotFoundError:
            raise MissingFileError(path) from None
    folder, name = os.path.split(full_path)
    if name in ("", os.curdir, os.pardir):
        folder, name = full_path, ""
    elif os.pardir not in full_path.split(os.sep):
        return os.path.normpath(full_path)
    if not os.path.isdir(folder):
        return full_path
    return os.path.join(os.path.realpath(folder), name) if name else os.path.realpath(folder)


@contextlib.contextmanager
def name_errors(path: str) -> Iterator[None]:
    """Turn errors of a store in this block into a line with this path."""
    try:
        yield
    except (GvcodecError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise MissingFileError(path) from error
    except IsADirectoryError as error:
        raise MediaError(f"{path}: is a folder", code="file-folder") from error
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise MediaError(f"{path}: {error.strerror or error}", code="file-unreadable") from error
    except ImportError as error:
        raise UsageError(f"{path}: {error}".splitlines()[0]) from error
    except Exception as error:
        # Each store raises other errors.
        if not is_uri(path) and isinstance(error, OSError):
            raise MediaError(
                f"{path}: {error.strerror or error}", code="file-unreadable"
            ) from error
        if not is_uri(path):
            raise
        message = str(error).splitlines()[:1]
        raise ConnectionLostError(
            f"{path}: {type(error).__name__}{''.join(': ' + line for line in message)}"
        ) from error


def file_system_of(path: str) -> tuple[Any, str]:
    """The file system of fsspec, and the path in it. Raises `UsageError` for an unknown one."""
    import fsspec

    if not is_uri(path):
        # "::" in a name of this machine chains no stores.
        return fsspec.filesystem("file"), local_path(path)
    try:
        return fsspec.core.url_to_fs(path)  # type: ignore[no-any-return]
    except ValueError as error:
        raise UsageError(f"{path}: {str(error) or type(error).__name__}".splitlines()[0]) from error


def open_read(path: str) -> BinaryIO:
    """A seekable binary file; of a remote one only the bytes read are fetched. Raises
    `MediaError`, `UsageError` where a package for such URIs is missing."""
    with name_errors(path):
        if not is_uri(path):
            return io.BufferedReader(_Local(local_path(path), path))
        system, inside = file_system_of(path)
        return _Remote(system.open(inside, "rb", block_size=BLOCK), path)  # type: ignore[return-value]


class _Local(io.FileIO):
    """A local file; read errors get the file's name."""

    def __init__(self, path: str, name: str) -> None:
        super().__init__(path)
        self._display_name = name

    def readinto(self, buffer: memoryview, /) -> int | None:  # type: ignore[override]
        try:
            return super().readinto(buffer)
        except OSError as error:
            raise MediaError(
                f"{self._display_name}: cannot be read: {error.strerror}", code="file-unreadable"
            ) from error

    def readall(self) -> bytes:
        try:
            return super().readall()
        except OSError as error:
            raise MediaError(
                f"{self._display_name}: cannot be read: {error.strerror}", code="file-unreadable"
            ) from error


class _Remote(io.RawIOBase):
    """A file of a store under the name that messages call it by."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name, self._stream = name, stream
        self.seek, self.tell = stream.seek, stream.tell  # type: ignore[method-assign]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        with name_errors(self.name):
            data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def fixed_path(path: str) -> str:
    """A path as one that does not depend on the working folder; URIs stay."""
    return path if is_uri(path) else absolute_path(local_path(path))


def join(folder: str, *names: str) -> str:
    return "/".join([folder.rstrip("/") or "/", *names])


def version_stamp(path: str) -> dict[str, Any]:
    """A stamp that differs between versions of a file, without reading it. Raises `MediaError`."""
    with name_errors(path):
        if not is_uri(path):
            status = os.stat(path)
            return {"size": status.st_size, "mtime": status.st_mtime_ns}
        system, inside = file_system_of(path)
        system.invalidate_cache()
        facts = system.info(inside)
        return {"size": facts.get("size")} | {
            name: str(facts[name]) for name in _STAMPS if facts.get(name)
        }


def content_id(path: str, facts: dict[str, Any]) -> str:
    """A hash of a file's bytes, or its store's (`facts`: its stamp)."""
    tag = next((facts[name] for name in _CONTENT_TAGS if name in facts), None)
    if tag is not None:
        return hashlib.sha256(f"{tag} {facts['size']}".encode()).hexdigest()
    with open_read(path) as stream, name_errors(path):
        digest = hashlib.sha256()
        while block := stream.read(BLOCK):
            digest.update(block)
        return digest.hexdigest()


def read_bytes(path: str) -> bytes | None:
    """None if the file does not exist."""
    try:
        with open_read(path) as stream, name_errors(path):
            return stream.read()
    except MissingFileError:
        return None


def read_json(path: str) -> Any:
    """None if the file does not exist or is not JSON."""
    with contextlib.suppress(ValueError):
        return json.loads(read_bytes(path) or b"null")
    return None


def size_of(path: str) -> int | None:
    """Bytes of a file, None if there is none."""
    try:
        size = version_stamp(path)["size"]
    except ConnectionLostError:
        raise
    except MediaError:
        return None
    return None if size is None else int(size)


def is_folder(path: str) -> bool:
    """Whether there is a folder of this name. Raises `MediaError`."""
    if not is_uri(path):
        return os.path.isdir(path)
    with name_errors(path):
        system, inside = file_system_of(path)
        return bool(system.isdir(inside))


def list_folder(path: str) -> list[str]:
    """Files of a folder by their whole names, none if there is no folder. Raises `MediaError`."""
    if not is_uri(path):
        names = sorted(os.listdir(path)) if os.path.isdir(path) else []
        return [join(path, name) for name in names]
    with contextlib.suppress(MissingFileError), name_errors(path):
        system, inside = file_system_of(path)
        system.invalidate_cache()
        names = system.ls(inside, detail=False) if system.isdir(inside) else []
        return sorted(map(system.unstrip_protocol, names))
    return []


def remove_file(path: str) -> None:
    """A file, if it is there. Raises `MediaError`."""
    with contextlib.suppress(FileNotFoundError), name_errors(path):
        system, inside = file_system_of(path)
        system.rm_file(inside)


def remove_folder(path: str) -> None:
    """A folder and all in it, if it is there."""
    with contextlib.suppress(FileNotFoundError), name_errors(path):
        system, inside = file_system_of(path)
        if system.exists(inside):
            system.rm(inside, recursive=True)


def list_files(path: str) -> list[str]:
    """Files that a file, folder (all below, but hidden ones) or glob names, in order."""
    path = fixed_path(path)
    with name_errors(path):
        system, inside = file_system_of(path)
        if not is_uri(path) and os.path.exists(path) and not os.path.isdir(path):
            return [path]
        if system.isdir(inside):
            paths = system.find(inside)
        elif glob.has_magic(inside) and not system.isfile(inside):
            paths = [name for name in system.glob(inside) if system.isfile(name)]
        else:
            return [path] if is_uri(path) else []
        visible = [name for name in paths if "/." not in name.removeprefix(inside)]
        return sorted(map(system.unstrip_protocol, visible) if is_uri(path) else visible)
