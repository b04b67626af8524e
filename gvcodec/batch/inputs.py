"""Inputs of a batch: files, folders, globs, URIs of these, and manifests.

A manifest is .csv or .jsonl. Column `uri` names the video, relative to the manifest; the
others are called like options of `encode` (`q`, `base`, `keyint`, `size` …) and hold for their row
alone; an empty cell, or a column without a name, has no effect."""

from __future__ import annotations

import codecs
import csv
import glob
import io
import json
import math
import mimetypes
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any

from gvcodec.batch.probe import holds_video
from gvcodec.errors import MediaError, UsageError
from gvcodec.source.pictures import VIDEOS
from gvcodec.util import uris
from gvcodec.util.uris import is_uri

_MANIFESTS = (".csv", ".jsonl")
NO_VIDEO, LINK = "no video", "link"
#: Marks at the beginning of a text, and its encoding.
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
#: White space of tables. Other kinds, as in titles of downloads, belong to names.
_BLANKS = " \t\r\n"
#: The types that Python itself knows, not those of the machine.
_TYPES = mimetypes.MimeTypes()
_WHOLE = re.compile(r"^(-?\d+)\.0+$")
_NOT_VIDEO = ("audio/", "image/", "text/", "application/")


def list_inputs(
    inputs: Sequence[str], out: str = "", keep: str = ""
) -> Iterator[tuple[str, dict[str, Any], str]]:
    """URI or path, options of its row, error in one line; in order, each URI and options once. A
    name that matches nothing is a separate error; `NO_VIDEO` marks files of a folder or glob that
    hold no video, `LINK` links to other inputs. Files in the folders `out` and `keep` (originals),
    and the folders themselves, are no inputs. Raises `UsageError` if one of them is an input folder
    or holds one."""
    closed = {"OUT": out, "the folder of originals": keep}
    videos: set[str] = set()
    found = list[tuple[str, dict[str, Any], str]]()
    for name in inputs:
        path = uris.fixed_path(name)
        for what, folder in closed.items():
            if folder and uris.is_folder(path) and is_inside(path, folder):
                raise UsageError(f"{name}: {what} is this folder, or holds it: choose another one")
        for video in _list_input(name):
            key = repr(video[:2])
            if key in videos:
                continue
            videos.add(key)
            place = next((w for w, f in closed.items() if f and is_inside(video[0], f)), "")
            if not place:
                found.append(video)
            elif video[0] == path or name.lower().endswith(_MANIFESTS):
                error = f"{video[0]}: is in {place}, and files there are no inputs"
                found.append((video[0], video[1], error))
    # A file before the links to it.
    first: dict[str, str] = {}
    for path, row, _ in sorted(found, key=lambda video: os.path.islink(video[0])):
        first.setdefault(repr((real_path(path), row)), path)
    for path, row, error in found:
        is_first = first[repr((real_path(path), row))] == path
        yield path, row, error if is_first or error else LINK


def is_inside(path: str, folder: str) -> bool:
    """Whether a file or folder is `folder` or in it, also through a link."""
    places = (path, folder), (real_path(path), real_path(folder))
    return any(f"{inner}/".startswith(outer.rstrip("/") + "/") for inner, outer in places)


def real_path(path: str) -> str:
    """The file that a path of this machine leads to; URIs stay."""
    return path if is_uri(path) else os.path.realpath(path)


def _list_input(name: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    try:
        if name.lower().endswith(_MANIFESTS):
            for row in read_manifest(name):
                uri = str(row.pop("uri", None) or "")
                if not uri:
                    raise UsageError(f"{name}: a row without uri")
                path = _next_to(name, uri)
                yield path, row, _refuse_pipe(path)
            return
        paths = uris.list_files(name)
    except MediaError as error:
        yield uris.fixed_path(name), {}, str(error)
        return
    if not paths:
        yield uris.fixed_path(name), {}, f"{name}: {_explain_nothing(name)}"
    for path in paths:
        if len(paths) == 1 and path == uris.fixed_path(name):
            yield path, {}, _refuse_pipe(path)
        else:
            # Pipes are not read.
            yield path, {}, _refuse_pipe(path) or ("" if is_video(path) else NO_VIDEO)


def _explain_nothing(name: str) -> str:
    """Why a name has no files."""
    if uris.is_folder(uris.fixed_path(name)):
        return "the folder holds no files, except hidden ones"
    if glob.has_magic(name):
        return "no file has such a name"
    return "No such file or directory"


def folder_of(uri: str, inputs: Sequence[str]) -> str:
    """The folder of an input within the folder, or the beginning of the glob, that names it among
    `inputs`; "" for one that is named itself."""
    for name in inputs:
        path = uris.fixed_path(name)
        if path.lower().endswith(_MANIFESTS) or path == uri:
            continue
        # A folder may have the characters of a glob in its name.
        is_glob = glob.has_magic(path) and not uri.startswith(f"{path.rstrip('/')}/")
        root = re.split(r"[*?\[]", path, maxsplit=1)[0] if is_glob else f"{path}/"
        root = root[: root.rfind("/") + 1].rstrip("/") + "/"
        if uri.startswith(root):
            return posixpath.dirname(uri.removeprefix(root))
    return ""


def is_video(path: str) -> bool:
    """Whether a file of a folder is a video, by its ending; of this machine otherwise by its
    content, since cameras have special endings."""
    if posixpath.splitext(path)[1].lower() in VIDEOS:
        return True
    kind = _TYPES.guess_type(path)[0] or ""
    if is_uri(path) or not os.path.isfile(path) or kind.startswith(_NOT_VIDEO):
        return False
    return holds_video(path)


def _refuse_pipe(path: str) -> str:
    """Why an input that can be read but once is none; empty for others."""
    if is_uri(path) or not os.path.exists(path) or os.path.isfile(path) or os.path.isdir(path):
        return ""
    return f"{path}: is a pipe or a device, a batch reads its inputs more than once"


def read_manifest(name: str) -> list[dict[str, Any]]:
    """Rows without their empty cells. Raises `UsageError` for a file that is not a table."""
    data = uris.read_bytes(uris.fixed_path(name))
    if data is None:
        raise UsageError(f"{name}: no such manifest")
    try:
        text = data.decode(_MARKS.get(data[:2], "utf-8-sig"))
        if name.lower().endswith(".csv"):
            rows = _read_table(text)
        else:
            # Not `splitlines`: a string may hold U+2028, U+2029 and U+0085.
            rows = [json.loads(line) for line in text.split("\n") if line.strip(_BLANKS)]
        rows = [{k: v for k, v in row.items() if k and not _is_empty(v)} for row in rows]
        return [row for row in rows if row]
    except (ValueError, AttributeError, csv.Error) as error:
        raise UsageError(f"{name}: is no table of inputs: {error}") from error


def _is_empty(cell: object) -> bool:
    """Whether a cell has no value; in tables of pandas that is NaN."""
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def _read_table(text: str) -> list[dict[str, Any]]:
    """Tables as people and spreadsheets write them: commas, semicolons or tabs."""
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    for row in reader:
        if any(row.pop(None, ())):  # type: ignore[call-overload]
            raise ValueError(f"line {reader.line_num} has a cell without a column")
        cells = {name.strip(_BLANKS): (cell or "").strip(_BLANKS) for name, cell in row.items()}
        # The numbers of rows, as pandas writes them.
        rows.append({name: cell for name, cell in cells.items() if name != "Unnamed: 0"})
    return rows


def _next_to(manifest: str, uri: str) -> str:
    if is_uri(uri) or uri.startswith(("/", "file://")):
        return uris.fixed_path(uri)
    folder = uris.fixed_path(manifest).rsplit("/", 1)[0]
    return uris.join(folder, uri)


def words_of(row: dict[str, Any]) -> list[str]:
    """The row's options as words of a command line."""
    words: list[str] = []
    for name, value in row.items():
        option, text = "-q" if name == "q" else "--" + name.replace("_", "-"), str(value)
        if text.lower() in ("true", "false"):
            if text.lower() == "true":
                words.append(option)
            continue
        # Where a cell of the column is empty, pandas and spreadsheets write 8 as 8.0.
        text = _WHOLE.sub(r"\1", text)
        words += [option, text] if option == "-q" else [f"{option}={text}"]
    return words
