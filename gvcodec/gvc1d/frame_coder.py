"""One frame of GVC1D to bytes and back: integers of tokens, coded by the network's predictions.

    packet = rANS of  rate, lengths flag, [lengths of windows], integers of token 0, of token 1, …

    FrameCoder.encode(planes)  ──► tokens ──► packet ─┐       both advance the same state, by exact
    FrameCoder.decode(packet)  ◄──────────────────────┘       arithmetic: one picture everywhere

Tokens of a window are coded in order, all windows of a frame token by token. Each integer has the
Laplace table of its predicted mean (eighths) and scale (0..63). Planes are 10-bit 4:2:0.
Raises `DamagedStreamError` for packets that do not end with their last integer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec import _core
from gvcodec.errors import DamagedStreamError
from gvcodec.gvc1d.model import (
    LARGEST,
    RATES,
    Codec,
    Config,
    State,
    from_patches,
    grid_of,
    rate_mix,
    to_patches,
)
from gvcodec.types import Planes

#: Steps of the coded rate from one rate of training to the next.
RATE_STEPS = 16
RATE_END = (RATES - 1) * RATE_STEPS
#: A sample of 0 and of 1 as 10-bit levels (limited range), for all three planes.
BLACK, RANGE = 64, 876
#: Scale indices of header fields: a value that is as predicted costs next to nothing.
_SAME_SCALE, _LENGTH_SCALE = 6, 40
_MEAN_STEPS = 8
#: J of a frame is its squared error, summed over samples, divided by this, and `lambda_of` · bits:
#: an error of 0.06 (24.4 dB) in 64 luma samples with their chroma costs one unit.
DISTORTION_UNIT = 0.06**2 * 64 * 1.5
#: λ of the finest rate; it doubles from rate to rate.
FINEST_LAMBDA = 0.05

Integers = NDArray[Any]


def lambda_of(rate: int) -> float:
    """Units of J that a bit costs at a coded rate."""
    return FINEST_LAMBDA * 2.0 ** (rate / RATE_STEPS)


@dataclass(frozen=True)
class Frame:
    """The fields of a packet. `rate`: 0 (finest) to RATE_END; `lengths`: tokens of each window [W];
    `tokens` [W, T, C], 0 if absent."""

    rate: int
    lengths: Integers
    tokens: Integers

    def bytes_to_hash(self) -> bytes:
        """Its bytes for the hash of a stream."""
        head = np.concatenate([[self.rate], self.lengths]).astype("<u2").tobytes()
        return head + self.tokens.astype("<i2").tobytes()


class Analysis(NamedTuple):
    """Analysis of a frame: its patches [1, W, P, S] and unrounded tokens [W, T, C]."""

    patches: Any
    values: Any


class Estimate(NamedTuple):
    """Estimate for a frame: distortion [W] in units of J, ideal bits [W], and the means
    [W, T, C] in eighths that its integers are predicted with."""

    distortion: Any
    bits: Any
    mean: Integers


class FrameCoder:
    """Frames of one video, in order, by one network: encoder or decoder. `ops`: the operations,
    exact ones for files."""

    def __init__(
        self, config: Config, weights: dict[str, Any], ops: ModuleType | Any, size: tuple[int, int]
    ) -> None:
        self.config, self.ops = config, ops
        self.codec = Codec(config, weights, ops)
        self.width, self.height = size
        self.grid = grid_of(self.width, self.height, config)
        self.windows = self.grid.rows * self.grid.columns
        self.restart()

    def restart(self) -> None:
        """The next frame is a keyframe."""
        self.state: State = self.codec.first_state(1, self.grid)
        self._rate, self._lengths = _first_head(self.windows, self.config.tokens)

    # --------------------------------------------------------------------------------------- encode

    def analyse(self, planes: Planes, rate: int) -> Analysis:
        """The network's output for a frame, before rounding or dropping tokens."""
        patches, mix = self._patches(planes), rate_mix(rate / RATE_STEPS)
        values = self.codec.encode(patches, self.state, mix, self.grid)
        return Analysis(patches, np.clip(values[0], -LARGEST, LARGEST))

    def estimate(self, frame: Frame, analysis: Analysis) -> Estimate:
        """Distortion and bits of each window if this frame came next; the state stays."""
        patches, _ = self._decode(frame)
        errors = np.square(patches[0] - analysis.patches[0]).sum((1, 2), dtype=np.float64)
        mean, scale = self._predict(frame.tokens, frame.rate)
        bits = laplace_bits(frame.tokens - mean / np.float32(_MEAN_STEPS), scale, self.ops)
        sent = np.arange(self.config.tokens) < frame.lengths[:, None]
        return Estimate(errors / DISTORTION_UNIT, (bits * sent[..., None]).sum((1, 2)), mean)

    def encode(self, frame: Frame) -> tuple[bytes, Planes]:
        """The packet of a frame, and the picture that a decoder shows of it."""
        coder = IntegerWriter()
        self._code_head(coder, frame)
        mean, scale = self._predict(frame.tokens, frame.rate)
        for token in range(self.config.tokens):
            at = frame.lengths > token
            coder.code(frame.tokens[at, token], mean[at, token], scale[at, token])
        return coder.finish(), self._show(frame)

    def _code_head(self, coder: IntegerWriter, frame: Frame) -> None:
        partial = bool((frame.lengths < self.config.tokens).any())
        coder.code_integer(frame.rate, self._rate, _SAME_SCALE)
        coder.code_integer(int(partial), 0, _SAME_SCALE)
        if partial:
            for length, before in zip(frame.lengths, self._lengths, strict=True):
                coder.code_integer(int(length), int(before), _LENGTH_SCALE)

    # --------------------------------------------------------------------------------------- decode

    def decode(self, packet: bytes) -> tuple[Frame, Planes]:
        """The fields of a packet, and its picture. Raises `DamagedStreamError`."""
        coder = IntegerReader(packet)
        rate, lengths = _read_head(coder, self._rate, self._lengths, self.config.tokens)
        tokens = np.zeros((self.windows, self.config.tokens, self.config.channels), np.int32)
        mix = rate_mix(rate / RATE_STEPS)
        predictor = self.codec.start_prediction(self.state, mix, self.grid)
        earlier = np.zeros((1, self.windows, self.config.channels), np.float32)
        for token in range(int(lengths.max(initial=0))):
            prediction = predictor.next(earlier)
            mean, scale = choose_tables(prediction.mean[0], prediction.scale[0])
            at = lengths > token
            tokens[at, token] = coder.integers(mean[at], scale[at])
            earlier = tokens[None, :, token].astype(np.float32)
        coder.finish()
        if np.abs(tokens).max(initial=0) > LARGEST:
            raise DamagedStreamError(f"a frame of gvc1d has an integer beyond ±{LARGEST}")
        frame = Frame(rate, lengths, tokens)
        return frame, self._show(frame)

    # --------------------------------------------------------------------------------- both of them

    def _predict(self, tokens: Integers, rate: int) -> tuple[Integers, Integers]:
        """Means in eighths and scale indices [W, T, C] of all tokens at once."""
        values = tokens[None].astype(np.float32)
        mix = rate_mix(rate / RATE_STEPS)
        prediction = self.codec.predict(values, self.state, mix, self.grid)
        return choose_tables(prediction.mean[0], prediction.scale[0])

    def _show(self, frame: Frame) -> Planes:
        """The picture of a frame; the state advances."""
        patches, features = self._decode(frame)
        inputs = self._inputs(frame)
        self.state = self.codec.advance(self.state, *inputs, features, self.grid)
        self._rate, self._lengths = frame.rate, frame.lengths
        return self._planes(patches)

    def _inputs(self, frame: Frame) -> tuple[Any, Any]:
        """Tokens [1, W, T, C] and which of them are sent [1, W, T, 1], as floats."""
        sent = np.arange(self.config.tokens) < frame.lengths[:, None]
        return frame.tokens[None].astype(np.float32), sent.astype(np.float32)[None, ..., None]

    def _decode(self, frame: Frame) -> tuple[Any, Any]:
        """Patches [1, W, P, S] and features [1, W, P, D] of a frame."""
        mix = rate_mix(frame.rate / RATE_STEPS)
        return self.codec.decode(*self._inputs(frame), self.state, mix, self.grid)

    def _patches(self, planes: Planes) -> Any:
        """[1, W, P, S] of a picture, its last row and column repeated up to whole windows."""
        window = self.config.window
        rows, columns = self.grid.rows * window, self.grid.columns * window
        padded = []
        for plane, step in zip(planes, (1, 2, 2), strict=True):
            height, width = plane.shape
            edges = (0, rows // step - height), (0, columns // step - width)
            levels = np.pad(plane, edges, "edge").astype(np.float32)
            padded.append(((levels - np.float32(BLACK)) * np.float32(1 / RANGE))[None])
        y, u, v = padded
        return to_patches(y, u, v, self.config, self.ops)

    def _planes(self, patches: Any) -> Planes:
        y, u, v = from_patches(patches, self.grid, self.config, self.ops)
        sizes = (self.height, self.width), *[((self.height + 1) // 2, (self.width + 1) // 2)] * 2
        windows_decoded = []
        for plane, (height, width) in zip((y, u, v), sizes, strict=True):
            levels = plane[0, :height, :width] * np.float32(RANGE) + np.float32(BLACK)
            windows_decoded.append(np.clip(np.rint(levels), 0, 1023).astype(np.uint16))
        return windows_decoded[0], windows_decoded[1], windows_decoded[2]


def read_lengths(
    config: Config, size: tuple[int, int], packets: Iterable[tuple[bool, bytes]]
) -> list[Integers]:
    """Tokens of each window [W] in frames of `size` (width, height), from the heads of their
    packets (whether a keyframe, payload): no network runs. Raises `DamagedStreamError`."""
    grid = grid_of(*size, config)
    rate, lengths = first = _first_head(grid.rows * grid.columns, config.tokens)
    all_lengths = []
    for is_keyframe, packet in packets:
        if is_keyframe:
            rate, lengths = first
        rate, lengths = _read_head(IntegerReader(packet), rate, lengths, config.tokens)
        all_lengths.append(lengths)
    return all_lengths


def _first_head(windows: int, tokens: int) -> tuple[int, Integers]:
    """Rate and lengths [W] that a keyframe's are predicted from."""
    return RATE_END // 2, np.full(windows, tokens, np.int32)


def _read_head(
    coder: IntegerReader, rate: int, lengths: Integers, tokens: int
) -> tuple[int, Integers]:
    """Rate and lengths [W] of the next frame, from those of the previous one."""
    rate = coder.integer(rate, _SAME_SCALE)
    if not 0 <= rate <= RATE_END:
        raise DamagedStreamError(f"a frame of gvc1d has rate {rate}")
    partial = coder.integer(0, _SAME_SCALE)
    if partial not in (0, 1):
        raise DamagedStreamError("a frame of gvc1d has an impossible flag")
    if not partial:
        return rate, np.full(len(lengths), tokens, np.int32)
    counts = [coder.integer(int(before), _LENGTH_SCALE) for before in lengths]
    if not all(0 <= count <= tokens for count in counts):
        raise DamagedStreamError("a frame of gvc1d has an impossible number of tokens")
    return rate, np.array(counts, np.int32)


def laplace_bits(distance: Any, scale: Integers, ops: Any) -> Any:
    """Ideal bits of integers at these distances from their means, by scale index: the Laplace mass
    of an interval of one."""
    octaves = (scale.astype(np.float32) - np.float32(_core.SCALES - 1)) / np.float32(6)
    deviation = np.float32(64) * ops.exp(octaves * np.float32(0.69314718))
    away = np.abs(distance).astype(np.float32)
    half = np.float32(0.5)
    inner = ops.exp(-np.abs(away - half) / deviation)
    outer = ops.exp(-(away + half) / deviation)
    mass = np.where(away < half, 1 - half * (inner + outer), half * (inner - outer))
    return ops.log(np.maximum(mass, np.float32(2.0**-24))) * np.float32(-1 / 0.69314718)


def choose_tables(mean: Any, scale: Any) -> tuple[Integers, Integers]:
    """Table choices: means in eighths (int16), scale indices 0..63 (uint8)."""
    limit = _MEAN_STEPS * LARGEST
    eighths = np.clip(np.rint(mean * np.float32(_MEAN_STEPS)), -limit, limit).astype(np.int16)
    return eighths, np.clip(np.rint(scale), 0, _core.SCALES - 1).astype(np.uint8)


class IntegerWriter:
    """Collects integers with their tables (means in eighths, scale indices) for one rANS packet."""

    def __init__(self) -> None:
        self._values: list[Any] = []
        self._means: list[Any] = []
        self._scales: list[Any] = []

    def code(self, values: Integers, mean: Integers, scale: Integers) -> None:
        self._values.append(values.ravel())
        self._means.append(mean.ravel())
        self._scales.append(scale.ravel())

    def code_integer(self, value: int, prediction: int, scale: int) -> None:
        self._values.append(np.array([value], np.int32))
        self._means.append(np.array([_MEAN_STEPS * prediction], np.int16))
        self._scales.append(np.array([scale], np.uint8))

    def finish(self) -> bytes:
        values = np.concatenate(self._values).astype(np.int32)
        scales = np.concatenate(self._scales).astype(np.uint8)
        packet: bytes = _core.cdf_encode(values, scales, np.concatenate(self._means))
        return packet


class IntegerReader:
    """The inverse, integer by integer; `finish` raises `DamagedStreamError` if the packet does not
    end with its last one."""

    def __init__(self, packet: bytes) -> None:
        self._decoder = _core.IntegerDecoder(packet)

    def integers(self, mean: Integers, scale: Integers) -> Integers:
        flat = self._decoder.decode(scale.ravel(), mean.ravel())
        values: Integers = flat.reshape(mean.shape)
        return values

    def integer(self, prediction: int, scale: int) -> int:
        mean = np.array([_MEAN_STEPS * prediction], np.int16)
        return int(self.integers(mean, np.array([scale], np.uint8))[0])

    def finish(self) -> None:
        if not self._decoder.finished:
            raise DamagedStreamError("integers of gvc1d do not end with their last one")
