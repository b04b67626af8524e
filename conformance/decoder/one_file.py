"""A stream out of an MP4, Matroska or WebM file whose AV1 track is its base (One file)."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import av

from conformance.decoder.bases import obus
from conformance.decoder.bundles import PLACES, Bundler
from conformance.decoder.container import TYPES
from conformance.decoder.header import MAGIC, read_header
from conformance.decoder.tracks import read_text
from conformance.decoder.wire import Bytes, Damaged, crc16, crc32, require, svar, var

DELIMITER, METADATA, PADDING = 2, 5, 15
OURS = b"\x16" + MAGIC
HEADER, PLACE, PACKET, TRAILER, STATE, TRACKS, GOP, END, SOUND = range(9)
WHOLE = 64
NUMBERS = {name: number for number, name in TYPES.items()}
Entry = tuple[int, bytes]
Attached = tuple[bytes, bytes]  # a head (attachment), and the bytes of the file
ATTACHED_PIC, NAMES = 1024, ("filename", "mimetype")


@dataclass
class Unit:
    """A frame: its OBUs (header byte, body), and the entries of our metadata OBU."""

    frame: list[tuple[int, bytes]]
    is_key: bool
    entries: list[Entry] = field(default_factory=list)

    @property
    def payload(self) -> bytes:
        """The frame as in a file without bundles."""
        data = b""
        for i, (head, body) in enumerate(self.frame):
            last = i == len(self.frame) - 1
            data += bytes([head & ~2 if last else head | 2])
            data += (b"" if last else var(len(body))) + body
        return data

    @property
    def plain(self) -> list[tuple[int, bytes]]:
        """The frame as in a bundle: (type, body), 255 where these are not plain OBUs."""
        reserved = any(head & 0x85 for head, _ in self.frame)
        if reserved or len(self.frame) > 16 or any(len(body) >> 24 for _, body in self.frame):
            return [(255, self.payload)]
        return [(head >> 3 & 15, body) for head, body in self.frame]


@dataclass
class Piece:
    """A packet of a track of the container, its times in ticks of the track."""

    track: int
    pts: int
    duration: int
    hidden: tuple[int, int]
    is_key: bool
    data: bytes


def stream_of(data: bytes) -> bytes:
    """The stream that a file is or holds."""
    try:
        container = av.open(io.BytesIO(data))
    except (av.FFmpegError, ValueError):
        return data
    with container:
        videos = [s for s in container.streams.video if s.codec_context.name.endswith("av1d")]
        if not videos:
            return data
        others = [s for s in container.streams if s.type in ("audio", "subtitle")]
        # A cover has no time.
        demuxed = list(container.demux())
        packets = [p for p in demuxed if p.dts is not None]
        units = [_unit(bytes(p), p.is_keyframe) for p in packets if p.stream is videos[0]]
        sound = [data for unit in units for what, data in unit.entries if what == SOUND]
        header = [data for unit in units for what, data in unit.entries if what == HEADER]
        require(len(header) > 0, "no stream in this file")
        described = bool(sound) and len(ticks_of(sound[0])) == len(others)
        tracks = [_digest(p for p in packets if p.stream is s) for s in others]
        ordered = all(_rises([p.pts for p in packets if p.stream is s and p.size]) for s in others)
        attachments = _attachments(container, demuxed)
        _check_whole(units, bytes([described | ordered << 1]) + b"".join(tracks), attachments)
        pieces = []
        if sound:
            first = next(p for p in packets if p.stream is videos[0])
            stream_header = read_header(header[0])
            shift = first.pts * Fraction(first.time_base) - stream_header.start * stream_header.tick
            pieces = _pieces(packets, others, shift, sound[0])
    return _StreamWriter(units, pieces, sound, attachments).stream()


def _attachments(
    container: av.container.InputContainer, packets: list[av.Packet]
) -> list[Attached]:
    """Head and bytes of the attachments and covers, in the order of the file (Attachments)."""
    found, covers = [], 0
    for stream in container.streams:
        is_cover = stream.type == "video" and bool(stream.disposition & ATTACHED_PIC)
        if not is_cover and stream.type != "attachment":
            continue
        name, media_type = (read_text(stream.metadata.get(k, "").encode()) for k in NAMES)
        if is_cover:
            covers += 1
            kind = {"mjpeg": "jpeg"}.get(stream.codec_context.name, stream.codec_context.name)
            number = "" if covers == 1 else covers
            name = name or f"cover{number}.{'jpg' if kind == 'jpeg' else kind}"
            media_type = media_type or f"image/{kind}"
            data = next(bytes(p) for p in packets if p.stream is stream)
        else:
            data = stream.data
        head = var(len(data)) + bytes([is_cover])
        for label in (name, media_type or "application/octet-stream"):
            head += var(len(label.encode())) + label.encode()
        found.append((head, data))
    return found


def _check_whole(units: list[Unit], tracks: bytes, attachments: list[Attached]) -> None:
    """A file of format 1.1 says how many frames and which packets it has (The whole)."""
    for what, data in units[-1].entries:
        if what == WHOLE:
            read, joined = Bytes(data), b""
            for unit in units:
                below = [entry for entry in unit.entries if entry[0] < WHOLE]
                joined += b"".join(bytes([n]) + var(len(payload)) + payload for n, payload in below)
                joined += var(len(unit.payload)) + unit.payload
            require(read.var() == len(units), "frames of the file")
            require(read.take(8) == hashlib.sha256(joined).digest()[:8], "units of the file")
            require(read.take(8) == hashlib.sha256(tracks).digest()[:8], "its tracks")
            if read.remaining >= 8:
                joined = b"".join(
                    head + hashlib.sha256(data).digest() for head, data in attachments
                )
                require(read.take(8) == hashlib.sha256(joined).digest()[:8], "its attachments")


def _rises(times: list[int | None]) -> bool:
    return None not in times and times == sorted(times)


def _digest(packets: Iterable[av.Packet]) -> bytes:
    return hashlib.sha256(b"".join(map(bytes, packets))).digest()


def _unit(data: bytes, is_key: bool) -> Unit:
    frame, entries = [], []
    for kind, head, body in obus(data):
        if kind == METADATA and body.startswith(OURS):
            entries += _entries(body)
        elif kind not in (DELIMITER, PADDING):
            frame.append((head[0], body))
    return Unit(frame, is_key, entries)


def _entries(body: bytes) -> list[Entry]:
    """The entries of an OBU of ours."""
    body = body.rstrip(b"\0")
    require(body[-1:] == b"\x80", "trailing bits")
    checked = body[1:-5]
    require(int.from_bytes(body[-5:-1], "little") == crc32(checked), "checksum of an OBU")
    read, entries = Bytes(checked, len(MAGIC)), []
    require(read.number(1) == 1, "version of an OBU")
    while read.remaining:
        what = read.number(1)
        entries.append((what, read.take(read.var())))
        require(what <= SOUND or what >= 64, "an unknown entry")
    require(len(entries) <= 4096, "entries of an OBU")
    return entries


class _StreamWriter:
    """Writes the stream again."""

    def __init__(
        self,
        units: list[Unit],
        pieces: list[Piece],
        sound: list[bytes],
        attachments: list[Attached],
    ) -> None:
        self.units, self.pieces, self.sound = units, pieces, sound
        self.attachments = attachments
        self.gop, self.data, self.index = b"", b"", b""
        self.frames, self.gops, self.begin = 0, 0, 0
        self.waiting: list[Unit] = []
        self.times: Times | None = None
        self.bundler = Bundler()

    def stream(self) -> bytes:
        first = dict(self.units[0].entries)
        if HEADER not in first:
            raise Damaged("no stream in this file")
        require(first.get(PLACE) == b"\0", "the beginning was cut off")
        self.data = first[HEADER]
        self.bundled = read_header(self.data).bundled
        for unit in self.units:
            before = [e for e in unit.entries if e[0] == PACKET or e[0] == TRACKS and not e[1][0]]
            after = [e for e in unit.entries if e[0] == TRAILER or e[0] == TRACKS and e[1][0]]
            for entry in before:
                self._packet(entry)
            if unit is self.units[0] and not any(data[0] == 70 for _, data in before if data):
                self._attach()
            self._frame(unit)
            for entry in after:
                self._packet(entry)
            if unit is self.units[-1] and self.pieces:
                self._packet((TRACKS, b"\1" + var(len(self.pieces))))
            for what, data in unit.entries:
                if what == GOP:
                    self._close(data)
        ends = [data for what, data in self.units[-1].entries if what == END]
        require(len(ends) == 1 and not self.gop, "the end was cut off")
        index = _packet(NUMBERS["index"], var(self.frames) + var(self.gops) + self.index)
        end = ends[0] + len(index).to_bytes(4, "little")
        return self.data + index + _packet(NUMBERS["end"], end)

    def _attach(self) -> None:
        for number, (head, data) in enumerate(self.attachments):
            for at in range(0, len(data), 2**20):
                start = var(number) + var(at) + (b"" if at else var(len(head)) + head)
                self._packet(
                    (PACKET, bytes([NUMBERS["attachment"]]) + start + data[at : at + 2**20])
                )

    def _packet(self, entry: Entry) -> None:
        self._flush()
        what, data = entry
        if what == TRACKS:
            read = Bytes(data, 1)
            self.gop += _packet(NUMBERS["tracks"], self._tracks(read.var()))
        else:
            self.gop += _packet(data[0], data[1:])

    def _tracks(self, count: int) -> bytes:
        restart = b""
        if self.times is None:
            self.times, restart = Times(self.sound[0]), self.sound[0]
        else:
            restart = self.times.restart()
        pieces, self.pieces = self.pieces[:count], self.pieces[count:]
        return restart + b"".join(map(self.times.written, pieces))

    def _frame(self, unit: Unit) -> None:
        if not self.bundled:
            self.gop += _framed(unit.is_key, unit.payload)
            return
        count = sum(len(waiting_unit.plain) for waiting_unit in [*self.waiting, unit])
        if unit.is_key or count > PLACES:
            self._flush()
        self.waiting.append(unit)
        if (
            len(self.waiting) == 32
            or sum(len(waiting_unit.payload) for waiting_unit in self.waiting) >= 1500
        ):
            self._flush()

    def _flush(self) -> None:
        """Closes a bundle."""
        if self.waiting:
            is_key = self.waiting[0].is_key
            data = self.bundler.bundle(is_key, [unit.plain for unit in self.waiting])
            self.gop, self.waiting = self.gop + _framed(is_key, data), []

    def _close(self, data: bytes) -> None:
        self._flush()
        read = Bytes(data)
        frames = read.var()
        payloads = b"".join(unit.payload for unit in self.units[self.frames : self.frames + frames])
        require(read.number(4) == crc32(payloads), "frames of a GOP")
        self.frames, self.gops = self.frames + frames, self.gops + 1
        closing = crc32(self.gop).to_bytes(4, "little") + var(self.frames)
        gop = self.gop + _sealed(var(len(closing) << 2 | 2) + closing)
        fitted = any(
            what == PACKET and data[0] == NUMBERS["fit"]
            for unit in self.units[self.frames - frames : self.frames]
            for what, data in unit.entries
        )
        self.index += var(frames) + var(len(gop)) + bytes([fitted])
        self.data, self.gop = self.data + gop, b""


def _sealed(data: bytes) -> bytes:
    return data + crc16(data).to_bytes(2, "little")


def _packet(number: int, payload: bytes) -> bytes:
    return _sealed(var(len(payload) << 2 | 3) + bytes([number]) + payload)


def _framed(is_key: bool, payload: bytes) -> bytes:
    return _sealed(var(len(payload) << 2 | int(is_key)) + payload)


# Tracks


class Times:
    """Writes packets of tracks, in the shortest form (tracks)."""

    def __init__(self, sound: bytes) -> None:
        self.count = len(ticks_of(sound))
        self.restart()

    def restart(self) -> bytes:
        self.end, self.duration = [0] * self.count, [0] * self.count
        return var(self.count << 3)

    def written(self, piece: Piece) -> bytes:
        n = piece.track
        form = (piece.duration != self.duration[n]) | (piece.hidden != (0, 0)) << 1
        data = var(n << 3 | form | (not piece.is_key) << 2) + svar(piece.pts - self.end[n])
        data += var(piece.duration) if form & 1 else b""
        data += var(piece.hidden[0]) + var(piece.hidden[1]) if form & 2 else b""
        self.end[n], self.duration[n] = piece.pts + piece.duration, piece.duration
        return data + var(len(piece.data)) + piece.data


def ticks_of(sound: bytes) -> list[Fraction]:
    read = Bytes(sound)
    ticks = []
    for _ in range(read.var(0, 64)):
        ticks.append(Fraction(read.var(1), read.var(1)))
        read.var()
        for _ in range(3):
            read.take(read.var())
    return ticks


class _Clock:
    """Times of a track's packets in its ticks (Sound and subtitles)."""

    def __init__(self, stream: av.stream.Stream, tick: Fraction, shift: Fraction) -> None:
        codec = stream.codec_context
        self.unit, self.tick, self.shift = Fraction(stream.time_base), tick, shift
        self.is_sound, self.is_pcm = stream.type == "audio", codec.name.startswith("pcm")
        self.frame = (codec.frame_size or 0) if self.is_sound else 0
        self.bytes_a_sample = codec.format.bytes * codec.layout.nb_channels if self.is_pcm else 1
        coarse = self.unit / tick
        self.coarse = coarse if coarse > 1 and self.is_sound else 0
        self.length = self.last = self.skip = 0
        self.pts: int | None = None

    def piece(self, track: int, packet: av.Packet) -> Piece:
        data, skipped, end = bytes(packet), *_left_out(packet)
        seconds = packet.pts * self.unit - self.shift
        duration = round((packet.duration or 0) * self.unit / self.tick)
        if self.is_sound:
            duration = self._duration(duration, skipped, end, len(data))
        begins = skipped > 0 and self.skip == 0
        self.skip = max(self.skip, skipped)
        hidden = min(self.skip, duration), end
        if self.coarse and begins:
            heard = round(packet.pts + self.skip * self.tick / self.unit)
            pts = round((heard * self.unit - self.shift) / self.tick) - self.skip
        else:
            pts = round(seconds / self.tick)
            if self.is_sound and self.pts is not None and abs(pts - self.last) <= self.coarse:
                pts = self.last
        self.skip = max(0, self.skip - duration)
        self.pts = pts = max(pts, pts if self.pts is None else self.pts)
        self.last = pts + duration
        return Piece(track, pts, duration, hidden, packet.is_keyframe, data)

    def _duration(self, duration: int, skipped: int, end: int, size: int) -> int:
        if self.is_pcm:
            duration = size // self.bytes_a_sample - end
        duration = duration or self.frame or self.length or skipped
        for n in () if self.is_pcm else (self.frame - end, self.length - end):
            if n > 0 and abs(duration - n) <= self.coarse:
                duration = n
                break
        self.length = duration + end
        return duration


def _pieces(packets: list[av.Packet], streams: list, shift: Fraction, sound: bytes) -> list[Piece]:
    """Packets of sound and subtitles in the order of the file."""
    ticks = ticks_of(sound)
    require(len(ticks) == len(streams), "tracks of the container")
    clocks = [_Clock(stream, tick, shift) for stream, tick in zip(streams, ticks, strict=True)]
    order = {stream.index: n for n, stream in enumerate(streams)}
    numbered = [(order.get(packet.stream.index), packet) for packet in packets]
    return [clocks[n].piece(n, p) for n, p in numbered if n is not None and p.size]


def _left_out(packet: av.Packet) -> tuple[int, int]:
    """Samples at the packet's begin and end."""
    for side in packet.iter_sidedata():
        if side.data_type == "skip_samples":
            data = bytes(side)
            return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")
    return 0, 0
