"""Material of fitting: runs of base frames and sources as tensors, and crops of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gvcodec.painter.cpu import block_vectors
from gvcodec.painter.fitting.network import FrameObservation, PainterNetwork, convert, join
from gvcodec.painter.fitting.objective import Batch, Objective, observe_run
from gvcodec.perceptual.vgg import Reference
from gvcodec.types import BLOCK, Planes
from gvcodec.util.tensors import to_tensors

#: Side of the crops that are painted, as in training; the perceptual losses see 128² of it.
SIZE = 160
#: Base luma, base chroma, source luma, source chroma, vectors, own entries; T first.
Run = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def prepare(
    samples: Sequence[list[tuple[Planes, Planes]]],
    frame_condition: Sequence[Sequence[int]] | None = None,
    device: torch.device | str = "cpu",
) -> list[Run]:
    """Samples as padded half-precision planes in 0…1 with motion, one tuple a run, on `device`.
    `frame_condition`: entries of the condition that belong to the frames."""
    longest = max(len(sample) for sample in samples)
    runs = []
    for number, sample in enumerate(samples):
        if len(sample) < longest:  # the last run of a clip may be cut short
            continue
        base_frames, sources = (
            [to_tensors(base_frame) for base_frame, _ in sample],
            [to_tensors(source) for _, source in sample],
        )
        rows, columns = (n // BLOCK for n in base_frames[0][0].shape[2:])
        vectors = [np.zeros((2, rows, columns), np.int16)]
        vectors += [block_vectors(b[0], a[0]) for (a, _), (b, _) in itertools.pairwise(sample)]
        planes = [
            torch.cat([pair[k] for pair in frames]).half().to(device)
            for frames in (base_frames, sources)
            for k in (0, 1)
        ]
        entries = np.array(
            frame_condition[number] if frame_condition else [0] * longest, np.float32
        )
        motion, own_entries = (torch.from_numpy(a).to(device) for a in (np.stack(vectors), entries))
        runs.append((planes[0], planes[1], planes[2], planes[3], motion, own_entries))
    return runs


class Pool:
    """Fixed random crops of the runs. Inputs that fitting does not change are made once for each
    crop: the maps of its source (about 8 MB with VGG16) and the `painter`'s features of it before
    `style`."""

    def __init__(
        self,
        runs: list[Run],
        count: int,
        conditions: Tensor,
        rng: np.random.Generator,
        painter: PainterNetwork,
        objective: Objective,
    ) -> None:
        self.painter, self.objective = painter, objective
        height, width = runs[0][0].shape[2:]
        size = min(SIZE, height, width) // BLOCK * BLOCK
        self.crops: list[Batch] = []
        self.cache: dict[int, tuple[Reference, list[FrameObservation]]] = {}
        order = rng.permutation(max(count, len(runs))) % len(runs)
        for number in order[:count]:
            top, left = (
                int(rng.integers(0, (n - size) // BLOCK + 1)) * BLOCK for n in (height, width)
            )
            full, half = (
                (slice(top, top + size), slice(left, left + size)),
                (slice(top // 2, (top + size) // 2), slice(left // 2, (left + size) // 2)),
            )
            blocks = (
                slice(top // BLOCK, (top + size) // BLOCK),
                slice(left // BLOCK, (left + size) // BLOCK),
            )
            base_frame, tint, source, source_tint, vectors = (
                x[:, :, area[0], area[1]][None]
                for x, area in zip(runs[number][:5], (full, half, full, half, blocks), strict=True)
            )
            self.crops.append(
                Batch(
                    (base_frame, tint),
                    (source, source_tint),
                    vectors,
                    conditions,
                    conditions.new_zeros(1, dtype=torch.long),
                    conditions.new_zeros(1),
                    runs[number][5][None],
                )
            )

    def batch(
        self, numbers: Sequence[int]
    ) -> tuple[Batch, list[FrameObservation], list[Reference]]:
        """The crops `numbers` as one batch, the painter's observations of their frames, and
        the maps of their sources."""
        for n in numbers:
            if n not in self.cache:
                crop = self._join([n])
                with torch.no_grad():
                    observed = observe_run(self.painter, crop, 3 * n)
                reference = self.objective.reference(crop)[0]
                self.cache[n] = reference, [convert(frame, torch.half) for frame in observed]
        frames = zip(*(self.cache[n][1] for n in numbers), strict=True)
        references = [self.cache[n][0] for n in numbers]
        observed = [convert(join(frame), torch.float) for frame in frames]
        return self._join(numbers), observed, references

    def _join(self, numbers: Sequence[int]) -> Batch:
        return convert(join([self.crops[n] for n in numbers]), torch.float)
