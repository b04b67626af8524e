"""The encoder's last pass, which finds latent tokens: it decodes and paints every frame as a
decoder does and compares it with its source, which waits in a temporary file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO, cast

import numpy as np

from gvcodec.bitstream import Kind, Packet, SequenceHeader
from gvcodec.codec.decoder import Decoder
from gvcodec.config import Settled
from gvcodec.errors import MediaError
from gvcodec.gvc1d.files import choose_pair, pair_id, read_entropy, read_sizes
from gvcodec.limits import UNLIMITED
from gvcodec.types import Planes, VideoFormat, chroma_shape
from gvcodec.util.torch_settings import torch_threads, usual_torch


class LatentPass:
    """`send` takes the source frames, `run` gives LATENT payloads. `model_id`: what a stream with
    tokens names; after `run` `painted_hash` (None where nothing is painted exactly). Raises
    `MediaError` for a missing or broken model."""

    def __init__(self, fmt: VideoFormat, config: Settled) -> None:
        self._fmt, self._config = fmt, config
        self._model = choose_pair(config.model)
        sizes = read_sizes(self._model)
        read_entropy(self._model)
        if isinstance(config.tokens, int) and config.tokens > sizes.tokens:
            raise MediaError(f"{self._model}: has {sizes.tokens} tokens a window")
        self.model_id = pair_id(self._model)
        self._sources = _Sources(fmt)
        self.painted_hash: bytes | None = None

    def send(self, planes: Planes) -> None:
        """The next source frame."""
        self._sources.write(planes)

    @usual_torch()
    def run(
        self,
        header: SequenceHeader,
        packets: Iterable[Packet],
        frame_bytes: float,
        done: Callable[[int], None] | None = None,
    ) -> dict[int, bytes]:
        """Payloads by the number of their frame, for a stream of these packets; `frame_bytes`: mean
        bytes of a frame. `done` receives how many frames are through."""
        from gvcodec.gvc1d.frame_options import TokenSettings
        from gvcodec.gvc1d.token_encoder import LatentEncoder

        config = self._config
        tokens = config.tokens if isinstance(config.tokens, int) else 0
        alloc = config.alloc or "uniform"
        settings = TokenSettings(tokens, config.finest_token_rate, config.search, alloc)
        decoder = Decoder(
            replace(header, gvc1d_id=None),
            threads=config.threads,
            limits=UNLIMITED,
            device=config.device,
        )
        encoder = LatentEncoder(
            self._fmt, self._model, settings, frame_bytes, config.threads, config.device
        )
        starts: set[int] = set()
        found: dict[int, bytes] = {}
        first = 0

        def finish() -> None:
            payloads = enumerate(encoder.finish_gop(), first)
            found.update((number, payload) for number, payload in payloads if payload)

        with torch_threads(config.threads):
            frames = decoder.frames_of(_note_starts(packets, starts))
            for number, (frame, source) in enumerate(zip(frames, self._sources, strict=True)):
                if number in starts and number:
                    finish()
                    first = number
                    encoder.start_gop()
                encoder.send(source, frame.planes, frame.base_frame)
                if done is not None:
                    done(number + 1)
            finish()
        self.painted_hash = decoder.painted_hash
        self._sources.close()
        return found


def _note_starts(packets: Iterable[Packet], starts: set[int]) -> Iterator[Packet]:
    """The same packets; `starts` gets the numbers of the first frames of GOPs."""
    number = 0
    for packet in packets:
        if packet.kind is Kind.KEY:
            starts.add(number)
        number += packet.is_frame
        if packet.is_frame or packet.kind in (Kind.FIT, Kind.TIMING):
            yield packet


class _Sources:
    """Source frames in a temporary file, 8-bit sources as bytes; read once, in the same order."""

    def __init__(self, fmt: VideoFormat) -> None:
        chroma = chroma_shape(fmt.height, fmt.width)
        self._shapes = ((fmt.height, fmt.width), chroma, chroma)
        self._bits = 2 if fmt.bit_depth == 8 else 0
        self._kind = np.dtype(np.uint8 if self._bits else np.uint16)
        self._file = cast(BinaryIO, tempfile.TemporaryFile(prefix="gvcodec-"))  # noqa: SIM115

    def write(self, planes: Planes) -> None:
        for plane in planes:
            self._file.write((plane >> self._bits).astype(self._kind).tobytes())

    def __iter__(self) -> Iterator[Planes]:
        self._file.seek(0)
        size = sum(int(np.prod(shape)) for shape in self._shapes) * self._kind.itemsize
        while data := self._file.read(size):
            planes, at = [], 0
            for shape in self._shapes:
                count = int(np.prod(shape))
                plane = np.frombuffer(data, self._kind, count, at * self._kind.itemsize)
                planes.append(plane.reshape(shape).astype(np.uint16) << np.uint16(self._bits))
                at += count
            yield planes[0], planes[1], planes[2]

    def close(self) -> None:
        self._file.close()
