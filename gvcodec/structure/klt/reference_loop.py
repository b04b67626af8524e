"""NumPy reference of what the `klt` loop does with samples: transform, pyramid, motion
compensation, deblocking.

The same integers as `csrc/klt/transform.*`, `motion.*`, `deblock.*` and `klt_codec.cpp`, from their
descriptions and for reading. Planes are (H, W) int64 arrays of samples 0…1023 or of signed
residuals; a block is 384 values: 16×16 luma, 8×8 of U, 8×8 of V, each row by row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

MAX_SAMPLE = 1023
BASIS_BITS, COEFFICIENT_BITS = 12, 2
REACH = 64  # luma samples that a block may lie outside the reference
RESIDUAL_LIMIT = 4096
SIZES = (16, 8, 8)  # of a block in Y, U, V
_STARTS = (0, 256, 320)

# Interpolation filters of ITU-T H.265, tables 8-11 (luma, quarter samples) and 8-12 (chroma,
# eighths).
_LUMA = np.array(
    [
        [0, 0, 0, 64, 0, 0, 0, 0],
        [-1, 4, -10, 58, 17, -5, 1, 0],
        [-1, 4, -11, 40, 40, -11, 4, -1],
        [0, 1, -5, 17, 58, -10, 4, -1],
    ]
)
_CHROMA = np.array(
    [
        [0, 64, 0, 0],
        [-2, 58, 10, -2],
        [-4, 54, 16, -2],
        [-6, 46, 28, -4],
        [-4, 36, 36, -4],
        [-4, 28, 46, -6],
        [-2, 16, 54, -4],
        [-2, 10, 58, -2],
    ]
)


def quantiser_step(q: int, level: int) -> int:
    """Step in quarter samples: 32 · 2^(q/9) at the finest level, half as much at each coarser
    one."""
    mantissa = (512, 553, 597, 645, 697, 752, 813, 878, 948)[q % 9]
    return max(1, (mantissa << (q // 9)) >> (4 + level))


def dequantise(levels: Ints, step: int) -> Ints:
    """Quarter samples; reconstruction points lie a sixteenth of a step nearer to zero."""
    magnitude = np.abs(levels) * step - np.where(levels != 0, step >> 4, 0)
    return np.where(levels < 0, -magnitude, magnitude)


def clip(values: Ints | int, low: int, high: int) -> Ints:
    clipped: Ints = np.clip(values, low, high)
    return clipped


def wrap32(values: Ints) -> Ints:
    return values.astype(np.uint64).astype(np.uint32).astype(np.int32).astype(np.int64)


def klt_inverse(basis: NDArray[np.int16], coefficients: Ints) -> Ints:
    """384 samples of coefficients (n,) in quarter samples; the sums wrap at 32 bits."""
    shift = BASIS_BITS + COEFFICIENT_BITS
    total = coefficients @ basis[: len(coefficients)].astype(np.int64)
    samples = wrap32(total + (1 << (shift - 1))) >> shift
    return clip(samples, -2 * MAX_SAMPLE, 2 * MAX_SAMPLE)


def klt_forward(basis: NDArray[np.int16], samples: Ints) -> Ints:
    """Coefficients in quarter samples of 384 samples."""
    shift = BASIS_BITS - COEFFICIENT_BITS
    return (basis.astype(np.int64) @ samples + (1 << (shift - 1))) >> shift


def twice(square: Ints) -> Ints:
    """Twice the size, bilinear with weights 3/4 and 1/4, rows first, rounded after each pass; edges
    are repeated."""

    def rows(a: Ints) -> Ints:
        at = np.arange(2 * len(a))
        near = at >> 1
        far = np.clip(near + np.where(at & 1, 1, -1), 0, len(a) - 1)
        sums: Ints = 3 * a[near] + a[far] + 2
        return sums >> 2

    return rows(rows(square).T).T


def add_token(planes: list[Ints], level: int, x: int, y: int, samples: Ints) -> None:
    """Add the 384 samples of the token at (x, y) of a pyramid level to full-size planes, with a
    clamp.

    Its components are doubled `level` times; what lies outside the planes is dropped.
    """
    for plane, n, start in zip(planes, SIZES, _STARTS, strict=True):
        square = samples[start : start + n * n].reshape(n, n)
        for _ in range(level):
            square = twice(square)
        side = n << level
        part = plane[y * side : (y + 1) * side, x * side : (x + 1) * side]
        part[:] = clip(
            part + square[: part.shape[0], : part.shape[1]], -RESIDUAL_LIMIT, RESIDUAL_LIMIT
        )


def compensate_block(
    reference: Ints, x: int, y: int, vector: tuple[int, int], chroma: bool
) -> Ints:
    """Block (16×16 luma or 8×8 chroma) at sample (x, y), moved by `vector` = (x, y) in quarter luma
    samples.

    Samples outside the reference repeat its edge. Two passes with 14-bit intermediates.
    """
    size, bits, taps = (8, 3, _CHROMA) if chroma else (16, 2, _LUMA)
    reach = REACH // 2 if chroma else REACH
    height, width = reference.shape
    left = int(np.clip(x + (vector[0] >> bits), -reach, width + reach - size))
    top = int(np.clip(y + (vector[1] >> bits), -reach, height + reach - size))
    fx, fy = vector[0] & ((1 << bits) - 1), vector[1] & ((1 << bits) - 1)
    n = taps.shape[1]
    before = n // 2 - 1
    columns = np.clip(np.arange(left - before, left - before + size + n - 1), 0, width - 1)
    rows = np.clip(np.arange(top - before, top - before + size + n - 1), 0, height - 1)
    patch = reference[np.ix_(rows, columns)]
    mid = sum(int(taps[fx, t]) * patch[:, t : t + size] for t in range(n)) >> 2
    out = sum(int(taps[fy, t]) * mid[t : t + size] for t in range(n))
    return clip((out + 512) >> 10, 0, MAX_SAMPLE)


def compensate(reference: Ints, motion: Ints, chroma: bool) -> Ints:
    """Whole padded plane moved by vectors (rows, columns, 2), one a block."""
    size = 8 if chroma else 16
    out = np.empty_like(reference)
    for y in range(motion.shape[0]):
        for x in range(motion.shape[1]):
            vector = int(motion[y, x, 0]), int(motion[y, x, 1])
            out[y * size : (y + 1) * size, x * size : (x + 1) * size] = compensate_block(
                reference, x * size, y * size, vector, chroma
            )
    return out


def predict(last: Ints, golden: Ints, motion: Ints, chroma: bool) -> Ints:
    """Whole padded plane by the motion (rows, columns, 5) of its blocks: vectors into both frames,
    then 1, 2 or 3 for the first, the second, or the mean of both, rounded up."""
    size = 8 if chroma else 16
    source = motion[..., 4].repeat(size, 0).repeat(size, 1)
    a, b = compensate(last, motion[..., :2], chroma), compensate(golden, motion[..., 2:4], chroma)
    return np.where(source == 1, a, np.where(source == 2, b, (a + b + 1) >> 1))


def satd_blocks(a: Ints, b: Ints) -> Ints:
    """Sums of absolute Hadamard coefficients of the 8×8 differences in 16×16 blocks, over eight:
    (H/16, W/16)."""
    h, w = a.shape
    hadamard = np.ones((1, 1), np.int64)
    while len(hadamard) < 8:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    parts = (a - b).reshape(h // 8, 8, w // 8, 8).swapaxes(1, 2)
    sums: Ints = (
        np.abs(hadamard @ parts @ hadamard).sum((2, 3)).reshape(h // 16, 2, w // 16, 2).sum((1, 3))
    )
    return (sums + 4) >> 3


def deblock_limits(q: int) -> tuple[int, int]:
    """(beta, tc) of a quality index."""
    step = quantiser_step(q, 0) >> COEFFICIENT_BITS
    return min(400, (step * 3) >> 2), min(80, 1 + (step >> 3))


def deblock_vertical_edges(plane: Ints, active: NDArray[np.bool_], q: int, size: int) -> Ints:
    """Filter the edges between horizontal neighbours; `active` (rows, columns - 1) tells which,
    block by block."""
    beta, tc = deblock_limits(q)
    out = plane.copy()
    for column in range(active.shape[1]):
        x = (column + 1) * size
        lines = np.repeat(active[:, column], size)
        p0, p1, p2, p3 = (plane[:, x - 1 - k] for k in range(4))
        q0, q1, q2, q3 = (plane[:, x + k] for k in range(4))
        bend = abs(p2 - 2 * p1 + p0) + abs(q2 - 2 * q1 + q0)
        lines = lines & (bend < beta)
        flat = (
            (8 * (abs(p3 - p0) + abs(q3 - q0)) < 2 * beta)
            & (4 * bend < beta)
            & (abs(p0 - q0) < 4 * tc)
        )
        delta = (9 * (q0 - p0) - 3 * (q1 - p1) + 8) >> 4
        short = lines & ~flat & (abs(delta) < 10 * tc)
        changes = (
            (x - 3, p2, (2 * p3 + 3 * p2 + p1 + p0 + q0 + 4) >> 3, None),
            (x - 2, p1, (p2 + p1 + p0 + q0 + 2) >> 2, None),
            (x - 1, p0, (p2 + 2 * p1 + 2 * p0 + 2 * q0 + q1 + 4) >> 3, p0 + delta),
            (x, q0, (q2 + 2 * q1 + 2 * q0 + 2 * p0 + p1 + 4) >> 3, q0 - delta),
            (x + 1, q1, (q2 + q1 + q0 + p0 + 2) >> 2, None),
            (x + 2, q2, (2 * q3 + 3 * q2 + q1 + q0 + p0 + 4) >> 3, None),
        )
        for at, old, smooth, moved in changes:
            value = np.where(lines & flat, np.clip(smooth, old - 2 * tc, old + 2 * tc), old)
            if moved is not None:
                value = np.where(short, np.clip(moved, old - tc, old + tc), value)
            out[:, at] = np.clip(value, 0, MAX_SAMPLE)
    return out


def deblock(
    plane: Ints, across: NDArray[np.bool_], down: NDArray[np.bool_], q: int, size: int
) -> Ints:
    """Edges between horizontal neighbours (`across`, rows × (columns - 1)), then vertical ones
    (`down`)."""
    plane = deblock_vertical_edges(plane, across, q, size)
    return deblock_vertical_edges(plane.T, down.T, q, size).T
