"""Options of `encode` and `batch` that replace originals."""

from __future__ import annotations

import argparse
import os

from gvcodec.edit.contents import NAMES
from gvcodec.edit.copy_check import FLOOR, ReplaceRules
from gvcodec.errors import UsageError
from gvcodec.util.messages import parse_share
from gvcodec.util.uris import absolute_path


def add_replace(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("replacing originals by checked files")
    add = group.add_argument
    add(
        "--replace",
        action="store_true",
        help="decode the new file, compare it with the original (hashes, frames, times, tracks, "
        "tags, all other parts, quality, size), and replace the original, keeping name, times, "
        "owner and mode",
    )
    original = group.add_mutually_exclusive_group()
    original.add_argument(
        "--keep-originals", metavar="DIR", help="with --replace: move originals to this folder"
    )
    original.add_argument(
        "--delete-originals", action="store_true", help="with --replace: delete originals"
    )
    add(
        "--floor",
        metavar="METRIC=VALUE",
        help="with --replace: lowest mean quality of the decoded frames, psnr=30 (luma) or "
        f"ssimulacra2=60 ({FLOOR})",
    )
    add(
        "--allow-loss",
        metavar="NAMES",
        help="with --replace: parts of the original that the new file may lack, separated by "
        f"commas: {', '.join(NAMES)} (none)",
    )


def rules_of(options: argparse.Namespace) -> ReplaceRules | None:
    """None without --replace, which `compare` does not have. Raises `UsageError`."""
    if "replace" not in options:
        return None
    keep, delete, floor = options.keep_originals, options.delete_originals, options.floor
    if not options.replace:
        for name, value in (
            ("--keep-originals", keep),
            ("--delete-originals", delete),
            ("--floor", floor),
            ("--allow-loss", options.allow_loss),
        ):
            if value:
                raise UsageError(f"{name} goes with --replace")
        return None
    if not keep and not delete:
        raise UsageError("--replace needs --keep-originals DIR or --delete-originals")
    if keep and os.path.lexists(keep) and not os.path.isdir(keep):
        raise UsageError(f"{keep}: is no folder")
    least = 0.0 if options.min_gain is None else options.min_gain
    return ReplaceRules(
        absolute_path(keep) if keep else "",
        floor or FLOOR,
        parse_share(least) if isinstance(least, str) else least,
        tuple(name.strip() for name in options.allow_loss.split(",")) if options.allow_loss else (),
    )
