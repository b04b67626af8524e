"""gvcodec: a neural video codec for very low bitrate.

    gvcodec.encode_file("in.mp4", "out.gvc", q=45)          # as `gvcodec encode`
    gvcodec.decode_file("out.gvc", "out.mkv")               # as `gvcodec decode`
    gvcodec.open("out.gvc")[7]                              # any frame, (H, W, 3) uint8 RGB
    data = gvcodec.encode(frames, frame_rate=30, q=40)      # arrays or tensors to bytes
    for image in gvcodec.decode(data): ...                  # and back
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

if (_installed := programs.installed_package(__path__[0])) is not None:
    # Python was started in a checkout that is not built: its modules would miss the C++ core.
    __path__[:] = [_installed]
    __file__ = f"{_installed}/__init__.py"
if programs.is_ours():
    programs.leave_working_directory()

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gvcodec.api.decoding import decode_file as decode_file
    from gvcodec.api.encoding import encode_file as encode_file
    from gvcodec.api.frames import decode as decode
    from gvcodec.api.frames import decode_planes as decode_planes
    from gvcodec.api.frames import encode as encode
    from gvcodec.api.moments import search as search
    from gvcodec.api.moments import summarize as summarize
    from gvcodec.api.results import Decoded as Decoded
    from gvcodec.api.results import Encoded as Encoded
    from gvcodec.api.results import Found as Found
    from gvcodec.api.results import Moment as Moment
    from gvcodec.api.results import Summarized as Summarized
    from gvcodec.bitstream import Reader as Reader
    from gvcodec.bitstream import Writer as Writer
    from gvcodec.codec.decoder import Decoder as Decoder
    from gvcodec.codec.encoder import Encoder as Encoder
    from gvcodec.config import EncoderConfig as EncoderConfig
    from gvcodec.edit.cat import Joined as Joined
    from gvcodec.edit.cat import cat as cat
    from gvcodec.edit.cut import Cut as Cut
    from gvcodec.edit.cut import cut as cut
    from gvcodec.edit.info import Info as Info
    from gvcodec.edit.info import info as info
    from gvcodec.edit.repair import Repaired as Repaired
    from gvcodec.edit.repair import repair as repair
    from gvcodec.edit.verify import Verified as Verified
    from gvcodec.edit.verify import verify as verify
    from gvcodec.errors import DamagedStreamError as DamagedStreamError
    from gvcodec.errors import GvcodecError as GvcodecError
    from gvcodec.errors import IncompleteSourceError as IncompleteSourceError
    from gvcodec.errors import LimitError as LimitError
    from gvcodec.errors import MediaError as MediaError
    from gvcodec.errors import MissingFileError as MissingFileError
    from gvcodec.errors import NoGainError as NoGainError
    from gvcodec.errors import UsageError as UsageError
    from gvcodec.errors import VerificationError as VerificationError
    from gvcodec.errors import WrongModelError as WrongModelError
    from gvcodec.limits import Limits as Limits
    from gvcodec.media.inputs import InputOptions as InputOptions
    from gvcodec.util.progress import State as State
    from gvcodec.video import Video as Video

    open = Video

_ERRORS = """DamagedStream Gvcodec IncompleteSource Limit Media MissingFile NoGain Usage
    Verification WrongModel""".split()  # noqa: SIM905
#: Module of each name.
_PLACES = {
    name: f"gvcodec.{module}"
    for module, names in {
        "api.decoding": "decode_file",
        "api.encoding": "encode_file",
        "api.frames": "decode decode_planes encode",
        "api.moments": "search summarize",
        "api.results": "Decoded Encoded Found Moment Summarized",
        "bitstream": "Reader Writer",
        "codec.decoder": "Decoder",
        "codec.encoder": "Encoder",
        "config": "EncoderConfig",
        "errors": " ".join(f"{name}Error" for name in _ERRORS),
        "limits": "Limits",
        "media.inputs": "InputOptions",
        "edit.cat": "Joined cat",
        "edit.cut": "Cut cut",
        "edit.info": "Info info",
        "edit.repair": "Repaired repair",
        "edit.verify": "Verified verify",
        "util.progress": "State",
        "video": "Video open",
    }.items()
    for name in names.split()
}

__all__ = sorted(_PLACES)  # noqa: PLE0605 (type checkers go by the names above)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _PLACES:
        raise AttributeError(f"module 'gvcodec' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), "Video" if name == "open" else name)


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
