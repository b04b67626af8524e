"""QC-Comp: the attention that a question pays to frames, and the order it puts them in."""

from collections.abc import Callable

import numpy as np
import pytest

from gvcodec.retrieval.ranking import SEGMENT, Attention, attend, best, scores


def define_mass(query, values, ask, look, sharpness: float, segment: int) -> np.ndarray:
    """Attention of each vector of the query to each frame, from the formula."""
    found = np.zeros((len(values), len(query)))
    length = np.linalg.norm
    for m, asked in enumerate(query):
        own = asked / length(asked)
        to_itself = np.exp(sharpness * own @ ask @ (own @ look))
        for begin in range(0, len(values), segment):
            part = values[begin : begin + segment]
            keys = np.array([v / length(v) for v in part]) @ look
            weights = np.exp(sharpness * keys @ (own @ ask))
            found[begin : begin + segment, m] = weights / (to_itself + weights.sum())
    return found


@pytest.mark.parametrize("segment", [1, 4, 16, 100])
def test_attention_is_a_softmax_over_a_segment_and_the_question(segment: int) -> None:
    rng = np.random.default_rng(segment)
    query, values = rng.normal(size=(3, 8)), rng.normal(size=(21, 8))
    ask, look = (np.eye(8) + 0.3 * rng.normal(size=(8, 8)) for _ in range(2))
    found = Attention(ask, look, 2.5).mass(query, values, segment)
    assert np.allclose(found, define_mass(query, values, ask, look, 2.5, segment))
    plain = Attention(sharpness=2.5).mass(query, values, segment)
    assert np.allclose(plain, define_mass(query, values, np.eye(8), np.eye(8), 2.5, segment))
    assert not np.allclose(plain, found)


def test_top_segments_come_first() -> None:
    """A segment of many fair frames receives more attention than one good frame alone."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4 * SEGMENT, 64))
    asked = rng.normal(size=64)
    values[SEGMENT + 3] = asked + 0.5 * rng.normal(size=64)
    values[2 * SEGMENT : 3 * SEGMENT] = asked + 0.6 * rng.normal(size=(SEGMENT, 64))
    frames = 16 * np.arange(len(values))
    found = attend(asked[None], np.zeros(1), values, frames)
    mass = Attention().mass(asked[None], values)[:, 0].reshape(4, SEGMENT)
    order = np.argsort(-mass.sum(1))
    assert order[0] == 2 and order[1] == 1
    assert np.allclose(found.reshape(4, SEGMENT).max(1), mass.sum(1))
    for segment in range(4):
        own = found.reshape(4, SEGMENT)[segment]
        assert np.array_equal(np.argsort(own), np.argsort(mass[segment]))
    assert [at // SEGMENT for at in best(found, frames, 2)] == [2, 2]


@pytest.mark.parametrize(("rank", "one"), [(scores, 1), (attend, 0.5)])
def test_clips_are_found_in_their_order(rank: Callable, one: float) -> None:
    """By attention a question counts as much as its like."""
    rng = np.random.default_rng(0)
    way = rng.normal(size=(6, 64))
    values = np.concatenate([rng.normal(size=(20, 64)), way, way[::-1], rng.normal(size=(9, 64))])
    frames = 8 * np.arange(len(values))
    for asked, place in ((way, 20), (way[::-1], 26)):
        assert rank(asked, 8.0 * np.arange(6), values, frames).argmax() == place
    cut, whole = (rank(way, 8.0 * np.arange(6), values[:n], frames[:n]) for n in (23, 26))
    assert cut[20] < 0.75 * whole[20]
    assert len(rank(way, 8.0 * np.arange(6), values[:0], frames[:0])) == 0
    assert rank(way[:1], np.zeros(1), way[:1], frames[:1]) == pytest.approx([one])


def test_attention_does_not_overflow() -> None:
    huge = Attention(1e9 * np.eye(4), 1e9 * np.eye(4), 1e3).mass(np.ones((1, 4)), -np.ones((5, 4)))
    assert np.isfinite(huge).all()
    zeros = attend(np.zeros((1, 4)), np.zeros(1), np.zeros((5, 4)), np.arange(5))
    assert np.isfinite(zeros).all()


def test_position_in_the_file_does_not_change_the_attention_inside_segments() -> None:
    """The same segment scores alike anywhere; one softmax over the file would not do that."""
    rng = np.random.default_rng(1)
    wanted, asked = rng.normal(size=(SEGMENT, 32)), rng.normal(size=32)
    wanted[5] = asked + 0.3 * rng.normal(size=32)
    others = asked + 1.5 * rng.normal(size=(4 * SEGMENT, 32))
    local, whole = [], []
    for at in (0, 2, 4):
        values = np.insert(others, at * SEGMENT, wanted, axis=0)
        place = at * SEGMENT + 5
        frames = np.arange(len(values))
        for segment, kept in ((SEGMENT, local), (0, whole)):
            kept.append(attend(asked[None], [0.0], values, frames, segment=segment)[place])
    assert np.ptp(local) == pytest.approx(0, abs=1e-12)
    few, many = (np.concatenate([wanted, others[:n]]) for n in (0, len(others)))
    few, many = (Attention().mass(asked[None], values, 0)[5, 0] for values in (few, many))
    assert many < few


def test_search_ranks_by_cosine():
    rng = np.random.default_rng(2)
    values, asked = rng.normal(size=(9, 8)), rng.normal(size=(1, 8))
    wanted = [v @ asked[0] / np.linalg.norm(v) / np.linalg.norm(asked) for v in values]
    assert np.allclose(scores(asked, [0.0], values, np.arange(9)), wanted)
