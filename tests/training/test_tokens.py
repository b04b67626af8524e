"""Tokens that steer the painter: what they add, and what their encoder sees."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from gvcodec.models import PAINTER
from gvcodec.painter.strength import STRENGTH_STEPS
from gvcodec.painter.token_coding import LARGEST
from gvcodec.painter.token_coding import STEP as LEVELS
from gvcodec.painter.torch_twin.network import PainterNetwork, condition
from gvcodec.painter.torch_twin.objective import Batch, paint_observed
from training.material import WINDOW
from training.tokens import (
    DIMS,
    FEATURES,
    Steering,
    TokenEncoder,
    TrainConfig,
    observe,
    spread,
    whole_tokens,
)

CONFIG = TrainConfig(painter="", cache="", out="")


def window(seed: int) -> Batch:
    """A window of one frame, base and source alike except for noise."""
    generator = torch.Generator().manual_seed(seed)
    luma = torch.rand(1, 1, 1, WINDOW, WINDOW, generator=generator)
    chroma = torch.rand(1, 1, 2, WINDOW // 2, WINDOW // 2, generator=generator)
    smooth = torch.nn.functional.avg_pool2d(luma[0], 9, 1, 4)[None]
    vectors = torch.zeros(1, 1, 2, WINDOW // 16, WINDOW // 16, dtype=torch.int16)
    q = torch.tensor([6])
    stream = condition("av1", Fraction(1), 50)
    return Batch((smooth, chroma), (luma, chroma), vectors, stream, q, torch.tensor([0.02]))


def test_levels_of_equal_regions_are_theirs_everywhere() -> None:
    tokens = torch.full((1, DIMS, 4, 4), 3.0)
    assert torch.equal(spread(LEVELS * tokens, 32), torch.full((1, DIMS, 32, 32), 3.0 * LEVELS))


def test_tokens_are_whole_and_bounded_and_gradients_pass() -> None:
    tokens = torch.tensor([-20.0, -0.6, 0.4, 2.5, 20.0], requires_grad=True)
    found = whole_tokens(tokens)
    assert found.tolist() == [-LARGEST, -1, 0, 3, LARGEST]
    found.sum().backward()
    assert tokens.grad is not None and tokens.grad.tolist() == [0, 1, 1, 1, 0]


def test_an_encoder_begins_with_nothing_to_say() -> None:
    found = TokenEncoder(32, 1, 1)(torch.randn(2, FEATURES, 16, 16))
    assert found.shape == (2, DIMS, 4, 4)
    assert not found.any()


@pytest.mark.parametrize("by", ["encoder", "linear", "vector"])
def test_tokens_of_zero_leave_the_painted_picture_and_others_change_it(by: str) -> None:
    network = PainterNetwork.load(PAINTER.find())
    crop = observe(network, window(1), 5)
    model = Steering(len(network.style.weight), CONFIG)
    with torch.no_grad():
        model.table.fill_(40)
        plain = model.shifts(whole_tokens(model.tokens(crop.features, by)))
        same, other = (
            paint_observed(network, [replace(frame, shifts=shifts) for frame in crop.observations])[
                0
            ]
            for shifts in (plain, plain + 40 * LEVELS)
        )
    assert torch.equal(same[0], crop.painted[0])
    assert not torch.equal(other[0], crop.painted[0])


def test_a_run_is_judged_by_its_last_frame_at_the_strength_of_its_painter() -> None:
    network = PainterNetwork.load(PAINTER.find())
    steady = PainterNetwork.load(PAINTER.find(), STRENGTH_STEPS[-1])
    one, other = window(1), window(2)
    run = replace(
        one,
        base=(torch.cat([one.base[0], one.base[0]], 1), torch.cat([one.base[1], one.base[1]], 1)),
        source=(
            torch.cat([other.source[0], one.source[0]], 1),
            torch.cat([other.source[1], one.source[1]], 1),
        ),
        vectors=torch.cat([one.vectors, one.vectors], 1),
    )
    alone, crop = observe(network, one, 5), observe(network, run, 5, steady)
    assert torch.equal(crop.source[0], one.source[0][:, 0])
    assert crop.source_before is not None
    assert torch.equal(crop.source_before, other.source[0][:, 0])
    # Where nothing moved all is kept of what was painted before, at any strength.
    assert torch.equal(crop.painted[0], alone.painted[0])
    # Features are of the first frame, painted at the strength that the painter was trained for.
    assert torch.equal(crop.features[:, 9:27], alone.features[:, 9:27])
    assert not torch.equal(crop.features[:, :9], alone.features[:, :9])


def test_features_tell_what_the_source_has_and_the_base_lacks() -> None:
    network = PainterNetwork.load(PAINTER.find())
    features = observe(network, window(1), 5).features
    assert features.shape == (1, FEATURES, 16, 16)
    source, base = features[:, :9], features[:, 9:18]
    assert (source - base)[:, 0].mean() > 0.1
