"""Sizes of a GVC1D network. A configuration is a JSON file beside the weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from gvcodec.errors import MediaError


@dataclass(frozen=True, slots=True)
class Transformer:
    """`width` D of the features, `heads` of attention, `stages` of `local` layers inside a window
    and then `globals` layers across windows."""

    width: int
    heads: int
    stages: int
    local: int
    globals: int = 1


@dataclass(frozen=True, slots=True)
class GVC1DConfig:
    """All of a network, since a file holds it as one record. `window`: side of a window in luma
    samples, `patch`: side of a patch. A window has `tokens` tokens of `channels` integers.
    `memory`: vectors of the 1-D memory a window, read by `queries` learned queries; 0 = none.
    `buffer`: whether the last frame is context. `head`: "conv" = a convolutional head of
    `head_width` channels and `head_blocks` residual blocks at a quarter of
    the resolution, "pixels" = one linear map a patch (TA-TiTok). `direct`: tokens begin with
    fixed patterns (`gvcodec.gvc1d.direct`), which become finer over `phases` frames: frame
    t of a GOP is in phase t modulo `phases`. `rates`: quantiser step sizes, fine to coarse;
    `step`: the step of rate 0, in orthonormal coefficients of 8-bit samples. `titok`: parts that
    only published TA-TiTok weights have (class token, plain attention)."""

    encoder: Transformer = Transformer(160, 5, 2, 2)
    decoder: Transformer = Transformer(160, 5, 2, 2)
    window: int = 256
    patch: int = 16
    tokens: int = 32
    channels: int = 16
    memory: int = 8
    queries: int = 8
    buffer: bool = True
    head: str = "conv"
    head_width: int = 48
    head_blocks: int = 2
    direct: bool = True
    phases: int = 1
    rates: int = 8
    step: float = 48.0
    titok: bool = False

    def __post_init__(self) -> None:
        for part in (self.encoder, self.decoder):
            if part.width % part.heads:
                raise MediaError(f"width {part.width} is no multiple of {part.heads} heads")
        if self.window % self.patch or self.patch % 4 or self.head not in ("conv", "pixels"):
            raise MediaError("windows hold whole patches, patches are multiples of 4 samples")
        if not 1 <= self.phases <= 16:
            raise MediaError("patterns have 1 to 16 phases")
        if self.tokens & (self.tokens - 1) or not 8 <= self.tokens <= 256 or self.channels < 8:
            raise MediaError("a window has 8, 16, 32, … 256 tokens of at least 8 channels")

    @property
    def side(self) -> int:
        """Patches along a window."""
        return self.window // self.patch

    def to_json(self) -> str:
        """All fields."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> GVC1DConfig:
        """Raises `MediaError` for what is no configuration."""
        try:
            values: dict[str, Any] = json.loads(text)
            known = {field.name for field in fields(GVC1DConfig)}
            if unknown := set(values) - known:
                raise ValueError(f"unknown field {min(unknown)}")
            for name in ("encoder", "decoder"):
                if name in values:
                    values[name] = Transformer(**values[name])
            return GVC1DConfig(**values)
        except (ValueError, TypeError, AttributeError) as error:
            raise MediaError(f"no configuration of GVC1D: {error}") from None


#: Trained from this repository and shipped: 6 M parameters, about 25 kMAC a luma sample.
SMALL = GVC1DConfig(phases=16)
#: The paper's: ViT-B encoder, ViT-L decoder, 32 × 16 latents; begins with TA-TiTok BL32-VAE.
LARGE = GVC1DConfig(
    encoder=Transformer(768, 12, 4, 3),
    decoder=Transformer(1024, 16, 8, 3),
    head="pixels",
    direct=False,
    step=0.25,
    titok=True,
)
