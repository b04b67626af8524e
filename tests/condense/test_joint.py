"""Frames and codes that are optimised together for the task."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gvcodec.condense.clips import Clips, evenly
from gvcodec.condense.coded import decode
from tests.condense.test_condense import moving

torch = pytest.importorskip("torch")

from gvcodec.condense import choosing, joint
from gvcodec.condense.learning import fit

if TYPE_CHECKING:
    from gvcodec.condense.networks import Pairs


@cache
def started() -> tuple[Clips, Pairs, choosing.Choice]:
    """Clips, a network that knows them, and two even frames of each as a stream."""
    clips = moving(30, 4)
    network = fit(clips.pictures, clips.labels, 3, 20, 0)
    return clips, network, choosing.fill_room(clips, range(30), evenly(8, 2), 40, 1500)


def optimised(room: int, steps: int = 3, seed: int = 0, **form: object) -> choosing.Choice:
    clips, network, choice = started()
    return joint.optimise(clips, network, choice, room, steps, seed, replace(joint.Form(), **form))


def test_what_is_stored_changes_and_is_the_same_for_a_seed(monkeypatch) -> None:
    monkeypatch.setattr(joint, "_LOGIT_RATE", 2.0)
    start = started()[2]
    first, again, other = optimised(1500), optimised(1500), optimised(1500, seed=1)
    assert first.stream == again.stream and np.array_equal(first.places, again.places)
    assert len({start.stream, first.stream, other.stream}) == 3
    frames = optimised(1500, cell=0)
    codes = optimised(1500, select=False)
    assert (frames.places != start.places[: len(frames.places)]).any()
    assert (codes.places == evenly(8, 2)).all() and codes.stream != start.stream
    assert optimised(1500, cell=0, select=False).stream == start.stream


def test_what_is_stored_fits_by_leaving_the_last_clips_out() -> None:
    start = started()[2]
    made = optimised(900)
    kept = len(made.clips)
    assert len(made.stream) <= 900 < len(start.stream) and 0 < kept < len(start.clips)
    assert np.array_equal(made.clips, start.clips[:kept])
    assert len(decode(made.stream)) == len(made.places) == kept


def test_the_selector_learns_which_frames_lower_a_loss() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(4, 8, 3, 8, 8)
    pictures[:, 5] += 3
    logits = torch.zeros(4, 8, requires_grad=True)
    optimiser = torch.optim.Adam([logits], 0.2)
    for _ in range(30):
        noise = -torch.log(torch.empty(4, 8).exponential_())
        seen = joint.show(pictures, *joint.select(logits + noise, 2, 0.5))
        optimiser.zero_grad()
        (-seen.mean()).backward()
        assert logits.grad is not None and logits.grad.abs().sum() > 0
        optimiser.step()
    assert (joint.select(logits, 2, 1.0)[0] == 5).any(1).all()


def test_chosen_frames_are_shown_in_order_of_time() -> None:
    pictures = torch.arange(8.0).view(1, 8, 1, 1, 1).expand(1, 8, 3, 2, 2)
    chosen, soft = joint.select(torch.tensor([[0, 9, 0, 0, 0, 0, 8, 7.0]]), 3, 0.1)
    assert chosen.tolist() == [[1, 6, 7]]
    seen = joint.show(pictures, chosen, soft)[0, :, 0, 0, 0]
    assert torch.allclose(seen, torch.tensor([1.0, 6, 7]))


def test_flat_pictures_are_estimated_to_take_fewer_bits() -> None:
    torch.manual_seed(0)
    noise = 128 + 30 * torch.randn(2, 2, 3, 32, 32)
    noise.requires_grad_(True)
    flat = torch.full((2, 2, 3, 32, 32), 128.0)
    bits = joint.estimate_bits(noise)
    bits.backward()
    assert joint.estimate_bits(flat) < bits and noise.grad is not None
    assert joint.estimate_bits(noise - 5 * noise.grad.sign()) < bits


def test_codes_are_smooth_and_pixels_are_themselves() -> None:
    codes = torch.zeros(1, 1, 3, 8, 8)
    codes[..., 4, 4] = 1
    assert torch.equal(joint.synthesise(codes, 8), codes)
    wide = joint.synthesise(codes, 32)
    assert wide.shape == (1, 1, 3, 32, 32) and (wide > 0.1).sum() > 3 * 16


@pytest.mark.parametrize("side", (64, 112))
def test_networks_work_at_larger_sides(side: int) -> None:
    from gvcodec.condense.networks import Pairs

    network = Pairs(3, side)
    assert network(torch.zeros(2, 4, side, side, 3)).shape == (2, 3)
    assert len(network.body) == (5 if side == 112 else 4)


@pytest.mark.parametrize(
    "losses, tried, best",
    [
        ({8: 0.6, 2: 0.5, 4: 0.4}, [2, 4], 4),
        ({8: 0.6, 2: 0.3, 4: 0.4, 1: 0.2}, [2, 4, 1], 1),
        ({8: 0.1, 2: 0.3, 4: 0.4, 1: 0.5}, [2, 4, 1], 8),
    ],
)
def test_as_many_frames_are_stored_as_teach_most(monkeypatch, losses, tried, best) -> None:
    from gvcodec.condense import making

    clips, network, choice = started()
    asked = []

    def optimise(_: Clips, __: Pairs, start: choosing.Choice, *___: int) -> choosing.Choice:
        asked.append(start.count)
        return start

    def search(*given: object) -> tuple[float, choosing.Choice]:
        places = np.atleast_2d(given[-1][0])
        found = replace(choice, places=places.repeat(len(choice.clips), 0))
        return losses[found.count] + (found.count < 8), found

    monkeypatch.setattr(making, "optimise", optimise)
    monkeypatch.setattr(making, "choose_quality", search)
    monkeypatch.setattr(making, "taught", lambda _, __, made, *___: losses[made.count])
    made = making.choose(clips, clips, network, 1500, 5, 0)
    assert (asked, made.whole.count, made.best.count) == (tried, 8, best)
    assert made.start.count == (best if best < 8 else 2)
