"""Bundles of AV1 frames: the range coder and its model (Bases: Bundles)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from conformance.decoder.entropy import TABLES
from conformance.decoder.wire import Bytes, require, var

PLACES, HEAD, CONTEXTS, ALL = 96, 20, 5, 2**32 - 1
K = [1, 2, 3, 6, 10, 16, 27, 45, 73, 120, 194, 310, 488, 747, 1101, 1546, 2047, 2549, 2994, 3348]
K += [3607, 3785, 3901, 3975, 4022, 4050, 4068, 4079, 4085, 4089, 4092, 4093, 4094]


def squash(x: int) -> int:
    x = min(max(x, -2047), 2047) + 2048
    return (K[x >> 7] * (128 - (x & 127)) + K[(x >> 7) + 1] * (x & 127) + 64) >> 7


SQUASHED = [squash(x) for x in range(-2047, 2048)]
LOGIT = [next((x - 2047 for x, s in enumerate(SQUASHED) if s >= p), 2047) for p in range(4096)]
STEP = [131072 // (2 * used + 3) for used in range(31)]
TRUST = [1280 * used // (5 * used + 3) for used in range(31)]


class RangeDecoder:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 4
        self.low, self.high = 0, ALL
        self.value = int.from_bytes(data[:4].ljust(4, b"\0"), "big")

    def bit(self, one_share: int) -> int:
        middle = self.low + ((self.high - self.low) >> 12) * one_share
        bit = int(self.value <= middle)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while (self.low ^ self.high) >> 24 == 0:
            following = self.data[self.at] if self.at < len(self.data) else 0
            self.at += 1
            self.low = self.low << 8 & ALL
            self.high = (self.high << 8 | 255) & ALL
            self.value = (self.value << 8 | following) & ALL
        return bit


class RangeEncoder:
    """Codes the bits that it is given."""

    def __init__(self) -> None:
        self.low, self.high, self.data = 0, ALL, b""
        self.bits = iter(())

    def give(self, symbols: list[int]) -> None:
        self.bits = iter([symbol >> 7 - i & 1 for symbol in symbols for i in range(8)])

    def bit(self, one_share: int) -> int:
        middle = self.low + ((self.high - self.low) >> 12) * one_share
        bit = next(self.bits)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while (self.low ^ self.high) >> 24 == 0:
            self.data += bytes([self.low >> 24])
            self.low = self.low << 8 & ALL
            self.high = (self.high << 8 | 255) & ALL
        return bit

    def end(self) -> bytes:
        last = (self.low >> 24) + 1 if self.low else 0
        return (self.data + bytes([last])).rstrip(b"\0")


class KnownBits:
    """Known bits, of the sample that trains the model."""

    def __init__(self, symbols: bytes) -> None:
        self.bits = (symbol >> 7 - i & 1 for symbol in symbols for i in range(8))

    def bit(self, one_share: int) -> int:
        return next(self.bits)


@dataclass
class Obu:
    """An OBU as symbols: type, size, long size, head."""

    s: list[int] = field(default_factory=lambda: [0] * (5 + HEAD))
    count: int = 0

    def at(self, i: int) -> int:
        return self.s[i] if i < self.count else 256

    @property
    def size(self) -> int:
        return self.s[1] if self.s[1] < 255 else self.s[2] | self.s[3] << 8 | self.s[4] << 16


EMPTY = Obu()


class Model:
    """Five contexts, mixed, and the OBUs since the GOP began."""

    def __init__(self) -> None:
        self.counters: list[dict[int, tuple[int, int]]] = [{} for _ in range(CONTEXTS)]
        self.weights = [[22938] * CONTEXTS for _ in range(9)]
        self.begin()

    def begin(self) -> None:
        self.frame = 0
        self.by_place: dict[tuple[int, int], Obu] = {}
        self.by_kind: dict[int, Obu] = {}

    def copy(self) -> Model:
        model = Model()
        model.counters = [dict(counters) for counters in self.counters]
        model.weights = [list(row) for row in self.weights]
        return model

    def obu(self, coder: RangeDecoder | RangeEncoder | KnownBits, place: int) -> Obu:
        obu = Obu()
        s, self._coder, self._place, self._previous = obu.s, coder, place, 0
        before = self.by_place.get((self.frame & 1, place), EMPTY)
        s[0] = self._next(s, 0, before.at(0))
        s[1] = self._next(s, 1, before.at(1))
        if s[1] == 255:
            for i in (2, 3, 4):
                s[i] = self._next(s, i, 256)
        obu.count = 5 + (0 if s[0] == 255 else min(obu.size, HEAD))
        if obu.count > 5:
            s[5] = self._next(s, 5, before.at(5))
            kind = (s[0] & 15) << 7 | s[5] >> 1
            kin = self.by_kind.get(kind, EMPTY)
            for i in range(6, obu.count):
                s[i] = self._next(s, i, kin.at(i))
            self.by_kind[kind] = obu
        self.by_place[self.frame & 1, place] = obu
        self.frame += s[0] >> 4 & 1
        return obu

    def _next(self, s: list[int], at: int, alike: int) -> int:
        period = (self.frame - 1) % 32 + 1 if self.frame else 0
        size4 = min(s[1], 40) >> 2 if at >= 5 else 0
        contexts = [self._previous, period << 6 | self._place, alike]
        contexts += [s[5] << 4 | size4, s[5] << 16 | s[6] << 8 | s[8]]
        hashes = []
        for context in contexts:
            v = ((context * 32 + at & ALL) * 0x9E3779B1) & ALL
            hashes.append(v >> 17 ^ v >> 3 & 0xFFFF)
        node = 1
        while node < 256:
            node = node << 1 | self._bit([h ^ node * 0x9E35 & 0xFFFF for h in hashes], min(at, 8))
        self._previous = node & 255
        return self._previous

    def _bit(self, slots: list[int], row: int) -> int:
        w, states, logits = self.weights[row], [], []
        for counters, slot in zip(self.counters, slots, strict=True):
            p, used = counters.get(slot & 0xFFFF, (1 << 15, 0))
            states.append((p, used))
            logits.append(LOGIT[p >> 4] * TRUST[used] >> 8)
        mixed = sum(weight * l for weight, l in zip(w, logits, strict=True)) >> 16
        one_share = SQUASHED[min(max(mixed, -2047), 2047) + 2047]
        bit = self._coder.bit(one_share)
        error = (bit << 12) - one_share
        for n, (p, used) in enumerate(states):
            w[n] += logits[n] * error >> 10
            p += ((65535 if bit else 0) - p) * STEP[used] >> 16
            self.counters[n][slots[n] & 0xFFFF] = p, min(used + 1, 30)
        return bit


@cache
def _trained() -> Model:
    """The model at the beginning of each GOP (What it begins from)."""
    model, read = Model(), Bytes((TABLES / "bundles.sample").read_bytes())
    while read.remaining:
        place, symbols = read.number(1), read.take(read.number(1))
        if place == 255:
            model.begin()
        else:
            model.obu(KnownBits(symbols), place)
    model.begin()
    return model


class Unbundler:
    """Frame packets that are bundles into payloads of frames."""

    def __init__(self) -> None:
        self._model = _trained()

    def payloads(self, is_key: bool, payload: bytes) -> list[bytes]:
        if is_key:
            self._model = _trained().copy()
        read = Bytes(payload)
        frames = read.number(1) + 1
        coder = RangeDecoder(read.take(read.var()))
        payloads, total = [], 0
        for _ in range(frames):
            parts, place, last = [], 0, False
            while not last:
                total += 1
                require(total <= PLACES, "OBUs of a bundle")
                obu = self._model.obu(coder, place)
                place, last = place + 1, bool(obu.s[0] & 16)
                parts.append(obu)
            payloads.append(parts)
        joined = [b"".join(_bytes(obu, read) for obu in parts) for parts in payloads]
        require(read.remaining == 0 and all(joined), "tails of a bundle")
        return joined


def _bytes(obu: Obu, tails: Bytes) -> bytes:
    head = bytes(obu.s[5 : obu.count])
    body = head + tails.take(obu.size - len(head))
    if obu.s[0] == 255:
        return body
    last = obu.s[0] & 16
    begin = (obu.s[0] & 15) << 3 | (0 if last else 2)
    return bytes([begin]) + (b"" if last else var(len(body))) + body


class Bundler:
    """Payloads of frames into bundles, for streams that come out of a one-file."""

    def __init__(self) -> None:
        self._model = _trained()

    def bundle(self, is_key: bool, frames: list[list[tuple[int, bytes]]]) -> bytes:
        """Frames as OBUs (type, body); type 255: the payload is no string of plain OBUs."""
        if is_key:
            self._model = _trained().copy()
        coder, tails = RangeEncoder(), b""
        for obus in frames:
            for place, (kind, body) in enumerate(obus):
                head = b"" if kind == 255 else body[:HEAD]
                size = len(body)
                long = [255, size & 255, size >> 8 & 255, size >> 16]
                last = 16 if place == len(obus) - 1 else 0
                coder.give([kind | last, *([size] if size < 255 else long), *head])
                self._model.obu(coder, place)
                tails += body[len(head) :]
        data = coder.end()
        return bytes([len(frames) - 1]) + var(len(data)) + data + tails
