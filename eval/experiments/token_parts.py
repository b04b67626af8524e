"""What the parts of base tokens are worth: each is taken out of a trained model, which then learns
on without it for as long as the whole one does.

    python -m eval.experiments.token_parts MATERIAL --minutes 4 --seeds 2 --out DIR

The model is the shipped one, or that of `--start`. Figures are bits of a window of a frame by the
float twin and PSNR-Y, of walks of six frames through held-out clips at three q; curves over q give
BD-rates against the whole model that learned on for the same time with the same seed. A part that
was taken out and not trained after it is shown too.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from eval.bd import ALL_RATES, bd_rate
from eval.report.tables import markdown
from eval.tools import read_json, write_json, write_text
from gvcodec.structure.tokens import entropy
from gvcodec.structure.tokens.checkpoint import find_tokens, read_sizes
from gvcodec.structure.tokens.model import PATCHES, SIDE, WINDOW, Stage, TokenModel
from gvcodec.structure.tokens.twin import Twin
from gvcodec.train.base_tokens import Config, Trainer, psnr, walk
from gvcodec.train.token_material import Clip

WHOLE = "whole model"
_Q, _FRAMES, _CLIPS = (20, 36, 52), 6, 6


class _Through(nn.Module):
    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        return x


def _stages(model: TokenModel) -> list[Stage]:
    return [stage for part in (model.encoder, model.decoder) for stage in part]  # type: ignore[misc]


def _still(*modules: nn.Module) -> None:
    """Linear layers that give zero and learn nothing."""
    for module in modules:
        for parameter in module.parameters():
            parameter.data.zero_()
            parameter.requires_grad_(False)


def no_local(model: TokenModel, twin: Twin) -> None:
    for stage in _stages(model):
        stage.local = nn.ModuleList()


def no_global(model: TokenModel, twin: Twin) -> None:
    for stage in _stages(model):
        stage.wide = _Through()  # type: ignore[assignment]


def no_memory(model: TokenModel, twin: Twin) -> None:
    """The memory stays what it is at the keyframe."""
    model._remembered = lambda x, memory: memory  # type: ignore[method-assign]


def flat_memory(model: TokenModel, twin: Twin) -> None:
    """2-D: vector i is rewritten by the patches of region i, of 2×4 for eight vectors."""
    rows = 2 if model.sizes.memory > 2 else 1
    columns = model.sizes.memory // rows

    def remembered(x: Tensor, memory: Tensor) -> Tensor:
        cut = (rows, SIDE // rows, columns, SIDE // columns)
        places = x[:, :, :PATCHES].unflatten(2, cut).mean((3, 5)).flatten(2, 3)
        out = model.memory_norm(places)
        gate = torch.sigmoid(model.memory_gate(out))
        result: Tensor = memory + gate * (model.memory_value(out) - memory)
        return result

    model._remembered = remembered  # type: ignore[method-assign]


def no_buffer(model: TokenModel, twin: Twin) -> None:
    """The features of the frame before; its picture stays."""
    _still(model.recall, model.recall_again)


def no_encoder(model: TokenModel, twin: Twin) -> None:
    """Tokens as they were searched: nothing comes from the layers of the encoder."""
    _still(model.to_tokens[1])


def no_values_before(model: TokenModel, twin: Twin) -> None:
    """The entropy model without the values before: no AR."""
    count = entropy.side_count(model.sizes.tokens, model.sizes.channels)
    _cut(twin, range(count, count + entropy.REACH))


def no_entropy_memory(model: TokenModel, twin: Twin) -> None:
    """The entropy model without memory."""
    first = model.sizes.tokens + 2 * model.sizes.channels
    _cut(twin, [first + i for i in entropy.MEMORY])


def _cut(twin: Twin, inputs: Sequence[int]) -> None:
    """These inputs of the network count for nothing, and stay so."""
    open_ = torch.ones(twin.first.weight.shape[1])
    open_[list(inputs)] = 0
    twin.first.weight.data *= open_
    twin.first.weight.register_hook(lambda gradient: gradient * open_)


PARTS: dict[str, Callable[[TokenModel, Twin], None]] = {
    WHOLE: lambda model, twin: None,
    "local layers": no_local,
    "global layers": no_global,
    "memory": no_memory,
    "memory 2-D instead": flat_memory,
    "short-term features": no_buffer,
    "learned encoder (search alone)": no_encoder,
    "values before (no AR)": no_values_before,
    "memory of the entropy model": no_entropy_memory,
}


def _trainer(start: Path, material: Path, part: str, seed: int, out: Path) -> Trainer:
    """One that goes on from the model file `start`, this part taken out of all its networks."""
    shutil.rmtree(out, ignore_errors=True)
    sizes, *_ = read_sizes(start)
    given = {name: sizes[name] for name in ("width", "local", "stages", "filters")}
    # The mean follows within minutes.
    config = Config(
        str(material), str(out), str(start), seed=seed, threads=1, average=0.98, **given
    )
    trainer = Trainer(config)
    for model, twin in ((trainer.model, trainer.twin), (trainer.mean, trainer.mean_twin)):
        PARTS[part](model, twin)
    return trainer


def measured(trainer: Trainer) -> list[tuple[float, float]]:
    """(bits a window of a frame, PSNR-Y in dB) at each q, means over clips."""
    found = []
    for q in _Q:
        rows = [_walk(trainer, clip, q) for clip in trainer.held[:_CLIPS]]
        bits, quality = np.mean(rows, 0)
        found.append((float(bits), float(quality)))
    return found


def _walk(trainer: Trainer, clip: Clip, q: int) -> tuple[float, float]:
    h, w = 256, 512
    at = (clip.height - h) // 4 * 2, (clip.width - w) // 4 * 2
    key, rate = clip.key(1, *at, h, w), torch.tensor([float(q)])
    steps = walk(trainer.mean, trainer.mean_twin, clip, key, at, _FRAMES, rate)
    found = [
        (float((step.bits * step.there[0]).mean()), float(psnr(step.after.before, step.now)))
        for step in steps
    ]
    bits, quality = np.mean(found, 0)
    return float(bits), float(quality)


def measure(material: Path, start: Path, minutes: float, seeds: int, out: Path) -> str:
    """Writes `token_parts.json` and `.md` below `out`; what is there is kept. `minutes` of the
    processor. Returns the Markdown."""
    kept = read_json(out / "token_parts.json") or {"rows": []}
    rows: list[dict[str, Any]] = kept["rows"]
    jobs = [(seed, part) for seed in range(1, seeds + 1) for part in PARTS]
    for seed, part in tqdm(jobs, unit="model", disable=None):
        if any((row["part"], row["seed"]) == (part, seed) for row in rows):
            continue
        trainer = _trainer(start, material, part, seed, out / "work")
        before = measured(trainer) if seed == 1 else []
        seen, spent = trainer.seen, time.process_time()
        while time.process_time() - spent < 60 * minutes:
            trainer.step()
        rows.append(
            {
                "part": part,
                "seed": seed,
                "before": before,
                "after": measured(trainer),
                "seen": trainer.seen - seen,
            }
        )
        write_json(out / "token_parts.json", {"rows": rows, "minutes": minutes})
    text = to_markdown(rows, minutes)
    write_text(out / "token_parts.md", text)
    return text


def to_markdown(rows: Sequence[dict[str, Any]], minutes: float) -> str:
    """BD-rates against the whole model, a column a seed."""
    seeds = sorted({row["seed"] for row in rows})

    def points(part: str, seed: int, when: str) -> list[tuple[float, float]]:
        for row in rows:
            if (row["part"], row["seed"]) == (part, seed):
                return [(bits / WINDOW**2, quality) for bits, quality in row[when]]
        return []

    def delta(part: str, seed: int, when: str) -> str:
        one, other = points(WHOLE, seed, when), points(part, seed, when)
        if not one or not other:
            return "–"
        percent = bd_rate(one, other, True, ALL_RATES).percent
        return "no overlap" if percent is None else f"{percent:+.1f} %"

    lines = []
    for part in PARTS:
        after = [
            f"{b * WINDOW**2:.0f} bits, {p:.2f} dB" for b, p in points(part, seeds[0], "after")[1:2]
        ]
        found = [delta(part, seed, "after") for seed in seeds]
        lines.append([part, *after, delta(part, seeds[0], "before"), *found])
    header = ["without", f"q {_Q[1]}, trained on", "as it is"]
    table = markdown([*header, *(f"trained on, seed {seed}" for seed in seeds)], lines)
    seen = round(float(np.mean([row["seen"] for row in rows])))
    return (
        f"{table}\n\nBD-rate in PSNR-Y over q {', '.join(map(str, _Q))}, {_CLIPS} held-out clips, "
        f"{_FRAMES} frames, bits of tokens alone; {minutes:g} processor minutes each, about {seen} "
        f"window-frames. Positive = more bits without the part.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("material", type=Path)
    parser.add_argument("--start", type=Path, default=None, help="a model file (the shipped one)")
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/token-parts"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    start = options.start or find_tokens()
    print(measure(options.material, start, options.minutes, options.seeds, options.out))


if __name__ == "__main__":
    main()
