"""Frames to a stream, top to bottom: every stage of `gvcodec encode` after the source is open.

    source ─► send_frame ─► base encoder ─┬─► packets, which wait for `flush`
                  │                       └─► base frames ─► base hash, PSNR
                  └─► short runs of pairs (base frame, source) for the painter
    flush ──────────► the painter's strength by GOP; weights fitted to the video, if asked for
    receive_packet ─► fit, timing, tracks and frames in the order of the file ─┬─► Writer ─► file
                                                                               └─► `PaintedHash`

`encode_source` does all of that for a video, `encode_stream` for any frames. By hand:

    encoder = Encoder(fmt, EncoderConfig(q=40))
    for planes in video:
        encoder.send_frame(planes)
        while (packet := encoder.receive_packet()) is not None: ...
    encoder.flush()
    while (packet := encoder.receive_packet()) is not None: ...

The packets, after `encoder.header`, go to a `gvcodec.bitstream.Writer`, which is finished with
`encoder.base_hash`. The base decodes what it codes, so base frames are known here (`gvcodec.base`).
"""

from __future__ import annotations

import io
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

import numpy as np

from gvcodec.base import (
    BaseEncoder,
    EncodeResult,
    base_model_id,
    check_settings,
    open_encoder,
    uses_network,
)
from gvcodec.bases import INDEX_END, index_of, is_reordered, q_of
from gvcodec.bitstream import Kind, Packet, PtsEncoder, Reader, SequenceHeader, Writer
from gvcodec.bitstream.bundles import bytes_in_file
from gvcodec.bitstream.embedded_models import model_packets
from gvcodec.bitstream.header import (
    MAX_PTS,
    NEEDS,
    NEEDS_NETWORK,
    NEEDS_PAINTER_TOKENS,
    NEEDS_STRENGTH_FACTORS,
)
from gvcodec.bitstream.packets import make_quality
from gvcodec.bitstream.writer import HASH_BYTES
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.fidelity import PEAK, Fidelity
from gvcodec.config import EncoderConfig, ResolvedConfig
from gvcodec.errors import UsageError
from gvcodec.limits import NO_LIMITS, memory_note
from gvcodec.media.metadata import Metadata
from gvcodec.media.tracks import CHUNK, TrackCopier
from gvcodec.painter.fit_samples import FitSampler, Gop, part_limit
from gvcodec.painter.open import (
    FIT_NEEDS_TORCH,
    choose_payloads,
    has_torch,
    painter_id,
    paints_exactly,
)
from gvcodec.painter.paint_strength import has_factors, set_all_strengths
from gvcodec.painter.token_stage import TokenStage, add_tokens, search_obstacle, without_tokens
from gvcodec.types import Planes, VideoFormat, chroma_shape
from gvcodec.util.deprecation import renamed_attributes, renamed_keywords, warn_renamed
from gvcodec.util.process import keep_large_blocks, map_large_blocks, return_memory, stay_in_process
from gvcodec.util.torch_settings import default_torch_settings
from gvcodec.zones import Zone, parse_zones, zone_at

if TYPE_CHECKING:
    from gvcodec.media.reader import Frame


class Source(Protocol):
    """A video that can be read once; `gvcodec.media.reader.VideoReader` is one."""

    format: VideoFormat
    start_pts: int
    end: int | None
    notes: list[str]
    incomplete: str
    tracks: TrackCopier | None
    metadata: Metadata

    def __iter__(self) -> Iterator[Frame]: ...


def encode_source(
    source: Source,
    frames: Iterable[Frame],
    encoder: Encoder,
    output: BinaryIO,
    writes_painted_hash: bool = True,
) -> Writer:
    """`encode_stream` of a source with its tracks and metadata; `frames`: what iterating over it
    gives, seen by a progress bar or cut short."""

    def pieces() -> Iterator[tuple[Planes, int, bool]]:
        for frame in frames:
            yield frame.planes, frame.pts, frame.new_size
        encoder.send_end(source.end)

    return encode_stream(
        encoder, output, pieces(), source.metadata.pack(), source.tracks, writes_painted_hash
    )


def encode_stream(
    encoder: Encoder,
    output: BinaryIO,
    frames: Iterable[tuple[Planes, int | None] | tuple[Planes, int | None, bool]],
    metadata: bytes = b"",
    tracks: TrackCopier | None = None,
    writes_painted_hash: bool = True,
) -> Writer:
    """Encode all frames (planes, timestamp or None, whether a GOP has to begin) to `output`, which
    is flushed with every frame that made packets.

    `metadata` as for `Encoder.send_metadata`; `tracks` are copied in pieces of at least `CHUNK`
    bytes, in low delay frame by frame. Without `paints` there is no `painted` packet, for which all
    frames are painted. Gives the writer, which knows the sizes. Raises what the encoder and the
    source raise."""
    painted: PaintedHash | None = None
    if writes_painted_hash and paints_exactly(encoder.header):
        painted = PaintedHash(encoder.header, encoder.config, encoder._report_painted)
    writer = Writer(output, encoder.header)
    chunk = 0 if encoder.config.low_delay else CHUNK

    def write_ready() -> None:
        before = writer.size
        while (packet := encoder.receive_packet()) is not None:
            writer.write(packet)
            if painted is not None:
                painted.send(packet)
        if writer.size > before:
            # Whoever reads a pipe wants a packet when it is there, not when a buffer is full.
            output.flush()

    encoder.send_metadata(metadata)
    if tracks:
        # A decoder that writes as it reads needs to know the tracks before the first frame.
        encoder.send_tracks(tracks.take())
    for planes, pts, *new in frames:
        encoder.send_frame(planes, pts, *new)
        if tracks:
            encoder.send_tracks(tracks.take(chunk))
        write_ready()
    if tracks:
        encoder.send_tracks(tracks.take())
    for _ in encoder.flush_in_steps():
        write_ready()
    write_ready()
    writer.write(make_quality(encoder.psnr_y))
    if painted is not None:
        writer.write(painted.finish())
    writer.finish(encoder.base_hash)
    return writer


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

    def log_line(self, line: str) -> None:
        """What fitting found."""
        ...


def _log_function(progress: Progress) -> Callable[[str], None]:
    """Its method for lines, which is called `say` in objects made for 1.0."""
    if not hasattr(progress, "log_line") and hasattr(progress, "say"):
        warn_renamed("progress.say", "progress.log_line")
        return cast("Callable[[str], None]", progress.say)
    return progress.log_line


@renamed_attributes(waits="holds_packets", fitted="fit_payloads")
class Encoder:
    """One video. With strengths by GOP or fitting every packet waits for `flush`: they come before
    what they are for. One class holds the state of base and painter, since a packet waits for the
    later of them.

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
        `fit_payloads`, what fitting came to in an earlier pass. Raises `UsageError`."""
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
        #: Bytes of packets whose base frames are not there yet, by frame; none where packets are
        #: in another order than frames.
        self._sizes: dict[int, int] = {}
        # The painter.
        is_painted = self.header.painter_id is not None and resolved.look > 0
        self._sampler: FitSampler | None = None
        if is_painted and resolved.chooses_strengths:
            if resolved.uses_fitting and not has_torch():
                self.notes.append(FIT_NEEDS_TORCH)
            # Tokens are found for a strength, so their stage chooses it.
            if fit_payloads is None and not resolved.uses_tokens:
                self._sampler = FitSampler(fmt, part_limit(resolved))
        self._tokens: TokenStage | None = None
        if is_painted and resolved.uses_tokens:
            # Their bytes depend on the quality, so each pass finds its own.
            fit_payloads = None if fit_payloads is None else without_tokens(fit_payloads)
            self._tokens = TokenStage(self.header, resolved, fit_payloads)
            if resolved.tokens == "search" and (reason := search_obstacle(fmt)):
                self.notes.append(reason)
        self.fit_payloads: Mapping[int, bytes] = fit_payloads or {}
        if self._sampler is None and self.header.painter_id is not None:
            self.fit_payloads = set_all_strengths(self.fit_payloads, resolved.look)
        #: The last of them that was given out.
        self._current_fit: bytes | None = None
        # The file.
        self._end: int | None = None
        self._timing = PtsEncoder(start_pts, fmt.frame_rate, fmt.time_base)
        self._order = _FileOrder(self._timing, resolved)
        if resolved.embed_model:
            self._order.ready += model_packets(self.header)
        #: Frame packets given out.
        self._frames_out = 0

    def send_metadata(self, data: bytes) -> None:
        """Title, chapters and HDR metadata (see `gvcodec.media.metadata`), if any; before the first
        frame. Which encoder codes the base is added."""
        if self._base_encoder.written_by:
            data = Metadata(encoder=self._base_encoder.written_by).pack() + data
        if data:
            self._order.ready.append(Packet(Kind.METADATA, data))

    def send_tracks(self, data: bytes) -> None:
        """Next bytes of the copied tracks (see `gvcodec.media.tracks`), if any; they go after the
        frames that were sent before."""
        if data:
            self._order.send_tracks(self.frames, data)

    def send_frame(self, planes: Planes, pts: int | None = None, force_key: bool = False) -> None:
        """Take the next frame in display order; without `pts` it keeps the rate. Raises
        `UsageError` for another size."""
        stay_in_process(self._process, "encoder")
        self._check_frame(planes, pts)
        # Copies, since some frames are kept and a caller may write the next one into its arrays.
        y, u, v = (np.array(plane, np.uint16) for plane in planes)
        pts = self._timing.predict() if pts is None else int(pts)
        force_key |= self._enter_zone(pts)
        self._timing.send(pts)
        self._fidelity.send_source(y, self.header.format.bit_depth)
        if self._sampler is not None:
            self._sampler.send_source(self.frames, (y, u, v))
        if self._tokens is not None:
            self._tokens.send_source(self.frames, (y, u, v))
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
        """What the base released: packets go into the order of the file, base frames to the hash
        and to the painter's samples."""
        for packet in coded.packets:
            self._order.send_frame(
                Packet(Kind.KEY if packet.keyframe else Kind.INTER, packet.payload)
            )
            if not is_reordered(self.config.base):
                self._sizes[self._coded_frames] = len(packet.payload)
            if self._tokens is not None:
                self._tokens.send_packet(self._coded_frames, packet.keyframe, len(packet.payload))
            self._coded_frames += 1
            self._coded_bytes += len(packet.payload)
            if self.progress is not None:
                self.progress.coded(self._coded_frames, self._coded_bytes)
        self._order.place_packets(self.frames, self.is_flushed)
        tokens = coded.hash_bytes or [b""] * len(coded.base_frames)
        for base_frame, of_frame in zip(coded.base_frames, tokens, strict=True):
            self._fidelity.send_base(base_frame, of_frame)
            size = self._sizes.pop(self._decoded_frames, 0)
            if self._sampler is not None:
                self._sampler.send_base(self._decoded_frames, base_frame, size)
            if self._tokens is not None:
                self._tokens.send_base(self._decoded_frames, base_frame, size)
            self._decoded_frames += 1

    def send_end(self, pts: int | None) -> None:
        """When the last frame ends, in ticks, where it is not shown as long as the others; after
        it."""
        self._end = pts

    @property
    def seconds(self) -> float:
        """How long the frames taken so far are shown."""
        end = self._timing.predict() if self._end is None else self._end
        return float((end - self.header.start_pts) * self.header.format.time_base)

    def flush(self) -> None:
        """No more frames: chooses the painter's strengths, fits if asked to, and releases all
        packets. Raises `UsageError` without any frame."""
        for _ in self.flush_in_steps():
            pass

    def flush_in_steps(self) -> Iterator[None]:
        """`flush`, which goes on after each step; what is ready may be taken out between them."""
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
        # An AV1 encoder of large pictures holds gigabytes, which fitting may need.
        del self._base_encoder
        return_memory()
        keep_large_blocks()
        if self._sampler is not None:
            self._fit(self._sampler)
            self._sampler = None
        if self._tokens is not None:
            self.fit_payloads = add_tokens(self.fit_payloads, self._tokens.finish())
            self._tokens = None
        self.base_hash = self._fidelity.hash.digest()
        self.psnr_y = self._fidelity.psnr_y.value

    def _fit(self, sampler: FitSampler) -> None:
        """Choose the painter's strength for each GOP, and weights where they are asked for."""
        progress = self.progress if self.config.uses_fitting else None
        if progress is not None:
            progress.fitted(0.0)
        self.fit_payloads, reason = choose_payloads(
            sampler.parts(self._gops(), self.frames),
            self.header,
            self.config,
            None if progress is None else _log_function(progress),
            None if progress is None else progress.fitted,
        )
        if reason:
            self.notes.append(reason)

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
        return self._sampler is not None or self._tokens is not None

    def receive_packet(self) -> Packet | None:
        """The next packet for the container, None when there is none yet."""
        ready = self._order.ready
        if not ready or self.holds_packets:
            return None
        if ready[0].kind is Kind.KEY and (fit := self._fit_packet(self._frames_out)) is not None:
            return fit
        packet = ready.popleft()
        self._frames_out += packet.is_frame
        return packet

    def _fit_packet(self, first: int) -> Packet | None:
        """The weights for the GOP whose first frame has this number, unless they are in force
        already."""
        payload = self.fit_payloads.get(
            max((frame for frame in self.fit_payloads if frame <= first), default=-1)
        )
        if payload is None or payload == self._current_fit:
            return None
        self._current_fit = payload
        return Packet(Kind.FIT, payload)

    def _report_painted(self, frames: int) -> None:
        """So many frames are painted for their hash: said once no frame is coded any more."""
        if self.is_flushed and self.progress is not None:
            self.progress.painted(frames, self.frames)


def _make_header(
    fmt: VideoFormat, config: ResolvedConfig, start_pts: int
) -> tuple[SequenceHeader, list[str]]:
    """The sequence header, and a line for what the file will not have. Raises `UsageError`."""
    notes: list[str] = []
    network, base_model = uses_network(config), base_model_id(config)
    painter, reason = painter_id(config, network)
    if reason:
        notes.append(reason)
    index = min(INDEX_END, round(config.base_q)) if config.header_q is None else config.header_q
    needs = NEEDS
    if network:
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
        base_model,
        painter,
        is_bundled=config.uses_bundles(fmt.width * fmt.height),
        embeds_models=config.embed_model,
        needs=needs,
        uses_network=network,
    )
    if note := memory_note(header, header.is_painted):
        notes.append(note)
    if config.file_format:
        header.check_format(config.file_format)
    return header, notes


#: Frames whose times go into one `timing` packet: most phones time every frame a little off the
#: rate, and a packet for each would cost more than the times.
_TIMING_BATCH = 16


class _FileOrder:
    """Puts coded frames where they stand in the file: the times of a batch before its first frame,
    and tracks after the frames that they came with. What comes out when does not depend on the
    speed of the machine: encoders are as fast as it is, and the file is the same every time.

    `ready`: packets in the order of the file."""

    def __init__(self, timing: PtsEncoder, config: ResolvedConfig) -> None:
        self.ready: deque[Packet] = deque()
        self._timing = timing
        #: Frames of a batch, 0 = a GOP: of frames that are coded out of order the times are known
        #: when all of it are.
        self._batch = _TIMING_BATCH
        if config.low_delay:
            self._batch = 1
        elif is_reordered(config.base):
            self._batch = 0
        #: Coded frames whose batch is not complete, and tracks by the number of frames before them.
        self._coded: deque[Packet] = deque()
        self._tracks: deque[tuple[int, bytes]] = deque()
        #: Frames that are placed, and the number of the first one after the batch.
        self._placed_count = self._batch_end = 0

    def send_frame(self, packet: Packet) -> None:
        self._coded.append(packet)

    def send_tracks(self, frames: int, data: bytes) -> None:
        """`frames`: how many frames go before them."""
        self._tracks.append((frames, data))
        self._place_tracks()

    def send_end(self, pts: int) -> None:
        """When the last frame ends; after all were placed."""
        self._timing.send(pts)
        if late := self._timing.pop_payload():
            self.ready.append(Packet(Kind.TIMING, late))

    def place_packets(self, sent_count: int, is_end: bool) -> None:
        """Place what can be placed once `sent` frames were sent to the encoder; `is_end`: there are
        no more."""
        while self._coded:
            if self._placed_count == self._batch_end:
                if (end := self._find_batch(sent_count, is_end)) is None:
                    return
                self._batch_end = end
            packet = self._coded.popleft()
            key = self._placed_count if packet.kind is Kind.KEY else None
            if late := self._timing.pop_payload(key, self._batch_end):
                self.ready.append(Packet(Kind.TIMING, late))
            self.ready.append(packet)
            self._placed_count += 1
            self._place_tracks()

    def _find_batch(self, sent_count: int, is_end: bool) -> int | None:
        """Number of the frame after the batch that begins with the next coded frame; None until all
        of it is there. Decoding a packet releases no frame with a higher number."""
        if self._batch:
            end = self._placed_count + self._batch
            return end if is_end or sent_count >= end else None
        following = itertools.islice(self._coded, 1, None)
        keys = (n for n, packet in enumerate(following, 1) if packet.kind is Kind.KEY)
        end = self._placed_count + next(keys, len(self._coded))
        return end if is_end or end < self._placed_count + len(self._coded) else None

    def _place_tracks(self) -> None:
        while self._tracks and self._tracks[0][0] <= self._placed_count:
            self.ready.append(Packet(Kind.TRACKS, self._tracks.popleft()[1]))


class PaintedHash:
    """Decodes and paints what was written, for the `painted` packet at its end; `tell` receives how
    many frames are painted. Base frames are decoded again (5 of 510 ms a frame of 720p): strengths
    and weights are known when all is coded, and memory does not hold the frames of a long video."""

    def __init__(
        self, header: SequenceHeader, config: EncoderConfig, report: Callable[[int], None]
    ) -> None:
        self._decoder = Decoder(
            header,
            threads=config.threads,
            limits=NO_LIMITS,
            device=config.device,
            read_only=True,
        )
        self._report, self._frames = report, 0

    def send(self, packet: Packet) -> None:
        """Take the next packet of the file."""
        if packet.is_frame or packet.kind in (Kind.FIT, Kind.TIMING):
            self._decoder.send_packet(packet)
        self._drop_frames()

    def finish(self) -> Packet:
        """The `painted` packet."""
        self._decoder.flush()
        self._drop_frames()
        painted = self._decoder.painted_hash
        assert painted is not None
        return Packet(Kind.PAINTED, painted)

    def _drop_frames(self) -> None:
        while self._decoder.receive_frame() is not None:
            self._frames += 1
            self._report(self._frames)


#: Bytes that the `painted` packet adds to a stream, with one by which the size of its GOP may grow.
PAINTED_BYTES = len(Packet(Kind.PAINTED, bytes(HASH_BYTES)).pack()) + 1


def add_painted(data: bytes, config: EncoderConfig, report: Callable[[int], None]) -> bytes:
    """The stream that `encode_stream` would have made with `paints`. `tell` receives how many
    frames are painted."""
    reader, output = Reader(io.BytesIO(data)), io.BytesIO()
    if not paints_exactly(reader.header):
        return data
    writer, painted = Writer(output, reader.header), PaintedHash(reader.header, config, report)
    for packet in reader.packets():
        writer.write(packet)
        painted.send(packet)
    writer.write(painted.finish())
    assert reader.base_hash is not None  # the end was read
    writer.finish(reader.base_hash)
    return output.getvalue()
