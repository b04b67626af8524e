"""`python -m training WHAT …`; `--help` describes all, `WHAT --help` lists the options of one."""

from __future__ import annotations

import sys
from importlib import import_module

from gvcodec.errors import GvcodecError

#: Purpose, data and duration of each program: minutes of one core.
WHAT = {
    "material": "codes a folder of videos (256×256 or larger) for `painter`, `tokens` and "
    "`perceptual`; 12 to 28 minutes",
    "painter": "the painter, beginning with the shipped one, on material; it stops improving after "
    "20 to 30 minutes",
    "token_targets": "searches tokens of the painter on material; 60 minutes",
    "token_painter": "puts the table and the entropy network of tokens into a painter",
    "tokens": "the encoder that proposes tokens, on material, from targets; 84 minutes",
    "token_neighbours": "compares tokens with alternatives on held-out material; a CSV",
    "perceptual": "the small perceptual network, the loss of fitting, on material; 28 minutes",
    "gvc1d": "GVC1D's network, on the drawn world or a folder of videos and pictures; mini 72 "
    "minutes, small and large: `gvc1d CONFIG --cost`",
    "router": "the head that replaces a decode for budgets, on videos and photos; 3 minutes",
    "summary_material": "vectors of a folder's clips for `summary` and `lp_comp`",
    "summary": "the projection of search",
    "lp_comp": "the compressor of search (LP-Comp); 2 minutes",
    "world": "writes a clip of the miniature world",
}


def describe() -> str:
    width = max(map(len, WHAT))
    lines = [f"  {name:<{width}}  {text}" for name, text in WHAT.items()]
    head = "usage: python -m training WHAT …    (WHAT --help: its options)"
    foot = (
        "Runs stop at --minutes or --steps, whichever comes first, save their state, and go on\n"
        "with the same call. Clips of --held-out FILE or SHARE only validate. Minutes: one core."
    )
    return "\n".join([head, "", *lines, "", foot])


def main(words: list[str]) -> int:
    if words[:1] in (["-h"], ["--help"]):
        print(describe())
        return 0
    if not words or words[0] not in WHAT:
        print(f"usage: python -m training {'|'.join(WHAT)} …", file=sys.stderr)
        return 2
    try:
        import_module(f"training.{words[0]}").main(words[1:])
    except GvcodecError as error:
        print(f"training: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
