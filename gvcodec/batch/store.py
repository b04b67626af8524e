"""Files and URIs through one set of functions, by fsspec: `s3://…`, `gs://…`, `https://…`,
`memory://…`, or a path.

What is written appears whole or not at all. An error of a connection is a `ConnectionLostError`,
which a task is repeated for."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from gvcodec.errors import MediaError
from gvcodec.util import uris
from gvcodec.util.uris import ConnectionLostError, is_uri, name_errors, open_uri, system_of

#: What a store says of a version of a file.
_FOUND_BY_CONTENT = ("ETag", "etag", "md5Hash", "checksum")
_STAMPS = (*_FOUND_BY_CONTENT, "mtime", "LastModified", "last_modified", "created", "updated")
_BLOCK = 1 << 20


def local_path(path: str) -> str:
    """A path as one that does not depend on the working folder; URIs stay."""
    return path if is_uri(path) else uris.absolute_path(uris.local_path(path))


def join(folder: str, *names: str) -> str:
    return "/".join([folder.rstrip("/") or "/", *names])


def stamp(path: str) -> dict[str, Any]:
    """What tells one version of a file from the next, without reading it. Raises `MediaError`."""
    with name_errors(path):
        if not is_uri(path):
            status = os.stat(path)
            return {"size": status.st_size, "mtime": status.st_mtime_ns}
        system, inside = system_of(path)
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
    with name_errors(path), open_read(path) as stream:
        digest = hashlib.sha256()
        while block := stream.read(_BLOCK):
            digest.update(block)
        return digest.hexdigest()


def open_read(path: str) -> BinaryIO:
    """A binary file that can seek. Of a remote one only what is read comes over."""
    return open_uri(path) if is_uri(path) else open(path, "rb")


def read_bytes(path: str) -> bytes | None:
    """None where there is no such file."""
    try:
        with name_errors(path), open_read(path) as stream:
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
    with write_whole(path) as stream, name_errors(path):
        stream.write(data)


def write_json(path: str, value: Any) -> None:
    # In ASCII: names of files need not be UTF-8.
    write_bytes(path, json.dumps(value, indent=1).encode())


@contextlib.contextmanager
def write_whole(path: str) -> Iterator[BinaryIO]:
    """A binary file to write, which takes its place when the block ends well."""
    if is_uri(path):
        with tempfile.TemporaryFile() as spool:
            yield spool  # type: ignore[misc]
            spool.seek(0)
            with name_errors(path):
                _upload(spool, path)
        return
    place = Path(path)
    temporary = place.with_name(f".{place.name[-40:]}.{secrets.token_hex(6)}.part")
    with name_errors(path):
        place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with name_errors(path), open(temporary, "wb") as stream:
            yield stream
        with name_errors(path):
            os.replace(temporary, place)
    finally:
        temporary.unlink(missing_ok=True)


def _upload(spool: IO[bytes], path: str) -> None:
    """Stores show an object once it is closed; where writing breaks off, a transaction drops it."""
    system, inside = system_of(path)
    with system.transaction, system.open(inside, "wb") as stream:
        shutil.copyfileobj(spool, stream, _BLOCK)


def remove_folder(path: str) -> None:
    """A folder and all in it, if it is there."""
    with contextlib.suppress(FileNotFoundError), name_errors(path):
        system, inside = system_of(path)
        if system.exists(inside):
            system.rm(inside, recursive=True)


def names_in(folder: str) -> list[str]:
    """Names of the files in a folder; none where there is no such folder."""
    try:
        with name_errors(folder):
            system, inside = system_of(folder)
            system.invalidate_cache()
            return sorted(
                str(path).rstrip("/").rsplit("/", 1)[-1] for path in system.ls(inside, detail=False)
            )
    except ConnectionLostError:
        raise
    except MediaError:
        return []


def expand(path: str) -> list[str]:
    """Files that a file, folder (all below, but hidden ones) or glob names, in order."""
    path = local_path(path)
    with name_errors(path):
        system, inside = system_of(path)
        if not is_uri(path) and os.path.exists(path) and not os.path.isdir(path):
            return [path]
        if system.isdir(inside):
            found = system.find(inside)
        elif glob.has_magic(inside):
            found = [name for name in system.glob(inside) if system.isfile(name)]
        else:
            return [path] if is_uri(path) else []
        shown = [name for name in found if "/." not in name.removeprefix(inside)]
        return sorted(map(system.unstrip_protocol, shown) if is_uri(path) else shown)
