"""Mutated conformance files, for two decoders: `python -m conformance.mutate --count 50000`.

gvcodec and the second decoder must both read a file or both refuse it; where both read it they
must find the same. Most mutations keep the checksums right, so that fields are checked, not CRCs.
Prints a line of JSON for each file about which they differ, then figures. Files that differ are
kept in `--keep FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from conformance.__main__ import COLUMNS, OTHER, judge
from conformance.decoder import decode
from conformance.decoder.bundles import Unbundler
from conformance.decoder.container import KINDS, TYPES, Packet, read_packet
from conformance.decoder.header import read_header
from conformance.decoder.wire import Bytes, OtherHash, Refused, crc16, crc32, var
from conformance.reference import answer as reference
from gvcodec.errors import GvcodecError

ROOT = Path(__file__).parent
NUMBERS = {name: number for number, name in TYPES.items()}
KIND_NUMBERS = {name: number for number, name in KINDS.items()}
LARGEST = 20_000  # larger files and those of profile Tokens, which take seconds, are mutated seldom


@dataclass
class Part:
    """A packet: its kind, its type where the kind is 3, its payload."""

    kind: int
    number: int
    payload: bytes


@dataclass
class Parts:
    """A file in parts: fields of the header, packets, base hash."""

    version: bytes
    fields: bytes
    packets: list[Part]
    base_hash: bytes

    @property
    def is_quick(self) -> bool:
        """Whether it is small and of profile Base or Painted."""
        size = sum(len(packet.payload) for packet in self.packets)
        return size <= LARGEST and self.fields[2] < 3


def apart(data: bytes) -> Parts:
    header = read_header(data)
    head = Bytes(data, 6)
    fields, read = head.take(head.var()), Bytes(data, header.size)
    packets = []
    while read.remaining:
        packet = read_packet(read)
        kind = KIND_NUMBERS.get(packet.name, 3)
        after = Bytes(data, packet.begin)
        after.var()
        packets.append(Part(kind, after.number(1) if kind == 3 else 0, packet.payload))
    return Parts(data[4:6], fields, packets[:-2], packets[-1].payload[:8])


def sealed(part: Part) -> bytes:
    data = var(len(part.payload) << 2 | part.kind)
    data += (bytes([part.number]) if part.kind == 3 else b"") + part.payload
    return data + crc16(data).to_bytes(2, "little")


def together(parts: Parts) -> bytes:
    """A file with right checksums, GOPs, index and end."""
    header = b"\x89GVC" + parts.version + var(len(parts.fields)) + parts.fields
    header += crc32(header).to_bytes(4, "little")
    bundled, must = False, Bytes(parts.fields, 4)
    if len(parts.fields) > 5:
        bundled = bool(must.number(1) & 8)
    pieces, gop, frames, total, fitted, entries = [header], b"", 0, 0, 0, b""
    gops = 0
    for part in parts.packets:
        if part.kind == KIND_NUMBERS["gop"]:
            total += frames
            end = sealed(replace(part, payload=crc32(gop).to_bytes(4, "little") + var(total)))
            entries += var(frames) + var(len(gop) + len(end)) + bytes([fitted])
            pieces += [gop, end]
            gop, frames, fitted, gops = b"", 0, 0, gops + 1
            continue
        if part.kind < 2:
            frames += part.payload[0] + 1 if bundled and part.payload else 1
        fitted |= part.kind == 3 and part.number == NUMBERS["fit"]
        gop += sealed(part)
    index = sealed(Part(3, NUMBERS["index"], var(total) + var(gops) + entries))
    end = parts.base_hash + len(index).to_bytes(4, "little")
    return b"".join([*pieces, gop, index, sealed(Part(3, NUMBERS["end"], end))])


def disturbed(data: bytes, rng: random.Random) -> bytes:
    """One small change of bytes."""
    at = rng.randrange(len(data) + 1)
    value = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
    way = rng.randrange(6)
    if way == 0 or not data:
        return data[:at] + bytes([value]) + data[at:]
    at = min(at, len(data) - 1)
    if way == 1:
        return data[:at] + data[at + 1 :]
    if way == 2:
        return data[:at]
    if way == 3:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    if way == 4:
        return data[:at] + bytes([(data[at] + rng.choice([-1, 1])) & 255]) + data[at + 1 :]
    return data[:at] + bytes([value]) + data[at + 1 :]


def of_bytes(parts: Parts, rng: random.Random) -> bytes:
    data = together(parts)
    for _ in range(rng.choice([1, 1, 1, 2, 8])):
        data = disturbed(data, rng)
    return data


def of_header(parts: Parts, rng: random.Random) -> bytes:
    parts = replace(parts, fields=disturbed(parts.fields, rng))
    if rng.random() < 0.1:
        parts = replace(parts, version=disturbed(parts.version, rng)[:2].ljust(2, b"\0"))
    return together(parts)


def of_payload(parts: Parts, rng: random.Random) -> bytes:
    packets = list(parts.packets)
    numbered = [n for n, part in enumerate(packets) if part.kind == 3]
    chosen = (
        rng.choice(numbered) if numbered and rng.random() < 0.6 else rng.randrange(len(packets))
    )
    payload = packets[chosen].payload
    for _ in range(rng.choice([1, 1, 2])):
        payload = disturbed(payload, rng)
    packets[chosen] = replace(packets[chosen], payload=payload)
    return together(replace(parts, packets=packets))


def of_order(parts: Parts, rng: random.Random) -> bytes:
    """Packets gone, twice, elsewhere, of another type."""
    packets = list(parts.packets)
    for _ in range(rng.choice([1, 1, 2])):
        at, to = rng.randrange(len(packets)), rng.randrange(len(packets) + 1)
        way = rng.randrange(4)
        if way == 0 and len(packets) > 1:
            del packets[at]
        elif way == 1:
            packets.insert(to, packets[at])
        elif way == 2:
            packets.insert(min(to, len(packets) - 1), packets.pop(at))
        else:
            number = rng.choice([*NUMBERS.values(), rng.randrange(256)])
            packets[at] = Part(rng.choice([0, 1, 2, 3, 3]), number, packets[at].payload)
    return together(replace(parts, packets=packets))


def of_new_packets(parts: Parts, rng: random.Random) -> bytes:
    """Packets of other files and made-up ones."""
    packets = list(parts.packets)
    for _ in range(rng.choice([1, 1, 2])):
        packets.insert(rng.randrange(len(packets) + 1), rng.choice(RANDOM_PACKETS)(rng))
    return together(replace(parts, packets=packets))


def _number(rng: random.Random) -> bytes:
    return var(
        rng.choice([0, 1, 2, 3, rng.randrange(64), rng.randrange(1 << rng.randrange(1, 62))])
    )


def _timing(rng: random.Random) -> Part:
    payload = b""
    for _ in range(rng.randrange(1, 4)):
        late = rng.choice([0, rng.randrange(1, 4000)])
        payload += var(rng.randrange(4)) + var(late)
        payload += b"" if late else var(rng.randrange(12)) + var(rng.choice([0, 2002, 4004, 9]))
    return Part(3, NUMBERS["timing"], payload)


def _metadata(rng: random.Random) -> Part:
    payload = b""
    for _ in range(rng.randrange(4)):
        text = rng.choice(["", "a\0b", "über\t", " x ", "a\u00a0b\u200b", "\0", "n\0t\0u"]).encode()
        number = rng.choice([1, 2, 3, 4, 5, 6, 7, 8])
        numbers = b"".join(_number(rng) for _ in range({2: 2, 3: 10, 4: 2, 6: 1}.get(number, 0)))
        data = numbers + (text if number in (1, 2, 5) else b"")
        if rng.random() < 0.2:
            data = disturbed(data, rng)
        payload += bytes([number]) + var(len(data)) + data
    return Part(3, NUMBERS["metadata"], payload)


def _tracks(rng: random.Random) -> Part:
    count, payload = rng.randrange(2), b""
    payload += var(count)
    for _ in range(rng.randrange(4)):
        data = bytes(rng.randrange(256) for _ in range(rng.randrange(4)))
        form = rng.randrange(8)
        payload += var(rng.randrange(count + 1) << 3 | form) + _number(rng)
        payload += _number(rng) if form & 1 else b""
        payload += _number(rng) + _number(rng) if form & 2 else b""
        payload += var(len(data)) + data
    return Part(3, NUMBERS["tracks"], payload)


def _fit(rng: random.Random) -> Part:
    payloads = [
        b"\0",
        b"\x10",
        b"\x14\x20\x30",
        b"\x18\x04\xf8\x10\xd8\0\x01",
        b"\x13\xff\xff\xff",
        b"\x01",
        b"\x20\x01\0",
        b"\x30",
        b"",
    ]
    payloads += [b"\x11\x00\xff" + bytes(rng.randrange(256) for _ in range(4))]
    return Part(3, NUMBERS["fit"], rng.choice(payloads))


def _other(rng: random.Random) -> Part:
    number = rng.choice([*NUMBERS.values(), rng.randrange(256)])
    return Part(3, number, bytes(rng.randrange(256) for _ in range(rng.choice([0, 1, 8, 12]))))


RANDOM_PACKETS: list[Callable[[random.Random], Part]] = [_timing, _metadata, _tracks, _fit, _other]
WAYS: dict[Callable[[Parts, random.Random], bytes], int] = {
    of_bytes: 3,
    of_header: 4,
    of_payload: 6,
    of_order: 3,
    of_new_packets: 4,
}


class Remembering(decode.Decoder):
    """A decoder that caches its results by GOP."""

    results: ClassVar[dict[Any, Any]] = {}

    def _once(self, key: Any, compute: Callable[[], Any]) -> Any:
        if key not in self.results:
            if len(self.results) > 2000:
                self.results.clear()
            self.results[key] = compute()
        return self.results[key]

    def _form(self) -> tuple[object, ...]:
        header = self.header
        size = header.width, header.height
        return header.base, header.base == "gvc1d", header.scale, header.q, *size, header.base_id

    def frames_of(self, packet: Packet) -> Any:
        if self.unbundler is None:
            return [packet.payload]
        self._bundles = [] if packet.name == "key" else self._bundles
        self._bundles.append(packet.payload)
        return self._once(("bundles", *self._bundles), self._last_bundle)

    def _last_bundle(self) -> list[bytes]:
        unbundler = Unbundler()
        for n, payload in enumerate(self._bundles):
            frames = unbundler.payloads(n == 0, payload)
        return frames

    def base_frames(self, payloads: list[bytes]) -> Any:
        decode_base, base = super().base_frames, self.base

        def decode_gop() -> Any:
            before = len(getattr(base, "symbols", ()))
            frames = decode_base(payloads)
            lists = (getattr(base, name, [])[before:] for name in ("symbols", "counted"))
            return frames, *lists

        is_cached = ("base", self._form(), *payloads) in self.results
        frames, symbols, counted = self._once(("base", self._form(), *payloads), decode_gop)
        if is_cached and symbols:
            base.symbols += symbols
        if is_cached and counted:
            base.counted += counted
        return frames

    def painted_frames(self, payloads: list[bytes], base: Any, fit: Any) -> Any:
        paint = super().painted_frames
        key = "painted", self._form(), self.header.painter_id, repr(fit), *payloads
        return self._once(key, lambda: paint(payloads, base, fit))


def verdicts(data: bytes) -> tuple[tuple[int, Any], tuple[int, Any]]:
    """Exit code and answer, or the reason of a refusal, of gvcodec and of the second decoder."""
    try:
        first: tuple[int, Any] = 0, json.loads(json.dumps(reference(data)))
    except GvcodecError as error:
        first = error.exit_code, str(error)
    except Exception as error:  # noqa: BLE001 (crashes are searched for)
        first = -1, repr(error)
    try:
        second: tuple[int, Any] = 0, json.loads(json.dumps(decode.answer(data, Remembering)))
    except Refused as error:
        second = error.code, str(error)
    except Exception as error:  # noqa: BLE001
        second = -1, repr(error)
    return first, second


def with_hash_of_its_frames(data: bytes) -> bytes:
    """The same file, its base hash made right as far as frames can be decoded."""
    parts, base_hash = apart(data), decode.Hash("base")
    decoder = Remembering(decode.read_stream(data))
    for gop in decoder.stream.gops:
        base_hash.add(decoder.base_frames(decoder.payloads(gop)))
    return together(replace(parts, base_hash=base_hash.digest()))


def differing(first: dict[str, Any], second: dict[str, Any]) -> set[str]:
    """Parts of two answers that are not alike."""
    marks = dict(zip(COLUMNS, judge(second, first), strict=True))
    missing = {key for key in first if key not in second}
    return missing | {column for column, mark in marks.items() if mark == OTHER}


LATE = "a time after its frame: a reader that has not shown the frame may take it"


def explained(first: tuple[int, Any], second: tuple[int, Any]) -> str | None:
    """Why two decoders may differ, where the specification lets them."""
    codes = first[0], second[0]
    says = "timing comes after" if codes == (3, 0) else "the time of a frame that was shown"
    if 0 in codes and says in str(first[1] if first[0] else second[1]):
        return LATE
    if codes == (0, 0) and first[1]["container"]["base"] == "vvc":
        return LATE if differing(first[1], second[1]) == {"times"} else None
    return None


def mutant(files: dict[str, Parts], seed: int, number: int) -> tuple[str, str, bytes]:
    rng = random.Random(seed << 32 | number)
    quick = [name for name, parts in files.items() if parts.is_quick]
    name = rng.choice(quick if quick and rng.random() < 0.998 else list(files))
    way = rng.choices(list(WAYS), list(WAYS.values()))[0]
    data = way(files[name], rng)
    if way is not of_bytes and rng.random() < 0.15:
        try:
            decode.answer(data, Remembering)
        except OtherHash:
            data = with_hash_of_its_frames(data)
        except Refused:
            pass
    return name, way.__name__, data


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance.mutate", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="files (1000)")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other files (1)")
    parser.add_argument("--first", type=int, default=0, help="number of the first file (0)")
    parser.add_argument("--keep", type=Path, help="folder for files about which they differ")
    parser.add_argument("--only", metavar="NAME", help="mutate this file alone")
    options = parser.parse_args(arguments)
    paths = sorted(ROOT.glob(f"files/{options.only or '*'}.gvc"))
    if not paths:
        parser.error(f"no file {options.only} in {ROOT / 'files'}")
    files = {p.stem: apart(p.read_bytes()) for p in paths}
    figures: Counter[str] = Counter()
    begin = time.monotonic()
    for number in range(options.first, options.first + options.count):
        name, way, data = mutant(files, options.seed, number)
        first, second = verdicts(data)
        read, refused = (first[0] == 0, second[0] == 0), (first[0] > 0, second[0] > 0)
        figures[f"{way}: {first[0]}, {second[0]}"] += 1
        differs = "" if read[0] == read[1] else "verdict"
        if not read[0] and not read[1] and not all(refused):
            differs = "crash"
        if all(read) and differing(first[1], second[1]):
            differs = "answer"
        reason = explained(first, second) if differs else None
        if reason is not None:
            figures[f"explained: {reason}"] += 1
            continue
        if all(refused) and first[0] != second[0]:
            figures["refused by other codes"] += 1
        figures["differ" if differs else "agree"] += 1
        if differs:
            answers = [verdict[1] if verdict[0] else "read" for verdict in (first, second)]
            print(
                json.dumps([number, name, way, differs, first[0], second[0], *answers]), flush=True
            )
            if options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{options.seed}-{number}.gvc").write_bytes(data)
    figures["seconds"] = round(time.monotonic() - begin)
    print(json.dumps(dict(sorted(figures.items())), indent=1))
    return int(figures["differ"] > 0)


if __name__ == "__main__":
    sys.exit(main())
