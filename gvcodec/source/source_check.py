"""Checks of a source after its last frame: lines for the user, and losses, for which the source
counts as damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from gvcodec.source.demuxer import Demuxer
from gvcodec.source.frame_range import FrameRange
from gvcodec.source.frame_reader import FrameReader
from gvcodec.source.opening import PictureFiles
from gvcodec.source.timeline import ends_before_another
from gvcodec.tracks.copier import TrackCopier
from gvcodec.util.messages import count_noun


class Finding(NamedTuple):
    """`note`: a line for the user; `loss`: the missing part, in words; "" = none."""

    note: str = ""
    loss: str = ""


class SourceCheck:
    """`expected_frames`: how many the source says to have, None = unknown; `is_span`: whether the
    frames are a span of a plan."""

    def __init__(
        self,
        demuxer: Demuxer,
        reader: FrameReader,
        frames: FrameRange,
        pictures: PictureFiles | None,
        expected_frames: int | None,
        is_span: bool,
    ) -> None:
        self._demuxer, self._frames, self._pictures = demuxer, frames, pictures
        self._expected, self._is_span = expected_frames, is_span
        self._is_whole = frames.start <= 0
        early = demuxer.opening if self._is_whole and not is_span else []
        if reader.times_by_packet or demuxer.counts_frames:
            early = []
        #: Frames before the first one that could be decoded.
        self._early = sum(pts < frames.shift for pts in early)
        #: Packets that could not be decoded, except those of early frames.
        self._damaged = reader.undecodable
        if self._early:
            self._damaged = max(0, self._damaged - self._early)

    def findings(self) -> Iterator[Finding]:
        yield from self._check_clock()
        yield from self._check_pictures()
        if self._early:
            yield Finding(
                f"{count_noun(self._early, 'frame')} before the first picture that can be decoded "
                "left out: the recording begins between keyframes"
            )
        yield from self._check_end()
        yield from self._check_playlist()
        yield from self._check_frames()
        if self._demuxer.tracks is not None:
            yield from check_tracks(self._demuxer.tracks)

    def _check_clock(self) -> Iterator[Finding]:
        demuxer, frames = self._demuxer, self._frames
        if jumps := demuxer.timeline.jumps:
            more = _and(len(jumps) - 1, "more time")
            after = f"{float(jumps[0] - demuxer.zero):.2f} s{more}"
            yield Finding(f"timestamps restart at {after}; continued without a gap")
        last = demuxer.last_packet
        if frames.has_ended and ends_before_another(demuxer.container, demuxer.stream, last):
            yield Finding(
                f"the video ends after {frames.seconds:.2f} s; one that begins there is left out"
            )

    def _check_pictures(self) -> Iterator[Finding]:
        frames, pictures, source = self._frames, self._pictures, self._demuxer.file.source
        if pictures is not None:
            several, moving = list(pictures.with_more), list(pictures.with_video)
        else:
            # FFmpeg shows the first of several pictures in some kinds of files, in others all.
            is_one = frames.has_ended and frames.count == 1 and self._is_whole
            several = [source.name] if is_one and source.holds_more() else []
            moving = [source.name] if source.video_behind() else []
        if several:
            more = _and(len(several) - 1, "other file", " and of ")
            yield Finding(f"only the first picture of {several[0]}{more} is coded")
        if moving:
            more = _and(len(moving) - 1, "other file", " and of ")
            yield Finding(
                f"the video behind the picture of {moving[0]}{more} is left out (a motion photo)"
            )
        if pictures is not None and pictures.cut_off:
            more = _and(len(pictures.cut_off) - 1, "other")
            yield Finding(
                f"{next(iter(pictures.cut_off))}{more}: the picture is cut off",
                f"{len(pictures.cut_off)} of {len(pictures.paths)} pictures cut off",
            )

    def _check_end(self) -> Iterator[Finding]:
        """Why frames are missing, if any are."""
        demuxer, frames = self._demuxer, self._frames
        is_file = self._pictures is None and not self._is_span
        if frames.has_ended and is_file and demuxer.is_cut_off(self._is_whole):
            total = demuxer.stream.frames if demuxer.kind.startswith("mov") else 0
            of = f" of {total}" if self._is_whole and total > frames.count else ""
            note = f"the file is cut off: it has {count_noun(frames.count, 'frame')}{of}"
            # The last packet, of which a part is there.
            self._damaged = max(0, self._damaged - 1)
            yield Finding(note, self._missing() or "its end is missing")
        elif frames.has_ended and demuxer.stop_reason:
            note = f"reading stopped after {frames.seconds:.2f} s: {demuxer.stop_reason}"
            yield Finding(note, self._missing() or "its end could not be read")
        elif frames.has_ended and demuxer.file.has_gap():
            yield Finding(
                "a part of the file cannot be read",
                self._missing() or "a part of it cannot be read",
            )
        elif self._damaged or frames.concealed_frames:
            missing = self._missing() if frames.has_ended else ""
            if not missing and self._damaged:
                missing = f"{count_noun(self._damaged, 'frame')} could not be decoded"
            yield Finding(loss=missing)

    def _check_playlist(self) -> Iterator[Finding]:
        files = self._demuxer.file.files
        absent = [file for file in files if not os.path.isfile(file)]
        if self._frames.has_ended and absent:
            lost = f"{len(absent)} of {count_noun(len(files), 'file')} of the playlist missing"
            yield Finding(lost, lost)

    def _check_frames(self) -> Iterator[Finding]:
        if self._frames.concealed_frames:
            concealed = count_noun(self._frames.concealed_frames, "frame is", "frames are")
            yield Finding(f"{concealed} damaged in the source", f"{concealed} damaged")
        if self._damaged:
            yield Finding(f"{count_noun(self._damaged, 'damaged packet')} of the source left out")

    def _missing(self) -> str:
        """How many frames are missing; "" if that is not known."""
        frames, exact = self._frames, bool(self._demuxer.stream.frames)
        # Of a screen recording duration and frame rate do not tell the number of frames.
        is_sparse = not exact and 2 * frames.count < frames.rate * Fraction(frames.seconds)
        if self._expected is None or self._expected <= frames.count or is_sparse:
            return ""
        about = "" if exact else "about "
        missing, total = self._expected - frames.count, self._expected
        return f"{about}{missing} of {about}{total} frames are missing"


def check_tracks(tracks: TrackCopier) -> Iterator[Finding]:
    """Losses of copied tracks."""
    if tracks.damaged_packets:
        lost = count_noun(tracks.damaged_packets, "damaged packet")
        yield Finding(f"{lost} of sound in the source left out")
    if tracks.styled_cues:
        cues = count_noun(tracks.styled_cues, "cue")
        yield Finding(f"settings and names of {cues} of subtitles left out: text alone is kept")
    if tracks.form_changes_at is not None:
        when = f"{float(tracks.form_changes_at):.2f} s"
        yield Finding(
            f"the sound changes its channels or its rate after {when}, which files "
            "like .mp4 and .mkv cannot say: --sound opus codes it with one form"
        )


def _and(count: int, what: str, joint: str = " and ") -> str:
    """How a line goes on about `count` others, if any."""
    return f"{joint}{count_noun(count, what)}" if count else ""
