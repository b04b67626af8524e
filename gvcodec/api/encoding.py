"""`encode_file`: a video file to a stream, with everything that `gvcodec encode` can do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO, TypeVar, Unpack

from gvcodec.api.base_choice import resolve_auto_base, settle_base
from gvcodec.api.job import Job
from gvcodec.api.keywords import list_options, make_config
from gvcodec.api.rate_control import encode_rated, reread
from gvcodec.api.results import Encoded
from gvcodec.api.sources import PathName, as_name, open_sink
from gvcodec.av1_mux.write import check_one_file, one_file_suffix, tracks_in
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig, EncoderOptions
from gvcodec.errors import UsageError
from gvcodec.media.inputs import InputOptions
from gvcodec.media.reader import VideoReader
from gvcodec.media.sound_coding import opus_rate
from gvcodec.media.tracks import CHUNK
from gvcodec.rate.budget import Budget, parse_amount
from gvcodec.rate.one_pass import Watch
from gvcodec.rate.scenes import gop_offsets, shares
from gvcodec.rate.target import Target, parse_target
from gvcodec.streams.info import kbps
from gvcodec.streams.resume import Journal
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.file_io import protect_inputs
from gvcodec.util.messages import count_noun
from gvcodec.util.progress import Mode, ProgressBar
from gvcodec.util.uris import absolute_path

if TYPE_CHECKING:
    from gvcodec.retrieval.making import Summarizer

_T = TypeVar("_T")
_AMOUNTS = "an amount, as in 1500, 250k, 1.5M or 64Ki"
_TARGETS = "psnr=DECIBEL or lpips=DISTANCE"
_SOUNDS = "copy, none, opus or opus:RATE with 6k to 510k bits a second"
#: Settings that what is coded does not depend on.
_AFTER_CODING = ("fit_parts", "fit_by", "tokens", "token_rate", "search", "model")


@list_options
def encode_file(
    source: PathName | BinaryIO,
    output: PathName | BinaryIO,
    *,
    size: float | str | None = None,
    bitrate: float | str | None = None,
    bpp: float | str | None = None,
    target: str | Target | None = None,
    jobs: int | None = None,
    start: float = 0.0,
    end: float | None = None,
    frames: int | None = None,
    sound: str | None = None,
    resume: bool = False,
    summary: bool | str = False,
    summary_rate: Fraction | float | None = None,
    overwrite: bool = False,
    progress: Mode = "none",
    verbose: bool = False,
    input_options: InputOptions | None = None,
    config: EncoderConfig | None = None,
    **options: Unpack[EncoderOptions],
) -> Encoded:
    """Encode a video file, with its sound, subtitles and metadata, as `gvcodec encode` does.

    `source` and `output` are paths ("-" = standard input and output) or open binary files, that of
    `source` can seek; `source` may be a URI, a folder of numbered pictures or raw samples too. From
    `start` seconds on to `end`, at most `frames`. `sound`: "copy", "none", "opus" or "opus:24k".

    At most one of `size` (bytes of the file, "500k"), `bitrate` (bits a second of the file, "80k"),
    `bpp` (bits per luma pixel, without sound) and `target` ("psnr=38", "lpips=0.15") takes the
    place of `q`. `jobs`: code in chunks, so many at a time. `resume` goes on from OUTPUT.part.
    `summary`: add one for search, by this embedder (True: small), with `summary_rate` vectors a
    frame (None: as many as take 1 %). `progress`: a function that gets a `State` about
    ten times a second, in this thread (what it raises ends the encode); or a bar, as the command
    shows it ("auto"), or JSON on standard error; `verbose` adds a line for each stage.
    `input_options`: what the input does not say itself (frame rate, colour), and the size and frame
    rate that are wanted. Either `config`, or
    fields of `EncoderConfig` by name.

    Raises `UsageError`, `MediaError`, `MissingFileError`; `MissingWeightsError` where a target
    needs weights that are not found.
    """
    settings = make_config(config, options)
    rate = rate_of(size, bitrate, bpp, target)
    if rate is not None and ("q" in options or "base_q" in options):
        raise UsageError("give either a quality or one of size, bitrate, bpp and target")
    names = as_name(source), as_name(output)
    settings = resolve_auto_base(settings, names[1], bool(rate and jobs))
    if names[1] is not None:
        check_one_file(names[1], settings.base)
    _check(settings, rate, jobs, resume, summary, summary_rate)
    wanted = input_options or InputOptions()
    if end is not None:
        wanted = replace(wanted, until=end)
    if sound is not None:
        wanted = replace(wanted, sound=_parse(parse_sound, sound, _SOUNDS))
    job = Job(
        source,
        output,
        settings,
        start,
        frames,
        overwrite,
        wanted,
        {"mode": progress, "verbose": verbose},
    )
    with protect_inputs([] if names[0] is None else [names[0]]):
        if jobs:
            from gvcodec.api.in_chunks import encode_in_chunks

            job = settle_base(job)
            if shares(job.config):
                raise UsageError("alloc tries the whole video first: not with jobs")
            done = encode_in_chunks(job, rate, jobs)
        elif rate is not None:
            done = encode_rated(job, rate)
        else:
            done = _encode_once(job, resume, summary, summary_rate)
    if names[1] is None or not one_file_suffix(names[1]):
        return done
    return replace(done, size=os.path.getsize(names[1]), tracks=tracks_in(names[1]))


def _encode_once(
    job: Job, resume: bool, summary: bool | str, summary_rate: Fraction | float | None
) -> Encoded:
    with contextlib.ExitStack() as stack:
        # The output is looked at first: a long job should not fail at its end.
        output = stack.enter_context(open_sink(job.output, job.overwrite))
        job = settle_base(job)
        tries = shares(job.config)

        def rate(frames: int, size: int) -> tuple[float, str]:
            shown = encoder.seconds * frames / max(1, encoder.frames)
            return rate_so_far(reader.format, frames, size, shown)

        stages = ["probe"] * tries + job.stages
        bar = stack.enter_context(ProgressBar(stages, rate, **job.progress))
        if tries:
            job = replace(job, source=stack.enter_context(reread(job.source)))
            job = settle_scenes(job, bar)
        reader = stack.enter_context(
            VideoReader(job.source, job.start, job.frames, said=job.input_options)
        )
        journal = stack.enter_context(_open_journal(job)) if resume else None
        wrap = journal.wrap if journal else None
        encoder = Encoder(reader.format, job.config, reader.start_pts, progress=bar, wrap=wrap)
        known = journal.frames if journal else 0
        video = bar(reader, "encode", reader.expected)

        def given() -> Iterator[tuple[Planes, int, bool]]:
            for frame in video:
                yield frame.planes, frame.pts, frame.new_size
            encoder.send_end(reader.end)

        chunk = 0 if job.config.low_delay else CHUNK
        made = _summarizer(summary, reader.format, summary_rate) if summary else None
        writer = encode_stream(
            encoder, output, given(), reader.metadata.pack(), reader.tracks, chunk, summary=made
        )
    if journal:
        journal.remove()
    notes = [f"{count_noun(known, 'frame is', 'frames are')} coded already"] if known else []
    tracks = reader.tracks
    copied = (writer.track_size, tracks.packets, tracks.kinds) if tracks else None
    notes += [*reader.notes, *encoder.notes]
    fmt, psnr = reader.format, encoder.psnr_y
    return Encoded(
        writer.frames, writer.size, tuple(notes), fmt, psnr, copied, seconds=encoder.seconds
    )


def settle_scenes(job: Job, watch: Watch) -> Job:
    """The job with the quality of each GOP, after a trial of its video."""
    with VideoReader(job.source, job.start, job.frames, said=job.input_options) as reader:
        config = job.config.resolve()
        planes = (frame.planes for frame in watch(reader, "probe", reader.expected))
        return replace(
            job, config=replace(config, gop_q=gop_offsets(planes, reader.format, config))
        )


def rate_of(
    size: float | str | None,
    bitrate: float | str | None,
    bpp: float | str | None,
    target: str | Target | None,
) -> Budget | Target | None:
    """What rate control is to reach. Raises `UsageError`."""
    amounts = [
        value if not isinstance(value, str) else _parse(parse_amount, value, _AMOUNTS)
        for value in (size, bitrate, bpp)
    ]
    if sum(value is not None for value in (*amounts, target)) > 1:
        raise UsageError("give one of size, bitrate, bpp and target")
    if isinstance(target, str):
        return _parse(parse_target, target, _TARGETS)
    if target is not None or amounts == [None] * 3:
        return target
    return Budget(*amounts)


def _parse(parse: Callable[[str], _T], text: str, wanted: str) -> _T:
    try:
        return parse(text)
    except ValueError:
        raise UsageError(f"{text!r} is not {wanted}") from None


def parse_sound(text: str) -> str:
    """As people write it, "opus:24k", with the rate as bits a second: "opus:24000". Raises
    `ValueError`."""
    name, colon, rate = text.partition(":")
    sound = name + (f":{round(parse_amount(rate))}" if colon else "")
    opus_rate(sound)
    return sound


def _check(
    config: EncoderConfig,
    rate: Budget | Target | None,
    jobs: int | None,
    resume: bool,
    summary: bool | str,
    summary_rate: Fraction | float | None,
) -> None:
    """Raises `UsageError` for what does not go together."""
    if jobs is not None and jobs < 1:
        raise UsageError(f"jobs is 1 or more, not {jobs}")
    if resume and (rate is not None or config.maxrate):
        raise UsageError("--resume goes with -q, not with rate control")
    if resume and jobs:
        raise UsageError(
            "--resume goes without --jobs; gvcodec batch goes on where it was interrupted"
        )
    if summary and rate is not None:
        raise UsageError("--summary goes with -q; gvcodec summarize adds one to a finished stream")
    if summary and config.low_delay:
        raise UsageError("--summary waits for the end of each GOP, --low-delay for nothing")
    if summary_rate is not None and not summary:
        raise UsageError("--summary-rate goes with --summary")
    if summary and jobs:
        raise UsageError(
            "--summary goes without --jobs; gvcodec summarize adds one to a finished stream"
        )


def _open_journal(job: Job) -> Journal:
    """Where coded frames are kept until the output is complete."""
    named, output = as_name(job.source), as_name(job.output)
    if output is None:
        raise UsageError("--resume needs the names of files")
    source = "" if named in (None, "-") else absolute_path(named)
    status = os.stat(source) if source and os.path.exists(source) else None
    video = (
        source,
        status and status.st_size,
        status and status.st_mtime_ns,
        job.start,
        job.frames,
        job.input_options or InputOptions(),
    )
    later = {name: getattr(EncoderConfig(), name) for name in _AFTER_CODING}
    settings = replace(job.config, threads=0, device="cpu", fit=0.0, fit_steps=0, **later)
    return Journal(output, (video, settings), job.config.threads)


def _summarizer(
    summary: bool | str, fmt: VideoFormat, summary_rate: Fraction | float | None
) -> Summarizer:
    from gvcodec.retrieval.embedders import DEFAULT, make
    from gvcodec.retrieval.making import Summarizer, stride_of

    stride = stride_of(summary_rate)
    return Summarizer(make(DEFAULT if summary is True else str(summary)), fmt.colour, stride)


def rate_so_far(fmt: VideoFormat, frames: int, size: int, seconds: float) -> tuple[float, str]:
    """Of the frames that are coded, shown for so long: kb/s, and a note with bits a pixel too."""
    bpp, rate = 8 * size / (frames * fmt.width * fmt.height), kbps(size, seconds)
    return rate, f"{rate:.1f} kb/s, {bpp:.5f} bpp"
