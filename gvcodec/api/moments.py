"""`summarize` and `search`: find moments by summaries, then the exact frames of the best ones."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec.api.results import Moment, SearchReport, SummarizeReport
from gvcodec.errors import DamagedStreamError, GvcodecError, UsageError, WrongModelError
from gvcodec.limits import DEFAULT, Limits
from gvcodec.opening import PathName, open_reader, open_sink
from gvcodec.retrieval import embedders, making
from gvcodec.retrieval.embedders import FORMER, Embedder, attention_of, make, shipped_ids
from gvcodec.retrieval.exact import locate
from gvcodec.retrieval.files import SummarisedFile, open_summarised, streams_in
from gvcodec.retrieval.queries import Query, QueryVectors
from gvcodec.retrieval.ranking import RANKINGS, attend, best, scores
from gvcodec.util.file_io import PendingFile, as_name, protect_inputs
from gvcodec.util.kinds import checked_keywords
from gvcodec.util.progress import Mode, ProgressBar


@checked_keywords
def summarize(
    source: PathName,
    output: PathName | None = None,
    *,
    embedder: str = embedders.DEFAULT,
    rate: Fraction | float | None = None,
    overwrite: bool = False,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    limits: Limits = DEFAULT,
    progress: Mode = "none",
) -> SummarizeReport:
    """Add vectors for search to a stream: to `output`, or without one to `source` itself.
    `embedder`: "small", "lp", or one that `gvcodec.retrieval.embedders.register` added; `rate`:
    vectors a frame (None: as many as take 1 % of the file); `models` as for `decode_file`. Raises
    `UsageError`, `MediaError`, `DamagedStreamError`, `LimitError`, `WrongModelError`."""
    name = os.fspath(source)
    embedder_model, stride = make(embedder), making.stride_of(rate)
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(open_reader(name))
        reader.require_unchanged()
        if output is not None:
            stack.enter_context(protect_inputs([name]))
            sink = stack.enter_context(open_sink(output, overwrite))
        else:
            pending = stack.enter_context(PendingFile(name, overwrite=True))
            sink = stack.enter_context(open(pending.temporary, "wb"))
        bar = stack.enter_context(ProgressBar(progress))
        bar.begin("summarize", sum(gop.frames for gop in reader.gops()))
        counts = making.summarize(
            reader, sink, embedder_model, stride, threads, models, limits, bar
        )
        return SummarizeReport(*counts)


@checked_keywords
def search(
    query: PathName,
    files: PathName | Sequence[PathName],
    *,
    count: int = 5,
    exact: int = 1,
    embedder: str | None = None,
    ranking: str = "cosine",
    threads: int = 0,
) -> SearchReport:
    """The `count` moments of streams with summaries that fit a query best.

    Frames around the best `exact` of them are decoded to find the exact frame; the others, and all
    moments of a query "FILE@TIME" whose vector is stored, are known to within the distance of a
    summary's vectors. `query`: a picture, a video, "FILE@1:15", or words with a registered
    `embedder` that takes them. `files`: streams and folders of them. `ranking`: "cosine", or "qc"
    for attention inside short segments (`gvcodec.retrieval.ranking`). Raises `UsageError`,
    `WrongModelError`, `MissingFileError`, `MediaError`, `DamagedStreamError` where no file could be
    searched.
    """
    sources = [files] if as_name(files) is not None else list(files)  # type: ignore[arg-type]
    names = [str(as_name(name)) for name in sources]
    if ranking not in RANKINGS:
        raise UsageError(
            f"ranking is one of {', '.join(RANKINGS)}, not {ranking!r}", code="no-summary"
        )
    query_vectors = _QueryVectors(Query.parse(str(as_name(query))), embedder, ranking)
    paths = [path for name_or_folder in names for path in streams_in(name_or_folder)]
    if not paths:
        raise UsageError(
            f"{names[0]}: no streams in this folder" if names else "no streams", code="no-summary"
        )
    candidates, total, bytes_read, notes, errors = _rank_files(query_vectors, paths, count)
    if not candidates:
        no_summaries = UsageError(
            f"{names[0]}: no summaries (gvcodec summarize adds them)", code="no-summary"
        )
        raise errors[0] if errors else no_summaries
    moments: list[Moment] = []
    for path, candidate in itertools.groupby(
        candidates, lambda candidate_frame: candidate_frame.path
    ):
        with open_summarised(path) as file:
            before = file.bytes_read
            for candidate_frame in candidate:
                score, frame, gap = (
                    candidate_frame.score,
                    candidate_frame.frame,
                    candidate_frame.gap,
                )
                if len(moments) < exact:
                    try:
                        exact_frame = query_vectors.locate(candidate_frame, threads)
                        frame, gap = (frame, gap) if exact_frame is None else (exact_frame, 0)
                    except GvcodecError as error:
                        notes.append(f"the exact frame is not known: {error}")
                gop = file.gop_of(frame)
                seconds = round(file.seconds(frame), 3)
                tolerance = round(gap / float(file.reader.header.format.frame_rate), 3)
                span = (gop.first_frame, gop.frames)
                moments.append(Moment(path, seconds, frame, span, round(score, 4), tolerance))
                bytes_read += gop.size if not gap else 0
            bytes_read += file.bytes_read - before
    return SearchReport(tuple(moments), len(paths), bytes_read, total, (*notes, *map(str, errors)))


class _Candidate(NamedTuple):
    """A frame with a vector, and the largest distance in frames to the best frame."""

    path: str
    name: bytes
    score: float
    frame: int
    gap: int


def _rank_files(
    query_vectors: _QueryVectors, paths: list[str], count: int
) -> tuple[list[_Candidate], int, int, list[str], list[GvcodecError]]:
    """Best moments and their files, bytes of all and bytes read, notes, errors."""
    moments: list[_Candidate] = []
    total = bytes_read = 0
    notes: list[str] = []
    errors: list[GvcodecError] = []
    for path in paths:
        try:
            with open_summarised(path) as file:
                total += file.size
                vectors = file.vectors
                notes += file.notes
                name, similarities = query_vectors.rank(file)
                frames = vectors[name].frames
                for at in best(similarities, frames, count):
                    gap = _measure_gap(frames, at, file.frames)
                    moments.append(
                        _Candidate(path, name, float(similarities[at]), int(frames[at]), gap)
                    )
                bytes_read += file.bytes_read
        except GvcodecError as error:
            errors.append(error)
    moments.sort(key=lambda near: -near.score)
    return moments[:count], total, bytes_read, notes, errors


def _measure_gap(frames: NDArray[np.int64], at: int, end: int) -> int:
    """Frames to the farther of the vectors before and after, or to an end of the file."""
    before, here, after = (int(n) for n in [0, *frames, end][at : at + 3])
    return max(after - here, here - before)


class _QueryVectors:
    """A query as the embedders of files see it, each loaded when one needs it."""

    def __init__(self, query: Query, embedder_name: str | None, ranking: str) -> None:
        self._query, self._embedder_name, self._ranking = query, embedder_name, ranking
        self._stored: dict[bytes, QueryVectors] = query.stored_vectors()
        self._embedders: dict[str, Embedder] = {}

    def rank(self, file: SummarisedFile) -> tuple[bytes, NDArray[np.float64]]:
        """Embedder's id, and scores of the file's vectors."""
        name, sought = self.of(file)
        summary = file.vectors[name]
        offsets = sought.seconds * float(file.reader.header.format.frame_rate)
        if self._ranking == "cosine":
            return name, scores(sought.vectors, offsets, summary.values, summary.frames)
        attention = attention_of(name)
        return name, attend(sought.vectors, offsets, summary.values, summary.frames, attention)

    def locate(self, near: _Candidate, threads: int) -> int | None:
        """The exact frame; None if no network was needed."""
        embedder = next((e for e in self._embedders.values() if e.id == near.name), None)
        if embedder is None:
            return None
        return locate(near.path, near.frame, near.gap, self._stored[near.name], embedder, threads)

    def of(self, file: SummarisedFile) -> tuple[bytes, QueryVectors]:
        """Id and query. Raises `UsageError` for a file without summaries, `WrongModelError` for
        an unknown embedder."""
        if not file.vectors:
            raise UsageError(
                f"{file.name}: has no summary (gvcodec summarize adds one)", code="no-summary"
            )
        for name in file.vectors:
            if name in self._stored and not self._embedder_name:
                return name, self._stored[name]
        embedder = self._make_embedder(file)
        if embedder.id not in file.vectors:
            raise self._unknown_model_error(file)
        if embedder.id not in self._stored:
            self._stored[embedder.id] = self._query.look(embedder)
        sought, dim = self._stored[embedder.id], file.vectors[embedder.id].values.shape[1]
        if sought.vectors.shape[1] != dim:
            description = f"{file.name}: vectors of {dim} numbers"
            raise DamagedStreamError(f"{description}, but its embedder makes {embedder.dim}")
        return embedder.id, sought

    def _make_embedder(self, file: SummarisedFile) -> Embedder:
        shipped = shipped_ids()
        shipped_name = next((shipped[name] for name in file.vectors if name in shipped), None)
        name_ = self._embedder_name or shipped_name
        if name_ is None:  # before a network is loaded for nothing
            raise self._unknown_model_error(file)
        if name_ not in self._embedders:
            self._embedders[name_] = make(name_)
        return self._embedders[name_]

    def _unknown_model_error(self, file: SummarisedFile) -> WrongModelError:
        names = " and ".join(sorted(FORMER.get(name, name.hex()) for name in file.vectors))
        message = f"{file.name}: its summary was made by embedder {names}"
        return WrongModelError(
            f"{message}, which is missing here (--embedder)", code="model-missing"
        )
