"""`gvcodec serve FILES`: play streams in everything that plays HLS."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import secrets
from collections.abc import Container, Iterable, Iterator
from functools import partial
from pathlib import Path

from gvcodec.cli._arguments import add_limits, add_model, add_threads, limits_of
from gvcodec.errors import GvcodecError, MediaError, UsageError, WrongModelError
from gvcodec.models import find_model
from gvcodec.one_file.write import ONE_FILE
from gvcodec.opening import stream_file
from gvcodec.painter.video import PAINTER_OF_STREAM
from gvcodec.serve.film import Film
from gvcodec.serve.server import FilmServer
from gvcodec.util.file_io import STREAMS
from gvcodec.util.messages import log_line
from gvcodec.util.options import integer, quality
from gvcodec.util.uris import is_uri
from gvcodec.video import Video

EXAMPLES = ("serve film.gvc series", "serve film.gvc --host 0.0.0.0 --port 8080")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("inputs", metavar="FILES", nargs="+", help="streams, and folders of them")
    add(
        "--host",
        metavar="ADDRESS",
        help="listen for other machines at this address, 0.0.0.0 for all of this machine's; the "
        "printed address then holds a secret token (this machine only)",
    )
    add("--port", type=integer(0, 65535), default=0, metavar="N", help="port (a free one)")
    add(
        "--cors",
        type=_origin,
        metavar="ORIGIN",
        help="let pages of this site read the films, such as https://films.example; * for all "
        "sites (none; with --host all)",
    )
    add("--crf", type=quality(51), default=20, metavar="N", help="quality of x264, 0 best (20)")
    add("--fidelity", action="store_true", help="show base frames: no painter, no restoration")
    add_model(parser)
    add_threads(parser)
    add_limits(parser)


def _origin(text: str) -> str:
    """Raises `ArgumentTypeError`."""
    if not re.fullmatch(r"\*|https?://[^\s/?#,]+", text):
        raise argparse.ArgumentTypeError("an origin has a scheme and a host: https://films.example")
    return text.lower()


def run(options: argparse.Namespace) -> None:
    with open_server(options) as server:
        for name in server.films:
            log_line(f"{name}: {server.address_of(name)}")
        for address in server.addresses:
            log_line(f"{address} lists the films (Ctrl-C ends it)")
        server.serve_forever()


@contextlib.contextmanager
def open_server(options: argparse.Namespace) -> Iterator[FilmServer]:
    """The server of `gvcodec serve`, which does not serve yet. A file that cannot be read gets a
    line; raises its error if there is no other."""
    token = secrets.token_urlsafe(12) if options.host else ""
    with contextlib.ExitStack() as stack:
        films: dict[str, Film] = {}
        paths = list(_files(options.inputs))
        for path in paths:
            with contextlib.ExitStack() as opened:
                try:
                    film = _open(path, opened.enter_context(_stream_file(path)), options)
                except (GvcodecError, OSError, MemoryError) as error:
                    if len(paths) == 1:
                        raise
                    log_line(f"{error or 'out of memory'}; it is not served")
                    continue
                films[_new_name(path, films)] = film
                stack.enter_context(opened.pop_all())
        if not films:
            raise MediaError("there is no film to serve", code="no-frames")
        address = options.host or "127.0.0.1", options.port
        yield stack.enter_context(FilmServer(*address, films, token, options.cors))


def _files(inputs: Iterable[str]) -> Iterator[str]:
    """Each file once; of folders those with the endings of streams and one-files, sorted."""
    seen = set[str]()
    for path in inputs:
        if path == "-":
            raise UsageError("serve needs files, which can be read at any place")
        inside = [path]
        if not is_uri(path) and os.path.isdir(path):
            names = sorted(os.listdir(path))
            inside = [os.path.join(path, name) for name in names if _may_be_film(name)]
        for file in inside:
            if (place := file if is_uri(file) else os.path.realpath(file)) not in seen:
                seen.add(place)
                yield file


def _may_be_film(name: str) -> bool:
    return Path(name).suffix.lower() in (*STREAMS, *ONE_FILE) and not name.startswith(".")


def _stream_file(path: str) -> contextlib.AbstractContextManager[Path]:
    """The stream as a file. Raises `UsageError` for pipes and devices, which might never end."""
    if not is_uri(path) and os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{path}: is no file, which can be read at any place", code="input-kind")
    return stream_file(path)


def _new_name(path: str, films: Container[str]) -> str:
    """The name of a file, with a number if another film has it."""
    name = Path(path)
    numbered = (f"{name.stem} ({number}){name.suffix}" for number in itertools.count(2))
    names = itertools.chain([name.name], numbered)
    return next(text for text in names if text not in films)


def _open(path: str, file: Path, options: argparse.Namespace) -> Film:
    limits = limits_of(options)
    settings = {"models": options.models, "threads": options.threads, "limits": limits}
    video = Video(file, fidelity=options.fidelity, **settings)
    painter = video.header.painter_id
    if video.is_painted and painter is not None:
        try:
            find_model(painter, PAINTER_OF_STREAM, options.models)
        except WrongModelError as error:
            log_line(f"{path}: {error}; it is served without painting")
            video = Video(file, fidelity=True, **settings)
    video.name = path
    open_base = partial(Video, file, fidelity=True, **settings | {"threads": 1})
    return Film(video, file, options.crf, options.threads, limits, open_base)
