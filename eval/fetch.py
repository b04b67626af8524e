"""`python -m eval fetch uvg DIR --accept-licence`: the clips of UVG from where they are published.

An interrupted download is resumed. `DIR/SHA256SUMS` holds a hash for each file: a listed file must
have its hash, others are added, so that a second machine can check the files of the first
(`--sums` names another list). HEVC Class B cannot be fetched by
anybody: its owners hand it out to members of standard bodies; see `eval.sequences` for the names.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from eval.sequences import NAMED
from eval.tools import EvalError, log_line

#: Set → where its files are, the name of each, its licence.
SETS = {
    "uvg": (
        "https://ultravideo.fi/video/",
        "{clip}_1920x1080_120fps_420_8bit_YUV_RAW.7z",
        "CC BY-NC 3.0, not for commercial use, with attribution (https://ultravideo.fi)",
    )
}
#: Their file names where they differ from ours.
_PUBLISHED = {"ReadySteadyGo": "ReadySetGo"}
_BLOCK = 1 << 20
_UNPACKERS = (("7z", "x", "-y"), ("7zz", "x", "-y"), ("bsdtar", "-xf"))


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("set", choices=SETS)
    add("folder", type=Path, metavar="DIR", help="where clips go")
    add("--accept-licence", action="store_true", help="you have read it and keep to it")
    add("--from", dest="address", metavar="URL", help="a mirror, or file:///FOLDER/")
    add("--sums", type=Path, metavar="FILE", help="list of SHA-256 (DIR/SHA256SUMS)")
    add("--only", type=lambda text: text.split(","), default=[], metavar="NAME,…")


def run(options: argparse.Namespace) -> int:
    address, pattern, licence = SETS[options.set]
    log_line(f"{options.set}: {licence}")
    if not options.accept_licence:
        raise EvalError("say --accept-licence if you keep to it")
    options.folder.mkdir(parents=True, exist_ok=True)
    sums = options.sums or options.folder / "SHA256SUMS"
    for clip in NAMED[options.set]:
        if options.only and not any(word in clip for word in options.only):
            continue
        name = pattern.format(clip=_PUBLISHED.get(clip, clip))
        path = options.folder / name
        if not path.exists():
            download((options.address or address).rstrip("/") + "/" + name, path)
        verify(path, sums)
        unpack(path)
    return 0


def download(address: str, path: Path) -> None:
    """Download into `path`, through `path`.part, which a second call resumes. Raises EvalError."""
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request) as source, open(part, "ab") as out:
            if have and source.status != 206:
                # The whole file comes, from `file://` or a server that knows no parts.
                out.truncate(0)
                have = 0
            log_line(f"{path.name}: from byte {have}" if have else path.name)
            shutil.copyfileobj(source, out, _BLOCK)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing is left to send
            raise EvalError(f"{address}: {error}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise EvalError(f"{address}: {reason}; the downloaded part is kept, run it again") from None
    os.replace(part, path)


def verify(path: Path, sums: Path) -> None:
    """Raises EvalError where the list has another hash of a file; adds one that it lacks."""
    with open(path, "rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.exists() else []
    expected = {name: value for value, name in (line.split(maxsplit=1) for line in lines if line)}
    if expected.setdefault(path.name, actual) != actual:
        raise EvalError(f"{path}: SHA-256 is {actual}, {sums} has {expected[path.name]}: remove it")
    text = "".join(f"{value}  {name}\n" for name, value in sorted(expected.items()))
    sums.write_text(text, encoding="utf-8")


def unpack(path: Path) -> None:
    """The archive's files next to it. Raises EvalError where no program does that."""
    if path.suffix != ".7z":
        return
    for program, *words in _UNPACKERS:
        if executable := shutil.which(program):
            process = subprocess.run([executable, *words, path.name], cwd=path.parent, check=False)
            if process.returncode:
                raise EvalError(f"{path}: {program} ended with {process.returncode}")
            return
    raise EvalError(f"{path}: unpack it yourself, or install 7-Zip (apt install 7zip)")
