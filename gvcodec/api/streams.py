"""Streams as they are: what they hold, whether they are right, and pieces of them, without coding
anything again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from gvcodec.api.sources import PathName, Source, open_reader, open_sink, open_source
from gvcodec.bitstream import Reader, Salvage
from gvcodec.codec.decoder import Decoder
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.limits import DEFAULT, Limits, memory_limit
from gvcodec.media.reader import VideoReader
from gvcodec.streams import cat as joining
from gvcodec.streams import cut as cutting
from gvcodec.streams import repair as repairing
from gvcodec.streams import verify as verifying
from gvcodec.streams.cat import Joined
from gvcodec.streams.cut import Cut
from gvcodec.streams.info import Info, facts
from gvcodec.streams.repair import Repaired
from gvcodec.streams.verify import Verified
from gvcodec.util.file_io import as_name, name_of, protect_inputs


def info(source: Source) -> Info:
    """What a stream holds: all of it is read, and its checksums are checked. `source`: a path,
    bytes or an open binary file. Raises `MissingFileError`, `MediaError`, `DamagedStreamError`."""
    with open_reader(source) as reader:
        return facts(reader)


def verify(
    source: Source,
    original: PathName | BinaryIO | None = None,
    *,
    fidelity: bool = False,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    limits: Limits = DEFAULT,
    hold: bool = False,
) -> Verified:
    """Check a stream as far as it can be checked: checksums, decoding, the base hash, and the hash
    of the painted frames unless `fidelity`. `original`: the video that was encoded gives the PSNR.
    `hold`: the system holds this process to the limit of memory meanwhile. Raises
    `DamagedStreamError`, `VerificationError`, `WrongModelError`, `LimitError`, `MissingFileError`,
    `MediaError`, `UsageError`."""
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(open_reader(source))
        video = None if original is None else stack.enter_context(VideoReader(original))
        painted = reader.header.enhanced and not fidelity
        decoder = Decoder(
            reader.header, not painted, threads, models, limits=limits, only_check=video is None
        )
        stack.enter_context(memory_limit(reader.header, painted, limits, hold))
        return verifying.verify(reader, decoder, video, painted)


def cut(
    source: Source,
    output: PathName | BinaryIO,
    start: float = 0.0,
    end: float | None = None,
    *,
    exact: bool = False,
    overwrite: bool = False,
    threads: int = 0,
    limits: Limits = DEFAULT,
    hold: bool = False,
) -> Cut:
    """Write the GOPs that are on screen between `start` and `end`, in seconds after the first frame
    (None = to the last). Nothing is coded again, but with `exact` the GOPs that are cut, so that
    only frames of that time are left. Raises `UsageError` where nothing is left,
    `DamagedStreamError`, `LimitError`, `MissingFileError`, `MediaError`."""
    begin, stop = _exact(start), None if end is None else _exact(end)
    if stop is not None and stop <= begin:
        raise UsageError("--to has to be later than --start")
    with (
        protect_inputs(_names([source])),
        open_reader(source) as reader,
        open_sink(output, overwrite) as sink,
        memory_limit(reader.header, False, limits, hold),
    ):
        return cutting.cut(reader, sink, begin, stop, threads, limits, exact)


def cat(
    sources: Sequence[Source],
    output: PathName | BinaryIO,
    *,
    overwrite: bool = False,
    threads: int = 0,
    limits: Limits = DEFAULT,
    hold: bool = False,
) -> Joined:
    """Write streams of one format one after another. Nothing is coded again. Raises `UsageError`
    where they do not fit together, `DamagedStreamError`, `LimitError`, `MissingFileError`,
    `MediaError`."""
    names = _names(sources)
    if names.count("-") > 1:
        raise UsageError("standard input can be read only once")
    if not sources:
        raise UsageError("there is no stream to join")
    with contextlib.ExitStack() as stack:
        stack.enter_context(protect_inputs(names))
        readers = [
            Reader(stack.enter_context(open_source(source)), name_of(source)) for source in sources
        ]
        sink = stack.enter_context(open_sink(output, overwrite))
        stack.enter_context(memory_limit(readers[0].header, False, limits, hold))
        return joining.cat(readers, sink, threads, limits)


def repair(
    source: Source,
    output: PathName | BinaryIO,
    *,
    overwrite: bool = False,
    threads: int = 0,
    limits: Limits = DEFAULT,
    hold: bool = False,
) -> Repaired:
    """Write all frames of a damaged or cut-off stream that can be decoded, at their times. Raises
    `DamagedStreamError` where nothing is left, `LimitError`, `MissingFileError`, `MediaError`,
    `UsageError`."""
    name = name_of(source)
    with (
        protect_inputs(_names([source])),
        open_source(source) as damaged,
        open_sink(output, overwrite) as sink,
    ):
        try:
            salvage = Salvage(damaged, name)
            with memory_limit(salvage.header, False, limits, hold):
                return repairing.repair(salvage, sink, threads, limits)
        except DamagedStreamError as error:
            if str(error).startswith(name):
                raise
            raise DamagedStreamError(f"{name}: {error}") from error


def _names(sources: Sequence[Source]) -> list[str]:
    return [name for name in map(as_name, sources) if name is not None]


def _exact(seconds: float) -> Fraction:
    """A time in decimal digits, not the binary number beside it: a frame at exactly this time
    counts."""
    return Fraction(seconds).limit_denominator(1_000_000)
