"""Facts as a table of HTML, for notebooks."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from html import escape


def table(rows: Iterable[tuple[str, str]], jpeg: bytes = b"") -> str:
    """A row for each pair, below a picture."""
    picture = ""
    if jpeg:
        data = b64encode(jpeg).decode()
        picture = (
            f'<img alt="first frame" style="max-width:20em" src="data:image/jpeg;base64,{data}">'
        )
    cells = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<div>{picture}<table>{''.join(cells)}</table></div>"
