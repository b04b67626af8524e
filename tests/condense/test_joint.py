"""VideoCompressa: the selector, and its optimisation together with codes and a task."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from gvcodec.condense import CondensedSet, choosing, codes, joint, making
from gvcodec.condense.clips import Clips
from gvcodec.condense.selector import (
    COLD,
    WARM,
    choose_places,
    draw,
    gumbel,
    temperature_at,
    train_selector,
)
from gvcodec.gvc1d.tokenizer import Tokenizer
from gvcodec.models import shipped_folders
from tests.condense.networks import CHANNELS, RUN
from tests.condense.test_condense import moving, videos
from tests.conftest import run


@pytest.fixture
def shipped(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folders = shipped_folders()
    monkeypatch.setattr("gvcodec.models.shipped_folders", lambda: [weights.parent, *folders])
    monkeypatch.setenv("GVCODEC_MODELS", str(weights.parent))
    yield weights


def softmaxes(scores: np.ndarray, count: int, temperature: float, order: list[int]) -> np.ndarray:
    """Rows of the relaxed choice when frames are drawn in this order, (count, T)."""
    left, rows = scores.copy(), []
    for at in order[:count]:
        part = np.exp((left - left.max()) / temperature)
        rows.append(part / part.sum())
        left[at] = -1e9
    return np.array(rows)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_frames_are_drawn_by_straight_through_gumbel_softmax(count: int) -> None:
    rng = np.random.default_rng(count)
    scores, noise, weights = rng.normal(size=6), rng.gumbel(size=6), rng.normal(size=(count, 6))
    given = torch.tensor(scores[None], requires_grad=True)
    chosen = draw(given, count, 0.7, torch.tensor(noise[None]))
    order = list(np.argsort(-(scores + noise)))
    wanted = np.zeros((count, 6))
    wanted[range(count), sorted(order[:count])] = 1
    assert np.allclose(chosen[0].detach().numpy(), wanted)
    (chosen[0] * torch.tensor(weights)).sum().backward()
    by_time = np.argsort(order[:count])

    def relaxed(at: np.ndarray) -> float:
        return float((softmaxes(at + noise, count, 0.7, order)[by_time] * weights).sum())

    slopes = [(relaxed(scores + e) - relaxed(scores - e)) / 2e-5 for e in 1e-5 * np.eye(6)]
    assert given.grad is not None and np.allclose(given.grad[0].numpy(), slopes, atol=1e-6)


def test_noise_draws_as_often_as_a_softmax_says() -> None:
    torch.manual_seed(0)
    scores = torch.tensor([0.0, 1.0, 2.0]).expand(4000, 3)
    found = draw(scores, 1, 1.0, gumbel((4000, 3)))[:, 0].mean(0)
    assert np.allclose(found, np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum(), atol=0.03)


def test_the_temperature_falls() -> None:
    found = [temperature_at(share) for share in np.linspace(0, 1, 5)]
    assert (found[0], found[-1]) == (WARM, pytest.approx(COLD))
    ratios = np.array(found[1:]) / found[:-1]
    assert np.allclose(ratios, ratios[0]) and ratios[0] < 1


def telling(count: int) -> Clips:
    """Two frames in eight show the class, the others noise."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 90, (count, 8, 32, 32, 3)).astype(np.uint8)
    labels = np.arange(count) % 3
    for clip, label in zip(pictures, labels, strict=True):
        at = int(rng.integers(0, 7))
        clip[at : at + 2, :, :, label] += 160
    return Clips(pictures, labels, ("r", "g", "b"), tuple(map(str, range(count))))


def test_the_selector_learns_which_frames_tell_the_class() -> None:
    clips = telling(60)
    places = choose_places(train_selector(clips, 60, 0), clips, 2)
    means = clips.pictures.max(4).mean((2, 3))  # [N, T]
    wanted = np.sort(np.argsort(-means, 1)[:, :2], 1)
    assert (places == wanted).mean() > 0.8
    assert (choose_places(train_selector(clips, 0, 0), clips, 2) == wanted).mean() < 0.6


def test_codes_selector_and_task_move_together(weights: Path) -> None:
    space, clips = codes.WindowCodes(Tokenizer(weights, rate=5)), moving(12, 3)
    order, room = list(range(12)), 1 << 20

    def made(**parts: bool) -> joint.CodedSet:
        return joint.optimise(clips, order, space, 2, room, 4, 0, joint.Parts(**parts))

    torch.manual_seed(0)
    begin = joint.CodedSet(clips, space, 2, room)
    parts = {}, {"learn": False}, {"select": False}, {"together": False}
    both, frozen, fixed, apart = (made(**part) for part in parts)

    def moved(found: joint.CodedSet) -> bool:
        pairs = zip(found.selector.parameters(), begin.selector.parameters(), strict=True)
        return any(not torch.equal(a, b) for a, b in pairs)

    assert [moved(one) for one in (both, frozen, fixed, apart)] == [True, True, False, True]
    changed = [bool(one.change.detach().abs().sum() > 0) for one in (both, frozen, fixed, apart)]
    assert changed == [True, False, True, True] and fixed.places.tolist() == [[3, 4]] * 12
    assert both.values.shape == (12, 2 * RUN, CHANNELS)
    untouched = made(select=False, learn=False).values  # of the same frames as `fixed`
    assert not np.array_equal(fixed.values, untouched)
    # The task's gradient reaches the selector through what is decoded.
    shown, part, missed = both.decode(np.arange(4), 0.2)
    kept = clips.pictures[np.arange(4)[:, None], both._learned[:4]].astype(float)
    error = (shown.detach().numpy() - kept) ** 2
    assert float(missed.detach()) == pytest.approx(error.mean() / kept.var(), rel=1e-3)
    slopes = torch.autograd.grad(shown.square().mean(), list(both.selector.parameters()))
    assert sum(float(s.abs().sum()) for s in slopes) > 0 and float(part.detach()) > 0


def test_codes_learned_for_other_frames_are_forgotten(weights: Path) -> None:
    made = joint.CodedSet(moving(6, 3), codes.WindowCodes(Tokenizer(weights, rate=5)), 2, 1000)
    which, places = np.array([1, 4]), np.array([[0, 2], [1, 2]])
    made._forget(which, places)
    with torch.no_grad():
        made.change[:] = 5
    made._forget(which, np.array([[0, 2], [0, 1]]))
    assert made.change[[0, 1]].min() == 5 and made.change[4].abs().max() == 0


def test_bits_are_weighed_by_the_bytes_that_were_written(weights: Path) -> None:
    space = codes.WindowCodes(Tokenizer(weights, rate=5))
    made = joint.CodedSet(moving(6, 3), space, 2, 1000)
    made.weigh(made.values)
    with torch.no_grad():
        bits = float(space.bits(torch.from_numpy(made.values).float()))
    size = len(space.pack(made.values))
    assert made._bytes_a_bit == pytest.approx(size / bits, rel=1e-3)
    fewer = made.fitting(size // 2)
    assert 1 <= len(fewer) < 6 and len(space.pack(fewer)) <= size // 2
    assert len(space.pack(made.values[: len(fewer) + 1])) > size // 2


@pytest.mark.parametrize("method", ["selector", "joint"])
def test_condense_by_every_method(tmp_path, monkeypatch, shipped, method) -> None:
    for name in ("_STEPS", "_JUDGED"):
        monkeypatch.setattr(making, name, 6)
    for name, value in (("QUALITIES", (55, 59)), ("_BEGIN", 1)):
        monkeypatch.setattr(choosing, name, value)
    videos(tmp_path / "data")
    out = tmp_path / "set.gvset"
    command = ["condense", tmp_path / "data", out, "--size", "2500", "--method", method]
    assert "validation accuracy" in run(*command).err
    data = CondensedSet(out)
    assert out.stat().st_size <= 2500 and data.classes == ("down", "up")
    assert data[0][0].shape == (8, 32, 32, 3) and data[0][0].dtype == np.uint8
    run(*command, code=1)  # exists
    run(*command[:-1], "nothing", "-y", code=2)
