"""Coded frames, times and tracks in the order of the file."""

from __future__ import annotations

import itertools
from collections import deque

from gvcodec.bases import is_reordered
from gvcodec.bitstream import Kind, Packet, PtsEncoder
from gvcodec.config import ResolvedConfig

#: Frames whose times go into one `timing` packet: most phones time every frame a little off the
#: rate, and a packet for each would cost more than the times.
_TIMING_BATCH = 16


class FileOrder:
    """Orders packets for the file: the times of a batch before its first frame, and tracks after
    the frames that they came with. The order is deterministic: it does not depend on encoder
    timing.

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
        """Place as many packets as possible after `sent_count` frames were sent to the encoder;
        `is_end`: there are no more."""
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
