"""Painting of decoded loop frames, frame by frame. State is fixed in size and begins anew with each
GOP."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import torch

from gvcodec.appearance.checkpoint import load_checkpoint
from gvcodec.appearance.cpu_painter import RowPainter
from gvcodec.appearance.motion import search
from gvcodec.appearance.payload import unpack
from gvcodec.appearance.renderer import condition
from gvcodec.appearance.torch_painter import NetworkPainter
from gvcodec.bases import base_of
from gvcodec.errors import UsageError
from gvcodec.sharing import forked
from gvcodec.types import Plane, Planes, VideoFormat


def _threads_start() -> bool:
    """Whether another thread can be started. OpenMP, which torch works with, ends the process where
    not."""
    try:
        threading.Thread(target=int).start()
    except RuntimeError:
        return False
    return True


class Painter:
    """Renders the loop frames of one stream in display order.

        painter = Painter(fmt, "av1", Fraction(1), q=45)
        painter.start_gop(tuned)          # payload of the `tune` packet, or None
        picture = painter.paint(loop)     # planes of the full size, 10 bit

    `base` and `scale` say what made the loop frames, `q` is 0…63. `threads` 0 takes as many as
    torch does; `device` is torch's name of where to paint, `tensors`: planes of another device than
    "cpu" stay there, as int16 tensors. Raises `UsageError` for arguments out of
    range and frames of another size, `MediaError` when there is no checkpoint, `DamagedStreamError`
    in `start_gop`."""

    exact = False

    def __init__(
        self,
        fmt: VideoFormat,
        base: str,
        scale: Fraction,
        q: int,
        checkpoint: Path | None = None,
        threads: int = 0,
        device: str = "cpu",
        tensors: bool = False,
    ) -> None:
        if base_of(base).slot is None:
            raise UsageError(f"pictures of base {base} are not painted")
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
            self._frames = NetworkPainter(self._renderer, device, tensors=tensors)
        self._before: Plane | None = None

    def start_gop(self, tuned: bytes | None) -> None:
        """Forget the past and load the weights of the GOP. Raises `DamagedStreamError`."""
        deltas = {} if tuned is None else unpack(tuned, self._renderer)
        self._identity = deltas is None
        for name, parameter in self._renderer.named_parameters():
            parameter.copy_(
                self._base[name] + deltas[name] if deltas and name in deltas else self._base[name]
            )
        self._frames.start(self._condition)
        self._before = None

    @torch.inference_mode()
    def paint(self, loop: Planes, size: int = 0) -> Planes:
        """The rendered picture of the next loop frame. `size` is for other painters."""
        if loop[0].shape != self._size:
            raise UsageError(
                f"a frame of {loop[0].shape[1]}×{loop[0].shape[0]} in a video of "
                f"{self._size[1]}×{self._size[0]}"
            )
        if self._identity:
            return loop
        vectors = None if self._before is None else search(loop[0], self._before, self._threads)
        self._before = loop[0]
        return self._frames.step(loop, vectors)
