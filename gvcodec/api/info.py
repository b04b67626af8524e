"""The contents of a stream, for people and programs: `Info` has a field for each line of
`info --json`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from itertools import pairwise
from typing import Any, BinaryIO

from av import AudioCodecContext
from av.stream import Disposition, Stream

from gvcodec.base.standard.captions import captions_in
from gvcodec.bases import INDEX_END, Q_END, base_of, index_of, q_of
from gvcodec.bitstream import Kind, Packet, PtsDecoder, Reader, SequenceHeader
from gvcodec.bitstream.attachments import Attachment, AttachmentReader
from gvcodec.bitstream.header import PROFILES
from gvcodec.bitstream.metadata import Metadata
from gvcodec.bitstream.packets import EXACT, read_quality
from gvcodec.bitstream.recovery import Loss, Salvage
from gvcodec.errors import DamagedStreamError, WrongModelError
from gvcodec.limits import NO_LIMITS
from gvcodec.models import find_model
from gvcodec.opening import Source, open_reader, open_source
from gvcodec.painter.payload import IDENTITY, split_extras
from gvcodec.painter.token_coding import grid_of as steering_grid
from gvcodec.painter.token_coding import kinds_in, layout_of
from gvcodec.painter.unpainted_regions import unpack_regions
from gvcodec.tracks.packets import Track, TrackReader, with_attachments
from gvcodec.types import CODE_POINTS, VideoFormat
from gvcodec.util.file_io import name_of
from gvcodec.util.messages import count_noun


@dataclass(frozen=True, slots=True)
class Info:
    """The contents of a stream. Sizes in bytes, times in seconds, colour as code points of H.273,
    ids and hashes in hexadecimal digits; `q` as the encoder got it (a whole number that gives
    `base_q`, the index of the base); `bpp` and `kbps` without sound, subtitles and
    attachments (`track_bytes`).
    `base_form`: "network" for base gvc1d, of which `tokens` of 16 integers each, and `token_bytes`,
    those of frame packets; of painted streams the number of `tokens`
    that steer the painter, all GOPs together, and their bytes in `fit` packets. `unpainted_frames`:
    frames of a painted stream shown as base frames, which are nearer to the source;
    `unpainted_regions`: 64×64 regions not painted in painted GOPs, all GOPs together.
    `token_frames`: frames with latent tokens, as files of 1.0 may have. `packets`: a dictionary
    each with offset, type, bytes, and frame where it is one.
    `caption_bytes`: of closed captions, which are in frame packets. `keyframes`: their frame
    numbers. `encoder`: the base's encoder, with its version. `psnr_y`: dB of the base frames' luma,
    as measured when they were coded (100: exact), None if the file does not say, as after `cut`.
    `tracks`: of sound and subtitles, a dictionary each with kind,
    codec, rate and channels of sound, language, title, default, and begin, seconds after the first
    frame (None: empty). `attachments`: a dictionary each with name, media type, bytes, and whether it
    is a cover; `lost_attachments`: a line for each one that is not complete."""

    width: int
    height: int
    frames: int
    frame_rate: str
    duration: float
    time_base: str
    bit_depth: int
    primaries: int
    transfer: int
    matrix: int
    full_range: bool
    chroma_location: int
    sar: str
    source_start: float
    title: str | None
    tags: dict[str, str]
    chapters: list[dict[str, Any]]
    mastering_display: Any
    content_light: Any
    tracks: list[dict[str, Any]]
    attachments: list[dict[str, Any]]
    lost_attachments: list[str]
    profile: str
    level: int
    codecs: str
    base: str
    base_form: str | None
    tokens: int
    token_bytes: int
    encoder: str | None
    psnr_y: float | None
    base_scale: str
    q: int
    base_q: int
    base_model_id: str | None
    painter_id: str | None
    unpainted_frames: int
    unpainted_regions: int
    gvc1d_id: str | None
    token_frames: int
    base_hash: str | None
    file_bytes: int
    track_bytes: int
    caption_bytes: int
    video_bytes: int
    bpp: float | None
    kbps: float | None
    keyframes: list[int]
    packet_counts: dict[str, int]
    packet_bytes: dict[str, int]
    framing_bytes: int
    packets: list[dict[str, Any]]

    def __str__(self) -> str:
        return format_info(self)


def info(source: Source) -> Info:
    """The contents of a stream: all of it is read, and its checksums are checked. `source`: a path,
    bytes or an open binary file. Raises `MissingFileError`, `MediaError`, `DamagedStreamError`."""
    with open_reader(source) as reader:
        return read_info(reader)


def info_of_damaged(source: Source) -> tuple[Info, list[str]]:
    """What can be read of a damaged stream, and a line for each loss. Raises `DamagedStreamError`
    if nothing can be read."""
    with open_source(source) as stream:
        reader = _SalvageReader(stream, name_of(source))
        return read_info(reader), reader.losses


class _SalvageReader:
    """The intact packets of a damaged stream, as `Reader` gives them."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._salvage = Salvage(stream, name)
        self.header = self._salvage.header
        self.losses = list(self._salvage.notes)
        self.base_hash: bytes | None = None
        self.frames = self.track_size = self.packet_offset = self.packet_size = 0
        self.size = self._salvage.size

    def packets(self) -> Iterator[Packet]:
        for event in self._salvage.events():
            if isinstance(event, Loss):
                self.losses += [event.reason] if event.reason else []
                continue
            self.packet_offset, self.packet_size = self._salvage.offset, len(event.payload)
            self.frames += event.is_frame
            self.track_size += self.packet_size * (event.kind is Kind.TRACKS)
            self.size = self._salvage.offset + self._salvage.size
            yield event
        self.base_hash = self._salvage.base_hash


def read_info(reader: Reader | _SalvageReader) -> Info:
    """All of a stream, read and checked. Raises `DamagedStreamError`."""
    header, fmt = reader.header, reader.header.format
    packets: list[dict[str, Any]] = []
    metadata_bytes, timing = (
        b"",
        PtsDecoder(header.start_pts, fmt.frame_rate, fmt.time_base, NO_LIMITS),
    )
    is_damaged = isinstance(reader, _SalvageReader)
    tracks = _Tracks(header.start_pts * header.format.time_base, is_damaged)
    psnr_y: float | None = None
    steering = Counter[str]()
    unpainted, shows_base = 0, False
    # Of the `fit` packet in force, and of all GOPs.
    regions_of_gop, unpainted_regions = 0, 0
    caption_bytes = 0
    network_packets: list[tuple[bool, bytes]] = []
    attached = AttachmentReader()
    for packet in attached.watch(reader.packets()):
        entry: dict[str, Any] = {
            "offset": reader.packet_offset,
            "type": packet.kind.name.lower(),
            "bytes": reader.packet_size,
        }
        if packet.is_frame:
            entry["frame"] = reader.frames - 1
            if header.base == "av1":
                caption_bytes += len(captions_in(packet.payload))
            if header.base == "gvc1d":
                network_packets.append((packet.kind is Kind.KEY, packet.payload))
            unpainted += shows_base
            unpainted_regions += regions_of_gop if packet.kind is Kind.KEY else 0
            timing.receive()
        elif packet.kind is Kind.TIMING:
            timing.send(packet.payload)
        elif packet.kind is Kind.TRACKS:
            tracks.send(packet.payload)
        elif packet.kind is Kind.METADATA and not metadata_bytes:
            metadata_bytes = packet.payload
        elif packet.kind is Kind.QUALITY:
            psnr_y = read_quality(packet)
        elif packet.kind is Kind.FIT and header.painter_id is not None:
            _, extras = split_extras(packet.payload)
            steering.update(_steering(extras.tokens, fmt))
            shows_base = packet.payload == IDENTITY
            regions_of_gop = _count_unpainted_regions(extras.unpainted_regions, fmt)
        packets.append(entry)
    if header.base == "gvc1d":
        frames_of_network = [entry for entry in packets if "frame" in entry]
        steering["bytes"] = sum(entry["bytes"] for entry in frames_of_network)
        for entry, lengths in zip(
            frames_of_network, _network_tokens(header, network_packets), strict=False
        ):
            entry["tokens"] = lengths
            steering["tokens"] += sum(lengths)
    metadata = Metadata.unpack(metadata_bytes)
    counts, sizes = Counter(entry["type"] for entry in packets), Counter[str]()
    for entry in packets:
        sizes[entry["type"]] += entry["bytes"]
    frames = reader.frames
    # Streams of the library may keep the clock of their source.
    start = round(header.start_pts * fmt.time_base * 1_000_000)
    video = reader.size - reader.track_size
    end = timing.receive() if frames else header.start_pts
    seconds = float((end - header.start_pts) * fmt.time_base)
    return Info(
        width=fmt.width,
        height=fmt.height,
        frames=frames,
        frame_rate=str(fmt.frame_rate),
        duration=round(seconds, 3),
        time_base=str(fmt.time_base),
        bit_depth=fmt.bit_depth,
        **asdict(fmt.colour),
        sar=str(fmt.sar),
        source_start=(metadata.source_start or start) / 1e6,
        title=metadata.title or None,
        tags=dict(metadata.tags),
        chapters=[
            {"begin": chapter.begin / 1e6, "end": chapter.end / 1e6, "title": chapter.title}
            for chapter in metadata.chapters
        ],
        mastering_display=metadata.mastering,
        content_light=metadata.light,
        tracks=tracks.facts,
        attachments=[_attachment_facts(attachment) for attachment in attached.finish()],
        lost_attachments=attached.losses,
        profile=PROFILES[header.profile],
        level=header.level,
        codecs=header.codecs,
        base=header.base,
        base_form=_form(header),
        tokens=steering["tokens"],
        token_bytes=steering["bytes"],
        encoder=metadata.encoder_name or None,
        psnr_y=psnr_y,
        base_scale=str(header.scale),
        q=possible_q(header.base, str(header.scale), header.base_q)[0],
        base_q=header.base_q,
        base_model_id=_to_hex(header.base_model_id),
        painter_id=_to_hex(header.painter_id),
        unpainted_frames=unpainted,
        unpainted_regions=unpainted_regions,
        gvc1d_id=_to_hex(header.gvc1d_id),
        token_frames=counts["latent"],
        base_hash=_to_hex(reader.base_hash),
        file_bytes=reader.size,
        track_bytes=reader.track_size,
        caption_bytes=caption_bytes,
        video_bytes=video,
        bpp=8 * video / (frames * fmt.width * fmt.height) if frames else None,
        kbps=kbps(video, seconds) if seconds else None,
        keyframes=[entry["frame"] for entry in packets if entry["type"] == "key"],
        packet_counts=dict(counts),
        packet_bytes=dict(sizes),
        framing_bytes=reader.size - sum(sizes.values()),
        packets=packets,
    )


def possible_q(name: str, scale: str, base_q: int) -> list[int]:
    """The whole numbers `q` that give a header: the index of the base `name` in it is rounded, and
    several may share one; nearest first."""
    base = base_of(name)

    def index_at(q: int) -> float:
        index = index_of(name, q)
        if scale != "1" and index > base.coarsest_full:
            index -= base.half_res_qindex_offset
        return min(INDEX_END, round(index))

    fitting = [q for q in range(Q_END + 1) if index_at(q) == base_q]
    coarse = [q for q in fitting if index_of(name, q) > base.coarsest_full]
    # Beyond full size the scale says so.
    fitting = coarse if coarse and scale != "1" else [q for q in fitting if q not in coarse]
    nearest = q_of(name, base_q)
    return sorted(fitting, key=lambda q: abs(q - nearest)) or [round(nearest)]


def _network_tokens(header: SequenceHeader, packets: list[tuple[bool, bytes]]) -> list[list[int]]:
    """Tokens of each window of frames of a GVC1D network; none if its model is not here. Raises
    `DamagedStreamError`."""
    from gvcodec.gvc1d.frame_coder import read_lengths
    from gvcodec.gvc1d.weights import read_network

    assert header.base_model_id is not None
    try:
        config, _ = read_network(find_model(header.base_model_id, "the network"))
    except WrongModelError:
        return []
    size = header.format.width, header.format.height
    return [lengths.tolist() for lengths in read_lengths(config, size, packets)]


def _steering(data: bytes | None, fmt: VideoFormat) -> dict[str, int]:
    """Tokens that steer the painter in a `fit` packet, and their bytes. Raises
    `DamagedStreamError`."""
    if data is None:
        return {}
    kinds, _ = kinds_in(data, fmt.height, fmt.width)
    layout = layout_of(*steering_grid(fmt.height, fmt.width), kinds)
    return {"tokens": len(layout.kind), "bytes": len(data)}


def _count_unpainted_regions(data: bytes | None, fmt: VideoFormat) -> int:
    """Regions of 64×64 luma samples for which a `fit` packet asks for base frames. Raises
    `DamagedStreamError`."""
    return 0 if data is None else int(unpack_regions(data, fmt.height, fmt.width).sum())


def _form(header: SequenceHeader) -> str | None:
    return "network" if header.base == "gvc1d" else None


def _to_hex(data: bytes | None) -> str | None:
    return data.hex() if data else None


class _Tracks:
    """Sound and subtitle tracks; `zero`: seconds of the stream where its video begins."""

    def __init__(self, zero: Fraction, is_damaged: bool) -> None:
        self.facts: list[dict[str, Any]] = []
        self._zero, self._is_damaged = zero, is_damaged
        self._reader: TrackReader | None = None

    def send(self, payload: bytes) -> None:
        try:
            self._read(payload)
        except DamagedStreamError:
            if not self._is_damaged:
                raise  # otherwise the descriptions may be lost

    def _read(self, payload: bytes) -> None:
        if self._reader is None:
            self._reader = TrackReader(payload)
            pairs = zip(self._reader.tracks, self._reader.streams, strict=True)
            self.facts = [_track_facts(track, stream) for track, stream in pairs]
        elif any(track["begin"] is None for track in self.facts):
            self._reader.send(payload)
        for packet in self._reader.waiting:
            fact, tick = self.facts[packet.track], self._reader.ticks[packet.track]
            if fact["begin"] is None and packet.audible is not None:
                fact["begin"] = round(float(packet.audible * tick - self._zero), 6)
        self._reader.waiting.clear()


def _attachment_facts(attachment: Attachment) -> dict[str, Any]:
    facts = {"name": attachment.name, "media_type": attachment.media_type}
    return facts | {"bytes": len(attachment.data), "cover": attachment.is_cover}


def _track_facts(track: Track, stream: Stream) -> dict[str, Any]:
    context = stream.codec_context
    facts: dict[str, Any] = {"kind": stream.type, "codec": context.codec.name if context else None}
    if isinstance(context, AudioCodecContext):
        facts |= {"rate": context.sample_rate, "channels": context.layout.nb_channels}
    facts |= {"language": track.language, "title": track.title}
    return facts | {"default": bool(track.flags & Disposition.default), "begin": None}


def format_info(facts: Info) -> str:
    """All in a sentence, the facts, a line each, and where the bytes go."""
    lines = [_describe_stream(facts), "", *(f"{name:18} {value}" for name, value in _rows(facts))]
    lines += ["", *_describe_budget(facts)]
    return "\n".join(lines)


#: Bytes of a `fit` packet that changes no weight, but how much is painted.
_STRENGTH_ALONE = 7
#: Bases as people call them.
_BASES = {"av1": "AV1", "vvc": "H.266", "gvc1d": "GVC1D"}


def _describe_stream(facts: Info) -> str:
    rate = float(Fraction(facts.frame_rate))
    base = _BASES.get(facts.base, facts.base)
    parts = [
        f"{facts.duration:g} s of {facts.width}×{facts.height} at {rate:.5g} frames a second",
        f"{base}{f' by {facts.encoder}' if facts.encoder else ''} at {_describe_q(facts)} (0 is the best)",
    ]
    if facts.base_scale != "1":
        parts.append(f"coded at {facts.base_scale} of the size")
    if facts.painter_id and 0 < facts.frames == facts.unpainted_frames:
        parts.append("shown as base frames, nothing is painted")
    elif facts.painter_id:
        fit_sizes = [packet["bytes"] for packet in facts.packets if packet["type"] == "fit"]
        detail = ", less where it would flicker or base frames are nearer" if fit_sizes else ""
        if max(fit_sizes, default=0) > _STRENGTH_ALONE and not facts.tokens:
            detail = ", the painter fitted to the video"
        parts.append(f"painted{detail}")
        if facts.tokens:
            parts.append(
                f"steered by {count_noun(facts.tokens, 'token')} in {facts.token_bytes} bytes"
            )
        if facts.unpainted_regions:
            parts.append(f"{count_noun(facts.unpainted_regions, 'region')} shown as base frames")
    if facts.token_frames:
        parts.append("with latent tokens, which gvcodec 1.0.0 reads and later ones do not")
    if facts.base_form == "network":
        tokens = f"{facts.tokens / facts.frames:.3g} tokens a frame" if facts.tokens else "tokens"
        parts.append(f"{tokens} of its network in {facts.token_bytes} bytes")
    distance = max(b - a for a, b in pairwise([*facts.keyframes, facts.frames]))
    if len(facts.keyframes) > 1:
        parts.append(f"a keyframe at least every {count_noun(distance, 'frame')}")
    if facts.kbps is not None:
        tracks = "sound and subtitles" if facts.tracks else ""
        kinds = with_attachments(tracks, bool(facts.attachments))
        sound = f" without {kinds}" if kinds else ""
        parts.append(f"{facts.kbps:.4g} kb/s{sound}")
    return "; ".join([*parts, _describe_quality(facts)])


def _describe_q(facts: Info) -> str:
    """The q that was given, as far as the file tells, and the base's index, if it differs."""
    possible = possible_q(facts.base, facts.base_scale, facts.base_q)
    words = f"q {facts.q}" if len(possible) == 1 else f"q {min(possible)} to {max(possible)}"
    return words if possible == [facts.base_q] else f"{words}, {facts.base}'s {facts.base_q}"


def _describe_quality(facts: Info) -> str:
    if facts.psnr_y is None:
        return "the file does not say how good it is, `gvcodec verify --source VIDEO` does"
    if facts.psnr_y >= EXACT:
        return "base frames are exact"
    return f"base frames had PSNR-Y {facts.psnr_y:.2f} dB"


def kbps(size: int, seconds: float) -> float:
    """The bitrate of `size` bytes over `seconds`, in kilobits a second."""
    return 8 * size / 1000 / seconds if seconds else 0.0


#: Shown only where there is something.
_OPTIONAL = "source_start title tags chapters mastering_display content_light tracks attachments lost_attachments encoder base_form tokens token_bytes unpainted_regions caption_bytes"
#: Keyframes that are listed, from the first on.
_MOST_KEYFRAMES = 8
_TABLES = ("packets", "packet_counts", "packet_bytes", "framing_bytes")


def _rows(facts: Info) -> Iterator[tuple[str, str]]:
    for field in fields(facts):
        name, value = field.name, getattr(facts, field.name)
        if name in _TABLES or (not value and name in _OPTIONAL.split()):
            continue
        words = CODE_POINTS[name].get(value, str(value)) if name in CODE_POINTS else _format(value)
        if name == "tags":
            words = ", ".join(f"{tag}: {text}" for tag, text in value.items())
        elif name == "keyframes":
            more = " …" if len(value) > _MOST_KEYFRAMES else ""
            words = f"{len(value)}, at frames {_format(value[:_MOST_KEYFRAMES])}{more}"
        elif name == "tracks":
            words = "; ".join(map(_describe_track, value))
        elif name == "attachments":
            words = "; ".join(map(_describe_attachment, value))
        yield name.replace("_", " "), words


def _describe_track(track: dict[str, Any]) -> str:
    parts = [str(track["codec"])]
    if track["kind"] == "audio":
        channels = {1: "mono", 2: "stereo"}.get(track["channels"], f"{track['channels']} channels")
        parts += [channels, f"{track['rate']} Hz"]
    parts += [word for word in (track["language"], track["title"]) if word]
    begin = "empty" if track["begin"] is None else f"begins at {track['begin']:.3f} s"
    return " ".join([f"{track['kind']}", ", ".join([*parts, begin])])


def _describe_attachment(attachment: dict[str, Any]) -> str:
    name = f"cover {attachment['name']}" if attachment["cover"] else attachment["name"]
    return f"{name} ({attachment['media_type']}, {count_noun(attachment['bytes'], 'byte')})"


def _describe_budget(facts: Info) -> list[str]:
    total = facts.file_bytes
    lines = [f"{'type':10} {'packets':>8} {'bytes':>12} {'share':>7} {'bytes each':>11}"]
    names = [kind.name.lower() for kind in Kind if kind.name.lower() in facts.packet_counts]
    for name in names:
        count, size = facts.packet_counts[name], facts.packet_bytes[name]
        lines.append(f"{name:10} {count:8} {size:12} {size / total:7.1%} {size / count:11.1f}")
    framing = facts.framing_bytes
    lines.append(f"{'framing':10} {'':8} {framing:12} {framing / total:7.1%}")
    return lines


def _format(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return " ".join(_format(part) for part in value.values())
    if isinstance(value, list | tuple):
        return ", ".join(map(_format, value))
    return "-" if value is None else str(value)
