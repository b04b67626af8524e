"""Sample clips as tensors: runs of base frames and sources, with motion."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gvcodec.painter.cpu import block_vectors
from gvcodec.types import BLOCK, Planes
from gvcodec.util.tensors import to_tensors

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
