"""Base gvc1d: GVC1D's integer loop as a base layer. Base frames are exact on every machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gvcodec.base import BaseDecoder, BaseEncoder
from gvcodec.entropy.streams import backend_of
from gvcodec.errors import MediaError
from gvcodec.gvc1d.model_file import read_loop
from gvcodec.models import GVC1D

if TYPE_CHECKING:
    from gvcodec.bitstream import SequenceHeader
    from gvcodec.config import Settled
    from gvcodec.types import VideoFormat


def choose_model(given: str) -> Path:
    """See `gvcodec.layers`. Raises `MediaError`, `NewerModelError`."""
    if given and not Path(given).is_file():
        raise MediaError(f"{given}: no such model file")
    path = Path(given) if given else GVC1D.find()
    read_loop(path)
    return path


def base_encoder(fmt: VideoFormat, config: Settled) -> BaseEncoder:
    """See `gvcodec.layers`. Raises `UsageError` where torch is missing."""
    from gvcodec.base.gvc1d.encoder import Gvc1dEncoder

    return Gvc1dEncoder(
        fmt,
        config.base_q,
        config.keyint,
        config.threads,
        choose_model(config.model),
        config.device,
        backend_of(config.device),
    )


def base_decoder(
    header: SequenceHeader, threads: int, low_delay: bool, model: Path | None
) -> BaseDecoder:
    """See `gvcodec.layers`."""
    from gvcodec.base.gvc1d.decoder import Gvc1dDecoder

    assert model is not None
    return Gvc1dDecoder(header.format, model, threads)
