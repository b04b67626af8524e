"""Budgets of windows: the formulas of UniComp and InfoTok against definitions written out here."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from eval import token_budgets as budget
from gvcodec.allocation import patches, router, uniqueness


def features_of(seed: int, *shape: int) -> np.ndarray:
    """Features that resemble each other more or less: few prototypes and noise."""
    rng = np.random.default_rng(seed)
    prototypes = rng.normal(size=(5, shape[-1]))
    noise = rng.normal(size=shape) * rng.uniform(0.02, 0.5, (*shape[:-1], 1))
    return (prototypes[rng.integers(0, 5, shape[:-1])] + noise).astype(np.float32)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b)))


# UniComp


def test_uniqueness_is_one_less_the_cosine() -> None:
    a, b = features_of(1, 7, 6).astype(float), features_of(2, 3, 6).astype(float)
    found = uniqueness.uniqueness(a, b)
    for i, j in itertools.product(range(7), range(3)):
        assert found[i, j] == pytest.approx(1 - cosine(a[i], b[j]))
    zeros = np.zeros((1, 6), np.float32)
    assert uniqueness.uniqueness(zeros, b) == pytest.approx(np.ones((1, 3)))


def test_frames_are_compared_token_by_token() -> None:
    features = features_of(15, 3, 5, 8).astype(float)
    whole = uniqueness.frame_features(features)
    for i, j in itertools.product(range(3), repeat=2):
        alike = np.mean([cosine(a, b) for a, b in zip(features[i], features[j], strict=True)])
        assert cosine(whole[i], whole[j]) == pytest.approx(alike)


def test_what_all_tokens_share_counts_for_nothing() -> None:
    features = features_of(16, 6, 12, 8)
    shared = features + 100 * np.ones(8, np.float32)
    assert uniqueness.uniqueness(shared[0]).max() < 0.01
    one, other = (uniqueness.compress(f, 30) for f in (features, shared))
    assert np.array_equal(one.mask, other.mask) and one.mask.sum() > 10


def groups(frames: np.ndarray, threshold: float, retain: float) -> list[int]:
    """Frame Group Fusion in its own words."""
    firsts, members = [0], 1
    out = [0]
    for t in range(1, len(frames)):
        if 1 - cosine(frames[t], frames[firsts[-1]]) <= threshold and members < 1 / retain:
            members += 1
        else:
            firsts.append(t)
            members = 1
        out.append(firsts[-1])
    return out


@pytest.mark.parametrize(("threshold", "retain"), [(0.1, 0.25), (0.5, 0.5), (0.02, 0.1), (2, 0.3)])
def test_frames_join_the_group_of_a_like_first_frame(threshold: float, retain: float) -> None:
    frames = np.repeat(features_of(3, 6, 8), 5, 0).astype(float)
    frames += np.random.default_rng(4).normal(size=frames.shape) * 0.1
    found = uniqueness.fuse_frames(frames, threshold, retain)
    assert found.tolist() == groups(frames, threshold, retain)
    assert len(set(found.tolist())) < len(frames)


def test_a_group_goes_by_its_first_frame_not_by_the_last() -> None:
    """Frames that turn slowly: each is like the previous one, and not like the first."""
    angles = np.arange(12) * 0.05
    frames = np.stack([np.cos(angles), np.sin(angles)], 1)
    found = uniqueness.fuse_frames(frames, 0.005, 0.01)  # 1 - cos(0.1) = 0.005
    assert found.tolist() in ([t // n * n for t in range(12)] for n in (2, 3))
    assert found.tolist() == groups(frames, 0.005, 0.01)


def allocation(frames: np.ndarray, budget_: int, most: int) -> list[int]:
    """Token Allocation in its own words."""
    count = len(frames)
    s = np.array([np.mean([cosine(a, b) for b in frames]) for a in frames])
    u = (s.mean() - s) * np.sqrt(count)
    k = [int(x) for x in np.exp(u) / np.exp(u).sum() * budget_]
    cap = min(most, max(1, 2 * (budget_ // count)))
    k = [min(x, cap) for x in k]
    while sum(k) < budget_ and any(x < cap for x in k):
        share = (budget_ - sum(k)) // sum(x < cap for x in k)
        below = [i for i in range(count) if k[i] < cap][: None if share else budget_ - sum(k)]
        k = [min(x + max(share, 1), cap) if i in below else x for i, x in enumerate(k)]
    return k


@pytest.mark.parametrize(("total", "most"), [(5, 32), (60, 32), (100, 10), (130, 32), (4000, 32)])
def test_unlike_frames_get_more_tokens(total: int, most: int) -> None:
    frames = features_of(5, 12, 8).astype(float)
    frames[3] = -frames[0]
    found = uniqueness.allocate_tokens(frames, total, most)
    assert found.tolist() == allocation(frames, total, most)
    assert found.sum() <= total and found.max() <= most
    if total == 60:
        assert found[3] == found.max() > found.min()


def selection(features: np.ndarray, threshold: float) -> list[int]:
    """Candidates of Spatial Dynamic Compression in its own words."""
    count = len(features)
    u = [[1 - cosine(a, b) for b in features] for a in features]
    order = sorted(range(count), key=lambda i: -sum(u[i]))
    kept: list[int] = []
    for i in order:
        if all(u[i][j] >= threshold for j in kept):
            kept.append(i)
    return kept


@pytest.mark.parametrize("threshold", [0.02, 0.2, 0.7])
def test_like_tokens_are_dropped_into_the_kept_one(threshold: float) -> None:
    features = features_of(6, 2, 20, 8).astype(float)
    values = np.random.default_rng(7).normal(size=(2, 20, 3))
    kept = [selection(frame, threshold) for frame in features]
    budgets = np.array([len(kept[0]), max(1, len(kept[1]) - 2)])
    found = uniqueness.compress_frames(features, budgets, threshold)
    for t in range(2):
        mine = kept[t][: budgets[t]]
        assert np.flatnonzero(found.mask[t]).tolist() == sorted(mine)
        for i in mine:
            near = [j for j in range(20) if 1 - cosine(features[t, i], features[t, j]) < threshold]
            expected = (values[t, i] + np.mean([values[t, j] for j in {*near, i}], 0)) / 2
            assert found.merge(t, values[t])[i] == pytest.approx(expected)
        assert not found.merge(t, values[t])[~found.mask[t]].any()
    assert 0 < found.mask.sum() < 40


def test_budget_that_a_frame_does_not_need_passes_on() -> None:
    """All tokens of the first frame are alike, those of the second have nothing in common."""
    features = np.stack([np.ones((8, 8)), np.eye(8), np.eye(8)])
    found = uniqueness.compress_frames(features, np.array([4, 4, 0]), 0.2)
    assert found.mask.sum(1).tolist() == [1, 7, 0]


def test_a_gop_never_sends_more_than_its_budget() -> None:
    features = np.repeat(features_of(8, 3, 16, 8), 4, 0)
    for total in (1, 7, 40, 100, 192):
        found = uniqueness.compress(features, total)
        assert 0 < found.mask.sum() <= total
        whole = uniqueness.frame_features(uniqueness.subtract_mean(features))
        firsts = uniqueness.fuse_frames(whole, 0.005, total / features[..., 0].size)
        joined = firsts != np.arange(12)
        assert not found.mask[joined].any() and (total > 96 or joined.any())
    with pytest.raises(ValueError, match="budget of 0"):
        uniqueness.compress(features, 0)


# InfoTok


def test_elbo_is_bits_and_distortion_at_a_price() -> None:
    bits = np.array([10.0, 20.0])
    assert router.negative_elbo(bits, np.array([4.0, 0.0]), 0.5).tolist() == [18.0, 20.0]


@pytest.mark.parametrize("total", [0, 5, 48, 100, 300, 767, 768, 5000])
def test_counts_by_elbo_come_to_the_budget(total: int) -> None:
    elbo = np.random.default_rng(9).gamma(1.0, 5.0, (4, 6))
    found = router.route_to(elbo, 32, total)
    assert found.sum() == min(total, 24 * 32) and found.max() <= 32
    assert (np.diff(found.ravel()[np.argsort(elbo.ravel())]) >= -1).all()
    if total >= 48:
        assert found.min() >= 2
        inside = (found > 2) & (found < 32)
        if inside.sum() > 1:
            share = np.median(found[inside] / elbo[inside])
            assert np.abs(found[inside] - elbo[inside] * share).max() <= 1.5


def test_inputs_of_the_router_are_differences_of_tokens() -> None:
    values = np.random.default_rng(2).integers(-9, 10, (2, 3, 256, 4))
    found = router.differences(values, 4)
    assert found.shape == (2, 3, 5) and (found[..., -1] == 4).all()
    steps = [abs(b - a) for a, b in itertools.pairwise(values[1, 2, :, 1].tolist())]
    assert found[1, 2, 1] == pytest.approx(np.log(1 + np.mean(steps)), rel=1e-5)
    brighter = router.differences(values + 7, 4)
    assert brighter == pytest.approx(found, rel=1e-6)
    assert (router.differences(values[:, :, :1], 4)[..., :-1] == 0).all()


def test_router_predicts_as_written_down(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    shapes = {"centre": 5, "scale": 5, "linear": 5, "hidden": (6, 5), "hidden_bias": 6, "out": 6}
    parts = {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    parts["out_bias"] = np.array([0.5], np.float32)
    save_file(parts, tmp_path / "router.safetensors")
    head = router.Router.read(tmp_path / "router.safetensors")
    values = rng.integers(-9, 10, (2, 3, 8, 4))
    found = head.predict(values, 3.5)
    assert found.shape == (2, 3)
    steps = np.abs(values[1, 2, 1:] - values[1, 2, :-1]).mean(0)
    seen = np.append(np.log(1 + steps), 3.5)
    seen = (seen - parts["centre"]) * parts["scale"]
    units = parts["hidden"] @ seen + parts["hidden_bias"]
    expected = np.exp(parts["linear"] @ seen + np.maximum(units, 0) @ parts["out"] + 0.5)
    assert found[1, 2] == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="3 channels, not 4"):
        head.predict(values[..., :3], 3.5)
    save_file(parts | {"out": np.zeros(4, np.float32)}, tmp_path / "odd.safetensors")
    with pytest.raises(ValueError, match="do not fit"):
        router.Router.read(tmp_path / "odd.safetensors")


# Together


def prefix_errors(seed: int, windows: int, tokens: int) -> np.ndarray:
    gains = np.random.default_rng(seed).gamma(0.4, 1.0, (windows, tokens))
    gains /= np.arange(1, tokens + 1)
    return gains.sum(1, keepdims=True) - np.pad(np.cumsum(gains, 1), ((0, 0), (1, 0)))


@pytest.mark.parametrize("total", [0, 3, 9, 14])
def test_trial_of_prefixes_is_as_good_as_all_combinations(total: int) -> None:
    """Among points that a price of a token can reach it is the best; beyond, within one step."""
    errors = prefix_errors(3, 4, 4)
    chosen = budget.rate_distortion(np.broadcast_to(np.arange(5.0), errors.shape), errors, total)
    assert chosen.sum() <= total
    found = errors[np.arange(4), chosen].sum()
    combinations = np.array(list(itertools.product(range(5), repeat=4)))
    sums = errors[np.arange(4), combinations].sum(1)
    assert found <= sums[combinations.sum(1) <= chosen.sum()].min() + 1e-9


@pytest.mark.parametrize("method", budget.METHODS)
def test_no_method_spends_more_than_its_budget(method: str) -> None:
    features = features_of(11, 5, 3, 32, 8)
    errors = prefix_errors(5, 15, 32).reshape(5, 3, 33)
    for total in (0, 20, 200, 480):
        counts = budget.allocate(features, errors, method, total)
        assert counts.shape == (5, 3) and counts.sum() <= total
        assert 0 <= counts.min() and counts.max() <= 32
        if method != "uniqueness":
            assert counts.sum() >= min(total, 480) - 15 or method == "rd"


def test_both_takes_frames_from_uniqueness_and_windows_from_elbo() -> None:
    features = features_of(12, 6, 3, 32, 8)
    elbo = np.random.default_rng(2).gamma(1, 1, (6, 3))
    counts = budget.allocate(features, elbo, "both", 300)
    frames = uniqueness.frame_budgets(features, 300, 96)
    assert counts.sum(1).tolist() == frames.tolist()
    for row, of_frame, total in zip(counts, elbo, frames, strict=True):
        assert row.tolist() == router.route_to(of_frame, 32, int(total)).tolist()


def test_bad_input_is_refused() -> None:
    features = features_of(14, 2, 2, 32, 4)
    for method, errors, total in (
        ("nothing", None, 5),
        ("elbo", None, 5),
        ("rd", np.ones((2, 2)), 5),
        ("elbo", np.ones((2, 3)), 5),
        ("uniform", None, -1),
    ):
        with pytest.raises(ValueError):
            budget.allocate(features, errors, method, total)


def test_features_of_luma_lie_where_their_windows_are() -> None:
    """A picture of 2 × 3 windows, with one bright block of 8×8 in the first."""
    luma = np.full((300, 520), 400, np.uint16)
    luma[:8, :8] = 720
    luma[256:, 512:] = 100
    found = patches.luma_features(luma)
    assert found.shape == (6, patches.TOKENS, patches.WIDTH)
    means, gradients = found[..., :32], found[..., 32:]
    assert means[0, 0, 0] == pytest.approx(320 - 320 / 1024)  # less the window's mean
    assert np.unique(np.delete(means[0].ravel(), 0)).size == 1
    assert gradients[0, 0, 0] == pytest.approx(2 * 8 * 320 / 64)
    assert not found[3].any() and not found[5].any()
    assert not gradients[2, :24].any() and gradients[2, 24:, 28:].any()
    assert patches.luma_features(luma + np.uint16(50)) == pytest.approx(found, abs=1e-3)
