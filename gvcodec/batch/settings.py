"""The encoder settings of a video, as workers receive them; their hash is part of file names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import gvcodec
from gvcodec import layers
from gvcodec.bases import AUTO
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.media.inputs import InputOptions
from gvcodec.painter.open import has_torch, painter_id
from gvcodec.rate.budget import Budget
from gvcodec.rate.quality import require_metric
from gvcodec.rate.target import Target

#: Bytes of a file may change with it: of how chunks are cut, coded and joined.
_VERSION = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """`rate`: None = the q of `config`. `chunk`: frames. Ids of models in hexadecimal digits, ""
    without one."""

    config: EncoderConfig
    rate: Budget | Target | None = None
    start: float = 0.0
    frames: int | None = None
    chunk: int = 240
    input: InputOptions = field(default_factory=InputOptions)
    base_model: str = ""
    painter: str = ""
    gvc1d: str = ""
    version: str = gvcodec.__version__

    def key(self, content: str) -> str:
        """The name of the work on a video of this content."""
        what = repr((_VERSION, content, self))
        return hashlib.sha256(what.encode()).hexdigest()[:32]


def make_settings(
    config: EncoderConfig,
    rate: Budget | Target | None = None,
    start: float = 0.0,
    frames: int | None = None,
    chunk: int = 0,
    said: InputOptions | None = None,
) -> Settings:
    """What is found on this machine holds for all workers: models, and what leads fitting. `chunk`
    0: as far as keyframes may be apart. Raises `UsageError` for what cannot be encoded in chunks,
    `MissingWeightsError`."""
    if config.low_delay:
        raise UsageError("low delay is for streams that are made as they are sent, not for chunks")
    if config.maxrate:
        raise UsageError("maxrate holds from the first frame to the last, chunks cannot share it")
    if said is not None and said.fps is not None:
        raise UsageError("--fps looks at frames one after another, chunks do not know the last one")
    if isinstance(rate, Target):
        require_metric(rate.metric)
    config = replace(config, zone_start=start if config.zones else 0.0)
    config.resolve()
    if config.base == AUTO:
        config = replace(config, base="av1")
    painter, _ = painter_id(config.base)
    if config.fits and painter and has_torch():
        known = replace(config, threads=0, fit_by=_leader(config))
    else:
        known = replace(config, threads=0, fit=0, fit_by="")
    base_model = layers.base_model_id(config.base)
    return Settings(
        known,
        rate,
        start,
        frames,
        chunk or config.keyint or EncoderConfig().keyint,
        said or InputOptions(),
        base_model.hex() if base_model else "",
        painter.hex() if painter else "",
        _tokens_model(config),
    )


def _tokens_model(config: EncoderConfig) -> str:
    """The id of the model of latent tokens, "" without any. Raises `MediaError`."""
    if not config.has_tokens:
        return ""
    from gvcodec.gvc1d.files import choose_pair, pair_id

    return pair_id(choose_pair(config.model)).hex()


def _leader(config: EncoderConfig) -> str:
    from gvcodec.perceptual import guide_network

    found = guide_network(config.fit_by)
    return found[0] if found else config.fit_by
