"""`--speed`: what its names stand for, and what overrides them."""

from dataclasses import replace

import pytest

import gvcodec
from gvcodec.bases import base_of
from gvcodec.cli import parser
from gvcodec.cli.encode import make_job
from gvcodec.config import DEFAULT_SPEED, SIZES, SPEEDS


def settled(words: str) -> gvcodec.EncoderConfig:
    options = parser(["encode"]).parse_args(["encode", "a", "b", *words.split()])
    return make_job(options).config.resolve()


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("base", ["av1", "vvc", "gvc1d"])
def test_a_speed_is_a_preset_and_steps(speed: str, base: str) -> None:
    found = settled(f"--speed {speed} --base {base}")
    row = SPEEDS[speed]
    samples = (SIZES[0], SIZES[1], SIZES[1] + 1)
    assert tuple(map(found.preset_of, samples)) == row.presets.get(base, (None,) * 3)
    assert found.fit_step_count == row.fit_steps and found.chooses_strengths
    if presets := base_of(base).presets:
        assert found.preset_of(SIZES[0]) in range(presets)


def test_explicit_options_override_the_speed() -> None:
    found = settled("--speed best --preset 9 --fit 7")
    assert (found.preset_of(1), found.fit_step_count) == (9, 7)
    found = settled("--fit 3 --speed fast")
    assert (found.preset_of(1), found.fit_step_count) == (SPEEDS["fast"].presets["av1"][0], 3)
    found = settled("--speed best --fit off")
    assert not found.uses_fitting and not found.chooses_strengths
    assert found.preset_of(1) == SPEEDS["best"].presets["av1"][0]


def test_the_best_speed_searches_tokens_where_they_can_be() -> None:
    best = settled("--speed best")
    assert (
        best.tokens == "search"
        and best.uses_tokens
        and best.chooses_strengths
        and not best.uses_fitting
    )
    for words in (
        "--fit 20",
        "--low-delay",
        "--painter off",
        "--look 0",
        "--format 1.0",
        "--base vvc",
        "--base gvc1d",
        "--tokens off",
    ):
        found = settled(f"--speed best {words}")
        assert found.tokens == "off" and not found.uses_tokens, words
        found.check()
    assert settled("--speed best --tokens on").tokens == "on"
    assert settled("").tokens == "off" and settled("--speed fast").tokens == "off"
    # What is resolved stays so when parts of it are replaced, as trials of rate control do.
    assert replace(best, fit=0).tokens == "search"


def test_default_options_steady_the_painter_but_not_for_low_delay() -> None:
    assert settled("").chooses_strengths and not settled("").uses_fitting
    assert (
        not settled("--low-delay").chooses_strengths
        and settled("--low-delay --fit 3").chooses_strengths
    )


def test_the_library_and_the_command_line_agree() -> None:
    assert settled("") == gvcodec.EncoderConfig().resolve()
    assert settled("") == settled(f"--speed {DEFAULT_SPEED}")
    assert gvcodec.EncoderConfig(speed="best").resolve() == settled("--speed best")
