"""Opens the painter for encoder and decoder, runs fitting and finds tokens; fitting and searches
alone import torch."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from gvcodec.bases import base_of
from gvcodec.bitstream import SequenceHeader
from gvcodec.config import EncoderConfig
from gvcodec.errors import INSTALL_TORCH, WrongModelError
from gvcodec.models import brought_along, find_model, model_id, painter_of
from gvcodec.painter.fit_samples import Part
from gvcodec.painter.look import turned
from gvcodec.painter.model import Model, condition, rate
from gvcodec.painter.payload import BASE, IDENTITY, Beside, join, split
from gvcodec.painter.steady import steady
from gvcodec.painter.token_encoder import EncodedTokens
from gvcodec.painter.token_samples import MOST_SEARCHED, GopSample, TokenSampler
from gvcodec.painter.video import VideoPainter
from gvcodec.types import Planes, VideoFormat
from gvcodec.util.torch_settings import usual_torch

#: Why tokens are not searched.
TOO_LARGE = f"tokens are tried, not searched: pictures have more than {MOST_SEARCHED} samples"
NOT_SEARCHED = f"tokens are tried, not searched: torch is not installed ({INSTALL_TORCH})"
#: Why there is no fit where torch is missing.
NOT_FITTED = f"painted, but not fitted to this video: torch is not installed ({INSTALL_TORCH})"
#: What error messages call the file that a stream names.
PAINTER_OF_STREAM = "the painter of this stream"


def has_torch() -> bool:
    """Whether torch is installed: fitting and searches need it, painting does not."""
    return importlib.util.find_spec("torch") is not None


def painter_id(config: EncoderConfig, paper_form: bool = False) -> tuple[bytes | None, str]:
    """First 8 bytes of the SHA-256 of the painter's file, or None and why nothing is painted (""
    where that is asked for, or the base has no painter). `paper_form`: pictures are floats."""
    if config.painter == "off" or base_of(config.base).slot is None:
        return None, ""
    if paper_form:
        return None, "not painted: pictures of the paper's form are floats, painting is exact"
    try:
        return model_id(painter_of(config.base, config.steers).find()), ""
    except WrongModelError as error:
        return None, f"not painted: {error}"


def open_painter(
    header: SequenceHeader,
    threads: int,
    models: Sequence[str | Path] = (),
    look: int | None = None,
    steers: bool = True,
) -> VideoPainter:
    """The painter of a stream; `threads` 0 = all cores; `look`: 0…100 instead of what the file
    says; without `steers` its tokens are left aside. Raises `WrongModelError` when the stream
    has none or its file is not found, `MediaError` for a file that is no painter."""
    if header.painter_id is None:
        raise WrongModelError("the stream has no painter")
    checkpoint = find_model(header.painter_id, PAINTER_OF_STREAM, models)
    stream = header.format, header.base, header.scale, header.base_q
    with brought_along(checkpoint):
        return VideoPainter(*stream, checkpoint, threads or os.cpu_count() or 1, look, steers)


def paints_exactly(header: SequenceHeader) -> bool:
    """Whether painted samples are the same on every machine: they are where the base's are."""
    return header.painter_id is not None


@usual_torch()
def fit_parts(
    parts: Sequence[Part],
    header: SequenceHeader,
    config: EncoderConfig,
    progress: Callable[[str], None] | None,
    done: Callable[[float], None] | None = None,
) -> tuple[dict[int, bytes], str]:
    """Payloads of `fit` packets by the frame from which on they are in force, or none and why.
    Parts share the steps; where the first gains nothing the others are not fitted. GOPs that would
    flicker are painted less strongly (`steady`), without steps of fitting too. `progress` takes
    lines on what is found, `done` the share, 0…1, of all that is done."""
    fmt, base, scale, q = header.format, header.base, header.scale, header.base_q
    fitted: dict[int, bytes] = {}
    note = ""
    if config.fits and has_torch():
        fitted, note = _fit(parts, header, config, progress, done)
    payloads = steady(
        Model.load(painter_of(base, config.steers).find()),
        condition(base, scale, q),
        parts,
        fitted,
        (fmt.width, fmt.height),
        config.look,
    )
    return payloads, "" if payloads else note


class TokenStage:
    """Finds tokens for each GOP of a video once its base frames are there; `finish` gives their
    bytes by the GOP's first frame, None where they do not pay. `chosen`: payloads by the frame from
    which on they hold, where an earlier pass has chosen them.

    Raises `WrongModelError` where the painter or the network that judges is missing, `UsageError`
    for a device that is not there."""

    def __init__(
        self,
        header: SequenceHeader,
        config: EncoderConfig,
        chosen: Mapping[int, bytes] | None = None,
    ) -> None:
        self._find = _finder(header, config)
        self._chosen, self._look = chosen, config.look
        self._sampler = TokenSampler()
        self._sizes: dict[int, int] = {}
        self._first = 0
        self._found: dict[int, bytes | None] = {}

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
            self._take(gop)

    def finish(self) -> dict[int, bytes | None]:
        """After the last frame."""
        for gop in self._sampler.finish():
            self._take(gop)
        return self._found

    @usual_torch()
    def _take(self, gop: GopSample) -> None:
        if self._chosen is not None:
            before = [frame for frame in self._chosen if frame <= gop.first]
            _, beside = split(self._chosen[max(before)] if before else BASE)
            gop.strength = turned(beside.strength, self._look)
        self._found[gop.first] = self._find(gop, self._sizes.get(gop.first, 0))


def why_not_searched(fmt: VideoFormat) -> str:
    """Why tokens of such a video would be tried instead of searched, or nothing."""
    if fmt.width * fmt.height > MOST_SEARCHED:
        return TOO_LARGE
    return "" if has_torch() else NOT_SEARCHED


def _finder(
    header: SequenceHeader, config: EncoderConfig
) -> Callable[[GopSample, int], bytes | None]:
    """What gives the bytes of a GOP's tokens."""
    stream = header.format, header.base, header.scale, header.base_q, config.look, config.steadies
    threads = config.threads or os.cpu_count() or 1
    if config.tokens == "search" and not why_not_searched(header.format):
        from gvcodec.painter.token_search import TokenSearch

        return TokenSearch(*stream, threads, config.device).find
    return EncodedTokens(*stream, threads).find


def without_tokens(payloads: Mapping[int, bytes]) -> dict[int, bytes]:
    """Payloads of `fit` packets, and of GOPs, but for tokens."""
    found = {}
    for first, payload in payloads.items():
        weights, beside = split(payload)
        found[first] = payload if weights == IDENTITY else join(weights, Beside(beside.strength))
    return found


def add_tokens(
    payloads: Mapping[int, bytes], tokens: Mapping[int, bytes | None]
) -> dict[int, bytes]:
    """Payloads of `fit` packets by the frame from which on they hold, with tokens by the first
    frame of each GOP (None: it has none)."""
    joined, weights = dict(payloads), BASE
    for first, coded in sorted(tokens.items()):
        before = [frame for frame in payloads if frame <= first]
        weights = payloads[max(before)] if before else BASE
        plain, beside = split(weights)
        if weights != IDENTITY and coded is not None:
            weights = join(plain, replace(beside, tokens=coded))
        joined[first] = weights
    return joined


def _fit(
    parts: Sequence[Part],
    header: SequenceHeader,
    config: EncoderConfig,
    progress: Callable[[str], None] | None,
    done: Callable[[float], None] | None,
) -> tuple[dict[int, bytes], str]:
    """As `fit_parts`, strengths left out."""
    from gvcodec.painter.fit import fit

    fitted: dict[int, bytes] = {}
    before: bytes | None = None
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        for number, part in enumerate(parts, 1):
            if progress and len(parts) > 1:
                progress(f"fitting: part {number} of {len(parts)}, from frame {part.first}")
            payload = fit(
                part.samples,
                header.format,
                header.base,
                header.scale,
                header.base_q,
                max(1, config.steps // len(parts)),
                progress=progress,
                done=done and partial(_of_all, done, number - 1, len(parts)),
                stream_bytes=part.size,
                before=before,
                leader=config.fit_by,
                device=config.device,
                own=[
                    [rate(size, header.format.width, header.format.height) for size in run]
                    for run in part.sizes
                ],
            )
            if payload is not None:
                fitted[part.first] = before = payload
            elif number == 1 and not raised:
                break  # the shipped weights do as well
    reasons = [
        str(warning.message) for warning in raised if issubclass(warning.category, UserWarning)
    ]
    return fitted, next(iter(reasons), "fitting does not pay for this video, it is left out")


def _of_all(done: Callable[[float], None], before: int, parts: int, share: float) -> None:
    done((before + share) / parts)
