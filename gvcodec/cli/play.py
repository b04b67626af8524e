"""`gvcodec play FILE`: watch a stream in the browser."""

from __future__ import annotations

import argparse
import contextlib
import webbrowser
from collections.abc import Iterator, Sequence
from pathlib import Path

from gvcodec.api.decoding import DecodeRequest
from gvcodec.api.moments import search
from gvcodec.bitstream import Reader, SequenceHeader
from gvcodec.cli._arguments import add_limits, add_model, add_threads, limits_of
from gvcodec.errors import (
    DamagedStreamError,
    MediaError,
    UsageError,
    WrongModelError,
)
from gvcodec.limits import memory_limit
from gvcodec.models import find_model
from gvcodec.opening import open_stream, stream_file
from gvcodec.painter.video import PAINTER_OF_STREAM
from gvcodec.player.server import FrameServer, PlayerServer, page_files
from gvcodec.retrieval.files import moments
from gvcodec.util.messages import log_line
from gvcodec.util.options import add_options, integer
from gvcodec.video import Video

EXAMPLES = ("play film.gvc --source film.mp4", "play film.gvc --find still.jpg")
#: Marks of search results on the time line.
_HITS = 5


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("input", metavar="FILE", help="stream")
    add("--no-browser", action="store_true", help="print the address, open no browser")
    add(
        "--port",
        type=integer(0, 65535),
        default=0,
        metavar="N",
        help="port of the server (a free one)",
    )
    add("--source", metavar="VIDEO", help="compare with this video, which the browser plays")
    add(
        "--find",
        metavar="QUERY",
        help="start at the best match of a query, as search takes it (needs a summary)",
    )
    add("--fidelity", action="store_true", help="show base frames: no painter, no restoration")
    add_options(parser, DecodeRequest, group="device")
    add_model(parser)
    add_threads(parser)
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    with _server(options) as (server, reason):
        if reason:
            log_line(reason)
        log_line(f"{options.input}: {server.address} (Ctrl-C ends it)")
        if not options.no_browser and not webbrowser.open(server.address):
            log_line("no browser was found: open the address in one")
        server.serve_forever()


@contextlib.contextmanager
def serve(path: str, arguments_given: Sequence[str] = ()) -> Iterator[PlayerServer]:
    """The server of `gvcodec play PATH`, which does not serve yet."""
    parser = argparse.ArgumentParser()
    arguments(parser)
    with _server(parser.parse_args([path, *arguments_given])) as (server, _):
        yield server


@contextlib.contextmanager
def _server(options: argparse.Namespace) -> Iterator[tuple[PlayerServer, str]]:
    if options.input == "-":
        raise UsageError(
            "the player needs a file that can be read from any place, not standard input"
        )
    path = Path(options.input)
    original = {"/source": Path(options.source)} if options.source else {}
    if original and not original["/source"].is_file():
        raise MediaError(f"{options.source}: there is no such file")
    with open_stream(options.input) as source:
        header = Reader(source, options.input).header
    video, reason = _video(options, header)
    is_painted = bool(video and video.is_painted)
    facts = {
        "name": path.name,
        "decodes": video is not None,
        "paints": is_painted,
        "reason": reason,
        "source": bool(original),
        "moments": moments(options.input),
        "hits": _hits(options),
    }
    frames = FrameServer(video, lambda: _open(options, fidelity=True)) if video else None
    with (
        stream_file(options.input) as stream,
        memory_limit(header, is_painted, limits_of(options)),
        PlayerServer(
            options.port,
            page_files() | original | {"/stream": stream} | _models(options, header, is_painted),
            facts,
            frames,
        ) as server,
    ):
        yield server, reason


def _hits(options: argparse.Namespace) -> list[dict[str, float]]:
    if options.find is None:
        return []
    result = search(options.find, options.input, count=_HITS, exact=_HITS, threads=options.threads)
    return [{"frame": moment.frame, "score": moment.score} for moment in result.moments]


def _models(
    options: argparse.Namespace, header: SequenceHeader, is_painted: bool
) -> dict[str, Path]:
    """The model that the page may need, by the path of a request."""
    if not is_painted or header.painter_id is None:
        return {}
    path = find_model(header.painter_id, PAINTER_OF_STREAM, options.models)
    return {f"/models/{header.painter_id.hex()}.safetensors": path}


def _video(options: argparse.Namespace, header: SequenceHeader) -> tuple[Video | None, str]:
    """The decoder of this machine for the page, and why it does not decode or paint."""
    reason = ""
    is_painted = header.is_painted and not options.fidelity
    try:
        if is_painted and header.painter_id is not None:
            find_model(header.painter_id, PAINTER_OF_STREAM, options.models)
    except WrongModelError as error:
        is_painted, reason = False, str(error)
    try:
        return _open(options, fidelity=not is_painted), reason
    except DamagedStreamError as error:
        return None, f"{error}; the page shows the rest"


def _open(options: argparse.Namespace, fidelity: bool) -> Video:
    settings = {"threads": options.threads, "models": options.models, "device": options.device}
    return Video(options.input, fidelity=fidelity, limits=limits_of(options), **settings)
