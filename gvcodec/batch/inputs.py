"""Inputs of a batch: files, folders, globs, URIs of these, and manifests.

A manifest is .csv or .jsonl. Column `uri` names the video, relative to the manifest; the
others are called like options of `encode` (`q`, `base`, `keyint`, `size` …) and hold for their row
alone; an empty cell says nothing."""

from __future__ import annotations

import codecs
import csv
import glob
import io
import json
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any

from gvcodec.errors import MediaError, UsageError
from gvcodec.util import uris
from gvcodec.util.uris import is_uri

_MANIFESTS = (".csv", ".jsonl")
NO_VIDEO = "no video, by its name"
#: Marks at the beginning of a text, and how it is coded.
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_ENDINGS = """
    .mp4 .m4v .mov .qt .mkv .webm .avi .divx .wmv .asf .flv .f4v .mpg .mpeg .m2v .mpv .vob .ts
    .m2ts .mts .mxf .ogv .ogm .3gp .3g2 .dv .rm .rmvb .nut .y4m .ivf .obu .h264 .264
    .hevc .h265 .265 .av1 .vc1 .gif .apng .mjpeg .mjpg .amv .wtv
"""
#: What videos are called. Others are taken where they are named one by one, not out of a folder.
VIDEOS = frozenset(_ENDINGS.split())


def find(inputs: Sequence[str], out: str = "") -> Iterator[tuple[str, dict[str, Any], str]]:
    """URI or path, options of its row, error in one line; in order, each URI and options once. A
    name that matches nothing is an error of its own, and `NO_VIDEO` marks what a folder or a glob
    holds besides videos. What lies in the folder `out` is no input."""
    seen: set[str] = set()
    for name in inputs:
        for video in _find(name):
            known = repr(video[:2])
            inside = out and video[0].startswith(out.rstrip("/") + "/")
            if known not in seen and not inside:
                seen.add(known)
                yield video


def _find(name: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    try:
        if name.lower().endswith(_MANIFESTS):
            for row in read_manifest(name):
                uri = str(row.pop("uri", None) or "")
                if not uri:
                    raise UsageError(f"{name}: a row without uri")
                path = _beside(name, uri)
                yield path, row, _refuse_pipe(path)
            return
        paths = uris.list_files(name)
    except MediaError as error:
        yield uris.fixed_path(name), {}, str(error)
        return
    if not paths:
        yield uris.fixed_path(name), {}, f"{name}: no such file"
    for path in paths:
        other = "" if len(paths) == 1 or is_video(path) else NO_VIDEO
        yield path, {}, other or _refuse_pipe(path)


def folder_of(uri: str, inputs: Sequence[str]) -> str:
    """The folder of an input within the folder, or the beginning of the glob, that names it among
    `inputs`; "" for one that is named itself."""
    for name in inputs:
        path = uris.fixed_path(name)
        if path.lower().endswith(_MANIFESTS) or path == uri:
            continue
        root = re.split(r"[*?\[]", path, maxsplit=1)[0] if glob.has_magic(path) else f"{path}/"
        root = root[: root.rfind("/") + 1].rstrip("/") + "/"
        if uri.startswith(root):
            return posixpath.dirname(uri.removeprefix(root))
    return ""


def is_video(path: str) -> bool:
    return posixpath.splitext(path)[1].lower() in VIDEOS


def _refuse_pipe(path: str) -> str:
    """Why an input that can be read but once is none; empty for others."""
    if is_uri(path) or not os.path.exists(path) or os.path.isfile(path) or os.path.isdir(path):
        return ""
    return f"{path}: is a pipe or a device, a batch reads its inputs more than once"


def read_manifest(name: str) -> list[dict[str, Any]]:
    """Rows without their empty cells. Raises `UsageError` for what is no table."""
    data = uris.read_bytes(uris.fixed_path(name))
    if data is None:
        raise UsageError(f"{name}: no such manifest")
    try:
        text = data.decode(_MARKS.get(data[:2], "utf-8-sig"))
        if name.lower().endswith(".csv"):
            rows = _read_table(text)
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        rows = [{k: v for k, v in row.items() if v not in (None, "")} for row in rows]
        return [row for row in rows if row]
    except (ValueError, AttributeError, csv.Error) as error:
        raise UsageError(f"{name}: is no table of inputs: {error}".splitlines()[0]) from error


def _read_table(text: str) -> list[dict[str, Any]]:
    """Tables as people and spreadsheets write them: commas, semicolons or tabs."""
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    for row in reader:
        if any(row.pop(None, ())):  # type: ignore[call-overload]
            raise ValueError(f"line {reader.line_num} has a cell without a column")
        rows.append({name.strip(): (cell or "").strip() for name, cell in row.items()})
    return rows


def _beside(manifest: str, uri: str) -> str:
    if is_uri(uri) or uri.startswith(("/", "file://")):
        return uris.fixed_path(uri)
    folder = uris.fixed_path(manifest).rsplit("/", 1)[0]
    return uris.join(folder, uri)


def words_of(row: dict[str, Any]) -> list[str]:
    """The row's options as words of a command line."""
    words: list[str] = []
    for name, value in row.items():
        option = "-q" if name == "q" else "--" + name.replace("_", "-")
        if isinstance(value, bool) or str(value).lower() in ("true", "false"):
            if str(value).lower() == "true":
                words.append(option)
        else:
            text = (
                str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
            )
            words += [f"{option}={text}"] if option != "-q" else [option, text]
    return words
