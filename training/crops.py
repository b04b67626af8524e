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
from gvcodec.painter.network import condition
from gvcodec.painter.objective import Batch
from gvcodec.types import BLOCK
from training.material import LENGTH, WINDOW


def _planes(flat: Tensor, peak: float) -> tuple[Tensor, Tensor]:
    area = WINDOW * WINDOW
    x = flat.float() * (1 / peak)
    return x[:, :area].reshape(LENGTH, 1, WINDOW, WINDOW), x[:, area:].reshape(
        LENGTH, 2, WINDOW // 2, WINDOW // 2
    )


class Cache:
    """Random crops of one half of a cache (training or held-out clips), cut and turned on `device`:
    on the CPU out of mapped files, on a GPU out of its own memory, where all records then lie.
    Raises `UsageError` when there is nothing."""

    def __init__(
        self,
        folder: Path,
        held_out: bool,
        seed: int = 0,
        max_bpp: float = 0.15,
        device: torch.device | str = "cpu",
    ) -> None:
        index = folder / "index.jsonl"
        if not index.is_file():
            raise UsageError(
                f"{folder}: no cache of training material here (make one with python -m "
                f"training material)"
            )
        self.entries = []
        for line in index.read_text().splitlines():
            entry = json.loads(line)
            if entry["held_out"] == held_out and entry["bpp"] <= max_bpp:
                self.entries.append(entry)
        if not self.entries:
            raise UsageError(
                f"{folder}: the cache holds no {'held-out' if held_out else 'training'} clips"
            )
        self.device = torch.device(device)
        self.records: list[tuple[Tensor, ...]] = [
            self._open(folder / f"{entry['name']}.npy") for entry in self.entries
        ]
        self.rng = np.random.default_rng(seed)

    def _open(self, path: Path) -> tuple[Tensor, ...]:
        """Base frames (int16), sources (uint8), vectors and the frames' own entries of the
        condition of all records of a file."""
        records = np.load(path, mmap_mode="c")  # copy on write: torch wants writable memory
        fields = (records["base"].view("<i2"), records["source"], records["motion"])
        own = np.vectorize(
            lambda bpp: rate(int(bpp * (1 << 17)), 1 << 10, 1 << 10), otypes=[np.float32]
        )(records["bpp"])
        return tuple(torch.from_numpy(field).to(self.device) for field in (*fields, own))

    def digest(self) -> str:
        """SHA-256 over the index: which material a checkpoint has seen."""
        return hashlib.sha256(json.dumps(self.entries, sort_keys=True).encode()).hexdigest()

    def _run(self, entry: int, record: int, size: int, augment: bool) -> tuple[Tensor, ...]:
        base_frames, sources, motion, own = self.records[entry]
        loop, source, vectors = (
            _planes(base_frames[record], 1023),
            _planes(sources[record], 1023 / 4),
            motion[record],
        )
        free = (WINDOW - size) // BLOCK + 1
        top, left = (
            self.rng.integers(0, free, 2) if augment else np.array([free // 2, free // 2])
        ) * BLOCK
        parts = [p[..., top : top + size, left : left + size] for p in (loop[0], source[0])]
        parts += [
            p[..., top // 2 : (top + size) // 2, left // 2 : (left + size) // 2]
            for p in (loop[1], source[1])
        ]
        parts.append(
            vectors[
                ..., top // BLOCK : (top + size) // BLOCK, left // BLOCK : (left + size) // BLOCK
            ]
        )
        for axis in (2, 3):
            if augment and self.rng.random() < 0.5:
                parts = [p.flip(axis) for p in parts]
                parts[4] = parts[4] * torch.tensor(
                    [-1, 1] if axis == 2 else [1, -1], dtype=torch.int16, device=self.device
                ).view(1, 2, 1, 1)
        return *parts, own[record]

    def batch(self, count: int, size: int, picks: list[tuple[int, int]] | None = None) -> Batch:
        """`count` random augmented crops of `size`², or the middle crops of the records `picks`
        (entry, record)."""
        augment = picks is None
        if picks is None:
            picks = [
                (int(e), int(self.rng.integers(len(self.records[e][0]))))
                for e in self.rng.integers(0, len(self.entries), count)
            ]
        runs = [
            torch.stack(parts)
            for parts in zip(*(self._run(e, r, size, augment) for e, r in picks), strict=True)
        ]
        entries = [self.entries[e] for e, _ in picks]
        conditions = torch.cat(
            [condition(e["base"], Fraction(e["scale"]), min(e["q"], INDEX_END)) for e in entries]
        ).to(self.device)
        classes = torch.tensor([min(e["q"] // 8, 7) for e in entries], device=self.device)
        rates = torch.tensor([e["bpp"] for e in entries], dtype=torch.float32, device=self.device)
        return Batch(
            (runs[0], runs[2]), (runs[1], runs[3]), runs[4], conditions, classes, rates, runs[5]
        )
