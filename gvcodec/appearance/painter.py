"""Painting of decoded loop frames, frame by frame. State is fixed in size and begins anew with each GOP."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import torch

from gvcodec.appearance.checkpoint import load_checkpoint
from gvcodec.appearance.motion import search
from gvcodec.appearance.on_device import NetworkPainter
from gvcodec.appearance.payload import unpack
from gvcodec.appearance.planes import to_tensors
from gvcodec.appearance.renderer import BASES, Renderer, analyse, condition
from gvcodec.appearance.rows import RowPainter
from gvcodec.appearance.token_coder import TokenCoder
from gvcodec.appearance.tokens import LIMIT, Tokens, quantise, window_grid
from gvcodec.errors import DamagedStreamError, UsageError
from gvcodec.turns import forked
from gvcodec.types import Plane, Planes, VideoFormat


def new_coder(renderer: Renderer, height: int, width: int) -> TokenCoder | None:
    """The coder of a GOP's tokens; None for a renderer without tokens."""
    if renderer.encoder is None:
        return None
    config = renderer.config
    return TokenCoder((*window_grid(height, width), config.tokens, config.token_channels), LIMIT)


def _threads_start() -> bool:
    """Whether another thread can be started. OpenMP, which torch works with, ends the process where not."""
    try:
        threading.Thread(target=int).start()
    except RuntimeError:
        return False
    return True


class TokenMaker:
    """Makes the tokens of one stream, frame by frame in display order, for every `TOKEN_PERIOD`-th frame of a GOP.

        maker = TokenMaker(fmt)
        maker.start_gop()
        tokens = maker.make(source, loop)

    Raises `MediaError` when there is no checkpoint, `UsageError` when its renderer knows no tokens."""

    def __init__(self, fmt: VideoFormat, checkpoint: Path | None = None) -> None:
        self._size = fmt.height, fmt.width
        self._renderer = load_checkpoint(checkpoint)
        if self._renderer.encoder is None:
            raise UsageError("the renderer at hand knows no tokens")
        self._coder = new_coder(self._renderer, *self._size)

    def start_gop(self) -> None:
        """Forget the statistics of the GOP before."""
        self._coder = new_coder(self._renderer, *self._size)

    @torch.inference_mode()
    def make(self, source: Planes, loop: Planes) -> bytes:
        """Coded tokens of a frame (10-bit planes of the full size)."""
        assert self._renderer.encoder is not None and self._coder is not None
        pictures = (analyse(self._renderer.bank, *to_tensors(planes)) for planes in (source, loop))
        values = quantise(self._renderer.encoder(*pictures))[0]
        return self._coder.pack(values.long().numpy())


class Painter:
    """Renders the loop frames of one stream in display order.

        painter = Painter(fmt, "av1", Fraction(1), q=45)
        painter.start_gop(tuned)          # payload of the `tune` packet, or None
        picture = painter.paint(loop)     # planes of the full size, 10 bit

    `base` and `scale` say what made the loop frames, `q` is 0…63. `threads` 0 takes as many as torch does; `device`
    is torch's name of where to paint. Raises `UsageError` for
    arguments out of range and frames of another size, `MediaError` when there is no checkpoint, `DamagedStreamError` in `start_gop`."""

    def __init__(
        self,
        fmt: VideoFormat,
        base: str,
        scale: Fraction,
        q: int,
        checkpoint: Path | None = None,
        threads: int = 0,
        device: str = "cpu",
    ) -> None:
        if base not in BASES:
            raise UsageError(f"unknown base codec {base}")
        if not 0 <= q <= 63:
            raise UsageError(f"q must be 0…63, not {q}")
        if forked() or not _threads_start():
            torch.set_num_threads(1)
        self._size = fmt.height, fmt.width
        self._condition = condition(base, scale, q)
        self._renderer = load_checkpoint(checkpoint)
        self._base = {name: p.clone() for name, p in self._renderer.named_parameters()}
        self._identity = False
        self._threads = threads or torch.get_num_threads()
        self._frames: RowPainter | NetworkPainter
        if device == "cpu":
            self._frames = RowPainter(self._renderer, *self._size, self._threads)
        else:
            self._frames = NetworkPainter(self._renderer, device)
        self._before: Plane | None = None
        self._coder: TokenCoder | None = None

    def start_gop(self, tuned: bytes | None) -> None:
        """Forget the past and load the weights of the GOP. Raises `DamagedStreamError`."""
        deltas = {} if tuned is None else unpack(tuned, self._renderer)
        self._identity = deltas is None
        for name, parameter in self._renderer.named_parameters():
            parameter.copy_(self._base[name] + deltas[name] if deltas and name in deltas else self._base[name])
        self._frames.start(self._condition)
        self._before = None
        self._coder = new_coder(self._renderer, *self._size)

    def _unpacked(self, data: bytes) -> Tokens:
        if self._coder is None:
            raise DamagedStreamError("tokens for a renderer that knows none")
        values, counts = self._coder.unpack(data)
        return Tokens(torch.from_numpy(values).float()[None], torch.from_numpy(counts)[None])

    def check(self, tokens: bytes | None) -> None:
        """Read what `paint` would take. Raises `DamagedStreamError`."""
        if tokens is not None:
            self._unpacked(tokens)

    @torch.inference_mode()
    def paint(self, loop: Planes, tokens: bytes | None = None) -> Planes:
        """The rendered picture of the next loop frame; `tokens`: what `TokenMaker` made for it, None for nothing. Raises
        `DamagedStreamError`."""
        if loop[0].shape != self._size:
            raise UsageError(
                f"a frame of {loop[0].shape[1]}×{loop[0].shape[0]} in a video of {self._size[1]}×{self._size[0]}"
            )
        sent = None if tokens is None else self._unpacked(tokens)
        if self._identity:
            return loop
        vectors = None if self._before is None else search(loop[0], self._before, self._threads)
        self._before = loop[0]
        return self._frames.step(loop, vectors, sent)
