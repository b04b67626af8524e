"""Replaces a video by its coded file, without loss even if the process is killed.

    with open_waiting(source, target, options) as coded:   # a name in a hidden folder
        ...                                                # encode to it, unless it is `target`
        replace_checked(source, coded, target, rules, options, input_options)

The order of a replacement, with `fsync` of files and folders after each step:

    1. the coded file gets the source's times, owner, mode and extended attributes
    2. a record in the hidden folder says which source, options and coded file belong together
    3. with `keep`, the original gets a second name in that folder (on another disk: a checked copy)
    4. the coded file takes its place next to the original, or takes the original's name
    5. the original's name is removed, then the hidden folder

so at any time the original or the checked copy exists. After a kill the same call goes on with the
coded file of the record; without one a file of the target's name belongs to somebody else. Raises
`NotReplacedError` for a copy that fails a check; the original is unchanged then."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from typing import TypeAlias

from gvcodec.edit.copy_check import CheckedCopy, ReplaceRules, check_copy
from gvcodec.errors import GvcodecError, NotReplacedError, UsageError
from gvcodec.input_options import InputOptions
from gvcodec.opening import open_reader
from gvcodec.util.file_io import write_json
from gvcodec.util.signals import OnAbort
from gvcodec.util.uris import read_json

_RECORD = "record.json"
_Version: TypeAlias = tuple[int, int, int]


def check_source(source: str, keep: str = "") -> None:
    """Raise `UsageError` for a source that is not a plain file, that is a gvcodec file, or that is
    in the folder `keep` of originals already."""
    try:
        status = os.lstat(source)
    except OSError as error:
        raise UsageError(f"{source}: {error.strerror or error}") from error
    if stat.S_ISLNK(status.st_mode):
        raise UsageError(f"{source}: is a link: name the file itself to replace it")
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{source}: only files can be replaced")
    if keep and os.path.isdir(keep) and os.path.samefile(keep, _folder_of(source)):
        raise UsageError(f"{source}: is in the folder for originals")
    if is_coded(source):
        raise UsageError(f"{source}: is a gvcodec file already")


def is_coded(path: str) -> bool:
    """Whether a file is a gvcodec stream, in any container."""
    with contextlib.suppress(GvcodecError, OSError), open_reader(path):
        return True
    return False


def target_path(source: str, suffix: str) -> str:
    """The source's name with another suffix."""
    return os.path.splitext(source)[0] + suffix


@contextlib.contextmanager
def open_waiting(source: str, target: str, options: str) -> Iterator[str]:
    """The name of a coded file before its check, in a hidden folder next to the source; `target`
    if an earlier call with these `options` (a hash) was killed after it had placed that. Raises
    `NotReplacedError` if another file is there."""
    mark = hashlib.sha256(os.fsencode(os.path.basename(source))).hexdigest()[:12]
    folder = os.path.join(_folder_of(source), f".gvcodec-{mark}")
    record = os.path.join(folder, _RECORD)

    def tidy() -> None:
        places = (record, source, target)
        if target == source or not all(map(os.path.lexists, places)):
            shutil.rmtree(folder, ignore_errors=True)

    os.makedirs(folder, exist_ok=True)
    abort = OnAbort(tidy)
    try:
        if target != source and os.path.lexists(target):
            facts = read_json(record)
            if not facts or facts != _facts(source, target, options):
                raise NotReplacedError(f"{source}: not replaced: {target} exists")
            yield target
        else:
            for left in os.scandir(folder):
                shutil.rmtree(left) if left.is_dir() else os.unlink(left)
            yield os.path.join(folder, f"new{os.path.splitext(target)[1]}")
    finally:
        tidy()
        abort.cancel()


def replace_checked(
    source: str,
    stream_path: str,
    target: str,
    rules: ReplaceRules,
    options: str,
    input_options: InputOptions,
) -> tuple[CheckedCopy, str]:
    """Check a coded file and replace its source; return its measures and the original's place, "" =
    deleted. `options`: a hash of the encode's options. Raises `NotReplacedError`, `OSError`."""
    versions = _version(source), _version(stream_path)
    checked = check_copy(stream_path, source, rules, input_options)
    return checked, replace_original(source, stream_path, target, rules, options, versions)


def replace_original(
    source: str,
    stream_path: str,
    target: str,
    rules: ReplaceRules,
    options: str,
    versions: tuple[_Version, _Version] | None = None,
) -> str:
    """Replace a source by its checked copy, in the module's order, and return the original's place,
    "" = deleted. `stream_path`: a file on the disk of `target`, which it becomes; `target` is in
    the folder of `source`, and may be `source`. `versions`: of both files when they were checked.
    Raises `NotReplacedError`, `OSError`."""
    folder = _folder_of(source)
    if stream_path != target and target != source and os.path.lexists(target):
        raise NotReplacedError(f"{source}: not replaced: {target} exists")
    versions = versions or (_version(source), _version(stream_path))
    copy_attributes(source, stream_path)
    _sync(stream_path)
    if stream_path != target and target != source:
        record = os.path.join(os.path.dirname(stream_path), _RECORD)
        write_json(record, _facts(source, stream_path, options))
        _sync(record)
        _sync(os.path.dirname(record))
    original = _keep(source, rules.keep) if rules.keep else ""
    # The time of the coded file is another one now.
    if (_version(source), *_version(stream_path)[::2]) != (versions[0], *versions[1][::2]):
        raise NotReplacedError(f"{source}: not replaced: it changed meanwhile")
    if stream_path != target:
        if target == source:
            os.replace(stream_path, target)
        else:
            # Unlike a rename, this never overwrites a file that appeared meanwhile.
            _rename_new(stream_path, target)
        _sync(folder)
    if target != source:
        if _version(source) != versions[0]:
            raise NotReplacedError(f"{source}: not replaced: it changed meanwhile")
        os.unlink(source)
        _sync(folder)
    return original


def _facts(source: str, stream_path: str, options: str) -> dict[str, str]:
    """The record of a coded file."""
    return {"source": hash_of(source), "options": options, "output": hash_of(stream_path)}


def _version(path: str) -> _Version:
    """Size, time and number of a file: another one if it changes or is replaced by another."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ino


def _folder_of(path: str) -> str:
    return os.path.dirname(os.path.abspath(path))


def copy_attributes(source: str, stream_path: str) -> None:
    """Give a file the times, owner, mode and extended attributes of another; on macOS and Windows
    also the time of its birth. An owner that may not be set is not changed."""
    status = os.stat(source)
    with contextlib.suppress(OSError, AttributeError):
        os.chown(stream_path, status.st_uid, status.st_gid)
    if sys.platform == "darwin":
        # A file is never younger than its change: macOS moves the birth back.
        os.utime(stream_path, (status.st_birthtime, status.st_birthtime))
    shutil.copystat(source, stream_path)
    if sys.platform == "win32":
        _copy_birth_time(stream_path, status.st_ctime_ns)


def _copy_birth_time(path: str, nanoseconds: int) -> None:
    """On Windows: set the time of creation."""
    if sys.platform == "win32":
        import ctypes
        from ctypes import wintypes

        ticks = nanoseconds // 100 + 116_444_736_000_000_000
        time = wintypes.FILETIME(ticks & 0xFFFFFFFF, ticks >> 32)
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.CreateFileW.restype = wintypes.HANDLE
        handle = kernel.CreateFileW(path, 0x100, 7, None, 3, 0x02000000, None)
        kernel.SetFileTime(wintypes.HANDLE(handle), ctypes.byref(time), None, None)
        kernel.CloseHandle(wintypes.HANDLE(handle))


def _keep(source: str, folder: str) -> str:
    """Give the original a second name in a folder, durably; on another disk or without links, a
    copy that is read back. An existing one stays; a name in use gets a number. Raises `OSError`."""
    os.makedirs(folder, exist_ok=True)
    if os.path.samefile(folder, _folder_of(source)):
        raise NotReplacedError(f"{source}: not replaced: is in the folder for originals")
    stem, ending = os.path.splitext(os.path.basename(source))
    number = 0
    while True:
        name = f"{stem}{f'~{number}' if number else ''}{ending}"
        place = os.path.join(folder, name)
        if not os.path.lexists(place):
            break
        is_file = stat.S_ISREG(os.lstat(place).st_mode)
        if is_file and (os.path.samefile(place, source) or hash_of(place) == hash_of(source)):
            return place
        number += 1
    try:
        os.link(source, place)
    except OSError:
        partial = os.path.join(folder, f".{name}.part")
        try:
            shutil.copy2(source, partial)
            _sync(partial)
            if hash_of(partial) != hash_of(source):
                raise NotReplacedError(
                    f"{source}: not replaced: its copy {place} differs"
                ) from None
            copy_attributes(source, partial)
            _rename_new(partial, place)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise
    _sync(place)
    _sync(folder)
    return place


def _rename_new(path: str, new: str) -> None:
    """Rename a file unless the new name exists. Raises `OSError`."""
    try:
        os.link(path, new)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links.
        if os.path.lexists(new):
            raise
        os.rename(path, new)
        return
    os.unlink(path)


def hash_of(path: str) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: str) -> None:
    """Wait until a file or folder is on the disk."""
    if os.path.isdir(path) and sys.platform == "win32":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
