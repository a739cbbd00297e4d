"""Lists of samples and variants for --keep, --remove, --extract and --exclude."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.bgzf import open_bytes, sniff
from genovi.genotypes.building import decode_text
from genovi.genotypes.matrix import VariantTable
from genovi.genotypes.regions import normalise_chromosome

_ID_COLUMNS = ("IID", "ID", "SNP")


def read_id_list(path: Path, kind: str = "samples") -> frozenset[str]:
    """Read identifiers from a text file, one a line.

    Lines may have more columns, separated by tabs or spaces. Without a header the identifier of a sample is the second
    of several columns (PLINK's ``FID IID``) and that of a variant the first. A header line starts with ``#``; where it
    names a column IID, ID or SNP, that column counts. Other lines that start with ``#`` are comments.

    Args:
        path: The file, plain or gzipped.
        kind: "samples" or "variants".

    Raises:
        DataError: there is no such file, or it has no identifiers.
    """
    if path.is_file() and not path.stat().st_size:
        raise DataError(f"no {kind} on the list", where=path, why="it is empty", fix="write one identifier a line")
    with open_bytes(path, sniff(path).compression) as stream:
        lines = decode_text(stream.read()).splitlines()
    column: int | None = None
    ids = []
    for line in lines:
        fields = line.split()
        if not fields:
            continue
        if line.startswith("#"):
            names = [name.lstrip("#") for name in fields]
            column = next((names.index(name) for name in _ID_COLUMNS if name in names), column)
            continue
        default = 1 if kind == "samples" and len(fields) > 1 else 0
        ids.append(fields[min(default if column is None else column, len(fields) - 1)])
    if not ids:
        raise DataError(
            f"no {kind} on the list", where=path, why="it has no line with an identifier", fix="write one a line"
        )
    return frozenset(ids)


class VariantList:
    """Identifiers, "chrom:pos", or "chrom:pos:ref:alt" with the alleles in either order, matched table by table.

    Args:
        ids: The list.
    """

    def __init__(self, ids: frozenset[str]) -> None:
        self._ids = ids
        self._written = {_normalise(entry): entry for entry in ids}
        places = [entry.split(":") for entry in self._written]
        positions = {int(parts[1]) for parts in places if len(parts) in (2, 4) and parts[1].isdigit()}
        self._positions = np.array(sorted(one for one in positions if one < 2**62), dtype=np.int64)
        self._used: set[str] = set()

    @property
    def unmatched(self) -> frozenset[str]:
        """Entries that have matched nothing so far."""
        return self._ids - self._used

    def matches(self, variants: VariantTable, chroms: np.ndarray) -> np.ndarray:
        """Which variants are listed.

        Args:
            variants: The variants.
            chroms: Their normalised chromosomes, shape (n_variants,), object (str).

        Returns:
            shape (n_variants,), bool.
        """
        names = variants.id.tolist()
        listed = np.array([name in self._ids for name in names], dtype=bool)
        self._used.update(name for name in names if name in self._ids)
        for i in np.flatnonzero(np.isin(variants.pos, self._positions)).tolist():
            place, ref, alt = f"{chroms[i]}:{variants.pos[i]}", variants.ref[i], variants.alt[i]
            for key in (place, f"{place}:{ref}:{alt}", f"{place}:{alt}:{ref}"):
                if key in self._written:
                    listed[i] = True
                    self._used.add(self._written[key])
        return listed


def match_variants(
    variants: VariantTable, chroms: np.ndarray, ids: frozenset[str]
) -> tuple[np.ndarray, frozenset[str]]:
    """Which variants a list names, as ``VariantList`` does, and the entries of ``ids`` that match nothing."""
    found = VariantList(ids)
    return found.matches(variants, chroms), found.unmatched


def _normalise(entry: str) -> str:
    parts = entry.split(":")
    if len(parts) in (2, 4) and parts[1].isdigit():
        return ":".join([normalise_chromosome(parts[0]), str(int(parts[1])), *(part.upper() for part in parts[2:])])
    return entry
