"""`gvcodec search QUERY FILE…`: moments found by summaries, without decoding."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gvcodec.cli._arguments import add_embedder, integer
from gvcodec.cli._standard_streams import out
from gvcodec.errors import DamagedStreamError, GvcodecError, UsageError, WrongModelError
from gvcodec.search.embedders import DEFAULT, Embedder, default_id, make
from gvcodec.search.files import SummarisedFile, opened, streams_in
from gvcodec.search.queries import Query
from gvcodec.search.ranking import Moment, best, scores
from gvcodec.util.messages import clock, counted, one_line, say

#: Files from which on a bar shows how far the search is.
_MANY = 10

HELP = "find moments by a picture, a clip, a time or words, without decoding"
EXAMPLES = ("search still.jpg streams/", "search film.gvc@1:15 streams/ -k 10 --json")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "query",
        metavar="QUERY",
        help="picture, video, FILE@TIME, or words with an embedder for them",
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="FILE", help="streams with summaries, or folders of them"
    )
    parser.add_argument(
        "-k", type=integer(1, 1000), default=5, metavar="N", help="moments to show (5)"
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    add_embedder(parser)


def run(options: argparse.Namespace) -> None:
    query = Query.parse(options.query)
    asked = _Asked(query, options.embedder)
    paths = [path for given in options.inputs for path in streams_in(given)]
    if not paths:
        raise UsageError(f"{options.inputs[0]}: no streams in this folder")
    moments: list[Moment] = []
    read = total = 0
    refused: list[GvcodecError] = []
    shows = len(paths) >= _MANY and sys.stderr.isatty()
    with tqdm(paths, unit="file", leave=False, file=sys.stderr, disable=not shows) as bar:
        for number, path in enumerate(bar):
            try:
                with opened(path) as file:
                    total += file.size
                    for note in file.notes:
                        say(note)
                    name, vectors = asked.of(file)
                    own = file.vectors[name]
                    fits = scores(vectors, own.values, own.frames)
                    moments += best(fits, own.frames, options.k, number)
                    read += file.bytes_read
            except GvcodecError as error:
                refused.append(error)
    moments = sorted(moments, key=lambda moment: -moment.score)[: options.k]
    if not moments:
        raise (
            refused[0]
            if refused
            else UsageError(f"{options.inputs[0]}: no summaries (gvcodec summarize adds them)")
        )
    for reason in refused:
        say(str(reason))
    found: list[dict[str, Any]] = []
    for moment in moments:
        path = paths[moment.file]
        with opened(path) as file:
            before = file.bytes_read
            gop = file.gop_of(moment.frame)
            found.append(
                {
                    "file": path,
                    "seconds": round(file.seconds(moment.frame), 3),
                    "frame": moment.frame,
                    "gop": [gop.first_frame, gop.frames],
                    "score": round(moment.score, 4),
                }
            )
            read += file.bytes_read - before
    if options.json:
        out(
            json.dumps(
                {"moments": found, "files": len(paths), "bytes_read": read, "bytes": total},
                indent=2,
            )
        )
        return
    for entry in found:
        out(
            f"{entry['score']:6.3f}  {clock(entry['seconds']):>9}  "
            f"frame {entry['frame']:<7} {one_line(entry['file'])}"
        )
    out(
        f"read {read:,} of {total:,} bytes ({100 * read / total:.2f} %) "
        f"of {counted(len(paths), 'file')}"
    )


class _Asked:
    """Vectors of a query for the embedder that a file was summarised by; networks are loaded when
    one needs them."""

    def __init__(self, query: Query, named: str | None) -> None:
        self._query, self._named = query, named
        self._stored: dict[bytes, NDArray[np.float32]] = query.stored()
        self._embedder: Embedder | None = None

    def of(self, file: SummarisedFile) -> tuple[bytes, NDArray[np.float32]]:
        """Id and vectors. Raises `UsageError` for a file without summaries, `WrongModelError` for
        an unknown embedder."""
        if not file.vectors:
            raise UsageError(f"{file.name}: has no summary (gvcodec summarize adds one)")
        for name in file.vectors:
            if name in self._stored and not self._named:
                return name, self._stored[name]
        embedder = self._made(file)
        if embedder.id not in file.vectors:
            raise self._unknown_model_error(file)
        if embedder.id not in self._stored:
            self._stored[embedder.id] = self._query.vectors(embedder)
        vectors, dim = self._stored[embedder.id], file.vectors[embedder.id].values.shape[1]
        if vectors.shape[1] != dim:
            raise DamagedStreamError(
                f"{file.name}: its vectors have {dim} numbers, those of its embedder {embedder.dim}"
            )
        return embedder.id, vectors

    def _made(self, file: SummarisedFile) -> Embedder:
        if self._embedder is None:
            # Before a network is loaded for nothing.
            if not self._named and default_id() not in file.vectors:
                raise self._unknown_model_error(file)
            self._embedder = make(self._named or DEFAULT)
        return self._embedder

    def _unknown_model_error(self, file: SummarisedFile) -> WrongModelError:
        names = " and ".join(sorted(name.hex() for name in file.vectors))
        return WrongModelError(
            f"{file.name}: its summary was made by embedder {names}, "
            "which is missing here (--embedder)"
        )
