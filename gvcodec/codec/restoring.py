"""LATENT packets in a decoder: which frame each belongs to, and that frame restored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gvcodec.bitstream import SequenceHeader
from gvcodec.errors import NOT_RESTORED
from gvcodec.gvc1d.codec import (
    FrameContext,
    LatentReader,
    open_entropy_model,
    open_frames,
    token_tensor,
)
from gvcodec.gvc1d.files import find_pair
from gvcodec.gvc1d.payload import ENDLESS, Latent
from gvcodec.painter.open import has_torch
from gvcodec.types import Planes
from gvcodec.util.torch_settings import torch_threads


class TokenRestorer:
    """Assigns the LATENT packets of one stream, in coding order, to frames in display order, and
    restores these frames. Integers are exact; restored samples are floats until they are rounded,
    and may differ from machine to machine by that. `only_check`: packets are parsed and nothing is
    restored. Raises `WrongModelError` where the model is missing, `MediaError`, `LimitError`."""

    def __init__(
        self,
        header: SequenceHeader,
        threads: int,
        models: Sequence[str | Path] = (),
        device: str = "cpu",
        only_check: bool = False,
    ) -> None:
        assert header.gvc1d_id is not None
        self._fmt, self._threads, self._device = header.format, threads, device
        self._model = find_pair(header.gvc1d_id, models)
        self._reader = LatentReader(open_entropy_model(header.format, self._model, device))
        self._restores = has_torch() and not only_check
        self.notes = [] if self._restores or only_check else [NOT_RESTORED]
        #: Packets read so far.
        self.packets = 0
        self._waiting: bytes | None = None
        #: Tokens by the number of the frame.
        self._latents: dict[int, Latent] = {}
        self._frames: FrameContext | None = None
        #: Frames without a packet that are still to be restored, and at what rate.
        self._run = self._rate = 0

    def restart(self) -> None:
        """Go on at a GOP. Frames that are not shown yet are dropped."""
        self._latents.clear()
        self._waiting = None

    def send(self, payload: bytes) -> None:
        """Take the packet of the next frame."""
        self._waiting = payload

    def send_frame(self, number: int, key: bool) -> None:
        """The packet of frame `number` (display order) came. Raises `DamagedStreamError`."""
        payload, self._waiting = self._waiting, None
        if key:
            self._reader.start_gop()
        if payload is not None:
            self._latents[number] = self._reader.read(payload)
            self.packets += 1

    def start_gop(self) -> None:
        """The next frame to be shown begins a GOP, or goes on from none that was restored."""
        self._run = 0
        if self._frames is not None:
            self._frames.forget()

    def restore(self, number: int, shown: Planes, base_frame: Planes) -> Planes:
        """The picture of frame `number`: `shown` where there is nothing to restore. Raises
        `MediaError` for files that are no model, `UsageError` for a device that is not there."""
        latent = self._latents.pop(number, None)
        if not self._restores:
            return shown
        if latent is not None:
            self._run, self._rate = latent.run, latent.rate
        elif not self._run:
            self.start_gop()
            return shown
        elif self._run < ENDLESS:
            self._run -= 1
        import torch

        if self._frames is None:
            self._frames = open_frames(self._fmt, self._model, self._threads, self._device)
        frames = self._frames
        with torch.inference_mode(), torch_threads(self._threads):
            context = frames.context(frames.picture(shown), frames.find_motion(base_frame))
            values = None if latent is None else latent.values
            tokens = token_tensor(values, frames.network, context, self._device)
            made, frames.state = frames.network.synthesise(tokens, context, self._rate)
            return frames.planes(made)
