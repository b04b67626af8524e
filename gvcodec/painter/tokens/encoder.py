"""Tokens that steer the painter without a search: an encoder of local and global transformers in
exact floats (`training.tokens` trains it), and energies that are matched.

For each patch of 16×16 samples the encoder sees the energies of nine bands of the source, the base
frame and the painted frame, brightness and quality. Local layers mix the patches of a region,
global layers the regions of a window. Its output is blended with the energy-matching solution: the
tokens at which the painted bands of a region have the source's energies, by least squares with the
Jacobian of band energies. Tokens of a GOP are means over some of its frames, and are tried window
by window (`trial`). All operations are exact or have a fixed order, so every machine sends the same
tokens.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gvcodec import _core
from gvcodec.errors import MediaError
from gvcodec.models import TOKEN_ENCODER, painter_of, read_arrays
from gvcodec.painter.cpu import CpuPainter
from gvcodec.painter.energies import (
    PATCH,
    Floats,
    energies,
    mean_squares,
    pad_to_patches,
    pool_squares,
)
from gvcodec.painter.model import NEUTRAL, Model, Strength, condition
from gvcodec.painter.paint_strength import with_look
from gvcodec.painter.strength import choose_strength
from gvcodec.painter.texture_check import find_unpainted_regions
from gvcodec.painter.token_coding import REGION, STEP, WINDOW, TokenModel, grid_of, pack
from gvcodec.painter.tokens.metric import PerceptualMetric
from gvcodec.painter.tokens.samples import GopSample
from gvcodec.painter.tokens.trial import GopTrial
from gvcodec.types import Plane, Planes, VideoFormat

#: Patches of a region and of a window along a side.
PATCHES_OF_REGION, PATCHES_OF_WINDOW = REGION // PATCH, WINDOW // PATCH
_HEADS = 4
#: Features are cut here, in deviations.
_FAR = 4.0
#: Brightness is in parts of the largest sample.
_WHITE = 1023.0
#: Step of integers for the slopes of energies, and the regularization of the diagonals of least
#: squares, in parts of their mean.
NUDGE, _DAMPING = 2.0, 0.3
#: Shares of the encoder's tokens, with those that match energies, that are tried. Whole tokens
#: flicker so much more that few of them are sent; these two gain most at 1.03 times the flicker.
SHARES = (0.35, 0.75)
#: Bits a sample of a GOP below which no tokens are tried: six of 42 clips were so small, and lost
#: 2.2 % of LPIPS-Alex and 2.1 % of DISTS by them at equal bytes, at most 8.6 %.
LEAST_RATE = 0.01


def features_of(source: Plane, base: Plane, painted_luma: Plane, q: int) -> Floats:
    """The encoder's features of a frame, (29, H / 16, W / 16), of padded lumas in 10 bits."""
    level = pool_squares(source.astype(np.float32) / np.float32(_WHITE), PATCH)[None]
    quality = np.full_like(level, min(q // 8, 7) / 8)
    return np.concatenate(
        [energies(source), energies(base), energies(painted_luma), level, quality]
    )


def least_squares(slope: NDArray[np.floating], missing: NDArray[np.floating]) -> Floats:
    """Integers (regions, D), not rounded, that add the `missing` (regions, N) energies, by
    how much each integer moves them, `slope` (regions, N, D), with damping."""
    slope, missing = slope.astype(np.float64), missing.astype(np.float64)
    regions, count, dims = slope.shape
    # One operation after another, so that sums are the same on every machine: (regions, D, D + 1).
    table = np.zeros((regions, dims, dims + 1))
    for n in range(count):
        row = slope[:, n]
        table[:, :, :dims] += row[:, :, None] * row[:, None, :]
        table[:, :, dims] += row * missing[:, n, None]
    diagonal = np.arange(dims)
    size = np.zeros(regions)
    for n in range(dims):
        size += table[:, n, n]
    table[:, diagonal, diagonal] += (_DAMPING / dims * size + 1e-9)[:, None]
    # Gaussian elimination; damped squares have no pivots near 0.
    for n in range(dims):
        table[:, n] /= table[:, n, n, None]
        for other in range(dims):
            if other != n:
                table[:, other] -= table[:, other, n, None] * table[:, n]
    return table[:, :, dims].astype(np.float32)


class TokenEncoder:
    """`find` gives the tokens of a GOP. Raises `MediaError` for a file that is no encoder."""

    def __init__(self, path: Path) -> None:
        try:
            arrays, _ = read_arrays(path)
            self._arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
            self._layers = {
                kind: sum(name.endswith("ln_1.weight") for name in arrays if f".{kind}." in name)
                for kind in ("local", "over")
            }
            #: Weights of dense layers, (inputs, outputs).
            self._matrices = {
                name.removesuffix(".weight"): np.ascontiguousarray(array.T)
                for name, array in self._arrays.items()
                if name.endswith(".weight") and array.ndim == 2
            }
            self.dims = len(self._arrays["encoder.head.weight"])
            #: Of tokens that match energies, how much is added to the encoder's, (D,).
            self.match_share = self._arrays["matched"].reshape(self.dims)
            self.integers(
                np.zeros(
                    (self._arrays["centre"].shape[1], PATCHES_OF_WINDOW, PATCHES_OF_WINDOW),
                    np.float32,
                )
            )
        except (OSError, KeyError, ValueError) as error:
            raise MediaError(
                f"{path}: not an encoder of tokens ({error})", code="not-a-model"
            ) from None

    def integers(self, features: Floats) -> Floats:
        """Features (29, H, W) of patches to integers (rows, columns, D) of regions, not rounded."""
        rows, columns = (-(-n // PATCHES_OF_REGION) for n in features.shape[1:])
        high, wide = (-(-n // PATCHES_OF_WINDOW) * PATCHES_OF_WINDOW for n in features.shape[1:])
        pads = (0, 0), (0, high - features.shape[1]), (0, wide - features.shape[2])
        padded_features = np.pad(features, pads, "edge")
        windows = padded_features.reshape(
            -1,
            high // PATCHES_OF_WINDOW,
            PATCHES_OF_WINDOW,
            wide // PATCHES_OF_WINDOW,
            PATCHES_OF_WINDOW,
        )
        windows = windows.transpose(1, 3, 0, 2, 4).reshape(
            -1, len(features), PATCHES_OF_WINDOW, PATCHES_OF_WINDOW
        )
        integers = np.stack([self._window(window) for window in windows])
        side = PATCHES_OF_WINDOW // PATCHES_OF_REGION
        integers = integers.reshape(
            high // PATCHES_OF_WINDOW, wide // PATCHES_OF_WINDOW, side, side, self.dims
        )
        whole = integers.transpose(0, 2, 1, 3, 4).reshape(
            high // PATCHES_OF_REGION, wide // PATCHES_OF_REGION, self.dims
        )
        return whole[:rows, :columns]

    def _window(self, features: Floats) -> Floats:
        """(29, 16, 16) to (16, D)."""
        arrays, side = self._arrays, PATCHES_OF_WINDOW // PATCHES_OF_REGION
        x = (features - arrays["centre"][0]) / arrays["deviation"][0]
        x = np.clip(x, -_FAR, _FAR).reshape(len(features), -1).T
        x = self._dense("encoder.embed", x) + arrays["encoder.position"][0]
        x = x.reshape(side, PATCHES_OF_REGION, side, PATCHES_OF_REGION, -1).transpose(0, 2, 1, 3, 4)
        x = x.reshape(side**2, PATCHES_OF_REGION**2, -1)
        for number in range(self._layers["local"]):
            x = self._block(f"encoder.local.{number}", x)
        x = x.mean(1)[None]
        for number in range(self._layers["over"]):
            x = self._block(f"encoder.over.{number}", x)
        return self._dense("encoder.head", x[0])

    def _dense(self, name: str, x: Floats) -> Floats:
        x = np.ascontiguousarray(x)
        return _core.exact_linear(x, self._matrices[name], self._arrays[f"{name}.bias"])

    def _layer_norm(self, name: str, x: Floats) -> Floats:
        gain, bias = (self._arrays[f"{name}.{part}"] for part in ("weight", "bias"))
        return _core.exact_layer_norm(np.ascontiguousarray(x), gain, bias, 1e-5)

    def _block(self, name: str, x: Floats) -> Floats:
        """A layer of a transformer, (B, N, width)."""
        normalised = self._layer_norm(f"{name}.ln_1", x)
        b, n, width = x.shape
        parts = self._dense(f"{name}.attn.in_proj", normalised).reshape(b, n, 3, _HEADS, -1)
        # Each (B, heads, N, width / heads).
        query, key, value = np.ascontiguousarray(parts.transpose(2, 0, 3, 1, 4))
        mixed = _core.exact_attention(query, key, value, None)
        mixed = mixed.transpose(0, 2, 1, 3).reshape(b, n, width)
        x = x + self._dense(f"{name}.attn.out_proj", mixed)
        inner = self._dense(f"{name}.c_fc", self._layer_norm(f"{name}.ln_2", x))
        return x + self._dense(f"{name}.c_proj", inner * _normal_cdf(inner))


def _normal_cdf(x: Floats) -> Floats:
    """The normal distribution's cumulative function, within 1e-7 (Abramowitz and Stegun,
    26.2.17)."""
    distance = np.abs(x)
    t = 1 / (1 + 0.2316419 * distance)
    series = ((((1.330274429 * t - 1.821255978) * t + 1.781477937) * t - 0.356563782) * t) * t
    series = series + 0.319381530 * t
    tail = _core.exact_exp(np.float32(-0.5) * distance * distance) * series * 0.3989422804014327
    result: Floats = np.where(x > 0, 1 - tail, tail).astype(np.float32)
    return result


class EncodedTokens:
    """Tokens of the GOPs of one video by the shipped encoder. Raises `WrongModelError` if it,
    its painter or the metric's network is missing."""

    def __init__(
        self,
        fmt: VideoFormat,
        base: str,
        scale: Fraction,
        q: int,
        paint_strength: int,
        chooses_strengths: bool,
        threads: int,
    ) -> None:
        """`paint_strength`: the viewer's setting, 1…100; `chooses_strengths`: GOPs have strengths
        of their own."""
        self._model = Model.load(painter_of(uses_tokens=True).find())
        assert self._model.tokens is not None
        self.model: TokenModel = self._model.tokens
        self._encoder = TokenEncoder(TOKEN_ENCODER.find())
        self._stream = condition(base, scale, q)
        self._fmt, self.q, self._paint_strength, self._chooses_strengths = (
            fmt,
            q,
            paint_strength,
            chooses_strengths,
        )
        self._painter = CpuPainter(fmt.height, fmt.width, threads)
        self._metric = PerceptualMetric(fmt, threads)

    def find(self, sample: GopSample, size: int) -> bytes | None:
        """Bytes of tokens for a GOP of `size` bytes, None if they do not pay."""
        samples = sample.frames * self._fmt.height * self._fmt.width
        if not sample.runs or (size and 8 * size < LEAST_RATE * samples):
            return None
        strength = self.strength_of(sample)
        encoded, matched = self.parts(sample, strength)
        candidates = [share * (encoded + matched) for share in SHARES]
        tokens = self.trial(sample, strength).choose(candidates, size)
        return pack(tokens, self.model, self.q) if tokens.kinds.any() else None

    def prepare(self, sample: GopSample) -> None:
        """Chooses the strength of a GOP, and its regions that are not painted."""
        if sample.runs:
            sample.strength = self.strength_of(sample)
            model = self._model.with_strength(sample.strength)
            sample.unpainted_regions = find_unpainted_regions(sample.clips, model, self._stream)

    def trial(self, sample: GopSample, strength: Strength) -> GopTrial:
        """Trials of a GOP that is painted at a strength."""
        model = self._model.with_strength(strength)
        return GopTrial(model, self._stream, sample, self._metric)

    def strength_of(self, sample: GopSample) -> Strength:
        """At which the GOP is painted, or will be as far as its runs tell."""
        if sample.strength is not None:
            return sample.strength
        if not self._chooses_strengths:
            return with_look(NEUTRAL, self._paint_strength)
        return choose_strength(self._model, self._stream, sample.clips, self._paint_strength)

    def parts(self, sample: GopSample, strength: Strength) -> tuple[Floats, Floats]:
        """Integers (rows, columns, D) of regions, not rounded: the encoder's, and the part of those
        that match energies which is added to them."""
        encoded = [
            self._encode_frame(run[-1], frame_condition[-1])
            for run, frame_condition in zip(sample.runs, sample.rates, strict=True)
        ]
        means: Floats = np.mean(encoded, 0)
        return means, self._match_energies(sample, strength)

    def _encode_frame(self, pair: tuple[Planes, Planes], frame_condition: int) -> Floats:
        base, source = pair
        self._painter.start(self._stream, self._model)
        painted = self._painter.paint(base, None, frame_condition)
        lumas = [pad_to_patches(planes[0]) for planes in (source, base, painted)]
        return self._encoder.integers(features_of(lumas[0], lumas[1], lumas[2], self.q))

    def _match_energies(self, sample: GopSample, strength: Strength) -> Floats:
        """Slopes are those of the middle run's last frame, painted afresh; missing energies are the
        mean over runs, of their last frames as they are painted in turn."""
        model = self._model.with_strength(strength)
        rows, columns = grid_of(self._fmt.height, self._fmt.width)

        def measure(painted: Planes) -> Floats:
            """(regions, 9)."""
            return _mean_by_region(energies(pad_to_patches(painted[0])))

        def paint_afresh(style_offsets: NDArray[np.int8] | None) -> Planes:
            self._painter.start(self._stream, model, style_offsets)
            return self._painter.paint(sample.runs[middle][-1][0], None, sample.rates[middle][-1])

        unsteered = [measure(run[-1]) for run in sample.clips.paint(model, self._stream)]
        source_energies = [measure(run[-1][1]) for run in sample.runs]
        middle, dims = len(sample.runs) // 2, self.model.dims
        slopes, plain = [], measure(paint_afresh(None))
        for n in range(dims):
            style_offsets = np.zeros((dims, rows, columns), np.int8)
            style_offsets[n] = round(STEP * NUDGE)
            slopes.append((measure(paint_afresh(style_offsets)) - plain) / NUDGE)
        missing: Floats = np.mean(
            [a - b for a, b in zip(source_energies, unsteered, strict=True)], 0
        )
        solution = least_squares(np.stack(slopes, -1), missing).reshape(rows, columns, dims)
        return solution * self._encoder.match_share


def _mean_by_region(energies: Floats) -> Floats:
    """Means of the patches of regions, (regions, 9)."""
    pads = [(0, 0), *((0, -n % PATCHES_OF_REGION) for n in energies.shape[1:])]
    return (
        mean_squares(np.pad(energies, pads, "edge"), PATCHES_OF_REGION).reshape(len(energies), -1).T
    )
