"""Block motion between consecutive loop frames, as the painter needs it: display order, whole pixels, out of the coding loop.

The vectors only steer where rendered detail and noise come from, so they may be wrong but never fatal: every use of a
vector is guarded by `warp`'s validity map. Vectors are `(2, h, w)` int16, (dy, dx) in luma pixels, one for each block of
`BLOCK` luma pixels; a block's content is looked for in the reference at position + vector.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 16
_RANGE = 4  # of the full search at an eighth of the resolution: ±32 luma pixels


def block_grid(height: int, width: int) -> tuple[int, int]:
    """Number of blocks (rows, columns) that cover a picture."""
    return -(-height // BLOCK), -(-width // BLOCK)


def expand(vectors: Tensor, height: int, width: int, step: int = 1) -> tuple[Tensor, Tensor]:
    """Vectors `(B, 2, h, w)` to source coordinates (rows, columns), each `(B, height, width)` int64, at 1/`step` resolution.

    Coordinates may lie outside the picture."""
    side = BLOCK // step
    field = vectors.long().repeat_interleave(side, 2).repeat_interleave(side, 3)[:, :, :height, :width]
    if step > 1:
        field = torch.div(field + step // 2, step, rounding_mode="floor")
    rows = field[:, 0] + torch.arange(height, device=field.device)[:, None]
    return rows, field[:, 1] + torch.arange(width, device=field.device)


def warp(x: Tensor, vectors: Tensor, step: int = 1) -> tuple[Tensor, Tensor]:
    """Fetch `(B, C, H, W)` at the vectors' places (whole pixels, edges repeated); `step` 2 for half-resolution planes.

    Returns the fetched planes and a bool map `(B, 1, H, W)`: False where the place lies outside the picture."""
    b, c, h, w = x.shape
    rows, cols = expand(vectors, h, w, step)
    inside = (rows >= 0) & (rows < h) & (cols >= 0) & (cols < w)
    index = (rows.clamp(0, h - 1) * w + cols.clamp(0, w - 1)).reshape(b, 1, h * w)
    return x.reshape(b, c, h * w).gather(2, index.expand(b, c, h * w)).reshape(b, c, h, w), inside[:, None]


def _block_cost(difference: Tensor, side: int, grid: tuple[int, int]) -> Tensor:
    """Mean of `(n, h, w)` over each block with a margin of half a block: overlapped windows keep the field smooth."""
    window = 2 * side
    need = ((grid[0] + 1) * side, (grid[1] + 1) * side)
    pad = (side // 2, need[1] - difference.shape[2] - side // 2, side // 2, need[0] - difference.shape[1] - side // 2)
    return F.avg_pool2d(F.pad(difference[None], pad, mode="replicate"), window, side)[0]


def _coarse(cur: Tensor, ref: Tensor, grid: tuple[int, int], penalty: float) -> Tensor:
    """Full search at an eighth of the resolution (blocks of 2 pixels in windows of 6)."""
    h, w = cur.shape
    padded = F.pad(ref[None, None], (_RANGE,) * 4, mode="replicate")[0, 0]
    span = range(-_RANGE, _RANGE + 1)
    shifts = [(dy, dx) for dy in span for dx in span]
    cost = torch.stack([(cur - padded[_RANGE + dy : _RANGE + dy + h, _RANGE + dx : _RANGE + dx + w]).abs() for dy, dx in shifts])
    cost = F.avg_pool2d(F.pad(cost[None], (2, 2, 2, 2), mode="replicate"), 5, 1)[0]
    cost = _block_cost(cost, 2, grid)
    table = torch.tensor(shifts, dtype=torch.int16)
    cost = cost + penalty * table.abs().sum(1)[:, None, None]
    return table[cost.argmin(0)].permute(2, 0, 1)


def _refine(cur: Tensor, ref: Tensor, vectors: Tensor, side: int, penalty: float) -> Tensor:
    """Best of ±1 around each vector, of its neighbours' vectors and of zero, at blocks of `side` pixels."""
    h, w = cur.shape
    near = F.pad(vectors[None].float(), (1, 1, 1, 1), mode="replicate")[0].to(vectors.dtype)
    candidates = [near[:, 1:-1, :-2], near[:, 1:-1, 2:], near[:, :-2, 1:-1], near[:, 2:, 1:-1], torch.zeros_like(vectors)]
    step = torch.tensor([(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)], dtype=vectors.dtype)
    candidates += [vectors + s[:, None, None] for s in step]
    flat = ref.reshape(-1)
    costs = []
    for field in candidates:
        big = field.long().repeat_interleave(side, 1).repeat_interleave(side, 2)[:, :h, :w]
        rows = (big[0] + torch.arange(h)[:, None]).clamp_(0, h - 1)
        cols = (big[1] + torch.arange(w)).clamp_(0, w - 1)
        costs.append((cur - flat[rows * w + cols]).abs())
    cost = _block_cost(torch.stack(costs), side, vectors.shape[1:])
    stack = torch.stack(candidates)
    gap = (stack - stack[:4].median(dim=0).values).abs().sum(1).float()
    cost = cost + penalty * gap.clamp(max=16)
    best = cost.argmin(0)
    return stack.gather(0, best[None, None].expand(1, *vectors.shape))[0]


@torch.inference_mode()
def search(cur: Tensor, ref: Tensor, levels: int = 2) -> Tensor:
    """Motion of luma `cur` `(H, W)` float 0…1 against `ref`: `(2, h, w)` int16, whole pixels.

    `levels` refinements follow the coarse search: 2 ends at half resolution (even vectors), 3 at full."""
    grid = block_grid(*cur.shape)
    pad = (0, grid[1] * BLOCK - cur.shape[1], 0, grid[0] * BLOCK - cur.shape[0])
    pyramid = [tuple(F.pad(p[None, None], pad, mode="replicate") for p in (cur, ref))]
    for _ in range(3):
        pyramid.append(tuple(F.avg_pool2d(p, 2) for p in pyramid[-1]))
    planes = [(a[0, 0], b[0, 0]) for a, b in pyramid]
    vectors = _coarse(*planes[3], grid, 3e-4)
    for level in range(2, 2 - levels, -1):
        vectors = _refine(*planes[level], vectors * 2, BLOCK >> level, 1.5e-4)
    return vectors * (1 << (3 - levels))
