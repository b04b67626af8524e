"""Chooses the painter of an encode, and runs fitting; only fitting imports torch."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from gvcodec.bases import base_of
from gvcodec.bitstream import SequenceHeader
from gvcodec.errors import INSTALL_TORCH, WrongModelError
from gvcodec.models import model_id, painter_of
from gvcodec.painter.model import Model, condition, rate
from gvcodec.painter.strength import choose_strengths
from gvcodec.util.torch_settings import default_torch_settings

if TYPE_CHECKING:
    from gvcodec.config import EncoderConfig
    from gvcodec.painter.samples import Part

#: Why there is no fit where torch is missing.
FIT_NEEDS_TORCH = f"painted, but not fitted to this video: torch is not installed ({INSTALL_TORCH})"


def has_torch() -> bool:
    """Whether torch is installed: fitting and searches need it, painting does not."""
    return importlib.util.find_spec("torch") is not None


def painter_id(config: EncoderConfig) -> tuple[bytes | None, str]:
    """First 8 bytes of the SHA-256 of the painter's file, or None and why nothing is painted (""
    where that is asked for, or the base has no painter)."""
    if config.painter == "off" or base_of(config.base).slot is None:
        return None, ""
    try:
        return model_id(painter_of(config.uses_tokens).find()), ""
    except WrongModelError as error:
        return None, f"not painted: {error}"


@default_torch_settings()
def choose_payloads(
    parts: Sequence[Part],
    header: SequenceHeader,
    config: EncoderConfig,
    progress: Callable[[str], None] | None,
    report_share: Callable[[float], None] | None = None,
) -> tuple[dict[int, bytes], str]:
    """Payloads of `fit` packets by the frame from which on they are in force, or none and why.
    Parts share the steps; where the first gains nothing the others are not fitted. GOPs that would
    flicker are painted less strongly (`choose_strengths`), without steps of fitting too. `progress`
    takes lines on the outcome, `report_share` the finished share, 0…1."""
    fmt, base, scale, q = header.format, header.base, header.scale, header.base_q
    fitted: dict[int, bytes] = {}
    note = ""
    if config.uses_fitting and has_torch():
        fitted, note = _fit(parts, header, config, progress, report_share)
    payloads = choose_strengths(
        Model.load(painter_of(config.uses_tokens).find()),
        condition(base, scale, q),
        parts,
        fitted,
        (fmt.width, fmt.height),
        config.look,
    )
    return payloads, "" if payloads else note


def _fit(
    parts: Sequence[Part],
    header: SequenceHeader,
    config: EncoderConfig,
    progress: Callable[[str], None] | None,
    report_share: Callable[[float], None] | None,
) -> tuple[dict[int, bytes], str]:
    """`choose_payloads` without strengths."""
    from gvcodec.painter.fitting.fit import fit

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
                max(1, config.fit_step_count // len(parts)),
                progress=progress,
                report_share=report_share
                and partial(_report_share, report_share, number - 1, len(parts)),
                stream_bytes=part.size,
                before=before,
                leader=config.fit_by,
                device=config.device,
                frame_condition=[
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


def _report_share(
    report_share: Callable[[float], None], before: int, parts: int, share: float
) -> None:
    report_share((before + share) / parts)
