"""Options that exclude each other: one table, checked for every encode.

A rule is broken where its test is true of the settings; its message names their values in braces.
`check_rules` raises the first broken one as `UsageError` with the rule's code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple

from gvcodec.bases import base_of
from gvcodec.errors import UsageError
from gvcodec.zones import ZONES, parse_zones


class Rule(NamedTuple):
    """`code`: of the error (`gvcodec.errors`); `is_broken`: of a `ResolvedConfig`."""

    code: str
    is_broken: Callable[[Any], bool]
    message: str


def _has_standard(config: Any) -> bool:
    """Whether the base is a standard codec."""
    return base_of(config.base).standard is not None


def _can_cap_rate(config: Any) -> bool:
    standard = base_of(config.base).standard
    return standard is not None and standard.can_cap_rate


def _zones_of(config: Any) -> list[str] | None:
    """Targets of the zones; None if they cannot be read."""
    try:
        return [zone.target for zone in parse_zones(config.zones) if zone.target]
    except ValueError:
        return None


def _values(*values: str) -> str:
    return ", ".join(values)


#: How tokens that steer the painter are found; see `gvcodec.painter.tokens`.
TOKENS = ("off", "on", "search")
#: How bits are shared; see `gvcodec.rate.scenes`.
METHODS = ("uniform", "uniqueness", "elbo", "both", "rd")

RULES = (
    # Features of bases.
    Rule(
        "base-feature",
        lambda c: c.eye and not base_of(c.base).eye,
        "--eye needs base av1, not {base}",
    ),
    Rule(
        "base-feature",
        lambda c: c.scale != 1 and not _has_standard(c),
        "base {base} has no reduced --base-scale",
    ),
    Rule(
        "base-feature",
        lambda c: c.preset is not None and not _has_standard(c),
        "--preset needs base av1 or vvc, not {base}",
    ),
    Rule(
        "base-feature",
        lambda c: bool(c.zones) and not _has_standard(c),
        "--zones needs base av1 or vvc, not {base}",
    ),
    Rule(
        "base-feature",
        lambda c: bool(c.encoder_params) and not _has_standard(c),
        "--encoder-params needs base av1 or vvc, not {base}",
    ),
    # Tokens of the painter.
    Rule(
        "option-value",
        lambda c: c.tokens not in TOKENS,
        f"tokens is {_values(*TOKENS)}, not {{tokens}}",
    ),
    Rule(
        "base-feature",
        lambda c: c.tokens != "off" and not _has_standard(c),
        "--tokens needs base av1 or vvc, not {base}",
    ),
    Rule(
        "option-conflict",
        lambda c: c.tokens != "off" and (not c.uses_tokens or c.low_delay),
        "--tokens needs the painter and whole GOPs: not with --painter off or --low-delay",
    ),
    # Zones.
    Rule(
        "option-conflict",
        lambda c: bool(c.zones and c.maxrate),
        "--zones cannot be combined with --maxrate, which changes quality itself",
    ),
    Rule(
        "option-conflict",
        lambda c: bool(c.zones) and c.alloc in METHODS[1:],
        "--zones cannot be combined with --alloc {alloc}, which changes quality itself",
    ),
    Rule(
        "option-value",
        lambda c: bool(c.zones) and _zones_of(c) is None,
        f"{{zones!r}} is not {ZONES}",
    ),
    Rule(
        "base-feature",
        lambda c: bool(c.zones and _zones_of(c)),
        "zones with a target need a file that can be read twice: encode or encode_file",
    ),
    # Rate.
    Rule(
        "base-feature",
        lambda c: bool(c.maxrate) and not _can_cap_rate(c),
        "--maxrate needs base av1, not {base}",
    ),
    Rule(
        "option-conflict",
        lambda c: bool(c.maxrate and c.low_delay),
        "--maxrate has no effect with --low-delay: SVT-AV1 ignores it there",
    ),
    Rule(
        "option-value",
        lambda c: bool(c.maxrate) and not 1000 <= c.maxrate < 1 << 41,
        "maxrate is 1000 bits a second or more",
    ),
    Rule(
        "option-value",
        lambda c: min(c.keyint, c.threads) < 0,
        "keyint and threads cannot be negative",
    ),
    Rule(
        "option-value",
        lambda c: c.alloc not in ("", *METHODS),
        f"alloc is {_values(*METHODS)}, not {{alloc}}",
    ),
    Rule(
        "option-value",
        lambda c: not 0 < c.token_share <= 1,
        "token_share is above 0 and at most 1, not {token_share:g}",
    ),
    Rule(
        "base-feature",
        lambda c: c.token_share < 1 and _has_standard(c),
        "token_share is for base gvc1d, base {base} has no tokens",
    ),
    # Painter.
    Rule(
        "option-value",
        lambda c: c.painter not in ("on", "off"),
        "painter is on or off, not {painter}",
    ),
    Rule("option-value", lambda c: not 0 <= c.look <= 100, "look is 0…100, not {look}"),
    Rule(
        "option-conflict",
        lambda c: c.look != 50 and c.painter == "off",
        "--look has no effect with --painter off",
    ),
)


def check_rules(config: Any) -> None:
    """Raises `UsageError` for the first rule that the settings break."""
    for rule in RULES:
        if rule.is_broken(config):
            names = (field.name for field in fields(config))
            values = {name: getattr(config, name) for name in names}
            raise UsageError(rule.message.format(**values), code=rule.code)
