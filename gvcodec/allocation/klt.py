"""The `klt` encoder with what steers it: pace of the frames, a decoder's buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gvcodec.structure import StructureEncoder
from gvcodec.structure.klt.codec import open_encoder
from gvcodec.types import VideoFormat

if TYPE_CHECKING:
    from gvcodec.config import EncoderConfig
    from gvcodec.structure.klt.codec import Pace


def klt_encoder(
    fmt: VideoFormat, config: EncoderConfig, pace: Pace | None = None
) -> StructureEncoder:
    """`pace` goes before the buffer that `config.maxrate` asks for. Raises `UsageError`."""
    from gvcodec.allocation.buffer import Announcing, BufferPace

    limit, config = None, config.settled()
    assert config.base_q is not None
    if config.maxrate and pace is None:
        bufsize = config.bufsize or config.maxrate
        pace = limit = BufferPace(config.base_q, config.maxrate, bufsize, float(fmt.frame_rate))
    encoder = open_encoder(
        fmt,
        config.base_q,
        config.keyint,
        config.low_delay,
        config.threads,
        pace,
    )
    return Announcing(encoder, limit) if limit is not None else encoder
