"""The file that fits a budget: never larger, and as near to it as the base allows."""

from __future__ import annotations

import dataclasses

from gvcodec.bases import AUTO, base_of
from gvcodec.codec.encoder import Progress
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.rate.auto import Choose, too_dear
from gvcodec.rate.budget import Budget
from gvcodec.rate.one_pass import Open, Watch, measure
from gvcodec.rate.search import Fitted, Search, refuse_sound
from gvcodec.rate.size_motion import encode_motion
from gvcodec.rate.size_standard import encode_standard, find_quality


def encode_to(
    open_source: Open,
    config: EncoderConfig,
    budget: Budget,
    watch: Watch,
    progress: Progress | None = None,
    choose: Choose | None = None,
    is_file: bool = True,
) -> Fitted:
    """Encode within a budget; the quality of `config` does not matter. `choose`: chooses the base
    of "auto", which is av1 without it. `is_file`: the stream is the file that counts;
    otherwise a container adds to it, or leaves sound out, and nothing is refused without a full
    pass. Raises `UsageError` with the smallest possible size where the budget cannot be met."""
    if config.maxrate:
        raise UsageError("maxrate goes with q, not with a budget for the whole file")
    extent = measure(open_source, watch)
    limit = budget.file_bytes(extent.format, extent.frames, extent.track_bytes, extent.seconds)
    if is_file:
        refuse_sound(limit, extent.track_bytes)
    search = Search(open_source, config, extent, limit, watch, progress, is_file)
    if config.base == AUTO:
        return _encode_auto(search, choose)
    return (
        encode_motion(search) if base_of(config.base).standard is None else encode_standard(search)
    )


def _encode_auto(search: Search, choose: Choose | None) -> Fitted:
    """In the base that is chosen at the quality at which AV1 has as many bytes as the limit."""
    search.config = dataclasses.replace(search.config, base="av1")
    extent, fmt = search.extent, search.extent.format
    room = max(1, search.limit - extent.track_bytes)
    if choose is None or too_dear(room, extent.frames * fmt.width * fmt.height):
        return encode_standard(search)
    found = find_quality(search)
    config = choose(dataclasses.replace(search.config, base_q=found[0]))
    if config.base == "av1":
        return encode_standard(search, found)
    motion = dataclasses.replace(search, config=dataclasses.replace(config, base_q=None))
    return encode_motion(motion, config.base_q)
