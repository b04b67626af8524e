"""What the parts of base gvc1d are worth: `python -m training gvc1d.parts WEIGHTS SHARDS OUT.json`.

Each part is taken away, given what belongs to another crop ("shuffled"), or replaced by what it
began as or by its hand-made neighbour, on held-out runs (`gvc1d.shards --held-out`), beside the
whole; `--trained NAME=STATE …`: networks trained without a part or from another seed instead. J is
that of training, D / λ + bits, of first frames (I) and of the last ones of a run (P); distances are
of restored pictures. A change is positive where the part helps.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gvcodec.gvc1d.network import CodecNetwork
from gvcodec.gvc1d.transform import Transform
from training.gvc1d import codec


class Shuffled(nn.Module):
    """The Analyst's output of another crop of the batch."""

    def __init__(self, analyst: nn.Module) -> None:
        super().__init__()
        self.analyst = analyst

    def forward(self, *seen: Tensor) -> Tensor:
        moved: Tensor = self.analyst(*seen).roll(1, 0)
        return moved


class Told(nn.Module):
    """The Restorer without what the tokens say, or with another crop's."""

    def __init__(self, restorer: nn.Module, how: str) -> None:
        super().__init__()
        self.restorer, self.how = restorer, how
        self.stages = restorer.stages

    def fresh(self, batch: int, windows: int) -> Tensor:
        """As the Restorer's."""
        found: Tensor = self.restorer.fresh(batch, windows)  # type: ignore[operator]
        return found

    def forward(self, frame: Any, coefficients: Any, *others: Any) -> Any:
        """As the Restorer's."""
        own, told = coefficients
        if self.how == "tokens zeroed":
            told = torch.zeros_like(told)
        elif self.how == "tokens shuffled":
            told = told.roll(1, 0)
        elif self.how == "memory shuffled":
            memory = others[2]
            others = (*others[:2], None if memory is None else memory.roll(1, 0), *others[3:])
        return self.restorer(frame, (own, told), *others)


def _without(run: codec.Run) -> dict[str, Callable[[CodecNetwork], None]]:
    """What each row does to a copy of the network."""

    def began(net: CodecNetwork) -> None:
        beginning = Transform().to(run.device).state_dict()
        for name in ("analysis_y", "analysis_uv", "synthesis_y", "synthesis_uv"):
            net.transform.state_dict()[name].copy_(beginning[name])

    def off(net: CodecNetwork) -> None:
        net.uses_analyst = False

    def both(net: CodecNetwork) -> None:
        began(net)
        off(net)

    def analyst_shuffled(net: CodecNetwork) -> None:
        net.analyst = Shuffled(net.analyst)  # type: ignore[assignment]

    def contexts(how: str) -> Callable[[CodecNetwork], None]:
        def change(net: CodecNetwork) -> None:
            net.twin = codec.Contexts(net.twin, how)  # type: ignore[assignment]

        return change

    def told(how: str) -> Callable[[CodecNetwork], None]:
        def change(net: CodecNetwork) -> None:
            net.restorer = Told(net.restorer, how)  # type: ignore[assignment]

        return change

    def stage(name: str) -> Callable[[CodecNetwork], None]:
        def change(net: CodecNetwork) -> None:
            setattr(net.restorer.stages, name, False)

        return change

    def analyst_stage(name: str) -> Callable[[CodecNetwork], None]:
        def change(net: CodecNetwork) -> None:
            setattr(net.analyst.stages, name, False)

        return change

    rows: dict[str, Callable[[CodecNetwork], None]] = {
        "transform: as it began": began,
        "Analyst: zeroed": off,
        "Analyst: shuffled": analyst_shuffled,
        "Analyst: no layers across windows": analyst_stage("uses_global"),
        "Analyst: no layers in windows": analyst_stage("uses_local"),
        "transform as it began, Analyst zeroed": both,
        "contexts of the entropy model: zeroed": contexts("none"),
        "contexts of the entropy model: shuffled": contexts("shuffled"),
    }
    if run.objective is not None:
        rows |= {
            f"Restorer: {how}": told(how)
            for how in ("tokens zeroed", "tokens shuffled", "memory shuffled")
        }
        rows |= {
            "Restorer: no layers across windows": stage("uses_global"),
            "Restorer: no layers in windows": stage("uses_local"),
        }
    return rows


def _change(whole: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """Per cent that a figure is worse than the whole's."""
    found = {}
    for name in ("logJI", "logJP"):
        found["J of " + name[-1]] = 100 * (math.exp(other[name] - whole[name]) - 1)
    for name in ("lpipsI", "distsI", "lpipsP", "distsP"):
        if name in whole:
            found[name] = 100 * (other[name] / whole[name] - 1)
    return {name: round(value, 2) for name, value in found.items()}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="training gvc1d.parts")
    parser.add_argument("weights", type=Path, help="state.pt of gvc1d.codec")
    parser.add_argument("shards", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--trained", nargs="*", default=[], metavar="NAME=STATE")
    parser.add_argument("--looks", type=int, default=4, help="batches of each measurement")
    parser.add_argument("--qs", type=float, nargs="*", default=[36.0, 46.0, 56.0])
    parser.add_argument("--codec-only", action="store_true", help="no restorer")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args(arguments)
    settings = {"initial": asked.weights, "length": 4, "batch": 2, "rate": 1.0, "seed": 1}
    settings |= {"half": False, "share": 1.0, "without": ""}
    run = codec.Run(argparse.Namespace(**vars(asked) | settings))
    net = run.average
    whole = run.measure(net, asked.qs)
    found: dict[str, Any] = {"whole": whole}
    for name, change in ({} if asked.trained else _without(run)).items():
        altered = copy.deepcopy(net)
        change(altered)
        found[name] = _change(whole, run.measure(altered, asked.qs))
        print(name, found[name], flush=True)
    if run.objective is not None:
        for name in ("memory", "last"):
            run.cuts = name
            found[f"Restorer: without {name}"] = _change(whole, run.measure(net, asked.qs))
        run.cuts = ""
        found["Restorer: none"] = {
            name: round(100 * (whole[f"{name}-loop"] / whole[name] - 1), 2)
            for name in ("lpipsI", "distsI", "lpipsP", "distsP")
        }
    for pair in asked.trained:
        name, _, path = pair.partition("=")
        other = codec.load(CodecNetwork().to(run.device), Path(path), run.device).eval()
        if name.endswith("without contexts"):
            other.twin = codec.Contexts(other.twin, "none")  # type: ignore[assignment]
        other.uses_analyst = not name.endswith("without Analyst")
        theirs = run.measure(other, asked.qs)
        found["trained: " + name] = _change(whole, theirs) | theirs
        print(name, found["trained: " + name], flush=True)
    asked.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0
