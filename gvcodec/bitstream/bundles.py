"""Frames of base av1 in bundles, their headers coded by a context-mixing model.

At 0.007 bits a pixel a quarter of an AV1 stream is frame headers: 17 bytes for a picture that needs
nothing else, in a pattern that each group of pictures repeats. A bundle holds the payloads of up to
`MOST_FRAMES` frames. Descriptions of their OBUs and the first `BUNDLE_HEAD` bytes of each are coded
with adaptive binary models; the rest follows unchanged. Payloads come back byte for byte.

    bundle  = u8 frames - 1  var size  size bytes of the range coder  tails of all OBUs, in order
    OBU     = symbols of eight bits, high bit first:
              last << 4 | type            last: of its frame; 255: a frame that is no string of OBUs
              least of size and 255       where that is 255, the size as three bytes, low first
              its first BUNDLE_HEAD bytes, if it is an OBU

`csrc/entropy/bundles.hpp` has the model of the symbols and its range coder. Every GOP begins from
the model's state after a shipped sample.

`Unbundler` raises `DamagedStreamError`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from importlib.resources import files

from gvcodec import _core
from gvcodec._core import BUNDLE_HEAD, BUNDLE_OBUS, BundleModel
from gvcodec.bitstream.packets import MOST_FRAMES, Kind, Packet
from gvcodec.bitstream.varint import encode_var
from gvcodec.errors import DamagedStreamError, LimitError

#: A writer closes a bundle at this number of bytes, at `MOST_FRAMES`, or before another kind of
#: packet. A damaged bundle is lost as a whole.
CLOSE_BYTES = 1500
#: A frame with more OBUs, or with an OBU of this size, is stored raw, like one that does not parse.
_MOST_OBUS_OF_FRAME, _MOST_SIZE = 16, 1 << 24
_RAW, _LAST, _LONG = 255, 16, 255
_SIZE_FLAG, _TYPE_AND_SIZE = 2, 0x7A
#: The sample of the model's initial state.
SAMPLE = "bundles.sample"


def _parse(payload: bytes) -> tuple[int, bytes, bytes]:
    """Number of OBUs of a frame, their symbols, their tails."""
    obus = _obus(payload)
    if obus is None:
        if len(payload) >= _MOST_SIZE:
            raise LimitError(f"a frame of {len(payload)} bytes fits no bundle", code="limit-frame")
        return 1, bytes([_RAW]) + _size_symbols(len(payload)), payload
    symbols, tails = bytearray(), bytearray()
    for number, (kind, body) in enumerate(obus):
        last = _LAST * (number == len(obus) - 1)
        symbols += bytes([last | kind]) + _size_symbols(len(body)) + body[:BUNDLE_HEAD]
        tails += body[BUNDLE_HEAD:]
    return len(obus), bytes(symbols), bytes(tails)


def _obus(payload: bytes) -> list[tuple[int, bytes]] | None:
    """Types and bodies of OBUs, None if they would not come back unchanged."""
    try:
        obus = _core.parse_obus(payload)
    except DamagedStreamError:
        return None
    sized = [head + encode_var(len(body)) + body for _, head, body in obus]
    sized[-1:] = [bytes([head[0] & ~_SIZE_FLAG]) + body for _, head, body in obus[-1:]]
    plain = all(not head[0] & ~_TYPE_AND_SIZE and len(body) < _MOST_SIZE for _, head, body in obus)
    if not plain or len(obus) > _MOST_OBUS_OF_FRAME or b"".join(sized) != payload:
        return None
    return [(kind, body) for kind, _, body in obus] or None


def _size_symbols(size: int) -> bytes:
    return bytes([size]) if size < _LONG else bytes([_LONG]) + size.to_bytes(3, "little")


class Bundler:
    """Frame packets to bundles, in the order of a stream. Frames alone determine where bundles end,
    so an unbundled stream comes back unchanged."""

    def __init__(self) -> None:
        self._model: BundleModel | None = None
        #: Kind, symbols and tails of each frame.
        self._queue: list[tuple[Kind, bytes, bytes]] = []
        self._bytes = self._obus = 0

    def send(self, packet: Packet) -> Iterator[Packet]:
        """Take the next frame; return the bundle that it closes. A keyframe needs `flush` before.
        Raises `LimitError` for one of 16 MiB or more."""
        obus, symbols, tails = _parse(packet.payload)
        if self._obus + obus > BUNDLE_OBUS:
            yield from self.flush()
        self._queue.append((packet.kind, symbols, tails))
        self._obus += obus
        self._bytes += len(packet.payload)
        if len(self._queue) == MOST_FRAMES or self._bytes >= CLOSE_BYTES:
            yield from self.flush()

    def flush(self) -> Iterator[Packet]:
        """The bundle of the buffered frames, if any."""
        if self._queue:
            kinds, symbols, tails = zip(*self._queue, strict=True)
            if self._model is None or kinds[0] is Kind.KEY:
                self._model = _initial_model().copy()
            coded = self._model.encode(b"".join(symbols))
            head = bytes([len(kinds) - 1]) + encode_var(len(coded))
            yield Packet(kinds[0], b"".join([head, coded, *tails]))
            self._queue, self._bytes, self._obus = [], 0, 0


def bytes_in_file(frames: Iterable[Packet], is_bundled: bool) -> int:
    """Bytes of these frames, of whole GOPs, in a stream."""
    if not is_bundled:
        return sum(len(frame.pack()) for frame in frames)
    bundler, size = Bundler(), 0
    for frame in frames:
        if frame.kind is Kind.KEY:
            size += sum(len(bundle.pack()) for bundle in bundler.flush())
        size += sum(len(bundle.pack()) for bundle in bundler.send(frame))
    return size + sum(len(bundle.pack()) for bundle in bundler.flush())


@functools.cache
def _initial_model() -> BundleModel:
    return BundleModel(files(__package__).joinpath(SAMPLE).read_bytes())
