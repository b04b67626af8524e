"""Which classes make and read a stream's base layer. They are imported on first use."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gvcodec.bases import base_of, loaded
from gvcodec.bitstream import SequenceHeader
from gvcodec.errors import WrongModelError
from gvcodec.models import find_model, model_id
from gvcodec.structure import StructureDecoder, StructureEncoder
from gvcodec.types import VideoFormat

if TYPE_CHECKING:
    from gvcodec.config import EncoderConfig


def check_settings() -> None:
    """Raises `UsageError` when $GVCODEC_CPU names nothing that this machine has."""
    from gvcodec import _core

    _core.cpu()


def structure_encoder(fmt: VideoFormat, config: EncoderConfig) -> StructureEncoder:
    """The encoder of a base. Raises `UsageError`."""
    made: StructureEncoder = loaded(base_of(config.base).encoder)(fmt, config)
    return made


def structure_decoder(
    header: SequenceHeader, threads: int, models: Sequence[str | Path] = (), low_delay: bool = False
) -> StructureDecoder:
    """Raises `WrongModelError` when the stream was made with a structure model that is not at
    hand."""
    base, model = base_of(header.base), None
    if base.torch and not has_torch():
        raise WrongModelError(f"base {base.name} is decoded by torch, which is not installed")
    if base.model:
        if header.structure_id is None:
            raise WrongModelError(
                f"the stream does not name the model of its {base.name} structure layer"
            )
        model = find_model(
            header.structure_id, f"the model of the {base.name} structure layer", models
        )
    made: StructureDecoder = loaded(base.decoder)(header, threads, low_delay, model)
    return made


def structure_id(base: str) -> bytes | None:
    """Eight bytes that name the structure layer's model; None for those that have none."""
    place = base_of(base).model
    return model_id(loaded(place)()) if place else None


def has_torch() -> bool:
    """Whether torch is there, which base tokens works with."""
    return importlib.util.find_spec("torch") is not None
