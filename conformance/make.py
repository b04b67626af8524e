"""Makes the conformance files again: `python -m conformance.make`, or some by name, `refused` (new
ones) and `vectors` among them.

A release adds files and never changes one: every later release reads the files of 1.0.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

import gvcodec
from conformance import refused, vectors
from conformance.decoder.fit import GROUPS
from conformance.deltas import Delta, pack, sizes_of
from conformance.inputs import steered, with_tracks
from conformance.network_inputs import save_tiny
from conformance.reference import MODELS, answer, frames_of_damaged
from gvcodec.base.standard.payloads import packet_of
from gvcodec.bitstream import Kind, Packet, PtsEncoder, Reader, SequenceHeader
from gvcodec.bitstream.attachments import Attachment
from gvcodec.bitstream.attachments import pack as pack_attachments
from gvcodec.bitstream.header import NEEDS_PAINTER_TOKENS, NEEDS_STRENGTH_FACTORS
from gvcodec.bitstream.metadata import Chapter, Metadata
from gvcodec.bitstream.metadata_obu import EntryType, insert_entries, parse_temporal_unit
from gvcodec.bitstream.varint import encode_var
from gvcodec.bitstream.writer import Writer
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.encode_stream import encode_stream
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.errors import GvcodecError
from gvcodec.models import PAINTER, model_id
from gvcodec.one_file.write import write_one_file
from gvcodec.painter.model import Model, Strength
from gvcodec.painter.payload import (
    BASE,
    IDENTITY,
    FitExtras,
    join_extras,
    join_strength,
)
from gvcodec.painter.token_coding import no_tokens
from gvcodec.painter.token_coding import pack as pack_tokens
from gvcodec.retrieval.summary import Summary
from gvcodec.types import Colour, Planes, VideoFormat

ROOT = Path(__file__).parent
_WIDTH, _HEIGHT = 75, 53
_FORMAT = VideoFormat(
    _WIDTH, _HEIGHT, Fraction(30000, 1001), Fraction(1, 30000), 8, Colour(1, 1, 1)
)


def moving(count: int, width: int = _WIDTH, height: int = _HEIGHT, depth: int = 8) -> list[Planes]:
    """Frames of smooth texture that moves, with a still part; 10-bit samples."""
    rng = np.random.default_rng(9)
    sheet = rng.integers(0, 256, (height // 4 + 40, width // 4 + 40)).repeat(4, 0).repeat(4, 1)
    for axis in (0, 1):
        sheet = (sheet + np.roll(sheet, 1, axis) + np.roll(sheet, 2, axis) + 1) // 3
    step = 4 if depth == 8 else 1
    frames = []
    for n in range(count):
        y = sheet[n : n + height, 2 * n : 2 * n + width].copy()
        y[: height // 3, : width // 3] = sheet[: height // 3, : width // 3]
        luma = (y * 4 + (3 * n if depth == 10 else 0)) // step * step
        small = luma[::2, ::2]
        planes = (luma, 256 + small // 2 // step * step, 768 - small // 2 // step * step)
        frames.append(tuple(np.clip(p, 0, 1023).astype(np.uint16) for p in planes))
    return frames  # type: ignore[return-value]


def _with_tracks(suffix: str) -> bytes:
    """Sound and subtitles, in a stream or in a file that plays everywhere."""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in.mkv", Path(folder) / f"out{suffix}"
        with_tracks(source, moving(12), subtitles=suffix != ".mp4")
        gvcodec.encode_file(source, out, q=45, fit=0, keyint=6, threads=1)
        return out.read_bytes()


def _gvc1d_network() -> bytes:
    """Two GOPs of six windows of a small network; windows of one frame have few tokens."""
    fmt = replace(_FORMAT, width=70, height=45)
    with tempfile.TemporaryDirectory() as folder:
        model = save_tiny(Path(folder) / "model.safetensors")
        weights = model.read_bytes()
        options = {"base": "gvc1d", "model": str(model), "q": 30, "keyint": 3, "threads": 1}
        options |= {"alloc": "elbo", "token_share": 0.6}
        data = gvcodec.encode(moving(5, 70, 45), format=fmt, **options)
    identity = hashlib.sha256(weights).digest()[:8]
    (MODELS / f"{identity.hex()}.safetensors").write_bytes(weights)
    return data


def _encoded(count: int = 10, fmt: VideoFormat = _FORMAT, **options: Any) -> bytes:
    frames = moving(count, fmt.width, fmt.height, fmt.bit_depth)
    return gvcodec.encode(frames, format=fmt, **{"base": "av1", "q": 45, "fit": 0} | options)


def rewritten(
    data: bytes,
    change: Callable[[SequenceHeader, list[Packet]], tuple[SequenceHeader, list[Packet]]],
) -> bytes:
    """The stream with other packets, every checksum right."""
    reader = Reader(io.BytesIO(data))
    header, packets = change(reader.header, list(reader.packets()))
    packets = [packet for packet in packets if packet.kind is not Kind.PAINTED]
    decoder = Decoder(header, threads=1, models=[MODELS])
    for _ in decoder.frames_of(packets):
        pass
    if decoder.painted_hash is not None:
        packets.append(Packet(Kind.PAINTED, decoder.painted_hash))
    out = io.BytesIO()
    writer = Writer(out, header)
    for packet in packets:
        writer.write(packet)
    assert reader.base_hash is not None
    writer.finish(reader.base_hash)
    return out.getvalue()


def _before_keys(data: bytes, packets_of: Callable[[int], list[Packet]]) -> bytes:
    """Packets before each `key`, by the number of its GOP."""

    def change(header: SequenceHeader, packets: list[Packet]) -> Any:
        out, gop = [], 0
        for packet in packets:
            if packet.kind is Kind.KEY:
                out += packets_of(gop)
                gop += 1
            out.append(packet)
        return header, out

    return rewritten(data, change)


def _timed() -> bytes:
    """Late frames, dropped frames, and a last one that is shown longer."""
    data = _encoded(keyint=4)
    times = [0, 1001, 2002, 4004, 5005, 6010, 7011, 12012, 13013, 14014, 20000]
    clock, payloads = PtsEncoder(0, _FORMAT.frame_rate, _FORMAT.time_base), []
    for first in range(0, len(times), 4):
        for pts in times[first : first + 4]:
            clock.send(pts)
        payloads.append(clock.pop_payload(first))
    return _before_keys(data, lambda g: [Packet(Kind.TIMING, payloads[g])])


def _described() -> bytes:
    metadata = Metadata(
        "Ein Bär – 🐻",
        (Chapter(-5, 100_000, "one"), Chapter(100_000, 333_667, "")),
        (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450, 10_000_000, 50),
        (1000, 400),
        (("location", "+52.5+013.4/"), ("artist", "N. N.")),
        123_456_789,
    )
    later = bytes([99]) + encode_var(3) + b"new"
    packet = Packet(Kind.METADATA, metadata.pack() + later)
    return _before_keys(_encoded(), lambda g: [packet] if g == 0 else [])


def _named_tracks() -> bytes:
    """Names of tracks: repeated, too long, of an unknown kind, with joined letters and an override
    of direction; of a track that is not there."""
    names = (
        (0, "title", "Kamera 1"),
        (0, "language", "deu"),
        (1, "title", "👩\u200d👩\u200d👧 می\u200cخواهم"),
        (1, "title", "a\u202eb\u2003c"),
        (2, "language", "x" * 300),
        (64, "title", ""),
    )
    metadata = Metadata("Film\u200d", tags=(("artist", "N.\u00a0N."),), names=names)
    unknown = b"\x00comment\x00skipped"
    packet = Packet(
        Kind.METADATA, metadata.pack() + bytes([8]) + encode_var(len(unknown)) + unknown
    )
    return rewritten(
        _encoded(3),
        lambda header, packets: (header, [packet, *(p for p in packets if p.kind != packet.kind)]),
    )


def _captioned() -> bytes:
    """Closed captions: none, two triplets, more than one message holds."""
    encoder = Encoder(_FORMAT, EncoderConfig(q=45, preset=8, fit=0, keyint=6, threads=1))
    out = io.BytesIO()
    counts = (2, 2, 0, 20, 40, 1, 2, 0, 2, 2)
    pieces = (
        (planes, None, False, bytes((0xFC + n % 2, 32 + at, 128 + at)) * n)
        for at, (planes, n) in enumerate(zip(moving(10), counts, strict=True))
    )
    encode_stream(encoder, out, pieces)
    return out.getvalue()


def _attached() -> list[Attachment]:
    """Fonts; names that lead out of a folder and of joined letters; covers, one of which is no
    picture; equal names."""
    font = np.random.default_rng(8).integers(0, 256, 1000, np.uint8).tobytes()
    png = Image.new("RGB", (4, 3), (200, 10, 30))
    pictures = {}
    for kind in ("JPEG", "PNG"):
        png.save(out := io.BytesIO(), kind)
        pictures[kind] = out.getvalue()
    return [
        Attachment("a font.ttf", "application/x-truetype-font", font),
        Attachment("cover.jpg", "image/jpeg", pictures["JPEG"], True),
        Attachment("../../x", "text/plain", b"a name is a label"),
        Attachment("خط\u200cفارسی.otf", "font/otf", font[:7]),
        Attachment("cover.png", "image/png", pictures["PNG"], True),
        Attachment("cover.jpg", "image/jpeg", b"no picture", True),
        Attachment("unknown", "application/octet-stream", bytes(3)),
    ]


def _attachment_packets() -> list[Packet]:
    """Attachments among others that are left out: pieces missing, in the wrong order, twice, too
    many; a wrong total, none, of 64 MiB with ten bytes; names that are empty, no UTF-8 or blank;
    numbers that fall."""

    def packet(number: int, offset: int, piece: bytes, head: bytes | None = None) -> Packet:
        start = encode_var(number) + encode_var(offset)
        start += b"" if head is None else encode_var(len(head)) + head
        return Packet(Kind.ATTACHMENT, start + piece)

    def head(total: int, name: bytes, media_type: bytes = b"text/plain", role: int = 0) -> bytes:
        texts = (encode_var(len(text)) + text for text in (name, media_type))
        return encode_var(total) + bytes([role]) + b"".join(texts)

    return [
        packet(0, 0, b"abc", head(6, b"in two.txt")),
        packet(0, 3, b"def"),
        packet(0, 3, b"is complete already"),
        packet(1, 0, b"abc", head(9, b"without its middle")),
        packet(1, 6, b"ghi"),
        packet(2, 3, b"without its beginning"),
        packet(3, 0, b"abc", head(6, b"with its beginning twice")),
        packet(3, 0, b"abc", head(6, b"with its beginning twice")),
        packet(4, 0, b"abc", head(2, b"with a total that is too small")),
        packet(5, 0, b"", head(0, b"of no byte")),
        packet(6, 0, bytes(10), head(1 << 26, b"of 64 MiB, it says")),
        packet(7, 0, b"abc", head(3, b"")),
        packet(8, 0, b"abc", head(3, b"\xff\xfe")),
        packet(9, 0, b"abc", head(3, b"\x01 \x02")),
        packet(10, 0, b"abc", head(3, b"x" * 1025)),
        packet(12, 0, b"abc", head(3, b"role 77, no type", b"", 77) + b"later fields"),
        packet(11, 0, b"abc", head(3, b"with a number that falls")),
        packet(13, 0, b"abc", head(3, b"a\nline\xe2\x80\xaeby line")),
        packet(14, 0, b"abc", encode_var(3) + b"\0" + encode_var(90) + b"short"),
        packet(15, 0, b"abc", head((1 << 26) - 11, b"more than there is room for")),
        packet(512, 0, b"abc", head(3, b"number 512")),
        Packet(Kind.ATTACHMENT, b""),
        packet(511, 0, b"abc", head(3, b"the last")),
        packet(16, 0, b"abc", head(3, b"after the last")),
    ]


def _with_attachments() -> bytes:
    """Attachments before the first GOP; those of a later one do not count."""
    packets = list(pack_attachments(_attached()))
    return _before_keys(_encoded(4, keyint=2), lambda g: packets[: len(packets) - 3 * g])


def _as_one_file(data: bytes, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"out{suffix}"
        write_one_file(Reader(io.BytesIO(data)), path, overwrite=True)
        return path.read_bytes()


def _summarised() -> bytes:
    rng = np.random.default_rng(4)

    def summary(gop: int) -> list[Packet]:
        vectors = np.cumsum(rng.integers(-9, 10, (3 if gop == 0 else 2, 8)), 0).astype(np.int8)
        return [Packet(Kind.SUMMARY, Summary(b"embedder", 2, 20, vectors).pack())]

    return _before_keys(_encoded(9, keyint=5), summary)


def _grown() -> bytes:
    """A file as a writer of 1.1 may make it: packets that may be ignored."""

    def extra(gop: int) -> list[Packet]:
        return [Packet(Kind.EXTRA, b"from 1.1", number) for number in (100, 120, 200)]

    return _before_keys(_encoded(keyint=4), extra)


def _fitted() -> bytes:
    """Weights by hand: biases, the head's weights, strength; then the identity; then none."""
    sizes = sizes_of(Model.load(PAINTER.find()))
    rng = np.random.default_rng(3)

    def payload(groups: int, strength: Strength) -> bytes:
        names = [name for group in GROUPS[:groups] for name in group]
        values = {n: rng.integers(-3, 4, sizes[n]).astype(np.int64) for n in names}
        return join_strength(pack([Delta(n, v, 4) for n, v in values.items()]), strength)

    payloads = [payload(1, Strength()), payload(2, Strength(40, 30)), IDENTITY, BASE]
    return _before_keys(
        _encoded(15, keyint=3), lambda g: [Packet(Kind.FIT, fit) for fit in payloads[g : g + 1]]
    )


def _turned() -> bytes:
    """Factors alone, with strength, with deltas: multipliers that need another shift, the largest
    and the least."""
    sizes = sizes_of(Model.load(PAINTER.find()))
    rng = np.random.default_rng(5)
    values = {n: rng.integers(-3, 4, sizes[n]).astype(np.int64) for n in (*GROUPS[0], *GROUPS[1])}
    deltas = pack([Delta(n, v, 4) for n, v in values.items()])
    payloads = [
        join_strength(BASE, Strength(gains=(4, 3, 2), amplitudes=(8, 7, 6))),
        join_strength(BASE, Strength(50, 12, (-8, -3, 0), (-1, 0, 5))),
        join_strength(deltas, Strength(gains=(16, -40, 1), amplitudes=(-40, 16, 9))),
        join_strength(BASE, Strength(20, 30)),
    ]

    def change(header: SequenceHeader, packets: list[Packet]) -> Any:
        numbers, out = iter(range(len(payloads))), []
        for packet in packets:
            if packet.kind is Kind.KEY:
                out.append(Packet(Kind.FIT, payloads[next(numbers)]))
            out.append(packet)
        return replace(header, needs=NEEDS_STRENGTH_FACTORS), out

    return rewritten(_encoded(12, keyint=3), change)


def _steered(
    fmt: VideoFormat, count: int, keyint: int, fits: Callable[[Callable[[list[int]], bytes]], Any]
) -> bytes:
    """A stream whose painter tokens steer. `fits` makes payloads of the first GOPs, None
    for no packet, by bytes of random tokens for windows that have so many kinds of them."""
    data = steered(PAINTER.find())
    identity = hashlib.sha256(data).digest()[:8]
    path = MODELS / f"{identity.hex()}.safetensors"
    path.write_bytes(data)
    model, rng = Model.load(path), np.random.default_rng(6)
    assert model.tokens is not None

    def coded(kinds: list[int]) -> bytes:
        tokens = no_tokens(fmt.height, fmt.width, model.tokens.dims)
        tokens.kinds.flat = kinds
        for integers in tokens[:3]:
            integers[:] = rng.integers(-7, 8, integers.shape)
        return pack_tokens(tokens, model.tokens, 45)

    def change(header: SequenceHeader, packets: list[Packet]) -> Any:
        payloads, out = iter(fits(coded)), []
        for packet in packets:
            if packet.kind is Kind.KEY and (payload := next(payloads, None)) is not None:
                out.append(Packet(Kind.FIT, payload))
            out.append(packet)
        return replace(header, painter_id=identity, needs=NEEDS_PAINTER_TOKENS), out

    return rewritten(_encoded(count, fmt, keyint=keyint), change)


def _tokens() -> bytes:
    """Tokens of one window: all kinds; its own, with strength, factors and deltas; none in a `fit`
    without tokens; two kinds; no integer."""
    sizes = sizes_of(Model.load(PAINTER.find()))
    rng = np.random.default_rng(7)
    values = {n: rng.integers(-3, 4, sizes[n]).astype(np.int64) for n in (*GROUPS[0], *GROUPS[1])}
    deltas = pack([Delta(n, v, 4) for n, v in values.items()])
    strength = Strength(50, 12, (4, 3, 2), (-8, 0, 5))
    return _steered(
        _FORMAT,
        10,
        2,
        lambda coded: [
            join_extras(BASE, FitExtras(tokens=coded([3]))),
            join_extras(deltas, FitExtras(strength, coded([1]))),
            join_strength(BASE, Strength(20, 30)),
            join_extras(BASE, FitExtras(Strength(64, 9), coded([2]))),
            join_extras(BASE, FitExtras(tokens=coded([0]))),
        ],
    )


def _token_windows() -> bytes:
    """Tokens of four windows, three of which extend beyond the picture; in force in the next GOP,
    too; others."""
    fmt = replace(_FORMAT, width=260, height=260)
    payloads = [3, 2, 1, 3], [0, 3, 0, 3]
    return _steered(
        fmt,
        3,
        1,
        lambda coded: [
            join_extras(BASE, FitExtras(tokens=coded(payloads[0]))),
            None,
            join_extras(BASE, FitExtras(tokens=coded(payloads[1]))),
        ],
    )


def _unpainted_regions() -> bytes:
    """Four regions, three of which extend beyond the picture: without tokens; with tokens and
    strength; all painted again; none painted."""
    fmt = replace(_FORMAT, width=75, height=70)
    return _steered(
        fmt,
        8,
        2,
        lambda coded: [
            join_extras(BASE, FitExtras(unpainted_regions=b"\x09")),
            join_extras(BASE, FitExtras(Strength(50, 12), coded([3]), b"\x06")),
            BASE,
            join_extras(BASE, FitExtras(unpainted_regions=b"\x0f")),
        ],
    )


def _backed_up() -> bytes:
    """A copy of header and metadata in the last of three GOPs."""
    metadata = Metadata("Copied", (Chapter(0, 500_000, "one"), Chapter(500_000, 1_000_000, "two")))
    packet = Packet(Kind.METADATA, metadata.pack())
    return rewritten(
        _encoded(15, keyint=5, q=12),
        lambda header, packets: (header, [packet, *(p for p in packets if p.kind != packet.kind)]),
    )


def _damaged_one_file(has_state: bool) -> bytes:
    """Five GOPs of three frames in .mp4, with weights in force from the first and the fourth one
    on; the OBU of the second keyframe is damaged. Without `state` as some writer might leave it."""
    sizes = Model.load(PAINTER.find()).sizes()
    rng = np.random.default_rng(8)
    deltas = [Delta(n, rng.integers(-3, 4, sizes[n]).astype(np.int64), 4) for n in GROUPS[0]]
    fits = {0: join_strength(pack(deltas), Strength(40, 30)), 3: join_strength(BASE, Strength(9))}
    stream = _before_keys(
        _encoded(15, keyint=3), lambda g: [Packet(Kind.FIT, fits[g])] if g in fits else []
    )
    with tempfile.TemporaryDirectory() as folder:
        path, changed = Path(folder) / "a.mp4", Path(folder) / "b.mp4"
        write_one_file(Reader(io.BytesIO(stream)), path, overwrite=True)
        exact = {"fflags": "+bitexact"}
        with av.open(path) as source, av.open(changed, "w", options=exact) as out:
            video = source.streams.video[0]
            track = out.add_stream_from_template(video, opaque=True)
            for number, packet in enumerate(p for p in source.demux(video) if p.size):
                unit = bytes(packet)
                if not has_state:
                    parts = parse_temporal_unit(unit)
                    kept = [e for e in parts.entries if e.what is not EntryType.STATE]
                    unit = insert_entries(parts.payload, kept)
                if number == 3:
                    at = unit.index(b"\x16\x89GVC") + 8
                    unit = unit[:at] + bytes([unit[at] ^ 1]) + unit[at + 1 :]
                copy = packet_of(unit)
                copy.pts = copy.dts = packet.pts
                copy.time_base, copy.duration = packet.time_base, packet.duration
                copy.is_keyframe, copy.stream = packet.is_keyframe, track
                out.mux(copy)
        return changed.read_bytes()


#: One-files that a reader may refuse; `damaged/NAME.json` has the frames that it shows otherwise.
DAMAGED: dict[str, Callable[[], bytes]] = {
    "one-file-damaged-key.mp4": lambda: _damaged_one_file(True),
    "one-file-damaged-stateless.mp4": lambda: _damaged_one_file(False),
}
_TEN = VideoFormat(101, 67, Fraction(25), Fraction(1, 25), 10, Colour(9, 16, 9, False, 3))
FILES: dict[str, Callable[[], bytes]] = {
    "av1": lambda: _encoded(keyint=6),
    "av1-low-delay": lambda: _encoded(low_delay=True),
    "av1-half": lambda: _encoded(5, scale=Fraction(1, 2)),
    "av1-three-quarters": lambda: _encoded(5, scale=Fraction(3, 4)),
    "av1-ten-bits": lambda: _encoded(5, _TEN),
    "vvc": lambda: _encoded(keyint=6, base="vvc"),
    "vvc-half": lambda: _encoded(4, base="vvc", scale=Fraction(1, 2)),
    "fitted": _fitted,
    "turned": _turned,
    "tokens": _tokens,
    "token-windows": _token_windows,
    "unpainted-regions": _unpainted_regions,
    "timing": _timed,
    "metadata": _described,
    "metadata-names": _named_tracks,
    "attachments": _with_attachments,
    "attachments-left-out": lambda: _before_keys(
        _encoded(3), lambda g: _attachment_packets() if g == 0 else []
    ),
    "one-file-attachments.mkv": lambda: _as_one_file(_with_attachments(), ".mkv"),
    "one-file-cover.mp4": lambda: _as_one_file(_with_attachments(), ".mp4"),
    "captions": _captioned,
    "one-file-captions.mp4": lambda: _as_one_file(_captioned(), ".mp4"),
    "summary": _summarised,
    "grown": _grown,
    "embedded": lambda: _encoded(3, embed_model=True),
    "tracks": lambda: _with_tracks(".gvc"),
    # one-file.mkv and one-file-mp4.mp4 are release 1.0.0's, which had no `whole` entry.
    "one-file-whole.mkv": lambda: _with_tracks(".mkv"),
    "one-file-whole-mp4.mp4": lambda: _with_tracks(".mp4"),
    "backup": _backed_up,
    "gvc1d-network": _gvc1d_network,
    "one-frame": lambda: _encoded(1, replace(_FORMAT, width=1, height=1)),
}


def write_files(names: list[str]) -> None:
    """Files and their answers, all where none are named."""
    painter = PAINTER.find()
    shutil.copyfile(painter, MODELS / f"{model_id(painter).hex()}.safetensors")
    for name, make in FILES.items():
        if names and name not in names:
            continue
        data = make()
        path = ROOT / "files" / (name if "." in name else f"{name}.gvc")
        path.write_bytes(data)
        reference = json.dumps(answer(data), indent=1, ensure_ascii=False)
        path.with_suffix(".json").write_text(reference + "\n", "utf-8")
        print(f"{name}: {len(data)} bytes")


def write_refused() -> None:
    """Writes missing files that must be refused."""
    reasons = json.loads((ROOT / "refused.json").read_text())
    for name, (data, code, why) in refused.files(_encoded).items():
        if name in reasons:
            continue
        try:
            answer(data)
        except GvcodecError as error:
            assert error.exit_code == code, (name, error)
        else:
            raise AssertionError(f"{name} is read")
        (ROOT / f"refused/{name}.gvc").write_bytes(data)
        reasons[name] = {"code": code, "why": why}
    (ROOT / "refused.json").write_text(json.dumps(reasons, indent=1) + "\n")


def write_damaged() -> None:
    """Writes missing damaged one-files, with the hashes of their base and output frames."""
    for name, make in DAMAGED.items():
        path = ROOT / "damaged" / name
        if path.exists():
            continue
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data := make())
        fields = {key: frames_of_damaged(data)[key] for key in ("base", "painted")}
        path.with_suffix(".json").write_text(json.dumps(fields, indent=1) + "\n")


def write_vectors() -> None:
    """Write vectors of single parts."""
    for name, cases in (
        ("rans", vectors.rans()),
        ("predicted", vectors.predicted()),
        ("painter", vectors.painter_layers(ROOT / "files")),
    ):
        (ROOT / f"{name}.json").write_text(json.dumps(cases) + "\n")


def main(names: list[str]) -> None:
    for folder in ("files", "refused", "models"):
        (ROOT / folder).mkdir(exist_ok=True)
    if not names or set(names) & set(FILES):
        write_files([name for name in names if name in FILES])
    for group, write in (
        ("refused", write_refused),
        ("damaged", write_damaged),
        ("vectors", write_vectors),
    ):
        if not names or group in names:
            write()


if __name__ == "__main__":
    main(sys.argv[1:])
