"""A stream to frames, top to bottom: every stage of `gvcodec decode` after the file is open.

    file ─► Reader ─► send_packet ─┬─► key, inter: base decoder ─► base frames ─► base hash
                                   ├─► fit: weights and strength of the painter, from a GOP on
                                   ├─► timing: when frames are shown
                                   └─► tracks, metadata: for the caller
    base frame, fit ─► painter ─► painted frame ─► painted hash ─► receive_frame
    verify ◄── both hashes, compared with those of the file

    decoder = Decoder(reader.header)
    for frame in decoder.frames_of(reader.packets()): ...
    decoder.verify(reader.base_hash)

or, packet by packet, `send_packet`, `receive_frame` until it gives None, and `flush` after the last
packet.

Decoding may start at any `key` packet: `restart` with the number of its first frame, then the
`fit` packet in force there and the packets of its GOP. One class holds the state of base and
painter, since packets of both come interleaved.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gvcodec.base import check_settings, open_decoder
from gvcodec.bases import is_reordered
from gvcodec.bitstream import Kind, Packet, PtsDecoder, SequenceHeader
from gvcodec.bitstream.metadata import Metadata
from gvcodec.codec.fidelity import FrameHash
from gvcodec.errors import (
    NO_TOKENS,
    DamagedStreamError,
    FormatVersionError,
    UsageError,
    VerificationError,
)
from gvcodec.limits import DEFAULT, Limits, check
from gvcodec.painter.video import check_paint_strength, open_painter, paints_exactly
from gvcodec.types import Planes
from gvcodec.util.deprecation import renamed_attributes, renamed_keywords
from gvcodec.util.process import stay_in_process

if TYPE_CHECKING:
    from gvcodec.tracks.packets import TrackReader


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A frame in display order: painted, or the base frame; `base_frame` is always the latter.
    `pts` in ticks of the format's time base."""

    planes: Planes
    pts: int
    base_frame: Planes


@renamed_attributes(painted_wanted="expected_painted_hash")
class Decoder:
    """One video. `fidelity` gives the base frames even if the stream has a painter.

    `models`: files and folders to look for models in before the usual places. `low_delay` releases
    frames as early as possible. `device` is kept for callers of 1.0: every base decodes on the
    processor. `limits`: bounds on the stream's demands. `verify_only` reads everything that
    painting needs, and gives base frames. `read_only`: the caller does not modify frames, so they
    are hashed while the next ones are decoded, if there are threads for it. `look`: painting
    strength, 0…100, instead of the file's; the painted hash is not checked then, nor without
    `uses_tokens`, which ignores the painter's tokens. Without `hashes_base` base frames are not
    hashed, and `base_hash` and `verify` raise `UsageError`. Raises `LimitError` when the stream
    asks for more, `WrongModelError` for a missing model, `UsageError` for a `look` that cannot be.

    Attributes: `header`; `tracks`: sound and subtitles read so far, whose `waiting` packets the
    caller takes out, None without any; `metadata`: that payload, empty before it came;
    `expected_painted_hash`: payload of the `painted` packet, None before it came; `notes`:
    a line for each part that this release does not show.

    One thread uses a decoder at a time. It stays in its process: in a child made by `fork` packets
    raise `UsageError`.
    """

    @renamed_keywords(steers="uses_tokens", only_check="verify_only")
    def __init__(
        self,
        header: SequenceHeader,
        fidelity: bool = False,
        threads: int = 0,
        models: Sequence[str | Path] = (),
        low_delay: bool = False,
        device: str = "cpu",
        limits: Limits = DEFAULT,
        verify_only: bool = False,
        read_only: bool = False,
        look: int | None = None,
        uses_tokens: bool = True,
        hashes_base: bool = True,
    ) -> None:
        check_settings()
        self._process = os.getpid()
        is_painted = header.painter_id is not None and not fidelity
        if look is not None:
            check_paint_strength(look, is_painted)
        check(header, header.is_painted and not fidelity, limits)
        self.header = header
        self._limits = limits
        self._verify_only = verify_only
        self._overrides_look = look is not None or not uses_tokens
        self.notes = [NO_TOKENS] if header.gvc1d_id is not None and not fidelity else []
        self.tracks: TrackReader | None = None
        self.metadata = b""
        fmt = header.format
        self._timing = PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base, limits)
        # The base. A frame's number counts from the first of the video.
        self._base_decoder = open_decoder(header, threads, models, low_delay)
        hash_executor = ThreadPoolExecutor(1, "hash") if read_only and threads != 1 else None
        self._base_hash = FrameHash(hash_executor) if hashes_base else None
        #: Whether a keyframe came; numbers of the next frame packet and of the next shown frame.
        self._started = False
        self._sent_count = self._shown_count = 0
        #: Bytes of packets whose frames were not shown yet, by frame; none if packets are in
        #: another order than frames.
        self._sizes: dict[int, int] = {}
        # The painter.
        self._painter = (
            open_painter(header, threads, models, look, uses_tokens) if is_painted else None
        )
        #: Payload of the last `fit` packet, and those of GOPs that no frame was shown of yet, by
        #: the number of their first frame.
        self._fit: bytes | None = None
        self._gops: deque[tuple[int, bytes | None]] = deque()
        self._paints_gop = True
        exact = self._painter is not None and paints_exactly(header) and not self._overrides_look
        #: None if samples are not the same everywhere, or the first frames are left out.
        self._painted_hash = FrameHash(hash_executor) if exact else None
        self.expected_painted_hash: bytes | None = None
        self._ready: deque[DecodedFrame] = deque()

    def frames_of(self, packets: Iterable[Packet]) -> Iterator[DecodedFrame]:
        """All frames of these packets, which are the last. Raises `DamagedStreamError`."""
        for packet in packets:
            self.send_packet(packet)
            yield from self._pop_ready()
        self.flush()
        yield from self._pop_ready()

    def send_packet(self, packet: Packet) -> None:
        """Take the next packet. Raises `DamagedStreamError`."""
        stay_in_process(self._process, "decoder")
        if packet.kind is Kind.FIT:
            self._fit = packet.payload
        elif packet.kind is Kind.TIMING:
            self._timing.send(packet.payload)
        elif packet.kind is Kind.TRACKS:
            self._on_tracks(packet.payload)
        elif packet.kind is Kind.METADATA and not self.metadata:
            Metadata.unpack(packet.payload)
            self.metadata = packet.payload
        elif packet.kind is Kind.PAINTED:
            self.expected_painted_hash = packet.payload
        elif packet.kind is Kind.UNKNOWN and self._painter is not None:
            raise FormatVersionError(
                f"painting needs a newer version of gvcodec, for packets of type {packet.type}; "
                f"--fidelity gives the base frames",
                code="newer-packet",
            )
        elif packet.is_frame:
            self._on_frame_packet(packet)

    def _on_tracks(self, payload: bytes) -> None:
        from gvcodec.tracks.packets import TrackReader

        if self.tracks is None:
            self.tracks = TrackReader(payload, self._limits)
        else:
            self.tracks.send(payload)

    def _on_frame_packet(self, packet: Packet) -> None:
        key = packet.kind is Kind.KEY
        if key:
            # A GOP is closed and has one packet a frame: its first frame is shown after as many as
            # were sent.
            self._gops.append((self._sent_count, self._fit))
            self._timing.start_gop()
            self._started = True
        elif not self._started:
            raise DamagedStreamError("decoding has to start at a keyframe", code="packet-order")
        if not is_reordered(self.header.base):
            self._sizes[self._sent_count] = len(packet.payload)
        self.expected_painted_hash = None
        self._sent_count += 1
        self._on_base_frames(self._base_decoder.send(packet.payload, key))

    @property
    def has_captions(self) -> bool:
        """Whether a frame with closed captions came."""
        return self._base_decoder.has_captions

    def _on_base_frames(self, base_frames: list[Planes]) -> None:
        """Hash, paint and time the released base frames."""
        tokens = self._base_decoder.hash_bytes
        for base_frame in base_frames:
            of_frame = tokens.popleft() if tokens else b""
            if self._base_hash is not None:
                self._base_hash.update(base_frame, of_frame)
        for base_frame in base_frames:
            if self._gops and self._gops[0][0] == self._shown_count:
                _, fit = self._gops.popleft()
                self._paints_gop = True
                if self._painter is not None:
                    self._painter.start_gop(fit)
            picture = self._paint(base_frame, self._sizes.pop(self._shown_count, 0))
            self._ready.append(DecodedFrame(picture, self._timing.receive(), base_frame))
            self._shown_count += 1

    def _paint(self, base_frame: Planes, size: int) -> Planes:
        """`size`: bytes of the frame's packet, 0 = unknown, by which the painter is conditioned."""
        is_skipped = self._verify_only and self._painted_hash is None
        if self._painter is None or not self._paints_gop or is_skipped:
            return base_frame
        try:
            painted = self._painter.paint(base_frame, size)
            if self._painted_hash is not None:
                self._painted_hash.update(painted)
            return painted
        except RuntimeError as error:
            if "allocate memory" not in str(error):
                raise
            raise MemoryError("painting is out of memory") from None

    def flush(self) -> None:
        """No more packets: release the rest. Raises `DamagedStreamError`."""
        stay_in_process(self._process, "decoder")
        self._on_base_frames(self._base_decoder.flush())

    def receive_frame(self) -> DecodedFrame | None:
        """The next frame, None when there is none yet."""
        stay_in_process(self._process, "decoder")
        return self._ready.popleft() if self._ready else None

    def _pop_ready(self) -> Iterator[DecodedFrame]:
        while (frame := self.receive_frame()) is not None:
            yield frame

    def receive_end(self) -> int:
        """When the last frame ends, in ticks; after all frames. Raises `DamagedStreamError`."""
        return self._timing.receive()

    def verify(self, base_hash: bytes | None) -> None:
        """Raises `VerificationError` when the base frames differ from the encoder's."""
        if base_hash is not None and self.base_hash != base_hash:
            raise VerificationError(
                "decoded frames differ from the encoder's (base hash)", code="base-hash"
            )
        if not self._overrides_look and self.expected_painted_hash not in (None, self.painted_hash):
            raise VerificationError(
                "painted frames differ from the encoder's (painted hash)", code="painted-hash"
            )

    @property
    def frames(self) -> int:
        """Number of the next frame in display order: frames given out or ready so far."""
        return self._shown_count

    @property
    def base_hash(self) -> bytes:
        """Hash of the base frames so far, as at the end of a stream. Raises `UsageError` if they
        are not hashed."""
        if self._base_hash is None:
            raise UsageError("base frames are not hashed", code="option-value")
        return self._base_hash.digest()

    @property
    def painted_hash(self) -> bytes | None:
        """Hash of the painted frames so far, as in a `painted` packet; that of the packet if
        it cannot be computed."""
        if self._painted_hash is None:
            return self.expected_painted_hash
        return self._painted_hash.digest()

    def stop_painting(self) -> None:
        """Give base frames up to the next keyframe: painting needs the frames before."""
        self._paints_gop, self._painted_hash = False, None

    def restart(self, frame: int) -> None:
        """Go on at the GOP whose first frame has this number. Frames not yet received are
        dropped."""
        self._base_decoder.abandon()
        self._timing.restart(frame)
        self._gops.clear()
        self._ready.clear()
        self._sent_count = self._shown_count = frame
        self._started = False
        self._fit = None
        self._painted_hash = None
        self._sizes.clear()
