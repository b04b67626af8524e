"""The learned transform of base gvc1d: a lapped one that begins as the cosine transform.

Each region of 16×16 luma samples has 256 coefficients, measured on the 32×32 samples around it, and
64 of each chroma plane, measured on 16×16. Both sides, `analysis` and `synthesis`, begin as the
orthonormal cosine transform of the region itself, zero around it, and are trained with everything
else: so what training earns is measured against that beginning at equal integers.

Coefficients are in 10-bit levels times the transform's norm. Shapes: pictures
luma `[B, 1, H, W]`, chroma `[B, 2, H/2, W/2]` in 10-bit levels; coefficients `[B, 384, H/16,
W/16]`; a window's integers `[B, W, N]` (`gvcodec.gvc1d.token_order`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.gvc1d.blocks import cosines, in_full_precision
from gvcodec.gvc1d.token_order import (
    CHROMA,
    COARSE,
    FIRST,
    LUMA,
    PLANES,
    REGION,
    REGIONS,
    SIDE,
    ZIGZAG,
)

#: Grey, in 10-bit levels.
GREY = 512.0


def _beginning(side: int) -> Tensor:
    """`[side², 1, 2 side, 2 side]`: the cosine transform in the middle."""
    rows = cosines(side, side)
    basis = torch.einsum("ui,vj->uvij", rows, rows).reshape(side * side, 1, side, side)
    return F.pad(basis, (side // 2,) * 4)


def means_matrix() -> Tensor:
    """The 4×4 cosine transform, frequencies by `ZIGZAG`, `[16, 16]`."""
    rows = cosines(4, 4)
    full = torch.einsum("ui,vj->uvij", rows, rows).reshape(4, 4, 16)
    return torch.stack([full[u, v] for u, v in ZIGZAG])


class Transform(nn.Module):
    """See the module. `log_step` [384 or so]: each integer's step over the frame's, natural
    logarithm: the first 48 of the first level and of blocks by component, then planes."""

    means: Tensor
    planes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.analysis_y = nn.Parameter(_beginning(REGION))
        self.analysis_uv = nn.Parameter(_beginning(REGION // 2))
        self.synthesis_y = nn.Parameter(_beginning(REGION))
        self.synthesis_uv = nn.Parameter(_beginning(REGION // 2))
        #: Of the first level (Y, U, V), of blocks (Y, U, V), of each plane.
        self.log_step = nn.Parameter(torch.zeros(6 + len(PLANES)))
        self.register_buffer("means", means_matrix(), persistent=False)
        self.register_buffer("planes", torch.tensor([p.row for p in PLANES]), persistent=False)

    @in_full_precision
    def analyse(self, y: Tensor, uv: Tensor) -> Tensor:
        """Coefficients of a difference."""
        half, quarter = REGION // 2, REGION // 4
        y = F.pad(y, (half,) * 4, mode="replicate")
        uv = F.pad(uv, (quarter,) * 4, mode="replicate")
        b, _, h, w = uv.shape
        luma = F.conv2d(y, self.analysis_y, stride=REGION)
        chroma = F.conv2d(uv.reshape(2 * b, 1, h, w), self.analysis_uv, stride=half)
        return torch.cat([luma, chroma.view(b, 2 * CHROMA, *luma.shape[2:])], 1)

    @in_full_precision
    def synthesise(self, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """The difference that they stand for."""
        b, _, h, w = coefficients.shape
        half, quarter = REGION // 2, REGION // 4
        y = F.conv_transpose2d(coefficients[:, :LUMA], self.synthesis_y, stride=REGION)
        chroma = coefficients[:, LUMA:].reshape(2 * b, CHROMA, h, w)
        uv = F.conv_transpose2d(chroma, self.synthesis_uv, stride=half)
        uv = uv.view(b, 2, *uv.shape[2:])
        return y[:, :, half:-half, half:-half], uv[:, :, quarter:-quarter, quarter:-quarter]

    @in_full_precision
    def to_windows(self, coefficients: Tensor, planes: int) -> Tensor:
        """All integers' places of `planes` planes, unrounded, `[B, W, N]`."""
        means = coefficients[:, [0, LUMA, LUMA + CHROMA]]  # [B, 3, h, w]
        blocks = _split(means) @ self.means.T  # [B, W, 3, 16 blocks, 16]
        first = blocks[..., 0] @ self.means.T  # [B, W, 3, 16]
        fine = coefficients[:, self.planes[:planes]]
        b, _, h, w = fine.shape
        fine = fine.view(b, planes, h // SIDE, SIDE, w // SIDE, SIDE).permute(0, 2, 4, 1, 3, 5)
        return torch.cat(
            [
                first.transpose(2, 3).flatten(2),
                blocks[..., 1:].permute(0, 1, 4, 2, 3).flatten(2),
                fine.reshape(b, -1, planes * REGIONS),
            ],
            2,
        )

    @in_full_precision
    def from_windows(self, values: Tensor, columns: int) -> Tensor:
        """The inverse; planes that are not there are 0. `columns`: windows in a row."""
        b, w, n = values.shape
        rows, planes = w // columns, (n - COARSE) // REGIONS
        first = values[..., :FIRST].view(b, w, 16, 3).transpose(2, 3) @ self.means
        rest = values[..., FIRST:COARSE].view(b, w, 15, 3, 16).permute(0, 1, 3, 4, 2)
        blocks = torch.cat([first[..., None], rest], -1) @ self.means  # [B, W, 3, 16, 16]
        means = _join(blocks, columns)
        fine = values[..., COARSE:].view(b, rows, columns, planes, SIDE, SIDE)
        fine = fine.permute(0, 3, 1, 4, 2, 5).reshape(b, planes, rows * SIDE, columns * SIDE)
        whole = values.new_zeros(b, LUMA + 2 * CHROMA, rows * SIDE, columns * SIDE)
        at = torch.cat(
            [torch.tensor([0, LUMA, LUMA + CHROMA], device=values.device), self.planes[:planes]]
        )
        return whole.index_copy(1, at, torch.cat([means, fine], 1))

    def steps(self, planes: int) -> Tensor:
        """Of each of a window's integers over the frame's step, `[N]`."""
        step = self.log_step.clamp(-1, 1).exp()
        first = step[:3].repeat(16)
        blocks = step[3:6].repeat_interleave(16).repeat(15)
        return torch.cat([first, blocks, step[6 : 6 + planes].repeat_interleave(REGIONS)])


def _split(means: Tensor) -> Tensor:
    """`[B, 3, h, w]` → `[B, W, 3, 16 blocks, 16 regions]`."""
    b, c, h, w = means.shape
    x = means.view(b, c, h // SIDE, 4, 4, w // SIDE, 4, 4).permute(0, 2, 5, 1, 3, 6, 4, 7)
    return x.reshape(b, -1, c, 16, 16)


def _join(blocks: Tensor, columns: int) -> Tensor:
    """The inverse of `_split`."""
    b, w, c, _, _ = blocks.shape
    x = blocks.view(b, w // columns, columns, c, 4, 4, 4, 4).permute(0, 3, 1, 4, 6, 2, 5, 7)
    return x.reshape(b, c, w // columns * SIDE, columns * SIDE)
