"""Other forms of the network, to compare it with: `--without local,latent_queries,…`.

    local            no layers inside windows
    latent_queries   2-D tokens: token t is the mean of the t-th group of patches after the
                     encoder's layers, and its patches alone begin with it in the decoder
    memory_vectors   2-D memory: one vector for each patch of the frame, updated by the decoder's
                     features; a window reads its own
    gated_memory     the memory holds the integers of the first frames of the last scenes instead;
                     a frame begins a scene where its integers differ from those before it

The other parts that can be left out (memory, short_term, global, autoregression) are known to
`gvcodec.gvc1d.model.Codec`. Shapes as there; files are written with `FrameCoder.codec` replaced.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gvcodec.gvc1d.attention_block import Weights
from gvcodec.gvc1d.model import Codec, Config, Grid, State, near_patches

VARIANTS = ("local", "latent_queries", "memory_vectors", "gated_memory")
PARTS = ("memory", "short_term", "global", "autoregression", *VARIANTS)


def make_codec(config: Config, weights: Weights, ops: Any, off: tuple[str, ...]) -> Codec:
    """The network without these parts."""
    kind: type[Codec] = Codec
    if "local" in off:
        kind = type("WithoutLocal", (WithoutLocal, kind), {})
    if "latent_queries" in off:
        kind = type("PatchTokens", (PatchTokens, kind), {})
    if "memory_vectors" in off:
        kind = type("PatchMemory", (PatchMemory, kind), {})
    if "gated_memory" in off:
        kind = type("SceneMemory", (SceneMemory, kind), {})
    return kind(config, weights, ops, off)


class WithoutLocal(Codec):
    """Tokens and patches meet only where tokens begin (`pool`) and end (`spread`)."""

    def _windows(self, name: str, layers: str, x: Any, slots: int, state: State, at: Any) -> Any:
        layers = layers.replace("L", "-")
        return super()._windows(name, layers, x, slots, state, at)


class PatchTokens(Codec):
    """As many tokens as in 1-D, each for a group of neighbouring patches."""

    def _groups(self) -> tuple[list[int], list[int]]:
        """Patches in order of their token, and the token of each patch [P]."""
        token_of = near_patches(self.config).argmax(1)
        return list(np.argsort(token_of, kind="stable")), list(token_of)

    def encode(self, patches: Any, state: State, mix: Any, grid: Grid) -> Any:
        c, (batch, windows) = self.config, patches.shape[:2]
        at, rate = self._window_positions(grid), self._rate(mix)
        patches_read = self._patch_vectors(patches) + self.weights["patch_position"]  # [B, W, P, D]
        patches_read = patches_read + self.ops.broadcast(at + rate, patches_read.shape)
        x = self.ops.concatenate([patches_read, self._short_term(state)], 2)
        slots = self._windows("encoder", c.encoder, x, c.patches, state, at)
        order, _ = self._groups()
        groups = slots[:, :, order].reshape(batch, windows, c.tokens, -1, c.width)
        mean = groups[:, :, :, 0]
        for patch in range(1, groups.shape[3]):
            mean = mean + groups[:, :, :, patch]
        gain = self.ops.linear(mix, self.weights["gain"])[:, None, None]
        return self._linear("token_out", mean * np.float32(1 / groups.shape[3])) * gain

    def decode(
        self, tokens: Any, present: Any, state: State, mix: Any, grid: Grid
    ) -> tuple[Any, Any]:
        c, (batch, windows) = self.config, tokens.shape[:2]
        at, rate = self._window_positions(grid), self._rate(mix)
        position = self.weights["mask"] + self.weights["patch_position"] + at
        vectors = self._token_vectors("token_in", tokens, present)[:, :, self._groups()[1]]
        shape = (batch, windows, c.patches, c.width)
        masks = vectors + self.ops.broadcast(position + rate, shape)
        x = self.ops.concatenate([masks, self._short_term(state)], 2)  # [B, W, 2P, D]
        return self._shown(self._windows("decoder", c.decoder, x, c.patches, state, at))


class PatchMemory(Codec):
    """State.memory is [B, W * P, D]."""

    def _of_patches(self, name: str) -> Any:
        """[P, D] of a table [M, D], in turn."""
        memory = self.config.memory
        return self.weights[name][[patch % memory for patch in range(self.config.patches)]]

    def first_state(self, batch: int, grid: Grid) -> State:
        c, windows = self.config, grid.rows * grid.columns
        state = super().first_state(batch, grid)
        first = self._of_patches("first_memory")
        shape = (batch, windows, c.patches, c.width)
        memory = self.ops.broadcast(first[None, None], shape).reshape(batch, -1, c.width)
        return state._replace(memory=memory)

    def _memory_context(self, state: State) -> Any:
        return self._placed(state.memory)

    def _placed(self, memory: Any) -> Any:
        """memory [B, W * P, D] with the positions of its vectors in their windows."""
        c, (batch, length, width) = self.config, memory.shape
        position = self._of_patches("memory_position")
        placed = memory.reshape(batch, length // c.patches, c.patches, width) + position
        return placed.reshape(batch, length, width)

    def _per_window(self, x: Any, windows: int) -> Any:
        """[B, W * P, D] to [B * W, P, D]: a window reads its own vectors."""
        batch, length, width = x.shape
        return x.reshape(batch * windows, length // windows, width)

    def advance(self, state: State, tokens: Any, present: Any, features: Any, grid: Grid) -> State:
        c, (batch, windows) = self.config, tokens.shape[:2]
        short_term = self._norm("short_term_norm", features)  # [B, W, P, D]
        incoming = short_term.reshape(batch * windows, c.patches, c.width)
        before = self._per_window(state.memory, windows)
        x = self._per_window(self._placed(state.memory), windows)
        for layer in range(c.memory_layers):
            x = self._block(f"memory.{layer}", x, incoming)
        pace = self._of_patches("memory_pace")
        gate = self._linear("memory_gate", x) + pace
        memory = (before + self.ops.sigmoid(gate) * (x - before)).reshape(batch, -1, c.width)
        return State(memory, short_term, tokens * present)


class SceneMemory(Codec):
    """State.memory is [B, S, W * T, C]: integers of the first frames of the last S scenes, the
    latest first; zeros where there was none."""

    SCENES = 3
    #: Share of its size by which a frame's integers change where a scene begins.
    CHANGE = 0.12

    def first_state(self, batch: int, grid: Grid) -> State:
        state = super().first_state(batch, grid)
        length = grid.rows * grid.columns * self.config.tokens
        shape = (batch, self.SCENES, length, self.config.channels)
        return state._replace(memory=self.ops.zeros(self.weights["first_memory"], shape))

    def _memory_context(self, state: State) -> Any:
        """[B, S * W * T, D]."""
        if "memory" in self.off:
            return None
        c, (batch, scenes, length, _) = self.config, state.memory.shape
        vectors = self._linear("memory_in", self._token_features(state.memory))
        windows = length // c.tokens
        places = self.weights["memory_position"][list(range(scenes))][:, None, None]
        rows = self.weights["window_row"][list(range(windows))][:, None]
        position = places + rows + self.weights["token_position"]  # [S, W, T, D]
        vectors = vectors.reshape(batch, scenes, windows, c.tokens, c.width) + position
        return vectors.reshape(batch, scenes * length, c.width)

    def _update_memory(self, memory: Any, tokens: Any, present: Any, grid: Grid) -> Any:
        return memory

    def advance(self, state: State, tokens: Any, present: Any, features: Any, grid: Grid) -> State:
        after = super().advance(state, tokens, present, features, grid)
        sent = tokens * present
        latest = sent.reshape(len(sent), 1, -1, self.config.channels)  # [B, 1, W * T, C]
        difference = abs(sent - state.tokens).reshape(len(sent), -1).mean(1)
        size = abs(sent).reshape(len(sent), -1).mean(1)
        size = size + abs(state.tokens).reshape(len(sent), -1).mean(1)
        begins = (difference > self.CHANGE * size).reshape(-1, 1, 1, 1) * np.float32(1)
        pushed = self.ops.concatenate([latest, state.memory[:, :-1]], 1)
        return after._replace(memory=begins * pushed + (1 - begins) * state.memory)
