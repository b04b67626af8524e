"""`python -m training WHAT …`; `WHAT --help` lists the options."""

from __future__ import annotations

import sys
from importlib import import_module

from gvcodec.errors import GvcodecError

WHAT = "gvc1d "
WHAT += "lp_comp material painter perceptual router summary summary_material "
WHAT += "token_neighbours token_painter token_targets tokens world"


def main(words: list[str]) -> int:
    if not words or words[0] not in WHAT.split():
        print(f"usage: python -m training {WHAT.replace(' ', '|')} …", file=sys.stderr)
        return 0 if words[:1] in (["-h"], ["--help"]) else 2
    try:
        import_module(f"training.{words[0]}").main(words[1:])
    except GvcodecError as error:
        print(f"training: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
