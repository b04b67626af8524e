"""What the entropy model of base tokens is worth, in written bytes: `python -m eval token-entropy`.

The shipped model codes walks through clips of the training material (`gvcodec.train.token_material`), at random q. On
those of clips for training one network each is fitted for the same number of steps, with some inputs cut off; on
held-out clips their integer forms code the tokens by the coder of streams. `static` predicts each integer by a table
of its own, fixed for all. Packets hold one window of a frame, without framing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from eval.report.tables import markdown
from eval.tools import EvalError, write_json, write_text
from gvcodec.entropy import streams
from gvcodec.structure.tokens import entropy
from gvcodec.structure.tokens.checkpoint import find_tokens, read_model
from gvcodec.structure.tokens.model import WINDOW, Sizes, search
from gvcodec.structure.tokens.payload import LARGEST
from gvcodec.structure.tokens.twin import Twin
from gvcodec.train.token_entropy import network_of
from gvcodec.train.token_material import KEY_STEP, Clip, open_clips

_BATCH, _RATE = 32, 3e-3
_FRAMES = 10


@dataclass(frozen=True)
class Windows:
    """Windows of frames: side activations (n, S, inputs) and the integers (n, S)."""

    side: NDArray[np.uint8]
    values: NDArray[np.int32]


@dataclass(frozen=True)
class Form:
    """A network that does without some of its inputs."""

    label: str
    values_before: bool = True
    frame_before: bool = True
    memory: bool = True

    def hidden(self, tokens: int, channels: int) -> list[int]:
        """Numbers of the inputs that are cut off: `entropy.side`, then the values before."""
        first = tokens + channels
        rest = first + channels
        cut = (
            []
            if self.frame_before
            else [*range(first, rest), *(rest + i for i in entropy.FRAME_BEFORE)]
        )
        cut += [] if self.memory else [rest + i for i in entropy.MEMORY]
        count = entropy.side_count(tokens, channels)
        return cut if self.values_before else [*cut, *range(count, count + entropy.REACH)]


FORMS = (
    Form("all"),
    Form("no values before (no AR)", values_before=False),
    Form("no memory", memory=False),
    Form("no memory, no frame before", memory=False, frame_before=False),
    Form("none of them", values_before=False, memory=False, frame_before=False),
)


@torch.inference_mode()
def coded(clips: Sequence[Clip], seed: int) -> Windows:
    """A walk of `_FRAMES` frames through each clip, at a random place and q."""
    rng = random.Random(seed)
    model = read_model(find_tokens())
    k, c = model.sizes.tokens, model.sizes.channels
    sides, values = [], []
    for clip in tqdm(clips, unit="clip", disable=None):
        h, w = WINDOW, 2 * WINDOW
        top, left = (
            rng.randrange((clip.height - h) // 2 + 1) * 2,
            rng.randrange((clip.width - w) // 2 + 1) * 2,
        )
        number = rng.randrange(max(1, (clip.frames - _FRAMES) // KEY_STEP))
        q = rng.randrange(64)
        rate, full = torch.tensor([float(q)]), torch.full((1, 2), k)
        state = model.begin(clip.key(number, top, left, h, w))
        last = np.zeros((2, k, c), np.int32)
        level = last.copy()
        for frame in range(1, min(_FRAMES, clip.frames - number * KEY_STEP)):
            now = clip.frame(number * KEY_STEP + frame, top, left, h, w)
            found = search(now[0], state.before[0], rate, k)
            tokens = model.encode(now, state, found, rate).tokens.round()
            side = entropy.side(last, level, q, np.full(2, k))
            last = tokens[0].clamp(-LARGEST, LARGEST).int().numpy()
            sides.append(side)
            values.append(last.reshape(2, -1))
            level = entropy.remembered(level, last)
            state = model.decode(tokens, full, state, rate).state
    if not sides:
        raise EvalError("no clips of 512×256 in this material")
    return Windows(np.concatenate(sides), np.concatenate(values))


def fitted(form: Form, sizes: Sizes, data: Windows, steps: int, seed: int) -> Twin:
    """A network of this form."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    twin = Twin(sizes)
    cut = form.hidden(sizes.tokens, sizes.channels)
    optimizer = torch.optim.Adam(twin.parameters(), _RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        with torch.no_grad():
            twin.first.weight[:, cut] = 0
        at = rng.integers(0, len(data.values), _BATCH)
        values = torch.from_numpy(data.values[at]).float()
        loss = twin.bits(torch.from_numpy(data.side[at]), values).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        twin.first.weight[:, cut] = 0
    return twin


def written(twin: Twin, data: Windows) -> float:
    """Bytes a window of a frame by the integer network."""
    packets = streams.encode_predicted(network_of(twin), data.side, data.values)
    return sum(map(len, packets)) / len(packets)


def static(train: Windows, held: Windows) -> float:
    """Bytes a window with a table for each integer, of the mean and the mean deviation in training."""
    mean = np.round(8 * np.median(train.values, 0))
    spread = np.abs(train.values - mean / 8).mean(0)
    scale = np.clip(np.round(27 + 6 * np.log2(np.maximum(spread, 1e-3))), 0, 63)
    shape = held.values.shape
    tables = (
        np.broadcast_to(scale.astype(np.uint8), shape),
        np.broadcast_to(mean.astype(np.int16), shape),
    )
    packets = streams.encode(held.values, *tables)
    return sum(map(len, packets)) / len(packets)


def measure(material: Path, out: Path, steps: int = 1500, seeds: int = 2, most: int = 60) -> str:
    """Writes `token_entropy.json` and `.md` below `out`; returns the Markdown. Raises EvalError."""
    least = (WINDOW, 2 * WINDOW)
    train, held = (
        coded(open_clips(material, kind, least)[:most], 1 + kind) for kind in (False, True)
    )
    sizes = read_model(find_tokens()).sizes
    rows: list[tuple[str, list[float]]] = [("static tables", [static(train, held)])]
    for form in tqdm(FORMS, unit="form", disable=None):
        found = [
            written(fitted(form, sizes, train, steps, seed), held) for seed in range(1, seeds + 1)
        ]
        rows.append((form.label, found))
    best = float(np.mean(rows[1][1]))
    table = markdown(
        ["inputs", "bytes a window", "against all"],
        [
            [
                label,
                " / ".join(f"{v:.1f}" for v in found),
                f"{100 * (float(np.mean(found)) / best - 1):+.1f} %",
            ]
            for label, found in rows
        ],
    )
    text = (
        f"{len(held.values)} windows of frames of held-out clips, {len(train.values)} to fit with, {steps} steps, one "
        f"figure a seed, means compared.\n\n{table}\n"
    )
    write_json(
        out / "token_entropy.json",
        {"rows": dict(rows), "steps": steps, "windows": len(held.values)},
    )
    write_text(out / "token_entropy.md", text)
    return text
