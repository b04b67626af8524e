"""Budgets of windows: the oracle is never worse than equal lambda, routers share what they should,
nothing leaves a trace."""

from __future__ import annotations

import functools
import io
from fractions import Fraction

import numpy as np
import pytest
from clips import make_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.experiments.wrong_allocators import Delayed, Shuffled
from gvcodec import api
from gvcodec.allocation.elbo import routed
from gvcodec.allocation.oracle import LADDER, Oracle, Survey, best_within, lower_hull
from gvcodec.allocation.registry import NAMES
from gvcodec.allocation.uniqueness import (
    Uniqueness,
    UniquenessOptions,
    independent,
    shares,
    window_features,
)
from gvcodec.allocation.windows import (
    Allocator,
    Outcome,
    Trial,
    WindowBudgets,
    Windows,
    errors,
    grid,
)
from gvcodec.bitstream import Reader
from gvcodec.encoder import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.structure import StructureEncoder
from gvcodec.structure.klt.codec import KltDecoder, open_encoder
from gvcodec.types import Planes, VideoFormat

KLT = EncoderConfig(base="klt", tune=0, keyint=0, threads=1, low_delay=True, base_q=36)
SIZE = 300, 270


def encoder(allocator: WindowBudgets | None, q: float = 36) -> StructureEncoder:
    fmt = VideoFormat(*SIZE, Fraction(25), Fraction(1, 25))
    return open_encoder(fmt, q, 0, True, 1, regions=allocator)


class Recorder:
    """An allocator that keeps what it saw."""

    def __init__(self, inner: Allocator | None = None) -> None:
        self.inner, self.outcomes = inner, list[Outcome]()
        self.plain: list[Outcome] = []

    def multipliers(self, planes: Planes, weights: Windows, trial: Trial) -> Windows | None:
        self.plain.append(trial(np.ones(grid(planes[0]))))
        return self.inner.multipliers(planes, weights, trial) if self.inner else None

    def coded(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


def test_trials_leave_no_trace_and_tell_the_truth() -> None:
    recorder = Recorder()
    plain, tried = encoder(None), encoder(WindowBudgets(recorder))
    decoder = KltDecoder(*SIZE)
    for planes in make_clip(*SIZE, 4, seed=2):
        a, b = plain.send(planes), tried.send(planes)
        assert a.packets == b.packets
        assert decoder.send(b.packets[0].payload, b.packets[0].keyframe)
        bits = decoder.window_bits()
        assert bits.shape == (2, 2)
        assert np.allclose(bits, recorder.outcomes[-1].bits, atol=0.5)
        assert np.array_equal(recorder.plain[-1].bits, recorder.outcomes[-1].bits)
        assert np.array_equal(recorder.plain[-1].squared_error, recorder.outcomes[-1].squared_error)
        # The coder's overhead is below three bytes and 0.3 %; one byte is the head.
        assert -8 <= 8 * (len(b.packets[0].payload) - 1) - bits.sum() <= 24 + 0.003 * bits.sum()
        squared = sum(
            float(np.sum((s.astype(float) - c) ** 2))
            for s, c in zip(planes, b.loops[0], strict=True)
        )
        assert recorder.outcomes[-1].squared_error.sum() == pytest.approx(squared)


@pytest.mark.parametrize("q", [28, 44])
def test_the_oracle_is_never_worse_on_a_single_frame(q: int) -> None:
    recorder = Recorder(Oracle())
    planes = make_clip(700, 300, 1, seed=q)[0]
    fmt = VideoFormat(700, 300, Fraction(25), Fraction(1, 25))
    coder = open_encoder(fmt, q, 0, True, 1, regions=WindowBudgets(recorder))
    coder.send(planes)
    uniform, oracle = recorder.plain[0], recorder.outcomes[0]
    # Windows share the state of the entropy model and the edges between them: what was measured
    # apart adds up nearly.
    assert oracle.bits.sum() <= 1.003 * uniform.bits.sum()
    assert oracle.squared_error.sum() <= 1.003 * uniform.squared_error.sum()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_open_loop_choice_is_best_on_the_hull(seed: int, windows: int) -> None:
    rng = np.random.default_rng(seed)
    options = len(LADDER)
    bits = np.sort(rng.integers(1, 300, (options, windows)).astype(float), 0)[::-1]
    error = np.sort(rng.integers(1, 300, (options, windows)).astype(float), 0)
    reference = LADDER.index(1.0)
    chosen = best_within(bits, error, reference)
    at = np.arange(windows)
    assert bits[chosen, at].sum() <= bits[reference].sum()
    assert error[chosen, at].sum() <= error[reference].sum()


def test_one_slope_for_all_frames() -> None:
    """The second of two frames gets the bits: an error there is worth eight of the first's, or a
    bit costs an eighth."""
    planes = make_clip(*SIZE, 1, seed=4)[0]
    ladder, shape = np.array(LADDER), grid(planes[0])
    for weight, price in ((8.0, 1.0), (1.0, 1 / 8)):
        asked: list[Windows] = []

        def trial(
            multipliers: Windows, price: float = 1.0, asked: list[Windows] = asked
        ) -> Outcome:
            asked.append(multipliers)
            bits, error = 100 / np.sqrt(multipliers), 50 * np.sqrt(multipliers)
            return Outcome(bits, error, error, price)

        survey = Survey()
        assert survey.multipliers(planes, np.ones(shape), trial) is None
        assert (
            survey.multipliers(
                planes, np.full(shape, weight), functools.partial(trial, price=price)
            )
            is None
        )
        assert [m[0, 0] for m in asked] == [*ladder, *ladder]
        planned = survey.planned()
        first, second = (planned.multipliers(planes, np.ones(shape), trial) for _ in range(2))
        assert first.shape == second.shape == shape and first.min() > 1 > second.max()
        assert (100 / np.sqrt(first)).sum() + (100 / np.sqrt(second)).sum() <= 2 * 100 * first.size


def test_a_survey_changes_nothing_and_its_plan_for_one_frame_is_the_oracles() -> None:
    clip = make_clip(*SIZE, 3, seed=2)
    plain, survey, survey_of_one = encoder(None), Survey(), Survey()
    surveyed = encoder(WindowBudgets(survey))
    for planes in clip:
        assert surveyed.send(planes).packets == plain.send(planes).packets
    encoder(WindowBudgets(survey_of_one)).send(clip[0])
    one, other = (
        encoder(WindowBudgets(a)).send(clip[0]).packets for a in (survey_of_one.planned(), Oracle())
    )
    assert one == other
    planned = survey.planned()
    coder = encoder(WindowBudgets(planned))
    assert len([coder.send(planes) for planes in clip]) == 3
    with pytest.raises(StopIteration):
        coder.send(clip[0])


def test_hull() -> None:
    bits, error = np.array([10.0, 5.0, 20.0, 15.0, 30.0]), np.array([50.0, 100.0, 40.0, 20.0, 20.0])
    assert lower_hull(bits, error) == [1, 0, 3]
    two = best_within(
        np.array([[10.0, 10.0], [20.0, 20.0], [0.0, 0.0]]),
        np.array([[9.0, 9.0], [8.5, 1.0], [10.0, 20.0]]),
        0,
    )
    assert two.tolist() == [2, 1]  # the second window's bits are worth much more


def test_router() -> None:
    share = routed(np.array([[1.0, 3.0], [96.0, 0.0]]), 1000.0)
    assert share.sum() == pytest.approx(1000) and share.max() / share.min() == pytest.approx(16)
    assert share[0, 0] == share[1, 1] == share[0, 1]


def test_uniqueness() -> None:
    luma = make_clip(768, 256, 1, seed=3)[0][0]
    luma[:, 256:512] = luma[:, :256]
    features = window_features(luma)
    assert features.shape[0] == 3 and np.allclose((features * features).sum(1), 1)
    share = shares(features)
    assert share.sum() == pytest.approx(3) and share[2] > share[0] == pytest.approx(
        share[1], rel=2e-3
    )
    taken = independent(features, 1e-3)
    assert taken[2] and taken.sum() == 2
    assert independent(features, 2.0).sum() == 1


def test_fusion_skips_what_resembles_its_leader() -> None:
    rng = np.random.default_rng(0)
    still = make_clip(*SIZE, 1, seed=5)[0]
    noisy = [
        tuple(np.clip(p + rng.normal(0, 8, p.shape), 0, 1023).astype(np.uint16) for p in still)
        for _ in range(6)
    ]
    coder = encoder(
        WindowBudgets(Uniqueness(UniquenessOptions(fusion=0.002, allocation=0, group=4))), q=8
    )
    sizes = [len(coder.send(planes).packets[0].payload) for planes in noisy]
    assert max(sizes[1:4]) < sizes[4] / 20  # the fifth leads a group again


def test_a_frozen_scene_with_noise_costs_next_to_nothing() -> None:
    """Noise of two steps of 255: at most 0.0003 bits a pixel and six bytes for each repeated
    frame."""
    rng = np.random.default_rng(0)
    still = make_clip(352, 288, 1, seed=5)[0]
    clip = [
        tuple(np.clip(p + rng.normal(0, 8, p.shape), 0, 1023).astype(np.uint16) for p in still)
        for _ in range(20)
    ]
    for low_delay in (False, True):
        data = api.encode(
            clip, base="klt", tune=0, keyint=0, threads=1, base_q=40, low_delay=low_delay
        )
        sizes = [
            len(packet.pack()) for packet in Reader(io.BytesIO(data)).packets() if packet.is_frame
        ]
        assert sum(sizes[1:]) <= (len(clip) - 1) * (0.0003 * 352 * 288 / 8 + 6)


def test_errors_by_window() -> None:
    source, loop = make_clip(*SIZE, 2, seed=1)
    squared, absolute = errors(source, loop)
    assert squared.shape == absolute.shape == (2, 2)
    window = [p[: 256 >> (n > 0), 256 >> (n > 0) :].astype(float) for n, p in enumerate(source)]
    coded = [p[: 256 >> (n > 0), 256 >> (n > 0) :] for n, p in enumerate(loop)]
    assert squared[0, 1] == pytest.approx(
        sum(float(((a - b) ** 2).sum()) for a, b in zip(window, coded, strict=True))
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_allocator_makes_a_stream(name: str) -> None:
    clip = make_clip(*SIZE, 3, seed=7)
    data = api.encode(
        clip, config=EncoderConfig(base="klt", tune=0, threads=1, base_q=44, alloc=name)
    )
    assert len(list(api.decode_planes(data, fidelity=True))) == 3


def test_controls_and_refusals() -> None:
    clip = make_clip(*SIZE, 3, seed=7)
    seen = [window_features(p[0]) for p in clip]
    right = [
        Uniqueness().multipliers(p, np.ones((2, 2)), lambda m: pytest.fail("no trial"))
        for p in clip
    ]
    delayed, shuffled = Delayed(Uniqueness(), 1), Shuffled(Uniqueness())
    late = [
        delayed.multipliers(p, np.ones((2, 2)), lambda m: pytest.fail("no trial")) for p in clip
    ]
    assert late[0] is None and np.array_equal(late[1], right[0]) and len(seen) == 3
    mixed = shuffled.multipliers(clip[0], np.ones((2, 2)), lambda m: pytest.fail("no trial"))
    assert np.array_equal(np.sort(mixed, None), np.sort(right[0], None))
    for wrong in ({"alloc": "best"}, {"alloc": "elbo", "base": "av1"}):
        with pytest.raises(UsageError):
            api.encode(clip, tune=0, **({"base": "klt"} | wrong))
