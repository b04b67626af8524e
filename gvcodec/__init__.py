"""gvcodec: a neural video codec for very low bitrate.

    data = gvcodec.encode(frames, frame_rate=30, q=40)
    for image in gvcodec.decode(data): ...

Everything below is imported on first use, so that `import gvcodec` is fast and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gvcodec.api import decode, decode_planes, encode
    from gvcodec.bitstream import Reader, Writer
    from gvcodec.decoder import Decoder
    from gvcodec.encoder import Encoder, EncoderConfig

__version__ = "0.1.0"
__all__ = ["Decoder", "Encoder", "EncoderConfig", "Reader", "Writer", "decode", "decode_planes", "encode"]

_PLACES = {
    "Decoder": "gvcodec.decoder",
    "Encoder": "gvcodec.encoder",
    "EncoderConfig": "gvcodec.encoder",
    "Reader": "gvcodec.bitstream",
    "Writer": "gvcodec.bitstream",
    "decode": "gvcodec.api",
    "decode_planes": "gvcodec.api",
    "encode": "gvcodec.api",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'gvcodec' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
