"""Runs a network on held-out runs, for validation, alarms and cards."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from gvcodec.gvc1d.picture import Picture
from gvcodec.gvc1d.token_network import TokenNetwork
from training.gvc1d.alarms import Figures, spreads
from training.gvc1d.card import code_run, judge
from training.gvc1d.data import Runs, collate
from training.gvc1d.losses import Distortion
from training.gvc1d.run import Frame
from training.gvc1d.settings import TrainConfig

#: Held-out runs of validation and alarms.
_CHECKED = 8
#: Frames of validation besides a run's own, to see what piles up.
_LONG = 6
#: Rate that validation codes at.
_MIDDLE = 3


def half(device: torch.device) -> torch.autocast:
    """bfloat16 for what a network multiplies."""
    return torch.autocast(device.type, torch.bfloat16)


def frames_of(
    batch: dict[str, Tensor], base: bool, moved: bool, device: torch.device
) -> list[Frame]:
    """The frames of a micro-batch `[B, T, …]`, with or without their base and block motion."""

    def picture(y: str, uv: str, t: int) -> Picture:
        return Picture(
            batch[y][:, t, None].to(device).float() / 255, batch[uv][:, t].to(device).float() / 255
        )

    frames = []
    for t in range(batch["y"].shape[1]):
        shown = picture("shown_y", "shown_uv", t) if base else None
        motion = batch["motion"][:, t].to(device) if base or moved else None
        frames.append(Frame(picture("y", "uv", t), shown, motion))
    return frames


def there_and_back(run: list[Frame], count: int) -> list[Frame]:
    """`count` frames there and back that end beside the run's first; backwards without motion."""
    last = max(1, len(run) - 1)

    def at(step: int) -> int:
        return min(last - abs(step % (2 * last) - last), len(run) - 1)

    frames = []
    for step in range(count, 0, -1):
        forwards = step < count and at(step) == at(step + 1) + 1
        frame = run[at(step)]
        frames.append(frame if forwards else frame._replace(motion=None))
    return frames


class HeldOut:
    """`measure`, `check`, `validate` of a network on runs that it has not learned from."""

    def __init__(self, config: TrainConfig, distortion: Distortion, device: torch.device) -> None:
        self.config, self.distortion, self.device = config, distortion, device
        self.runs = Runs(config, held_out=True)
        self.first_free: float | None = None

    def _frames(self, first: int, base: bool) -> list[Frame]:
        """Four runs from the `first` on."""
        batch = collate([self.runs[first + i] for i in range(4)])
        return frames_of(batch, base, base, self.device)

    @torch.no_grad()
    def measure(self, model: TokenNetwork, row: str, change: str = "") -> dict[str, float]:
        """Of held-out runs what `card.judge` says; `row`: one of `card.ROWS`, `change`: one of
        `card.CHANGES`, or "free" = no network."""
        found = []
        for first in range(0, _CHECKED, 4):
            run = self._frames(first, row == "base")
            if row != "return":
                run = there_and_back(run, _LONG) + [run[0]._replace(motion=None), *run[1:]]
            with half(self.device):
                found.append(judge(model, run, row, change, _MIDDLE, self.distortion))
        return {name: float(np.mean([one[name] for one in found])) for name in found[0]}

    @torch.no_grad()
    def check(self, model: TokenNetwork, minutes: float) -> dict[str, float]:
        """Figures of the alarms. Raises `alarms.Alarm`."""
        changes = ("", "zeroed", "shuffled")
        whole, zeroed, shuffled = (self.measure(model, "no base", c)["loss"] for c in changes)
        free = self.measure(model, "base", "free")["loss"]
        frames = self._frames(0, False)[:2]

        def run() -> None:
            with half(self.device):
                code_run(model, frames, _MIDDLE)

        found = Figures(*spreads(model, run), zeroed / whole - 1, shuffled / whole - 1, free)
        if self.first_free is None:
            self.first_free = free
        found.check(minutes >= self.config.patience_minutes, self.first_free)
        return {name: round(value, 4) for name, value in asdict(found).items()}

    @torch.no_grad()
    def validate(self, model: TokenNetwork) -> dict[str, float]:
        """Distortion whole and spoilt, PSNR-Y and bits, with and without a base."""
        found = {}
        for name in ("no base", "base"):
            for change in ("", "zeroed", "memory", "buffer", "global", "free"):
                row = self.measure(model, name, change)
                found[f"{name} {change or 'whole'}"] = round(row["loss"], 4)
                if change in ("", "free"):
                    found[f"{name} {change or 'whole'} psnr"] = round(row["psnr"], 2)
                if not change:
                    found[f"{name} bits"] = round(row["bits"], 1)
        for change in ("", "memory"):
            row = self.measure(model, "return", change)
            found[f"return {change or 'whole'}"] = round(row["loss"], 4)
            found[f"return {change or 'whole'} bits"] = round(row["bits"], 1)
        return found
