"""Opens the encoder and the decoder of each base: the only way to a base's functions.

A base's module (`gvcodec.bases.Base.module`) is imported on first use, so a stream loads the
libraries of its own base only.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from gvcodec.base import BaseDecoder, BaseEncoder, FrameRestorer, OnDevice
from gvcodec.bases import base_of
from gvcodec.errors import WrongModelError
from gvcodec.models import WeightFile, find_model, model_id

if TYPE_CHECKING:
    from gvcodec.bitstream import SequenceHeader
    from gvcodec.config import Settled
    from gvcodec.types import VideoFormat


class BaseModule(Protocol):
    """The module of a base; with `WEIGHTS: WeightFile` where the base has a model."""

    def base_encoder(self, fmt: VideoFormat, config: Settled) -> BaseEncoder: ...

    def base_decoder(
        self, header: SequenceHeader, threads: int, low_delay: bool, model: Path | None
    ) -> BaseDecoder:
        """`threads` 0 = all cores."""
        ...


def check_settings() -> None:
    """Raises `UsageError` when $GVCODEC_CPU names nothing that this machine has."""
    from gvcodec import _core

    _core.cpu()


def open_encoder(fmt: VideoFormat, config: Settled) -> BaseEncoder:
    """The encoder of `config.base`. Raises `UsageError`."""
    return _module_of(config.base).base_encoder(fmt, config)


def open_decoder(
    header: SequenceHeader,
    threads: int,
    models: Sequence[str | Path] = (),
    low_delay: bool = False,
    device: str = "cpu",
) -> BaseDecoder:
    """The decoder of a stream's base; `models` are files and folders to look for its model in,
    `device` is where the base's entropy coder runs. Raises `WrongModelError` when that model is
    missing."""
    name, model = header.base, None
    module = _module_of(name)
    if hasattr(module, "WEIGHTS"):
        if header.base_model_id is None:
            raise WrongModelError(f"the stream does not name the model of its {name} base layer")
        model = find_model(header.base_model_id, f"the model of the {name} base layer", models)
    made = module.base_decoder(header, threads, low_delay, model)
    if isinstance(made, OnDevice):
        made.to_device(device)
    return made


def open_restorer(
    name: str, decoder: BaseDecoder, threads: int, device: str
) -> FrameRestorer | None:
    """What shows a base's frames, None for a base that shows base frames. Raises `ImportError`
    where torch is missing."""
    make = getattr(_module_of(name), "restorer", None)
    return make(decoder, threads, device) if make else None


def base_model_id(name: str) -> bytes | None:
    """Eight bytes that name the base's model; None for a base that has none."""
    weights: WeightFile | None = getattr(_module_of(name), "WEIGHTS", None)
    return None if weights is None else model_id(weights.find())


def _module_of(name: str) -> BaseModule:
    return cast(BaseModule, import_module(base_of(name).module))
