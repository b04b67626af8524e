"""Input, result and refusals of a search for a file of a given size."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from gvcodec.base import BaseEncoder
from gvcodec.codec.encode_stream import PAINTED_BYTES, add_painted
from gvcodec.codec.encoder import Progress
from gvcodec.config import EncoderConfig, Settled
from gvcodec.errors import UsageError
from gvcodec.rate.one_pass import Extent, Open, Pass, Watch, run


@dataclass(frozen=True, slots=True)
class Fitted:
    """A file that fits, full encodes that it took, and all frames coded on the way."""

    coded: Pass
    limit: int
    full_passes: int
    frames_coded: int


#: What to do about sound that takes too much of a file.
SMALLER_SOUND = "--sound opus:24k codes sound smaller, --no-sound drops it"


class OutOfReachError(UsageError):
    """Nothing fits into `limit` bytes: the smallest file has `size`, `least` in words, of which so
    many are `copied` sound and subtitles, of these `kinds`."""

    def __init__(self, limit: int, size: int, least: str, copied: int, kinds: str) -> None:
        self.size = size
        text = f"{limit} bytes are not enough: the smallest possible size is {least} bytes"
        if copied:
            text += f", {copied} of them {kinds} ({SMALLER_SOUND})"
        super().__init__(text)


class TooSmallError(OutOfReachError):
    """`smallest`: the stream that comes nearest."""

    def __init__(self, limit: int, smallest: Fitted, size: int, copied: int) -> None:
        self.smallest = smallest
        super().__init__(limit, size, str(size), copied, smallest.coded.track_kinds)


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
        """The place on the scale where files of this many bits a pixel are on average."""
        fmt = self.extent.format
        room = max(1, self.limit - self.extent.track_bytes)
        return -math.log(8 * room / (self.extent.frames * fmt.width * fmt.height))

    def refuse(self, smallest: int) -> OutOfReachError:
        """For a limit that a trial is far above at the end of the scale."""
        sound = self.extent.track_bytes
        return OutOfReachError(
            self.limit, smallest, f"about {smallest}", sound, "sound and subtitles"
        )

    def too_small(self, smallest: Pass) -> TooSmallError:
        fitted = self.fitted(smallest)
        return TooSmallError(self.limit, fitted, len(fitted.coded.data), smallest.track_bytes)
