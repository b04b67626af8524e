"""Frames of base av1 in bundles, their headers coded by a context-mixing model.

At 0.007 bits a pixel a quarter of an AV1 stream is frame headers: 17 bytes for a picture that needs
nothing else, in a pattern that each group of pictures repeats. A bundle holds the payloads of up to
`MOST_FRAMES` frames. What describes their OBUs and the first `HEAD` bytes of each are coded with
adaptive binary models; the rest follows as it is. Payloads come back byte for byte.

    bundle  = u8 frames - 1  var size  size bytes of the range coder  tails of all OBUs, in order
    OBU     = symbols of eight bits, high bit first:
              last << 4 | type            last: of its frame; 255: a frame that is no string of OBUs
              least of size and 255       where that is 255, the size as three bytes, low first
              its first HEAD bytes, if it is an OBU

Each bit has a counter (16 bits of probability, and how often it was used) in each of five contexts.
Their logits are weighed, and the weights follow the error (as in lpaq by M. Mahoney), in integers
throughout. Every GOP begins from what `prime` learns of a shipped sample. The range coder keeps an
interval of 32 bits; bytes after its end are zero.

The player has the decoder once more (`web/bundles.js`). `Unbundler` raises `DamagedStreamError`.
"""

from __future__ import annotations

import functools
import itertools
from array import array
from collections.abc import Iterator, Sequence
from importlib.resources import files

from gvcodec.bitstream.packets import Kind, Packet
from gvcodec.bitstream.varint import Cursor, encode_var
from gvcodec.errors import DamagedStreamError

#: A writer closes a bundle with so many frames, so many bytes of them, or before another packet.
#: A damaged one is lost as a whole.
MOST_FRAMES, ENOUGH_BYTES = 32, 1500
#: OBUs in a bundle; a frame of SVT-AV1 has eight at most, 32 of them about 64.
MOST_OBUS, _MOST_OBUS_OF_FRAME = 96, 16
#: Frame headers have 15 to 17 bytes.
HEAD = 20
#: Bytes that OBUs can have in a bundle; other frames are kept as they are.
_MOST_SIZE = 1 << 24
_RAW, _LAST, _LONG = 255, 16, 255
#: Place of the first byte among the symbols of an OBU.
_BODY = 5
_SIZE_FLAG, _TYPE_AND_SIZE = 2, 0x7A
#: OBUs that the model begins from: place, number of symbols, symbols; _NEW_GOP, 0 between GOPs.
SAMPLE, _NEW_GOP = "bundles.sample", 255

#: Counters a context; odd multipliers of the hash.
_SLOTS = 1 << 16
_MASK = _SLOTS - 1
_NODE, _MIX = 0x9E35, 0x9E3779B1
_CONTEXTS, _LIMIT = 5, 30
#: A counter: probability of a one << 5 | times used.
_EVEN = 1 << 20
#: By the times used: step of a counter, of 2^16, and what its logit counts, of 2^8.
_STEPS = [131072 // (2 * n + 3) for n in range(_LIMIT + 1)]
_TRUST = [256 * 5 * n // (5 * n + 3) for n in range(_LIMIT + 1)]
#: Weights of 2^16, a row for each place in an OBU and one for all from the last on.
_WEIGHT, _ROWS, _RATE = 22938, 9, 10
#: 4096 / (1 + exp(-x / 256)) at x = -2048, -1920 … 2048.
_SQUASH = (
    1, 2, 3, 6, 10, 16, 27, 45, 73, 120, 194, 310, 488, 747, 1101, 1546, 2047, 2549, 2994, 3348,
    3607, 3785, 3901, 3975, 4022, 4050, 4068, 4079, 4085, 4089, 4092, 4093, 4094,
)  # fmt: skip
_FAR = 2047


def _squash(logit: int) -> int:
    """A probability of 2^12 from a logit of 2^8."""
    at, rest = (logit >> 7) + 16, logit & 127
    return (_SQUASH[at] * (128 - rest) + _SQUASH[at + 1] * rest + 64) >> 7


def _invert() -> list[int]:
    """Logits by probability of 2^12."""
    logits, least = [], 0
    for logit in range(-_FAR, _FAR + 1):
        value = _squash(logit)
        logits += [logit] * (value + 1 - least)
        least = max(least, value + 1)
    return (logits + [_FAR] * 4096)[:4096]


_PROBABILITY = [_squash(logit) for logit in range(-_FAR, _FAR + 1)]
_LOGIT = _invert()


class _Encoder:
    """An interval of 32 bits, narrowed by each bit."""

    def __init__(self) -> None:
        self.low, self.high, self.data = 0, 0xFFFFFFFF, bytearray()

    def code(self, one: int, bit: int) -> int:
        """`one`: probability of a one, 1…4095 of 2^12."""
        middle = self.low + ((self.high - self.low) >> 12) * one
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while not (self.low ^ self.high) >> 24:
            self.data.append(self.high >> 24)
            self.low = self.low << 8 & 0xFFFFFFFF
            self.high = self.high << 8 & 0xFFFFFFFF | 255
        return bit

    def finish(self) -> bytes:
        if self.low:
            self.data.append((self.low >> 24) + 1)
        return bytes(self.data).rstrip(b"\0")


class _Decoder:
    """The other side; bytes after the end are zero."""

    def __init__(self, data: bytes) -> None:
        self.low, self.high, self.data, self.at = 0, 0xFFFFFFFF, data, 4
        self.value = int.from_bytes(data[:4].ljust(4, b"\0"))

    def code(self, one: int, bit: int) -> int:
        middle = self.low + ((self.high - self.low) >> 12) * one
        bit = int(self.value <= middle)
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while not (self.low ^ self.high) >> 24:
            self.low = self.low << 8 & 0xFFFFFFFF
            self.high = self.high << 8 & 0xFFFFFFFF | 255
            self.value = self.value << 8 & 0xFFFFFFFF
            if self.at < len(self.data):
                self.value |= self.data[self.at]
            self.at += 1
        return bit


class _Idle:
    """Learns without coding."""

    def code(self, one: int, bit: int) -> int:
        return bit


class _Model:
    """Counters, weights, and the OBUs that the next ones are compared with."""

    def __init__(self) -> None:
        self.counters = array("I", [_EVEN]) * (_CONTEXTS * _SLOTS)
        self.weights = [[_WEIGHT] * _CONTEXTS for _ in range(_ROWS)]
        self.coder: _Encoder | _Decoder | _Idle = _Idle()
        self.begin_gop()

    def begin_gop(self) -> None:
        self.frame = 0
        #: Symbols of the last OBU by place in its frame, and by type and first byte.
        self.by_place: dict[tuple[int, int], list[int]] = {}
        self.by_kind: dict[int, list[int]] = {}

    def copy(self) -> _Model:
        other = _Model.__new__(_Model)
        other.counters = self.counters[:]
        other.weights = [row.copy() for row in self.weights]
        other.begin_gop()
        return other

    def symbol(self, at: int, hashes: tuple[int, ...], value: int) -> int:
        """Eight bits; a decoder ignores `value`."""
        counters, weights, code = self.counters, self.weights[min(at, _ROWS - 1)], self.coder.code
        w0, w1, w2, w3, w4 = weights
        c0, c1, c2, c3, c4 = hashes
        node = 1
        for shift in (7, 6, 5, 4, 3, 2, 1, 0):
            place = node * _NODE
            i0 = (c0 ^ place) & _MASK
            i1 = (c1 ^ place) & _MASK | _SLOTS
            i2 = ((c2 ^ place) & _MASK) + 2 * _SLOTS
            i3 = ((c3 ^ place) & _MASK) + 3 * _SLOTS
            i4 = ((c4 ^ place) & _MASK) + 4 * _SLOTS
            k0, k1, k2, k3, k4 = (
                counters[i0],
                counters[i1],
                counters[i2],
                counters[i3],
                counters[i4],
            )
            n0, n1, n2, n3, n4 = k0 & 31, k1 & 31, k2 & 31, k3 & 31, k4 & 31
            s0 = _LOGIT[k0 >> 9] * _TRUST[n0] >> 8
            s1 = _LOGIT[k1 >> 9] * _TRUST[n1] >> 8
            s2 = _LOGIT[k2 >> 9] * _TRUST[n2] >> 8
            s3 = _LOGIT[k3 >> 9] * _TRUST[n3] >> 8
            s4 = _LOGIT[k4 >> 9] * _TRUST[n4] >> 8
            logit = (w0 * s0 + w1 * s1 + w2 * s2 + w3 * s3 + w4 * s4) >> 16
            logit = -_FAR if logit < -_FAR else min(logit, _FAR)
            one = _PROBABILITY[logit + _FAR]
            bit = code(one, value >> shift & 1)
            error = (bit << 12) - one
            w0 += s0 * error >> _RATE
            w1 += s1 * error >> _RATE
            w2 += s2 * error >> _RATE
            w3 += s3 * error >> _RATE
            w4 += s4 * error >> _RATE
            aim = 65535 if bit else 0
            for i, k, n in ((i0, k0, n0), (i1, k1, n1), (i2, k2, n2), (i3, k3, n3), (i4, k4, n4)):
                p = k >> 5
                p += (aim - p) * _STEPS[n] >> 16
                counters[i] = p << 5 | (n + 1 if n < _LIMIT else n)
            node = node << 1 | bit
        weights[:] = w0, w1, w2, w3, w4
        return node & 255

    def obu(self, place: int, given: Sequence[int] | None) -> list[int]:
        """Symbols of the next OBU, the `place`-th of its frame: `given` ones, or decoded ones."""
        seen: list[int] = []
        self._next(seen, given, place, 0, self.by_place.get((self.frame & 1, place), ()))
        self._next(seen, given, place, 1, self.by_place.get((self.frame & 1, place), ()))
        if seen[1] == _LONG:
            for at in (2, 3, 4):
                self._next(seen, given, place, at, ())
        first, before = len(seen), self.by_place.get((self.frame & 1, place), ())
        for number in range(_head_of(seen)):
            if number == 1:
                before = self.by_kind.get((seen[0] & 15) << 8 | seen[first] >> 1, ())
            self._next(seen, given, place, _BODY + number, before)
        known = [*seen[:2], 0, 0, 0][:_BODY] + seen[first:]
        self.by_place[self.frame & 1, place] = known
        if len(known) > _BODY:
            self.by_kind[(seen[0] & 15) << 8 | known[_BODY] >> 1] = known
        return seen

    def _next(
        self,
        seen: list[int],
        given: Sequence[int] | None,
        place: int,
        at: int,
        before: Sequence[int],
    ) -> None:
        """One more symbol; `before`: those of an earlier OBU, by `at`."""
        body = seen[(5 if seen[1] == _LONG else 2) :] if at > _BODY else [0]
        second, fourth = (body[n] if n < len(body) else 0 for n in (1, 3))
        like = before[at] if at < len(before) else 256
        period = (self.frame - 1) % 32 + 1 if self.frame else 0
        size = min(seen[1], 40) >> 2 if at >= _BODY else 0
        hashes = (
            _hash(at, seen[-1] if seen else 0),
            _hash(at, period << 6 | place),
            _hash(at, like),
            _hash(at, body[0] << 4 | size),
            _hash(at, body[0] << 16 | second << 8 | fourth),
        )
        value = 0 if given is None else given[len(seen)]
        seen.append(self.symbol(at, hashes, value))


def _hash(at: int, context: int) -> int:
    value = (context * 32 + at) * _MIX & 0xFFFFFFFF
    return value >> 17 ^ (value >> 3 & _MASK)


def _size_of(symbols: Sequence[int]) -> int:
    """Bytes of an OBU."""
    if symbols[1] < _LONG:
        return symbols[1]
    return symbols[2] | symbols[3] << 8 | symbols[4] << 16


def _head_of(symbols: Sequence[int]) -> int:
    """Bytes of an OBU that are symbols."""
    return 0 if symbols[0] == _RAW else min(_size_of(symbols), HEAD)


def _parse(payload: bytes) -> tuple[list[list[int]], bytes]:
    """Symbols and tails of a frame."""
    found = _obus(payload)
    if found is None:
        return [[_RAW, *_size_symbols(len(payload))]], payload
    symbols, tails = [], []
    for number, (kind, body) in enumerate(found):
        last = _LAST * (number == len(found) - 1)
        symbols.append([last | kind, *_size_symbols(len(body)), *body[:HEAD]])
        tails.append(body[HEAD:])
    return symbols, b"".join(tails)


def _obus(payload: bytes) -> list[tuple[int, bytes]] | None:
    """Types and bodies of OBUs, None where they would not come back the same."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(payload):
        head = payload[at]
        if head & ~_TYPE_AND_SIZE or len(found) == _MOST_OBUS_OF_FRAME:
            return None
        if head & _SIZE_FLAG:
            try:
                cursor = Cursor(payload[at + 1 :], "OBU")
                size = cursor.var(_MOST_SIZE - 1)
            except DamagedStreamError:
                return None
            at = len(payload) - len(cursor)
        else:
            at, size = at + 1, len(payload) - at - 1
        if at + size > len(payload) or size >= _MOST_SIZE:
            return None
        found.append((head >> 3, payload[at : at + size]))
        at += size
        if bool(head & _SIZE_FLAG) != (at < len(payload)):
            return None
    return found or None


def _size_symbols(size: int) -> list[int]:
    return [size] if size < _LONG else [_LONG, *size.to_bytes(3, "little")]


class Bundler:
    """Frame packets to bundles, in the order of a stream. Where bundles end follows from the frames
    alone, so a stream that was taken apart comes back the same."""

    def __init__(self) -> None:
        self._model: _Model | None = None
        self._waiting: list[Packet] = []
        self._bytes = self._obus = 0

    def send(self, packet: Packet) -> Iterator[Packet]:
        """Take the next frame; gives what it closes. A keyframe comes after `flush`."""
        obus = len(_obus(packet.payload) or [b""])
        if self._obus + obus > MOST_OBUS:
            yield from self.flush()
        self._waiting.append(packet)
        self._obus += obus
        self._bytes += len(packet.payload)
        if len(self._waiting) == MOST_FRAMES or self._bytes >= ENOUGH_BYTES:
            yield from self.flush()

    def flush(self) -> Iterator[Packet]:
        """The bundle of the frames that wait, if there are any."""
        if self._waiting:
            yield self._bundle(self._waiting)
            self._waiting, self._bytes, self._obus = [], 0, 0

    def _bundle(self, packets: Sequence[Packet]) -> Packet:
        kind, coder, tails = packets[0].kind, _Encoder(), bytearray()
        model = self._model = _model_for(kind, self._model, coder)
        for packet in packets:
            symbols, tail = _parse(packet.payload)
            for place, obu in enumerate(symbols):
                model.obu(place, obu)
            model.frame += 1
            tails += tail
        coded = coder.finish()
        return Packet(kind, bytes([len(packets) - 1]) + encode_var(len(coded)) + coded + tails)


class Unbundler:
    """Bundles to frame packets, in the order of a stream."""

    def __init__(self) -> None:
        self._model: _Model | None = None

    def send(self, packet: Packet) -> list[Packet]:
        """The frames of a bundle. Raises `DamagedStreamError`."""
        cursor, count = Cursor(packet.payload, "bundle"), frames_in(packet.payload)
        cursor.uint(1)
        coder = _Decoder(cursor.take(cursor.var()))
        model = self._model = _model_for(packet.kind, self._model, coder)
        frames: list[list[list[int]]] = []
        left = MOST_OBUS
        for _ in range(count):
            frame = list(itertools.islice(_decode_frame(model), left + 1))
            left -= len(frame)
            if left < 0:
                raise DamagedStreamError("bundle: too many OBUs")
            model.frame += 1
            frames.append(frame)
        payloads = [b"".join(_restore(obu, cursor) for obu in frame) for frame in frames]
        if len(cursor) or not all(payloads):
            raise DamagedStreamError("bundle: its sizes do not add up")
        kinds = [packet.kind, *[Kind.INTER] * (count - 1)]
        return [Packet(kind, payload) for kind, payload in zip(kinds, payloads, strict=True)]


def _model_for(kind: Kind, model: _Model | None, coder: _Encoder | _Decoder) -> _Model:
    """The model of a bundle: anew where a GOP begins."""
    if kind is Kind.KEY:
        model = _prime().copy()
    if model is None:
        raise DamagedStreamError("bundle: follows no keyframe")
    model.coder = coder
    return model


def _decode_frame(model: _Model) -> Iterator[list[int]]:
    """Symbols of the OBUs of a frame."""
    last, place = 0, 0
    while not last:
        symbols = model.obu(place, None)
        last, place = symbols[0] & _LAST, place + 1
        yield symbols


def frames_in(bundle: bytes) -> int:
    """Frames of a bundle, without decoding it. Raises `DamagedStreamError`."""
    if not bundle or bundle[0] >= MOST_FRAMES:
        raise DamagedStreamError("bundle: number of frames")
    return bundle[0] + 1


def _restore(symbols: Sequence[int], tails: Cursor) -> bytes:
    size, head = _size_of(symbols), bytes(symbols[5 if symbols[1] == _LONG else 2 :])
    body = head + tails.take(size - len(head))
    if symbols[0] == _RAW:
        return body
    if symbols[0] & _LAST:
        return bytes([(symbols[0] & 15) << 3]) + body
    return bytes([(symbols[0] & 15) << 3 | _SIZE_FLAG]) + encode_var(size) + body


@functools.cache
def _prime() -> _Model:
    """The model that each GOP begins with."""
    model, cursor = _Model(), Cursor(files(__package__).joinpath(SAMPLE).read_bytes(), SAMPLE)
    while len(cursor):
        place, count = cursor.uint(1), cursor.uint(1)
        if place == _NEW_GOP:
            model.begin_gop()
            continue
        symbols = list(cursor.take(count))
        model.obu(place, symbols)
        model.frame += symbols[0] >> 4 & 1
    return model
