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

A frame's way: api → source → codec (base, painter) → bitstream; back: bitstream → codec (base,
painter) → sink. Which file to open: docs/architecture.md.

All errors are a `GvcodecError` (module `gvcodec.errors`); a missing file is a `FileNotFoundError`
too.

The names are those of `gvcodec.public`, which is imported when the first is used: `import gvcodec`
is fast and needs no torch.
"""

# Nothing is imported here: `python -m gvcodec` comes by before `__main__` has taken the working
# directory, which may hold a file `typing.py`, off the path.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from gvcodec.public import *


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    from importlib import import_module, util

    # Python asks here before it imports a module of the package, too.
    if name == "_core" and util.find_spec("gvcodec._core") is None:
        raise ModuleNotFoundError("gvcodec is not compiled", name="gvcodec._core")
    if name != "__all__" and (name[0] == "_" or util.find_spec(f"gvcodec.{name}")):
        raise AttributeError(f"module 'gvcodec' has no attribute {name!r}")
    public = import_module("gvcodec.public")
    new = public.NEW_NAMES.get(name, name)
    if new != "__all__" and new not in public.__all__:
        raise AttributeError(f"module 'gvcodec' has no attribute {name!r}")
    try:
        value: object = getattr(public, new)
    except ModuleNotFoundError as error:
        if error.name != "gvcodec._core":
            raise
        from gvcodec.util.programs import NOT_COMPILED

        raise ImportError(NOT_COMPILED, name="gvcodec._core") from None
    if new != name:
        from gvcodec.util.deprecation import warn_renamed

        warn_renamed(f"gvcodec.{name}", f"gvcodec.{new}")
    return value


def __dir__() -> list[str]:
    from gvcodec import public

    return [*public.__all__, "__version__"]


def _version() -> str:
    """The version in `pyproject.toml` of the checkout, or of the installed package."""
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
