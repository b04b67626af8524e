"""The shipped painter with tables for tokens: `python -m training token_painter TARGETS OUT`.

To the painter's file come the table that tokens are multiplied by and the integer network that
predicts them (`gvcodec.painter.token_coding`). The network learns the tokens of searched windows
(`training.token_targets`), each with one, two and all three kinds, turned and mirrored: as far as
statistics of integers go, a mirrored window is another one. One window in eight is held out; its
bits a region by the network and by histograms of each integer are printed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.entropy.network_file import tensors_of
from gvcodec.entropy.streams import contexts
from gvcodec.models import PAINTER, read_arrays, save_weights
from gvcodec.painter.token_coding import (
    CONTEXT_INPUTS,
    MAX_TOKEN_WEIGHT,
    WINDOW,
    TokenModel,
    contexts_of,
    decompose,
    keep_kinds,
    pack,
    values_of,
)
from gvcodec.util.options import ExactParser
from training.crops import Cache
from training.table_network import TableNetwork, layers_of

_RATE, _BATCH, _HELD_OUT = 2e-3, 4096, 8
_REGIONS = 16


def _network_inputs(tokens: NDArray[np.int32], q: int, kinds: int) -> tuple[Tensor, Tensor]:
    """The network's inputs for each integer of a window (steps, inputs), and the integers."""
    whole = keep_kinds(decompose(tokens, WINDOW, WINDOW), kinds)
    layout, values = values_of(whole)
    side, back = contexts_of(layout, tokens.shape[2], q)
    flat = values.reshape(-1)
    return torch.from_numpy(contexts(side[0], flat, back[0])), torch.from_numpy(flat)


def _turned(tokens: NDArray[np.int32]) -> list[NDArray[np.int32]]:
    """A window (rows, columns, D) in its eight orientations."""
    turns = [np.rot90(tokens, n) for n in range(4)]
    return [np.ascontiguousarray(t) for t in (*turns, *(turn[:, ::-1] for turn in turns))]


def fit_network(
    windows: Sequence[tuple[NDArray[np.int32], int]], steps: int, seed: int = 1
) -> TableNetwork:
    """The float form of the entropy network, for windows' tokens (4, 4, D) and qualities."""
    torch.manual_seed(seed)
    parts = [
        _network_inputs(turned, q, kinds)
        for tokens, q in windows
        for turned in _turned(tokens)
        for kinds in (1, 2, 3)
    ]
    inputs = torch.cat([part[0] for part in parts])
    values = torch.cat([part[1] for part in parts]).float()
    network = TableNetwork(inputs.shape[1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1.02 - step / steps)
        picks = torch.randint(len(values), (_BATCH,))
        bits = network.bits(inputs[picks], values[picks]).mean()
        optimizer.zero_grad()
        bits.backward()
        optimizer.step()
    return network


def bits_of(
    windows: Sequence[tuple[NDArray[np.int32], int]], model: TokenModel
) -> tuple[float, float]:
    """Bits a region of windows as files have them, and by the histogram of each integer."""
    whole = ((keep_kinds(decompose(tokens, WINDOW, WINDOW), 3), q) for tokens, q in windows)
    coded = sum(8 * len(pack(tokens, model, q)) for tokens, q in whole)
    planes = np.stack([tokens for tokens, _ in windows]).reshape(-1, model.dims).T
    shares = [np.unique(plane, return_counts=True)[1] / plane.size for plane in planes]
    plain = -sum(float((share * np.log2(share)).sum()) for share in shares)
    return coded / (_REGIONS * len(windows)), plain


def main(words: Sequence[str] | None = None) -> None:
    """Train, print the bits of held-out windows, write the file."""
    parser = ExactParser(prog="token_painter", description=__doc__.splitlines()[0])
    parser.add_argument("targets", type=Path, help="targets.pt of training.token_targets")
    parser.add_argument("out", type=Path, help="the file to write")
    parser.add_argument("--cache", required=True, type=Path, help="where the targets are from")
    parser.add_argument("--steps", type=int, default=6000)
    options = parser.parse_args(words)
    targets = torch.load(options.targets)
    data = Cache(options.cache, held_out=False)
    windows = [
        (tokens.permute(1, 2, 0).numpy().astype(np.int32), int(data.entries[entry]["q"]))
        for entry, _, tokens in targets["windows"]
    ]
    table = (
        targets["table"].round().clamp(-MAX_TOKEN_WEIGHT, MAX_TOKEN_WEIGHT).numpy().astype(np.int16)
    )
    learned = [window for n, window in enumerate(windows) if n % _HELD_OUT]
    held_out = windows[::_HELD_OUT]
    layers = layers_of(fit_network(learned, options.steps))
    assert len(layers[0].weight[0]) == table.shape[1] + CONTEXT_INPUTS
    model = TokenModel(table, tuple(layers))
    inside, plain = bits_of(held_out, model)
    print(f"{len(held_out)} held-out windows: {inside:.2f} bits a region, histograms {plain:.2f}")
    arrays, metadata = read_arrays(PAINTER.find())
    facts = json.dumps({**json.loads(metadata["painter"]), "dims": table.shape[1]})
    more = {"tokens.weight": table, **tensors_of(layers, "tokens.")}
    save_weights({}, options.out, {"painter": facts}, arrays | more)


if __name__ == "__main__":
    main()
