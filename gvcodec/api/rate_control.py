"""Files of rate control: of a size, a bitrate or a quality."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import BinaryIO

from gvcodec.api.job import Job, is_whole
from gvcodec.api.results import EncodeReport
from gvcodec.bases import q_of
from gvcodec.one_file.write import ONE_FILE, container_size, one_file_suffix
from gvcodec.rate.one_pass import Budget
from gvcodec.rate.size import RatedFile, check_sound_size, encode_to_budget
from gvcodec.rate.target import Target, encode_to_target
from gvcodec.source.reader import VideoReader
from gvcodec.tracks.attached_files import choose_held
from gvcodec.tracks.opus import SoundCoder
from gvcodec.util.file_io import as_name
from gvcodec.util.progress import ProgressBar

#: How much longer than it says a file may be.
_LENIENT = 1.05


def encode_rated(
    job: Job, rate: Budget | Target, output: BinaryIO, bar: ProgressBar
) -> EncodeReport:
    """Raises `UsageError` with the smallest possible size, or the best possible quality, where that
    is not enough."""
    suffix = one_file_suffix(as_name(job.output))
    # A .webm drops unsuitable tracks, which leaves bytes for pictures.
    if isinstance(rate, Budget) and suffix != ".webm":
        with job.open() as source:
            if suffix:
                source.attachments, _ = choose_held(source.attachments, ONE_FILE[suffix])
            _refuse_early(source, rate)
    # A one-file is larger than its stream, or smaller where it leaves tracks out.
    bounds_file = suffix and rate.bounds_file
    container = partial(container_size, suffix=suffix) if bounds_file else None
    if isinstance(rate, Target):
        whole = replace(job.input_options, scale=None)
        original = replace(job, input_options=whole).open
        rated_file = encode_to_target(job.open, job.config, rate, bar, bar, original, container)
    else:
        rated_file = encode_to_budget(job.open, job.config, rate, bar, bar, container)
    output.write(rated_file.encoded_pass.data)
    source_bytes: int | None = None
    if is_whole(job):
        with job.open() as source:
            source_bytes = source.size
    report = replace(_describe(rated_file, rate), source_bytes=source_bytes)
    # The limit of pictures is one of the stream, whose bytes differ from those of the one-file.
    is_other_size = suffix and isinstance(rate, Budget) and not rate.bounds_file
    return replace(report, limit=None) if is_other_size else report


def _refuse_early(source: VideoReader, rate: Budget) -> None:
    """Raises `UsageError` where copied sound alone takes more than the budget: reads the file, but
    decodes nothing. Sound that is re-encoded is known after the first pass."""
    if not rate.bounds_file or isinstance(source.tracks, SoundCoder):
        return
    limit = rate.size
    if limit is None and source.expected_frames is not None:
        # An estimate: the passes know better.
        limit = _LENIENT * rate.file_bytes(source.format, source.expected_frames, 0)
    if limit is not None:
        check_sound_size(limit, source.measure_tracks())


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
