"""Frames to a stream, top to bottom: every stage of `gvcodec encode` after the source is open.

    source ─► send_frame ─► base encoder ─┬─► packets, which wait for `flush`
                  │                       └─► base frames ─► base hash, PSNR
                  └─► short runs of pairs (base frame, source) for the painter
    flush ──────────► `PainterStage`: strength, weights and tokens of each GOP
    receive_packet ─► fit, timing, tracks and frames in the order of the file ─┬─► Writer ─► file
                                                                               └─► `PaintedHash`

`encode_stream.encode_source` does all of that for a video, `encode_stream` for any frames. By hand:

    encoder = Encoder(fmt, EncoderConfig(q=40))
    for planes in video:
        encoder.send_frame(planes)
        while (packet := encoder.receive_packet()) is not None: ...
    encoder.flush()
    while (packet := encoder.receive_packet()) is not None: ...

The packets, after `encoder.header`, go to a `gvcodec.Writer`, which is finished with
`encoder.base_hash`. The base decodes its packets, so base frames are known here (`gvcodec.base`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import numpy as np

from gvcodec.base import (
    BaseEncoder,
    EncodeResult,
    base_model_id,
    check_settings,
    open_encoder,
)
from gvcodec.bases import INDEX_END, index_of, is_reordered, q_of
from gvcodec.bitstream import Kind, Packet, PtsEncoder, SequenceHeader
from gvcodec.bitstream.attachments import Attachment, pack
from gvcodec.bitstream.bundles import bytes_in_file
from gvcodec.bitstream.embedded_models import model_packets
from gvcodec.bitstream.header import (
    MAX_PTS,
    NEEDS,
    NEEDS_NETWORK,
    NEEDS_PAINTER_TOKENS,
    NEEDS_STRENGTH_FACTORS,
)
from gvcodec.bitstream.metadata import Metadata
from gvcodec.codec.fidelity import PEAK, Fidelity
from gvcodec.codec.file_order import FileOrder
from gvcodec.codec.frame_captions import FrameCaptions
from gvcodec.codec.painter_stage import PainterStage, painter_id
from gvcodec.config import EncoderConfig, ResolvedConfig
from gvcodec.errors import UsageError
from gvcodec.limits import memory_note
from gvcodec.painter.paint_strength import has_factors
from gvcodec.painter.samples import Gop
from gvcodec.types import Planes, VideoFormat, chroma_shape
from gvcodec.util.deprecation import renamed_attributes, renamed_keywords
from gvcodec.util.process import keep_large_blocks, map_large_blocks, return_memory, stay_in_process
from gvcodec.util.torch_settings import default_torch_settings
from gvcodec.zones import Zone, parse_zones, zone_at


class Progress(Protocol):
    """Receives how far an encoder is."""

    def coded(self, frames: int, size: int) -> None:
        """`frames` frames are coded so far, with `size` bytes of payload."""
        ...

    def painted(self, frames: int, total: int) -> None:
        """So many of all frames are painted for the hash, after all are coded."""
        ...


@renamed_attributes(waits="holds_packets", fitted="fit_payloads")
class Encoder:
    """One video. With strengths by GOP or tokens, `flush` releases the packets, because side
    information precedes the frames that it describes. One class holds the state of base and
    painter, since a packet waits for the later of them.

    Attributes: `header` (`SequenceHeader`), `config` (settled), `frames` (taken so far), `notes`
    (one line for everything that was left out), after `flush`: `base_hash` (8 bytes) and
    `psnr_y` (dB, mean over the base frames; infinite when all are exact), `fit_payloads` (payloads
    of `fit` packets by the frame from which on they hold).

    One thread uses an encoder at a time. It stays in its process: in a child made by `fork` frames
    raise `UsageError`.
    """

    @default_torch_settings()
    @renamed_keywords(fitted="fit_payloads")
    def __init__(
        self,
        fmt: VideoFormat,
        config: EncoderConfig | None = None,
        start_pts: int = 0,
        progress: Progress | None = None,
        base_encoder: BaseEncoder | None = None,
        fit_payloads: Mapping[int, bytes] | None = None,
    ) -> None:
        """`start_pts`: timestamp of the first frame. `progress` receives how far it is. Rate
        control gives `base_encoder`, an encoder of the same base that it steers, and
        `fit_payloads`, those of an earlier pass. Raises `UsageError`."""
        check_settings()
        self._process = os.getpid()
        map_large_blocks()
        resolved = (config or EncoderConfig()).resolve()
        resolved.check()
        self.config = resolved
        self.header, self.notes = _make_header(fmt, resolved, start_pts)
        self.progress = progress
        self.frames = 0
        self.is_flushed = False
        # The base.
        self._base_encoder = base_encoder or open_encoder(fmt, resolved)
        self._zones = parse_zones(resolved.zones)
        self._zone: Zone | None = None
        self._fidelity = Fidelity()
        #: Frames whose packets, and whose base frames, the base has given so far.
        self._coded_frames = self._decoded_frames = 0
        self._coded_bytes = 0
        #: Bytes of packets whose base frames are not there yet, by frame; none if packets are
        #: in another order than frames.
        self._sizes: dict[int, int] = {}
        self._painter = PainterStage(self.header, resolved, fit_payloads)
        self.notes += self._painter.take_notes()
        self._captions = FrameCaptions(resolved.base == "av1")
        # The file.
        self._end: int | None = None
        self._timing = PtsEncoder(start_pts, fmt.frame_rate, fmt.time_base)
        self._order = FileOrder(self._timing, resolved)
        if resolved.embed_model:
            self._order.ready += model_packets(self.header)
        #: Frame packets given out.
        self._frames_out = 0

    def send_metadata(self, data: bytes) -> None:
        """Title, chapters and HDR metadata (see `gvcodec.bitstream.metadata`), if any; before the
        first frame. Which encoder codes the base is added."""
        if self._base_encoder.written_by:
            data = Metadata(encoder=self._base_encoder.written_by).pack() + data
        if data:
            self._order.ready.append(Packet(Kind.METADATA, data))

    def send_attachments(self, attachments: Iterable[Attachment]) -> None:
        """Fonts, covers and other files that a file has room for; before the first frame."""
        self._order.ready += pack(attachments)

    def send_tracks(self, data: bytes) -> None:
        """Next bytes of the copied tracks (see `gvcodec.tracks.packets`), if any; they go after the
        frames that were sent before."""
        if data:
            self._order.send_tracks(self.frames, data)

    def send_frame(
        self,
        planes: Planes,
        pts: int | None = None,
        force_key: bool = False,
        captions: bytes = b"",
    ) -> None:
        """Take the next frame in display order; without `pts` it keeps the rate. `captions`: closed
        captions, three bytes for each pair, as in FFmpeg's side data A53_CC (base av1). Raises
        `UsageError` for another size."""
        stay_in_process(self._process, "encoder")
        self._check_frame(planes, pts)
        # Copies, since some frames are kept and a caller may write the next one into its arrays.
        y, u, v = (np.array(plane, np.uint16) for plane in planes)
        pts = self._timing.predict() if pts is None else int(pts)
        force_key |= self._enter_zone(pts)
        self._timing.send(pts)
        self._fidelity.send_source(y, self.header.format.bit_depth)
        self._painter.send_source(self.frames, (y, u, v))
        self._captions.send(self.frames, captions)
        self.frames += 1
        self._on_output(self._base_encoder.send((y, u, v), force_key))

    def _check_frame(self, planes: Planes, pts: int | None) -> None:
        height, width = self.header.format.height, self.header.format.width
        chroma = chroma_shape(height, width)
        if self.is_flushed:
            raise UsageError("the encoder has been flushed", code="encoder-flushed")
        if [plane.shape for plane in planes] != [(height, width), chroma, chroma]:
            raise UsageError(
                f"frame {self.frames} is not of {width}×{height} samples in 4:2:0",
                code="frame-shape",
            )
        if any(
            plane.dtype.kind not in "ui" or plane.min() < 0 or plane.max() > PEAK
            for plane in planes
        ):
            raise UsageError(
                f"frame {self.frames}: samples are integers 0…{PEAK}", code="frame-shape"
            )
        if pts is not None and (not isinstance(pts, int | np.integer) or abs(int(pts)) > MAX_PTS):
            raise UsageError(
                f"frame {self.frames}: a timestamp is an integer within ±2^60, not {pts!r}",
                code="frame-shape",
            )

    def _enter_zone(self, pts: int) -> bool:
        """Whether a zone begins or ends with the frame, and with it a GOP of another quality."""
        if not self._zones:
            return False
        seconds = float(pts * self.header.format.time_base) + self.config.zone_start
        zone = zone_at(self._zones, seconds)
        if zone == self._zone:
            return False
        self._zone, base, index = zone, self.config.base, self.config.base_q
        target_q = index if zone is None else index_of(base, zone.apply(q_of(base, index)))
        self._base_encoder.set_q_offset(target_q - index)
        return True

    def _on_output(self, coded: EncodeResult) -> None:
        """Output of the base: packets go into the order of the file, base frames to the hash
        and to the painter's samples."""
        for packet in coded.packets:
            payload = self._captions.insert(self._coded_frames, packet.payload)
            self._order.send_frame(Packet(Kind.KEY if packet.keyframe else Kind.INTER, payload))
            if not is_reordered(self.config.base):
                self._sizes[self._coded_frames] = len(payload)
            self._painter.send_packet(self._coded_frames, packet.keyframe, len(payload))
            self._coded_frames += 1
            self._coded_bytes += len(payload)
            if self.progress is not None:
                self.progress.coded(self._coded_frames, self._coded_bytes)
        self._order.place_packets(self.frames, self.is_flushed)
        tokens = coded.hash_bytes or [b""] * len(coded.base_frames)
        for base_frame, of_frame in zip(coded.base_frames, tokens, strict=True):
            self._fidelity.send_base(base_frame, of_frame)
            size = self._sizes.pop(self._decoded_frames, 0)
            self._painter.send_base(self._decoded_frames, base_frame, size)
            self._decoded_frames += 1

    def send_end(self, pts: int | None) -> None:
        """When the last frame ends, in ticks, if it is not shown as long as the others; after
        it."""
        self._end = pts

    @property
    def seconds(self) -> float:
        """How long the frames taken so far are shown."""
        end = self._timing.predict() if self._end is None else self._end
        return float((end - self.header.start_pts) * self.header.format.time_base)

    def flush(self) -> None:
        """No more frames: chooses the painter's strengths, and releases all packets. Raises
        `UsageError` without any frame."""
        for _ in self.flush_in_steps():
            pass

    def flush_in_steps(self) -> Iterator[None]:
        """`flush` in steps; finished packets may be taken between them."""
        stay_in_process(self._process, "encoder")
        if not self.frames:
            raise UsageError("there is no frame to encode", code="no-frames")
        for coded in self._base_encoder.drain():
            self._on_output(coded)
            yield
        self.is_flushed = True
        self._order.place_packets(self.frames, self.is_flushed)
        if self._end is not None:
            self._order.send_end(self._end)
        # An AV1 encoder of large pictures holds gigabytes, which a token search may need.
        del self._base_encoder
        return_memory()
        keep_large_blocks()
        self._painter.finish(self._gops(), self.frames)
        self.notes += [*self._painter.take_notes(), *self._captions.notes()]
        self.base_hash = self._fidelity.hash.digest()
        self.psnr_y = self._fidelity.psnr_y.value

    def _gops(self) -> list[Gop]:
        """All GOPs of the video: until `flush` is done every packet waits."""
        frames = [packet for packet in self._order.ready if packet.is_frame]
        starts = [n for n, packet in enumerate(frames) if packet.kind is Kind.KEY]
        return [
            Gop(start, bytes_in_file(frames[start:end], self.header.is_bundled))
            for start, end in itertools.pairwise([*starts, len(frames)])
        ]

    @property
    def holds_packets(self) -> bool:
        """Whether all packets wait for `flush`."""
        return self._painter.is_waiting

    @property
    def fit_payloads(self) -> Mapping[int, bytes]:
        """Payloads of `fit` packets by the frame from which on they hold; all after `flush`."""
        return self._painter.payloads

    @fit_payloads.setter
    def fit_payloads(self, payloads: Mapping[int, bytes]) -> None:
        self._painter.payloads = payloads

    def receive_packet(self) -> Packet | None:
        """The next packet for the container, None when there is none yet."""
        ready = self._order.ready
        if not ready or self.holds_packets:
            return None
        if ready[0].kind is Kind.KEY and (fit := self._painter.next_packet(self._frames_out)):
            return fit
        packet = ready.popleft()
        self._frames_out += packet.is_frame
        return packet

    def report_painted(self, frames: int) -> None:
        """So many frames are painted for their hash: said once no frame is coded any more."""
        if self.is_flushed and self.progress is not None:
            self.progress.painted(frames, self.frames)


def _make_header(
    fmt: VideoFormat, config: ResolvedConfig, start_pts: int
) -> tuple[SequenceHeader, list[str]]:
    """The sequence header, and a line for each loss. Raises `UsageError`."""
    notes: list[str] = []
    painter, reason = painter_id(config)
    if reason:
        notes.append(reason)
    index = min(INDEX_END, round(config.base_q)) if config.header_q is None else config.header_q
    needs = NEEDS
    if config.base == "gvc1d":
        needs = NEEDS_NETWORK
    elif painter is not None and config.uses_tokens:
        needs = NEEDS_PAINTER_TOKENS
    elif painter is not None and has_factors(config.look):
        needs = NEEDS_STRENGTH_FACTORS
    header = SequenceHeader(
        fmt,
        config.base,
        config.scale,
        index,
        start_pts,
        base_model_id(config),
        painter,
        is_bundled=config.uses_bundles(fmt.width * fmt.height),
        embeds_models=config.embed_model,
        needs=needs,
    )
    if note := memory_note(header, header.is_painted):
        notes.append(note)
    if config.file_format:
        header.check_format(config.file_format)
    return header, notes
