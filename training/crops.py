"""Batches of crops from a cache of base frames (`training.material`)."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gvcodec.bases import INDEX_END
from gvcodec.errors import UsageError
from gvcodec.painter.model import rate
from gvcodec.painter.torch_twin.network import condition
from gvcodec.painter.torch_twin.objective import Batch
from gvcodec.types import BLOCK
from training.held_out import HeldOut
from training.material import LENGTH, WINDOW


def _planes(flat: Tensor, peak: float) -> tuple[Tensor, Tensor]:
    luma, chroma = (flat.float() * (1 / peak)).split([WINDOW**2, WINDOW**2 // 2], 1)
    luma = luma.reshape(LENGTH, 1, WINDOW, WINDOW)
    return luma, chroma.reshape(LENGTH, 2, WINDOW // 2, WINDOW // 2)


class Cache:
    """Random crops of the training or held-out clips of a cache, out of mapped files on the CPU,
    out of a GPU's memory there. `rule`: which clips are held out, instead of the cache's rule.
    Raises `UsageError` when there is nothing."""

    def __init__(
        self,
        folder: Path,
        held_out: bool,
        seed: int = 0,
        max_bpp: float = 0.15,
        device: torch.device | str = "cpu",
        rule: HeldOut | None = None,
    ) -> None:
        index = folder / "index.jsonl"
        if not index.is_file():
            raise UsageError(f"{folder}: no cache here (python -m training material makes one)")
        lines = [json.loads(line) for line in index.read_text().splitlines()]
        if rule is not None:
            lines = [entry | {"held_out": rule.has(entry["clip"])} for entry in lines]
        self.entries = [x for x in lines if x["held_out"] == held_out and x["bpp"] <= max_bpp]
        if not self.entries:
            half = "held-out" if held_out else "training"
            way = "FILE or a share such as 0.2" if held_out else "a smaller share"
            raise UsageError(f"{folder}: the cache holds no {half} clips: --held-out {way}")
        self.device = torch.device(device)
        self.records = [self._open(folder / f"{entry['name']}.npy") for entry in self.entries]
        self.rng = np.random.default_rng(seed)

    def _open(self, path: Path) -> tuple[Tensor, ...]:
        """Base frames (int16), sources (uint8), vectors, own entries of the condition."""
        records = np.load(path, mmap_mode="c")  # copy on write: torch wants writable memory
        fields = (records["base"].view("<i2"), records["source"], records["motion"])
        entry_of = lambda bpp: rate(int(bpp * (1 << 17)), 1 << 10, 1 << 10)
        own = np.vectorize(entry_of, otypes=[np.float32])(records["bpp"])
        return tuple(torch.from_numpy(field).to(self.device) for field in (*fields, own))

    def digest(self) -> str:
        """SHA-256 over the index: which material a checkpoint has seen."""
        return hashlib.sha256(json.dumps(self.entries, sort_keys=True).encode()).hexdigest()

    def _run(self, entry: int, record: int, size: int, augment: bool) -> tuple[Tensor, ...]:
        base_frames, sources, motion, own = self.records[entry]
        base, source = _planes(base_frames[record], 1023), _planes(sources[record], 1023 / 4)
        free = (WINDOW - size) // BLOCK + 1
        corner = self.rng.integers(0, free, 2) if augment else np.array([free // 2] * 2)

        def cut(planes: Tensor, unit: int) -> Tensor:
            """The crop of planes whose samples are `unit` luma samples wide."""
            top, left = (int(at) * BLOCK // unit for at in corner)
            return planes[..., top : top + size // unit, left : left + size // unit]

        parts = [cut(base[0], 1), cut(source[0], 1), cut(base[1], 2), cut(source[1], 2)]
        parts.append(cut(motion[record], BLOCK))
        for axis in (2, 3):
            if augment and self.rng.random() < 0.5:
                parts = [p.flip(axis) for p in parts]
                signs = torch.tensor([-1, 1] if axis == 2 else [1, -1], dtype=torch.int16)
                parts[4] = parts[4] * signs.to(self.device).view(1, 2, 1, 1)
        return *parts, own[record]

    def batch(self, count: int, size: int, picks: list[tuple[int, int]] | None = None) -> Batch:
        """`count` random augmented crops of `size`², or middle crops of (entry, record) `picks`."""
        augment = picks is None
        if picks is None:
            some = map(int, self.rng.integers(0, len(self.entries), count))
            picks = [(e, int(self.rng.integers(len(self.records[e][0])))) for e in some]
        crops = (self._run(e, r, size, augment) for e, r in picks)
        runs = [torch.stack(parts) for parts in zip(*crops, strict=True)]
        entries = [self.entries[e] for e, _ in picks]
        facts = [(e["base"], Fraction(e["scale"]), min(e["q"], INDEX_END)) for e in entries]
        conditions = torch.cat([condition(*fact) for fact in facts]).to(self.device)
        classes = torch.tensor([min(e["q"] // 8, 7) for e in entries], device=self.device)
        rates = torch.tensor([e["bpp"] for e in entries], dtype=torch.float32, device=self.device)
        base, source = (runs[0], runs[2]), (runs[1], runs[3])
        return Batch(base, source, runs[4], conditions, classes, rates, runs[5])
