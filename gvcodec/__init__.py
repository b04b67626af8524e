"""gvcodec: a neural video codec for very low bitrate.

    gvcodec.encode_file("in.mp4", "out.gvc", q=45)          # as `gvcodec encode`
    gvcodec.decode_file("out.gvc", "out.mkv")               # as `gvcodec decode`
    gvcodec.open("out.gvc")[7]                              # any frame, (H, W, 3) uint8 RGB
    data = gvcodec.encode(frames, frame_rate=30, q=40)      # arrays or tensors to bytes
    for image in gvcodec.decode(data): ...                  # and back
    gvcodec.VideoEncoder(frames, frame_rate=30).to_file("out.gvc", q=40)

Everything below is imported on first use, so that `import gvcodec` is fast and needs no torch.
"""

from __future__ import annotations

from gvcodec.util import programs

if programs.is_ours():
    programs.leave_working_directory()

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gvcodec.api import (
        Decoded,
        Encoded,
        VideoEncoder,
        decode,
        decode_file,
        decode_planes,
        encode,
        encode_file,
    )
    from gvcodec.bitstream import Reader, Writer
    from gvcodec.codec.decoder import Decoder
    from gvcodec.codec.encoder import Encoder
    from gvcodec.config import EncoderConfig
    from gvcodec.limits import Limits
    from gvcodec.video import Video
    from gvcodec.video import open_video as open

__all__ = [
    "Decoded",
    "Decoder",
    "Encoded",
    "Encoder",
    "EncoderConfig",
    "Limits",
    "Reader",
    "Video",
    "VideoEncoder",
    "Writer",
    "decode",
    "decode_file",
    "decode_planes",
    "encode",
    "encode_file",
    "open",
]

_PLACES = {
    **{
        name: ("gvcodec.api", name)
        for name in (
            "Decoded",
            "Encoded",
            "VideoEncoder",
            "decode",
            "decode_file",
            "decode_planes",
            "encode",
            "encode_file",
        )
    },
    "Decoder": ("gvcodec.codec.decoder", "Decoder"),
    "Encoder": ("gvcodec.codec.encoder", "Encoder"),
    "EncoderConfig": ("gvcodec.config", "EncoderConfig"),
    "Limits": ("gvcodec.limits", "Limits"),
    "Reader": ("gvcodec.bitstream", "Reader"),
    "Video": ("gvcodec.video", "Video"),
    "Writer": ("gvcodec.bitstream", "Writer"),
    "open": ("gvcodec.video", "open_video"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _PLACES:
        raise AttributeError(f"module 'gvcodec' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


def _version() -> str:
    """What `pyproject.toml` says: that of the checkout, or the one that was installed."""
    from importlib.metadata import PackageNotFoundError, version
    from pathlib import Path

    project = Path(__file__).parent.parent / "pyproject.toml"
    if project.exists():
        import tomllib

        facts = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
        if facts.get("name") == "gvcodec":
            return str(facts["version"])
    try:
        return version("gvcodec")
    except PackageNotFoundError:
        return "unknown"
