"""gvcodec through its command line. One encode gives two rows: base frames ("fidelity") and painted
frames ("rendered") of the same file.

The word is `gvcodec`, with options after colons: `gvcodec:base=av1:scale=1/2:fit=60:low-delay`,
`gvcodec:base=vvc`. `fit=` is `--fit`, `by=` `--fit-by`, `scale=` `--base-scale`; `low-delay`,
`eye`, `speed=`, `preset=`, `keyint=`, `tokens=`, `token-share=`, `alloc=` and `painter=` are
options of those names, `model=` is a file; with `base-q` qualities are values of `--base-q`.
`output=fidelity` or `output=rendered` keeps one of the rows. A rate is searched for without
fitting; the file that counts is fitted.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

from eval.codecs.codec import Codec, Options
from eval.tools import EvalError, run_command
from gvcodec.compare.peers import ENDLESS

_ROOT = Path(__file__).resolve().parents[2]
#: Folders whose content decides gvcodec's output.
_CONTENT = ("gvcodec", "csrc", "checkpoints")
_SUFFIXES = {".py", ".cpp", ".hpp", ".h", ".safetensors"}
_BESIDE = {"train", "__pycache__"}
#: Option of a word → flag that takes its value.
FLAGS = {
    "base": "--base",
    "scale": "--base-scale",
    "speed": "--speed",
    "preset": "--preset",
    "fit": "--fit",
    "by": "--fit-by",
    **{name: f"--{name}" for name in ("tokens", "token-share", "alloc", "model", "painter")},
}
_FITTING = ("fit", "by")
SWITCHES = ("low-delay", "eye")
_OPTIONS = {*FLAGS, *SWITCHES, "base-q", "keyint", "output"}
_OUTPUTS: dict[str, tuple[str, ...]] = {"fidelity": ("--fidelity",), "rendered": ()}


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
    given = _options_of(word)
    outputs = {given["output"]: _OUTPUTS[given["output"]]} if "output" in given else _OUTPUTS
    command = ("{python}", "-m", "gvcodec")
    quality = "--base-q" if "base-q" in given else "-q"
    keyint = given.get("keyint", "0" if options.keyint == ENDLESS else "{keyint}")
    encode = (*command, "encode", "{input}", "{stream}", quality, "{q}", "--keyint", keyint)
    encode += ("--threads", "{threads}", "-y")
    flags = {name: f"{flag}={given[name]}" for name, flag in FLAGS.items() if name in given}
    encode += tuple(flag for name, flag in flags.items() if name not in _FITTING)
    encode += tuple(f"--{name}" for name in SWITCHES if name in given)
    fitted = tuple(flag for name, flag in flags.items() if name in _FITTING)
    decode = (*command, "decode", "{stream}", "{output}", "--threads", "{threads}", "-y")
    decode += (f"--model={given['model']}",) if "model" in given else ()
    shown = [(k, Path(v).stem if k == "model" else v) for k, v in given.items()]
    shown = [(k, v) for k, v in shown if k not in ("output", "base-q")]
    name = "-".join(["gvcodec", *(f"fit{v}" if k == "fit" else v or k for k, v in shown)])
    return Codec(
        name.replace("/", "_"),
        " ".join(["gvcodec", *(f"{k} {v}".strip() for k, v in shown)]),
        (*encode, *fitted),
        {output: (*decode, *words) for output, words in outputs.items()},
        (0, _coarsest(given)),
        45,
        "bin",
        "low" if "low-delay" in given else "random",
        "gvcodec",
        content_version(),
        quicker=_quicker(given, encode),
        keyint=options.keyint,
        threads=options.threads,
    )


def _options_of(word: str) -> dict[str, str]:
    """The options of a word. Raises EvalError for those that do not fit."""
    given = dict(part.partition("=")[::2] for part in word.split(":")[1:])
    if unknown := set(given) - _OPTIONS:
        listed, known = ", ".join(sorted(unknown)), ", ".join(sorted(_OPTIONS))
        raise EvalError(f"--codecs: {word}: no option {listed}; there are {known}")
    if given.get("output", "rendered") not in _OUTPUTS:
        raise EvalError(f"--codecs: {word}: output is fidelity or rendered")
    _check_base(word, given)
    return given


def _rated_base(given: dict[str, str]) -> str:
    from gvcodec.bases import ALIASES

    base = given.get("base", "av1")
    return ALIASES.get(base, base)


def _check_base(word: str, given: dict[str, str]) -> None:
    from gvcodec.bases import base_of, names

    base = _rated_base(given)
    if base not in names():
        raise EvalError(f"--codecs: {word}: base is {', '.join(names())}")
    has = {"scale": base_of(base).standard, "preset": base_of(base).presets}
    if unfit := [name for name, there in has.items() if name in given and not there]:
        raise EvalError(f"--codecs: {word}: base {base} has no {' and no '.join(unfit)}")


def _quicker(given: dict[str, str], encode: tuple[str, ...]) -> tuple[str, ...] | None:
    """The command by which a rate is searched for, if it is another: without fitting, and VVenC by
    its fastest preset."""
    fast = ("--preset", "4") if given.get("base") == "vvc" else ()
    return (*encode, *fast, "--fit", "off") if fast or given.get("fit") != "off" else None


def _coarsest(given: dict[str, str]) -> int:
    """The largest quality number of a word's base and scale."""
    from gvcodec.bases import q_of
    from gvcodec.config import EncoderConfig

    scale = Fraction(given["scale"]) if "scale" in given else None
    config = EncoderConfig(base=_rated_base(given), scale=scale)
    return int(config.max_base_q if "base-q" in given else q_of(config.base, config.max_base_q))


def frame_bytes(stream: Path) -> list[int]:
    """Bytes of every frame packet in coding order, framing included."""
    from gvcodec.bitstream.reader import Reader

    with open(stream, "rb") as file:
        return [
            len(packet.pack()) for packet in Reader(file, stream.name).packets() if packet.is_frame
        ]


def stream_facts(stream: Path) -> dict[str, Any]:
    """Facts of `gvcodec info` about a stream that tables need: base, scale, model ids (None =
    no such layer)."""
    _, text = run_command([sys.executable, "-m", "gvcodec", "info", str(stream), "--json"])
    info = json.loads(text)
    return {
        key: info.get(key)
        for key in ("base", "base_scale", "base_model_id", "painter_id", "gvc1d_id", "packet_bytes")
    }
