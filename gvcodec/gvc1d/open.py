"""Opens encoder and decoder of base gvc1d: the learned integer loop, whose base frames are exact on
every machine, or, with a model of the paper's form (`paper`), tokens that are exact and frames of
floats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gvcodec.base import BaseDecoder, BaseEncoder
from gvcodec.entropy.streams import backend_of
from gvcodec.errors import MediaError
from gvcodec.gvc1d.model_file import read_loop
from gvcodec.gvc1d.paper.weights import FORM, need_torch, read_tables
from gvcodec.models import GVC1D, form_of, report_embedded_damage

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
        read_tables(path)
    else:
        read_loop(path)
    return path


def uses_paper_form(given: str) -> bool:
    """See `gvcodec.base`. Raises `MediaError`."""
    return form_of(choose_model(given)) == FORM


def base_encoder(fmt: VideoFormat, config: ResolvedConfig) -> BaseEncoder:
    """See `gvcodec.base`. Raises `UsageError` where torch is missing."""
    model = choose_model(config.model)
    settings = fmt, config.base_q, config.keyint, config.threads, model, config.device
    if form_of(model) == FORM:
        need_torch("encodes")
        from gvcodec.gvc1d.paper.loop import PaperEncoder

        return PaperEncoder(*settings)
    from gvcodec.gvc1d.encoder import Gvc1dEncoder

    return Gvc1dEncoder(*settings, backend_of(config.device))


def base_decoder(
    header: SequenceHeader, threads: int, low_delay: bool, model: Path | None
) -> BaseDecoder:
    """See `gvcodec.base`."""
    assert model is not None
    if header.paper_form:
        with report_embedded_damage(model):
            read_tables(model)
        need_torch("decodes")
        from gvcodec.gvc1d.paper.loop import PaperDecoder

        return PaperDecoder(header.format, model, threads)
    from gvcodec.gvc1d.decoder import Gvc1dDecoder

    return Gvc1dDecoder(header.format, model, threads)
