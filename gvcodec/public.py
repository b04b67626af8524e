"""The public names of gvcodec, which `gvcodec` itself gives on first use."""

from __future__ import annotations

from gvcodec.api.decoding import decode_file
from gvcodec.api.encoding import encode_file
from gvcodec.api.frames import decode, decode_planes, encode
from gvcodec.api.info import Info, info
from gvcodec.api.moments import search, summarize
from gvcodec.api.results import Decoded, Encoded, Found, Moment, Summarized
from gvcodec.bitstream import Reader, Writer
from gvcodec.codec.decoder import Decoder
from gvcodec.codec.encoder import Encoder
from gvcodec.config import EncoderConfig
from gvcodec.edit.cat import Joined, cat
from gvcodec.edit.cut import Cut, cut
from gvcodec.edit.repair import Repaired, repair
from gvcodec.edit.verify import Verified, verify
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
from gvcodec.limits import Limits
from gvcodec.media.inputs import InputOptions
from gvcodec.util.progress import State
from gvcodec.video import Video

open = Video

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
    "IncompleteSourceError",
    "Info",
    "InputOptions",
    "Joined",
    "LimitError",
    "Limits",
    "MediaError",
    "MissingFileError",
    "Moment",
    "NoGainError",
    "Reader",
    "Repaired",
    "State",
    "Summarized",
    "UsageError",
    "VerificationError",
    "Verified",
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
    "verify",
]
