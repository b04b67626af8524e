"""Transformer blocks of GVC1D, written once for `ops_torch` (training) and `ops_exact` (files).

B items, N rows of D values; pre-norm blocks of attention and a perceptron.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

Weights = Mapping[str, Any]

#: Parameters of a block.
_BLOCK_PARTS = (
    *("attention_norm.gain", "attention_norm.bias", "query.weight", "query.bias"),
    *("key_value.weight", "key_value.bias", "attention_out.weight", "attention_out.bias"),
    *("mlp_norm.gain", "mlp_norm.bias", "up.weight", "up.bias", "down.weight", "down.bias"),
)


class Ops(Protocol):
    """Operations on arrays of one kind; `weight` is [inputs, outputs]. One that has `block` too
    (`ops_exact`) runs whole transformer blocks, with the same result."""

    def linear(self, x: Any, weight: Any, bias: Any = None) -> Any: ...
    def layer_norm(self, x: Any, gain: Any, bias: Any) -> Any: ...
    def attention(self, query: Any, key: Any, value: Any, visible: Any = None) -> Any: ...
    def gelu(self, x: Any) -> Any: ...
    def sigmoid(self, x: Any) -> Any: ...
    def softsign(self, x: Any) -> Any: ...
    def concatenate(self, arrays: list[Any], axis: int) -> Any: ...
    def broadcast(self, x: Any, shape: tuple[int, ...]) -> Any: ...
    def permute(self, x: Any, *axes: int) -> Any: ...
    def zeros(self, like: Any, shape: tuple[int, ...]) -> Any: ...


class Transformer:
    """Blocks whose parameters are found in `weights` by name."""

    def __init__(self, weights: Weights, ops: Ops, heads: int) -> None:
        self.weights, self.heads = weights, heads
        self.ops: Any = ops
        self._joined: dict[str, Any] = {}

    def _linear(self, name: str, x: Any) -> Any:
        return self.ops.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, name: str, x: Any) -> Any:
        gain, bias = self.weights[f"{name}.gain"], self.weights[f"{name}.bias"]
        return self.ops.layer_norm(x, gain, bias)

    def _split_heads(self, x: Any) -> Any:
        """[B, N, D] to [B, heads, N, D / heads]."""
        batch, length, width = x.shape
        heads = self.heads
        return self.ops.permute(x.reshape(batch, length, heads, width // heads), 0, 2, 1, 3)

    def _block(self, name: str, x: Any, context: Any = None, visible: Any = None) -> Any:
        """Pre-norm transformer block: x [B, N, D] looks at context [B, K, D], if any, and at
        itself; item i sees the first visible[i] of these K + N. Returns [B, N, D]."""
        before = None if context is None else self._key_value(name, context)
        return self._run_block(name, x, before, visible)

    def _run_block(self, name: str, x: Any, before: Any, visible: Any = None) -> Any:
        """`_block` after the keys and values [B, K, 2D] of the context, or None."""
        if hasattr(self.ops, "block"):
            weights, heads = self._block_weights(name), self.heads
            return self.ops.block(x, weights, heads, visible, context=before)
        x_norm = self._norm(f"{name}.attention_norm", x)
        key_value = self._linear(f"{name}.key_value", x_norm)  # [B, N, 2D]
        if before is not None:
            key_value = self.ops.concatenate([before, key_value], 1)
        return self._mix(name, x, x_norm, key_value, visible)

    def _block_weights(self, name: str) -> Any:
        """For operations with a whole `block`, in the order of `ops_exact.BlockWeights`."""
        if name not in self._joined:
            part = {kind: self.weights[f"{name}.{kind}"] for kind in _BLOCK_PARTS}
            query = (part.pop(f"query.{kind}") for kind in ("weight", "bias"))
            key_value = (part.pop(f"key_value.{kind}") for kind in ("weight", "bias"))
            joined = [np.concatenate(pair, -1) for pair in zip(query, key_value, strict=True)]
            gain, bias, *rest = part.values()
            self._joined[name] = gain, bias, *joined, *rest
        return self._joined[name]

    def _key_value(self, name: str, context: Any) -> Any:
        """[B, K, 2D] of a context [B, K, D]."""
        return self._linear(f"{name}.key_value", self._norm(f"{name}.attention_norm", context))

    def _mix(self, name: str, x: Any, x_norm: Any, key_value: Any, visible: Any = None) -> Any:
        """Attention and perceptron of a block: x [B, N, D], `x_norm` its norm, keys and values
        [B, K, 2D]."""
        batch, length, width = x.shape
        query = self._split_heads(self._linear(f"{name}.query", x_norm))
        key = self._split_heads(key_value[..., :width])
        value = self._split_heads(key_value[..., width:])
        mixed = self.ops.permute(self.ops.attention(query, key, value, visible), 0, 2, 1, 3)
        x = x + self._linear(f"{name}.attention_out", mixed.reshape(batch, length, width))
        wide = self.ops.gelu(self._linear(f"{name}.up", self._norm(f"{name}.mlp_norm", x)))
        return x + self._linear(f"{name}.down", wide)


class CachedBlock:
    """A block of the entropy model whose rows [B, 1, D] come one after the other; each sees the
    context [B, K, D] and the rows before it, at most `length` of them."""

    def __init__(self, network: Transformer, name: str, context: Any, length: int) -> None:
        self._network, self._name = network, name
        self._cache = network._key_value(name, context)  # [B, K, 2D]
        self._fused = hasattr(network.ops, "block")
        if self._fused:
            batch, before, width = context.shape
            cache = network.ops.BlockCache(batch, before + length, width)
            cache.append(self._cache)
            self._cache = cache

    def next(self, x: Any) -> Any:
        network, name = self._network, self._name
        if self._fused:
            weights, heads = network._block_weights(name), network.heads
            return network.ops.block(x, weights, heads, cache=self._cache)
        x_norm = network._norm(f"{name}.attention_norm", x)
        fresh = network._linear(f"{name}.key_value", x_norm)
        self._cache = network.ops.concatenate([self._cache, fresh], 1)
        return network._mix(name, x, x_norm, self._cache)
