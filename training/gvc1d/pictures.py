"""Single pictures by a GVC1D network, as by `gvcodec.gvc1d.tokenizer.Tokenizer`, so that search and
condensed sets can be measured on either.

    network = PictureNetwork(Path("weights.safetensors"), rate=7)
    tokens = network.encode([planes, …])     # values [N, W, T, C], features [N, W, RUNS, 2D]
    luma, chroma = network.decode(tokens.values, width, height)

N pictures of W windows, each coded as a keyframe: context and memory are those of the first state.
Raises `MediaError` for a file that holds no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gvcodec.gvc1d import ops_torch
from gvcodec.gvc1d.frame_coder import BLACK, RANGE
from gvcodec.gvc1d.model import LARGEST, Codec, Grid, State, from_patches, grid_of, to_patches
from gvcodec.gvc1d.tokenizer import Tokens
from gvcodec.gvc1d.weights import read_network
from gvcodec.types import Planes
from training.gvc1d.train import estimate_bits

#: Features are of as many runs of tokens, since LP-Comp reads 32 latent tokens. Tokens begin in the
#: Z-order of patches, so a run is a region of its window.
RUNS = 32
#: Pictures that are coded at once.
_BATCH = 8
#: The level at which planes of `Tokenizer.decode` have sample 1.
_WHITE = 1020


class _SlotCodec(Codec):
    """Keeps what leaves the encoder's last layer: `slots` [B, W, T, D]."""

    slots: Tensor

    def _windows(self, name: str, layers: str, x: Any, slots: int, state: State, at: Any) -> Any:
        outputs = super()._windows(name, layers, x, slots, state, at)
        if name == "encoder":
            self.slots = outputs
        return outputs


def region_features(slots: Tensor) -> Tensor:
    """Means and deviations of `RUNS` runs of tokens: [N, W, T, D] to [N, W, RUNS, 2D]. With fewer
    tokens, each is a run of its own."""
    runs = slots.unflatten(2, (min(RUNS, slots.shape[2]), -1))
    return torch.cat([runs.mean(3), runs.std(3, correction=0)], -1)


class PictureNetwork:
    """`rate`: 0 = fine … 7, of the network's rates."""

    def __init__(self, path: Path, rate: float = 3) -> None:
        self.config, self.weights = read_network(path)
        tensors = {name: torch.from_numpy(value.copy()) for name, value in self.weights.items()}
        self.model = _SlotCodec(self.config, tensors, ops_torch)
        self.rate = rate
        self._mix = ops_torch.rate_mix(torch.tensor([float(rate)]), 8)

    @torch.no_grad()
    def encode(self, pictures: Sequence[Planes]) -> Tokens:
        """Of pictures of one size, 10 bits. `keys` are the features again."""
        parts = []
        for first in range(0, len(pictures), _BATCH):
            values, slots = self._encode(pictures[first : first + _BATCH])
            features = region_features(slots).numpy()
            parts.append((values.numpy().astype(np.int16), features, features))
        return Tokens(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _encode(self, pictures: Sequence[Planes]) -> tuple[Tensor, Tensor]:
        """Integers [N, W, T, C] and slots [N, W, T, D]."""
        height, width = pictures[0][0].shape
        grid, window = grid_of(width, height, self.config), self.config.window
        sides = window, window // 2, window // 2
        stacks = [np.stack(same) for same in zip(*pictures, strict=True)]
        y, u, v = (_whole_windows(one, side) for one, side in zip(stacks, sides, strict=True))
        patches = to_patches(y, u, v, self.config, ops_torch)
        state = self.model.first_state(len(pictures), grid)
        values = self.model.encode(patches, state, self._mix, grid)
        return values.round().clamp(-LARGEST, LARGEST), self.model.slots

    def decode(
        self, values: Tensor | NDArray[np.int16], width: int, height: int
    ) -> tuple[Tensor, Tensor]:
        """Luma [N, 1, H, W] and chroma [N, 2, H/2, W/2] in 0…1 (sample 255), of tokens
        [N, W, T, C]; differentiable."""
        tokens, grid = torch.as_tensor(values).float(), grid_of(width, height, self.config)
        shown, _ = self.model.decode(
            tokens, torch.ones_like(tokens[..., :1]), self._state(tokens, grid), self._mix, grid
        )
        planes = from_patches(shown, grid, self.config, ops_torch)
        y, u, v = ((BLACK + RANGE * plane) / _WHITE for plane in planes)
        rows, columns = (height + 1) // 2, (width + 1) // 2
        chroma = torch.stack([u, v], 1)[..., :rows, :columns]
        return y[:, None, : 2 * rows, : 2 * columns], chroma

    def bits(self, values: Tensor | NDArray[np.int16], columns: int = 1) -> Tensor:
        """Bits of windows [N, W]; see `token_bits`."""
        return self.token_bits(values, columns).sum((2, 3))

    def token_bits(self, values: Tensor | NDArray[np.int16], columns: int = 1) -> Tensor:
        """Bits of integers [N, W, T, C] by the autoregressive entropy model; `columns` windows lie
        side by side. Differentiable."""
        tokens = torch.as_tensor(values).float()
        grid = Grid(tokens.shape[1] // columns, columns)
        prediction = self.model.predict(tokens, self._state(tokens, grid), self._mix, grid)
        return estimate_bits(tokens, prediction)

    def _state(self, tokens: Tensor, grid: Grid) -> State:
        return self.model.first_state(len(tokens), grid)


def _whole_windows(planes: NDArray[Any], side: int) -> Tensor:
    """10-bit planes [N, H, W] as samples, the last row and column repeated up to windows of this
    side."""
    samples = torch.from_numpy((planes.astype(np.float32) - BLACK) / RANGE)
    down, along = (-n % side for n in samples.shape[1:])
    return F.pad(samples[:, None], (0, along, 0, down), "replicate")[:, 0]
