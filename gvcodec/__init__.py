"""gvcodec: a neural video codec for very low bitrate.

    data = gvcodec.encode(frames, frame_rate=30, q=40)
    for image in gvcodec.decode(data): ...
    gvcodec.open("out.bin")[7]

Everything below is imported on first use, so that `import gvcodec` is fast and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gvcodec.api import decode, decode_planes, encode
    from gvcodec.bitstream import Reader, Writer
    from gvcodec.config import EncoderConfig
    from gvcodec.decoder import Decoder
    from gvcodec.decoding_limits import Limits
    from gvcodec.encoder import Encoder
    from gvcodec.video import Video
    from gvcodec.video import open_video as open

__version__ = "0.1.0"
__all__ = [
    "Decoder",
    "Encoder",
    "EncoderConfig",
    "Limits",
    "Reader",
    "Video",
    "Writer",
    "decode",
    "decode_planes",
    "encode",
    "open",
]

_PLACES = {
    "Decoder": ("gvcodec.decoder", "Decoder"),
    "Encoder": ("gvcodec.encoder", "Encoder"),
    "EncoderConfig": ("gvcodec.config", "EncoderConfig"),
    "Limits": ("gvcodec.decoding_limits", "Limits"),
    "Reader": ("gvcodec.bitstream", "Reader"),
    "Video": ("gvcodec.video", "Video"),
    "Writer": ("gvcodec.bitstream", "Writer"),
    "decode": ("gvcodec.api", "decode"),
    "decode_planes": ("gvcodec.api", "decode_planes"),
    "encode": ("gvcodec.api", "encode"),
    "open": ("gvcodec.video", "open_video"),
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'gvcodec' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)
