"""Base layers: codecs whose frames are integers, decoded alike everywhere.

A base layer is a plug: a pair of classes with the two interfaces below. Frames go in in display
order, packets come out in decode order (one packet a frame, maybe delayed), base frames come out in
display order. `standard/` has `av1` and `vvc`, ordinary bitstreams; `gvc1d/` the learned codec's
integer loop, and its paper form, of which tokens alone are exact.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from gvcodec.types import Planes


def bytes_to_hash(base_frame: Planes) -> Iterator[memoryview]:
    """What the base hash takes of a base frame: its samples."""
    yield from (np.ascontiguousarray(plane, "<u2").data for plane in base_frame)


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """One packet of the base layer. `keyframe`: nothing before it is referenced."""

    payload: bytes
    keyframe: bool
    q: int


@dataclass(slots=True)
class Coded:
    """What a call of an encoder released: packets in decode order, base frames in display order."""

    packets: list[CodedFrame] = field(default_factory=list)
    base_frames: list[Planes] = field(default_factory=list)
    #: What is hashed in place of each base frame, where frames are not the same on every machine.
    hashed: list[bytes] = field(default_factory=list)

    def add(self, part: Coded) -> None:
        """`part` came out next."""
        self.packets += part.packets
        self.base_frames += part.base_frames
        self.hashed += part.hashed


class BaseEncoder(Protocol):
    """Encoder side of a plug."""

    def send(self, planes: Planes, force_key: bool = False) -> Coded:
        """Take the next frame (display order); `force_key` starts a new closed GOP at it."""
        ...

    def flush(self) -> Coded:
        """No more frames: release everything that is held back."""
        ...


@runtime_checkable
class Drains(Protocol):
    """A base encoder that holds back many frames."""

    def drain(self) -> Iterator[Coded]:
        """What `flush` gives, in pieces, each as soon as it is coded."""
        ...


@runtime_checkable
class Steered(Protocol):
    """A base encoder whose quality can change from GOP to GOP."""

    def steer(self, offset: float) -> None:
        """From the next GOP on its index is larger by `offset`."""
        ...


@runtime_checkable
class NamesItself(Protocol):
    """A base encoder that says which library codes, in which version: `Metadata.encoder`."""

    written_by: tuple[int, ...]


@runtime_checkable
class OnDevice(Protocol):
    """A base decoder part of whose work a device may do, with the same result."""

    def to_device(self, device: str) -> None:
        """`device`: torch's name of it; one that is not there changes nothing."""
        ...


@runtime_checkable
class HashesTokens(Protocol):
    """A base decoder whose frames are floats that differ in rounding between machines: the base
    hash counts what was coded exactly. `hashed`: bytes of each frame that was released, in order,
    which the caller takes out."""

    hashed: deque[bytes]


class BaseDecoder(Protocol):
    """Decoder side of a plug. Raises `DamagedStreamError` for a payload that cannot be decoded."""

    def send(self, payload: bytes, keyframe: bool) -> list[Planes]:
        """Take the next packet (decode order), return released base frames (display order)."""
        ...

    def flush(self) -> list[Planes]:
        """No more packets: release the rest."""
        ...

    def abandon(self) -> None:
        """Give up the rest of the GOP: the next packet is a key frame."""
        ...
