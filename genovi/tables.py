"""Tables as people keep labels in them: text of any separator, quoting and line ending, split into rows of cells.

Cells are kept as the strings that the file holds. Every row carries its line number, so that messages can name it.
"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from genovi.errors import DataError

Row = tuple[int, list[str]]  # line number (from 1) and cells


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Non-blank lines with their numbers (from 1); comment lines, which begin with ``##``, are skipped.

    Raises:
        DataError: there is no such file, it is a folder, it holds no text, or no line.
    """
    if path.is_dir():
        raise DataError("this is a folder, not a table of labels", where=path, fix="give a panel, TSV or CSV")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError("no such file", where=path, fix="check the path of the labels") from None
    except OSError as error:
        raise DataError("cannot read labels", where=path, why=error.strerror or str(error)) from error
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or text.startswith("##fileformat=VCF"):
        raise DataError(
            "not a table of labels",
            where=path,
            why="it holds no plain UTF-8 text columns",
            fix="give a panel, TSV or CSV",
        )
    lines = list(enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1))
    kept = [(i, line) for i, line in lines if line.strip() and not line.startswith("##")]
    if not kept:
        raise DataError("empty label file", where=path, fix="give a table with a header and one row for each sample")
    return kept


def split_table(lines: list[tuple[int, str]], path: Path) -> tuple[list[str], list[Row]]:
    """Header and rows of a table whose separator is found from its lines.

    Args:
        lines: What ``read_lines`` returns; the first one is the header.
        path: Where they are from, for messages.

    Returns:
        Column names, without a leading ``#``, and rows of as many cells.

    Raises:
        DataError: only one column, two of the same name, a broken quote, or a line with more cells than the header (or
            fewer, where blanks separate them).
    """
    separator = _separator([line for _, line in lines[:50]], path)
    parsed: list[Row] = []
    for number, line in lines:
        try:
            parsed.append((number, _cells(line, separator)))
        except csv.Error as error:
            raise DataError(
                "cannot split line into cells", where=f"{path}, line {number}", why=str(error), fix="check its quotes"
            ) from None
    header = _trim(parsed[0][1])
    header[0] = header[0].lstrip("#")
    repeated = [name for name, n in Counter(header).items() if n > 1 and name]
    if repeated:
        raise DataError(
            f"two columns are called {repeated[0]!r}", where=f"{path}, line {lines[0][0]}", fix="rename one"
        )
    rows: list[Row] = []
    for number, cells in parsed[1:]:
        width = len(_trim(cells))
        if width > len(header) or (separator == " " and len(cells) < len(header)):
            raise DataError(
                f"{width} cells under {len(header)} column names",
                where=f"{path}, line {number}",
                why="values would end up in the wrong column",
                fix="give every line one cell for each column (in R: write.table(..., sep='\\t', row.names=FALSE))",
            )
        if width:
            rows.append((number, _trim(cells) + [""] * (len(header) - width)))
    return header, rows


def split_headerless(lines: list[tuple[int, str]], path: Path, width: int) -> list[Row]:
    """The first ``width`` cells of each line of a file that has no header and is separated by blanks or tabs.

    Raises:
        DataError: a line has fewer cells.
    """
    rows = [(number, line.split()) for number, line in lines]
    for number, cells in rows:
        if len(cells) < width:
            raise DataError(
                f"{len(cells)} columns where a {path.suffix} file has {width}",
                where=f"{path}, line {number}",
                fix="give labels as a table with a header (.tsv or .csv) instead",
            )
    return [(number, cells[:width]) for number, cells in rows]


def _separator(lines: list[str], path: Path) -> str:
    """Tab, comma, semicolon or " " (runs of blanks): the first that gives every line as many cells as the header."""

    def width(line: str, separator: str) -> int:
        try:
            return len(_trim(_cells(line, separator)))
        except csv.Error:
            return 0

    candidates = [separator for separator in "\t,; " if width(lines[0], separator) > 1]
    if not candidates:
        raise DataError(
            "labels need at least two columns",
            where=path,
            why=f"the first line is {lines[0][:60]!r}",
            fix="separate the sample and its population by a tab or a comma",
        )
    for separator in candidates:
        if len({width(line, separator) for line in lines}) == 1:
            return separator
    return candidates[0]


def _cells(line: str, separator: str) -> list[str]:
    """Cells of a line, stripped and unquoted; quotes keep a separator inside a cell. Raises ``csv.Error``."""
    if separator == " ":
        line = " ".join(line.split())
    row = next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True))
    return [cell.strip() for cell in row]


def _trim(cells: list[str]) -> list[str]:
    """Cells without the empty ones at the end (the 1000 Genomes panel has tabs after its last column)."""
    end = len(cells)
    while end and not cells[end - 1]:
        end -= 1
    return cells[:end]
