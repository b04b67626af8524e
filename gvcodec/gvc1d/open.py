"""Opens encoder and decoder of base gvc1d, and chooses its network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gvcodec.base import BaseDecoder, BaseEncoder
from gvcodec.errors import MediaError
from gvcodec.gvc1d.base_codec import Gvc1dDecoder, Gvc1dEncoder
from gvcodec.gvc1d.budgets import make_budget
from gvcodec.gvc1d.weights import read_network
from gvcodec.models import GVC1D

if TYPE_CHECKING:
    from gvcodec.bitstream import SequenceHeader
    from gvcodec.config import ResolvedConfig
    from gvcodec.types import VideoFormat


def choose_model(name: str) -> Path:
    """See `gvcodec.base`. Raises `MediaError`, `NewerModelError`."""
    if name and not Path(name).is_file():
        raise MediaError(f"{name}: no such model file")
    path = Path(name) if name else GVC1D.find()
    read_network(path)
    return path


def base_encoder(fmt: VideoFormat, config: ResolvedConfig) -> BaseEncoder:
    """See `gvcodec.base`."""
    settings = fmt, config.base_q, config.keyint, config.threads, choose_model(config.model)
    return Gvc1dEncoder(*settings, make_budget(config.alloc, config.token_share))


def base_decoder(
    header: SequenceHeader, threads: int, low_delay: bool, model: Path | None
) -> BaseDecoder:
    """See `gvcodec.base`."""
    assert model is not None
    return Gvc1dDecoder(header.format, model, threads)
