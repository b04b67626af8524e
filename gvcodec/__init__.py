"""gvcodec: a neural video codec for very low bitrate.

    gvcodec.encode_file("in.mp4", "out.gvc", q=45)          # as `gvcodec encode`
    gvcodec.decode_file("out.gvc", "out.mkv")               # as `gvcodec decode`
    gvcodec.open("out.gvc")[7]                              # any frame, (H, W, 3) uint8 RGB
    data = gvcodec.encode(frames, frame_rate=30, q=40)      # arrays or tensors to bytes
    for image in gvcodec.decode(data): ...                  # and back
    gvcodec.VideoEncoder(frames, frame_rate=30).to_file("out.gvc", q=40)
    gvcodec.info("out.gvc").kbps; gvcodec.verify("out.gvc", "in.mp4").base_psnr
    gvcodec.cut("out.gvc", "piece.gvc", 75, 105); gvcodec.cat(["a.gvc", "b.gvc"], "both.gvc")
    gvcodec.repair("damaged.gvc", "mended.gvc").lost
    gvcodec.search("still.jpg", "films/").moments

All errors are a `GvcodecError` (module `gvcodec.errors`); a missing file is a `FileNotFoundError`
too.

Everything below is imported on first use, so that `import gvcodec` is fast and needs no torch.
"""

from __future__ import annotations

from gvcodec.util import programs

if programs.is_ours():
    programs.leave_working_directory()

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gvcodec.api.decoding import decode_file
    from gvcodec.api.encoding import encode_file
    from gvcodec.api.frames import VideoEncoder, decode, decode_planes, encode
    from gvcodec.api.moments import search
    from gvcodec.api.results import Decoded, Encoded, Found, Moment
    from gvcodec.api.streams import cat, cut, info, repair, verify
    from gvcodec.bitstream import Reader, Writer
    from gvcodec.codec.decoder import Decoder
    from gvcodec.codec.encoder import Encoder
    from gvcodec.config import EncoderConfig
    from gvcodec.errors import (
        DamagedStreamError,
        GvcodecError,
        LimitError,
        MediaError,
        MissingFileError,
        UsageError,
        VerificationError,
        WrongModelError,
    )
    from gvcodec.limits import Limits
    from gvcodec.media.inputs import InputOptions
    from gvcodec.streams.cat import Joined
    from gvcodec.streams.cut import Cut
    from gvcodec.streams.info import Info
    from gvcodec.streams.repair import Repaired
    from gvcodec.streams.verify import Verified
    from gvcodec.util.progress import State
    from gvcodec.video import Video
    from gvcodec.video import open_video as open

__all__ = [
    "Cut",
    "DamagedStreamError",
    "Decoded",
    "Decoder",
    "Encoded",
    "Encoder",
    "EncoderConfig",
    "Found",
    "GvcodecError",
    "Info",
    "InputOptions",
    "Joined",
    "LimitError",
    "Limits",
    "MediaError",
    "MissingFileError",
    "Moment",
    "Reader",
    "Repaired",
    "State",
    "UsageError",
    "VerificationError",
    "Verified",
    "Video",
    "VideoEncoder",
    "Writer",
    "WrongModelError",
    "cat",
    "cut",
    "decode",
    "decode_file",
    "decode_planes",
    "encode",
    "encode_file",
    "info",
    "open",
    "repair",
    "search",
    "verify",
]

#: Where the names are, by module.
_PLACES = {
    name: (module, name)
    for module, names in {
        "gvcodec.api.decoding": ["decode_file"],
        "gvcodec.api.encoding": ["encode_file"],
        "gvcodec.api.frames": ["VideoEncoder", "decode", "decode_planes", "encode"],
        "gvcodec.api.moments": ["search"],
        "gvcodec.api.results": ["Decoded", "Encoded", "Found", "Moment"],
        "gvcodec.api.streams": ["cat", "cut", "info", "repair", "verify"],
        "gvcodec.bitstream": ["Reader", "Writer"],
        "gvcodec.codec.decoder": ["Decoder"],
        "gvcodec.codec.encoder": ["Encoder"],
        "gvcodec.config": ["EncoderConfig"],
        "gvcodec.errors": [
            "DamagedStreamError",
            "GvcodecError",
            "LimitError",
            "MediaError",
            "MissingFileError",
            "UsageError",
            "VerificationError",
            "WrongModelError",
        ],
        "gvcodec.limits": ["Limits"],
        "gvcodec.media.inputs": ["InputOptions"],
        "gvcodec.streams.cat": ["Joined"],
        "gvcodec.streams.cut": ["Cut"],
        "gvcodec.streams.info": ["Info"],
        "gvcodec.streams.repair": ["Repaired"],
        "gvcodec.streams.verify": ["Verified"],
        "gvcodec.util.progress": ["State"],
        "gvcodec.video": ["Video"],
    }.items()
    for name in names
} | {"open": ("gvcodec.video", "open_video")}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _PLACES:
        raise AttributeError(f"module 'gvcodec' has no attribute {name!r}")
    module, attribute = _PLACES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


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
