"""`gvcodec extract IN OUT`: a stream as a file that every player shows, and back."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from gvcodec.bitstream import NOT_WRITTEN, ChangedStream, Reader
from gvcodec.cli._arguments import add_limits, add_overwrite, limits_of
from gvcodec.edit.extract import extract
from gvcodec.errors import DamagedStreamError
from gvcodec.limits import memory_limit
from gvcodec.one_file.write import ONE_FILE, write_one_file
from gvcodec.opening import open_sink, open_stream
from gvcodec.util.file_io import STREAMS, display_name, refuse_folder, spool_stream
from gvcodec.util.messages import count_noun, log_line

EXAMPLES = ("extract film.gvc film.mp4", "extract film.mp4 film.gvc -y")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "input",
        metavar="IN",
        help="stream of base av1 or vvc, in any container; - = standard input",
    )
    add(
        "output",
        metavar="OUT",
        help=".mp4, .mkv, .webm (av1: with sound and the packets for painting), .obu, .266, or "
        ".gvc: the stream by itself",
    )
    add_limits(parser)
    add_overwrite(parser)


def run(options: argparse.Namespace) -> None:
    refuse_folder(options.output)
    suffix = Path(options.output).suffix.lower()
    with open_stream(options.input) as source:
        if suffix in STREAMS:
            if isinstance(source, ChangedStream):
                raise DamagedStreamError(
                    f"{display_name(options.input)}: {NOT_WRITTEN}", code="changed-file"
                )
            source = spool_stream(source)
            begin = source.tell()
            for _ in Reader(source, display_name(options.input)).packets():
                pass  # a damaged stream is not copied
            source.seek(begin)
            with open_sink(options.output, options.overwrite) as output:
                shutil.copyfileobj(source, output)
            log_line(f"{options.output}: the stream of {display_name(options.input)}, copied")
            return
        reader = Reader(source, display_name(options.input))
        left_out: list[str] = []
        notes: list[str] = []
        try:
            most = limits_of(options)
            with memory_limit(reader.header, False, most):
                if reader.header.base == "av1" and suffix in ONE_FILE:
                    frames, notes = write_one_file(reader, options.output, options.overwrite, most)
                else:
                    frames, left_out = extract(reader, options.output, options.overwrite, most)
        except DamagedStreamError as error:
            raise reader.name_file(error) from error
    note = f" (without {' and '.join(left_out)})" if left_out else ""
    for line in notes:
        log_line(f"{options.output}: {line}")
    log_line(
        f"{options.output}: {count_noun(frames, 'frame')} of {reader.header.base}, copied{note}"
    )
