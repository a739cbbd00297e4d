"""Lists of samples and variants for --keep, --remove, --extract and --exclude."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.bgzf import open_bytes, sniff
from genovi.genotypes.building import decode_text
from genovi.genotypes.matrix import VariantTable
from genovi.genotypes.regions import has_two_names, normalise_chromosome, normalise_chromosomes

_ID_COLUMNS = ("IID", "ID", "SNP")
_BETWEEN = "\t"  # FID and IID


def read_id_list(path: Path, kind: str = "samples", families: bool = False) -> frozenset[str]:
    """Read identifiers from a text file, one a line.

    Lines may have more columns, separated by tabs or spaces. Without a header the identifier of a sample is the second
    of several columns (PLINK's ``FID IID``) and that of a variant the first. A header line starts with ``#``; where it
    names a column IID, ID or SNP, that column counts. Other lines that start with ``#`` are comments.

    Args:
        path: The file, plain or gzipped.
        kind: "samples" or "variants".
        families: Give family and individual with a tab between them, for ``named_samples``, where a line has both.

    Raises:
        DataError: there is no such file, or it has no identifiers.
    """
    if path.is_file() and not path.stat().st_size:
        raise DataError(f"no {kind} on the list", where=path, why="it is empty", fix="write one identifier a line")
    with open_bytes(path, sniff(path).compression) as stream:
        lines = decode_text(stream.read()).removeprefix("\ufeff").splitlines()
    column: int | None = None
    family: int | None = 0 if kind == "samples" else None
    ids = []
    for line in lines:
        fields = line.split()
        if not fields:
            continue
        if line.startswith("#"):
            names = [name.lstrip("#") for name in fields]
            found = next((names.index(name) for name in _ID_COLUMNS if name in names), None)
            if found is not None:
                column, family = found, names.index("FID") if "FID" in names and kind == "samples" else None
            continue
        default = 1 if kind == "samples" and len(fields) > 1 else 0
        place = min(default if column is None else column, len(fields) - 1)
        name = fields[place]
        if families and family is not None and family < len(fields) and family != place:
            name = f"{fields[family]}{_BETWEEN}{name}"
        ids.append(name)
    if not ids:
        raise DataError(
            f"no {kind} on the list", where=path, why="it has no line with an identifier", fix="write one a line"
        )
    return frozenset(ids)


def named_samples(ids: frozenset[str], samples: Sequence[str]) -> frozenset[str]:
    """The names that a list means: IID, or FID_IID where the samples are named so because IIDs repeat.

    Args:
        ids: Names, or families and individuals as ``read_id_list`` gives them.
        samples: Of the input.
    """
    known = set(samples)

    def name(entry: str) -> str:
        family, _, individual = entry.rpartition(_BETWEEN)
        joined = f"{family}_{individual}"
        return joined if family and individual not in known and joined in known else individual

    return frozenset(entry if entry in known else name(entry) for entry in ids)


class VariantList:
    """Identifiers, "chrom:pos", or "chrom:pos:ref:alt" with the alleles in either order, matched table by table.

    Args:
        ids: The list.
        human: Whether the genotypes are human: then 23 and X are one chromosome, as are 24 and Y, 25 and XY, 26 and MT.
    """

    def __init__(self, ids: frozenset[str], human: bool = True) -> None:
        self._ids, self._human = ids, human
        self._written = {_normalise(entry, human): entry for entry in ids}
        places = [entry.split(":") for entry in self._written]
        positions = {int(parts[1]) for parts in places if len(parts) in (2, 4) and parts[1].isdigit()}
        self._positions = np.array(sorted(one for one in positions if one < 2**62), dtype=np.int64)
        self._used: set[str] = set()

    @property
    def depends_on_species(self) -> bool:
        """Whether what is listed depends on ``human``."""
        places = (entry.split(":") for entry in self._ids if ":" in entry)
        return any(has_two_names(normalise_chromosome(parts[0])) for parts in places)

    @property
    def unmatched(self) -> frozenset[str]:
        """Entries that have matched nothing so far."""
        return self._ids - self._used

    def matches(self, variants: VariantTable, chroms: np.ndarray) -> np.ndarray:
        """Which variants are listed.

        Args:
            variants: The variants.
            chroms: Their chromosomes, shape (n_variants,), object (str).

        Returns:
            shape (n_variants,), bool.
        """
        chroms = normalise_chromosomes(chroms, self._human)
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


def _normalise(entry: str, human: bool) -> str:
    parts = entry.split(":")
    if len(parts) in (2, 4) and parts[1].isdigit():
        return ":".join(
            [normalise_chromosome(parts[0], human), str(int(parts[1])), *(part.upper() for part in parts[2:])]
        )
    return entry
