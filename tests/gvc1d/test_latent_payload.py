"""LATENT payloads: round trips on every back-end, damaged bytes, contexts."""

import numpy as np
import pytest

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
from gvcodec.gvc1d.patterns import lowest
from gvcodec.gvc1d.payload import Latent, pack, unpack, with_run
from tests.networks import make_latent_network

ROWS, COLUMNS, TOKENS = 3, 5, 8
WINDOWS = ROWS * COLUMNS
GRID = ROWS, COLUMNS, TOKENS


def make_model(**others: object) -> EntropyModel:
    return EntropyModel(make_latent_network(), *GRID, **others)


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
        assert equal(unpack(pack(latent, model, memory), model, memory), latent)
        memory = memory.after(latent.values, latent.counts)
    assert memory.age == 4


def test_every_back_end_writes_the_same_bytes() -> None:
    latent, memory = make_latent(5, each=True), Memory.empty(WINDOWS, TOKENS)
    payload = pack(latent, make_model(), memory)
    other = make_model(backend="emulated")
    assert pack(latent, other, memory) == payload and equal(unpack(payload, other, memory), latent)


def test_a_frame_without_tokens_takes_two_bytes() -> None:
    model, memory = make_model(), Memory.empty(WINDOWS, TOKENS)
    empty = Latent(3, 1, np.zeros(WINDOWS, np.uint8), memory.values)
    payload = pack(empty, model, memory)
    assert payload == b"\x0b\0" and equal(unpack(payload, model, memory), empty)
    assert unpack(with_run(payload, 15), model, memory).run == 15
    assert with_run(with_run(payload, 15), 1) == payload


@pytest.mark.parametrize(
    "payload, what",
    [
        (b"", "ends early"),
        (b"\0\x09", "impossible counts"),
        (b"\0\x88\2\xff\xff", "impossible counts"),
        (b"\0\0\0", "bytes follow"),
        (b"\0\x01\x7f", "ends early"),
    ],
)
def test_damage_is_one_line(payload: bytes, what: str) -> None:
    with pytest.raises(DamagedStreamError, match=what):
        unpack(payload, make_model(), Memory.empty(WINDOWS, TOKENS))


def _seen(
    model: EntropyModel, counts: Counts, values: Values, memory: Memory
) -> dict[int, tuple[np.ndarray, list[list[int]]]]:
    """Of each value its activations, and the spans before that the network sees."""
    batch = model.contexts(counts, memory, 3)
    flat, found = values.reshape(-1), {}
    for stream in range(len(batch.counts)):
        row = flat[batch.place[stream]].tolist()
        for step in range(batch.counts[stream]):
            spans = []
            for entry in batch.back[stream, step].tolist():
                far, length = divmod(-entry, 1 << 14)
                assert entry <= 0 and length <= far <= step
                spans.append(row[step - far : step - far + length])
            found[int(batch.place[stream, step])] = batch.side[stream, step], spans
    return found


def test_contexts_see_neighbours_of_the_same_frame() -> None:
    """Values are numbered, so that each value before can be named."""
    shape = WINDOWS, TOKENS, CHANNELS
    values = np.arange(np.prod(shape)).reshape(shape)
    counts = np.full(WINDOWS, TOKENS, np.uint8)
    counts[6] = 2
    seen = _seen(make_model(), counts, values, Memory.empty(WINDOWS, TOKENS))
    assert len(seen) == int(counts.sum()) * CHANNELS
    w, t, c = 7, 5, 4
    assert w // GROUP == (w - COLUMNS) // GROUP  # in one stream
    v, whole = values[w], values[w].tolist()
    assert TOKENS == 8  # tokens 4…7 belong to regions: 2 × 2 of them
    above = values[w - COLUMNS]
    sent = [x for i in range(w) for x in values[i, : counts[i]].reshape(-1).tolist()]
    window = v.reshape(-1)[: t * CHANNELS + c].tolist()
    _, before = seen[v[t, c]]
    wanted = [[above[7, c]], [v[4, c]], [v[t, c - 1]]]  # regions above and to the left
    wanted += [[v[t, c - 1]], [v[t, c - 2]], whole[t][:c]]
    wanted += [[v[4, c]], whole[4], [], []]  # no coarser token: the upper row of regions
    wanted += [window[-64:], window, [*sent, *window]]
    wanted += [[above[t, c]], [], above[t].tolist(), []]  # the window to the left has no such token
    assert before == wanted and seen[v[7, c]][1][:2] == [[v[5, c]], [v[6, c]]]
    left = seen[values[1, 4, c]][1]
    assert left[1] == [values[0, 5, c]] and left[14] == [values[0, 4, c]]
    assert seen[values[0, 0, 0]][1] == [[]] * BACK
    assert seen[values[10, 1, 0]][1][13:] == [[]] * 4  # first column, and above is another stream


def test_patterns_see_those_of_the_next_lower_frequency() -> None:
    """Neighbours of values have the meaning that the direct path gives them."""
    pytest.importorskip("torch")
    tokens = 32
    model = EntropyModel([], 1, 1, tokens)
    values = np.arange(tokens * CHANNELS).reshape(1, tokens, CHANNELS)
    seen = _seen(model, np.full(1, tokens, np.uint8), values, Memory.empty(1, tokens))
    for first, width in ((0, 10), (10, 3), (13, 3)):
        places = enumerate(lowest(width * tokens // 2))
        at = {place: values[0, i // width, first + i % width] for i, place in places}
        for (down, along), value in at.items():
            before = seen[int(value)][1]
            for other, span in (((down - 1, along), 0), ((down, along - 1), 1)):
                assert before[span] == ([at[other]] if other in at else [])
    assert seen[int(values[0, 3, 13])][1][2] == [values[0, 3, 10]]  # the other chroma plane


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
