"""Random clips out of many gvcodec streams for training in PyTorch: `python
examples/clip_dataset.py A.gvc B.gvc …`

A stream is a good way to keep training video: small, and any clip of it is decoded from its own
keyframe on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

import gvcodec


class ClipDataset(Dataset[torch.Tensor]):
    """Item i is a random clip `(T, 3, H, W)` uint8 of stream i. Streams are opened by the worker
    that reads them."""

    def __init__(self, paths: Sequence[str | Path], frames: int = 8, step: int = 1) -> None:
        self._paths = list(paths)
        self._frames, self._step = frames, step
        self._videos: dict[int, gvcodec.Video] = {}

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        if index not in self._videos:
            self._videos[index] = gvcodec.open(
                self._paths[index], output="torch", dimension_order="NCHW"
            )
        video = self._videos[index]
        span = (self._frames - 1) * self._step + 1
        begin = int(torch.randint(max(1, len(video) - span + 1), ()))
        return video[begin : begin + span : self._step]


def main(paths: list[str]) -> None:
    for batch in DataLoader(ClipDataset(paths), batch_size=2, shuffle=True, num_workers=2):
        print(tuple(batch.shape), batch.dtype)


if __name__ == "__main__":
    main(sys.argv[1:])
