"""The file that fits a budget: never larger, and as near to it as the base allows."""

from __future__ import annotations

from gvcodec.bases import base_of
from gvcodec.codec.encoder import Progress
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.rate.budget import Budget
from gvcodec.rate.one_pass import Open, Watch, measure
from gvcodec.rate.search import Fitted, Search
from gvcodec.rate.size_standard import encode_standard
from gvcodec.rate.size_tokens import encode_tokens


def encode_to(
    open_source: Open,
    config: EncoderConfig,
    budget: Budget,
    watch: Watch,
    progress: Progress | None = None,
) -> Fitted:
    """Encode within a budget; the quality of `config` does not matter. Raises `UsageError` with the
    smallest possible size where the budget cannot be met."""
    if config.maxrate:
        raise UsageError("maxrate goes with q, not with a budget for the whole file")
    extent = measure(open_source, watch)
    limit = budget.file_bytes(extent.format, extent.frames, extent.track_bytes)
    search = Search(open_source, config, extent, limit, watch, progress)
    return (
        encode_tokens(search) if base_of(config.base).standard is None else encode_standard(search)
    )
