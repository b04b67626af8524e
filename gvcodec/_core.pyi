"""
C++ core of gvcodec: range coder, stream coder, motion search, painter, transformer.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy
from numpy.typing import NDArray


SCALES: int = 64

def cdf_table(scale: int, mean: int = 0) -> NDArray[numpy.uint32]:
    """
    Edges 0 … 2^16 (uint32) of a table's symbols: distances 0, 1, -1, 2 … from the integer nearest to the mean, then the escape.
    """

def cdf_encode(values: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], scale: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)], mean: Annotated[NDArray[numpy.int16], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> bytes:
    """
    Codes integers (int32), each by the Laplace table of its scale index (uint8, 0…63: mean absolute deviation
    64 · 2^((i - 63) / 6)) and mean (int16, in eighths). Any value can be coded with any table.
    """

def cdf_decode(data: bytes, scale: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)], mean: Annotated[NDArray[numpy.int16], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> tuple:
    """
    Inverse of cdf_encode: (values, whole). `whole` is false when the bytes do not end with the last value; any bytes
    decode to some values.
    """

def table_encode(symbols: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], edges: Annotated[NDArray[numpy.uint32], dict(shape=(None, None), order='C', device='cpu', writable=False)], index: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], precision: int) -> bytes:
    """
    Codes symbols (int32), each by the row of `edges` (uint32, 0 to 2^precision) that its index (int32) names.
    """

def table_decode(data: bytes, edges: Annotated[NDArray[numpy.uint32], dict(shape=(None, None), order='C', device='cpu', writable=False)], index: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], precision: int) -> tuple:
    """Inverse of table_encode: (symbols, whole)."""

class SymbolDecoder:
    """
    The inverse of table_encode in several calls: tables may follow from symbols before.
    """

    def __init__(self, data: bytes, precision: int) -> None: ...

    def decode(self, edges: Annotated[NDArray[numpy.uint32], dict(shape=(None, None), order='C', device='cpu', writable=False)], index: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> NDArray[numpy.int32]:
        """
        The next symbols (int32), each by the row of `edges` that its index names.
        """

    @property
    def finished(self) -> bool:
        """Whether the bytes end with the last symbol."""

class IntegerDecoder:
    """
    The inverse of cdf_encode in several calls: tables may follow from integers before.
    """

    def __init__(self, data: bytes) -> None: ...

    def decode(self, scale: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)], mean: Annotated[NDArray[numpy.int16], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> NDArray[numpy.int32]:
        """
        The next integers (int32), each by the table of its scale index and mean.
        """

    @property
    def finished(self) -> bool:
        """Whether the bytes end with the last integer."""

CUDA: bool = False

def cuda_device() -> str:
    """
    Name of the CUDA device in use; empty without one, or in a build without CUDA.
    """

def intnet_forward(layers: Sequence[tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], int, int, int]], activations: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], backend: str = 'cpu') -> NDArray[numpy.int32]:
    """
    Integer network: activations (rows, inputs) uint8 0…127 through layers (weight int8 (out, in), bias int32 (out),
    multiplier int32 (out), shift, low, high) to int32 (rows, out).
    """

def streams_encode(values: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)], scale: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], mean: Annotated[NDArray[numpy.int16], dict(shape=(None, None), order='C', device='cpu', writable=False)], counts: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], backend: str) -> list:
    """
    Codes each row of values (streams, steps) as cdf_encode, the first counts[s] of it. Returns the packets.
    """

def streams_decode(packets: Sequence[bytes], scale: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], mean: Annotated[NDArray[numpy.int16], dict(shape=(None, None), order='C', device='cpu', writable=False)], counts: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], backend: str) -> tuple:
    """
    Inverse of streams_encode: values (streams, steps), 0 behind the counts, and whether each packet was whole, uint8 (streams).
    """

def streams_encode_predicted(layers: Sequence[tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], int, int, int]], side: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], values: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)], counts: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], backend: str, back: Annotated[NDArray[numpy.int32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None) -> list:
    """
    As streams_encode, with tables that an integer network predicts from side (streams, steps, n) and the values before: back (streams, steps, m) int32 of them, 0 = none, below 0 the magnitude of a span, or the latest ones.
    """

def streams_decode_predicted(layers: Sequence[tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], int, int, int]], side: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], packets: Sequence[bytes], counts: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], backend: str, back: Annotated[NDArray[numpy.int32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None) -> tuple:
    """Inverse of streams_encode_predicted; returns as streams_decode."""

def streams_contexts(side: Annotated[NDArray[numpy.uint8], dict(shape=(None, None), order='C', device='cpu', writable=False)], values: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], back: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> NDArray[numpy.uint8]:
    """
    Inputs of a predicting network for each value of a stream (steps): (steps, n + m) uint8 from side (steps, n) and back (steps, m).
    """

BUNDLE_OBUS: int = 96

BUNDLE_HEAD: int = 20

class BundleModel:
    """Codes frame headers of a GOP's bundles, one bundle after another."""

    def __init__(self, sample: bytes) -> None:
        """
        A model that has learned OBUs: each a byte for its place in the frame, one for the number of its symbols, symbols; 255 and 0 between GOPs. Raises `ValueError`.
        """

    def copy(self) -> BundleModel:
        """For another GOP."""

    def encode(self, symbols: bytes) -> bytes:
        """
        Codes the symbols of whole frames with BUNDLE_OBUS OBUs at most, BUNDLE_HEAD bytes of each. Raises `ValueError`.
        """

    def decode(self, data: bytes, frames: int) -> bytes:
        """
        The symbols of `frames` frames, of any bytes. Raises `DamagedStreamError` where they have more than BUNDLE_OBUS OBUs.
        """

class VideoPainter:
    """Paints the base frames of one stream in display order."""

    def __init__(self, model: bytes, width: int, height: int, base: int, scale: int, q: int, threads: int = 1) -> None:
        """
        `model`: bytes of a painter's file; `base`, `scale`, `q` as a header has them.
        """

    def start_gop(self, fit: bytes | None = None, look: int = -1, use_tokens: bool = True) -> bool:
        """
        Forget the past and take a `fit` payload; whether frames are painted. Raises `DamagedStreamError`.
        """

    def paint(self, y: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], u: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], v: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], size: int) -> tuple:
        """The painted planes; `size`: bytes of the frame's packet, 0 = unknown."""

class FramePainter:
    """The painter as decoders run it."""

    def __init__(self, width: int, height: int, threads: int = 1) -> None: ...

    def start(self, layers: Sequence[tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None, None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)]]], blocks: Sequence[tuple[tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None, None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)]], tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None, None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)]], tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None, None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)]], Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)]]], entries: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], steering: tuple[Annotated[NDArray[numpy.int16], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int8], dict(shape=(None, None, None), order='C', device='cpu', writable=False)]] | None = None) -> None:
        """
        Forget the past. A layer is (weight int8 (outputs, inputs, rows, columns), bias, multiplier, shift, step int32); `layers`: stem, stem2, statistics, view, style, head; a block: (depthwise, expand, project, condition int32). `steering`: (weight int16 (outputs of style, D), levels int8 (D, rows, columns) of regions of 64×64 samples), the weight of a level in each sum of style.
        """

    def paint(self, y: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], u: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], v: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], motion: Annotated[NDArray[numpy.int16], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None, frame_condition: int = 0) -> tuple:
        """
        The painted planes of the next frame; `motion` (H/16, W/16, 2) int16: (dy, dx) of blocks against the previous frame.
        """

def header_size(data: bytes) -> int:
    """
    Bytes of the header at the start of `data`, 0 if more bytes are needed.
    """

def header_fields(header: bytes, bases: Sequence[int] = []) -> dict:
    """
    Fields of a stream's header, by name; `bases`: numbers of bases that Python reads.
    """

def packet_head(data: bytes) -> tuple[int, int] | None:
    """
    (kind, bytes) of the packet at the start of `data`; None if more bytes are needed.
    """

def packet_size(data: bytes) -> int:
    """
    Bytes of the packet at the start of `data`, 0 if more bytes are needed. Raises `DamagedStreamError` for one that is larger than its kind may be.
    """

def parse_packet(whole: bytes) -> tuple[int, bytes]:
    """(kind, payload) of a whole packet."""

def parse_index(payload: bytes, begin: int, end: int, bundled: bool) -> list[tuple[int, int, int, int, bool]]:
    """
    [(first frame, frames, offset, size, fitted)] of an `index` packet at offset `end`.
    """

def closes_gop(payload: bytes, crc: int, frames: int) -> bool:
    """
    Whether a `gop` packet fits the packets before it: their CRC-32, frames since the start.
    """

class PacketReader:
    """Packets of a stream in file order, with every check of the container."""

    def __init__(self, header_size: int, bundled: bool, latents: bool) -> None: ...

    def next(self) -> tuple[int, bytes, int] | None:
        """
        (kind, payload, bytes) of the next packet other than `gop`, `index` and `end`; None if `missing` bytes must be sent, or at the end.
        """

    def send(self, data: bytes) -> None:
        """The next bytes; empty at the end of the file."""

    def missing(self) -> int: ...

    @property
    def at_end(self) -> bool: ...

    @property
    def packets(self) -> int: ...

    @property
    def offset(self) -> int: ...

    @property
    def base_hash(self) -> bytes | None: ...

class Timeline:
    """Times of frames, from payloads of `timing` packets."""

    def __init__(self, start: int, rate: tuple[int, int], tick: tuple[int, int], max_fps: int) -> None: ...

    def send(self, payload: bytes) -> None: ...

    def receive(self) -> int: ...

    def restart(self, frame: int) -> None: ...

    def mark_lost(self) -> None: ...

    def start_gop(self) -> None: ...

def read_fit(payload: bytes, model: bytes, width: int, height: int, q: int) -> object:
    """
    A `fit` payload by a painter's file: (noise, keep, factors, [(tensor, exponent, values)], levels of regions or None); None for one that paints nothing.
    """

def parse_obus(unit: bytes) -> list[tuple[int, bytes, bytes]]:
    """[(type, head with the size flag set, body)] of a temporal unit."""

def check_av1(payload: bytes) -> None:
    """
    Raises `DamagedStreamError` unless the payload shows exactly one frame.
    """

def restore_av1(payload: bytes) -> bytes:
    """The temporal unit of a frame's payload."""

def strip_av1(unit: bytes) -> bytes:
    """The payload of a temporal unit."""

def unit_parts(unit: bytes) -> tuple[bytes, list[tuple[int, bytes]], list[str]]:
    """
    Of a one-file's temporal unit: OBUs of AV1, [(type, data)] of our entries, a line for each OBU of ours that is damaged.
    """

def metadata_entries(body: bytes) -> list[tuple[int, bytes]]:
    """[(type, data)] of a metadata OBU's body."""

def numbers_of(data: bytes) -> list:
    """
    { u8 kind; var, svar, var size and bytes, or u32 }: numbers as the container has them.
    """

class Unbundler:
    """Frames out of bundles, in the order of a stream."""

    def __init__(self) -> None: ...

    def send(self, key: bool, bundle: bytes) -> list[bytes]:
        """
        Payloads of the frames of a bundle; `key`: it begins a GOP. Raises `DamagedStreamError`.
        """

class StreamDecoder:
    """
    libgvc (csrc/include/gvc.h): bytes to units for an AV1 decoder, its pictures to painted ones. Calls return codes of that page and raise `GvcodecError` for those below 0.
    """

    def __init__(self, base_only: bool = False, hash: bool = True, threads: int = 1, file_size: int = 0) -> None: ...

    def send(self, data: bytes) -> int: ...

    def send_unit(self, unit: bytes) -> int: ...

    def flush(self) -> int: ...

    def seek(self, frame: int) -> int: ...

    def offset(self) -> int: ...

    def set_look(self, look: int, tokens: bool = True) -> int: ...

    def missing_model(self) -> object: ...

    def set_model(self, data: bytes) -> int: ...

    def size(self) -> object:
        """
        (width, height, coded width, coded height, base, frames or -1), None before the header.
        """

    def next_unit(self) -> tuple:
        """(code, unit, frame, key)."""

    def send_base(self, y: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], u: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], v: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> int:
        """Planes of 10 bits."""

    def picture(self) -> object:
        """(y, u, v, frame, pts, painted), or None."""

    def hashes(self) -> tuple:
        """(code, frames, end, base hash, painted hash)."""

    def error(self) -> tuple:
        """(code, packet, frame, offset, text) of the last error."""

class PerceptualMetric:
    """The perceptual distance that tokens are tried by."""

    def __init__(self, stages: Sequence[tuple[Sequence[tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None, None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], float]], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]]]) -> None:
        """
        Stages (layers, weights of squared differences (outputs,) float32); a layer is (weight float32 (outputs, inputs, 3, 3), bias (outputs,), the largest sum that is expected).
        """

    def distances(self, source: tuple[Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)]], painted: Sequence[tuple[Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)]]], windows: Sequence[tuple[int, int, int, int]], colour: tuple[Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], bool], threads: int = 1) -> NDArray[numpy.float64]:
        """
        Distances (pictures, windows) float64 of painted pictures from their source: (y, u, v) uint16 of 10 bits each. A window is (top, left, height, width), even numbers of luma samples; `colour`: (offsets of Y, U, V (3,), their factors in R, G, B (3, 3), whether samples are rounded to 8 bits before).
        """

def band_energies(luma: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> NDArray[numpy.float32]:
    """
    log2 of the energies of nine bands of 16×16 patches, in 1/8: (9, H / 16, W / 16) float32 of a luma plane of 10 bits whose sides are multiples of 16.
    """

def block_changes(now: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], before: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], vectors: Annotated[NDArray[numpy.int16], dict(shape=(None, None, None), order='C', device='cpu', writable=False)]) -> NDArray[numpy.int32]:
    """
    Sums of |difference| of whole 16×16 blocks of a luma plane to the plane before, at each block's vector (dy, dx), `vectors` (rows, columns, 2): (H / 16, W / 16) int32.
    """

def exact_linear(x: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], weight: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], bias: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, threads: int = 1) -> NDArray[numpy.float32]:
    """
    x (..., inputs) times weight (inputs, outputs), plus bias (outputs) or None: float32, the same bits on every machine (docs/spec/exact-arithmetic.md).
    """

def exact_layer_norm(x: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], gain: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], bias: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], epsilon: float, threads: int = 1) -> NDArray[numpy.float32]:
    """Rows (..., width) of mean 0 and variance 1, times gain, plus bias."""

def exact_attention(query: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], key: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], value: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], visible: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, threads: int = 1) -> NDArray[numpy.float32]:
    """
    query (batch, heads, queries, depth), key and value (batch, heads, keys, depth); query i sees the first visible[i] keys (int32), all for None.
    """

class BlockCache:
    """Keys and values of a block's earlier positions, for `exact_block`."""

    def __init__(self, batch: int, capacity: int, width: int) -> None: ...

    @property
    def length(self) -> int:
        """Positions so far."""

    def append(self, key_value: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)]) -> None:
        """
        Adds positions (batch, positions, 2 width), keys and values side by side.
        """

    def shorten(self, length: int) -> None:
        """Forgets the positions from `length` on."""

def exact_block(x: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], vectors: Sequence[Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]], matrices: Sequence[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)]], heads: int, visible: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None, context: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None, cache: BlockCache | None, threads: int = 1) -> NDArray[numpy.float32]:
    """
    A pre-norm transformer block of x (batch, length, width). `vectors`: gain and bias of the first normalization, bias of qkv and out, gain and bias of the second, bias of up and down; `matrices`: qkv, out, up, down. A context (batch, positions, 2 width), keys and values, is seen before x; so is a cache, which is extended by the positions of x.
    """

def exact_exp(x: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], threads: int = 1) -> NDArray[numpy.float32]:
    """exp(x); 0 below -64, exp(88) above 88."""

def exact_log(x: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], threads: int = 1) -> NDArray[numpy.float32]:
    """log(x), x at least 2^-126."""

def exact_sigmoid(x: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], threads: int = 1) -> NDArray[numpy.float32]:
    """1 / (1 + exp(-x))."""

def exact_gelu(x: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], threads: int = 1) -> NDArray[numpy.float32]:
    """GELU in its tanh form."""

def exact_softplus(x: Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)], threads: int = 1) -> NDArray[numpy.float32]:
    """log(1 + exp(x))."""

def cpu_forms() -> list[str]:
    """
    Instruction sets for the core's loops on this machine: plain, avx2, avxvnni, avx512; on ARM plain, neon, dotprod.
    """

def cpu() -> str:
    """
    The instruction set in use: $GVCODEC_CPU, or the best. Raises `UsageError` if missing.
    """

def use_cpu(name: str) -> None:
    """For the whole process; calls that are running may use both forms."""

def pool_size() -> int:
    """Threads that the core has started."""

def use_small_stacks() -> None:
    """
    New threads of the process get stacks of 1 MiB, which count where memory is limited.
    """

class MotionErrors:
    """
    Residuals of motion compensation for the blocks of a video's source frames.
    """

    def __init__(self, width: int, height: int, threads: int = 1) -> None: ...

    def push(self, y: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> NDArray[numpy.float32]:
        """
        Takes the luma (H, W) of the next frame, 10 bits. Returns the mean squared error float32 (rows, columns) of its 16×16 blocks, predicted from the previous frame; 0 in the first frame.
        """

class BlockMotion:
    """Motion of a video's base frames as the painter needs it."""

    def __init__(self, width: int, height: int, threads: int = 1) -> None: ...

    def forget(self) -> None:
        """The next frame is the first one."""

    def push(self, y: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> NDArray[numpy.int16] | None:
        """
        Takes the luma (H, W) of the next frame, 10 bits. Returns (dy, dx) in whole samples, int16 (rows, columns, 2), of its 16×16 blocks against the previous frame. None for the first.
        """

def motion_search(current: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], reference: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], penalty: int = 64, threads: int = 1, finest: int = 1) -> tuple:
    """
    Vectors (H/16, W/16, 2) int16 in quarter samples, multiples of `finest` (4, 2 or 1), and their SATD, for luma planes of 10 bit; sizes round up to 16.
    """
