"""Sizes of the tokenizer of pictures: a JSON text in its weight file."""

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


#: Fields of files from when the network restored frames of a base too, with the values that a
#: network of single pictures can have; None: any.
_EARLIER: dict[str, Any] = {"buffer": None, "phases": None, "head": "conv", "direct": True}
_EARLIER |= {"titok": False}


@dataclass(frozen=True, slots=True)
class TokenizerConfig:
    """All of a network, since a file holds it as one record. `window`: side of a window in luma
    samples, `patch`: side of a patch. A window has `tokens` tokens of `channels` integers.
    `memory`: vectors of a 1-D memory at the beginning of a video, read by `queries` learned
    queries. `head_width` channels and `head_blocks` residual blocks of the decoder's convolutional
    head at a quarter of the resolution. `rates`: quantiser step sizes, fine to coarse; `step`: the
    step of rate 0, in orthonormal coefficients of 8-bit samples."""

    encoder: Transformer = Transformer(160, 5, 2, 2)
    decoder: Transformer = Transformer(160, 5, 2, 2)
    window: int = 256
    patch: int = 16
    tokens: int = 32
    channels: int = 16
    memory: int = 8
    queries: int = 8
    head_width: int = 48
    head_blocks: int = 2
    rates: int = 8
    step: float = 48.0

    def __post_init__(self) -> None:
        for part in (self.encoder, self.decoder):
            if part.width % part.heads:
                raise MediaError(f"width {part.width} is no multiple of {part.heads} heads")
        if self.window % self.patch or self.patch % 4:
            raise MediaError("windows hold whole patches, patches are multiples of 4 samples")
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
    def from_json(text: str) -> TokenizerConfig:
        """Raises `MediaError` for other configurations than of single pictures."""
        try:
            values: dict[str, Any] = json.loads(text)
            for name, only in _EARLIER.items():
                value = values.pop(name, only)
                if only is not None and value != only:
                    raise ValueError(f"{name} is {value}")
            names = {field.name for field in fields(TokenizerConfig)}
            if unknown := set(values) - names:
                raise ValueError(f"unknown field {min(unknown)}")
            for name in ("encoder", "decoder"):
                if name in values:
                    values[name] = Transformer(**values[name])
            return TokenizerConfig(**values)
        except (ValueError, TypeError, AttributeError) as error:
            raise MediaError(f"no configuration of the tokenizer: {error}") from None
