"""What the subcommands of the command line do; `gvcodec.cli` reads the arguments and reports errors."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

from gvcodec.bitstream import Kind, PtsDecoder, Reader, Writer
from gvcodec.encoder import Encoder, EncoderConfig
from gvcodec.errors import DamagedStreamError, MediaError, UsageError
from gvcodec.files import PendingFile
from gvcodec.types import VideoFormat

_TRACK_CHUNK = 1 << 14


def say(line: str) -> None:
    """One line on standard error: standard output is for data."""
    print(f"gvcodec: {line}", file=sys.stderr)


def encode(options: argparse.Namespace) -> None:
    """`gvcodec encode IN OUT`"""
    from gvcodec.media.reader import VideoReader

    config = EncoderConfig(
        q=options.q,
        base=options.base,
        scale=options.base_scale,
        tune=options.tune,
        keyint=options.keyint,
        low_delay=options.low_delay,
        threads=options.threads,
        maxrate=options.maxrate or 0,
        bufsize=options.bufsize or 0,
        alloc=options.alloc,
    )
    if any(v is not None for v in (options.size, options.bitrate, options.bpp, options.target)):
        from gvcodec.rated import encode_rated

        encode_rated(options, config)
        return
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        # The output is looked at first: a long job should not fail at its end.
        output = stack.enter_context(open_output(options.output, options.overwrite))
        reader = stack.enter_context(VideoReader(options.input, options.start, options.frames))
        encoder = Encoder(reader.format, config, reader.start_pts, progress=tuning_line)
        writer = Writer(output, encoder.header)
        with progress_bar(reader.expected, "encode") as bar:
            for frame in reader:
                encoder.send_frame(frame.planes, frame.pts)
                if reader.tracks and (encoder.frames == 1 or reader.tracks.waiting >= _TRACK_CHUNK):
                    encoder.send_tracks(reader.tracks.take())
                if _drain(encoder, writer):
                    # Whoever reads a pipe wants a packet when it is there, not when a buffer is full.
                    output.flush()
                bar.update()
                bar.set_postfix_str(_rate_so_far(encoder), refresh=False)
        if reader.tracks and reader.tracks.waiting:
            encoder.send_tracks(reader.tracks.take())
        encoder.flush()
        tuning_line("")
        _drain(encoder, writer)
        writer.finish(encoder.loop_hash)
    for note in (*reader.notes, *encoder.notes):
        say(note)
    audio = (writer.track_size, reader.tracks.packets) if reader.tracks else None
    summary = encode_summary(reader.format, writer.frames, writer.size, audio, encoder.psnr_y)
    say(f"{options.output}: {summary}, {time.monotonic() - began:.1f} s")


def encode_summary(fmt: VideoFormat, frames: int, size: int, audio: tuple[int, int] | None, psnr_y: float) -> str:
    """What came out: `size` bytes of a file, of which `audio` = (bytes, packets)."""
    added = f" + {audio[0]} bytes of audio ({audio[1]} packets)" if audio else ""
    size -= audio[0] if audio else 0
    psnr = "lossless" if math.isinf(psnr_y) else f"PSNR-Y {psnr_y:.2f} dB"
    return (
        f"{frames} frames {fmt.width}×{fmt.height}, {size} bytes{added}, "
        f"{8 * size / (frames * fmt.width * fmt.height):.5f} bpp, {_kbps(size, frames, fmt.frame_rate):.1f} kb/s, {psnr}"
    )


def decode(options: argparse.Namespace) -> None:
    """`gvcodec decode IN OUT`"""
    from gvcodec.decoder import Decoder
    from gvcodec.layers import appearance_id
    from gvcodec.media.tracks import Tracks
    from gvcodec.media.writer import open_writer, takes_tracks

    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(_input(options.input))
        with_tracks = takes_tracks(options.output)
        if with_tracks and not source.seekable():
            source = io.BytesIO(source.read())
        copied = _copied_tracks(source, options.input) if with_tracks else b""
        reader = Reader(source, _name(options.input))
        painted = reader.header.appearance_id is not None and not options.fidelity
        if painted and (missing := appearance_id()[1]):
            say(f"{missing}; writing loop frames")
            painted = False
        decoder = Decoder(reader.header, not painted, options.threads)
        fmt = reader.header.format
        tracks = Tracks(copied) if copied else None
        writer = stack.enter_context(
            open_writer(
                options.output,
                fmt,
                crf=options.crf,
                overwrite=options.overwrite,
                tracks=tracks,
                threads=options.threads,
            )
        )
        try:
            total = sum(gop.frames for gop in reader.gops()) if source.seekable() else None
            with progress_bar(total, "decode") as bar:
                for frame in decoder.frames_of(reader.packets()):
                    writer.write(frame.planes, frame.pts)
                    bar.update()
        except DamagedStreamError as error:
            raise reader.named(error) from error
        decoder.verify(reader.loop_hash)
    notes = list(writer.notes)
    if decoder.tracks and not with_tracks:
        left = sum(1 for _ in Tracks(bytes(decoder.tracks)).packets())
        notes.append(f"{left} audio packets left out: {options.output} cannot hold them")
    summary = [
        f"{decoder.frames} {'painted' if painted else 'loop'} frames {fmt.width}×{fmt.height}, loop hash verified",
        *notes,
    ]
    say(f"{options.output}: {', '.join(summary)}, {time.monotonic() - began:.1f} s")


def info(options: argparse.Namespace) -> None:
    """`gvcodec info IN`"""
    with _input(options.input) as source:
        reader = Reader(source, _name(options.input))
        facts = _facts(reader)
    if options.json:
        print(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):18} {_shown(value)}")


def inspect(options: argparse.Namespace) -> None:
    """`gvcodec inspect IN`"""
    from gvcodec.heatmap import heatmap, mean_frame, table, windows_of
    from gvcodec.media.writer import open_writer

    video = options.heatmap is not None and not options.heatmap.lower().endswith(".png")
    with _input(options.input) as source:
        reader = Reader(source, _name(options.input))
        fmt = reader.header.format
        try:
            frames = windows_of(reader, options.threads)
            if video:
                with open_writer(options.heatmap, fmt, overwrite=options.overwrite, threads=options.threads) as writer:
                    timing = PtsDecoder(reader.header.start_pts, fmt.frame_rate, fmt.time_base)
                    for frame in frames:
                        writer.write(heatmap(frame), timing.receive())
                return
            mean, count = mean_frame(frames)
        except DamagedStreamError as error:
            raise reader.named(error) from error
    if options.heatmap is None:
        print(table(mean))
        say(f"bits and tokens of the windows of 256×256, mean of {count} frames")
        return
    with open_writer(options.heatmap, fmt, overwrite=options.overwrite) as writer:
        writer.write(heatmap(mean), 0)


def extract(options: argparse.Namespace) -> None:
    """`gvcodec extract IN OUT`"""
    from gvcodec.extract import extract as copy

    with _input(options.input) as source:
        reader = Reader(source, _name(options.input))
        try:
            frames = copy(reader, options.output, options.overwrite)
        except DamagedStreamError as error:
            raise reader.named(error) from error
    note = " (without the appearance layer)" if reader.header.appearance_id else ""
    say(f"{options.output}: {frames} frames of {reader.header.base}, copied{note}")


def train(options: argparse.Namespace) -> None:
    """`gvcodec train CONFIG`"""
    from gvcodec.train.cli import run

    run(options)


def _facts(reader: Reader) -> dict[str, Any]:
    """What a stream holds, after reading and checking all of it."""
    header = reader.header
    sizes: dict[str, int] = {}
    counts: dict[str, int] = {}
    keyframes: list[int] = []
    for packet in reader.packets():
        if packet.kind is Kind.KEY:
            keyframes.append(reader.frames - 1)
        name = packet.kind.name.lower()
        sizes[name] = sizes.get(name, 0) + len(packet.pack())
        counts[name] = counts.get(name, 0) + 1
    fmt, frames = header.format, reader.frames
    video = reader.size - reader.track_size
    return {
        "width": fmt.width,
        "height": fmt.height,
        "frames": frames,
        "frame_rate": str(fmt.frame_rate),
        "duration": round(float(frames / fmt.frame_rate), 3),
        "time_base": str(fmt.time_base),
        "bit_depth": fmt.bit_depth,
        "primaries": fmt.colour.primaries,
        "transfer": fmt.colour.transfer,
        "matrix": fmt.colour.matrix,
        "full_range": fmt.colour.full_range,
        "chroma_location": fmt.colour.chroma_location,
        "sar": str(fmt.sar),
        "base": header.base,
        "base_scale": str(header.scale),
        "q": header.q,
        "structure_id": header.structure_id.hex() if header.structure_id else None,
        "appearance_id": header.appearance_id.hex() if header.appearance_id else None,
        "loop_hash": reader.loop_hash.hex() if reader.loop_hash else None,
        "file_bytes": reader.size,
        "track_bytes": reader.track_size,
        "video_bytes": video,
        "bpp": 8 * video / (frames * fmt.width * fmt.height) if frames else None,
        "kbps": _kbps(video, frames, fmt.frame_rate) if frames else None,
        "keyframes": keyframes,
        "packet_counts": counts,
        "packet_bytes": sizes,
    }


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "-" if value is None else str(value)


def _kbps(size: int, frames: int, rate: Fraction) -> float:
    return 8 * size / 1000 / (frames / float(rate))


def _rate_so_far(encoder: Encoder) -> str:
    fmt, frames = encoder.header.format, encoder.coded_frames
    if not frames:
        return ""
    bpp = 8 * encoder.coded_bytes / (frames * fmt.width * fmt.height)
    return f"{_kbps(encoder.coded_bytes, frames, fmt.frame_rate):.1f} kb/s, {bpp:.5f} bpp"


def progress_bar(total: int | None, what: str) -> Any:
    from tqdm import tqdm

    # disable=None: quiet when standard error is no terminal.
    return tqdm(total=total, desc=what, unit="frame", disable=None, leave=False, file=sys.stderr)


def tuning_line(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _drain(encoder: Encoder, writer: Writer) -> bool:
    """Write what is ready; whether there was anything."""
    before = writer.size
    while (packet := encoder.receive_packet()) is not None:
        writer.write(packet)
    return writer.size > before


def _copied_tracks(source: BinaryIO, path: str) -> bytes:
    """Bytes of all `tracks` packets; checks the whole file on the way, and rewinds it."""
    reader = Reader(source, _name(path))
    data = b"".join(packet.payload for packet in reader.packets() if packet.kind is Kind.TRACKS)
    source.seek(0)
    return data


def _name(path: str) -> str:
    return "standard input" if path == "-" else path


@contextlib.contextmanager
def _input(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        with open(path, "rb") as stream:
            yield stream
    except IsADirectoryError as error:
        raise MediaError(f"{path}: is a folder") from error
    except (FileNotFoundError, PermissionError) as error:
        raise MediaError(f"{path}: {error.strerror}") from error


@contextlib.contextmanager
def open_output(path: str, overwrite: bool) -> Iterator[BinaryIO]:
    """The file to write, complete or absent afterwards; "-" is standard output."""
    if path == "-":
        if sys.stdout.isatty():
            raise UsageError("a stream is not for a terminal: redirect standard output or name a file")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with PendingFile(path, overwrite) as pending:
        try:
            with open(pending.temporary, "wb") as stream:
                yield stream
        except OSError as error:
            raise MediaError(f"{path}: cannot be written: {error.strerror or os.strerror(error.errno or 0)}") from error
