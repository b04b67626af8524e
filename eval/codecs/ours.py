"""gvcodec through its command line. One encode gives two rows: the fidelity and the rendered output
of the same file.

The word is `gvcodec`, with options after colons: `gvcodec:base=av1:scale=1/2:tune=60:low-delay`,
`gvcodec:base=tokens`; what is not given is the program's own default; `parts=` is `--fit-parts`,
`by=` is `--fit-by`, `eye`, `preset=` and `keyint=` are options of those
names; with `base-q` qualities are those of `--base-q` in place of `-q`. `output=fidelity` or
`output=rendered` keeps one of the rows. A rate is searched for without per-video tuning; the file
that counts is encoded with it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

from eval.codecs import ENDLESS, Codec, Options
from eval.tools import EvalError, run

_ROOT = Path(__file__).resolve().parents[2]
#: Folders whose content decides what gvcodec writes and shows.
_CONTENT = ("gvcodec", "csrc", "checkpoints")
_SUFFIXES = {".py", ".cpp", ".hpp", ".h", ".safetensors"}
_BESIDE = {"train", "__pycache__"}

#: Bases whose coding order is display order in any case.
IN_ORDER = ("klt",)


@functools.cache
def content_version() -> str:
    """Hash of the codec's sources and models, training code left out."""
    sha = hashlib.sha256()
    for top in _CONTENT:
        for path in sorted((_ROOT / top).rglob("*")):
            if path.suffix in _SUFFIXES and not _BESIDE & set(path.parts):
                sha.update(
                    str(path.relative_to(_ROOT)).encode()
                    + hashlib.sha256(path.read_bytes()).digest()
                )
    return sha.hexdigest()[:16]


def gvcodec(word: str, options: Options) -> Codec:
    """Raises EvalError for an option gvcodec's rows do not have."""
    given = dict(part.partition("=")[::2] for part in word.split(":")[1:])
    known = {
        "base",
        "scale",
        "tune",
        "parts",
        "by",
        "low-delay",
        "eye",
        "preset",
        "base-q",
        "keyint",
        "output",
    }
    if unknown := set(given) - known:
        raise EvalError(
            f"--codecs: {word}: no option {', '.join(sorted(unknown))}; there are "
            f"{', '.join(sorted(known))}"
        )
    _check_base(word, given)
    outputs = {"fidelity": ("--fidelity",), "rendered": ()}
    if (only := given.get("output")) is not None:
        if only not in outputs:
            raise EvalError(f"--codecs: {word}: output is fidelity or rendered")
        outputs = {only: outputs[only]}

    words = [f"--base={given['base']}"] if "base" in given else []
    words += [f"--base-scale={given['scale']}"] if "scale" in given else []
    words += [f"--preset={given['preset']}"] if "preset" in given else []
    words += [f"--{flag}" for flag in ("low-delay", "eye") if flag in given]
    command = ("{python}", "-m", "gvcodec")
    encode = (
        *command,
        "encode",
        "{input}",
        "{stream}",
        "--base-q" if "base-q" in given else "-q",
        "{q}",
        "--keyint",
        given.get("keyint", "0" if options.keyint == ENDLESS else "{keyint}"),
        "--threads",
        "{threads}",
        "-y",
    )
    tuned = (
        *(("--tune", given["tune"]) if "tune" in given else ()),
        *(("--fit-parts", given["parts"]) if "parts" in given else ()),
        *(("--fit-by", given["by"]) if "by" in given else ()),
    )
    shown = [(k, v) for k, v in given.items() if k not in ("output", "base-q")]
    return Codec(
        "-".join(["gvcodec", *(f"tune{v}" if k == "tune" else v or k for k, v in shown)]).replace(
            "/", "_"
        ),
        " ".join(["gvcodec", *(f"{k} {v}".strip() for k, v in shown)]),
        (*encode, *words, *tuned),
        {
            o: (*command, "decode", "{stream}", "{output}", "--threads", "{threads}", "-y", *w)
            for o, w in outputs.items()
        },
        (0, _coarsest(given)),
        45,
        "bin",
        "low" if "low-delay" in given or given.get("base") in IN_ORDER else "random",
        "gvcodec",
        content_version(),
        quicker=_quicker(given, (*encode, *words)),
        keyint=options.keyint,
        threads=options.threads,
    )


def _check_base(word: str, given: dict[str, str]) -> None:
    from gvcodec.bases import base_of, names

    base = given.get("base", "av1")
    if base not in names():
        raise EvalError(f"--codecs: {word}: base is {', '.join(names())}")
    has = {"scale": base_of(base).scales, "preset": base_of(base).presets}
    if unfit := [name for name, there in has.items() if name in given and not there]:
        raise EvalError(f"--codecs: {word}: base {base} has no {' and no '.join(unfit)}")


def _quicker(given: dict[str, str], encode: tuple[str, ...]) -> tuple[str, ...] | None:
    """The command by which a rate is searched for, if it is another: without tuning, and VVenC by
    its fastest preset."""
    fast = ("--preset", "4") if given.get("base") == "vvc" else ()
    return (*encode, *fast, "--tune", "off") if fast or given.get("tune") != "off" else None


def _coarsest(given: dict[str, str]) -> int:
    """The largest quality number of a word's base and scale."""
    from gvcodec.bases import q_of
    from gvcodec.encoder import EncoderConfig

    scale = Fraction(given["scale"]) if "scale" in given else None
    config = EncoderConfig(base=given.get("base", "av1"), scale=scale)
    return int(config.coarsest if "base-q" in given else q_of(config.base, config.coarsest))


def frame_bytes(stream: Path) -> list[int]:
    """Bytes of every frame packet in coding order, framing included."""
    from gvcodec.bitstream.reader import Reader

    with open(stream, "rb") as file:
        return [
            len(packet.pack()) for packet in Reader(file, stream.name).packets() if packet.is_frame
        ]


def stream_facts(stream: Path) -> dict[str, Any]:
    """What `gvcodec info` tells of a stream that a table must know: base, scale, model ids (None =
    no such layer)."""
    _, text = run([sys.executable, "-m", "gvcodec", "info", str(stream), "--json"])
    info = json.loads(text)
    return {
        key: info.get(key)
        for key in ("base", "base_scale", "structure_id", "appearance_id", "packet_bytes")
    }
