"""EIGENSTRAT filesets: ``.geno`` (genotypes), ``.snp`` (variants), ``.ind`` (samples), in three forms of the first.

    EIGENSTRAT          text; a line a variant, a digit a sample: copies of the first allele, 9 where missing
    PACKEDANCESTRYMAP   "GENO", then a record a variant of two bits a sample, at least 48 bytes
    transposed packed   "TGENO", then a record a sample of two bits a variant

In both packed forms the first genotype of a byte lies in its highest bits, 0, 1, 2 are copies of the first allele and 3
is missing; the header has the numbers of samples and variants and hashes of their names. The **first allele**, fifth
column of the ``.snp``, is the counted one, as A1 of the PLINK 1 fileset that the same data make; the sixth column
stands as REF.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from genovi.errors import DataError
from genovi.genotypes.ancestrymaps import (
    SMALLEST_RECORD,
    check_width,
    read_digits,
    read_packed,
    read_transposed,
    record_length,
)
from genovi.genotypes.batches import Rows, Source, rows_source
from genovi.genotypes.bgzf import sniff
from genovi.genotypes.filesets import (
    VariantRows,
    head_of,
    missing_part,
    part,
    read_text,
    regular_columns,
    regular_variants,
    table_rows,
)
from genovi.genotypes.matrix import InputFacts, VariantTable
from genovi.genotypes.vcfheader import check_sample_names

logger = logging.getLogger("genovi")

SUFFIXES = (".geno", ".eigenstratgeno", ".packedancestrymapgeno", ".ancestrymapgeno", ".tgeno")
_CHROMOSOMES = {"90": "MT", "91": "XY"}  # numbers of EIGENSOFT's own; 23 and 24 mean X and Y everywhere
_WHY = "an EIGENSTRAT fileset is a .geno, a .snp and an .ind of one name"


def eigenstrat_geno(path: Path) -> Path | None:
    """The genotype file of the fileset that ``path`` names by its prefix or by one of its files; None if it is none.

    A file of any name counts if it starts as one of the three forms do.
    """
    text = str(path)
    if text.endswith((".snp", ".ind")):
        prefix = Path(text[:-4])
        return _geno_of(prefix) or part(prefix, ".geno")
    if not path.is_file():
        return path if text.endswith(SUFFIXES) else _geno_of(path)
    if _form(head_of(path)) or (text.endswith(SUFFIXES) and part(_prefix(path), ".snp").exists()):
        return path
    return None


def eigenstrat_files(geno: Path) -> tuple[Path, ...]:
    """The files of the fileset whose genotype file is ``geno``."""
    return geno, part(_prefix(geno), ".snp"), part(_prefix(geno), ".ind")


def eigenstrat_source(geno: Path) -> Source:
    """Open an EIGENSTRAT fileset in any of its forms; its genotypes are read in batches.

    Args:
        geno: The genotype file; ``.snp`` and ``.ind`` of the same name lie beside it.

    Returns:
        One row a variant, in file order. Dosage counts the first allele. Chromosomes 90 and 91 are named MT and XY.

    Raises:
        DataError: a file is missing or malformed, or the three contradict each other; of a line of digits while it is
            read.
    """
    _, snp, ind = eigenstrat_files(geno)
    for path in (geno, snp, ind):
        if not path.exists():
            raise missing_part(path, _WHY)
    head = sniff(geno)
    # The first line alone decides here, so that a wrong character further on is told with its line.
    form = _form(head.head.partition(b"\n")[0]) if head.compression == "plain" else ""
    if not form:
        raise DataError(
            "not a genotype file of an EIGENSTRAT fileset",
            where=geno,
            why="such a file is lines of the digits 0, 1, 2 and 9, or starts with GENO or TGENO"
            if head.compression == "plain"
            else "it is compressed",
            fix="convert it with `convertf` to outputformat PACKEDANCESTRYMAP"
            if head.compression == "plain"
            else "decompress it with `gunzip`",
        )
    samples = _read_ind(ind)
    variants = _read_snp(snp)
    if form == "EIGENSTRAT":
        check_width(geno, len(samples), len(variants))
        read = partial(read_digits, geno, len(samples), len(variants))
    else:
        header = _read_header(geno, head.head)
        header.check(form == "TGENO", samples, variants)
        read = partial(read_packed if form == "GENO" else read_transposed, geno, len(samples), len(variants))
    name = {"GENO": "PACKEDANCESTRYMAP", "TGENO": "PACKEDANCESTRYMAP (transposed)"}.get(form, form)

    def rows() -> Rows:
        yield from read()
        return InputFacts(formats=(name,))

    return rows_source(str(geno), name, samples, variants, geno.stat().st_size, rows)


def _prefix(geno: Path) -> Path:
    return Path(str(geno).removesuffix(geno.suffix))


def _geno_of(prefix: Path) -> Path | None:
    return next((part(prefix, suffix) for suffix in SUFFIXES if part(prefix, suffix).is_file()), None)


def _form(head: bytes) -> str:
    """Which of the three forms starts with ``head``; "" if none does."""
    if head.startswith((b"GENO ", b"TGENO ")):
        return head.split(b" ")[0].decode()
    return "EIGENSTRAT" if head[:1] in (b"0", b"1", b"2", b"9") and not head.translate(None, b"0129\r\n") else ""


@dataclass(frozen=True)
class _Header:
    """What the start of a packed file says; hashes are None where they cannot be read."""

    geno: Path
    n_samples: int
    n_variants: int
    hashes: tuple[int, int] | None

    def check(self, is_transposed: bool, samples: tuple[str, ...], variants: VariantTable) -> None:
        """Compare with the tables beside the file, and with its size."""
        if (self.n_samples, self.n_variants) != (len(samples), len(variants)):
            raise _contradiction(self.geno, f"{self.n_variants} variants x {self.n_samples} samples", samples, variants)
        length = -(-self.n_variants // 4) if is_transposed else record_length(self.n_samples)
        expected = SMALLEST_RECORD + self.n_samples * length if is_transposed else length * (1 + self.n_variants)
        actual = self.geno.stat().st_size
        if actual != expected:
            raise DataError(
                f"{'truncated' if actual < expected else 'too long'}: {actual} bytes, expected {expected}",
                where=self.geno,
                why=f"its header says {self.n_variants} variants and {self.n_samples} samples",
                fix="copy or download the file again",
            )
        if self.hashes is None:
            return
        names = (samples, variants.id.tolist())
        for suffix, stated, there in zip((".ind", ".snp"), self.hashes, names, strict=True):
            if stated != _hash(there):
                logger.warning(
                    "%s was written with another %s: names or their order have changed since", self.geno, suffix
                )


def _read_header(geno: Path, head: bytes) -> _Header:
    words = head[:SMALLEST_RECORD].split(b"\x00")[0].split()
    try:
        n_samples, n_variants = int(words[1]), int(words[2])
    except (ValueError, IndexError):
        raise DataError(
            "the header does not say how many samples and variants there are",
            where=geno,
            why="the file is damaged",
            fix="copy or download it again",
        ) from None
    try:
        hashes = (int(words[3], 16), int(words[4], 16))
    except (ValueError, IndexError):
        return _Header(geno, n_samples, n_variants, None)
    return _Header(geno, n_samples, n_variants, hashes)


def _hash(names: Sequence[str]) -> int:
    """EIGENSOFT's hash of names in their order: h <- 23 h + byte for each, t <- 17 t xor h over all, in 32 bits."""
    raw = np.array([name.encode() for name in names])
    letters = raw.view(np.uint8).reshape(len(raw), -1).astype(np.uint32)
    each = np.zeros(len(raw), dtype=np.uint32)
    for column in letters.T:
        each = np.where(column > 0, each * np.uint32(23) + column, each)
    total = 0
    for one in each.tolist():
        total = ((total * 17) & 0xFFFFFFFF) ^ one
    return total


def _contradiction(geno: Path, found: str, samples: tuple[str, ...], variants: VariantTable) -> DataError:
    return DataError(
        f"the files of the fileset contradict each other: the .geno has {found}",
        where=geno,
        why=f"the .snp has {len(variants)} variants and the .ind {len(samples)} samples",
        fix="copy the files of one fileset again",
    )


def _read_ind(path: Path) -> tuple[str, ...]:
    rows = table_rows(path, _without_comments(path), (3, 4), "sample sex population")
    samples = tuple(cells[0] for _, cells in rows)
    check_sample_names(samples, str(path), "rename one of them in the .ind")
    return samples


def _read_snp(path: Path) -> VariantTable:
    text = _without_comments(path)
    columns = regular_columns(text, 6)
    if columns is not None:
        columns[1] = [_CHROMOSOMES.get(chrom, chrom) for chrom in columns[1]]
    regular = regular_variants(columns, chrom=1, pos=3, identifier=0, ref=5, alt=4)
    if regular is not None:
        return regular
    rows = VariantRows(path)
    for number, cells in table_rows(path, text, (4, 6), "ID chromosome morgans position and two alleles"):
        if len(cells) == 4:
            raise DataError(
                "no alleles",
                where=f"{path}, line {number}",
                why="without columns 5 and 6 variants cannot be matched to a model",
                fix="add them, the first being the one that the genotypes count",
            )
        identifier, chrom, _, pos, first, second = cells
        rows.add(number, _CHROMOSOMES.get(chrom, chrom), pos, identifier, second, first)
    return rows.table()


def _without_comments(path: Path) -> str:
    """The text with lines that start with # blanked, so that line numbers stay."""
    text = read_text(path)
    if "#" not in text:
        return text
    return "\n".join("" if line.lstrip().startswith("#") else line for line in text.split("\n"))
