"""What the searches for a file of a given size share: their inputs, their result, where they
begin."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from gvcodec.base import BaseEncoder
from gvcodec.codec.encode_stream import PAINTED_BYTES, add_painted
from gvcodec.codec.encoder import Progress
from gvcodec.config import EncoderConfig, Settled
from gvcodec.errors import UsageError
from gvcodec.rate.one_pass import Extent, Open, Pass, Watch, run

#: Quality and bits a pixel that go together on average, to begin a search: median slopes from q 46
#: to 66 of twelve training clips at preset 3 (`docs/data/av1-painted.csv`), which differ by half.
_USUAL_Q = (1.0, 20.0, 46.0, 56.0, 60.0, 63.0, 66.0, 67.0)
_USUAL_BPP = (1.2, 0.2, 0.041, 0.024, 0.017, 0.0103, 0.0050, 0.0038)
_USUAL_LOG = [math.log(bpp) for bpp in _USUAL_BPP]
#: Natural log of the bytes that a step of q saves, on average, and at most.
USUAL_SLOPE, _STEEPEST = 0.1, 0.4


def usual_q(bpp: float) -> float:
    """The index of quality that files of this many bits a pixel have on average."""
    return float(np.interp(-math.log(bpp), [-log for log in _USUAL_LOG], _USUAL_Q))


def usual_slope(q: float, excess: float) -> float:
    """The log of the bytes that a step of AV1's `q` saves, on average over those that make up for
    `excess` in this log."""
    log = float(np.interp(q, _USUAL_Q, _USUAL_LOG))
    # Beyond the end there is nothing to go by but the other side.
    for part in (excess, -excess):
        step = usual_q(math.exp(log - part)) - q
        if abs(step) > 0.01:
            return min(part / step, _STEEPEST)
    return USUAL_SLOPE


@dataclass(frozen=True, slots=True)
class Fitted:
    """A file that fits, full encodes that it took, and all frames coded on the way."""

    coded: Pass
    limit: int
    full_passes: int
    frames_coded: int


#: What to do about sound that takes too much of a file.
SMALLER_SOUND = "--sound opus:24k codes sound smaller, --no-sound drops it"


class TooSmallError(UsageError):
    """Nothing fits into `limit` bytes. `smallest`: the stream that comes nearest; `size`: bytes of
    the file with it, of which so many are `copied` sound and subtitles."""

    def __init__(self, limit: int, smallest: Fitted, size: int, copied: int) -> None:
        self.smallest = smallest
        text = f"{limit} bytes are not enough: the smallest possible size is {size} bytes"
        if copied:
            text += f", {copied} of them {smallest.coded.track_kinds} ({SMALLER_SOUND})"
        super().__init__(text)


def refuse_sound(limit: float, track_bytes: int) -> None:
    """Raises `UsageError` where sound and subtitles leave no room for a picture."""
    if track_bytes >= limit:
        raise UsageError(
            f"{int(limit)} bytes are not enough: sound and subtitles alone have {track_bytes} "
            f"({SMALLER_SOUND})"
        )


@dataclass(slots=True)
class Search:
    """A video, settings without a quality, and the bytes that the file may have."""

    open_source: Open
    config: EncoderConfig
    extent: Extent
    limit: int
    watch: Watch
    progress: Progress | None = None
    #: Whether a trial that is far too large ends the search.
    gives_up: bool = True
    #: Encodes of the whole video, and frames coded, so far.
    full: int = 0
    frames_coded: int = 0
    #: What the pass that fitted the painter had to say, and what fitting came to at each scale.
    notes: list[str] = field(default_factory=list)
    fits: dict[Fraction | None, Mapping[int, bytes]] = field(default_factory=dict)

    @property
    def room(self) -> int:
        """Most bytes of a pass, which is painted at last."""
        return self.limit - (0 if self.config.has_tokens else PAINTED_BYTES)

    def run(self, config: Settled, encoder: BaseEncoder | None = None, trial: bool = False) -> Pass:
        """A pass over the video, or a trial; the first pass at a scale fits. What is not kept need
        not be painted: `fitted` paints, unless tokens need painted frames anyway."""
        fits = not trial and config.scale not in self.fits
        coded = run(
            self.open_source,
            config if fits else dataclasses.replace(config, fit=0),
            "trial" if trial else f"pass {self.full + 1}",
            self.watch,
            self.extent.frames,
            encoder,
            None if trial else self.fits.get(config.scale),
            self.progress,
            paints=not trial and config.has_tokens,
        )
        if fits:
            self.fits[config.scale] = coded.fitted
            self.notes += coded.notes
        self.full += not trial
        self.frames_coded += self.extent.frames
        return coded

    def fitted(self, coded: Pass) -> Fitted:
        """A pass as the file that is wanted, painted."""

        def tell(frames: int) -> None:
            if self.progress is not None:
                self.progress.painted(frames, self.extent.frames)

        data = coded.data if self.config.has_tokens else add_painted(coded.data, self.config, tell)
        notes = list(dict.fromkeys([*coded.notes, *self.notes]))
        coded = dataclasses.replace(coded, data=data, notes=notes)
        return Fitted(coded, self.limit, self.full, self.frames_coded)

    def first_guess(self) -> float:
        """The index of quality that files of this many bits a pixel have on average."""
        fmt = self.extent.format
        room = max(1, self.limit - self.extent.track_bytes)
        return usual_q(8 * room / (self.extent.frames * fmt.width * fmt.height))

    def refuse(self, smallest: int) -> UsageError:
        """For a limit that a trial is far above at the coarsest quality."""
        sound = self.extent.track_bytes
        least = f"the smallest possible size is about {smallest} bytes"
        text = f"{self.limit} bytes are not enough: {least}"
        more = f", {sound} of them sound and subtitles ({SMALLER_SOUND})" if sound else ""
        return UsageError(text + more)

    def too_small(self, smallest: Pass) -> TooSmallError:
        fitted = self.fitted(smallest)
        return TooSmallError(self.limit, fitted, len(fitted.coded.data), smallest.track_bytes)
