"""The painter's part of an encode: strength and tokens of each GOP, as `fit` packets.

source frames, packets, base frames ─► samples ─► finish ─► payloads by first frame of a GOP
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gvcodec.bases import base_of
from gvcodec.bitstream import Kind, Packet, SequenceHeader
from gvcodec.config import EncoderConfig, ResolvedConfig
from gvcodec.errors import WrongModelError
from gvcodec.models import model_id, painter_of
from gvcodec.painter.model import Model, condition
from gvcodec.painter.paint_strength import set_all_strengths
from gvcodec.painter.samples import ClipSampler, Gop, Part
from gvcodec.painter.strength import choose_strengths
from gvcodec.painter.tokens.stage import TokenStage, add_tokens, search_obstacle, without_tokens
from gvcodec.types import Planes


def painter_id(config: EncoderConfig) -> tuple[bytes | None, str]:
    """First 8 bytes of the SHA-256 of the painter's file, or None and why nothing is painted ("" if
    that is asked for, or the base has no painter)."""
    if config.painter == "off" or base_of(config.base).slot is None:
        return None, ""
    try:
        return model_id(painter_of(config.uses_tokens).find()), ""
    except WrongModelError as error:
        return None, f"not painted: {error}"


class PainterStage:
    """The stage of one video. `payloads`: of `fit` packets, by the frame from which on they hold.
    Nothing happens in a file that is not painted."""

    def __init__(
        self,
        header: SequenceHeader,
        config: ResolvedConfig,
        payloads: Mapping[int, bytes] | None,
    ) -> None:
        """`payloads`: those of an earlier pass."""
        self._header, self._config = header, config
        self._notes: list[str] = []
        self._sampler: ClipSampler | None = None
        self._tokens: TokenStage | None = None
        is_painted = header.painter_id is not None and config.look > 0
        if is_painted and config.chooses_strengths and payloads is None:
            self._sampler = ClipSampler(header.format)
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

    def finish(self, gops: Sequence[Gop], frames: int) -> None:
        """Choose the payloads of a video with these GOPs and this number of frames."""
        if self._sampler is not None:
            self.payloads = self._choose_strengths(self._sampler.parts(list(gops), frames))
            self._sampler = None
        if self._tokens is not None:
            self.payloads = add_tokens(self.payloads, self._tokens.finish())
            self._tokens = None

    def _choose_strengths(self, parts: Sequence[Part]) -> dict[int, bytes]:
        header, config = self._header, self._config
        return choose_strengths(
            Model.load(painter_of(config.uses_tokens).find()),
            condition(header.base, header.scale, header.base_q),
            parts,
            (header.format.width, header.format.height),
            config.look,
        )

    def next_packet(self, first: int) -> Packet | None:
        """The `fit` packet of the GOP whose first frame has this number, unless its payload is in
        force already."""
        earlier = (frame for frame in self.payloads if frame <= first)
        payload = self.payloads.get(max(earlier, default=-1))
        if payload is None or payload == self._current:
            return None
        self._current = payload
        return Packet(Kind.FIT, payload)
