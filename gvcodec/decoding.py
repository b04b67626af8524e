"""`gvcodec decode`: a stream to a video file, images or a pipe."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterator
from typing import BinaryIO

from gvcodec.bitstream import Reader, Salvage
from gvcodec.decoder import DecodedFrame, Decoder
from gvcodec.errors import DamagedStreamError, WrongModelError
from gvcodec.files import open_input, say, shown_name
from gvcodec.layers import NO_TORCH, can_paint
from gvcodec.limits import Limits, held
from gvcodec.media.metadata import Metadata
from gvcodec.media.tracks import TrackReader
from gvcodec.media.writer import open_writer, takes_tracks, visually_lossless
from gvcodec.progress import ProgressBar


def decode(options: argparse.Namespace) -> None:
    """`gvcodec decode IN OUT`"""
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_input(options.input, options.follow))
        stream = Salvage(source, shown_name(options.input)) if options.ignore_errors else None
        reader = stream or Reader(source, shown_name(options.input))
        header = reader.header
        painted = header.appearance_id is not None and not options.fidelity
        if painted and not can_paint():
            raise WrongModelError(f"{shown_name(options.input)}: {NO_TORCH} (--fidelity gives the loop frames)")
        most = Limits(options.max_pixels, options.max_memory)
        decoder = Decoder(header, not painted, options.threads, options.model, options.low_delay, options.device, most)
        stack.enter_context(held(header, painted, most))
        frames = decoder.frames_despite(reader) if isinstance(reader, Salvage) else _frames(decoder, reader)
        # The head of the copied tracks stands before the first frame.
        frame = next(frames, None)
        tracks: TrackReader | None = None
        with _despite(decoder, reader):
            tracks = TrackReader(decoder.tracks.popleft(), most) if decoder.tracks else None
        metadata = Metadata.unpack(decoder.metadata)
        keeps = takes_tracks(options.output)
        crf = None if options.lossless else options.crf
        if crf is None and not options.lossless:
            crf = visually_lossless(options.output, header.format)
        writer = stack.enter_context(
            open_writer(
                options.output,
                header.format,
                crf=crf,
                overwrite=options.overwrite,
                tracks=tracks if keeps else None,
                metadata=metadata,
                threads=options.threads,
            )
        )
        left_out = 0
        with ProgressBar(["code"]) as bar:
            bar.begin("decode", _known_frames(reader, source))
            while frame is not None:
                with _despite(decoder, reader):
                    _hand_on(decoder, tracks)
                if tracks and not keeps:
                    left_out += len(tracks.waiting)
                    tracks.waiting.clear()
                writer.write(frame.planes, frame.pts)
                bar.coded(decoder.frames, 0)
                frame = next(frames, None)
        with _despite(decoder, reader):
            _hand_on(decoder, tracks)
    left_out += len(tracks.waiting) if tracks and not keeps else 0
    for line in decoder.losses:
        say(f"{shown_name(options.input)}: {line}")
    fmt = header.format
    summary = [
        f"{decoder.frames} {'painted' if painted else 'loop'} frames {fmt.width}×{fmt.height}",
        _outcome(decoder),
    ]
    summary += writer.notes
    if metadata and not keeps:
        summary.append(f"{', '.join(metadata.parts())} left out: {options.output} cannot hold them")
    if left_out:
        summary.append(f"{left_out} audio packets left out: {options.output} cannot hold them")
    say(f"{options.output}: {', '.join(summary)}, {time.monotonic() - began:.1f} s")
    if decoder.losses:
        raise DamagedStreamError(f"{shown_name(options.input)}: damaged, {options.output} holds what is left of it")


def _frames(decoder: Decoder, reader: Reader) -> Iterator[DecodedFrame]:
    """All frames of a whole stream; errors say where. Raises `VerificationError` at the end."""
    try:
        yield from decoder.frames_of(reader.packets())
    except DamagedStreamError as error:
        raise reader.named(error) from error
    decoder.verify(reader.loop_hash)


@contextlib.contextmanager
def _despite(decoder: Decoder, reader: Reader | Salvage) -> Iterator[None]:
    """Damage to what goes beside the frames counts as a loss when it is to be ignored."""
    try:
        yield
    except DamagedStreamError as error:
        if isinstance(reader, Reader):
            raise reader.named(error) from error
        decoder.losses.append(str(error))


def _hand_on(decoder: Decoder, tracks: TrackReader | None) -> None:
    """Payloads of `tracks` packets go on to their reader."""
    while decoder.tracks:
        payload = decoder.tracks.popleft()
        if tracks is not None:
            tracks.send(payload)


def _known_frames(reader: Reader | Salvage, source: BinaryIO) -> int | None:
    if isinstance(reader, Salvage) or not source.seekable():
        return None
    return sum(gop.frames for gop in reader.gops())


def _outcome(decoder: Decoder) -> str:
    """Whether the frames are the encoder's."""
    if not decoder.losses:
        return "loop hash verified"
    shown = sum(count for _, count in decoder.concealed)
    places = ", ".join(
        f"{first}…{first + count - 1}" if count > 1 else f"{first}" for first, count in decoder.concealed
    )
    return f"damaged: {shown} frames concealed" + (f" ({places})" if places else "")
