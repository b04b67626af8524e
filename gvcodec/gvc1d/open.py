"""Opens encoder and decoder of base gvc1d: GVC1D's network (`base_codec`), or the learned transform
of release 1.0 (`encoder`, `decoder`), as the model's form and the header say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gvcodec.base import BaseDecoder, BaseEncoder
from gvcodec.entropy.streams import backend_of
from gvcodec.errors import MediaError, UsageError
from gvcodec.gvc1d.budgets import make_budget
from gvcodec.gvc1d.model_file import read_loop
from gvcodec.gvc1d.weights import FORM, read_network
from gvcodec.models import GVC1D, form_of

if TYPE_CHECKING:
    from gvcodec.bitstream import SequenceHeader
    from gvcodec.config import ResolvedConfig
    from gvcodec.types import VideoFormat


def choose_model(given: str) -> Path:
    """See `gvcodec.base`. Raises `MediaError`, `NewerModelError`."""
    if given and not Path(given).is_file():
        raise MediaError(f"{given}: no such model file")
    path = Path(given) if given else GVC1D.find()
    if form_of(path) == FORM:
        read_network(path)
    else:
        read_loop(path)
    return path


def uses_network(given: str) -> bool:
    """See `gvcodec.base`. Raises `MediaError`."""
    return form_of(choose_model(given)) == FORM


def base_encoder(fmt: VideoFormat, config: ResolvedConfig) -> BaseEncoder:
    """See `gvcodec.base`. Raises `UsageError` where torch is missing for the transform."""
    model = choose_model(config.model)
    settings = fmt, config.base_q, config.keyint, config.threads, model
    if form_of(model) == FORM:
        from gvcodec.gvc1d import base_codec

        return base_codec.Gvc1dEncoder(*settings, make_budget(config.alloc, config.token_share))
    if config.alloc not in ("", "uniform") or config.token_share < 1:
        raise UsageError("the learned transform of base gvc1d has no budgets of tokens")
    from gvcodec.gvc1d.encoder import Gvc1dEncoder

    return Gvc1dEncoder(*settings, config.device, backend_of(config.device))


def base_decoder(
    header: SequenceHeader, threads: int, low_delay: bool, model: Path | None
) -> BaseDecoder:
    """See `gvcodec.base`."""
    assert model is not None
    if header.uses_network:
        from gvcodec.gvc1d import base_codec

        return base_codec.Gvc1dDecoder(header.format, model, threads)
    from gvcodec.gvc1d.decoder import Gvc1dDecoder

    return Gvc1dDecoder(header.format, model, threads)
