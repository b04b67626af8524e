"""`search`: moments found by summaries, without decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gvcodec.api.results import Found, Moment
from gvcodec.api.sources import PathName, as_name
from gvcodec.errors import DamagedStreamError, GvcodecError, UsageError, WrongModelError
from gvcodec.retrieval import ranking
from gvcodec.retrieval.embedders import DEFAULT, Embedder, default_id, make
from gvcodec.retrieval.files import SummarisedFile, open_summarised, streams_in
from gvcodec.retrieval.queries import Query


def search(
    query: PathName,
    files: PathName | Sequence[PathName],
    *,
    count: int = 5,
    embedder: str | None = None,
    watch: Callable[[list[str]], Iterable[str]] = iter,
) -> Found:
    """The `count` moments of streams with summaries that fit a query best; nothing is decoded.

    `query`: a picture, a video, "FILE@1:15", or words with an `embedder` for them. `files`: streams
    and folders of them. `watch` hands the paths on, as `tqdm` does. Raises `UsageError`,
    `WrongModelError`, `MissingFileError`, `MediaError`, `DamagedStreamError` where no file could be
    searched.
    """
    named = [files] if as_name(files) is not None else list(files)  # type: ignore[arg-type]
    names = [str(as_name(name)) for name in named]
    asked = _Asked(Query.parse(str(as_name(query))), embedder)
    paths = [path for given in names for path in streams_in(given)]
    if not paths:
        raise UsageError(f"{names[0]}: no streams in this folder" if names else "no streams")
    found, total, read, notes, refused = _best(asked, paths, count, watch)
    if not found:
        raise (
            refused[0]
            if refused
            else UsageError(f"{names[0]}: no summaries (gvcodec summarize adds them)")
        )
    moments = []
    for path, moment in found:
        with open_summarised(path) as file:
            before = file.bytes_read
            gop = file.gop_of(moment.frame)
            seconds = round(file.seconds(moment.frame), 3)
            span = (gop.first_frame, gop.frames)
            moments.append(Moment(path, seconds, moment.frame, span, round(moment.score, 4)))
            read += file.bytes_read - before
    return Found(tuple(moments), len(paths), read, total, (*notes, *map(str, refused)))


def _best(
    asked: _Asked,
    paths: list[str],
    count: int,
    watch: Callable[[list[str]], Iterable[str]],
) -> tuple[list[tuple[str, ranking.Moment]], int, int, list[str], list[GvcodecError]]:
    """The best moments and their files, bytes of all files and bytes read, notes, and errors of
    files that are left out."""
    moments: list[tuple[str, ranking.Moment]] = []
    total = read = 0
    notes: list[str] = []
    refused: list[GvcodecError] = []
    for path in watch(paths):
        try:
            with open_summarised(path) as file:
                total += file.size
                notes += file.notes
                name, vectors = asked.of(file)
                own = file.vectors[name]
                scores = ranking.scores(vectors, own.values, own.frames)
                moments += [(path, moment) for moment in ranking.best(scores, own.frames, count)]
                read += file.bytes_read
        except GvcodecError as error:
            refused.append(error)
    moments.sort(key=lambda found: -found[1].score)
    return moments[:count], total, read, notes, refused


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
        embedder = self._make_embedder(file)
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

    def _make_embedder(self, file: SummarisedFile) -> Embedder:
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
