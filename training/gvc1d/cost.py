"""The cost of training LARGE: `python -m training gvc1d.cost [--network large] [--rate TFLOPS]`.

By torch's counter, forward and backward, with and without recomputing: memory of a batch, and hours
for a number of window-frames on `--gpus` GPUs that each keep up `--rate` TFLOP/s, as Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gvcodec.gvc1d.config import LARGE, SMALL, GVC1DConfig
from gvcodec.gvc1d.picture import Picture
from training.gvc1d.run import Frame, RunNetwork

#: Bytes a parameter: fp32 weight, gradient, two moments of AdamW, the average.
_BYTES = 20


def _frames(count: int, windows: int) -> list[Frame]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(count):
        y = torch.rand(1, 1, 256, 256 * windows, generator=generator)
        uv = torch.rand(1, 2, 128, 128 * windows, generator=generator)
        found.append(Frame(Picture(y, uv), None, None))
    return found


def kept_bytes(model: RunNetwork, frames: int, windows: int) -> int:
    """Bytes of activations, weights apart, that a run of one sample keeps for its gradients."""
    own = {p.data_ptr() for p in model.parameters()}
    seen: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    rate = torch.zeros(1, dtype=torch.long)
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t)
    with hooks, torch.autocast("cpu", torch.bfloat16):
        coded, _ = model(_frames(frames, windows), rate)
    del coded
    return sum(seen.values())


def operations(model: RunNetwork, frames: int) -> float:
    """Of forward and backward, a window and frame."""
    rate = torch.zeros(1, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        coded, _ = model(_frames(frames, 1), rate)
        loss = sum((c.picture.y.mean() + c.bits.mean() for c in coded), torch.zeros(()))
        loss.backward()  # type: ignore[no-untyped-call]
    return counter.get_total_flops() / frames


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="training gvc1d.cost")
    parser.add_argument("--network", default="large", help="small, large or a configuration")
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--rate", type=float, default=200.0, help="sustained TFLOP/s of a GPU")
    parser.add_argument("--gpus", type=int, default=8)
    asked = parser.parse_args(arguments)
    config = {"small": SMALL, "large": LARGE}.get(asked.network)
    config = config or GVC1DConfig.from_json(Path(asked.network).read_text())
    model = RunNetwork(config).train()
    weights = sum(p.numel() for p in model.parameters())
    flops = operations(model, asked.frames)
    model.zero_grad(set_to_none=True)
    kept = kept_bytes(model, asked.frames, 2)
    for stack in (model.encoder.stack, model.decoder.stack):
        stack.recomputes = True
    again = kept_bytes(model, asked.frames, 2)
    state = weights * _BYTES / 2**30
    print("| figure | value |\n|---|---:|")
    print(f"| parameters | {weights / 1e6:.0f} M |")
    print(f"| a window and frame, forward and backward | {flops / 1e12:.2f} TFLOP |")
    print(f"| the same, recomputing | {flops * 4 / 3e12:.2f} TFLOP |")
    print(f"| weights, moments, average | {state:.1f} GiB |")
    for batch in (1, 4, 8):
        pair = [state + batch * n / 2**30 for n in (kept, again)]
        what = f"memory of a GPU at batch {batch}, {asked.frames} frames of 2 windows"
        print(f"| {what}: kept, recomputed | {pair[0]:.1f}, {pair[1]:.1f} GiB |")
    paper = (("686 million pictures", 686e6), ("433,000 videos of 32 frames", 433e3 * 32))
    for name, samples in (("a million", 1e6), *paper):
        hours = samples * flops * 4 / 3 / (asked.rate * 1e12 * asked.gpus) / 3600
        where = f"a window each, on {asked.gpus} GPUs at {asked.rate:g} TFLOP/s"
        print(f"| {name}, {where} | {hours:.1f} h |")
    return 0
