"""`--base auto` of a command: the base of its video."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from gvcodec.bases import AUTO
from gvcodec.cli._input_options import said_of
from gvcodec.config import EncoderConfig
from gvcodec.one_file.write import ONE_FILE
from gvcodec.rate import auto
from gvcodec.util.messages import say


def without_choice(options: argparse.Namespace, config: EncoderConfig) -> EncoderConfig:
    """`auto` is av1 where the output takes nothing else, and where chunks share a budget."""
    steered = any((options.size, options.bitrate, options.bpp, options.target))
    only_av1 = Path(options.output).suffix.lower() in ONE_FILE or (steered and options.jobs)
    return replace(config, base="av1") if config.base == AUTO and only_av1 else config


def settle_base(options: argparse.Namespace, config: EncoderConfig) -> EncoderConfig:
    """`choose_base` where the base is `auto`."""
    return choose_base(options, config) if config.base == AUTO else config


def choose_base(
    options: argparse.Namespace, config: EncoderConfig, path: str = ""
) -> EncoderConfig:
    """The settings with the base that is chosen for the input, of which `path` is a copy that can
    be read again. --verbose says why."""
    choice = auto.choose_base(
        path or options.input, config, options.start, options.frames, said_of(options)
    )
    if options.verbose:
        say(choice.reason)
    return choice.config
