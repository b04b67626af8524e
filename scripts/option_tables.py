"""Writes the option tables of `PAGES` from the help texts of the commands, and `KEYWORDS`, the same
options as types for editors: `python scripts/option_tables.py`. `--check` writes nothing and ends
with code 1 if one is out of date.

A table is between the lines `<!-- options of COMMAND -->` and `<!-- end -->`. Other commands omit
options that `encode` has with the same help text.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from gvcodec import cli
from gvcodec.api.decoding import DecodeRequest
from gvcodec.api.job import Job
from gvcodec.config import EncoderConfig
from gvcodec.input_options import InputOptions
from gvcodec.util.options import keywords_of

ROOT = Path(__file__).resolve().parents[1]
DOCS, KEYWORDS = ROOT / "docs", ROOT / "gvcodec" / "keywords.py"
PAGES = DOCS / "options.md", DOCS / "batch.md"
_TABLE = re.compile(r"(<!-- options of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rows_of(command: str) -> dict[str, list[str]]:
    """Rows of a command's options, by group of its help."""
    (commands,) = (
        action
        for action in cli.parser([command])._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    parser = commands.choices[command]
    formatter = parser._get_formatter()
    rows: dict[str, list[str]] = {}
    for group in parser._action_groups:
        for action in group._group_actions:
            if not action.option_strings or "-h" in action.option_strings:
                continue
            default = formatter._get_default_metavar_for_optional(action)
            value = "" if action.nargs == 0 else f" {formatter._format_args(action, default)}"
            value = re.sub(r"\{(.*)\}", lambda match: match[1].replace(",", "|"), value)
            names = ", ".join(f"`{name}{value}`" for name in action.option_strings)
            row = f"| {_cell(names)} | {_cell(formatter._expand_help(action))} |"
            rows.setdefault(group.title or "", []).append(row)
    return rows


def table_of(command: str) -> str:
    """The Markdown table of a command's options."""
    groups = rows_of(command)
    if command != "encode":
        encode_rows = {row for rows in rows_of("encode").values() for row in rows}
        groups = {
            title: [r for r in rows if r not in encode_rows] for title, rows in groups.items()
        }
        groups = {title: rows for title, rows in groups.items() if rows}
    lines = ["| option | meaning (default) |", "|---|---|"]
    for title, rows in groups.items():
        lines += [f"| **{_cell(title)}** | |"] * (len(groups) > 1) + rows
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def fill(page: str) -> str:
    """The page with current tables."""
    return _TABLE.sub(lambda match: match[1] + table_of(match[2]) + match[3], page)


_HEAD = '''\
"""Types of the keywords that functions take as `**options`, for editors and type checkers.
Written by `python scripts/option_tables.py`."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypedDict

from gvcodec.limits import Limits
from gvcodec.rate.target import Target
from gvcodec.util.progress import Mode
'''


def keyword_types() -> str:
    """The module of `TypedDict`s."""
    parts = [
        _class_of("EncodeOptions", "TypedDict", EncoderConfig),
        _class_of("EncodeFileOptions", "EncodeOptions", Job, InputOptions),
        _class_of("DecodeFileOptions", "TypedDict", DecodeRequest, explicit=()),
    ]
    return "\n\n".join([_HEAD, *parts])


def _class_of(
    name: str, base: str, *kinds: type, explicit: tuple[str, ...] = ("format", "sound")
) -> str:
    """`explicit`: keywords that the functions name by themselves."""
    keywords = {k: f for kind in kinds for k, f in keywords_of(kind).items() if k not in explicit}
    lines = [f"    {keyword}: {_type_of(field)}\n" for keyword, field in keywords.items()]
    return f"class {name}({base}, total=False):\n{''.join(lines)}"


def _type_of(field: Any) -> str:
    """The annotation of an option, with the texts that are read as on the command line."""
    argument = field.metadata.get("argument", {})
    if "choices" in argument:
        words = ", ".join(f'"{word}"' for word in argument["choices"])
        plain = [kind for kind in str(field.type).split(" | ") if kind != "str"]
        return " | ".join([f"Literal[{words}]", *plain])
    kinds = str(field.type).split(" | ") if "[str" not in str(field.type) else [str(field.type)]
    if "Fraction" in kinds:
        kinds.insert(0, "float")
    if "type" in argument and "str" not in kinds:
        kinds.insert(0, "str")
    return " | ".join(kinds)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, report differences")
    check = parser.parse_args().check
    outdated = 0
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = fill(before)
        if before == after:
            continue
        outdated += 1
        if check:
            print(f"docs/{page.name} is out of date: python scripts/option_tables.py")
        else:
            page.write_text(after, encoding="utf-8")
    if KEYWORDS.read_text("utf-8") != keyword_types():
        outdated += 1
        if check:
            print(f"{KEYWORDS} is out of date: python scripts/option_tables.py")
        else:
            KEYWORDS.write_text(keyword_types(), "utf-8")
    return int(check and outdated > 0)


if __name__ == "__main__":
    sys.exit(main())
