"""Repairs streams: writes the intact GOPs of a damaged stream as a complete one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from gvcodec.base.resample import Resampler
from gvcodec.base.standard.decoders import leading_frames
from gvcodec.bitstream import ChangedStream, Packet, SequenceHeader
from gvcodec.bitstream.attachments import attachments_of, pack
from gvcodec.bitstream.metadata import Metadata
from gvcodec.bitstream.recovery import Loss, Salvage
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.gops import Gop, GopSource, Splicer
from gvcodec.edit.lost_header import find_header
from gvcodec.edit.lost_tracks import TrackSalvage, description_in
from gvcodec.errors import DamagedStreamError
from gvcodec.limits import DEFAULT, NO_LIMITS, Limits, memory_limit
from gvcodec.opening import PathName, Source, names_of, open_reader, open_sink, open_source
from gvcodec.util.deprecation import renamed_keywords
from gvcodec.util.file_io import name_of, protect_inputs
from gvcodec.util.kinds import checked_keywords

#: Most lines about losses.
_MAX_LOSSES = 1000


@dataclass(slots=True)
class RepairReport:
    """`kept` frames were written, `lost` ones are missing; `losses`: a line for everything that is
    lost, `notes`: for damage that cost nothing. `gaps`: missing frames before a frame, by its
    number in the new stream (`kept`: at the end)."""

    kept: int = 0
    lost: int = 0
    losses: list[str] = field(default_factory=list)
    gaps: Counter[int] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        """Add a loss; more than `_MAX_LOSSES` could take more memory than the stream."""
        if len(self.losses) < _MAX_LOSSES:
            self.losses.append(line)
        elif len(self.losses) == _MAX_LOSSES:
            self.losses.append("there are more losses, which are not listed")


@renamed_keywords(hold="enforce_rlimit")
@checked_keywords
def repair(
    source: Source,
    output: PathName | BinaryIO,
    *,
    overwrite: bool = False,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    limits: Limits = DEFAULT,
    enforce_rlimit: bool = False,
    like: Source | None = None,
) -> RepairReport:
    """Write all frames of a damaged or cut-off stream that can be decoded, at their times, and its
    sound, subtitles and metadata. `models` as for `decode_file`. `like`: a stream of the same
    encoder settings, whose header replaces a lost one of which there is no copy. Raises
    `DamagedStreamError` if no frame is intact, `LimitError`, `MissingFileError`, `MediaError`,
    `UsageError`, `WrongModelError`."""
    header = None
    if like is not None:
        with open_reader(like) as reader:
            header = reader.header
    with (
        protect_inputs(names_of([source] if like is None else [source, like])),
        open_source(source) as stream,
        open_sink(output, overwrite) as sink,
    ):
        return repair_stream(
            stream, name_of(source), sink, threads, models, limits, enforce_rlimit, header
        )


def repair_stream(
    stream: BinaryIO,
    name: str,
    output: BinaryIO,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    limits: Limits = DEFAULT,
    enforce_rlimit: bool = False,
    like: SequenceHeader | None = None,
) -> RepairReport:
    """The same from one open file to another; messages call the first `name`. `like`: a header for
    a stream that lacks its own and has no copy of it."""
    try:
        guesses: list[str] = []
        salvage = Salvage(stream, name, lambda file: find_header(file, like, guesses))
        with memory_limit(salvage.header, False, limits, enforce_rlimit):
            report = _Repair(salvage, output, threads, models, limits).run()
        report.losses[:0] = guesses
        if isinstance(stream, ChangedStream):
            report.losses.insert(0, stream.change)
        return report
    except DamagedStreamError as error:
        if str(error).startswith(name):
            raise
        raise DamagedStreamError(f"{name}: {error}") from error


class _Repair:
    """Writes what is left of a stream."""

    def __init__(
        self,
        salvage: Salvage,
        output: BinaryIO,
        threads: int,
        models: Sequence[str | Path],
        limits: Limits,
    ) -> None:
        self._salvage, self._limits = salvage, limits
        self._threads, self._models = threads, models
        self._report = RepairReport(notes=list(salvage.notes))
        self._splicer = Splicer(output, salvage.header, threads, limits, models)
        self._source = GopSource(salvage.header, self._events(), limits, self._report.note)
        self._splicer.attachments = _intact(self._source.attachments, self._report)
        self._tracks = TrackSalvage(salvage.header, limits, self._report.note)
        #: Damage to structure alone; descriptions of tracks in damaged packets; whether packets
        #: were lost at any time, and since the last GOP.
        self._structure: list[str] = []
        self._descriptions: list[bytes] = []
        self._was_damaged = self._lost_packets = False

    def run(self) -> RepairReport:
        report, salvage, splicer, place = self._report, self._salvage, self._splicer, 0
        for gop in self._source:
            if not splicer.writer.frames:
                self._begin()
            self._send_tracks(gop)
            _shorten(gop, salvage.header)
            _drop_undecodable(
                gop, salvage.header, self._threads, self._models, self._limits, report
            )
            if gop.packets:
                report.gaps[splicer.writer.frames] += gop.first - place
                place = gop.first + gop.frames
                splicer.write(gop)
        tick = salvage.header.format.time_base
        self._tracks.finish(self._source.end * tick)
        base_hash = splicer.finish(self._source.end)
        report.kept = splicer.writer.frames
        report.lost = salvage.frames - report.kept
        for line in self._structure:
            (report.notes.append if salvage.is_complete else report.note)(line)
        if not report.losses and salvage.base_hash not in (None, base_hash):
            report.note("decoded frames differ from the encoder's (base hash)")
        report.gaps[report.kept] += salvage.frames - place
        report.gaps = +report.gaps
        return report

    def _events(self) -> Iterator[Packet | Loss]:
        for event in self._salvage.events():
            if isinstance(event, Packet):
                yield event
                continue
            if event.is_restored:
                self._report.notes.append(event.reason)
                continue
            if event.reason and event.is_structure:
                self._structure.append(event.reason)
            elif event.reason:
                self._report.note(event.reason)
            if not event.is_structure and (event.loses_side_data or event.breaks_gop):
                self._was_damaged = self._lost_packets = True
            if event.tracks and not self._descriptions:
                self._descriptions += filter(None, [description_in(event.tracks)])
            yield event

    def _begin(self) -> None:
        """What precedes the first GOP."""
        self._splicer.models = self._source.models
        metadata = self._source.metadata
        if not metadata and self._lost_packets and (backup := self._salvage.backup) is not None:
            metadata = backup.metadata
        try:
            Metadata.unpack(metadata)
            self._splicer.metadata = metadata
        except DamagedStreamError as error:
            self._report.note(str(error))

    def _send_tracks(self, gop: Gop) -> None:
        descriptions: list[bytes] = []
        if self._tracks.reader is None and self._lost_packets:
            backup = self._salvage.backup
            descriptions = [*([backup.tracks] if backup else []), *self._descriptions]
        packets = self._tracks.send(gop.tracks, list(filter(None, descriptions)), self._was_damaged)
        self._was_damaged = False
        if self._tracks.reader is not None and self._splicer.tracks is None:
            self._splicer.add_tracks(self._tracks.reader)
        for packet in packets:
            self._splicer.send_track_packet(packet)


def _intact(packets: list[Packet], result: RepairReport) -> Iterator[Packet]:
    """The complete ones of attachments, when they are written."""
    attachments, losses = attachments_of(packets)
    for line in losses:
        result.note(line)
    yield from pack(attachments)


def _drop_undecodable(
    gop: Gop,
    header: SequenceHeader,
    threads: int,
    models: Sequence[str | Path],
    limits: Limits,
    result: RepairReport,
) -> None:
    """Keep a GOP's frames before the first one that cannot be decoded."""
    for is_second_try in (False, True):
        sent_count = 0
        # This decoder does not know display times.
        limits = replace(limits, max_fps=NO_LIMITS.max_fps)
        decoder = Decoder(header, True, threads, models, limits=limits)
        try:
            for packet in gop.packets:
                decoder.send_packet(packet)
                while decoder.receive_frame() is not None:
                    pass
                sent_count += 1
            decoder.flush()
            return
        except DamagedStreamError as error:
            result.note(str(error))
            drops_all = is_second_try or sent_count == len(gop.packets)
            gop.packets = gop.packets[: 0 if drops_all else sent_count]
            gop.is_damaged = True
            _shorten(gop, header)


def _shorten(gop: Gop, header: SequenceHeader) -> None:
    """Truncate an incomplete GOP to packets that are also the first frames in display order."""
    if not gop.is_damaged:
        return
    frames = [packet.payload for packet in gop.packets if packet.is_frame]
    coded = Resampler(header.format.width, header.format.height, header.scale)
    keep = leading_frames(frames, header.base, (coded.coded_width, coded.coded_height))
    gop.lost_frames += len(frames) - keep
    places = [place for place, packet in enumerate(gop.packets) if packet.is_frame]
    if keep < len(frames):
        del gop.packets[places[keep] :]
    del gop.times[gop.frames :]
