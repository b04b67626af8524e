"""Frames, tracks, metadata to packets: base layer, strength or fit of the painter, hash.

    encoder = Encoder(fmt, EncoderConfig(q=40))
    for planes in video:
        encoder.send_frame(planes)
        while (packet := encoder.receive_packet()) is not None: ...
    encoder.flush()
    while (packet := encoder.receive_packet()) is not None: ...

The packets, after `encoder.header`, go to a `gvcodec.bitstream.Writer`, which is finished with
`encoder.base_hash`. One class holds the state of all layers: a packet waits for the latest of them.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from gvcodec.base import (
    BaseEncoder,
    Coded,
    Drains,
    NamesItself,
    Steered,
    base_model_id,
    check_settings,
    open_encoder,
    uses_paper_form,
)
from gvcodec.bases import INDEX_END, index_of, is_reordered, q_of
from gvcodec.bitstream import Kind, Packet, PtsEncoder, SequenceHeader
from gvcodec.bitstream.bundles import bytes_in_file
from gvcodec.bitstream.embedded import model_packets
from gvcodec.bitstream.header import MAX_PTS, NEEDS, NEEDS_FACTORS, NEEDS_TOKENS
from gvcodec.codec.fidelity import PEAK, Fidelity
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.limits import memory_note
from gvcodec.media.metadata import Metadata
from gvcodec.painter.fit_samples import FitSampler, Gop, part_limit
from gvcodec.painter.look import has_factors, turn_all
from gvcodec.painter.open import NOT_FITTED, fit_parts, has_torch, painter_id
from gvcodec.types import Planes, VideoFormat, chroma_shape
from gvcodec.util.process import keep_large_blocks, map_large_blocks, return_memory, stay_in_process
from gvcodec.util.torch_settings import usual_torch
from gvcodec.zones import Zone, parse_zones, zone_at

#: Most phones time every frame a little off the rate: a packet of times for each would cost more
#: than the times.
_BATCH = 16


class Progress(Protocol):
    """Receives how far an encoder is."""

    def coded(self, frames: int, size: int) -> None:
        """`frames` frames are coded so far, with `size` bytes of payload."""
        ...

    def fitted(self, share: float) -> None:
        """This part, 0…1, of the steps or the time of fitting is done."""
        ...

    def painted(self, frames: int, total: int) -> None:
        """So many of all frames are painted for the hash, after all are coded."""
        ...

    def say(self, line: str) -> None:
        """What fitting found."""
        ...


class Encoder:
    """One video. With strengths by GOP or fitting every packet waits for `flush`: they come before
    what they are for.

    Attributes: `header` (`SequenceHeader`), `config` (settled), `frames` (taken so far), `notes`
    (one line for everything that was left out), after `flush`: `base_hash` (8 bytes) and
    `psnr_y` (dB, mean over the base frames; infinite when all are exact).

    One thread uses an encoder at a time. It stays in its process: in a child made by `fork` frames
    raise `UsageError`.
    """

    @usual_torch()
    def __init__(
        self,
        fmt: VideoFormat,
        config: EncoderConfig | None = None,
        start_pts: int = 0,
        progress: Progress | None = None,
        base_encoder: BaseEncoder | None = None,
        fitted: Mapping[int, bytes] | None = None,
    ) -> None:
        """`start_pts`: timestamp of the first frame. `progress` receives how far it is. Rate
        control gives `base_encoder`, an encoder of the same base that it steers, and `fitted`, what
        fitting came to in an earlier pass (fitted weights by the frame where they begin to hold).
        Raises `UsageError`."""
        check_settings()
        self._process = os.getpid()
        map_large_blocks()
        self.config = settled = (config or EncoderConfig()).resolve()
        settled.check()
        self.notes: list[str] = []
        paper_form = uses_paper_form(settled)
        painter, reason = painter_id(settled, paper_form)
        if reason:
            self.notes.append(reason)
        self.header = SequenceHeader(
            fmt,
            settled.base,
            settled.scale,
            min(INDEX_END, round(settled.base_q)) if settled.header_q is None else settled.header_q,
            start_pts,
            base_model_id(settled),
            painter,
            bundled=settled.bundles(fmt.width * fmt.height),
            embeds_models=settled.embed_model,
            needs=_needs(settled, painter is not None, paper_form),
            paper_form=paper_form,
        )
        if note := memory_note(self.header, self.header.enhanced):
            self.notes.append(note)
        if settled.file_format:
            self.header.hold_to(settled.file_format)
        self.progress = progress
        #: Frames whose times go into one packet, before the first of them; 0 = a GOP.
        self._batch = 1 if settled.low_delay else 0 if is_reordered(settled.base) else _BATCH
        self._base_codec = base_encoder or open_encoder(fmt, settled)
        self._zones = parse_zones(settled.zones)
        self._zone: Zone | None = None
        self._timing = PtsEncoder(start_pts, fmt.frame_rate, fmt.time_base)
        models = model_packets(self.header) if settled.embed_model else ()
        self._packets: deque[Packet] = deque(models)
        #: Coded frames whose batch is not complete, and tracks by the number of frames before them:
        #: encoders are as fast as the machine is, and the file is to be the same every time.
        self._coded: deque[Packet] = deque()
        self._tracks: deque[tuple[int, bytes]] = deque()
        self._placed = self._batch_end = 0
        wanted = settled.steadies and painter is not None and settled.look > 0
        if wanted and settled.fits and not has_torch():
            self.notes.append(NOT_FITTED)
        self._samples = FitSampler(fmt, part_limit(settled)) if wanted and fitted is None else None
        self.fitted: Mapping[int, bytes] = fitted or {}
        if self._samples is None and painter is not None:
            self.fitted = turn_all(self.fitted, settled.look)
        self._in_force: bytes | None = None
        #: Frame packets given out.
        self._given = 0
        self._fidelity = Fidelity()
        self._released = 0
        self.frames = 0
        self._end: int | None = None
        #: Bytes of packets whose frames are not released yet, by frame; none where they are in
        #: another order.
        self._sizes: dict[int, int] = {}
        #: Frame packets made so far and bytes of their payloads.
        self.coded_frames = 0
        self.coded_bytes = 0
        self.flushed = False

    def send_frame(self, planes: Planes, pts: int | None = None, force_key: bool = False) -> None:
        """Take the next frame in display order; without `pts` it keeps the rate. Raises
        `UsageError` for another size."""
        stay_in_process(self._process, "encoder")
        fmt = self.header.format
        height, width = fmt.height, fmt.width
        chroma = chroma_shape(height, width)
        if self.flushed:
            raise UsageError("the encoder has been flushed")
        if [plane.shape for plane in planes] != [(height, width), chroma, chroma]:
            raise UsageError(f"frame {self.frames} is not of {width}×{height} samples in 4:2:0")
        if any(
            plane.dtype.kind not in "ui" or plane.min() < 0 or plane.max() > PEAK
            for plane in planes
        ):
            raise UsageError(f"frame {self.frames}: samples are integers 0…{PEAK}")
        if pts is not None and (not isinstance(pts, int | np.integer) or abs(int(pts)) > MAX_PTS):
            raise UsageError(
                f"frame {self.frames}: a timestamp is an integer within ±2^60, not {pts!r}"
            )
        y, u, v = (np.asarray(plane, np.uint16) for plane in planes)
        planes, pts = (y, u, v), None if pts is None else int(pts)
        pts = self._timing.predict() if pts is None else pts
        force_key |= self._enter_zone(pts)
        self._timing.send(pts)
        self._fidelity.send_source(y, fmt.bit_depth)
        if self._samples is not None:
            self._samples.send_source(self.frames, planes)
        self.frames += 1
        self._take(self._base_codec.send(planes, force_key))

    def _enter_zone(self, pts: int) -> bool:
        """Whether a zone begins or ends with the frame, and with it a GOP of another quality."""
        if not self._zones:
            return False
        seconds = float(pts * self.header.format.time_base) + self.config.zone_start
        zone = zone_at(self._zones, seconds)
        if zone == self._zone or not isinstance(self._base_codec, Steered):
            return False
        self._zone, base, index = zone, self.config.base, self.config.base_q
        wanted = index if zone is None else index_of(base, zone.apply(q_of(base, index)))
        self._base_codec.steer(wanted - index)
        return True

    def send_end(self, pts: int | None) -> None:
        """When the last frame ends, in ticks, where it is not shown as long as the others; after
        it."""
        self._end = pts

    @property
    def seconds(self) -> float:
        """How long the frames taken so far are shown."""
        end = self._timing.predict() if self._end is None else self._end
        return float((end - self.header.start_pts) * self.header.format.time_base)

    def send_metadata(self, data: bytes) -> None:
        """Title, chapters and HDR metadata (see `gvcodec.media.metadata`), if any; before the first
        frame. Which encoder codes the base is added."""
        if isinstance(self._base_codec, NamesItself):
            data = Metadata(encoder=self._base_codec.written_by).pack() + data
        if data:
            self._packets.append(Packet(Kind.METADATA, data))

    def send_tracks(self, data: bytes) -> None:
        """Next bytes of the copied tracks (see `gvcodec.media.tracks`), if any; they go after the
        frames that were sent before."""
        if data:
            self._tracks.append((self.frames, data))
            self._place_tracks()

    @property
    def waits(self) -> bool:
        """Whether all packets wait for `flush`."""
        return self._samples is not None

    def flush(self) -> None:
        """No more frames: releases all packets, fits first if asked to. Raises `UsageError`
        without any frame."""
        for _ in self.flush_in_steps():
            pass

    def flush_in_steps(self) -> Iterator[None]:
        """`flush`, which goes on after each step; what is ready may be taken out between them."""
        stay_in_process(self._process, "encoder")
        if not self.frames:
            raise UsageError("there is no frame to encode")
        if isinstance(self._base_codec, Drains):
            for coded in self._base_codec.drain():
                self._take(coded)
                yield
        else:
            self._take(self._base_codec.flush())
        self.flushed = True
        self._place()
        if self._end is not None:
            self._timing.send(self._end)
            if late := self._timing.take():
                self._packets.append(Packet(Kind.TIMING, late))
        # An AV1 encoder of large pictures holds gigabytes, which fitting may need.
        del self._base_codec
        return_memory()
        keep_large_blocks()
        if self._samples is not None:
            parts = self._samples.parts(self._find_gops(), self.frames)
            self._samples = None
            progress = self.progress if self.config.fits else None
            if progress is not None:
                progress.fitted(0.0)
            self.fitted, reason = fit_parts(
                parts,
                self.header,
                self.config,
                None if progress is None else progress.say,
                None if progress is None else progress.fitted,
            )
            if reason:
                self.notes.append(reason)
        self.base_hash = self._fidelity.hash.digest()
        self.psnr_y = self._fidelity.psnr_y.value

    def receive_packet(self) -> Packet | None:
        """The next packet for the container, None when there is none yet."""
        if not self._packets or self.waits:
            return None
        if (
            self._packets[0].kind is Kind.KEY
            and (fit := self._make_fit_packet(self._given)) is not None
        ):
            return fit
        packet = self._packets.popleft()
        self._given += packet.is_frame
        return packet

    def _make_fit_packet(self, first: int) -> Packet | None:
        """The weights for the GOP whose first frame has this number, unless they are in force
        already."""
        wanted = self.fitted.get(
            max((frame for frame in self.fitted if frame <= first), default=-1)
        )
        if wanted is None or wanted == self._in_force:
            return None
        self._in_force = wanted
        return Packet(Kind.FIT, wanted)

    def _find_gops(self) -> list[Gop]:
        """Those of the packets that wait, which are all where the painter is fitted."""
        frames = [packet for packet in self._packets if packet.is_frame]
        starts = [n for n, packet in enumerate(frames) if packet.kind is Kind.KEY]
        return [
            Gop(start, bytes_in_file(frames[start:end], self.header.bundled))
            for start, end in itertools.pairwise([*starts, len(frames)])
        ]

    def _take(self, coded: Coded) -> None:
        for packet in coded.packets:
            kind = Kind.KEY if packet.keyframe else Kind.INTER
            self._coded.append(Packet(kind, packet.payload))
            if not is_reordered(self.config.base):
                self._sizes[self.coded_frames] = len(packet.payload)
            self.coded_frames += 1
            self.coded_bytes += len(packet.payload)
            if self.progress is not None:
                self.progress.coded(self.coded_frames, self.coded_bytes)
        self._place()
        hashed: Sequence[Planes | bytes] = coded.hashed or coded.base_frames
        for base_frame, counted in zip(coded.base_frames, hashed, strict=True):
            self._fidelity.send_base(base_frame, counted)
            size = self._sizes.pop(self._released, 0)
            if self._samples is not None:
                self._samples.send_base(self._released, base_frame, size)
            self._released += 1

    def _place(self) -> None:
        """Put coded frames where they stand in the file: the times of a batch before its first
        frame, and tracks after the frames that they came with."""
        while self._coded:
            if self._placed == self._batch_end:
                if (end := self._find_batch()) is None:
                    return
                self._batch_end = end
            packet = self._coded.popleft()
            key = self._placed if packet.kind is Kind.KEY else None
            if late := self._timing.take(key, self._batch_end):
                self._packets.append(Packet(Kind.TIMING, late))
            self._packets.append(packet)
            self._placed += 1
            self._place_tracks()

    def _find_batch(self) -> int | None:
        """Number of the frame after the batch that begins with the next coded frame; None until all
        of it is there. Decoding a packet releases no frame with a higher number."""
        if self._batch:
            end = self._placed + self._batch
            return end if self.flushed or self.frames >= end else None
        following = itertools.islice(self._coded, 1, None)
        keys = (n for n, packet in enumerate(following, 1) if packet.kind is Kind.KEY)
        end = self._placed + next(keys, len(self._coded))
        return end if self.flushed or end < self._placed + len(self._coded) else None

    def _place_tracks(self) -> None:
        while self._tracks and self._tracks[0][0] <= self._placed:
            self._packets.append(Packet(Kind.TRACKS, self._tracks.popleft()[1]))


def _needs(config: EncoderConfig, paints: bool, paper_form: bool) -> tuple[int, int]:
    """The version that reads the file."""
    if paper_form:
        return NEEDS_TOKENS
    return NEEDS_FACTORS if paints and has_factors(config.look) else NEEDS
