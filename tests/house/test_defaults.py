"""What pages say of defaults is what the code has."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import gvcodec
from gvcodec import cli
from gvcodec.config import SPEEDS

ROOT = Path(__file__).resolve().parents[2]


def test_the_table_of_speeds_is_that_of_the_code() -> None:
    text = (ROOT / "docs/usage.md").read_text()
    for name, row in SPEEDS.items():
        cells = re.search(rf"^\| `{name}` \|([^|]*)\|([^|]*)\|([^|]*)\|", text, re.MULTILINE)
        assert cells is not None
        av1, (vvc,), (steps,) = (tuple(map(int, re.findall(r"\d+", c))) for c in cells.groups())
        assert (av1, steps) == (row.presets["av1"], row.fit_steps)
        assert (vvc,) * 3 == row.presets["vvc"]


@pytest.mark.parametrize("command", ["encode", "decode"])
def test_every_option_of_a_command_is_in_its_table(command: str) -> None:
    """Of options with two names one is enough."""
    text = (ROOT / "docs/usage.md").read_text()
    (places,) = (
        action
        for action in cli.parser([command])._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for action in places.choices[command]._actions:
        short = [name.replace("--color", "") for name in action.option_strings]
        names = [*action.option_strings, *short]
        found = not names or "-h" in names or any(f"`{name}" in text for name in names)
        assert found, action.option_strings


@pytest.mark.parametrize("function", [gvcodec.encode_file, gvcodec.decode_file])
def test_the_reference_lists_parameters_with_their_defaults(
    function: Callable[..., object],
) -> None:
    text = (ROOT / "docs/api.md").read_text()
    table = text.partition(f"<!-- {function.__name__} -->\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| \S.*\|$", table, re.MULTILINE)
    parameters = inspect.signature(function).parameters
    assert [name for name, _ in rows] == list(parameters)
    for name, shown in rows:
        default = parameters[name].default
        if shown == "required":
            assert default is inspect.Parameter.empty
        elif shown == "–":
            assert default in ("", (), None) or isinstance(default, gvcodec.Limits)
        else:
            assert shown.strip("`") == repr(default).replace("'", '"')
