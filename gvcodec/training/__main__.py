"""`python -m gvcodec.training WHAT …`; `WHAT --help` lists the options."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from gvcodec.errors import GvcodecError

WHAT = ("painter", "perceptual", "material", "tokens")


def _train_tokens(words: list[str]) -> None:
    """The model of base tokens, whose trainer lies in `gvcodec.training`."""
    from gvcodec.training.base_tokens import main as train

    parser = argparse.ArgumentParser(prog="tokens", description=_train_tokens.__doc__)
    parser.add_argument("config", type=Path, help="TOML file, keys of base_tokens.Config")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after this time (60)")
    parser.add_argument("--cache", help="folder of material (overrides the file)")
    parser.add_argument("--out", help="folder to write (overrides the file)")
    options = parser.parse_args(words)
    print(train(options.config, options.minutes, options.out, options.cache))


def main(words: list[str]) -> int:
    """Runs the program named by the first word; returns the exit code."""
    if not words or words[0] not in WHAT:
        print(f"usage: python -m gvcodec.training {'|'.join(WHAT)} …", file=sys.stderr)
        return 0 if words[:1] in (["-h"], ["--help"]) else 2
    try:
        if words[0] == "tokens":
            _train_tokens(words[1:])
        else:
            import_module(f"gvcodec.training.{words[0]}").main(words[1:])
    except GvcodecError as error:
        print(f"gvcodec.training: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
