"""Options defined once: a field of a dataclass is a keyword of the library and an option of the
command.

    @add_option_docs
    @dataclass(frozen=True)
    class Settings:
        q: float = option(50, quality(67), "N", help="quality, 0 best", flags="-q")

    add_options(parser, Settings)
    Settings(**values_of(Settings, parser.parse_args()))

And the types of their arguments, which raise `argparse.ArgumentTypeError`.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, field, fields
from fractions import Fraction
from typing import Any, TypeVar, cast

from gvcodec.errors import UsageError
from gvcodec.util.kinds import check_kind
from gvcodec.util.messages import parse_amount, parse_share, parse_time

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., object])
#: Other encoders' names of options.
_MEANT = {"quality": "q", "crf": "q", "qp": "q", "gop": "keyint", "codec": "base"}
#: Set by rate control, not by callers.
_INTERNAL = ("header_q", "zone_start")
#: The largest number, of seconds too: thirty years.
_MOST = 1e9
#: The largest integer unless another one is given, and more bytes than any machine has.
_LARGEST, _MOST_BYTES = 1 << 31, 1 << 60


def option(
    default: Any,
    type: Callable[[str], Any] | None = None,
    metavar: str | None = None,
    help: str = "",
    *,
    flags: str = "",
    group: str = "",
    means: dict[str, Any] | None = None,
    **argument: Any,
) -> Any:
    """A field. `flags`: names of the option ("-f --format"; that of the field), `group`: of the
    options that it is listed with, `means`: values by their words; the others as
    for `add_argument`."""
    if default is False:
        argument["action"] = "store_true"
    else:
        settings = {"default": default, "type": type, "metavar": metavar}
        argument |= {name: value for name, value in settings.items() if name == "default" or value}
    argument |= {"help": help} if help else {}
    placement = {"flags": flags.split(), "group": group, "means": means or {}}
    return field(default=default, metadata=placement | {"argument": argument})


class RejectRepeat(argparse.Action):
    """An option that is refused a second time: neither of its values is left out unseen."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest, None) is not None:
            raise argparse.ArgumentError(self, "is given twice")
        setattr(namespace, self.dest, values)


def add_option_docs(kind: type[_T]) -> type[_T]:
    """Class decorator: adds "name: help" of every option to the docstring."""
    lines = [
        f"    {f.name}: {f.metadata['argument']['help']}"
        for f in fields(kind)  # type: ignore[arg-type]
        if f.metadata and "help" in f.metadata["argument"]
    ]
    kind.__doc__ = "\n".join([f"{kind.__doc__ or ''}\n", *lines])
    return kind


def add_options(
    parser: argparse._ActionsContainer, *kinds: type, group: str = "", exclusive: bool = False
) -> argparse._ActionsContainer:
    """Add the options of a group, `exclusive`: one of them at most. Gives their place."""
    group_parser = parser.add_mutually_exclusive_group() if exclusive else parser
    for option_field in (option_field for kind in kinds for option_field in fields(kind)):
        metadata = option_field.metadata
        if metadata and metadata["group"] == group:
            flags = metadata["flags"] or [f"--{option_field.name.replace('_', '-')}"]
            argument = dict(metadata["argument"])
            if "help" in argument:
                argument["help"] = argument["help"].replace("%", "%%")
            group_parser.add_argument(*flags, **argument)
    return group_parser


def values_of(kind: type, options: argparse.Namespace, **others: Any) -> dict[str, Any]:
    """The fields of `kind` as the options say them; `others` go before."""
    values: dict[str, Any] = {}
    for option_field in fields(kind):
        flags = option_field.metadata.get("flags") or [option_field.name]
        value = getattr(options, flags[-1].lstrip("-").replace("-", "_"), MISSING)
        if value is not MISSING:
            with contextlib.suppress(KeyError, TypeError):
                value = option_field.metadata.get("means", {})[value]
            values[option_field.name] = value
    return values | others


def parse_with(read: Callable[[str], _T], message: str) -> Callable[[str], _T]:
    """Argument type: a text parsed by `read`, unless it raises `ValueError`."""

    def parse(text: str) -> _T:
        try:
            return read(text)
        except (ValueError, KeyError, ZeroDivisionError):
            raise argparse.ArgumentTypeError(f"{text!r} is {message}") from None

    return parse


def integer(low: int, high: int = _LARGEST) -> Callable[[str], int]:
    """Argument type: an integer within bounds."""

    def read(text: str) -> int:
        value = int(text) if text.lstrip("-").isdecimal() else low - 1
        if not low <= value <= high:
            raise ValueError
        return value

    bounds = f"{low} or more" if high >= _LARGEST else f"{low}…{high}"
    return parse_with(read, f"not an integer, {bounds}")


def parse_bounded(most: float) -> Callable[[str], float]:
    """A number from 0 to `most`. Raises `ValueError`."""

    def read(text: str) -> float:
        if not 0 <= (value := float(text)) <= most:
            raise ValueError
        return value

    return read


def quality(coarsest: float) -> Callable[[str], float]:
    """Argument type: a number from 0 to `coarsest`, whole or not."""

    def read(text: str) -> float:
        value = parse_bounded(coarsest)(text)
        # Settings are known by how they are written, and 45 is not written as 45.0.
        return int(value) if value.is_integer() else value

    return parse_with(read, f"not a number from 0 (best) to {coarsest:g} (smallest file)")


def _time(text: str) -> float:
    """Seconds, or minutes and hours before them with colons."""
    if (time := parse_time(text)) is None:
        raise ValueError
    return time


number = parse_with(parse_bounded(_MOST), f"not a number, 0…{_MOST:.0e}")
amount = parse_with(parse_amount, "not an amount, as in 1500, 250k, 1.5M or 64Ki")
share = parse_with(parse_share, "not a share like 10% or 0.1")
seconds = parse_with(_time, "not a time like 75, 1:15 or 0:01:15")
scale = parse_with(
    {"1": Fraction(1), "3/4": Fraction(3, 4), "1/2": Fraction(1, 2)}.__getitem__,
    "not 1, 3/4 or 1/2",
)


def fit_steps_type(text: str) -> int:
    """0 for `off`, or a number of steps, which has no effect."""
    return 0 if text == "off" else integer(0)(text)


def _picture_size(text: str) -> tuple[int, int] | Fraction:
    width, by, height = text.replace(":", "x").partition("x")
    if not by and (factor := Fraction(text)) > 0:
        return factor
    size = max(0, int(width or 0)), max(0, int(height or 0))
    if not by or not max(size):
        raise ValueError
    return size


#: Width and height, one of them 0 if it is left out or negative (by the shape of the picture),
#: or a factor.
picture_size = parse_with(_picture_size, "no size like 640x360 or x360 and no factor like 1/2")


def _bytes(text: str) -> int:
    digits = text.rstrip("kKmMgG")
    if not digits.isdecimal() or len(text) - len(digits) > 1:
        raise ValueError
    return min(int(digits) << (10 * " KMG".index(text[len(digits) :].upper() or " ")), _MOST_BYTES)


#: A number of bytes, with K, M or G for its powers of 1024.
bytes_ = parse_with(_bytes, "not a size like 500M")
count = integer(1, _MOST_BYTES)


def list_options(*kinds: type) -> Callable[[_F], _F]:
    """Show the options in the signature, instead of `**options`."""

    def decorate(function: _F) -> _F:
        signature, only = inspect.signature(function), inspect.Parameter.KEYWORD_ONLY
        parameters = {n: p for n, p in signature.parameters.items() if p.kind is not p.VAR_KEYWORD}
        for f in (f for kind in kinds for f in _keywords(kind)):
            parameters.setdefault(
                f.name, inspect.Parameter(f.name, only, default=f.default, annotation=f.type)
            )
        function.__signature__ = signature.replace(parameters=[*parameters.values()])  # type: ignore[attr-defined]
        return function

    return decorate


#: An option in a message, as the command line has it.
_OPTION_IN_TEXT = re.compile(r"(?<![\w-])(--[a-z][a-z-]*|-q)(?![\w-])")
#: Keywords whose names differ from their options'.
_SPECIAL_KEYWORDS = {"--to": "end", "--no-sound": 'sound="none"'}
#: Options with the value that a message gives them.
_WITH_VALUE = re.compile(r"--(sound|painter) (off|none|opus(?::\w+)?)(?!\w)")


def with_keywords(text: str, *kinds: type) -> str:
    """The text with keywords of the library where it has options of these kinds: `min_gain`, not
    `--min-gain`."""
    names = {keyword.name for kind in kinds for keyword in _keywords(kind)}

    def keyword_of(match: re.Match[str]) -> str:
        name = match[0].lstrip("-").replace("-", "_")
        return _SPECIAL_KEYWORDS.get(match[0]) or (name if name in names else match[0])

    return _OPTION_IN_TEXT.sub(keyword_of, _WITH_VALUE.sub(r'\1="\2"', text))


def name_keywords(*kinds: type) -> Callable[[_F], _F]:
    """Decorator of a function of the library: `UsageError` names keywords, not options."""

    def decorate(function: _F) -> _F:
        @functools.wraps(function)
        def call(*values: Any, **keywords: Any) -> Any:
            try:
                return function(*values, **keywords)
            except UsageError as error:
                error.args = (with_keywords(str(error), *kinds), *error.args[1:])
                raise

        return cast("_F", call)

    return decorate


def split_options(options: Mapping[str, Any], *kinds: type) -> list[dict[str, Any]]:
    """The options of each kind. Raises `UsageError` for others."""
    names = [[keyword.name for keyword in _keywords(kind)] for kind in kinds]
    all_names = [name for some in names for name in some]
    for name in options:
        if name not in all_names:
            near = _MEANT.get(name) or next(
                iter(difflib.get_close_matches(name, all_names, 1)), None
            )
            hint = f"; did you mean {near}?" if near else f"; there are {', '.join(all_names)}"
            raise UsageError(f"there is no option {name}{hint}", code="option-unknown")
    plain = {name: _plain(value) for name, value in options.items()}
    for keyword in (keyword for kind in kinds for keyword in _keywords(kind)):
        if (name := keyword.name) in plain:
            plain[name] = check_kind(name, plain[name], str(keyword.type))
    return [{name: plain[name] for name in some if name in plain} for some in names]


def _plain(value: Any) -> Any:
    """A tensor or an array of one number as that number."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _keywords(kind: type) -> list[Field[Any]]:
    return [f for f in fields(kind) if f.default is not MISSING and f.name not in _INTERNAL]
