"""Files of rate control: of a size, a bitrate or a quality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

from gvcodec.api.job import Job, is_whole
from gvcodec.api.results import EncodeReport
from gvcodec.bases import q_of
from gvcodec.errors import UsageError
from gvcodec.media.reader import VideoReader
from gvcodec.media.sound_coding import SoundCoder
from gvcodec.one_file.write import container_size, one_file_suffix
from gvcodec.rate.one_pass import Budget
from gvcodec.rate.size import RatedFile, TooSmallError, check_sound_size, encode_to_budget
from gvcodec.rate.target import Target, encode_to_target
from gvcodec.util.file_io import as_name
from gvcodec.util.progress import ProgressBar

#: Bytes that a container adds, about; encodes until a file has its size, and what part of it may be
#: left over.
_ADDED, _TRIES, _SPARE = 1000, 3, 0.02
#: How much longer than it says a file may be.
_LENIENT = 1.05


def encode_rated(
    job: Job, rate: Budget | Target, output: BinaryIO, bar: ProgressBar
) -> EncodeReport:
    """Raises `UsageError` with the smallest possible size, or the best possible quality, where that
    is not enough."""
    suffix = one_file_suffix(as_name(job.output))
    # A .webm leaves out what it does not take, and has room for pictures then.
    if isinstance(rate, Budget) and suffix != ".webm":
        with job.open() as source:
            _refuse_early(source, rate)
    if isinstance(rate, Target):
        whole = replace(job.input_options, scale=None)
        original = replace(job, input_options=whole).open

        def encode(most: float | None) -> RatedFile:
            budget = replace(rate, most_bytes=most)
            return encode_to_target(job.open, job.config, budget, bar, bar, original)

        rated_file = _fit_container(suffix, rate.most_bytes, encode, fills=False)
    else:

        def encode(most: float | None) -> RatedFile:
            budget = rate if most is None else Budget(size=most)
            return encode_to_budget(job.open, job.config, budget, bar, bar, is_file=not suffix)

        bounds = suffix if rate.counts_tracks else ""
        rated_file = _fit_container(bounds, rate.size, encode, fills=True)
    output.write(rated_file.encoded_pass.data)
    source_bytes: int | None = None
    if is_whole(job):
        with job.open() as source:
            source_bytes = source.size
    return replace(_describe(rated_file, rate), source_bytes=source_bytes)


def _refuse_early(source: VideoReader, rate: Budget) -> None:
    """Raises `UsageError` where copied sound alone takes more than the budget: reads the file, but
    decodes nothing. Sound that is coded anew is known after the first pass."""
    if not rate.counts_tracks or isinstance(source.tracks, SoundCoder):
        return
    limit = rate.size
    if limit is None and source.expected_frames is not None:
        # An estimate: the passes know better.
        limit = _LENIENT * rate.file_bytes(source.format, source.expected_frames, 0)
    if limit is not None:
        check_sound_size(limit, source.measure_tracks())


def _fit_container(
    suffix: str, limit: float | None, encode: Callable[[float | None], RatedFile], fills: bool
) -> RatedFile:
    """Encode so that the file, with what its container adds and leaves out, has at most `limit`
    bytes; None: as the first stream has to. `fills`: and few less."""
    if not suffix or (limit is None and not fills):
        return encode(limit)
    added, passes = _ADDED, 0
    best: RatedFile | None = None
    for _ in range(_TRIES):
        refused: TooSmallError | None = None
        try:
            rated_file = encode(None if limit is None else max(1.0, limit - added))
        except TooSmallError as error:
            if error.smallest is None:
                raise
            refused, rated_file = error, error.smallest
        limit = int((rated_file.limit or 0) if limit is None else limit)
        passes += rated_file.passes
        size, copied = container_size(rated_file.encoded_pass.data, suffix)
        added = size - len(rated_file.encoded_pass.data)
        if size <= limit and (
            best is None or len(rated_file.encoded_pass.data) > len(best.encoded_pass.data)
        ):
            best = rated_file
        if refused and size > limit:
            kinds = rated_file.encoded_pass.track_kinds
            raise TooSmallError(limit, str(size), copied, kinds, rated_file) from refused
        if size <= limit and (not fills or size >= (1 - _SPARE) * limit):
            break
    if best is None or limit is None:
        raise UsageError(
            f"the file would be {size} bytes, more than {limit}", code="size-unreachable"
        )
    return replace(best, passes=passes, limit=None if best.limit is None else int(limit))


def _describe(rated_file: RatedFile, rate: Budget | Target) -> EncodeReport:
    coded, target = rated_file.encoded_pass, rate if isinstance(rate, Target) else None
    sound = (coded.track_bytes, coded.track_packets, coded.track_kinds)
    return EncodeReport(
        len(coded.frame_bytes),
        len(coded.data),
        tuple(coded.notes),
        coded.format,
        coded.psnr_y,
        sound if coded.track_packets else None,
        rated_file.passes,
        q=q_of(coded.base, rated_file.base_q),
        limit=rated_file.limit,
        reached=target and target.with_values(rated_file.values),
        target=target,
        seconds=coded.seconds,
        incomplete=coded.incomplete,
    )
