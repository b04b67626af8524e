"""`gvcodec info IN`: the contents of a stream."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from gvcodec.api.info import Info, format_info, info, info_of_damaged
from gvcodec.cli._arguments import add_input
from gvcodec.cli._standard_streams import out
from gvcodec.errors import DamagedStreamError, GvcodecError
from gvcodec.util.file_io import display_name
from gvcodec.util.messages import log_line

EXAMPLES = ("info film.gvc", "info film.gvc --json")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_input(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, with every packet")


def run(options: argparse.Namespace) -> None:
    try:
        _show(info(options.input), options)
    except DamagedStreamError as error:
        try:
            facts, losses = info_of_damaged(options.input)
        except (GvcodecError, OSError):
            raise error from None
        for line in losses:
            place = line.partition(":")[0].partition(" (")[0]
            if f" {place}:" not in str(error):  # The error names the first damage.
                log_line(f"{display_name(options.input)}: {line}")
        _show(facts, options)
        raise DamagedStreamError(str(error)) from error


def _show(facts: Info, options: argparse.Namespace) -> None:
    if options.json:
        out(json.dumps(asdict(facts), indent=2))
    else:
        out(format_info(facts))
