"""
C++ core of gvcodec: range coder, entropy model, transform, motion, the KLT structure layer.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy
from numpy.typing import NDArray


SCALES: int = 64

def rans_encode(start: Annotated[NDArray[numpy.uint32], dict(shape=(None,), order='C', device='cpu', writable=False)], freq: Annotated[NDArray[numpy.uint32], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> bytes:
    """Codes symbols that occupy [start, start + freq) of 2^16."""

def rans_encode_short(start: Annotated[NDArray[numpy.uint32], dict(shape=(None,), order='C', device='cpu', writable=False)], freq: Annotated[NDArray[numpy.uint32], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> tuple:
    """
    The same, a byte shorter if that can be. Returns (bytes, trimmed): a decoder has to know.
    """

def rans_decode(data: bytes, cdf: Annotated[NDArray[numpy.uint32], dict(shape=(None, None), order='C', device='cpu', writable=False)], which: Annotated[NDArray[numpy.uint32], dict(shape=(None,), order='C', device='cpu', writable=False)], trimmed: bool = False) -> tuple:
    """
    Decodes one symbol for each entry of `which` by the rows of `cdf` (0 … 2^16). Returns (symbols, whole).
    """

def mix_encode(bits: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)], contexts: Annotated[NDArray[numpy.uint32], dict(shape=(None, None), order='C', device='cpu', writable=False)], sets: Annotated[NDArray[numpy.uint32], dict(shape=(None,), order='C', device='cpu', writable=False)], slot_count: int, set_count: int) -> bytes:
    """Codes binary decisions with adaptive mixing, from the blank state."""

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

TOKEN_FEATURES: int = 80

DECISION_FEATURES: int = 16

REFINER_ROWS: int = 288

class RefinerModel:
    """
    Integer network that refines the entropy model's predictions (csrc/klt/refiner.hpp).
    """

    def __init__(self, relatives: Sequence[Annotated[NDArray[numpy.int16], dict(shape=(None, None), order='C', device='cpu', writable=False)]], token: tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], int], networks: Sequence[tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int8], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], int, Annotated[NDArray[numpy.int8], dict(shape=(None,), order='C', device='cpu', writable=False)], int, int, int]]) -> None: ...

class KltRecorder:
    """
    Decodes frames of `stream_model` and codes their tokens again with `model`.
    """

    def __init__(self, stream_model: Model, model: Model, width: int, height: int) -> None: ...

    def decode(self, payload: bytes, refines: bool = True) -> dict:
        """
        Bits by weight set, raw bits, and the refiner's questions: token_features (tokens, 80) uint8 and, for each decision,
        token, kind, row, features (16), log_odds of the mixer alone, bit. `refines`: bits with corrections.
        """

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
    As streams_encode, with tables that an integer network predicts from side (streams, steps, n) and the values before: back (streams, steps, m) int32 of them, 0 = none, or the latest ones.
    """

def streams_decode_predicted(layers: Sequence[tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], int, int, int]], side: Annotated[NDArray[numpy.uint8], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], packets: Sequence[bytes], counts: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], backend: str, back: Annotated[NDArray[numpy.int32], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None) -> tuple:
    """Inverse of streams_encode_predicted; returns as streams_decode."""

TOKEN_VALUES: int = 206

TOKEN_LEVELS: int = 5

TOKEN_SIDE: int = 25

TOKEN_BACK: int = 11

TOKEN_UNIT: int = 2

TOKEN_MEMORY: tuple = (10, 11, 12, 13, 14, 15, 16, 22, 23)

def token_step(token: int) -> int:
    """
    Where the step (dx, dy) of a token 1…31 is among the values of a window.
    """

class TokenFrame:
    """
    A frame of base tokens: its samples, and where its cells of 4×4 luma samples lie in the standard pictures around it.
    """

    @staticmethod
    def still(y: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], u: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], v: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], picture: int = 0) -> TokenFrame:
        """
        A standard picture, the one before (0) or after (1) the frames that go on from it.
        """

    @staticmethod
    def follow(near: TokenFrame, far: TokenFrame | None, near_time: int, far_time: int, values: Annotated[NDArray[numpy.int16], dict(shape=(None, None), order='C', device='cpu', writable=False)], levels: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)], threads: int = 1) -> TokenFrame:
        """
        The frame that values (N, TOKEN_VALUES) int16 make of its reference frames at so many frames from it; windows of level 0 are as in `near`.
        """

    def planes(self) -> tuple:
        """Y, U and V, uint16."""

    def places(self) -> tuple:
        """
        Pictures that each cell comes from (H/4, W/4) uint8 (1, 2, or 3 for their mean), and its places in both (2, H/4, W/4, 2), (dx, dy) int32 in quarter samples.
        """

    @property
    def windows(self) -> int: ...

    @property
    def window_columns(self) -> int: ...

def token_search(source: TokenFrame, near: TokenFrame, far: TokenFrame | None, near_time: int, far_time: int, price: int, most: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)], threads: int = 1) -> tuple:
    """
    Values (N, TOKEN_VALUES), levels (N,) and about their bits (N,) for a frame; `price` of a bit in sums of absolute differences of 8 bits, `most`: levels at most.
    """

def token_errors(a: TokenFrame, b: TokenFrame) -> NDArray[numpy.int64]:
    """
    Sums of absolute differences of all samples (10 bits) by window, int64 (N,).
    """

def token_contexts(last: Annotated[NDArray[numpy.int16], dict(shape=(None, None), order='C', device='cpu', writable=False)], level: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)], levels: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)], first: int, end: int, columns: int, q: int, near_time: int, far_time: int) -> tuple:
    """
    Activations (1, S, TOKEN_SIDE), values before (1, S, TOKEN_BACK) and index of the S values that the windows first…end - 1 put into a packet.
    """

class FramePainter:
    """
    The renderer as decoders run it. A layer is (weights (outputs, inputs·taps), bias) float32.
    """

    def __init__(self, width: int, height: int, noise: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], redraw: Annotated[NDArray[numpy.bool_], dict(shape=(None, None), order='C', device='cpu', writable=False)], threads: int = 1) -> None: ...

    def start(self, *, stem: tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]], stem2: tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]], statistics: tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]], blocks: Sequence[tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]], tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]]]], style: tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]], head: tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]], gate: tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]], enter: tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]], middle: tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]], leave: tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]]) -> None:
        """
        Forget the past and take these parameters; `blocks`: (depthwise (channels, 25), its bias with the condition, expand, project).
        """

    def begin(self, y: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], u: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], v: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], motion: Annotated[NDArray[numpy.int16], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None, corner_y: int = 0, corner_x: int = 0) -> None:
        """
        Take a loop frame (uint16 planes) up to the trunk; `motion` (H/16, W/16, 2) int16: (dy, dx) of blocks against the frame before.
        """

    def run_blocks(self, first: int, last: int) -> None: ...

    def finish(self) -> tuple:
        """The painted planes."""

def combine_rows(rows: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], layer: tuple[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)]], plain: bool = False) -> NDArray[numpy.float32]:
    """
    Weighted sums of rows: (inputs, width) to (outputs, width); `plain`: without special instructions.
    """

class IntegerFramePainter:
    """
    The integer painter as decoders run it; gvcodec.appearance.integer defines it.
    """

    def __init__(self, width: int, height: int, threads: int = 1) -> None: ...

    def start(self, layers: Sequence[tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None, None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)]]], blocks: Sequence[tuple[tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None, None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)]], tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None, None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)]], tuple[Annotated[NDArray[numpy.int8], dict(shape=(None, None, None, None), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)]], Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)]]], entries: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> None:
        """
        Forget the past. A layer is (weight int8 (outputs, inputs, rows, columns), bias, multiplier, shift, step int32); `layers`: stem, stem2, statistics, view, style, head, gate, enter, middle, leave; a block: (depthwise, expand, project, condition int32).
        """

    def paint(self, y: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], u: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], v: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], motion: Annotated[NDArray[numpy.int16], dict(shape=(None, None, None), order='C', device='cpu', writable=False)] | None = None, own: int = 0) -> tuple:
        """
        The painted planes of the next frame; `motion` (H/16, W/16, 2) int16: (dy, dx) of blocks against the frame before.
        """

def cpu_forms() -> list[str]:
    """
    What this machine can run the core's loops with: plain, avx2, avx512; on ARM plain, neon, dotprod.
    """

def cpu() -> str:
    """
    What they run with: $GVCODEC_CPU, or the best. Raises `UsageError` when that cannot be.
    """

def use_cpu(name: str) -> None:
    """For the whole process; calls that are running may use both forms."""

def pool_size() -> int:
    """Threads that the core has started."""

def use_small_stacks() -> None:
    """
    New threads of the process get stacks of 1 MiB, which count where memory is limited.
    """

BLOCK_SAMPLES: int = 384

COARSE_COUNT: int = 64

LAMBDA: float = 0.1

LEVELS: int = 5

SLOT_COUNT: int = 51966

WEIGHT_SETS: int = 212

WEIGHTS: int = 7

class Model:
    """Bases and initial entropy state of the KLT structure layer."""

    def __init__(self, key: Sequence[Annotated[NDArray[numpy.int16], dict(shape=(None, None), order='C', device='cpu', writable=False)]], inter: Sequence[Annotated[NDArray[numpy.int16], dict(shape=(None, None), order='C', device='cpu', writable=False)]], probabilities: Annotated[NDArray[numpy.uint16], dict(shape=(None,), order='C', device='cpu', writable=False)], counts: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)], weights: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)], refiner: RefinerModel | None = None) -> None: ...

    @staticmethod
    def blank_state() -> tuple:
        """
        Entropy state that has learned nothing: (probabilities, counts, weights).
        """

class KltEncoder:
    def __init__(self, model: Model, width: int, height: int, threads: int = 1, *, lambda_: float = 0.1, aq: float = 0.5, coarse_tokens: bool = True, quadtree: bool = True, merge: bool = True, fractions: bool = True, golden: bool = True, rdoq: bool = True, deblock: bool = True) -> None: ...

    def encode(self, y: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], u: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], v: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], q: int, key_q: int, key: bool, scene_cut: bool, lambda_map: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)] | None = None, golden: bool = False) -> tuple:
        """
        `lambda_map`: multiplier of lambda for each 16×16 luma block, float32 (ceil(height / 16), ceil(width / 16)), above 0;
        values count as at least 1/64 and at most 64.
        """

    def window_bits(self) -> NDArray[numpy.float32]:
        """
        Code lengths of the last frame's 256×256 windows (rows, columns) float32, in bits.
        """

    def save(self) -> None:
        """
        Remember the state, so that `restore` can undo the frames from here on.
        """

    def restore(self) -> None: ...

    def loop(self) -> tuple[NDArray[numpy.uint16], NDArray[numpy.uint16], NDArray[numpy.uint16]]: ...

    def residual(self) -> list:
        """
        What the tokens were made from: three int16 planes (for fitting the bases).
        """

    def learned(self) -> tuple: ...

    def learn_on(self, probabilities: Annotated[NDArray[numpy.uint16], dict(shape=(None,), order='C', device='cpu', writable=False)], counts: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)], weights: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> None:
        """
        Start from this state and never reset it (for training the initial state).
        """

class KltDecoder:
    def __init__(self, model: Model, width: int, height: int, threads: int = 1) -> None: ...

    def decode(self, payload: bytes) -> tuple[NDArray[numpy.uint16], NDArray[numpy.uint16], NDArray[numpy.uint16]]: ...

    def tokens(self, level: int) -> tuple:
        """
        Tokens of the last frame: quantised values (rows, columns, count) int16 and index of the last one, -1 = none.
        """

    def decisions(self, key: bool) -> tuple:
        """
        What the last frame was coded as: zeros and ones seen by each context (slots, 2), and raw bits.
        """

    def window_bits(self) -> NDArray[numpy.float32]:
        """
        Code lengths of the last frame's 256×256 windows (rows, columns) float32, in bits.
        """

    def motion(self) -> NDArray[numpy.int16]:
        """
        Of each 16×16 block: vector into the last frame, vector into the golden one (x, y in quarter samples), 1: from the last, 2: from the golden, 3: from both.
        """

class Lookahead:
    """
    What later frames gain from each block of a frame; holds the frames pushed and not popped.
    """

    def __init__(self, width: int, height: int, threads: int = 1) -> None: ...

    def push(self, y: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> None:
        """Takes the luma of the next frame."""

    def importance(self, noise: float, frames: int) -> NDArray[numpy.float32]:
        """
        Of the oldest frame: squared error that changes with a block's own, float32 (rows, columns) of 16×16 blocks, from 1.
        """

    def error(self) -> NDArray[numpy.float32]:
        """
        Of the oldest frame: mean squared error of each 16×16 block moved from the frame before it, 0 in the first frame.
        """

    def pop(self) -> None: ...

def klt_inverse(basis: Annotated[NDArray[numpy.int16], dict(shape=(None, None), order='C', device='cpu', writable=False)], coefficients: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> NDArray[numpy.int16]: ...

def klt_forward(basis: Annotated[NDArray[numpy.int16], dict(shape=(None, None), order='C', device='cpu', writable=False)], residual: Annotated[NDArray[numpy.int16], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> NDArray[numpy.int32]: ...

def quantiser_step(q: int, level: int) -> int: ...

def compensate(plane: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], motion: Annotated[NDArray[numpy.int16], dict(shape=(None, None, None), order='C', device='cpu', writable=False)], chroma: bool = False) -> NDArray[numpy.uint16]:
    """Moves a padded plane by one vector a block (quarter luma samples)."""

def motion_search(current: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], reference: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], penalty: int = 64, threads: int = 1, finest: int = 1) -> tuple:
    """
    Vectors (H/16, W/16, 2) int16 in quarter samples, multiples of `finest` (4, 2 or 1), and their SATD, for luma planes of 10 bit; sizes round up to 16.
    """

def deblock_edges(plane: Annotated[NDArray[numpy.uint16], dict(shape=(None, None), order='C', device='cpu', writable=False)], q: int, size: int) -> NDArray[numpy.uint16]:
    """Filters every block edge of a plane."""
