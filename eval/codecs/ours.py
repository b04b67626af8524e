"""gvcodec through its command line. One encode gives two rows: the fidelity and the rendered output of the same file.

The word is `gvcodec`, with options after colons: `gvcodec:base=av1:scale=1/2:tune=60:low-delay`. `output=fidelity`
or `output=rendered` keeps one of the rows. A rate is searched for without per-video tuning; the file that counts is
encoded with it.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from eval.codecs import Codec, Options
from eval.tools import EvalError, digest

_ROOT = Path(__file__).resolve().parents[2]
#: Folders whose content decides what gvcodec writes and shows.
_CONTENT = ("gvcodec", "csrc", "checkpoints")
_SUFFIXES = {".py", ".cpp", ".hpp", ".h", ".safetensors", ".json"}
_BESIDE = {"train", "__pycache__"}


@functools.cache
def content_version() -> str:
    """Hash of the codec's sources and models, training code left out."""
    sha = hashlib.sha256()
    for top in _CONTENT:
        for path in sorted((_ROOT / top).rglob("*")):
            if path.suffix in _SUFFIXES and not _BESIDE & set(path.parts):
                sha.update(str(path.relative_to(_ROOT)).encode() + hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()[:16]


def gvcodec(word: str, options: Options) -> Codec:
    """Raises EvalError for an option gvcodec's rows do not have."""
    given = dict(part.partition("=")[::2] for part in word.split(":")[1:])
    known = {"base", "scale", "tune", "low-delay", "output"}
    if unknown := set(given) - known:
        raise EvalError(
            f"--codecs: {word}: no option {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
        )
    outputs = {"fidelity": ("--fidelity",), "rendered": ()}
    if (only := given.get("output")) is not None:
        if only not in outputs:
            raise EvalError(f"--codecs: {word}: output is fidelity or rendered")
        outputs = {only: outputs[only]}

    words = [f"--base={given['base']}"] if "base" in given else []
    words += [f"--base-scale={given['scale']}"] if "scale" in given else []
    words += ["--low-delay"] if "low-delay" in given else []
    command = ("{python}", "-m", "gvcodec")
    encode = (
        *command,
        "encode",
        "{input}",
        "{stream}",
        "-q",
        "{q}",
        "--keyint",
        "{keyint}",
        "--threads",
        "{threads}",
        "-y",
    )
    tune = given.get("tune", "off")
    name = "-".join(["gvcodec", *(v or k for k, v in given.items() if k != "output" and (k, v) != ("tune", "off"))])
    return Codec(
        name.replace("/", "_"),
        " ".join(["gvcodec", *(f"{k} {v}".strip() for k, v in given.items() if k != "output")]),
        (*encode, *words, "--tune", tune),
        {
            o: (*command, "decode", "{stream}", "{output}", "--threads", "{threads}", "-y", *w)
            for o, w in outputs.items()
        },
        (0, 63),
        45,
        "bin",
        "low" if "low-delay" in given or given.get("base") == "klt" else "random",
        "gvcodec",
        digest([content_version()]),
        quicker=None if tune == "off" else (*encode, *words, "--tune", "off"),
        keyint=options.keyint,
        threads=options.threads,
        notes={"content": content_version(), **given},
    )
