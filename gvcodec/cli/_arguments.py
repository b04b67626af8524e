"""Options that several commands have."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.limits import Limits
from gvcodec.util.options import add_options, seconds, values_of
from gvcodec.util.progress import MODES, Mode

_T = TypeVar("_T")


def add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="stream, - = standard input")


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", metavar="OUT", help="stream to write, - = standard output")
    add_overwrite(parser)


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        dest="models",
        action="append",
        default=[],
        metavar="PATH",
        help="model file or folder of models (may be repeated)",
    )


def add_threads(parser: argparse._ActionsContainer) -> None:
    add_options(parser, EncoderConfig, group="threads")


def add_part(parser: argparse._ActionsContainer, *begins: str) -> None:
    """Which part of a video. `begins`: other names of --start."""
    parser.add_argument(
        *begins,
        "--start",
        dest="start",
        type=seconds,
        default=0.0,
        metavar="T",
        help="begin at this time: 75, 1:15 or 0:01:15 (0)",
    )
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--to", type=seconds, metavar="T", help="end before this time (the end)")
    end.add_argument(
        "--duration", type=seconds, metavar="T", help="duration of the part (to the end)"
    )


def end_of(options: argparse.Namespace) -> float | None:
    """When the part of `add_part` ends, in seconds after the first frame; None = with the video.
    Raises `UsageError` for a part of no length."""
    end = options.to if options.duration is None else options.start + options.duration
    if end is not None and end <= options.start:
        raise UsageError(f"the part ends at {end:g} s, before it begins ({options.start:g} s)")
    return end  # type: ignore[no-any-return]


def add_progress(parser: argparse._ActionsContainer, verbose: bool = True) -> None:
    parser.add_argument(
        "--progress",
        choices=MODES,
        default="auto",
        help="auto: a bar on a terminal, a line every 10 s elsewhere; json: an object a second on "
        "standard error (auto)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quiet", action="store_true", help="print errors only")
    if verbose:
        how.add_argument(
            "--verbose",
            action="store_true",
            help="print the time of each stage",
        )


def mode_of(options: argparse.Namespace) -> Mode:
    """How the options of `add_progress` say that progress is shown."""
    return "none" if options.quiet else options.progress  # type: ignore[no-any-return]


def add_limits(parser: argparse.ArgumentParser) -> None:
    add_options(parser, Limits)


EMBEDDERS = "small, or lp (latent tokens, torch)"


def use_threads(threads: int) -> None:
    """Networks keep to --threads as well."""
    if threads:
        import torch

        torch.set_num_threads(threads)


def call(
    function: Callable[..., _T], options: argparse.Namespace, *positional: Any, **others: Any
) -> _T:
    """Call a function with these arguments, `others`, and all options named like its parameters,
    with their progress and limits; its memory is held to the limits. Returns its result."""
    values = {**vars(options), "limits": limits_of(options), "enforce_rlimit": True}
    if "progress" in values:
        values["progress"] = mode_of(options)
    names = list(inspect.signature(function).parameters)[len(positional) :]
    return function(
        *positional, **{name: values[name] for name in names if name in values} | others
    )


def limits_of(options: argparse.Namespace) -> Limits:
    return Limits(**values_of(Limits, options))


def add_overwrite(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("-y", dest="overwrite", action="store_true", help="overwrite OUT")
