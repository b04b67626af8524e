"""GVC1D: each frame becomes T tokens of C integers for each window, given the earlier frames.

        frame ──► patches [B, W, P, S]
                     │  encode: T latent queries a window look at its patches
    state ──────► tokens [B, W, T, C], integers ─── predict: mean and scale of each integer
      │              │  decode: P mask slots a window look at the tokens
      ├──────────► features [B, W, P, D] ──► patches ──► reconstructed frame
      └◄─────────── advance: memory [B, M, D], short_term [B, W, P, D], tokens

B clips, W windows a frame, P patches a window, S samples a patch (luma, then both chroma planes),
T tokens a window, C integers a token, D channels, M memory vectors. Samples are 0..1.

The network is written once, for two implementations of its operations: `ops_torch` trains it,
`ops_exact` runs it with the same result on every machine. Encoder and decoder hold the same state.

Source: GVC1D (local and global layers, mask tokens, short-term buffer, 1-D memory). Ours: one
network for all rates, absent tokens, slots of memory with different time scales.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gvcodec.errors import UsageError
from gvcodec.gvc1d.attention_block import CachedBlock, Ops, Transformer, Weights

#: Points of the rate embedding; λ of training rises by a factor of two from one to the next.
RATES = 8
#: Samples vary around 1/2 with a spread near 1/4, and layers work near unit size.
SAMPLE_SCALE = 4.0
#: Largest integer of a token, either way: any can be coded, few are as large.
LARGEST = 1023
#: Scale index (see `gvcodec.entropy.tables`) at an output of 0: a mean deviation of 1.4. One output
#: unit is a factor of two.
SCALE_CENTRE, SCALE_OCTAVE, SCALE_END = 30.0, 6.0, 63.0
#: Share of a new value in a memory vector at first, as logits from the slowest slot to the fastest.
SLOWEST_GATE, FASTEST_GATE = -3.0, 1.0


@dataclass(frozen=True)
class Config:
    """Sizes of a network. `window` and `patch` in luma samples; layers as a string of L (local:
    inside a window) and G (global: across windows). `grid`: rows and columns of windows with a
    position of their own; farther ones share the last."""

    window: int = 64
    patch: int = 16
    tokens: int = 8
    channels: int = 8
    width: int = 128
    heads: int = 4
    expansion: int = 3
    encoder: str = "LGLGL"
    decoder: str = "LGLGL"
    entropy_layers: int = 3
    memory: int = 32
    memory_layers: int = 2
    grid: int = 8

    def __post_init__(self) -> None:
        """Raises `UsageError` for sizes that do not fit together."""
        sizes = {name: value for name, value in asdict(self).items() if isinstance(value, int)}
        if any(not 0 < value <= 4096 for name, value in sizes.items() if name != "memory"):
            raise UsageError("gvc1d: a size is not 1 to 4096")
        if not 0 <= self.memory <= 4096:
            raise UsageError("gvc1d: memory is not 0 to 4096 vectors")
        if self.window % self.patch or self.patch % 2 or self.width % self.heads:
            raise UsageError("gvc1d: patches must tile windows, heads must divide the width")
        for layers in (self.encoder, self.decoder):
            if not layers or set(layers) - {"L", "G"} or len(layers) > 64:
                raise UsageError("gvc1d: layers are a string of L and G")

    @property
    def patches(self) -> int:
        """P, of a window."""
        return (self.window // self.patch) ** 2

    @property
    def samples(self) -> int:
        """S, of a patch: luma and two chroma planes of half the size."""
        return self.patch**2 * 3 // 2


class State(NamedTuple):
    """The state that encoder and decoder share before a frame."""

    memory: Any  # [B, M, D], all earlier frames
    short_term: Any  # [B, W, P, D], decoder features of the previous frame
    tokens: Any  # [B, W, T, C], integers of the previous frame


class Prediction(NamedTuple):
    """For each integer its mean, and the index 0..63 of its scale (factor of two a step of 6)."""

    mean: Any  # [B, W, T, C]
    scale: Any  # [B, W, T, C]


class Grid(NamedTuple):
    """Windows of a frame."""

    rows: int
    columns: int


def parameter_shapes(config: Config) -> dict[str, tuple[tuple[int, ...], float]]:
    """Shape of every parameter, and the standard deviation that it begins with (0: zeros; NaN:
    ones). Names are those of the weight file."""
    c, d, inner = config, config.width, config.expansion * config.width
    features = 3 * c.channels
    parameters: dict[str, tuple[tuple[int, ...], float]] = {}

    def linear(name: str, inputs: int, outputs: int, deviation: float | None = None) -> None:
        parameters[f"{name}.weight"] = (
            (inputs, outputs),
            (1 / math.sqrt(inputs) if deviation is None else deviation),
        )
        parameters[f"{name}.bias"] = (outputs,), 0.0

    def norm(name: str) -> None:
        parameters[f"{name}.gain"], parameters[f"{name}.bias"] = ((d,), math.nan), ((d,), 0.0)

    def block(name: str) -> None:
        norm(f"{name}.attention_norm")
        linear(f"{name}.query", d, d)
        linear(f"{name}.key_value", d, 2 * d)
        linear(f"{name}.attention_out", d, d, 0.02)  # near the identity at first
        norm(f"{name}.mlp_norm")
        linear(f"{name}.up", d, inner)
        linear(f"{name}.down", inner, d, 0.02)

    def table(name: str, *shape: int, deviation: float = 0.3) -> None:
        parameters[name] = shape, deviation

    for name, layers in (("encoder", len(c.encoder)), ("decoder", len(c.decoder))):
        for layer in range(layers):
            block(f"{name}.{layer}")
        norm(f"{name}.norm")
    for layer in range(c.entropy_layers):
        block(f"entropy.{layer}")
    for layer in range(c.memory_layers if c.memory else 0):
        block(f"memory.{layer}")
    table("window_row", c.grid, d)
    table("window_column", c.grid, d)
    table("patch_position", c.patches, d)
    table("token_position", c.tokens, d)
    table("short_term_role", d)
    table("rate", RATES, d)
    linear("patch_in", c.samples, d)
    table("query", c.tokens, d)
    table("pool", c.patches, c.tokens, deviation=0.0)
    table("spread", c.tokens, c.patches, deviation=0.0)
    linear("token_out", d, c.channels)
    table("gain", RATES, c.channels, deviation=0.0)
    linear("token_in", features, d)
    table("absent", d)
    table("mask", d)
    linear("patch_out", d, c.samples)
    norm("short_term_norm")
    table("first_short_term", c.patches, d)
    linear("entropy_in", features, d)
    linear("entropy_previous", features, d)
    norm("entropy.norm")
    linear("laplace", d, 3 * c.channels, 0.0)
    if c.memory:
        table("first_memory", c.memory, d)
        table("memory_position", c.memory, d)
        linear("memory_in", features, d)
        linear("memory_gate", d, d, 0.02)
        table("memory_pace", c.memory, d, deviation=0.0)
    return parameters


def initial_weights(config: Config, seed: int) -> dict[str, NDArray[np.float32]]:
    """Weights to begin training with."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, (shape, deviation) in parameter_shapes(config).items():
        value = np.ones(shape) if math.isnan(deviation) else deviation * rng.normal(size=shape)
        weights[name] = value.astype(np.float32)
    # Finer steps at low λ: integers grow by 2^(1/4) from one rate to the next finer one.
    octaves = np.linspace(1.75, 0, RATES)[:, None] * 0.5
    weights["gain"] = np.repeat(3.0 * 2.0**octaves, config.channels, 1).astype(np.float32)
    near = near_patches(config)
    weights["pool"] = near / near.sum(0)
    weights["spread"] = near.T.copy()
    if config.memory:
        pace = np.linspace(SLOWEST_GATE, FASTEST_GATE, config.memory)[:, None]
        weights["memory_pace"] = np.repeat(pace, config.width, 1).astype(np.float32)
    return weights


def near_patches(config: Config) -> NDArray[np.float32]:
    """[P, T]: 1 where a patch is in the region that a token begins with. Regions are runs of the
    Z-order of patches; with more tokens than patches several tokens share one."""
    side = config.window // config.patch
    rows, columns = np.divmod(np.arange(config.patches), side)
    bits = range(side.bit_length())
    order = sum((rows >> b & 1) << 2 * b + 1 | (columns >> b & 1) << 2 * b for b in bits)
    rank = np.argsort(np.argsort(order))
    near = np.zeros((config.patches, config.tokens), np.float32)
    if config.tokens <= config.patches:
        near[np.arange(config.patches), rank * config.tokens // config.patches] = 1
    else:
        tokens = np.arange(config.tokens)
        near[np.argsort(order)[tokens * config.patches // config.tokens], tokens] = 1
    return near


def rate_mix(rate: float) -> NDArray[np.float32]:
    """[1, RATES]: shares of the two points around a rate, 0 (finest) to RATES - 1."""
    low = min(int(rate), RATES - 2)
    mix = np.zeros((1, RATES), np.float32)
    mix[0, low : low + 2] = 1 - (rate - low), rate - low
    return mix


class Codec(Transformer):
    """The network on weights, by the operations of `ops`. `off` names parts to leave out: memory,
    short_term, local, global, autoregression."""

    def __init__(self, config: Config, weights: Weights, ops: Ops, off: tuple[str, ...] = ()):
        super().__init__(weights, ops, config.heads)
        self.config, self.off = config, off

    # ------------------------------------------------------------------------------------- layers

    def _windows(self, name: str, layers: str, x: Any, slots: int, state: State, at: Any) -> Any:
        """The encoder's or the decoder's layers. x [B, W, slots + context, D]: a local layer sees
        one window, a global layer the slots of all windows; both read the memory. `at`: positions
        of windows [W, 1, D]. Returns the slots [B, W, slots, D]."""
        batch, windows, length, width = x.shape
        memory = self._memory_context(state)
        for layer, kind in enumerate(layers):
            block = f"{name}.{layer}"
            if ("local" if kind == "L" else "global") in self.off:
                continue
            if kind == "L":
                x = x.reshape(batch * windows, length, width)
                x = self._local(block, x, memory, windows).reshape(batch, windows, length, width)
            else:
                front = (x[:, :, :slots] + at).reshape(batch, windows * slots, width)
                front = self._block(block, front, memory).reshape(batch, windows, slots, width)
                x = self.ops.concatenate([front, x[:, :, slots:]], 2)
        return self._norm(f"{name}.norm", x[:, :, :slots])

    def _local(self, block: str, x: Any, memory: Any, windows: int) -> Any:
        """A layer inside windows, x [B * W, N, D], that also sees the memory [B, M, D]."""
        before = None
        if memory is not None:
            before = self._per_window(self._key_value(block, memory), windows)
        return self._run_block(block, x, before)

    def _memory_context(self, state: State) -> Any:
        """[B, M, D], or None without memory."""
        if not self.config.memory or "memory" in self.off:
            return None
        return state.memory + self.weights["memory_position"]

    def _per_window(self, x: Any, windows: int) -> Any:
        """[B, K, D] to [B * W, K, D], the same for each window."""
        if x is None:
            return None
        batch, length, width = x.shape
        wide = self.ops.broadcast(x[:, None], (batch, windows, length, width))
        return wide.reshape(batch * windows, length, width)

    def _window_positions(self, grid: Grid) -> Any:
        """[W, 1, D]."""
        last = self.config.grid - 1
        rows = [min(row, last) for row in range(grid.rows) for _ in range(grid.columns)]
        columns = [min(column, last) for _ in range(grid.rows) for column in range(grid.columns)]
        where = self.weights["window_row"][rows] + self.weights["window_column"][columns]
        return where[:, None]

    def _across(self, x: Any, name: str) -> Any:
        """[B, W, N, D] to [B, W, K, D]: each channel through the weights [N, K]."""
        transposed = self.ops.permute(x, 0, 1, 3, 2)
        return self.ops.permute(self.ops.linear(transposed, self.weights[name]), 0, 1, 3, 2)

    def _rate(self, mix: Any) -> Any:
        """[B, 1, 1, D] of shares [B, RATES]."""
        return self.ops.linear(mix, self.weights["rate"])[:, None, None]

    def _token_features(self, tokens: Any) -> Any:
        """[..., C] to [..., 3C]: integers near 0 and far ones, at unit size."""
        near, far = self.ops.softsign(tokens), self.ops.softsign(tokens * np.float32(0.125))
        return self.ops.concatenate([near, far, tokens * np.float32(0.0625)], -1)

    # ------------------------------------------------------------------------------------- frames

    def first_state(self, batch: int, grid: Grid) -> State:
        """The state before a keyframe."""
        c, windows = self.config, grid.rows * grid.columns
        start = self.weights["first_short_term"]
        shape = (batch, windows, c.patches, c.width)
        memory = None
        if c.memory:
            first = self.weights["first_memory"]
            memory = self.ops.broadcast(first[None], (batch, c.memory, c.width))
        tokens = self.ops.zeros(start, (batch, windows, c.tokens, c.channels))
        return State(memory, self.ops.broadcast(start[None, None], shape), tokens)

    def encode(self, patches: Any, state: State, mix: Any, grid: Grid) -> Any:
        """patches [B, W, P, S] to values [B, W, T, C], which are rounded to integers."""
        c, (batch, windows) = self.config, patches.shape[:2]
        at, rate = self._window_positions(grid), self._rate(mix)
        shape = (batch, windows, c.tokens, c.width)
        vectors = self._patch_vectors(patches)
        pooled = self._across(vectors, "pool")  # [B, W, T, D]
        queries = pooled + self.ops.broadcast(self.weights["query"] + at + rate, shape)
        vectors = vectors + self.weights["patch_position"]
        x = self.ops.concatenate(
            [queries, vectors, self._short_term(state)], 2
        )  # [B, W, T + 2P, D]
        slots = self._windows("encoder", c.encoder, x, c.tokens, state, at)
        gain = self.ops.linear(mix, self.weights["gain"])[:, None, None]  # [B, 1, 1, C]
        return self._linear("token_out", slots) * gain

    def decode(
        self, tokens: Any, present: Any, state: State, mix: Any, grid: Grid
    ) -> tuple[Any, Any]:
        """tokens [B, W, T, C] to patches [B, W, P, S] and features [B, W, P, D]. `present`
        [B, W, T, 1]: 1 for a token that was sent, 0 for an absent one."""
        c, (batch, windows) = self.config, tokens.shape[:2]
        at, rate = self._window_positions(grid), self._rate(mix)
        shape = (batch, windows, c.patches, c.width)
        position = self.weights["mask"] + self.weights["patch_position"] + at  # [W, P, D]
        sent = self._token_vectors("token_in", tokens, present)
        masks = self._across(sent, "spread") + self.ops.broadcast(position + rate, shape)
        sent = sent + self.weights["token_position"]
        x = self.ops.concatenate([masks, sent, self._short_term(state)], 2)  # [B, W, 2P + T, D]
        features = self._windows("decoder", c.decoder, x, c.patches, state, at)
        return self._shown(features)

    def _patch_vectors(self, patches: Any) -> Any:
        """[B, W, P, D] of samples [B, W, P, S]."""
        return self._linear("patch_in", (patches - np.float32(0.5)) * np.float32(SAMPLE_SCALE))

    def _shown(self, features: Any) -> tuple[Any, Any]:
        """Samples [B, W, P, S] of decoder features [B, W, P, D], and these."""
        samples = self._linear("patch_out", features)
        return samples * np.float32(1 / SAMPLE_SCALE) + np.float32(0.5), features

    def _short_term(self, state: State) -> Any:
        """[B, W, P, D]."""
        role = self.weights["short_term_role"] + self.weights["patch_position"]
        return state.short_term + role

    def _token_vectors(self, name: str, tokens: Any, present: Any) -> Any:
        """[B, W, T, D] of integers [B, W, T, C]."""
        vectors = self._linear(name, self._token_features(tokens))
        return vectors * present + self.weights["absent"] * (np.float32(1) - present)

    # ------------------------------------------------------------------------------ entropy model

    def predict(self, tokens: Any, state: State, mix: Any, grid: Grid) -> Prediction:
        """Mean and scale of each integer of tokens [B, W, T, C]; those of token t depend on the
        tokens before t in its window, and on the state. Later tokens may hold anything."""
        c, (batch, windows) = self.config, tokens.shape[:2]
        earlier = self.ops.concatenate([tokens[:, :, :1] * np.float32(0), tokens[:, :, :-1]], 2)
        x = self._earlier(earlier) + self._expected(state, mix, grid)  # [B, W, T, D]
        x = x.reshape(batch * windows, c.tokens, c.width)
        context = self._entropy_context(state)  # [B * W, K, D]
        visible = np.arange(1, c.tokens + 1, dtype=np.int32) + context.shape[1]
        for layer in range(c.entropy_layers):
            x = self._block(f"entropy.{layer}", x, context, visible)
        x = x.reshape(batch, windows, c.tokens, c.width)
        return self._prediction(x, state.tokens)

    def _earlier(self, tokens: Any) -> Any:
        """[..., D] of the integers [..., C] of the token before."""
        if "autoregression" in self.off:
            tokens = tokens * np.float32(0)
        return self._linear("entropy_in", self._token_features(tokens))

    def _expected(self, state: State, mix: Any, grid: Grid) -> Any:
        """[B, W, T, D]: the prediction of each token before any of its frame."""
        x = self._linear("entropy_previous", self._token_features(state.tokens))
        return x + self.weights["token_position"] + self._window_positions(grid) + self._rate(mix)

    def _prediction(self, x: Any, before: Any) -> Prediction:
        """Prediction from outputs [..., D] and the previous frame's integers [..., C]."""
        channels = self.config.channels
        x = self._linear("laplace", self._norm("entropy.norm", x))
        change, gate, size = (x[..., i * channels : (i + 1) * channels] for i in range(3))
        mean = change + self.ops.sigmoid(gate) * before
        return Prediction(mean, size * np.float32(SCALE_OCTAVE) + np.float32(SCALE_CENTRE))

    def _entropy_context(self, state: State) -> Any:
        """[B * W, P + M, D]: short-term features of the window, and the memory."""
        batch, windows, patches, width = state.short_term.shape
        context = self._short_term(state).reshape(batch * windows, patches, width)
        memory = self._memory_context(state)
        if memory is None:
            return context
        return self.ops.concatenate([context, self._per_window(memory, windows)], 1)

    def start_prediction(self, state: State, mix: Any, grid: Grid) -> Predictor:
        """`predict` token by token, for decoders."""
        return Predictor(self, state, mix, grid)

    # -------------------------------------------------------------------------------------- state

    def advance(self, state: State, tokens: Any, present: Any, features: Any, grid: Grid) -> State:
        """The state after a frame of these tokens and decoder features."""
        memory = state.memory
        if self.config.memory and "memory" not in self.off:
            memory = self._update_memory(memory, tokens, present, grid)
        if "short_term" in self.off:
            return State(memory, state.short_term, state.tokens)
        return State(memory, self._norm("short_term_norm", features), tokens * present)

    def _update_memory(self, memory: Any, tokens: Any, present: Any, grid: Grid) -> Any:
        """memory [B, M, D] after it has read the tokens [B, W, T, C] of a frame."""
        batch, windows, count, _ = tokens.shape
        incoming = self._token_vectors("memory_in", tokens, present)
        incoming = incoming + self.weights["token_position"] + self._window_positions(grid)
        incoming = incoming.reshape(batch, windows * count, self.config.width)
        x = memory + self.weights["memory_position"]
        for layer in range(self.config.memory_layers):
            x = self._block(f"memory.{layer}", x, incoming)
        gate = self._linear("memory_gate", x) + self.weights["memory_pace"]
        return memory + self.ops.sigmoid(gate) * (x - memory)


class Predictor:
    """`Codec.predict` token by token, with the same values: keys and values of previous tokens are
    kept, so that T tokens cost as much as one call of `predict`."""

    def __init__(self, codec: Codec, state: State, mix: Any, grid: Grid) -> None:
        self._codec, self._before, self._token = codec, state.tokens, 0
        self._expected = codec._expected(state, mix, grid)  # [B, W, T, D]
        context = codec._entropy_context(state)
        names = [f"entropy.{layer}" for layer in range(codec.config.entropy_layers)]
        self._layers = [CachedBlock(codec, name, context, codec.config.tokens) for name in names]

    def next(self, earlier: Any) -> Prediction:
        """Mean and scale [B, W, C] of the next token, after the integers [B, W, C] of the one
        before it (zeros for the first)."""
        codec = self._codec
        batch, windows = earlier.shape[:2]
        x = codec._earlier(earlier) + self._expected[:, :, self._token]
        x = x.reshape(batch * windows, 1, -1)
        for layer in self._layers:
            x = layer.next(x)
        before = self._before[:, :, self._token]
        self._token += 1
        return codec._prediction(x.reshape(batch, windows, -1), before)


# -------------------------------------------------------------------------- planes and patches


def grid_of(width: int, height: int, config: Config) -> Grid:
    """Windows that cover a picture."""
    return Grid(-(-height // config.window), -(-width // config.window))


def to_patches(y: Any, u: Any, v: Any, config: Config, ops: Ops) -> Any:
    """Planes of whole windows, y [B, H, W] and u, v [B, H/2, W/2], to patches [B, W, P, S]."""
    parts = [_cut(y, config.patch, config, ops)]
    parts += [_cut(plane, config.patch // 2, config, ops) for plane in (u, v)]
    return ops.concatenate(parts, -1)


def from_patches(patches: Any, grid: Grid, config: Config, ops: Ops) -> tuple[Any, Any, Any]:
    """The inverse of `to_patches`."""
    luma, chroma = config.patch**2, (config.patch // 2) ** 2
    y = _join(patches[..., :luma], config.patch, grid, config, ops)
    u = _join(patches[..., luma : luma + chroma], config.patch // 2, grid, config, ops)
    return y, u, _join(patches[..., luma + chroma :], config.patch // 2, grid, config, ops)


def _cut(plane: Any, size: int, config: Config, ops: Ops) -> Any:
    """[B, H, W] to [B, windows, patches, size²]; a window has the same patches in each plane."""
    side = config.window // config.patch
    batch, rows = plane.shape[0], plane.shape[1] // (side * size)
    columns = plane.shape[2] // (side * size)
    x = plane.reshape(batch, rows, side, size, columns, side, size)
    return ops.permute(x, 0, 1, 4, 2, 5, 3, 6).reshape(batch, rows * columns, side**2, size**2)


def _join(patches: Any, size: int, grid: Grid, config: Config, ops: Ops) -> Any:
    side = config.window // config.patch
    batch = patches.shape[0]
    x = patches.reshape(batch, grid.rows, grid.columns, side, side, size, size)
    x = ops.permute(x, 0, 1, 3, 5, 2, 4, 6)
    return x.reshape(batch, grid.rows * side * size, grid.columns * side * size)
