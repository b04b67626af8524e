"""`gvcodec serve FILES`: play streams in everything that plays HLS."""

from __future__ import annotations

import argparse
import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from gvcodec.cli._arguments import add_limits, add_model, add_threads, limits_of
from gvcodec.errors import UsageError, WrongModelError
from gvcodec.models import find_model
from gvcodec.opening import stream_file
from gvcodec.painter.video import PAINTER_OF_STREAM
from gvcodec.serve.film import Film
from gvcodec.serve.server import FilmServer
from gvcodec.util.messages import log_line
from gvcodec.util.options import integer, quality
from gvcodec.video import Video

EXAMPLES = ("serve film.gvc series/*.gvc", "serve film.gvc --host 0.0.0.0 --port 8080")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("inputs", metavar="FILES", nargs="+", help="streams")
    add(
        "--host",
        metavar="ADDRESS",
        help="listen for other machines at this address, 0.0.0.0 for all of this machine's; the "
        "printed address then holds a secret token (this machine only)",
    )
    add("--port", type=integer(0, 65535), default=0, metavar="N", help="port (a free one)")
    add("--crf", type=quality(51), default=20, metavar="N", help="quality of x264, 0 best (20)")
    add("--fidelity", action="store_true", help="show base frames: no painter, no restoration")
    add_model(parser)
    add_threads(parser)
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    with open_server(options) as server:
        for name in server.films:
            log_line(f"{name}: {server.address_of(name)}")
        log_line(f"{server.address} lists the films (Ctrl-C ends it)")
        server.serve_forever()


@contextlib.contextmanager
def open_server(options: argparse.Namespace) -> Iterator[FilmServer]:
    """The server of `gvcodec serve`, which does not serve yet."""
    token = secrets.token_urlsafe(12) if options.host else ""
    with contextlib.ExitStack() as stack:
        films: dict[str, Film] = {}
        for path in options.inputs:
            if path == "-":
                raise UsageError("serve needs files, which can be read at any place")
            name = Path(path).name
            if name in films:
                raise UsageError(f"{path}: there is another file of this name")
            films[name] = _open(path, stack.enter_context(stream_file(path)), options)
        address = options.host or "127.0.0.1", options.port
        yield stack.enter_context(FilmServer(*address, films, token))


def _open(path: str, file: Path, options: argparse.Namespace) -> Film:
    settings = {"models": options.models, "threads": options.threads, "limits": limits_of(options)}
    video = Video(file, fidelity=options.fidelity, **settings)
    painter = video.header.painter_id
    if video.is_painted and painter is not None:
        try:
            find_model(painter, PAINTER_OF_STREAM, options.models)
        except WrongModelError as error:
            log_line(f"{path}: {error}; it is served without painting")
            video = Video(file, fidelity=True, **settings)
    video.name = path
    return Film(video, options.crf, options.threads, limits_of(options))
