"""The worth of the parts of base gvc1d: `python -m training gvc1d.parts WEIGHTS SHARDS OUT.json`.

Each part is taken away, given what belongs to another crop ("shuffled"), or replaced by what it
began as or by its hand-made neighbour, on held-out runs (`gvc1d.shards --held-out`), beside the
whole; `--trained NAME=STATE …`: networks trained without a part or from another seed instead, NAME
as "rd, seed 2", "Analyst, seed 1 without analyst across" (how it encodes; `codec --without`). J is
that of training, D / λ + bits, of first frames (I) and of the last ones of a run (P); distances are
of restored pictures. A change is positive where the part helps.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gvcodec.gvc1d.codec_network import CodecNetwork
from training.gvc1d import codec, spoilt


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="training gvc1d.parts")
    parser.add_argument("weights", type=Path, help="state.pt of gvc1d.codec")
    parser.add_argument("shards", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--trained", nargs="*", default=[], metavar="NAME=STATE")
    parser.add_argument("--looks", type=int, default=4, help="batches of each measurement")
    parser.add_argument("--qs", type=float, nargs="*", default=[36.0, 46.0, 56.0])
    parser.add_argument("--codec-only", action="store_true", help="no restorer")
    parser.add_argument("--encoder", choices=("rd", "analyst", "dead-zone"), default="rd")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args(arguments)
    settings = {"initial": asked.weights, "length": 4, "batch": 2, "rate": 1.0, "seed": 1}
    settings |= {"half": False, "share": 1.0, "without": "", "held_out": None}
    settings |= {"restorer_only": "", "filter_only": False, "warm_up": 1}
    run = codec.Run(argparse.Namespace(**vars(asked) | settings))
    net = run.average
    whole = run.measure(net, asked.qs)
    found: dict[str, Any] = {"whole": whole}
    rows = spoilt.ANALYST if asked.encoder == "analyst" else spoilt.CODEC
    rows = rows | ({} if run.objective is None else spoilt.RESTORER)
    for name, change in ({} if asked.trained else rows).items():
        found[name] = spoilt.change(whole, run.measure(spoilt.spoil(net, change), asked.qs))
        print(name, found[name], flush=True)
    if run.objective is not None:
        for name in ("memory", "last"):
            run.cuts = name
            found[f"Restorer: without {name}"] = spoilt.change(whole, run.measure(net, asked.qs))
        run.cuts = ""
        found["Restorer: none"] = {
            name: round(100 * (whole[f"{name}-loop"] / whole[name] - 1), 2)
            for name in ("lpipsI", "distsI", "lpipsP", "distsP")
        }
    for pair in asked.trained:
        name, _, path = pair.partition("=")
        other = codec.load(CodecNetwork().to(run.device), Path(path), run.device).eval()
        kind, _, without = name.partition(" without ")
        spoilt.WITHOUT.get(without, lambda net: None)(other)
        run.cuts = without if without in spoilt.CUTS else ""
        other.uses_analyst, other.searches = "Analyst" in kind, "rd" in kind
        theirs = run.measure(other, asked.qs)
        found["trained: " + name] = theirs | spoilt.change(whole, theirs)
        print(name, found["trained: " + name], flush=True)
    asked.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0
