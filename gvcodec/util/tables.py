"""Tables of text as people and spreadsheets write them: UTF-8 with a mark or without, or UTF-16;
commas, semicolons or tabs; rows that end in empty cells, and empty rows."""

from __future__ import annotations

import codecs
import csv
import io

_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_DELIMITERS = ",;\t"


def read_table(data: bytes) -> list[tuple[int, dict[str, str]]]:
    """Number of the line, from 1, and cells by their column, of each row that is not empty. A cell
    that is not there is "". Raises `ValueError` for what is no text or no table, with the line
    where one is wrong."""
    text = data.decode(_MARKS.get(data[:2], "utf-8-sig"))
    first = text.partition("\n")[0].strip("\r")
    skipped = 0
    if first.lower().startswith("sep=") and len(first) == 5:
        # A line by which Excel knows the delimiter.
        delimiter, text, skipped = first[4], text.partition("\n")[2], 1
    else:
        delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            line = reader.line_num + skipped
            if columns is None:
                columns = cells
            elif any(cells[len(columns) :]):
                raise ValueError(f"line {line} has {len(cells)} cells, {len(columns)} have a name")
            elif any(cells):
                cells += [""] * (len(columns) - len(cells))
                rows.append((line, {name: cell for name, cell in zip(columns, cells) if name}))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num + skipped}: {error}") from error
    return rows
