"""Options as keywords: their names are those of the command line, and a wrong value of any of them
is a `UsageError` of one line."""

import inspect
import math
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import gvcodec
from gvcodec import cli
from gvcodec.api.decoding import DecodeRequest
from gvcodec.api.job import Job
from gvcodec.config import EncoderConfig
from gvcodec.input_options import InputOptions
from gvcodec.util.options import keywords_of
from tests.clips import make_clip, write_clip

FAST = {"preset": 10, "fit": 0, "painter": "off", "overwrite": True}
WRONG = (object(), [1, "x"], {}, b"x", math.nan, -7, "no such value", "ü\n\x00")
#: Options that take any text: what it means is found out later, or not at all.
TEXTS = ("model", "device", "encoder_params", "tokens_from")
CALLS: dict[Callable[..., Any], tuple[type, ...]] = {
    gvcodec.encode_file: (Job, EncoderConfig, InputOptions),
    gvcodec.decode_file: (DecodeRequest,),
    gvcodec.encode: (EncoderConfig,),
}


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("options") / "a.mkv", make_clip(64, 48, 4))


@pytest.fixture(scope="module")
def stream(film: Path) -> Path:
    gvcodec.encode_file(film, film.with_suffix(".gvc"), **FAST)
    return film.with_suffix(".gvc")


@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__name__)
def test_wrong_values_are_usage_errors_of_one_line(function, film, stream, tmp_path) -> None:
    files = {
        gvcodec.encode_file: (film, tmp_path / "o.gvc"),
        gvcodec.decode_file: (stream, tmp_path / "o.mkv"),
        gvcodec.encode: ([],),
    }[function]
    names = [name for kind in CALLS[function] for name in keywords_of(kind)]
    assert len(names) > 10
    for name in names:
        for value in WRONG:
            if name in TEXTS and isinstance(value, str):
                continue
            with pytest.raises(gvcodec.UsageError) as error:
                function(*files, **{name: value})
            message = str(error.value)
            assert "\n" not in message and len(message) < 400, (name, value, message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "function",
    [gvcodec.verify, gvcodec.cut, gvcodec.cat, gvcodec.repair, gvcodec.summarize, gvcodec.search]
    + [gvcodec.decode, gvcodec.decode_planes, gvcodec.tokens],
    ids=lambda function: function.__name__,
)
def test_keywords_of_other_functions_are_checked(function, stream, tmp_path) -> None:
    files: Any = {"cut": (stream, tmp_path / "o", 0), "search": ("a.png", stream)}.get(
        function.__name__, (stream, tmp_path / "o")
    )
    if function in (gvcodec.decode, gvcodec.decode_planes, gvcodec.tokens):
        files = (stream,)
    checked = 0
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and str(parameter.annotation) in (
            *("int", "float", "bool", "Limits", "Mode", "Sequence[str | Path]", "int | None"),
        ):
            checked += 1
            with pytest.raises(gvcodec.UsageError, match=name):
                function(*files, **{name: "no such value"})
    assert checked


def test_settings_are_checked_when_they_are_made() -> None:
    for kind, values in (
        (EncoderConfig, {"q": 68}),
        (EncoderConfig, {"keyint": "x"}),
        (InputOptions, {"scale": "large"}),
        (InputOptions, {"fps": 0}),
    ):
        with pytest.raises(gvcodec.UsageError):
            kind(**values)
    options = InputOptions(scale="x180", fps=29.97, full_range="limited", sound="opus:24k")
    assert (options.scale, options.fps) == ((0, 180), Fraction(30000, 1001))
    assert (options.full_range, options.sound) == (False, "opus:24000")


def test_keywords_are_the_names_of_the_options() -> None:
    """`overwrite` is -y, `end` --to, `until` `end`, `models` --model, and `threads` of each."""
    own = {"overwrite", "end", "models", "limits", "enforce_rlimit", "gop_q"}
    for command, kinds in (("encode", CALLS[gvcodec.encode_file]), ("decode", (DecodeRequest,))):
        (choices,) = cli.parser([command])._subparsers._group_actions
        flags = choices.choices[command]._option_string_actions
        names = {name for kind in kinds for name in keywords_of(kind)} - own
        assert {f"--{name.replace('_', '-')}" for name in names if len(name) > 1} <= {*flags}


def test_texts_are_read_as_on_the_command_line(film: Path, tmp_path) -> None:
    output = tmp_path / "o.gvc"
    gvcodec.encode_file(film, output, size="60k", scale="x24", fps="12.5", start="0:00.04", **FAST)
    facts = gvcodec.info(output)
    assert (facts.width, facts.height, facts.frame_rate) == (32, 24, "25/2")
    gvcodec.encode_file(film, output, color_range="full", color_primaries="bt709", **FAST)
    assert gvcodec.info(output).full_range and gvcodec.info(output).primaries == 1
    gvcodec.encode_file(film, output, base_scale="1/2", format="1.0", **FAST)
    facts = gvcodec.info(output)
    assert (facts.base_scale, facts.width) == ("1/2", 64)


def test_old_names_work_and_warn(film: Path, stream: Path, tmp_path) -> None:
    output = tmp_path / "o.gvc"
    with pytest.warns(DeprecationWarning, match="base_scale") as warned:
        gvcodec.encode_file(film, output, scale=Fraction(1, 2), **FAST)
    assert warned[0].filename == __file__
    assert (gvcodec.info(output).base_scale, gvcodec.info(output).width) == ("1/2", 64)
    with pytest.warns(DeprecationWarning, match="format"):
        gvcodec.encode_file(film, output, file_format="1.0", **FAST)
    with pytest.warns(DeprecationWarning, match="color_trc"):
        gvcodec.encode_file(film, output, transfer=16, **FAST)
    assert gvcodec.info(output).transfer == 16
    with pytest.warns(DeprecationWarning, match="format"), pytest.raises(gvcodec.UsageError):
        gvcodec.decode_file(stream, tmp_path / "o.mkv", form="y4m")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gvcodec.encode_file(film, output, scale=(32, 24), **FAST)
    assert gvcodec.info(output).width == 32
