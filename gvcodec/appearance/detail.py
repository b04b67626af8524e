"""Lent detail: the best coded loop frames give theirs to the frames around them, before painting.

Random-access coders spend their bits on few frames, to which the others refer; with VVenC those are two to five decibels better. A frame
between them predicts what pays in PSNR and drops fine detail that the better frame a few places away, often a later one, still shows.
That is the observation of multi-frame quality enhancement (Yang et al., CVPR 2018: peak quality frames); here nothing is learned:

* the encoder, which knows the PSNR of every loop frame, names for each frame the better one within `LEND_REACH` frames, before or after it,
  or none (`choose`), in a packet before the GOP (`pack`);
* the decoder brings that frame to the place of the other by block motion in quarter samples, and adds the difference of the two, without
  what a Gaussian of 1.5 samples leaves of it, weighted by exp(-(d/8)²), d the mean difference of the low-passed pictures nearby in steps of
  10 bits (`lend`; csrc/core/detail.cpp). Only luma changes, and only what is painted: the loop stays as it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gvcodec._core import compensate, lend_detail, motion_search
from gvcodec.appearance.coder import Decoder, Encoder
from gvcodec.appearance.motion import BLOCK
from gvcodec.bitstream import LEND_REACH
from gvcodec.errors import DamagedStreamError
from gvcodec.types import Plane

#: Decibels by which it has to be better, and what every frame of distance takes off in the choice.
_BETTER, _DISTANCE = 0.7, 0.15


def lend(luma: Plane, better: Plane, threads: int = 1) -> Plane:
    """Luma of a frame with the detail that `better`, the luma of another frame of the same size, has for it."""
    height, width = luma.shape
    vectors, _ = motion_search(luma, better, threads=threads)
    padded = np.pad(better, ((0, -height % BLOCK), (0, -width % BLOCK)), mode="edge")
    moved = compensate(padded, vectors)[:height, :width]
    return lend_detail(luma, np.ascontiguousarray(moved), threads)


def choose(qualities: Sequence[float], place: int, behind: bool = False) -> int:
    """Which frame lends to the one at `place`: its distance, 0 for none. `qualities`: PSNR of the frames of a GOP, as far as they
    are in reach; `behind`: only frames before it count."""
    last = place if behind else min(len(qualities) - 1, place + LEND_REACH)
    own = qualities[place]
    better = [n for n in range(max(0, place - LEND_REACH), last + 1) if qualities[n] - own >= _BETTER]
    return max((n - place for n in better), key=lambda d: qualities[place + d] - _DISTANCE * abs(d), default=0)


def _expected(before: int) -> int:
    """The distance to the frame that lent to the frame before."""
    return before - 1 if before and abs(before - 1) <= LEND_REACH else 0


def pack(distances: Sequence[int]) -> bytes:
    """Distances of a GOP's frames in display order to bytes; none after the last frame that borrows."""
    coder, before = Encoder(), 0
    for distance in distances:
        coder.put(distance - _expected(before))
        before = distance
    return coder.finish()


class Distances:
    """Reads what `pack` wrote, a frame at a time. Raises `DamagedStreamError`."""

    def __init__(self, payload: bytes) -> None:
        self._coder = Decoder(payload)
        self._before = 0

    def next(self) -> int:
        """Distance of the frame that lends to the next one, 0 for none. Raises `DamagedStreamError`."""
        self._before = _expected(self._before) + self._coder.get()
        if abs(self._before) > LEND_REACH:
            raise DamagedStreamError("lent detail: from a frame out of reach")
        return self._before


@dataclass(frozen=True, slots=True)
class Loan:
    """What was decided about frame `number`: `luma`, its own, and that of the frame that lends to it, None without any."""

    number: int
    luma: Plane
    better: Plane | None


class Borrower:
    """The encoder's side: chooses while frames come by.

        for loan in borrower.send(luma, psnr, begins): ...

    A loan is known once all frames that may lend have come; `flush` gives the rest. `payloads`: what to send before the GOP that begins
    with the frame of this number, where anything is lent."""

    def __init__(self, behind: bool = False) -> None:
        """`behind`: frames borrow from frames before them only."""
        self._behind = behind
        #: Frames of the GOP that may still lend or borrow, and the place among them of the next to decide about.
        self._frames: deque[tuple[Plane, float]] = deque()
        self._place = 0
        self._number = self._first = 0
        self._distances: list[int] = []
        self.payloads: dict[int, bytes] = {}

    def send(self, luma: Plane, psnr: float, begins: bool) -> list[Loan]:
        """The next loop frame; `begins`: it is the first of a GOP."""
        loans = self.flush() if begins else []
        self._frames.append((luma, psnr))
        if len(self._frames) - self._place > (0 if self._behind else LEND_REACH):
            loans.append(self._decide())
        return loans

    def flush(self) -> list[Loan]:
        """No more frames in this GOP."""
        loans = [self._decide() for _ in range(len(self._frames) - self._place)]
        while self._distances and not self._distances[-1]:
            self._distances.pop()
        if self._distances:
            self.payloads[self._first] = pack(self._distances)
        self._first, self._distances, self._place = self._number, [], 0
        self._frames.clear()
        return loans

    def _decide(self) -> Loan:
        distance = choose([psnr for _, psnr in self._frames], self._place, self._behind)
        better = self._frames[self._place + distance][0] if distance else None
        loan = Loan(self._number, self._frames[self._place][0], better)
        self._distances.append(distance)
        self._number += 1
        if self._place == LEND_REACH:
            self._frames.popleft()
        else:
            self._place += 1
        return loan
