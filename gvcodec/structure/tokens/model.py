"""The network of base tokens: a frame as a few integers a window, given the frame decoded before.

A picture is luma (B, 1, H, W) and chroma (B, 2, H/2, W/2), float, -0.5…0.5; H and W are multiples of `WINDOW`. It is cut into
R × C windows of 256², each into 16 × 16 patches of 16². Shapes below: B pictures, N = R·C windows, P = 256 patches,
K tokens of C integers, M vectors of memory, D the width.

    encoder   patches of [frame | frame before | differences] ⊕ K queries ⊕ memory → K × C numbers, rounded: the tokens
    decoder   patches of the frame before ⊕ tokens (mask tokens behind the count) ⊕ memory
              → motion on a 4-pixel grid, a coarse picture and how much of it shows, features → warp, blend, convolutions
    state     the frame decoded before as samples of the keyframe, where they came from, and what was added; its features
              (short-term buffer); the memory (rewritten by every frame)

Local layers attend within a window, global layers over queries (or tokens) and memory of all windows, with a penalty by
distance, so that a picture may have more windows than training saw. The way through the tokens is open from the first
step: queries begin as means over regions (`pool`), patches get the tokens of their regions (`spread`); regions form a
binary tree, whole window first, so that any number of tokens from the first on means something. The first channels begin
as steps of motion along that tree (`gvcodec.structure.tokens.tree`); the encoder adds to what was searched, and the
decoder learns where the borders between regions run (`border`, `side`) from what it sees. What motion leaves of the smallest
regions goes through a linear map to the other channels of the last K/2 tokens (`to_rest`, `from_rest`), which begins as principal
components of training data (`gvcodec.train.base_tokens`). Where nothing moves the output begins as "repeat the frame before". One model serves all rates: `q`, 0 (best) … 63, goes into encoder, decoder and
entropy model.

After: GVC1D (tokens, memory, short-term buffer, one model for all rates). Motion in the decoder is ours.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gvcodec._core import motion_search
from gvcodec.structure.tokens import tree
from gvcodec.structure.tokens.entropy import STEPS

WINDOW, PATCH, CELL = 256, 16, 4
SIDE = WINDOW // PATCH
PATCHES = SIDE * SIDE
#: Cells of motion along a patch.
CELLS = PATCH // CELL
#: Values of a patch: luma, then two of chroma.
VALUES = PATCH * PATCH * 3 // 2
#: Cells along a leaf of the tree (4×4 pixels for 32 tokens), and values of a leaf made small: luma, two of chroma.
LEAF_SIDE = 16
LEAF = LEAF_SIDE * LEAF_SIDE * 3 // 2
#: 10-bit samples of 8-bit sources end here, so 0…1020 is -0.5…0.5.
PEAK = 1020

#: (luma (B, 1, H, W), chroma (B, 2, H/2, W/2))
Picture = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Sizes:
    """What a model is made of. `local` layers before each of `stages` global layers, on either side."""

    width: int = 192
    heads: int = 6
    local: int = 2
    stages: int = 2
    expansion: int = 3
    tokens: int = 32
    channels: int = 16
    memory: int = 8
    features: int = 24
    filters: int = 64
    borders: int = 8

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class State(NamedTuple):
    """What both sides know after a frame."""

    before: Picture
    features: Tensor  # (B, N, P, D)
    memory: Tensor  # (B, N, M, D)
    key: Picture  # the keyframe
    places: Tensor  # (B, 2, H/4, W/4): how far from a cell its origin lies in the keyframe, (dx, dy) in luma pixels
    added: Picture  # `before` less what comes from the keyframe


def with_copies(after: State, before: State, there: Tensor) -> State:
    """The state after a frame, `before` where a window is a copy: `there` (B, N) says which are not. Copies have no features."""
    rows, columns = grid_of(before.before)
    mask = there.view(-1, 1, rows, columns).float()
    fine, half, cells = (F.interpolate(mask, scale_factor=WINDOW // part) > 0 for part in (1, 2, CELL))

    def pick(new: Picture, old: Picture) -> Picture:
        return torch.where(fine, new[0], old[0]), torch.where(half, new[1], old[1])

    there = there[..., None, None]
    return State(
        pick(after.before, before.before),
        torch.where(there, after.features, torch.zeros_like(after.features)),
        torch.where(there, after.memory, before.memory),
        before.key,
        torch.where(cells, after.places, before.places),
        pick(after.added, before.added),
    )


class Encoded(NamedTuple):
    """Numbers to be rounded (B, N, K, C), and what budgets go by: the mean of a window's patches behind the encoder (B, N, D)."""

    tokens: Tensor
    features: Tensor


class Decoded(NamedTuple):
    """A frame, the state after it, and what training looks at: motion (B, 2, H/4, W/4) in pixels, and the frame before, moved."""

    picture: Picture
    state: State
    motion: Tensor
    moved: Picture


def to_windows(x: Tensor, side: int) -> Tensor:
    """(B, c, H, W) to (B, N, P, c·side²): the samples of each patch of `side`²."""
    b, c, h, w = x.shape
    rows, cols = h // side // SIDE, w // side // SIDE
    x = x.reshape(b, c, rows, SIDE, side, cols, SIDE, side)
    return x.permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(b, rows * cols, PATCHES, c * side * side)


def from_windows(x: Tensor, channels: int, side: int, grid: tuple[int, int]) -> Tensor:
    """The inverse: (B, N, P, c·side²) to (B, c, H, W)."""
    rows, cols = grid
    b = x.shape[0]
    x = x.reshape(b, rows, cols, SIDE, SIDE, channels, side, side)
    return x.permute(0, 5, 1, 3, 6, 2, 4, 7).reshape(b, channels, rows * SIDE * side, cols * SIDE * side)


def leaf_cells(picture: Picture, tokens: int) -> Tensor:
    """The regions of the last K/2 of K = `tokens`, made small: (B, N, K/2, LEAF)."""
    side, order = tree.leaves(tokens)
    parts = []
    for plane, cells in zip(picture, (LEAF_SIDE, LEAF_SIDE // 2), strict=True):
        b, c = plane.shape[:2]
        small = F.avg_pool2d(plane, WINDOW // side // LEAF_SIDE)
        rows, cols = grid_of(picture)
        x = small.reshape(b, c, rows, side, cells, cols, side, cells).permute(0, 2, 5, 3, 6, 1, 4, 7)
        parts.append(x.reshape(b, rows * cols, side * side, c * cells * cells)[:, :, order])
    return torch.cat(parts, -1)


def from_leaves(leaves: Tensor, grid: tuple[int, int]) -> Picture:
    """The inverse, interpolated: (B, N, K/2, LEAF) to a picture."""
    side, order = tree.leaves(2 * leaves.shape[2])
    back = torch.tensor(order).argsort()
    luma, chroma = leaves[:, :, back].split((LEAF_SIDE**2, LEAF_SIDE**2 // 2), -1)
    out = []
    for part, c, cells in ((luma, 1, LEAF_SIDE), (chroma, 2, LEAF_SIDE // 2)):
        x = part.reshape(part.shape[0], *grid, side, side, c, cells, cells).permute(0, 5, 1, 3, 6, 2, 4, 7)
        small = x.reshape(part.shape[0], c, grid[0] * side * cells, grid[1] * side * cells)
        scale = WINDOW // side // LEAF_SIDE
        out.append(F.interpolate(small, scale_factor=scale, mode="bilinear", align_corners=False))
    return out[0], out[1]


def patches(picture: Picture) -> Tensor:
    """(B, N, P, VALUES)"""
    return torch.cat([to_windows(picture[0], PATCH), to_windows(picture[1], PATCH // 2)], -1)


def grid_of(picture: Picture) -> tuple[int, int]:
    """Rows and columns of windows."""
    return picture[0].shape[2] // WINDOW, picture[0].shape[3] // WINDOW


def move(picture: Picture, motion: Tensor, mode: str = "bicubic") -> Picture:
    """Fetch each sample at its place + `motion` (B, 2, H/4, W/4) or (B, 2, H, W), (dx, dy) in luma pixels; edges are repeated."""
    luma, chroma = picture
    half = F.interpolate(motion, size=chroma.shape[2:], mode="bilinear", align_corners=False) * 0.5
    return _fetched(luma, _whole(motion, luma), mode), _fetched(chroma, half, mode)


def _whole(motion: Tensor, plane: Tensor) -> Tensor:
    return F.interpolate(motion, size=plane.shape[2:], mode="bilinear", align_corners=False)


def _fetched(plane: Tensor, field: Tensor, mode: str) -> Tensor:
    h, w = plane.shape[2:]
    rows = torch.arange(h, device=plane.device, dtype=field.dtype).view(1, h, 1)
    cols = torch.arange(w, device=plane.device, dtype=field.dtype)
    x, y = (2 * (cols + field[:, 0]) + 1) / w - 1, (2 * (rows + field[:, 1]) + 1) / h - 1
    at = torch.stack([x.expand_as(field[:, 0]), y.expand_as(field[:, 0])], -1)
    return F.grid_sample(plane, at, mode=mode, padding_mode="border", align_corners=False)


def follow(state: State, motion: Tensor) -> tuple[Picture, Tensor, Picture]:
    """The frame before, moved by `motion` (B, 2, H/4, W/4): what comes from the keyframe, its places there, what was added since.

    However many frames ago the keyframe was, its samples are interpolated once, so they stay sharp."""
    places = motion + _fetched(state.places, motion / CELL, "bilinear")
    return overlapped(state.key, places), places, move(state.added, motion, "bilinear")


def overlapped(picture: Picture, vectors: Tensor) -> Picture:
    """Fetch each sample by the vectors (B, 2, H/4, W/4) of the four cells around it, and mix by distance.

    Where neighbours move apart pictures are mixed. Mixed vectors would fetch what lies in between, which tears."""
    return _overlapped(picture[0], vectors, CELL), _overlapped(picture[1], 0.5 * vectors, CELL // 2)


def _overlapped(plane: Tensor, vectors: Tensor, side: int) -> Tensor:
    """For cells of `side`², vectors in samples of the plane."""
    h, w = vectors.shape[2:]
    at = torch.arange(side, device=plane.device)
    share = ((at + 0.5) / side - 0.5).abs()
    step = torch.where(at < side // 2, -1, 1)
    padded = F.pad(vectors, (1, 1, 1, 1), mode="replicate")

    def along(count: int) -> list[tuple[Tensor, Tensor]]:
        """The two cells that samples take along an axis of `count`, and how much of each."""
        own = torch.arange(1, count + 1, device=plane.device).repeat_interleave(side)
        return [(own, (1 - share).repeat(count)), (own + step.repeat(count), share.repeat(count))]

    mixed = torch.zeros_like(plane)
    for (rows, high), (columns, wide) in itertools.product(along(h), along(w)):
        field = padded[:, :, rows][..., columns]
        mixed = mixed + high[:, None] * wide * _fetched(plane, field, "bicubic")
    return mixed


def moved_blocks(picture: Picture, vectors: Tensor) -> Picture:
    """Fetch blocks of 16² at whole-pixel places: `vectors` (B, 2, H/16, W/16), (dx, dy), rounded. No gradient."""
    out = []
    for plane, side in zip(picture, (PATCH, PATCH // 2), strict=True):
        b, c, h, w = plane.shape
        field = (vectors * (side / PATCH)).round().long()
        field = field.repeat_interleave(side, 2).repeat_interleave(side, 3)
        rows = (field[:, 1] + torch.arange(h, device=plane.device)[:, None]).clamp(0, h - 1)
        cols = (field[:, 0] + torch.arange(w, device=plane.device)).clamp(0, w - 1)
        index = (rows * w + cols).reshape(b, 1, h * w).expand(b, c, h * w)
        out.append(plane.reshape(b, c, h * w).gather(2, index).reshape(plane.shape))
    return out[0], out[1]


#: The price of bits doubles with so many steps of `q`.
_OCTAVE = 12.0


def price_factor(q: Tensor) -> Tensor:
    """How much a bit costs at `q`, 1 at 32."""
    return 2 ** ((q.float() - 32) / _OCTAVE)


class Found(NamedTuple):
    """What was searched: vectors of blocks (B, 2, H/16, W/16), (dx, dy) in pixels, and the steps of `tree` (B, N, 4K, 2)."""

    vectors: Tensor
    steps: Tensor


#: What a bit costs at q 32, in means of a window's differences (`windows_differ`), and in sums of absolute differences, 8-bit levels.
#: At half of it tokens took bytes that refreshes use better (training log, 2026-11-24).
PRICE = 1e-5
_STEP_PRICE = PRICE * 255 * WINDOW**2


def search(now: Tensor, before: Tensor, q: Tensor, tokens: int) -> Found:
    """Motion of luma (B, 1, H, W) against `before`, for `q` (B,)."""
    vectors = _blocks(now, before)
    price = _STEP_PRICE * price_factor(q.to(now.device))
    return Found(vectors, tree.choose(now.detach(), before.detach(), vectors, price, tokens))


def _blocks(now: Tensor, before: Tensor) -> Tensor:
    found = []
    for pair in zip(now.detach().cpu(), before.detach().cpu(), strict=True):
        samples = (((x[0] + 0.5) * PEAK).round().clamp(0, 1023).to(torch.uint16).numpy() for x in pair)
        found.append(torch.from_numpy(motion_search(*samples)[0].astype("f4") / 4).permute(2, 0, 1))
    return torch.stack(found).to(now.device)


def windows_differ(a: Picture, b: Picture) -> Tensor:
    """Charbonnier of luma and half of chroma, as in training, of each window (B, N)."""
    luma, chroma = (((x - y).square() + 1e-6).sqrt().mean(1, keepdim=True) for x, y in zip(a, b, strict=True))
    return (F.avg_pool2d(luma, WINDOW) + 0.5 * F.avg_pool2d(chroma, WINDOW // 2)).flatten(1)


def sines(side: int, width: int) -> Tensor:
    """Position of each patch, (side², width)."""
    waves = 1 / 100 ** (torch.arange(width // 4) / (width // 4))
    angle = torch.arange(side)[:, None] * waves * (math.pi / 4)
    e = torch.cat([angle.sin(), angle.cos()], 1)
    return torch.cat([e[:, None].expand(side, side, -1), e[None].expand(side, side, -1)], -1).reshape(side**2, width)


class Layer(nn.Module):
    """Attention and a perceptron over (B, n, D), before each a norm. It begins near the identity, attending by likeness."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        d = sizes.width
        self.heads = sizes.heads
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, sizes.expansion * d), nn.Linear(sizes.expansion * d, d)
        nn.init.zeros_(self.down.weight)
        nn.init.normal_(self.out.weight, std=0.02)
        with torch.no_grad():
            self.qkv.weight[: 2 * d] *= 0.5
            self.qkv.weight[:d] += torch.eye(d)
            self.qkv.weight[d : 2 * d] += torch.eye(d)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        b, n, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mask = None if bias is None else bias.to(q.dtype)
        if torch.is_grad_enabled():
            # Written out: in bf16 on a processor twice as fast as the fused form with its gradient.
            like = (q * (d // self.heads) ** -0.5) @ k.transpose(-1, -2)
            mixed = torch.softmax(like if mask is None else like + mask, -1) @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(mixed.transpose(1, 2).reshape(b, n, d))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Stage(nn.Module):
    """Local layers and one global layer, that one last in an encoder, first in a decoder."""

    def __init__(self, sizes: Sizes, global_first: bool) -> None:
        super().__init__()
        self.local = nn.ModuleList(Layer(sizes) for _ in range(sizes.local))
        self.wide = Layer(sizes)
        self.global_first = global_first
        #: How fast a head's attention falls with the distance in windows.
        self.slope = nn.Parameter(torch.linspace(0.0, 3.0, sizes.heads))

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, N, P + rest, D); global layers see the rest alone."""
        if self.global_first:
            x = self._across(x, grid)
        b, n, length, d = x.shape
        y = x.reshape(b * n, length, d)
        for layer in self.local:
            y = layer(y)
        x = y.reshape(b, n, length, d)
        return x if self.global_first else self._across(x, grid)

    def _across(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        b, n, length, d = x.shape
        rest = length - PATCHES
        at = torch.stack(torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij"), -1).reshape(n, 2)
        far = (at[:, None] - at[None]).abs().sum(-1).to(x.device, torch.float32)
        far = far.repeat_interleave(rest, 0).repeat_interleave(rest, 1)
        bias = -F.softplus(self.slope)[:, None, None] * far
        y = self.wide(x[:, :, PATCHES:].reshape(b, n * rest, d), bias[None])
        return torch.cat([x[:, :, :PATCHES], y.reshape(b, n, rest, d)], 2)


class Refine(nn.Module):
    """The convolutions behind the warp: features of the cells and the moved picture at a quarter of the size, then half.

    Residual (luma, chroma) to add; it begins as zero."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        f = sizes.filters
        self.enter = nn.Conv2d(24 + sizes.features, f, 3, padding=1)
        self.deep = nn.ModuleList(nn.Conv2d(f, f, 3, padding=1) for _ in range(2))
        self.coarse = nn.Conv2d(f, 24, 3, padding=1)
        self.half1 = nn.Conv2d(6 + f // 4, 24, 3, padding=1)
        self.half2 = nn.Conv2d(24, 6, 3, padding=1)
        for last in (self.coarse, self.half2):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, picture: Picture, features: Tensor) -> Picture:
        luma, chroma = picture
        quarter = torch.cat([F.pixel_unshuffle(luma, 4), F.pixel_unshuffle(chroma, 2), features], 1)
        quarter = quarter.contiguous(memory_format=torch.channels_last)
        x = F.gelu(self.enter(quarter))
        x = x + self.deep[1](F.gelu(self.deep[0](x)))
        coarse = self.coarse(x)
        half = torch.cat([F.pixel_unshuffle(luma, 2), chroma, F.pixel_shuffle(x, 2)], 1)
        half = half.contiguous(memory_format=torch.channels_last)
        fine = self.half2(F.gelu(self.half1(half)))
        residual_luma = F.pixel_shuffle(coarse[:, :16], 4) + F.pixel_shuffle(fine[:, :4], 2)
        return residual_luma, F.pixel_shuffle(coarse[:, 16:], 2) + fine[:, 4:]


class TokenModel(nn.Module):
    """Encoder and decoder. `encode` gives numbers to round, `decode` takes the rounded ones."""

    def __init__(self, sizes: Sizes | None = None) -> None:
        super().__init__()
        self.sizes = sizes = sizes or Sizes()
        d, k, m = sizes.width, sizes.tokens, sizes.memory
        place = sines(SIDE, d)
        regions = tree.regions(k)
        depth = torch.tensor([max(node, 1).bit_length() for node in range(k)])[:, None]
        self.place = nn.Parameter(place.clone())
        pool = 5.0 * regions
        self.pool = nn.Parameter(pool)
        self.spread = nn.Parameter((regions * (4.3 + 0.7 * depth)).t().contiguous())
        self.steps_in = nn.Parameter(torch.ones(k, STEPS))
        self.steps_out = nn.Parameter(torch.full((k, STEPS), 0.5))  # from half pixels
        # Two pixels off the border between two regions, a cell belongs to one of them by 73 %.
        self.register_buffer("sides", (tree.sides(2 * k, CELL) / 2).clamp(-12, 12).flatten(0, 1), persistent=False)
        self.border, self.side = nn.Linear(d, CELLS * CELLS * sizes.borders), nn.Linear(d, 3 * sizes.borders)
        anchor = F.softmax(pool, 1) @ place
        self.query, self.token = (nn.Parameter(anchor + 0.1 * torch.randn(k, d)) for _ in range(2))
        self.mask = nn.Parameter(0.02 * torch.randn(k, d))
        self.start = nn.Parameter(0.5 * torch.randn(m, d))  # memory of a new GOP
        self.see, self.vector, self.added = nn.Linear(4 * VALUES, d), nn.Linear(2, d), nn.Linear(STEPS, d)
        self.recall, self.recall_again = nn.Linear(d, d), nn.Linear(d, d)
        self.rate, self.rate_again = nn.Linear(4, d), nn.Linear(4, d)
        self.encoder = nn.ModuleList(Stage(sizes, False) for _ in range(sizes.stages))
        self.to_tokens = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, sizes.channels))
        # What motion leaves of a leaf: a few numbers by a linear map, which begins as the principal components of training data.
        rest = sizes.channels - STEPS
        basis = torch.linalg.qr(torch.randn(LEAF, rest)).Q.t().contiguous()
        self.to_rest, self.from_rest = nn.Parameter(basis), nn.Parameter(basis.clone())
        self.to_effort = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, 1))
        self.read, self.past = nn.Linear(sizes.channels, d), nn.Linear(VALUES, d)
        self.decoder = nn.ModuleList(Stage(sizes, True) for _ in range(sizes.stages))
        self.norm = nn.LayerNorm(d)
        cells = CELLS * CELLS
        self.motion = nn.Linear(d, 2 * cells)
        self.coarse = nn.Linear(d, 25 * cells)  # 16 + 8 samples, and how much of them shows
        self.detail = nn.Linear(d, sizes.features * cells)
        self.refine = Refine(sizes)
        self.memory_norm, self.memory_gate = nn.LayerNorm(d), nn.Linear(d, d)
        self.memory_value = nn.Linear(d, d)
        for zero in (self.motion, self.coarse, self.side, self.recall, self.recall_again, self.rate, self.rate_again):
            nn.init.zeros_(zero.weight)
            nn.init.zeros_(zero.bias)
        with torch.no_grad():
            self.coarse.bias[24 * cells :] = -4.0
            self.to_tokens[1].weight *= 0.4  # most of the other channels begin as zeros, which cost little
            self.to_tokens[1].weight[:STEPS], self.to_tokens[1].bias[:STEPS] = 0, 0  # motion as it was found
            self.memory_gate.bias.fill_(-1.0)

    def begin(self, picture: Picture) -> State:
        """The state behind a keyframe."""
        rows, cols = grid_of(picture)
        b, n, d = picture[0].shape[0], rows * cols, self.sizes.width
        features = picture[0].new_zeros(b, n, PATCHES, d)
        places = F.avg_pool2d(torch.zeros_like(picture[0]), CELL).expand(-1, 2, -1, -1)
        added = torch.zeros_like(picture[0]), torch.zeros_like(picture[1])
        return State(picture, features, self.start.expand(b, n, -1, -1), picture, places, added)

    @staticmethod
    def _rate(q: Tensor) -> Tensor:
        """(B,) to (B, 1, 1, 4)"""
        x = q.float() / 31.5 - 1
        return torch.stack([x, x * x, (math.pi * x).sin(), (math.pi * x).cos()], -1)[:, None, None]

    def encode(self, picture: Picture, state: State, found: Found, q: Tensor) -> Encoded:
        """A frame for `q` (B,)."""
        now, before = patches(picture), patches(state.before)
        moved = patches(moved_blocks(state.before, found.vectors))
        x = self.see(torch.cat([now, before, 4 * (now - before), 4 * (now - moved)], -1))
        x = x + self.vector(to_windows(found.vectors, 1) / 8) + self.place + self.recall(state.features)
        rate = self.rate(self._rate(q))
        k = self.sizes.tokens
        steps = self._as_tokens(found.steps)
        queries = self.query + F.softmax(self.pool, 1) @ x + self.added(steps / 16)
        x = torch.cat([x, queries + rate, state.memory + rate], 2)
        for stage in self.encoder:
            x = stage(x, grid_of(picture))
        tokens = 2 * self.to_tokens(x[:, :, PATCHES : PATCHES + k]).float()
        return Encoded(tokens + self.searched(picture, state, found, q), x[:, :, :PATCHES].float().mean(2))

    def searched(self, picture: Picture, state: State, found: Found, q: Tensor) -> Tensor:
        """Tokens (B, N, K, C) without what the layers of the encoder add: steps, and what they leave of leaves."""
        k = self.sizes.tokens
        moved = self.steps_alone(state.before, found)
        left = picture[0] - moved[0], picture[1] - moved[1]
        rest = leaf_cells(left, k) @ self.to_rest.t() / self._rest_step(q)
        return torch.cat([self.steps_in * self._as_tokens(found.steps), F.pad(rest, (0, 0, k // 2, 0))], -1)

    def steps_alone(self, before: Picture, found: Found) -> Picture:
        """`before`, moved by the steps as they were found."""
        motion = from_windows(tree.motion_of(found.steps, self.sizes.tokens), 2, 1, grid_of(before))
        return move(before, motion.repeat_interleave(CELLS, 2).repeat_interleave(CELLS, 3))

    @staticmethod
    def _rest_step(q: Tensor) -> Tensor:
        """What one of an integer means, (B, 1, 1, 1): at q 32 a mean of 3 levels of 255 over a leaf."""
        return (16 * 3 / 255) * 2 ** ((q.float() - 32) / 24)[:, None, None, None]

    def effort(self, features: Tensor) -> Tensor:
        """Estimate of -ELBO, log2 of bits, (B, N), of windows with `features` (B, N, D): the bits of all tokens and what is left of
        the distortion over the price of a bit. [InfoTok]"""
        return 12 + self.to_effort(features).squeeze(-1)

    def _as_tokens(self, steps: Tensor) -> Tensor:
        """Steps (B, N, 4K, 2) by tokens, (B, N, K, STEPS)."""
        k = self.sizes.tokens
        quarters = F.pad(steps[:, :, 2 * k :].unflatten(2, (k // 2, 4)).flatten(3), (0, 0, k // 2, 0))
        return torch.cat([steps[:, :, :k], quarters], -1)

    def _moves(self, features: Tensor, slots: Tensor, tokens: Tensor) -> Tensor:
        """Motion of each cell (B, N, P, 16, 2) in pixels by the steps in `tokens`, for patches and tokens as the layers left them.

        A cell goes down the tree, at each node to either side in part: by where it lies and by what it looks like."""
        k, e = self.sizes.tokens, self.sizes.borders
        cells = self.border(features).unflatten(-1, (CELLS * CELLS, e)).flatten(2, 3)
        own, halves = self.side(slots).split((e, 2 * e), -1)
        nodes = torch.cat([own, halves[:, :, k // 2 :].unflatten(-1, (2, e)).flatten(2, 3)], 2)
        right = torch.sigmoid(self.sides + (cells @ nodes.transpose(-1, -2)).float())
        scaled = (self.steps_out * tokens[..., :STEPS]).float()
        quarters = scaled[:, :, k // 2 :, 2:].unflatten(-1, (4, 2)).flatten(2, 3)
        part = torch.ones_like(right[..., :1])
        motion = (scaled[:, :, :1] + scaled[:, :, 1:2])[..., :2].expand(-1, -1, right.shape[2], -1)
        count = 1
        while count < 2 * k:
            goes = right[..., count : 2 * count]
            part = torch.stack([part * (1 - goes), part * goes], -1).flatten(-2)
            count *= 2
            if count < k:
                motion = motion + part @ scaled[:, :, count : 2 * count, :2]
        return (motion + part @ quarters).unflatten(2, (PATCHES, CELLS * CELLS))

    def decode(self, tokens: Tensor, counts: Tensor, state: State, q: Tensor) -> Decoded:
        """The frame of `tokens` (B, N, K, C), of which the first `counts` (B, N) of a window are known, for `q` (B,)."""
        k = self.sizes.tokens
        known = (torch.arange(k, device=tokens.device) < counts[..., None])[..., None]
        read = self.read(tokens) * known
        rate = self.rate_again(self._rate(q))
        x = self.past(patches(state.before)) + self.place + self.recall_again(state.features) + rate
        x = x + F.softmax(self.spread, 1) @ read
        slots = torch.where(known, read + self.token, self.mask + self.token)
        x = torch.cat([x, slots, state.memory + rate], 2)
        grid = grid_of(state.before)
        for stage in self.decoder:
            x = stage(x, grid)
        features = self.norm(x[:, :, :PATCHES])
        steps = self._moves(features, self.norm(x[:, :, PATCHES : PATCHES + k]), tokens * known)
        motion = self._cells(8 * self.motion(features) + steps.transpose(-1, -2).flatten(3), 2, grid)
        coarse = self._cells(self.coarse(features), 25, grid)
        detail = self._cells(self.detail(features), self.sizes.features, grid)
        first, places, added = follow(state, motion)
        moved = first[0] + added[0], first[1] + added[1]
        shows = torch.sigmoid(coarse[:, 24:])
        blend = [F.interpolate(shows, size=plane.shape[2:], mode="bilinear", align_corners=False) for plane in moved]
        drawn = F.pixel_shuffle(coarse[:, :16], 4), F.pixel_shuffle(coarse[:, 16:24], 2)
        mixed = tuple(m + b * (d - m) for m, b, d in zip(moved, blend, drawn, strict=True))
        rest = (tokens * known)[:, :, k // 2 :, STEPS:].float() * self._rest_step(q) @ self.from_rest.float()
        mixed = tuple(m + r for m, r in zip(mixed, from_leaves(rest, grid), strict=True))
        residual = self.refine(mixed, detail)  # type: ignore[arg-type]
        result = mixed[0] + residual[0].float(), mixed[1] + residual[1].float()
        memory = self._remembered(x, state.memory)
        added = result[0] - first[0], result[1] - first[1]
        after = State(result, features.float(), memory.float(), state.key, places, added)
        return Decoded(result, after, motion, moved)

    def _remembered(self, x: Tensor, memory: Tensor) -> Tensor:
        """The memory (B, N, M, D), rewritten by what the layers of the decoder made of it in `x` (B, N, P + K + M, D)."""
        out = self.memory_norm(x[:, :, PATCHES + self.sizes.tokens :])
        gate = torch.sigmoid(self.memory_gate(out))
        return memory + gate * (self.memory_value(out) - memory)

    def _cells(self, x: Tensor, channels: int, grid: tuple[int, int]) -> Tensor:
        """(B, N, P, channels·16) to (B, channels, H/4, W/4)"""
        return from_windows(x, channels, CELLS, grid).float()
