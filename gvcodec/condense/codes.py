"""Clips as latent codes of a GVC1D network: the frames of a clip lie side by side in one window,
and only their tokens are stored, coded by the network's entropy model in exact arithmetic.

    codes of a set = rANS packet  u32 CRC-32 of the packet

A window has 4 x 4 tiles. Tokens begin in the Z-order of patches, so frame k lies in tile k of the
Z-order and has the tokens k * T / 16 to (k + 1) * T / 16 - 1. The other tokens are those of a grey
window. A packet holds groups of `GROUP` clips; a group is token by token, clip by clip.

    codes    int16 [N, K * T / 16, C]     pictures    uint8 [N, K, side, side, 3]

Codes are equal on all machines, pictures up to rounding. Raises `DamagedStreamError`,
`WrongModelError`. `WindowCodes` imports torch.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import DamagedStreamError, MediaError, WrongModelError
from gvcodec.models import find_model
from gvcodec.planes import planes_from_rgb

if TYPE_CHECKING:
    from torch import Tensor

    from gvcodec.gvc1d.model import Codec, Predictor
    from gvcodec.gvc1d.tokenizer import Tokenizer

#: Clips that are coded together: few enough for the memory of their predictions (4 MB each).
GROUP = 16
#: Tiles along each side of a window, and in it.
_TILES = 4
MOST_FRAMES = _TILES**2
#: Samples around the frames: RGB of 8 bits, and the same as 10-bit luma and chroma.
_GREY, _GREY_LUMA, _GREY_CHROMA = 128, 504, 512
#: Largest set: a million clips, four million integers, a billion pixels; largest side of pictures;
#: the coarsest rate.
_MOST_CLIPS, _MOST_VALUES, _MOST_PIXELS = 1 << 20, 1 << 22, 1 << 30
_MOST_SIDE, _LAST_RATE = 256, 7
#: Pictures are decoded for as many clips at once.
_SHOWN = 8

Values = NDArray[np.int16]
Pictures = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Form:
    """The manifest of codes: `network` (hexadecimal id of its file) and its `rate` (0 to 7),
    `clips` of `count` pictures of `side` pixels, `tokens` of each clip."""

    network: str
    rate: int
    clips: int
    count: int
    side: int
    tokens: int

    @staticmethod
    def of(fields: Any) -> Form:
        """Parse a manifest. Raises `DamagedStreamError` for values out of range."""
        try:
            form = Form(**fields)
            bytes.fromhex(form.network)
            bounds = {
                "rate": (0, _LAST_RATE), "clips": (1, _MOST_CLIPS), "count": (1, MOST_FRAMES),
                "side": (2, _MOST_SIDE), "tokens": (1, _MOST_VALUES),
            }  # fmt: skip
            numbers = asdict(form)
            good = all(
                type(numbers[name]) is int and low <= numbers[name] <= high
                for name, (low, high) in bounds.items()
            )
        except (TypeError, ValueError) as error:
            raise _damaged(f"codes cannot be read ({error})") from None
        if not good or form.clips * form.tokens > _MOST_VALUES:
            raise _damaged("codes out of range")
        if form.clips * form.count * form.side**2 > _MOST_PIXELS:
            raise _damaged("pictures out of range")
        return form


class WindowCodes:
    """Codes of clips by this tokenizer, as `gvcodec.condense.joint.CodeSpace`. Raises
    `WrongModelError` if the tiles of its network's windows have no tokens of their own."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        config = tokenizer.config
        side = config.window // config.patch
        whole = side >= _TILES and side & (side - 1) == 0 and config.tokens % MOST_FRAMES == 0
        if not whole or config.tokens > config.patches:
            raise WrongModelError(
                f"{tokenizer.path}: tiles of its windows have no tokens of their own"
            )
        self._tokenizer, self._window = tokenizer, config.window
        self._tile, self._run = config.window // _TILES, config.tokens // MOST_FRAMES
        self._known: dict[bytes, tuple[NDArray[np.int16], NDArray[np.uint8]]] = {}

    def count_tokens(self, count: int) -> int:
        """Tokens of a clip of so many frames."""
        return count * self._run

    # ------------------------------------------------------------------------- codes and pictures

    def tokenize(self, clips: Pictures) -> Values:
        """Codes [N, K * T / 16, C] of clips (N, K, side, side, 3), K at most 16."""
        windows = [planes_from_rgb(self.lay_out(clip)) for clip in clips]
        values = self._tokenizer.encode(windows).values[:, 0]
        return values[:, : self.count_tokens(clips.shape[1])]

    def lay_out(self, clip: Pictures) -> Pictures:
        """The window (256, 256, 3) of a clip (K, side, side, 3)."""
        import torch.nn.functional as F
        from torch import from_numpy

        frames = from_numpy(clip).permute(0, 3, 1, 2).float()
        x = F.interpolate(frames, (self._tile, self._tile), mode="bicubic", antialias=True)
        tiles = x.clamp(0, 255).round().permute(0, 2, 3, 1).numpy()
        window = np.full((self._window, self._window, 3), _GREY, np.uint8)
        for (top, left), tile in zip(self._corners(len(tiles)), tiles, strict=True):
            window[top : top + self._tile, left : left + self._tile] = tile
        return window

    def synthesise(self, values: Tensor, count: int, side: int) -> Tensor:
        """Pictures (N, count, side, side, 3), 0…255, of codes [N, count * T / 16, C];
        differentiable."""
        import torch
        import torch.nn.functional as F

        from gvcodec.util.colour import SMALL
        from gvcodec.util.tensors import to_rgb

        grey = torch.from_numpy(self._grey_tokens[values.shape[1] :]).expand(len(values), -1, -1)
        tokens = torch.cat([values, grey], 1)[:, None]  # [N, 1, T, C]
        planes = self._tokenizer.decode(tokens, self._window, self._window)
        # Planes of the tokenizer have sample 1020 at 1.
        luma, chroma = (plane * (1020 / 1023) for plane in planes)
        rgb = 255 * to_rgb(luma, chroma, SMALL)  # [N, 3, window, window]
        frames = []
        for top, left in self._corners(count):
            large = rgb[:, :, top : top + self._tile, left : left + self._tile]
            frames.append(F.interpolate(large, (side, side), mode="bilinear", antialias=True))
        return torch.stack(frames, 1).clamp(0, 255).permute(0, 1, 3, 4, 2)

    def show(self, values: Values, count: int, side: int) -> list[Pictures]:
        """Clips (count, side, side, 3) of codes."""
        import torch

        clips: list[Pictures] = []
        with torch.inference_mode():
            for part in torch.from_numpy(values.astype(np.float32)).split(_SHOWN):
                pictures = self.synthesise(part, count, side)
                clips += list(pictures.round().to(torch.uint8).numpy())
        return clips

    def _corners(self, count: int) -> list[tuple[int, int]]:
        """Top and left of the first tiles in Z-order."""
        rows = [(number >> 1 & 1) + (number >> 2 & 2) for number in range(count)]
        columns = [(number & 1) + (number >> 1 & 2) for number in range(count)]
        return [(self._tile * r, self._tile * c) for r, c in zip(rows, columns, strict=True)]

    @cached_property
    def _grey_tokens(self) -> NDArray[np.float32]:
        """[T, C] of a grey window, by exact arithmetic: pictures of all machines need them."""
        from gvcodec.gvc1d import ops_exact
        from gvcodec.gvc1d.frame_coder import RATE_STEPS, FrameCoder

        tokenizer, size, half = self._tokenizer, (self._window,) * 2, (self._window // 2,) * 2
        coder = FrameCoder(tokenizer.config, tokenizer.weights, ops_exact, size)
        luma, chroma = np.full(size, _GREY_LUMA, np.uint16), np.full(half, _GREY_CHROMA, np.uint16)
        analysis = coder.analyse((luma, chroma, chroma), round(tokenizer.rate * RATE_STEPS))
        return np.rint(analysis.values[0]).astype(np.float32)

    # ------------------------------------------------------------------------------ entropy coding

    def bits(self, values: Tensor) -> Tensor:
        """Estimated bits of codes, all together; differentiable. Later tokens do not change the
        estimate of earlier ones."""
        import torch.nn.functional as F

        count, tokens = values.shape[1], self._tokenizer.config.tokens
        whole = F.pad(values, (0, 0, 0, tokens - count))[:, None]
        return self._tokenizer.token_bits(whole)[:, :, :count].sum()

    def pack(self, values: Values) -> bytes:
        """Bytes of the codes of all clips."""
        from gvcodec.gvc1d.frame_coder import IntegerWriter

        self._predict(values)
        writer = IntegerWriter()
        for first in range(0, len(values), GROUP):
            clips = values[first : first + GROUP]
            tables = [self._known[clip.tobytes()] for clip in clips]
            means, scales = (np.stack(part, 1) for part in zip(*tables, strict=True))
            writer.code(clips.transpose(1, 0, 2), means, scales)  # [tokens, clips, C]
        packet = writer.finish()
        return packet + zlib.crc32(packet).to_bytes(4, "little")

    def unpack(self, data: bytes, clips: int, count: int) -> Values:
        """Codes of `clips` clips of `count` frames. Raises `DamagedStreamError`."""
        from gvcodec.gvc1d.frame_coder import IntegerReader

        tokens = self.count_tokens(count)
        if clips * tokens * self._tokenizer.config.channels > _MOST_VALUES:
            raise _damaged("codes out of range")
        packet = data[:-4]
        if len(data) < 5 or zlib.crc32(packet) != int.from_bytes(data[-4:], "little"):
            raise _damaged("checksum of the codes differs")
        try:
            reader = IntegerReader(packet)
            groups = [
                self._read(reader, min(GROUP, clips - first), tokens)
                for first in range(0, clips, GROUP)
            ]
            reader.finish()
        except DamagedStreamError as error:
            raise _damaged(f"codes cannot be read ({error})") from None
        return np.concatenate(groups)

    def _read(self, reader: Any, clips: int, tokens: int) -> Values:
        """Codes of a group."""
        from gvcodec.gvc1d.frame_coder import choose_tables

        predictor, earlier = self._start(clips)
        values = np.empty((clips, tokens, earlier.shape[2]), np.int16)
        for token in range(tokens):
            mean, scale = predictor.next(earlier)
            integers = reader.integers(*choose_tables(mean[:, 0], scale[:, 0]))
            if np.abs(integers.astype(np.int64)).max() > np.iinfo(np.int16).max:
                raise DamagedStreamError("an integer beyond 16 bits")
            values[:, token] = integers
            earlier = integers[:, None].astype(np.float32)
        return values

    def _predict(self, values: Values) -> None:
        """Remember means in eighths and scale indices [tokens, C] of clips that are new."""
        from gvcodec.gvc1d.frame_coder import choose_tables

        new = {clip.tobytes(): clip for clip in values}
        keys = [key for key in new if key not in self._known]
        for first in range(0, len(keys), GROUP):
            own = keys[first : first + GROUP]
            clips = np.stack([new[key] for key in own])
            predictor, earlier = self._start(len(clips))
            tables = []
            for integers in clips.transpose(1, 0, 2):
                mean, scale = predictor.next(earlier)
                tables.append(choose_tables(mean[:, 0], scale[:, 0]))
                earlier = integers[:, None].astype(np.float32)
            means, scales = (np.stack(part, 1) for part in zip(*tables, strict=True))
            self._known |= dict(zip(own, zip(means, scales, strict=True), strict=True))

    def _start(self, clips: int) -> tuple[Predictor, NDArray[np.float32]]:
        """A predictor for windows of clips, and the integers [clips, 1, C] before the first."""
        from gvcodec.gvc1d.model import Grid, rate_mix

        exact: Codec = self._tokenizer.exact
        grid = Grid(1, 1)
        mix = rate_mix(self._tokenizer.rate)
        predictor = exact.start_prediction(exact.first_state(clips, grid), mix, grid)
        return predictor, np.zeros((clips, 1, exact.config.channels), np.float32)


def open_codes(form: Form) -> WindowCodes:
    """The codes of the network that a set names. Raises `WrongModelError` if it is missing,
    `DamagedStreamError` if the form does not fit the file of this id."""
    from gvcodec.gvc1d.tokenizer import Tokenizer

    path = find_model(bytes.fromhex(form.network), "the network of a condensed set")
    try:
        space = WindowCodes(Tokenizer(path, rate=form.rate))
    except (MediaError, WrongModelError) as error:
        raise _damaged(f"its network has no such codes ({error})") from None
    if form.tokens != space.count_tokens(form.count):
        raise _damaged("its codes do not fit its network")
    return space


def decode(data: bytes, form: Form) -> Sequence[Pictures]:
    """Clips (count, side, side, 3) of the codes of a set."""
    space = open_codes(form)
    return space.show(space.unpack(data, form.clips, form.count), form.count, form.side)


def _damaged(what: str) -> DamagedStreamError:
    return DamagedStreamError(f"condensed set: {what}", code="condensed-set")
