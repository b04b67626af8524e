"""LATENT payloads: what is written reads the same on every back-end, any bytes give tokens or one
line, and contexts see what they claim to see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gvcodec.errors import DamagedStreamError
from gvcodec.gvc1d.entropy_model import (
    BACK,
    CHANNELS,
    GROUP,
    LARGEST,
    SIDE,
    Counts,
    EntropyModel,
    Memory,
    Values,
)
from gvcodec.gvc1d.payload import Latent, pack, unpack, with_run
from tests.networks import make_latent_network

ROWS, COLUMNS, TOKENS = 3, 5, 8
WINDOWS = ROWS * COLUMNS
GRID = ROWS, COLUMNS, TOKENS


def make_model(**others: object) -> EntropyModel:
    return EntropyModel(make_latent_network(), *GRID, has_base=True, **others)  # type: ignore[arg-type]


def make_latent(seed: int, each: bool = False, run: int = 0) -> Latent:
    rng = np.random.default_rng(seed)
    counts = np.full(WINDOWS, rng.integers(1, TOKENS + 1), np.uint8)
    if each:
        counts = rng.integers(0, TOKENS + 1, WINDOWS).astype(np.uint8)
    values = np.round(rng.laplace(0, 2, (WINDOWS, TOKENS, CHANNELS))).clip(-LARGEST, LARGEST)
    values *= np.arange(TOKENS)[None, :, None] < counts[:, None, None]
    return Latent(int(rng.integers(8)), run, counts, values.astype(np.int16))


def equal(one: Latent, two: Latent) -> bool:
    same = (one.values == two.values).all() and (one.counts == two.counts).all()
    return bool(same) and one[:2] == two[:2]


@pytest.mark.parametrize("each", [False, True])
def test_frames_read_back_as_they_were_written(each: bool) -> None:
    model, memory = make_model(), Memory.empty(WINDOWS, TOKENS)
    for seed in range(4):
        latent = make_latent(seed, each, run=5 * seed)
        payload = pack(latent, model, memory)
        assert equal(unpack(payload, model, memory), latent)
        memory = memory.after(latent.values, latent.counts)
    assert memory.age == 4


def test_every_back_end_writes_the_same_bytes() -> None:
    latent, memory = make_latent(5, each=True), Memory.empty(WINDOWS, TOKENS)
    payload = pack(latent, make_model(), memory)
    other = make_model(backend="emulated")
    assert pack(latent, other, memory) == payload
    assert equal(unpack(payload, other, memory), latent)


def test_a_frame_without_tokens_takes_two_bytes() -> None:
    model, memory = make_model(), Memory.empty(WINDOWS, TOKENS)
    empty = Latent(3, 1, np.zeros(WINDOWS, np.uint8), memory.values)
    payload = pack(empty, model, memory)
    assert payload == b"\x0b\0" and equal(unpack(payload, model, memory), empty)
    assert unpack(with_run(payload, 15), model, memory).run == 15
    assert with_run(with_run(payload, 15), 1) == payload


def test_golden_payload() -> None:
    """Changes of the contexts, of the order of the values or of the framing change these bytes."""
    model = EntropyModel(make_latent_network(), 1, 2, 4, has_base=False)
    values = (np.arange(2 * 4 * CHANNELS).reshape(2, 4, CHANNELS) % 7 - 3).astype(np.int16)
    counts = np.array([3, 2], np.uint8)
    values[0, 3:], values[1, 2:] = 0, 0
    memory = Memory.empty(2, 4)
    first = pack(Latent(2, 0, counts, values), model, memory)
    memory = memory.after(values, counts)
    values[:, 1:] = 0
    second = pack(Latent(2, 15, np.full(2, 1, np.uint8), values), model, memory)
    assert (first.hex(), second.hex()) == GOLDEN


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 3))
def test_any_bytes_are_tokens_or_damage(data: bytes, seed: int) -> None:
    model, memory = make_model(), Memory.empty(WINDOWS, TOKENS)
    if seed:
        latent = make_latent(seed, each=True)
        memory = memory.after(latent.values, latent.counts)
    try:
        found = unpack(data, model, memory)
    except DamagedStreamError as error:
        assert "\n" not in str(error)
        return
    assert found.values.shape == memory.values.shape and np.abs(found.values).max() <= LARGEST
    assert found.counts.max() <= TOKENS
    missing = np.arange(TOKENS)[None, :] >= found.counts[:, None]
    assert not found.values[missing].any()


@pytest.mark.parametrize(
    "payload, what",
    [
        (b"", "ends early"),
        (b"\0\x09", "impossible counts"),
        (b"\0\0\0", "bytes follow"),
        (b"\0\x01\x7f", "ends early"),
    ],
)
def test_damage_is_one_line(payload: bytes, what: str) -> None:
    with pytest.raises(DamagedStreamError, match=what):
        unpack(payload, make_model(), Memory.empty(WINDOWS, TOKENS))


def _seen(
    counts: Counts, values: Values, memory: Memory
) -> dict[int, tuple[np.ndarray, list[int]]]:
    """Of each value its activations, and the values before that the network sees."""
    batch = make_model().contexts(counts, memory, 3)
    flat, found = values.reshape(-1), {}
    for stream in range(len(batch.counts)):
        row = flat[batch.place[stream]]
        for step in range(batch.counts[stream]):
            back = batch.back[stream, step]
            assert back.max(initial=0) <= step
            before = [int(row[step - b]) if b else 0 for b in back]
            found[int(batch.place[stream, step])] = batch.side[stream, step], before
    return found


def test_contexts_see_neighbours_of_the_same_frame() -> None:
    """Values are told apart by their number, so that each value before can be named."""
    shape = WINDOWS, TOKENS, CHANNELS
    values = np.arange(np.prod(shape)).reshape(shape)
    counts = np.full(WINDOWS, TOKENS, np.uint8)
    counts[6] = 2
    seen = _seen(counts, values, Memory.empty(WINDOWS, TOKENS))
    assert len(seen) == int(counts.sum()) * CHANNELS
    w, t, c = 7, 5, 4
    assert w // GROUP == (w - COLUMNS) // GROUP  # in one stream
    _, before = seen[values[w, t, c]]
    above = values[w - COLUMNS, t, c]
    assert TOKENS == 8  # tokens 4…7 belong to regions: 2 × 2 of them
    around = [values[w, t, c - 1], values[w, t, c - 2], values[w, t - 1, c], values[w, t - 2, c]]
    # The window to the left has no such token.
    assert before == [*around, 0, 0, above]
    assert seen[values[w, 1, c]][1][4:6] == [values[w, 0, c], values[w - 1, 1, c]]
    assert seen[values[w, 7, c]][1][4] == values[w, 5, c]
    assert seen[values[0, 0, 0]][1] == [0] * BACK
    assert seen[values[10, 1, 0]][1][5:] == [0, 0]  # first column, and above is another stream


def test_contexts_see_frames_before() -> None:
    latent, empty = make_latent(1), Memory.empty(WINDOWS, TOKENS)
    counts = np.full(WINDOWS, TOKENS, np.uint8)
    model = make_model()
    before = model.contexts(counts, empty, 0).side
    after = model.contexts(counts, empty.after(latent.values, latent.counts), 0).side
    changed = (before != after).any((0, 1))
    assert changed.sum() == 12 and not changed[:24].any() and before.shape[-1] == SIDE


def test_tokens_that_are_not_sent_leave_what_is_known() -> None:
    latent = make_latent(2)
    memory = Memory.empty(WINDOWS, TOKENS).after(latent.values, latent.counts)
    later = memory.after(latent.values * 0, np.zeros(WINDOWS, np.uint8))
    assert (later.values == memory.values).all() and (later.level == memory.level).all()


def test_a_rate_that_the_model_does_not_have_is_damage() -> None:
    memory = Memory.empty(WINDOWS, TOKENS)
    with pytest.raises(DamagedStreamError, match="impossible rate"):
        unpack(b"\x03\0", make_model(rates=3), memory)
    assert unpack(b"\x02\0", make_model(rates=3), memory).rate == 2


GOLDEN = (
    (
        "8202020fb1f733630780a7ff7b228ea1148244527df254c090f99a3a9226de5a2c7b68ffc963ac12"
        "3da0e497cfe9ac561c4d72ece7bf4529d144c4"
    ),
    "7a0133800e038af6c399a1ebf80235fccd87744abbdccd82",
)
