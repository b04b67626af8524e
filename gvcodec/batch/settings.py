"""What a video is to be encoded with, as JSON that goes to workers and into names."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import Any

import gvcodec
from gvcodec import layers
from gvcodec.bases import AUTO
from gvcodec.config import EncoderConfig
from gvcodec.errors import UsageError
from gvcodec.media.inputs import InputOptions
from gvcodec.painter.open import has_torch, painter_id
from gvcodec.rate.target import Target, require_metric

#: Bytes of a file may change with it: of how chunks are cut, coded and joined.
_VERSION = 1
METRICS = ("lpips",)


@dataclass(frozen=True, slots=True)
class Settings:
    """`config`: fields of `EncoderConfig`. `rate`: {} = its q; one of size (bytes of the file),
    bitrate (bits a second), bpp, and target ([metric, value]). `chunk`: frames. `metrics`: of
    `METRICS`, for the table."""

    config: dict[str, Any]
    rate: dict[str, Any] = field(default_factory=dict)
    start: float = 0.0
    frames: int | None = None
    chunk: int = 240
    metrics: tuple[str, ...] = ()
    base_model: str = ""
    painter: str = ""
    gvc1d: str = ""
    version: str = gvcodec.__version__
    #: Fields of `InputOptions` that are not None; rates as texts.
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return str(self.config["base"])

    def encoder_config(self, threads: int, **others: Any) -> EncoderConfig:
        scale = self.config["scale"]
        fields = self.config | {"scale": scale and Fraction(scale), "threads": threads} | others
        return EncoderConfig(**fields)

    @property
    def input(self) -> InputOptions:
        """What the user says of the video."""
        said = dict(self.said)
        for name in ("rate", "scale"):
            if isinstance(said.get(name), str):
                said[name] = Fraction(said[name])
        for name in ("size", "scale"):
            if isinstance(said.get(name), list):
                said[name] = tuple(said[name])
        return InputOptions(**said)

    def pack(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def unpack(data: dict[str, Any]) -> Settings:
        return Settings(**(data | {"metrics": tuple(data["metrics"])}))

    def key(self, content: str) -> str:
        """The name of the work on a video of this content."""
        what = [_VERSION, content, self.pack()]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def make_settings(
    config: EncoderConfig,
    rate: dict[str, Any] | None = None,
    start: float = 0.0,
    frames: int | None = None,
    chunk: int = 0,
    metrics: tuple[str, ...] = (),
    said: InputOptions | None = None,
) -> Settings:
    """What is found on this machine holds for all workers: models, and what leads fitting. `chunk`
    0: as far as keyframes may be apart. Raises `UsageError` for what cannot be encoded in chunks,
    `MissingWeightsError`."""
    if config.low_delay:
        raise UsageError("low delay is for streams that are made as they are sent, not for chunks")
    if config.maxrate:
        raise UsageError("maxrate holds from the first frame to the last, chunks cannot share it")
    if config.fits and config.fit is not None:
        raise UsageError(
            "--fit with seconds depends on the machine: in chunks it takes steps, as in --fit 60"
        )
    if said is not None and said.fps is not None:
        raise UsageError("--fps looks at frames one after another, chunks do not know the last one")
    if rate and "target" in rate:
        require_metric(Target(*rate["target"]))
    if "lpips" in metrics:
        require_metric(Target("lpips", 1.0))
    config.resolve()
    if config.base == AUTO:
        config = replace(config, base="av1")
    painter, _ = painter_id(config.base)
    if config.fits and painter and has_torch():
        known = replace(config, threads=0, fit_by=_leader(config))
    else:
        known = replace(config, threads=0, fit=0.0, fit_steps=0, fit_parts=0, fit_by="")
    fields = asdict(known) | {"scale": known.scale and str(known.scale)}
    base_model = layers.base_model_id(config.base)
    return Settings(
        fields,
        rate or {},
        start,
        frames,
        chunk or config.keyint or EncoderConfig().keyint,
        metrics,
        base_model.hex() if base_model else "",
        painter.hex() if painter else "",
        _tokens_model(config),
        said={
            name: str(value) if isinstance(value, Fraction) else value
            for name, value in asdict(said or InputOptions()).items()
            if value is not None
        },
    )


def _tokens_model(config: EncoderConfig) -> str:
    """The id of the model of latent tokens, "" without any. Raises `MediaError`."""
    if not config.has_tokens:
        return ""
    from gvcodec.gvc1d.files import choose_pair, pair_id

    return pair_id(choose_pair(config.model)).hex()


def _leader(config: EncoderConfig) -> str:
    """The network that leads fitting, by its name."""
    from gvcodec.painter.perceptual import guide_network

    found = guide_network(config.fit_by)
    return found[0] if found else config.fit_by
