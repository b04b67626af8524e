"""The public names of gvcodec, which `gvcodec` itself gives on first use."""

from __future__ import annotations

from gvcodec.api.decoding import decode_file
from gvcodec.api.encoding import encode_file
from gvcodec.api.frames import decode, decode_planes, encode
from gvcodec.api.info import Info, info
from gvcodec.api.moments import search, summarize
from gvcodec.api.results import DecodeReport, EncodeReport, Moment, SearchReport, SummarizeReport
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
from gvcodec.limits import Limits
from gvcodec.media.inputs import InputOptions
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
