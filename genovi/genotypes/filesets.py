"""What formats of several files share: finding the files of one name, reading their tables, naming their samples."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.bgzf import sniff
from genovi.genotypes.building import decode_text, normalise_allele
from genovi.genotypes.matrix import VariantTable
from genovi.genotypes.vcfheader import check_sample_names

logger = logging.getLogger("genovi")

_HEAD_BYTES = 4096


def part(prefix: Path, suffix: str) -> Path:
    """The file of a fileset with this suffix; ``Path.with_suffix`` would cut names with dots."""
    return Path(f"{prefix}{suffix}")


def head_of(path: Path) -> bytes:
    """The first bytes of a regular file as they are; none where it cannot be read, which is told when it is opened."""
    try:
        if not path.is_file():
            return b""
        with open(path, "rb") as stream:
            return stream.read(_HEAD_BYTES)
    except OSError:
        return b""


def missing_part(path: Path, why: str) -> DataError:
    """The error for a fileset of which one file is not there."""
    return DataError(
        f"no {path.suffix} file beside the fileset", where=path, why=why, fix="copy all files of the fileset"
    )


def read_text(path: Path) -> str:
    """The text of an uncompressed table.

    Raises:
        DataError: there is no such file, it is empty, compressed, or cannot be read.
    """
    if sniff(path).compression != "plain":
        raise DataError("this file is compressed", where=path, fix="decompress it with `gunzip`")
    return decode_text(path.read_bytes()).removeprefix("\ufeff")


def table_rows(path: Path, text: str, n_columns: Sequence[int], names: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each line that is not blank.

    Args:
        path: The file, for messages.
        text: Its content; columns are separated by white space.
        n_columns: How many columns a line may have.
        names: Names of the columns, for messages.

    Raises:
        DataError: a line has another number of columns, or there is no line.
    """
    number = 0
    found = False
    for number, line in enumerate(text.split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) not in n_columns:
            raise DataError(
                f"{len(fields)} columns, expected {' or '.join(map(str, n_columns))}",
                where=f"{path}, line {number}",
                why=f"they are {names}",
                fix="repair or remove this line",
            )
        found = True
        yield number, fields
    if not found:
        raise DataError("empty file", where=path, fix="make the fileset again")


def regular_columns(text: str, n_columns: int) -> list[list[str]] | None:
    """Columns of a table all of whose lines have ``n_columns`` cells; much faster than going line by line.

    Args:
        text: The table; columns are separated by white space.
        n_columns: Number of columns.

    Returns:
        One list a column; None where a line has another number of cells, is blank or a comment (#), or holds
        characters other than printable ASCII: then ``table_rows`` says what is wrong, if anything is.
    """
    if not text.isascii() or "#" in text:
        return None
    raw = np.frombuffer(text.encode(), dtype=np.uint8)
    if np.any((raw < 32) & (raw != 9) & (raw != 10) & (raw != 13)):
        return None
    is_blank = raw <= 32
    is_start = ~is_blank
    is_start[1:] &= is_blank[:-1]
    ends = np.flatnonzero(raw == 10)
    if len(raw) and raw[-1] != 10:
        ends = np.append(ends, len(raw))
    cells = np.diff(np.searchsorted(np.flatnonzero(is_start), ends), prepend=0)
    if len(cells) == 0 or np.any(cells != n_columns):
        return None
    flat = text.split()
    return [flat[place::n_columns] for place in range(n_columns)]


class VariantRows:
    """Collects a variant table from the lines of a text file.

    Args:
        path: The file, for messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._columns: tuple[list[str], list[str], list[str], list[str]] = ([], [], [], [])
        self._positions: list[int] = []

    def add(self, number: int, chrom: str, pos: str, identifier: str, ref: str, alt: str) -> None:
        """Take in the variant of line ``number``.

        Raises:
            DataError: the position is not a whole number that fits int64.
        """
        try:
            position = int(pos)
        except ValueError:
            position = 2**62
        if abs(position) >= 2**62:
            raise DataError(
                f"position {pos[:40]!r} is not a whole number",
                where=f"{self._path}, line {number}",
                fix="repair or remove this line",
            )
        self._positions.append(position)
        for column, value in zip(self._columns, (chrom, identifier, ref, alt), strict=True):
            column.append(value)

    def table(self) -> VariantTable:
        """The variants so far.

        Raises:
            DataError: there is none.
        """
        if not self._positions:
            raise DataError("no variants", where=self._path, fix="make the fileset again")
        chroms, ids, refs, alts = self._columns
        return variant_table(chroms, np.array(self._positions, dtype=np.int64), ids, refs, alts)


def regular_variants(
    columns: list[list[str]] | None, *, chrom: int, pos: int, identifier: int, ref: int, alt: int
) -> VariantTable | None:
    """The variants of ``regular_columns``, given the places of what they are made of.

    Returns:
        None where there are no columns or a position is not a whole number that fits int64.
    """
    if columns is None:
        return None
    try:
        positions = np.array(list(map(int, columns[pos])), dtype=np.int64)
    except (ValueError, OverflowError):
        return None
    return variant_table(columns[chrom], positions, columns[identifier], columns[ref], columns[alt])


def variant_table(
    chroms: Sequence[str], positions: np.ndarray, ids: Sequence[str], refs: Sequence[str], alts: Sequence[str]
) -> VariantTable:
    """A variant table from columns of text: bases in capitals, one object for each contig and allele.

    Args:
        chroms: Contig names.
        positions: 1-based base pairs, shape (n_variants,), int64.
        ids: Identifiers.
        refs: Alleles that are not counted.
        alts: Counted alleles.
    """
    names = np.empty(len(ids), dtype=object)
    names[:] = ids  # these rarely repeat
    return VariantTable(
        chrom=shared_objects(chroms),
        pos=positions,
        id=names,
        ref=_alleles(refs),
        alt=_alleles(alts),
    )


def _alleles(texts: Sequence[str]) -> np.ndarray:
    known: dict[str, str] = {}
    array = np.empty(len(texts), dtype=object)
    array[:] = [known.get(text) or known.setdefault(text, normalise_allele(text)) for text in texts]
    return array


def name_samples(families: Sequence[str], ids: Sequence[str], path: Path, fix: str) -> tuple[str, ...]:
    """Sample names: the individual identifiers, with that of the family before them (FID_IID) where they repeat.

    Args:
        families: FIDs.
        ids: IIDs.
        path: The file, for messages.
        fix: What to do where names repeat even so.

    Raises:
        DataError: a name is empty or repeats even so.
    """
    names = tuple(ids)
    if len(set(names)) < len(names):
        logger.warning("%s: within-family identifiers (IID) repeat; samples are named FID_IID", path)
        names = tuple(f"{family}_{name}" for family, name in zip(families, ids, strict=True))
    check_sample_names(names, str(path), fix)
    return names


def shared_objects(values: Sequence[str]) -> np.ndarray:
    """``values`` as an array of str, one object for each different string: alleles repeat a million times.

    Returns:
        shape (n_values,), object (str).
    """
    shared: dict[str, str] = {}
    array = np.empty(len(values), dtype=object)
    array[:] = [shared.setdefault(value, value) for value in values]
    return array
