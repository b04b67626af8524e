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
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from typing import Any, TypeVar, cast

from gvcodec.errors import UsageError
from gvcodec.util.deprecation import warn_renamed
from gvcodec.util.kinds import check_kind, repr_short
from gvcodec.util.messages import parse_amount, parse_share, parse_time

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., object])
#: A short option and its value in one word.
_ATTACHED_NUMBER = re.compile(r"-\w-?\.?\d")
#: Other encoders' names of options.
_MEANT = {"quality": "q", "crf": "q", "qp": "q", "gop": "keyint", "codec": "base"}
#: Set by rate control, not by callers.
_INTERNAL = ("header_q", "zone_start", "until")
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


class ExactParser(argparse.ArgumentParser):
    """Knows options by their whole names: not `--q` for `--quiet`, nor `-hide_banner` for `-h` with
    the value "ide_banner". A number may follow its short option at once, as in `-q40`."""

    def _get_option_tuples(self, option_string: str) -> list[Any]:
        """What argparse takes an option for that it does not know."""
        action = self._option_string_actions.get(option_string[:2])
        takes_value = action is not None and action.nargs is None
        if takes_value and _ATTACHED_NUMBER.match(option_string):
            return super()._get_option_tuples(option_string)
        return []


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
    parser: argparse._ActionsContainer,
    *kinds: type,
    group: str = "",
    exclusive: bool = False,
    only: Sequence[str] = (),
) -> argparse._ActionsContainer:
    """Add the options of a group, or `only` these; `exclusive`: one of them at most. Gives
    their place."""
    group_parser = parser.add_mutually_exclusive_group() if exclusive else parser
    for option_field in (option_field for kind in kinds for option_field in fields(kind)):
        metadata = option_field.metadata
        if metadata and (option_field.name in only if only else metadata["group"] == group):
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
        for name, f in ((n, f) for kind in kinds for n, f in keywords_of(kind).items()):
            parameters.setdefault(
                name, inspect.Parameter(name, only, default=f.default, annotation=f.type)
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
    names = {name for kind in kinds for name in keywords_of(kind)}

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
    """The options of each kind, given by their keywords, as its fields. Raises `UsageError`."""
    by_name = {name: f for kind in kinds for name, f in keywords_of(kind).items()}
    renamed = {f.name: name for name, f in by_name.items() if f.name != name}
    values: dict[str, Any] = {}
    for name, value in options.items():
        # A number as `scale` means what `base_scale` is for, a size or a text is that of pictures.
        if name in renamed and (name not in by_name or isinstance(value, Real)):
            warn_renamed(f"keyword {name}", renamed[name], depth=None)
            name = renamed[name]
        if name not in by_name:
            near = _MEANT.get(name) or next(iter(difflib.get_close_matches(name, by_name, 1)), None)
            hint = f"; did you mean {near}?" if near else f"; there are {', '.join(by_name)}"
            raise UsageError(f"there is no option {name}{hint}", code="option-unknown")
        values[name] = check_option(name, by_name[name], _plain(value))
    return [
        {f.name: values[name] for name, f in keywords_of(kind).items() if name in values}
        for kind in kinds
    ]


def check_option(name: str, option_field: Field[Any], value: Any) -> Any:
    """The value of an option, of a text what the command line reads from it. Raises `UsageError`
    for a value of another kind, or that the command line refuses."""
    argument, means = (option_field.metadata.get(key, {}) for key in ("argument", "means"))
    if isinstance(value, type(option_field.default)) and value == option_field.default:
        return value
    if isinstance(value, str) and value in means:
        return means[value]
    read, choices = argument.get("type"), argument.get("choices", ())
    annotation = str(option_field.type)
    is_text = isinstance(value, str) and read is not None
    # NaN and infinity are numbers, which the command line refuses by their values.
    is_out_of_range = isinstance(value, float) and not math.isfinite(value) and read is not None
    if not is_text and not is_out_of_range:
        value = check_kind(name, value, annotation)
        if "Fraction" in annotation and not isinstance(value, Real | tuple | list | None):
            what = "a number, a text or a size"
            raise UsageError(f"{name} is {what}, not {repr_short(value)}", code="option-type")
    # Bases may be added: `base_of` knows them.
    if choices and name != "base" and value not in choices and value not in means.values():
        given = " ".join(str(value).split())
        raise UsageError(f"{name} is {', '.join(choices)}, not {given}", code="option-value")
    if read is None or not (is_text or isinstance(value, Real | tuple | list)):
        return value
    # Texts of times and numbers are no quotients.
    shown = float(value) if isinstance(value, Fraction) and "float" in annotation else value
    parsed = _read(name, read, shown, "str" in annotation)
    return parsed if is_text or "Fraction" in annotation or "tuple" in annotation else value


def _read(name: str, read: Callable[[str], Any], value: Any, takes_text: bool) -> Any:
    """A value as the command line reads it; `takes_text`: texts are of its kind. Raises
    `UsageError`."""
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    text = "x".join(map(str, value)) if is_pair else str(value)
    try:
        if isinstance(value, float):
            # Amounts have no exponent, and shares are written as quotients.
            text = str(Fraction(text)) if read is scale else f"{Decimal(text):f}"
        return read(text)
    except (argparse.ArgumentTypeError, ValueError, ArithmeticError) as error:
        message = f"{name}: {' '.join(str(error).split())}"
        if isinstance(value, str) and not takes_text:
            raise UsageError(message, code="option-type") from None
        raise UsageError(message, code="option-value") from None


def check_fields(settings: Any) -> None:
    """Read and check the fields of a frozen dataclass of options. Raises `UsageError`."""
    for f in fields(settings):
        value = check_option(keyword_of(f), f, _plain(getattr(settings, f.name)))
        object.__setattr__(settings, f.name, value)


def _plain(value: Any) -> Any:
    """A tensor or an array of one number as that number."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def keyword_of(option_field: Field[Any]) -> str:
    """The keyword of an option in Python: its long name on the command line."""
    flags = option_field.metadata.get("flags", ())
    long_names = (flag for flag in flags if flag.startswith("--"))
    return next(long_names, option_field.name).lstrip("-").replace("-", "_")


def keywords_of(kind: type) -> dict[str, Field[Any]]:
    """The fields of a kind that callers set, by their keywords."""
    options = (f for f in fields(kind) if f.default is not MISSING and f.name not in _INTERNAL)
    return {keyword_of(f): f for f in options}
