"""Frames to packets: structure layer, per-video tuning of the renderer, loop hash.

    encoder = Encoder(fmt, EncoderConfig(q=40))
    for planes in video:
        encoder.send_frame(planes)
        while (packet := encoder.receive_packet()) is not None: ...
    encoder.flush()
    while (packet := encoder.receive_packet()) is not None: ...

The packets, after `encoder.header`, go to a `gvcodec.bitstream.Writer`, which is finished with
`encoder.loop_hash`.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

import numpy as np

from gvcodec import factory
from gvcodec.appearance.tuning_samples import Gop, Reservoir, part_limit
from gvcodec.bases import base_of, reordered
from gvcodec.bitstream import LOOP_HASH_BYTES, Kind, Packet, PtsEncoder, SequenceHeader
from gvcodec.config import PAINTERS, EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.sharing import Shared, in_turn
from gvcodec.shifted import ShiftedEncoder
from gvcodec.structure import Coded, Drains, StructureEncoder, hashed
from gvcodec.torch_settings import usual_torch
from gvcodec.types import Plane, Planes, VideoFormat

_PEAK = 1023
_MAX_PTS = 1 << 61
#: Twice as far as usual loses on every clip that was measured.
_MOST_SHIFT = 4


class Progress(Protocol):
    """Is told how far an encoder is."""

    def coded(self, frames: int, size: int) -> None:
        """So many frames are coded, with so many bytes of payload."""
        ...

    def tuned(self, share: float) -> None:
        """This part, 0…1, of the steps or the time of tuning is done."""
        ...

    def say(self, line: str) -> None:
        """What tuning found."""
        ...


class Encoder(Shared):
    """One video. With tuning every packet waits for `flush`, since tuned weights come before what
    they are for.

    Attributes: `header` (`SequenceHeader`), `notes` (one line for everything that was left out),
    after `flush`: `loop_hash` (8 bytes) and `psnr_y` (dB, mean over the loop frames; infinite when
    all are exact). Calls of several threads are made in turn. It does not follow into a child
    process made by `fork`.
    """

    @usual_torch()
    def __init__(
        self,
        fmt: VideoFormat,
        config: EncoderConfig | None = None,
        start_pts: int = 0,
        progress: Progress | None = None,
        structure: StructureEncoder | None = None,
        tuned: Mapping[int, bytes] | None = None,
        wrap: Callable[[SequenceHeader, Callable[[], StructureEncoder]], StructureEncoder]
        | None = None,
    ) -> None:
        """`start_pts`: timestamp of the first frame. `progress` is told how far it is. Rate control
        gives `structure`, an encoder of the same base that it steers, and `tuned`, what tuning came
        to in an earlier pass (tuned weights by the frame from which on they are in force). `wrap`
        takes a maker of the structure encoder and gives the one to use (see
        `gvcodec.streams.resume`). Raises `UsageError`."""
        super().__init__()
        factory.check_settings()
        config = config or EncoderConfig()
        config = config.settled()
        assert config.scale is not None and config.base_q is not None
        base = base_of(config.base)
        if config.eye and not base.eye:
            raise UsageError("eye is for the av1 structure layer")
        if config.scale != 1 and not base.scales:
            raise UsageError(f"the {config.base} structure layer has no reduced scale")
        if config.preset is not None and base.standard is None:
            raise UsageError("preset is for av1 and vvc")
        if config.maxrate and not base.steered:
            raise UsageError("maxrate is for the klt structure layer")
        if (
            config.keyint < 0
            or not 0 <= (config.tune or 0) < math.inf
            or min(config.threads, config.tune_steps) < 0
        ):
            raise UsageError("keyint, tune, its steps and threads cannot be negative")
        if not 0 <= config.tune_parts <= 4:
            raise UsageError("tune_parts goes from 1 to 4")
        if config.tune_by not in ("", "vgg", "small"):
            raise UsageError("tune_by is vgg or small")
        if min(config.maxrate, config.bufsize) < 0 or config.bufsize and not config.maxrate:
            raise UsageError("bufsize goes with maxrate, and neither is negative")
        if not 0 <= config.shift <= _MOST_SHIFT:
            raise UsageError(f"shift goes from 0 to {_MOST_SHIFT}")
        if config.shift and (base.standard is None or config.low_delay):
            raise UsageError("shift is for av1, hevc and vvc, and not for low delay")
        self.notes: list[str] = []
        if config.painter not in PAINTERS:
            raise UsageError(f"painter is {' or '.join(PAINTERS)}")
        appearance, reason = factory.appearance_id(config.base, config.painter)
        if reason:
            self.notes.append(reason)
        self.header = SequenceHeader(
            fmt,
            config.base,
            config.scale,
            round(config.base_q) if config.said_q is None else config.said_q,
            start_pts,
            factory.structure_id(config.base),
            appearance,
        )
        self._config = config
        self._progress = progress
        make = self._maker(appearance, structure)
        self._structure = wrap(self.header, make) if wrap is not None else make()
        self._timing = PtsEncoder(start_pts, fmt.frame_rate, fmt.time_base)
        self._packets: deque[Packet] = deque()
        self._sources: deque[Plane] = deque()
        wanted = config.tunes and appearance is not None
        if wanted and not factory.has_torch():
            self.notes.append("the painter is not tuned: torch is not installed")
            wanted = False
        self._samples = Reservoir(fmt, part_limit(config)) if wanted and tuned is None else None
        self.tuned: Mapping[int, bytes] = tuned or {}
        self._in_force: bytes | None = None
        #: Frame packets given out.
        self._given = 0
        self._gops: list[Gop] = []
        self._hash = hashlib.sha256()
        self._psnr_sum = 0.0
        self._exact = 0
        self._released = 0
        self._sent = 0
        #: Bytes of packets whose frames are not released yet, by frame; none where they are in
        #: another order.
        self._sizes: dict[int, int] = {}
        #: Frame packets made so far and bytes of their payloads.
        self.coded_frames = 0
        self.coded_bytes = 0
        self._flushed = False

    def _maker(
        self, appearance: bytes | None, structure: StructureEncoder | None
    ) -> Callable[[], StructureEncoder]:
        """What makes the structure encoder, of a shifted source where that is wanted and
        possible."""
        fmt, config = self.header.format, self._config
        plain = partial(factory.structure_encoder, fmt, config)
        if not config.shift or appearance is None:
            return lambda: structure or plain()
        critic, reason = factory.critic(fmt, config.tune_by)
        if critic is None:
            self.notes.append(reason)
            return lambda: structure or plain()
        return lambda: ShiftedEncoder(config, self.header, structure or plain(), critic)

    @property
    def frames(self) -> int:
        """Frames taken so far."""
        return self._sent

    @in_turn
    def send_frame(self, planes: Planes, pts: int | None = None, force_key: bool = False) -> None:
        """Take the next frame in display order; without `pts` it keeps the rate. Raises
        `UsageError` for another size."""
        fmt = self.header.format
        height, width = fmt.height, fmt.width
        chroma = ((height + 1) // 2, (width + 1) // 2)
        if self._flushed:
            raise UsageError("the encoder has been flushed")
        if [plane.shape for plane in planes] != [(height, width), chroma, chroma]:
            raise UsageError(f"frame {self._sent} is not of {width}×{height} samples in 4:2:0")
        if any(
            plane.dtype.kind not in "ui" or plane.min() < 0 or plane.max() > _PEAK
            for plane in planes
        ):
            raise UsageError(f"frame {self._sent}: samples are integers 0…{_PEAK}")
        if pts is not None and (not isinstance(pts, int | np.integer) or abs(int(pts)) > _MAX_PTS):
            raise UsageError(
                f"frame {self._sent}: a timestamp is an integer within ±2^61, not {pts!r}"
            )
        y, u, v = (np.asarray(plane, np.uint16) for plane in planes)
        planes, pts = (y, u, v), None if pts is None else int(pts)
        self._timing.send(self._timing.predicted() if pts is None else pts)
        self._sources.append(
            y if fmt.bit_depth == 10 else (y >> 2).astype(np.uint8)
        )  # eight bits are kept as such
        if self._samples is not None:
            self._samples.send_source(self._sent, planes)
        self._sent += 1
        self._take(self._structure.send(planes, force_key))

    @in_turn
    def send_metadata(self, data: bytes) -> None:
        """Title, chapters and HDR metadata (see `gvcodec.media.metadata`), if any; before the first
        frame."""
        if data:
            self._packets.append(Packet(Kind.METADATA, data))

    @in_turn
    def send_tracks(self, data: bytes) -> None:
        """Next bytes of the copied tracks (see `gvcodec.media.tracks`), if any."""
        if data:
            self._packets.append(Packet(Kind.TRACKS, data))

    @in_turn
    def flush(self) -> None:
        """No more frames: releases all packets, tunes first if asked to. Raises `UsageError`
        without any frame."""
        if not self._sent:
            raise UsageError("there is no frame to encode")
        if isinstance(self._structure, Drains):
            for coded in self._structure.drain():
                self._take(coded)
        else:
            self._take(self._structure.flush())
        self._flushed = True
        # An AV1 encoder of large pictures holds gigabytes, which tuning may need.
        del self._structure
        if self._samples is not None:
            parts = self._samples.parts(self._gops, self._sent)
            self._samples = None
            told = self._progress
            if told is not None:
                told.tuned(0.0)
            self.tuned, reason = factory.tune(
                parts, self.header, self._config, told and told.say, told and told.tuned
            )
            if reason:
                self.notes.append(reason)
        self.loop_hash = self._hash.digest()[:LOOP_HASH_BYTES]
        inexact = self._released - self._exact
        self.psnr_y = self._psnr_sum / inexact if inexact else math.inf

    @in_turn
    def receive_packet(self) -> Packet | None:
        """The next packet for the container, None when there is none yet."""
        if not self._packets or self._samples is not None:
            return None
        if self._packets[0].kind is Kind.KEY and (tune := self._tuned_for(self._given)) is not None:
            return tune
        packet = self._packets.popleft()
        self._given += packet.is_frame
        return packet

    def _tuned_for(self, first: int) -> Packet | None:
        """The weights for the GOP whose first frame has this number, unless they are in force
        already."""
        wanted = self.tuned.get(max((frame for frame in self.tuned if frame <= first), default=-1))
        if wanted is None or wanted == self._in_force:
            return None
        self._in_force = wanted
        return Packet(Kind.TUNE, wanted)

    def _take(self, coded: Coded) -> None:
        for packet in coded.packets:
            # Stands before the first packet whose decoding may release a frame that it names.
            late = self._timing.take(self.coded_frames if packet.keyframe else None)
            if late:
                self._packets.append(Packet(Kind.TIMING, late))
            if packet.keyframe:
                self._gops.append(Gop(self.coded_frames))
            self._gops[-1].size += len(packet.payload)
            self._packets.append(
                Packet(Kind.KEY if packet.keyframe else Kind.INTER, packet.payload)
            )
            if not reordered(self._config.base):
                self._sizes[self.coded_frames] = len(packet.payload)
            self.coded_frames += 1
            self.coded_bytes += len(packet.payload)
            if self._progress is not None:
                self._progress.coded(self.coded_frames, self.coded_bytes)
        for loop in coded.loops:
            self._measure(loop, self._sources.popleft())
            size = self._sizes.pop(self._released, 0)
            if self._samples is not None:
                self._samples.send_loop(self._released, loop, size)
            self._released += 1

    def _measure(self, loop: Planes, source: Plane) -> None:
        """Loop hash and PSNR of one loop frame."""
        for part in hashed(loop):
            self._hash.update(part)
        shift = 2 if source.dtype == np.uint8 else 0
        difference = loop[0].astype(np.int32) - (source.astype(np.int32) << shift)
        mse = float(np.mean(np.square(difference)))
        if mse:
            self._psnr_sum += 10 * math.log10(_PEAK**2 / mse)
        else:
            self._exact += 1
