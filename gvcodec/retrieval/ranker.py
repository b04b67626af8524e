"""The learned ranking of moments by a query (QC-Comp): cross-attention from the query's vectors to
those of a file, local in time.

For candidate time t and query vector i, taken `offsets[i]` frames after the query's first, a head
attends to the vectors k at most `RADIUS` frames from t + offsets[i]:

    S(t) = Σ_heads mean_i Σ_k softmax_k(c(q_i, z_k) - slope · |t_k - t - offset_i|) · v(q_i, z_k)

with low-rank products c and bilinear values v. It begins as the mean cosine of vectors next to each
other in time. Times are frame numbers. Importing this module imports torch."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec.retrieval.compressor import DIM

HEADS, RANK = 4, 16
#: Frames to either side that a query vector attends to.
RADIUS = 32.0
#: Falling off of the heads at first, a frame.
_SLOPES = (0.5, 0.25, 0.12, 0.06)
_MOST = 8.0
#: Candidates that are scored at once.
_BLOCK = 64


class Ranker(nn.Module):
    """`forward` → scores (Q, B, J), about 1 where a query is found again, comparable between files.
    Not `local`: every vector of a file may be attended to, wherever it is."""

    def __init__(self, local: bool = True) -> None:
        super().__init__()
        self.local = local
        self.ask = nn.Parameter(torch.randn(HEADS, DIM, RANK) / DIM)
        self.look = nn.Parameter(torch.randn(HEADS, DIM, RANK) / DIM)
        #: Added to the plain product of the first head.
        self.value = nn.Parameter(torch.zeros(HEADS, DIM, DIM))
        self.slope = nn.Parameter(torch.tensor(_SLOPES).expm1().log())
        self.scale = nn.Parameter(torch.tensor(math.log(14.0)))

    def forward(
        self, queries: Tensor, offsets: Tensor, keys: Tensor, times: Tensor, at: Tensor,
        valid: Tensor, radius: float = RADIUS,
    ) -> Tensor:  # fmt: skip
        """Queries (Q, M, DIM) at `offsets` (M,); vectors `keys` (B, K, DIM) of B files at `times`
        (B, K), those that are `valid` (B, K); candidates `at` (B, J). `radius`: of attention, in
        frames."""
        # Rounding has changed their lengths.
        queries, keys = (F.normalize(x, dim=-1) * math.sqrt(DIM) for x in (queries, keys))
        content = torch.einsum(
            "qmhr,bkhr->qmbkh",
            torch.einsum("qmd,hdr->qmhr", queries, self.ask),
            torch.einsum("bkd,hdr->bkhr", keys, self.look),
        )
        weight = content.clamp(-_MOST, _MOST).exp()
        seen = torch.einsum("qmd,hde->qmhe", queries, self.value)
        seen = torch.cat([seen[:, :, :1] + queries[:, :, None], seen[:, :, 1:]], 2)
        found = torch.einsum("qmhe,bke->qmbkh", seen, keys)
        near = self._near(offsets, times, at, valid, radius)
        total = torch.einsum("qmbkh,bjmkh->qmbjh", weight, near)
        values = torch.einsum("qmbkh,bjmkh->qmbjh", weight * found, near)
        return (values / total.clamp(min=1e-9)).mean(1).sum(-1) / DIM

    def _near(
        self, offsets: Tensor, times: Tensor, at: Tensor, valid: Tensor, radius: float
    ) -> Tensor:
        """(B, J, M, K, HEADS): how much a vector counts by its place, at most 1."""
        wanted = at[:, :, None] + offsets  # (B, J, M)
        distance = (times[:, None, None] - wanted[..., None]).abs()
        allowed = valid[:, None, None].expand_as(distance)
        if not self.local:
            return allowed[..., None].expand(*distance.shape, HEADS).to(distance.dtype)
        allowed = allowed & (distance <= radius)
        # The nearest one counts in full, so that nothing underflows.
        nearest = distance.masked_fill(~allowed, math.inf).amin(-1, keepdim=True)
        nearest = nearest.masked_fill(nearest.isinf(), 0.0)
        fall = (distance - nearest)[..., None] * F.softplus(self.slope)
        return torch.exp(-fall.clamp(min=0)) * allowed[..., None]

    @torch.inference_mode()
    def rank(self, query: Tensor, offsets: Tensor, values: Tensor, frames: Tensor) -> Tensor:
        """(N,): the scores of a query (M, DIM) at the frames of all vectors (N, DIM) of a file."""
        times = frames.float()
        # Sparse vectors have none within the radius otherwise.
        radius = max(RADIUS, float(times.diff().max()) if len(times) > 1 else RADIUS)
        found = []
        for begin in range(0, len(times), _BLOCK):
            at = times[begin : begin + _BLOCK]
            edges = torch.stack([at[0] - radius, at[-1] + offsets.max() + radius])
            low, high = torch.searchsorted(times, edges).tolist()
            part = slice(low, high + 1) if self.local else slice(None)
            keys, own = values[part], times[part]
            valid = torch.ones(1, len(own), dtype=torch.bool)
            scores = self(query[None], offsets, keys[None], own[None], at[None], valid, radius)
            found.append(scores[0, 0])
        return torch.cat(found) if found else times
