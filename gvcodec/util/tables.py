"""Reads tables as people and spreadsheets write them: UTF-8 with a byte-order mark or without, or
UTF-16; commas, semicolons or tabs; rows that end in empty cells, and empty rows."""

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
    delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=delimiter, restval="", strict=True
    )
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        for row in reader:
            if any(row.pop(None, ())):  # type: ignore[call-overload]
                raise ValueError(f"line {reader.line_num} has a cell without a column")
            cells = {name.strip(): cell.strip() for name, cell in row.items()}
            if any(cells.values()):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error
    return rows
