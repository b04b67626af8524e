"""Fits the `klt` model in closed form: transform bases, then the entropy model's initial state.

    python -m gvcodec.train.fit --data DIR --out checkpoints/klt-1.safetensors

The training clips are encoded with a cosine transform; from what the finest tokens were made from,
key and inter frames apart, its rows are put in order of use or a sparse orthonormal transform is
fitted. The entropy state is what the adaptive model has learned after coding all clips at many q.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec import _core
from gvcodec.media.reader import VideoReader
from gvcodec.structure.klt.codec import GOLDEN_PERIOD, KEY_GAIN, make_model
from gvcodec.types import Planes

SAMPLES = 384
UNIT = 4096  # basis values are in units of 2^-12
THRESHOLD = 1.0  # in quantiser steps: what rate-distortion optimised quantisation keeps
KINDS = ("key", "inter")
Tensors = dict[str, np.ndarray]
Samples = dict[str, NDArray[np.float32]]


def cosine_basis() -> NDArray[np.float64]:
    """Separable DCT-II of the three components, rows ordered by frequency: (384, 384),
    orthonormal."""

    def dct(n: int) -> NDArray[np.float64]:
        k, x = np.arange(n)[:, None], np.arange(n)[None, :]
        m = np.cos(np.pi * (2 * x + 1) * k / (2 * n)) * np.sqrt(2 / n)
        m[0] /= np.sqrt(2)
        return m

    rows, order = [], []
    for component, (n, start) in enumerate(((16, 0), (8, 256), (8, 320))):
        d = dct(n)
        for i in range(n):
            for j in range(n):
                row = np.zeros(SAMPLES)
                row[start : start + n * n] = np.outer(d[i], d[j]).ravel()
                rows.append(row)
                order.append(((i + 0.5) ** 2 + (j + 0.5) ** 2) * (1 if component == 0 else 5))
    return np.array(rows)[np.argsort(order, kind="stable")]


def to_integers(basis: NDArray[np.float64]) -> NDArray[np.int16]:
    return np.round(basis * UNIT).astype(np.int16)


def first_model() -> Tensors:
    """The cosine transform everywhere and an entropy state that has learned nothing."""
    basis = to_integers(cosine_basis())
    p, n, w = _core.Model.blank_state()
    return {
        "basis.key": basis,
        "basis.inter": basis,
        "basis.coarse": basis[: _core.COARSE_COUNT],
        "entropy.probabilities": p,
        "entropy.counts": n,
        "entropy.weights": w,
    }


def central(clip: list[Planes], width: int, height: int) -> list[Planes]:
    """The middle of every frame, at most (width, height)."""
    h, w = clip[0][0].shape
    width, height = min(width, w) // 2 * 2, min(height, h) // 2 * 2
    x, y = (w - width) // 4 * 2, (h - height) // 4 * 2
    cuts = [(slice(y // n, (y + height) // n), slice(x // n, (x + width) // n)) for n in (1, 2, 2)]
    return [(f[0][cuts[0]], f[1][cuts[1]], f[2][cuts[2]]) for f in clip]


def read_clip(path: Path, frames: int, start: int) -> list[Planes]:
    """Up to `frames` consecutive frames as 10-bit planes. Raises `MediaError`."""
    with VideoReader(path, frames=start + frames) as reader:
        return [frame.planes for frame in itertools.islice(reader, start, None)]


def clips(folder: Path, every: int, frames: int, seed: int) -> Iterator[list[Planes]]:
    rng = np.random.default_rng(seed)
    for path in sorted(folder.glob("*.mp4"))[seed % every :: every]:
        clip = read_clip(path, frames, int(rng.integers(0, 24)))
        if len(clip) >= 2 and clip[0][0].shape[0] % 2 == 0 and clip[0][0].shape[1] % 2 == 0:
            yield clip


def blocks_of(planes: list[NDArray[np.int16]]) -> NDArray[np.float32]:
    """Residual planes as rows of 384 samples, one a 16×16 region."""
    parts = []
    for plane, n in zip(planes, (16, 8, 8), strict=True):
        h, w = plane.shape
        parts.append(plane.reshape(h // n, n, w // n, n).transpose(0, 2, 1, 3).reshape(-1, n * n))
    return np.concatenate(parts, 1).astype(np.float32)


def gather(
    tensors: Tensors, folder: Path, every: int, frames: int, seed: int, limit: int
) -> Samples:
    """16×16 regions worth coding, in units of the quantiser step: at most `limit` for key and for
    inter frames."""
    model = make_model(tensors)
    rng = np.random.default_rng(seed)
    found: dict[str, list[NDArray[np.float32]]] = {kind: [] for kind in KINDS}
    for clip in clips(folder, every, frames, seed):
        h, w = clip[0][0].shape
        q = int(rng.integers(22, 56))
        encoder = _core.KltEncoder(model, w, h, 1)
        for index, planes in enumerate(clip):
            encoder.encode(
                *planes,
                q,
                max(0, q - KEY_GAIN),
                index == 0,
                False,
                None,
                index % GOLDEN_PERIOD == 0,
            )
            x = blocks_of(encoder.residual())
            x /= _core.quantiser_step(q if index else max(0, q - KEY_GAIN), 0) / 4
            found[KINDS[index > 0]].append(x[(x * x).sum(1) > 1.0])
    samples = {}
    for kind, parts in found.items():
        x = np.concatenate(parts)
        samples[kind] = x[rng.permutation(len(x))[:limit]]
    return samples


def sparse_transform(
    x: NDArray[np.float32], basis: NDArray[np.float64], rounds: int
) -> NDArray[np.float64]:
    """Orthonormal rows that need few coefficients (O. Sezer et al., "Approximation and compression
    with sparse orthonormal transforms", IEEE TIP 2015): alternate hard thresholding and the
    orthogonal Procrustes solution.

    A plain KLT of mixed content rotates equal-variance directions into each other and loses
    sparsity: measured on the test clips its files are 17 % larger than those of the cosine
    transform (`rounds` = 0: rows only put in the order of use); this fit's are 3 % larger, so the
    default is the cosine transform.
    """
    b = basis.astype(np.float32)
    for _ in range(rounds):
        c = x @ b.T
        c[np.abs(c) < THRESHOLD] = 0
        u, _, vt = np.linalg.svd((c.T @ x).astype(np.float64) + 1e-3 * b)
        b = (u @ vt).astype(np.float32)
    used = (np.abs(x @ b.T) >= THRESHOLD).mean(0)
    return b[np.argsort(-used, kind="stable")].astype(np.float64)


def fit_bases(tensors: Tensors, samples: Samples, rounds: int) -> Tensors:
    """New bases of the finest level; the coarse levels keep the cosine transform (too few
    samples)."""
    fitted = {
        f"basis.{kind}": to_integers(sparse_transform(x, cosine_basis(), rounds))
        for kind, x in samples.items()
    }
    return dict(tensors) | fitted


def fit_entropy(
    tensors: Tensors, folder: Path, every: int, frames: int, seed: int, limit: int, passes: int
) -> Tensors:
    """The state after coding all clips; counts are capped at `limit` so that a stream can still
    move them."""
    p, n, w = _core.Model.blank_state()
    rng = np.random.default_rng(seed)
    for turn in range(passes):
        for clip in clips(folder, every, frames, seed + turn):
            h, width = clip[0][0].shape
            q = int(rng.integers(12, 63))
            current = dict(tensors) | {
                "entropy.probabilities": p,
                "entropy.counts": n,
                "entropy.weights": w,
            }
            encoder = _core.KltEncoder(make_model(current), width, h, 1)
            encoder.learn_on(p, n, w)
            for index, planes in enumerate(clip):
                fine = 2 if index % 4 == 0 else 0
                encoder.encode(
                    *planes,
                    max(0, q - fine),
                    max(0, q - KEY_GAIN),
                    index == 0,
                    False,
                    None,
                    index % GOLDEN_PERIOD == 0,
                )
            p, n, w = encoder.learned()
    n = np.minimum(n, limit).astype(np.uint8)
    return dict(tensors) | {"entropy.probabilities": p, "entropy.counts": n, "entropy.weights": w}


def main() -> None:
    from safetensors.numpy import save_file

    parser = argparse.ArgumentParser(description="Fit the klt structure model.")
    parser.add_argument("--data", type=Path, required=True, help="folder of clips")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/klt-1.safetensors"))
    parser.add_argument(
        "--rounds", type=int, default=0, help="of the transform fit; 0 orders a cosine transform"
    )
    parser.add_argument("--every", type=int, default=1, help="use every n-th clip")
    parser.add_argument("--frames", type=int, default=6, help="frames of a clip")
    parser.add_argument("--samples", type=int, default=40000, help="regions a kind and level")
    parser.add_argument(
        "--passes", type=int, default=2, help="over the clips for the entropy state"
    )
    parser.add_argument(
        "--limit", type=int, default=30, help="confidence count cap of the initial state"
    )
    arguments = parser.parse_args()
    tensors = first_model()
    samples = gather(
        tensors, arguments.data, arguments.every, arguments.frames, 0, arguments.samples
    )
    print("regions:", {kind: len(x) for kind, x in samples.items()}, flush=True)
    tensors = fit_bases(tensors, samples, arguments.rounds)
    tensors = fit_entropy(
        tensors,
        arguments.data,
        arguments.every,
        2 * arguments.frames,
        0,
        arguments.limit,
        arguments.passes,
    )
    save_file(tensors, arguments.out)
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
