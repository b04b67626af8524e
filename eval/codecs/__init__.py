"""Codecs of the tables: gvcodec itself (`ours`), real encoders (`peers`), and codecs that TOML
files describe (`external`); `codec` defines their interface.
"""

from __future__ import annotations

from eval.codecs import external, ours, peers
from eval.codecs.codec import Codec, Options
from eval.tools import EvalError
from gvcodec.compare.peers import ENDLESS

__all__ = ["ENDLESS", "Codec", "Options", "resolve"]


def resolve(words: list[str], options: Options) -> list[Codec]:
    """Codecs for the words of `--codecs`, in order. A peer's bare name stands for its low-delay and
    its random-access form. Raises EvalError for unknown words."""
    extra = external.load(options)
    codecs: list[Codec] = []
    for word in words:
        head = word.split(":", 1)[0]
        if head == "gvcodec":
            codecs.append(ours.gvcodec(word, options))
        elif word in extra:
            codecs.append(extra[word])
        elif variants := peers.find(word, options):
            codecs.extend(variants)
        else:
            choices = ["gvcodec[:OPTION=VALUE…]", *peers.names(), *extra]
            raise EvalError(f"--codecs: no codec {word!r}; there are {', '.join(choices)}")
    names = [c.name for c in codecs]
    if twice := {n for n in names if names.count(n) > 1}:
        raise EvalError(f"--codecs: {', '.join(sorted(twice))} given twice")
    return codecs
