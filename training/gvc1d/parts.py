"""The worth of the parts of base gvc1d: `python -m training gvc1d.parts WEIGHTS SHARDS OUT.json`.

Each part is taken away, given what belongs to another crop ("shuffled"), or replaced by what it
began as or by its hand-made neighbour, on held-out runs (`gvc1d.shards --held-out`), next to the
whole; `--trained NAME=STATE …`: networks trained without a part or from another seed instead, NAME
as "seed 2" or "seed 1 without contexts" (the key `without` of `gvc1d.codec`). J is that of
training, D / λ + bits, of first frames (I) and of the last ones of a run (P). A change is positive
where the part helps.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gvcodec.gvc1d.codec_network import CodecNetwork
from training.gvc1d import codec, spoilt
from training.gvc1d.shards import Shards


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="training gvc1d.parts", description=__doc__)
    parser.add_argument("weights", type=Path, help="a model, or state.pt of gvc1d.codec")
    parser.add_argument("shards", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--trained", nargs="*", default=[], metavar="NAME=STATE")
    parser.add_argument("--looks", type=int, default=4, help="batches of each measurement (4)")
    parser.add_argument("--qs", type=float, nargs="*", default=list(codec.MEASURED))
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args(arguments)
    device = torch.device(asked.device)
    shards = Shards(asked.shards, device, 4)

    def measure(net: CodecNetwork) -> dict[str, float]:
        return codec.measure(net.eval(), shards, 2, asked.looks, asked.qs)

    net = codec.load(CodecNetwork().to(device), asked.weights, device)
    whole = measure(net)
    found: dict[str, Any] = {"whole": whole}
    for name, change in ({} if asked.trained else spoilt.CODEC).items():
        found[name] = spoilt.change(whole, measure(spoilt.spoil(net, change)))
        print(name, found[name], flush=True)
    for pair in asked.trained:
        name, _, path = pair.partition("=")
        other = codec.load(CodecNetwork().to(device), Path(path), device)
        spoilt.WITHOUT.get(name.partition(" without ")[2], lambda net: None)(other)
        theirs = measure(other)
        found["trained: " + name] = theirs | spoilt.change(whole, theirs)
        print(name, found["trained: " + name], flush=True)
    asked.out.write_text(json.dumps(found, indent=1) + "\n")
