"""More codecs from TOML files (`--codec-file`), two command templates each:

[codec.myav1]
label = "My AV1"
encode = "myenc -i {input} -o {stream} --quality {q} --keyint {keyint}"
decode = "mydec {stream} {output}"      # writes .y4m
q = [0, 63]                             # larger q = fewer bytes
guess = 40                              # where the search begins (optional)
delay = "random"                        # low | random | intra (optional)
version = "1.2"                         # change it to measure again (optional)
"""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import Any

from eval.codecs.codec import Codec, Options
from eval.tools import EvalError


def load(options: Options) -> dict[str, Codec]:
    """Codecs of all files by name. Raises EvalError that names file, codec and error."""
    codecs = {}
    for path in options.templates:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8")).get("codec", {})
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise EvalError(f"{path}: {error}") from None
        if not tables:
            raise EvalError(f"{path}: no [codec.NAME] table in it")
        codecs |= {name: _codec(path, name, table, options) for name, table in tables.items()}
    return codecs


def _codec(path: Path, name: str, table: dict[str, Any], options: Options) -> Codec:
    try:
        encode, decode = (tuple(shlex.split(table[key])) for key in ("encode", "decode"))
        low, high = (int(v) for v in table["q"])
    except KeyError as error:
        raise EvalError(f"{path}: codec.{name} lacks {error}") from None
    except (TypeError, ValueError):
        raise EvalError(
            f"{path}: codec.{name}: q is [smallest, largest]; encode and decode are texts"
        ) from None
    return Codec(
        name,
        str(table.get("label", name)),
        encode,
        {"": decode},
        (low, high),
        int(table.get("guess", (low + 2 * high) // 3)),
        "bin",
        str(table.get("delay", "random")),
        name,
        str(table.get("version", "")),
        keyint=options.keyint,
        threads=options.threads,
    )
