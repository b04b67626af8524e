"""The painter's part of an encode: strength, weights and tokens of each GOP, as `fit` packets.

source frames, packets, base frames ─► samples ─► finish ─► payloads by first frame of a GOP
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

from gvcodec.bitstream import Kind, Packet, SequenceHeader
from gvcodec.config import ResolvedConfig
from gvcodec.painter.paint_strength import set_all_strengths
from gvcodec.painter.payload_choice import FIT_NEEDS_TORCH, choose_payloads, has_torch
from gvcodec.painter.samples import FitSampler, Gop, part_limit
from gvcodec.painter.tokens.stage import TokenStage, add_tokens, search_obstacle, without_tokens
from gvcodec.types import Planes
from gvcodec.util.deprecation import warn_renamed


class FitProgress(Protocol):
    """Receives how far fitting is."""

    def fitted(self, share: float) -> None:
        """This part, 0…1, of the steps or the time of fitting is done."""
        ...

    def log_line(self, line: str) -> None:
        """A line of the outcome of fitting."""
        ...


def log_function(progress: FitProgress) -> Callable[[str], None]:
    """Its method for lines, which is called `say` in objects made for 1.0."""
    if not hasattr(progress, "log_line") and hasattr(progress, "say"):
        warn_renamed("progress.say", "progress.log_line")
        return cast("Callable[[str], None]", progress.say)
    return progress.log_line


class PainterStage:
    """The stage of one video. `payloads`: of `fit` packets, by the frame from which on they hold.
    Nothing happens in a file that is not painted."""

    def __init__(
        self,
        header: SequenceHeader,
        config: ResolvedConfig,
        payloads: Mapping[int, bytes] | None,
    ) -> None:
        """`payloads`: results of fitting in an earlier pass."""
        self._header, self._config = header, config
        self._notes: list[str] = []
        self._sampler: FitSampler | None = None
        self._tokens: TokenStage | None = None
        is_painted = header.painter_id is not None and config.look > 0
        if is_painted and config.chooses_strengths:
            if config.uses_fitting and not has_torch():
                self._notes.append(FIT_NEEDS_TORCH)
            if payloads is None:
                self._sampler = FitSampler(header.format, part_limit(config))
        if is_painted and config.uses_tokens:
            # Their bytes depend on the quality, so each pass finds its own.
            payloads = None if payloads is None else without_tokens(payloads)
            self._tokens = TokenStage(header, config, payloads)
            if config.tokens == "search" and (reason := search_obstacle(header.format)):
                self._notes.append(reason)
        self.payloads: Mapping[int, bytes] = payloads or {}
        if self._sampler is None and header.painter_id is not None:
            self.payloads = set_all_strengths(self.payloads, config.look)
        #: The last of them that was given out.
        self._current: bytes | None = None

    def take_notes(self) -> list[str]:
        """A line for everything left out since the last call."""
        notes, self._notes = self._notes, []
        return notes

    @property
    def is_waiting(self) -> bool:
        """Whether `finish` has something to choose."""
        return self._sampler is not None or self._tokens is not None

    def send_source(self, number: int, planes: Planes) -> None:
        """The next source frame."""
        for part in (self._sampler, self._tokens):
            if part is not None:
                part.send_source(number, planes)

    def send_packet(self, number: int, is_key: bool, size: int) -> None:
        """A coded frame of `size` bytes."""
        if self._tokens is not None:
            self._tokens.send_packet(number, is_key, size)

    def send_base(self, number: int, planes: Planes, size: int) -> None:
        """The next base frame; `size`: of its packet, 0 if unknown."""
        for part in (self._sampler, self._tokens):
            if part is not None:
                part.send_base(number, planes, size)

    def finish(self, gops: Sequence[Gop], frames: int, progress: FitProgress | None) -> None:
        """Choose the payloads of a video with these GOPs and this number of frames."""
        if self._sampler is not None:
            self._fit(self._sampler, gops, frames, progress if self._config.uses_fitting else None)
            self._sampler = None
        if self._tokens is not None:
            self.payloads = add_tokens(self.payloads, self._tokens.finish())
            self._tokens = None

    def _fit(
        self, sampler: FitSampler, gops: Sequence[Gop], frames: int, progress: FitProgress | None
    ) -> None:
        """Choose the painter's strength for each GOP, and weights where they are asked for."""
        if progress is not None:
            progress.fitted(0.0)
        self.payloads, reason = choose_payloads(
            sampler.parts(list(gops), frames),
            self._header,
            self._config,
            None if progress is None else log_function(progress),
            None if progress is None else progress.fitted,
        )
        if reason:
            self._notes.append(reason)

    def next_packet(self, first: int) -> Packet | None:
        """The `fit` packet of the GOP whose first frame has this number, unless its payload is in
        force already."""
        earlier = (frame for frame in self.payloads if frame <= first)
        payload = self.payloads.get(max(earlier, default=-1))
        if payload is None or payload == self._current:
            return None
        self._current = payload
        return Packet(Kind.FIT, payload)
