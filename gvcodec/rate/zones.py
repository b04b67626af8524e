"""Zones with a target: each is coded by itself, for the quality at which it meets the target."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from gvcodec.bases import base_of, q_of
from gvcodec.codec.encoder import Progress
from gvcodec.config import EncoderConfig
from gvcodec.errors import MediaError, UsageError
from gvcodec.rate.one_pass import Open, Watch
from gvcodec.rate.quality import require_metric
from gvcodec.rate.target import TARGETS, encode_for, parse_target
from gvcodec.util.zones import Zone, parse_zones

#: Opens a part of the source (begin and end in its seconds) as it is coded, or as large as it is.
OpenPart = Callable[[float, float, bool], Open]


def has_targets(config: EncoderConfig) -> bool:
    """Whether a zone has a target. Raises `UsageError` where one cannot be, and
    `MissingWeightsError`."""
    zones = _targeted(config)
    for zone in zones:
        try:
            target = parse_target(zone.target)
        except ValueError:
            raise UsageError(f"{zone.target!r} of zones is not q=N and not {TARGETS}") from None
        for one in target.all:
            require_metric(one.metric)
    if zones and base_of(config.base).standard is None:
        raise UsageError("zones is for av1 and vvc")
    return bool(zones)


def settle_zones(
    open_part: OpenPart, config: EncoderConfig, watch: Watch, progress: Progress | None
) -> tuple[EncoderConfig, list[str]]:
    """The settings with qualities in place of targets, and a line for each. Raises `UsageError`
    where one is out of reach."""
    settled: list[Zone] = []
    notes: list[str] = []
    for zone in parse_zones(config.zones):
        if not zone.target:
            settled.append(zone)
            continue
        original = open_part(zone.begin, zone.end, True)
        try:
            with original():
                pass
        except (MediaError, UsageError):
            notes.append(f"zone {_name(zone)}: the source has no frame there")
            continue
        target = parse_target(zone.target)
        alone = replace(config, zones="", alloc="", embed_model=False)
        part = open_part(zone.begin, zone.end, False)
        try:
            fitted = encode_for(part, alone, target, watch, progress, original)
        except UsageError as error:
            raise UsageError(f"zone {_name(zone)}: {error}") from error
        q = q_of(config.base, fitted.base_q)
        settled.append(replace(zone, q=q, target=""))
        notes.append(f"zone {_name(zone)}: {target.with_values(fitted.values)} at q {q:.4g}")
    return replace(config, zones=";".join(map(str, settled))), notes


def _targeted(config: EncoderConfig) -> list[Zone]:
    try:
        return [zone for zone in parse_zones(config.zones) if zone.target]
    except ValueError:
        # Said where the settings are checked.
        return []


def _name(zone: Zone) -> str:
    end = "" if math.isinf(zone.end) else f"{zone.end:g}"
    return f"{zone.begin:g}-{end} s"
