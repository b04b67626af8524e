"""The public names of gvcodec, which `gvcodec` itself gives on first use: each loads its module
only, so that decoding does not load the encoder."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gvcodec.api.decoded_frames import decode, decode_planes
    from gvcodec.api.decoding import decode_file
    from gvcodec.api.encoding import encode_file
    from gvcodec.api.frames import encode
    from gvcodec.api.info import Info, info
    from gvcodec.api.moments import search, summarize
    from gvcodec.api.results import (
        DecodeReport,
        EncodeReport,
        Moment,
        SearchReport,
        SummarizeReport,
    )
    from gvcodec.api.tokens import TokenSet, tokens
    from gvcodec.bitstream import Reader
    from gvcodec.bitstream.writer import Writer
    from gvcodec.codec.decoder import Decoder
    from gvcodec.codec.encoder import Encoder
    from gvcodec.config import EncoderConfig
    from gvcodec.edit.cat import CatReport, cat
    from gvcodec.edit.cut import CutReport, cut
    from gvcodec.edit.repair import RepairReport, repair
    from gvcodec.edit.verify import VerifyReport, verify
    from gvcodec.errors import (
        DamagedStreamError,
        GvcodecError,
        IncompleteSourceError,
        LimitError,
        MediaError,
        MissingFileError,
        NoGainError,
        UsageError,
        VerificationError,
        WrongModelError,
    )
    from gvcodec.input_options import InputOptions
    from gvcodec.limits import Limits
    from gvcodec.util.progress import State
    from gvcodec.video import Video

    open = Video

#: Names of 1.0 that have changed, with the names that replace them.
NEW_NAMES = {
    "Cut": "CutReport",
    "Decoded": "DecodeReport",
    "Encoded": "EncodeReport",
    "Found": "SearchReport",
    "Joined": "CatReport",
    "Repaired": "RepairReport",
    "Summarized": "SummarizeReport",
    "Verified": "VerifyReport",
}

__all__ = [
    "CatReport",
    "CutReport",
    "DamagedStreamError",
    "DecodeReport",
    "Decoder",
    "EncodeReport",
    "Encoder",
    "EncoderConfig",
    "GvcodecError",
    "IncompleteSourceError",
    "Info",
    "InputOptions",
    "LimitError",
    "Limits",
    "MediaError",
    "MissingFileError",
    "Moment",
    "NoGainError",
    "Reader",
    "RepairReport",
    "SearchReport",
    "State",
    "SummarizeReport",
    "TokenSet",
    "UsageError",
    "VerificationError",
    "VerifyReport",
    "Video",
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
    "summarize",
    "tokens",
    "verify",
]

#: Where the names are.
_MODULES = {
    "gvcodec.api.decoding": ("decode_file",),
    "gvcodec.api.encoding": ("encode_file",),
    "gvcodec.api.decoded_frames": ("decode", "decode_planes"),
    "gvcodec.api.frames": ("encode",),
    "gvcodec.api.info": ("Info", "info"),
    "gvcodec.api.moments": ("search", "summarize"),
    "gvcodec.api.results": (
        "DecodeReport",
        "EncodeReport",
        "Moment",
        "SearchReport",
        "SummarizeReport",
    ),
    "gvcodec.api.tokens": ("TokenSet", "tokens"),
    "gvcodec.bitstream": ("Reader",),
    "gvcodec.bitstream.writer": ("Writer",),
    "gvcodec.codec.decoder": ("Decoder",),
    "gvcodec.codec.encoder": ("Encoder",),
    "gvcodec.config": ("EncoderConfig",),
    "gvcodec.edit.cat": ("CatReport", "cat"),
    "gvcodec.edit.cut": ("CutReport", "cut"),
    "gvcodec.edit.repair": ("RepairReport", "repair"),
    "gvcodec.edit.verify": ("VerifyReport", "verify"),
    "gvcodec.errors": (
        "DamagedStreamError",
        "GvcodecError",
        "IncompleteSourceError",
        "LimitError",
        "MediaError",
        "MissingFileError",
        "NoGainError",
        "UsageError",
        "VerificationError",
        "WrongModelError",
    ),
    "gvcodec.limits": ("Limits",),
    "gvcodec.input_options": ("InputOptions",),
    "gvcodec.util.progress": ("State",),
    "gvcodec.video": ("Video",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'gvcodec.public' has no attribute {name!r}")
    name = "Video" if name == "open" else name
    value = globals()[name] = getattr(import_module(_MODULE_OF[name]), name)
    return value
