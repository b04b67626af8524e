"""Motion of a window as a tree of steps: what the first channels of its K tokens mean at first.

Token k stands for a region: 0 and 1 for the whole window, 2 and 3 for its halves, and so on; 16 to 31 of 32 for
64×64 pixels. Its step is what its motion adds to that of the region around it. The last K/2 tokens carry four
more, for the quarters of their regions. Steps are listed as in a binary heap of 4K nodes: 0…K-1 are tokens,
2K…4K-1 quarters. K…2K-1, halves of the last tokens' regions, have none of their own.

`choose` takes the vectors of a block search as candidates and finds the tree with the least distortion + price · bits,
leaves first. Only encoders use it, so it need not be the same on every machine.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from gvcodec._core import candidate_errors

#: Patches along a window.
SIDE = 16
#: Candidates a window, the resting one among them.
_CANDIDATES = 64
#: Vectors closer than about this, in half pixels, stand for each other.
_SPREAD = 0.8
#: Half pixels: longer vectors are not offered.
_REACH = 96


def rectangle(node: int, side: int) -> tuple[int, int, int, int]:
    """Top, left, height and width of a node's region in a window of `side`²; wide regions are cut into left and right."""
    top, left, h, w = 0, 0, side, side
    for bit in bin(max(node, 1))[3:]:
        if w >= h:
            w //= 2
            left += w * int(bit)
        else:
            h //= 2
            top += h * int(bit)
    return top, left, h, w


@cache
@torch.inference_mode(False)
def regions(nodes: int) -> Tensor:
    """Patches of each node, (nodes, SIDE²), 0 or 1; node 0 is like node 1."""
    masks = torch.zeros(nodes, SIDE, SIDE)
    for node in range(nodes):
        top, left, h, w = rectangle(node, SIDE)
        masks[node, top : top + h, left : left + w] = 1
    return masks.reshape(nodes, SIDE * SIDE)


def leaves(tokens: int) -> tuple[int, list[int]]:
    """Regions of the last K/2 of K = `tokens`, which are squares for 2, 8 and 32: how many lie side by side, and where each is as
    those are counted row by row."""
    found = [rectangle(node, SIDE) for node in range(tokens // 2, tokens)]
    size = found[0][2]
    return SIDE // size, [top // size * (SIDE // size) + left // size for top, left, _, _ in found]


def sides(nodes: int, cell: int) -> Tensor:
    """On which side of the line that cuts a node's region a cell lies: distance in pixels of the cells' centres, (P, (16 /
    cell)², nodes), above 0 where the right or lower part is."""
    window = 16 * SIDE
    middle = torch.arange(window // cell) * cell + cell / 2
    found = []
    for node in range(nodes):
        top, left, h, w = rectangle(node, window)
        x, y = middle[None, :].expand(len(middle), -1), middle[:, None].expand(-1, len(middle))
        found.append(x - left - w / 2 if w >= h else y - top - h / 2)
    cells = 16 // cell
    grid = torch.stack(found, -1).reshape(SIDE, cells, SIDE, cells, nodes)
    return grid.permute(0, 2, 1, 3, 4).reshape(SIDE * SIDE, cells * cells, nodes)


def _candidates(vectors: Tensor, weight: Tensor) -> Tensor:
    """Of vectors (n, P, 2) those that stand for most of the `weight` (n, P), together, (n, J, 2); the first rests."""
    v = vectors.round().clamp(-_REACH, _REACH)
    like = torch.exp(-(v[:, :, None] - v[:, None]).square().sum(-1) / (2 * _SPREAD**2))
    left = weight * (1 - torch.exp(-v.square().sum(-1) / (2 * _SPREAD**2)))
    chosen = [v.new_zeros(len(v), 2)]
    for _ in range(_CANDIDATES - 1):
        best = (like @ left[..., None])[..., 0].argmax(1)
        row = like.gather(1, best[:, None, None].expand(-1, 1, like.shape[2]))[:, 0]
        chosen.append(v.gather(1, best[:, None, None].expand(-1, 1, 2))[:, 0])
        left = left * (1 - row)
    return torch.stack(chosen, 1).long()


def _errors(now: Tensor, before: Tensor, candidates: Tensor) -> Tensor:
    """Sums of absolute differences, 8-bit levels, (B·N, P, J), for luma (B, H, W) and `candidates` (B·N, J, 2)."""
    planes = [((x + 0.5) * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy() for x in (now, before)]
    offered = candidates.to(torch.int16).cpu().numpy().reshape(len(now), -1, *candidates.shape[1:])
    found = [candidate_errors(*given) for given in zip(*planes, offered, strict=True)]
    return torch.from_numpy(np.concatenate(found)).to(now.device, torch.float32)


def _bits(steps: Tensor) -> Tensor:
    """About what a step (…, 2) costs, as the entropy network came to code it."""
    size = steps.abs().float()
    return torch.where(size > 0, 5.3 + 0.75 * (size + 0.5).log2(), 0.25).sum(-1)


def choose(now: Tensor, before: Tensor, vectors: Tensor, price: Tensor, tokens: int) -> Tensor:
    """Steps of K = `tokens`: (B, N, 4K, 2), half pixels (dx, dy), whole numbers as float.

    Luma `now` and `before` (B, 1, H, W), `vectors` (B, 2, H/16, W/16) in pixels, `price` (B,): of a bit in sums of absolute
    differences."""
    b, _, h, w = now.shape
    grid_rows, grid_cols = h // (16 * SIDE), w // (16 * SIDE)
    n = b * grid_rows * grid_cols
    field = vectors.reshape(b, 2, grid_rows, SIDE, grid_cols, SIDE).permute(0, 2, 4, 3, 5, 1).reshape(n, SIDE * SIDE, 2)
    detail = now.diff(dim=3, append=now[..., -1:]).abs() + now.diff(dim=2, append=now[:, :, -1:]).abs()
    weight = detail.reshape(b, grid_rows, SIDE, 16, grid_cols, SIDE, 16).mean((3, 6)).permute(0, 1, 3, 2, 4)
    candidates = _candidates(2 * field, weight.reshape(n, SIDE * SIDE))
    errors = _errors(now[:, 0], before[:, 0], candidates)
    j = candidates.shape[1]
    cost = price.repeat_interleave(grid_rows * grid_cols)[:, None, None] * _bits(
        candidates[:, :, None] - candidates[:, None]
    )  # (n, J of the region around, J of the region)
    below = regions(4 * tokens)[2 * tokens :].to(now.device) @ errors  # (n, 2K, J): distortion of each quarter
    best = []
    levels = [(count, 4 if 2 * count == tokens else 2) for count in _halvings(tokens // 2)]
    for count, children in levels:
        # Over the child's motion, given that of the region around it.
        below, at_best = (below[:, :, None] + cost[:, None]).min(-1)
        best.append(at_best)
        below = below.reshape(n, count, children, j).sum(2)
    chosen = (below[:, 0] + cost[:, 0]).argmin(-1, keepdim=True)
    steps = torch.zeros(n, 4 * tokens, 2, device=now.device)

    def vector(index: Tensor) -> Tensor:
        return candidates.gather(1, index[..., None].expand(-1, -1, 2)).float()

    steps[:, 1:2] = vector(chosen)
    for (count, children), at_best in zip(reversed(levels), reversed(best), strict=True):
        parent = chosen.repeat_interleave(children, 1)
        chosen = at_best.gather(2, parent[..., None])[..., 0]
        first = count * children
        steps[:, first : 2 * first] = vector(chosen) - vector(parent)
    return steps.reshape(b, grid_rows * grid_cols, 4 * tokens, 2)


def motion_of(steps: Tensor, tokens: int) -> Tensor:
    """Motion of each patch in pixels, (B, N, P, 2), where borders of regions are hard."""
    return 0.5 * (regions(4 * tokens).to(steps.device).t() @ steps)


def _halvings(count: int) -> list[int]:
    """`count`, half of it, … 1."""
    return [count >> i for i in range(count.bit_length())]
