"""Adaptive mixing: core = reference, integer for integer; what it must learn; that it survives
anything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gvcodec import _core
from gvcodec.entropy import reference as ref

SLOTS, SETS = 40, 3


def reference_encode(
    bits: list[int], contexts: list[list[int]], sets: list[int], slots: int, set_count: int
) -> bytes:
    coder = ref.BitEncoder(ref.MixState.blank(slots, set_count))
    for bit, c, s in zip(bits, contexts, sets, strict=True):
        coder.bit(c, s, bit)
    return coder.finish()


def core_encode(
    bits: list[int], contexts: list[list[int]], sets: list[int], slots: int, set_count: int
) -> bytes:
    return _core.mix_encode(
        np.array(bits, np.uint8),
        np.array(contexts, np.uint32).reshape(len(bits), len(contexts[0]) if contexts else 0),
        np.array(sets, np.uint32),
        slots,
        set_count,
    )


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(0, 400), st.integers(1, ref.MAX_INPUTS), st.floats(0, 1)
)
def test_core_equals_reference_and_round_trips(
    seed: int, count: int, inputs: int, bias: float
) -> None:
    rng = np.random.default_rng(seed)
    contexts = rng.integers(0, SLOTS, (count, inputs)).tolist()
    sets = rng.integers(0, SETS, count).tolist()
    # Bits that depend on the first context, so that weights and slots travel far.
    bits = [int(rng.random() < (0.98 if c[0] % 2 else 0.02) * bias + 0.01) for c in contexts]
    data = core_encode(bits, contexts, sets, SLOTS, SETS)
    assert data == reference_encode(bits, contexts, sets, SLOTS, SETS)
    decoder = ref.BitDecoder(ref.MixState.blank(SLOTS, SETS), data)
    assert [decoder.bit(c, s) for c, s in zip(contexts, sets, strict=True)] == bits
    assert decoder.finished()


@pytest.mark.parametrize("bit", [0, 1])
def test_extremes_stay_equal(bit: int) -> None:
    # Thousands of equal outcomes in one slot named six times: everything runs into its limit; then
    # the opposite.
    bits = [bit] * 3000 + [1 - bit] * 300
    contexts = [[0] * ref.MAX_INPUTS] * len(bits)
    data = core_encode(bits, contexts, [0] * len(bits), 1, 1)
    assert data == reference_encode(bits, contexts, [0] * len(bits), 1, 1)


def test_cost_is_the_sum_of_its_predictions() -> None:
    rng = np.random.default_rng(3)
    contexts = rng.integers(0, SLOTS, (3000, 3)).tolist()
    bits = [int(rng.random() < (c[0] + 1) / (SLOTS + 1)) for c in contexts]
    state, cost = ref.MixState.blank(SLOTS, 1), 0.0
    for bit, c in zip(bits, contexts, strict=True):
        prediction = ref.predict(state, c, 0)
        cost -= np.log2((prediction.p if bit else 65536 - prediction.p) / 65536) / 8
        ref.update(state, c, 0, prediction, bit)
    size = len(core_encode(bits, contexts, [0] * len(bits), SLOTS, 1))
    assert cost - 3 <= size <= cost * 1.003 + 3


def test_learns_which_context_matters() -> None:
    rng = np.random.default_rng(5)
    contexts = np.stack([rng.integers(0, 8, 8000), 8 + rng.integers(0, 8, 8000)], 1)
    probability = 0.02 + 0.96 * (contexts[:, 0] % 2)
    bits = (rng.random(8000) < probability).astype(int)
    entropy = (
        float(
            -(
                probability * np.log2(probability) + (1 - probability) * np.log2(1 - probability)
            ).sum()
        )
        / 8
    )
    size = len(core_encode(bits.tolist(), contexts.tolist(), [0] * 8000, 16, 1))
    assert size < entropy * 1.15


def test_log_odds_and_back() -> None:
    probabilities = [ref.squash(x) for x in range(-2047, 2048)]
    assert (
        probabilities == sorted(probabilities)
        and 32 <= probabilities[0]
        and probabilities[-1] <= 65504
    )
    assert all(abs(ref.squash(ref.stretch(p)) - p) <= 160 for p in range(0, 65536, 7))
    exact = 65536 / (1 + np.exp(-np.arange(-2047, 2048) / 256))
    assert np.abs(np.array(probabilities) - exact).max() < 300


def test_likely_symbol_is_free_in_both() -> None:
    # A 0 lies at the low end of the range: a run of expected zeros needs no byte at all.
    assert core_encode([0] * 500, [[0]] * 500, [0] * 500, 1, 1) == b""


def test_contexts_outside_the_state_are_refused() -> None:
    with pytest.raises(ValueError, match="no such slot"):
        core_encode([1], [[5]], [0], 5, 1)
    with pytest.raises(ValueError, match="no such weight set"):
        core_encode([1], [[0]], [1], 5, 1)
    with pytest.raises(ValueError, match="another shape"):
        core_encode([1], [[0] * (ref.MAX_INPUTS + 1)], [0], 5, 1)
