"""Queries of a search: a picture or a clip (any file that FFmpeg reads as video), a time in a
stream (`FILE@1:02.5`), words.

A time needs no network if the stream has a summary by the same embedder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import UsageError
from gvcodec.retrieval.embedders import Embedder
from gvcodec.retrieval.files import open_summarised
from gvcodec.retrieval.thumbnails import thumbnail
from gvcodec.source.reader import VideoReader
from gvcodec.types import Colour, Planes
from gvcodec.util.file_io import STREAMS
from gvcodec.util.messages import parse_time
from gvcodec.video import Video

#: Frames that represent a clip.
_OF_CLIP = 8


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """A query after embedding: `vectors` (M, dim), `seconds` (M,) after the first one; `tokens` (M,
    …) of pictures, None for words and stored vectors."""

    vectors: NDArray[np.float32]
    seconds: NDArray[np.float64]
    tokens: Any = None


@dataclass(frozen=True, slots=True)
class Query:
    """`path` of a picture or clip with `at` seconds in it, None = all of it; or `words`."""

    path: str = ""
    at: float | None = None
    words: str = ""

    @staticmethod
    def parse(text: str) -> Query:
        """Parse a query. Raises `UsageError` for a text that is neither a file nor words."""
        path, by, time = text.rpartition("@")
        if os.path.isfile(text):
            return Query(text)
        if by and os.path.isfile(path):
            seconds = parse_time(time)
            if seconds is None:
                raise UsageError(f"{time!r} is not a time like 75, 1:15 or 0:01:15", code="query")
            return Query(path, seconds)
        if not text.strip():
            raise UsageError("the query is empty", code="query")
        return Query(words=text)

    def look(self, embedder: Embedder) -> QueryVectors:
        """Embed the query."""
        if self.words:
            vectors = embedder.query(self.words)
            return QueryVectors(vectors, np.zeros(len(vectors)))
        frames = self._frames()
        pictures = np.stack([thumbnail(planes, of, embedder.side) for planes, of, _ in frames])
        tokens = embedder.frames(pictures)
        seconds = np.array([at for _, _, at in frames])
        return QueryVectors(embedder.compress(tokens), seconds - seconds[0], tokens)

    def stored_vectors(self) -> dict[bytes, QueryVectors]:
        """Stored vectors (1, dim) of the stream for this time, by embedder."""
        if self.at is None or not self.path.lower().endswith(STREAMS):
            return {}
        with open_summarised(self.path) as file:
            frame = round(self.at * float(file.reader.header.format.frame_rate))
            nearest = {
                n: np.abs(vectors.frames - frame).argmin() for n, vectors in file.vectors.items()
            }
            return {
                name: QueryVectors(file.vectors[name].values[[at]], np.zeros(1))
                for name, at in nearest.items()
            }

    def _frames(self) -> list[tuple[Planes, Colour, float]]:
        if self.path.lower().endswith(STREAMS):
            with Video(self.path, fidelity=True) as video:
                last = len(video) - 1
                numbers = sorted({round(last * n / (_OF_CLIP - 1)) for n in range(_OF_CLIP)})
                if self.at is not None:
                    numbers = [video.first_at(Fraction(self.at).limit_denominator(1_000_000))]
                fmt = video.header.format
                return [
                    (frame.planes, fmt.colour, n / float(fmt.frame_rate))
                    for n in numbers
                    for frame in video.decode_range(n, n + 1)
                ]
        with VideoReader(self.path, self.at or 0.0, 1 if self.at is not None else None) as reader:
            selected: list[tuple[Planes, Colour, float]] = []
            stride, fmt = 1, reader.format
            for number, frame in enumerate(reader):
                if number % stride == 0:
                    selected.append((frame.planes, fmt.colour, number / float(fmt.frame_rate)))
                if len(selected) == 2 * _OF_CLIP:
                    selected, stride = selected[::2], 2 * stride
            return selected[:: -(-len(selected) // _OF_CLIP)]
