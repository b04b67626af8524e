"""Opens the encoder and the decoder of each base: the only way to a base's functions.

A base's module (`gvcodec.bases.Base.module`) is imported on first use, so a stream loads the
libraries of its own base only.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from gvcodec.base import BaseDecoder, BaseEncoder, OnDevice
from gvcodec.bases import base_of
from gvcodec.errors import UsageError, WrongModelError
from gvcodec.models import find_model, model_id, offer_model

if TYPE_CHECKING:
    from gvcodec.bitstream import SequenceHeader
    from gvcodec.config import EncoderConfig, Settled
    from gvcodec.types import VideoFormat


class BaseModule(Protocol):
    """The module of a base. Where the base has a model, `choose_model(given: str) -> Path` is the
    one to encode with: `given`, or the shipped one; it raises `MediaError` for another file.
    `codes_tokens(given: str) -> bool`, where there is one: whether frames become tokens of floats'
    networks (`HashesTokens`)."""

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
    if hasattr(module, "choose_model"):
        if header.base_model_id is None:
            raise WrongModelError(f"the stream does not name the model of its {name} base layer")
        model = find_model(header.base_model_id, f"the model of the {name} base layer", models)
    made = module.base_decoder(header, threads, low_delay, model)
    if isinstance(made, OnDevice):
        made.to_device(device)
    return made


def base_model_id(config: EncoderConfig) -> bytes | None:
    """Eight bytes that name the model that `config` encodes with; None for a base that has none.
    What the encoder decodes to check and to paint finds it from now on. Raises `UsageError`,
    `MediaError`."""
    choose = getattr(_module_of(config.base), "choose_model", None)
    if choose is None:
        if config.model:
            raise UsageError(f"model is for base gvc1d: base {config.base} has none")
        return None
    path: Path = choose(config.model)
    offer_model(path)
    return model_id(path)


def codes_tokens(config: EncoderConfig) -> bool:
    """Whether `config` encodes by a model of GVC1D's paper form. Raises `UsageError`,
    `MediaError`."""
    codes = getattr(_module_of(config.base), "codes_tokens", None)
    return codes is not None and bool(codes(config.model))


def _module_of(name: str) -> BaseModule:
    return cast(BaseModule, import_module(base_of(name).module))
