"""Exact transformer operations: the same bits in every form, and the values that torch computes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from conformance import exact_vectors
from conformance.decoder import exact_float
from gvcodec import _core
from gvcodec.gvc1d import ops_exact as ops

RANDOM = np.random.default_rng(7)
CONTEXT, LENGTH, WIDTH, HIDDEN, HEADS = 10, 37, 96, 200, 4
CAUSAL = np.array([CONTEXT] * CONTEXT + list(range(CONTEXT + 1, LENGTH + 1)), np.int32)


def normal(*shape: int, size: float = 1.0) -> ops.Array:
    return (RANDOM.standard_normal(shape) * size).astype(np.float32)


def random_weights(width: int = WIDTH, hidden: int = HIDDEN) -> ops.BlockWeights:
    def gain() -> ops.Array:
        return 1 + normal(width, size=0.1)

    def matrix(inputs: int, outputs: int) -> ops.Array:
        return normal(inputs, outputs, size=inputs**-0.5)

    return ops.BlockWeights(
        *(gain(), normal(width), matrix(width, 3 * width), normal(3 * width)),
        *(matrix(width, width), normal(width)),
        *(gain(), normal(width), matrix(width, hidden), normal(hidden)),
        *(matrix(hidden, width), normal(width)),
    )


def composed(
    x: ops.Array, w: ops.BlockWeights, heads: int, visible: NDArray[np.int32] | None = None
) -> ops.Array:
    """A block of the single operations."""
    batch, length, width = x.shape
    qkv = ops.linear(ops.layer_norm(x, w.attention_gain, w.attention_bias), w.qkv, w.qkv_bias)
    split = qkv.reshape(batch, length, 3, heads, width // heads)
    mixed = ops.attention(*split.transpose(2, 0, 3, 1, 4), visible)  # [B, heads, N, d]
    mixed = mixed.transpose(0, 2, 1, 3).reshape(x.shape)
    y = x + ops.linear(mixed, w.out, w.out_bias)
    hidden = ops.gelu(ops.linear(ops.layer_norm(y, w.mlp_gain, w.mlp_bias), w.up, w.up_bias))
    return y + ops.linear(hidden, w.down, w.down_bias)


def digest(*arrays: NDArray) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()


@pytest.fixture
def every_form() -> Iterator[list[str]]:
    before = _core.cpu()
    yield _core.cpu_forms()
    _core.use_cpu(before)


@pytest.mark.parametrize("visible", [None, CAUSAL], ids=["all", "causal"])
def test_one_result_for_forms_threads_fusion_and_cache(
    every_form: list[str], visible: NDArray[np.int32] | None
) -> None:
    weights, x = random_weights(), normal(3, LENGTH, WIDTH)
    digests = set()
    for form in every_form:
        _core.use_cpu(form)
        digests.add(digest(composed(x, weights, HEADS, visible)))
        digests |= {digest(ops.block(x, weights, HEADS, visible, threads=n)) for n in (1, 2, 5)}
        if visible is not None:
            cache = ops.BlockCache(3, LENGTH, WIDTH)
            parts = [ops.block(x[:, :CONTEXT], weights, HEADS, cache=cache)]
            for i in range(CONTEXT, LENGTH):
                parts.append(ops.block(x[:, i : i + 1], weights, HEADS, cache=cache))
            digests.add(digest(np.concatenate(parts, 1)))
    assert len(digests) == 1


def test_rows_do_not_depend_on_their_neighbours(every_form: list[str]) -> None:
    weight, bias, x = normal(50, 203), normal(203), normal(97, 50)
    whole = ops.linear(x, weight, bias)
    for form in every_form:
        _core.use_cpu(form)
        for rows in (1, 2, 3, 7, 31, 33, 64, 96):
            np.testing.assert_array_equal(ops.linear(x[:rows], weight, bias), whole[:rows])
        for columns in (1, 3, 4, 15, 16, 17, 64, 130):
            part = ops.linear(x, weight[:, :columns], bias[:columns])
            np.testing.assert_array_equal(part, whole[:, :columns])


def test_a_sum_has_the_order_of_the_specification() -> None:
    x, weight, bias = normal(9, 33), normal(33, 21), normal(21)
    total = np.zeros((9, 21), np.float32)
    for k in range(33):
        total += x[:, k, None] * weight[k]
    np.testing.assert_array_equal(ops.linear(x, weight, bias), total + bias)


def test_values_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x, w = normal(2, LENGTH, WIDTH), random_weights()
    t = [torch.from_numpy(array) for array in w]
    y = torch.from_numpy(x)
    norm = functional.layer_norm(y, (WIDTH,), t[0], t[1])
    qkv = (norm @ t[2] + t[3]).view(2, LENGTH, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
    mask = torch.arange(LENGTH) < torch.from_numpy(CAUSAL)[:, None]
    mixed = functional.scaled_dot_product_attention(*qkv, attn_mask=mask)
    y = y + mixed.transpose(1, 2).reshape(y.shape) @ t[4] + t[5]
    hidden = functional.layer_norm(y, (WIDTH,), t[6], t[7]) @ t[8] + t[9]
    y = y + functional.gelu(hidden, approximate="tanh") @ t[10] + t[11]
    error = np.abs(ops.block(x, w, HEADS, CAUSAL) - y.numpy()).max() / y.abs().max().item()
    assert error < 1e-5


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("exp", -64, 88), ("sigmoid", -60, 60), ("softplus", -60, 80), ("log", 1e-30, 1e30)],
)
def test_functions_are_accurate(name: str, low: float, high: float) -> None:
    functions = {
        "exp": np.exp,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "softplus": lambda x: np.log1p(np.exp(x)),
        "log": np.log,
    }
    spaced = np.geomspace if name == "log" else np.linspace
    x = spaced(low, high, 50_000).astype(np.float32)
    true = functions[name](x.astype(np.float64))
    relative = np.abs(getattr(ops, name)(x) - true) / np.maximum(np.abs(true), 1e-30)
    assert relative.max() < 4e-7


def test_hostile_numbers_give_finite_results(every_form: list[str]) -> None:
    x = np.tile(np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45, -0.0, 1], np.float32), 5)
    x = np.stack([np.roll(x, i) for i in range(24)]).reshape(1, 24, 40)
    heads = x.reshape(1, 1, 24, 40)
    weights = random_weights(40, 72)
    hostile = ops.BlockWeights(*(np.where(w > 0.3, np.float32(3e38), w) for w in weights))
    digests = set()
    for form in every_form:
        _core.use_cpu(form)
        results = [
            ops.linear(x, hostile.qkv, hostile.qkv_bias),
            ops.layer_norm(x, hostile.attention_gain, hostile.attention_bias),
            ops.attention(heads, heads, heads),
            *(getattr(ops, name)(x) for name in ("exp", "log", "sigmoid", "gelu", "softplus")),
            ops.block(np.clip(np.nan_to_num(x), -1e38, 1e38), hostile, 4),
        ]
        assert all(np.isfinite(result).all() for result in results)
        digests.add(digest(*results))
    assert len(digests) == 1


def test_stored_weights_expand_exactly() -> None:
    half = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = half[np.isfinite(half)]
    np.testing.assert_array_equal(ops.expand_half(finite).astype(np.float16), finite)
    with pytest.raises(ValueError):
        ops.expand_half(half)
    scale = finite[finite != 0]
    weight = RANDOM.integers(-128, 128, (3, scale.size), np.int8)
    exact = weight.astype(np.float64) * scale.astype(np.float64)
    np.testing.assert_array_equal(ops.expand_int8(weight, scale), exact)
    with pytest.raises(TypeError):
        ops.expand_int8(weight, scale.astype(np.float32))


def test_wrong_shapes_are_refused() -> None:
    x, heads = normal(4, 6), normal(1, 2, 4, 3)
    with pytest.raises(ValueError):
        ops.linear(x, normal(5, 3))
    with pytest.raises(ValueError):
        ops.linear(x, normal(6, 3), normal(4))
    with pytest.raises(ValueError):
        ops.layer_norm(x, normal(5), normal(5))
    with pytest.raises(ValueError):
        ops.attention(heads, heads, normal(1, 2, 5, 3))
    for count in (0, 5):
        with pytest.raises(ValueError):
            ops.attention(heads, heads, heads, np.full(4, count, np.int32))
    with pytest.raises(TypeError):
        ops.linear(x.astype(np.float64), normal(6, 3))  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        ops.block(normal(1, 3, 8), random_weights(8, 16), 3)
    cache = ops.BlockCache(1, 64, 8)
    with pytest.raises(ValueError):
        ops.block(normal(1, 65, 8), random_weights(8, 16), 2, cache=cache)
    with pytest.raises(ValueError):
        ops.block(normal(2, 1, 8), random_weights(8, 16), 2, cache=cache)
    assert cache.length == 0
    for shape in ((1, 0, 8), (1, 1 << 21, 8), (-1, 4, 8), (1 << 20, 1 << 20, 1 << 10)):
        with pytest.raises(ValueError):
            ops.BlockCache(*shape)


def test_a_shortened_cache_forgets() -> None:
    weights, x = random_weights(), normal(2, 9, WIDTH)
    cache = ops.BlockCache(2, LENGTH, WIDTH)
    ops.block(x[:, :4], weights, HEADS, cache=cache)
    first = ops.block(x[:, 4:], weights, HEADS, cache=cache)
    assert cache.length == 9
    cache.shorten(4)
    np.testing.assert_array_equal(ops.block(x[:, 4:], weights, HEADS, cache=cache), first)
    with pytest.raises(ValueError):
        cache.shorten(10)


def test_context_and_cache_are_earlier_positions() -> None:
    weights, x, heads = random_weights(), normal(2, LENGTH, WIDTH), HEADS
    norm = ops.layer_norm(x, weights.attention_gain, weights.attention_bias)
    key_value = ops.linear(norm, weights.qkv, weights.qkv_bias)[:, :CONTEXT, WIDTH:]
    expected = ops.block(x, weights, heads, CAUSAL)[:, CONTEXT:]
    later, visible = x[:, CONTEXT:], CAUSAL[CONTEXT:]
    for threads in (1, 2):
        part = ops.block(later, weights, heads, visible, context=key_value, threads=threads)
        np.testing.assert_array_equal(part, expected)
    cache = ops.BlockCache(2, LENGTH, WIDTH)
    cache.append(np.ascontiguousarray(key_value))
    np.testing.assert_array_equal(ops.block(later, weights, heads, visible, cache=cache), expected)
    with pytest.raises(ValueError):
        ops.block(x, weights, heads, context=key_value[..., 1:])
    with pytest.raises(ValueError):
        ops.block(x, weights, heads, context=key_value, cache=cache)
    with pytest.raises(ValueError):
        cache.append(np.zeros((2, 64, 2 * WIDTH), np.float32))


def test_the_second_decoder_gives_the_same_bits() -> None:
    bits = RANDOM.integers(0, 1 << 32, 100_000, np.uint32).view(np.float32)
    for name in ("exp", "log", "sigmoid", "gelu", "softplus"):
        core, second = getattr(ops, name)(bits), getattr(exact_float, name)(bits)
        np.testing.assert_array_equal(core.view(np.uint32), second.view(np.uint32))
    x, w = normal(2, LENGTH, WIDTH), random_weights()
    second = exact_float.block(x, exact_float.Block(*w), HEADS, CAUSAL.tolist())
    np.testing.assert_array_equal(ops.block(x, w, HEADS, CAUSAL), second)


def test_the_vector_is_what_the_second_decoder_computes() -> None:
    assert exact_vectors.OUT.read_bytes() == exact_vectors.vector()


def test_the_processor_mode_of_others_has_no_influence() -> None:
    torch = pytest.importorskip("torch")
    x = np.array([[1e-30, 3e-39, 1e-45]], np.float32)
    weight = np.array([[1e-10], [0.5], [1]], np.float32)
    expected = ops.linear(x, weight)
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor has no such mode")
    try:
        np.testing.assert_array_equal(ops.linear(x, weight), expected)
    finally:
        torch.set_flush_denormal(False)
    assert 0 < expected[0, 0] < 1.2e-38
