"""`--speed`: what its names stand for, and what overrides them."""

import re
from dataclasses import replace

import pytest

import gvcodec
from gvcodec.bases import base_of
from gvcodec.cli import parser
from gvcodec.cli.encode import _warn_of_fitting, make_job
from gvcodec.config import DEFAULT_SPEED, NO_FITTING, SIZES, SPEEDS


def settled(words: str) -> gvcodec.EncoderConfig:
    options = parser(["encode"]).parse_args(["encode", "a", "b", *words.split()])
    return make_job(options).config.resolve()


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("base", ["av1", "vvc", "gvc1d"])
def test_a_speed_is_a_preset(speed: str, base: str) -> None:
    found = settled(f"--speed {speed} --base {base}")
    row = SPEEDS[speed]
    samples = (SIZES[0], SIZES[1], SIZES[1] + 1)
    assert tuple(map(found.preset_of, samples)) == row.presets.get(base, (None,) * 3)
    assert found.chooses_strengths
    if presets := base_of(base).presets:
        assert found.preset_of(SIZES[0]) in range(presets)


def test_explicit_options_override_the_speed() -> None:
    assert settled("--speed best --preset 9").preset_of(1) == 9
    found = settled("--speed best --fit off")
    assert found == settled("--speed best --fit 0") and not found.chooses_strengths
    assert found.preset_of(1) == SPEEDS["best"].presets["av1"][0]


def test_the_best_speed_searches_tokens_where_they_can_be() -> None:
    best = settled("--speed best")
    assert best.tokens == "search" and best.uses_tokens and best.chooses_strengths
    for words in (
        "--fit off",
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
    assert settled("").chooses_strengths and not settled("--low-delay").chooses_strengths
    assert not settled("--fit off").chooses_strengths


def test_steps_of_fitting_have_no_effect_and_a_line_says_so_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _warn_of_fitting.cache_clear()
    for words in ("--fit 20", "--low-delay --fit 3", "--speed best --fit 7 --fit-by small"):
        without = " ".join(re.sub(r"--fit(-by)? \w+", "", words).split())
        assert settled(words) == settled(without), words
    assert capsys.readouterr().err == f"gvcodec: {NO_FITTING}\n"


def test_the_library_and_the_command_line_agree() -> None:
    assert settled("") == gvcodec.EncoderConfig().resolve()
    assert settled("") == settled(f"--speed {DEFAULT_SPEED}")
    assert gvcodec.EncoderConfig(speed="best").resolve() == settled("--speed best")
