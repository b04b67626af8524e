"""What encodes and decodes each base: the registry of its functions, and their one way in.

Each function imports its base on first use, so a stream loads the libraries of its own base only.
Facts about bases (wire numbers, limits) are in `gvcodec.bases`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gvcodec.base import BaseDecoder, BaseEncoder, OnDevice
from gvcodec.errors import UsageError, WrongModelError
from gvcodec.util.models import find_model, model_id

if TYPE_CHECKING:
    from gvcodec.bitstream import SequenceHeader
    from gvcodec.config import EncoderConfig
    from gvcodec.types import VideoFormat


@dataclass(frozen=True, slots=True)
class BaseCodec:
    """`encoder`: of a format and a settled `EncoderConfig`. `decoder`: of a header, a number of
    threads (0 = all cores), whether it is for low delay, and the model's path or None. `model`: the
    path of the model to encode with, whose id streams then hold; None = the base has none."""

    encoder: Callable[[VideoFormat, EncoderConfig], BaseEncoder]
    decoder: Callable[[SequenceHeader, int, bool, Path | None], BaseDecoder]
    model: Callable[[], Path] | None = None


def check_settings() -> None:
    """Raises `UsageError` when $GVCODEC_CPU names nothing that this machine has."""
    from gvcodec import _core

    _core.cpu()


def open_encoder(fmt: VideoFormat, config: EncoderConfig) -> BaseEncoder:
    """The encoder of `config.base`; `config` is settled. Raises `UsageError`."""
    return _layer_of(config.base).encoder(fmt, config)


def open_decoder(
    header: SequenceHeader,
    threads: int,
    models: Sequence[str | Path] = (),
    low_delay: bool = False,
    device: str = "cpu",
) -> BaseDecoder:
    """The decoder of a stream's base; `models` are files and folders to look for its model in.
    `device`:
    where the base's entropy coder runs. Raises `WrongModelError` when that model is missing."""
    name, model = header.base, None
    layer = _layer_of(name)
    if layer.model is not None:
        if header.base_model_id is None:
            raise WrongModelError(f"the stream does not name the model of its {name} base layer")
        model = find_model(header.base_model_id, f"the model of the {name} base layer", models)
    made = layer.decoder(header, threads, low_delay, model)
    if isinstance(made, OnDevice):
        made.to_device(device)
    return made


def base_model_id(name: str) -> bytes | None:
    """Eight bytes that name the base's model; None for a base that has none."""
    model = _layer_of(name).model
    return model_id(model()) if model is not None else None


def _layer_of(name: str) -> BaseCodec:
    if name not in LAYERS:
        raise UsageError(f"base layer {name} is unknown; there are {', '.join(LAYERS)}")
    return LAYERS[name]


def _standard_encoder(fmt: VideoFormat, config: EncoderConfig) -> BaseEncoder:
    from gvcodec.base.standard.codec import open_encoder_of

    return open_encoder_of(fmt, config)


def _standard_decoder(
    header: SequenceHeader, threads: int, low_delay: bool, model: Path | None
) -> BaseDecoder:
    from gvcodec.base.standard.codec import open_decoder_of

    return open_decoder_of(header, threads, low_delay)


def _motion_encoder(fmt: VideoFormat, config: EncoderConfig) -> BaseEncoder:
    from gvcodec.base.motion.encoder import open_encoder as opened

    return opened(fmt, config)


def _motion_decoder(
    header: SequenceHeader, threads: int, low_delay: bool, model: Path | None
) -> BaseDecoder:
    from gvcodec.base.motion.decoder import open_decoder as opened

    return opened(header, threads, low_delay, model)


def _none_encoder(fmt: VideoFormat, config: EncoderConfig) -> BaseEncoder:
    from gvcodec.base.none import NoneEncoder

    return NoneEncoder(fmt, config.base_q or 0.0, config.keyint)


def _none_decoder(
    header: SequenceHeader, threads: int, low_delay: bool, model: Path | None
) -> BaseDecoder:
    from gvcodec.base.none import NoneDecoder

    return NoneDecoder(header.format)


def _motion_model() -> Path:
    from gvcodec.base.motion.checkpoint import find_motion_model

    return find_motion_model()


#: By the names of `gvcodec.bases`.
LAYERS: dict[str, BaseCodec] = {
    "av1": BaseCodec(_standard_encoder, _standard_decoder),
    "vvc": BaseCodec(_standard_encoder, _standard_decoder),
    "motion": BaseCodec(_motion_encoder, _motion_decoder, _motion_model),
    "none": BaseCodec(_none_encoder, _none_decoder),
}
