"""Repairs streams: writes the intact GOPs of a damaged stream as a complete one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from gvcodec.base.resample import Resampler
from gvcodec.base.standard.decoders import leading_frames
from gvcodec.bitstream import Packet, SequenceHeader
from gvcodec.bitstream.attachments import attachments_of, pack
from gvcodec.bitstream.metadata import Metadata
from gvcodec.bitstream.recovery import Loss, Salvage
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.gops import Gop, GopSource, Splicer
from gvcodec.errors import DamagedStreamError
from gvcodec.limits import DEFAULT, NO_LIMITS, Limits, memory_limit
from gvcodec.opening import PathName, Source, names_of, open_sink, open_source
from gvcodec.tracks.packets import TrackReader
from gvcodec.util.deprecation import renamed_keywords
from gvcodec.util.file_io import name_of, protect_inputs

#: Most lines about losses.
_MAX_LOSSES = 1000


@dataclass(slots=True)
class RepairReport:
    """`kept` frames were written, `lost` ones are missing; `losses`: a line each. `gaps`: missing
    frames before a frame, by its number in the new stream (`kept`: at the end)."""

    kept: int = 0
    lost: int = 0
    losses: list[str] = field(default_factory=list)
    gaps: Counter[int] = field(default_factory=Counter)

    def note(self, line: str) -> None:
        """Add a line; more than `_MAX_LOSSES` could take more memory than the stream."""
        if len(self.losses) < _MAX_LOSSES:
            self.losses.append(line)
        elif len(self.losses) == _MAX_LOSSES:
            self.losses.append("there are more losses, which are not listed")


@renamed_keywords(hold="enforce_rlimit")
def repair(
    source: Source,
    output: PathName | BinaryIO,
    *,
    overwrite: bool = False,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    limits: Limits = DEFAULT,
    enforce_rlimit: bool = False,
) -> RepairReport:
    """Write all frames of a damaged or cut-off stream that can be decoded, at their times. `models`
    as for `decode_file`. Raises `DamagedStreamError` if no frame is intact, `LimitError`,
    `MissingFileError`, `MediaError`, `UsageError`, `WrongModelError`."""
    with (
        protect_inputs(names_of([source])),
        open_source(source) as stream,
        open_sink(output, overwrite) as sink,
    ):
        return repair_stream(stream, name_of(source), sink, threads, models, limits, enforce_rlimit)


def repair_stream(
    stream: BinaryIO,
    name: str,
    output: BinaryIO,
    threads: int = 0,
    models: Sequence[str | Path] = (),
    limits: Limits = DEFAULT,
    enforce_rlimit: bool = False,
) -> RepairReport:
    """The same from one open file to another; messages call the first `name`."""
    try:
        salvage = Salvage(stream, name)
        with memory_limit(salvage.header, False, limits, enforce_rlimit):
            return _write_frames(salvage, output, threads, models, limits)
    except DamagedStreamError as error:
        if str(error).startswith(name):
            raise
        raise DamagedStreamError(f"{name}: {error}") from error


def _write_frames(
    salvage: Salvage,
    output: BinaryIO,
    threads: int,
    models: Sequence[str | Path],
    limits: Limits,
) -> RepairReport:
    result = RepairReport()

    def record_losses() -> Iterator[Packet | Loss]:
        for event in salvage.events():
            if isinstance(event, Loss) and event.reason:
                result.note(event.reason)
            yield event

    source = GopSource(salvage.header, record_losses(), limits, result.note)
    splicer = Splicer(output, salvage.header, threads, limits, models)
    splicer.attachments = _intact(source.attachments, result)
    tracks: TrackReader | None = None
    place = 0
    for gop in source:
        if not splicer.writer.frames:
            splicer.models = source.models
            try:
                Metadata.unpack(source.metadata)
                splicer.metadata = source.metadata
            except DamagedStreamError as error:
                result.note(str(error))
        for payload in gop.tracks:
            try:
                if tracks is None:
                    tracks = TrackReader(payload, limits)
                    splicer.add_tracks(tracks)
                else:
                    tracks.send(payload)
            except DamagedStreamError as error:
                result.note(str(error))
        while tracks is not None and tracks.waiting:
            splicer.send_track_packet(tracks.waiting.popleft())
        _shorten(gop, salvage.header)
        _drop_undecodable(gop, salvage.header, threads, models, limits, result)
        if gop.packets:
            result.gaps[splicer.writer.frames] += gop.first - place
            place = gop.first + gop.frames
            splicer.write(gop)
    base_hash = splicer.finish(source.end)
    if not result.losses and salvage.base_hash not in (None, base_hash):
        result.note("decoded frames differ from the encoder's (base hash)")
    result.kept = splicer.writer.frames
    result.lost = salvage.frames - result.kept
    result.gaps[result.kept] += salvage.frames - place
    result.gaps = +result.gaps
    return result


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
