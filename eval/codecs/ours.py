"""gvcodec through its command line. One encode gives two rows: base frames ("fidelity") and painted
frames ("rendered") of the same file.

The word is `gvcodec`, with options after colons: `gvcodec:base=av1:scale=1/2:low-delay`,
`gvcodec:base=vvc`. `scale=` is `--base-scale`; `low-delay`, `eye`, `fit=`, `speed=`, `preset=`,
`keyint=`, `tokens=`, `token-share=`, `alloc=` and `painter=` are options of those names, `model=`
is a file; with `base-q` qualities are values of `--base-q`.
`output=fidelity` or `output=rendered` keeps one of the rows. A rate is searched for with
`--fit off`; the file that counts is coded as the word says.
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
    **{name: f"--{name}" for name in ("tokens", "token-share", "alloc", "model", "painter")},
}
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
    values = _options_of(word)
    outputs = {values["output"]: _OUTPUTS[values["output"]]} if "output" in values else _OUTPUTS
    command = ("{python}", "-m", "gvcodec")
    quality = "--base-q" if "base-q" in values else "-q"
    keyint = values.get("keyint", "0" if options.keyint == ENDLESS else "{keyint}")
    encode = (*command, "encode", "{input}", "{stream}", quality, "{q}", "--keyint", keyint)
    encode += ("--threads", "{threads}", "-y")
    flags = {name: f"{flag}={values[name]}" for name, flag in FLAGS.items() if name in values}
    encode += tuple(flag for name, flag in flags.items() if name != "fit")
    encode += tuple(f"--{name}" for name in SWITCHES if name in values)
    fit = (flags["fit"],) if "fit" in flags else ()
    decode = (*command, "decode", "{stream}", "{output}", "--threads", "{threads}", "-y")
    decode += (f"--model={values['model']}",) if "model" in values else ()
    labels = [(k, Path(v).stem if k == "model" else v) for k, v in values.items()]
    labels = [(k, v) for k, v in labels if k not in ("output", "base-q")]
    name = "-".join(["gvcodec", *(f"fit{v}" if k == "fit" else v or k for k, v in labels)])
    return Codec(
        name.replace("/", "_"),
        " ".join(["gvcodec", *(f"{k} {v}".strip() for k, v in labels)]),
        (*encode, *fit),
        {output: (*decode, *words) for output, words in outputs.items()},
        (0, _coarsest(values)),
        45,
        "bin",
        "low" if "low-delay" in values else "random",
        "gvcodec",
        content_version(),
        quicker=_quicker(values, encode),
        keyint=options.keyint,
        threads=options.threads,
    )


def _options_of(word: str) -> dict[str, str]:
    """The options of a word. Raises EvalError for invalid ones."""
    values = dict(part.partition("=")[::2] for part in word.split(":")[1:])
    if unknown := set(values) - _OPTIONS:
        listed, choices = ", ".join(sorted(unknown)), ", ".join(sorted(_OPTIONS))
        raise EvalError(f"--codecs: {word}: no option {listed}; there are {choices}")
    if values.get("output", "rendered") not in _OUTPUTS:
        raise EvalError(f"--codecs: {word}: output is fidelity or rendered")
    _check_base(word, values)
    return values


def _rated_base(values: dict[str, str]) -> str:
    from gvcodec.bases import ALIASES

    base = values.get("base", "av1")
    return ALIASES.get(base, base)


def _check_base(word: str, values: dict[str, str]) -> None:
    from gvcodec.bases import base_of, names

    base = _rated_base(values)
    if base not in names():
        raise EvalError(f"--codecs: {word}: base is {', '.join(names())}")
    has = {"scale": base_of(base).standard, "preset": base_of(base).presets}
    if unfit := [name for name, is_available in has.items() if name in values and not is_available]:
        raise EvalError(f"--codecs: {word}: base {base} has no {' and no '.join(unfit)}")


def _quicker(values: dict[str, str], encode: tuple[str, ...]) -> tuple[str, ...] | None:
    """The command by which a rate is searched for, if it is another: with one strength, and VVenC
    by its fastest preset."""
    fast = ("--preset", "4") if values.get("base") == "vvc" else ()
    return (*encode, *fast, "--fit", "off") if fast or values.get("fit") != "off" else None


def _coarsest(values: dict[str, str]) -> int:
    """The largest quality number of a word's base and scale."""
    from gvcodec.bases import q_of
    from gvcodec.config import EncoderConfig

    scale = Fraction(values["scale"]) if "scale" in values else None
    config = EncoderConfig(base=_rated_base(values), scale=scale)
    return int(config.max_base_q if "base-q" in values else q_of(config.base, config.max_base_q))


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
