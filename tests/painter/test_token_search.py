"""Tokens of a GOP: found for its strength, matched, searched, tried."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from gvcodec.base import open_encoder
from gvcodec.config import EncoderConfig
from gvcodec.models import PAINTER_TOKENS
from gvcodec.painter import strength as strength_module
from gvcodec.painter.cpu import CpuPainter, block_vectors
from gvcodec.painter.energies import energies
from gvcodec.painter.model import NEUTRAL, Model, condition
from gvcodec.painter.paint_strength import with_look
from gvcodec.painter.strength import choose_strength
from gvcodec.painter.token_coding import (
    STEP,
    decompose,
    keep_kinds,
    no_tokens,
    style_offsets_of,
    unpack,
)
from gvcodec.painter.tokens import search as token_search
from gvcodec.painter.tokens import trial as token_trial
from gvcodec.painter.tokens.encoder import EncodedTokens
from gvcodec.painter.tokens.metric import PerceptualMetric
from gvcodec.painter.tokens.samples import GopSample
from gvcodec.painter.tokens.search import TokenSearch
from gvcodec.painter.tokens.trial import GopTrial, WindowCosts, choose_best, trial_windows
from gvcodec.types import Planes, VideoFormat
from tests.conftest import rough_clip

MODEL = Model.load(PAINTER_TOKENS.find())
assert MODEL.tokens is not None
TOKENS = MODEL.tokens
FORMAT = VideoFormat(192, 128, Fraction(25), Fraction(1, 25))


@pytest.fixture(scope="module")
def rough_gop() -> GopSample:
    """A GOP of twelve frames of fine texture that moves."""
    clip = rough_clip(12)
    config = EncoderConfig(q=50, preset=8, threads=1).resolve()
    encoder = open_encoder(FORMAT, config)
    parts = [*(encoder.send(planes) for planes in clip), encoder.flush()]
    base = [planes for part in parts for planes in part.base_frames]
    runs = [[(base[n + i], clip[n + i]) for i in range(3)] for n in (0, 4, 8)]
    return GopSample(0, runs, [[0, 0, 0]] * 3)


def free_flicker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes and flicker cost nothing."""
    monkeypatch.setattr(token_trial, "FLICKER_PRICE", 0.0)
    monkeypatch.setattr(token_trial, "MAX_FLICKER", 1e9)
    monkeypatch.setattr(token_trial, "MAX_WINDOW_FLICKER", 1e9)
    monkeypatch.setattr(token_search, "TEMPORAL", 0.0)


@pytest.fixture(scope="module")
def searched_gop(rough_gop: GopSample) -> tuple[TokenSearch, bytes]:
    """What a search finds in a rough GOP where bytes and flicker cost nothing."""
    with pytest.MonkeyPatch.context() as patch:
        free_flicker(patch)
        search = TokenSearch(FORMAT, "av1", Fraction(1), 50, 50, True)
        found = search.find(rough_gop, 10**9)
    assert found is not None
    return search, found


def trial_of(search: TokenSearch, sample: GopSample) -> GopTrial:
    return search.token_encoder.trial(sample, search.token_encoder.strength_of(sample))


def test_a_search_lowers_what_judges_frames_that_it_did_not_see(
    rough_gop: GopSample, searched_gop: tuple[TokenSearch, bytes], monkeypatch
) -> None:
    free_flicker(monkeypatch)
    sample, (search, found) = rough_gop, searched_gop
    tokens = unpack(found, TOKENS, 50, 128, 192)
    strength = search.token_encoder.strength_of(sample)
    encoded, matched = search.token_encoder.parts(sample, strength)
    start = keep_kinds(decompose(np.rint(encoded + matched).astype(np.int32), 128, 192), 3)
    plain, begun, steered = trial_of(search, sample).measure([None, start, tokens])
    assert steered.loss < min(plain.loss, begun.loss)
    assert search.find(GopSample(0), 10**9) is None
    assert search.find(sample, 1) is None


def test_a_trial_paints_what_decoders_show(rough_gop: GopSample) -> None:
    """Distances are those of samples that the exact painter gives, flicker that of all runs."""
    sample, judge = rough_gop, PerceptualMetric(FORMAT)
    encoder = EncodedTokens(FORMAT, "av1", Fraction(1), 50, 50, False, 1)
    tokens = no_tokens(128, 192, 8)
    tokens.region[:], tokens.kinds[:] = 2, 3
    plain, steered = encoder.trial(sample, NEUTRAL).measure([None, tokens])
    painter, stream = CpuPainter(128, 192, 1), condition("av1", Fraction(1), 50)
    changes, shown = [], []
    for levels in (None, style_offsets_of(tokens)):
        more = []
        for run in sample.runs:
            painter.start(stream, MODEL, levels)
            before, painted = None, []
            for base, _ in run:
                moves = None if before is None else block_vectors(base[0], before)
                painted.append(painter.paint(base, moves, 0))
                before = base[0]
            if run is sample.runs[1]:
                shown.append(painted[-1])
            more += [changed(run, painted, n) for n in (1, 2)]
        changes.append(np.mean(more))
    distances = judge.distances(sample.runs[1][-1][1], shown, [(0, 32, 128, 128)])
    assert plain.loss == distances[0] and steered.loss >= distances[1]
    assert plain.flicker == pytest.approx(changes[0], rel=1e-4)
    assert steered.flicker == pytest.approx(changes[1], rel=1e-4)
    assert changes[0] != changes[1]


def changed(run: list[tuple[Planes, Planes]], painted: list[Planes], number: int) -> float:
    """What 16×16 blocks change by beyond the source's change, along its motion, in 0…1."""
    now, before = run[number][1][0], run[number - 1][1][0]
    moves = block_vectors(now, before)
    dy, dx = moves.repeat(16, 1).repeat(16, 2)
    rows = np.clip(np.arange(128)[:, None] + dy, 0, 127)
    columns = np.clip(np.arange(192) + dx, 0, 191)

    def blocks(last: np.ndarray, first: np.ndarray) -> np.ndarray:
        change = np.abs(last.astype(float) - first[rows, columns])
        return change.reshape(8, 16, 12, 16).mean((1, 3))

    more = blocks(painted[number][0], painted[number - 1][0]) - blocks(now, before)
    return float(np.maximum(0, more).mean() / 1023)


@pytest.mark.parametrize("kinds", [[3], [1, 2, 3]])
def test_a_trial_sends_what_serves_and_no_harm(
    kinds: list[int], rough_gop: GopSample, searched_gop: tuple[TokenSearch, bytes], monkeypatch
) -> None:
    free_flicker(monkeypatch)
    search, found = searched_gop
    trial = trial_of(search, rough_gop)
    regions = style_offsets_of(unpack(found, TOKENS, 50, 128, 192)).transpose(1, 2, 0) // STEP
    good = regions.astype(np.float32)
    assert trial.choose([good], 10**9, kinds).kinds.any()
    for harmful in (np.full_like(good, 7), np.full_like(good, -7)):
        tokens = trial.choose([harmful], 10**9, kinds)
        plain, kept = trial.measure([None, tokens])
        assert kept.loss <= plain.loss
    assert not trial.choose([good], 1, kinds).kinds.any()
    assert not trial.choose([], 10**9, kinds).kinds.any()
    # Where change costs all, what changes less is sent, or nothing.
    monkeypatch.setattr(token_trial, "FLICKER_PRICE", 1e6)
    one = np.full_like(good, 1)
    for found in (good, one, -one):
        plain, kept = trial.measure([None, trial.choose([found], 10**9, kinds)])
        assert kept.flicker <= plain.flicker


def test_windows_of_every_size_are_even() -> None:
    assert trial_windows(300, 521) == [(0, 0, 256, 256), (0, 256, 256, 256)]
    assert trial_windows(305, 47) == []
    assert trial_windows(317, 101) == [(0, 0, 256, 100), (256, 0, 60, 100)]


@pytest.mark.parametrize("size", [(48, 64), (300, 521)])
def test_pictures_of_every_size_are_tried(size: tuple[int, int]) -> None:
    height, width = size
    fmt = replace(FORMAT, width=width, height=height)
    clip = rough_clip(4, height + height % 2, width + width % 2)
    clip = [(y[:height, :width], u, v) for y, u, v in clip]
    sample = GopSample(0, [[(planes, planes) for planes in clip[:3]]], [[0, 0, 0]])
    encoder = EncodedTokens(fmt, "av1", Fraction(1), 50, 50, True, 1)
    found = encoder.find(sample, 10**6)
    assert found is None or unpack(found, TOKENS, 50, height, width).kinds.any()


def test_pictures_smaller_than_a_window_have_no_tokens() -> None:
    height, width = 40, 64
    clip = rough_clip(3, height, width)
    sample = GopSample(0, [[(planes, planes) for planes in clip]], [[0, 0, 0]])
    search = TokenSearch(
        replace(FORMAT, width=width, height=height), "av1", Fraction(1), 50, 50, True
    )
    assert search.find(sample, 10**9) is None


def test_a_search_sees_whole_windows(monkeypatch) -> None:
    """Of windows that are not square too."""
    monkeypatch.setattr(token_search, "TEMPORAL", 0.0)
    monkeypatch.setattr(token_search, "PSNR_PRICE", 0.0)
    clip = rough_clip(4)
    sample = GopSample(0, [list(zip(clip[:2], clip[2:], strict=True))], [[0, 0]])
    descent = token_search.Descent(FORMAT, "av1", Fraction(1), 50)
    (run,) = token_search.prepare(sample.runs, sample.rates, descent.device)
    painter, (window,) = descent.painter_at(NEUTRAL), descent.windows
    look = descent.observe(painter, run, descent.moves_of(sample, 0), window, 0)
    levels = torch.zeros(1, TOKENS.dims, 16, 24, requires_grad=True)
    descent.loss(painter, look, levels).backward()
    assert levels.grad is not None and levels.grad.abs().amax((0, 1)).min() > 0


class FixedJudge:
    """Finds the same distances (pictures, windows) always."""

    def __init__(self, distances: list[list[float]]) -> None:
        self._distances = np.array(distances)

    def distances(self, source, painted, windows) -> np.ndarray:
        assert self._distances.shape == (len(painted), len(windows))
        return self._distances


def test_each_window_gets_the_tokens_that_serve_it(monkeypatch) -> None:
    monkeypatch.setattr(token_trial, "FLICKER_PRICE", 0.0)
    monkeypatch.setattr(token_trial, "MAX_FLICKER", 1e9)
    monkeypatch.setattr(token_trial, "MAX_WINDOW_FLICKER", 1e9)
    monkeypatch.setattr(token_trial, "PSNR_PRICE", 0.0)
    height, width = 317, 521
    assert [window[:2] for window in trial_windows(height, width)] == [
        (0, 0), (0, 256), (256, 0), (256, 256)
    ]  # fmt: skip
    clip = rough_clip(2, height + 1, width + 1)
    clip = [(y[:height, :width], u, v) for y, u, v in clip]
    sample = GopSample(0, [[(planes, planes) for planes in clip]], [[0, 0]])
    # Unsteered, then by two finds: the second window is best unsteered.
    judge = FixedJudge([[0.5, 0.1, 0.5, 0.5], [0.3, 0.2, 0.4, 0.2], [0.2, 0.2, 0.3, 0.4]])
    rng = np.random.default_rng(3)
    first, second = rng.integers(-3, 4, (2, 5, 9, TOKENS.dims)).astype(np.float32)
    trial = GopTrial(MODEL, condition("av1", Fraction(1), 50), sample, judge)
    tokens = trial.choose([first, second], 10**9)
    assert tokens.kinds.tolist() == [[3, 0, 0], [3, 3, 0]]
    sent = style_offsets_of(tokens).transpose(1, 2, 0) // STEP
    wanted = np.zeros_like(first)
    wanted[:, :4] = second[:, :4]
    wanted[4:, 4:8] = first[4:, 4:8]
    assert np.array_equal(sent, wanted)


def test_flicker_gets_dearer_until_a_gop_has_little_more(monkeypatch) -> None:
    monkeypatch.setattr(token_trial, "MAX_WINDOW_FLICKER", 1e9)
    ones = np.ones(10)
    plain = WindowCosts(ones, 1e-3 * ones)
    # The first option gains most and flickers most in the first windows.
    bold = WindowCosts(0.8 * ones, 1e-3 * (1.5 - 0.05 * np.arange(10)))
    mild = WindowCosts(0.95 * ones, 1e-3 * ones)
    sizes = np.ones((2, 10))
    chosen = choose_best(plain, [bold, mild], sizes, 10**6)
    assert chosen[0] == 1 and chosen[9] == 0 and chosen == sorted(chosen, reverse=True)
    flicker = sum((bold, mild)[option].flicker[n] for n, option in enumerate(chosen))
    assert 1e-2 < flicker <= 1e-2 * token_trial.MAX_FLICKER + 10 * token_trial._SLACK
    # Bytes cost what they would earn elsewhere, and what only harms is not sent.
    assert choose_best(plain, [bold, mild], sizes, 1) == [None] * 10
    worse = WindowCosts(1.01 * ones, 1e-3 * ones)
    assert choose_best(plain, [worse], np.zeros((1, 10)), 10**6) == [None] * 10
    assert choose_best(plain, [], np.zeros((0, 10)), 10**6) == [None] * 10


def test_no_window_gets_tokens_that_flicker_too_much(monkeypatch) -> None:
    """However much they gain, and however little the rest of the GOP flickers."""
    monkeypatch.setattr(token_trial, "FLICKER_PRICE", 0.0)
    monkeypatch.setattr(token_trial, "MAX_FLICKER", 1e9)
    ones, limit = np.ones(10), token_trial.MAX_WINDOW_FLICKER
    plain = WindowCosts(ones, 1e-2 * ones)
    flicker = 1e-2 * ones
    flicker[:3] *= 1.5 * limit
    bold = WindowCosts(0.5 * ones, flicker)
    mild = WindowCosts(0.95 * ones, 1e-2 * (limit - 0.01) * ones)
    none = np.zeros((1, 10))
    assert choose_best(plain, [bold], none, 10**6) == [None] * 3 + [0] * 7
    assert choose_best(plain, [bold, mild], np.zeros((2, 10)), 10**6) == [1] * 3 + [0] * 7
    # Neither invisible flicker nor less flicker rules tokens out.
    still = WindowCosts(ones, 1e-6 * ones)
    assert choose_best(still, [WindowCosts(0.5 * ones, 5e-6 * ones)], none, 10**6) == [0] * 10
    assert choose_best(plain, [WindowCosts(0.5 * ones, 0 * ones)], none, 10**6) == [0] * 10
    monkeypatch.setattr(token_trial, "MAX_WINDOW_FLICKER", 1e9)
    assert choose_best(plain, [bold], none, 10**6) == [0] * 10


def test_tokens_are_found_for_the_strength_of_the_gop(rough_gop: GopSample, monkeypatch) -> None:
    monkeypatch.setattr(strength_module, "LIMIT", 0.5)
    sample = rough_gop
    found = {
        (steadies, dial): EncodedTokens(FORMAT, "av1", Fraction(1), 50, dial, steadies, 1)
        for steadies, dial in ((False, 50), (True, 50), (False, 90))
    }
    stream = condition("av1", Fraction(1), 50)
    strength = choose_strength(MODEL, stream, sample.clips)
    strengths = {key: encoded.strength_of(sample) for key, encoded in found.items()}
    bold = with_look(NEUTRAL, 90)
    assert strength != NEUTRAL
    assert strengths == {(False, 50): NEUTRAL, (True, 50): strength, (False, 90): bold}
    parts = [found[False, 50].parts(sample, at) for at in (NEUTRAL, bold)]
    assert not np.array_equal(parts[0][1], parts[1][1])


def test_matched_tokens_bring_energies_nearer_to_the_source_s(rough_gop: GopSample) -> None:
    sample = rough_gop
    encoded = EncodedTokens(FORMAT, "av1", Fraction(1), 50, 50, False, 1)
    _, matched = encoded.parts(sample, NEUTRAL)
    assert matched.shape == (2, 3, TOKENS.dims)
    tokens = keep_kinds(decompose(np.rint(matched).astype(np.int32), 128, 192), 3)
    stream = condition("av1", Fraction(1), 50)
    misses = []
    for levels in (None, style_offsets_of(tokens)):
        painted = sample.clips.paint_one(1, MODEL, stream, levels)[-1][0]
        source = sample.runs[1][-1][1][0]
        misses.append(float(np.abs(energies(painted) - energies(source)).mean()))
    assert misses[1] < misses[0]
