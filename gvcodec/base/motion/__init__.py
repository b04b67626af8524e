"""Base motion: standard pictures, and between them frames as trees of motion steps, in integers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gvcodec.base import BaseDecoder, BaseEncoder
from gvcodec.entropy.streams import backend_of
from gvcodec.models import MOTION

if TYPE_CHECKING:
    from gvcodec.bitstream import SequenceHeader
    from gvcodec.config import Settled
    from gvcodec.types import VideoFormat

#: Its model, see `gvcodec.layers`.
WEIGHTS = MOTION


def base_encoder(fmt: VideoFormat, config: Settled) -> BaseEncoder:
    """See `gvcodec.layers`."""
    from gvcodec.base.motion.encoder import AHEAD, MotionEncoder

    ahead = 0 if config.low_delay else AHEAD
    return MotionEncoder(
        fmt,
        config.base_q,
        config.keyint,
        config.threads,
        scale=config.scale,
        ahead=ahead,
        backend=backend_of(config.device),
        alloc=config.alloc,
    )


def base_decoder(
    header: SequenceHeader, threads: int, low_delay: bool, model: Path | None
) -> BaseDecoder:
    """See `gvcodec.layers`."""
    from gvcodec.base.motion.decoder import MotionDecoder

    assert model is not None
    return MotionDecoder(header.format, threads, model, header.scale)
