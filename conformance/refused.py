"""Files that every decoder must refuse: bytes, exit code, why."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from gvcodec import _core
from gvcodec.bitstream import Kind, Packet, Reader, SequenceHeader
from gvcodec.bitstream.embedded_models import PAINTER
from gvcodec.bitstream.packets import read_packet
from gvcodec.bitstream.varint import Cursor, encode_svar, encode_var
from gvcodec.gvc1d.frame_coder import _MEAN_STEPS, _SAME_SCALE, RATE_END

FILES = Path(__file__).parent / "files"
REFUSED = Path(__file__).parent / "refused"
#: Coded rate of the frames of `gvc1d-network`.
_NETWORK_RATE = 53
Refused = dict[str, tuple[bytes, int, str]]
_Change = Callable[[Packet, int], list[Packet]]


def files(encoded: Callable[..., bytes]) -> Refused:
    """Refused files by name. `encoded` makes a stream of so many frames."""
    whole = encoded(4, keyint=2, low_delay=True)
    return _containers(whole) | _payloads(whole)


def _containers(whole: bytes) -> Refused:
    from tests.bitstream.test_growth import grown

    size = len(Reader(io.BytesIO(whole)).header.pack())
    header, rest = whole[:size], whole[size:]
    flipped = bytearray(whole)
    flipped[size + 20] ^= 4
    return {
        "empty": (b"", 3, "no byte"),
        "flipped-bit": (bytes(flipped), 3, "CRC-16 of the first packet"),
        "cut": (whole[:-20], 3, "no index and no end"),
        "after-the-end": (whole + b"\0", 3, "a byte follows the end"),
        "without-a-frame": (header + rest[-16:], 3, "no GOP"),
        "needs-1.2": (grown(header, needed=(1, 2)) + rest, 4, "the needed version"),
        "needs-2.0": (grown(header, written=(2, 0), needed=(2, 0)) + rest, 4, "the needed version"),
        "flag": (grown(header, changes={4: 0x22}) + rest, 4, "a flag that must be understood"),
        "reduced-form": (
            grown(header, changes={4: 0x12}) + rest,
            4,
            "GVC1D's reduced form of release 1.0",
        ),
        "base": (grown(header, changes={-11: 200}) + rest, 4, "an unknown base"),
        "earlier": (b"\x89GVC\0\7" + _sealed(header[6:-4]) + rest, 4, "format 0.7"),
        "q": (grown(header, changes={-9: 64}) + rest, 3, "q above 63"),
        "number": (header + b"\x80\0", 3, "a number in non-minimal form"),
        "index-fitted": (_fitted_index(whole), 3, "the index says that a GOP is fitted"),
        "base-hash": (_repacked(whole, _same, b"otherone"), 5, "the base hash"),
    }


def _payloads(whole: bytes) -> Refused:
    def before(kind: Kind, payload: bytes, at: int = 0, number: int | None = None) -> bytes:
        """With a packet before frame `at`."""
        added = Packet(kind, payload, number)
        plain = _repacked(whole, lambda p, _: [] if p.kind is Kind.METADATA else [p])
        return _repacked(plain, lambda p, n: [added, p] if p.is_frame and n == at else [p])

    def instead(data: bytes, at: int, change: Callable[[bytes], bytes]) -> bytes:
        """With another payload of frame `at`."""
        return _repacked(
            data,
            lambda p, n: [replace(p, payload=change(p.payload))] if p.is_frame and n == at else [p],
        )

    network = (FILES / "gvc1d-network.gvc").read_bytes()
    bundled = (FILES / "av1.gvc").read_bytes()
    embedded = (FILES / "embedded.gvc").read_bytes()
    steered = (FILES / "tokens.gvc").read_bytes()
    other = bytes([PAINTER]) + b"another"
    too_many = encode_var(0) + encode_svar(0) + encode_var((1 << 40) + 1) + encode_svar(0)

    def swapped(packet: Packet, _number: int) -> list[Packet]:
        return [replace(packet, payload=other) if packet.kind is Kind.MODEL else packet]

    return {
        "type-40": (before(Kind.UNKNOWN, b"", 0, 40), 4, "a packet that painting must understand"),
        "fit-kind": (before(Kind.FIT, b"\x30"), 4, "fitted weights of another kind"),
        "fit-noise": (before(Kind.FIT, b"\x14\x41\0"), 3, "noise above 64"),
        "fit-factor": (before(Kind.FIT, b"\x18" + b"\x11" + bytes(5)), 3, "a factor above 16"),
        "fit-factors": (before(Kind.FIT, b"\x18" + bytes(5)), 3, "a factor is missing"),
        "fit-tokens-size": (before(Kind.FIT, b"\x20"), 3, "no size of tokens"),
        "fit-tokens-painter": (before(Kind.FIT, b"\x20\1\0"), 3, "a painter without tokens"),
        "fit-tokens-cut": (_steered(steered, lambda b: b[:-1]), 3, "bytes of tokens are missing"),
        "fit-tokens-windows": (_steered(steered, lambda _: b"\x0c"), 3, "two windows of one"),
        "fit-tokens-tail": (
            _steered(steered, lambda _: b"\0\0"), 3, "a byte of tokens without an integer"
        ),
        "fit-tokens-integer": (
            _steered(steered, lambda b: b[:1] + b"\xff" * 12), 3, "an integer of a token above 7"
        ),
        "fit-regions-size": (before(Kind.FIT, b"\x50\2\0\0"), 3, "regions of a larger picture"),
        "fit-regions-bits": (before(Kind.FIT, b"\x50\1\x80"), 3, "bits after the last region"),
        "fit-in-a-gop": (before(Kind.FIT, b"\0", 1), 3, "a fit packet inside a GOP"),
        "key-in-a-gop": (_repacked(whole, _keys), 3, "a key packet inside a GOP"),
        "timing-frame": (before(Kind.TIMING, too_many), 3, "a frame above 2^40"),
        "timing-cut": (before(Kind.TIMING, b"\0"), 3, "an entry ends early"),
        "metadata-text": (before(Kind.METADATA, b"\1\1\xff"), 3, "a title that is no UTF-8"),
        "metadata-size": (before(Kind.METADATA, b"\1\5abc"), 3, "a field ends early"),
        "tracks-count": (before(Kind.TRACKS, b"\x41"), 3, "65 tracks"),
        "tracks-head": (
            before(Kind.TRACKS, b"\1\1\1\0\0\0\3abc"), 3, "a head that is no Matroska"
        ),
        "latent-unnamed": (before(Kind.LATENT, b"\0\0"), 3, "tokens in a stream without any"),
        "summary-vectors": (
            before(Kind.SUMMARY, b"\1embedder\1\1\0\x09\0\0"), 3, "a leak above 8"
        ),
        "two-frames": (instead(whole, 1, _twice), 3, "an AV1 payload that shows two frames"),
        "no-frame": (instead(whole, 1, lambda _: b"\x12\0"), 3, "an AV1 payload without a frame"),
        "bundle-frames": (_bundle(bundled, lambda b: b"\x20" + b[1:]), 3, "a bundle of 33 frames"),
        "bundle-tail": (_bundle(bundled, lambda b: b + b"\0"), 3, "a byte after the tails"),
        "model": (_repacked(embedded, swapped), 3, "a model that the header does not name"),
        "gvc1d-transform": (
            (REFUSED / "gvc1d-transform.gvc").read_bytes(), 4, "GVC1D's transform of 1.0"
        ),
        "gvc1d-rate": (
            instead(network, 1, lambda _: _head(RATE_END + 1, 0)), 3, "a rate above the last"
        ),
        "gvc1d-flag": (
            instead(network, 1, lambda _: _head(_NETWORK_RATE, 2)), 3, "a flag of 2"
        ),
        "gvc1d-tail": (instead(network, 0, lambda b: b + b"\0\0"), 3, "bytes after the tokens"),
    }  # fmt: skip


def _sealed(fields: bytes) -> bytes:
    head = b"\x89GVC\0\7" + fields
    return fields + zlib.crc32(head).to_bytes(4, "little")


def _head(rate: int, partial: int) -> bytes:
    """A frame of base gvc1d that ends after its rate and flag; the frame before has the rate of
    `gvc1d-network`."""
    means = np.array([_MEAN_STEPS * _NETWORK_RATE, 0], np.int16)
    values, scales = np.array([rate, partial], np.int32), np.full(2, _SAME_SCALE, np.uint8)
    packet: bytes = _core.cdf_encode(values, scales, means)
    return packet


def _same(packet: Packet, _number: int) -> list[Packet]:
    return [packet]


def _keys(packet: Packet, number: int) -> list[Packet]:
    """Frame 1 as a key packet; the GOP goes on."""
    return [replace(packet, kind=Kind.KEY) if packet.is_frame and number == 1 else packet]


def _twice(payload: bytes) -> bytes:
    """An AV1 payload of one OBU, twice."""
    head, body = payload[0], payload[1:]
    return bytes([head | 2]) + encode_var(len(body)) + body + payload


def _repacked(data: bytes, change: _Change, base_hash: bytes | None = None) -> bytes:
    """The stream with each packet as `change` makes it (with the number of the next frame packet),
    every checksum, the index and the end right."""
    stream = io.BytesIO(data)
    header, _ = SequenceHeader.read(stream)
    out, index, gop = io.BytesIO(header.pack()), b"", b""
    out.seek(0, io.SEEK_END)
    number = frames = added = gops = before = 0
    fitted = False
    while True:
        packet, _ = read_packet(stream)
        if packet.kind is Kind.END:
            break
        if packet.kind is Kind.INDEX:
            continue
        if packet.kind is Kind.GOP:
            total = Cursor(packet.payload[4:], "gop").var() + added
            closing = Packet(Kind.GOP, zlib.crc32(gop).to_bytes(4, "little") + encode_var(total))
            gop += closing.pack()
            out.write(gop)
            index += encode_var(total - before) + encode_var(len(gop)) + bytes([fitted])
            before, frames, gops, gop, fitted = total, total, gops + 1, b"", False
            continue
        changed = change(packet, number)
        fitted |= any(changed_packet.kind is Kind.FIT for changed_packet in changed)
        gop += b"".join(changed_packet.pack() for changed_packet in changed)
        added += sum(changed_packet.is_frame for changed_packet in changed) - packet.is_frame
        number += packet.is_frame
    index_packet = Packet(Kind.INDEX, encode_var(frames) + encode_var(gops) + index).pack()
    end = (base_hash or packet.payload[:8]) + len(index_packet).to_bytes(4, "little")
    out.write(index_packet + Packet(Kind.END, end).pack())
    return out.getvalue()


def _fitted_index(data: bytes) -> bytes:
    """The index with the flag *fitted* of its last GOP set."""
    end = data[-16:]
    size = int.from_bytes(end[-6:-2], "little")
    packet, _ = read_packet(io.BytesIO(data[-16 - size : -16]))
    payload = packet.payload[:-1] + b"\1"
    return data[: -16 - size] + Packet(Kind.INDEX, payload).pack() + end


def _bundle(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """With another first bundle."""
    return _repacked(
        data,
        lambda p, n: [replace(p, payload=change(p.payload))] if p.is_frame and n == 0 else [p],
    )


def _steered(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """With other tokens in the first `fit`, which has nothing else."""

    def changed(packet: Packet, number: int) -> list[Packet]:
        if packet.kind is not Kind.FIT or number:
            return [packet]
        cursor = Cursor(packet.payload[1:], "fit")
        tokens = change(cursor.take(cursor.var()))
        return [replace(packet, payload=b"\x20" + encode_var(len(tokens)) + tokens)]

    return _repacked(data, changed)
