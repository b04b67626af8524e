"""The encoder's token stage: frames go in; tokens of each GOP come out and join strengths in `fit`
packets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol

from gvcodec.bitstream import SequenceHeader
from gvcodec.config import EncoderConfig
from gvcodec.errors import INSTALL_TORCH
from gvcodec.painter.model import Strength
from gvcodec.painter.paint_strength import with_look
from gvcodec.painter.payload import (
    BASE,
    IDENTITY,
    FitExtras,
    join_extras,
    split_extras,
)
from gvcodec.painter.tokens.encoder import EncodedTokens
from gvcodec.painter.tokens.samples import MAX_SEARCHED_SAMPLES, GopSample, TokenSampler
from gvcodec.painter.unpainted_regions import Regions, pack_regions
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.process import count_cores, keep_large_blocks, map_large_blocks, return_memory
from gvcodec.util.torch_settings import default_torch_settings, has_torch

#: Why tokens are not searched.
TOO_LARGE_TO_SEARCH = (
    f"tokens are tried, not searched: pictures have more than {MAX_SEARCHED_SAMPLES} samples"
)
SEARCH_NEEDS_TORCH = f"tokens are tried, not searched: torch is not installed ({INSTALL_TORCH})"


class GopTokens(NamedTuple):
    """Result of a GOP: bytes of tokens, None if they do not pay; its regions that are
    not painted, and the strength at which the others are, None if it is too short to tell."""

    tokens: bytes | None
    unpainted_regions: Regions | None
    strength: Strength | None


class TokenStage:
    """Finds tokens, and regions that are not painted, for each GOP of a video once its base frames
    are there; `finish` gives them by the GOP's first frame. `payloads`: those that an earlier pass
    has chosen, by the frame from which on they hold.

    Raises `WrongModelError` if the painter or the metric's network is missing, `UsageError`
    for a device that is not there."""

    def __init__(
        self,
        header: SequenceHeader,
        config: EncoderConfig,
        payloads: Mapping[int, bytes] | None = None,
    ) -> None:
        self._finder = _open_finder(header, config)
        self._payloads, self._paint_strength = payloads, config.look
        self._sampler = TokenSampler()
        self._sizes: dict[int, int] = {}
        self._first = 0
        self._tokens: dict[int, GopTokens] = {}

    def send_source(self, number: int, planes: Planes) -> None:
        """The next frame."""
        self._sampler.send_source(number, planes)

    def send_packet(self, number: int, keyframe: bool, size: int) -> None:
        """The packet of a frame, before its base frame."""
        if keyframe:
            self._first = number
            self._sampler.start_gop(number)
        self._sizes[self._first] = self._sizes.get(self._first, 0) + size

    def send_base(self, number: int, planes: Planes, size: int) -> None:
        """The base frame of a number, `size` bytes of its packet or 0."""
        for gop in self._sampler.send_base(number, planes, size):
            # The metric allocates and frees maps while encoders hold long-lived blocks.
            keep_large_blocks()
            self._find_tokens(gop)
            map_large_blocks()
            return_memory()

    def finish(self) -> dict[int, GopTokens]:
        """After the last frame."""
        for gop in self._sampler.finish():
            self._find_tokens(gop)
        return self._tokens

    @default_torch_settings()
    def _find_tokens(self, gop: GopSample) -> None:
        if self._payloads is not None:
            before = [frame for frame in self._payloads if frame <= gop.first]
            _, extras = split_extras(self._payloads[max(before)] if before else BASE)
            gop.strength = with_look(extras.strength, self._paint_strength)
        self._finder.prepare(gop)
        tokens = self._finder.find(gop, self._sizes.get(gop.first, 0))
        self._tokens[gop.first] = GopTokens(tokens, gop.unpainted_regions, gop.strength)


def search_obstacle(fmt: VideoFormat) -> str:
    """Why tokens of such a video would be tried instead of searched, or nothing."""
    if fmt.width * fmt.height > MAX_SEARCHED_SAMPLES:
        return TOO_LARGE_TO_SEARCH
    return "" if has_torch() else SEARCH_NEEDS_TORCH


class Finder(Protocol):
    """Chooses the strength and the regions of a GOP, then finds its tokens."""

    def prepare(self, sample: GopSample) -> None:
        """Sets `strength` and `unpainted_regions` of the sample, if it has runs."""
        ...

    def find(self, sample: GopSample, size: int) -> bytes | None:
        """Bytes of tokens for a GOP of `size` bytes, None if they do not pay."""
        ...


def _open_finder(header: SequenceHeader, config: EncoderConfig) -> Finder:
    """The finder of tokens that the configuration names."""
    stream = (
        header.format,
        header.base,
        header.scale,
        header.base_q,
        config.look,
        config.chooses_strengths,
    )
    threads = config.threads or count_cores()
    if config.tokens == "search" and not search_obstacle(header.format):
        from gvcodec.painter.tokens.search import TokenSearch

        return TokenSearch(*stream, threads, config.device)
    return EncodedTokens(*stream, threads)


def without_tokens(payloads: Mapping[int, bytes]) -> dict[int, bytes]:
    """Payloads of `fit` packets, and of GOPs, except for tokens."""
    result = {}
    for first, payload in payloads.items():
        weights, extras = split_extras(payload)
        result[first] = (
            payload if weights == IDENTITY else join_extras(weights, FitExtras(extras.strength))
        )
    return result


def add_tokens(payloads: Mapping[int, bytes], tokens: Mapping[int, GopTokens]) -> dict[int, bytes]:
    """Payloads of `fit` packets by the frame from which on they hold, with the tokens of each GOP
    by its first frame. A GOP that is too short has the strength of the previous one."""
    result, strength = dict(payloads), None
    for first, gop in sorted(tokens.items()):
        before = [frame for frame in payloads if frame <= first]
        payload = payloads[max(before)] if before else BASE
        strength = gop.strength or strength
        result[first] = _join(payload, gop._replace(strength=strength))
    return result


def _join(payload: bytes, gop: GopTokens) -> bytes:
    """The payload of a GOP. Where only some regions have the texture of a slide, the others are
    painted, even if an earlier pass decided otherwise for the whole picture."""
    regions = gop.unpainted_regions
    share = 0.0 if regions is None else float(regions.mean())
    if share == 1 or (payload == IDENTITY and share == 0):
        return IDENTITY
    weights, extras = split_extras(BASE if payload == IDENTITY else payload)
    if gop.strength is not None:
        extras = replace(extras, strength=gop.strength)
    if regions is not None and share > 0:
        extras = replace(extras, unpainted_regions=pack_regions(regions))
    if gop.tokens is not None:
        extras = replace(extras, tokens=gop.tokens)
    return join_extras(weights, extras)
