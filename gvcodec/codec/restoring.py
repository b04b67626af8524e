"""LATENT packets in a decoder: which frame each belongs to, and that frame restored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gvcodec.bitstream import SequenceHeader
from gvcodec.errors import NOT_RESTORED
from gvcodec.gvc1d.codec import LatentReader, TokenRestorer, open_entropy_model
from gvcodec.gvc1d.files import find_pair
from gvcodec.gvc1d.payload import Latent
from gvcodec.painter.open import has_torch
from gvcodec.types import Planes


class Restoring:
    """Assigns the LATENT packets of one stream, in coding order, to frames in display order, and
    restores these frames. `only_check`: packets are parsed and nothing is restored. Raises
    `WrongModelError` where the model is missing, and torch where there is nothing else to show;
    `MediaError`, `LimitError`."""

    def __init__(
        self,
        header: SequenceHeader,
        threads: int,
        models: Sequence[str | Path] = (),
        device: str = "cpu",
        only_check: bool = False,
    ) -> None:
        assert header.gvc1d_id is not None
        model = find_pair(header.gvc1d_id, models)
        self._reader = LatentReader(open_entropy_model(header.format, model, device))
        self.notes: list[str] = []
        self._restorer: TokenRestorer | None = None
        if has_torch() and not only_check:
            self._restorer = TokenRestorer(header.format, model, threads, device)
        elif not only_check:
            self.notes.append(NOT_RESTORED)
        #: Packets read so far.
        self.packets = 0
        self._waiting: bytes | None = None
        #: Tokens by the number of the frame.
        self._frames: dict[int, Latent] = {}

    def restart(self) -> None:
        """Go on at a GOP. Frames that are not shown yet are dropped."""
        self._frames.clear()
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
            self._frames[number] = self._reader.read(payload)
            self.packets += 1

    def start_gop(self) -> None:
        """The next frame to be shown begins a GOP."""
        if self._restorer is not None:
            self._restorer.start_gop()

    def restore(self, number: int, shown: Planes, base_frame: Planes) -> Planes:
        """The picture of frame `number`."""
        latent = self._frames.pop(number, None)
        if self._restorer is None:
            return shown
        return self._restorer.restore(shown, base_frame, latent)
