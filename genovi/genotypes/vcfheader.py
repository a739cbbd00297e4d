"""The text header that VCF and BCF share: samples, and evidence for the genome build."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from genovi.errors import DataError
from genovi.genotypes.building import decode_text

_FIXED = (b"#CHROM", b"POS", b"ID", b"REF", b"ALT", b"QUAL", b"FILTER", b"INFO")
_CONTIG_ID = re.compile(rb"[<,]ID=([^,>]+)")
_CONTIG_LENGTH = re.compile(rb"[<,]length=(\d{1,15})[,>]")
_CONTIG_ASSEMBLY = re.compile(rb"[<,]assembly=\"?([^,>\"]+)")


@dataclass
class HeaderEvidence:
    """What ``##`` lines say about the genome build; filled line by line.

    Attributes:
        references: ``##reference`` values and ``assembly`` names, in order, unique.
        contig_lengths: Contig name -> length in base pairs.
    """

    references: dict[str, None] = field(default_factory=dict)
    contig_lengths: dict[str, int] = field(default_factory=dict)

    def add(self, line: bytes) -> None:
        """Take in one ``##`` line; lines of no use here are passed over."""
        if line.startswith((b"##reference=", b"##assembly=")):
            self.references[decode_text(line.split(b"=", 1)[1].strip())] = None
        elif line.startswith(b"##contig=<"):
            name, length = _CONTIG_ID.search(line), _CONTIG_LENGTH.search(line)
            if name and length:
                self.contig_lengths[decode_text(name[1])] = int(length[1])
            assembly = _CONTIG_ASSEMBLY.search(line)
            if assembly:
                self.references[decode_text(assembly[1])] = None


def parse_samples(line: bytes, path: Path, line_number: int) -> tuple[str, ...]:
    """Sample names of the ``#CHROM`` line; spaces at its end are no part of a name.

    Raises:
        DataError: columns are missing or not separated by tabs, there is no sample, or a name is empty or used twice.
    """
    columns = line.rstrip(b" ").split(b"\t")
    where = f"{path}, line {line_number}"
    if tuple(columns[:8]) != _FIXED:
        if tuple(line.split()[:8]) == _FIXED:
            raise DataError(
                "the #CHROM line is separated by spaces",
                where=where,
                why="VCF columns are separated by tabs",
                fix="replace the spaces by tabs",
            )
        raise DataError(
            "the #CHROM line does not have the eight fixed columns",
            where=where,
            fix="its columns are #CHROM POS ID REF ALT QUAL FILTER INFO FORMAT and the samples, separated by tabs",
        )
    if len(columns) < 10:
        raise DataError(
            "no samples",
            where=path,
            why="it lists sites only, without genotypes",
            fix="give the VCF with genotype columns that these sites came from",
        )
    if columns[8] != b"FORMAT":
        raise DataError("the ninth column is not FORMAT", where=where, fix="samples start at the tenth column")
    samples = tuple(decode_text(name) for name in columns[9:])
    check_sample_names(samples, where, "rename the samples, for example with `bcftools reheader -s NAMES`")
    return samples


def check_sample_names(samples: tuple[str, ...], where: str, fix: str) -> None:
    """Refuse empty sample names and names used twice.

    Args:
        samples: The names.
        where: The file, for messages.
        fix: What to do where a name is used twice.

    Raises:
        DataError: naming the first offender.
    """
    seen: set[str] = set()
    for place, name in enumerate(samples, start=1):
        if not name.strip():
            raise DataError(
                f"sample {place} of {len(samples)} has an empty name",
                where=where,
                why="results are listed by sample name",
                fix="name every sample, and remove tabs at the end of the line",
            )
        if name in seen:
            raise DataError(
                f"sample name {name!r} occurs twice",
                where=where,
                why="its genotypes could not be told apart",
                fix=fix,
            )
        seen.add(name)
