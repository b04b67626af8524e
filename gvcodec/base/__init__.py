"""Base layers: codecs whose frames are integers, the same on every machine. In: frames in display
order. Out: packets in decode order (one packet a frame, maybe delayed), and base frames in display
order; a decoder takes the packets.

    standard/       `av1` and `vvc`, ordinary bitstreams; `gvcodec.gvc1d` is the learned codec
    scene_cuts      frames at which a new GOP begins
    drawn_pictures  slides, screens and cartoons, which are coded with other settings
    resample        planes to 3/4 or 1/2 of their size and back

A base layer is a plug: a subclass of `BaseEncoder` and one of `BaseDecoder`. `open_encoder` and
`open_decoder` import a base's module (`Base.encoder`, `Base.decoder` of `gvcodec.bases`) on first
use, so a stream loads the libraries of its own base only, and a decoder no encoder. A new base: a
record in `gvcodec.bases`, then these two classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from gvcodec.bases import base_of
from gvcodec.errors import UsageError, WrongModelError
from gvcodec.models import find_model, model_id, register_model
from gvcodec.types import Planes

if TYPE_CHECKING:
    from gvcodec.bitstream import SequenceHeader
    from gvcodec.config import EncoderConfig, ResolvedConfig
    from gvcodec.types import VideoFormat


def bytes_to_hash(base_frame: Planes) -> Iterator[memoryview]:
    """The bytes of a base frame that enter the base hash: its samples."""
    yield from (np.ascontiguousarray(plane, "<u2").data for plane in base_frame)


@dataclass(frozen=True, slots=True)
class BasePacket:
    """One packet of the base layer. `keyframe`: nothing before it is referenced."""

    payload: bytes
    keyframe: bool


@dataclass(slots=True)
class EncodeResult:
    """Output of one encoder call: packets in decode order, base frames in display order."""

    packets: list[BasePacket] = field(default_factory=list)
    base_frames: list[Planes] = field(default_factory=list)
    #: Bytes that the base hash takes ahead of each base frame's samples, for bases with tokens.
    hash_bytes: list[bytes] = field(default_factory=list)

    def add(self, part: EncodeResult) -> None:
        """`part` came out next."""
        self.packets += part.packets
        self.base_frames += part.base_frames
        self.hash_bytes += part.hash_bytes


class BaseEncoder(ABC):
    """Encoder side of a plug."""

    #: The coding library and its version: `Metadata.encoder`; () = unknown.
    written_by: tuple[int, ...] = ()

    @abstractmethod
    def send(self, planes: Planes, force_key: bool = False) -> EncodeResult:
        """Take the next frame (display order); `force_key` starts a new closed GOP at it."""

    @abstractmethod
    def flush(self) -> EncodeResult:
        """No more frames: release everything that is held back."""

    def drain(self) -> Iterator[EncodeResult]:
        """The output of `flush` in pieces, each as soon as it is coded."""
        yield self.flush()

    def set_q_offset(self, offset: float) -> None:
        """From the next GOP on the quantizer is larger by `offset`; for bases that take zones."""
        raise NotImplementedError


class BaseDecoder(ABC):
    """Decoder side of a plug. Raises `DamagedStreamError` for a payload that cannot be decoded."""

    #: For bases with tokens: those of each frame that was released, in order, as bytes. The base
    #: hash counts them ahead of the samples, and the caller takes them out.
    hash_bytes: deque[bytes] | None = None
    #: Whether a payload with closed captions came.
    has_captions: bool = False

    @abstractmethod
    def send(self, payload: bytes, keyframe: bool) -> list[Planes]:
        """Take the next packet (decode order), return released base frames (display order)."""

    @abstractmethod
    def flush(self) -> list[Planes]:
        """No more packets: release the rest."""

    def abandon(self) -> None:
        """Give up the rest of the GOP: the next packet is a key frame."""


class EncoderModule(Protocol):
    """The module of a base's encoder."""

    def base_encoder(self, fmt: VideoFormat, config: ResolvedConfig) -> BaseEncoder: ...


class ModelModule(Protocol):
    """The module of an encoder whose base has a model (`Base.has_model`)."""

    def choose_model(self, name: str) -> Path:
        """The model file to encode with: `name`, or the shipped one if empty. Raises `MediaError`
        for another kind of file."""
        ...


class DecoderModule(Protocol):
    """The module of a base's decoder."""

    def base_decoder(
        self, header: SequenceHeader, threads: int, low_delay: bool, model: Path | None
    ) -> BaseDecoder:
        """`threads` 0 = all cores."""
        ...


def check_settings() -> None:
    """Raises `UsageError` when $GVCODEC_CPU names nothing that this machine has."""
    from gvcodec import _core

    _core.cpu()


def open_encoder(fmt: VideoFormat, config: ResolvedConfig) -> BaseEncoder:
    """The encoder of `config.base`. Raises `UsageError`."""
    return _encoder_of(config.base).base_encoder(fmt, config)


def open_decoder(
    header: SequenceHeader,
    threads: int,
    models: Sequence[str | Path] = (),
    low_delay: bool = False,
) -> BaseDecoder:
    """The decoder of a stream's base; `models` are files and folders to look for its model in.
    Raises `WrongModelError` when that model is missing."""
    name, model = header.base, None
    module = cast(DecoderModule, import_module(base_of(name).decoder))
    if base_of(name).has_model:
        if header.base_model_id is None:
            raise WrongModelError(
                f"the stream does not name the model of its {name} base layer", code="model-unnamed"
            )
        model = find_model(header.base_model_id, f"the model of the {name} base layer", models)
    return module.base_decoder(header, threads, low_delay, model)


def base_model_id(config: EncoderConfig) -> bytes | None:
    """Eight bytes that name the model that `config` encodes with; None for a base that has none.
    The encoder's check and painter find it from now on. Raises `UsageError`,
    `MediaError`."""
    base = base_of(config.base)
    if not base.has_model:
        if config.model:
            raise UsageError(
                f"model is for base gvc1d: base {config.base} has none", code="base-feature"
            )
        return None
    path = cast(ModelModule, import_module(base.encoder)).choose_model(config.model)
    register_model(path)
    return model_id(path)


def _encoder_of(name: str) -> EncoderModule:
    return cast(EncoderModule, import_module(base_of(name).encoder))
